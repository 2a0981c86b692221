//! Status filter rules, and what they send to targets.

use crate::{
    id::{CollectionId, DeviceId, Name, StatusActionId, StatusRuleId},
    limits::{STATUS_KEEP_DAYS, STATUS_RULE_RATE, STATUS_RULE_TARGETS, STATUS_RULE_TEXT},
    status::{Component, MessageId, Severity},
    status_catalogue::MessageType,
    time::UnixMillis,
};
use serde::{Deserialize, Serialize};

api! {
    /// `POST /api/v1/status/rules`: which messages, and what is done with them. What is not said does not matter.
    struct StatusRule {
        /// The name of the rule.
        name: Name,
        /// Whether it is in force.
        #[serde(default = "yes")] enabled: bool,
        /// Only messages of this part of the agent.
        #[serde(default)] component: Option<Component>,
        /// Only messages of this kind.
        #[serde(default)] message: Option<MessageId>,
        /// Only messages that are at least so serious.
        #[serde(default)] severity: Option<Severity>,
        /// Only messages of this type.
        #[serde(default)] kind: Option<MessageType>,
        /// Only messages of this device.
        #[serde(default)] device: Option<DeviceId>,
        /// Only messages of devices of this collection.
        #[serde(default)] collection: Option<CollectionId>,
        /// Only messages that have this text in a value.
        #[serde(default)] text: Option<String>,
        /// Only where the text is in the value of this name.
        #[serde(default)] value: Option<String>,
        /// The message is kept for so many days.
        #[serde(default)] keep_days: Option<u32>,
        /// The message is not kept: it is counted, and rules see it.
        #[serde(default)] discard: bool,
        /// An alert is raised, which an administrator closes.
        #[serde(default)] alert: bool,
        /// The message is sent to these targets, as the server's machine names them.
        #[serde(default)] targets: Vec<Name>,
        /// Rules after this one do not see the message.
        #[serde(default)] stop: bool,
        /// How often in an hour it raises and sends at most. What is more is counted.
        #[serde(default = "sixty")] per_hour: u32,
    }
}

const fn yes() -> bool {
    true
}
const fn sixty() -> u32 {
    60
}

impl StatusRule {
    /// Whether a rule can be kept.
    ///
    /// # Errors
    /// A sentence.
    pub fn check(&self) -> Result<(), String> {
        if self.text.as_ref().is_some_and(|text| text.is_empty() || text.len() > STATUS_RULE_TEXT) {
            return Err(format!("A text to look for has 1 to {STATUS_RULE_TEXT} bytes."));
        }
        if self.value.is_some() && self.text.is_none() {
            return Err("Say which text is looked for in the value.".to_owned());
        }
        if self.value.as_ref().is_some_and(|value| value.len() > STATUS_RULE_TEXT) {
            return Err(format!("The name of a value has at most {STATUS_RULE_TEXT} bytes."));
        }
        if self.targets.len() > STATUS_RULE_TARGETS {
            return Err(format!("A rule has at most {STATUS_RULE_TARGETS} targets."));
        }
        if self.per_hour == 0 || self.per_hour > STATUS_RULE_RATE {
            return Err(format!("A rule acts 1 to {STATUS_RULE_RATE} times an hour."));
        }
        if self.keep_days.is_some_and(|days| days == 0 || days > STATUS_KEEP_DAYS) {
            return Err(format!("A message is kept for 1 to {STATUS_KEEP_DAYS} days."));
        }
        if self.discard && self.keep_days.is_some() {
            return Err("A message is kept or discarded, not both.".to_owned());
        }
        if !self.discard && !self.alert && !self.stop && self.keep_days.is_none() && self.targets.is_empty() {
            return Err("The rule does nothing; say what it does.".to_owned());
        }
        Ok(())
    }
}

api! {
    /// A rule as it is kept.
    struct StatusRuleInfo {
        /// The id.
        id: StatusRuleId,
        /// Its place: messages meet rules in this order.
        place: u64,
        /// What was asked for.
        rule: StatusRule,
        /// When it was made.
        created: UnixMillis,
        /// Who made it.
        created_by: Name,
        /// How many messages it was about.
        matched: u64,
        /// How often it raised or sent something.
        fired: u64,
        /// How often it did not, because it had in that hour as often as it may, or too much waited to be sent.
        dropped: u64,
        /// When a message last met it.
        last: Option<UnixMillis>,
    }
}
api! {
    /// `PUT /api/v1/status/rules/{id}`: what is not said stays.
    #[derive(Copy, Eq, Default)]
    struct StatusRuleChange {
        /// Whether it is in force.
        #[serde(default)] enabled: Option<bool>,
        /// Its new place, from 1.
        #[serde(default)] place: Option<u64>,
    }
}
api! {
    /// What a target is.
    enum TargetKind {
        /// A message is posted there, signed.
        Webhook = "webhook",
        /// A message is mailed.
        Mail = "mail",
        /// A program of the server's machine is run.
        Program = "program",
    }
}
api! {
    /// A target, as the server's machine names it. Where it is and with what it is reached stands in a file of that machine.
    struct StatusTarget {
        /// Its name.
        name: Name,
        /// What it is; none: the file cannot be used.
        kind: Option<TargetKind>,
        /// Why the file cannot be used.
        problem: Option<String>,
    }
}
api! {
    /// How it stands with what is sent to a target.
    enum ActionState {
        /// It waits, or is tried again.
        Waiting = "waiting",
        /// The target took it.
        Done = "done",
        /// It was given up.
        Failed = "failed",
    }
}
api! {
    /// Something that is sent to a target.
    struct StatusAction {
        /// The id. A target may get it twice, and tells by this.
        id: StatusActionId,
        /// The rule or the subscription.
        name: String,
        /// The target.
        target: Name,
        /// Where it stands.
        state: ActionState,
        /// Since when.
        created: UnixMillis,
        /// How often it was tried.
        tries: u32,
        /// When it is tried next.
        due: UnixMillis,
        /// When it was done or given up.
        ended: Option<UnixMillis>,
        /// What the last try came to.
        outcome: String,
        /// The device that it is about.
        device: Option<DeviceId>,
        /// What it is about, as a sentence.
        text: String,
    }
}
api! {
    /// Which actions.
    #[derive(Copy, Eq, Default)]
    struct StatusActionQuery {
        /// Only those that stand so.
        #[serde(default)] state: Option<ActionState>,
        /// Rows to skip.
        #[serde(default)] offset: u64,
        /// Rows wanted.
        #[serde(default = "fifty")] limit: u32,
    }
}
const fn fifty() -> u32 {
    50
}
api! {
    /// How many messages of a part of the agents there were in an hour.
    #[derive(Copy)]
    struct StatusHour {
        /// The beginning of the hour.
        hour: UnixMillis,
        /// The part.
        component: Component,
        /// For the record.
        information: u64,
        /// To look at.
        warning: u64,
        /// Failures.
        error: u64,
    }
}
api! {
    /// How a part of the agents does: `PUT /api/v1/status/thresholds` sets from when it does not do well.
    #[derive(Copy, Eq)]
    struct StatusThreshold {
        /// The part.
        component: Component,
        /// So many warnings and errors in an hour are a warning; none: never.
        #[serde(default)] warning: Option<u64>,
        /// So many errors in an hour are critical; none: never.
        #[serde(default)] critical: Option<u64>,
    }
}
