//! `muster deployment`: which devices shall have which application, and how far they are.

use super::{
    Context, Part,
    ask::confirm,
    deployment_approve::{Approve, approval_of, deployment_approval_withdraw, deployment_approve},
    deployment_control::{self, Control, Phases},
    deployment_options::{self, Options},
    find,
};
use crate::{CliError, Client, output, watch, when};
use clap::{Args, Subcommand};
use indicatif::{ProgressBar, ProgressStyle};
use muster_model::{
    api::{
        Deployment, DeploymentCreate, DeploymentPreview, DeviceDeployment, Forecast, PageQuery, PhasedDeploymentCreate,
        Target,
    },
    id::{DeploymentId, Name},
    policy::{Action, Deferral, Purpose},
    status::DeploymentState,
    time::{MINUTE, UnixMillis},
    window::WallTime,
};
use std::{cell::RefCell, time::Duration};

#[derive(Debug, Subcommand)]
pub(super) enum Verb {
    /// Deploy an application; shows who gets it, and asks
    Create(CreateInPhases),
    /// Show what `create` would do
    Preview(Create),
    /// List deployments, the newest first
    List(Part),
    /// Show a deployment and its devices
    Show {
        /// Id or name
        deployment: String,
        /// Only devices in this state: targeted, waiting, downloading, installing, succeeded, failed, requirements_not_met
        #[arg(long, value_parser = parse_state)]
        state: Option<DeploymentState>,
        #[command(flatten)]
        part: Part,
    },
    /// Watch a deployment until every device has succeeded or failed, or it is not for it; exit code 7 when one failed
    Watch {
        /// Id or name
        deployment: String,
        /// Stop after this time, with exit code 7
        #[arg(long, value_parser = when::parse_length, value_name = "LENGTH")]
        timeout: Option<i64>,
    },
    /// Approve a deployment with a second key: shows what it would run where, asks, and signs on this machine
    Approve(Approve),
    /// Take the approval of a deployment back
    WithdrawApproval {
        /// Id or name
        deployment: String,
    },
    /// Delete a deployment: clients no longer get it; what is installed stays
    Delete {
        /// Id or name
        deployment: String,
    },
    #[command(flatten)]
    Control(Control),
}

#[derive(Debug, Args)]
pub(super) struct CreateInPhases {
    #[command(flatten)]
    create: Create,
    #[command(flatten)]
    phases: Phases,
}

#[derive(Debug, Args)]
pub(super) struct Create {
    /// Hash, the beginning of it, the name, or name and version
    application: String,
    #[command(flatten)]
    target: To,
    /// What is done: install or uninstall
    #[arg(long, value_parser = parse_action, default_value = "install")]
    action: Action,
    /// Who begins: required, the client by itself; available, a user of the device, or nobody
    #[arg(long, value_parser = parse_purpose, default_value = "required")]
    purpose: Purpose,
    /// Name of the deployment [default: name and version of the application]
    #[arg(long)]
    name: Option<Name>,
    /// Not before: now, +2h, 2026-12-01T10:00
    #[arg(long, value_parser = when::parse_moment, value_name = "MOMENT")]
    available: Option<when::Moment>,
    /// When clients start by themselves: now, +2h, 2026-12-01T10:00 [default: now]
    #[arg(long, value_parser = when::parse_moment, value_name = "MOMENT")]
    deadline: Option<when::Moment>,
    /// Refuse collections that devices can join by what they say of themselves
    #[arg(long)]
    high_impact: bool,
    /// Do not wait for maintenance windows: start at the deadline, whatever the time
    #[arg(long)]
    outside_windows: bool,
    /// Where a write filter protects a device: install into the overlay, to be gone after the next restart, and open nothing
    #[arg(long)]
    no_commit: bool,
    /// It is a software update: keep to the windows for updates, where a device has any
    #[arg(long, conflicts_with = "outside_windows")]
    software_update: bool,
    #[command(flatten)]
    options: Options,
    /// Users of a device may put it off so often
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..=100))]
    defer_times: Option<u32>,
    /// For how long at a time: 90m, 4h
    #[arg(long, value_name = "LENGTH", value_parser = when::parse_length, default_value = "4h", requires = "defer_times")]
    defer_for: i64,
    /// How long after the deadline it begins at the latest: 12h, 2d
    #[arg(long, value_name = "LENGTH", value_parser = when::parse_length, default_value = "2d", requires = "defer_times")]
    defer_grace: i64,
}

/// A length in whole minutes.
fn minutes(length: i64) -> u32 {
    u32::try_from(length / MINUTE).unwrap_or(u32::MAX)
}

#[derive(Debug, Args)]
#[group(required = true, multiple = false)]
struct To {
    /// To every active device
    #[arg(long)]
    all_systems: bool,
    /// To one device: id or host name
    #[arg(long, value_name = "DEVICE")]
    device: Option<String>,
    /// To the members of a collection, id or name: to those who come later too
    #[arg(long, value_name = "COLLECTION")]
    collection: Option<String>,
}

fn parse_state(text: &str) -> Result<DeploymentState, String> {
    DeploymentState::ALL.iter().copied().find(|state| state.as_str() == text).ok_or_else(|| {
        let known: Vec<_> = DeploymentState::ALL.iter().map(|state| state.as_str()).collect();
        format!("{text:?} is not one of {}", known.join(", "))
    })
}

fn parse_action(text: &str) -> Result<Action, String> {
    let known = Action::ALL.iter().copied().find(|action| action.as_str() == text);
    known.ok_or_else(|| format!("{text:?} is not one of install, uninstall"))
}

fn parse_purpose(text: &str) -> Result<Purpose, String> {
    let known = Purpose::ALL.iter().copied().find(|purpose| purpose.as_str() == text);
    known.ok_or_else(|| format!("{text:?} is not one of required, available"))
}

impl Create {
    async fn request(self, client: &Client, now: UnixMillis) -> Result<DeploymentCreate, CliError> {
        let found = find::application(client, &self.application).await?;
        let application = found.hash;
        let target = match (self.target.device, self.target.collection) {
            (Some(word), _) => Target::Device { device: find::device(client, &word).await? },
            (None, Some(word)) => Target::Collection { collection: find::collection(client, &word).await? },
            (None, None) => Target::AllSystems,
        };
        let at = |moment: Option<when::Moment>| match moment {
            None | Some(when::Moment::After(0)) => None,
            Some(moment) => Some(moment.at(now)),
        };
        let (available, deadline) = (at(self.available), at(self.deadline));
        let from = deadline.or(available).unwrap_or(now);
        Ok(DeploymentCreate {
            name: self.name,
            application,
            target,
            action: self.action,
            purpose: self.purpose,
            available,
            deadline,
            high_impact: self.high_impact,
            outside_windows: self.outside_windows,
            volatile: self.no_commit,
            software_update: self.software_update,
            options: self.options.request(&found.application, from)?,
            deferral: self.defer_times.map(|times| Deferral {
                times,
                minutes: minutes(self.defer_for),
                grace_minutes: minutes(self.defer_grace),
            }),
        })
    }
}

impl Verb {
    pub(super) async fn run(self, ctx: &Context) -> Result<(), CliError> {
        match self {
            Self::Create(CreateInPhases { create, phases }) => {
                let client = ctx.client().await?;
                let request = create.request(&client, ctx.now).await?;
                let phases = phases.wanted(&client).await?;
                if !ctx.yes {
                    let mut about = previewed(&client.deployment_preview(&request).await?);
                    if !phases.is_empty() {
                        about.push_str(&format!("In {} phases, one after the other.\n", phases.len()));
                    }
                    confirm(ctx, &about)?;
                }
                let made = match phases.is_empty() {
                    true => client.deployment_create(&request).await?,
                    false => {
                        let request = PhasedDeploymentCreate { deployment: request, phases };
                        client.deployment_create_phased(&request).await?
                    }
                };
                ctx.out.value(&made, |d| {
                    format!("{} is deployed: {}\nNext: muster deployment watch {}", d.name, d.id, d.id)
                })
            }
            Self::Preview(create) => {
                let client = ctx.client().await?;
                let request = create.request(&client, ctx.now).await?;
                ctx.out.value(&client.deployment_preview(&request).await?, previewed)
            }
            Self::List(part) => deployment_list(ctx, part).await,
            Self::Show { deployment, state, part } => deployment_show(ctx, &deployment, state, part).await,
            Self::Watch { deployment, timeout } => {
                let client = ctx.client().await?;
                let id = find::deployment(&client, &deployment).await?;
                deployment_watch(ctx, &client, id, timeout).await
            }
            Self::Control(control) => control.run(ctx).await,
            Self::Approve(approve) => deployment_approve(ctx, approve).await,
            Self::WithdrawApproval { deployment } => deployment_approval_withdraw(ctx, &deployment).await,
            Self::Delete { deployment } => {
                let client = ctx.client().await?;
                let id = find::deployment(&client, &deployment).await?;
                let seen = client.deployment_show(id).await?.value;
                confirm(
                    ctx,
                    &format!(
                        "{} ({id}): {}.\nClients no longer get it; what is installed stays.",
                        seen.name,
                        counted(&seen)
                    ),
                )?;
                ctx.out.value(&client.deployment_delete(id).await?, |d| format!("{} is deleted.", d.name))
            }
        }
    }
}

fn previewed(preview: &DeploymentPreview) -> String {
    let examples: Vec<_> = preview.examples.iter().map(|name| output::clean(name)).collect();
    let more = if preview.devices > examples.len() as u64 { ", …" } else { "" };
    let mut text = format!("{} devices get it", preview.devices);
    if !examples.is_empty() {
        text.push_str(&format!(": {}{more}", examples.join(", ")));
    }
    text.push_str(&format!(". Each fetches {}.\n", output::bytes(preview.content_size)));
    text.push_str(&foreseen(&preview.forecast));
    for one in &preview.types {
        let asks = if one.requirements.is_empty() {
            String::new()
        } else {
            format!(", where {}", one.requirements.join(", "))
        };
        text.push_str(&output::clean(&format!(
            "Deployment type {}: {}, fetches {}{asks}.",
            one.name,
            format!("{:?}", one.platform).to_lowercase(),
            output::bytes(one.content_size)
        )));
        text.push('\n');
    }
    for warning in &preview.warnings {
        text.push_str(&format!("! {}\n", output::clean(warning)));
    }
    text.push_str(&deployment_control::contradicted(&preview.rivals));
    text
}

/// When devices can begin, where windows hold any of them back.
fn foreseen(forecast: &Forecast) -> String {
    let mut text = String::new();
    if !forecast.is_held() {
        return text;
    }
    if forecast.free > 0 {
        text.push_str(&format!("{} have no maintenance window and start at the deadline.\n", forecast.free));
    }
    for group in &forecast.groups {
        let when = match group.own_clock {
            false => when::full(group.starts),
            true => format!("{} by their own clocks", WallTime::of_utc(group.starts)),
        };
        let names: Vec<_> = group.examples.iter().map(|name| output::clean(name)).collect();
        let more = if group.devices > names.len() as u64 { ", …" } else { "" };
        text.push_str(&format!("{} can start at {when}: {}{more}\n", group.devices, names.join(", ")));
    }
    if forecast.later > 0 {
        text.push_str(&format!("{} can start later.\n", forecast.later));
    }
    if forecast.never > 0 {
        let names: Vec<_> = forecast.never_devices.iter().map(|device| output::clean(&device.name)).collect();
        let more = if forecast.never > names.len() as u64 { ", …" } else { "" };
        text.push_str(&format!("{} can never start: {}{more}\n", forecast.never, names.join(", ")));
    }
    text
}

/// Devices by state, in the order a deployment goes through them.
fn counted(deployment: &Deployment) -> String {
    let count = |state: &DeploymentState| deployment.totals.get(state.as_str()).copied().filter(|n| *n > 0);
    let known: Vec<_> =
        DeploymentState::ALL.iter().filter_map(|s| Some(format!("{} {}", count(s)?, s.as_str()))).collect();
    if known.is_empty() { "no devices".to_owned() } else { known.join(", ") }
}

async fn deployment_list(ctx: &Context, part: Part) -> Result<(), CliError> {
    let page = ctx.client().await?.deployment_list(&part.query()).await?;
    ctx.out.value(&page, |page| {
        let rows = page.items.iter().map(|d| {
            [
                d.id.to_string(),
                d.name.to_string(),
                match d.target {
                    Target::AllSystems => "all systems".to_owned(),
                    Target::Device { .. } => "one device".to_owned(),
                    Target::Collection { collection } => format!("collection {collection}"),
                },
                match (d.action, d.purpose) {
                    (Action::Uninstall, _) => "uninstall".to_owned(),
                    (Action::Install, purpose) => purpose.as_str().to_owned(),
                },
                if d.deleted { "deleted".to_owned() } else { counted(d) },
                when::human(ctx.now, d.deadline),
                d.created_by.to_string(),
            ]
        });
        let table = output::table(["ID", "NAME", "TARGET", "DOES", "DEVICES", "DEADLINE", "MADE BY"], rows);
        output::listed(&table, page.items.len(), page.total, page.offset, "No deployments.")
    })
}

async fn deployment_show(
    ctx: &Context,
    word: &str,
    state: Option<DeploymentState>,
    part: Part,
) -> Result<(), CliError> {
    let client = ctx.client().await?;
    let id = find::deployment(&client, word).await?;
    let deployment = client.deployment_show(id).await?.value;
    let devices = client.deployment_devices(id, state, &part.query()).await?;
    let forecast = client.deployment_forecast(id).await?;
    let standing = client.deployment_standing(id).await?;
    let rivals = client.deployment_rivals(id).await?;
    let order = client.deployment_order(id).await?;
    let both = serde_json::json!({
        "deployment": deployment, "devices": devices, "forecast": forecast, "standing": standing, "rivals": rivals,
        "approval": order,
    });
    ctx.out.value(&both, |_| {
        let mut text = output::pairs([
            ("Deployment", format!("{} ({})", deployment.name, deployment.id)),
            ("Application", format!("{} {}", deployment.application_name, deployment.application_version)),
            ("Signed object", deployment.application.to_string()),
            ("Available", when::both(ctx.now, deployment.available)),
            ("Deadline", when::both(ctx.now, deployment.deadline)),
            ("Does", does(&deployment)),
            ("Windows", windows(&deployment).to_owned()),
            ("Users", deployment.deferral.map_or_else(|| "may not put it off".to_owned(), Deferral::sentence)),
            ("Write filters", filters(&deployment).to_owned()),
            ("Made by", format!("{}, {}", deployment.created_by, when::human(ctx.now, deployment.created))),
            ("Devices", if deployment.deleted { "deleted".to_owned() } else { counted(&deployment) }),
        ]);
        text.push_str(&output::pairs(deployment_options::described(&deployment.options)));
        text.push_str(&deployment_control::standing(ctx.now, &standing, &rivals));
        if let Some(approval) = approval_of(&order, ctx.now) {
            text.push_str(&output::pairs([("Approval", approval)]));
        }
        text.push_str(&foreseen(&forecast));
        let rows = devices.items.iter().map(|d| {
            [
                d.device_name.clone(),
                d.state.as_str().to_owned(),
                reason(ctx.now, d),
                d.exit_code.map(|c| c.to_string()).unwrap_or_default(),
                when::human(ctx.now, d.changed),
                d.output.lines().last().unwrap_or_default().to_owned(),
            ]
        });
        let table = output::table(["DEVICE", "STATE", "REASON", "EXIT", "CHANGED", "LAST LINE OF OUTPUT"], rows);
        text.push('\n');
        text.push_str(&output::listed(&table, devices.items.len(), devices.total, devices.offset, "No devices."));
        text
    })
}

/// What it does, and who begins.
fn does(deployment: &Deployment) -> String {
    let along: Vec<_> = deployment
        .related
        .iter()
        .map(|one| format!("{} {} ({})", one.name, one.version, one.relation.as_str()))
        .collect();
    let along = if along.is_empty() { String::new() } else { format!(", with {}", along.join(", ")) };
    format!("{}, {}{along}", deployment.action.as_str(), deployment.purpose.as_str())
}

/// How it keeps to maintenance windows.
const fn windows(deployment: &Deployment) -> &'static str {
    match (deployment.outside_windows, deployment.software_update) {
        (true, _) => "not waited for",
        (false, true) => "those for updates, where a device has any",
        (false, false) => "kept",
    }
}

/// What it does where a write filter protects a device.
const fn filters(deployment: &Deployment) -> &'static str {
    if deployment.volatile || !deployment.purpose.is_required() {
        "into the overlay, gone after the next restart"
    } else {
        "serviced, where the client settings allow it"
    }
}

/// Why it failed, or what it waits for and until when.
fn reason(now: UnixMillis, d: &DeviceDeployment) -> String {
    let waits = || {
        let starts = d.starts.map(|starts| format!(", starts {}", when::human(now, starts))).unwrap_or_default();
        let often = if d.deferred > 0 { format!(", put off {} time(s)", d.deferred) } else { String::new() };
        d.waits.map(|waits| format!("{}{often}{starts}", waits.as_str()))
    };
    let restart = || d.restart.then(|| "needs a restart".to_owned());
    let restart = || restart().or_else(|| d.deployment_type.as_ref().map(|name| format!("as {name}")));
    d.reason.map(|reason| reason.as_str().to_owned()).or_else(waits).or_else(restart).unwrap_or_default()
}

/// What a look at a deployment finds.
struct Progress {
    deployment: Deployment,
    total: u64,
    succeeded: u64,
    failed: u64,
    /// Devices that it is not for.
    not_for: u64,
}

impl Progress {
    fn of(deployment: Deployment) -> Self {
        let count = |state: DeploymentState| deployment.totals.get(state.as_str()).copied().unwrap_or(0);
        let (succeeded, failed) = (count(DeploymentState::Succeeded), count(DeploymentState::Failed));
        let not_for = count(DeploymentState::RequirementsNotMet);
        Self { total: deployment.totals.values().sum(), succeeded, failed, not_for, deployment }
    }

    fn is_over(&self) -> bool {
        self.deployment.deleted || (self.total > 0 && self.succeeded + self.failed + self.not_for == self.total)
    }
}

async fn deployment_watch(
    ctx: &Context,
    client: &Client,
    id: DeploymentId,
    timeout: Option<i64>,
) -> Result<(), CliError> {
    let style = ProgressStyle::with_template("{prefix} {wide_bar} {pos}/{len} {msg} {elapsed}");
    let bar = ProgressBar::new(0);
    if let Ok(style) = style {
        bar.set_style(style);
    }
    let last = RefCell::new(String::new());
    let look = || async {
        let progress = Progress::of(client.deployment_show(id).await?.value);
        let counts = counted(&progress.deployment);
        bar.set_prefix(progress.deployment.name.to_string());
        bar.set_length(progress.total);
        bar.set_position(progress.succeeded + progress.failed + progress.not_for);
        bar.set_message(counts.clone());
        if last.replace(counts.clone()) != counts {
            if ctx.out.json {
                ctx.out.json_line(&progress.deployment)?;
            } else if bar.is_hidden() {
                ctx.out.line(&format!("{}: {counts}", progress.deployment.name))?;
            }
        }
        Ok(progress.is_over().then_some(progress))
    };
    let patience = timeout.and_then(|millis| u64::try_from(millis).ok()).map(Duration::from_millis);
    let done = watch::until(client, patience, "the end of the deployment", look).await?;
    bar.finish_and_clear();
    if done.failed > 0 {
        let failed =
            client.deployment_devices(id, Some(DeploymentState::Failed), &PageQuery { offset: 0, limit: 10 }).await?;
        let named: Vec<_> = failed
            .items
            .iter()
            .map(|d| format!("{} ({})", output::clean(&d.device_name), d.reason.map_or("no reason", |r| r.as_str())))
            .collect();
        return Err(CliError::Found(format!(
            "{} of {} devices failed: {}; `muster deployment show {id} --state failed` has their output",
            done.failed,
            done.total,
            named.join(", ")
        )));
    }
    if done.deployment.deleted {
        return Err(CliError::Found("the deployment was deleted".to_owned()));
    }
    if !ctx.out.json && !bar.is_hidden() {
        ctx.out.line(&format!("{}: {}", done.deployment.name, counted(&done.deployment)))?;
    }
    Ok(())
}

#[cfg(test)]
mod tests;
