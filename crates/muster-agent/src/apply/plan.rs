//! What a deployment needs done before its own application: the next dependency to install, or the next application to remove that is
//! replaced. Only what the signed application itself says counts; what else comes along is not touched.

use super::{
    choose::{self, Choice},
    install, rival,
    step::{Step, Work, work},
};
use crate::{
    policy::{Deployment, Related},
    store::StoreError,
    updates::Refusal,
};
use muster_model::{
    application::{Application, DependencyGroup, Platform},
    id::{ApplicationId, Hash},
    limits::DEPENDENCY_DEPTH,
    program::Outcome,
    status::{FailureReason, Verb},
};
use std::collections::HashSet;

/// Why it cannot go on.
pub(super) type Obstacle = (FailureReason, String);

/// What was done already, so that a detection rule that lies makes no circle.
#[derive(Debug, Default)]
pub(super) struct Done(HashSet<(Hash, usize, Verb)>);

impl Done {
    pub(super) fn note(&mut self, work: &Work<'_>) {
        self.0.insert((work.runs.application, work.place, work.runs.verb));
    }

    /// Whether it was installed, as whichever of its types.
    fn installed(&self, related: &Related) -> bool {
        (0..related.types().len()).any(|place| self.0.contains(&(related.hash(), place, Verb::Install)))
    }

    fn removed(&self, related: &Related, place: usize) -> bool {
        self.0.contains(&(related.hash(), place, Verb::Uninstall))
    }
}

/// The next command before the application's own; `None`: its own is next. `there`: what other deployments have installed.
pub(super) async fn next<'a>(
    step: &Step<'_>,
    deployment: &'a Deployment,
    application: &'a Application,
    there: &[&Application],
    done: &Done,
) -> Result<Option<Work<'a>>, Obstacle> {
    let plan = Plan { step, deployment, there, done };
    let path = vec![application.id];
    if let Some((related, place, needed)) = plan.missing(application, &path).await? {
        return match plan.replaced(needed).await? {
            Some(old) => Ok(Some(removal(old, needed))),
            None => Ok(Some(Work { place, ..work(needed, related.hash(), Verb::Install, false) })),
        };
    }
    let old = plan.replaced(application).await?;
    Ok(old.map(|old| removal(old, application)))
}

/// An object that comes along, with the place of one of its deployment types.
type OneType<'a> = (&'a Related, usize, &'a Application);

fn removal<'a>((old, place, one): OneType<'a>, by: &'a Application) -> Work<'a> {
    Work { room_for: Some(by), place, ..work(one, old.hash(), Verb::Uninstall, false) }
}

/// Whether every application that it needs came along, signed: what was missing may be there after the trust bundle changed.
pub(super) fn is_whole(deployment: &Deployment, application: &Application) -> bool {
    whole(deployment, application, &mut HashSet::new())
}

/// Each is looked at once, so that a circle comes to an end: nothing is missing in it.
fn whole(deployment: &Deployment, of: &Application, seen: &mut HashSet<(ApplicationId, String)>) -> bool {
    if !seen.insert((of.id, of.version.clone())) {
        return true;
    }
    of.dependencies
        .iter()
        .all(|group| choices(deployment, group).iter().any(|choice| whole(deployment, choice.application(), seen)))
}

/// The applications of a group that came along, in the order of the group; of several versions the highest.
fn choices<'a>(deployment: &'a Deployment, group: &DependencyGroup) -> Vec<&'a Related> {
    let best = |dependency: &muster_model::application::Dependency| {
        let fits = |related: &&Related| {
            let is_here = related.application().platforms().any(|platform| platform == Platform::Linux);
            dependency.is_met_by(related.application()) && is_here
        };
        let order = |a: &&Related, b: &&Related| {
            muster_model::version::compare("", &a.application().version, &b.application().version)
        };
        deployment.related().iter().filter(fits).max_by(order)
    };
    group.any.iter().filter_map(best).collect()
}

struct Plan<'s, 'a> {
    step: &'s Step<'s>,
    deployment: &'a Deployment,
    there: &'s [&'s Application],
    done: &'s Done,
}

impl<'a> Plan<'_, 'a> {
    /// Whether it is there, as whichever of its types.
    async fn is_there(&self, related: &Related) -> Result<bool, Obstacle> {
        for application in related.types() {
            if application.platform == Platform::Linux && self.is_type_there(related, application).await? {
                return Ok(true);
            }
        }
        Ok(false)
    }

    async fn is_type_there(&self, related: &Related, application: &Application) -> Result<bool, Obstacle> {
        if application.is_program() {
            // What ran once with success is done.
            let last = self.step.agent.store.program_last(related.hash());
            let failed = |error: StoreError| (FailureReason::DetectionFailed, error.to_string());
            return last.map(|run| run.is_some_and(|run| run.outcome == Outcome::Succeeded)).map_err(failed);
        }
        // Where the rule needs files it is asked when they are there, right before anything runs.
        if application.detection.needs_content() {
            return Ok(false);
        }
        let failed = |refusal: Refusal| {
            let text = format!("{} {}: {}", application.name, application.version, refusal.text);
            (refusal.reason.unwrap_or(FailureReason::UpdateRefused), text)
        };
        install::detected(self.step, application).await.map_err(failed)
    }

    /// Whether another deployment brought a newer version that does as well: it is not turned into an older one.
    fn is_newer_there(&self, group: &DependencyGroup, choice: &Application) -> bool {
        let fits = |one: &&&Application| group.any.iter().any(|dependency| dependency.is_met_by(one));
        self.there.iter().filter(fits).any(|one| rival::is_newer(one, choice))
    }

    /// The first dependency that has to be installed, those of dependencies first.
    async fn missing(&self, of: &Application, path: &[ApplicationId]) -> Result<Option<OneType<'a>>, Obstacle> {
        for group in &of.dependencies {
            let choices = choices(self.deployment, group);
            if choices.is_empty() {
                let text = format!("{} {} depends on an application that did not come along.", of.name, of.version);
                return Err((FailureReason::DependencyMissing, text));
            }
            let mut met = false;
            for choice in &choices {
                let known = self.done.installed(choice) || self.is_newer_there(group, choice.application());
                met = met || known || self.is_there(choice).await?;
            }
            if met {
                continue;
            }
            let chosen = self.chosen(of, &choices).await?;
            let needed = chosen.2;
            if path.contains(&needed.id) || path.len() > DEPENDENCY_DEPTH {
                let text = format!("{} {} depends on itself, or too deeply.", needed.name, needed.version);
                return Err((FailureReason::DependencyMissing, text));
            }
            let mut below = path.to_vec();
            below.push(needed.id);
            // Boxed, because it calls itself; its depth is bounded.
            let deeper = Box::pin(self.missing(needed, &below)).await?;
            return Ok(deeper.or(Some(chosen)));
        }
        Ok(None)
    }

    /// The first that is for this machine.
    async fn chosen(&self, of: &Application, choices: &[&'a Related]) -> Result<OneType<'a>, Obstacle> {
        let mut why = String::new();
        for choice in choices {
            let (name, version) = (&choice.application().name, &choice.application().version);
            match choose::for_this(self.step.agent, choice.types()).await {
                Choice::One(place, application) => return Ok((choice, place, application)),
                Choice::None(text) | Choice::Unknown(_, text) => why = format!("{name} {version}: {text}"),
            }
        }
        let text = format!("What {} {} depends on is not for this device. {why}", of.name, of.version);
        Err((FailureReason::DependencyFailed, text))
    }

    /// The first application that this one replaces and that has to be removed before.
    async fn replaced(&self, by: &Application) -> Result<Option<OneType<'a>>, Obstacle> {
        for old in by.supersedes.iter().filter(|old| old.uninstall) {
            let versions =
                self.deployment.related().iter().filter(|related| related.application().id == old.application);
            let types = versions.flat_map(|version| version.types().iter().enumerate().map(move |one| (version, one)));
            let types: Vec<_> = types.collect();
            for (version, (place, application)) in types {
                let removable = application.uninstall.is_some() && application.platform == Platform::Linux;
                if !removable || self.done.removed(version, place) {
                    continue;
                }
                if application.detection.needs_content() || self.is_type_there(version, application).await? {
                    return Ok(Some((version, place, application)));
                }
            }
        }
        Ok(None)
    }
}
