//! `muster login`, `muster logout`, `muster console`.

use super::Context;
use crate::{CliError, Client, ClientError, when};
use muster_model::problem::Code;

pub(super) async fn login(ctx: &Context) -> Result<(), CliError> {
    let profile = ctx.profile()?;
    let session = profile.login(&Client::new(&profile.profile)?).await?;
    // The token stays in its file: what is printed may be copied anywhere.
    ctx.out.value(&session.admin, |admin| {
        format!("Signed in as {} ({}), until {}.", admin.name, admin.role, when::both(ctx.now, session.expires))
    })
}

pub(super) async fn logout(ctx: &Context) -> Result<(), CliError> {
    let profile = ctx.profile()?;
    if let Some(token) = profile.kept(ctx.now) {
        let ended = Client::new(&profile.profile)?.with_token(&token).session_end().await;
        if let Err(error) = ended
            && error.code() != Some(Code::Unauthenticated)
        {
            profile.forget();
            return Err(match error {
                ClientError::Unreachable { .. } => {
                    CliError::Found(format!("the session is forgotten here, and ends at the site by itself: {error}"))
                }
                other => other.into(),
            });
        }
    }
    profile.forget();
    ctx.out.value(&serde_json::json!({ "signed_in": false }), |_| "Signed out.".to_owned())
}

pub(super) async fn console(ctx: &Context) -> Result<(), CliError> {
    let code = ctx.client().await?.session_code().await?;
    ctx.out.value(&code, |code| {
        format!("{}\n\nOpen it in a browser, once, {}.", code.url, when::human(ctx.now, code.expires))
    })
}
