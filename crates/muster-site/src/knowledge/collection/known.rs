//! Rules, members and the index as a process knows them, and as of when.

use super::{
    evaluate::only_clients,
    graph::{Changes, Graph, Members, Piece, Query, Round, Scope},
    index::{self, Answer, Figures, Index, Needs, Plan},
    load::{self, Stored},
    query,
};
use crate::{Site, SiteError};
use muster_model::{
    api::Collection,
    id::CollectionId,
    schedule::{Recurrence, ScheduleToken},
    time::{HOUR, UnixMillis},
    wql::date::Clock,
};
use muster_store::{
    Connection,
    db::{collection_member::Version, device_change},
};
use roaring::RoaringBitmap;
use std::{
    collections::{BTreeMap, BTreeSet, HashMap},
    sync::{Arc, Mutex as Shared, PoisonError},
};
use tokio::sync::Mutex;

/// So many evaluations of others the index may be behind before it follows without being needed.
const NEAR: i64 = 60;

/// What this process knows. Held by whoever evaluates.
#[derive(Debug, Default)]
pub(crate) struct Known(pub(super) Mutex<Option<State>>);

impl Known {
    /// Gives the memory back: another process evaluates.
    pub(super) async fn forget(&self) {
        *self.0.lock().await = None;
    }
}

/// What the index was like when it was last used.
#[derive(Debug, Default)]
pub(crate) struct Noted(Shared<Figures>);

impl Noted {
    #[expect(clippy::cast_precision_loss, reason = "a gauge is a float; these numbers stay far below 2^52")]
    pub(super) fn note(&self, figures: Figures) {
        metrics::gauge!("muster_collection_index_bytes").set(figures.bytes as f64);
        metrics::gauge!("muster_collection_index_devices").set(figures.devices as f64);
        metrics::gauge!("muster_collection_rules", "answered_by" => "index").set(figures.by_index as f64);
        metrics::gauge!("muster_collection_rules", "answered_by" => "sql").set(figures.by_sql as f64);
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = figures;
    }

    /// The figures.
    pub(crate) fn get(&self) -> Figures {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

#[derive(Debug)]
pub(super) struct State {
    version: Version,
    /// The classes that rules were read with.
    classes: u64,
    pub(super) graph: Arc<Graph>,
    pub(super) members: Members,
    pub(super) schedules: HashMap<CollectionId, Vec<ScheduleToken>>,
    index: Index,
    /// The evaluation up to which the index has what changed.
    as_of: i64,
    /// By rule: what its query means for the index, or why it is asked of the database.
    plans: Arc<BTreeMap<i64, Result<Plan, String>>>,
    /// What the plans need of the index.
    needs: Needs,
    /// The classes that rules ask about.
    asked: BTreeSet<String>,
    /// By rule: what is to be computed.
    answers: Arc<BTreeMap<i64, Result<Answer, String>>>,
    bytes: u64,
}

/// A piece of which the index answered what it can.
#[derive(Debug)]
pub(super) struct Begun {
    pub(super) piece: Piece,
    /// What the database is to be asked.
    pub(super) queries: Vec<Query>,
    /// Whom the index found.
    pub(super) found: RoaringBitmap,
    /// Whether the database is to be asked for who is known to the site: of users the index has none.
    pub(super) known: bool,
    /// How many milliseconds that took.
    pub(super) took: u64,
}

/// Rules are asked in UTC, as schedules are kept: one meaning on every server of a site, and no day with 23 hours.
pub(super) const fn clock(now: UnixMillis) -> Clock {
    Clock { now, offset_minutes: 0 }
}

impl State {
    /// Rules and members of that version: what is remembered, or what is stored.
    pub(super) async fn current(
        site: &Site,
        conn: &mut Connection,
        version: Version,
        known: Option<Self>,
    ) -> Result<Self, SiteError> {
        let Some(mut state) = known else {
            let members = load::members(conn).await?;
            let mut state = Self {
                version,
                classes: 0,
                graph: Arc::default(),
                members,
                schedules: HashMap::new(),
                index: Index::default(),
                as_of: version.members,
                plans: Arc::default(),
                needs: Needs::new(),
                asked: BTreeSet::new(),
                answers: Arc::default(),
                bytes: 0,
            };
            state.read(site, conn).await?;
            return Ok(state);
        };
        if state.version.members != version.members {
            state.members = load::members(conn).await?;
        }
        if state.version.rules != version.rules || state.classes != site.catalogue.load().revision() {
            state.read(site, conn).await?;
        }
        state.version = version;
        Ok(state)
    }

    async fn read(&mut self, site: &Site, conn: &mut Connection) -> Result<(), SiteError> {
        // Before the rules, so that they are read again when a class changes meanwhile.
        self.classes = site.catalogue.load().revision();
        let stored = Stored::read(conn).await?;
        let graph = Graph::new(stored.nodes(site)?)
            .map_err(|circle| SiteError::Fault(format!("collections depend on each other in a circle: {circle:?}")))?;
        let queries = graph.nodes.values().flat_map(|node| &node.queries);
        self.plans = Arc::new(queries.map(|query| (query.rule, query::planned(site, &query.text))).collect());
        self.needs = index::needs(self.plans.values().filter_map(|plan| plan.as_ref().ok()));
        self.asked = load::asked(graph.nodes.values());
        let by_time =
            |id: &CollectionId| graph.nodes.get(id).is_some_and(|node| node.queries.iter().any(|query| query.by_time));
        let schedule = |row: &Collection| (row.id, tokens(row, by_time(&row.id)));
        self.schedules = stored.collections.values().map(schedule).collect();
        self.graph = Arc::new(graph);
        self.answers = Arc::default();
        Ok(())
    }

    /// Brings the index to this version.
    pub(super) async fn follow(
        mut self,
        site: &Site,
        conn: &mut Connection,
        changes: &Changes,
        now: UnixMillis,
    ) -> Result<Self, SiteError> {
        let mut changed: BTreeMap<String, RoaringBitmap> = changes.devices.clone();
        if self.index.is_filled() && self.as_of != self.version.members {
            // Others evaluated: what they dealt with changed here too.
            match device_change::since(conn, self.as_of, self.version.members).await? {
                Some(listed) => {
                    for change in listed {
                        let device = load::number(change.resource_id)?;
                        for class in change.classes {
                            changed.entry(class).or_default().insert(device);
                        }
                    }
                }
                None => self.index = Index::default(),
            }
        }
        let new = !self.index.is_filled() || self.answers.len() != self.plans.len();
        let plans = Arc::clone(&self.plans);
        let filled = index::follow(site, conn, &mut self.index, &self.needs, &changed, clock(now)).await?;
        self.as_of = self.version.members;
        if filled || new {
            let mut index = self.index;
            let work = tokio::task::spawn_blocking(move || {
                let answer = |plan: &Result<Plan, String>, index: &mut Index| match plan {
                    Ok(plan) => index.answer(plan, clock(now)),
                    Err(reason) => Err(reason.clone()),
                };
                let answers: BTreeMap<i64, _> =
                    plans.iter().map(|(rule, plan)| (*rule, answer(plan, &mut index))).collect();
                index.asked_for(answers.values().filter_map(|answer| answer.as_ref().ok()));
                let bytes = index.bytes() as u64;
                (index, answers, bytes)
            });
            let done =
                work.await.map_err(|error| SiteError::Fault(format!("the index could not be asked: {error}")))?;
            self.index = done.0;
            self.answers = Arc::new(done.1);
            self.bytes = done.2;
        }
        Ok(self)
    }

    /// Whether what is known of that version is not far from it.
    pub(super) fn is_near(&self, version: Version) -> bool {
        self.version.rules == version.rules && version.members - self.as_of < NEAR
    }

    /// After what came of it was written.
    pub(super) fn written(&mut self) {
        self.version.members += 1;
        // What changed is in the index already.
        self.as_of = self.version.members;
    }

    /// What the index is like.
    pub(super) fn figures(&self) -> Figures {
        let because = self.answers.iter().filter_map(|(rule, answer)| Some((*rule, answer.as_ref().err()?.clone())));
        let because: BTreeMap<i64, String> = because.collect();
        let by_sql = because.len() as u64;
        Figures {
            devices: self.index.devices(),
            bytes: self.bytes,
            as_of: self.as_of,
            by_index: self.answers.len() as u64 - by_sql,
            by_sql,
            because,
        }
    }

    /// The classes that rules ask about.
    pub(super) fn asked(&self) -> &BTreeSet<String> {
        &self.asked
    }

    /// Whether the index answers the query of a rule.
    pub(super) fn by_index(&self, rule: i64) -> bool {
        self.answers.get(&rule).is_some_and(Result::is_ok)
    }

    /// What the index says, and what is left to ask.
    pub(super) fn begin(&self, round: &Round<'_>, piece: Piece, now: UnixMillis) -> Begun {
        let mut begun = Begun { queries: Vec::new(), found: RoaringBitmap::new(), known: false, took: 0, piece };
        let Some(node) = self.graph.nodes.get(&begun.piece.collection).filter(|_| begun.piece.asks()) else {
            return begun;
        };
        let scope = match &begun.piece.ask {
            Scope::All => None,
            Scope::Only(only) => Some(only),
        };
        match only_clients(begun.piece.collection).filter(|_| node.built_in) {
            Some(clients) => begun.found |= self.index.systems(scope, clients),
            None => begun.known = node.built_in,
        }
        for query in &node.queries {
            match self.answers.get(&query.rule) {
                Some(Ok(answer)) => {
                    begun.found |= self.index.members(answer, scope, &|id| round.current(id), clock(now));
                }
                _ => begun.queries.push(query.clone()),
            }
        }
        begun
    }
}

/// The schedule of a collection. The two roots are evaluated every day at four, and so is a collection that follows changes, has no
/// schedule of its own, and asks for what time alone changes.
fn tokens(row: &Collection, by_time: bool) -> Vec<ScheduleToken> {
    let is_root = row.id == CollectionId::ALL_SYSTEMS || row.id == CollectionId::ALL_USERS;
    if is_root || (by_time && row.incremental && row.schedule.is_empty()) {
        let every = Recurrence::Interval { days: 1, hours: 0, minutes: 0 };
        return vec![ScheduleToken { start: UnixMillis(4 * HOUR), every }];
    }
    row.schedule.clone()
}
