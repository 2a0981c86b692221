//! The approval queue: who asks to be enrolled, and the decision about each.

use super::{
    format,
    paging::{Paging, query},
    shell::Shell,
};
use askama::Template;
use muster_model::api::{Enrolment, EnrolmentState, Page, PageQuery};

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
