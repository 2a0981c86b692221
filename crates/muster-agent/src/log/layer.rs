//! What the agent says by `tracing`, on its way into the log.

use super::{
    Entry, Log,
    redact::{REMOVED, is_secret, redact},
};
use muster_model::{
    limits::{LOG_FIELDS, LOG_TEXT_BYTES},
    log::LogSeverity,
};
use serde_json::Value;
use std::{
    collections::BTreeMap,
    fmt::{self, Write},
};
use tracing::{
    Event, Level, Subscriber,
    field::{Field, Visit},
};
use tracing_subscriber::layer::Context;

/// Bytes of a message's id.
const ID_BYTES: usize = 48;

/// Writes every event into the log.
#[derive(Debug)]
pub struct Layer(pub Log);

impl<S: Subscriber> tracing_subscriber::Layer<S> for Layer {
    fn on_event(&self, event: &Event<'_>, _: Context<'_, S>) {
        let metadata = event.metadata();
        let severity = match *metadata.level() {
            Level::ERROR => LogSeverity::Error,
            Level::WARN => LogSeverity::Warning,
            Level::INFO => LogSeverity::Information,
            Level::DEBUG => LogSeverity::Debug,
            Level::TRACE => LogSeverity::Trace,
        };
        let mut said = Said::default();
        event.record(&mut said);
        let Said { text, fields, cut } = said;
        self.0.write(Entry { severity, component: component(metadata.target()), id: id_of(&text), text, fields, cut });
    }
}

/// The agent's own part; of others, the library.
fn component(target: &str) -> String {
    let mut parts = target.split("::");
    let first = parts.next().unwrap_or_default();
    let own = if first == "muster_agent" { parts.next().unwrap_or("agent") } else { first };
    shortened(own, ID_BYTES).0
}

/// The words of a sentence: equal sentences have equal ids.
pub(super) fn id_of(text: &str) -> String {
    let words = text.split(|c: char| !c.is_ascii_alphanumeric()).filter(|word| !word.is_empty());
    let mut id = String::new();
    for word in words {
        if id.len() + 1 + word.len() > ID_BYTES {
            break;
        }
        if !id.is_empty() {
            id.push('_');
        }
        id.push_str(&word.to_ascii_lowercase());
    }
    id
}

/// The beginning of a text without control characters and secrets; whether something of it is missing.
fn shortened(text: &str, most: usize) -> (String, bool) {
    let mut end = text.len().min(most);
    while !text.is_char_boundary(end) {
        end -= 1;
    }
    let clean = text[..end].chars().map(|c| if c.is_control() { ' ' } else { c }).collect();
    (clean, end < text.len())
}

#[derive(Default)]
struct Said {
    text: String,
    fields: BTreeMap<String, Value>,
    cut: bool,
}

impl Said {
    fn put(&mut self, field: &Field, value: Value) {
        if self.fields.len() >= LOG_FIELDS {
            self.cut = true;
            return;
        }
        let value = if is_secret(field.name()) { Value::from(REMOVED) } else { value };
        self.fields.insert(shortened(field.name(), ID_BYTES).0, value);
    }

    fn put_text(&mut self, field: &Field, text: &str) {
        // Secrets first: the beginning of one is one still.
        let (clean, cut) = shortened(&redact(text), LOG_TEXT_BYTES);
        self.cut |= cut;
        if field.name() == "message" {
            self.text = clean;
        } else {
            self.put(field, clean.into());
        }
    }
}

impl Visit for Said {
    fn record_f64(&mut self, field: &Field, value: f64) {
        self.put(field, value.into());
    }
    fn record_i64(&mut self, field: &Field, value: i64) {
        self.put(field, value.into());
    }
    fn record_u64(&mut self, field: &Field, value: u64) {
        self.put(field, value.into());
    }
    fn record_bool(&mut self, field: &Field, value: bool) {
        self.put(field, value.into());
    }
    fn record_str(&mut self, field: &Field, value: &str) {
        self.put_text(field, value);
    }
    fn record_debug(&mut self, field: &Field, value: &dyn fmt::Debug) {
        let mut text = Bounded::default();
        // It ends early where it is full.
        let _ = write!(text, "{value:?}");
        self.put_text(field, &text.0);
    }
}

/// Takes so much that what is cut from it afterwards has its full length, however long the text is.
#[derive(Default)]
struct Bounded(String);

impl Write for Bounded {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        self.0.push_str(text);
        if self.0.len() > 16 * LOG_TEXT_BYTES { Err(fmt::Error) } else { Ok(()) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn equal_sentences_have_equal_ids_of_bounded_length() {
        assert_eq!(id_of("the agent runs"), "the_agent_runs");
        assert_eq!(id_of("what a collector left could not be removed; it is tried again and again"), {
            "what_a_collector_left_could_not_be_removed_it_is"
        });
        assert_eq!(id_of("\u{1f600}"), "");
        assert_eq!(component("muster_agent::run::send"), "run");
        assert_eq!(component("muster_agent"), "agent");
        assert_eq!(component("hickory_resolver::name"), "hickory_resolver");
        assert_eq!(shortened("grün\nweiß", 5), ("grün".to_owned(), true));
    }
}
