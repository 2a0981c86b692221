//! The index follows the database: what rules newly ask about is read, and what changed of what is there.

use super::super::load as stored;
use super::{Index, Needs, Of, datum::Datum, leaf, table::Table};
use crate::{Site, SiteError};
use muster_model::{
    limits,
    wql::{
        Schema,
        date::Clock,
        schema::{Attribute, Class},
    },
};
use muster_store::{
    Connection,
    db::{
        device_change::{ANY, CAME_BACK, NETWORK, SYSTEM},
        wql::facts::{self, Values},
    },
};
use roaring::RoaringBitmap;
use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};

/// Devices of which is read at once.
const PIECE: i64 = 250;
/// Rows that are read at once.
const ROWS: usize = 1_000;
/// So many pieces are read between two looks at the memory.
const PIECES: usize = 40;
/// Numbers between two devices that are read together.
const GAP: u32 = 8;

/// The classes in which a change may change an attribute of a system.
pub(in super::super) fn behind(attribute: &str) -> &'static [&'static str] {
    const OF: &[(&str, &[&str])] = &[
        ("ResourceDomainORWorkgroup", &["COMPUTER_SYSTEM"]),
        ("ADSiteName", &[NETWORK]),
        ("SMBIOSGUID", &["COMPUTER_SYSTEM_PRODUCT"]),
        ("Build", &["OPERATING_SYSTEM"]),
        ("Build01", &["OPERATING_SYSTEM"]),
        ("CPUType", &["COMPUTER_SYSTEM"]),
        ("IsVirtualMachine", &["COMPUTER_SYSTEM"]),
        ("LastLogonUserName", &["SYSTEM_CONSOLE_USER"]),
        ("IPAddresses", &["NETWORK_ADAPTER_CONFIGURATION", NETWORK]),
        ("AgentTime", &[CAME_BACK]),
        ("MACAddresses", &["NETWORK_ADAPTER", "NETWORK_ADAPTER_CONFIGURATION"]),
        ("ResourceNames", &["NETWORK_ADAPTER_CONFIGURATION"]),
    ];
    OF.iter().find(|(name, _)| name.eq_ignore_ascii_case(attribute)).map_or(&[], |(_, classes)| classes)
}

/// Brings the index to where the database is: `changed` is what changed since it was last here, by class. Whether something was read
/// that no rule asked about before.
///
/// # Errors
/// When the store fails; the index is of no use then.
pub(in super::super) async fn follow(
    site: &Site,
    conn: &mut Connection,
    index: &mut Index,
    needs: &Needs,
    changed: &BTreeMap<String, RoaringBitmap>,
    clock: Clock,
) -> Result<bool, SiteError> {
    let mut reader = Reader { site, conn, schema: Schema::of(&site.catalogue.load()) };
    if !index.filled {
        for range in reader.ranges().await? {
            for (system, client) in facts::systems(reader.conn, range).await? {
                let system = stored::number(system)?;
                index.systems.insert(system);
                if client {
                    index.clients.insert(system);
                }
            }
        }
        index.filled = true;
    }
    reader.systems_changed(index, changed).await?;
    // What no rule asks about any more goes.
    for (of, table) in &mut index.tables {
        if !needs.contains_key(of) && index.numbers.remove(of).is_some() {
            *table = Table::default();
        }
    }
    index.over.retain(|of| needs.contains_key(of));
    let mut filled = false;
    for (of, names) in needs {
        let there = index.table(of).is_some_and(|table| table.has(names) && !table.is_worn());
        if index.over.contains(of) {
            continue;
        }
        if there {
            // What grew too large is not answered from here any more.
            filled |= !reader.rows_changed(index, of, changed).await?;
        } else {
            reader.fill(index, of.clone(), names.clone(), clock).await?;
            filled = true;
        }
    }
    Ok(filled)
}

struct Reader<'a> {
    site: &'a Site,
    conn: &'a mut Connection,
    schema: Arc<Schema>,
}

/// Numbers of resources as ranges that are read one after the other.
fn ranges(devices: &RoaringBitmap) -> Vec<(i64, i64)> {
    let mut ranges: Vec<(u32, u32)> = Vec::new();
    for device in devices {
        match ranges.last_mut() {
            Some((from, to)) if device - *to <= GAP && i64::from(device - *from) < PIECE => *to = device,
            _ => ranges.push((device, device)),
        }
    }
    ranges.into_iter().map(|(from, to)| (i64::from(from), i64::from(to))).collect()
}

/// The ids of a JSON list of whole numbers: of a hundred thousand devices with as many rows each that is most of the reading.
fn ids(text: &str) -> impl Iterator<Item = i64> + '_ {
    let mut bytes = text.bytes();
    std::iter::from_fn(move || {
        let digit = |byte: u8| byte.is_ascii_digit().then(|| i64::from(byte - b'0'));
        let mut id = bytes.find_map(digit)?;
        for digit in bytes.by_ref().map_while(digit) {
            id = id.wrapping_mul(10).wrapping_add(digit);
        }
        Some(id)
    })
}

/// The rows of one device, as far as the table has them; and ids of the others.
struct Section {
    device: u32,
    slots: Vec<u32>,
    unknown: Vec<i64>,
}

impl Section {
    fn new(table: &Table, device: u32, text: &str) -> Self {
        // An id and its comma are five bytes or more, except at the beginnings of tables.
        let mut section = Self { device, slots: Vec::with_capacity(text.len() / 5), unknown: Vec::new() };
        for id in ids(text) {
            match table.by_id(id) {
                Some(slot) => section.slots.push(slot),
                None => section.unknown.push(id),
            }
        }
        section
    }
}

fn data(values: Values) -> Vec<Datum> {
    values.into_iter().map(Datum::from).collect()
}

impl Reader<'_> {
    /// All numbers that devices have, in pieces.
    async fn ranges(&mut self) -> Result<Vec<(i64, i64)>, SiteError> {
        let Some((first, last)) = facts::bounds(self.conn).await? else { return Ok(Vec::new()) };
        let piece = usize::try_from(PIECE).unwrap_or(1);
        Ok((first..=last).step_by(piece).map(|from| (from, (from + PIECE - 1).min(last))).collect())
    }

    fn class(&self, of: &Of) -> Option<Arc<Class>> {
        match of {
            Of::Class(name) => self.schema.class(&format!("SMS_G_System_{name}")),
            Of::System(_) => self.schema.class("SMS_R_System"),
        }
    }

    /// Who is a system, of those that changed; who is none any more has no rows.
    async fn systems_changed(
        &mut self,
        index: &mut Index,
        changed: &BTreeMap<String, RoaringBitmap>,
    ) -> Result<(), SiteError> {
        let Some(devices) = changed.get(SYSTEM) else { return Ok(()) };
        for range in ranges(devices) {
            let there = facts::systems(self.conn, range).await?;
            let there: BTreeMap<u32, bool> = there
                .into_iter()
                .map(|(system, client)| Ok((stored::number(system)?, client)))
                .collect::<Result<_, SiteError>>()?;
            for device in stored::number(range.0)?..=stored::number(range.1)? {
                let client = there.get(&device).copied();
                if client == Some(true) {
                    index.clients.insert(device)
                } else {
                    index.clients.remove(device)
                };
                if client.is_some() {
                    index.systems.insert(device);
                } else if index.systems.remove(device) {
                    index.tables.iter_mut().for_each(|(_, table)| table.set(device, Vec::new()));
                }
            }
        }
        Ok(())
    }

    /// Reads a whole table.
    async fn fill(
        &mut self,
        index: &mut Index,
        of: Of,
        names: BTreeSet<String>,
        clock: Clock,
    ) -> Result<(), SiteError> {
        let Some(class) = self.class(&of) else { return Ok(()) };
        let mut names = names;
        // What one rule asked about before, others ask about still; unless most of it is asked by no rule any more.
        if let Some(before) = index.table(&of).filter(|table| !table.is_crowded()) {
            names.extend(before.names().iter().cloned());
        }
        let attributes = attributes(&class, &names);
        let before = index.table_mut(&of).map(std::mem::take).filter(|table| !table.is_crowded());
        let mut room = Room::new(index, &of);
        let mut table = Table::new(attributes.iter().map(|a| a.name.clone()).collect(), before);
        for range in self.ranges().await? {
            if !self.piece(&mut table, &of, &class, &attributes, range, &mut room).await? {
                index.leave_out(of);
                return Ok(());
            }
        }
        // Looking for every kind of rows in all rows takes a while.
        let table = tokio::task::spawn_blocking(move || {
            table.settle(clock);
            table
        });
        let table = table.await.map_err(|error| SiteError::Fault(format!("the index could not be built: {error}")))?;
        index.put(of, table);
        Ok(())
    }

    /// Sets the rows of the devices between two numbers; `false`: there is no room for them.
    async fn piece(
        &mut self,
        table: &mut Table,
        of: &Of,
        class: &Arc<Class>,
        attributes: &[Attribute],
        range: (i64, i64),
        room: &mut Room,
    ) -> Result<bool, SiteError> {
        let mut gone: BTreeSet<u32> = (stored::number(range.0)?..=stored::number(range.1)?).collect();
        match of {
            Of::System(_) => {
                for (device, values) in facts::system_values(self.conn, class, attributes, range).await? {
                    let device = stored::number(device)?;
                    gone.remove(&device);
                    let slot = table.by_values(data(values));
                    table.set(device, vec![slot]);
                }
            }
            Of::Class(name) => {
                let sections = facts::sections(self.conn, name, range).await?;
                let section = |(device, text): &(i64, String)| Ok(Section::new(table, stored::number(*device)?, text));
                let sections: Vec<Section> = sections.iter().map(section).collect::<Result<_, SiteError>>()?;
                let unknown: BTreeSet<i64> = sections.iter().flat_map(|section| &section.unknown).copied().collect();
                // Only rows that somebody has: of the past there are many more.
                let unknown: Vec<i64> = unknown.into_iter().collect();
                for some in unknown.chunks(ROWS) {
                    let rows = facts::rows(self.conn, self.site.store.dialect(), class, attributes, some).await?;
                    rows.into_iter().for_each(|(id, values)| table.add_id(id, data(values)));
                    if !room.is_enough(table, false) {
                        return Ok(false);
                    }
                }
                for Section { device, mut slots, unknown } in sections {
                    gone.remove(&device);
                    slots.extend(unknown.into_iter().filter_map(|id| table.by_id(id)));
                    table.set(device, slots);
                }
            }
        }
        gone.into_iter().for_each(|device| table.set(device, Vec::new()));
        Ok(room.is_enough(table, true))
    }

    /// Reads what changed of a table; `false`: it grew too large, and is not there any more.
    async fn rows_changed(
        &mut self,
        index: &mut Index,
        of: &Of,
        changed: &BTreeMap<String, RoaringBitmap>,
    ) -> Result<bool, SiteError> {
        let classes: BTreeSet<&str> = match of {
            Of::Class(name) => BTreeSet::from([name.as_str()]),
            Of::System(names) => names.iter().flat_map(|name| behind(name)).copied().chain([SYSTEM]).collect(),
        };
        let mut devices = RoaringBitmap::new();
        for (class, changed) in changed {
            if class == ANY || classes.contains(class.as_str()) {
                devices |= changed;
            }
        }
        let (Some(class), false) = (self.class(of), devices.is_empty()) else { return Ok(true) };
        let mut room = Room::new(index, of);
        let Some(table) = index.table_mut(of) else { return Ok(true) };
        let attributes = attributes(&class, &table.names().iter().cloned().collect());
        for range in ranges(&devices) {
            if !self.piece(table, of, &class, &attributes, range, &mut room).await? {
                index.leave_out(of.clone());
                return Ok(false);
            }
        }
        Ok(true)
    }
}

/// Whether there is room for more. To count a table takes a while, so it is done when enough came.
#[derive(Debug)]
struct Room {
    others: usize,
    pieces: usize,
}

impl Room {
    fn new(index: &Index, of: &Of) -> Self {
        Self { others: index.weight_without(of), pieces: 0 }
    }

    fn is_enough(&mut self, table: &mut Table, piece: bool) -> bool {
        self.pieces += usize::from(piece);
        if self.pieces >= PIECES || table.has_grown() {
            self.pieces = 0;
            table.weigh();
        }
        self.others + table.weight() <= limits::INDEX_BYTES
    }
}

/// The attributes of these names, in their order.
fn attributes(class: &Class, names: &BTreeSet<String>) -> Vec<Attribute> {
    let is_wanted = |name: &&String| class.name == "SMS_R_System" || !leaf::is_one(name);
    names.iter().filter(is_wanted).filter_map(|name| class.attribute(name)).cloned().collect()
}

#[cfg(test)]
mod tests {
    use super::ids;

    #[test]
    fn ids_are_read_as_the_database_writes_them() {
        let read = |text: &str| ids(text).collect::<Vec<_>>();
        assert_eq!(read("[]"), [0_i64; 0]);
        assert_eq!(read("[7]"), [7]);
        assert_eq!(read("[1,22, 333,9223372036854775807]"), [1, 22, 333, i64::MAX]);
        assert_eq!(read(""), [0_i64; 0]);
    }
}
