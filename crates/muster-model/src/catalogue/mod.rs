//! The class catalogue: which inventory classes exist, which attributes they have, of which type. Data, not code.

mod built_in;
mod definition;
mod more;

pub use built_in::COLLECTED;
pub use definition::{Definition, DefinitionError, definitions, is_class_name};
pub use more::{
    ForeignClass, PENDING_RESTART, SOFTWARE_FILES, SOFTWARE_UPDATES, foreign, foreign_element, is_foreign, more,
};

use crate::{
    inventory::{Row, Value},
    wql,
};
use std::{
    collections::HashMap,
    sync::{Arc, OnceLock},
};

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
    /// The type as Configuration Manager writes it; a list's is that of its elements with `[]`.
    pub cim: &'static str,
}

/// Types by their names, alone and as the elements of a list.
const TYPES: &[(&str, &str, Type)] = &[
    ("String", "String[]", Type::Text),
    ("Boolean", "Boolean[]", Type::Bool),
    ("DateTime", "DateTime[]", Type::DateTime),
    ("Real32", "Real32[]", Type::Real),
    ("Real64", "Real64[]", Type::Real),
    ("UInt8", "UInt8[]", Type::Int { min: 0, max: 0xff }),
    ("UInt16", "UInt16[]", Type::Int { min: 0, max: 0xffff }),
    ("UInt32", "UInt32[]", Type::Int { min: 0, max: 0xffff_ffff }),
    ("UInt64", "UInt64[]", Type::Int { min: 0, max: i64::MAX }),
    ("SInt8", "SInt8[]", Type::Int { min: -0x80, max: 0x7f }),
    ("SInt16", "SInt16[]", Type::Int { min: -0x8000, max: 0x7fff }),
    ("SInt32", "SInt32[]", Type::Int { min: -0x8000_0000, max: 0x7fff_ffff }),
    ("SInt64", "SInt64[]", Type::Int { min: i64::MIN, max: i64::MAX }),
];

impl Attribute {
    /// The attribute of a name and a type of the catalogue, in any case; `[]` at the end of either makes a list of it.
    #[must_use]
    pub fn new(name: &str, kind: &str) -> Option<Self> {
        let (name, listed) = name.strip_suffix("[]").map_or((name, false), |name| (name, true));
        let (kind, list) = kind.strip_suffix("[]").map_or((kind, false), |kind| (kind, true));
        let (one, many, plain) = TYPES.iter().find(|(one, _, _)| one.eq_ignore_ascii_case(kind))?;
        let (cim, kind) = if list || listed { (many, Type::List) } else { (one, *plain) };
        Some(Self { name: name.to_owned(), kind, cim })
    }
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
    /// How many of the first attributes are the key of a row; none: a device has one row at most.
    pub keys: usize,
    /// How often an administrator defined it; 0: it is built in.
    pub version: u32,
    /// It takes no more reports.
    pub retired: bool,
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
    /// No key attribute is there; this is the first one.
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

    /// Whether a key attribute is there. A provider that does not know one of several leaves it out; what is there tells the rows
    /// of a device apart, or the section is refused for two rows with one key.
    ///
    /// # Errors
    /// The first key attribute, when none is there.
    pub fn check_key(&self, row: &Row) -> Result<(), RowError> {
        let keys = self.attributes.iter().take(self.keys);
        match (self.attributes.first(), keys.map(|key| row.contains_key(&key.name)).reduce(|one, other| one || other)) {
            (Some(first), Some(false)) => Err(RowError::MissingKey(first.name.clone())),
            _ => Ok(()),
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

/// The classes that a site knows at one moment, by name. It is a snapshot: what an administrator adds makes another one.
#[derive(Debug)]
pub struct Catalogue {
    classes: Vec<Arc<Class>>,
    by_name: HashMap<String, usize>,
    revision: u64,
    schemas: wql::schema::Made,
}

impl Catalogue {
    /// The classes that are built in: those of `data/inventory-classes.json`.
    pub fn built_in() -> &'static Arc<Self> {
        static CATALOGUE: OnceLock<Arc<Catalogue>> = OnceLock::new();
        CATALOGUE
            .get_or_init(|| Arc::new(Self::of(built_in::classes().chain(more::classes()).map(Arc::new).collect(), 0)))
    }

    /// The classes that are built in, and those of an administrator; `revision` counts the changes of the latter.
    #[must_use]
    pub fn with(own: impl IntoIterator<Item = Class>, revision: u64) -> Self {
        let built_in = Self::built_in();
        let own = own.into_iter().filter(|class| built_in.class(&class.name).is_none()).map(Arc::new);
        Self::of(built_in.classes.iter().cloned().chain(own).collect(), revision)
    }

    fn of(mut classes: Vec<Arc<Class>>, revision: u64) -> Self {
        classes.sort_by(|a, b| a.name.cmp(&b.name));
        let by_name = classes.iter().enumerate().map(|(at, c)| (c.name.clone(), at)).collect();
        Self { classes, by_name, revision, schemas: wql::schema::Made::default() }
    }

    /// What queries can name at that moment, once it was made.
    pub(crate) fn schemas(&self) -> &wql::schema::Made {
        &self.schemas
    }

    /// The class of that name.
    #[must_use]
    pub fn class(&self, name: &str) -> Option<&Arc<Class>> {
        self.by_name.get(name).map(|at| &self.classes[*at])
    }

    /// All classes, in name order.
    #[must_use]
    pub fn classes(&self) -> &[Arc<Class>] {
        &self.classes
    }

    /// Which change of the administrators' own classes this is as of.
    #[must_use]
    pub fn revision(&self) -> u64 {
        self.revision
    }
}
