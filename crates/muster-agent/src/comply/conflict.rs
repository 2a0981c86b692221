//! Settings that two baselines would put right in turn, each undoing what the other one did. The one that was deployed first has them.

use super::{believed, may_run, script_policy};
use crate::{agent::Agent, policy::Policy};
use muster_model::{
    application::Platform,
    baseline::{Claim, Claims, Remediation},
    id::DeploymentId,
};
use std::collections::{BTreeMap, HashMap};

/// For each deployment the numbers of its settings that an earlier one wants otherwise, and the name of that one.
///
/// Only what this client would really put right claims anything: a baseline that nobody signed keeps no other one from its work.
pub(super) fn rivals(agent: &Agent, policy: &Policy) -> HashMap<DeploymentId, BTreeMap<usize, String>> {
    let bundle = agent.site.trust();
    let bundle = bundle.bundle();
    let scripts = script_policy(agent, policy);
    let (mut claims, mut rivals) = (Claims::default(), HashMap::new());
    // The site names them from the oldest to the newest.
    for deployment in policy.baselines().iter().filter(|deployment| deployment.policy().remediate) {
        let Some(verified) = deployment.baseline() else { continue };
        let believed = believed(verified, bundle);
        if believed < bundle.author_threshold() || verified.value().platform != Platform::Linux {
            continue;
        }
        let runs = may_run(scripts, believed, bundle).is_ok();
        let baseline = verified.value();
        for (number, (_, setting)) in baseline.settings().enumerate() {
            let puts_right = |remediation: &Remediation| runs || !remediation.can_run();
            if !setting.remediation.as_ref().is_some_and(puts_right) {
                continue;
            }
            if let Some(rival) = claims.take(Claim { baseline, setting }) {
                let of: &mut BTreeMap<_, _> = rivals.entry(deployment.policy().deployment).or_default();
                of.insert(number, rival.name());
            }
        }
    }
    rivals
}
