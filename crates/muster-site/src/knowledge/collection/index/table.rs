//! The rows of one class: each distinct one once, who has it, and which of the sought kinds it is of.

use super::{
    datum::{Column, Datum, Packed},
    form::{Form, Rows},
    leaf,
};
use muster_model::wql::date::Clock;
use roaring::RoaringBitmap;
use std::{
    borrow::Cow,
    collections::{HashMap, HashSet},
    hash::{BuildHasherDefault, Hasher},
};

/// A kind of row that some rule looks for.
#[derive(Debug)]
pub(crate) struct Sought {
    /// Which rows.
    form: Rows,
    clocked: bool,
    /// Those rows.
    slots: RoaringBitmap,
    /// Who has one of them.
    devices: RoaringBitmap,
}

/// Ids are the database's own and need no hash that is hard to guess.
#[derive(Debug, Default)]
pub(crate) struct Mixed(u64);

impl Hasher for Mixed {
    fn finish(&self) -> u64 {
        self.0 ^ (self.0 >> 32)
    }
    fn write(&mut self, bytes: &[u8]) {
        bytes.iter().for_each(|byte| self.write_u64(u64::from(*byte)));
    }
    fn write_u64(&mut self, number: u64) {
        self.0 = (self.0 ^ number).wrapping_mul(0x9e37_79b9_7f4a_7c15);
    }
    fn write_i64(&mut self, number: i64) {
        self.write_u64(number.cast_unsigned());
    }
    fn write_u32(&mut self, number: u32) {
        self.write_u64(u64::from(number));
    }
}

type ById<K, V> = HashMap<K, V, BuildHasherDefault<Mixed>>;

/// A table.
#[derive(Debug, Default)]
pub(crate) struct Table {
    columns: HashMap<String, Column>,
    names: Vec<String>,
    /// Rows that have an id of the database, by it.
    ids: ById<i64, u32>,
    /// The others, by their values.
    values: HashMap<Box<[Datum]>, u32>,
    /// By row: who has it.
    devices: Vec<RoaringBitmap>,
    /// By device: its rows.
    of: ById<u32, Packed>,
    /// By row: which kinds it is of, of those that do not depend on the time.
    kinds: Vec<Vec<u32>>,
    sought: Vec<Sought>,
    known: HashMap<String, u32>,
    /// Rows that nobody has any more.
    idle: usize,
    /// Whether it was filled, and every kind was looked for.
    settled: bool,
    /// Bytes, and rows, when they were last counted.
    weighed: (usize, usize),
    /// Whether most of the kinds that it looks for are asked by no rule any more.
    crowded: bool,
}

impl Table {
    /// A table with these attributes, which looks for the same kinds of rows as another one.
    pub(crate) fn new(names: Vec<String>, before: Option<Self>) -> Self {
        let columns = names.iter().map(|name| (name.clone(), Column::default())).collect();
        let mut table = Self { columns, names, ..Self::default() };
        if let Some(before) = before {
            let empty =
                |sought: Sought| Sought { slots: RoaringBitmap::new(), devices: RoaringBitmap::new(), ..sought };
            (table.sought, table.known) = (before.sought.into_iter().map(empty).collect(), before.known);
        }
        table
    }

    /// The attributes.
    pub(crate) fn names(&self) -> &[String] {
        &self.names
    }

    /// Whether it has these attributes.
    pub(crate) fn has<'a>(&self, names: impl IntoIterator<Item = &'a String>) -> bool {
        names.into_iter().all(|name| self.columns.contains_key(name))
    }

    /// Whether most rows are those that nobody has any more.
    pub(crate) fn is_worn(&self) -> bool {
        self.crowded || (self.idle > 10_000 && self.idle * 2 > self.devices.len())
    }

    /// Whether most of the kinds that it looks for are asked by no rule any more.
    pub(crate) fn is_crowded(&self) -> bool {
        self.crowded
    }

    /// Says how many of its kinds rules ask for.
    pub(crate) fn asked_for(&mut self, kinds: usize) {
        self.crowded = self.sought.len() > 64 + 2 * kinds;
    }

    /// Whether so many rows came since it was weighed that it should be again.
    pub(crate) fn has_grown(&self) -> bool {
        self.devices.len() > self.weighed.1 + self.weighed.1 / 8 + 500
    }

    /// Counts its bytes.
    pub(crate) fn weigh(&mut self) {
        self.weighed = (self.bytes(), self.devices.len());
    }

    /// Its bytes when they were last counted.
    pub(crate) fn weight(&self) -> usize {
        self.weighed.0
    }

    /// The number of the row with an id, where it is there.
    pub(crate) fn by_id(&self, id: i64) -> Option<u32> {
        self.ids.get(&id).copied()
    }

    /// The number of the row with these values, which is added where it is not there.
    pub(crate) fn by_values(&mut self, values: Vec<Datum>) -> u32 {
        if let Some(slot) = self.values.get(values.as_slice()) {
            return *slot;
        }
        let slot = self.add_row(values.clone());
        self.values.insert(values.into_boxed_slice(), slot);
        slot
    }

    /// Adds the row with an id, where it is not there.
    pub(crate) fn add_id(&mut self, id: i64, values: Vec<Datum>) {
        if !self.ids.contains_key(&id) {
            let slot = self.add_row(values);
            self.ids.insert(id, slot);
        }
    }

    /// Adds a row; the values are in the order of the attributes.
    fn add_row(&mut self, values: Vec<Datum>) -> u32 {
        let slot = u32::try_from(self.devices.len()).unwrap_or(u32::MAX);
        for (name, datum) in self.names.iter().zip(values) {
            if let Some(column) = self.columns.get_mut(name) {
                column.push(datum);
            }
        }
        self.devices.push(RoaringBitmap::new());
        self.idle += 1;
        // Nothing of these asks for the time.
        let clock = Clock { now: muster_model::time::UnixMillis(0), offset_minutes: 0 };
        let mut kinds = Vec::new();
        for (at, sought) in (0_u32..).zip(&mut self.sought) {
            let value = value_of(&self.columns, slot);
            if self.settled && !sought.clocked && sought.form.ready(clock).takes(&value) {
                sought.slots.insert(slot);
                kinds.push(at);
            }
        }
        self.kinds.push(kinds);
        slot
    }

    /// The number of a kind of rows. It has to be looked for with [`Self::seek`] where it is new.
    pub(crate) fn kind(&mut self, form: &Rows) -> (u32, bool) {
        let key = format!("{form:?}");
        if let Some(at) = self.known.get(&key) {
            return (*at, false);
        }
        let at = u32::try_from(self.sought.len()).unwrap_or(u32::MAX);
        let clocked = form.is_clocked();
        let empty = RoaringBitmap::new();
        self.sought.push(Sought { form: form.clone(), clocked, slots: empty.clone(), devices: empty });
        self.known.insert(key, at);
        (at, true)
    }

    /// Looks for every kind of rows, after it was filled.
    pub(crate) fn settle(&mut self, clock: Clock) {
        self.settled = true;
        (0..u32::try_from(self.sought.len()).unwrap_or(u32::MAX)).for_each(|kind| self.seek(kind, clock));
    }

    /// Looks for a kind of rows in all that are there.
    pub(crate) fn seek(&mut self, kind: u32, clock: Clock) {
        let Some(sought) = self.sought.get(kind as usize).filter(|sought| !sought.clocked) else { return };
        let slots = self.slots(&sought.form, clock);
        let devices = self.who(&slots);
        for slot in &slots {
            if let Some(kinds) = self.kinds.get_mut(slot as usize) {
                kinds.push(kind);
            }
        }
        if let Some(sought) = self.sought.get_mut(kind as usize) {
            (sought.slots, sought.devices) = (slots, devices);
        }
    }

    /// The rows that are meant: each distinct value is asked once where a test is of one attribute.
    fn slots(&self, form: &Rows, clock: Clock) -> RoaringBitmap {
        let count = u32::try_from(self.devices.len()).unwrap_or(u32::MAX);
        match form {
            Form::And(parts) if parts.is_empty() => (0..count).collect(),
            Form::And(parts) => {
                let mut parts = parts.iter();
                let first = parts.next().map(|part| self.slots(part, clock)).unwrap_or_default();
                parts.fold(first, |all, part| if all.is_empty() { all } else { all & self.slots(part, clock) })
            }
            Form::Or(parts) => parts.iter().fold(RoaringBitmap::new(), |any, part| any | self.slots(part, clock)),
            Form::Leaf(wanted) => {
                let ready = wanted.leaf.ready(clock);
                let is = |said: Option<bool>| said == Some(wanted.truth);
                let single = match wanted.leaf.attributes.as_slice() {
                    [one] => self.columns.get(one),
                    _ => None,
                };
                let found = |takes: &dyn Fn(u32) -> bool| {
                    RoaringBitmap::from_sorted_iter((0..count).filter(|slot| takes(*slot))).unwrap_or_default()
                };
                match single {
                    Some(column) => {
                        let takes: Vec<bool> = column.data.iter().map(|datum| is(ready.says(&[datum]))).collect();
                        found(&|slot| column.codes.get(slot as usize).is_some_and(|code| takes[*code as usize]))
                    }
                    None => found(&|slot| {
                        let value = value_of(&self.columns, slot);
                        let values: Vec<&Datum> = wanted.leaf.attributes.iter().map(|name| value(name)).collect();
                        is(ready.says(&values))
                    }),
                }
            }
        }
    }

    /// Who has one of these rows.
    fn who(&self, slots: &RoaringBitmap) -> RoaringBitmap {
        let mut few: Vec<u32> = Vec::new();
        let mut all = RoaringBitmap::new();
        for devices in slots.iter().filter_map(|slot| self.devices.get(slot as usize)) {
            // Many rows that few have are gathered first: a list is sorted faster than it is merged one by one.
            if devices.len() <= 4 { few.extend(devices) } else { all |= devices }
        }
        few.sort_unstable();
        few.dedup();
        all | RoaringBitmap::from_sorted_iter(few).unwrap_or_default()
    }

    /// Sets the rows that a device has. `slots` need not be sorted.
    pub(crate) fn set(&mut self, device: u32, mut slots: Vec<u32>) {
        slots.sort_unstable();
        slots.dedup();
        let before: Vec<u32> = self.of.get(&device).map(|packed| packed.iter().collect()).unwrap_or_default();
        if before == slots {
            return;
        }
        if before.is_empty() {
            return self.set_first(device, &slots);
        }
        let now: HashSet<u32> = slots.iter().copied().collect();
        let mut lost: Vec<u32> = Vec::new();
        for slot in before.iter().filter(|slot| !now.contains(slot)) {
            if let Some(devices) = self.devices.get_mut(*slot as usize)
                && devices.remove(device)
                && devices.is_empty()
            {
                self.idle += 1;
            }
            lost.extend(self.kinds.get(*slot as usize).into_iter().flatten());
        }
        for slot in slots.iter().filter(|slot| before.binary_search(slot).is_err()) {
            if let Some(devices) = self.devices.get_mut(*slot as usize) {
                self.idle -= usize::from(devices.is_empty());
                devices.insert(device);
            }
            for kind in self.kinds.get(*slot as usize).into_iter().flatten() {
                if let Some(sought) = self.sought.get_mut(*kind as usize) {
                    sought.devices.insert(device);
                }
            }
        }
        lost.sort_unstable();
        lost.dedup();
        for kind in lost {
            if let Some(sought) = self.sought.get_mut(kind as usize)
                && !slots.iter().any(|slot| sought.slots.contains(*slot))
            {
                sought.devices.remove(device);
            }
        }
        if slots.is_empty() {
            self.of.remove(&device);
        } else {
            self.of.insert(device, Packed::new(&slots));
        }
    }

    /// The rows of a device that had none, sorted. While a table is filled, each comes after all others, and is put at the end.
    fn set_first(&mut self, device: u32, slots: &[u32]) {
        for slot in slots {
            if let Some(devices) = self.devices.get_mut(*slot as usize) {
                self.idle -= usize::from(devices.is_empty());
                if devices.try_push(device).is_err() {
                    devices.insert(device);
                }
            }
            for kind in self.kinds.get(*slot as usize).into_iter().flatten() {
                if let Some(sought) = self.sought.get_mut(*kind as usize) {
                    sought.devices.insert(device);
                }
            }
        }
        if !slots.is_empty() {
            self.of.insert(device, Packed::new(slots));
        }
    }

    /// Who has a row of that kind.
    pub(crate) fn devices(&self, kind: u32, clock: Clock) -> Cow<'_, RoaringBitmap> {
        match self.sought.get(kind as usize) {
            Some(sought) if sought.clocked => Cow::Owned(self.who(&self.slots(&sought.form, clock))),
            Some(sought) => Cow::Borrowed(&sought.devices),
            None => Cow::Owned(RoaringBitmap::new()),
        }
    }

    /// Who of these has a row of that kind.
    pub(crate) fn devices_within(&self, kind: u32, scope: &RoaringBitmap, clock: Clock) -> RoaringBitmap {
        match self.sought.get(kind as usize) {
            Some(sought) if sought.clocked && scope.len() * 4 < self.of.len() as u64 => {
                let ready = sought.form.ready(clock);
                let is = |slot| ready.takes(&value_of(&self.columns, slot));
                scope.iter().filter(|device| self.of.get(device).is_some_and(|slots| slots.iter().any(is))).collect()
            }
            Some(_) => self.devices(kind, clock).as_ref() & scope,
            None => RoaringBitmap::new(),
        }
    }

    /// Whether a device has a row of that kind.
    pub(crate) fn has_kind(&self, kind: u32, device: u32, clock: Clock) -> bool {
        match self.sought.get(kind as usize) {
            Some(sought) if sought.clocked => self.row_of(device, &sought.form, clock).is_some(),
            Some(sought) => sought.devices.contains(device),
            None => false,
        }
    }

    /// A row of a device that is meant, with its values.
    pub(crate) fn row_of(&self, device: u32, form: &Rows, clock: Clock) -> Option<Vec<(&str, &Datum)>> {
        let ready = form.ready(clock);
        let slot = self.of.get(&device)?.iter().find(|slot| ready.takes(&value_of(&self.columns, *slot)))?;
        let value = value_of(&self.columns, slot);
        Some(self.names.iter().map(|name| (name.as_str(), value(name))).collect())
    }

    /// About how many bytes it takes.
    pub(crate) fn bytes(&self) -> usize {
        let set = |set: &RoaringBitmap| set.serialized_size() + 24;
        self.columns.values().map(Column::bytes).sum::<usize>()
            + self.devices.iter().map(set).sum::<usize>()
            + self.of.values().map(|packed| packed.bytes() + 8).sum::<usize>()
            + self.kinds.iter().map(|kinds| 24 + 4 * kinds.capacity()).sum::<usize>()
            + self.sought.iter().map(|sought| set(&sought.slots) + set(&sought.devices)).sum::<usize>()
            + self.known.keys().map(|key| 3 * key.len() + 64).sum::<usize>()
            + self.ids.len() * 17
            + self.values.keys().map(|key| 24 * key.len() + 24).sum::<usize>()
    }
}

fn value_of<'a>(columns: &'a HashMap<String, Column>, slot: u32) -> impl Fn(&str) -> &'a Datum {
    static ONE: Datum = Datum::Int(1);
    move |name| match columns.get(name) {
        Some(column) => column.datum(slot),
        None if leaf::is_one(name) => &ONE,
        None => &Datum::Null,
    }
}
