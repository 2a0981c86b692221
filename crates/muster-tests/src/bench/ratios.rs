//! `muster-bench ratios`: limit, ours, peer, ours, limit, for each line of the table of targets.

use super::{
    agent, hold,
    load::{self, CONNECTIONS, Work},
    openssl,
    process::{Database, Limits, Server, Site},
    report::{Figure, Subject},
    signature,
};
use crate::fleet::{Fleet, FleetError, device::Device, enrol, enrol::Wanted, progress::Progress, say};
use std::{
    path::{Path, PathBuf},
    time::Duration,
};

/// What is to be measured, and for how long.
#[derive(Debug, Clone)]
pub struct Plan {
    /// Lines of the table of targets.
    pub lines: Vec<u8>,
    /// Length of each run.
    pub length: Duration,
    /// Idle clients of line 8.
    pub clients: u64,
    /// How long the idle agent of line 12 is watched.
    pub idle: Duration,
    /// The seed of the simulated devices.
    pub seed: u64,
    /// Where our site keeps what it knows.
    pub database: Database,
}

/// The lines that are measured.
pub const LINES: [u8; 7] = [1, 2, 3, 4, 5, 6, 8];
/// The line of the real agent.
pub const AGENT: u8 = 12;

const PER_CPU: &str = "per CPU-second";

/// One work with its figure.
fn works(line: u8, database: &Database) -> Vec<(Work, Figure)> {
    let on = database.name();
    let of = |what: String, target: f64| Figure::new(line, what, PER_CPU, target);
    match line {
        1 => vec![(Work::CheckIn, of("idle check-in on a kept connection".to_owned(), 25_000.0))],
        2 => vec![
            (Work::Handshake { resume: false }, of("connect, full handshake, check-in, close".to_owned(), 3_300.0)),
            (Work::Handshake { resume: true }, of("connect, resumed handshake, check-in, close".to_owned(), 5_500.0)),
        ],
        3 => vec![(Work::Full, of(format!("full inventory of 1,500 packages, durable ({on})"), 500.0))],
        4 => vec![
            (Work::Unchanged, of(format!("unchanged inventory, by digest ({on})"), 20_000.0)),
            (Work::Again, of(format!("unchanged inventory, whole body again ({on})"), 2_500.0)),
        ],
        5 => vec![(Work::Delta, of(format!("delta inventory of 5 packages ({on})"), 10_000.0))],
        6 => vec![
            (Work::Status { batch: 1 }, of(format!("status message of 400 B, one in a report ({on})"), 40_000.0)),
            (
                Work::Status { batch: load::BATCH },
                of(format!("status message of 400 B, 100 in a report ({on})"), 100_000.0),
            ),
        ],
        _ => Vec::new(),
    }
}

/// The three servers with their devices, which are the same and start anew at each server.
struct Trio {
    limit: (Server, Vec<Device>),
    ours: (Site, Vec<Device>),
    peer: (Server, Vec<Device>),
    root: Vec<u8>,
    seed: u64,
}

impl Trio {
    async fn run(&mut self, subject: Subject, work: Work, length: Duration) -> Result<f64, FleetError> {
        let (server, devices) = match subject {
            Subject::Limit => (&self.limit.0, &mut self.limit.1),
            Subject::Ours => (&self.ours.0.server, &mut self.ours.1),
            Subject::Peer => (&self.peer.0, &mut self.peer.1),
        };
        let strict = subject == Subject::Ours;
        let outcome = load::run(work, server, &self.root, devices, self.seed, length, strict).await?;
        say(&format!(
            "  {subject:?}: {} in {:.1?}, {:.2?} of CPU: {:.0} {PER_CPU}",
            outcome.operations,
            outcome.wall,
            outcome.cpu,
            outcome.per_cpu_second()
        ));
        Ok(outcome.per_cpu_second())
    }

    /// Limit, ours, peer, ours, limit. A subject that fails says so, and the others go on.
    async fn measure(&mut self, work: Work, mut figure: Figure, length: Duration) -> Figure {
        use Subject::{Limit, Ours, Peer};
        say(&figure.what);
        let mut broken = Vec::new();
        for subject in [Limit, Ours, Peer, Ours, Limit] {
            if broken.contains(&subject) {
                continue;
            }
            match self.run(subject, work, length).await {
                Ok(value) => figure.runs.push((subject, value)),
                Err(error) => {
                    say(&format!("  {subject:?} was not measured: {error}"));
                    figure.note = format!("{subject:?} was not measured: {error}");
                    broken.push(subject);
                }
            }
        }
        figure
    }
}

/// Runs the plan in a scratch directory.
///
/// # Errors
/// When a server does not start, or devices cannot be enrolled.
pub async fn run(plan: &Plan, scratch: &Path, progress: &Progress) -> Result<Vec<Figure>, FleetError> {
    let site = Site::start_on(scratch, plan.database.clone(), Limits::Wide).await?;
    let mut figures = Vec::new();
    let loads: Vec<_> = plan.lines.iter().flat_map(|line| works(*line, &plan.database)).collect();
    let (mut trio, rest) = start(plan, site, scratch, progress).await?;
    figures.push(rest.0);
    figures.extend(signature::measure()?);
    for (work, figure) in loads {
        let figure = trio.measure(work, figure, plan.length).await;
        figures.push(match work {
            Work::Handshake { .. } => beside_openssl(&mut trio, work, figure, plan.length, scratch).await?,
            _ => figure,
        });
    }
    let Trio { limit, mut ours, peer, .. } = trio;
    limit.0.stop().await;
    peer.0.stop().await;
    if plan.lines.contains(&8) {
        // Fresh processes: what a server freed after its work would hide what a client costs.
        ours.0 = ours.0.restart().await?;
        let limit = Server::role("serve-limit", &ours.0.dir, &fresh(scratch, "limit")?).await?;
        let peer = Server::role("serve-peer", &ours.0.dir, &fresh(scratch, "peer")?).await?;
        figures.extend(hold::measure(&ours.0, &limit, &peer, &rest.1, progress).await?);
        limit.stop().await;
        peer.stop().await;
    }
    if plan.lines.contains(&AGENT) {
        figures.extend(agent::measure(&ours.0, scratch, plan.idle).await?);
    }
    ours.0.server.stop().await;
    Ok(figures)
}

/// The same handshakes by nginx on OpenSSL, where that is on this machine.
async fn beside_openssl(
    trio: &mut Trio,
    work: Work,
    figure: Figure,
    length: Duration,
    scratch: &Path,
) -> Result<Figure, FleetError> {
    let Some(server) = openssl::start(&trio.ours.0.dir, scratch).await? else {
        return Ok(figure.note("nginx on OpenSSL was not measured: the Debian package nginx-light is missing"));
    };
    let mut devices = load::strangers(&trio.limit.1)?;
    let mut rates = Vec::new();
    for _ in 0..2 {
        let outcome = load::run(work, &server, &trio.root, &mut devices, trio.seed, length, false).await?;
        rates.push(outcome.per_cpu_second());
    }
    server.stop().await;
    let rate = rates.iter().sum::<f64>() / 2.0;
    let ratio = figure.median(Subject::Ours).unwrap_or(f64::NAN) / rate;
    let note = format!("nginx on OpenSSL, in the same run: {rate:.0}; ours is {ratio:.2} of that");
    say(&note);
    Ok(figure.note(note))
}

fn fresh(scratch: &Path, name: &str) -> Result<PathBuf, FleetError> {
    let path = scratch.join(name);
    std::fs::create_dir_all(&path).map_err(|error| FleetError::file(&path, error))?;
    Ok(path)
}

/// Enrols the devices, which is a figure of its own, and starts the limit and the peer.
async fn start(
    plan: &Plan,
    site: Site,
    scratch: &Path,
    progress: &Progress,
) -> Result<(Trio, (Figure, Fleet)), FleetError> {
    let count = if plan.lines.contains(&8) { plan.clients.max(CONNECTIONS as u64) } else { CONNECTIONS as u64 };
    say(&format!("enrolling {count} devices"));
    let before = site.server.usage();
    let wanted = Wanted { count, seed: plan.seed, concurrency: CONNECTIONS };
    let fleet = enrol::enrol(&site.profile(), wanted, progress).await?;
    let cpu = site.server.usage().since(before);
    #[expect(clippy::cast_precision_loss, reason = "a number of devices")]
    let rate = count as f64 / cpu.as_secs_f64().max(1e-9);
    let enrolments = Figure::new(None, "enrolment: token, request, approval, certificate, policy", PER_CPU, None)
        .ours(rate)
        .note(format!("{count} devices, {cpu:.1?} of CPU"));
    say(&format!("  {rate:.0} enrolments {PER_CPU}"));
    let first = |fleet: &Fleet| load::strangers(&fleet.devices[..CONNECTIONS.min(fleet.devices.len())]);
    let trio = Trio {
        limit: (Server::role("serve-limit", &site.dir, scratch).await?, first(&fleet)?),
        peer: (Server::role("serve-peer", &site.dir, scratch).await?, first(&fleet)?),
        ours: (site, first(&fleet)?),
        root: fleet.root.clone(),
        seed: plan.seed,
    };
    Ok((trio, (enrolments, fleet)))
}
