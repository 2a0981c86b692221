//! The history of a device's inventory: how much changed on which day, what changed, and two moments beside each other.

use super::{
    chart::{Column, HEIGHT, WIDTH, nice_top},
    device::{Cell, DevicePage, Tab, cell, show},
    format,
    paging::{Paging, query},
    visit::{Answer, Named, Rows, Visit, Wanted},
};
use crate::http::respond::Refusal;
use jiff::{civil::DateTime, tz::TimeZone};
use muster_model::{
    api::{
        ChangeDay, ClassComparison, ClassRows, CompareQuery, DeviceComparison, DeviceHistory, HistoryQuery, Page,
        PageQuery,
    },
    id::DeviceId,
    inventory::Row,
    time::{DAY, UnixMillis},
};
use std::collections::HashMap;

/// Days that the picture shows.
const DAYS: u64 = 90;

/// Changes by day.
#[derive(Debug)]
pub(crate) struct Days {
    /// The columns, the oldest first.
    pub(crate) columns: Vec<Column>,
    /// Width of a column.
    pub(crate) width: u64,
    /// The top of the scale.
    pub(crate) top: u64,
    /// The sum.
    pub(crate) total: u64,
}

impl Days {
    fn new(days: &[ChangeDay], kept: u32, now: UnixMillis) -> Self {
        let counts: HashMap<i64, u64> = days.iter().map(|day| (day.day.0.div_euclid(DAY), day.changes)).collect();
        let shown = u64::from(kept).clamp(1, DAYS);
        let today = now.0.div_euclid(DAY);
        let list: Vec<(i64, u64)> = (0..shown)
            .rev()
            .map(|ago| today.saturating_sub(i64::try_from(ago).unwrap_or(0)))
            .map(|day| (day, counts.get(&day).copied().unwrap_or_default()))
            .collect();
        let top = nice_top(list.iter().map(|(_, count)| *count).max().unwrap_or_default());
        let step = WIDTH / shown;
        let gap = (step / 6).max(1);
        let column = |(at, (day, count)): (usize, &(i64, u64))| {
            let exact = u128::from(*count) * u128::from(HEIGHT) / u128::from(top.max(1));
            let least = if *count > 0 { 2 } else { 0 };
            let height = u64::try_from(exact).unwrap_or(HEIGHT).max(least).min(HEIGHT);
            let label = format::iso(UnixMillis(day.saturating_mul(DAY))).chars().take(10).collect();
            Column { x: at as u64 * step, y: HEIGHT - height, height, hour: label, count: *count }
        };
        Self {
            columns: list.iter().enumerate().map(column).collect(),
            width: step - gap,
            top,
            total: list.iter().map(|(_, count)| count).sum(),
        }
    }

    /// The picture in words.
    pub(crate) fn sentence(&self) -> String {
        let (total, days) = (format::counted(self.total, "change"), format::counted(self.columns.len() as u64, "day"));
        match self.columns.iter().max_by_key(|c| c.count).filter(|c| c.count > 0) {
            Some(most) => format!("{total} in {days}; the most, {}, on {}", format::count(most.count), most.hour),
            None => format!("{total} in {days}"),
        }
    }

    /// Every sixth part of the days has its date below.
    pub(crate) fn scale(&self) -> Vec<&str> {
        let step = self.columns.len().div_ceil(6).max(1);
        self.columns.iter().step_by(step).map(|c| c.hour.as_str()).collect()
    }
}

/// The history of a device, as its page shows it.
#[derive(Debug)]
pub(crate) struct HistoryTab {
    /// What changed.
    pub(crate) history: DeviceHistory,
    /// Only this class.
    pub(crate) class: String,
    /// The picture.
    pub(crate) days: Days,
    /// Rows of a page.
    pub(crate) limit: u32,
}

impl HistoryTab {
    /// What a page shows of this.
    pub(crate) fn new(history: DeviceHistory, class: String, limit: u32, now: UnixMillis) -> Self {
        let days = Days::new(&history.days, history.kept_days, now);
        Self { history, class, days, limit }
    }
}

impl DevicePage {
    /// The line under the list of changes.
    pub(crate) fn history_paging(&self, tab: &HistoryTab) -> Paging {
        let history = &tab.history;
        let page = Page { items: vec![(); history.items.len()], total: history.total, offset: history.offset };
        let (address, class, limit) = (self.address(), tab.class.as_str(), tab.limit.to_string());
        Paging::new(&page, tab.limit, |offset| {
            let offset = offset.to_string();
            format!("{address}/history{}", query(&[("class", class), ("offset", &offset), ("limit", &limit)]))
        })
    }

    /// A moment as the fields of the form have it.
    pub(crate) fn field(&self, moment: &UnixMillis) -> String {
        format::iso(*moment).chars().take(16).collect()
    }

    /// The moment a week ago, where nothing else was asked for.
    pub(crate) fn week_ago(&self) -> String {
        self.field(&self.shell.now.plus(-7 * DAY))
    }

    /// The values in which two rows differ: attribute, before, after.
    pub(crate) fn differences<'a>(
        &self,
        class: &'a ClassComparison,
        before: &'a Row,
        after: &'a Row,
    ) -> Vec<(&'a String, Cell, Cell)> {
        let rows = ClassRows {
            class: String::new(),
            attributes: class.attributes.clone(),
            types: class.types.clone(),
            rows: vec![],
            total: 0,
        };
        let differs = class.attributes.iter().filter(|name| before.get(*name) != after.get(*name));
        differs.map(|name| (name, cell(&rows, name, before), cell(&rows, name, after))).collect()
    }

    /// The first values of a row: enough to know which it is.
    pub(crate) fn title(&self, class: &ClassComparison, row: &Row) -> String {
        let rows = ClassRows {
            class: String::new(),
            attributes: class.attributes.clone(),
            types: class.types.clone(),
            rows: vec![],
            total: 0,
        };
        let mut names = self.columns(&rows);
        names.retain(|name| row.contains_key(*name));
        let texts = names.into_iter().map(|name| cell(&rows, name, row).text).filter(|text| !text.is_empty());
        texts.take(3).collect::<Vec<_>>().join(" · ")
    }

    /// How many rows a class had.
    pub(crate) fn had(&self, rows: &Option<u64>) -> String {
        rows.map_or_else(|| "not reported".to_owned(), |rows| format::counted(rows, "row"))
    }

    /// Rows that are counted and not shown.
    pub(crate) fn more(&self, class: &ClassComparison) -> u64 {
        let shown = class.changed.len() + class.added.len() + class.removed.len();
        (class.changed_total + class.added_total + class.removed_total).saturating_sub(shown as u64)
    }
}

/// What the address of the history asks for.
#[derive(Debug, serde::Deserialize)]
pub(crate) struct HistoryWanted {
    #[serde(default)]
    class: String,
}

/// What the address of a comparison asks for, as the form writes it.
#[derive(Debug, serde::Deserialize)]
pub(crate) struct CompareWanted {
    from: String,
    to: String,
    #[serde(default)]
    class: String,
}

/// `GET /devices/{id}/history`
pub(crate) async fn history_list(
    visit: Visit,
    Named(id): Named<DeviceId>,
    Wanted(wanted): Wanted<HistoryWanted>,
    Wanted(rows): Wanted<Rows>,
) -> Answer {
    let page = PageQuery::from(rows);
    let query = HistoryQuery { class: wanted.class.clone(), offset: page.offset, limit: page.limit };
    let history = visit.ask(muster_site::history_list(&visit.ctx, visit.site(), id, query).await)?;
    let tab = HistoryTab::new(history, wanted.class, page.limit, visit.ctx.now);
    show(visit, id, Tab::History(Box::new(tab))).await
}

/// `GET /devices/{id}/compare`
pub(crate) async fn history_compare(
    visit: Visit,
    Named(id): Named<DeviceId>,
    Wanted(wanted): Wanted<CompareWanted>,
) -> Answer {
    let (Some(from), Some(to)) = (moment(&wanted.from), moment(&wanted.to)) else {
        return Err(visit.refuse(Refusal::malformed("Write both moments as 2026-12-01T10:00, in UTC.")));
    };
    let query = CompareQuery { from, to, class: wanted.class };
    let comparison: DeviceComparison =
        visit.ask(muster_site::history_compare(&visit.ctx, visit.site(), id, query).await)?;
    show(visit, id, Tab::Compare(Box::new(comparison))).await
}

/// A moment as a form has it: without a zone, which is UTC.
fn moment(text: &str) -> Option<UnixMillis> {
    let zoned = text.parse::<DateTime>().ok()?.to_zoned(TimeZone::UTC).ok()?;
    Some(UnixMillis(zoned.timestamp().as_millisecond()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn days_without_changes_are_columns_too() {
        let now = UnixMillis(20_000 * DAY + 5);
        let day = ChangeDay { day: UnixMillis(19_990 * DAY), changes: 7, rows: 9 };
        let days = Days::new(&[day], 90, now);
        assert_eq!((days.columns.len(), days.top, days.total), (90, 8, 7));
        assert_eq!(days.columns[79].count, 7);
        assert!(days.columns.last().is_some_and(|last| last.x + days.width <= WIDTH));
        assert_eq!(Days::new(&[], 0, now).columns.len(), 1);
        assert_eq!(moment("1970-01-02T00:00"), Some(UnixMillis(DAY)));
        assert_eq!(moment("yesterday"), None);
    }
}
