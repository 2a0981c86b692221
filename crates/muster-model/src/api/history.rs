//! The history of a device's inventory: what changed, what was at a moment, and two moments compared.

use crate::{inventory::Row, time::UnixMillis};
use serde::{Deserialize, Serialize};

api! {
    /// `GET /api/v1/devices/{id}/history`.
    #[derive(Default)]
    struct HistoryQuery {
        /// Only changes of this class.
        #[serde(default)] class: String,
        /// Rows to skip.
        #[serde(default)] offset: u64,
        /// Rows wanted.
        #[serde(default = "super::fifty")] limit: u32,
    }
}
api! {
    /// One change of a class of a device.
    struct SectionChange {
        /// The class.
        class: String,
        /// When the site got it.
        time: UnixMillis,
        /// The device reported the class for the first time.
        first: bool,
        /// Rows that came. A row that changed went, and came as another one.
        added: u64,
        /// Rows that went.
        removed: u64,
    }
}
api! {
    /// The changes of one day.
    struct ChangeDay {
        /// The day's beginning, UTC.
        day: UnixMillis,
        /// How many changes.
        changes: u64,
        /// How many rows came and went.
        rows: u64,
    }
}
api! {
    /// The history of a device's inventory.
    struct DeviceHistory {
        /// Days on which something changed, the oldest first, within what is kept.
        days: Vec<ChangeDay>,
        /// Days for which changes are kept.
        kept_days: u32,
        /// The changes of this page, the latest first.
        items: Vec<SectionChange>,
        /// How many there are on all pages.
        total: u64,
        /// Rows that were skipped.
        offset: u64,
    }
}
api! {
    /// `GET /api/v1/devices/{id}/history/{class}`.
    struct MomentQuery {
        /// The moment.
        at: UnixMillis,
        /// Rows to skip.
        #[serde(default)] offset: u64,
        /// Rows wanted.
        #[serde(default = "super::fifty")] limit: u32,
    }
}
api! {
    /// `GET /api/v1/devices/{id}/compare`.
    struct CompareQuery {
        /// The earlier moment.
        from: UnixMillis,
        /// The later moment.
        to: UnixMillis,
        /// Only this class.
        #[serde(default)] class: String,
    }
}
api! {
    /// Two moments of a device, compared.
    struct DeviceComparison {
        /// The earlier moment.
        from: UnixMillis,
        /// The later moment.
        to: UnixMillis,
        /// Classes that differ, by name.
        classes: Vec<ClassComparison>,
        /// Classes of which one of the moments lies before what is kept.
        unknown: Vec<String>,
    }
}
api! {
    /// A class of a device at two moments. What is not listed because there is too much is counted all the same.
    struct ClassComparison {
        /// The class.
        class: String,
        /// Rows at the earlier moment; absent: the device had not reported the class.
        before: Option<u64>,
        /// Rows at the later moment.
        after: Option<u64>,
        /// Attribute names of the rows below, in catalogue order.
        attributes: Vec<String>,
        /// Their types, in the same order, as Configuration Manager writes them.
        types: Vec<String>,
        /// Rows with the same key attributes and other values.
        changed: Vec<RowChange>,
        /// How many.
        changed_total: u64,
        /// Rows that came.
        added: Vec<Row>,
        /// How many.
        added_total: u64,
        /// Rows that went.
        removed: Vec<Row>,
        /// How many.
        removed_total: u64,
    }
}
api! {
    /// A row that has other values.
    struct RowChange {
        /// At the earlier moment.
        before: Row,
        /// At the later moment.
        after: Row,
    }
}
