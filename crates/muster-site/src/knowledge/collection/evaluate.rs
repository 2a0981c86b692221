//! Evaluation: what has to be looked at, from the durable list of what changed, and what came of it in one transaction.
//!
//! It is computed outside of that transaction, from the rules and members as they were at one point, so that reports need not wait.
//! Who changes rules or members meanwhile makes it worth nothing, and it is begun again. A device that changes meanwhile has a
//! later entry in the list, and comes next.

use super::{
    graph::{Changes, Piece, Query, Round, Scope},
    known::{Begun, State},
    load, query,
};
use crate::{Site, SiteError};
use futures_util::{StreamExt, stream};
use muster_model::{
    api::ResourceKind,
    id::CollectionId,
    limits, schedule,
    time::{MINUTE, UnixMillis},
};
use muster_store::{
    Connection,
    bus::{Notice, Noun},
    db::{
        Leave, collection,
        collection_member::{self, Evaluation, Version},
        device_change,
    },
    transaction,
};
use roaring::RoaringBitmap;
use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};

/// Queries that are asked at the same time.
const TOGETHER: usize = 4;
/// After how long a collection is evaluated again whose query could not be asked.
const RETRY: i64 = 10 * MINUTE;
/// From so many devices on a query is asked about all of them.
const MANY: u64 = 5_000;

/// One evaluation on its way.
struct Work {
    version: Version,
    /// Requests, by collection; 0: by the schedule.
    due: BTreeMap<CollectionId, i64>,
    /// Entries of the list that are dealt with by it.
    entries: Vec<i64>,
    changes: Changes,
}

/// Evaluates what has to be evaluated now; whether there may be more.
///
/// # Errors
/// When the store fails; what was to be done is still there then.
pub async fn collection_work(site: &Site, now: UnixMillis) -> Result<bool, SiteError> {
    let mut known = site.memory.collections.0.lock().await;
    let mut reader = site.store.reader().await?;
    let work = wanted(&mut reader, now).await?;
    let idle = work.due.is_empty() && work.entries.is_empty();
    if idle && known.as_ref().is_some_and(|state| state.is_near(work.version)) {
        return Ok(false);
    }
    let state = State::current(site, &mut reader, work.version, known.take()).await?;
    let mut state = state.follow(site, &mut reader, &work.changes, now).await?;
    drop(reader);
    site.memory.index.note(state.figures());
    if idle {
        *known = Some(state);
        return Ok(false);
    }
    let (evaluations, postponed) = evaluate(site, now, &state, &work).await?;
    let Some(moved) = write(site, now, &work, state.asked(), &evaluations, &postponed).await? else {
        *known = Some(state);
        return Ok(true);
    };
    for evaluation in &evaluations {
        let members = Arc::make_mut(state.members.entry(evaluation.collection).or_default());
        for device in &evaluation.left {
            members.remove(*device);
        }
        members.extend(evaluation.joined.iter().copied());
    }
    state.written();
    *known = Some(state);
    if moved {
        site.memory.work.notify_one();
    }
    if !evaluations.is_empty() {
        site.bus.publish(Notice::Changed(Noun::Collection));
    }
    Ok(true)
}

/// Whether there is something to evaluate.
pub(super) async fn collection_wanted(conn: &mut Connection, now: UnixMillis) -> Result<bool, SiteError> {
    Ok(collection::is_due(conn, now).await? || device_change::is_any(conn).await?)
}

async fn wanted(conn: &mut Connection, now: UnixMillis) -> Result<Work, SiteError> {
    // First, so that whatever is read after it is no older.
    let version = collection_member::version(conn).await?;
    let mut due: BTreeMap<CollectionId, i64> = collection::due(conn, now).await?.into_iter().collect();
    let listed = device_change::oldest(conn, limits::COLLECTION_CHANGES).await?;
    // As a whole nothing is evaluated before all that changed is known: what is missing might not be looked at later.
    if listed.len() >= limits::COLLECTION_CHANGES as usize {
        due.clear();
    }
    let mut changes = Changes { whole: due.keys().copied().collect(), ..Changes::default() };
    let mut entries = Vec::with_capacity(listed.len());
    for change in listed {
        let device = load::number(change.resource_id)?;
        entries.push(change.id);
        for class in change.classes {
            changes.devices.entry(class).or_default().insert(device);
        }
    }
    Ok(Work { version, due, entries, changes })
}

/// What one collection's queries came to.
struct Answer {
    piece: Piece,
    took: u64,
    found: Result<RoaringBitmap, String>,
}

/// What came of it, and which collections have to wait until that is stored.
async fn evaluate(
    site: &Site,
    now: UnixMillis,
    state: &State,
    work: &Work,
) -> Result<(Vec<Evaluation>, Vec<CollectionId>), SiteError> {
    let mut postponed = Vec::new();
    let mut round = Round::new(&state.graph, &state.members, &work.changes);
    let mut answers: BTreeMap<CollectionId, (u64, Option<String>)> = BTreeMap::new();
    while let Some(pieces) = round.next() {
        let (late, pieces): (Vec<_>, Vec<_>) = pieces
            .into_iter()
            .partition(|piece| round.is_ahead_of(piece.collection, |query| state.by_index(query.rule)));
        postponed.extend(late.into_iter().map(|piece| piece.collection));
        // Those of one level do not depend on each other, so that none waits for another.
        let mut begun = Vec::with_capacity(pieces.len());
        for (at, piece) in pieces.into_iter().enumerate() {
            let began = site.sources.now();
            let mut one = state.begin(&round, piece, now);
            one.took = since(site, began);
            begun.push(one);
            // Sets of many devices take a while: others have their turn in between.
            if at % 16 == 15 {
                tokio::task::yield_now().await;
            }
        }
        let asked = stream::iter(begun.into_iter().map(|begun| answer(site, begun, now)));
        let level: Vec<Result<Answer, SiteError>> = asked.buffer_unordered(TOGETHER).collect().await;
        for Answer { piece, took, found } in level.into_iter().collect::<Result<Vec<_>, _>>()? {
            let error = match found {
                Ok(found) => {
                    round.settle(&piece, found);
                    None
                }
                // Nobody comes in by it; of those who are in, those stay whom the other rules still let.
                Err(error) => {
                    let before =
                        state.members.get(&piece.collection).map(|members| (**members).clone()).unwrap_or_default();
                    round.settle(&piece, before);
                    Some(error)
                }
            };
            answers.insert(piece.collection, (took, error));
        }
    }
    let mut deltas = round.deltas;
    let mut evaluations = Vec::new();
    for (collection, (took, error)) in answers {
        let delta = deltas.remove(&collection).unwrap_or_default();
        let whole = work.due.get(&collection);
        // Who was only looked at and stayed the same is no news.
        if whole.is_none() && error.is_none() && delta == super::graph::Delta::default() {
            continue;
        }
        let before = state.members.get(&collection).map_or(0, |members| members.len());
        let retry = error.as_ref().map(|_| now.plus(RETRY));
        let next = whole.map(|_| state.schedules.get(&collection).and_then(|tokens| schedule::next(tokens, now)));
        let next = match (next, retry) {
            (Some(next), retry) => Some(next.into_iter().chain(retry).min()),
            (None, Some(retry)) => Some(Some(retry)),
            (None, None) => None,
        };
        evaluations.push(Evaluation {
            collection,
            answers: whole.copied().unwrap_or_default(),
            members: before + delta.joined.len() - delta.left.len(),
            joined: delta.joined.iter().collect(),
            left: delta.left.iter().collect(),
            took,
            error,
            next,
        });
    }
    Ok((evaluations, postponed))
}

async fn answer(site: &Site, begun: Begun, now: UnixMillis) -> Result<Answer, SiteError> {
    let began = site.sources.now();
    let Begun { piece, queries, mut found, known, took } = begun;
    if known {
        found |= known_to_site(site, piece.collection, &piece.ask).await?;
    }
    let found = match ask(site, &queries, &piece.ask, now, &None).await? {
        Ok(more) => Ok(found | more),
        Err(reason) => Err(reason),
    };
    Ok(Answer { piece, took: took + since(site, began), found })
}

/// Milliseconds since a moment.
fn since(site: &Site, began: UnixMillis) -> u64 {
    u64::try_from(site.sources.now().since(began)).unwrap_or_default()
}

/// Whom these queries give when the database is asked, with the leave of who waits for it.
pub(super) async fn ask(
    site: &Site,
    queries: &[Query],
    about: &Scope,
    now: UnixMillis,
    leave: &Leave,
) -> Result<Result<RoaringBitmap, String>, SiteError> {
    let mut found = RoaringBitmap::new();
    let scope = match about {
        Scope::Only(only) if only.len() <= MANY => Scope::Only(only.clone()),
        _ => Scope::All,
    };
    for query in queries {
        match query::members(site, &query.text, now, &scope, leave).await? {
            Ok(members) => found |= members,
            Err(reason) => return Ok(Err(format!("Rule {} cannot be asked: {reason}.", query.rule))),
        }
    }
    Ok(Ok(found))
}

/// Whether a built-in collection of systems holds only those with a client. All Systems has what was found and runs no client too; the
/// others fill when there is something that they hold.
pub(super) fn only_clients(id: CollectionId) -> Option<bool> {
    match id.as_str() {
        "SMS00001" => Some(false),
        "SMSDM003" => Some(true),
        _ => None,
    }
}

/// The members of a built-in collection, as far as the site knows any of their kind.
pub(super) async fn known_to_site(site: &Site, id: CollectionId, scope: &Scope) -> Result<RoaringBitmap, SiteError> {
    let only: Option<Vec<u32>> = match scope {
        Scope::All => None,
        Scope::Only(only) => Some(only.iter().collect()),
    };
    let mut reader = site.store.reader().await?;
    let (dialect, only) = (site.store.dialect(), only.as_deref());
    // All Systems has what was found and runs no client too; the others fill when there is something that they hold.
    load::set(match id.as_str() {
        "SMS00001" => collection_member::systems(&mut reader, dialect, only, false).await?,
        "SMSDM003" => collection_member::systems(&mut reader, dialect, only, true).await?,
        "SMS00002" => collection_member::resources(&mut reader, dialect, only, [ResourceKind::User; 2]).await?,
        "SMS00003" => collection_member::resources(&mut reader, dialect, only, [ResourceKind::Group; 2]).await?,
        "SMS00004" => {
            collection_member::resources(&mut reader, dialect, only, [ResourceKind::User, ResourceKind::Group]).await?
        }
        _ => Vec::new(),
    })
}

/// Writes it all, or nothing: `None` when rules or members changed since it began. Else whether policy has to follow.
async fn write(
    site: &Site,
    now: UnixMillis,
    work: &Work,
    asked: &BTreeSet<String>,
    evaluations: &[Evaluation],
    postponed: &[CollectionId],
) -> Result<Option<bool>, SiteError> {
    transaction!(site.store, "collection_work", |tx| {
        if !collection_member::claim(tx, work.version).await? {
            return Ok(None);
        }
        let deployed = collection_member::deployed(tx.conn()).await?;
        let mut moved = RoaringBitmap::new();
        for evaluation in evaluations {
            collection_member::put(tx, evaluation, now).await?;
            if deployed.contains(&evaluation.collection) {
                moved.extend(evaluation.joined.iter().chain(&evaluation.left).copied());
            }
        }
        let devices: Vec<u32> = moved.iter().collect();
        collection_member::ask_policy(tx, &devices, now).await?;
        device_change::done(tx, &work.entries, work.version.members + 1).await?;
        device_change::ask(tx, asked).await?;
        for id in postponed {
            collection::ask(tx, *id).await?;
        }
        Ok::<_, SiteError>(Some(!moved.is_empty()))
    })
}
