//! What users of this machine are shown of a restart, and what they may answer.
//!
//! Everybody on the machine may see it. Root, and whoever has a session, may put it away until the countdown, or want it now.

use crate::{
    agent::Agent,
    apply::software::Declined,
    os::{account, own_user},
};
use muster_model::{
    restart::Decision,
    status::{Component, MessageId, Severity, WaitReason},
    time::{SECOND, UnixMillis},
};
use serde::{Deserialize, Serialize};
use std::time::{Duration, Instant};

/// Where a restart stands, for users.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Stage {
    /// None comes.
    #[default]
    None,
    /// It is counted down from a moment on that is known.
    Notice,
    /// It waits for a window.
    Waits,
    /// It is counted down.
    Countdown,
    /// The system goes down.
    Underway,
    /// It did not come about.
    Failed,
}

/// What users are shown.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Notice {
    /// Where it stands.
    pub stage: Stage,
    /// What needs a restart, also where none comes by itself; empty: nothing.
    pub reasons: String,
    /// With `notice` and `countdown`: when it comes. With `waits`: when it may, where that is known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub at: Option<UnixMillis>,
    /// With `waits`: for what.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub waits: Option<WaitReason>,
    /// With `countdown`: seconds that are left.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub left: Option<i64>,
    /// It was put away, and is not to be shown by itself now.
    #[serde(default)]
    pub put_away: bool,
    /// For how many minutes it can be put away.
    #[serde(default)]
    pub snooze_minutes: u32,
}

impl Notice {
    pub(super) fn of(decision: Decision, reasons: String, now: UnixMillis, countdown: i64) -> Self {
        let empty = Self { reasons, ..Self::default() };
        match decision {
            Decision::Nothing | Decision::Forbidden => empty,
            Decision::Notice { countdown: from } => {
                Self { stage: Stage::Notice, at: Some(from.plus(countdown)), ..empty }
            }
            Decision::Waits { reason, opens } => Self { stage: Stage::Waits, waits: Some(reason), at: opens, ..empty },
            Decision::Countdown { left } => {
                Self { stage: Stage::Countdown, at: Some(now.plus(left)), left: Some(left / SECOND), ..empty }
            }
            Decision::Restart | Decision::Underway => Self { stage: Stage::Underway, ..empty },
            Decision::Unprovable | Decision::GivenUp => Self { stage: Stage::Failed, ..empty },
        }
    }
}

/// What a user is shown now.
pub(crate) fn show(agent: &Agent) -> Notice {
    let face = agent.restarts.face();
    let put_away = face.put_away.is_some_and(|until| Instant::now() < until) && face.notice.stage != Stage::Countdown;
    Notice { put_away, ..face.notice.clone() }
}

fn may(agent: &Agent, user: u32) -> bool {
    user == 0 || user == own_user() || agent.collector.has_session(user)
}

/// Puts the notice away for as long as the settings say.
pub(crate) fn snooze(agent: &Agent, user: u32) -> Result<(), Declined> {
    if !may(agent, user) {
        return Err(Declined::NoSession);
    }
    {
        let mut face = agent.restarts.face();
        match face.notice.stage {
            Stage::Notice | Stage::Waits => {}
            Stage::None => return Err(Declined::NoRestart),
            Stage::Countdown | Stage::Underway | Stage::Failed => return Err(Declined::TooLate),
        }
        face.put_away = Some(Instant::now() + Duration::from_secs(u64::from(face.notice.snooze_minutes) * 60));
    }
    told(agent, user, "later");
    Ok(())
}

/// Has the machine restarted now. Who came from afar does not end the work of others: for them the countdown holds.
pub(crate) fn restart_now(agent: &Agent, user: u32) -> Result<(), Declined> {
    let is_ours = user == 0 || user == own_user();
    if !may(agent, user) || !(is_ours || agent.collector.may_end_all(user)) {
        return Err(Declined::NoSession);
    }
    {
        let mut face = agent.restarts.face();
        match face.notice.stage {
            Stage::Notice | Stage::Waits | Stage::Countdown => {}
            Stage::None => return Err(Declined::NoRestart),
            Stage::Underway | Stage::Failed => return Err(Declined::TooLate),
        }
        face.wanted = true;
    }
    told(agent, user, "now");
    agent.restarts.answered.notify_one();
    Ok(())
}

fn told(agent: &Agent, user: u32, answer: &str) {
    let values = [("user", account::described(user)), ("answer", answer.to_owned())];
    let values = values.each_ref().map(|(name, value)| (*name, value.as_str()));
    agent.report(Component::Agent, Severity::Information, MessageId::RestartAnswered, &values);
}
