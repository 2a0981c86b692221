//! A collector's document as rows of the classes of foreign collectors.

use super::Document;
use muster_model::{
    catalogue::{ForeignClass, Type, foreign_element},
    inventory::{Row, Value},
};
use std::collections::{BTreeMap, HashSet};

/// Rows by class, and how many elements had no key or one that was there.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Mapped {
    /// The rows.
    pub classes: BTreeMap<String, Vec<Row>>,
    /// Elements that are no row.
    pub dropped: usize,
    /// Which collector says it, as it stands in its rows.
    pub source: String,
}

/// The rows of a document. What is not of an attribute's type is left out, as what is not known.
#[must_use]
pub fn map(document: &Document) -> Mapped {
    let mut mapped = Mapped { source: source(document).to_owned(), ..Mapped::default() };
    let mut keys: HashSet<(&str, String)> = HashSet::new();
    let mut numbers: BTreeMap<&str, u64> = BTreeMap::new();
    for element in &document.elements {
        let Some(class) = foreign_element(&element.name) else { continue };
        let name = class.class.name.as_str();
        let number = numbers.entry(name).or_default();
        let row = row(document, class, &element.fields, *number);
        let key: Row = class
            .class
            .attributes
            .iter()
            .take(class.class.keys)
            .filter_map(|a| Some((a.name.clone(), row.get(&a.name)?.clone())))
            .collect();
        let text = serde_json::to_string(&key).unwrap_or_default();
        if class.class.check_key(&row).is_err() || !keys.insert((name, text)) {
            mapped.dropped += 1;
            continue;
        }
        *number += 1;
        mapped.classes.entry(name.to_owned()).or_default().push(row);
    }
    mapped
}

/// The collector. `FusionInventory-Agent_v2.6`: the version changes with each update, and must not make every row another one.
fn source(document: &Document) -> &str {
    match document.version.split('_').next() {
        None | Some("") => "unknown",
        Some(source) => source,
    }
}

fn row(document: &Document, class: &ForeignClass, fields: &BTreeMap<String, String>, number: u64) -> Row {
    let number = number.to_string();
    let said = |field: &str| match field {
        "@source" => Some(source(document)),
        "@version" => Some(document.version.as_str()),
        "@device" => Some(document.device.as_str()),
        "@number" => Some(number.as_str()),
        field => fields.get(field).map(String::as_str),
    };
    let pairs = class.class.attributes.iter().zip(&class.fields);
    pairs.filter_map(|(a, field)| Some((a.name.clone(), value(a.kind, said(field)?)?))).collect()
}

fn value(kind: Type, text: &str) -> Option<Value> {
    if text.is_empty() {
        return None;
    }
    match kind {
        Type::Int { min, max } => text.parse().ok().filter(|n| (min..=max).contains(n)).map(Value::Int),
        _ => Some(Value::Text(text.to_owned())),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::foreign::Element;

    fn element(name: &str, fields: &[(&str, &str)]) -> Element {
        let fields = fields.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
        Element { name: name.to_owned(), fields }
    }

    #[test]
    fn rows_obey_their_class_and_say_their_source() {
        let document = Document {
            device: "pc-1".to_owned(),
            version: "FusionInventory-Agent_v2.6".to_owned(),
            elements: vec![
                element("SOFTWARES", &[("NAME", "curl"), ("VERSION", "7"), ("FILESIZE", "12"), ("OTHER", "x")]),
                element("SOFTWARES", &[("NAME", "curl"), ("VERSION", "7")]),
                element("SOFTWARES", &[("FILESIZE", "12")]),
                element("CPUS", &[("NAME", "a"), ("SPEED", "fast"), ("CORE", "-1")]),
                element("CPUS", &[("NAME", "a")]),
                element("HARDWARE", &[("NAME", "pc"), ("MEMORY", "99999999999999999999")]),
            ],
            unknown: 0,
        };
        let mapped = map(&document);
        assert_eq!(mapped.dropped, 2);
        let limits = muster_model::limits::Limits::default();
        for (name, rows) in &mapped.classes {
            let class = muster_model::catalogue::foreign().iter().find(|class| class.class.name == *name).unwrap();
            for row in rows {
                class.class.check(row, &limits).unwrap();
                assert_eq!(row.get("Source"), Some(&Value::Text("FusionInventory-Agent".to_owned())));
            }
        }
        let number = |at: usize| mapped.classes["FOREIGN_PROCESSOR"][at].get("Number").cloned();
        assert_eq!((number(0), number(1)), (Some(Value::Int(0)), Some(Value::Int(1))));
        assert_eq!(mapped.classes["FOREIGN_SOFTWARE"][0].len(), 4);
        assert!(!mapped.classes["FOREIGN_COMPUTER"][0].contains_key("Memory"));
    }
}
