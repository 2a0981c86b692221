//! From a checked query to sets of devices, where that means exactly the same; else the reason why it does not.
//!
//! A resource is found when there is a row of each class, all of that resource, for which the condition is true. So the condition is
//! brought into alternatives, each of which asks something of the resource and something of one row of each class: for each class
//! alone it is then known who has such a row. "Not" goes down to the single tests, which must be false then: unknown is neither.

use super::{
    form::{Form, Rows, Wanted},
    leaf::{Leaf, SOURCE},
};
use muster_model::{
    id::CollectionId,
    time::UnixMillis,
    wql::{
        Checked,
        check::{Domain, Field, Select, Source, Test, Value},
        date::Clock,
        schema::{Class, Kind, Role, Shape},
        tree::JoinKind,
        visit::{conjuncts, is_number, joined_by_number},
    },
};
use std::{
    collections::{BTreeMap, BTreeSet},
    sync::{Arc, LazyLock},
};

/// Alternatives of one condition.
const ALTERNATIVES: usize = 256;

/// Of which rows a set speaks.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) enum Of {
    /// Of an inventory class.
    Class(String),
    /// Of these attributes of systems: each has one row.
    System(Vec<String>),
}

/// A set of devices. `K` is how rows are named: by what they are, or by a number that the index gave.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Set<K> {
    /// Whoever has such a row.
    Has(K),
    /// Whoever is in that collection.
    Member(CollectionId),
    /// All of these; with none, everybody.
    And(Vec<Set<K>>),
    /// Any of these; with none, nobody.
    Or(Vec<Set<K>>),
    /// Everybody else.
    Not(Box<Set<K>>),
}

/// Rows, by what they are.
pub(crate) type Kindly = (Of, Rows);

/// The sets that a query means.
pub(crate) type Plan = Set<Kindly>;

/// Attributes that say when a device was in contact, which changes all the time and is noted nowhere.
const VOLATILE: [&str; 3] = ["AgentName", "AgentSite", "AgentTime"];
/// Attributes of a system that others decide about.
const BY_OTHERS: [&str; 2] = ["Active", "Obsolete"];

/// The sets that a query means; or why it has to be asked of the database.
pub(crate) fn plan(checked: &Checked) -> Result<Plan, String> {
    let named = checked.select.collections().unwrap_or_default();
    let planner = Planner { named: named.iter().filter_map(|id| id.parse().ok()).collect() };
    if !matches!(checked.from().role, Role::System) {
        return Err(format!("{} is not in the index", checked.from().name));
    }
    planner.select(&checked.select, true)
}

struct Planner {
    /// The collections of which members are asked for.
    named: Vec<CollectionId>,
}

/// How a source takes part.
#[derive(Debug, Clone, PartialEq)]
enum Part {
    /// Every system has one row.
    System,
    /// There must be a row.
    Inner,
    /// There may be none; rows are those for which this holds.
    Left(Rows),
}

/// What an alternative asks for.
#[derive(Debug, Clone, Default)]
struct Alternative {
    of_device: Vec<Plan>,
    of_rows: BTreeMap<usize, Vec<Rows>>,
}

/// A condition whose tests have found their place.
#[derive(Debug, Clone, PartialEq)]
enum Placed {
    Device(Plan),
    Row(usize, Wanted),
}

impl<K> Set<K> {
    /// Nobody.
    pub(crate) const NOBODY: Self = Self::Or(Vec::new());
    /// Everybody.
    pub(crate) const EVERYBODY: Self = Self::And(Vec::new());

    /// Calls `found` with every kind of rows.
    pub(crate) fn kinds<'a>(&'a self, found: &mut impl FnMut(&'a K)) {
        match self {
            Self::Has(kind) => found(kind),
            Self::Member(_) => {}
            Self::And(parts) | Self::Or(parts) => parts.iter().for_each(|part| part.kinds(found)),
            Self::Not(inner) => inner.kinds(found),
        }
    }

    /// The same with rows that are named in another way.
    pub(crate) fn named<M, E>(&self, kind: &mut impl FnMut(&K) -> Result<M, E>) -> Result<Set<M>, E> {
        let mut parts = |parts: &[Self]| parts.iter().map(|part| part.named(kind)).collect::<Result<Vec<_>, E>>();
        Ok(match self {
            Self::And(inner) => Set::And(parts(inner)?),
            Self::Or(inner) => Set::Or(parts(inner)?),
            Self::Has(it) => Set::Has(kind(it)?),
            Self::Member(id) => Set::Member(*id),
            Self::Not(inner) => Set::Not(Box::new(inner.named(kind)?)),
        })
    }
}

impl Planner {
    fn select(&self, select: &Select, outermost: bool) -> Result<Plan, String> {
        if select.count.is_some() {
            return Err("it counts".to_owned());
        }
        let mut parts: BTreeMap<usize, (Part, &Source)> = BTreeMap::new();
        let mut conditions: Vec<&Test> = Vec::new();
        for source in &select.sources {
            let part = self.part(select, source, &parts, &mut conditions, outermost)?;
            parts.insert(source.id, (part, source));
        }
        conditions.extend(&select.condition);
        let forms: Result<Vec<_>, _> = conditions.iter().map(|test| self.placed(test, true, &parts)).collect();
        let alternatives = alternatives(&Form::all(forms?))?;
        let mut any = Vec::new();
        for mut alternative in alternatives {
            let mut all = std::mem::take(&mut alternative.of_device);
            for (id, (part, source)) in &parts {
                let rows = Form::all(alternative.of_rows.remove(id).unwrap_or_default());
                match part {
                    Part::System => {}
                    Part::Inner => all.push(self.has(source, rows)?),
                    Part::Left(_) if rows == Form::ALL => {}
                    Part::Left(on) => {
                        let whole = rows.takes_nothing(CLOCK);
                        let mut either = vec![self.has(source, Form::all(vec![on.clone(), rows]))?];
                        if whole {
                            either.push(Set::Not(Box::new(self.has(source, on.clone())?)));
                        }
                        all.push(Set::Or(either));
                    }
                }
            }
            any.push(if all.len() == 1 { all.remove(0) } else { Set::And(all) });
        }
        Ok(if any.len() == 1 { any.remove(0) } else { Set::Or(any) })
    }

    fn part<'a>(
        &self,
        select: &Select,
        source: &'a Source,
        before: &BTreeMap<usize, (Part, &'a Source)>,
        conditions: &mut Vec<&'a Test>,
        outermost: bool,
    ) -> Result<Part, String> {
        let class = &source.class;
        match &class.role {
            Role::System | Role::Inventory(_) | Role::Members | Role::MembersOf(_) => {}
            _ => return Err(format!("{} is not in the index", class.name)),
        }
        let own = if class.role == Role::System { Part::System } else { Part::Inner };
        let Some((kind, on)) = &source.join else { return Ok(own) };
        let tests: Vec<&Test> = conjuncts(on).collect();
        let is_there = |id: usize| before.get(&id).is_some_and(|(part, _)| !matches!(part, Part::Left(_)));
        let by = tests.iter().position(|test| joined_by_number(test, source.id).is_some_and(is_there));
        let Some(by) = by else { return Err(format!("{} is not joined by the number of the resource", class.name)) };
        let rest = tests.iter().enumerate().filter(|(at, _)| *at != by).map(|(_, test)| *test);
        // Who is on the right alone is no system of the first class, and so never found; of a sub-select it may be a result.
        let left = match kind {
            JoinKind::Inner => false,
            JoinKind::Right if outermost && select.sources.last().is_some_and(|last| last.id == source.id) => false,
            JoinKind::Full if outermost && select.sources.last().is_some_and(|last| last.id == source.id) => true,
            JoinKind::Left => true,
            JoinKind::Right | JoinKind::Full => {
                return Err("it has a right or full join before other classes".to_owned());
            }
        };
        if !left {
            conditions.extend(rest);
            return Ok(own);
        }
        if class.role == Role::System {
            return Err(format!("{} is joined from the left", class.name));
        }
        let rows =
            rest.map(|test| match self.placed(test, true, &BTreeMap::from([(source.id, (Part::Inner, source))]))? {
                form if is_of_rows(&form) => form.map(&mut |placed| match placed {
                    Placed::Row(_, wanted) => Ok(Form::Leaf(wanted.clone())),
                    Placed::Device(_) => Err("a left join asks for more than a row".to_owned()),
                }),
                _ => Err(format!("the left join of {} asks about other classes", class.name)),
            });
        Ok(Part::Left(Form::all(rows.collect::<Result<_, String>>()?)))
    }

    /// A condition that must be true, or false, with each test where it belongs.
    fn placed(
        &self,
        test: &Test,
        truth: bool,
        parts: &BTreeMap<usize, (Part, &Source)>,
    ) -> Result<Form<Placed>, String> {
        let each =
            |tests: &[Test]| tests.iter().map(|test| self.placed(test, truth, parts)).collect::<Result<_, String>>();
        Ok(match (test, truth) {
            (Test::And(tests), true) | (Test::Or(tests), false) => Form::And(each(tests)?),
            (Test::Or(tests), true) | (Test::And(tests), false) => Form::Or(each(tests)?),
            (Test::Not(inner), truth) => self.placed(inner, !truth, parts)?,
            (Test::InSelect(domain, value, select), truth) => {
                Form::Leaf(self.among(*domain, value, select, truth, parts)?)
            }
            (Test::CompareSelect(..), _) => return Err("it compares with what a query gives".to_owned()),
            (test, truth) => Form::Leaf(self.leaf(test, truth, parts)?),
        })
    }

    /// A test of membership in what a query gives.
    fn among(
        &self,
        domain: Domain,
        value: &Value,
        select: &Select,
        truth: bool,
        parts: &BTreeMap<usize, (Part, &Source)>,
    ) -> Result<Placed, String> {
        let is_of_there = |field: &Field, parts: &BTreeMap<usize, (Part, &Source)>| {
            is_number(field)
                && field.attribute.kind == Kind::Number
                && parts.get(&field.source).is_some_and(|(part, _)| !matches!(part, Part::Left(_)))
        };
        let by_number = domain == Domain::Number && matches!(value, Value::Field(field) if is_of_there(field, parts));
        let output = select.outputs.first().filter(|output| is_number(&output.field));
        let (true, Some(output)) = (by_number, output) else {
            return Err("a sub-select gives something other than numbers of resources".to_owned());
        };
        let left = |source: &&Source| {
            source.id == output.field.source && source.join.as_ref().is_some_and(|(kind, _)| *kind != JoinKind::Inner)
        };
        if select.sources.iter().any(|source| left(&source)) {
            return Err("a sub-select may give nothing as a number".to_owned());
        }
        let found = self.select(select, false)?;
        Ok(Placed::Device(if truth { found } else { Set::Not(Box::new(found)) }))
    }

    fn leaf(&self, test: &Test, truth: bool, parts: &BTreeMap<usize, (Part, &Source)>) -> Result<Placed, String> {
        let mut test = test.clone();
        // The number of a row that is there is the number of the system.
        let system =
            parts.values().find(|(part, _)| *part == Part::System).map(|(_, source)| (source.id, &source.class));
        let is_null = matches!(test, Test::IsNull(_));
        if let Some((id, class)) = system
            && !is_null
        {
            test.change_fields(&mut |field| {
                let there = parts.get(&field.source).is_some_and(|(part, _)| *part == Part::Inner);
                if there
                    && is_number(field)
                    && let Some(number) = class.attribute("ResourceID")
                {
                    *field = Field { source: id, class: Arc::clone(class), attribute: number.clone() };
                }
            });
        }
        let fields: Vec<Field> = test.own_fields().into_iter().cloned().collect();
        let sources: BTreeSet<usize> = fields.iter().map(|field| field.source).collect();
        let several = || Err("it compares rows of two classes".to_owned());
        let source = match (sources.first(), sources.len()) {
            (Some(source), 1) => *source,
            (None, _) if test.asks_time() => return Err("it compares the time with itself".to_owned()),
            (None, _) => {
                let holds = muster_model::wql::eval::judge(&test, SOURCE, None, CLOCK) == Some(truth);
                return Ok(Placed::Device(if holds { Set::EVERYBODY } else { Set::NOBODY }));
            }
            _ if sources.iter().all(|id| parts.get(id).is_some_and(|(part, _)| *part == Part::System)) => {
                // Several names for the same system, joined by its number.
                *sources.first().unwrap_or(&SOURCE)
            }
            _ => return several(),
        };
        let Some((part, of)) = parts.get(&source) else {
            return Err("a sub-select asks about the row around it".to_owned());
        };
        check(&of.class, &fields)?;
        let mut attributes: Vec<String> = fields.iter().map(|field| field.attribute.name.clone()).collect();
        attributes.sort_unstable();
        attributes.dedup();
        let clocked = test.asks_time();
        test.change_fields(&mut |field| {
            field.source = SOURCE;
            field.class = Arc::clone(&NO_CLASS);
        });
        let wanted = Wanted { leaf: Leaf { test, attributes: attributes.clone(), clocked }, truth };
        if *part == Part::System {
            return Ok(Placed::Device(Set::Has((Of::System(attributes), Form::Leaf(wanted)))));
        }
        // Only whether there is a row at all.
        if attributes.iter().all(|name| is_number_name(name)) && is_null {
            return Ok(match part {
                Part::Left(_) => Placed::Row(source, wanted),
                _ => Placed::Device(if truth { Set::NOBODY } else { Set::EVERYBODY }),
            });
        }
        if attributes.iter().any(|name| is_number_name(name)) && !is_null {
            return Err(format!("it compares the number of a row of {}", of.class.name));
        }
        Ok(Placed::Row(source, wanted))
    }

    /// Who has such a row.
    fn has(&self, source: &Source, rows: Rows) -> Result<Plan, String> {
        let id = |id: &CollectionId| super::datum::Datum::Text(id.to_string().into());
        match &source.class.role {
            Role::Inventory(class) => Ok(Set::Has((Of::Class(class.clone()), rows))),
            Role::Members | Role::MembersOf(_) => {
                let own = match &source.class.role {
                    Role::MembersOf(own) => {
                        Some(own.parse::<CollectionId>().map_err(|_| format!("{own} is no id of a collection"))?)
                    }
                    _ => None,
                };
                let ready = rows.ready(CLOCK);
                let ids = self.named.iter().filter(|named| own.is_none_or(|own| own == **named));
                let takes = ids.filter(|named| {
                    let (id, one) = (id(named), super::datum::Datum::Int(1));
                    ready.takes(&|name: &str| if is_number_name(name) { &one } else { &id })
                });
                Ok(Set::Or(takes.map(|named| Set::Member(*named)).collect()))
            }
            _ => Ok(Set::EVERYBODY),
        }
    }
}

/// When what does not ask for the time is computed.
const CLOCK: Clock = Clock { now: UnixMillis(0), offset_minutes: 0 };

/// Fields of plans do not hold on to their class: two that mean the same are equal, and are kept once.
static NO_CLASS: LazyLock<Arc<Class>> = LazyLock::new(|| {
    Arc::new(Class { name: String::new(), role: Role::Other, several: false, attributes: Vec::new() })
});

fn is_number_name(name: &str) -> bool {
    ["ResourceID", "MachineID"].iter().any(|one| one.eq_ignore_ascii_case(name))
}

/// Whether the index has these attributes.
fn check(class: &Class, fields: &[Field]) -> Result<(), String> {
    for Field { attribute, .. } in fields {
        let name = attribute.name.as_str();
        let is_in = |names: &[&str]| names.iter().any(|one| one.eq_ignore_ascii_case(name));
        let why = match &class.role {
            Role::System if is_in(&VOLATILE) => "says when a device was in contact",
            Role::System if is_in(&BY_OTHERS) => "depends on other devices",
            Role::Inventory(_) if name == "TimeStamp" => "says when inventory came",
            Role::Members | Role::MembersOf(_) if !is_number_name(name) && name != "CollectionID" => {
                "is not kept of members"
            }
            Role::Inventory(_) if attribute.shape == Shape::Many => "has rows of its own",
            _ => continue,
        };
        return Err(format!("{name} of {} {why}", class.name));
    }
    Ok(())
}

fn is_of_rows(form: &Form<Placed>) -> bool {
    let mut rows = true;
    form.leaves(&mut |placed| rows &= matches!(placed, Placed::Row(..)));
    rows
}

/// The rows of one source, where it asks about nothing else.
fn single(form: &Form<Placed>) -> Option<usize> {
    let mut sources = BTreeSet::new();
    let mut device = false;
    form.leaves(&mut |placed| match placed {
        Placed::Device(_) => device = true,
        Placed::Row(source, _) => drop(sources.insert(*source)),
    });
    (!device && sources.len() == 1).then(|| sources.first().copied()).flatten()
}

fn device(form: &Form<Placed>) -> Option<Plan> {
    Some(match form {
        Form::And(parts) => Set::And(parts.iter().map(device).collect::<Option<_>>()?),
        Form::Or(parts) => Set::Or(parts.iter().map(device).collect::<Option<_>>()?),
        Form::Leaf(Placed::Device(plan)) => plan.clone(),
        Form::Leaf(Placed::Row(..)) => return None,
    })
}

/// The alternatives of a condition. What asks only about the device, or only about one row, stays together.
fn alternatives(form: &Form<Placed>) -> Result<Vec<Alternative>, String> {
    if let Some(plan) = device(form) {
        return Ok(vec![Alternative { of_device: vec![plan], of_rows: BTreeMap::new() }]);
    }
    if let Some(source) = single(form) {
        let rows = form.map(&mut |placed| match placed {
            Placed::Row(_, wanted) => Ok(Form::Leaf(wanted.clone())),
            Placed::Device(_) => Err("a row is no device".to_owned()),
        })?;
        return Ok(vec![Alternative { of_device: Vec::new(), of_rows: BTreeMap::from([(source, vec![rows])]) }]);
    }
    let found = match form {
        Form::Or(parts) => {
            // Those that ask about the same are one alternative.
            let mut groups: BTreeMap<Option<usize>, Vec<Form<Placed>>> = BTreeMap::new();
            let mut found = Vec::new();
            for part in parts {
                match (device(part), single(part)) {
                    (Some(_), _) => groups.entry(None).or_default().push(part.clone()),
                    (None, Some(source)) => groups.entry(Some(source)).or_default().push(part.clone()),
                    (None, None) => found.extend(alternatives(part)?),
                }
            }
            for (_, parts) in groups {
                found.extend(alternatives(&Form::any(parts))?);
            }
            found
        }
        Form::And(parts) => {
            let mut found = vec![Alternative::default()];
            for part in parts {
                let more = alternatives(part)?;
                if found.len() * more.len() > ALTERNATIVES {
                    return Err(format!("it has more than {ALTERNATIVES} alternatives"));
                }
                let both = |one: &Alternative, other: &Alternative| {
                    let mut both = one.clone();
                    both.of_device.extend(other.of_device.iter().cloned());
                    for (source, rows) in &other.of_rows {
                        both.of_rows.entry(*source).or_default().extend(rows.iter().cloned());
                    }
                    both
                };
                found = found.iter().flat_map(|one| more.iter().map(move |other| both(one, other))).collect();
            }
            found
        }
        Form::Leaf(_) => Vec::new(),
    };
    if found.len() > ALTERNATIVES {
        return Err(format!("it has more than {ALTERNATIVES} alternatives"));
    }
    Ok(found)
}
