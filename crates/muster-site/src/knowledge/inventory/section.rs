//! The sections of an inventory report, checked before any transaction: each obeys its class, or is refused by itself.

use super::interner::{Interner, Known, TextKey};
use muster_model::{
    catalogue::{Catalogue, Class, is_class_name, is_foreign},
    id::Hash,
    inventory::{Row, Unread, Value},
    limits::{Limits, WAITING_BYTES},
    time::UnixMillis,
};
use muster_trust::sha256;
use serde::Deserialize;
use serde_json::value::RawValue;
use std::{
    collections::{BTreeMap, HashSet},
    sync::Arc,
};

/// Classes that one report may call unreadable.
const UNREAD: usize = 64;
/// Bytes of a reason.
const REASON_BYTES: usize = 1_024;

/// An inventory report that can be applied.
#[derive(Debug)]
pub(crate) struct Report {
    /// The sections that are well-formed.
    pub(crate) sections: Vec<Section>,
    /// Those that are not.
    pub(crate) refused: Vec<Refused>,
    /// What the agent could not read.
    pub(crate) unread: Vec<Unread>,
    /// The sweep as of which known rows are known.
    pub(crate) sweeps: Arc<str>,
}

/// A section that is not taken.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(crate) struct Refused {
    /// The class, as far as it could be read.
    pub(crate) class: Option<String>,
    /// Why, in one sentence.
    pub(crate) reason: String,
    /// The beginning of what is wrong.
    pub(crate) excerpt: String,
    /// The section, where it waits for its class to be added.
    pub(crate) waiting: Option<Box<Waiting>>,
}

/// A section of a class that the site does not know.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Waiting {
    /// Digest of the section, as the client says.
    pub(crate) digest: Hash,
    /// Its rows, JSON as the device wrote it.
    pub(crate) rows: String,
}

/// A section that is well-formed.
#[derive(Debug)]
pub(crate) struct Section {
    /// The class.
    pub(crate) class: Arc<Class>,
    /// Digest after it is applied, as the client says.
    pub(crate) digest: Hash,
    /// Its rows.
    pub(crate) change: Change,
}

/// Rows, whole or as a difference.
#[derive(Debug)]
pub(crate) enum Change {
    /// All rows.
    Full(Vec<RowRef>),
    /// The difference to the state with this digest.
    Delta {
        /// Digest of that state.
        base: Hash,
        /// New rows; each replaces the one with the same key.
        upsert: Vec<RowRef>,
        /// Keys of rows that are gone.
        remove: Vec<i64>,
    },
}

/// A row of a section.
#[derive(Debug)]
pub(crate) enum RowRef {
    /// Stored already.
    Known(Known),
    /// Perhaps new.
    New(Box<New>),
}

/// A row that is perhaps new.
#[derive(Debug)]
pub(crate) struct New {
    /// The hash of its text.
    pub(crate) text: TextKey,
    /// SHA-256 of its JSON, hexadecimal.
    pub(crate) hash: String,
    /// The number of its key attributes.
    pub(crate) key: i64,
    /// The row.
    pub(crate) row: Row,
}

impl RowRef {
    /// The number of its key attributes.
    #[must_use]
    pub(crate) fn key(&self) -> i64 {
        match self {
            Self::Known(known) => known.key,
            Self::New(new) => new.key,
        }
    }
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct RawMessage<'a, S> {
    time: UnixMillis,
    #[serde(borrow, bound(deserialize = "RawBody<'a, S>: Deserialize<'de>"))]
    body: RawBody<'a, S>,
}

#[derive(Deserialize)]
#[serde(rename_all = "snake_case")]
enum RawBody<'a, S> {
    #[serde(borrow, bound(deserialize = "S: Deserialize<'de>"))]
    Inventory(RawReport<'a, S>),
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct RawReport<'a, S> {
    #[serde(bound(deserialize = "S: Deserialize<'de>"))]
    sections: Vec<S>,
    #[serde(default)]
    unread: Vec<Unread>,
    #[serde(skip)]
    lifetime: std::marker::PhantomData<&'a ()>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct RawSection<'a> {
    class: String,
    digest: Hash,
    #[serde(borrow)]
    change: RawChange<'a>,
}

#[derive(Deserialize)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
enum RawChange<'a> {
    Full {
        #[serde(borrow)]
        rows: Vec<&'a RawValue>,
    },
    Delta {
        base: Hash,
        #[serde(default, borrow)]
        upsert: Vec<&'a RawValue>,
        #[serde(default, borrow)]
        remove: Vec<&'a RawValue>,
    },
}

/// Reads an inventory message.
///
/// # Errors
/// A sentence, when nothing of it can be read.
pub(crate) fn read(catalogue: &Catalogue, limits: &Limits, interner: &Interner, text: &str) -> Result<Report, String> {
    read_as(Reader { catalogue, limits, interner, foreign: false }, text)
}

/// The same of a message that was made of a foreign collector's document: it has other classes, and no class of the agent.
pub(crate) fn read_foreign(
    catalogue: &Catalogue,
    limits: &Limits,
    interner: &Interner,
    text: &str,
) -> Result<Report, String> {
    read_as(Reader { catalogue, limits, interner, foreign: true }, text)
}

fn read_as(reader: Reader<'_>, text: &str) -> Result<Report, String> {
    // All at once when it is as it should be; section by section only when something is wrong in one of them.
    match serde_json::from_str::<RawMessage<'_, RawSection<'_>>>(text) {
        Ok(RawMessage { time: UnixMillis(_), body: RawBody::Inventory(report) }) => {
            Ok(reader.report(report.sections.into_iter().map(Ok).collect(), report.unread))
        }
        Err(_) => {
            let RawMessage { time: UnixMillis(_), body: RawBody::Inventory(report) } =
                serde_json::from_str::<RawMessage<'_, &RawValue>>(text)
                    .map_err(|error| format!("Not a well-formed inventory message: {error}."))?;
            Ok(reader.report(report.sections.into_iter().map(alone).collect(), report.unread))
        }
    }
}

fn alone(raw: &RawValue) -> Result<RawSection<'_>, Refused> {
    serde_json::from_str(raw.get()).map_err(|error| malformed(raw, &error))
}

fn malformed(raw: &RawValue, error: &serde_json::Error) -> Refused {
    #[derive(Deserialize)]
    struct Class {
        class: String,
    }
    let class = serde_json::from_str::<Class>(raw.get()).ok().map(|class| clean(&class.class, 100));
    let reason = format!("Not a well-formed section: {error}.");
    Refused { class, reason, excerpt: excerpt(raw.get()), waiting: None }
}

/// The beginning of a text, for people to look at: at most 200 characters, none of them a control character.
#[must_use]
pub(crate) fn excerpt(text: &str) -> String {
    clean(text, 200)
}

/// At most `length` characters, none of them a control character.
#[must_use]
pub(crate) fn clean(text: &str, length: usize) -> String {
    text.chars().take(length).map(|c| if c.is_control() { '\u{fffd}' } else { c }).collect()
}

struct Reader<'a> {
    catalogue: &'a Catalogue,
    limits: &'a Limits,
    interner: &'a Interner,
    /// Whether a foreign collector speaks.
    foreign: bool,
}

impl Reader<'_> {
    fn report(&self, raw: Vec<Result<RawSection<'_>, Refused>>, unread: Vec<Unread>) -> Report {
        let mut report = Report {
            sections: Vec::with_capacity(raw.len()),
            refused: Vec::new(),
            unread: self.unread(unread),
            sweeps: self.interner.sweeps(),
        };
        let mut seen = HashSet::new();
        for section in raw {
            match section.and_then(|raw| self.section(&raw)) {
                Ok(section) if seen.insert(section.class.name.clone()) => report.sections.push(section),
                Ok(section) => report.refused.push(Refused {
                    class: Some(section.class.name.clone()),
                    reason: "The report has two sections of this class.".to_owned(),
                    ..Refused::default()
                }),
                Err(refused) => report.refused.push(refused),
            }
        }
        report
    }

    fn unread(&self, unread: Vec<Unread>) -> Vec<Unread> {
        let known = |unread: &Unread| self.catalogue.class(&unread.class).is_some();
        let short = |unread: Unread| Unread { class: unread.class, reason: clean(&unread.reason, REASON_BYTES) };
        unread.into_iter().filter(known).take(UNREAD).map(short).collect()
    }

    fn section(&self, raw: &RawSection<'_>) -> Result<Section, Refused> {
        let refuse = |reason: String, excerpt: String| Refused {
            class: Some(clean(&raw.class, 100)),
            reason,
            excerpt,
            waiting: None,
        };
        let Some(class) = self.catalogue.class(&raw.class) else { return Err(unknown(raw)) };
        if is_foreign(&class.name) != self.foreign {
            let reason = if self.foreign {
                "A foreign collector has no word in this class."
            } else {
                "Only foreign collectors report this class."
            };
            return Err(refuse(reason.to_owned(), String::new()));
        }
        if class.retired {
            return Err(refuse("This class was retired; it takes no reports.".to_owned(), String::new()));
        }
        let most = self.limits.section_rows;
        let too_many = || refuse(format!("The section has more than {most} rows."), String::new());
        let bad = |(reason, text): (String, &RawValue)| refuse(reason, excerpt(text.get()));
        let change = match &raw.change {
            RawChange::Full { rows } => {
                if rows.len() > most {
                    return Err(too_many());
                }
                let rows = self.rows(class, rows).map_err(bad)?;
                Change::Full(rows)
            }
            RawChange::Delta { base, upsert, remove } => {
                if upsert.len() + remove.len() > most {
                    return Err(too_many());
                }
                let upsert = self.rows(class, upsert).map_err(bad)?;
                let remove = remove.iter().map(|text| self.key(class, text)).collect::<Result<_, _>>().map_err(bad)?;
                Change::Delta { base: *base, upsert, remove }
            }
        };
        let (Change::Full(rows) | Change::Delta { upsert: rows, .. }) = &change;
        let mut keys: Vec<i64> = rows.iter().map(RowRef::key).collect();
        keys.sort_unstable();
        if keys.windows(2).any(|pair| pair[0] == pair[1]) {
            return Err(refuse("The section has two rows with the same key.".to_owned(), String::new()));
        }
        Ok(Section { class: class.clone(), digest: raw.digest, change })
    }

    fn rows<'a>(&self, class: &Class, rows: &[&'a RawValue]) -> Result<Vec<RowRef>, (String, &'a RawValue)> {
        let texts: Vec<TextKey> = rows.iter().map(|row| self.interner.text_key(&class.name, row.get())).collect();
        let (known, _) = self.interner.get(&texts);
        rows.iter()
            .zip(texts)
            .zip(known)
            .map(|((row, text), known)| match known {
                Some(known) => Ok(RowRef::Known(known)),
                None => self.perhaps_new(class, row, text),
            })
            .collect()
    }

    fn perhaps_new<'a>(
        &self,
        class: &Class,
        raw: &'a RawValue,
        text: TextKey,
    ) -> Result<RowRef, (String, &'a RawValue)> {
        let row = self.row(raw)?;
        class.check(&row, self.limits).map_err(|error| (format!("A row is refused: {error}."), raw))?;
        let json = serde_json::to_vec(&row).map_err(|error| (error.to_string(), raw))?;
        Ok(RowRef::New(Box::new(New { text, hash: sha256(&json).to_string(), key: key_number(class, &row), row })))
    }

    fn row<'a>(&self, raw: &'a RawValue) -> Result<Row, (String, &'a RawValue)> {
        let row: Row =
            serde_json::from_str(raw.get()).map_err(|error| (format!("A row is not well-formed: {error}."), raw))?;
        // No database keeps this character in a text.
        let nul = |value: &Value| match value {
            Value::Text(text) => text.contains('\0'),
            Value::List(list) => list.iter().any(|text| text.contains('\0')),
            _ => false,
        };
        match row.iter().find(|(_, value)| nul(value)) {
            Some((name, _)) => Err((format!("A row is refused: attribute {:?} has a NUL.", clean(name, 100)), raw)),
            None => Ok(row),
        }
    }

    fn key<'a>(&self, class: &Class, raw: &'a RawValue) -> Result<i64, (String, &'a RawValue)> {
        let row = self.row(raw)?;
        class.check(&row, self.limits).map_err(|error| (format!("A removed row is refused: {error}."), raw))?;
        Ok(key_number(class, &row))
    }
}

/// A section of a class that the site does not know. Where all its rows are there, and few enough, they wait for the class.
fn unknown(raw: &RawSection<'_>) -> Refused {
    let mut refused = Refused {
        class: Some(clean(&raw.class, 100)),
        reason: "The site does not know this class.".to_owned(),
        ..Refused::default()
    };
    let RawChange::Full { rows } = &raw.change else { return refused };
    let bytes: usize = rows.iter().map(|row| row.get().len() + 1).sum();
    if bytes <= WAITING_BYTES && is_class_name(&raw.class) {
        let rows: Vec<&str> = rows.iter().map(|row| row.get()).collect();
        refused.reason =
            "The site does not know this class; what came waits until an administrator adds it.".to_owned();
        refused.excerpt = rows.first().map(|row| excerpt(row)).unwrap_or_default();
        refused.waiting = Some(Box::new(Waiting { digest: raw.digest, rows: format!("[{}]", rows.join(",")) }));
    }
    refused
}

/// A number made from the key attributes of a row. Two keys with one number would only confuse the device that made them.
fn key_number(class: &Class, row: &Row) -> i64 {
    let keys = class.attributes.iter().take(class.keys);
    let key: BTreeMap<&str, &Value> = keys.filter_map(|a| Some((a.name.as_str(), row.get(&a.name)?))).collect();
    let digest = sha256(&serde_json::to_vec(&key).unwrap_or_default());
    let (head, _) = digest.0.split_at(8);
    i64::from_be_bytes(head.try_into().unwrap_or_default())
}
