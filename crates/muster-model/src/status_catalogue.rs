//! The catalogue of status messages: what each kind says of itself. A device says which kind it is and gives its values; part, severity and
//! type stand here, so that no client can call a greeting an error, or hide an error among details.

use crate::{
    id::{DeploymentId, Hash},
    status::{Component, MessageId, Severity, StatusMessage},
};
use serde::{Deserialize, Serialize};

/// What a message is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub enum MessageType {
    /// What a person did.
    Audit,
    /// A piece of work began, ended, or failed.
    Milestone,
    /// What happened in between.
    Detail,
}

impl MessageType {
    /// Every type.
    pub const ALL: &[Self] = &[Self::Audit, Self::Milestone, Self::Detail];

    /// The stable text.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Audit => "audit",
            Self::Milestone => "milestone",
            Self::Detail => "detail",
        }
    }

    /// The number that Configuration Manager gives it.
    #[must_use]
    pub const fn number(self) -> u16 {
        match self {
            Self::Milestone => 256,
            Self::Detail => 512,
            Self::Audit => 768,
        }
    }
}

/// What a value of a message can be.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ValueType {
    /// Any text.
    Text,
    /// A whole number.
    Number,
    /// The hash of content.
    Hash,
    /// The id of a deployment.
    Deployment,
}

impl ValueType {
    /// The word for people.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Text => "text",
            Self::Number => "number",
            Self::Hash => "hash",
            Self::Deployment => "deployment",
        }
    }

    /// Whether a text is a value of this type.
    #[must_use]
    pub fn takes(self, text: &str) -> bool {
        match self {
            Self::Text => true,
            Self::Number => text.parse::<i64>().is_ok() || text.parse::<u64>().is_ok(),
            Self::Hash => text.parse::<Hash>().is_ok(),
            Self::Deployment => text.parse::<DeploymentId>().is_ok(),
        }
    }
}

/// What the catalogue says of a kind of message.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Entry {
    /// Its number, which no other kind ever gets.
    pub number: u16,
    /// The part that says it.
    pub component: Component,
    /// How serious it is.
    pub severity: Severity,
    /// What it is for.
    pub kind: MessageType,
    /// The values of its sentence, in order.
    pub values: &'static [(&'static str, ValueType)],
}

macro_rules! entries {
    ($($name:ident = $number:literal $component:ident $severity:ident $kind:ident
        { $($value:literal : $type:ident),* })+) => {
        impl MessageId {
            /// What the catalogue says of it.
            #[must_use]
            pub const fn entry(self) -> &'static Entry {
                match self {
                    $(Self::$name => &Entry {
                        number: $number,
                        component: Component::$component,
                        severity: Severity::$severity,
                        kind: MessageType::$kind,
                        values: &[$(($value, ValueType::$type)),*],
                    },)+
                }
            }
        }
    };
}

entries! {
    AgentStarted = 1000 Agent Information Milestone { "version": Text }
    AgentStopped = 1001 Agent Information Milestone {}
    CertificateRenewed = 1002 Agent Information Milestone { "expires": Text }
    ClockWrong = 1003 Agent Warning Detail { "seconds": Number }
    ServerRefused = 1004 Agent Error Detail { "reason": Text }
    StateVolatile = 1005 Agent Warning Detail { "path": Text }
    RestartPending = 1010 Agent Warning Milestone { "reasons": Text }
    RestartNotPending = 1011 Agent Information Milestone {}
    RestartAnswered = 1012 Agent Information Audit { "user": Text, "answer": Text }
    RestartBegun = 1013 Agent Information Milestone { "tries": Number, "reasons": Text }
    Restarted = 1014 Agent Information Milestone { "seconds": Number, "left": Number }
    RestartFailed = 1015 Agent Error Milestone { "reason": Text }
    LogAltered = 1016 Agent Error Milestone { "from": Text, "until": Text, "fault": Text, "sequence": Number }
    PolicyAccepted = 1100 Policy Information Milestone { "version": Number }
    PolicyRefused = 1101 Policy Error Detail { "reason": Text }
    TrustAccepted = 1102 Policy Information Milestone { "version": Number }
    TrustRefused = 1103 Policy Error Detail { "reason": Text }
    InventoryUnreadable = 1200 Inventory Warning Detail { "class": Text, "reason": Text }
    ContentAltered = 1300 Content Error Detail { "hash": Hash }
    ChunkListRefused = 1301 Content Warning Detail { "hash": Hash, "reason": Text }
    ContentFetched = 1302 Content Information Detail { "hash": Hash, "size": Number, "moved": Number, "reused": Number }
    ContentFromPeers = 1303 Content Information Detail { "hash": Hash, "bytes": Number, "peers": Number }
    PeerRefused = 1304 Content Warning Detail { "device": Text, "hash": Hash, "reason": Text }
    UserBegan = 1400 Deployment Information Audit { "user": Text, "verb": Text, "name": Text, "deployment": Deployment }
    UserDeferred = 1401 Deployment Information Audit { "user": Text, "name": Text, "until": Text, "count": Number, "times": Number, "deployment": Deployment }
    ServicingStep = 1410 Deployment Information Detail { "step": Text }
    ServicingEnded = 1411 Deployment Information Milestone { "seconds": Number, "deployments": Number }
    ServicingFailed = 1412 Deployment Error Milestone { "reason": Text }
    ServicingInterrupted = 1413 Deployment Error Milestone { "step": Text }
    OverlayInstalled = 1414 Deployment Warning Detail { "deployment": Deployment }
    PointRefused = 1500 Transport Error Detail { "address": Text, "source": Text, "reason": Text }
    OutboxLost = 1501 Transport Warning Detail { "from": Number, "to": Text }
    OutboxFull = 1502 Transport Warning Detail { "count": Number }
}

impl Component {
    /// Every part.
    pub const ALL: &[Self] =
        &[Self::Agent, Self::Policy, Self::Inventory, Self::Content, Self::Deployment, Self::Transport];
}

impl StatusMessage {
    /// The message with what the catalogue says of it.
    ///
    /// # Errors
    /// A sentence: a value is not of its type.
    pub fn catalogued(self) -> Result<Self, String> {
        let entry = self.id.entry();
        for (name, of) in entry.values {
            if self.values.get(*name).is_some_and(|value| !of.takes(value)) {
                return Err(format!("The value {name} of {} is no {}.", self.id.as_str(), of.as_str()));
            }
        }
        Ok(Self { component: entry.component, severity: entry.severity, ..self })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::{BTreeMap, HashSet};

    #[test]
    fn every_message_has_a_number_of_its_own_and_the_values_of_its_sentence() {
        let numbers: HashSet<u16> = MessageId::ALL.iter().map(|id| id.entry().number).collect();
        assert_eq!(numbers.len(), MessageId::ALL.len());
        for id in MessageId::ALL {
            let named: Vec<&str> = id.sentence().split('{').skip(1).filter_map(|rest| rest.split('}').next()).collect();
            let known: Vec<&str> = id.entry().values.iter().map(|(name, _)| *name).collect();
            assert_eq!(named, known, "{}", id.as_str());
        }
    }

    #[test]
    fn the_catalogue_says_how_serious_a_message_is_and_refuses_values_of_another_type() {
        let message = |value: &str| StatusMessage {
            component: Component::Transport,
            id: MessageId::PolicyAccepted,
            severity: Severity::Error,
            values: BTreeMap::from([("version".to_owned(), value.to_owned())]),
        };
        let known = message("7").catalogued().unwrap();
        assert_eq!((known.component, known.severity), (Component::Policy, Severity::Information));
        assert!(message("7; rm -rf /").catalogued().unwrap_err().contains("no number"));
        assert!(message("").catalogued().is_err());
    }
}
