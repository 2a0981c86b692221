//! Classes beside those of the big data file: files that the agent finds, and what foreign collectors say. The latter are kept apart: the
//! agent reports none of them, and a foreign collector reports nothing else.

use super::{Attribute, Class};
use serde::Deserialize;
use std::{
    collections::HashMap,
    sync::{Arc, LazyLock},
};

/// The classes of files, in the order in which they are reported.
pub const SOFTWARE_FILES: [&str; 3] = ["SoftwareFile", "SoftwareProduct", "LastSoftwareScan"];

/// The classes of software updates.
pub const SOFTWARE_UPDATES: [&str; 2] = ["SoftwareUpdate", "LastUpdateScan"];

/// The class that says whether a machine needs a restart.
pub const PENDING_RESTART: &str = "MUSTER_PENDING_RESTART";

/// A class of foreign collectors, and where its values stand in their documents.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ForeignClass {
    /// The class.
    pub class: Arc<Class>,
    /// The element of a row.
    pub element: String,
    /// The element of each attribute, in the order of the attributes; with `@` before it, what the site knows of the document.
    pub fields: Vec<String>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Entry {
    name: String,
    provider: String,
    /// Empty: the class is the agent's.
    element: String,
    keys: usize,
    attrs: Vec<(String, String, String)>,
}

fn entries() -> Vec<Entry> {
    serde_json::from_str(include_str!("../../data/more-classes.json")).unwrap_or_default()
}

impl Entry {
    fn class(&self) -> Class {
        Class {
            name: self.name.clone(),
            wmi: self.provider.clone(),
            attributes: self.attrs.iter().filter_map(|(kind, name, _)| Attribute::new(name, kind)).collect(),
            keys: self.keys,
            version: 0,
            retired: false,
        }
    }
}

/// Every class of this file.
pub(super) fn classes() -> impl Iterator<Item = Class> {
    entries().into_iter().map(|entry| entry.class())
}

/// The names of the classes of this file, in its order: their tables are made by the program.
pub fn more() -> &'static [String] {
    static NAMES: LazyLock<Vec<String>> = LazyLock::new(|| entries().into_iter().map(|entry| entry.name).collect());
    &NAMES
}

/// Every class of foreign collectors, in the order of the file.
pub fn foreign() -> &'static [ForeignClass] {
    static CLASSES: LazyLock<Vec<ForeignClass>> = LazyLock::new(|| {
        let foreign = entries().into_iter().filter(|entry| !entry.element.is_empty());
        foreign
            .map(|entry| ForeignClass {
                class: Arc::new(entry.class()),
                fields: entry.attrs.into_iter().map(|(_, _, field)| field).collect(),
                element: entry.element,
            })
            .collect()
    });
    &CLASSES
}

/// The class whose rows are in this element.
#[must_use]
pub fn foreign_element(element: &str) -> Option<&'static ForeignClass> {
    static BY_ELEMENT: LazyLock<HashMap<&'static str, &'static ForeignClass>> =
        LazyLock::new(|| foreign().iter().map(|class| (class.element.as_str(), class)).collect());
    BY_ELEMENT.get(element).copied()
}

/// Whether a class is one of foreign collectors.
#[must_use]
pub fn is_foreign(name: &str) -> bool {
    foreign().iter().any(|class| class.class.name == name)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::HashSet;

    #[test]
    fn the_file_gives_classes_and_those_of_foreign_collectors_say_their_source() {
        assert_eq!((more().len(), foreign().len()), (20, 13));
        for name in SOFTWARE_FILES.into_iter().chain(SOFTWARE_UPDATES).chain([PENDING_RESTART]) {
            assert!(more().iter().any(|known| known == name) && !is_foreign(name), "{name}");
        }
        for class in foreign() {
            assert!(class.class.name.starts_with("FOREIGN_") && class.class.attribute("Source").is_some());
            assert_eq!(class.fields.len(), class.class.attributes.len(), "{}", class.class.name);
            let names: HashSet<&str> = class.class.attributes.iter().map(|a| a.name.as_str()).collect();
            assert_eq!(names.len(), class.fields.len(), "{}", class.class.name);
            assert!(class.class.keys <= 4 && foreign_element(&class.element).is_some());
        }
    }
}
