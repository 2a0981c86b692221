//! Hardware and software inventory as a client reports it: sections by class, full or as a difference.

use crate::id::Hash;
use serde::{
    Deserialize, Deserializer, Serialize,
    de::{self, SeqAccess, Visitor},
};
use std::collections::BTreeMap;

/// One value of an attribute. Which variants an attribute takes is said by the class catalogue.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(untagged)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub enum Value {
    /// `Boolean`.
    Bool(bool),
    /// Every integer type, and `DateTime` (milliseconds since 1970 UTC).
    Int(i64),
    /// `Real32`.
    Real(f64),
    /// `String`.
    Text(String),
    /// An array type: texts, or numbers written as texts.
    List(Vec<String>),
}

// Written out because the derived one for untagged enums copies each value first, and an inventory has 20,000 of them.
impl<'de> Deserialize<'de> for Value {
    fn deserialize<D: Deserializer<'de>>(d: D) -> Result<Self, D::Error> {
        d.deserialize_any(ValueVisitor)
    }
}

struct ValueVisitor;

impl<'de> Visitor<'de> for ValueVisitor {
    type Value = Value;

    fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("a boolean, a number, a text or a list of texts")
    }
    fn visit_bool<E>(self, value: bool) -> Result<Value, E> {
        Ok(Value::Bool(value))
    }
    fn visit_i64<E>(self, value: i64) -> Result<Value, E> {
        Ok(Value::Int(value))
    }
    fn visit_u64<E: de::Error>(self, value: u64) -> Result<Value, E> {
        i64::try_from(value).map(Value::Int).map_err(|_| E::custom("an integer over 2^63 - 1"))
    }
    fn visit_f64<E>(self, value: f64) -> Result<Value, E> {
        Ok(Value::Real(value))
    }
    fn visit_str<E>(self, value: &str) -> Result<Value, E> {
        Ok(Value::Text(value.to_owned()))
    }
    fn visit_string<E>(self, value: String) -> Result<Value, E> {
        Ok(Value::Text(value))
    }
    fn visit_seq<A: SeqAccess<'de>>(self, seq: A) -> Result<Value, A::Error> {
        Deserialize::deserialize(de::value::SeqAccessDeserializer::new(seq)).map(Value::List)
    }
}

/// One instance of a class: attribute name to value. An attribute that is not known is absent, never null.
pub type Row = BTreeMap<String, Value>;

/// What a client found, by class.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct InventoryReport {
    /// The sections that are sent. A class that did not change since its last report is absent.
    pub sections: Vec<Section>,
    /// What could not be read, with the reason (for example: needs root).
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub unread: Vec<Unread>,
}

/// One class of an inventory report.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Section {
    /// The class, as in `SMS_G_System_<CLASS>`.
    pub class: String,
    /// SHA-256 of [`section_bytes`] over all rows as they are after this section is applied. Computed by the client's own
    /// serialisation; the site keeps it and compares it, and never recomputes it.
    pub digest: Hash,
    /// The rows, whole or as a difference.
    pub change: Change,
}

/// How a section carries its rows.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub enum Change {
    /// All rows; replaces what the site has.
    Full {
        /// Every instance.
        rows: Vec<Row>,
    },
    /// The difference to the state whose digest is `base`. If the site has another state, it asks for a full section.
    Delta {
        /// Digest of the state this is the difference to.
        base: Hash,
        /// Rows that are new, or changed: each replaces the row with the same key attributes.
        #[serde(default)]
        upsert: Vec<Row>,
        /// Key attributes of rows that are gone.
        #[serde(default)]
        remove: Vec<Row>,
    },
}

/// A class that could not be read in full.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct Unread {
    /// The class.
    pub class: String,
    /// One sentence: what could not be read, and what would be needed.
    pub reason: String,
}

/// The bytes over which a section's digest is taken: the rows' JSON texts (attributes in name order), sorted, one a line.
#[must_use]
pub fn section_bytes(rows: &[Row]) -> Vec<u8> {
    let mut lines: Vec<Vec<u8>> = rows.iter().map(|row| serde_json::to_vec(row).unwrap_or_default()).collect();
    lines.sort_unstable();
    lines.join(&b'\n')
}
