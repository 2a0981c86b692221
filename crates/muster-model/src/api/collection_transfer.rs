//! Collections that come from Configuration Manager, or from another site, and that go there.

use crate::id::CollectionId;
use serde::{Deserialize, Serialize};

api! {
    /// A file with collections.
    struct CollectionImport {
        /// The text of a MOF file.
        text: String,
        /// Only say what would be taken.
        #[serde(default)] what_if: bool,
    }
}
api! {
    /// A collection that was taken.
    struct CollectionTaken {
        /// Its name.
        name: String,
        /// The id that it had in the file.
        was: String,
        /// The id that it has here. Where nothing was made, the one that it would have had.
        id: CollectionId,
        /// How many rules it has.
        rules: u64,
    }
}
api! {
    /// Something that was not taken.
    struct CollectionLeft {
        /// The line, from 1.
        line: u64,
        /// The column, from 1.
        column: u64,
        /// The collection that it is of; empty: none.
        collection: String,
        /// What, and why: a sentence.
        why: String,
    }
}
api! {
    /// What came of an import.
    struct CollectionImported {
        /// Whether nothing was made.
        what_if: bool,
        /// What was taken, in the order in which it was made.
        taken: Vec<CollectionTaken>,
        /// What was not.
        left: Vec<CollectionLeft>,
    }
}
api! {
    /// Which collections are to be written.
    #[derive(Default)]
    struct CollectionExport {
        /// This one only.
        #[serde(default)] collection: Option<CollectionId>,
    }
}
api! {
    /// Collections as a text.
    struct CollectionExported {
        /// The text of a MOF file.
        text: String,
        /// How many collections it has.
        collections: u64,
    }
}
api! {
    /// `GET /api/v1/collections/index`: what the index in the server's memory is like, which answers the queries of rules.
    struct CollectionIndex {
        /// Devices.
        devices: u64,
        /// Bytes that it takes, about.
        bytes: u64,
        /// Rules that it answers.
        by_index: u64,
        /// Rules that are asked of the database.
        by_sql: u64,
        /// The evaluation up to which it followed the database.
        as_of: u64,
    }
}
