//! The approval queue: who asks to be enrolled, and the decision about each.

use super::{
    format,
    paging::{Paging, query},
    shell::{Done, Shell},
    visit::{Answer, Fields, Named, ReasonFields, Rows, Visit, Wanted, chosen, go_done},
};
use askama::Template;
use muster_model::{
    api::{Enrolment, EnrolmentState, Page, PageQuery, Reason},
    id::EnrolmentId,
};

/// `GET /enrolments`.
#[derive(Debug, Template)]
#[template(path = "enrolments.html")]
pub(crate) struct EnrolmentsPage {
    /// What surrounds the page.
    pub(crate) shell: Shell,
    /// Requests of this state.
    pub(crate) state: EnrolmentState,
    /// The requests.
    pub(crate) page: Page<Enrolment>,
    paging: Paging,
}

impl EnrolmentsPage {
    /// The page for these requests.
    pub(crate) fn new(shell: Shell, state: EnrolmentState, wanted: PageQuery, page: Page<Enrolment>) -> Self {
        let address = |offset: u64| {
            let offset = offset.to_string();
            format!("/enrolments{}", query(&[("state", state.as_str()), ("offset", &offset)]))
        };
        let paging = Paging::new(&page, wanted.limit, address);
        Self { shell, state, page, paging }
    }

    fn states(&self) -> &'static [EnrolmentState] {
        EnrolmentState::ALL
    }

    fn is_state(&self, state: &EnrolmentState) -> bool {
        self.state == *state
    }
}

/// Requests of which state the address asks for.
#[derive(Debug, serde::Deserialize)]
pub(crate) struct StateWanted {
    #[serde(default)]
    state: String,
}

/// `GET /enrolments`
pub(crate) async fn enrolment_list(
    visit: Visit,
    Wanted(state): Wanted<StateWanted>,
    Wanted(rows): Wanted<Rows>,
) -> Answer {
    let state = chosen(&visit, &state.state)?.unwrap_or(EnrolmentState::Pending);
    let rows = PageQuery::from(rows);
    let page = visit.ask(muster_site::enrolment_list(&visit.ctx, visit.site(), Some(state), rows).await)?;
    visit.page(&EnrolmentsPage::new(visit.shell("enrolments").await?, state, rows, page))
}

/// `POST /enrolments/{id}/approve`
pub(crate) async fn enrolment_approve(visit: Visit, Named(id): Named<EnrolmentId>) -> Answer {
    visit.ask(muster_site::enrolment_approve(&visit.ctx, visit.site(), id).await)?;
    Ok(go_done("/enrolments", Done::Approved))
}

/// `POST /enrolments/{id}/refuse`
pub(crate) async fn enrolment_refuse(
    visit: Visit,
    Named(id): Named<EnrolmentId>,
    Fields(fields): Fields<ReasonFields>,
) -> Answer {
    let reason = Reason { reason: fields.reason };
    visit.ask(muster_site::enrolment_refuse(&visit.ctx, visit.site(), id, reason).await)?;
    Ok(go_done("/enrolments", Done::Refused))
}
