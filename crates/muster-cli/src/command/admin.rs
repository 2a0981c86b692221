//! `muster admin`: who may do what.

use super::{Context, Part, ask::confirm, find};
use crate::{CliError, files, output, when};
use clap::Subcommand;
use muster_model::{
    api::{AdminCreate, Reason, Role},
    id::Name,
};
use muster_trust::PublicKey;
use std::path::PathBuf;

#[derive(Debug, Subcommand)]
pub(super) enum Verb {
    /// Add an administrator, by the public key that they made with `muster key create`
    Create {
        /// Their name
        #[arg(long)]
        name: Name,
        /// full_administrator or read_only_analyst
        #[arg(long)]
        role: Role,
        /// File with their public key (PEM)
        #[arg(long, value_name = "FILE")]
        public_key: PathBuf,
    },
    /// List administrators
    List(Part),
    /// Disable an administrator: their sessions end, and their key signs in no more
    Disable {
        /// Administrator id or name
        admin: String,
        /// Why, for the audit log
        #[arg(long)]
        reason: String,
    },
}

impl Verb {
    pub(super) async fn run(self, ctx: &Context) -> Result<(), CliError> {
        match self {
            Self::Create { name, role, public_key } => {
                let pem = files::read_text(&public_key)?;
                let key = PublicKey::from_pem(&pem).map_err(|e| CliError::file(&public_key, e))?;
                let may = match role {
                    Role::FullAdministrator => "do everything",
                    Role::ReadOnlyAnalyst => "see everything and change nothing",
                };
                confirm(ctx, &format!("{name} may {may}, with the key {}.", key.id()))?;
                let request = AdminCreate { name, role, public_key: pem };
                let admin = ctx.client().await?.admin_create(&request).await?;
                ctx.out.value(&admin, |a| format!("{} can sign in now, as {}.", a.name, a.role))
            }
            Self::List(part) => admin_list(ctx, part).await,
            Self::Disable { admin, reason } => {
                let client = ctx.client().await?;
                let admin = find::admin(&client, &admin).await?;
                confirm(
                    ctx,
                    &format!(
                        "{} ({}) can do nothing any more. What their key signed as an author counts until the trust bundle says \
                         otherwise. This cannot be undone.",
                        admin.name, admin.id
                    ),
                )?;
                let admin = client.admin_disable(admin.id, &Reason { reason }).await?;
                ctx.out.value(&admin, |a| format!("{} is disabled.", a.name))
            }
        }
    }
}

async fn admin_list(ctx: &Context, part: Part) -> Result<(), CliError> {
    let page = ctx.client().await?.admin_list(&part.query()).await?;
    ctx.out.value(&page, |page| {
        let rows = page.items.iter().map(|a| {
            [
                a.id.to_string(),
                a.name.to_string(),
                a.role.to_string(),
                format!("{:.16}…", a.key),
                when::human(ctx.now, a.created),
            ]
        });
        let table = output::table(["ID", "NAME", "ROLE", "KEY", "ADDED"], rows);
        output::listed(&table, page.items.len(), page.total, page.offset, "No administrators.")
    })
}
