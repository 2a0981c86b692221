//! The log over time: its head is noted, told to the site, and the whole of it read again now and then.

use super::{Bounds, Entry, Noted};
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
/// The whole log is read so often. It has 4 MB at most.
const LOOK: Duration = Duration::from_secs(3_600);

/// Keeps the log in step until the task is ended.
pub async fn run(agent: Arc<Agent>) {
    let mut look = Instant::now() + spread(LOOK, random());
    let mut anchor = Instant::now() + spread(ANCHOR, random());
    loop {
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
        let opened = self.log.open(&self.directory, self.noted(), Bounds::default());
        self.looked(opened);
        let fields = [("version".to_owned(), env!("CARGO_PKG_VERSION").into())].into();
        self.log.write(Entry {
            severity: LogSeverity::Information,
            component: "log".to_owned(),
            id: "log_opened".to_owned(),
            text: "the agent started, and its log goes on".to_owned(),
            fields,
            cut: false,
        });
        self.anchor_log();
    }

    /// Reads the whole log.
    pub fn look_at_log(&self) {
        let whole = self.noted().map_or(UnixMillis(0), |noted| noted.whole);
        let found = self.log.look(&self.directory, whole);
        self.looked(found);
    }

    fn looked(&self, found: std::io::Result<Option<LogBreak>>) {
        match found {
            Ok(broken) => {
                // First that, then where it stands: after a kill in between it is found once more.
                if let Some(broken) = broken {
                    self.say_broken(&broken);
                }
                self.note(Some(self.clock.now()));
            }
            Err(error) => tracing::error!(%error, "the log in the state directory cannot be read; free some space"),
        }
    }

    fn say_broken(&self, broken: &LogBreak) {
        let fault = broken.fault.as_str();
        tracing::error!(fault, sequence = broken.sequence, "the log was altered; the site is told");
        let Some(anchor) = self.log.anchor() else { return };
        let (now, found) = (self.clock.now(), broken.found.0.to_string());
        if self.store.value(SAID).ok().flatten().as_ref() == Some(&found) {
            return;
        }
        self.tell(LogAnchor { broken: Some(broken.clone()), ..anchor }, Some(&found));
        let (from, until, sequence) =
            (crate::clock::shown(broken.whole), crate::clock::shown(broken.found), broken.sequence.to_string());
        let values = [("from", from.as_str()), ("until", &until), ("fault", fault), ("sequence", &sequence)];
        let body = outbox::status(Component::Agent, Severity::Error, MessageId::LogAltered, &values);
        if let Err(error) = self.store.push(&Message { time: now, body }) {
            tracing::error!(%error, "a status message could not be kept");
        }
    }

    /// Notes in the store where the log stands, after it is on the disk.
    pub fn note_log(&self) {
        self.note(None);
    }

    fn note(&self, whole: Option<UnixMillis>) {
        let at = match self.log.sync() {
            Ok(Some(at)) => at,
            Ok(None) => return,
            Err(error) => return tracing::warn!(%error, "the log could not be brought to the disk"),
        };
        let before = self.noted();
        let is_new = before.is_none_or(|before| before.sequence != at.sequence || before.head != at.head);
        if !is_new && whole.is_none() {
            return;
        }
        let whole = whole.or(before.map(|before| before.whole)).unwrap_or(UnixMillis(0));
        let noted = Noted { sequence: at.sequence, head: at.head, whole };
        let text = serde_json::to_string(&noted).unwrap_or_default();
        if let Err(error) = self.store.set_value(NOTED, &text) {
            tracing::warn!(%error, "where the log stands could not be kept");
        }
    }

    /// Tells the site where the log stands, if that is new.
    pub fn anchor_log(&self) {
        self.note_log();
        let Some(anchor) = self.log.anchor() else { return };
        if self.anchored() != Some(LogPoint { sequence: anchor.sequence, head: anchor.head }) {
            self.tell(anchor, None);
        }
    }

    /// What the site was told last.
    fn anchored(&self) -> Option<LogPoint> {
        self.store.value(ANCHORED).ok().flatten().and_then(|text| serde_json::from_str(&text).ok())
    }

    /// Tells where the log stands, and after what: each is remembered with the message, so that the next one follows it.
    fn tell(&self, anchor: LogAnchor, broken: Option<&str>) {
        let at = LogPoint { sequence: anchor.sequence, head: anchor.head };
        let text = serde_json::to_string(&at).unwrap_or_default();
        let anchor = LogAnchor { after: self.anchored(), ..anchor };
        let message = Message { time: self.clock.now(), body: Body::Log(anchor) };
        let values = std::iter::once((ANCHORED, text.as_str())).chain(broken.map(|found| (SAID, found)));
        if let Err(error) = self.store.push_with(values, &message) {
            tracing::warn!(%error, "where the log stands could not be kept for the site");
        }
    }
}
