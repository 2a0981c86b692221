//! What is done to a deployment in force: pause, resume, cancel, retry, the next phase; each behind a page that says what it will do.
//! And what happened to it on one device.

use super::{
    chart::{Bar, WIDTH},
    confirm::ConfirmPage,
    format,
    paging::Paging,
    shell::{Done, Shell},
    visit::{Answer, Fields, Named, PageRefusal, Rows, Visit, Wanted, go_done},
};
use askama::Template;
use muster_model::{
    api::{
        Deployment, DeploymentEvent, DeploymentRetry, DeploymentStanding, Page, PageQuery, PhaseBegin, PhaseStanding,
        Reason,
    },
    id::{DeploymentId, DeviceId},
    status::DeploymentState,
    time::UnixMillis,
};

/// The bar of a phase.
pub(crate) fn bar(phase: &PhaseStanding) -> Bar {
    Bar::new(&phase.totals)
}

/// The number of the phase that an administrator may begin now.
pub(crate) fn next_phase(standing: &DeploymentStanding) -> Option<u32> {
    let over = standing.paused.is_some() || standing.cancelled.is_some();
    standing.phases.iter().find(|phase| phase.begun.is_none() && !over).map(|phase| phase.number)
}

/// One piece of the picture of a deployment on a device: a state for as long as it lasted.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Piece {
    pub(crate) state: DeploymentState,
    pub(crate) x: u64,
    pub(crate) width: u64,
}

/// The states of a page of events along the time between the first and the last of them, by the clock of the site.
fn pieces(events: &[DeploymentEvent], now: UnixMillis) -> Vec<Piece> {
    let step = |event: &DeploymentEvent| Some((event.received, event.state?));
    let times: Vec<_> = events.iter().rev().filter_map(step).collect();
    let Some(first) = times.first().map(|(time, _)| *time) else { return Vec::new() };
    let whole = now.since(first).max(1).unsigned_abs();
    let place = |time: UnixMillis| {
        let share = u128::from(time.since(first).max(0).unsigned_abs()) * u128::from(WIDTH) / u128::from(whole);
        u64::try_from(share).unwrap_or(WIDTH).min(WIDTH)
    };
    let ends = times.iter().skip(1).map(|(time, _)| *time).chain([now]);
    times
        .iter()
        .zip(ends)
        .map(|((from, state), until)| Piece {
            state: *state,
            x: place(*from),
            width: place(until).saturating_sub(place(*from)).max(2),
        })
        .collect()
}

/// `GET /deployments/{id}/devices/{device}`.
#[derive(Debug, Template)]
#[template(path = "deployment_history.html")]
pub(crate) struct DeploymentHistoryPage {
    /// What surrounds the page.
    pub(crate) shell: Shell,
    /// The deployment.
    pub(crate) deployment: Deployment,
    /// The device.
    pub(crate) device: DeviceId,
    /// Its host name.
    pub(crate) device_name: String,
    /// The steps, the latest first.
    pub(crate) page: Page<DeploymentEvent>,
    /// Whether there is something to try again.
    may_retry: bool,
    paging: Paging,
    pieces: Vec<Piece>,
}

impl DeploymentHistoryPage {
    /// The page for these steps.
    pub(crate) fn new(
        shell: Shell,
        deployment: Deployment,
        (device, device_name): (DeviceId, String),
        state: Option<DeploymentState>,
        wanted: PageQuery,
        page: Page<DeploymentEvent>,
    ) -> Self {
        let address = |offset: u64| format!("/deployments/{}/devices/{device}?offset={offset}", deployment.id);
        let paging = Paging::new(&page, wanted.limit, address);
        let pieces = pieces(&page.items, shell.now);
        let failed = matches!(state, Some(DeploymentState::Failed | DeploymentState::RequirementsNotMet));
        let may_retry = failed && !deployment.deleted && shell.may_change();
        Self { shell, deployment, device, device_name, page, may_retry, paging, pieces }
    }

    /// The picture in words.
    fn sentence(&self) -> String {
        let states = self.page.items.iter().rev().filter_map(|event| event.state);
        let states: Vec<_> = states.map(|state| format::words(state.as_str())).collect();
        states.join(", then ")
    }
}

/// `GET /deployments/{id}/devices/{device}`
pub(crate) async fn deployment_history(
    visit: Visit,
    Named((id, device)): Named<(DeploymentId, DeviceId)>,
    Wanted(rows): Wanted<Rows>,
) -> Answer {
    let rows = PageQuery::from(rows);
    let deployment = visit.ask(muster_site::deployment_show(&visit.ctx, visit.site(), id).await)?;
    let page = visit.ask(muster_site::deployment_history(&visit.ctx, visit.site(), id, device, rows).await)?;
    let name = visit.ask(muster_site::device_show(&visit.ctx, visit.site(), device).await)?.device.name;
    let state = visit.ask(muster_site::deployment_state(&visit.ctx, visit.site(), id, device).await)?;
    let shell = visit.shell("deployments").await?;
    visit.page(&DeploymentHistoryPage::new(shell, deployment, (device, name), state, rows, page))
}

/// What is asked before something is done.
struct Question {
    verb: &'static str,
    title: &'static str,
    button: &'static str,
    consequences: Vec<String>,
    reason: bool,
    danger: bool,
    hidden: Vec<(String, String)>,
}

async fn ask(visit: Visit, id: DeploymentId, question: impl FnOnce(&DeploymentStanding) -> Question) -> Answer {
    let deployment = visit.ask(muster_site::deployment_show(&visit.ctx, visit.site(), id).await)?;
    let standing = visit.ask(muster_site::deployment_standing(&visit.ctx, visit.site(), id).await)?;
    let Question { verb, title, button, consequences, reason, danger, hidden } = question(&standing);
    visit.page(&ConfirmPage {
        shell: visit.shell("deployments").await?,
        title: title.to_owned(),
        object: deployment.name.to_string(),
        consequences,
        reason,
        action: format!("/deployments/{id}/{verb}"),
        button: button.to_owned(),
        danger,
        back: format!("/deployments/{id}"),
        hidden,
    })
}

/// `GET /deployments/{id}/pause`
pub(crate) async fn pause_confirm(visit: Visit, Named(id): Named<DeploymentId>) -> Answer {
    ask(visit, id, |standing| Question {
        verb: "pause",
        title: "Pause deployment",
        button: "Pause deployment",
        consequences: vec![
            format!("It begins no more on {} that did not begin.", format::counted(standing.not_begun, "device")),
            format!("On {} it goes on to its end.", format::counted(standing.begun, "device")),
            "It goes on when somebody resumes it.".to_owned(),
        ],
        reason: true,
        danger: false,
        hidden: vec![],
    })
    .await
}

/// `GET /deployments/{id}/resume`
pub(crate) async fn resume_confirm(visit: Visit, Named(id): Named<DeploymentId>) -> Answer {
    ask(visit, id, |standing| Question {
        verb: "resume",
        title: "Resume deployment",
        button: "Resume deployment",
        consequences: vec![
            format!("It may begin again on {}.", format::counted(standing.not_begun, "device")),
            format!(
                "The failures so far, on {}, do not stop its phases once more.",
                format::counted(standing.failed, "device")
            ),
        ],
        reason: false,
        danger: false,
        hidden: vec![],
    })
    .await
}

/// `GET /deployments/{id}/cancel`
pub(crate) async fn cancel_confirm(visit: Visit, Named(id): Named<DeploymentId>) -> Answer {
    ask(visit, id, |standing| Question {
        verb: "cancel",
        title: "Cancel deployment",
        button: "Cancel deployment",
        consequences: vec![
            format!("On {} it never begins. This cannot be undone.", format::counted(standing.not_begun, "device")),
            format!(
                "Of {} on which it began, what is installing at this moment finishes; what waits for a restart or for another try does not go on.",
                format::counted(standing.begun, "device")
            ),
            "Nothing is removed from any device, and its history is kept.".to_owned(),
        ],
        reason: true,
        danger: true,
        hidden: vec![],
    })
    .await
}

/// `GET /deployments/{id}/retry`
pub(crate) async fn retry_confirm(visit: Visit, Named(id): Named<DeploymentId>) -> Answer {
    ask(visit, id, |standing| Question {
        verb: "retry",
        title: "Try again",
        button: "Try again",
        consequences: vec![format!(
            "It is tried again on {} on which it failed, when its time and a maintenance window allow.",
            format::counted(standing.failed, "device")
        )],
        reason: false,
        danger: false,
        hidden: vec![],
    })
    .await
}

/// `GET /deployments/{id}/phase`
pub(crate) async fn phase_confirm(visit: Visit, Named(id): Named<DeploymentId>) -> Answer {
    ask(visit, id, |standing| {
        let number = next_phase(standing).unwrap_or_default();
        let phase = standing.phases.iter().find(|phase| phase.number == number);
        let devices = phase.map_or(0, |phase| phase.totals.values().sum());
        Question {
            verb: "phase",
            title: "Begin the next phase",
            button: "Begin it now",
            consequences: vec![
                format!("Phase {number} begins on {}, whatever its criteria say.", format::counted(devices, "device")),
                phase.map(|phase| phase.says.clone()).unwrap_or_default(),
            ],
            reason: false,
            danger: true,
            hidden: vec![("phase".to_owned(), number.to_string())],
        }
    })
    .await
}

/// Why.
#[derive(Debug, serde::Deserialize)]
pub(crate) struct Why {
    #[serde(default)]
    reason: String,
}

/// Which phase the page named.
#[derive(Debug, serde::Deserialize)]
pub(crate) struct Next {
    #[serde(default)]
    phase: u32,
}

fn done(id: DeploymentId, done: Done) -> axum::response::Response {
    go_done(&format!("/deployments/{id}"), done)
}

/// `POST /deployments/{id}/pause`
pub(crate) async fn deployment_pause(
    visit: Visit,
    Named(id): Named<DeploymentId>,
    Fields(why): Fields<Why>,
) -> Result<axum::response::Response, PageRefusal> {
    let reason = Reason { reason: why.reason };
    visit.ask(muster_site::deployment_pause(&visit.ctx, visit.site(), id, reason).await)?;
    Ok(done(id, Done::DeploymentPaused))
}

/// `POST /deployments/{id}/resume`
pub(crate) async fn deployment_resume(visit: Visit, Named(id): Named<DeploymentId>) -> Answer {
    visit.ask(muster_site::deployment_resume(&visit.ctx, visit.site(), id).await)?;
    Ok(done(id, Done::DeploymentResumed))
}

/// `POST /deployments/{id}/cancel`
pub(crate) async fn deployment_cancel(
    visit: Visit,
    Named(id): Named<DeploymentId>,
    Fields(why): Fields<Why>,
) -> Answer {
    let reason = Reason { reason: why.reason };
    visit.ask(muster_site::deployment_cancel(&visit.ctx, visit.site(), id, reason).await)?;
    Ok(done(id, Done::DeploymentCancelled))
}

/// `POST /deployments/{id}/retry`
pub(crate) async fn deployment_retry(visit: Visit, Named(id): Named<DeploymentId>) -> Answer {
    visit.ask(muster_site::deployment_retry(&visit.ctx, visit.site(), id, DeploymentRetry::default()).await)?;
    Ok(done(id, Done::DeploymentRetried))
}

/// `POST /deployments/{id}/devices/{device}/retry`
pub(crate) async fn device_retry(visit: Visit, Named((id, device)): Named<(DeploymentId, DeviceId)>) -> Answer {
    let one = DeploymentRetry { device: Some(device), phase: None };
    visit.ask(muster_site::deployment_retry(&visit.ctx, visit.site(), id, one).await)?;
    Ok(go_done(&format!("/deployments/{id}/devices/{device}"), Done::DeploymentRetried))
}

/// `POST /deployments/{id}/phase`
pub(crate) async fn phase_begin(visit: Visit, Named(id): Named<DeploymentId>, Fields(next): Fields<Next>) -> Answer {
    let wanted = PhaseBegin { phase: next.phase };
    visit.ask(muster_site::deployment_phase_begin(&visit.ctx, visit.site(), id, wanted).await)?;
    Ok(done(id, Done::PhaseBegun))
}

#[cfg(test)]
mod unit {
    use super::*;
    use muster_model::api::DeploymentAct;

    #[test]
    fn a_picture_covers_the_time_from_the_first_step_to_now() {
        let event = |received, state| DeploymentEvent {
            happened: UnixMillis(0),
            received: UnixMillis(received),
            state,
            act: state.is_none().then_some(DeploymentAct::Pause),
            by: None,
            reason: None,
            exit_code: None,
            waits: None,
            starts: None,
            output: String::new(),
            attempt: 0,
        };
        // What administrators did is no state.
        let events = [
            event(750, Some(DeploymentState::Succeeded)),
            event(600, None),
            event(500, Some(DeploymentState::Waiting)),
        ];
        let found: Vec<_> = pieces(&events, UnixMillis(1_000)).iter().map(|piece| (piece.x, piece.width)).collect();
        assert_eq!(found, [(0, 500), (500, 500)]);
        // A clock that was set back draws nothing outside of the picture.
        assert!(pieces(&events, UnixMillis(0)).iter().all(|piece| piece.x <= WIDTH));
        assert!(pieces(&[], UnixMillis(0)).is_empty());
    }
}
