//! Queries in WQL and SQL: checked, run now, and kept.

use crate::{
    id::{Name, SavedQueryId},
    inventory::Value,
    time::UnixMillis,
};
use serde::{Deserialize, Serialize};

/// Rows of one answer.
pub const QUERY_ROWS: u32 = 10_000;

const fn thousand() -> u32 {
    1_000
}

api! {
    /// `POST /api/v1/queries/run`.
    struct QueryRun {
        /// The query, in WQL.
        query: String,
        /// Rows wanted; at most 10,000.
        #[serde(default = "thousand")] limit: u32,
        /// Minutes that the site's local time is ahead of UTC: the days of `GetDate()` and of dates begin then.
        #[serde(default)] utc_offset_minutes: i32,
    }
}
api! {
    /// `POST /api/v1/queries/check`.
    struct QueryCheck {
        /// The query, in WQL.
        query: String,
    }
}
api! {
    /// Something about a place of a query.
    struct QueryFinding {
        /// Its stable name.
        name: String,
        /// One sentence.
        message: String,
        /// The line, from 1 on.
        line: u64,
        /// The character of that line, from 1 on.
        column: u64,
    }
}
api! {
    /// What is to be said of a query.
    struct QueryChecked {
        /// The query as it is read; absent when it is none.
        canonical: Option<String>,
        /// Whether it can be the rule of a collection.
        rule: bool,
        /// The classes that it reads.
        classes: Vec<String>,
        /// Why it is refused, where it is.
        error: Option<QueryFinding>,
        /// What is allowed, and often a mistake.
        lints: Vec<QueryFinding>,
    }
}
api! {
    /// A column of an answer.
    struct QueryColumn {
        /// The attribute; with its class before it where there are several classes.
        name: String,
        /// `text`, `number`, `truth`, `real`, `moment` (milliseconds since 1970 UTC) or `list`.
        kind: String,
    }
}
api! {
    /// What a query found.
    struct QueryResult {
        /// The columns.
        columns: Vec<QueryColumn>,
        /// The rows; null where a value is not known.
        rows: Vec<Vec<Option<Value>>>,
        /// Whether there are no more rows.
        complete: bool,
        /// What is allowed, and often a mistake.
        lints: Vec<QueryFinding>,
    }
}
api! {
    /// The language of a query.
    enum QueryLanguage {
        /// Configuration Manager's.
        Wql = "wql",
        /// The database's.
        Sql = "sql",
    }
}
api! {
    /// `POST /api/v1/queries/sql`.
    struct QuerySql {
        /// One SELECT over the views for reports, whose names begin with `v_`.
        statement: String,
        /// Rows wanted; at most 10,000.
        #[serde(default = "thousand")] limit: u32,
    }
}
api! {
    /// `POST /api/v1/queries`: a query to be kept. One of the same name is replaced.
    struct QuerySave {
        /// What people call it.
        name: Name,
        /// Its language.
        language: QueryLanguage,
        /// The query.
        query: String,
        /// What it is for.
        #[serde(default)] comment: String,
    }
}
api! {
    /// A query that is kept.
    struct SavedQuery {
        /// The id.
        id: SavedQueryId,
        /// What people call it.
        name: Name,
        /// Its language.
        language: QueryLanguage,
        /// The query.
        query: String,
        /// What it is for.
        comment: String,
        /// Who kept it first.
        owner: String,
        /// When it was changed last.
        changed: UnixMillis,
        /// Who changed it.
        changed_by: String,
        /// How often it was changed.
        revision: u64,
    }
}
api! {
    /// `POST /api/v1/queries/{id}/run`.
    struct SavedQueryRun {
        /// Rows wanted; at most 10,000.
        #[serde(default = "thousand")] limit: u32,
        /// Minutes that the site's local time is ahead of UTC, for a query in WQL.
        #[serde(default)] utc_offset_minutes: i32,
    }
}
