//! Applying checked inventory reports, in the transaction of the reports that carry them.

use super::{
    difference::difference,
    interner::{Interner, Known, TextKey},
    section::{Change, New, Refused, Report, RowRef, Section},
};
use crate::SiteError;
use muster_model::{
    catalogue::Class,
    id::{DeviceId, Hash},
    inventory::Unread,
    limits::Limits,
    time::UnixMillis,
};
use muster_store::{
    Tx,
    db::{
        inventory::{self, NewRow, SectionRow},
        inventory_history::{self, ChangeRow},
    },
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
    /// It waited for its class, and says nothing of how the device is now.
    pub(crate) late: bool,
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
    /// When the site got what changed it, in these messages.
    changed: Option<UnixMillis>,
    /// As it is stored.
    before: Option<SectionRow>,
}

type States<'a> = BTreeMap<(DeviceId, &'a str), State>;

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
    let replaced = replaced(tx, incoming, &ids, &states).await?;
    for (at, message) in incoming.iter().enumerate().filter(|(_, message)| !message.again) {
        for section in &message.report.sections {
            let name = section.class.name.as_str();
            let state = states.entry((message.device, name)).or_default();
            let known = (ids.get(name), replaced.get(name));
            if let Err(reason) = update(state, section, known, message.received, limits) {
                let refused = Refused { class: Some(section.class.name.clone()), reason, ..Refused::default() };
                applied.refused.push((at, refused));
            }
        }
    }
    applied.resync = resync(incoming, &states);
    store(tx, limits, incoming, states).await?;
    Ok(Ok(applied))
}

/// Ids of the rows that were not known, by class and hash.
type Ids<'a> = HashMap<&'a str, HashMap<String, i64>>;

/// The newest version of a class that these messages were read with: it has all columns that any of them needs.
fn newer<'a>(classes: &mut BTreeMap<&'a str, &'a Class>, class: &'a Class) {
    let newest = classes.entry(&class.name).or_insert(class);
    if newest.version < class.version {
        *newest = class;
    }
}

async fn intern<'a>(
    tx: &mut Tx,
    incoming: &[Incoming<'a>],
    known: &mut Vec<(TextKey, Known)>,
) -> Result<Ids<'a>, SiteError> {
    // By class, then by hash: each once, and two sites that write at the same time do it in the same order.
    let mut new: BTreeMap<&str, BTreeMap<&str, &New>> = BTreeMap::new();
    let mut classes: BTreeMap<&str, &Class> = BTreeMap::new();
    for section in incoming.iter().filter(|message| !message.again).flat_map(|message| &message.report.sections) {
        let (Change::Full(rows) | Change::Delta { upsert: rows, .. }) = &section.change;
        let of_class = rows.iter().filter_map(|row| match row {
            RowRef::New(row) => Some((row.hash.as_str(), row.as_ref())),
            RowRef::Known(_) => None,
        });
        new.entry(&section.class.name).or_default().extend(of_class);
        newer(&mut classes, &section.class);
    }
    let mut ids = Ids::new();
    for (name, class) in classes {
        let Some(rows) = new.get(name).filter(|rows| !rows.is_empty()) else { continue };
        let list: Vec<NewRow<'_>> =
            rows.values().map(|row| NewRow { hash: &row.hash, key: row.key, row: &row.row }).collect();
        let of_class = inventory::intern(tx, class, &list).await?;
        for row in rows.values() {
            let id =
                *of_class.get(&row.hash).ok_or_else(|| SiteError::Fault("an inventory row has no id".to_owned()))?;
            known.push((row.text, Known { id, key: row.key }));
        }
        ids.insert(name, of_class);
    }
    Ok(ids)
}

/// The sections as they are stored: a difference is to them, and how they change is kept.
async fn load<'a>(tx: &mut Tx, incoming: &[Incoming<'a>]) -> Result<States<'a>, SiteError> {
    let mut devices = BTreeSet::new();
    let mut classes: BTreeSet<&'a str> = BTreeSet::new();
    for message in incoming {
        for section in &message.report.sections {
            devices.insert(message.device);
            classes.insert(&section.class.name);
        }
    }
    if devices.is_empty() {
        return Ok(States::new());
    }
    let devices: Vec<DeviceId> = devices.into_iter().collect();
    let names: Vec<&str> = classes.iter().copied().collect();
    let rows = inventory::sections(tx, &devices, &names).await?;
    let state = |row: SectionRow| {
        let class = *classes.get(row.class.as_str())?;
        let (digest, ids) = (Some(row.digest), row.row_ids.clone());
        Some(((row.device, class), State { digest, ids, changed: None, before: Some(row) }))
    };
    Ok(rows.into_iter().filter_map(state).collect())
}

/// By class and key: the ids of rows that a difference may replace or remove.
type Replaced<'a> = HashMap<&'a str, HashMap<i64, Vec<i64>>>;

/// What a difference asks about: of full inventories, which are the most of what is stored, nothing is looked up.
#[derive(Default)]
struct Asked<'a> {
    class: Option<&'a Class>,
    keys: BTreeSet<i64>,
    devices: BTreeSet<DeviceId>,
}

async fn replaced<'a>(
    tx: &mut Tx,
    incoming: &[Incoming<'a>],
    ids: &Ids<'a>,
    states: &States<'a>,
) -> Result<Replaced<'a>, SiteError> {
    let mut asked: BTreeMap<&str, Asked<'_>> = BTreeMap::new();
    let new = || incoming.iter().filter(|message| !message.again);
    let sections = || new().flat_map(|message| message.report.sections.iter().map(|section| (message.device, section)));
    for (device, section) in sections() {
        if let Change::Delta { upsert, remove, .. } = &section.change {
            let asked = asked.entry(section.class.name.as_str()).or_default();
            if asked.class.is_none_or(|class| class.version < section.class.version) {
                asked.class = Some(&section.class);
            }
            asked.keys.extend(upsert.iter().map(RowRef::key).chain(remove.iter().copied()));
            asked.devices.insert(device);
        }
    }
    let mut replaced = Replaced::new();
    // A difference may be to a state that came just before it.
    for (device, section) in sections() {
        let name = section.class.name.as_str();
        if !asked.get(name).is_some_and(|asked| asked.devices.contains(&device)) {
            continue;
        }
        let (Change::Full(rows) | Change::Delta { upsert: rows, .. }) = &section.change;
        let of_class = replaced.entry(name).or_default();
        for row in rows {
            if let Some(id) = id_of(row, ids.get(name)) {
                of_class.entry(row.key()).or_default().push(id);
            }
        }
    }
    for (name, asked) in &asked {
        let Some(class) = asked.class else { continue };
        let own = asked.devices.iter().filter_map(|device| states.get(&(*device, *name)));
        let own: Vec<&[i64]> = own.map(|state| state.ids.as_slice()).collect();
        let keys: Vec<i64> = asked.keys.iter().copied().collect();
        let of_class = replaced.entry(name).or_default();
        for (id, key) in inventory::with_keys(tx, class, &keys, &own).await? {
            of_class.entry(key).or_default().push(id);
        }
    }
    Ok(replaced)
}

/// The id of a row.
fn id_of(row: &RowRef, ids: Option<&HashMap<String, i64>>) -> Option<i64> {
    match row {
        RowRef::Known(known) => Some(known.id),
        RowRef::New(new) => ids.and_then(|ids| ids.get(&new.hash)).copied(),
    }
}

/// What is known of the rows of one class: ids by hash, and by key.
type OfClass<'a> = (Option<&'a HashMap<String, i64>>, Option<&'a HashMap<i64, Vec<i64>>>);

fn update(
    state: &mut State,
    section: &Section,
    (ids, replaced): OfClass<'_>,
    received: UnixMillis,
    limits: &Limits,
) -> Result<(), String> {
    let id = |row: &RowRef| id_of(row, ids).unwrap_or_default();
    match &section.change {
        Change::Full(rows) => state.ids = rows.iter().map(id).collect(),
        // Not the state that it is a difference to: nothing is applied, and all rows are asked for.
        Change::Delta { base, .. } if state.digest != Some(*base) => return Ok(()),
        Change::Delta { upsert, remove, .. } => {
            let touched = upsert.iter().map(RowRef::key).chain(remove.iter().copied());
            let ids_of = |key| replaced.and_then(|of_class| of_class.get(&key));
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
fn resync(incoming: &[Incoming<'_>], states: &States<'_>) -> HashMap<DeviceId, BTreeSet<String>> {
    let mut last: HashMap<(DeviceId, &str), Hash> = HashMap::new();
    for message in incoming {
        for section in &message.report.sections {
            last.insert((message.device, section.class.name.as_str()), section.digest);
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

/// How a section is stored, and the change that leads there. Nothing where it is as it was.
fn changed(device: DeviceId, class: &str, state: State) -> Option<(SectionRow, Option<ChangeRow>)> {
    let (digest, received) = state.digest.zip(state.changed)?;
    let mut row = SectionRow { device, class: class.to_owned(), digest, row_ids: state.ids, changed: received };
    let Some(before) = state.before else {
        let (class, count) = (row.class.clone(), row.row_ids.len() as u64);
        let (added, removed) = (Vec::new(), Vec::new());
        return Some((row, Some(ChangeRow { device, class, happened: received, since: None, added, removed, count })));
    };
    let (added, removed) = difference(&before.row_ids, &row.row_ids);
    if added.is_empty() && removed.is_empty() {
        row.changed = before.changed;
        return (before.digest != row.digest).then_some((row, None));
    }
    // Clocks go back now and then, and history does not.
    row.changed = received.max(before.changed);
    let (class, happened, count) = (row.class.clone(), row.changed, added.len() as u64);
    let since = Some(before.changed);
    Some((row, Some(ChangeRow { device, class, happened, since, added, removed, count })))
}

async fn store(tx: &mut Tx, limits: &Limits, incoming: &[Incoming<'_>], states: States<'_>) -> Result<(), SiteError> {
    let rows = states.into_iter().filter_map(|((device, class), state)| changed(device, class, state));
    let (sections, changes): (Vec<_>, Vec<_>) = rows.unzip();
    inventory::put(tx, &sections).await?;
    if limits.history_days > 0 {
        inventory_history::insert(tx, &changes.into_iter().flatten().collect::<Vec<_>>()).await?;
    }
    // The last message of a device says what could not be read.
    let new = incoming.iter().filter(|message| !message.again && !message.late);
    let new: BTreeMap<DeviceId, &Incoming<'_>> = new.map(|message| (message.device, message)).collect();
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
