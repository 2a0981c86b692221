//! Configuration baselines: the list, one with everything that its authors signed, and how devices stand to those that are deployed.

use super::{
    chart::Bar,
    confirm::ConfirmPage,
    format,
    paging::{Paging, query},
    shell::{Done, Shell},
    visit::{Answer, Fields, Named, PageRefusal, Rows, Visit, Wanted, chosen, go_done},
};
use crate::http::respond::Refusal;
use askama::Template;
use muster_model::{
    api::{
        BaselineDeploy, BaselineDeployment, BaselineInfo, BaselinePreview, Collection, CollectionKind, CollectionQuery,
        ComplianceQuery, Device, DeviceCompliance, DeviceQuery, DeviceState, Page, PageQuery, ResultQuery,
        SettingCompliance, SettingTotals, Target,
    },
    baseline::{Discovery, FileRead, Remediation, Script, ServiceProperty, SettingSeverity},
    compliance::{ComplianceReason, ComplianceState},
    id::{CollectionId, DeploymentId, DeviceId, Hash},
    time::{DAY, HOUR},
};

/// `GET /baselines`.
#[derive(Debug, Template)]
#[template(path = "baselines.html")]
pub(crate) struct BaselinesPage {
    /// What surrounds the page.
    pub(crate) shell: Shell,
    /// The baselines.
    pub(crate) page: Page<BaselineInfo>,
    /// Where they are deployed, the newest first.
    pub(crate) deployments: Page<BaselineDeployment>,
    paging: Paging,
}

impl BaselinesPage {
    /// The page for these baselines.
    pub(crate) fn new(
        shell: Shell,
        wanted: PageQuery,
        page: Page<BaselineInfo>,
        deployments: Page<BaselineDeployment>,
    ) -> Self {
        let paging = Paging::new(&page, wanted.limit, |offset| format!("/baselines?offset={offset}"));
        Self { shell, page, deployments, paging }
    }

    fn bar(&self, deployment: &BaselineDeployment) -> Bar {
        Bar::compliance(&deployment.totals)
    }
}

/// `GET /baselines/{hash}`.
#[derive(Debug, Template)]
#[template(path = "baseline.html")]
pub(crate) struct BaselinePage {
    /// What surrounds the page.
    pub(crate) shell: Shell,
    /// The baseline.
    pub(crate) info: BaselineInfo,
}

/// `GET /baseline-deployments/{id}`.
#[derive(Debug, Template)]
#[template(path = "baseline_deployment.html")]
pub(crate) struct BaselineDeploymentPage {
    /// What surrounds the page.
    pub(crate) shell: Shell,
    /// The deployment.
    pub(crate) deployment: BaselineDeployment,
    /// Each setting over all devices.
    pub(crate) settings: Vec<SettingTotals>,
    /// Only devices of this state.
    pub(crate) state: Option<ComplianceState>,
    /// Its devices.
    pub(crate) page: Page<DeviceCompliance>,
    paging: Paging,
    bar: Bar,
}

impl BaselineDeploymentPage {
    /// The page for this deployment.
    pub(crate) fn new(
        shell: Shell,
        deployment: BaselineDeployment,
        settings: Vec<SettingTotals>,
        state: Option<ComplianceState>,
        wanted: PageQuery,
        page: Page<DeviceCompliance>,
    ) -> Self {
        let address = |offset: u64| {
            let (offset, state) = (offset.to_string(), state.map_or("", ComplianceState::as_str));
            format!("/baseline-deployments/{}{}", deployment.id, query(&[("state", state), ("offset", &offset)]))
        };
        let paging = Paging::new(&page, wanted.limit, address);
        let bar = Bar::compliance(&deployment.totals);
        Self { shell, deployment, settings, state, page, paging, bar }
    }

    /// The address of this list as it is, for the refresh.
    fn address(&self) -> String {
        let state = self.state.map_or("", ComplianceState::as_str);
        let offset = if self.page.offset == 0 { String::new() } else { self.page.offset.to_string() };
        format!("/baseline-deployments/{}{}", self.deployment.id, query(&[("state", state), ("offset", &offset)]))
    }

    fn every(&self) -> Option<String> {
        self.deployment.every.map(format::duration)
    }

    fn states(&self) -> &'static [ComplianceState] {
        ComplianceState::ALL
    }

    fn count(&self, state: &ComplianceState) -> u64 {
        self.deployment.totals.get(state.as_str()).copied().unwrap_or_default()
    }

    fn is_state(&self, state: &ComplianceState) -> bool {
        self.state == Some(*state)
    }

    fn setting_bar(&self, setting: &SettingTotals) -> Bar {
        Bar::compliance(&setting.totals)
    }
}

/// `GET /baseline-deployments/{id}/results`: the devices of one setting, or the settings of one device.
#[derive(Debug, Template)]
#[template(path = "compliance_results.html")]
pub(crate) struct ResultsPage {
    /// What surrounds the page.
    pub(crate) shell: Shell,
    /// The deployment.
    pub(crate) deployment: BaselineDeployment,
    /// What of it is shown.
    pub(crate) title: String,
    /// The results.
    pub(crate) page: Page<SettingCompliance>,
    paging: Paging,
}

impl ResultsPage {
    /// The page for these results.
    pub(crate) fn new(
        shell: Shell,
        deployment: BaselineDeployment,
        title: String,
        wanted: &ResultQuery,
        page: Page<SettingCompliance>,
    ) -> Self {
        let address = |offset: u64| {
            let offset = offset.to_string();
            let device = wanted.device.map(|device| device.to_string()).unwrap_or_default();
            let setting = wanted.setting.map(|setting| setting.to_string()).unwrap_or_default();
            let state = wanted.state.map_or("", ComplianceState::as_str);
            let differs = if wanted.differs { "true" } else { "" };
            let pairs = [
                ("device", device.as_str()),
                ("setting", &setting),
                ("differs", differs),
                ("state", state),
                ("offset", &offset),
            ];
            format!("/baseline-deployments/{}/results{}", deployment.id, query(&pairs))
        };
        let paging = Paging::new(&page, wanted.limit, address);
        Self { shell, deployment, title, page, paging }
    }
}

/// What stands in the form for deploying a baseline, as it was typed.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct BaselineForm {
    /// The chosen baseline.
    pub(crate) baseline: Option<Hash>,
    /// The chosen device; nothing: all systems.
    pub(crate) device: Option<DeviceId>,
    /// The chosen collection, where no device is.
    pub(crate) collection: Option<CollectionId>,
    /// How often, in hours; empty: as the client settings say.
    pub(crate) hours: String,
    /// Whether things are put right.
    pub(crate) remediate: bool,
    /// Whether clients do not wait for a maintenance window.
    pub(crate) outside_windows: bool,
    /// From which severity on it is an alert; empty: never.
    pub(crate) alert_from: String,
}

/// `GET /baseline-deployments/new` and `POST /baseline-deployments/preview`.
#[derive(Debug, Template)]
#[template(path = "baseline_new.html")]
pub(crate) struct BaselineNewPage {
    /// What surrounds the page.
    pub(crate) shell: Shell,
    /// What can be deployed.
    pub(crate) baselines: Vec<BaselineInfo>,
    /// Devices to choose from.
    pub(crate) devices: Vec<Device>,
    /// Collections to choose from.
    pub(crate) collections: Vec<Collection>,
    /// The form.
    pub(crate) form: BaselineForm,
    /// The preview, after "preview" was pressed.
    pub(crate) preview: Option<BaselinePreview>,
    /// What was wrong with the form.
    pub(crate) problem: Option<String>,
}

impl BaselineNewPage {
    fn is_baseline(&self, info: &BaselineInfo) -> bool {
        self.form.baseline == Some(info.hash)
    }

    fn is_collection(&self, collection: &Collection) -> bool {
        self.form.collection == Some(collection.id)
    }

    fn is_device(&self, device: &Device) -> bool {
        self.form.device == Some(device.id)
    }

    fn severities(&self) -> &'static [SettingSeverity] {
        SettingSeverity::ALL
    }

    fn is_severity(&self, severity: &SettingSeverity) -> bool {
        self.form.alert_from == severity.as_str()
    }
}

/// Where the value of a setting comes from.
pub(crate) fn found_by(discovery: &Discovery) -> String {
    match discovery {
        Discovery::File { path, read, .. } => match read {
            FileRead::Exists => format!("{path}: that it is there"),
            FileRead::Mode => format!("{path}: its mode"),
            FileRead::Owner => format!("{path}: its owner"),
            FileRead::Group => format!("{path}: its group"),
            FileRead::Hash => format!("{path}: its SHA-256"),
            FileRead::Line { pattern } => format!("{path}: lines like {pattern}"),
            FileRead::Key { key, .. } => format!("{path}: {key}"),
            FileRead::Ini { section, key } => format!("{path}: [{section}] {key}"),
            FileRead::Json { pointer } => format!("{path}: {pointer}"),
        },
        Discovery::Command { command, .. } => {
            format!("as {}: {} {:?}", user(discovery), command.program, command.arguments)
        }
        Discovery::Script { script } => {
            format!("as {}: script of {} bytes, {}", user(discovery), script.text.len(), script.interpreter.program())
        }
        Discovery::Package { name } => format!("version of package {name}"),
        Discovery::Service { name, property: ServiceProperty::State } => format!("whether service {name} runs"),
        Discovery::Service { name, property: ServiceProperty::Enabled } => {
            format!("whether service {name} starts with the system")
        }
        Discovery::Sysctl { name } => format!("kernel parameter {name}"),
        Discovery::Registry { key, value } => format!("registry {key} {value}"),
    }
}

fn user(discovery: &Discovery) -> &'static str {
    if discovery.is_root() { "root" } else { "nobody" }
}

/// The script that finds a value, to the letter; characters that are not seen as their numbers.
pub(crate) fn found_text(discovery: &Discovery) -> Option<String> {
    match discovery {
        Discovery::Script { script } => Some(script_text(script)),
        _ => None,
    }
}

/// What a setting is put right with, to the letter; characters that are not seen as their numbers.
pub(crate) fn right_text(remediation: &Remediation) -> Option<String> {
    match remediation {
        Remediation::File { content, mode } => {
            let mode = mode.as_ref().map_or_else(String::new, |mode| format!("mode {mode}\n"));
            Some(format!("{mode}{}", visible(content.as_deref().unwrap_or_default())))
        }
        Remediation::Sysctl { value } => Some(visible(value)),
        Remediation::Service { enabled, running } => Some(format!("enabled: {enabled:?}, running: {running:?}")),
        Remediation::Command { command } => Some(visible(&format!("{} {:?}", command.program, command.arguments))),
        Remediation::Script { script } => Some(script_text(script)),
    }
}

fn script_text(script: &Script) -> String {
    let mut parameters = String::new();
    for parameter in &script.parameters {
        parameters.push_str(&format!("# {}={:?}\n", parameter.name.as_str(), parameter.value.argument()));
    }
    format!("{}{}", visible(&parameters), visible(&script.text))
}

fn visible(text: &str) -> String {
    let hidden = |c: char| {
        (c.is_control() && c != '\n' && c != '\t')
            || matches!(c, '\u{200b}'..='\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2060}'..='\u{2069}' | '\u{feff}')
    };
    text.chars().map(|c| if hidden(c) { c.escape_unicode().to_string() } else { c.to_string() }).collect()
}

/// How a setting is put right.
pub(crate) const fn put_right(remediation: &Remediation) -> &'static str {
    match remediation {
        Remediation::File { .. } => "the file is written",
        Remediation::Sysctl { .. } => "the parameter is set",
        Remediation::Service { .. } => "the service is changed",
        Remediation::Command { .. } => "a command, as root",
        Remediation::Script { .. } => "a script, as root",
    }
}

/// Why something could not be found out or put right.
pub(crate) const fn why(reason: &ComplianceReason) -> &'static str {
    match reason {
        ComplianceReason::NotSigned => "No signature of an author that this device's trust bundle names.",
        ComplianceReason::TooFewKeys => "It runs a program, and fewer authors signed it than that needs.",
        ComplianceReason::ScriptPolicy => "The device's script policy allows no programs of baselines.",
        ComplianceReason::Unreadable => "It could not be read.",
        ComplianceReason::SymbolicLink => "The way to the file leads through a symbolic link.",
        ComplianceReason::TooLarge => "There is more of it than is read.",
        ComplianceReason::NotText => "What was found is no text.",
        ComplianceReason::WrongType => "What was found is not of the setting's type.",
        ComplianceReason::CannotStart => "The program could not be started.",
        ComplianceReason::ExitCode => "The program ended with a code that means failure.",
        ComplianceReason::TimedOut => "It took too long and was ended.",
        ComplianceReason::RemediationFailed => "It was to be put right, and is not as it should be.",
        ComplianceReason::Moved => {
            "Its directory was moved or replaced between looking and writing; nothing was written."
        }
        ComplianceReason::Interrupted => "Its evaluation was broken off three times; it rests until the next time.",
    }
}

/// `GET /baselines`
pub(crate) async fn baseline_list(visit: Visit, Wanted(rows): Wanted<Rows>) -> Answer {
    let rows = PageQuery::from(rows);
    let page = visit.ask(muster_site::baseline_list(&visit.ctx, visit.site(), rows).await)?;
    let newest = PageQuery { offset: 0, limit: 100 };
    let deployments = visit.ask(muster_site::baseline_deployment_list(&visit.ctx, visit.site(), newest).await)?;
    visit.page(&BaselinesPage::new(visit.shell("baselines").await?, rows, page, deployments))
}

/// `GET /baselines/{hash}`
pub(crate) async fn baseline_show(visit: Visit, Named(hash): Named<Hash>) -> Answer {
    let info = visit.ask(muster_site::baseline_show(&visit.ctx, visit.site(), hash).await)?;
    visit.page(&BaselinePage { shell: visit.shell("baselines").await?, info })
}

/// `GET /baselines/{hash}/delete`
pub(crate) async fn baseline_delete_confirm(visit: Visit, Named(hash): Named<Hash>) -> Answer {
    let info = visit.ask(muster_site::baseline_show(&visit.ctx, visit.site(), hash).await)?;
    visit.page(&ConfirmPage {
        shell: visit.shell("baselines").await?,
        title: "Delete baseline".to_owned(),
        object: format!("{} {}", info.baseline.name, info.baseline.version),
        consequences: vec![
            "It cannot be deployed any more; its authors' signed file can be added again.".to_owned(),
            "What was put right on devices stays.".to_owned(),
            "It is refused while a deployment of it is in force.".to_owned(),
        ],
        reason: false,
        action: format!("/baselines/{hash}/delete"),
        button: "Delete baseline".to_owned(),
        danger: true,
        back: format!("/baselines/{hash}"),
        hidden: vec![],
    })
}

/// `POST /baselines/{hash}/delete`
pub(crate) async fn baseline_delete(visit: Visit, Named(hash): Named<Hash>) -> Answer {
    visit.ask(muster_site::baseline_delete(&visit.ctx, visit.site(), hash).await)?;
    Ok(go_done("/baselines", Done::BaselineDeleted))
}

/// What of a deployment the address asks for.
#[derive(Debug, serde::Deserialize)]
pub(crate) struct ResultWanted {
    #[serde(default)]
    state: String,
    #[serde(default)]
    device: String,
    #[serde(default)]
    setting: String,
    #[serde(default)]
    differs: String,
}

fn state(visit: &Visit, text: &str) -> Result<Option<ComplianceState>, PageRefusal> {
    match text {
        "" => Ok(None),
        text => ComplianceState::of(text)
            .map(Some)
            .ok_or_else(|| visit.refuse(Refusal::malformed("There is no such state of a setting."))),
    }
}

/// `GET /baseline-deployments/{id}`
pub(crate) async fn deployment_show(
    visit: Visit,
    Named(id): Named<DeploymentId>,
    Wanted(wanted): Wanted<ResultWanted>,
    Wanted(rows): Wanted<Rows>,
) -> Answer {
    let state = state(&visit, &wanted.state)?;
    let rows = PageQuery::from(rows);
    let deployment = visit.ask(muster_site::baseline_deployment_show(&visit.ctx, visit.site(), id).await)?;
    let settings = visit.ask(muster_site::compliance_settings(&visit.ctx, visit.site(), id).await)?;
    let query = ComplianceQuery { state, offset: rows.offset, limit: rows.limit };
    let page = visit.ask(muster_site::compliance_devices(&visit.ctx, visit.site(), id, &query).await)?;
    let shell = visit.shell("baselines").await?;
    visit.page(&BaselineDeploymentPage::new(shell, deployment, settings, state, rows, page))
}

/// `GET /baseline-deployments/{id}/results`
pub(crate) async fn result_list(
    visit: Visit,
    Named(id): Named<DeploymentId>,
    Wanted(wanted): Wanted<ResultWanted>,
    Wanted(rows): Wanted<Rows>,
) -> Answer {
    let rows = PageQuery::from(rows);
    let query = ResultQuery {
        device: chosen(&visit, &wanted.device)?,
        setting: chosen(&visit, &wanted.setting)?,
        differs: !wanted.differs.is_empty(),
        state: state(&visit, &wanted.state)?,
        offset: rows.offset,
        limit: rows.limit,
    };
    let deployment = visit.ask(muster_site::baseline_deployment_show(&visit.ctx, visit.site(), id).await)?;
    let page = visit.ask(muster_site::compliance_results(&visit.ctx, visit.site(), id, &query).await)?;
    let first = page.items.first();
    let title = match (query.device, query.setting) {
        (Some(_), None) => first.map(|row| row.device_name.clone()),
        (None, Some(_)) => first.map(|row| format!("{} / {}", row.item, row.name)),
        _ => None,
    };
    let title = title.unwrap_or_else(|| "Results".to_owned());
    visit.page(&ResultsPage::new(visit.shell("baselines").await?, deployment, title, &query, page))
}

/// The form as it is sent, or as a link fills it in.
#[derive(Debug, serde::Deserialize)]
pub(crate) struct FormFields {
    #[serde(default)]
    baseline: String,
    #[serde(default)]
    device: String,
    #[serde(default)]
    collection: String,
    #[serde(default)]
    hours: String,
    #[serde(default)]
    remediate: String,
    #[serde(default)]
    outside_windows: String,
    #[serde(default)]
    alert_from: String,
}

impl FormFields {
    fn form(self, visit: &Visit) -> Result<BaselineForm, PageRefusal> {
        Ok(BaselineForm {
            baseline: chosen(visit, &self.baseline)?,
            device: chosen(visit, &self.device)?,
            collection: chosen(visit, &self.collection)?,
            hours: self.hours.trim().to_owned(),
            remediate: !self.remediate.is_empty(),
            outside_windows: !self.outside_windows.is_empty(),
            alert_from: self.alert_from,
        })
    }
}

impl BaselineForm {
    /// What the form asks for, or what is wrong with it.
    fn deploy(&self) -> Result<BaselineDeploy, String> {
        let every = match self.hours.as_str() {
            "" => None,
            text => {
                let hours = text.parse::<i64>().ok().filter(|hours| (1..=31 * DAY / HOUR).contains(hours));
                Some(hours.ok_or("It is evaluated every 1 to 744 hours.")? * HOUR)
            }
        };
        let alert_from = SettingSeverity::ALL.iter().copied().find(|severity| severity.as_str() == self.alert_from);
        Ok(BaselineDeploy {
            name: None,
            baseline: self.baseline.ok_or("Choose a baseline.")?,
            target: match (self.device, self.collection) {
                (Some(device), _) => Target::Device { device },
                (None, Some(collection)) => Target::Collection { collection },
                (None, None) => Target::AllSystems,
            },
            every,
            remediate: self.remediate,
            outside_windows: self.outside_windows,
            alert_from,
        })
    }
}

async fn form_page(
    visit: Visit,
    form: BaselineForm,
    preview: Option<BaselinePreview>,
    problem: Option<String>,
) -> Answer {
    let rows = PageQuery { offset: 0, limit: 200 };
    let baselines = visit.ask(muster_site::baseline_list(&visit.ctx, visit.site(), rows).await)?.items;
    let query = DeviceQuery { state: Some(DeviceState::Active), limit: rows.limit, ..DeviceQuery::default() };
    let mut devices = visit.ask(muster_site::device_list(&visit.ctx, visit.site(), query).await)?.items;
    if let Some(id) = form.device.filter(|id| devices.iter().all(|device| device.id != *id)) {
        devices.push(visit.ask(muster_site::device_show(&visit.ctx, visit.site(), id).await)?.device);
    }
    let query = CollectionQuery { limit: 500, ..CollectionQuery::default() };
    let collections = visit.ask(muster_site::collection_list(&visit.ctx, visit.site(), &query).await)?.items;
    let collections = collections.into_iter().filter(|row| row.kind == CollectionKind::Device).collect();
    let shell = visit.shell("baselines").await?;
    visit.page(&BaselineNewPage { shell, baselines, devices, collections, form, preview, problem })
}

/// `GET /baseline-deployments/new`
pub(crate) async fn deployment_new(visit: Visit, Wanted(fields): Wanted<FormFields>) -> Answer {
    let form = fields.form(&visit)?;
    form_page(visit, form, None, None).await
}

/// `POST /baseline-deployments/preview`
pub(crate) async fn deployment_preview(visit: Visit, Fields(fields): Fields<FormFields>) -> Answer {
    let form = fields.form(&visit)?;
    let deploy = match form.deploy() {
        Ok(deploy) => deploy,
        Err(problem) => return form_page(visit, form, None, Some(problem)).await,
    };
    match muster_site::baseline_preview(&visit.ctx, visit.site(), &deploy).await {
        Ok(preview) => form_page(visit, form, Some(preview), None).await,
        Err(error) => form_page(visit, form, None, Some(error.problem().detail)).await,
    }
}

/// `POST /baseline-deployments`
pub(crate) async fn baseline_deploy(visit: Visit, Fields(fields): Fields<FormFields>) -> Answer {
    let form = fields.form(&visit)?;
    let deploy = match form.deploy() {
        Ok(deploy) => deploy,
        Err(problem) => return form_page(visit, form, None, Some(problem)).await,
    };
    let deployment = visit.ask(muster_site::baseline_deploy(&visit.ctx, visit.site(), &deploy).await)?;
    Ok(go_done(&format!("/baseline-deployments/{}", deployment.id), Done::Deployed))
}

/// `GET /baseline-deployments/{id}/delete`
pub(crate) async fn delete_confirm(visit: Visit, Named(id): Named<DeploymentId>) -> Answer {
    let deployment = visit.ask(muster_site::baseline_deployment_show(&visit.ctx, visit.site(), id).await)?;
    let bar = Bar::compliance(&deployment.totals);
    visit.page(&ConfirmPage {
        shell: visit.shell("baselines").await?,
        title: "Delete deployment".to_owned(),
        object: deployment.name.to_string(),
        consequences: vec![
            "Devices are not held against it any more.".to_owned(),
            "What was put right on them stays.".to_owned(),
            format!("What they said last is kept. It stands at: {}.", bar.sentence()),
        ],
        reason: false,
        action: format!("/baseline-deployments/{id}/delete"),
        button: "Delete deployment".to_owned(),
        danger: true,
        back: format!("/baseline-deployments/{id}"),
        hidden: vec![],
    })
}

/// `POST /baseline-deployments/{id}/delete`
pub(crate) async fn deployment_delete(visit: Visit, Named(id): Named<DeploymentId>) -> Answer {
    visit.ask(muster_site::baseline_deployment_delete(&visit.ctx, visit.site(), id).await)?;
    Ok(go_done(&format!("/baseline-deployments/{id}"), Done::DeploymentDeleted))
}
