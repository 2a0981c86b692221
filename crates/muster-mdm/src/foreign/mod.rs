//! Inventories of foreign collectors: the XML that FusionInventory and GLPI agents send, whole or compressed.
//!
//! Everything is bounded: bytes before and after decompression, elements, depth, and the length of a text. A document type is refused,
//! and so is every entity but the five of XML and characters by their number.

mod decode;
mod map;
mod read;

pub use decode::{Encoding, decode};
pub use map::{Mapped, map};
pub use read::{Document, Element, read};

/// Why a document is not taken.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ForeignError {
    /// It cannot be decompressed.
    #[error("it cannot be decompressed")]
    Compression,
    /// It is over a limit.
    #[error("it is over its limit: {0}")]
    TooLarge(&'static str),
    /// It is not the XML that is expected.
    #[error("it is not well-formed: {0}")]
    Malformed(String),
    /// It has what is never read.
    #[error("it has a {0}, which is not read")]
    Forbidden(&'static str),
    /// It asks for what is not there.
    #[error("it is no PROLOG and no INVENTORY")]
    Query,
}

/// What a collector sends.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Request {
    /// It asks when it shall send.
    Prolog,
    /// Its inventory.
    Inventory(Document),
}

/// The limits of a document.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Bounds {
    /// Bytes after decompression.
    pub decoded_bytes: usize,
    /// Rows of one class.
    pub rows: usize,
    /// Bytes of one text; what is longer is cut.
    pub value_bytes: usize,
}

/// Elements of one document. An inventory of 1,500 packages has 15,000.
pub const ELEMENTS: usize = 400_000;
/// Fields of one element. No class names more than a few dozen.
pub const FIELDS: usize = 200;
/// Depth of a document: `REQUEST`, `CONTENT`, a section, a field, and what a field may have inside.
pub const DEPTH: usize = 8;

/// The answer to a collector, as XML: it may send, and shall ask again after so many hours.
#[must_use]
pub fn prolog_answer(hours: u32) -> String {
    format!(
        "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<REPLY><RESPONSE>SEND</RESPONSE><PROLOG_FREQ>{hours}</PROLOG_FREQ></REPLY>\n"
    )
}

/// The answer to an inventory, as XML.
#[must_use]
pub fn inventory_answer() -> &'static str {
    "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<REPLY><RESPONSE>ACCOUNT_UPDATE</RESPONSE></REPLY>\n"
}
