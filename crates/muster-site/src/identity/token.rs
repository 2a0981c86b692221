//! Enrolment tokens: made, listed, taken back. How one is used stands in `enrolment`.

use super::new_secret;
use crate::{Ctx, SiteError, audit, authz, site::Site};
use muster_model::{
    api::{Page, PageQuery, Token, TokenCreate, TokenCreated, TokenState, is_serial},
    enrol::EnrolmentToken,
    id::TokenId,
    problem::Code,
    time::{SECOND, UnixMillis},
};
use muster_store::{
    bus::{Notice, Noun},
    db::token::{self, TokenRow},
    transaction,
};

/// The least and most seconds that a token can be used.
const VALID_SECONDS: std::ops::RangeInclusive<u32> = 60..=2_592_000;

fn shown(row: TokenRow, now: UnixMillis) -> Token {
    let state = if row.used_by.is_some() {
        TokenState::Used
    } else if row.revoked.is_some() {
        TokenState::Revoked
    } else if row.expires <= now {
        TokenState::Expired
    } else {
        TokenState::Open
    };
    Token {
        id: row.id,
        name: row.name,
        state,
        created: row.created,
        expires: row.expires,
        created_by: row.created_by,
        used_by: row.used_by,
        serial: row.serial,
    }
}

/// A page of tokens, the newest first.
///
/// # Errors
/// `unauthenticated`, `too_large`.
pub async fn token_list(ctx: &Ctx, site: &Site, query: PageQuery) -> Result<Page<Token>, SiteError> {
    authz::see(ctx)?;
    let page = site.page(query)?;
    let (rows, total) = token::list(&mut *site.store.reader().await?, page).await?;
    Ok(Page { items: rows.into_iter().map(|row| shown(row, ctx.now)).collect(), total, offset: page.offset })
}

/// Makes a token. Its text is in the answer and nowhere else.
///
/// # Errors
/// `unauthenticated`, `forbidden`; `malformed` when it would be valid for less than a minute or more than 30 days.
pub async fn token_create(ctx: &Ctx, site: &Site, request: TokenCreate) -> Result<TokenCreated, SiteError> {
    let admin = authz::change(ctx)?;
    if !VALID_SECONDS.contains(&request.valid_seconds) {
        return Err(SiteError::refused(Code::Malformed, "A token is valid for 60 to 2,592,000 seconds (30 days)."));
    }
    if request.serial.as_deref().is_some_and(|serial| !is_serial(serial)) {
        return Err(SiteError::refused(Code::Malformed, "A serial number has 1 to 64 characters that can be seen."));
    }
    let (secret, hash) = new_secret()?;
    let row = TokenRow {
        id: TokenId(site.sources.id()),
        name: request.name,
        created: ctx.now,
        expires: ctx.now.plus(i64::from(request.valid_seconds) * SECOND),
        created_by: admin.name.clone(),
        used_by: None,
        revoked: None,
        serial: request.serial,
    };
    transaction!(site.store, "token_create", |tx| {
        token::insert(tx, &row, &hash).await?;
        let only = row.serial.as_ref().map(|serial| format!(" Only for serial number {serial}.")).unwrap_or_default();
        let detail = format!("Token \"{}\" was made, valid for {} seconds.{only}", row.name, request.valid_seconds);
        audit::append(tx, ctx, "token_create", format!("token {}", row.id), detail).await
    })?;
    site.bus.publish(Notice::Changed(Noun::Enrolment));
    let token = EnrolmentToken {
        site: site.code,
        root: site.trust.load().root()?,
        enrol: site.addresses.enrol.clone(),
        secret,
        trust_version: site.trust.load().bundle().version,
    };
    Ok(TokenCreated { id: row.id, token: token.to_text(), expires: row.expires })
}

/// Takes back a token that was not used yet.
///
/// # Errors
/// `unauthenticated`, `forbidden`, `not_found`; `conflict` when it was used or revoked before.
pub async fn token_revoke(ctx: &Ctx, site: &Site, id: TokenId) -> Result<Token, SiteError> {
    authz::change(ctx)?;
    let row = transaction!(site.store, "token_revoke", |tx| {
        let revoked = token::revoke(tx, id, ctx.now).await?;
        let row = token::get(tx, id).await?.ok_or_else(SiteError::not_found)?;
        if !revoked {
            let detail = match row.used_by {
                Some(_) => "The token was used; refuse its enrolment or block its device instead.",
                None => "The token was revoked before.",
            };
            return Err(SiteError::refused(Code::Conflict, detail));
        }
        audit::append(tx, ctx, "token_revoke", format!("token {id}"), format!("Token \"{}\" was revoked.", row.name))
            .await?;
        Ok(row)
    })?;
    site.bus.publish(Notice::Changed(Noun::Enrolment));
    Ok(shown(row, ctx.now))
}
