//! `muster conflict`: two machines that look like one device.

use super::{Context, Part, ask::confirm};
use crate::{CliError, output, when};
use clap::Subcommand;
use muster_model::{
    api::{Conflict, ConflictDecide, ConflictDecision, ConflictMachine, ConflictQuery},
    id::ConflictId,
};

#[derive(Debug, Subcommand)]
pub(super) enum Verb {
    /// List conflicts that wait for a decision
    List {
        /// Those that are decided, too
        #[arg(long)]
        all: bool,
        #[command(flatten)]
        part: Part,
    },
    /// Say what a conflict was
    Decide {
        /// Id of the conflict
        conflict: ConflictId,
        /// `same_machine`: it goes on, or the request takes its place; `two_machines`: its key is given up, or the request is a device
        /// of its own; block: both are locked out; refused: the request alone
        #[arg(long = "as", value_name = "DECISION")]
        decision: ConflictDecision,
        /// Why, for the audit log
        #[arg(long)]
        reason: String,
    },
}

impl Verb {
    pub(super) async fn run(self, ctx: &Context) -> Result<(), CliError> {
        match self {
            Self::List { all, part } => {
                let wanted = ConflictQuery { open: !all, offset: part.offset, limit: part.limit };
                let page = ctx.client().await?.conflict_list(&wanted).await?;
                ctx.out.value(&page, |page| {
                    let rows = page.items.iter().map(|c| row(ctx, c));
                    let head = ["ID", "DEVICE", "STATE", "SEEN", "FOUND", "FIRST", "SECOND", "DECIDED"];
                    output::listed(
                        &output::table(head, rows),
                        page.items.len(),
                        page.total,
                        page.offset,
                        "No conflicts.",
                    )
                })
            }
            Self::Decide { conflict, decision, reason } => {
                let client = ctx.client().await?;
                let found = client.conflict_show(conflict).await?;
                let about = format!(
                    "Device {}, {}\n  {}\n  {}\n{}",
                    found.device,
                    found.device_state,
                    output::clean(&machine(&found.first)),
                    output::clean(&machine(&found.second)),
                    consequence(decision, found.enrolment.is_some())
                );
                confirm(ctx, &about)?;
                let decided = client.conflict_decide(conflict, &ConflictDecide { decision, reason }).await?;
                ctx.out.value(&decided, |c| format!("Device {} is {} now.", c.device, c.device_state))
            }
        }
    }
}

const fn consequence(decision: ConflictDecision, asking: bool) -> &'static str {
    match decision {
        ConflictDecision::SameMachine if asking => {
            "The request is approved and takes the place of the device, which is retired. This cannot be undone."
        }
        ConflictDecision::TwoMachines if asking => "The request is approved as a device of its own.",
        ConflictDecision::Refused => "The request is refused, and the device goes on as it is.",
        ConflictDecision::SameMachine => "The device goes on, with the hardware that it has now.",
        ConflictDecision::TwoMachines => {
            "The device is retired and its key is never accepted again; each machine enrols anew. This cannot be undone."
        }
        ConflictDecision::Block => {
            "The device is locked out, and no machine with a hardware id that is listed here can enrol."
        }
    }
}

fn row(ctx: &Context, conflict: &Conflict) -> [String; 8] {
    [
        conflict.id.to_string(),
        conflict.device.to_string(),
        conflict.device_state.to_string(),
        conflict.kind.to_string(),
        when::human(ctx.now, conflict.found),
        machine(&conflict.first),
        machine(&conflict.second),
        conflict.decision.map(|decision| decision.to_string()).unwrap_or_default(),
    ]
}

fn machine(machine: &ConflictMachine) -> String {
    let hardware = machine.hardware_id.map(|id| format!(" {id:.16}…")).unwrap_or_default();
    format!("{} {}{hardware}", machine.address, machine.name).trim().to_owned()
}
