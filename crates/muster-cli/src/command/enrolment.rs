//! `muster enrolment`: devices that ask to be enrolled.

use super::{Context, Part, ask::confirm, find};
use crate::{CliError, output, when};
use clap::Subcommand;
use muster_model::api::{Enrolment, EnrolmentState, Reason};

#[derive(Debug, Subcommand)]
pub(super) enum Verb {
    /// List requests
    List {
        /// Only in this state: pending, approved, refused
        #[arg(long)]
        state: Option<EnrolmentState>,
        #[command(flatten)]
        part: Part,
    },
    /// Approve a request: the device becomes managed
    Approve {
        /// Id of the request, or the host name
        request: String,
    },
    /// Refuse a request
    Refuse {
        /// Id of the request, or the host name
        request: String,
        /// Why, for the audit log
        #[arg(long)]
        reason: String,
    },
}

impl Verb {
    pub(super) async fn run(self, ctx: &Context) -> Result<(), CliError> {
        match self {
            Self::List { state, part } => enrolment_list(ctx, state, part).await,
            Self::Approve { request } => {
                let client = ctx.client().await?;
                let found = find::pending(&client, &request).await?;
                confirm(ctx, &format!("{}\nThis device becomes managed.", described(&found)))?;
                let device = client.enrolment_approve(found.id).await?;
                ctx.out
                    .value(&device, |d| format!("{} is approved; its device id is {}.", output::clean(&d.name), d.id))
            }
            Self::Refuse { request, reason } => {
                let client = ctx.client().await?;
                let found = find::pending(&client, &request).await?;
                confirm(ctx, &format!("{}\nThis request is refused.", described(&found)))?;
                let refused = client.enrolment_refuse(found.id, &Reason { reason }).await?;
                ctx.out
                    .value(&refused, |e| format!("The request of {} is refused.", output::clean(&e.claims.host_name)))
            }
        }
    }
}

fn described(enrolment: &Enrolment) -> String {
    let mut rows = vec![
        ("Says it is", enrolment.claims.host_name.clone()),
        ("System", enrolment.claims.operating_system.clone()),
        ("Agent", enrolment.claims.agent_version.clone()),
        ("From", enrolment.address.clone()),
        ("Key", format!("{} ({})", enrolment.key, enrolment.key_protection)),
    ];
    rows.extend(enrolment.hardware.map(|id| ("TPM", id.to_string())));
    rows.extend(enrolment.account.iter().map(|account| {
        let group = account.group.as_ref().map_or("in no group that this site approves", |group| group.as_str());
        ("Domain account", format!("{} of {} ({group})", account.account, account.realm))
    }));
    rows.extend(enrolment.serial.iter().map(|serial| {
        let note = enrolment.serial_note.as_ref().map(|note| format!("expected: {note}; ")).unwrap_or_default();
        ("Serial number", format!("{serial} ({note}stated, not proven)"))
    }));
    rows.extend(enrolment.verdict.iter().map(|verdict| ("By itself", verdict.clone())));
    rows.extend(enrolment.conflicts.iter().map(|conflict| ("Look twice", conflict.clone())));
    output::pairs(rows)
}

async fn enrolment_list(ctx: &Context, state: Option<EnrolmentState>, part: Part) -> Result<(), CliError> {
    let page = ctx.client().await?.enrolment_list(state, &part.query()).await?;
    ctx.out.value(&page, |page| {
        let rows = page.items.iter().map(|e| {
            [
                e.id.to_string(),
                e.claims.host_name.clone(),
                e.state.to_string(),
                e.claims.operating_system.clone(),
                e.address.clone(),
                format!("{:.16}…", e.key),
                match &e.account {
                    Some(account) => format!("{}, {} of {}", e.key_protection, account.account, account.realm),
                    None => e.key_protection.to_string(),
                },
                when::human(ctx.now, e.created),
                e.conflicts.join("; "),
            ]
        });
        let head = ["ID", "HOST", "STATE", "SYSTEM", "FROM", "KEY", "PROOF", "ASKED", "LOOK TWICE"];
        output::listed(&output::table(head, rows), page.items.len(), page.total, page.offset, "No requests.")
    })
}
