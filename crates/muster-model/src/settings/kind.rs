//! What a setting takes: kinds of values, their ranges, and how people write and read them.

use super::{BusinessHours, DayHours, SoftwareScan};
use crate::time::{DAY, HOUR, MINUTE, SECOND};
use serde_json::Value;

/// A setting.
#[derive(Debug, Clone, Copy)]
pub struct Setting {
    /// Its stable name; a full stop leads into a group of fields.
    pub name: &'static str,
    /// The group that it stands in.
    pub group: &'static str,
    /// What people call it.
    pub label: &'static str,
    /// What it takes.
    pub kind: Kind,
    /// Whether it may be absent: no limit, or nothing.
    pub optional: bool,
    /// What it does, in one sentence.
    pub about: &'static str,
    /// What is collected by it.
    pub privacy: Option<&'static str>,
    /// Whether clients do it. What none does yet may be set, and is shown as not used.
    pub in_force: bool,
    /// Its dangerous value.
    pub danger: Option<Danger>,
}

/// What a setting takes.
#[derive(Debug, Clone, Copy)]
pub enum Kind {
    /// Yes or no.
    Flag,
    /// A length of time, in milliseconds.
    Length {
        /// The shortest.
        least: i64,
        /// The longest.
        most: i64,
    },
    /// A whole number.
    Number {
        /// The least.
        least: i64,
        /// The most.
        most: i64,
        /// What is counted.
        unit: &'static str,
    },
    /// One of these words.
    Choice(&'static [&'static str]),
    /// Hours of a day.
    Hours,
    /// Hours of days of the week.
    BusinessHours,
    /// A [`SoftwareScan`].
    Files,
}

/// A value that is taken only where it was meant for these devices and no others.
#[derive(Debug, Clone, Copy)]
pub struct Danger {
    /// The value.
    pub value: &'static str,
    /// How the settings must have come to the device.
    pub least: Reach,
    /// Why, in half a sentence.
    pub why: &'static str,
}

impl Danger {
    fn is(&self, value: &Value) -> bool {
        value.as_str() == Some(self.value) || (self.value == "yes" && *value == Value::Bool(true))
    }
}

/// How settings came to a device; the narrowest last.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Reach {
    /// As all others: by the default, or by a built-in collection.
    Everyone,
    /// By a collection that somebody made.
    Named,
    /// By one that is protected: nobody comes in by what a device says of itself.
    Protected,
}

fn integer(value: &Value) -> Option<i128> {
    value.as_i64().map(i128::from).or_else(|| value.as_u64().map(i128::from))
}

const LENGTHS: [(i64, &str, &str); 5] =
    [(DAY, "d", "days"), (HOUR, "h", "hours"), (MINUTE, "m", "minutes"), (SECOND, "s", "seconds"), (1, "ms", "ms")];
const SIZES: [(i64, &str); 4] = [(1 << 40, "TiB"), (1 << 30, "GiB"), (1 << 20, "MiB"), (1 << 10, "KiB")];

/// A length in its largest whole unit.
fn length_shown(millis: i64) -> String {
    let whole = LENGTHS.iter().find(|(unit, ..)| millis >= *unit && millis % unit == 0);
    match whole {
        Some((unit, _, words)) if millis == *unit && millis > 1 => format!("1 {}", words.trim_end_matches('s')),
        Some((unit, _, words)) => format!("{} {words}", millis / unit),
        None => "none".to_owned(),
    }
}

fn number_shown(number: i64, unit: &str) -> String {
    if let Some(rest) = unit.strip_prefix("bytes") {
        let whole = SIZES.iter().find(|(size, _)| number >= *size && number % size == 0);
        return match whole {
            Some((size, word)) => format!("{} {word}{rest}", number / size),
            None => format!("{number} {unit}"),
        };
    }
    format!("{number} {unit}")
}

fn parse_length(text: &str) -> Option<i64> {
    if let "0" | "none" = text {
        return Some(0);
    }
    let digits = text.trim_end_matches(|c: char| !c.is_ascii_digit());
    let word = text[digits.len()..].trim();
    let unit = LENGTHS
        .iter()
        .find(|(_, letter, words)| word == *letter || word == *words || word == words.trim_end_matches('s'));
    digits.parse::<i64>().ok()?.checked_mul(unit?.0)
}

fn parse_number(text: &str, unit: &str) -> Option<i64> {
    let digits = text.trim_end_matches(|c: char| !c.is_ascii_digit());
    let word = text[digits.len()..].trim();
    let number = digits.parse::<i64>().ok()?;
    if word.is_empty() || word == unit {
        return Some(number);
    }
    let word =
        if unit.starts_with("bytes") { word.trim_end_matches("/s").trim_end_matches(" per second") } else { word };
    let size = SIZES.iter().find(|(_, name)| unit.starts_with("bytes") && *name == word);
    number.checked_mul(size?.0)
}

impl Setting {
    /// What it takes, in words.
    #[must_use]
    pub fn takes(&self) -> String {
        let takes = match self.kind {
            Kind::Flag => "yes or no".to_owned(),
            Kind::Length { least, most } => format!("{} to {}", length_shown(least), length_shown(most)),
            Kind::Number { least, most, unit } if unit.starts_with("bytes") => {
                format!("{} to {}", number_shown(least, unit), number_shown(most, unit))
            }
            Kind::Number { least, most, unit } => format!("{least} to {most} {unit}"),
            Kind::Choice(words) => words.join(", "),
            Kind::Hours => "hours like 08:00-18:00".to_owned(),
            Kind::BusinessHours => "days and hours like mon-fri 08:00-18:00".to_owned(),
            Kind::Files => "a description of files".to_owned(),
        };
        if self.optional { format!("{takes}; or none") } else { takes }
    }

    /// Whether the value is one that it takes.
    ///
    /// # Errors
    /// A sentence that names the setting.
    pub fn check(&self, value: &Value) -> Result<(), String> {
        if value.is_null() && self.optional {
            return Ok(());
        }
        let wrong = || format!("{} takes {}.", self.name, self.takes());
        let sound = match self.kind {
            Kind::Flag => value.is_boolean(),
            Kind::Length { least, most } | Kind::Number { least, most, .. } => {
                integer(value).is_some_and(|n| (i128::from(least)..=i128::from(most)).contains(&n))
            }
            Kind::Choice(words) => value.as_str().is_some_and(|text| words.contains(&text)),
            Kind::Hours => value.as_str().is_some_and(|text| text.parse::<DayHours>().is_ok()),
            Kind::BusinessHours => value.as_str().is_some_and(|text| text.parse::<BusinessHours>().is_ok()),
            Kind::Files => {
                let scan = serde_json::from_value::<SoftwareScan>(value.clone());
                let scan = scan.map_err(|error| format!("{} does not say which files: {error}.", self.name))?;
                return scan.check();
            }
        };
        if sound { Ok(()) } else { Err(wrong()) }
    }

    /// The nearest value that a client accepts; of what is none at all, nothing: it has its default then.
    #[must_use]
    pub fn bounded(&self, value: Value) -> Option<Value> {
        if self.check(&value).is_ok() {
            return Some(value);
        }
        match self.kind {
            Kind::Length { least, most } | Kind::Number { least, most, .. } => {
                let number = integer(&value)?.clamp(i128::from(least), i128::from(most));
                i64::try_from(number).ok().map(Value::from)
            }
            Kind::Flag | Kind::Choice(_) | Kind::Hours | Kind::BusinessHours | Kind::Files => None,
        }
    }

    /// As a client reads it: a number out of its range becomes the nearest in it, and files that are described in a wrong way, or too
    /// many, are not looked for. `None`: it is of another type altogether.
    pub(super) fn read(&self, value: Value) -> Option<Value> {
        match self.kind {
            Kind::Files if self.check(&value).is_err() => {
                serde_json::from_value::<SoftwareScan>(value).ok().map(|_| Value::Null)
            }
            _ => self.bounded(value),
        }
    }

    /// Why the value is not taken where settings come to a device in that way.
    ///
    /// # Errors
    /// A sentence.
    pub fn allowed(&self, value: &Value, reach: Reach) -> Result<(), String> {
        match self.danger {
            Some(danger) if danger.is(value) && reach < danger.least => {
                Err(format!("{} cannot be {} here: {}.", self.name, danger.value, danger.why))
            }
            _ => Ok(()),
        }
    }

    /// Whether the value is the dangerous one.
    #[must_use]
    pub fn is_danger(&self, value: &Value) -> bool {
        self.danger.is_some_and(|danger| danger.is(value))
    }

    /// Reads what somebody typed: `30m`, `5 GiB`, `yes`, `08:00-18:00`, a word, or JSON that says which files.
    ///
    /// # Errors
    /// A sentence that names the setting.
    pub fn parse(&self, text: &str) -> Result<Value, String> {
        let text = text.trim();
        let wrong = || format!("{} takes {}.", self.name, self.takes());
        if self.optional && matches!(text, "" | "none") {
            return Ok(Value::Null);
        }
        let value = match self.kind {
            Kind::Flag => match text {
                "yes" | "true" | "on" => Value::Bool(true),
                "no" | "false" | "off" => Value::Bool(false),
                _ => return Err(wrong()),
            },
            Kind::Length { .. } => parse_length(text).map(Value::from).ok_or_else(wrong)?,
            Kind::Number { unit, .. } => parse_number(text, unit).map(Value::from).ok_or_else(wrong)?,
            Kind::Choice(_) | Kind::Hours | Kind::BusinessHours => Value::from(text),
            Kind::Files => serde_json::from_str(text).map_err(|error| format!("{} is no JSON: {error}.", self.name))?,
        };
        self.check(&value).map(|()| self.canonical(value))
    }

    /// A sound value with all that it leaves out.
    #[must_use]
    pub fn canonical(&self, value: Value) -> Value {
        match self.kind {
            Kind::Files => {
                let scan = serde_json::from_value::<SoftwareScan>(value.clone());
                scan.ok().and_then(|scan| serde_json::to_value(scan).ok()).unwrap_or(value)
            }
            Kind::BusinessHours => {
                let hours = value.as_str().and_then(|text| text.parse::<BusinessHours>().ok());
                hours.map_or(value, |hours| Value::from(hours.to_string()))
            }
            _ => value,
        }
    }

    /// The value as people read it.
    #[must_use]
    pub fn shown(&self, value: &Value) -> String {
        match (self.kind, value) {
            (_, Value::Null) => "none".to_owned(),
            (Kind::Flag, Value::Bool(flag)) => if *flag { "yes" } else { "no" }.to_owned(),
            (Kind::Length { .. }, value) => value.as_i64().map_or_else(|| value.to_string(), length_shown),
            (Kind::Number { unit, .. }, value) => {
                value.as_i64().map_or_else(|| value.to_string(), |number| number_shown(number, unit))
            }
            (Kind::Files, value) => files_shown(value),
            (_, Value::String(text)) => text.clone(),
            (_, value) => value.to_string(),
        }
    }

    /// The value as it is typed: what [`Setting::parse`] reads.
    #[must_use]
    pub fn typed(&self, value: &Value) -> String {
        if let (Kind::Files, false) = (self.kind, value.is_null()) { value.to_string() } else { self.shown(value) }
    }
}

fn files_shown(value: &Value) -> String {
    let Ok(scan) = serde_json::from_value::<SoftwareScan>(value.clone()) else { return value.to_string() };
    let path = |path: &super::ScanPath| {
        let below = if path.recursive { " and below" } else { "" };
        format!("{} in {}{below}", path.names.join(" "), path.path)
    };
    let read = scan.read.as_ref().map(|read| match (read.hash, read.versions) {
        (true, true) => ", with hashes and versions",
        (true, false) => ", with hashes",
        (false, _) => ", with versions",
    });
    scan.paths.iter().map(path).collect::<Vec<_>>().join("; ") + read.unwrap_or_default()
}
