//! The classes that a query can name: resources, inventory classes, members of collections. Data, not code.

use super::suggest;
use crate::catalogue;
use std::{
    collections::HashMap,
    sync::{Arc, OnceLock},
};

/// What a value is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Kind {
    /// A text.
    Text,
    /// A whole number.
    Number,
    /// True or false; 1 and 0.
    Truth,
    /// A fraction.
    Real,
    /// A moment.
    Moment,
}

/// How many values an attribute has.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Shape {
    /// One, or none.
    One,
    /// Several, kept in one column: an array of an inventory class.
    List,
    /// Several, each with a row of its own: an array of a resource.
    Many,
}

/// An attribute.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Attribute {
    /// Its name.
    pub name: String,
    /// What its values are.
    pub kind: Kind,
    /// How many there are.
    pub shape: Shape,
}

/// What a class is of.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum Role {
    /// Systems: resources that a collection of devices has.
    System,
    /// Users.
    User,
    /// Groups of users.
    UserGroup,
    /// Computers that are not known yet.
    UnknownSystem,
    /// An inventory class, by its name in the catalogue.
    Inventory(String),
    /// Members of all collections.
    Members,
    /// Members of one collection.
    MembersOf(String),
    /// Anything else.
    Other,
}

/// A class.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Class {
    /// Its name.
    pub name: String,
    /// What it is of.
    pub role: Role,
    /// Whether a device may have several rows of it.
    pub several: bool,
    /// Its attributes.
    pub attributes: Vec<Attribute>,
}

impl Class {
    /// The attribute of that name, whatever the case.
    #[must_use]
    pub fn attribute(&self, name: &str) -> Option<&Attribute> {
        self.attributes.iter().find(|attribute| attribute.name.eq_ignore_ascii_case(name))
    }
}

/// Inventory classes of which a device has one row.
const SINGLE: &[&str] = &[
    "COMPUTER_SYSTEM",
    "COMPUTER_SYSTEM_PRODUCT",
    "OPERATING_SYSTEM",
    "PC_BIOS",
    "BASEBOARD",
    "X86_PC_MEMORY",
    "FIRMWARE",
    "TPM",
    "TPM_STATUS",
    "SYSTEMBOOTSUMMARY",
    "SYSTEM_CONSOLE_USAGE",
    "WINDOWSUPDATE",
    "WINDOWSUPDATEAGENTVERSION",
    "TIME_ZONE",
];

/// All classes, by name.
#[derive(Debug, Clone, Default)]
pub struct Schema {
    classes: HashMap<String, Arc<Class>>,
}

/// The schemas of one snapshot of the catalogue, each made when it is first asked for: with a site's own classes that is thousands of
/// texts, too much to copy for each query.
#[derive(Debug, Default)]
pub(crate) struct Made {
    now: OnceLock<Arc<Schema>>,
    with_retired: OnceLock<Arc<Schema>>,
}

impl Schema {
    /// The classes that are built in: the resources, and the inventory classes of Configuration Manager.
    #[must_use]
    pub fn built_in() -> &'static Arc<Self> {
        static SCHEMA: OnceLock<Arc<Schema>> = OnceLock::new();
        SCHEMA.get_or_init(|| {
            let mut schema = Self::default().with(catalogue::Catalogue::built_in().classes().iter().map(AsRef::as_ref));
            include_str!("../../data/wql-classes.txt").lines().for_each(|line| schema.add_line(line));
            Arc::new(schema)
        })
    }

    /// These classes, and those of a catalogue, which an administrator may have added to.
    #[must_use]
    pub fn with<'a>(mut self, classes: impl IntoIterator<Item = &'a catalogue::Class>) -> Self {
        for class in classes {
            let attributes = class.attributes.iter().map(|attribute| {
                let (kind, shape) = match attribute.kind {
                    catalogue::Type::Text => (Kind::Text, Shape::One),
                    catalogue::Type::Int { .. } => (Kind::Number, Shape::One),
                    catalogue::Type::Bool => (Kind::Truth, Shape::One),
                    catalogue::Type::DateTime => (Kind::Moment, Shape::One),
                    catalogue::Type::Real => (Kind::Real, Shape::One),
                    catalogue::Type::List => (Kind::Text, Shape::List),
                };
                Attribute { name: attribute.name.clone(), kind, shape }
            });
            self.add_inventory(&class.name, attributes.collect());
        }
        self
    }

    /// The class of that name, whatever the case. `SMS_CM_RES_COLL_<id>` is the members of a collection.
    #[must_use]
    pub fn class(&self, name: &str) -> Option<Arc<Class>> {
        let folded = name.to_ascii_lowercase();
        if let Some(id) = folded.strip_prefix("sms_cm_res_coll_") {
            let is_id = id.len() == 8 && id.bytes().all(|b| b.is_ascii_alphanumeric());
            let members = self.classes.get("sms_fullcollectionmembership").filter(|_| is_id)?;
            let id = id.to_ascii_uppercase();
            let name = format!("SMS_CM_RES_COLL_{id}");
            return Some(Arc::new(Class { name, role: Role::MembersOf(id), ..(**members).clone() }));
        }
        self.classes.get(&folded).cloned()
    }

    /// The class that was meant, as the end of a message.
    pub(super) fn hint(&self, name: &str) -> String {
        suggest::hint(name, self.classes.values().map(|class| class.name.as_str()))
    }

    /// All classes, in no order.
    pub fn classes(&self) -> impl Iterator<Item = &Arc<Class>> {
        self.classes.values()
    }

    /// These classes where a site has none of its own, and else with those of its catalogue that an administrator added.
    #[must_use]
    pub fn of(catalogue: &catalogue::Catalogue) -> Arc<Self> {
        Arc::clone(catalogue.schemas().now.get_or_init(|| Self::made_of(catalogue, |class| !class.retired)))
    }

    /// The same with classes that were retired: what a query depended on, it depends on when its class comes back.
    #[must_use]
    pub fn with_retired(catalogue: &catalogue::Catalogue) -> Arc<Self> {
        Arc::clone(catalogue.schemas().with_retired.get_or_init(|| Self::made_of(catalogue, |_| true)))
    }

    fn made_of(catalogue: &catalogue::Catalogue, wanted: impl Fn(&catalogue::Class) -> bool) -> Arc<Self> {
        let own: Vec<_> = catalogue.classes().iter().filter(|class| class.version > 0 && wanted(class)).collect();
        if own.is_empty() {
            return Arc::clone(Self::built_in());
        }
        let built_in = Self::clone(Self::built_in());
        Arc::new(built_in.with(own.into_iter().map(AsRef::as_ref)))
    }

    fn add(&mut self, class: Class) {
        self.classes.insert(class.name.to_ascii_lowercase(), Arc::new(class));
    }

    fn add_inventory(&mut self, name: &str, own: Vec<Attribute>) {
        let mut attributes: Vec<Attribute> =
            ["ResourceID", "GroupID", "RevisionID"].map(|name| attribute(name, Kind::Number, Shape::One)).into();
        attributes.push(attribute("TimeStamp", Kind::Moment, Shape::One));
        let has = |attributes: &[Attribute], name: &str| attributes.iter().any(|a| a.name.eq_ignore_ascii_case(name));
        for own in own {
            if !has(&attributes, &own.name) {
                attributes.push(own);
            }
        }
        let several = !SINGLE.contains(&name);
        let full = format!("SMS_G_System_{name}");
        self.add(Class { name: full, role: Role::Inventory(name.to_owned()), several, attributes });
    }

    fn add_line(&mut self, line: &str) {
        let mut words = line.split_whitespace();
        let (Some(name), Some(role)) = (words.next(), words.next()) else { return };
        if name.starts_with('#') {
            return;
        }
        let role_of = match role {
            "system" => Role::System,
            "user" => Role::User,
            "group" => Role::UserGroup,
            "unknown" => Role::UnknownSystem,
            "members" => Role::Members,
            _ => Role::Other,
        };
        let several_values = if role_of == Role::Other { Shape::List } else { Shape::Many };
        let attributes = words
            .filter_map(|word| word.split_once(':'))
            .filter_map(|(name, kind)| described(name, kind, several_values));
        let attributes = attributes.collect();
        self.add(Class {
            name: name.to_owned(),
            role: role_of,
            several: matches!(role, "several" | "members"),
            attributes,
        });
    }
}

fn attribute(name: &str, kind: Kind, shape: Shape) -> Attribute {
    Attribute { name: name.to_owned(), kind, shape }
}

fn described(name: &str, kind: &str, several: Shape) -> Option<Attribute> {
    let kind = match kind {
        "String" => Kind::Text,
        "Boolean" => Kind::Truth,
        "DateTime" => Kind::Moment,
        "Real32" | "Real64" => Kind::Real,
        kind if kind.starts_with("UInt") || kind.starts_with("SInt") => Kind::Number,
        _ => return None,
    };
    Some(match name.strip_suffix("[]") {
        // The elements of a list are kept as texts, numbers too.
        Some(name) if several == Shape::List => attribute(name, Kind::Text, several),
        Some(name) => attribute(name, kind, several),
        None => attribute(name, kind, Shape::One),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn all_groups_and_resources_are_known() {
        let schema = Schema::built_in();
        let inventory = schema.classes().filter(|class| matches!(class.role, Role::Inventory(_))).count();
        assert_eq!(inventory, 161 + catalogue::more().len());
        let system = schema.class("sms_r_SYSTEM").unwrap();
        assert_eq!(system.attribute("resourceid").unwrap().name, "ResourceID");
        assert_eq!(system.attribute("IPADDRESSES").unwrap().shape, Shape::Many);
        let enclosure = schema.class("SMS_G_System_SYSTEM_ENCLOSURE").unwrap();
        assert_eq!(enclosure.attribute("chassistypes").unwrap().shape, Shape::List);
        assert_eq!(schema.class("sms_cm_res_coll_sms00001").unwrap().role, Role::MembersOf("SMS00001".to_owned()));
        assert!(schema.class("SMS_CM_RES_COLL_x'--").is_none());
        assert!(schema.classes().all(|class| class.attributes.iter().all(|a| !a.name.is_empty())));
    }
}
