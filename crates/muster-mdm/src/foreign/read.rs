//! The document of a collector, read event by event: of what is known the fields are kept, and everything else is read over.

use super::{Bounds, DEPTH, ELEMENTS, FIELDS, ForeignError, Request};
use muster_model::catalogue::{ForeignClass, foreign_element};
use quick_xml::{Reader, events::Event};
use std::collections::{BTreeMap, HashMap};

/// An inventory as a collector says it.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Document {
    /// What it calls the device.
    pub device: String,
    /// Its name and version, as `FusionInventory-Agent_v2.6`.
    pub version: String,
    /// What it says, in its order.
    pub elements: Vec<Element>,
    /// Elements that no class has, by their name.
    pub unknown: usize,
}

/// One element of the content.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Element {
    /// Its name.
    pub name: String,
    /// Those of its fields that its class names: of one that is there twice, the first.
    pub fields: BTreeMap<String, String>,
}

/// Reads a document.
///
/// # Errors
/// See [`ForeignError`].
pub fn read(text: &[u8], bounds: &Bounds) -> Result<Request, ForeignError> {
    if text.len() > bounds.decoded_bytes {
        return Err(ForeignError::TooLarge("bytes after decompression"));
    }
    let text = std::str::from_utf8(text).map_err(|_| ForeignError::Malformed("it is not UTF-8".to_owned()))?;
    let mut reader = Reader::from_str(text);
    let config = reader.config_mut();
    config.check_end_names = true;
    config.allow_unmatched_ends = false;
    config.allow_dangling_amp = false;
    let mut state = State { bounds: *bounds, path: Vec::new(), ..State::default() };
    loop {
        match reader.read_event().map_err(|error| malformed(&error))? {
            Event::Start(start) => state.open(start.name().0)?,
            Event::End(_) => state.close(),
            Event::Empty(start) => {
                state.open(start.name().0)?;
                state.close();
            }
            Event::Text(text) => state.text(&text),
            Event::CData(text) => state.text(&text),
            Event::GeneralRef(reference) => {
                let character = match &*reference {
                    "lt" => '<',
                    "gt" => '>',
                    "amp" => '&',
                    "apos" => '\'',
                    "quot" => '"',
                    _ => reference
                        .resolve_char_ref()
                        .map_err(|error| malformed(&error))?
                        .ok_or(ForeignError::Forbidden("entity"))?,
                };
                state.text(character.encode_utf8(&mut [0; 4]));
            }
            Event::DocType(_) => return Err(ForeignError::Forbidden("document type")),
            Event::PI(_) => return Err(ForeignError::Forbidden("processing instruction")),
            Event::Decl(_) | Event::Comment(_) => {}
            Event::Eof if !state.path.is_empty() => {
                return Err(ForeignError::Malformed("it ends within an element".to_owned()));
            }
            Event::Eof => return state.request(),
        }
    }
}

fn malformed(error: &quick_xml::Error) -> ForeignError {
    ForeignError::Malformed(error.to_string().chars().take(200).collect())
}

/// An element that is not at its end yet.
struct Open {
    class: &'static ForeignClass,
    element: Element,
    /// Fields so far, also those that the class does not name.
    fields: usize,
}

#[derive(Default)]
struct State {
    bounds: Bounds,
    path: Vec<String>,
    opened: usize,
    query: String,
    document: Document,
    /// The element that is open, where a class has it.
    element: Option<Open>,
    /// The text of the field that is open.
    value: String,
    /// Rows of each element.
    counts: HashMap<String, usize>,
}

impl State {
    fn open(&mut self, name: &str) -> Result<(), ForeignError> {
        self.opened += 1;
        if self.opened > ELEMENTS {
            return Err(ForeignError::TooLarge("elements"));
        }
        if self.path.len() >= DEPTH {
            return Err(ForeignError::TooLarge("depth"));
        }
        match self.path.len() {
            0 if name != "REQUEST" => return Err(ForeignError::Malformed("its root is not REQUEST".to_owned())),
            0 if self.opened > 1 => return Err(ForeignError::Malformed("it has two roots".to_owned())),
            2 if self.path[1] == "CONTENT" => {
                if let Some(class) = foreign_element(name) {
                    let count = self.counts.entry(name.to_owned()).or_default();
                    *count += 1;
                    if *count > self.bounds.rows {
                        return Err(ForeignError::TooLarge("rows of one class"));
                    }
                    let element = Element { name: name.to_owned(), fields: BTreeMap::new() };
                    self.element = Some(Open { class, element, fields: 0 });
                } else if name != "VERSIONCLIENT" {
                    self.document.unknown += 1;
                }
            }
            3 => {
                if let Some(open) = &mut self.element {
                    open.fields += 1;
                    if open.fields > FIELDS {
                        return Err(ForeignError::TooLarge("fields of one element"));
                    }
                }
            }
            _ => {}
        }
        self.value.clear();
        self.path.push(name.to_owned());
        Ok(())
    }

    fn text(&mut self, text: &str) {
        // Only what a field can be: a text between elements, or one that is deeper, is nobody's.
        let is_field = match self.path.len() {
            2 => true,
            3 => self.element.is_none(),
            4 => self.element.is_some(),
            _ => false,
        };
        if is_field {
            let room = self.bounds.value_bytes.saturating_sub(self.value.len());
            let end = text.len().min(room);
            let end = (0..=end).rev().find(|at| text.is_char_boundary(*at)).unwrap_or(0);
            self.value.push_str(&text[..end]);
        }
    }

    fn close(&mut self) {
        let Some(name) = self.path.pop() else { return };
        let value = std::mem::take(&mut self.value);
        match (self.path.len(), self.path.get(1).map(String::as_str)) {
            (1, _) if name == "QUERY" => self.query = value.trim().to_owned(),
            (1, _) if name == "DEVICEID" => self.document.device = clean(&value),
            (2, Some("CONTENT")) => match self.element.take() {
                Some(open) => self.document.elements.push(open.element),
                None if name == "VERSIONCLIENT" => self.document.version = clean(&value),
                None => {}
            },
            (3, Some("CONTENT")) => {
                if let Some(Open { class, element, .. }) = &mut self.element
                    && class.fields.contains(&name)
                {
                    element.fields.entry(name).or_insert_with(|| clean(&value));
                }
            }
            _ => {}
        }
    }

    fn request(self) -> Result<Request, ForeignError> {
        match self.query.as_str() {
            "PROLOG" => Ok(Request::Prolog),
            "INVENTORY" => Ok(Request::Inventory(self.document)),
            _ => Err(ForeignError::Query),
        }
    }
}

/// A text without the characters that no database and no page wants, and without blanks around it.
fn clean(text: &str) -> String {
    text.chars().map(|c| if c.is_control() { ' ' } else { c }).collect::<String>().trim().to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    const BOUNDS: Bounds = Bounds { decoded_bytes: 1 << 20, rows: 3, value_bytes: 9 };

    fn read(text: &str) -> Result<Request, ForeignError> {
        super::read(text.as_bytes(), &BOUNDS)
    }

    fn inventory(content: &str) -> Result<Request, ForeignError> {
        read(&format!(
            "<?xml version=\"1.0\" encoding=\"UTF-8\" ?>\n<REQUEST><CONTENT>{content}</CONTENT><DEVICEID>pc-1</DEVICEID>\
             <QUERY>INVENTORY</QUERY></REQUEST>"
        ))
    }

    fn document(content: &str) -> Document {
        match inventory(content) {
            Ok(Request::Inventory(document)) => document,
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn what_is_known_is_kept_and_everything_else_is_read_over() {
        let found = document(
            "<VERSIONCLIENT>F_v2.6</VERSIONCLIENT><SOFTWARES><NAME>a &amp; b</NAME><NAME>c</NAME><VERSION>1.0</VERSION>\
             <X><Y>deep</Y></X></SOFTWARES><ENVS><KEY>K</KEY><VAL>secret</VAL></ENVS><BIOS/>",
        );
        assert_eq!((found.device.as_str(), found.version.as_str(), found.unknown), ("pc-1", "F_v2.6", 1));
        // Of fields only those that the class names.
        assert_eq!(fields(&found, 0), [("NAME", "a & b"), ("VERSION", "1.0")]);
        assert_eq!((found.elements.len(), fields(&found, 1).len()), (2, 0));
        assert_eq!(read("<REQUEST><DEVICEID>x</DEVICEID><QUERY>PROLOG</QUERY></REQUEST>"), Ok(Request::Prolog));
        // What is long is cut, between two characters.
        let found = document("<BIOS><SSN>ééééé</SSN><BDATE>&#233;&#x41;\u{7}</BDATE></BIOS>");
        assert_eq!(fields(&found, 0), [("BDATE", "éA"), ("SSN", "éééé")]);
    }

    fn fields(document: &Document, at: usize) -> Vec<(&str, &str)> {
        document.elements[at].fields.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect()
    }

    #[test]
    fn an_element_of_endless_fields_is_refused() {
        let many = |count: usize| {
            let fields: String = (0..count).map(|number| format!("<a{number}/>")).collect();
            format!("<REQUEST><CONTENT><BIOS>{fields}<SSN>1</SSN></BIOS></CONTENT><QUERY>INVENTORY</QUERY></REQUEST>")
        };
        let bounds = Bounds { decoded_bytes: 8 << 20, ..BOUNDS };
        let Ok(Request::Inventory(found)) = super::read(many(FIELDS - 1).as_bytes(), &bounds) else {
            panic!("so many may be");
        };
        assert_eq!(fields(&found, 0), [("SSN", "1")]);
        let refused = Err(ForeignError::TooLarge("fields of one element"));
        assert_eq!(super::read(many(FIELDS).as_bytes(), &bounds), refused);
        assert_eq!(super::read(many(100_000).as_bytes(), &bounds), refused);
        // What no class has is only counted.
        let text = many(100_000).replace("BIOS", "ENVS");
        assert!(super::read(text.as_bytes(), &bounds).is_ok());
    }

    #[test]
    fn what_is_hostile_is_refused() {
        let bomb = "<!DOCTYPE x [<!ENTITY a \"aaaa\"><!ENTITY b \"&a;&a;\">]><REQUEST><QUERY>PROLOG</QUERY></REQUEST>";
        assert_eq!(read(bomb), Err(ForeignError::Forbidden("document type")));
        assert_eq!(inventory("<BIOS><SSN>&xxe;</SSN></BIOS>"), Err(ForeignError::Forbidden("entity")));
        assert_eq!(inventory("<?php x ?>"), Err(ForeignError::Forbidden("processing instruction")));
        assert_eq!(inventory(&"<BIOS/>".repeat(4)), Err(ForeignError::TooLarge("rows of one class")));
        assert_eq!(inventory(&"<A>".repeat(7)), Err(ForeignError::TooLarge("depth")));
        assert_eq!(inventory(&"<A/>".repeat(ELEMENTS)), Err(ForeignError::TooLarge("bytes after decompression")));
        let many = Bounds { decoded_bytes: 8 << 20, ..BOUNDS };
        let text = format!("<REQUEST>{}</REQUEST>", "<A/>".repeat(ELEMENTS));
        assert_eq!(super::read(text.as_bytes(), &many), Err(ForeignError::TooLarge("elements")));
        for wrong in [
            "",
            "<REQUEST>",
            "<REPLY></REPLY>",
            "<REQUEST></REQUEST>",
            "<REQUEST></CONTENT>",
            "<REQUEST/><REQUEST/>",
            "<REQUEST><QUERY>DOWNLOAD</QUERY></REQUEST>",
            "<REQUEST><QUERY>PROLOG</QUERY>&#0;</REQUEST>",
            "<REQUEST><QUERY>PROLOG & more</QUERY></REQUEST>",
        ] {
            assert!(read(wrong).is_err(), "{wrong}");
        }
        assert!(super::read(b"<REQUEST><QUERY>\xff</QUERY></REQUEST>", &BOUNDS).is_err());
    }
}
