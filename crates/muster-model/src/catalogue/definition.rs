//! Classes that an administrator defines: what a definition may say, and how the next version of a class follows from one.
//!
//! Names from here become names of tables, views and columns. [`is_class_name`] and [`Definition::class`] are the gate.

use super::{Attribute, Catalogue, Class};
use crate::{
    api::ClassAdd,
    limits::{CLASS_ATTRIBUTES, CLASS_NAME_BYTES, DEFINITION_BYTES, DEFINITIONS},
    mof::{self, MofError},
};

/// A class as an administrator defines it.
pub type Definition = ClassAdd;

/// Why a definition is not taken.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum DefinitionError {
    /// It is neither.
    #[error("it is neither a class in JSON ({0}) nor a MOF text")]
    Json(String),
    /// The MOF text is not well-formed.
    #[error("the MOF text is not well-formed: {0}")]
    Mof(#[from] MofError),
    /// The text is too long.
    #[error("a text of definitions has at most {DEFINITION_BYTES} bytes")]
    TooLarge,
    /// No class in it is for inventory.
    #[error("no class in it has the qualifiers SMS_Report(TRUE) and SMS_Class_ID")]
    NoClass,
    /// Too many classes.
    #[error("one text has at most {DEFINITIONS} classes")]
    TooMany,
    /// The name of the class cannot be one.
    #[error(
        "{0:?} cannot be the name of a class: a capital letter, then capital letters, digits and underscores, at most \
         {CLASS_NAME_BYTES} in all; not one that ends in _KEY, _PKEY or _SEQ"
    )]
    ClassName(String),
    /// The name is taken.
    #[error("{0} is a class that is built in or that the site makes itself; give yours another name")]
    Reserved(String),
    /// The provider's name cannot be one.
    #[error("the provider's class has at most 100 letters, digits and underscores")]
    Provider,
    /// The name of an attribute cannot be one.
    #[error(
        "{0:?} cannot be the name of an attribute: a letter, then letters, digits and underscores, at most {CLASS_NAME_BYTES} \
         in all, and none that the database or every class has already"
    )]
    AttributeName(String),
    /// Two attributes of one name.
    #[error("there are two attributes {0:?}; large and small letters do not tell names apart")]
    Twice(String),
    /// No such type.
    #[error(
        "attribute {0:?} is of no type that there is: String, Boolean, DateTime, UInt8 to UInt64, SInt8 to SInt64, Real32, Real64, and each with [] for a list"
    )]
    Type(String),
    /// Too few or too many attributes.
    #[error("a class has 1 to {CLASS_ATTRIBUTES} attributes")]
    Attributes,
    /// A list as key.
    #[error("attribute {0:?} is a list, and a list cannot be a key")]
    ListKey(String),
    /// The next version changes a type.
    #[error(
        "attribute {0:?} is {1} and would become {2}: devices report by the version that they know, and rows of the old type are \
         stored; give the attribute another name"
    )]
    TypeChanged(String, &'static str, &'static str),
    /// The next version changes what is a key.
    #[error("the key attributes of a class stay what they are: rows are told apart by them")]
    KeysChanged,
}

/// Names that no attribute can have: columns that each table has, what SQL databases keep for themselves, and what every class of
/// Configuration Manager inherits.
const RESERVED_ATTRIBUTES: &[&str] = &[
    "agentid",
    "cmax",
    "cmin",
    "ctid",
    "groupid",
    "oid",
    "resourceid",
    "revisionid",
    "row_hash",
    "row_id",
    "row_key",
    "rowid",
    "tableoid",
    "timestamp",
    "xmax",
    "xmin",
];

/// Classes that the site makes itself or will make.
const RESERVED_CLASSES: &[&str] = &[
    "CH_CLIENTSUMMARY",
    "CURRENT",
    "INSTALLED_SOFTWARE_CATEGORIZED",
    "LASTSOFTWARESCAN",
    "LASTUPDATESCAN",
    "SOFTWAREFILE",
    "SOFTWAREPRODUCT",
    "SOFTWAREUPDATE",
    "SYSTEM",
    "WORKSTATION_STATUS",
];

/// Whether a text can be the name of an administrator's class. Endings that indexes and sequences of other tables have are none.
#[must_use]
pub fn is_class_name(name: &str) -> bool {
    let plain = |b: u8| b.is_ascii_uppercase() || b.is_ascii_digit() || b == b'_';
    name.len() <= CLASS_NAME_BYTES
        && name.bytes().next().is_some_and(|b| b.is_ascii_uppercase())
        && name.bytes().all(plain)
        && !["_KEY", "_PKEY", "_SEQ"].iter().any(|end| name.ends_with(end))
}

fn is_attribute_name(name: &str) -> bool {
    name.len() <= CLASS_NAME_BYTES
        && name.bytes().next().is_some_and(|b| b.is_ascii_alphabetic())
        && name.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_')
        && !RESERVED_ATTRIBUTES.contains(&name.to_ascii_lowercase().as_str())
}

fn is_provider(name: &str) -> bool {
    name.len() <= 100 && name.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_')
}

/// At most 100 characters of a text that somebody else wrote.
fn said(text: &str) -> String {
    text.chars().take(100).collect()
}

/// The definitions in a text: one class or a list of classes in JSON, or a MOF text as Configuration Manager exports it.
///
/// # Errors
/// When it is neither, or no class in it is for inventory.
pub fn definitions(text: &str) -> Result<Vec<Definition>, DefinitionError> {
    if text.len() > DEFINITION_BYTES {
        return Err(DefinitionError::TooLarge);
    }
    let text = text.trim_start_matches('\u{feff}').trim_start();
    let json = |error: serde_json::Error| DefinitionError::Json(said(&error.to_string()));
    // A MOF text may begin with a bracket too, that of its first qualifiers.
    let found = if text.starts_with('{') {
        vec![serde_json::from_str(text).map_err(json)?]
    } else if text.starts_with('[') && text[1..].trim_start().starts_with('{') {
        serde_json::from_str(text).map_err(json)?
    } else {
        mof::class::definitions(text)?
    };
    match found.len() {
        0 => Err(DefinitionError::NoClass),
        1..=DEFINITIONS => Ok(found),
        _ => Err(DefinitionError::TooMany),
    }
}

impl Definition {
    /// The class that is defined, as its first version; key attributes come first.
    ///
    /// # Errors
    /// The first thing in it that cannot be.
    pub fn class(&self) -> Result<Class, DefinitionError> {
        let name = self.name.clone();
        if !is_class_name(&name) {
            return Err(DefinitionError::ClassName(said(&name)));
        }
        let built_in = Catalogue::built_in().classes().iter().any(|class| class.name.eq_ignore_ascii_case(&name));
        if built_in || RESERVED_CLASSES.contains(&name.as_str()) {
            return Err(DefinitionError::Reserved(name));
        }
        if !is_provider(&self.provider) {
            return Err(DefinitionError::Provider);
        }
        if !(1..=CLASS_ATTRIBUTES).contains(&self.attributes.len()) {
            return Err(DefinitionError::Attributes);
        }
        let mut names: Vec<String> = Vec::new();
        let (mut keys, mut others) = (Vec::new(), Vec::new());
        for said_attribute in &self.attributes {
            let name = &said_attribute.name;
            if !is_attribute_name(name) {
                return Err(DefinitionError::AttributeName(said(name)));
            }
            if names.contains(&name.to_ascii_lowercase()) {
                return Err(DefinitionError::Twice(name.clone()));
            }
            names.push(name.to_ascii_lowercase());
            let attribute =
                Attribute::new(name, &said_attribute.kind).ok_or_else(|| DefinitionError::Type(name.clone()))?;
            match (said_attribute.key, attribute.cim.ends_with("[]")) {
                (true, true) => return Err(DefinitionError::ListKey(name.clone())),
                (true, false) => keys.push(attribute),
                (false, _) => others.push(attribute),
            }
        }
        let count = keys.len();
        keys.append(&mut others);
        Ok(Class { name, wmi: self.provider.clone(), attributes: keys, keys: count, version: 1, retired: false })
    }
}

impl Class {
    /// The version of this class that follows from a definition: attributes may come, and come last; none goes and none
    /// changes. `None`: there is nothing new in it.
    ///
    /// # Errors
    /// When it changes what there is, or would have too many attributes.
    pub fn next(&self, wanted: &Self) -> Result<Option<Self>, DefinitionError> {
        let mut attributes = self.attributes.clone();
        for attribute in &wanted.attributes {
            match self.attributes.iter().find(|known| known.name.eq_ignore_ascii_case(&attribute.name)) {
                Some(known) if known.name != attribute.name => {
                    return Err(DefinitionError::Twice(attribute.name.clone()));
                }
                Some(known) if known.cim != attribute.cim => {
                    return Err(DefinitionError::TypeChanged(known.name.clone(), known.cim, attribute.cim));
                }
                Some(_) => {}
                None => attributes.push(attribute.clone()),
            }
        }
        let names = |class: &Self| {
            let mut names: Vec<String> = class.attributes.iter().take(class.keys).map(|a| a.name.clone()).collect();
            names.sort();
            names
        };
        if names(self) != names(wanted) {
            return Err(DefinitionError::KeysChanged);
        }
        if attributes.len() > CLASS_ATTRIBUTES {
            return Err(DefinitionError::Attributes);
        }
        if attributes.len() == self.attributes.len() && self.wmi == wanted.wmi {
            return Ok(None);
        }
        Ok(Some(Self { wmi: wanted.wmi.clone(), attributes, version: self.version + 1, ..self.clone() }))
    }

    /// The definition that makes this class.
    #[must_use]
    pub fn definition(&self) -> Definition {
        let attribute = |(at, attribute): (usize, &Attribute)| crate::api::ClassAttribute {
            name: attribute.name.clone(),
            kind: attribute.cim.to_owned(),
            key: at < self.keys,
        };
        Definition {
            name: self.name.clone(),
            provider: self.wmi.clone(),
            attributes: self.attributes.iter().enumerate().map(attribute).collect(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn defined(json: &str) -> Result<Class, DefinitionError> {
        definitions(json)?.remove(0).class()
    }

    fn with(name: &str, attribute: &str, kind: &str) -> Result<Class, DefinitionError> {
        let json = serde_json::json!({"name": name, "attributes": [
            {"name": attribute, "type": kind}, {"name": "Id", "type": "uint32", "key": true}]});
        defined(&json.to_string())
    }

    #[test]
    fn a_definition_makes_a_class_with_its_keys_first() {
        let class = with("BADGE_READER", "Slots", "UInt16[]").unwrap();
        let shown: Vec<_> = class.attributes.iter().map(|a| (a.name.as_str(), a.cim)).collect();
        assert_eq!((shown, class.keys, class.version), (vec![("Id", "UInt32"), ("Slots", "UInt16[]")], 1, 1));
        assert_eq!(class.definition().class().unwrap(), class, "what is stored makes the same class");
    }

    // proves S1
    #[test]
    fn names_that_would_say_something_to_a_database_are_no_names() {
        let hostile = [
            "",
            "a",
            "X-Y",
            "X Y",
            "X\"Y",
            "X'; DROP TABLE device; --",
            "X;",
            "X\0",
            "ÄX",
            "_X",
            "1X",
            "X.Y",
            "X\n",
            "INV_KEY",
            "A_PKEY",
            "A_ROW_ID_SEQ",
            "ＡＢ",
            "X/*",
            "X$1",
            "X{serial}",
            &"X".repeat(41),
        ];
        for name in hostile {
            assert!(matches!(with(name, "Port", "String"), Err(DefinitionError::ClassName(_))), "{name:?}");
        }
        for name in ["PC_BIOS", "CLIENTEVENTS", "SYSTEM", "SOFTWAREFILE"] {
            assert!(matches!(with(name, "Port", "String"), Err(DefinitionError::Reserved(_))), "{name:?}");
        }
        let hostile = [
            "",
            "1",
            "_a",
            "a-b",
            "a b",
            "a\"",
            "a'",
            "a\0",
            "a[]",
            "a$",
            "é",
            "row_id",
            "ROW_KEY",
            "rowid",
            "OID",
            "xmin",
            "CTID",
            "TimeStamp",
            "ResourceID",
            &"a".repeat(41),
        ];
        for name in hostile {
            assert!(matches!(with("THING", name, "String"), Err(DefinitionError::AttributeName(_))), "{name:?}");
        }
        assert_eq!(with("THING", "ID", "String"), Err(DefinitionError::Twice("Id".to_owned())));
        for kind in ["", "text", "String[][]", "UInt128", "VARCHAR(1)"] {
            assert!(matches!(with("THING", "Port", kind), Err(DefinitionError::Type(_))), "{kind:?}");
        }
    }

    #[test]
    fn bounds_and_what_is_no_definition() {
        let many: Vec<_> =
            (0..=CLASS_ATTRIBUTES).map(|n| serde_json::json!({"name": format!("A{n}"), "type": "String"})).collect();
        let json = serde_json::json!({"name": "THING", "attributes": many}).to_string();
        assert_eq!(defined(&json), Err(DefinitionError::Attributes));
        assert_eq!(defined(r#"{"name": "THING", "attributes": []}"#), Err(DefinitionError::Attributes));
        let key = r#"{"name": "THING", "attributes": [{"name": "A", "type": "String[]", "key": true}]}"#;
        assert!(matches!(defined(key), Err(DefinitionError::ListKey(_))));
        assert!(matches!(definitions("{"), Err(DefinitionError::Json(_))));
        assert!(matches!(definitions("[{}]"), Err(DefinitionError::Json(_))));
        assert!(matches!(definitions(""), Err(DefinitionError::NoClass)));
        assert!(matches!(definitions("class {"), Err(DefinitionError::Mof(_))));
        assert!(matches!(definitions(&" ".repeat(DEFINITION_BYTES + 1)), Err(DefinitionError::TooLarge)));
        let odd = r#"{"name": "THING", "provider": "a'b", "attributes": [{"name": "A", "type": "String"}]}"#;
        assert_eq!(defined(odd), Err(DefinitionError::Provider));
    }

    #[test]
    fn a_version_adds_attributes_and_changes_none() {
        let first = with("THING", "Port", "String").unwrap();
        let second = first.next(&with("THING", "Speed", "UInt32").unwrap()).unwrap().unwrap();
        let names: Vec<_> = second.attributes.iter().map(|a| a.name.as_str()).collect();
        assert_eq!((names, second.version), (vec!["Id", "Port", "Speed"], 2), "what is not named again stays");
        assert_eq!(second.next(&first), Ok(None));
        let other = with("THING", "Port", "UInt32").unwrap();
        assert!(matches!(first.next(&other), Err(DefinitionError::TypeChanged(..))));
        let other = with("THING", "port", "String").unwrap();
        assert!(matches!(first.next(&other), Err(DefinitionError::Twice(_))));
        let keyless = defined(r#"{"name": "THING", "attributes": [{"name": "Id", "type": "UInt32"}]}"#).unwrap();
        assert_eq!(first.next(&keyless), Err(DefinitionError::KeysChanged));
    }
}
