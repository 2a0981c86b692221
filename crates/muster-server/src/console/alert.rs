//! Alerts: what needs somebody.

use super::{
    format,
    paging::{Paging, query},
    shell::{Done, Shell},
    visit::{Answer, Named, Rows, Visit, Wanted, go_done},
};
use askama::Template;
use muster_model::{
    api::{Alert, AlertDevice, AlertKind, AlertPostpone, AlertQuery, AlertState, Page, PageQuery},
    id::AlertId,
};

/// `GET /alerts`.
#[derive(Debug, Template)]
#[template(path = "alerts.html")]
pub(crate) struct AlertsPage {
    /// What surrounds the page.
    pub(crate) shell: Shell,
    /// What is over, too.
    pub(crate) all: bool,
    /// The alerts.
    pub(crate) page: Page<Alert>,
    paging: Paging,
}

impl AlertsPage {
    /// The page for these alerts.
    pub(crate) fn new(shell: Shell, wanted: AlertQuery, page: Page<Alert>) -> Self {
        let all = if wanted.all { "yes" } else { "" };
        let address = |offset: u64| format!("/alerts{}", query(&[("all", all), ("offset", &offset.to_string())]));
        let paging = Paging::new(&page, wanted.limit, address);
        Self { shell, all: wanted.all, page, paging }
    }
}

/// `GET /alerts/{id}`.
#[derive(Debug, Template)]
#[template(path = "alert.html")]
pub(crate) struct AlertPage {
    /// What surrounds the page.
    pub(crate) shell: Shell,
    /// The alert.
    pub(crate) alert: Alert,
    /// Its devices.
    pub(crate) page: Page<AlertDevice>,
    paging: Paging,
}

impl AlertPage {
    /// The page for this alert.
    pub(crate) fn new(shell: Shell, alert: Alert, wanted: PageQuery, page: Page<AlertDevice>) -> Self {
        let paging = Paging::new(&page, wanted.limit, |offset| format!("/alerts/{}?offset={offset}", alert.id));
        Self { shell, alert, page, paging }
    }

    /// Where the thing is that it is about, and what that is.
    fn subject(&self) -> Option<(String, &'static str)> {
        let of = &self.alert.subject;
        match self.alert.kind {
            AlertKind::MobileBlocked => None,
            AlertKind::LogAltered => Some((format!("/devices/{of}/logs"), "the log of the device")),
            AlertKind::AuditAltered => Some(("/audit".to_owned(), "the audit log")),
            AlertKind::ClientsInactive | AlertKind::ClientsUnhealthy => {
                Some((format!("/client-status?collection={of}"), "the clients"))
            }
            AlertKind::StatusRule | AlertKind::ComponentStatus => Some(("/status-rules".to_owned(), "filter rules")),
            AlertKind::NeverFits | AlertKind::PhaseStopped | AlertKind::DeadlineMissed => {
                Some((format!("/deployments/{of}"), "the deployment"))
            }
        }
    }

    fn is_over(&self) -> bool {
        self.alert.state == AlertState::Closed
    }

    fn is_open(&self) -> bool {
        self.alert.state == AlertState::Open
    }
}

/// Whether the address asks for those that are over, too.
#[derive(Debug, serde::Deserialize)]
pub(crate) struct AllWanted {
    #[serde(default)]
    all: String,
}

/// `GET /alerts`
pub(crate) async fn alert_list(visit: Visit, Wanted(all): Wanted<AllWanted>, Wanted(rows): Wanted<Rows>) -> Answer {
    let rows = PageQuery::from(rows);
    let query = AlertQuery { all: !all.all.is_empty(), offset: rows.offset, limit: rows.limit };
    let page = visit.ask(muster_site::alert_list(&visit.ctx, visit.site(), query).await)?;
    visit.page(&AlertsPage::new(visit.shell("alerts").await?, query, page))
}

/// `GET /alerts/{id}`
pub(crate) async fn alert_show(visit: Visit, Named(id): Named<AlertId>, Wanted(rows): Wanted<Rows>) -> Answer {
    let rows = PageQuery::from(rows);
    let alert = visit.ask(muster_site::alert_show(&visit.ctx, visit.site(), id).await)?;
    let page = visit.ask(muster_site::alert_devices(&visit.ctx, visit.site(), id, rows).await)?;
    visit.page(&AlertPage::new(visit.shell("alerts").await?, alert, rows, page))
}

/// `POST /alerts/{id}/postpone`
pub(crate) async fn alert_postpone(visit: Visit, Named(id): Named<AlertId>) -> Answer {
    let wanted = AlertPostpone { hours: 24 };
    visit.ask(muster_site::alert_postpone(&visit.ctx, visit.site(), id, wanted).await)?;
    Ok(go_done(&format!("/alerts/{id}"), Done::AlertPostponed))
}

/// `POST /alerts/{id}/close`
pub(crate) async fn alert_close(visit: Visit, Named(id): Named<AlertId>) -> Answer {
    visit.ask(muster_site::alert_close(&visit.ctx, visit.site(), id).await)?;
    Ok(go_done(&format!("/alerts/{id}"), Done::AlertClosed))
}

/// `POST /alerts/{id}/acknowledge`
pub(crate) async fn alert_acknowledge(visit: Visit, Named(id): Named<AlertId>) -> Answer {
    visit.ask(muster_site::alert_acknowledge(&visit.ctx, visit.site(), id).await)?;
    Ok(go_done(&format!("/alerts/{id}"), Done::AlertAcknowledged))
}
