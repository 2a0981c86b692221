//! What this client demands before it runs something, by its own trust bundle and whatever the site says: the approval of a second key,
//! and two keys for scripts.

use crate::{
    agent::Agent,
    comply::script_policy,
    policy::{Deployment, Policy},
    script,
};
use muster_model::{
    application::{Application, Command, Detection},
    id::Hash,
    settings::ScriptPolicy,
    status::FailureReason,
};
use muster_trust::TrustBundle;
use std::path::Path;

/// Whether a key that signed nothing of it approved the deployment, and that holds now.
fn is_approved(agent: &Agent, bundle: &TrustBundle, deployment: &Deployment) -> bool {
    let now = agent.clock.now().max(agent.floor());
    deployment.approval().is_some_and(|approval| {
        // A key that was revoked since the policy came does not count any more.
        let believed = approval.signers().iter().all(|id| bundle.author_key(id).is_some());
        believed && approval.value().is_in_time(now)
    })
}

/// Why nothing of a deployment is begun. How many other devices have it no client knows: where the bundle demands approval above a
/// number, the site counts; an approval that came along and has ended counts everywhere.
pub(crate) fn refusal(agent: &Agent, deployment: &Deployment) -> Option<(FailureReason, String)> {
    let trust = agent.site.trust();
    let bundle = trust.bundle();
    let demanded = bundle.approves_everything() || deployment.approval().is_some();
    let why = match deployment.approval() {
        None => {
            "The trust bundle wants every deployment approved by a key that signed nothing of it, and no such approval came."
        }
        Some(_) => "The approval has ended, or its key was revoked.",
    };
    (demanded && !is_approved(agent, bundle, deployment)).then(|| (FailureReason::NotApproved, why.to_owned()))
}

/// Objects of a deployment of which no script runs, each with the reason.
pub(crate) fn scripts_refused(agent: &Agent, policy: &Policy, deployment: &Deployment) -> Vec<(Hash, String)> {
    let trust = agent.site.trust();
    let bundle = trust.bundle();
    let approved = usize::from(is_approved(agent, bundle, deployment));
    let scripts = script_policy(agent, policy);
    let why = |signers: &[Hash]| {
        let keys = signers.iter().filter(|id| bundle.author_key(id).is_some()).count() + approved;
        match scripts {
            ScriptPolicy::Restricted => {
                Some("The script policy of this device is restricted: it runs no scripts.".to_owned())
            }
            ScriptPolicy::AllSigned if keys < bundle.script_threshold() => Some(format!(
                "It is a script, and {keys} key(s) stand for it; {} must sign it, or approve its deployment.",
                bundle.script_threshold()
            )),
            ScriptPolicy::AllSigned | ScriptPolicy::Bypass => None,
        }
    };
    let own = deployment.application().map(|of| (deployment.policy().application, of.signers()));
    let along = deployment.related().iter().map(|of| (of.hash(), of.signers()));
    own.into_iter().chain(along).filter_map(|(hash, signers)| Some((hash, why(signers)?))).collect()
}

/// Why what comes along cannot even be looked for: a rule that is a script itself, where none runs.
pub(super) fn detection_refused(
    deployment: &Deployment,
    refused: &[(Hash, String)],
) -> Option<(FailureReason, String)> {
    let asks = |application: &Application| match &application.detection {
        Detection::Command { command } => is_script(application, command),
        Detection::Package { .. } | Detection::File { .. } | Detection::Updates { .. } | Detection::Program => false,
    };
    let runs = |hash: Hash| deployment.types_of(hash).iter().any(asks);
    let (_, why) = refused.iter().find(|(hash, _)| runs(*hash))?;
    Some((FailureReason::ScriptPolicy, why.clone()))
}

/// Why the detection rule of an object is not asked among its files: it is a script there, and none runs.
pub(super) fn detection_refused_in(
    refused: &[(Hash, String)],
    (hash, rule): (Hash, &Detection),
    directory: &Path,
) -> Option<String> {
    let Detection::Command { command } = rule else { return None };
    let (_, why) = refused.iter().find(|(of, _)| *of == hash)?;
    let (program, arguments) = super::arguments(command, directory, None);
    script::is_script(&program, &arguments, directory).then(|| why.clone())
}

/// Whether a detection rule is a script. A file of the application is looked at when it lies in its place; here it is taken for one, and so is
/// what a launcher may find there.
fn is_script(application: &Application, command: &Command) -> bool {
    let program = Path::new(&command.program);
    let is_own = |word: &String| {
        let name = word.trim_start_matches("./");
        word.starts_with("content/") || application.content.iter().any(|file| file.name.as_str() == name)
    };
    std::iter::once(&command.program).chain(&command.arguments).any(is_own)
        || script::is_launcher(program) && !application.content.is_empty()
        || script::is_script(program, &command.arguments, Path::new(""))
}
