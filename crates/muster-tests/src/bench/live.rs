//! Many live channels: how long a change takes to reach all of them, and how long a block takes to close one, and a thousand.

use super::{
    process::Site,
    report::{Figure, Subject},
};
use crate::fleet::{
    Fleet, FleetError,
    enrol::{self, Wanted},
    progress::Progress,
    run::{self, Secure},
    say,
};
use futures_util::{StreamExt, stream};
use muster_cli::{Client, profile::ProfileDir};
use muster_model::{
    api::{DevicesBlock, Reason, SettingsSet},
    id::{DeviceId, SettingsId},
    time::UnixMillis,
};
use std::{
    path::Path,
    time::{Duration, Instant},
};
use tokio::sync::mpsc::{UnboundedReceiver, UnboundedSender, unbounded_channel};

/// How long anything may take before it counts as lost.
const PATIENCE: Duration = Duration::from_secs(60);
/// Devices that are blocked one after the other, and at once.
const SINGLE: usize = 20;
const TOGETHER: usize = 1_000;
/// Requests of administrators at once.
const ADMINISTRATORS: usize = 16;
/// How often everybody is told of a change.
const CHANGES: i64 = 3;

/// What happened at a client.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Heard {
    Changed,
    Closed,
}

type Events = UnboundedReceiver<(usize, Heard, Instant)>;

/// Listens on a live channel until it is closed.
async fn listen(number: usize, mut connection: Secure, events: UnboundedSender<(usize, Heard, Instant)>) {
    loop {
        let piece = connection.next_piece().await.unwrap_or_default();
        let now = Instant::now();
        let heard = if piece.is_empty() { Heard::Closed } else { Heard::Changed };
        let news = piece.is_empty() || piece.windows(14).any(|window| window == b"event: changed");
        if news && events.send((number, heard, now)).is_err() || heard == Heard::Closed {
            return;
        }
    }
}

/// How long after `began` each of so many clients heard something for the first time, sorted.
async fn first(events: &mut Events, what: Heard, began: Instant, count: usize) -> Result<Vec<Duration>, FleetError> {
    let mut heard: std::collections::HashMap<usize, Duration> = std::collections::HashMap::new();
    let all = async {
        while heard.len() < count {
            let Some((number, kind, at)) = events.recv().await else { break };
            if kind == what {
                heard.entry(number).or_insert_with(|| at.saturating_duration_since(began));
            }
        }
    };
    let late = tokio::time::timeout(PATIENCE, all).await.is_err();
    if late || heard.len() < count {
        return Err(FleetError::Unusable(format!("only {} of {count} clients heard of it", heard.len())));
    }
    let mut times: Vec<Duration> = heard.into_values().collect();
    times.sort_unstable();
    Ok(times)
}

fn millis(time: Duration) -> f64 {
    time.as_secs_f64() * 1_000.0
}

/// Takes what came before out of the way.
fn drain(events: &mut Events) {
    while events.try_recv().is_ok() {}
}

async fn changes(site: &Site, client: &Client, events: &mut Events, count: usize) -> Result<[Figure; 3], FleetError> {
    let what = |part: &str| format!("change to {count} live channels: {part}");
    let mut p99 = Figure::new(7, what("99 of 100 have heard of it"), "ms", 1_000.0).lower();
    let mut last = Figure::new(7, what("the last one has heard of it"), "ms", None).lower();
    let mut each =
        Figure::new(7, what("CPU each, assignment compiled and signed included"), "microseconds", None).lower();
    for round in 1..=CHANGES {
        let settings = client.settings_show(SettingsId::DEFAULT).await?;
        let (name, comment, mut values) = (settings.name, settings.comment, settings.values);
        values.0.insert("policy_poll".to_owned(), (3_600_000 + round * 60_000).into());
        let settings = SettingsSet { name, comment, values, collections: Vec::new() };
        drain(events);
        let (before, began) = (site.server.usage(), Instant::now());
        client.settings_update(SettingsId::DEFAULT, &settings, None).await?;
        let times = first(events, Heard::Changed, began, count).await?;
        let used = site.server.usage().since(before);
        let at = times.len() * 99 / 100;
        p99.runs.push((Subject::Ours, times.get(at).copied().map_or(f64::NAN, millis)));
        last.runs.push((Subject::Ours, times.last().copied().map_or(f64::NAN, millis)));
        #[expect(clippy::cast_precision_loss, reason = "a number of clients")]
        each.runs.push((Subject::Ours, used.as_secs_f64() * 1e6 / count as f64));
    }
    Ok([p99, last, each])
}

/// Milliseconds from the request to block until the channels are closed, one device after the other.
async fn one_by_one(client: &Client, events: &mut Events, devices: &[DeviceId]) -> Result<Figure, FleetError> {
    let mut figure = Figure::new(None, "block one client: asked, until its channel is closed", "ms", 1_000.0).lower();
    let reason = Reason { reason: "measured".to_owned() };
    for device in devices {
        drain(events);
        let began = Instant::now();
        client.device_block(*device, &reason, None).await?;
        let times = first(events, Heard::Closed, began, 1).await?;
        figure.runs.push((Subject::Ours, times.first().copied().map_or(f64::NAN, millis)));
    }
    Ok(figure)
}

/// The same for many at once: until the last one is closed.
async fn together(client: &Client, events: &mut Events, devices: &[DeviceId]) -> Result<Figure, FleetError> {
    let what = format!(
        "block {} clients by {ADMINISTRATORS} requests at once: until the last channel is closed",
        devices.len()
    );
    let figure = Figure::new(None, what, "ms", 1_000.0).lower();
    let reason = Reason { reason: "measured".to_owned() };
    drain(events);
    let began = Instant::now();
    let mut asked = stream::iter(devices)
        .map(|device| client.device_block(*device, &reason, None))
        .buffer_unordered(ADMINISTRATORS);
    while let Some(done) = asked.next().await {
        done?;
    }
    let answered = began.elapsed();
    let times = first(events, Heard::Closed, began, devices.len()).await?;
    let last = times.last().copied().unwrap_or_default();
    let note = format!(
        "the last request was answered after {:.0} ms, and the last channel closed {:.1} ms after that",
        millis(answered),
        millis(last.saturating_sub(answered))
    );
    Ok(figure.ours(millis(last)).note(note))
}

/// The same for many in one request.
async fn in_one_step(client: &Client, events: &mut Events, devices: &[DeviceId]) -> Result<Figure, FleetError> {
    let what = format!("block {} clients by one request: until the last channel is closed", devices.len());
    let figure = Figure::new(None, what, "ms", 1_000.0).lower();
    if devices.is_empty() {
        return Ok(figure.ours(f64::NAN));
    }
    drain(events);
    let began = Instant::now();
    let request = DevicesBlock { devices: devices.to_vec(), reason: "measured".to_owned() };
    client.device_block_many(&request).await?;
    let answered = began.elapsed();
    let times = first(events, Heard::Closed, began, devices.len()).await?;
    let note = format!("the request was answered after {:.0} ms", millis(answered));
    Ok(figure.ours(millis(times.last().copied().unwrap_or_default())).note(note))
}

/// Enrols so many devices, opens their live channels, and measures.
///
/// # Errors
/// When the site does not start, or something is not heard of.
pub async fn measure(clients: u64, scratch: &Path, progress: &Progress) -> Result<Vec<Figure>, FleetError> {
    let site = Site::start(scratch).await?;
    let fleet: Fleet =
        enrol::enrol(&site.profile(), Wanted { count: clients, seed: 1, concurrency: 32 }, progress).await?;
    let ids: Vec<DeviceId> = fleet.devices.iter().map(|device| device.id).collect();
    let held = run::hold_all(&fleet, 64, progress).await?;
    say(&format!("{} live channels are open", held.len()));
    let (sender, mut events) = unbounded_channel();
    for (number, connection) in held.into_iter().enumerate() {
        tokio::spawn(listen(number, connection, sender.clone()));
    }
    let profile = ProfileDir::read(&site.profile(), None)?;
    let client = profile.client(UnixMillis(i64::MIN)).await?;
    let mut figures = changes(&site, &client, &mut events, ids.len()).await?.to_vec();
    let (single, rest) = ids.split_at(SINGLE.min(ids.len()));
    figures.push(one_by_one(&client, &mut events, single).await?);
    let (each, rest) = rest.split_at(TOGETHER.min(rest.len()));
    figures.push(together(&client, &mut events, each).await?);
    figures.push(in_one_step(&client, &mut events, &rest[..TOGETHER.min(rest.len())]).await?);
    site.server.stop().await;
    Ok(figures)
}
