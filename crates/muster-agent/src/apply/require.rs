//! Requirements, computed over what this machine's collectors find at this moment.

use crate::agent::Agent;
use muster_model::application::{Application, Facts, Requirement};

/// What a device says of an application's requirements.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Verdict {
    /// All are met.
    Met,
    /// This one is not.
    NotMet(String),
    /// This one cannot be computed.
    Invalid(String),
}

/// Whether this machine meets the requirements of an application. The inventory is taken for it, where there are any.
pub(super) async fn requirements(agent: &Agent, application: &Application) -> Verdict {
    if application.requirements.is_empty() {
        return Verdict::Met;
    }
    let mut verdicts = until_met(agent, &[application]).await;
    verdicts.pop().unwrap_or_else(unknown)
}

fn unknown() -> Verdict {
    Verdict::Invalid("The requirements could not be computed.".to_owned())
}

/// The verdicts of one application after the other, over one inventory, until one of them is not that a requirement is not met.
pub(super) async fn until_met(agent: &Agent, applications: &[&Application]) -> Vec<Verdict> {
    let (collector, now) = (agent.collector.clone(), agent.clock.now());
    let all: Vec<_> = applications.iter().map(|application| application.requirements.clone()).collect();
    let work = move || {
        let zone = collector.time_zone();
        let moment = jiff::Timestamp::from_millisecond(now.0).unwrap_or_default();
        let offset_minutes = zone.to_offset(moment).seconds() / 60;
        let collected = collector.collect(now);
        let facts = Facts { classes: &collected.classes, now, offset_minutes };
        let mut verdicts = Vec::new();
        for requirements in &all {
            verdicts.push(verdict(requirements, facts));
            if !matches!(verdicts.last(), Some(Verdict::NotMet(_))) {
                break;
            }
        }
        verdicts
    };
    let verdicts = tokio::task::spawn_blocking(work).await;
    crate::os::give_memory_back();
    verdicts.unwrap_or_else(|_| vec![unknown()])
}

fn verdict(requirements: &[Requirement], facts: Facts<'_>) -> Verdict {
    for requirement in requirements {
        let name = &requirement.name;
        match requirement.is_met(facts) {
            Ok(true) => {}
            Ok(false) => return Verdict::NotMet(format!("Requirement not met: {name}.")),
            Err(error) => return Verdict::Invalid(format!("Requirement {name}: {error}.")),
        }
    }
    Verdict::Met
}
