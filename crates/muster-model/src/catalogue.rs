//! The class catalogue: which inventory classes exist, which attributes they have, of which type. Data, not code.

use crate::inventory::{Row, Value};
use serde::Deserialize;
use std::{collections::HashMap, sync::OnceLock};

/// The type of an attribute.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Type {
    /// Text.
    Text,
    /// An integer from `min` to `max`; 64-bit unsigned values stop at `i64::MAX`.
    Int {
        /// Smallest value.
        min: i64,
        /// Largest value.
        max: i64,
    },
    /// True or false.
    Bool,
    /// Milliseconds since 1970 UTC.
    DateTime,
    /// A floating-point number.
    Real,
    /// A list of texts or of numbers written as texts.
    List,
}

/// One attribute of a class.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Attribute {
    /// The name, as Configuration Manager has it.
    pub name: String,
    /// The type.
    pub kind: Type,
}

/// One class.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Class {
    /// The name in upper case with underscores, as in `SMS_G_System_<NAME>` and `v_GS_<NAME>`.
    pub name: String,
    /// The provider's class on Windows.
    pub wmi: String,
    /// The attributes; the key attributes come first.
    pub attributes: Vec<Attribute>,
    /// How many of the first attributes are the key of a row.
    pub keys: usize,
}

/// Why a row does not obey its class.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum RowError {
    /// The class has no such attribute.
    #[error("the class has no attribute {0:?}")]
    UnknownAttribute(String),
    /// The value is not of the attribute's type or out of its range.
    #[error("attribute {0:?} has a value of the wrong type or out of range")]
    WrongType(String),
    /// A key attribute is missing.
    #[error("key attribute {0:?} is missing")]
    MissingKey(String),
    /// A text or list is over its limit.
    #[error("attribute {0:?} is over its limit")]
    TooLarge(String),
}

impl Class {
    /// The attribute of that name.
    #[must_use]
    pub fn attribute(&self, name: &str) -> Option<&Attribute> {
        self.attributes.iter().find(|a| a.name == name)
    }

    /// Whether `row` obeys this class and the limits.
    ///
    /// # Errors
    /// The first attribute that does not, with the reason.
    pub fn check(&self, row: &Row, limits: &crate::limits::Limits) -> Result<(), RowError> {
        for (name, value) in row {
            let attribute =
                self.attribute(name).ok_or_else(|| RowError::UnknownAttribute(name.chars().take(100).collect()))?;
            if !fits(attribute.kind, value) {
                return Err(RowError::WrongType(name.clone()));
            }
            let too_large = match value {
                Value::Text(text) => text.len() > limits.value_bytes,
                Value::List(list) => {
                    list.len() > limits.list_values || list.iter().any(|item| item.len() > limits.value_bytes)
                }
                _ => false,
            };
            if too_large {
                return Err(RowError::TooLarge(name.clone()));
            }
        }
        self.check_key(row)
    }

    /// Whether all key attributes are there.
    ///
    /// # Errors
    /// The first that is not.
    pub fn check_key(&self, row: &Row) -> Result<(), RowError> {
        match self.attributes.iter().take(self.keys).find(|a| !row.contains_key(&a.name)) {
            Some(missing) => Err(RowError::MissingKey(missing.name.clone())),
            None => Ok(()),
        }
    }
}

fn fits(kind: Type, value: &Value) -> bool {
    match (kind, value) {
        (Type::Text, Value::Text(_)) | (Type::Bool, Value::Bool(_)) | (Type::List, Value::List(_)) => true,
        (Type::Int { min, max }, Value::Int(n)) => (min..=max).contains(n),
        (Type::DateTime, Value::Int(_)) | (Type::Real, Value::Int(_)) => true,
        (Type::Real, Value::Real(n)) => n.is_finite(),
        _ => false,
    }
}

/// All classes the site knows, by name.
#[derive(Debug)]
pub struct Catalogue {
    classes: Vec<Class>,
    by_name: HashMap<String, usize>,
}

/// The classes that the agent collects. The catalogue file knows more; these have tables.
pub const COLLECTED: &[&str] = &[
    "COMPUTER_SYSTEM",
    "COMPUTER_SYSTEM_PRODUCT",
    "DISK",
    "INSTALLED_SOFTWARE",
    "LOGICAL_DISK",
    "NETWORK_ADAPTER",
    "NETWORK_ADAPTER_CONFIGURATION",
    "OPERATING_SYSTEM",
    "PARTITION",
    "PC_BIOS",
    "PROCESSOR",
    "SERVICE",
    "SYSTEM_CONSOLE_USER",
    "SYSTEM_ENCLOSURE",
    "X86_PC_MEMORY",
];

impl Catalogue {
    /// The catalogue that is built in: the [`COLLECTED`] classes, with the attributes of `data/inventory-classes.json`.
    pub fn built_in() -> &'static Self {
        static CATALOGUE: OnceLock<Catalogue> = OnceLock::new();
        CATALOGUE.get_or_init(|| {
            let groups: Vec<Group> =
                serde_json::from_str(include_str!("../data/inventory-classes.json")).unwrap_or_default();
            let mut classes: Vec<Class> = groups.into_iter().filter_map(Group::into_class).collect();
            classes.retain(|c| COLLECTED.contains(&c.name.as_str()));
            classes.sort_by(|a, b| a.name.cmp(&b.name));
            let by_name = classes.iter().enumerate().map(|(at, c)| (c.name.clone(), at)).collect();
            Self { classes, by_name }
        })
    }

    /// The class of that name.
    #[must_use]
    pub fn class(&self, name: &str) -> Option<&Class> {
        self.by_name.get(name).map(|at| &self.classes[*at])
    }

    /// All classes, in name order.
    #[must_use]
    pub fn classes(&self) -> &[Class] {
        &self.classes
    }
}

/// One entry of the data file.
#[derive(Deserialize)]
struct Group {
    group: String,
    wmi: String,
    attrs: Vec<(String, String)>,
    sms_g_system: Option<String>,
}

impl Group {
    fn into_class(self) -> Option<Class> {
        let name = self
            .sms_g_system
            .as_deref()
            .and_then(|s| s.strip_prefix("SMS_G_System_"))
            .map_or_else(|| self.group.to_uppercase().replace('-', "_"), str::to_owned);
        let attributes: Vec<Attribute> = self
            .attrs
            .into_iter()
            .filter_map(|(kind, name)| {
                let list = name.strip_suffix("[]").map(str::to_owned);
                let kind = if list.is_some() { Type::List } else { type_named(&kind)? };
                Some(Attribute { name: list.unwrap_or(name), kind })
            })
            .collect();
        // The first attribute of a group is its key in the data file; for all collected classes one is enough.
        (!attributes.is_empty()).then_some(Class { name, wmi: self.wmi, attributes, keys: 1 })
    }
}

fn type_named(name: &str) -> Option<Type> {
    Some(match name {
        "String" => Type::Text,
        "Boolean" => Type::Bool,
        "DateTime" => Type::DateTime,
        "Real32" => Type::Real,
        "UInt8" => Type::Int { min: 0, max: 0xff },
        "UInt16" => Type::Int { min: 0, max: 0xffff },
        "UInt32" => Type::Int { min: 0, max: 0xffff_ffff },
        "UInt64" => Type::Int { min: 0, max: i64::MAX },
        "SInt16" => Type::Int { min: -0x8000, max: 0x7fff },
        "SInt32" => Type::Int { min: -0x8000_0000, max: 0x7fff_ffff },
        "SInt64" => Type::Int { min: i64::MIN, max: i64::MAX },
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_collected_class_is_in_the_data() {
        for name in COLLECTED {
            assert!(Catalogue::built_in().class(name).is_some(), "{name}");
        }
        assert_eq!(Catalogue::built_in().classes().len(), COLLECTED.len());
    }
}
