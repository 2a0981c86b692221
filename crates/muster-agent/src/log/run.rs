//! The log over time: its head is noted, told to the site, and the whole of it read again now and then.

use super::{Bounds, Entry, Noted, Standing};
use crate::{
    agent::Agent,
    clock::{random, spread},
    policy::Policy,
    store::outbox,
};
use muster_model::{
    limits::{LOG_PIECE_BYTES, LOG_PIECE_RECORDS},
    log::{LogAnchor, LogBreak, LogPiece, LogPoint, LogRequest, LogSeverity},
    report::{Body, Message},
    status::{Component, MessageId, Severity},
    time::UnixMillis,
};
use std::{sync::Arc, time::Duration};
use tokio::{sync::watch, time::Instant};

/// Under which the store keeps [`Noted`].
const NOTED: &str = "log_noted";
/// The head that the site was last told.
const ANCHORED: &str = "log_anchored";
/// When the log was last said to be altered.
const SAID: &str = "log_broken";
/// The last request of the site that was answered.
const ANSWERED: &str = "log_answered";
/// What was written is noted after so long: who alters it later is found out.
const GATHER: Duration = Duration::from_secs(5);
/// The site is told the head so often, where something was written. A hundred thousand clients are seven messages in a second.
const ANCHOR: Duration = Duration::from_secs(4 * 3_600);
/// When the site was last told by a status message that it is altered.
const SAID_STATUS: &str = "log_broken_status";
/// The whole log is read so often. It has 4 MB at most.
const LOOK: Duration = Duration::from_secs(3_600);
/// A log that could not be opened is tried again so often.
const OPEN: Duration = Duration::from_secs(300);

/// Keeps the log in step until the task is ended.
pub async fn run(agent: Arc<Agent>) {
    let mut look = Instant::now() + spread(LOOK, random());
    let mut anchor = Instant::now() + spread(ANCHOR, random());
    loop {
        if agent.log.standing() == Standing::Waiting {
            look = look.min(Instant::now() + OPEN);
        }
        tokio::select! {
            () = agent.log.wait_for_more() => {
                tokio::time::sleep(GATHER).await;
                agent.note_log();
            }
            () = tokio::time::sleep_until(look) => {
                look = Instant::now() + spread(LOOK, random());
                let looking = agent.clone();
                // Reading takes a moment.
                let _ = tokio::task::spawn_blocking(move || looking.look_at_log()).await;
            }
            () = tokio::time::sleep_until(anchor) => {
                anchor = Instant::now() + spread(ANCHOR, random());
                agent.anchor_log();
            }
        }
    }
}

/// Answers what the site wants of the log, as far as that is signed, until the task is ended.
pub async fn answer(agent: Arc<Agent>, mut policy: watch::Receiver<Option<Arc<Policy>>>) {
    loop {
        let wanted = policy.borrow_and_update().as_ref().and_then(|policy| policy.log_request().cloned());
        if let Some(wanted) = wanted {
            let answering = agent.clone();
            let _ = tokio::task::spawn_blocking(move || answering.answer_log(&wanted)).await;
        }
        if policy.changed().await.is_err() {
            return;
        }
    }
}

impl Agent {
    fn answer_log(&self, wanted: &LogRequest) {
        let id = wanted.id.to_string();
        if self.store.value(ANSWERED).ok().flatten().as_ref() == Some(&id) {
            return;
        }
        tracing::info!(request = id, "the site asked for a piece of the log");
        // It hangs together as far as it is read here; where somebody altered it, that is said first.
        self.look_at_log();
        let records = wanted.limit.min(LOG_PIECE_RECORDS) as usize;
        let (lines, anchor) = match self.log.tail(wanted.since, records, LOG_PIECE_BYTES) {
            Ok(Some(tail)) => tail,
            Ok(None) => return,
            Err(error) => return tracing::warn!(%error, "the log could not be read for the site"),
        };
        let body = Body::LogPiece(LogPiece { request: wanted.id, anchor, lines });
        let message = Message { time: self.clock.now(), body };
        if let Err(error) = self.store.push_change(ANSWERED, &id, &message) {
            tracing::warn!(%error, "a piece of the log could not be kept for the site");
        }
    }

    fn noted(&self) -> Option<Noted> {
        let text = self.store.value(NOTED).ok().flatten()?;
        serde_json::from_str(&text).ok()
    }

    /// Opens the log and tells the site where it stands. Without one the agent works as well; what it says waits in memory.
    pub fn open_log(&self) {
        self.look_at_log();
        self.say_of_log("log_opened", "the agent started, and its log goes on");
        self.anchor_log();
    }

    /// Writes a record that shows whether the disk takes one.
    pub(crate) fn say_looked(&self) {
        self.say_of_log("log_looked", "the client's checks looked at the log");
    }

    fn say_of_log(&self, id: &str, text: &str) {
        self.log.write(Entry {
            severity: LogSeverity::Information,
            component: "log".to_owned(),
            id: id.to_owned(),
            text: text.to_owned(),
            fields: [("version".to_owned(), env!("CARGO_PKG_VERSION").into())].into(),
            cut: false,
        });
    }

    /// Reads the whole log, and opens it where it is not open: the disk may have been full before.
    pub fn look_at_log(&self) {
        let noted = self.noted();
        let found = match self.log.standing() {
            Standing::Waiting => self.log.open(&self.directory, noted, Bounds::default()),
            Standing::Open(_) => self.log.look(&self.directory, noted.map_or(UnixMillis(0), |noted| noted.whole)),
        };
        // First that, then where it stands: after a kill in between it is found once more. And whatever else failed.
        let broken = found.as_ref().ok().cloned().flatten().or_else(|| self.log.unsaid());
        if let Some(broken) = broken
            && self.say_broken(&broken)
            && let Err(error) = self.log.said(&self.directory)
        {
            tracing::warn!(%error, "that the site was told of the altered log could not be kept; it is told once more");
        }
        match found {
            Ok(_) => drop(self.note(Some(self.clock.now()))),
            Err(error) => tracing::error!(%error, "the log in the state directory cannot be read; free some space"),
        }
    }

    /// Tells the site once that the log was altered. Whether all of it is told: where the log does not go on yet, there is no place to name.
    fn say_broken(&self, broken: &LogBreak) -> bool {
        let (fault, found) = (broken.fault.as_str(), broken.found.0.to_string());
        let is_said = |key| self.store.value(key).ok().flatten().as_ref() == Some(&found);
        if !is_said(SAID_STATUS) {
            tracing::error!(fault, sequence = broken.sequence, "the log was altered; the site is told");
            let (from, until, sequence) =
                (crate::clock::shown(broken.whole), crate::clock::shown(broken.found), broken.sequence.to_string());
            let values = [("from", from.as_str()), ("until", &until), ("fault", fault), ("sequence", &sequence)];
            let body = outbox::status(Component::Agent, Severity::Error, MessageId::LogAltered, &values);
            let message = Message { time: self.clock.now(), body };
            if let Err(error) = self.store.push_with([(SAID_STATUS, found.as_str())], &message) {
                tracing::error!(%error, "a status message could not be kept");
                return false;
            }
        }
        if is_said(SAID) {
            return true;
        }
        match self.log.sync() {
            Ok(Some(anchor)) if anchor.sequence > 0 => {
                self.tell(LogAnchor { broken: Some(broken.clone()), ..anchor }, Some(&found))
            }
            _ => false,
        }
    }

    /// Notes in the store where the log stands, after it is on the disk.
    pub fn note_log(&self) {
        self.note(None);
    }

    /// Where it stands, if that is on the disk and noted.
    fn note(&self, whole: Option<UnixMillis>) -> Option<LogAnchor> {
        let at = match self.log.sync() {
            Ok(at) => at?,
            Err(error) => {
                tracing::warn!(%error, "the log could not be brought to the disk");
                return None;
            }
        };
        let before = self.noted();
        let is_new = before.is_none_or(|before| before.sequence != at.sequence || before.head != at.head);
        if !is_new && whole.is_none() {
            return Some(at);
        }
        let whole = whole.or(before.map(|before| before.whole)).unwrap_or(UnixMillis(0));
        let noted = Noted { sequence: at.sequence, head: at.head, whole };
        let text = serde_json::to_string(&noted).unwrap_or_default();
        if let Err(error) = self.store.set_value(NOTED, &text) {
            tracing::warn!(%error, "where the log stands could not be kept");
            return None;
        }
        Some(at)
    }

    /// Tells the site where the log stands on the disk, if that is new. What was said meanwhile is told the next time.
    pub fn anchor_log(&self) {
        let Some(anchor) = self.note(None).filter(|anchor| anchor.sequence > 0) else { return };
        if self.anchored() != Some(LogPoint { sequence: anchor.sequence, head: anchor.head }) {
            self.tell(anchor, None);
        }
    }

    /// What the site was told last.
    fn anchored(&self) -> Option<LogPoint> {
        self.store.value(ANCHORED).ok().flatten().and_then(|text| serde_json::from_str(&text).ok())
    }

    /// Tells where the log stands, and after what: each is remembered with the message, so that the next one follows it. Whether it is kept.
    fn tell(&self, anchor: LogAnchor, broken: Option<&str>) -> bool {
        let at = LogPoint { sequence: anchor.sequence, head: anchor.head };
        let text = serde_json::to_string(&at).unwrap_or_default();
        let anchor = LogAnchor { after: self.anchored(), ..anchor };
        let message = Message { time: self.clock.now(), body: Body::Log(anchor) };
        let values = std::iter::once((ANCHORED, text.as_str())).chain(broken.map(|found| (SAID, found)));
        let kept = self.store.push_with(values, &message);
        if let Err(error) = &kept {
            tracing::warn!(%error, "where the log stands could not be kept for the site");
        }
        kept.is_ok()
    }
}
