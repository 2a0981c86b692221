//! The overview: what is there, what happened, what needs somebody.

use super::{
    chart::{self, Bar, Hours, Rank},
    format, paging,
    shell::Shell,
    visit::{Answer, Visit},
};
use askama::Template;
use muster_model::{
    api::{Count, Dashboard, DeviceState, ModelCount},
    id::DeploymentId,
};

/// `GET /`.
#[derive(Debug, Template)]
#[template(path = "dashboard.html")]
pub(crate) struct DashboardPage {
    /// What surrounds the page.
    pub(crate) shell: Shell,
    /// The figures.
    pub(crate) dashboard: Dashboard,
    /// Devices by state, all states.
    states: Vec<(DeviceState, u64)>,
    devices: Hours,
    reports: Hours,
    systems: Vec<Rank>,
    models: Vec<Rank>,
    manufacturers: Vec<Rank>,
    software: Vec<(u64, Rank)>,
    deployments: Vec<(DeploymentId, String, Bar)>,
}

impl DashboardPage {
    /// The page for these figures.
    pub(crate) fn new(shell: Shell, dashboard: Dashboard) -> Self {
        let number = |state: &DeviceState| dashboard.devices.get(state.as_str()).copied().unwrap_or_default();
        let spread = &dashboard.spread;
        let models: Vec<Count> = spread.models.iter().map(model).collect();
        let titles: Vec<Count> =
            spread.software.iter().map(|t| Count { label: t.product.clone(), count: t.devices }).collect();
        let deployment = |d: &muster_model::api::Deployment| (d.id, d.name.to_string(), Bar::new(&d.totals));
        Self {
            states: DeviceState::ALL.iter().map(|s| (*s, number(s))).collect(),
            devices: Hours::devices(&dashboard.seen),
            reports: Hours::reports(&dashboard.seen),
            systems: chart::ranking(&dashboard.operating_systems),
            models: chart::ranking(&models),
            manufacturers: chart::ranking(&spread.manufacturers),
            software: spread.software.iter().map(|title| title.id).zip(chart::ranking(&titles)).collect(),
            deployments: dashboard.deployments.iter().map(deployment).collect(),
            shell,
            dashboard,
        }
    }

    /// Devices that are not retired.
    fn managed(&self) -> u64 {
        self.states.iter().filter(|(state, _)| *state != DeviceState::Retired).map(|(_, count)| count).sum()
    }

    /// Whether nothing enrolled yet: the page says how to begin.
    fn is_new(&self) -> bool {
        self.states.iter().all(|(_, count)| *count == 0)
    }
}

/// A model under its maker's name, which many models begin with anyway.
fn model(model: &ModelCount) -> Count {
    let label = match model.model.starts_with(&model.manufacturer) {
        true => model.model.clone(),
        false => format!("{} {}", model.manufacturer, model.model).trim_end().to_owned(),
    };
    Count { label, count: model.count }
}

/// `GET /`
pub(crate) async fn dashboard_show(visit: Visit) -> Answer {
    let dashboard = visit.ask(muster_site::dashboard_show(&visit.ctx, visit.site()).await)?;
    visit.page(&DashboardPage::new(visit.shell("overview").await?, dashboard))
}
