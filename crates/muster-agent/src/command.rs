//! The commands of `muster-agent`, other than `run`: each does one thing and prints what it did.

use crate::{
    clock::{Clock, Floored, shown},
    collect::Collector,
    enrol::{self, EnrolError, Enrolment, Progress},
    enterprise,
    identity::{self, Identity, IdentityError, Stage},
    locate::{
        self, Service,
        assign::{self, AssignError},
    },
    os::{DirectoryError, PrivateDirectory, is_root},
    policy::{self, Policy},
    reset, run, site,
    store::{self, Store, StoreError, deployments, outbox},
};
use muster_model::{enrol::EnrolmentToken, policy::Recipient, time::UnixMillis};
use serde::Serialize;
use std::{
    io::{self, Read, Write},
    path::{Path, PathBuf},
    sync::Arc,
    time::Duration,
};

/// Bytes of a token's file.
const TOKEN_BYTES: u64 = 4 << 10;

/// Why a command failed. Each sentence says what to do.
#[derive(Debug, thiserror::Error)]
pub enum CommandError {
    /// The start failed.
    #[error(transparent)]
    Start(#[from] crate::agent::StartError),
    /// Enrolment failed.
    #[error(transparent)]
    Enrol(#[from] EnrolError),
    /// The identity on disk.
    #[error(transparent)]
    Identity(#[from] IdentityError),
    /// The state directory.
    #[error(transparent)]
    Directory(#[from] DirectoryError),
    /// The database.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The token's file.
    #[error("the token cannot be read from {path}: {error}")]
    TokenFile {
        /// Which file.
        path: PathBuf,
        /// The system's reason.
        error: io::Error,
    },
    /// The token itself stands in the argument list.
    #[error(
        "--token takes the name of a file, or - for standard input: a token in the argument list is seen by every user of this machine. Make a new one, this one is no longer secret"
    )]
    TokenInArguments,
    /// What is in the file is no token.
    #[error(transparent)]
    Token(#[from] muster_model::enrol::TokenTextError),
    /// There is no state directory.
    #[error("{0} is not there; this client was never enrolled")]
    NoState(PathBuf),
    /// The machine could not be prepared.
    #[error(transparent)]
    Image(#[from] crate::image::ImageError),
    /// What is kept of the site.
    #[error(transparent)]
    Site(#[from] site::SiteError),
    /// No site was found.
    #[error(transparent)]
    Assign(#[from] AssignError),
    /// Nothing was reset.
    #[error(transparent)]
    Reset(#[from] reset::ResetError),
    /// The output.
    #[error("the output cannot be written: {0}")]
    Output(io::Error),
}

fn read_token(path: &Path) -> Result<EnrolmentToken, CommandError> {
    let failed = |error| CommandError::TokenFile { path: path.to_owned(), error };
    if path.to_string_lossy().starts_with("muster1.") {
        return Err(CommandError::TokenInArguments);
    }
    let mut text = zeroize::Zeroizing::new(String::new());
    match path == Path::new("-") {
        true => io::stdin().take(TOKEN_BYTES).read_to_string(&mut text).map_err(failed)?,
        false => {
            std::fs::File::open(path).map_err(failed)?.take(TOKEN_BYTES).read_to_string(&mut text).map_err(failed)?
        }
    };
    Ok(text.parse()?)
}

/// How a client enrols.
#[derive(Debug)]
pub struct How {
    /// File with the token.
    pub token: PathBuf,
    /// Forget the site before.
    pub again: bool,
    /// Wait for the decision.
    pub wait: bool,
    /// Where the certificates of the enterprise lie.
    pub enterprise: Option<PathBuf>,
}

/// `enrol`: keeps the token's pin, asks the site, and says what comes next. With `wait` until the site has decided.
///
/// # Errors
/// See [`CommandError`].
pub async fn enrol(state: &Path, how: &How, clock: &Clock) -> Result<(), CommandError> {
    let (token, wait) = (read_token(&how.token)?, how.wait);
    let held = run::hold(state)?;
    enrol::accept_token(&held.directory, &token, how.again)?;
    let enterprise = how.enterprise.as_ref().map(std::path::absolute).transpose().map_err(CommandError::Output)?;
    enterprise::remember(&held.directory, enterprise.as_deref())?;
    let identity = Identity::load(&held.directory)?.ok_or(crate::agent::StartError::NotPinned)?;
    let mut enrolment = Enrolment::new(&held.directory, clock, identity)?;
    let key = enrolment.key_id();
    loop {
        match enrolment.step().await {
            Ok(Progress::Active(device)) => {
                return say(&format!("This client is active at site {} as device {device}.", token.site));
            }
            Ok(Progress::Pending { enrolment, retry_after }) if wait => {
                tracing::info!(%enrolment, "waiting for an administrator to approve this client");
                tokio::time::sleep(retry_after).await;
            }
            Ok(Progress::Pending { enrolment, .. }) => {
                return say(&format!(
                    "Site {} has the request {enrolment}; an administrator must approve it, and compare the key:\n{key}\nNow run: muster-agent run --state {}",
                    token.site,
                    state.display()
                ));
            }
            Err(error) if wait && error.is_passing() => {
                tracing::warn!(%error, "enrolment does not go on; it is tried again");
                tokio::time::sleep(Duration::from_secs(5)).await;
            }
            Err(error) => return Err(error.into()),
        }
    }
}

pub(crate) fn say(text: &str) -> Result<(), CommandError> {
    writeln!(io::stdout(), "{text}").map_err(CommandError::Output)
}

pub(crate) fn say_json(value: &impl Serialize) -> Result<(), CommandError> {
    let text = serde_json::to_string_pretty(value).map_err(|error| CommandError::Output(io::Error::other(error)))?;
    say(&text)
}

/// What `status` shows.
#[derive(Debug, Serialize)]
struct Status {
    version: &'static str,
    state: &'static str,
    site: Option<String>,
    device: Option<String>,
    enrolment: Option<String>,
    key: Option<String>,
    key_place: Option<&'static str>,
    running: bool,
    certificate_expires: Option<i64>,
    enterprise: Option<crate::enterprise::EnterpriseUse>,
    management_points: Vec<String>,
    policy_version: Option<u64>,
    messages_waiting: u64,
    bytes_waiting: u64,
    deployments: Vec<DeploymentStatus>,
}

#[derive(Debug, Serialize)]
struct DeploymentStatus {
    deployment: String,
    state: &'static str,
    reason: Option<&'static str>,
    changed: i64,
}

/// `status`: what this client is and what it is doing.
///
/// # Errors
/// See [`CommandError`].
pub fn status(state: &Path, json: bool, clock: &Clock) -> Result<(), CommandError> {
    let status = look(state, clock)?;
    if json {
        return say_json(&status);
    }
    let none = || "-".to_owned();
    let mut lines = vec![
        format!("Agent            {} ({})", status.version, if status.running { "running" } else { "not running" }),
        format!("Enrolment        {}", status.state),
        format!("Site             {}", status.site.unwrap_or_else(none)),
        format!("Device           {}", status.device.or(status.enrolment).unwrap_or_else(none)),
        format!("Key              {}", status.key.unwrap_or_else(none)),
        format!("Key is kept      {}", status.key_place.unwrap_or("-")),
        format!("Management point {}", status.management_points.join(" ")),
        format!(
            "Certificate      {}",
            status.certificate_expires.map_or_else(none, |at| format!("until {}", shown(UnixMillis(at))))
        ),
        format!("Policy           {}", status.policy_version.map_or_else(none, |v| format!("version {v}"))),
        format!("Outbox           {} messages, {} bytes", status.messages_waiting, status.bytes_waiting),
    ];
    for deployment in status.deployments {
        let reason = deployment.reason.map(|reason| format!(" ({reason})")).unwrap_or_default();
        lines.push(format!("Deployment       {} {}{reason}", deployment.deployment, deployment.state));
    }
    say(&lines.join("\n"))
}

pub(crate) fn open_existing(state: &Path) -> Result<PrivateDirectory, CommandError> {
    if !state.exists() {
        return Err(CommandError::NoState(state.to_owned()));
    }
    Ok(PrivateDirectory::open(state)?)
}

fn look(state: &Path, clock: &Clock) -> Result<Status, CommandError> {
    let directory = open_existing(state)?;
    let identity = Identity::load(&directory)?;
    let policy = load_policy(&directory, clock)?;
    let running = matches!(directory.lock("lock"), Ok(None));
    let (size, deployments) = match Store::look(&directory)? {
        Some(connection) => (outbox::measure(&connection)?, deployments::all(&connection)?),
        None => Default::default(),
    };
    let certificates = identity.as_ref().map(Identity::certificates).transpose()?.unwrap_or_default();
    let certificate = certificates.first().and_then(|c| muster_trust::certificate::client_identity(c).ok());
    let key = identity::public_key(&directory)?;
    let (mut device, mut enrolment, mut management_points) = (None, None, Vec::new());
    let name = match identity.as_ref().map(|identity| &identity.stage) {
        None => "not enrolled",
        Some(Stage::Assigned) => "assigned",
        Some(Stage::Requesting { .. }) => "requesting",
        Some(Stage::Pending { enrolment: id }) => {
            enrolment = Some(id.to_string());
            "pending"
        }
        Some(Stage::Active { device: id, management_points: addresses, .. }) => {
            device = Some(id.to_string());
            management_points.clone_from(addresses);
            "active"
        }
    };
    Ok(Status {
        version: env!("CARGO_PKG_VERSION"),
        state: name,
        enterprise: identity.as_ref().and_then(|identity| identity.enterprise.clone()),
        site: identity.map(|identity| identity.site.to_string()),
        device,
        enrolment,
        key_place: key.as_ref().map(|(_, place)| *place),
        key: key.map(|(key, _)| key.id().to_string()),
        running,
        certificate_expires: certificate.map(|certificate| certificate.expires.0),
        management_points,
        policy_version: policy.map(|policy| policy.assignment().version),
        messages_waiting: size.messages,
        bytes_waiting: size.bytes,
        deployments: deployments.iter().map(deployment_status).collect(),
    })
}

fn deployment_status(progress: &store::deployments::Progress) -> DeploymentStatus {
    DeploymentStatus {
        deployment: progress.deployment.to_string(),
        state: progress.state.as_str(),
        reason: progress.reason.map(muster_model::status::FailureReason::as_str),
        changed: progress.changed.0,
    }
}

pub(crate) fn load_policy(directory: &PrivateDirectory, clock: &Clock) -> Result<Option<Policy>, CommandError> {
    let Some(identity) = Identity::load(directory)? else { return Ok(None) };
    let Stage::Active { device, .. } = identity.stage else { return Ok(None) };
    let Some(trust) = identity::load_trust(directory, &identity)? else { return Ok(None) };
    let policies = directory.directory("policy")?;
    Ok(policy::load(&policies, trust.bundle(), &identity, Recipient::Device(device), clock))
}

/// `inventory`: takes the inventory once and prints it.
///
/// # Errors
/// See [`CommandError`].
pub fn inventory(collector: &Collector, clock: &Clock) -> Result<(), CommandError> {
    #[derive(Serialize)]
    struct Inventory {
        classes: std::collections::BTreeMap<String, Vec<muster_model::inventory::Row>>,
        unread: Vec<muster_model::inventory::Unread>,
    }
    let collected = collector.collect(clock.now());
    say_json(&Inventory { classes: collected.classes, unread: collected.unread })
}

/// `prepare-image`: this machine stops being a client, so that an image of it carries nobody's identity.
///
/// # Errors
/// See [`CommandError`].
pub fn prepare_image(state: &Path, yes: bool, json: bool) -> Result<(), CommandError> {
    if !state.exists() {
        return Err(CommandError::NoState(state.to_owned()));
    }
    let prepared = crate::image::prepare(state, yes, Path::new("/etc/machine-id"))?;
    if json {
        return say_json(&prepared);
    }
    let key = prepared.key.map(|key| format!("\nThe key {key} is gone; retire its device at the site."));
    say(&format!(
        "Removed from {}: {}.\nNothing is left there.{}\n{}",
        state.display(),
        prepared.removed.join(", "),
        key.unwrap_or_default(),
        prepared.advice.join("\n")
    ))
}

/// `assign`: finds the site of the anchor by the configured sources.
///
/// # Errors
/// See [`CommandError`].
pub async fn assign(state: &Path, json: bool, clock: &Clock) -> Result<(), CommandError> {
    let held = run::hold(state)?;
    let config = identity::config(&held.directory)?;
    let identity = assign::assign(&held.directory, &config.location, config.anchor, clock).await?;
    if json {
        return say_json(&serde_json::json!({ "site": identity.site, "root": identity.root, "enrol": identity.enrol }));
    }
    say(&format!(
        "This client is assigned to site {}, whose root key is {}.\nNow run: muster-agent enrol --token FILE",
        identity.site, identity.root
    ))
}

/// `locate`: what the configured sources name now, and who of them proves to be a management point of the site. Nobody else
/// than them is asked, and nobody hears who asks.
///
/// # Errors
/// See [`CommandError`].
pub async fn locate(state: &Path, json: bool, clock: &Clock) -> Result<(), CommandError> {
    #[derive(Serialize)]
    struct Point {
        address: String,
        source: String,
        verdict: String,
    }
    let directory = open_existing(state)?;
    let identity = Identity::load(&directory)?.ok_or(AssignError::NoAnchor)?;
    let trust = identity::load_trust(&directory, &identity)?.ok_or(crate::agent::StartError::NoBundle)?;
    let config = identity::config(&directory)?.location;
    let servers = site::servers(&Floored::new(clock.clone()), &Arc::default(), &trust)?;
    let found = locate::hints(&config, Some(identity.site), Service::ManagementPoint, clock).await;
    let mut points = Vec::new();
    for hint in found.hints {
        let verdict = match site::prove(servers.clone(), &hint.address).await {
            Ok(()) => "it is a management point of the site".to_owned(),
            Err(error) => match locate::refusal(&error) {
                Some(refusal) => format!("REFUSED: {}", refusal.as_str()),
                None => error.to_string(),
            },
        };
        points.push(Point { address: hint.address.to_string(), source: hint.source.to_string(), verdict });
    }
    let errors: Vec<String> = found.errors.iter().map(ToString::to_string).collect();
    if json {
        return say_json(&serde_json::json!({ "points": points, "errors": errors }));
    }
    let lines = points.iter().map(|point| format!("{} ({}): {}", point.address, point.source, point.verdict));
    let lines: Vec<String> = lines.chain(errors.iter().map(|error| format!("- {error}"))).collect();
    if lines.is_empty() {
        return say("No source names a management point.");
    }
    say(&lines.join("\n"))
}

/// `trust reset`: this machine leaves its site.
///
/// # Errors
/// See [`CommandError`].
pub fn trust_reset(state: &Path, yes: bool, json: bool) -> Result<(), CommandError> {
    if !state.exists() {
        return Err(CommandError::NoState(state.to_owned()));
    }
    let plan = reset::reset(state, yes, is_root())?;
    if json {
        return say_json(&plan);
    }
    say(&format!("{plan}\nDone. This machine has no site now."))
}

/// `policy show`: the policy in force, verified once more.
///
/// # Errors
/// See [`CommandError`].
pub fn policy_show(state: &Path, clock: &Clock) -> Result<(), CommandError> {
    #[derive(Serialize)]
    struct Shown<'a> {
        assignment: &'a muster_model::policy::Assignment,
        settings: &'a muster_model::policy::ClientSettings,
        management_points: &'a [Vec<String>],
        windows: &'a [muster_model::window::MaintenanceWindow],
        deployments: Vec<ShownDeployment<'a>>,
    }
    #[derive(Serialize)]
    struct ShownDeployment<'a> {
        deployment: &'a muster_model::policy::DeploymentPolicy,
        application: Option<&'a muster_model::application::Application>,
    }
    let Some(policy) = load_policy(&open_existing(state)?, clock)? else {
        return say("There is no policy in force; it comes when the client is active and has reached its site.");
    };
    let deployments = policy.deployments().iter().map(|deployment| ShownDeployment {
        deployment: deployment.policy(),
        application: deployment.application().map(muster_trust::Verified::value),
    });
    let deployments = deployments.collect();
    let (assignment, settings, management_points) = (policy.assignment(), policy.settings(), policy.ranks());
    say_json(&Shown { assignment, settings, management_points, windows: policy.windows(), deployments })
}
