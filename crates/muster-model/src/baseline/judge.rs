//! Values: what they are of each type, how they compare, and whether rules hold. Pure, so that author, client and tests agree.

use super::{Rule, Setting, ValueType};
use crate::{glob, version};
use std::cmp::Ordering;

/// Whether a setting is as it should be.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verdict {
    /// All rules hold.
    Compliant,
    /// One does not.
    NonCompliant,
    /// What was found is not of the setting's type, so that it cannot be said.
    WrongType,
}

/// Yes or no, in the words that configuration files have for it.
fn boolean(text: &str) -> Option<bool> {
    match text.to_ascii_lowercase().as_str() {
        "true" | "yes" | "on" | "1" | "enabled" => Some(true),
        "false" | "no" | "off" | "0" | "disabled" => Some(false),
        _ => None,
    }
}

/// A day or a moment, in milliseconds since 1970.
fn date(text: &str) -> Option<i64> {
    if let Ok(moment) = text.parse::<jiff::Timestamp>() {
        return Some(moment.as_millisecond());
    }
    let day = text.parse::<jiff::civil::Date>().ok().filter(|_| text.len() == 10)?;
    Some(day.to_zoned(jiff::tz::TimeZone::UTC).ok()?.timestamp().as_millisecond())
}

/// Whether a text is a value of that type.
pub(super) fn is_of(text: &str, value_type: ValueType) -> bool {
    compare_values(text, text, value_type, "").is_some()
}

/// How two values of a type follow each other; `None`: one of them is not of the type. `order` is the package system whose versions
/// these are.
#[must_use]
pub fn compare_values(a: &str, b: &str, value_type: ValueType, order: &str) -> Option<Ordering> {
    let plain = |text: &str| !text.is_empty() && text.len() <= 255 && text.bytes().all(|b| b.is_ascii_graphic());
    match value_type {
        ValueType::String | ValueType::List => Some(a.cmp(b)),
        ValueType::Integer => Some(a.parse::<i64>().ok()?.cmp(&b.parse::<i64>().ok()?)),
        ValueType::Version => (plain(a) && plain(b)).then(|| version::compare(order, a, b)),
        ValueType::Boolean => Some(boolean(a)?.cmp(&boolean(b)?)),
        ValueType::Date => Some(date(a)?.cmp(&date(b)?)),
    }
}

impl Setting {
    /// Whether the rules hold for what was found; `None`: there is no value. `order` is the package system, for versions.
    #[must_use]
    pub fn judge(&self, found: Option<&[String]>, order: &str) -> Verdict {
        let list = self.value_type == ValueType::List;
        // Of several values of what is not a list, the first one counts.
        let values = found.map(|values| if list { values } else { &values[..values.len().min(1)] });
        let values = values.filter(|values| !values.is_empty());
        let mut verdict = Verdict::Compliant;
        for rule in &self.rules {
            match holds(rule, values, self.value_type, order) {
                Some(true) => {}
                Some(false) => verdict = Verdict::NonCompliant,
                None => return Verdict::WrongType,
            }
        }
        verdict
    }
}

/// Whether a rule holds; `None`: a value is not of the type.
fn holds(rule: &Rule, values: Option<&[String]>, value_type: ValueType, order: &str) -> Option<bool> {
    if let Rule::Exists { exists } = rule {
        return Some(values.is_some() == *exists);
    }
    let Some(values) = values else { return Some(false) };
    let compare = |value: &str, with: &str| compare_values(value, with, value_type, order);
    let mut all = !matches!(rule, Rule::Contains { .. });
    for value in values {
        let one = match rule {
            Rule::Exists { .. } => true,
            Rule::Equals { value: wanted } => compare(value, wanted)?.is_eq(),
            Rule::Not { value: wanted } => compare(value, wanted)?.is_ne(),
            Rule::OneOf { values: wanted } => {
                let mut any = false;
                for wanted in wanted {
                    any |= compare(value, wanted)?.is_eq();
                }
                any
            }
            Rule::Contains { value: wanted } => {
                all |= compare(value, wanted)?.is_eq();
                continue;
            }
            Rule::Between { least, most } => compare(value, least)?.is_ge() && compare(value, most)?.is_le(),
            Rule::Greater { than } => compare(value, than)?.is_gt(),
            Rule::Less { than } => compare(value, than)?.is_lt(),
            Rule::Matches { pattern } => glob::fits(pattern, value),
        };
        all &= one;
    }
    Some(all)
}
