//! `muster deployment pause`, `resume`, `cancel`, `retry`, `phase` and `history`.

use super::{Context, Part, ask::confirm, find};
use crate::{CliError, Client, output, when};
use clap::{Args, Subcommand};
use muster_model::{
    api::{Deployment, DeploymentRetry, DeploymentRival, DeploymentStanding, Phase, PhaseReach, PhaseStanding, Reason},
    id::{DeploymentId, Name},
    time::UnixMillis,
};

#[derive(Debug, Subcommand)]
pub(super) enum Control {
    /// Pause a deployment: on no device it begins any more; what has begun goes on
    Pause {
        /// Id or name
        deployment: String,
        /// Why, for the audit log
        #[arg(long)]
        reason: String,
    },
    /// Let a paused deployment go on; failures so far do not stop its phases again
    Resume {
        /// Id or name
        deployment: String,
    },
    /// End a deployment for good; what is installed stays
    Cancel {
        /// Id or name
        deployment: String,
        /// Why, for the audit log
        #[arg(long)]
        reason: String,
    },
    /// Have it tried again where it failed: everywhere, on one device, or in one phase
    Retry {
        /// Id or name
        deployment: String,
        /// Only this device, id or host name; also where it did not meet a requirement
        #[arg(long, conflicts_with = "phase")]
        device: Option<String>,
        /// Only devices of this phase
        #[arg(long, value_name = "NUMBER")]
        phase: Option<u32>,
    },
    /// Begin the next phase now, whatever its criteria say
    Phase {
        /// Id or name
        deployment: String,
        /// The number of the next phase
        #[arg(long, value_name = "NUMBER")]
        begin: u32,
    },
    /// Show what happened on a device, step by step
    History {
        /// Id or name
        deployment: String,
        /// Id or host name
        #[arg(long)]
        device: String,
        #[command(flatten)]
        part: Part,
    },
}

/// Phases of a new deployment.
#[derive(Debug, Args)]
pub(super) struct Phases {
    /// Roll it out in phases, each with hundredths of its devices or a collection: 1%,10%,50% (the rest follows by itself)
    #[arg(long, value_delimiter = ',', value_name = "PERCENT|COLLECTION")]
    phases: Vec<String>,
    /// The next phase begins when so many hundredths of the devices of the one before succeeded
    #[arg(long, default_value_t = 95, requires = "phases", value_name = "PERCENT")]
    success: u8,
    /// And at least so many of them came to an end
    #[arg(long, default_value_t = 1, requires = "phases", value_name = "DEVICES")]
    at_least: u32,
    /// And so many hours have passed
    #[arg(long, default_value_t = 0, requires = "phases", value_name = "HOURS")]
    after_hours: u32,
    /// Pause it when more than so many hundredths of the devices of a phase failed
    #[arg(long, default_value_t = 10, requires = "phases", value_name = "PERCENT")]
    stop: u8,
    /// Each phase begins only when you say so
    #[arg(long, requires = "phases")]
    manual: bool,
}

impl Phases {
    /// The phases that are asked for; empty: none.
    pub(super) async fn wanted(self, client: &Client) -> Result<Vec<Phase>, CliError> {
        if self.phases.is_empty() {
            return Ok(Vec::new());
        }
        let mut reaches = Vec::new();
        for word in &self.phases {
            let percent = word.strip_suffix('%').and_then(|number| number.trim().parse().ok());
            reaches.push((
                word.trim().to_owned(),
                match percent {
                    Some(percent) => PhaseReach::Percent { percent },
                    None => PhaseReach::Collection { collection: find::collection(client, word.trim()).await? },
                },
            ));
        }
        reaches.push(("The rest".to_owned(), PhaseReach::Rest));
        let phase = |(name, reach): (String, PhaseReach)| {
            let name: Name = name.parse().map_err(|error| CliError::Usage(format!("{name:?}: {error}")))?;
            Ok(Phase {
                name,
                reach,
                success_percent: self.success,
                at_least: self.at_least,
                after_hours: self.after_hours,
                stop_percent: Some(self.stop),
                stop_count: None,
                manual: self.manual,
            })
        };
        reaches.into_iter().map(phase).collect()
    }
}

impl Control {
    pub(super) async fn run(self, ctx: &Context) -> Result<(), CliError> {
        let client = ctx.client().await?;
        match self {
            Self::Pause { deployment, reason } => {
                let (id, seen, standing) = found(&client, &deployment).await?;
                let about = format!(
                    "{} ({id}): on {} device(s) it did not begin, and will not. On {} it goes on.",
                    seen.name, standing.not_begun, standing.begun
                );
                confirm(ctx, &about)?;
                let now = client.deployment_pause(id, &Reason { reason }).await?;
                ctx.out.value(&now, |_| format!("{} is paused.\nNext: muster deployment resume {id}", seen.name))
            }
            Self::Resume { deployment } => {
                let (id, seen, standing) = found(&client, &deployment).await?;
                confirm(ctx, &format!("{} ({id}): it begins on {} device(s) again.", seen.name, standing.not_begun))?;
                let now = client.deployment_resume(id).await?;
                ctx.out.value(&now, |_| format!("{} goes on.", seen.name))
            }
            Self::Cancel { deployment, reason } => {
                let (id, seen, standing) = found(&client, &deployment).await?;
                let about = format!(
                    "{} ({id}) ends for good: on {} device(s) it never begins. Of {} on which it began only what is installing at this moment \
                     finishes; what waits for a restart or for another try does not go on. What is installed stays.",
                    seen.name, standing.not_begun, standing.begun
                );
                confirm(ctx, &about)?;
                let now = client.deployment_cancel(id, &Reason { reason }).await?;
                ctx.out.value(&now, |_| format!("{} is cancelled.", seen.name))
            }
            Self::Retry { deployment, device, phase } => {
                let (id, seen, standing) = found(&client, &deployment).await?;
                let device = match &device {
                    Some(word) => Some(find::device(&client, word).await?),
                    None => None,
                };
                if device.is_none() {
                    let of = phase.map(|phase| format!(", as far as they are in phase {phase}")).unwrap_or_default();
                    let about =
                        format!("{} ({id}): it is tried again on {} device(s){of}.", seen.name, standing.failed);
                    confirm(ctx, &about)?;
                }
                let done = client.deployment_retry(id, &DeploymentRetry { device, phase }).await?;
                ctx.out.value(&done, |done| format!("{} is tried again on {} device(s).", seen.name, done.devices))
            }
            Self::Phase { deployment, begin } => {
                let (id, seen, standing) = found(&client, &deployment).await?;
                let phase = standing.phases.iter().find(|phase| phase.number == begin);
                let devices: u64 = phase.map_or(0, |phase| phase.totals.values().sum());
                confirm(ctx, &format!("{} ({id}): phase {begin} begins on {devices} device(s) now.", seen.name))?;
                let now = client.deployment_phase_begin(id, begin).await?;
                ctx.out.value(&now, |_| format!("Phase {begin} of {} began.", seen.name))
            }
            Self::History { deployment, device, part } => history(ctx, &client, &deployment, &device, part).await,
        }
    }
}

async fn found(client: &Client, word: &str) -> Result<(DeploymentId, Deployment, DeploymentStanding), CliError> {
    let id = find::deployment(client, word).await?;
    let seen = client.deployment_show(id).await?.value;
    Ok((id, seen, client.deployment_standing(id).await?))
}

async fn history(ctx: &Context, client: &Client, deployment: &str, device: &str, part: Part) -> Result<(), CliError> {
    let id = find::deployment(client, deployment).await?;
    let device = find::device(client, device).await?;
    let page = client.deployment_history(id, device, &part.query()).await?;
    ctx.out.value(&page, |page| {
        let rows = page.items.iter().map(|event| {
            let why = event.reason.map(|reason| reason.as_str()).or(event.waits.map(|waits| waits.as_str()));
            [
                if event.act.is_some() { String::new() } else { when::full(event.happened) },
                when::full(event.received),
                event
                    .state
                    .map(|state| state.as_str())
                    .or(event.act.map(|act| act.words()))
                    .unwrap_or_default()
                    .to_owned(),
                match event.act {
                    Some(_) => format!("by {}", output::clean(event.by.as_deref().unwrap_or("the site"))),
                    None => why.unwrap_or_default().to_owned(),
                },
                event.exit_code.map(|code| code.to_string()).unwrap_or_default(),
                if event.attempt == 0 { String::new() } else { event.attempt.to_string() },
                event.output.lines().last().unwrap_or_default().to_owned(),
            ]
        });
        let head = ["BY ITS CLOCK", "HEARD", "STATE", "WHY", "EXIT", "ATTEMPT", "LAST LINE OF OUTPUT, OR REASON"];
        output::listed(&output::table(head, rows), page.items.len(), page.total, page.offset, "Nothing happened yet.")
    })
}

/// Whether a deployment is held, how its phases stand, and what contradicts it, for `muster deployment show`.
pub(super) fn standing(now: UnixMillis, standing: &DeploymentStanding, rivals: &[DeploymentRival]) -> String {
    let mut text = String::new();
    if let Some(cancelled) = standing.cancelled {
        text.push_str(&format!("Cancelled {}.\n", when::human(now, cancelled)));
    } else if let Some(paused) = standing.paused {
        let by = standing.paused_by.as_deref().unwrap_or("the site");
        let why = output::clean(standing.reason.as_deref().unwrap_or_default());
        text.push_str(&format!("Paused {} by {}: {why}\n", when::human(now, paused), output::clean(by)));
    }
    if !standing.phases.is_empty() {
        let row = |phase: &PhaseStanding| {
            [
                phase.number.to_string(),
                phase.phase.name.to_string(),
                phase.begun.map(|begun| when::human(now, begun)).unwrap_or_default(),
                phase.totals.iter().map(|(state, count)| format!("{count} {state}")).collect::<Vec<_>>().join(", "),
                phase.says.clone(),
            ]
        };
        text.push_str(&output::table(["PHASE", "NAME", "BEGAN", "DEVICES", "STANDS"], standing.phases.iter().map(row)));
    }
    text.push_str(&contradicted(rivals));
    text
}

/// What contradicts a deployment, in sentences.
pub(super) fn contradicted(rivals: &[DeploymentRival]) -> String {
    let mut text = String::new();
    for rival in rivals {
        let name = output::clean(&rival.name);
        text.push_str(&format!(
            "! {name} ({}) contradicts it on {} device(s). {}\n",
            rival.deployment,
            rival.devices,
            rival.kind.sentence()
        ));
    }
    text
}
