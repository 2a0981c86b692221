//! The index: what rules ask about, in memory, as columns and sets. It serves membership; queries that somebody asks, previews and
//! reports are asked of the database, and so is what the index cannot answer. Losing it costs the seconds that it takes to build.

mod datum;
mod form;
mod leaf;
mod load;
mod plan;
mod table;
#[cfg(test)]
mod tests;

pub(super) use load::{behind, follow};
pub(super) use plan::{Plan, Set, plan};

use muster_model::{id::CollectionId, limits, wql::date::Clock};
use plan::Of;
use roaring::RoaringBitmap;
use std::{
    borrow::Cow,
    collections::{BTreeMap, BTreeSet, HashMap},
};
use table::Table;

/// So many devices are looked at one by one; more of them as sets.
const FEW: u64 = 64;

/// A kind of rows in the index: which table, and which of its kinds.
pub(crate) type Kind = (u32, u32);
/// The sets that a rule means, ready to be computed.
pub(crate) type Answer = Set<Kind>;

/// The index.
#[derive(Debug, Default)]
pub(crate) struct Index {
    numbers: HashMap<Of, u32>,
    tables: Vec<(Of, Table)>,
    /// Every system.
    systems: RoaringBitmap,
    /// Those on which a client runs.
    clients: RoaringBitmap,
    /// What takes more memory than the index may have.
    over: BTreeSet<Of>,
    filled: bool,
}

/// What the index is like.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Figures {
    /// Devices.
    pub(crate) devices: u64,
    /// Bytes, about.
    pub(crate) bytes: u64,
    /// The number of the evaluation up to which it followed the database.
    pub(crate) as_of: i64,
    /// Rules that it answers.
    pub(crate) by_index: u64,
    /// Rules that are asked of the database.
    pub(crate) by_sql: u64,
    /// Why a rule is, by its number, where that is not to be seen from its text.
    pub(crate) because: BTreeMap<i64, String>,
}

/// Tables, and the attributes that they need.
pub(crate) type Needs = BTreeMap<Of, BTreeSet<String>>;

/// The tables and attributes that plans need.
pub(super) fn needs<'a>(plans: impl Iterator<Item = &'a Plan>) -> Needs {
    let mut needs = Needs::new();
    for plan in plans {
        plan.kinds(&mut |(of, rows)| {
            let names = needs.entry(of.clone()).or_default();
            match of {
                Of::System(attributes) => names.extend(attributes.iter().cloned()),
                Of::Class(_) => rows.leaves(&mut |wanted| {
                    names.extend(wanted.leaf.attributes.iter().filter(|name| !leaf::is_one(name)).cloned());
                }),
            }
        });
    }
    needs
}

impl Index {
    /// What is to be computed for a plan; or why it cannot be here.
    pub(super) fn answer(&mut self, plan: &Plan, clock: Clock) -> Result<Answer, String> {
        plan.named(&mut |(of, rows)| {
            if self.over.contains(of) {
                return Err(format!("the index would have more than {} MiB", limits::INDEX_BYTES >> 20));
            }
            let missing = || format!("{of:?} is not in the index");
            let table = *self.numbers.get(of).ok_or_else(missing)?;
            let (_, of_class) = self.tables.get_mut(table as usize).ok_or_else(missing)?;
            let (kind, new) = of_class.kind(rows);
            if new {
                of_class.seek(kind, clock);
            }
            Ok((table, kind))
        })
    }

    /// Members of what a rule means, of the devices in `scope`, or of all.
    pub(super) fn members<'a>(
        &'a self,
        set: &Answer,
        scope: Option<&RoaringBitmap>,
        member: &impl Fn(CollectionId) -> Cow<'a, RoaringBitmap>,
        clock: Clock,
    ) -> RoaringBitmap {
        match scope {
            Some(scope) if scope.len() <= FEW => {
                let is = |id: CollectionId, device: u32| member(id).contains(device);
                let takes = |device: &u32| self.systems.contains(*device) && self.contains(set, *device, &is, clock);
                scope.iter().filter(takes).collect()
            }
            Some(scope) => self.of(set, Some(scope), member, clock).as_ref() & scope & &self.systems,
            None => self.of(set, None, member, clock).as_ref() & &self.systems,
        }
    }

    /// Whether a device is one.
    pub(super) fn contains(
        &self,
        set: &Answer,
        device: u32,
        member: &impl Fn(CollectionId, u32) -> bool,
        clock: Clock,
    ) -> bool {
        match set {
            Set::Has((table, kind)) => {
                let table = self.tables.get(*table as usize);
                table.is_some_and(|(_, table)| table.has_kind(*kind, device, clock))
            }
            Set::Member(id) => member(*id, device),
            Set::And(parts) => parts.iter().all(|part| self.contains(part, device, member, clock)),
            Set::Or(parts) => parts.iter().any(|part| self.contains(part, device, member, clock)),
            Set::Not(inner) => !self.contains(inner, device, member, clock),
        }
    }

    /// The devices of a set; of those outside of the scope it says nothing.
    fn of<'a>(
        &'a self,
        set: &Answer,
        scope: Option<&RoaringBitmap>,
        member: &impl Fn(CollectionId) -> Cow<'a, RoaringBitmap>,
        clock: Clock,
    ) -> Cow<'a, RoaringBitmap> {
        let within = |all: Cow<'a, RoaringBitmap>| match scope {
            Some(scope) => Cow::Owned(all.as_ref() & scope),
            None => all,
        };
        match set {
            Set::Has((table, kind)) => match (self.tables.get(*table as usize), scope) {
                (Some((_, table)), Some(scope)) => Cow::Owned(table.devices_within(*kind, scope, clock)),
                (Some((_, table)), None) => table.devices(*kind, clock),
                (None, _) => Cow::Owned(RoaringBitmap::new()),
            },
            Set::Member(id) => within(member(*id)),
            Set::And(parts) => {
                let (out, inside): (Vec<_>, Vec<_>) = parts.iter().partition(|part| matches!(part, Set::Not(_)));
                let mut inside = inside.into_iter();
                let first = match inside.next() {
                    Some(part) => self.of(part, scope, member, clock),
                    None => within(Cow::Borrowed(&self.systems)),
                };
                let both = |all: Cow<'a, RoaringBitmap>, part: &Answer| {
                    // Who is out already need not be looked at again.
                    Cow::Owned(all.as_ref() & self.of(part, scope, member, clock).as_ref())
                };
                let all = inside.fold(first, |all, part| if all.is_empty() { all } else { both(all, part) });
                out.into_iter().fold(all, |all, part| match part {
                    Set::Not(inner) => Cow::Owned(all.as_ref() - self.of(inner, scope, member, clock).as_ref()),
                    _ => all,
                })
            }
            Set::Or(parts) => {
                let mut parts = parts.iter();
                let Some(first) = parts.next() else { return Cow::Owned(RoaringBitmap::new()) };
                let first = self.of(first, scope, member, clock);
                parts.fold(first, |any, part| Cow::Owned(any.as_ref() | self.of(part, scope, member, clock).as_ref()))
            }
            Set::Not(inner) => {
                let all = within(Cow::Borrowed(&self.systems));
                Cow::Owned(all.as_ref() - self.of(inner, scope, member, clock).as_ref())
            }
        }
    }

    /// About how many bytes it takes.
    pub(super) fn bytes(&mut self) -> usize {
        self.tables.iter_mut().for_each(|(_, table)| table.weigh());
        self.systems.serialized_size() + self.tables.iter().map(|(_, table)| table.weight()).sum::<usize>()
    }

    /// About how many bytes the other tables took when they were last counted.
    fn weight_without(&self, of: &Of) -> usize {
        let others = self.tables.iter().filter(|(other, _)| other != of);
        self.systems.serialized_size() + others.map(|(_, table)| table.weight()).sum::<usize>()
    }

    /// What has no room: rules about it are asked of the database.
    fn leave_out(&mut self, of: Of) {
        tracing::warn!(?of, "The index would have too many bytes; rules about this are asked of the database.");
        self.put(of.clone(), Table::default());
        self.over.insert(of);
    }

    /// Says which kinds rules ask for: a table whose kinds are mostly those of rules that are gone is read anew.
    pub(super) fn asked_for<'a>(&mut self, answers: impl Iterator<Item = &'a Answer>) {
        let mut kinds: BTreeSet<Kind> = BTreeSet::new();
        answers.for_each(|answer| answer.kinds(&mut |kind| kinds.extend([*kind])));
        for (at, (_, table)) in (0_u32..).zip(&mut self.tables) {
            table.asked_for(kinds.range((at, 0)..=(at, u32::MAX)).count());
        }
    }

    /// The systems of these, or all; or only those on which a client runs.
    pub(super) fn systems(&self, scope: Option<&RoaringBitmap>, clients: bool) -> RoaringBitmap {
        let systems = if clients { &self.clients } else { &self.systems };
        scope.map_or_else(|| systems.clone(), |scope| systems & scope)
    }

    /// Whether it was built.
    pub(super) fn is_filled(&self) -> bool {
        self.filled
    }

    /// How many devices it knows.
    pub(super) fn devices(&self) -> u64 {
        self.systems.len()
    }

    fn table(&self, of: &Of) -> Option<&Table> {
        self.numbers.get(of).and_then(|at| self.tables.get(*at as usize)).map(|(_, table)| table)
    }

    fn table_mut(&mut self, of: &Of) -> Option<&mut Table> {
        self.numbers.get(of).and_then(|at| self.tables.get_mut(*at as usize)).map(|(_, table)| table)
    }

    /// Puts a table in the place of the one that was there; what that looked for has the same numbers here.
    fn put(&mut self, of: Of, table: Table) {
        match self.table_mut(&of) {
            Some(place) => *place = table,
            None => {
                let at = u32::try_from(self.tables.len()).unwrap_or(u32::MAX);
                self.numbers.insert(of.clone(), at);
                self.tables.push((of, table));
            }
        }
    }
}
