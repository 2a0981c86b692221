//! Steps of deployments, as devices report them: their state, and the line that they leave in the device's history.

use muster_model::{
    id::DeviceId,
    status::{DeploymentReport, DeploymentState, FailureReason, Severity, WaitReason},
    time::UnixMillis,
};
use muster_store::db::{deployment::Step, timeline::TimelineRow};

/// What a device says, as it is kept.
pub(crate) fn of(device: DeviceId, happened: UnixMillis, report: &DeploymentReport) -> Step {
    // A reason is kept only with a failure; without one, nothing failed.
    let reason = report.reason.filter(|_| report.state == DeploymentState::Failed);
    Step {
        deployment: report.deployment,
        device,
        state: report.state,
        reason,
        exit_code: report.exit_code,
        output: report.output.clone(),
        changed: happened,
        waits: report.waits.filter(|_| report.state == DeploymentState::Waiting),
        starts: report.starts.filter(|_| report.state == DeploymentState::Waiting),
        restart: report.restart && report.state == DeploymentState::Succeeded,
        undone: report.undone,
        deployment_type: report.deployment_type.clone(),
        deferred: report.deferred,
    }
}

/// Whether a deployment has begun on a device, or is through: a pause does not hold it any more.
pub(crate) const fn is_begun(state: DeploymentState, waits: Option<WaitReason>) -> bool {
    match state {
        DeploymentState::Targeted | DeploymentState::Downloading => false,
        DeploymentState::Waiting => matches!(waits, Some(WaitReason::Restart | WaitReason::Retry)),
        DeploymentState::Installing
        | DeploymentState::Succeeded
        | DeploymentState::Failed
        | DeploymentState::RequirementsNotMet => true,
    }
}

/// The line of a step.
pub(crate) fn line(step: &Step, deployment: &str, received: UnixMillis) -> TimelineRow {
    let what = match step.state {
        DeploymentState::Targeted => "is targeted",
        DeploymentState::Waiting => match step.waits {
            None | Some(WaitReason::Deadline) => "waits for its time",
            Some(WaitReason::Window) => "waits for a maintenance window",
            Some(WaitReason::NeverFits) => "fits no maintenance window, and is not started",
            Some(WaitReason::Clock) => "waits, because the device's clock is not to be believed",
            Some(WaitReason::User) => "is offered to the users of the device",
            Some(WaitReason::Restart) => "waits for a restart of the device",
            Some(WaitReason::Retry) => "did not work, and is tried again a little later",
            Some(WaitReason::Superseded) => "is not started, because what replaces it is there",
            Some(WaitReason::Conflict) => "is not started, because another deployment wants the contrary",
            Some(WaitReason::BusinessHours) => "waits for the end of business hours",
            Some(WaitReason::Servicing) => "waits, because the device's write filter cannot be serviced now",
            Some(WaitReason::Deferred) if step.deferred == 0 => {
                "waits, so that users of the device have time to answer"
            }
            Some(WaitReason::Deferred) => "is put off by users of the device",
            Some(WaitReason::PackageManager) => "waits for the package manager, which another program has",
        },
        DeploymentState::Downloading => "is being downloaded",
        DeploymentState::Installing => "is being installed",
        DeploymentState::Succeeded if step.restart => "succeeded; the device has to be restarted",
        DeploymentState::Succeeded => "succeeded",
        DeploymentState::Failed => "failed",
        DeploymentState::RequirementsNotMet => "is not for this device",
    };
    let mut text = format!("Deployment {deployment} {what}");
    if let Some(reason) = step.reason {
        text = format!("{text}: {}", reason_words(reason));
    }
    if step.state == DeploymentState::RequirementsNotMet {
        let named: String = step.output.lines().next().unwrap_or_default().chars().take(200).collect();
        text = format!("{text}: {}", named.trim_end_matches('.'));
    }
    if let Some(name) = step.deployment_type.as_ref().filter(|_| step.state == DeploymentState::Installing) {
        text = format!("{text} as {name}");
    }
    if step.state == DeploymentState::Waiting && step.deferred > 0 {
        text = format!("{text} (put off {} time(s))", step.deferred);
    }
    if step.undone {
        text = format!("{text} (what it had done was undone on the device)");
    }
    if let Some(code) = step.exit_code.filter(|_| step.state == DeploymentState::Failed) {
        text = format!("{text} (exit code {code})");
    }
    let severity = match (step.state, step.waits) {
        (DeploymentState::Failed, _) => Severity::Error,
        (
            DeploymentState::Waiting,
            Some(WaitReason::NeverFits | WaitReason::Clock | WaitReason::Conflict | WaitReason::Servicing),
        ) => Severity::Warning,
        _ => Severity::Information,
    };
    TimelineRow { device: step.device, happened: received, kind: "deployment", severity, text: format!("{text}.") }
}

/// A reason in words.
const fn reason_words(reason: FailureReason) -> &'static str {
    match reason {
        FailureReason::NotSigned => "no author that the trust bundle names signed it",
        FailureReason::ContentUnavailable => "the content could not be fetched",
        FailureReason::ContentAltered => "the content is not what its hash names",
        FailureReason::CannotStart => "the install command could not be started",
        FailureReason::ExitCode => "the install command ended with an exit code that means failure",
        FailureReason::TimedOut => "the install command ran over its time and was ended",
        FailureReason::NotDetected => "the detection rule does not find the application after the installation",
        FailureReason::DetectionFailed => "the detection rule itself failed",
        FailureReason::Interrupted => "the agent was stopped in the middle of the installation",
        FailureReason::DiskFull => "the disk is full",
        FailureReason::SecretMissing => "a secret that it wants is not sealed for this device",
        FailureReason::CacheTooSmall => "the content is larger than the client's cache may be",
        FailureReason::CacheFull => "what other deployments need fills the client's cache",
        FailureReason::RequirementInvalid => "a requirement is not one that the client can compute",
        FailureReason::DependencyMissing => "an application that it depends on is missing, not signed, or needs itself",
        FailureReason::DependencyFailed => "an application that it depends on could not be installed",
        FailureReason::SupersededFailed => "an application that it replaces could not be uninstalled first",
        FailureReason::StillDetected => "the detection rule still finds the application after it was uninstalled",
        FailureReason::NoCommand => "its authors signed no command for this",
        FailureReason::AgentTooOld => "the agent is too old for what the site says of it",
        FailureReason::Servicing => "the device's write filter could not be serviced",
        FailureReason::UpdateSource => "a source of updates could not be asked, or is not believed",
        FailureReason::UpdateRefused => {
            "the signed group does not allow what the system's tool would do, or nothing is offered that it allows"
        }
        FailureReason::NotApproved => {
            "no second key approved it, as the trust bundle demands, or the approval has ended"
        }
        FailureReason::ScriptPolicy => "the script policy of the device lets nothing of it run",
        FailureReason::ParameterInvalid => "the values of its deployment are not those that its authors declared",
    }
}
