//! A query computed row by row, in the plainest way: the second opinion to every other way of computing it.

use super::{
    check::{Checked, Domain, Field, Select, Test, Value},
    date::{self, Clock},
    schema::{Class, Kind, Shape},
    token::Number,
    tree::JoinKind,
};
use std::{cmp::Ordering, collections::BTreeSet, collections::HashMap};

/// What an attribute of a row holds.
#[derive(Debug, Clone, PartialEq)]
pub enum Cell {
    /// A text.
    Text(String),
    /// A whole number, a truth, or a moment in milliseconds UTC.
    Int(i64),
    /// A fraction.
    Real(f64),
    /// Several values. Those of agents belong together by their place.
    List(Vec<Cell>),
}

/// A row: attributes by their name in the schema; what is not there is not known.
pub type Row = HashMap<String, Cell>;

/// Where rows come from.
pub trait Rows {
    /// All rows of a class.
    fn rows(&self, class: &Class) -> Vec<Row>;
}

/// The resources that a query finds.
#[must_use]
pub fn members(checked: &Checked, rows: &impl Rows, clock: Clock) -> BTreeSet<i64> {
    let evaluator = Evaluator { rows, clock };
    let found = evaluator.select(&checked.select, &Scope::default());
    let from = checked.select.sources[0].id;
    let id = |scope: &Scope| match scope.rows.get(&from)?.as_ref()?.get("ResourceID")? {
        Cell::Int(id) => Some(*id),
        _ => None,
    };
    found.iter().filter_map(id).collect()
}

/// The first rows, one of each source by its number, for which a query finds something; a source that a left join left empty has none.
#[must_use]
pub fn first(checked: &Checked, rows: &impl Rows, clock: Clock) -> Option<HashMap<usize, Option<Row>>> {
    let found = Evaluator { rows, clock }.select(&checked.select, &Scope::default());
    found.into_iter().next().map(|scope| scope.rows)
}

/// No rows of any class.
struct Nothing;

impl Rows for Nothing {
    fn rows(&self, _: &Class) -> Vec<Row> {
        Vec::new()
    }
}

/// What a test says of one row of a source; `None` as row: a row that a join left empty. Sub-selects find nothing.
#[must_use]
pub fn judge(test: &Test, source: usize, row: Option<Row>, clock: Clock) -> Option<bool> {
    let scope = Scope { rows: HashMap::from([(source, row)]), elements: HashMap::new() };
    Evaluator { rows: &Nothing, clock }.test(test, &scope)
}

/// What a value without any attribute is, in a domain.
#[must_use]
pub fn constant(domain: Domain, value: &Value, clock: Clock) -> Option<Cell> {
    Evaluator { rows: &Nothing, clock }.in_domain(domain, value, &Scope::default())
}

/// One row of each source, and the elements that are being asked about.
#[derive(Debug, Clone, Default)]
struct Scope {
    rows: HashMap<usize, Option<Row>>,
    elements: HashMap<usize, usize>,
}

struct Evaluator<'a, R> {
    rows: &'a R,
    clock: Clock,
}

/// Text as it is compared.
#[must_use]
pub fn key(text: &str) -> String {
    text.to_ascii_lowercase().trim_end_matches(' ').to_owned()
}

/// The whole number that a text is, where it is one.
#[must_use]
pub fn whole(text: &str) -> Option<i64> {
    let text = text.trim_matches(' ');
    let digits = text.strip_prefix(['+', '-']).unwrap_or(text);
    let fits = (1..=18).contains(&digits.len()) && digits.bytes().all(|b| b.is_ascii_digit());
    fits.then(|| text.parse().ok()).flatten()
}

impl<R: Rows> Evaluator<'_, R> {
    /// The rows of a query, as scopes.
    fn select(&self, select: &Select, outer: &Scope) -> Vec<Scope> {
        let mut found = vec![outer.clone()];
        for (at, source) in select.sources.iter().enumerate() {
            let rows = self.rows.rows(&source.class);
            let before: Vec<usize> = select.sources[..at].iter().map(|source| source.id).collect();
            found = self.joined(source, rows, found, &before, outer);
        }
        found.retain(|scope| select.condition.as_ref().is_none_or(|test| self.test(test, scope) == Some(true)));
        found
    }

    fn joined(
        &self,
        source: &super::check::Source,
        rows: Vec<Row>,
        left: Vec<Scope>,
        before: &[usize],
        outer: &Scope,
    ) -> Vec<Scope> {
        let mut found = Vec::new();
        let mut partnered = vec![false; rows.len()];
        let kind = source.join.as_ref().map(|(kind, _)| *kind);
        for scope in &left {
            let mut alone = true;
            for (at, row) in rows.iter().enumerate() {
                let mut pair = scope.clone();
                pair.rows.insert(source.id, Some(row.clone()));
                if source.join.as_ref().is_none_or(|(_, on)| self.test(on, &pair) == Some(true)) {
                    partnered[at] = true;
                    alone = false;
                    found.push(pair);
                }
            }
            if alone && matches!(kind, Some(JoinKind::Left | JoinKind::Full)) {
                let mut lonely = scope.clone();
                lonely.rows.insert(source.id, None);
                found.push(lonely);
            }
        }
        if matches!(kind, Some(JoinKind::Right | JoinKind::Full)) {
            for (row, _) in rows.iter().zip(&partnered).filter(|(_, partnered)| !**partnered) {
                let mut lonely = outer.clone();
                lonely.rows.extend(before.iter().map(|id| (*id, None)));
                lonely.rows.insert(source.id, Some(row.clone()));
                found.push(lonely);
            }
        }
        found
    }

    /// What a sub-select gives.
    fn results(&self, select: &Select, scope: &Scope) -> Vec<Option<Cell>> {
        let found = self.select(select, scope);
        if let Some(count) = &select.count {
            let counted = |scope: &&Scope| count.as_ref().is_none_or(|value| self.value(value, scope).is_some());
            return vec![Some(Cell::Int(found.iter().filter(counted).count() as i64))];
        }
        let Some(output) = select.outputs.first() else { return Vec::new() };
        let value = |scope: &Scope| match output.field.attribute.shape {
            Shape::One => self.value(&Value::Field(output.field.clone()), scope),
            _ => self.value(&Value::Joined(output.field.clone()), scope),
        };
        let mut values: Vec<_> = found.iter().map(value).collect();
        if select.distinct {
            values = values
                .iter()
                .enumerate()
                .filter(|(at, v)| !values[..*at].contains(v))
                .map(|(_, v)| v.clone())
                .collect();
        }
        values
    }

    fn result_kind(select: &Select) -> Option<Kind> {
        match select.outputs.first() {
            Some(output) if output.field.attribute.shape == Shape::One => Some(output.field.attribute.kind),
            Some(_) => Some(Kind::Text),
            None => Some(Kind::Number),
        }
    }

    fn test(&self, test: &Test, scope: &Scope) -> Option<bool> {
        match test {
            Test::Or(parts) => any(parts.iter().map(|part| self.test(part, scope))),
            Test::And(parts) => {
                any(parts.iter().map(|part| self.test(part, scope).map(|truth| !truth))).map(|truth| !truth)
            }
            Test::Not(inner) => self.test(inner, scope).map(|truth| !truth),
            Test::Compare(domain, comparison, left, right) => {
                let order = compare(&self.in_domain(*domain, left, scope)?, &self.in_domain(*domain, right, scope)?);
                Some(comparison.holds(order))
            }
            Test::CompareSelect(domain, comparison, left, select) => {
                let results = self.results(select, scope);
                let [Some(only)] = results.as_slice() else { return None };
                let only = self.converted(*domain, only.clone(), Self::result_kind(select))?;
                Some(comparison.holds(compare(&self.in_domain(*domain, left, scope)?, &only)))
            }
            Test::Like { value, pattern, trimmed } => match self.in_text(value, scope)? {
                text if *trimmed => Some(pattern.matches(text.trim_end_matches(' '))),
                text => Some(pattern.matches(&text)),
            },
            Test::In(domain, value, values) => {
                let value = self.in_domain(*domain, value, scope)?;
                any(values
                    .iter()
                    .map(|item| self.in_domain(*domain, item, scope).map(|item| compare(&value, &item).is_eq())))
            }
            Test::InSelect(domain, value, select) => {
                let results = self.results(select, scope);
                if results.is_empty() {
                    return Some(false);
                }
                let value = self.in_domain(*domain, value, scope)?;
                let kind = Self::result_kind(select);
                any(results.into_iter().map(|item| {
                    let item = item.and_then(|item| self.converted(*domain, item, kind))?;
                    Some(compare(&value, &item).is_eq())
                }))
            }
            Test::IsNull(value) => Some(self.value(value, scope).is_none()),
            Test::Any { id, field, test } => self.any_element(*id, field, test, scope),
        }
    }

    fn any_element(&self, id: usize, field: &Field, test: &Test, scope: &Scope) -> Option<bool> {
        let list = self.list(field, scope);
        let is_list = field.attribute.shape == Shape::List;
        // One more than there are: the list as one text.
        let places = match &list {
            None if is_list => return None,
            None => 0,
            Some(list) => list.len() + usize::from(is_list),
        };
        let holds = |at: usize| {
            let mut inner = scope.clone();
            inner.elements.insert(id, at);
            self.test(test, &inner) == Some(true)
        };
        Some((0..places).any(holds))
    }

    fn cell<'a>(&self, field: &Field, scope: &'a Scope) -> Option<&'a Cell> {
        scope.rows.get(&field.source)?.as_ref()?.get(&field.attribute.name)
    }

    fn list(&self, field: &Field, scope: &Scope) -> Option<Vec<Cell>> {
        match self.cell(field, scope)? {
            Cell::List(list) => Some(list.clone()),
            one => Some(vec![one.clone()]),
        }
    }

    fn joined_text(&self, field: &Field, scope: &Scope) -> Option<Cell> {
        let list = self.list(field, scope)?;
        let texts: Vec<String> = list.into_iter().filter_map(|cell| self.as_text(cell, field.attribute.kind)).collect();
        (!texts.is_empty()).then(|| Cell::Text(texts.join(",")))
    }

    /// A value as it is: a moment in UTC.
    fn value(&self, value: &Value, scope: &Scope) -> Option<Cell> {
        match value {
            Value::Null => None,
            Value::Text(text) => Some(Cell::Text(text.clone())),
            Value::Number(Number::Int(number)) => Some(Cell::Int(*number)),
            Value::Number(Number::Real(number)) => Some(Cell::Real(*number)),
            Value::Local(local) => date::known(local - self.clock.offset()).map(Cell::Int),
            Value::Now => date::known(self.clock.now.0).map(Cell::Int),
            Value::Field(field) => {
                let cell = self.cell(field, scope)?.clone();
                match (field.attribute.kind, cell) {
                    (Kind::Moment, Cell::Int(moment)) => date::known(moment).map(Cell::Int),
                    (_, cell) => Some(cell),
                }
            }
            Value::Joined(field) => self.joined_text(field, scope),
            Value::Element(id, field) => match self.list(field, scope)?.get(*scope.elements.get(id)?) {
                Some(cell) => Some(cell.clone()),
                None => self.joined_text(field, scope),
            },
            Value::DateDiff(part, from, to) => {
                Some(Cell::Int(date::difference(*part, self.local(from, scope)?, self.local(to, scope)?)))
            }
            Value::DateAdd(part, number, of) => {
                let local = date::plus(*part, *number, self.local(of, scope)?)?;
                date::known(local - self.clock.offset()).map(Cell::Int)
            }
            Value::DatePart(part, of) => Some(Cell::Int(date::part(*part, self.local(of, scope)?))),
            Value::Case(upper, of) => {
                let text = self.in_text(of, scope)?;
                Some(Cell::Text(if *upper { text.to_ascii_uppercase() } else { text.to_ascii_lowercase() }))
            }
            Value::Substring(of, start, length) => {
                let text = self.in_text(of, scope)?;
                let (start, length) = (usize::try_from(start - 1).ok()?, usize::try_from(*length).ok()?);
                Some(Cell::Text(text.chars().skip(start).take(length).collect()))
            }
        }
    }

    /// A moment in the site's local time.
    fn local(&self, value: &Value, scope: &Scope) -> Option<i64> {
        match self.value(value, scope)? {
            Cell::Int(moment) => date::known(moment + self.clock.offset()),
            _ => None,
        }
    }

    fn as_text(&self, cell: Cell, kind: Kind) -> Option<String> {
        Some(match cell {
            Cell::Text(text) => text,
            Cell::Int(moment) if kind == Kind::Moment => date::text(date::known(moment + self.clock.offset())?),
            Cell::Int(number) => number.to_string(),
            Cell::Real(number) => number.to_string(),
            Cell::List(_) => return None,
        })
    }

    fn in_text(&self, value: &Value, scope: &Scope) -> Option<String> {
        let cell = self.value(value, scope)?;
        self.as_text(cell, value.kind()?)
    }

    fn in_domain(&self, domain: Domain, value: &Value, scope: &Scope) -> Option<Cell> {
        let cell = self.value(value, scope)?;
        self.converted(domain, cell, value.kind())
    }

    fn converted(&self, domain: Domain, cell: Cell, kind: Option<Kind>) -> Option<Cell> {
        match (domain, cell) {
            (Domain::Text, cell) => Some(Cell::Text(key(&self.as_text(cell, kind?)?))),
            (Domain::Number, Cell::Text(text)) => whole(&text).map(Cell::Int),
            (Domain::Number, cell) => Some(cell),
            (Domain::Moment, Cell::Int(moment)) if kind == Some(Kind::Moment) => Some(Cell::Int(moment)),
            (Domain::Moment, _) => None,
        }
    }
}

fn any(parts: impl Iterator<Item = Option<bool>>) -> Option<bool> {
    let mut unknown = false;
    for part in parts {
        match part {
            Some(true) => return Some(true),
            None => unknown = true,
            Some(false) => {}
        }
    }
    (!unknown).then_some(false)
}

fn compare(left: &Cell, right: &Cell) -> Ordering {
    let real = |cell: &Cell| match cell {
        Cell::Int(number) => *number as f64,
        Cell::Real(number) => *number,
        Cell::Text(_) | Cell::List(_) => f64::NAN,
    };
    match (left, right) {
        (Cell::Text(left), Cell::Text(right)) => left.cmp(right),
        (Cell::Int(left), Cell::Int(right)) => left.cmp(right),
        _ => real(left).total_cmp(&real(right)),
    }
}
