//! Property lists in XML: read within bounds, without recursion, and written.

use super::{AppleError, DEPTH, MESSAGE_BYTES, VALUES};
use base64::{Engine, engine::general_purpose::STANDARD as BASE64};
use quick_xml::{Reader, escape::escape, events::Event};
use std::collections::BTreeMap;

/// A dictionary.
pub type Dictionary = BTreeMap<String, Value>;

/// A value.
#[derive(Debug, Clone, PartialEq)]
pub enum Value {
    /// Values with names.
    Dictionary(Dictionary),
    /// Values in order.
    Array(Vec<Value>),
    /// Text.
    String(String),
    /// A whole number.
    Integer(i64),
    /// A number.
    Real(f64),
    /// Yes or no.
    Boolean(bool),
    /// Bytes.
    Data(Vec<u8>),
    /// A time, as it was written.
    Date(String),
}

impl Value {
    /// Its text, where it is one.
    #[must_use]
    pub fn text(&self) -> Option<&str> {
        if let Self::String(text) = self { Some(text) } else { None }
    }

    /// Its bytes, where it has some.
    #[must_use]
    pub fn data(&self) -> Option<&[u8]> {
        if let Self::Data(data) = self { Some(data) } else { None }
    }
}

/// What is open.
enum Open {
    Dictionary(Dictionary, Option<String>),
    Array(Vec<Value>),
}

#[derive(Default)]
struct State {
    open: Vec<Open>,
    /// The element whose text is read, and the text.
    leaf: Option<(Leaf, String)>,
    values: usize,
    inside: bool,
    whole: Option<Value>,
    ended: bool,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Leaf {
    Key,
    String,
    Integer,
    Real,
    Data,
    Date,
    True,
    False,
}

impl Leaf {
    fn of(name: &str) -> Option<Self> {
        Some(match name {
            "key" => Self::Key,
            "string" => Self::String,
            "integer" => Self::Integer,
            "real" => Self::Real,
            "data" => Self::Data,
            "date" => Self::Date,
            "true" => Self::True,
            "false" => Self::False,
            _ => return None,
        })
    }
}

/// Reads a property list that is a dictionary.
///
/// # Errors
/// See [`AppleError`].
pub fn read(bytes: &[u8]) -> Result<Dictionary, AppleError> {
    if bytes.len() > MESSAGE_BYTES {
        return Err(AppleError::TooLarge);
    }
    let text = std::str::from_utf8(bytes).map_err(|_| AppleError::Malformed)?;
    let mut reader = Reader::from_str(text);
    let config = reader.config_mut();
    config.check_end_names = true;
    config.allow_unmatched_ends = false;
    config.allow_dangling_amp = false;
    let mut state = State::default();
    loop {
        match reader.read_event().map_err(|_| AppleError::Malformed)? {
            Event::Start(start) => state.begin(start.name().0)?,
            Event::End(end) => state.end(end.name().0)?,
            Event::Empty(start) => {
                state.begin(start.name().0)?;
                state.end(start.name().0)?;
            }
            Event::Text(text) => state.text(&text)?,
            Event::CData(text) => state.text(&text)?,
            Event::GeneralRef(reference) => {
                let character = match &*reference {
                    "lt" => '<',
                    "gt" => '>',
                    "amp" => '&',
                    "apos" => '\'',
                    "quot" => '"',
                    _ => reference.resolve_char_ref().ok().flatten().ok_or(AppleError::Forbidden)?,
                };
                state.text(character.encode_utf8(&mut [0; 4]))?;
            }
            Event::DocType(kind) if is_apple_s(&kind) && !state.inside => {}
            Event::DocType(_) | Event::PI(_) => return Err(AppleError::Forbidden),
            Event::Decl(_) | Event::Comment(_) => {}
            Event::Eof => break,
        }
    }
    match state.whole {
        Some(Value::Dictionary(dictionary)) if state.ended => Ok(dictionary),
        _ => Err(AppleError::Malformed),
    }
}

/// The one document type that property lists have; nothing is fetched for it.
fn is_apple_s(kind: &str) -> bool {
    let words: Vec<&str> = kind.split_ascii_whitespace().collect();
    let text = words.join(" ");
    ["-//Apple//DTD PLIST 1.0//EN", "-//Apple Computer//DTD PLIST 1.0//EN"].iter().any(|public| {
        ["http", "https"].iter().any(|scheme| {
            text == format!("plist PUBLIC \"{public}\" \"{scheme}://www.apple.com/DTDs/PropertyList-1.0.dtd\"")
        })
    })
}

impl State {
    fn begin(&mut self, name: &str) -> Result<(), AppleError> {
        if name == "plist" {
            let again = std::mem::replace(&mut self.inside, true);
            return if again { Err(AppleError::Malformed) } else { Ok(()) };
        }
        let is_expected = self.inside && !self.ended && self.leaf.is_none() && self.whole.is_none();
        if !is_expected {
            return Err(AppleError::Malformed);
        }
        self.values += 1;
        if self.values > VALUES || self.open.len() >= DEPTH {
            return Err(AppleError::TooLarge);
        }
        match name {
            "dict" => self.open.push(Open::Dictionary(Dictionary::new(), None)),
            "array" => self.open.push(Open::Array(Vec::new())),
            _ => self.leaf = Some((Leaf::of(name).ok_or(AppleError::Malformed)?, String::new())),
        }
        Ok(())
    }

    fn text(&mut self, text: &str) -> Result<(), AppleError> {
        match &mut self.leaf {
            Some((_, all)) => all.push_str(text),
            None if text.trim().is_empty() => {}
            None => return Err(AppleError::Malformed),
        }
        Ok(())
    }

    fn end(&mut self, name: &str) -> Result<(), AppleError> {
        if name == "plist" {
            self.ended = true;
            return Ok(());
        }
        let value = match self.leaf.take() {
            Some((Leaf::Key, text)) => return self.key(text),
            Some((leaf, text)) => value(leaf, text)?,
            None => match self.open.pop().ok_or(AppleError::Malformed)? {
                Open::Dictionary(_, Some(_)) => return Err(AppleError::Malformed),
                Open::Dictionary(dictionary, None) => Value::Dictionary(dictionary),
                Open::Array(values) => Value::Array(values),
            },
        };
        match self.open.last_mut() {
            None => self.whole = Some(value),
            Some(Open::Array(values)) => values.push(value),
            Some(Open::Dictionary(dictionary, key)) => {
                // Two values of one name: what reads the first and what reads the last would see two messages.
                let key = key.take().ok_or(AppleError::Malformed)?;
                if dictionary.insert(key, value).is_some() {
                    return Err(AppleError::Malformed);
                }
            }
        }
        Ok(())
    }

    fn key(&mut self, text: String) -> Result<(), AppleError> {
        match self.open.last_mut() {
            Some(Open::Dictionary(_, key)) if key.is_none() => *key = Some(text),
            _ => return Err(AppleError::Malformed),
        }
        Ok(())
    }
}

fn value(leaf: Leaf, text: String) -> Result<Value, AppleError> {
    let malformed = || AppleError::Malformed;
    Ok(match leaf {
        Leaf::Key | Leaf::String => Value::String(text),
        Leaf::Integer => Value::Integer(text.trim().parse().map_err(|_| malformed())?),
        Leaf::Real => {
            Value::Real(text.trim().parse().ok().filter(|number: &f64| number.is_finite()).ok_or_else(malformed)?)
        }
        Leaf::Date => Value::Date(Some(text.trim().to_owned()).filter(|text| text.len() <= 32).ok_or_else(malformed)?),
        Leaf::Data => {
            let packed: Vec<u8> = text.bytes().filter(|byte| !byte.is_ascii_whitespace()).collect();
            Value::Data(BASE64.decode(packed).map_err(|_| malformed())?)
        }
        Leaf::True | Leaf::False if text.trim().is_empty() => Value::Boolean(leaf == Leaf::True),
        Leaf::True | Leaf::False => return Err(malformed()),
    })
}

/// Writes a property list.
#[must_use]
pub fn write(dictionary: &Dictionary) -> Vec<u8> {
    enum Step<'a> {
        Value(&'a Value),
        Key(&'a str),
        Close(&'static str),
    }
    let mut out = String::from(
        "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<!DOCTYPE plist PUBLIC \"-//Apple//DTD PLIST 1.0//EN\" \
         \"http://www.apple.com/DTDs/PropertyList-1.0.dtd\">\n<plist version=\"1.0\">",
    );
    let mut steps = vec![Step::Close("</dict></plist>\n")];
    out.push_str("<dict>");
    steps.extend(dictionary.iter().rev().flat_map(|(key, value)| [Step::Value(value), Step::Key(key)]));
    while let Some(step) = steps.pop() {
        match step {
            Step::Close(text) => out.push_str(text),
            Step::Key(key) => leaf(&mut out, "key", &escape(key)),
            Step::Value(Value::Dictionary(inside)) => {
                out.push_str("<dict>");
                steps.push(Step::Close("</dict>"));
                steps.extend(inside.iter().rev().flat_map(|(key, value)| [Step::Value(value), Step::Key(key)]));
            }
            Step::Value(Value::Array(inside)) => {
                out.push_str("<array>");
                steps.push(Step::Close("</array>"));
                steps.extend(inside.iter().rev().map(Step::Value));
            }
            Step::Value(Value::String(text)) => leaf(&mut out, "string", &escape(text.as_str())),
            Step::Value(Value::Integer(number)) => leaf(&mut out, "integer", &number.to_string()),
            Step::Value(Value::Real(number)) => leaf(&mut out, "real", &format!("{number:?}")),
            Step::Value(Value::Boolean(true)) => out.push_str("<true/>"),
            Step::Value(Value::Boolean(false)) => out.push_str("<false/>"),
            Step::Value(Value::Data(data)) => leaf(&mut out, "data", &BASE64.encode(data)),
            Step::Value(Value::Date(text)) => leaf(&mut out, "date", &escape(text.as_str())),
        }
    }
    out.into_bytes()
}

fn leaf(out: &mut String, name: &str, text: &str) {
    for part in ["<", name, ">", text, "</", name, ">"] {
        out.push_str(part);
    }
}
