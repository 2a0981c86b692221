//! Sample data of client status.

use super::{
    client_status::{ClientStatusDevicePage, ClientStatusDevicesPage, ClientStatusPage},
    sample::{Flavour, NOW, ago, uuid},
};
use askama::Template;
use muster_model::{
    api::{
        ClientActivity, ClientCheck, ClientSignals, ClientStatus, ClientStatusCounts, ClientStatusDay,
        ClientStatusDetail, ClientStatusQuery, ClientStatusSettings, ClientStatusSummary, ClientStatusThreshold,
    },
    health::{CheckOutcome, HealthCheck},
    id::{CollectionId, DeviceId},
    time::{DAY, HOUR, UnixMillis},
};

fn counts(passed: u64) -> ClientStatusCounts {
    ClientStatusCounts { devices: 1_240, active: passed + 40, passed, failed: 13, remedied: 7 }
}

fn status(f: Flavour, check: ClientCheck) -> ClientStatus {
    let signals = ClientSignals {
        policy_request: Some(ago(HOUR)),
        heartbeat: Some(ago(2 * DAY)),
        inventory: None,
        status_message: Some(ago(HOUR)),
        live_channel: Some(ago(HOUR)),
    };
    ClientStatus {
        device: DeviceId(uuid(14)),
        name: f.text("web-01"),
        activity: ClientActivity::Active,
        online: true,
        check,
        checked: Some(ago(5 * HOUR)),
        failed: 1,
        remedied: 2,
        remediates: true,
        signals,
    }
}

fn summary(f: Flavour, collection: Option<CollectionId>) -> ClientStatusSummary {
    let first = NOW.0.div_euclid(DAY) * DAY - 30 * DAY;
    let day = |number: i64| ClientStatusDay {
        day: UnixMillis(first + number * DAY),
        counts: counts(1_000 + number.unsigned_abs() * 6),
    };
    let (counts, days) = match f {
        Flavour::Empty => (ClientStatusCounts::default(), Vec::new()),
        _ => (counts(1_180), (0..31).map(day).collect()),
    };
    ClientStatusSummary { collection, counts, online: 900, days }
}

/// Each page with its name.
pub(super) fn pages(f: Flavour) -> Vec<(&'static str, String)> {
    let shell = || f.shell("client-status");
    let page = |name: &'static str, html: askama::Result<String>| (name, html.unwrap_or_default());
    let threshold = ClientStatusThreshold {
        collection: CollectionId::ALL_SYSTEMS,
        name: f.text("All Systems"),
        active_percent: Some(95),
        healthy_percent: None,
        changed: ago(DAY),
        changed_by: f.text("amelia"),
    };
    let thresholds = if f == Flavour::Empty { vec![] } else { vec![threshold] };
    let of = |collection| {
        let settings = ClientStatusSettings::default();
        ClientStatusPage::new(shell(), summary(f, collection), thresholds.clone(), settings).render()
    };
    let check = |name: &str, outcome| HealthCheck {
        name: f.text(name),
        outcome,
        found: f.text("Messages have been waiting for 30 hours."),
        done: f.text("Messages were sent over a new connection."),
    };
    let checks = vec![check("outbox", CheckOutcome::Remedied), check("disk", CheckOutcome::Failed)];
    let checks = if f == Flavour::Empty { vec![] } else { checks };
    let detail = ClientStatusDetail { status: status(f, ClientCheck::Failed), checks };
    let all = [ClientCheck::Passed, ClientCheck::Failed, ClientCheck::Unknown];
    let devices = f.page(all.into_iter().map(|check| status(f, check)).collect(), 120);
    let wanted = ClientStatusQuery {
        check: Some(ClientCheck::Failed),
        remedied: true,
        limit: 50,
        ..ClientStatusQuery::default()
    };
    vec![
        page("client-status", of(None)),
        page("client-status-collection", of(Some(CollectionId::ALL_SYSTEMS))),
        page("client-status-devices", ClientStatusDevicesPage::new(shell(), wanted, devices).render()),
        page("client-status-device", ClientStatusDevicePage::new(shell(), detail).render()),
    ]
}
