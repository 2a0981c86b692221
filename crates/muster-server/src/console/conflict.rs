//! Conflicts: two machines that look like one device, side by side, and the decision about them.

use super::{
    format,
    paging::{Paging, query},
    shell::{Done, Shell},
    visit::{Answer, Fields, Named, Rows, Visit, Wanted, chosen, go_done},
};
use askama::Template;
use muster_model::{
    api::{Conflict, ConflictDecide, ConflictDecision, ConflictKind, ConflictMachine, ConflictQuery, Page, PageQuery},
    id::ConflictId,
    problem::Code,
};

/// `GET /conflicts`.
#[derive(Debug, Template)]
#[template(path = "conflicts.html")]
pub(crate) struct ConflictsPage {
    /// What surrounds the page.
    pub(crate) shell: Shell,
    /// Only those that wait for a decision.
    pub(crate) open: bool,
    /// The conflicts.
    pub(crate) page: Page<Conflict>,
    paging: Paging,
}

impl ConflictsPage {
    /// The page for these conflicts.
    pub(crate) fn new(shell: Shell, wanted: ConflictQuery, page: Page<Conflict>) -> Self {
        let all = if wanted.open { "" } else { "yes" };
        let address = |offset: u64| format!("/conflicts{}", query(&[("all", all), ("offset", &offset.to_string())]));
        let paging = Paging::new(&page, wanted.limit, address);
        Self { shell, open: wanted.open, page, paging }
    }

    fn seen(&self, kind: &ConflictKind) -> &'static str {
        match kind {
            ConflictKind::SequenceFork => {
                "Its key signed two different histories. A copy of its state is in use on another machine, or an old image of it was restored."
            }
            ConflictKind::HardwareId => {
                "Its key is in use on a machine with other hardware. It was copied to another machine, or the hardware was exchanged."
            }
            ConflictKind::EnrolledAgain => {
                "A machine with its hardware asks to be enrolled with another key. It was installed anew, or says what it is not. The device goes on meanwhile."
            }
            ConflictKind::EnterpriseKey => {
                "The private key of its enterprise certificate is in use under another device key. It was copied to another machine, or the client was installed anew."
            }
        }
    }

    fn machines<'a>(&self, conflict: &'a Conflict) -> [(&'static str, &'a ConflictMachine); 2] {
        [("Who had spoken before", &conflict.first), ("Who came then", &conflict.second)]
    }

    fn choices(&self, conflict: &Conflict) -> &'static [(ConflictDecision, &'static str, &'static str)] {
        if conflict.enrolment.is_some() {
            return &ASKING;
        }
        &[
            (
                ConflictDecision::SameMachine,
                "It is one machine",
                "The device goes on, with the hardware that it has now. Right after an image was restored, or a part was exchanged.",
            ),
            (
                ConflictDecision::TwoMachines,
                "They are two machines",
                "The device is retired and its key is never accepted again. Each machine enrols anew, with a token of its own; \
                 before the next image is taken, run muster-agent prepare-image.",
            ),
            (
                ConflictDecision::Block,
                "Lock both out",
                "The device is blocked, and no machine with a hardware id that is seen here can enrol under another name.",
            ),
        ]
    }

    fn decided(&self, conflict: &Conflict) -> &'static str {
        match conflict.decision {
            Some(ConflictDecision::SameMachine) => "one machine",
            Some(ConflictDecision::TwoMachines) => "two machines",
            Some(ConflictDecision::Block) => "locked out",
            Some(ConflictDecision::Refused) => "the request was refused",
            None => "open",
        }
    }
}

/// What can be decided where one of the two only asks to be enrolled.
const ASKING: [(ConflictDecision, &str, &str); 4] = [
    (
        ConflictDecision::SameMachine,
        "It is the same machine, installed anew",
        "The request is approved and takes the place of the device, which is retired.",
    ),
    (
        ConflictDecision::TwoMachines,
        "They are two machines",
        "The request is approved as a device of its own. Two machines never have one TPM: with the same TPM this is refused.",
    ),
    (ConflictDecision::Refused, "Refuse the request", "The device goes on as it is."),
    (
        ConflictDecision::Block,
        "Lock both out",
        "The request is refused and the device blocked; no machine with its key or hardware can enrol under another name.",
    ),
];

/// Whether the address asks for those that are decided, too.
#[derive(Debug, serde::Deserialize)]
pub(crate) struct AllWanted {
    #[serde(default)]
    all: String,
}

/// `GET /conflicts`
pub(crate) async fn conflict_list(visit: Visit, Wanted(all): Wanted<AllWanted>, Wanted(rows): Wanted<Rows>) -> Answer {
    let rows = PageQuery::from(rows);
    let query = ConflictQuery { open: all.all.is_empty(), offset: rows.offset, limit: rows.limit };
    let page = visit.ask(muster_site::conflict_list(&visit.ctx, visit.site(), query.clone()).await)?;
    visit.page(&ConflictsPage::new(visit.shell("conflicts").await?, query, page))
}

/// The form of a decision.
#[derive(Debug, serde::Deserialize)]
pub(crate) struct DecisionFields {
    #[serde(default)]
    decision: String,
    #[serde(default)]
    reason: String,
}

/// `POST /conflicts/{id}/decide`
pub(crate) async fn conflict_decide(
    visit: Visit,
    Named(id): Named<ConflictId>,
    Fields(fields): Fields<DecisionFields>,
) -> Answer {
    let decision = chosen(&visit, &fields.decision)?.ok_or_else(|| {
        visit.refuse(crate::http::respond::Refusal::new(Code::Malformed, "Choose what was found out."))
    })?;
    let decide = ConflictDecide { decision, reason: fields.reason };
    visit.ask(muster_site::conflict_decide(&visit.ctx, visit.site(), id, decide).await)?;
    Ok(go_done("/conflicts", Done::ConflictDecided))
}
