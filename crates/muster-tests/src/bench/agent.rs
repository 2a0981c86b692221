//! The real agent on this machine: memory and CPU while it is idle, one inventory, and the time from a deployment to its start.

use super::{
    cpu, memory,
    process::{Site, program},
    report::Figure,
};
use crate::fleet::{FleetError, clock, say};
use muster_cli::{Client, author, profile::ProfileDir};
use muster_model::{
    api::{DeploymentCreate, DeviceQuery, Enrolment, EnrolmentState, PageQuery, Target, TokenCreate},
    application::{Application, Command as Install, Detection, Platform},
    id::{ApplicationId, DeviceId},
};
use std::{
    fs,
    os::unix::fs::OpenOptionsExt,
    path::{Path, PathBuf},
    process::Stdio,
    time::{Duration, Instant, UNIX_EPOCH},
};
use tokio::{
    process::{Child, Command},
    time::{sleep, timeout},
};

/// How long each step of the agent may take.
const PATIENCE: Duration = Duration::from_secs(120);
/// Deployments whose times are taken.
const DEPLOYMENTS: u128 = 5;
const DAY: f64 = 86_400.0;
#[expect(clippy::cast_precision_loss, reason = "a constant")]
const MEGABYTE: f64 = (1_u64 << 20) as f64;

/// An agent at work.
pub(super) struct Agent {
    pub(super) child: Child,
    pub(super) pid: u32,
    pub(super) device: DeviceId,
}

/// Enrols the real agent at the site and measures it.
///
/// # Errors
/// When it does not start or is not enrolled.
pub async fn measure(site: &Site, scratch: &Path, idle: Duration) -> Result<Vec<Figure>, FleetError> {
    say("the real agent");
    let profile = ProfileDir::read(&site.profile(), None)?;
    let client = profile.client(clock::now()).await?;
    let mut figures = inventory(scratch).await?;
    let mut agent = start(&client, scratch).await?;
    let outcome = watch(&profile, &client, &agent, scratch, idle, &mut figures).await;
    // It is ended here and not by its drop, so that it is gone before its directory is.
    drop(agent.child.kill().await);
    outcome.map(|()| figures)
}

async fn watch(
    profile: &ProfileDir,
    client: &Client,
    agent: &Agent,
    scratch: &Path,
    idle: Duration,
    figures: &mut Vec<Figure>,
) -> Result<(), FleetError> {
    until("the agent's first inventory", async || {
        Ok(client.device_show(agent.device).await?.value.device.last_inventory)
    })
    .await?;
    sleep(Duration::from_secs(5)).await;
    let before = cpu::usage(agent.pid);
    sleep(idle).await;
    let used = cpu::usage(agent.pid).since(before);
    let resident = bytes(memory::status(agent.pid, "VmRSS"));
    let peak = bytes(memory::status(agent.pid, "VmHWM"));
    let a_day = used.as_secs_f64() / idle.as_secs_f64() * DAY;
    say(&format!("  idle: {resident:.1} MB, peak {peak:.1} MB, {used:.1?} of CPU in {idle:.0?}"));
    figures.push(
        Figure::new(12, "agent: resident memory when idle", "MB", 12.0)
            .lower()
            .ours(resident)
            .note(format!("the most since its start, with its first full inventory: {peak:.1} MB")),
    );
    figures.push(
        Figure::new(12, "agent: CPU a day when idle", "CPU-seconds", 2.0)
            .lower()
            .ours(a_day)
            .note(format!("{used:.2?} in {idle:.0?}, scaled to a day; without its inventory of every 7 days")),
    );
    let mut times = Vec::new();
    for number in 0..DEPLOYMENTS {
        times.push(deploy(profile, client, agent, scratch, number).await?);
    }
    times.sort();
    let median = times[times.len() / 2].as_secs_f64() * 1_000.0;
    say(&format!("  from deployment to start: {times:.0?}"));
    figures.push(
        Figure::new(None, "from `deployment create` to the client's installer running", "ms", 1_000.0)
            .lower()
            .ours(median)
            .note("wall-clock, median of 5: signed, stored, told, fetched, verified, detected, started"),
    );
    Ok(())
}

#[expect(clippy::cast_precision_loss, reason = "bytes of a small process")]
fn bytes(number: Option<u64>) -> f64 {
    number.unwrap_or_default() as f64 / MEGABYTE
}

pub(super) async fn until<T>(
    what: &str,
    mut look: impl AsyncFnMut() -> Result<Option<T>, FleetError>,
) -> Result<T, FleetError> {
    let waited = timeout(PATIENCE, async {
        loop {
            if let Some(found) = look().await? {
                return Ok(found);
            }
            sleep(Duration::from_millis(50)).await;
        }
    });
    waited.await.unwrap_or_else(|_| Err(FleetError::Unusable(format!("{what} did not come in time"))))
}

/// `muster-agent inventory`, which takes it once: CPU time and the most memory.
async fn inventory(scratch: &Path) -> Result<Vec<Figure>, FleetError> {
    let mut used = Vec::new();
    let mut peak: f64 = 0.0;
    for _ in 0..3 {
        let before = cpu::children_of_this_process();
        let mut child = Command::new(program("muster-agent")?)
            .arg("--state")
            .arg(scratch.join("once"))
            .arg("inventory")
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .kill_on_drop(true)
            .spawn()
            .map_err(FleetError::io("muster-agent inventory"))?;
        let pid = child.id().unwrap_or_default();
        loop {
            peak = peak.max(bytes(memory::status_of(pid, "muster-agent", "VmHWM")));
            let ended = timeout(Duration::from_millis(2), child.wait()).await;
            let Ok(ended) = ended else { continue };
            let status = ended.map_err(FleetError::io("muster-agent inventory"))?;
            if !status.success() {
                return Err(FleetError::Unusable(format!("muster-agent inventory ended with {status}")));
            }
            break;
        }
        used.push(cpu::children_of_this_process().saturating_sub(before).as_secs_f64());
    }
    used.sort_by(f64::total_cmp);
    say(&format!("  one inventory: {used:.2?} s of CPU, at most {peak:.1} MB"));
    Ok(vec![
        Figure::new(12, "agent: one inventory of this machine, CPU", "CPU-seconds", 0.15)
            .lower()
            .ours(used[1])
            .note("the whole process, start and printing included, median of 3, in ticks of 10 ms"),
        Figure::new(12, "agent: one inventory of this machine, memory", "MB", 30.0).lower().ours(peak),
    ])
}

/// Enrols and approves this machine's agent, and starts it.
pub(super) async fn start(client: &Client, scratch: &Path) -> Result<Agent, FleetError> {
    let (state, token) = (scratch.join("agent"), scratch.join("agent.token"));
    let name = "agent".parse().map_err(|error: muster_model::id::IdError| FleetError::Unusable(error.to_string()))?;
    let created = client.token_create(&TokenCreate { name, valid_seconds: 600, serial: None }).await?;
    write_private(&token, &created.token)?;
    let enrolled = agent(&state)?
        .arg("enrol")
        .arg("--token")
        .arg(&token)
        .output()
        .await
        .map_err(FleetError::io("muster-agent enrol"))?;
    if !enrolled.status.success() {
        return Err(FleetError::Unusable(String::from_utf8_lossy(&enrolled.stderr).into_owned()));
    }
    let request: Enrolment = until("the agent's request", async || {
        let page = client.enrolment_list(Some(EnrolmentState::Pending), &PageQuery::default()).await?;
        Ok(page.items.into_iter().next())
    })
    .await?;
    client.enrolment_approve(request.id).await?;
    let log = scratch.join("agent.log");
    let file = fs::File::create(&log).map_err(|error| FleetError::file(&log, error))?;
    let child = agent(&state)?.arg("run").stderr(file).spawn().map_err(FleetError::io("muster-agent run"))?;
    let pid = child.id().unwrap_or_default();
    let device = until("the agent", async || {
        let query = DeviceQuery { search: request.claims.host_name.clone(), limit: 10, ..DeviceQuery::default() };
        let page = client.device_list(&query).await?;
        Ok(page.items.into_iter().find(|device| device.online).map(|device| device.id))
    })
    .await?;
    Ok(Agent { child, pid, device })
}

fn agent(state: &Path) -> Result<Command, FleetError> {
    let mut command = Command::new(program("muster-agent")?);
    command.arg("--state").arg(state).args(["--log", "warn"]);
    command.stdin(Stdio::null()).stdout(Stdio::null()).kill_on_drop(true);
    Ok(command)
}

fn write_private(path: &Path, text: &str) -> Result<(), FleetError> {
    use std::io::Write;
    let failed = |error| FleetError::file(path, error);
    let file = fs::OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(path);
    file.and_then(|mut file| file.write_all(text.as_bytes())).map_err(failed)
}

/// Deploys an application that makes a file, and takes the time until the file is there.
async fn deploy(
    profile: &ProfileDir,
    client: &Client,
    agent: &Agent,
    scratch: &Path,
    number: u128,
) -> Result<Duration, FleetError> {
    let made: PathBuf = scratch.join(format!("made-{number}"));
    let path = made.display().to_string();
    let text = |error: muster_model::id::IdError| FleetError::Unusable(error.to_string());
    let application = Application {
        id: ApplicationId(uuid::Uuid::from_u128(number + 1)),
        name: format!("Touch {number}").parse().map_err(text)?,
        version: "1".to_owned(),
        platform: Platform::Linux,
        content: Vec::new(),
        install: Install {
            program: "/usr/bin/touch".to_owned(),
            arguments: vec![path.clone()],
            success_codes: vec![0],
        },
        detection: Detection::File { path, hash: None },
        secrets: Vec::new(),
        collector: None,
        uninstall: None,
        repair: None,
        requirements: Vec::new(),
        return_codes: Vec::new(),
        retries: None,
        dependencies: Vec::new(),
        supersedes: Vec::new(),
        type_name: None,
        types: Vec::new(),
        parameters: Vec::new(),
        max_run_seconds: 60,
    };
    let added = client.application_create(author::sign(&application, &profile.author_key()?)?).await?;
    let request = DeploymentCreate {
        name: None,
        application: added.hash,
        target: Target::Device { device: agent.device },
        available: None,
        deadline: None,
        high_impact: false,
        outside_windows: false,
        volatile: false,
        software_update: false,
        options: muster_model::program::DeploymentOptions::default(),
        deferral: None,
        action: muster_model::policy::Action::Install,
        purpose: muster_model::policy::Purpose::Required,
    };
    let (since, at) = (Instant::now(), clock::now());
    client.deployment_create(&request).await?;
    // When the file was made is what counts, not when it was seen.
    let when = until("the deployment", async || {
        let made = fs::metadata(&made).and_then(|data| data.modified()).ok();
        Ok(made.and_then(|time| time.duration_since(UNIX_EPOCH).ok()))
    })
    .await?;
    let asked = Duration::from_millis(u64::try_from(at.0).unwrap_or_default());
    Ok(when.saturating_sub(asked).min(since.elapsed()))
}
