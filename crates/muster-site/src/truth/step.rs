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
        },
        DeploymentState::Downloading => "is being downloaded",
        DeploymentState::Installing => "is being installed",
        DeploymentState::Succeeded => "succeeded",
        DeploymentState::Failed => "failed",
    };
    let mut text = format!("Deployment {deployment} {what}");
    if let Some(reason) = step.reason {
        text = format!("{text}: {}", reason_words(reason));
    }
    if let Some(code) = step.exit_code.filter(|_| step.state == DeploymentState::Failed) {
        text = format!("{text} (exit code {code})");
    }
    let severity = match (step.state, step.waits) {
        (DeploymentState::Failed, _) => Severity::Error,
        (DeploymentState::Waiting, Some(WaitReason::NeverFits | WaitReason::Clock)) => Severity::Warning,
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
    }
}
