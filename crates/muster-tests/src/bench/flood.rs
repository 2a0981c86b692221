//! One device floods the site: how long the others wait, beside a quiet run.
//!
//! The server has one core for itself; the others and the one that floods share the other core, on which the flood gets only what the
//! others leave. So what is measured is what the server does, and not who gets the core of the clients.

use super::{
    process::{Database, Limits, Site, program},
    report::{Figure, Subject},
};
use crate::fleet::{
    Fleet, FleetError, clock,
    device::{Device, message},
    enrol::{self, Wanted},
    http::Connection,
    progress::Progress,
    run::{self, Secure, check_in},
    say,
    software::{self, State},
};
use muster_model::report::{Body, Channel};
use std::{
    path::Path,
    process::Stdio,
    sync::Arc,
    time::{Duration, Instant},
};
use tokio::{
    process::{Child, Command},
    time::{sleep, sleep_until},
};

/// Devices that work as devices do.
const OTHERS: usize = 64;
/// Each of them does something so often.
const EVERY: Duration = Duration::from_millis(160);
/// Connections of the one that floods, where the site lets it.
const CONNECTIONS: usize = 32;

/// How it floods.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub enum Kind {
    /// Asks on kept connections for its assignment.
    CheckIns,
    /// Full inventories of 1,500 packages, signed and in order.
    Inventories,
    /// Reports of 1 MB that nobody signed.
    Rubbish,
    /// Connects, shakes hands, and closes.
    Handshakes,
}

impl Kind {
    const ALL: [Self; 4] = [Self::CheckIns, Self::Inventories, Self::Rubbish, Self::Handshakes];

    const fn name(self) -> &'static str {
        match self {
            Self::CheckIns => "check-ins",
            Self::Inventories => "inventories",
            Self::Rubbish => "rubbish",
            Self::Handshakes => "handshakes",
        }
    }
}

/// Floods a site from many connections, until the time is over. What is refused is tried again at once.
///
/// # Errors
/// When the fleet cannot be read.
pub async fn role(fleet: &Path, kind: Kind, length: Duration) -> Result<(), FleetError> {
    let fleet = Arc::new(Fleet::read(fleet)?);
    let end = Instant::now() + length;
    let mut tasks = Vec::new();
    for _ in 0..CONNECTIONS {
        let fleet = fleet.clone();
        tasks.push(tokio::spawn(async move {
            let mut sent = 0_u64;
            while Instant::now() < end {
                // Refused, closed, or a sequence number that another connection has used: at once again.
                drop(flood(&fleet, kind, end, &mut sent).await);
                tokio::task::yield_now().await;
            }
            sent
        }));
    }
    let mut sent = 0;
    for task in tasks {
        sent += task.await.unwrap_or_default();
    }
    say(&sent.to_string());
    Ok(())
}

async fn flood(fleet: &Fleet, kind: Kind, end: Instant, sent: &mut u64) -> Result<(), FleetError> {
    let of = fleet.devices.last().ok_or_else(|| FleetError::Unusable("the fleet is empty".to_owned()))?;
    let mut device = Device::from_kept(of.keep())?;
    let mut connection = open(&device, fleet).await?;
    let rubbish = vec![0x5a_u8; 1 << 20];
    while Instant::now() < end {
        *sent += 1;
        match kind {
            Kind::CheckIns => drop(connection.get("/mp/v1/assignment", None).await?),
            Kind::Rubbish => drop(connection.post("/mp/v1/reports", "application/cose", &rubbish).await?),
            Kind::Handshakes => {
                connection.close().await;
                connection = open(&device, fleet).await?;
            }
            Kind::Inventories => {
                let rows = software::rows(State { seed: fleet.seed, device: device.number, generation: *sent });
                let body = message(Body::Inventory(software::full(rows)), clock::now())?;
                let (bytes, after) = device.batch(Channel::Inventory, vec![body], clock::now())?;
                let answer = connection.post("/mp/v1/reports", "application/cose", &bytes).await?;
                if answer.status == 200 {
                    *device.position(Channel::Inventory) = after;
                }
            }
        }
    }
    Ok(())
}

async fn open(device: &Device, fleet: &Fleet) -> Result<Secure, FleetError> {
    Connection::open(device.tls(&fleet.root, false)?, &fleet.management_point, device.number).await
}

/// One of the others: how long each check-in and each report took.
async fn work(mut device: Device, mut connection: Secure, number: u32, end: Instant) -> Result<Work, FleetError> {
    let mut times = Vec::new();
    let mut etag = None;
    let mut next = Instant::now() + EVERY * number / u32::try_from(OTHERS).unwrap_or(1);
    let mut round = 0_u64;
    while next < end {
        sleep_until(next.into()).await;
        let began = Instant::now();
        if round.is_multiple_of(2) {
            check_in(&mut connection, &mut etag).await?;
        } else {
            let body = message(Body::Status(run::status_message(round)), clock::now())?;
            device.report(&mut connection, Channel::Status, vec![body], clock::now()).await?;
        }
        times.push(began.elapsed());
        round += 1;
        next += EVERY;
    }
    Ok(Work { device, connection, times })
}

struct Work {
    device: Device,
    connection: Secure,
    times: Vec<Duration>,
}

/// The others work for so long; 99 of 100 times they waited less than this many milliseconds.
async fn others(work_of: &mut Vec<(Device, Secure)>, length: Duration) -> Result<f64, FleetError> {
    let end = Instant::now() + length;
    let mut tasks = Vec::new();
    for (number, (device, connection)) in work_of.drain(..).enumerate() {
        tasks.push(tokio::spawn(work(device, connection, u32::try_from(number).unwrap_or(0), end)));
    }
    let mut times = Vec::new();
    for task in tasks {
        let done = task.await.map_err(|error| FleetError::Unusable(error.to_string()))??;
        times.extend(done.times);
        work_of.push((done.device, done.connection));
    }
    times.sort_unstable();
    Ok(times.get(times.len() * 99 / 100).copied().unwrap_or_default().as_secs_f64() * 1_000.0)
}

/// Puts a process and its threads on one core.
async fn place(pid: u32, core: &str) -> Result<(), FleetError> {
    let done =
        Command::new("taskset").args(["-a", "-c", "-p", core, &pid.to_string()]).stdout(Stdio::null()).status().await;
    match done {
        Ok(status) if status.success() => Ok(()),
        _ => Err(FleetError::Unusable(
            "taskset (Debian package util-linux) could not place a process on a core".to_owned(),
        )),
    }
}

fn start_flood(fleet: &Path, kind: Kind, length: Duration) -> Result<Child, FleetError> {
    Command::new("chrt")
        .args(["--idle", "0", "taskset", "-c", "1"])
        .arg(program("muster-bench")?)
        .args(["role-flood", "--kind", kind.name(), "--seconds", &length.as_secs().to_string(), "--fleet"])
        .arg(fleet)
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .kill_on_drop(true)
        .spawn()
        .map_err(FleetError::io("starting chrt (Debian package util-linux)"))
}

/// Quiet, flood, quiet, flood, for each kind: one in a hundred of the others waits longer than this.
///
/// # Errors
/// When the site does not start, or another device is refused.
pub async fn measure(length: Duration, scratch: &Path, progress: &Progress) -> Result<Vec<Figure>, FleetError> {
    let site = Site::start_on(scratch, Database::Sqlite, Limits::Default).await?;
    let wanted = Wanted { count: OTHERS as u64 + 1, seed: 1, concurrency: OTHERS };
    let fleet = enrol::enrol(&site.profile(), wanted, progress).await?;
    let kept = scratch.join("fleet");
    fleet.write(&kept)?;
    place(site.server.pid, "0").await?;
    place(std::process::id(), "1").await?;
    let mut devices =
        fleet.devices[..OTHERS].iter().map(|device| Device::from_kept(device.keep())).collect::<Result<Vec<_>, _>>()?;
    let mut figures = Vec::new();
    for kind in Kind::ALL {
        let mut working = Vec::new();
        for device in devices.drain(..) {
            let connection = open(&device, &fleet).await?;
            working.push((device, connection));
        }
        let mut figure =
            Figure::new(None, format!("others while one device floods with {}: p99", kind.name()), "ms", None).lower();
        let mut quiet = Vec::new();
        for _ in 0..2 {
            quiet.push(others(&mut working, length).await?);
            let child = start_flood(&kept, kind, length + Duration::from_secs(1))?;
            sleep(Duration::from_millis(500)).await;
            figure.runs.push((Subject::Ours, others(&mut working, length).await?));
            let output = child.wait_with_output().await.map_err(FleetError::io("the flood"))?;
            say(&format!("  {}: tried {} times", kind.name(), String::from_utf8_lossy(&output.stdout).trim()));
        }
        let calm = quiet.iter().sum::<f64>() / 2.0;
        let ratio = figure.median(Subject::Ours).unwrap_or(f64::NAN) / calm;
        figures.push(figure.note(format!("{calm:.2} ms when it is quiet; {ratio:.2} times as long")));
        for (device, connection) in working {
            connection.close().await;
            devices.push(device);
        }
    }
    site.server.stop().await;
    Ok(figures)
}
