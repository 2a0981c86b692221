//! The parts of a running agent in one place, and the few things that all of them do: report, and keep the floor of time.

use crate::{
    apply::facts::Inventories,
    clock::Clock,
    collect::Collector,
    content::{Turn, peer::Peers, rate::Rate},
    identity::{self, Identity, Stage},
    log::Log,
    os::{DirectoryError, PrivateDirectory},
    restart::Restarts,
    site::{Site, SiteError},
    store::{Store, StoreError, outbox, restarts::RestartPending},
    window_time::{Believed, WindowTime},
};
use muster_model::{
    id::Hash,
    limits::Limits,
    policy::Recipient,
    report::Message,
    status::{Component, MessageId, Severity},
    time::{MINUTE, UnixMillis},
};
use std::{
    collections::BTreeMap,
    io,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Instant,
};
use tokio::sync::Notify;

/// The highest time that the site signed for this client, and the highest version of its policy by each key that signed one.
pub(crate) const FLOOR: &str = "time_floor";
const VERSIONS: &str = "policy_versions";
/// The version of the policy that the site was told is in force.
const SAID: &str = "policy_said";
/// The highest time by which a maintenance window was opened or kept closed.
const USED: &str = "time_used";

/// Why the agent does not start. Each sentence says what to do.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// The state directory.
    #[error(transparent)]
    Directory(#[from] DirectoryError),
    /// What is in it.
    #[error(transparent)]
    Identity(#[from] identity::IdentityError),
    /// The database.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The site.
    #[error(transparent)]
    Site(#[from] SiteError),
    /// Nobody told this client whom to believe.
    #[error(
        "this client has no pinned site and does not start without one; make a token with `muster token create`, then run `muster-agent enrol --token FILE`"
    )]
    NotPinned,
    /// Another agent runs.
    #[error("another muster-agent runs with the state directory {0}; stop it first")]
    Running(std::path::PathBuf),
    /// It knows its site and has not asked it.
    #[error(
        "this client is assigned to site {0} and has not asked it; run `muster-agent enrol --token FILE` with a token of that site"
    )]
    Assigned(muster_model::id::SiteCode),
    /// A reset that had begun could not be ended.
    #[error(transparent)]
    Reset(#[from] crate::reset::RemoveError),
    /// The trust bundle is missing.
    #[error("trust-bundle.cose is missing from the state directory; restore it, or enrol again with a new token")]
    NoBundle,
    /// The system refused.
    #[error("{0}")]
    Io(#[from] io::Error),
}

/// A running agent.
#[derive(Debug)]
pub struct Agent {
    /// The time.
    pub clock: Clock,
    /// Limits of what comes from outside.
    pub limits: Limits,
    /// The state directory.
    pub directory: PrivateDirectory,
    /// Policy in force.
    pub policies: PrivateDirectory,
    /// Content by hash.
    pub cache: PrivateDirectory,
    /// Whose turn it is to fetch content, and how fast it may come.
    pub turn: Turn,
    /// See [`Self::turn`].
    pub rate: Rate,
    /// Clients of the subnet, which have content too.
    pub peers: Peers,
    /// Directories of installations.
    pub runs: PrivateDirectory,
    /// Keys to which secrets are sealed.
    pub sealing: PrivateDirectory,
    /// The site.
    pub site: Site,
    /// The outbox and what else is kept.
    pub store: Store,
    /// What the agent says, for whoever looks into it later.
    pub log: Log,
    /// Takes the inventory.
    pub collector: Collector,
    /// Told when the inventory is wanted again at once.
    pub inventory_wanted: Notify,
    /// Told when deployments are to be looked at again: a user wants something, or the inventory was taken.
    pub(crate) look_again: Notify,
    pub(crate) facts: Inventories,
    /// The restart that comes, and what users answered.
    pub(crate) restarts: Restarts,
    /// Told when the site has to be asked what time it is.
    pub(crate) time_wanted: Notify,
    pub(crate) window_time: WindowTime,
    /// Software updates.
    pub(crate) updates: crate::updates::State,
    /// Whether a look into files, for a baseline, waits for a file system that does not answer.
    pub(crate) comply_hangs: Arc<AtomicBool>,
    /// What the checks of the client share with its parts.
    pub health: crate::health::State,
    clock_is_wrong: AtomicBool,
}

impl Agent {
    /// Puts the parts together, from a state directory whose enrolment is active.
    ///
    /// # Errors
    /// See [`StartError`].
    pub fn open(directory: PrivateDirectory, clock: Clock, collector: Collector) -> Result<Self, StartError> {
        let identity = Identity::load(&directory)?.ok_or(StartError::NotPinned)?;
        let trust = identity::load_trust(&directory, &identity)?.ok_or(StartError::NoBundle)?;
        let key = identity::device_key(&directory)?;
        let expected = matches!(identity.stage, Stage::Active { .. });
        let store = Store::open(&directory, expected)?;
        let agent = Self {
            limits: Limits::default(),
            policies: directory.directory("policy")?,
            cache: directory.directory("content")?,
            turn: Turn::default(),
            rate: Rate::default(),
            peers: Peers::default(),
            runs: directory.directory("run")?,
            sealing: directory.directory("sealing")?,
            site: Site::new(clock.clone(), key, identity, trust, identity::load_statuses(&directory))?,
            directory,
            log: Log::new(clock.clone()),
            clock,
            store,
            collector,
            inventory_wanted: Notify::new(),
            look_again: Notify::new(),
            facts: Inventories::default(),
            restarts: Restarts::default(),
            time_wanted: Notify::new(),
            window_time: WindowTime::default(),
            comply_hangs: Arc::default(),
            updates: crate::updates::State::default(),
            health: crate::health::State::default(),
            clock_is_wrong: AtomicBool::new(false),
        };
        agent.site.time.raise(agent.floor());
        Ok(agent)
    }

    /// Who the client is to its site.
    ///
    /// # Errors
    /// When it is not active.
    pub fn recipient(&self) -> Result<Recipient, SiteError> {
        self.site.device().map(Recipient::Device)
    }

    /// Names this run of the system: another one begins with each restart.
    #[must_use]
    pub fn boot(&self) -> String {
        self.collector.boot().unwrap_or_default()
    }

    /// What needs a restart of this machine; empty: nothing does.
    ///
    /// # Errors
    /// See [`StoreError`].
    pub fn restart_pending(&self) -> Result<Vec<RestartPending>, StoreError> {
        self.store.restart_pending(&self.boot())
    }

    /// Reports that something happened. What cannot be kept is said in the log.
    pub fn report(&self, component: Component, severity: Severity, id: MessageId, values: &[(&str, &str)]) {
        let body = outbox::status(component, severity, id, values);
        if let Err(error) = self.store.push(&Message { time: self.clock.now(), body }) {
            tracing::error!(message = id.as_str(), %error, "a status message could not be kept");
        }
    }

    /// Says which version of the policy is in force, once for each: also where a kill came between keeping it and saying so.
    pub(crate) fn report_policy(&self, version: u64) {
        let text = version.to_string();
        let (component, id) = (Component::Policy, MessageId::PolicyAccepted);
        let body = outbox::status(component, Severity::Information, id, &[("version", &text)]);
        let message = Message { time: self.clock.now(), body };
        if let Err(error) = self.store.push_change(SAID, &text, &message) {
            tracing::error!(message = id.as_str(), %error, "a status message could not be kept");
        }
    }

    fn number<T: std::str::FromStr>(&self, key: &str) -> Option<T> {
        self.store.value(key).ok().flatten().and_then(|text| text.parse().ok())
    }

    /// It is at least this late.
    #[must_use]
    pub fn floor(&self) -> UnixMillis {
        UnixMillis(self.number(FLOOR).unwrap_or(0))
    }

    fn versions(&self) -> BTreeMap<Hash, u64> {
        let kept = self.store.value(VERSIONS).ok().flatten();
        kept.and_then(|text| serde_json::from_str(&text).ok()).unwrap_or_default()
    }

    /// No policy of a lower version is taken. What a key signed that is believed no longer does not count: a thief may have
    /// signed the highest number there is, so that nothing of the site could ever follow.
    #[must_use]
    pub fn least_version(&self) -> u64 {
        let trust = self.site.trust();
        let believed = self.versions().into_iter().filter(|(key, _)| trust.bundle().policy_key(key).is_some());
        believed.map(|(_, version)| version).max().unwrap_or(0)
    }

    /// A policy of this version, by this key, is in force.
    pub fn raise_version(&self, key: Hash, to: u64) {
        let mut versions = self.versions();
        if versions.get(&key).is_some_and(|before| *before >= to) {
            return;
        }
        versions.insert(key, to);
        let text = serde_json::to_string(&versions).unwrap_or_default();
        if let Err(error) = self.store.set_value(VERSIONS, &text) {
            tracing::warn!(%error, "the version of the policy could not be kept");
        }
    }

    /// The site signed something at this time.
    pub fn raise_floor(&self, to: UnixMillis) {
        self.site.time.raise(to);
        if to > self.floor()
            && let Err(error) = self.store.set_value(FLOOR, &to.0.to_string())
        {
            tracing::warn!(%error, "the floor of time could not be kept");
        }
    }

    /// The time by which maintenance windows are opened. `None`: this machine's clock is not to be believed now.
    pub(crate) fn window_time(&self) -> Option<UnixMillis> {
        let used = UnixMillis(self.number(USED).unwrap_or(0));
        match self.window_time.believed(Instant::now(), self.clock.now(), used, self.floor()) {
            Believed::Time(now) => {
                // Kept before anything begins by it. Minutes are enough: so much it may go back and is believed.
                if now.since(used) > MINUTE || now < used {
                    self.store.set_value(USED, &now.0.to_string()).ok()?;
                }
                Some(now)
            }
            Believed::Wrong => None,
            Believed::Unknown => {
                self.time_wanted.notify_one();
                None
            }
        }
    }

    /// Whether the clock is known to be wrong.
    pub(crate) fn clock_is_wrong(&self) -> bool {
        self.clock_is_wrong.load(Ordering::Relaxed)
    }

    /// Compares the client's time with a better one. Reports once when it becomes wrong, and says when it is right again.
    pub fn compare_clock(&self, difference_seconds: Option<i64>) {
        if let Some(seconds) = difference_seconds {
            self.window_time.compared(Instant::now(), self.clock.now(), seconds);
        }
        match difference_seconds.filter(|seconds| seconds.abs() > 600) {
            Some(seconds) if !self.clock_is_wrong.swap(true, Ordering::Relaxed) => {
                tracing::error!(
                    seconds,
                    "the clock of this machine is wrong; set it, the agent goes on by itself then"
                );
                let text = seconds.to_string();
                self.report(Component::Agent, Severity::Warning, MessageId::ClockWrong, &[("seconds", &text)]);
            }
            Some(_) => {}
            None => {
                if self.clock_is_wrong.swap(false, Ordering::Relaxed) {
                    tracing::info!("the clock of this machine is right again");
                }
            }
        }
    }
}
