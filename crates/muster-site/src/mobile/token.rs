//! Tokens of mobile devices: each for one device of one class and one user, once.

use crate::{
    Ctx, SiteError, audit, authz,
    identity::{new_secret, read_secret},
    site::Site,
};
use muster_model::{
    api::{MobileToken, MobileTokenCreate, MobileTokenCreated, MobileTokenState, Page, PageQuery},
    id::TokenId,
    problem::Code,
    time::{SECOND, UnixMillis},
};
use muster_store::{
    bus::{Notice, Noun},
    db::mobile::{self, MobileTokenRow},
    transaction,
};

/// The least and most seconds that a token can be used: it travels further than a computer's.
const VALID_SECONDS: std::ops::RangeInclusive<u32> = 60..=604_800;

fn shown(row: MobileTokenRow, now: UnixMillis) -> MobileToken {
    let state = if row.used_by.is_some() {
        MobileTokenState::Used
    } else if row.revoked.is_some() {
        MobileTokenState::Revoked
    } else if row.expires <= now {
        MobileTokenState::Expired
    } else {
        MobileTokenState::Open
    };
    MobileToken {
        id: row.id,
        name: row.name,
        class: row.class,
        user: row.user,
        state,
        created: row.created,
        expires: row.expires,
        created_by: row.created_by,
        used_by: row.used_by,
    }
}

/// Whether this is the challenge of a token that can be used.
pub(super) async fn is_open(ctx: &Ctx, site: &Site, challenge: &str) -> Result<bool, SiteError> {
    let Some((_, hash)) = read_secret(challenge) else { return Ok(false) };
    let row = mobile::token_by_secret(&mut *site.store.reader().await?, &hash).await?;
    Ok(row.is_some_and(|row| shown(row, ctx.now).state == MobileTokenState::Open))
}

/// A page of tokens, the newest first.
///
/// # Errors
/// `unauthenticated`, `too_large`.
pub async fn mobile_token_list(ctx: &Ctx, site: &Site, query: PageQuery) -> Result<Page<MobileToken>, SiteError> {
    authz::see(ctx)?;
    let page = site.page(query)?;
    let (rows, total) = mobile::token_list(&mut *site.store.reader().await?, page).await?;
    Ok(Page { items: rows.into_iter().map(|row| shown(row, ctx.now)).collect(), total, offset: page.offset })
}

/// Makes a token. Its challenge is in the answer and nowhere else.
///
/// # Errors
/// `unauthenticated`, `forbidden`; `malformed` when it would be valid for less than a minute or more than 7 days.
pub async fn mobile_token_create(
    ctx: &Ctx,
    site: &Site,
    request: MobileTokenCreate,
) -> Result<MobileTokenCreated, SiteError> {
    let admin = authz::change(ctx)?;
    if !VALID_SECONDS.contains(&request.valid_seconds) {
        return Err(SiteError::refused(Code::Malformed, "A token is valid for 60 to 604,800 seconds (7 days)."));
    }
    let (challenge, hash) = new_secret()?;
    let row = MobileTokenRow {
        id: TokenId(site.sources.id()),
        name: request.name,
        class: request.class,
        user: request.user,
        created: ctx.now,
        expires: ctx.now.plus(i64::from(request.valid_seconds) * SECOND),
        created_by: admin.name.clone(),
        used_by: None,
        revoked: None,
    };
    transaction!(site.store, "mobile_token_create", |tx| {
        mobile::token_insert(tx, &row, &hash).await?;
        let detail = format!(
            "Token \"{}\" was made for a device of class {} of {}, valid for {} seconds.",
            row.name, row.class, row.user, request.valid_seconds
        );
        audit::append(tx, ctx, "mobile_token_create", format!("mobile token {}", row.id), detail).await
    })?;
    site.bus.publish(Notice::Changed(Noun::Enrolment));
    Ok(MobileTokenCreated { id: row.id, challenge, expires: row.expires })
}

/// Takes back a token that was not used yet.
///
/// # Errors
/// `unauthenticated`, `forbidden`, `not_found`; `conflict` when it was used or revoked before.
pub async fn mobile_token_revoke(ctx: &Ctx, site: &Site, id: TokenId) -> Result<MobileToken, SiteError> {
    authz::change(ctx)?;
    let row = transaction!(site.store, "mobile_token_revoke", |tx| {
        let revoked = mobile::token_revoke(tx, id, ctx.now).await?;
        let row = mobile::token_get(tx.conn(), id).await?.ok_or_else(SiteError::not_found)?;
        if !revoked {
            let detail = match row.used_by {
                Some(_) => "The token was used; block its device instead.",
                None => "The token was revoked before.",
            };
            return Err(SiteError::refused(Code::Conflict, detail));
        }
        let detail = format!("Token \"{}\" was revoked.", row.name);
        audit::append(tx, ctx, "mobile_token_revoke", format!("mobile token {id}"), detail).await?;
        Ok(row)
    })?;
    site.bus.publish(Notice::Changed(Noun::Enrolment));
    Ok(shown(row, ctx.now))
}
