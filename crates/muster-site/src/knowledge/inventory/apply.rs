//! Applying checked inventory reports, in the transaction of the reports that carry them.

use super::{
    interner::{Interner, Known, TextKey},
    section::{Change, New, Refused, Report, RowRef, Section},
};
use crate::SiteError;
use muster_model::{
    id::{DeviceId, Hash},
    inventory::Unread,
    limits::Limits,
    time::UnixMillis,
};
use muster_store::{
    Tx,
    db::inventory::{self, NewRow, SectionRow},
};
use std::{
    collections::{BTreeMap, BTreeSet, HashMap},
    sync::Arc,
};

/// One message, in the order of its device's channel.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Incoming<'a> {
    /// Who sent it.
    pub(crate) device: DeviceId,
    /// When the site got it.
    pub(crate) received: UnixMillis,
    /// It was committed before: nothing is applied, but whether its state is there is looked at.
    pub(crate) again: bool,
    /// What it says.
    pub(crate) report: &'a Report,
}

/// What came of the messages.
#[derive(Debug, Default)]
pub(crate) struct Applied {
    /// Classes of which all rows are wanted again, by device.
    pub(crate) resync: HashMap<DeviceId, BTreeSet<String>>,
    /// Sections that could not be applied: which message, by its place, and why.
    pub(crate) refused: Vec<(usize, Refused)>,
    /// Rows to be remembered when the transaction is committed.
    pub(crate) known: Vec<(TextKey, Known)>,
    /// As of which sweep.
    pub(crate) sweeps: Arc<str>,
}

/// Rows may have been swept since the reports were read: read them again.
#[derive(Debug)]
pub(crate) struct Stale;

#[derive(Debug, Default)]
struct State {
    digest: Option<Hash>,
    ids: Vec<i64>,
    changed: Option<UnixMillis>,
}

type States = BTreeMap<(DeviceId, &'static str), State>;

/// Applies reports.
///
/// # Errors
/// When the store fails.
pub(crate) async fn apply(
    tx: &mut Tx,
    interner: &Interner,
    limits: &Limits,
    incoming: &[Incoming<'_>],
) -> Result<Result<Applied, Stale>, SiteError> {
    let sweeps = inventory::sweeps(tx).await?;
    if incoming.iter().any(|incoming| *incoming.report.sweeps != *sweeps) {
        interner.restart(&sweeps);
        return Ok(Err(Stale));
    }
    let mut applied = Applied { sweeps: Arc::from(sweeps), ..Applied::default() };
    let ids = intern(tx, incoming, &mut applied.known).await?;
    let mut states = load(tx, incoming).await?;
    let replaced = replaced(tx, incoming).await?;
    for (at, message) in incoming.iter().enumerate().filter(|(_, message)| !message.again) {
        for section in &message.report.sections {
            let state = states.entry((message.device, section.class.name.as_str())).or_default();
            if let Err(reason) = update(state, section, &ids, &replaced, message.received, limits) {
                applied
                    .refused
                    .push((at, Refused { class: Some(section.class.name.clone()), reason, excerpt: String::new() }));
            }
        }
    }
    applied.resync = resync(incoming, &states);
    store(tx, incoming, states).await?;
    Ok(Ok(applied))
}

/// Ids of the rows that were not known, by class and hash.
type Ids = HashMap<usize, HashMap<String, i64>>;

async fn intern(tx: &mut Tx, incoming: &[Incoming<'_>], known: &mut Vec<(TextKey, Known)>) -> Result<Ids, SiteError> {
    // By class, then by hash: each once, and two sites that write at the same time do it in the same order.
    let mut new: BTreeMap<usize, BTreeMap<&str, &New>> = BTreeMap::new();
    let mut names = HashMap::new();
    for section in incoming.iter().filter(|message| !message.again).flat_map(|message| &message.report.sections) {
        let (Change::Full(rows) | Change::Delta { upsert: rows, .. }) = &section.change;
        for row in rows {
            if let RowRef::New(row) = row {
                new.entry(section.number).or_default().insert(&row.hash, row);
                names.insert(section.number, section.class.name.as_str());
            }
        }
    }
    let mut ids = Ids::new();
    for (number, rows) in &new {
        let list: Vec<NewRow<'_>> =
            rows.values().map(|row| NewRow { hash: &row.hash, key: row.key, row: &row.row }).collect();
        let of_class = inventory::intern(tx, names.get(number).copied().unwrap_or_default(), &list).await?;
        for row in rows.values() {
            let id =
                *of_class.get(&row.hash).ok_or_else(|| SiteError::Fault("an inventory row has no id".to_owned()))?;
            known.push((row.text, Known { id, key: row.key }));
        }
        ids.insert(*number, of_class);
    }
    Ok(ids)
}

/// The states that a difference is to, or that must be looked at.
async fn load(tx: &mut Tx, incoming: &[Incoming<'_>]) -> Result<States, SiteError> {
    let mut devices = BTreeSet::new();
    let mut classes: BTreeMap<&str, &'static str> = BTreeMap::new();
    for message in incoming {
        for section in &message.report.sections {
            if message.again || matches!(section.change, Change::Delta { .. }) {
                devices.insert(message.device);
                classes.insert(&section.class.name, &section.class.name);
            }
        }
    }
    if devices.is_empty() {
        return Ok(States::new());
    }
    let devices: Vec<DeviceId> = devices.into_iter().collect();
    let names: Vec<&str> = classes.keys().copied().collect();
    let rows = inventory::sections(tx, &devices, &names).await?;
    let state = |row: SectionRow| {
        let class = *classes.get(row.class.as_str())?;
        Some(((row.device, class), State { digest: Some(row.digest), ids: row.row_ids, changed: None }))
    };
    Ok(rows.into_iter().filter_map(state).collect())
}

/// By class and key: the ids of all rows, whoever has them, that a difference may replace or remove.
type Replaced = HashMap<usize, HashMap<i64, Vec<i64>>>;

async fn replaced(tx: &mut Tx, incoming: &[Incoming<'_>]) -> Result<Replaced, SiteError> {
    let mut keys: BTreeMap<(usize, &str), BTreeSet<i64>> = BTreeMap::new();
    for section in incoming.iter().filter(|message| !message.again).flat_map(|message| &message.report.sections) {
        if let Change::Delta { upsert, remove, .. } = &section.change {
            let of_class = keys.entry((section.number, &section.class.name)).or_default();
            of_class.extend(upsert.iter().map(RowRef::key).chain(remove.iter().copied()));
        }
    }
    let mut replaced = Replaced::new();
    for ((number, class), keys) in keys {
        let keys: Vec<i64> = keys.into_iter().collect();
        let of_class = replaced.entry(number).or_default();
        for (id, key) in inventory::with_keys(tx, class, &keys).await? {
            of_class.entry(key).or_default().push(id);
        }
    }
    Ok(replaced)
}

fn update(
    state: &mut State,
    section: &Section,
    ids: &Ids,
    replaced: &Replaced,
    received: UnixMillis,
    limits: &Limits,
) -> Result<(), String> {
    let id = |row: &RowRef| match row {
        RowRef::Known(known) => known.id,
        RowRef::New(new) => ids.get(&section.number).and_then(|ids| ids.get(&new.hash)).copied().unwrap_or_default(),
    };
    match &section.change {
        Change::Full(rows) => state.ids = rows.iter().map(id).collect(),
        // Not the state that it is a difference to: nothing is applied, and all rows are asked for.
        Change::Delta { base, .. } if state.digest != Some(*base) => return Ok(()),
        Change::Delta { upsert, remove, .. } => {
            let touched = upsert.iter().map(RowRef::key).chain(remove.iter().copied());
            let ids_of = |key| replaced.get(&section.number).and_then(|of_class| of_class.get(&key));
            // Every row of the state is looked up in here: sorted, that takes a few comparisons.
            let mut gone: Vec<i64> = touched.filter_map(ids_of).flatten().copied().collect();
            gone.sort_unstable();
            let stays = |id: &i64| gone.binary_search(id).is_err();
            let mut after: Vec<i64> = state.ids.iter().copied().filter(stays).collect();
            after.extend(upsert.iter().map(id));
            if after.len() > limits.section_rows {
                return Err(format!("The section would have more than {} rows.", limits.section_rows));
            }
            state.ids = after;
        }
    }
    state.digest = Some(section.digest);
    state.changed = Some(received);
    Ok(())
}

/// Classes whose last word in these messages is not what the site has now.
fn resync(incoming: &[Incoming<'_>], states: &States) -> HashMap<DeviceId, BTreeSet<String>> {
    let mut last: HashMap<(DeviceId, &'static str), Hash> = HashMap::new();
    for message in incoming {
        for section in &message.report.sections {
            last.insert((message.device, &section.class.name), section.digest);
        }
    }
    let mut resync: HashMap<DeviceId, BTreeSet<String>> = HashMap::new();
    for ((device, class), digest) in last {
        if states.get(&(device, class)).and_then(|state| state.digest) != Some(digest) {
            resync.entry(device).or_default().insert(class.to_owned());
        }
    }
    resync
}

async fn store(tx: &mut Tx, incoming: &[Incoming<'_>], states: States) -> Result<(), SiteError> {
    let changed = states.into_iter().filter_map(|((device, class), state)| {
        let (digest, changed) = state.digest.zip(state.changed)?;
        Some(SectionRow { device, class: class.to_owned(), digest, row_ids: state.ids, changed })
    });
    inventory::put(tx, &changed.collect::<Vec<_>>()).await?;
    // The last message of a device says what could not be read.
    let new: BTreeMap<DeviceId, &Incoming<'_>> =
        incoming.iter().filter(|message| !message.again).map(|message| (message.device, message)).collect();
    let devices: Vec<DeviceId> = new.keys().copied().collect();
    let Some(received) = new.values().map(|message| message.received).max() else { return Ok(()) };
    let unread: Vec<(DeviceId, Unread)> = new
        .values()
        .flat_map(|message| message.report.unread.iter().map(|unread| (message.device, unread.clone())))
        .collect();
    inventory::put_unread(tx, &devices, &unread).await?;
    inventory::seen(tx, &devices, received).await?;
    Ok(())
}
