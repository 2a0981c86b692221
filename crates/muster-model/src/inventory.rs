//! Hardware and software inventory as a client reports it: sections by class, full or as a difference.

use crate::id::Hash;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// One value of an attribute. Which variants an attribute takes is said by the class catalogue.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(untagged)]
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
    /// [`section_digest`] over all rows as they are after this section is applied. Computed by the client's own
    /// serialisation; the site keeps it and compares it, and never recomputes it.
    pub digest: Hash,
    /// The rows, whole or as a difference.
    #[serde(flatten)]
    pub change: Change,
}

/// How a section carries its rows.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case")]
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
