//! Which deployment type of an application is the one for this device. To install: the first that is for its system and whose
//! requirements it meets. To remove or repair: the first that is there.

use super::{
    install,
    require::{Verdict, requirements, until_met},
    step::{Step, command},
};
use crate::{agent::Agent, policy::Deployment};
use muster_model::{
    application::{Application, Platform},
    status::{FailureReason, Verb},
};

/// What a device takes of an application's types.
#[derive(Debug)]
pub(super) enum Choice<'a> {
    /// This one, in this place.
    One(usize, &'a Application),
    /// None is for this device; what is said of each.
    None(String),
    /// It cannot be said.
    Unknown(FailureReason, String),
}

/// The types for this system, with their places.
fn here(types: &[Application]) -> Vec<(usize, &Application)> {
    types.iter().enumerate().filter(|(_, one)| one.platform == Platform::Linux).collect()
}

/// The first type that may be installed on this device. Of one type alone its requirements are not asked here.
pub(super) async fn to_install<'a>(agent: &Agent, types: &'a [Application]) -> Choice<'a> {
    let here = here(types);
    if let ([one], true) = (&here[..], types.len() == 1) {
        return Choice::One(one.0, one.1);
    }
    let applications: Vec<_> = here.iter().map(|(_, one)| *one).collect();
    let verdicts = match applications.iter().all(|one| one.requirements.is_empty()) {
        true => applications.first().map(|_| vec![Verdict::Met]).unwrap_or_default(),
        false => until_met(agent, &applications).await,
    };
    let mut said = Vec::new();
    for ((place, application), verdict) in here.into_iter().zip(verdicts) {
        let name = application.type_names().next().unwrap_or_default().into_owned();
        match verdict {
            Verdict::Met => return Choice::One(place, application),
            // To pass over it would be to take another one than authors wanted here.
            Verdict::Invalid(text) => {
                return Choice::Unknown(FailureReason::RequirementInvalid, format!("Deployment type {name}: {text}"));
            }
            Verdict::NotMet(text) => said.push(format!("{name}: {text}")),
        }
    }
    let other = types.len() - said.len();
    if other > 0 {
        said.push(format!("{other} for other systems."));
    }
    Choice::None(format!("No deployment type is for this device. {}", said.join(" ")))
}

/// As [`to_install`], with the requirements of one type alone too.
pub(super) async fn for_this<'a>(agent: &Agent, types: &'a [Application]) -> Choice<'a> {
    if let [one] = types {
        return match requirements(agent, one).await {
            Verdict::Met => Choice::One(0, one),
            Verdict::NotMet(text) => Choice::None(text),
            Verdict::Invalid(text) => Choice::Unknown(FailureReason::RequirementInvalid, text),
        };
    }
    to_install(agent, types).await
}

/// The type that is there, to have it removed or repaired; where none is known to be, the first that can be.
pub(super) async fn that_is_there<'a>(step: &Step<'_>, types: &'a [Application], verb: Verb) -> Choice<'a> {
    let here = here(types);
    let mut asked_later = None;
    for (place, one) in &here {
        if types.len() == 1 {
            return Choice::One(*place, one);
        }
        if one.detection.needs_content() {
            asked_later = asked_later.or(Some((*place, *one)));
            continue;
        }
        match install::detected(step, one).await {
            Ok(true) => return Choice::One(*place, one),
            Ok(false) => {}
            Err(refusal) => {
                return Choice::Unknown(refusal.reason.unwrap_or(FailureReason::DetectionFailed), refusal.text);
            }
        }
    }
    let can = here.iter().copied().find(|(_, one)| command(one, verb).is_some());
    match asked_later.or(can).or_else(|| here.first().copied()) {
        Some((place, one)) => Choice::One(place, one),
        None => Choice::None("No deployment type is for this system.".to_owned()),
    }
}

/// The type whose files are fetched before the time of a deployment has come.
pub(crate) async fn ahead<'a>(agent: &Agent, deployment: &'a Deployment) -> Option<&'a Application> {
    match to_install(agent, deployment.types()).await {
        Choice::One(_, application) => Some(application),
        Choice::None(_) | Choice::Unknown(..) => None,
    }
}
