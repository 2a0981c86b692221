//! One test of a row, made ready to be asked of many values. What has no short way is asked of the evaluator, value by value.

use super::datum::Datum;
use muster_model::wql::{
    check::{Domain, Test, Value},
    date::{self, Clock},
    eval::{self, Cell, Row},
    like::{Pattern, Step},
    schema::Kind,
    tree::{Comparison, Part},
};
use std::collections::HashSet;

/// Every source has this number here.
pub(crate) const SOURCE: usize = 0;

/// A test of a row.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Leaf {
    /// The test.
    pub(crate) test: Test,
    /// The attributes that it asks about.
    pub(crate) attributes: Vec<String>,
    /// Whether it asks what time it is.
    pub(crate) clocked: bool,
}

/// A test that is ready.
pub(crate) struct Ready<'a> {
    leaf: &'a Leaf,
    clock: Clock,
    short: Option<Short>,
}

/// A text that a pattern looks for.
enum Sought {
    Whole(String),
    Start(String),
    End(String),
    Within(String),
    Other(Pattern),
}

/// A short way for one attribute.
enum Short {
    Null,
    /// Against a text, as texts are compared.
    Text(Comparison, String),
    Texts(HashSet<String>),
    /// `true`: blanks at the end are cut before.
    Like(Sought, bool),
    Number(Comparison, i64),
    /// As [`Self::Number`], of a moment: one that nobody can count with is unknown.
    Moment(Comparison, i64),
    Numbers(HashSet<i64>),
    /// Boundaries between the attribute and a moment, or from that moment to it.
    Age {
        part: Part,
        from_field: bool,
        local: i64,
        offset: i64,
        comparison: Comparison,
        number: i64,
    },
}

fn turned(comparison: Comparison) -> Comparison {
    match comparison {
        Comparison::Less => Comparison::Greater,
        Comparison::LessOrEqual => Comparison::GreaterOrEqual,
        Comparison::Greater => Comparison::Less,
        Comparison::GreaterOrEqual => Comparison::LessOrEqual,
        same => same,
    }
}

fn sought(pattern: &Pattern) -> Sought {
    let text = |steps: &[Step]| {
        let char = |step: &Step| if let Step::Char(c) = step { Some(*c) } else { None };
        steps.iter().map(char).collect::<Option<String>>()
    };
    let other = || Sought::Other(pattern.clone());
    match pattern.steps.as_slice() {
        [Step::Any, inner @ .., Step::Any] => text(inner).map_or_else(other, Sought::Within),
        [Step::Any, inner @ ..] => text(inner).map_or_else(other, Sought::End),
        [inner @ .., Step::Any] => text(inner).map_or_else(other, Sought::Start),
        inner => text(inner).map_or_else(other, Sought::Whole),
    }
}

impl Short {
    fn of(test: &Test, clock: Clock) -> Option<Self> {
        match test {
            // A moment that nobody can count with is none.
            Test::IsNull(Value::Field(field)) if field.attribute.kind != Kind::Moment => Some(Self::Null),
            Test::Compare(domain, comparison, left, right) => match (left, right) {
                (left, right) if right.is_constant() => Self::compare(*domain, *comparison, left, right, clock),
                (left, right) if left.is_constant() => Self::compare(*domain, turned(*comparison), right, left, clock),
                _ => None,
            },
            Test::Like { value: Value::Field(field), pattern, trimmed } if field.attribute.kind == Kind::Text => {
                Some(Self::Like(sought(pattern), *trimmed))
            }
            Test::In(domain, Value::Field(field), values) => {
                let known = values.iter().map(|value| eval::constant(*domain, value, clock));
                match (domain, field.attribute.kind) {
                    (Domain::Text, Kind::Text) => {
                        let text = |cell| if let Some(Cell::Text(text)) = cell { Some(text) } else { None };
                        known.map(text).collect::<Option<_>>().map(Self::Texts)
                    }
                    (Domain::Number, Kind::Number | Kind::Truth) => {
                        let number = |cell| if let Some(Cell::Int(number)) = cell { Some(number) } else { None };
                        known.map(number).collect::<Option<_>>().map(Self::Numbers)
                    }
                    _ => None,
                }
            }
            _ => None,
        }
    }

    fn compare(domain: Domain, comparison: Comparison, of: &Value, with: &Value, clock: Clock) -> Option<Self> {
        let constant = eval::constant(domain, with, clock)?;
        match (domain, of, constant) {
            (Domain::Text, Value::Field(field), Cell::Text(text)) if field.attribute.kind == Kind::Text => {
                Some(Self::Text(comparison, text))
            }
            (Domain::Number, Value::Field(field), Cell::Int(number))
                if matches!(field.attribute.kind, Kind::Number | Kind::Truth) =>
            {
                Some(Self::Number(comparison, number))
            }
            (Domain::Moment, Value::Field(field), Cell::Int(moment)) if field.attribute.kind == Kind::Moment => {
                Some(Self::Moment(comparison, moment))
            }
            (Domain::Number, Value::DateDiff(part, from, to), Cell::Int(number)) => {
                let (from_field, other) = match (&**from, &**to) {
                    (Value::Field(_), other) if other.is_constant() => (true, other),
                    (other, Value::Field(_)) if other.is_constant() => (false, other),
                    _ => return None,
                };
                let Cell::Int(moment) = eval::constant(Domain::Moment, other, clock)? else { return None };
                let local = date::known(moment + clock.offset())?;
                Some(Self::Age { part: *part, from_field, local, offset: clock.offset(), comparison, number })
            }
            _ => None,
        }
    }

    /// `None`: the short way does not lead there.
    fn says(&self, datum: &Datum) -> Option<Option<bool>> {
        let lower = |text: &str| text.to_ascii_lowercase();
        Some(Some(match (self, datum) {
            (Self::Null, datum) => *datum == Datum::Null,
            (_, Datum::Null) => return Some(None),
            (Self::Text(comparison, key), Datum::Text(text)) => {
                let text = text.trim_end_matches(' ');
                match comparison {
                    Comparison::Equal => text.eq_ignore_ascii_case(key),
                    Comparison::NotEqual => !text.eq_ignore_ascii_case(key),
                    _ => comparison.holds(lower(text).as_str().cmp(key)),
                }
            }
            (Self::Texts(keys), Datum::Text(text)) => keys.contains(&lower(text.trim_end_matches(' '))),
            (Self::Like(sought, trimmed), Datum::Text(text)) => {
                let text = if *trimmed { text.trim_end_matches(' ') } else { text };
                match sought {
                    Sought::Whole(part) => text.eq_ignore_ascii_case(part),
                    Sought::Start(part) => {
                        text.as_bytes().get(..part.len()).is_some_and(|s| s.eq_ignore_ascii_case(part.as_bytes()))
                    }
                    Sought::End(part) => {
                        let from = text.len().checked_sub(part.len());
                        let end = from.and_then(|from| text.as_bytes().get(from..));
                        end.is_some_and(|end| end.eq_ignore_ascii_case(part.as_bytes()))
                    }
                    Sought::Within(part) => lower(text).contains(part.as_str()),
                    Sought::Other(pattern) => pattern.matches(text),
                }
            }
            (Self::Number(comparison, number), Datum::Int(it)) => comparison.holds(it.cmp(number)),
            (Self::Moment(comparison, moment), Datum::Int(it)) => {
                let Some(it) = date::known(*it) else { return Some(None) };
                comparison.holds(it.cmp(moment))
            }
            (Self::Numbers(numbers), Datum::Int(it)) => numbers.contains(it),
            (Self::Age { part, from_field, local, offset, comparison, number }, Datum::Int(moment)) => {
                let Some(of) = date::known(moment.saturating_add(*offset)) else { return Some(None) };
                let (from, to) = if *from_field { (of, *local) } else { (*local, of) };
                comparison.holds(date::difference(*part, from, to).cmp(number))
            }
            _ => return None,
        }))
    }
}

impl Leaf {
    /// Ready to be asked at this moment.
    pub(crate) fn ready(&self, clock: Clock) -> Ready<'_> {
        let short = if self.attributes.len() == 1 { Short::of(&self.test, clock) } else { None };
        Ready { leaf: self, clock, short }
    }

    /// What it says of a row that a join left empty.
    pub(crate) fn of_nothing(&self, clock: Clock) -> Option<bool> {
        eval::judge(&self.test, SOURCE, None, clock)
    }
}

impl Ready<'_> {
    /// The attributes that it asks about.
    pub(crate) fn attributes(&self) -> &[String] {
        &self.leaf.attributes
    }

    /// What it says of a row: its values in the order of the attributes.
    pub(crate) fn says(&self, values: &[&Datum]) -> Option<bool> {
        if let (Some(short), [one]) = (&self.short, values)
            && let Some(said) = short.says(one)
        {
            return said;
        }
        let attributes = self.leaf.attributes.iter().zip(values);
        let row: Row = attributes.filter_map(|(name, value)| Some((name.clone(), value.cell()?))).collect();
        eval::judge(&self.leaf.test, SOURCE, Some(row), self.clock)
    }
}

/// Whether every row has something there that is no column of its own: what Configuration Manager numbers its rows by, and whose it
/// is. It is only asked whether there is one.
pub(crate) fn is_one(name: &str) -> bool {
    ["GroupID", "RevisionID", "ResourceID", "MachineID"].iter().any(|one| one.eq_ignore_ascii_case(name))
}

#[cfg(test)]
mod tests {
    use super::*;
    use muster_model::{
        time::UnixMillis,
        wql::{Schema, check, parse},
    };

    const CLOCK: Clock = Clock { now: UnixMillis(1_710_030_600_000), offset_minutes: 60 };

    fn leaf(condition: &str) -> Leaf {
        let text = format!("select * from SMS_G_System_OPERATING_SYSTEM where {condition}");
        let checked = check(&parse(&text).unwrap(), Schema::built_in()).unwrap();
        let test = checked.select.condition.unwrap();
        let mut attributes: Vec<String> = test.own_fields().iter().map(|f| f.attribute.name.clone()).collect();
        attributes.dedup();
        Leaf { clocked: test.asks_time(), attributes, test }
    }

    #[test]
    fn the_short_way_says_what_the_evaluator_says() {
        let texts = ["Windows 11 ", "windows", "M\u{dc}LLER", "10.0", "10", "", " ", "a%b", "WINDOWS 11"];
        let text = |text: &str| Datum::Text(text.into());
        let moments = [0, 1_710_030_600_000, 1_710_028_000_000, 1_709_900_000_000, i64::MAX, i64::MIN, -5];
        let mut asked = 0;
        for condition in [
            "Caption = 'windows 11'",
            "Caption <> 'windows'",
            "'windows' < Caption",
            "Caption >= '10.0'",
            "Caption like 'windows%'",
            "Caption like '%11 '",
            "Caption like '%dow%'",
            "Caption like 'windows'",
            "Caption like 'm\u{fc}ller'",
            "Caption = 'm\u{fc}ller'",
            "Caption like '%[0-1]'",
            "Caption in ('10.0', 'WINDOWS 11')",
            "Caption in ('10.0', null)",
            "Caption is null",
            "Caption = null",
            "Caption < 11",
            "NumberOfProcesses = 5",
            "5 > NumberOfProcesses",
            "NumberOfProcesses in (0, '-5')",
            "NumberOfProcesses = 'x'",
            "NumberOfProcesses like '%0'",
            "Debug = 'true'",
            "LastBootUpTime > '2024-01-01'",
            "LastBootUpTime < DateAdd(dd, -1, GetDate())",
            "DateDiff(dd, LastBootUpTime, GetDate()) > 0",
            "DateDiff(hh, GetDate(), LastBootUpTime) <= -1",
            "3 < DateDiff(minute, LastBootUpTime, '2024-03-09 12:00')",
            "LastBootUpTime is null",
        ] {
            let leaf = leaf(condition);
            let data = texts.iter().map(|t| text(t)).chain(moments.map(Datum::Int)).chain([Datum::Null]);
            let is_text = condition.contains("Caption");
            for datum in data.filter(|d| *d == Datum::Null || is_text == matches!(d, Datum::Text(_))) {
                let row: Row = datum.cell().into_iter().map(|cell| (leaf.attributes[0].clone(), cell)).collect();
                let plain = eval::judge(&leaf.test, SOURCE, Some(row), CLOCK);
                assert_eq!(leaf.ready(CLOCK).says(&[&datum]), plain, "{condition} {datum:?}");
                asked += 1;
            }
        }
        assert!(asked > 200);
    }
}
