//! What a site keeps in memory beside its store: registries and caches. Losing all of it costs time, never truth.

use crate::{
    delivery::{ahead::Raised, content::Contents, kept::Kept, phase::Figures, policy::Assignments},
    identity::{
        attestation::Recorded,
        connection::{Confirmed, Seen, Verdicts},
        issuer::Issuers,
        limiter::Limiter,
        revocation::{Lists, Revoked},
        sign::SignMemory,
    },
    knowledge::{
        collection::known::{Known, Noted},
        inventory::interner::Interner,
        title::TitleWork,
    },
    truth::{
        budget::Budgets, dashboard::Last, online::Online, report::queue::Queue, rule_run::Rules, spread::LastSpread,
        status_action::Targets,
    },
};
use muster_model::api::{DeploymentRival, Forecast};
use std::sync::{
    Arc,
    atomic::{AtomicBool, AtomicI64},
};
use tokio::sync::Notify;

/// The memory of one process. Made with [`Default`]; filled as the site works.
#[derive(Debug, Default)]
pub struct Memory {
    /// How far the work on software titles is.
    pub(crate) titles: tokio::sync::Mutex<TitleWork>,
    /// Devices with a live channel.
    pub online: Online,
    /// How often who failed to sign in.
    pub limiter: Limiter,
    /// How often which token's refused attestations were recorded, by their reason.
    pub recorded: Recorded,
    /// How often which device moved its policy's version on.
    pub raised: Raised,
    /// Which devices may talk.
    pub verdicts: Arc<Verdicts>,
    /// Certificates that are revoked.
    pub revoked: Arc<Revoked>,
    /// When the status of the server's own certificate was last signed (milliseconds); 0: this process serves nobody.
    pub(crate) server_proven: AtomicI64,
    /// CAs of the enterprise whose certificates count, and their revocation lists.
    pub issuers: Arc<Issuers>,
    /// Signed revocation lists.
    pub(crate) lists: Lists,
    /// Last contacts that are not written yet.
    pub seen: Seen,
    /// Signs of life that are not written yet.
    pub(crate) signs: SignMemory,
    /// Which devices said which version of their policy they have, as far as it is not written yet.
    pub confirmed: Confirmed,
    /// Somebody asked for maintenance.
    pub(crate) maintenance: AtomicBool,
    /// Tells the background worker of this process that there is work.
    pub work: Notify,
    /// Which application names which content, as devices asked for it.
    pub(crate) contents: Contents,
    /// Tells the work on content that a file came.
    pub(crate) content: Notify,
    /// Assignments in force, as devices asked for them.
    pub(crate) assignments: Assignments,
    /// Classes were added: what waits for them is to be taken in.
    pub(crate) classes_changed: AtomicBool,
    /// Inventory rows that are stored.
    pub(crate) interner: Arc<Interner>,
    /// Rules and members of collections.
    pub(crate) collections: Known,
    /// What each device may still ask.
    pub(crate) budgets: Budgets,
    /// What the index of rules was like when it was last used.
    pub(crate) index: Noted,
    /// Reports that wait to be committed.
    pub(crate) reports: Queue,
    /// Forecasts of deployments to many devices.
    pub(crate) forecasts: Kept<Forecast>,
    /// How the devices of deployments to many stand.
    pub(crate) standings: Kept<Figures>,
    /// What contradicts deployments to many devices.
    pub(crate) rivals: Kept<Vec<DeploymentRival>>,
    /// How many devices of their targets deployments to many do not get to.
    pub(crate) left_out: Kept<u64>,
    /// The last dashboard.
    pub(crate) dashboard: Last,
    /// Status filter rules, as they were when messages were last stored.
    pub(crate) rules: Rules,
    /// The targets that this machine knows.
    pub(crate) targets: Targets,
    /// Tells what sends that there is something to send.
    pub send: Arc<Notify>,
    /// The last counts of models and software.
    pub(crate) spread: LastSpread,
}
