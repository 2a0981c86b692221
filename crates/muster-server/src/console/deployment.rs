//! Deployments: the list with its progress, one with its devices, and the form for a new one with its preview.

use super::{
    chart::Bar,
    format,
    paging::{Paging, query},
    shell::Shell,
};
use askama::Template;
use muster_model::{
    api::{ApplicationInfo, Deployment, DeploymentPreview, Device, DeviceDeployment, Page, PageQuery, Target},
    id::{DeviceId, Hash},
    status::DeploymentState,
    time::UnixMillis,
};

/// `GET /deployments`.
#[derive(Debug, Template)]
#[template(path = "deployments.html")]
pub(crate) struct DeploymentsPage {
    /// What surrounds the page.
    pub(crate) shell: Shell,
    /// The deployments.
    pub(crate) page: Page<Deployment>,
    paging: Paging,
}

impl DeploymentsPage {
    /// The page for these deployments.
    pub(crate) fn new(shell: Shell, wanted: PageQuery, page: Page<Deployment>) -> Self {
        let paging = Paging::new(&page, wanted.limit, |offset| format!("/deployments?offset={offset}"));
        Self { shell, page, paging }
    }

    fn bar(&self, deployment: &Deployment) -> Bar {
        Bar::new(&deployment.totals)
    }

    fn is_live(&self) -> bool {
        self.page.items.iter().any(|d| !d.deleted && !Bar::new(&d.totals).finished)
    }
}

/// `GET /deployments/{id}`.
#[derive(Debug, Template)]
#[template(path = "deployment.html")]
pub(crate) struct DeploymentPage {
    /// What surrounds the page.
    pub(crate) shell: Shell,
    /// The deployment.
    pub(crate) deployment: Deployment,
    /// Only devices of this state.
    pub(crate) state: Option<DeploymentState>,
    /// Its devices.
    pub(crate) page: Page<DeviceDeployment>,
    paging: Paging,
    bar: Bar,
}

impl DeploymentPage {
    /// The page for this deployment.
    pub(crate) fn new(
        shell: Shell,
        deployment: Deployment,
        state: Option<DeploymentState>,
        wanted: PageQuery,
        page: Page<DeviceDeployment>,
    ) -> Self {
        let address = |offset: u64| {
            let (offset, state) = (offset.to_string(), state.map_or("", DeploymentState::as_str));
            format!("/deployments/{}{}", deployment.id, query(&[("state", state), ("offset", &offset)]))
        };
        let paging = Paging::new(&page, wanted.limit, address);
        let bar = Bar::new(&deployment.totals);
        Self { shell, deployment, state, page, paging, bar }
    }

    /// The address of this list as it is, for the refresh.
    fn address(&self) -> String {
        let state = self.state.map_or("", DeploymentState::as_str);
        let offset = if self.page.offset == 0 { String::new() } else { self.page.offset.to_string() };
        format!("/deployments/{}{}", self.deployment.id, query(&[("state", state), ("offset", &offset)]))
    }

    fn states(&self) -> &'static [DeploymentState] {
        DeploymentState::ALL
    }

    fn count(&self, state: &DeploymentState) -> u64 {
        self.deployment.totals.get(state.as_str()).copied().unwrap_or_default()
    }

    fn is_state(&self, state: &DeploymentState) -> bool {
        self.state == Some(*state)
    }

    fn is_live(&self) -> bool {
        !self.deployment.deleted && !self.bar.finished
    }

    fn is_due(&self) -> bool {
        self.deployment.deadline <= self.shell.now
    }
}

/// What stands in the form for a new deployment, as it was typed.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct DeploymentForm {
    /// The name; empty: the application's.
    pub(crate) name: String,
    /// The chosen application.
    pub(crate) application: Option<Hash>,
    /// The chosen device; nothing: all systems.
    pub(crate) device: Option<DeviceId>,
    /// Not before: `2026-11-24T08:00`, UTC; empty: now.
    pub(crate) available: String,
    /// The deadline; empty: now.
    pub(crate) deadline: String,
}

/// What the preview found.
#[derive(Debug)]
pub(crate) struct Preview {
    /// What creating it would do.
    pub(crate) preview: DeploymentPreview,
    /// The name that it will have.
    pub(crate) name: String,
    /// Not before.
    pub(crate) available: UnixMillis,
    /// When clients start by themselves.
    pub(crate) deadline: UnixMillis,
}

/// `GET /deployments/new` and `POST /deployments/preview`.
#[derive(Debug, Template)]
#[template(path = "deployment_new.html")]
pub(crate) struct DeploymentNewPage {
    /// What surrounds the page.
    pub(crate) shell: Shell,
    /// What can be deployed.
    pub(crate) applications: Vec<ApplicationInfo>,
    /// Devices to choose from: those that match the search, or the first by name.
    pub(crate) devices: Vec<Device>,
    /// The form.
    pub(crate) form: DeploymentForm,
    /// The preview, after "preview" was pressed.
    pub(crate) preview: Option<Preview>,
    /// What was wrong with the form.
    pub(crate) problem: Option<String>,
}

impl DeploymentNewPage {
    fn is_application(&self, info: &ApplicationInfo) -> bool {
        self.form.application == Some(info.hash)
    }

    fn is_device(&self, device: &Device) -> bool {
        self.form.device == Some(device.id)
    }
}

/// Whom a deployment is for, in words.
pub(crate) fn target(target: &Target) -> String {
    match target {
        Target::AllSystems => "All Systems".to_owned(),
        Target::Device { device } => format!("Device {device}"),
    }
}

/// Why a deployment failed on a device, and what helps.
pub(crate) fn failure(row: &DeviceDeployment) -> Option<String> {
    use muster_model::status::FailureReason as Reason;
    let sentence = match row.reason? {
        Reason::NotSigned => "No signature of an author that this site trusts.".to_owned(),
        Reason::ContentUnavailable => "The content could not be fetched; the client tries again.".to_owned(),
        Reason::ContentAltered => "The content was altered on the way and thrown away.".to_owned(),
        Reason::CannotStart => "The install command could not be started.".to_owned(),
        Reason::ExitCode => match row.exit_code {
            Some(code) => format!("The install command ended with exit code {code}."),
            None => "The install command ended with an exit code that means failure.".to_owned(),
        },
        Reason::TimedOut => "The install command ran over its maximum run time and was ended.".to_owned(),
        Reason::NotDetected => "The install command succeeded, but the detection rule does not find it.".to_owned(),
        Reason::DetectionFailed => "The detection rule itself failed.".to_owned(),
        Reason::Interrupted => "The agent was stopped in the middle of the installation.".to_owned(),
        Reason::DiskFull => "The disk of the device is full.".to_owned(),
    };
    Some(sentence)
}
