//! The load of one measurement: 32 devices on 32 connections do one thing over and over, and the server's CPU time is taken.

use super::process::Server;
use crate::fleet::{
    FleetError, clock,
    device::{Device, Position, message},
    http::{Connection, Target},
    run::{self, Secure, check_in},
    software::{self, State},
};
use muster_model::{
    id::Hash,
    report::{Body, Channel, ReportAnswer},
    time::UnixMillis,
};
use rustls::ClientConfig;
use serde_json::value::RawValue;
use std::{
    sync::Arc,
    time::{Duration, Instant},
};
use tokio::sync::Barrier;

/// Connections at once.
pub const CONNECTIONS: usize = 32;
/// Status messages in a batched report.
pub const BATCH: usize = 100;

/// What the devices do.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Work {
    /// Ask on a kept connection whether the assignment changed. It did not.
    CheckIn,
    /// Connect, shake hands, check in, close.
    Handshake {
        /// With the ticket of the connection before.
        resume: bool,
    },
    /// Report 1,500 packages, most of which are others than those before.
    Full,
    /// Report the same 1,500 packages once more.
    Again,
    /// Report that nothing changed.
    Unchanged,
    /// Report what an update of five packages changed.
    Delta,
    /// Send status messages of 400 bytes, so many in a report.
    Status {
        /// Messages in a report.
        batch: usize,
    },
    /// Fetch pieces of a content file, one after the other.
    Content {
        /// The file.
        hash: Hash,
        /// Bytes of it.
        size: u64,
        /// Bytes of a piece.
        piece: u64,
    },
}

/// What a measurement came to.
#[derive(Debug, Clone, Copy)]
pub struct Outcome {
    /// Operations: check-ins, connections, inventories, messages.
    pub operations: u64,
    /// CPU time of the server.
    pub cpu: Duration,
    /// How long it took.
    pub wall: Duration,
}

impl Outcome {
    /// Operations in a second of one core.
    #[must_use]
    pub fn per_cpu_second(&self) -> f64 {
        #[expect(clippy::cast_precision_loss, reason = "counts stay far below 2^52")]
        let operations = self.operations as f64;
        operations / self.cpu.as_secs_f64().max(1e-9)
    }
}

/// One device at work.
struct Worker {
    device: Device,
    root: Vec<u8>,
    target: Target,
    config: Arc<ClientConfig>,
    connection: Option<Secure>,
    etag: Option<String>,
    work: Work,
    messages: Vec<Vec<Box<RawValue>>>,
    round: usize,
    strict: bool,
}

/// Lets the devices work on a server for so long. `strict`: the server is ours, and its acknowledgements are checked.
///
/// # Errors
/// When a device fails.
pub async fn run(
    work: Work,
    server: &Server,
    root: &[u8],
    devices: &mut Vec<Device>,
    seed: u64,
    length: Duration,
    strict: bool,
) -> Result<Outcome, FleetError> {
    let ready = Arc::new(Barrier::new(devices.len() + 1));
    let count = devices.len();
    let mut running = Vec::with_capacity(count);
    for device in devices.drain(..) {
        let worker = Worker::new(device, work, server.target.clone(), root, seed, strict)?;
        running.push(tokio::spawn(worker.all(ready.clone(), length)));
    }
    ready.wait().await;
    let (before, since) = (server.usage(), Instant::now());
    let mut operations = 0;
    let mut failed = None;
    for worker in running {
        let (device, done) = worker.await.map_err(|error| FleetError::Unusable(error.to_string()))?;
        devices.push(device);
        match done {
            Ok(done) => operations += done,
            Err(error) => failed = Some(error),
        }
    }
    let outcome = Outcome { operations, cpu: server.usage().since(before), wall: since.elapsed() };
    failed.map_or(Ok(outcome), Err)
}

impl Worker {
    fn new(
        device: Device,
        work: Work,
        target: Target,
        root: &[u8],
        seed: u64,
        strict: bool,
    ) -> Result<Self, FleetError> {
        let resume = matches!(work, Work::Handshake { resume: true });
        let config = device.tls(root, resume)?;
        let messages = messages(work, seed, device.number)?;
        let root = root.to_vec();
        Ok(Self { device, root, target, config, connection: None, etag: None, work, messages, round: 0, strict })
    }

    /// Gets ready, waits for all others, and works until the time is over.
    async fn all(mut self, ready: Arc<Barrier>, length: Duration) -> (Device, Result<u64, FleetError>) {
        let prepared = self.prepare().await;
        ready.wait().await;
        if let Err(error) = prepared {
            return (self.device, Err(error));
        }
        let end = Instant::now() + length;
        let mut done = 0;
        while Instant::now() < end {
            match self.once().await {
                Ok(operations) => done += operations,
                Err(error) => return (self.device, Err(error)),
            }
        }
        if let Some(connection) = self.connection {
            connection.close().await;
        }
        (self.device, Ok(done))
    }

    /// Does everything once that costs more the first time: a connection, the assignment, rows that the site does not know.
    async fn prepare(&mut self) -> Result<(), FleetError> {
        let mut connection =
            Connection::open(self.device.tls(&self.root, false)?, &self.target, self.device.number).await?;
        check_in(&mut connection, &mut self.etag).await?;
        self.connection = Some(connection);
        if let Work::Delta = self.work {
            let base = self.messages.pop().ok_or_else(gone)?;
            self.report(Channel::Inventory, base).await?;
        }
        for _ in 0..2 {
            self.once().await?;
        }
        if let Work::Handshake { .. } = self.work {
            self.connection = None;
        }
        Ok(())
    }

    /// Does it once; how many operations that were.
    async fn once(&mut self) -> Result<u64, FleetError> {
        match self.work {
            Work::CheckIn => {
                let connection = self.connection.as_mut().ok_or_else(gone)?;
                check_in(connection, &mut self.etag).await?;
            }
            Work::Handshake { .. } => {
                let mut connection = Connection::open(self.config.clone(), &self.target, self.device.number).await?;
                check_in(&mut connection, &mut self.etag).await?;
                connection.close().await;
            }
            Work::Full | Work::Again | Work::Unchanged | Work::Delta => {
                let messages = self.next();
                self.report(Channel::Inventory, messages).await?;
            }
            Work::Status { batch } => {
                let messages = self.next();
                self.report(Channel::Status, messages).await?;
                return Ok(batch as u64);
            }
            Work::Content { hash, size, piece } => {
                self.round += 1;
                let first = (self.round as u64 + 7 * self.device.number) % (size / piece).max(1) * piece;
                let connection = self.connection.as_mut().ok_or_else(gone)?;
                let path = format!("/mp/v1/content/{hash}");
                connection.get_part(&path, first, piece).await?.expect(206, "a piece of content")?;
            }
        }
        Ok(1)
    }

    fn next(&mut self) -> Vec<Box<RawValue>> {
        self.round += 1;
        self.messages[self.round % self.messages.len()].clone()
    }

    async fn report(&mut self, channel: Channel, messages: Vec<Box<RawValue>>) -> Result<(), FleetError> {
        let now = clock::now();
        let connection = self.connection.as_mut().ok_or_else(gone)?;
        if self.strict {
            let answer: ReportAnswer = self.device.report(connection, channel, messages, now).await?;
            return match (answer.quarantined.first(), answer.resync.first()) {
                (Some(aside), _) => Err(FleetError::Unusable(format!("the site put aside: {}", aside.reason))),
                (_, Some(class)) => Err(FleetError::Unusable(format!("the site asks for {class} again"))),
                _ => Ok(()),
            };
        }
        let (bytes, after) = self.device.batch(channel, messages, now)?;
        connection.post("/mp/v1/reports", "application/cose", &bytes).await?.expect(200, "a report")?;
        *self.device.position(channel) = after;
        Ok(())
    }
}

fn gone() -> FleetError {
    FleetError::Unusable("the connection is not open".to_owned())
}

/// The messages that a device sends in turn.
fn messages(work: Work, seed: u64, number: u64) -> Result<Vec<Vec<Box<RawValue>>>, FleetError> {
    let now = clock::now();
    let inventory = |report| Ok::<_, FleetError>(vec![message(Body::Inventory(report), now)?]);
    let rows = |device, generation| software::rows(State { seed, device, generation });
    match work {
        Work::CheckIn | Work::Handshake { .. } | Work::Content { .. } => Ok(Vec::new()),
        // The other state is that of another device, so that nearly every row is another one.
        Work::Full => Ok(vec![
            inventory(software::full(rows(number, 0)))?,
            inventory(software::full(rows(number + 1_000_003, 0)))?,
        ]),
        Work::Again => Ok(vec![inventory(software::full(rows(number, 0)))?]),
        Work::Unchanged => Ok(vec![inventory(software::unchanged())?]),
        Work::Delta => {
            let (base, next) = (rows(number, 0), rows(number, 1));
            let back = software::delta(&next, base.clone());
            let there = software::delta(&base, next);
            // The last is sent first, once, and then the others in turn, the second of them first.
            Ok(vec![inventory(back)?, inventory(there)?, inventory(software::full(base))?])
        }
        Work::Status { batch } => Ok(vec![status(batch, now)?]),
    }
}

fn status(batch: usize, now: UnixMillis) -> Result<Vec<Box<RawValue>>, FleetError> {
    (0..batch as u64).map(|number| message(Body::Status(run::status_message(number)), now)).collect()
}

/// The same devices for another server, which knows nothing of them.
///
/// # Errors
/// [`FleetError::Key`].
pub fn strangers(devices: &[Device]) -> Result<Vec<Device>, FleetError> {
    devices
        .iter()
        .map(|device| {
            let mut other = Device::from_kept(device.keep())?;
            (other.status, other.inventory) = (Position::default(), Position::default());
            Ok(other)
        })
        .collect()
}
