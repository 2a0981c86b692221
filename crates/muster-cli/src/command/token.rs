//! `muster token`: enrolment tokens.

use super::{Context, Part, ask::confirm};
use crate::{CliError, output, when};
use clap::Subcommand;
use muster_model::{
    api::TokenCreate,
    id::{Name, TokenId},
};

#[derive(Debug, Subcommand)]
pub(super) enum Verb {
    /// Make a token; its text is printed once
    Create {
        /// What it is for
        #[arg(long)]
        name: Name,
        /// How long it can be used: 60s to 30d
        #[arg(long, default_value = "1d", value_parser = when::parse_length, value_name = "LENGTH")]
        valid: i64,
        /// Only for the machine that states this serial number
        #[arg(long)]
        serial: Option<String>,
    },
    /// List tokens
    List(Part),
    /// Take a token back
    Revoke {
        /// The token's id
        id: TokenId,
    },
}

impl Verb {
    pub(super) async fn run(self, ctx: &Context) -> Result<(), CliError> {
        match self {
            Self::Create { name, valid, serial } => token_create(ctx, name, valid, serial).await,
            Self::List(part) => token_list(ctx, part).await,
            Self::Revoke { id } => {
                confirm(ctx, &format!("Token {id} will not enrol any device any more."))?;
                let token = ctx.client().await?.token_revoke(id).await?;
                ctx.out.value(&token, |t| format!("Token {} ({}) is revoked.", t.id, t.name))
            }
        }
    }
}

async fn token_create(ctx: &Context, name: Name, valid: i64, serial: Option<String>) -> Result<(), CliError> {
    let seconds = u32::try_from(valid / 1000).ok().filter(|s| (60..=2_592_000).contains(s));
    let valid_seconds = seconds.ok_or_else(|| CliError::Usage("--valid must be from 60s to 30d".to_owned()))?;
    let made = ctx.client().await?.token_create(&TokenCreate { name, valid_seconds, serial }).await?;
    ctx.out.value(&made, |made| {
        format!(
            "{}\n\nFor one device, once, until {}. It is not shown again. In a file on the device:\n\n  \
             muster-agent enrol --token FILE\n  muster-agent run\n\nThen compare the key that the device shows with `muster enrolment list`.",
            made.token,
            when::both(ctx.now, made.expires)
        )
    })
}

async fn token_list(ctx: &Context, part: Part) -> Result<(), CliError> {
    let page = ctx.client().await?.token_list(&part.query()).await?;
    ctx.out.value(&page, |page| {
        let rows = page.items.iter().map(|t| {
            [
                t.id.to_string(),
                t.name.to_string(),
                t.state.to_string(),
                when::human(ctx.now, t.expires),
                t.created_by.to_string(),
                t.used_by.map(|id| id.to_string()).unwrap_or_default(),
            ]
        });
        let table = output::table(["ID", "NAME", "STATE", "ENDS", "MADE BY", "USED BY"], rows);
        output::listed(&table, page.items.len(), page.total, page.offset, "No tokens. `muster token create` makes one.")
    })
}
