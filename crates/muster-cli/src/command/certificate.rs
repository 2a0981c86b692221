//! `muster certificate` and `muster revocation`: what the site issued, and what it says is worth nothing any more.

use super::{Context, Part, ask::confirm, find};
use crate::{CliError, output, when};
use clap::{Args, Subcommand};
use muster_model::{
    api::{CertificateQuery, RevocationReason, Revoke},
    time::UnixMillis,
};

#[derive(Debug, Subcommand)]
pub(super) enum Verb {
    /// List certificates that have not ended
    List {
        /// Only those of this device: id or host name
        #[arg(long)]
        device: Option<String>,
        /// Only revoked ones
        #[arg(long)]
        revoked: bool,
        #[command(flatten)]
        part: Part,
    },
    /// Revoke one certificate for good, a device's or the server's own
    Revoke {
        /// Its serial number, as `muster certificate list` shows it
        serial: String,
        #[command(flatten)]
        why: Why,
    },
}

/// Why something is revoked.
#[derive(Debug, Args)]
pub(super) struct Why {
    /// Why, for the audit log
    #[arg(long)]
    reason: String,
    /// What the revocation list says: unspecified, key_compromise, affiliation_changed, superseded, privilege_withdrawn
    #[arg(long, default_value = "unspecified", value_name = "CODE")]
    code: RevocationReason,
}

impl From<Why> for Revoke {
    fn from(why: Why) -> Self {
        Self { reason: why.reason, code: why.code }
    }
}

#[derive(Debug, Subcommand)]
pub(super) enum RevocationVerb {
    /// Show the signed revocation lists, and what is wrong with them
    Show,
}

impl Verb {
    pub(super) async fn run(self, ctx: &Context) -> Result<(), CliError> {
        match self {
            Self::List { device, revoked, part } => certificate_list(ctx, device, revoked, part).await,
            Self::Revoke { serial, why } => {
                let about = format!(
                    "Certificate {} will not be believed any more. This cannot be undone.",
                    output::clean(&serial)
                );
                confirm(ctx, &about)?;
                let certificate = ctx.client().await?.certificate_revoke(&serial, &why.into()).await?;
                ctx.out.value(&certificate, |c| format!("Certificate {} is revoked.", c.serial))
            }
        }
    }
}

async fn certificate_list(ctx: &Context, device: Option<String>, revoked: bool, part: Part) -> Result<(), CliError> {
    let client = ctx.client().await?;
    let device = match device {
        Some(device) => Some(find::device(&client, &device).await?),
        None => None,
    };
    let wanted = CertificateQuery { device, revoked, offset: part.offset, limit: part.limit };
    let page = client.certificate_list(&wanted).await?;
    ctx.out.value(&page, |page| {
        let rows = page.items.iter().map(|c| {
            let state = c
                .revocation
                .as_ref()
                .map(|r| format!("{}, {} by {}", r.reason, when::human(ctx.now, r.revoked), r.revoked_by));
            [
                c.serial.clone(),
                c.kind.to_string(),
                c.device.map(|id| id.to_string()).unwrap_or_default(),
                when::human(ctx.now, c.issued),
                when::human(ctx.now, c.expires),
                state.unwrap_or_default(),
            ]
        });
        let table = output::table(["SERIAL", "KIND", "DEVICE", "ISSUED", "ENDS", "REVOKED"], rows);
        output::listed(&table, page.items.len(), page.total, page.offset, "No certificates.")
    })
}

impl RevocationVerb {
    pub(super) async fn run(self, ctx: &Context) -> Result<(), CliError> {
        let Self::Show = self;
        let state = ctx.client().await?.revocation_show().await?;
        ctx.out.value(&state, |state| {
            let at = |moment: UnixMillis| match moment {
                UnixMillis(0) => "never".to_owned(),
                moment => when::human(ctx.now, moment),
            };
            let rows = state.lists.iter().map(|list| {
                [
                    list.of.clone(),
                    list.number.to_string(),
                    list.entries.to_string(),
                    at(list.signed),
                    at(list.next_update),
                ]
            });
            let mut text = output::table(["LIST OF", "NUMBER", "REVOKED", "SIGNED", "BELIEVED UNTIL"], rows);
            for warning in &state.warnings {
                text.push_str(&format!("\nWarning: {}", output::clean(warning)));
            }
            text
        })
    }
}
