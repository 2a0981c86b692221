//! Deployments: the list with its progress, one with its devices, and the form for a new one with its preview.

use super::{
    chart::Bar,
    confirm::ConfirmPage,
    deployment_options::OptionsForm,
    format,
    paging::{Paging, query},
    shell::{Done, Shell},
    visit::{Answer, Fields, Named, PageRefusal, Rows, Visit, Wanted, chosen, go_done},
};
use crate::http::respond::Refusal;
use askama::Template;
use muster_model::{
    api::{
        ApplicationInfo, Collection, CollectionKind, CollectionQuery, Deployment, DeploymentCreate, DeploymentOrder,
        DeploymentPreview, DeploymentRival, DeploymentStanding, Device, DeviceDeployment, DeviceQuery, DeviceState,
        Forecast, ForecastGroup, Page, PageQuery, Phase, PhasedDeploymentCreate, Target,
    },
    id::{CollectionId, DeploymentId, DeviceId, Hash},
    policy::{Action, Deferral, Purpose},
    program::DeploymentOptions,
    status::DeploymentState,
    time::UnixMillis,
    window::WallTime,
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
    /// When the devices on which it did not begin can begin.
    forecast: Forecast,
    /// Whether it is held, and how its phases stand.
    standing: Option<DeploymentStanding>,
    /// What contradicts it.
    rivals: Vec<DeploymentRival>,
    /// Its approval, where there are rules for one.
    order: Option<DeploymentOrder>,
}

impl DeploymentPage {
    /// With its approval.
    pub(crate) fn with_order(mut self, order: DeploymentOrder) -> Self {
        self.order = Some(order).filter(|order| order.reach.is_some() || order.waits_for_approval);
        self
    }

    /// The page for this deployment.
    pub(crate) fn new(
        shell: Shell,
        deployment: Deployment,
        state: Option<DeploymentState>,
        wanted: PageQuery,
        page: Page<DeviceDeployment>,
        forecast: Forecast,
    ) -> Self {
        let address = |offset: u64| {
            let (offset, state) = (offset.to_string(), state.map_or("", DeploymentState::as_str));
            format!("/deployments/{}{}", deployment.id, query(&[("state", state), ("offset", &offset)]))
        };
        let paging = Paging::new(&page, wanted.limit, address);
        let bar = Bar::new(&deployment.totals);
        Self { shell, deployment, state, page, paging, bar, forecast, standing: None, rivals: Vec::new(), order: None }
    }

    /// With how it stands, and what contradicts it.
    pub(crate) fn standing(self, standing: DeploymentStanding, rivals: Vec<DeploymentRival>) -> Self {
        Self { standing: Some(standing), rivals, ..self }
    }

    fn is_cancelled(&self) -> bool {
        self.standing.as_ref().is_some_and(|standing| standing.cancelled.is_some())
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

    /// Until when users may put it off.
    fn last(&self) -> Option<UnixMillis> {
        Some(self.deployment.deferral?.last(self.deployment.deadline))
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
    /// The chosen collection, where no device is.
    pub(crate) collection: Option<CollectionId>,
    /// Not before: `2026-11-24T08:00`, UTC; empty: now.
    pub(crate) available: String,
    /// The deadline; empty: now.
    pub(crate) deadline: String,
    /// Whether clients do not wait for a maintenance window.
    pub(crate) outside_windows: bool,
    /// Whether it goes into the overlay of a write filter.
    pub(crate) volatile: bool,
    /// Whether the application is to be removed.
    pub(crate) uninstall: bool,
    /// Whether it is only offered to users.
    pub(crate) offer: bool,
    /// Whether it goes out in phases.
    pub(crate) phased: bool,
    /// Programs, values and notices.
    pub(crate) options: OptionsForm,
    /// How often users may put it off; empty: not at all.
    pub(crate) defer_times: String,
    /// For how many minutes at a time; empty: 240.
    pub(crate) defer_minutes: String,
    /// How many minutes after the deadline at most; empty: 2880.
    pub(crate) defer_grace: String,
}

/// What the preview found.
#[derive(Debug)]
pub(crate) struct Preview {
    /// What creating it would do.
    pub(crate) preview: DeploymentPreview,
    /// The name that it will have.
    pub(crate) name: String,
    /// The application with its version.
    pub(crate) application: String,
    /// What happens to devices, as the verb of a sentence.
    pub(crate) would: &'static str,
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
    /// Collections to choose from.
    pub(crate) collections: Vec<Collection>,
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

    fn is_collection(&self, collection: &Collection) -> bool {
        self.form.collection == Some(collection.id)
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
        Target::Collection { collection } => format!("Collection {collection}"),
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
        Reason::SecretMissing => {
            "A secret that it wants is not sealed for this device; `muster secret seal` does that.".to_owned()
        }
        Reason::CacheTooSmall => {
            "The content is larger than the client's cache may be; raise `cache_bytes` or `cache_percent` in the client settings.".to_owned()
        }
        Reason::CacheFull => {
            "What other deployments need fills the client's cache; it is tried again when one of them is over.".to_owned()
        }
        Reason::RequirementInvalid => "A requirement is not one that the client can compute.".to_owned(),
        Reason::DependencyMissing => "What it depends on is missing, not signed, or depends on itself.".to_owned(),
        Reason::DependencyFailed => "An application that it depends on could not be installed.".to_owned(),
        Reason::SupersededFailed => "An application that it replaces could not be uninstalled first.".to_owned(),
        Reason::StillDetected => "The uninstall command succeeded, but the detection rule still finds it.".to_owned(),
        Reason::NoCommand => "Its authors signed no command for this.".to_owned(),
        Reason::AgentTooOld => "The agent is too old for this deployment; it begins when the agent is newer.".to_owned(),
        Reason::Servicing => "The write filter of the device could not be serviced.".to_owned(),
        Reason::UpdateSource => "A source of updates could not be asked, or is not believed; the client tries again.".to_owned(),
        Reason::UpdateRefused => {
            "The system's tool would do something that the signed group does not allow, or offers nothing that it allows; the client tries again.".to_owned()
        }
        Reason::NotApproved => "No second key approved it, or the approval has ended: `muster deployment approve`.".to_owned(),
        Reason::ScriptPolicy => "The script policy of the device lets nothing of it run.".to_owned(),
        Reason::ParameterInvalid => "The values of the deployment are not those that its authors declared.".to_owned(),
    };
    Some(sentence)
}

/// What the clocks of devices show whose time zone the site does not know.
pub(crate) fn own_clock(group: &ForecastGroup) -> String {
    WallTime::of_utc(group.starts).to_string().replace('T', " ")
}

/// What a deployment waits for on a device.
pub(crate) fn waits(row: &DeviceDeployment) -> Option<&'static str> {
    use muster_model::status::WaitReason as Reason;
    Some(match row.waits? {
        Reason::Deadline => "Waits for its deadline.",
        Reason::Window => "Waits for a maintenance window that is long enough.",
        Reason::NeverFits => "Fits no maintenance window of the device: none is long enough, or none opens again.",
        Reason::Clock => {
            "The device's clock is wrong or was set; windows stay closed until it is right and the site has said so."
        }
        Reason::User => "Is offered to the users of the device.",
        Reason::Restart => "Waits for a restart of the device; its installer cannot go on before.",
        Reason::Retry => "Did not work, and is tried again.",
        Reason::Superseded => "Is not installed, because what replaces it is there.",
        Reason::Conflict => "Is not uninstalled, because another deployment wants it to be there.",
        Reason::BusinessHours => "Waits for the end of the business hours of its users, or for its deadline.",
        Reason::Servicing => {
            "A write filter protects the device, and its servicing is not allowed, not possible, or was done too often."
        }
        Reason::Deferred => "Is put off by users of the device, or gives them time to answer.",
        Reason::PackageManager => "Another program has the device's package manager; the client tries again.",
    })
}

/// `GET /deployments`
pub(crate) async fn deployment_list(visit: Visit, Wanted(rows): Wanted<Rows>) -> Answer {
    let rows = PageQuery::from(rows);
    let page = visit.ask(muster_site::deployment_list(&visit.ctx, visit.site(), rows).await)?;
    visit.page(&DeploymentsPage::new(visit.shell("deployments").await?, rows, page))
}

/// Devices of which state the address asks for.
#[derive(Debug, serde::Deserialize)]
pub(crate) struct StateWanted {
    #[serde(default)]
    state: String,
}

/// `GET /deployments/{id}`
pub(crate) async fn deployment_show(
    visit: Visit,
    Named(id): Named<DeploymentId>,
    Wanted(state): Wanted<StateWanted>,
    Wanted(rows): Wanted<Rows>,
) -> Answer {
    let state = match state.state.as_str() {
        "" => None,
        text => {
            let known = DeploymentState::ALL.iter().copied().find(|s| s.as_str() == text);
            Some(known.ok_or_else(|| visit.refuse(Refusal::malformed("There is no such state of a deployment.")))?)
        }
    };
    let rows = PageQuery::from(rows);
    let deployment = visit.ask(muster_site::deployment_show(&visit.ctx, visit.site(), id).await)?;
    let page = visit.ask(muster_site::deployment_devices(&visit.ctx, visit.site(), id, state, rows).await)?;
    let forecast = visit.ask(muster_site::deployment_forecast(&visit.ctx, visit.site(), id).await)?;
    let standing = visit.ask(muster_site::deployment_standing(&visit.ctx, visit.site(), id).await)?;
    let rivals = visit.ask(muster_site::deployment_rivals(&visit.ctx, visit.site(), id).await)?;
    let order = visit.ask(muster_site::deployment_order(&visit.ctx, visit.site(), id).await)?;
    let shell = visit.shell("deployments").await?;
    let shown = DeploymentPage::new(shell, deployment, state, rows, page, forecast);
    visit.page(&shown.standing(standing, rivals).with_order(order))
}

/// The form as it is sent, or as a link fills it in.
#[derive(Debug, serde::Deserialize)]
pub(crate) struct FormFields {
    #[serde(default)]
    name: String,
    #[serde(default)]
    application: String,
    #[serde(default)]
    device: String,
    #[serde(default)]
    collection: String,
    #[serde(default)]
    available: String,
    #[serde(default)]
    deadline: String,
    #[serde(default)]
    outside_windows: String,
    #[serde(default)]
    volatile: String,
    #[serde(default)]
    action: String,
    #[serde(default)]
    purpose: String,
    #[serde(default)]
    phased: String,
    #[serde(default)]
    rerun: String,
    #[serde(default)]
    every_hours: String,
    #[serde(default)]
    parameters: String,
    #[serde(default)]
    notices: String,
    #[serde(default)]
    defer_times: String,
    #[serde(default)]
    defer_minutes: String,
    #[serde(default)]
    defer_grace: String,
}

impl FormFields {
    fn form(self, visit: &Visit) -> Result<DeploymentForm, PageRefusal> {
        Ok(DeploymentForm {
            application: chosen(visit, &self.application)?,
            device: chosen(visit, &self.device)?,
            collection: chosen(visit, &self.collection)?,
            name: self.name.trim().to_owned(),
            available: self.available,
            deadline: self.deadline,
            outside_windows: !self.outside_windows.is_empty(),
            volatile: !self.volatile.is_empty(),
            uninstall: self.action == Action::Uninstall.as_str(),
            offer: self.purpose == Purpose::Available.as_str(),
            phased: !self.phased.is_empty(),
            options: OptionsForm {
                rerun: self.rerun,
                every_hours: self.every_hours,
                parameters: self.parameters,
                notices: !self.notices.is_empty(),
            },
            defer_times: self.defer_times.trim().to_owned(),
            defer_minutes: self.defer_minutes.trim().to_owned(),
            defer_grace: self.defer_grace.trim().to_owned(),
        })
    }
}

impl DeploymentForm {
    /// What the form asks for, or what is wrong with it.
    fn create(&self) -> Result<DeploymentCreate, String> {
        let name = match self.name.as_str() {
            "" => None,
            text => Some(text.parse().map_err(|error| format!("The name does not do: {error}."))?),
        };
        Ok(DeploymentCreate {
            name,
            application: self.application.ok_or("Choose an application.")?,
            target: match (self.device, self.collection) {
                (Some(device), _) => Target::Device { device },
                (None, Some(collection)) => Target::Collection { collection },
                (None, None) => Target::AllSystems,
            },
            action: if self.uninstall { Action::Uninstall } else { Action::Install },
            purpose: if self.offer { Purpose::Available } else { Purpose::Required },
            high_impact: false,
            outside_windows: self.outside_windows,
            volatile: self.volatile,
            software_update: false,
            options: DeploymentOptions::default(),
            deferral: self.deferral()?,
            available: moment(&self.available)?,
            deadline: moment(&self.deadline)?,
        })
    }
}

impl DeploymentForm {
    fn deferral(&self) -> Result<Option<Deferral>, String> {
        let number = |text: &str, default: u32| match text {
            "" => Ok(default),
            text => text.parse().map_err(|_| format!("{text:?} is not a whole number.")),
        };
        let times = number(&self.defer_times, 0)?;
        let (minutes, grace_minutes) = (number(&self.defer_minutes, 240)?, number(&self.defer_grace, 2_880)?);
        Ok((times > 0).then_some(Deferral { times, minutes, grace_minutes }))
    }
}

/// A moment of a form: `2026-11-25T08:00`, in UTC; empty: none.
fn moment(text: &str) -> Result<Option<UnixMillis>, String> {
    if text.is_empty() {
        return Ok(None);
    }
    let parsed = text.parse::<jiff::civil::DateTime>().and_then(|local| local.to_zoned(jiff::tz::TimeZone::UTC));
    match parsed {
        Ok(zoned) => Ok(Some(UnixMillis(zoned.timestamp().as_millisecond()))),
        Err(_) => Err(format!("{text:?} is not a time. Write it like 2026-11-25T08:00; it is read as UTC.")),
    }
}

async fn form_page(visit: Visit, form: DeploymentForm, preview: Option<Preview>, problem: Option<String>) -> Answer {
    let rows = PageQuery { offset: 0, limit: 200 };
    let applications = visit.ask(muster_site::application_list(&visit.ctx, visit.site(), rows).await)?.items;
    let query = DeviceQuery { state: Some(DeviceState::Active), limit: rows.limit, ..DeviceQuery::default() };
    let mut devices = visit.ask(muster_site::device_list(&visit.ctx, visit.site(), query).await)?.items;
    if let Some(id) = form.device.filter(|id| devices.iter().all(|device| device.id != *id)) {
        devices.push(visit.ask(muster_site::device_show(&visit.ctx, visit.site(), id).await)?.device);
    }
    let query = CollectionQuery { limit: 500, ..CollectionQuery::default() };
    let collections = visit.ask(muster_site::collection_list(&visit.ctx, visit.site(), &query).await)?.items;
    let collections = collections.into_iter().filter(|row| row.kind == CollectionKind::Device).collect();
    let shell = visit.shell("deployments").await?;
    visit.page(&DeploymentNewPage { shell, applications, devices, collections, form, preview, problem })
}

/// `GET /deployments/new`
pub(crate) async fn deployment_new(visit: Visit, Wanted(fields): Wanted<FormFields>) -> Answer {
    let form = fields.form(&visit)?;
    form_page(visit, form, None, None).await
}

/// What the form asks for, its values read as the application declares them.
async fn asked(visit: &Visit, form: &DeploymentForm) -> Result<Result<DeploymentCreate, String>, PageRefusal> {
    let mut create = match form.create() {
        Ok(create) => create,
        Err(problem) => return Ok(Err(problem)),
    };
    if form.options == OptionsForm::default() {
        return Ok(Ok(create));
    }
    let info = visit.ask(muster_site::application_show(&visit.ctx, visit.site(), create.application).await)?;
    let from = create.deadline.or(create.available).unwrap_or(visit.ctx.now);
    Ok(form.options.options(&info.application, from).map(|options| {
        create.options = options;
        create
    }))
}

/// `POST /deployments/preview`
pub(crate) async fn deployment_preview(visit: Visit, Fields(fields): Fields<FormFields>) -> Answer {
    let form = fields.form(&visit)?;
    let create = match asked(&visit, &form).await? {
        Ok(create) => create,
        Err(problem) => return form_page(visit, form, None, Some(problem)).await,
    };
    let preview = match muster_site::deployment_preview(&visit.ctx, visit.site(), &create).await {
        Ok(preview) => preview,
        Err(error) => return form_page(visit, form, None, Some(error.problem().detail)).await,
    };
    let info = visit.ask(muster_site::application_show(&visit.ctx, visit.site(), create.application).await)?;
    let available = create.available.unwrap_or(visit.ctx.now);
    let own = format!("{} {}", info.application.name, info.application.version);
    let preview = Preview {
        preview,
        name: create.name.map_or_else(|| own.clone(), |name| name.to_string()),
        application: own,
        would: match (create.action, create.purpose) {
            (Action::Uninstall, _) => "would uninstall",
            (Action::Install, Purpose::Required) => "would install",
            (Action::Install, Purpose::Available) => "would offer to their users",
        },
        available,
        deadline: create.deadline.unwrap_or(available),
    };
    form_page(visit, form, Some(preview), None).await
}

/// `POST /deployments`
pub(crate) async fn deployment_create(visit: Visit, Fields(fields): Fields<FormFields>) -> Answer {
    let form = fields.form(&visit)?;
    let create = match asked(&visit, &form).await? {
        Ok(create) => create,
        Err(problem) => return form_page(visit, form, None, Some(problem)).await,
    };
    let deployment = if form.phased {
        let create = PhasedDeploymentCreate { deployment: create, phases: Phase::usual() };
        visit.ask(muster_site::deployment_create_phased(&visit.ctx, visit.site(), &create).await)?
    } else {
        visit.ask(muster_site::deployment_create(&visit.ctx, visit.site(), &create).await)?
    };
    Ok(go_done(&format!("/deployments/{}", deployment.id), Done::Deployed))
}

/// `GET /deployments/{id}/delete`
pub(crate) async fn delete_confirm(visit: Visit, Named(id): Named<DeploymentId>) -> Answer {
    let deployment = visit.ask(muster_site::deployment_show(&visit.ctx, visit.site(), id).await)?;
    let bar = Bar::new(&deployment.totals);
    visit.page(&ConfirmPage {
        shell: visit.shell("deployments").await?,
        title: "Delete deployment".to_owned(),
        object: deployment.name.to_string(),
        consequences: vec![
            "Devices that did not start yet will not start. One that installs at this moment finishes.".to_owned(),
            "Nothing is removed from any device.".to_owned(),
            format!("Its history is kept. It stands at: {}.", bar.sentence()),
        ],
        reason: false,
        action: format!("/deployments/{id}/delete"),
        button: "Delete deployment".to_owned(),
        danger: true,
        back: format!("/deployments/{id}"),
        hidden: vec![],
    })
}

/// `POST /deployments/{id}/delete`
pub(crate) async fn deployment_delete(visit: Visit, Named(id): Named<DeploymentId>) -> Answer {
    visit.ask(muster_site::deployment_delete(&visit.ctx, visit.site(), id).await)?;
    Ok(go_done(&format!("/deployments/{id}"), Done::DeploymentDeleted))
}

#[cfg(test)]
mod tests;
