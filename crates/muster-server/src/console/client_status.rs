//! Client status: which clients are active, and which are sound.

use super::{
    chart::{HEIGHT, WIDTH},
    format,
    paging::{Paging, query},
    shell::{Done, Shell},
    visit::{Answer, Fields, Named, Rows, Visit, Wanted, go_done},
};
use askama::Template;
use muster_model::{
    api::{
        ClientActivity, ClientCheck, ClientStatus, ClientStatusCounts, ClientStatusDetail, ClientStatusQuery,
        ClientStatusSettings, ClientStatusSummary, ClientStatusThreshold, ClientStatusThresholdSet, Page, PageQuery,
    },
    id::{CollectionId, DeviceId},
};

/// A part of a bar that leads to its devices.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Part {
    /// Class of its colour.
    pub(crate) class: &'static str,
    pub(crate) words: &'static str,
    /// Where its devices are.
    pub(crate) href: String,
    pub(crate) x: u64,
    pub(crate) width: u64,
    pub(crate) count: u64,
}

/// A bar whose parts are all clients.
fn bar(all: u64, of: Option<CollectionId>, parts: [(&'static str, &'static str, &'static str, u64); 3]) -> Vec<Part> {
    let collection = of.map(|id| id.to_string()).unwrap_or_default();
    let mut x = 0;
    let part = |(class, words, filter, count): (&'static str, &'static str, &'static str, u64)| {
        let share = u128::from(count) * u128::from(WIDTH) / u128::from(all.max(1));
        let least = if count > 0 { 4 } else { 0 };
        let width = u64::try_from(share).unwrap_or(WIDTH).max(least).min(WIDTH.saturating_sub(x));
        let (name, value) = filter.split_once('=').unwrap_or((filter, ""));
        let href = format!("/client-status/devices{}", query(&[(name, value), ("collection", &collection)]));
        let part = Part { class, words, href, x, width, count };
        x += width;
        part
    };
    parts.map(part).to_vec()
}

/// One day of the trend.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct DayColumn {
    pub(crate) x: u64,
    pub(crate) y: u64,
    pub(crate) height: u64,
    pub(crate) day: String,
    pub(crate) percent: u64,
}

/// Hundredths of the clients over the last days, as columns.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Trend {
    pub(crate) name: &'static str,
    pub(crate) columns: Vec<DayColumn>,
    pub(crate) width: u64,
}

impl Trend {
    fn new(name: &'static str, summary: &ClientStatusSummary, well: impl Fn(&ClientStatusCounts) -> u64) -> Self {
        let step = WIDTH / muster_site::HISTORY_DAYS.unsigned_abs();
        let column = |(at, day): (usize, &muster_model::api::ClientStatusDay)| {
            let percent = well(&day.counts) * 100 / day.counts.devices.max(1);
            let height = percent.min(HEIGHT);
            let text = format::iso(day.day).chars().take(10).collect();
            DayColumn { x: at as u64 * step, y: HEIGHT - height, height, day: text, percent }
        };
        Self { name, columns: summary.days.iter().enumerate().map(column).collect(), width: step - step / 6 }
    }

    /// The chart in words.
    pub(crate) fn sentence(&self) -> String {
        match (self.columns.first(), self.columns.last()) {
            (Some(first), Some(last)) => {
                format!("{}: {} % on {}, {} % on {}", self.name, first.percent, first.day, last.percent, last.day)
            }
            _ => format!("{}: nothing was counted yet", self.name),
        }
    }
}

/// `GET /client-status`.
#[derive(Debug, Template)]
#[template(path = "client_status.html")]
pub(crate) struct ClientStatusPage {
    /// What surrounds the page.
    pub(crate) shell: Shell,
    summary: ClientStatusSummary,
    thresholds: Vec<ClientStatusThreshold>,
    settings: ClientStatusSettings,
    bars: [(&'static str, Vec<Part>); 2],
    trends: [Trend; 2],
    of: String,
}

impl ClientStatusPage {
    pub(crate) fn new(
        shell: Shell,
        summary: ClientStatusSummary,
        thresholds: Vec<ClientStatusThreshold>,
        settings: ClientStatusSettings,
    ) -> Self {
        let counts = summary.counts;
        let activity = [
            ("s-succeeded", "active", "activity=active", counts.active),
            ("s-failed", "inactive", "activity=inactive", counts.inactive()),
            ("s-waiting", "", "", 0),
        ];
        let check = [
            ("s-succeeded", "passed", "check=passed", counts.passed),
            ("s-failed", "failed", "check=failed", counts.failed),
            ("s-waiting", "unknown", "check=unknown", counts.unknown()),
        ];
        let of = summary.collection;
        let bars = [("Activity", bar(counts.devices, of, activity)), ("Checks", bar(counts.devices, of, check))];
        let trends = [
            Trend::new("Active", &summary, |counts| counts.active),
            Trend::new("Checks passed", &summary, |counts| counts.passed),
        ];
        let of = of.map(|id| id.to_string()).unwrap_or_default();
        Self { shell, summary, thresholds, settings, bars, trends, of }
    }

    /// The threshold of the collection that is shown.
    fn own(&self) -> Option<&ClientStatusThreshold> {
        self.thresholds.iter().find(|one| Some(one.collection) == self.summary.collection)
    }

    fn value(percent: &Option<u8>) -> String {
        percent.map(|percent| percent.to_string()).unwrap_or_default()
    }

    fn ages(&self) -> [(&'static str, &'static str, u32); 6] {
        let set = &self.settings;
        [
            ("policy_request_days", "Policy request", set.policy_request_days),
            ("heartbeat_days", "Heartbeat", set.heartbeat_days),
            ("inventory_days", "Inventory", set.inventory_days),
            ("status_message_days", "Status message", set.status_message_days),
            ("live_channel_days", "Live channel", set.live_channel_days),
            ("check_days", "Own checks", set.check_days),
        ]
    }
}

/// `GET /client-status/devices`.
#[derive(Debug, Template)]
#[template(path = "client_status_devices.html")]
pub(crate) struct ClientStatusDevicesPage {
    /// What surrounds the page.
    pub(crate) shell: Shell,
    page: Page<ClientStatus>,
    what: String,
    paging: Paging,
}

impl ClientStatusDevicesPage {
    pub(crate) fn new(shell: Shell, wanted: ClientStatusQuery, page: Page<ClientStatus>) -> Self {
        let activity = wanted.activity.map_or("", ClientActivity::as_str);
        let check = wanted.check.map_or("", ClientCheck::as_str);
        let remedied = if wanted.remedied { "yes" } else { "" };
        let collection = wanted.collection.map(|id| id.to_string()).unwrap_or_default();
        let address = |offset: u64| {
            let offset = offset.to_string();
            let pairs = [("activity", activity), ("check", check), ("remedied", remedied), ("collection", &collection)];
            let mut pairs = pairs.to_vec();
            pairs.push(("offset", &offset));
            format!("/client-status/devices{}", query(&pairs))
        };
        let paging = Paging::new(&page, wanted.limit, address);
        let check = if check.is_empty() { String::new() } else { format!("checks {check}") };
        let words = [activity, &check, if wanted.remedied { "mended themselves" } else { "" }];
        let what = words.iter().filter(|word| !word.is_empty()).copied().collect::<Vec<_>>().join(", ");
        Self { shell, page, what, paging }
    }
}

/// `GET /client-status/devices/{id}`.
#[derive(Debug, Template)]
#[template(path = "client_status_device.html")]
pub(crate) struct ClientStatusDevicePage {
    /// What surrounds the page.
    pub(crate) shell: Shell,
    detail: ClientStatusDetail,
}

impl ClientStatusDevicePage {
    pub(crate) const fn new(shell: Shell, detail: ClientStatusDetail) -> Self {
        Self { shell, detail }
    }
}

/// Of what the address wants the status: an empty text is nothing.
#[derive(Debug, Default, serde::Deserialize)]
#[serde(default)]
pub(crate) struct Filter {
    activity: String,
    check: String,
    remedied: String,
    collection: String,
}

impl Filter {
    fn query(&self, rows: PageQuery) -> ClientStatusQuery {
        ClientStatusQuery {
            activity: self.activity.parse().ok(),
            check: self.check.parse().ok(),
            remedied: !self.remedied.is_empty(),
            collection: self.collection.parse().ok(),
            offset: rows.offset,
            limit: rows.limit,
        }
    }
}

/// `GET /client-status`
pub(crate) async fn client_status_summary(visit: Visit, Wanted(filter): Wanted<Filter>) -> Answer {
    let (ctx, site) = (&visit.ctx, visit.site());
    let summary = visit.ask(muster_site::client_status_summary(ctx, site, filter.collection.parse().ok()).await)?;
    let thresholds = visit.ask(muster_site::client_status_threshold_list(ctx, site).await)?.items;
    let settings = visit.ask(muster_site::client_status_settings_show(ctx, site).await)?;
    visit.page(&ClientStatusPage::new(visit.shell("client-status").await?, summary, thresholds, settings))
}

/// `GET /client-status/devices`
pub(crate) async fn client_status_list(
    visit: Visit,
    Wanted(filter): Wanted<Filter>,
    Wanted(rows): Wanted<Rows>,
) -> Answer {
    let query = filter.query(PageQuery::from(rows));
    let page = visit.ask(muster_site::client_status_list(&visit.ctx, visit.site(), query).await)?;
    visit.page(&ClientStatusDevicesPage::new(visit.shell("client-status").await?, query, page))
}

/// `GET /client-status/devices/{id}`
pub(crate) async fn client_status_show(visit: Visit, Named(id): Named<DeviceId>) -> Answer {
    let detail = visit.ask(muster_site::client_status_show(&visit.ctx, visit.site(), id).await)?;
    visit.page(&ClientStatusDevicePage::new(visit.shell("client-status").await?, detail))
}

/// How old signs of life may be, as a form sends it.
#[derive(Debug, serde::Deserialize)]
pub(crate) struct SettingsFields {
    policy_request_days: u32,
    heartbeat_days: u32,
    inventory_days: u32,
    status_message_days: u32,
    live_channel_days: u32,
    check_days: u32,
}

/// `POST /client-status/settings`
pub(crate) async fn client_status_settings_update(visit: Visit, Fields(fields): Fields<SettingsFields>) -> Answer {
    let set = ClientStatusSettings {
        policy_request_days: fields.policy_request_days,
        heartbeat_days: fields.heartbeat_days,
        inventory_days: fields.inventory_days,
        status_message_days: fields.status_message_days,
        live_channel_days: fields.live_channel_days,
        check_days: fields.check_days,
    };
    visit.ask(muster_site::client_status_settings_update(&visit.ctx, visit.site(), set).await)?;
    Ok(go_done("/client-status", Done::ClientStatusSaved))
}

/// The two numbers of a threshold; an empty one is none.
#[derive(Debug, serde::Deserialize)]
pub(crate) struct ThresholdFields {
    #[serde(default)]
    active: String,
    #[serde(default)]
    healthy: String,
}

/// `POST /client-status/thresholds/{id}`
pub(crate) async fn client_status_threshold_set(
    visit: Visit,
    Named(id): Named<CollectionId>,
    Fields(fields): Fields<ThresholdFields>,
) -> Answer {
    // What is no number is refused by the rule as none between 1 and 100.
    let percent = |text: &str| (!text.trim().is_empty()).then(|| text.trim().parse().unwrap_or(0));
    let set =
        ClientStatusThresholdSet { active_percent: percent(&fields.active), healthy_percent: percent(&fields.healthy) };
    visit.ask(muster_site::client_status_threshold_set(&visit.ctx, visit.site(), id, set).await)?;
    Ok(go_done(&format!("/client-status?collection={id}"), Done::ClientStatusSaved))
}

#[cfg(test)]
mod tests {
    use super::*;
    use muster_model::{api::ClientStatusDay, time::UnixMillis};

    #[test]
    fn parts_fill_the_bar_and_lead_to_their_devices() {
        let parts = bar(
            100_000,
            None,
            [("a", "passed", "check=passed", 99_999), ("b", "failed", "check=failed", 1), ("c", "", "", 0)],
        );
        assert_eq!((parts[0].x, parts[0].href.as_str()), (0, "/client-status/devices?check=passed"));
        assert_eq!((parts[1].x, parts[2].width), (parts[0].width, 0));
        let half = ClientStatusCounts { devices: 4, active: 2, ..ClientStatusCounts::default() };
        let days = vec![ClientStatusDay { day: UnixMillis(0), counts: half }];
        let summary = ClientStatusSummary { collection: None, counts: half, online: 0, days };
        let trend = Trend::new("Active", &summary, |counts| counts.active);
        assert_eq!((trend.columns[0].height, trend.columns[0].y), (50, 50));
        assert_eq!(trend.sentence(), "Active: 50 % on 1970-01-01, 50 % on 1970-01-01");
    }
}
