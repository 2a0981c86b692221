//! `muster mobile`: devices that foreign protocols manage, and the tokens that give them certificates.

use super::{Context, Part, ask::confirm};
use crate::{CliError, output, when};
use clap::Subcommand;
use muster_model::{
    api::{MobileClass, MobileTokenCreate, Reason},
    id::{MobileId, Name, TokenId},
};

#[derive(Debug, Subcommand)]
pub(super) enum Verb {
    /// Tokens: each gives one device of one class a certificate, once
    #[command(subcommand)]
    Token(TokenVerb),
    /// Devices that were given a certificate
    #[command(subcommand)]
    Device(DeviceVerb),
}

#[derive(Debug, Subcommand)]
pub(super) enum TokenVerb {
    /// Make a token; its challenge is printed once
    Create {
        /// What it is for
        #[arg(long)]
        name: Name,
        /// For which class of devices: apple, android, windows or equipment
        #[arg(long)]
        class: MobileClass,
        /// Whose the device is
        #[arg(long)]
        user: Name,
        /// How long it can be used: 60s to 7d
        #[arg(long, default_value = "1d", value_parser = when::parse_length, value_name = "LENGTH")]
        valid: i64,
    },
    /// List tokens
    List(Part),
    /// Take a token back
    Revoke {
        /// The token's id
        id: TokenId,
    },
}

#[derive(Debug, Subcommand)]
pub(super) enum DeviceVerb {
    /// List devices
    List(Part),
    /// Block a device for good, and revoke its certificate; it comes back with a new token
    Block {
        /// The device's id
        id: MobileId,
        /// Why, for the audit log
        #[arg(long)]
        reason: String,
    },
}

impl Verb {
    pub(super) async fn run(self, ctx: &Context) -> Result<(), CliError> {
        match self {
            Self::Token(TokenVerb::Create { name, class, user, valid }) => {
                let seconds = u32::try_from(valid / 1000).ok().filter(|s| (60..=604_800).contains(s));
                let valid_seconds =
                    seconds.ok_or_else(|| CliError::Usage("--valid must be from 60s to 7d".to_owned()))?;
                token_create(ctx, &MobileTokenCreate { name, class, user, valid_seconds }).await
            }
            Self::Token(TokenVerb::List(part)) => token_list(ctx, part).await,
            Self::Token(TokenVerb::Revoke { id }) => {
                confirm(ctx, &format!("Token {id} will not give any device a certificate any more."))?;
                let token = ctx.client().await?.mobile_token_revoke(id).await?;
                ctx.out.value(&token, |t| format!("Token {} ({}) is revoked.", t.id, t.name))
            }
            Self::Device(DeviceVerb::List(part)) => device_list(ctx, part).await,
            Self::Device(DeviceVerb::Block { id, reason }) => {
                confirm(ctx, &format!("Mobile device {id} is blocked for good, and its certificate revoked."))?;
                let device = ctx.client().await?.mobile_device_block(id, &Reason { reason }).await?;
                ctx.out.value(&device, |d| format!("Mobile device {} of {} is blocked.", d.id, d.user))
            }
        }
    }
}

async fn token_create(ctx: &Context, request: &MobileTokenCreate) -> Result<(), CliError> {
    let made = ctx.client().await?.mobile_token_create(request).await?;
    ctx.out.value(&made, |made| {
        format!(
            "token      {}\nchallenge  {}\n\nFor one device, once, until {}. It is not shown again. With EST the token is the user's name and \
             the challenge the password.",
            made.id,
            made.challenge,
            when::both(ctx.now, made.expires)
        )
    })
}

async fn token_list(ctx: &Context, part: Part) -> Result<(), CliError> {
    let page = ctx.client().await?.mobile_token_list(&part.query()).await?;
    ctx.out.value(&page, |page| {
        let rows = page.items.iter().map(|t| {
            [
                t.id.to_string(),
                t.name.to_string(),
                t.class.to_string(),
                t.user.to_string(),
                t.state.to_string(),
                when::human(ctx.now, t.expires),
                t.used_by.map(|id| id.to_string()).unwrap_or_default(),
            ]
        });
        let table = output::table(["ID", "NAME", "CLASS", "USER", "STATE", "ENDS", "USED BY"], rows);
        let none = "No tokens. `muster mobile token create` makes one.";
        output::listed(&table, page.items.len(), page.total, page.offset, none)
    })
}

async fn device_list(ctx: &Context, part: Part) -> Result<(), CliError> {
    let page = ctx.client().await?.mobile_device_list(&part.query()).await?;
    ctx.out.value(&page, |page| {
        let rows = page.items.iter().map(|d| {
            [
                d.id.to_string(),
                d.class.to_string(),
                d.user.to_string(),
                d.serial.clone().unwrap_or_default(),
                d.expires.map(|at| when::human(ctx.now, at)).unwrap_or_default(),
                d.reason.clone().unwrap_or_default(),
            ]
        });
        let table = output::table(["ID", "CLASS", "USER", "CERTIFICATE", "ENDS", "BLOCKED"], rows);
        output::listed(&table, page.items.len(), page.total, page.offset, "No mobile devices.")
    })
}
