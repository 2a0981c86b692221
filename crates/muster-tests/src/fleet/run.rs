//! What a fleet does: be idle, check in, report inventories and status messages, and all come back at once.

use super::{
    clock,
    device::{Device, message},
    error::FleetError,
    http::{Connection, Target},
    progress::Progress,
    software::{self, State},
    store::Fleet,
};
use futures_util::{StreamExt, stream};
use muster_model::{
    report::{Body, Channel},
    status::{Component, MessageId, Severity, StatusMessage},
};
use rustls::ClientConfig;
use std::{
    sync::{Arc, Mutex, PoisonError},
    time::{Duration, Instant},
};
use tokio::{net::TcpStream, time::sleep_until};
use tokio_rustls::client::TlsStream;

/// The connection of a device.
pub type Secure = Connection<TlsStream<TcpStream>>;

/// What a run came to.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub struct Summary {
    /// Things that were done: check-ins, reports, connections.
    pub done: u64,
    /// Things that failed.
    pub failed: u64,
    /// How long all of it took.
    pub took: Duration,
    /// Half of them took at most this long.
    pub median: Duration,
    /// One in a hundred took longer than this.
    pub slowest: Duration,
}

/// Collects how long things took.
#[derive(Debug)]
struct Tally {
    started: Instant,
    times: Mutex<(Vec<Duration>, u64)>,
}

impl Tally {
    fn new() -> Self {
        Self { started: Instant::now(), times: Mutex::default() }
    }

    fn note(&self, since: Instant, outcome: &Result<(), FleetError>) {
        let mut times = self.times.lock().unwrap_or_else(PoisonError::into_inner);
        match outcome {
            Ok(()) => times.0.push(since.elapsed()),
            Err(error) => {
                times.1 += 1;
                // The first few say what is wrong; a thousand of them say nothing more.
                if times.1 <= 3 {
                    super::say(&format!("a device failed: {error}"));
                }
            }
        }
    }

    fn summary(&self) -> Summary {
        let mut times = self.times.lock().unwrap_or_else(PoisonError::into_inner);
        times.0.sort_unstable();
        let at = |share: usize| times.0.get(times.0.len() * share / 100).copied().unwrap_or_default();
        Summary {
            done: times.0.len() as u64,
            failed: times.1,
            took: self.started.elapsed(),
            median: at(50),
            slowest: at(99),
        }
    }
}

/// Which inventory is reported.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub enum Kind {
    /// All rows.
    Full,
    /// What an update of five packages changed.
    Delta,
    /// Nothing changed.
    Unchanged,
}

/// What every device of a run needs.
#[derive(Debug)]
struct Shared {
    root: Vec<u8>,
    target: Target,
    seed: u64,
    tally: Tally,
}

impl Shared {
    fn of(fleet: &Fleet) -> Arc<Self> {
        Arc::new(Self {
            root: fleet.root.clone(),
            target: fleet.management_point.clone(),
            seed: fleet.seed,
            tally: Tally::new(),
        })
    }

    async fn open(&self, device: &Device) -> Result<Secure, FleetError> {
        Connection::open(device.tls(&self.root, false)?, &self.target, device.number).await
    }
}

/// Lets each device do something, so many at once, and puts them back into the fleet.
async fn each<F, W>(fleet: &mut Fleet, concurrency: usize, progress: &Progress, work: W) -> Result<(), FleetError>
where
    W: Fn(Device) -> F,
    F: Future<Output = Device> + Send + 'static,
{
    let devices = std::mem::take(&mut fleet.devices);
    let mut running =
        stream::iter(devices).map(|device| tokio::spawn(work(device))).buffer_unordered(concurrency.max(1));
    while let Some(device) = running.next().await {
        fleet.devices.push(device.map_err(|error| FleetError::Unusable(error.to_string()))?);
        progress.step(1);
    }
    drop(running);
    fleet.devices.sort_by_key(|device| device.number);
    Ok(())
}

/// Every device reports an inventory.
///
/// # Errors
/// When a task ends before its time; what fails at a device is counted.
pub async fn inventory(
    fleet: &mut Fleet,
    kind: Kind,
    concurrency: usize,
    progress: &Progress,
) -> Result<Summary, FleetError> {
    let shared = Shared::of(fleet);
    progress.start("reporting inventories", fleet.devices.len() as u64);
    let of = shared.clone();
    each(fleet, concurrency, progress, move |mut device| {
        let shared = of.clone();
        async move {
            let since = Instant::now();
            let outcome = report_inventory(&shared, &mut device, kind).await;
            shared.tally.note(since, &outcome);
            device
        }
    })
    .await?;
    progress.done();
    Ok(shared.tally.summary())
}

async fn report_inventory(shared: &Shared, device: &mut Device, kind: Kind) -> Result<(), FleetError> {
    let state = |generation| State { seed: shared.seed, device: device.number, generation };
    let (report, generation) = match (kind, device.generation) {
        (Kind::Unchanged, known) => (software::unchanged(), known),
        (Kind::Delta, Some(known)) => {
            let next = if known == 0 { 1 } else { 0 };
            (software::delta(&software::rows(state(known)), software::rows(state(next))), Some(next))
        }
        (Kind::Full | Kind::Delta, _) => (software::full(software::rows(state(0))), Some(0)),
    };
    let now = clock::now();
    let mut connection = shared.open(device).await?;
    let messages = vec![message(Body::Inventory(report), now)?];
    let answer = device.report(&mut connection, Channel::Inventory, messages, now).await?;
    connection.close().await;
    if let Some(refused) = answer.quarantined.first() {
        return Err(FleetError::Unusable(format!("the site put an inventory aside: {}", refused.reason)));
    }
    device.generation = if answer.resync.is_empty() { generation } else { None };
    Ok(())
}

/// Every device sends status messages, `batch` of them in a report.
///
/// # Errors
/// As [`inventory`].
pub async fn status(
    fleet: &mut Fleet,
    messages: u64,
    batch: u64,
    concurrency: usize,
    progress: &Progress,
) -> Result<Summary, FleetError> {
    let shared = Shared::of(fleet);
    progress.start("sending status messages", fleet.devices.len() as u64);
    let of = shared.clone();
    each(fleet, concurrency, progress, move |mut device| {
        let shared = of.clone();
        async move {
            let outcome = send_status(&shared, &mut device, messages, batch.max(1)).await;
            if outcome.is_err() {
                shared.tally.note(Instant::now(), &outcome);
            }
            device
        }
    })
    .await?;
    progress.done();
    Ok(shared.tally.summary())
}

async fn send_status(shared: &Shared, device: &mut Device, messages: u64, batch: u64) -> Result<(), FleetError> {
    let mut connection = shared.open(device).await?;
    let mut sent = 0;
    while sent < messages {
        let now = clock::now();
        let since = Instant::now();
        let count = batch.min(messages - sent);
        let bodies = (sent..sent + count).map(|number| message(Body::Status(status_message(number)), now));
        let bodies = bodies.collect::<Result<_, _>>()?;
        device.report(&mut connection, Channel::Status, bodies, now).await?;
        shared.tally.note(since, &Ok(()));
        sent += count;
    }
    connection.close().await;
    Ok(())
}

/// A status message of about 400 bytes.
#[must_use]
pub fn status_message(number: u64) -> StatusMessage {
    StatusMessage {
        component: Component::Inventory,
        id: MessageId::InventoryUnreadable,
        severity: Severity::Warning,
        values: software::status_values(number),
    }
}

/// Every device holds its live channel and asks for its assignment at an interval, until the time is over.
///
/// # Errors
/// As [`inventory`].
pub async fn idle(fleet: &Fleet, length: Duration, interval: Duration) -> Result<Summary, FleetError> {
    let shared = Shared::of(fleet);
    let end = Instant::now() + length;
    let clients: Vec<(u64, Arc<ClientConfig>)> = clients(fleet)?;
    let running: Vec<_> = clients
        .into_iter()
        .map(|(number, config)| tokio::spawn(be_idle(shared.clone(), number, config, interval, end)))
        .collect();
    for client in running {
        if let Err(error) = client.await {
            return Err(FleetError::Unusable(error.to_string()));
        }
    }
    Ok(shared.tally.summary())
}

fn clients(fleet: &Fleet) -> Result<Vec<(u64, Arc<ClientConfig>)>, FleetError> {
    fleet.devices.iter().map(|device| Ok((device.number, device.tls(&fleet.root, false)?))).collect()
}

async fn be_idle(shared: Arc<Shared>, number: u64, config: Arc<ClientConfig>, interval: Duration, end: Instant) {
    let outcome = async {
        let mut live = Connection::open(config.clone(), &shared.target, number).await?;
        live.open_stream("/mp/v1/live").await?;
        let mut asking = Connection::open(config, &shared.target, number).await?;
        let mut etag: Option<String> = None;
        // Spread over the interval, each device at its own moment.
        let first = interval.mul_f64(f64::from(u32::try_from(number % 1_000).unwrap_or(0)) / 1_000.0);
        let mut next = Instant::now() + first;
        while next < end {
            let woken = tokio::select! {
                () = sleep_until(next.into()) => false,
                read = live.next_of_stream() => {
                    if read? == 0 {
                        return Err(FleetError::Unusable("the site closed the live channel".to_owned()));
                    }
                    true
                }
            };
            if woken {
                continue;
            }
            let since = Instant::now();
            let outcome = check_in(&mut asking, &mut etag).await;
            shared.tally.note(since, &outcome);
            next += interval;
        }
        sleep_until(end.into()).await;
        asking.close().await;
        Ok(())
    };
    let outcome: Result<(), FleetError> = outcome.await;
    if outcome.is_err() {
        shared.tally.note(Instant::now(), &outcome);
    }
}

/// Asks for the assignment, unless it is still the one that is known.
///
/// # Errors
/// [`FleetError::Refused`] and others.
pub async fn check_in(connection: &mut Secure, etag: &mut Option<String>) -> Result<(), FleetError> {
    let answer = connection.get("/mp/v1/assignment", etag.as_deref()).await?;
    if answer.status != 304 {
        let answer = answer.expect(200, "the assignment")?;
        *etag = answer.etag;
    }
    Ok(())
}

/// All devices come back at once: each connects, asks for its assignment, opens its live channel. Then all stay for `hold`.
///
/// # Errors
/// As [`inventory`].
pub async fn storm(
    fleet: &Fleet,
    concurrency: usize,
    hold: Duration,
    progress: &Progress,
) -> Result<Summary, FleetError> {
    let shared = Shared::of(fleet);
    let clients = clients(fleet)?;
    progress.start("reconnecting", clients.len() as u64);
    let held = connect_all(&shared, clients, concurrency, progress).await;
    progress.done();
    let summary = shared.tally.summary();
    sleep_until((Instant::now() + hold).into()).await;
    drop(held);
    Ok(summary)
}

async fn connect_all(
    shared: &Arc<Shared>,
    clients: Vec<(u64, Arc<ClientConfig>)>,
    concurrency: usize,
    progress: &Progress,
) -> Vec<Secure> {
    let mut held = Vec::with_capacity(clients.len());
    let mut running = stream::iter(clients)
        .map(|(number, config)| {
            let shared = shared.clone();
            tokio::spawn(async move {
                let since = Instant::now();
                let opened = come_back(&shared.target, number, config).await;
                let (connection, outcome) = match opened {
                    Ok(connection) => (Some(connection), Ok(())),
                    Err(error) => (None, Err(error)),
                };
                shared.tally.note(since, &outcome);
                connection
            })
        })
        .buffer_unordered(concurrency.max(1));
    while let Some(done) = running.next().await {
        held.extend(done.ok().flatten());
        progress.step(1);
    }
    held
}

async fn come_back(target: &Target, number: u64, config: Arc<ClientConfig>) -> Result<Secure, FleetError> {
    let mut connection = Connection::open(config, target, number).await?;
    check_in(&mut connection, &mut None).await?;
    connection.open_stream("/mp/v1/live").await?;
    Ok(connection)
}

/// Opens the live channel of every device and keeps all of them open.
///
/// # Errors
/// When a device cannot be connected.
pub async fn hold_all(fleet: &Fleet, concurrency: usize, progress: &Progress) -> Result<Vec<Secure>, FleetError> {
    let shared = Shared::of(fleet);
    progress.start("opening live channels", fleet.devices.len() as u64);
    let held = connect_all(&shared, clients(fleet)?, concurrency, progress).await;
    progress.done();
    if held.len() < fleet.devices.len() {
        let missing = fleet.devices.len() - held.len();
        return Err(FleetError::Unusable(format!("{missing} devices could not connect")));
    }
    Ok(held)
}
