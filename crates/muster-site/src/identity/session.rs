//! Administrators' sessions: a signed challenge or a one-time code begins one, a bearer token carries it.
//!
//! Secrets have 32 random bytes; only their SHA-256 is stored.

use super::{new_secret, read_secret};
use crate::{Caller, Ctx, SiteError, audit, authz, site::Site};
use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD as BASE64URL};
use muster_model::{
    api::{Admin, Challenge, ChallengeRequest, Session, SessionRequest, SignInCode},
    id::SiteCode,
    problem::Code,
    time::{HOUR, MINUTE, SECOND, UnixMillis},
};
use muster_store::{
    Tx,
    db::{
        admin,
        session::{self, SessionRow, SignInKind},
    },
    transaction,
};
use muster_trust::PublicKey;

/// How long a challenge can be answered.
const CHALLENGE_LIFETIME: i64 = 60 * SECOND;
/// How long a code can be redeemed.
const CODE_LIFETIME: i64 = 5 * MINUTE;
/// How long a session lasts at the most.
const SESSION_LIFETIME: i64 = 12 * HOUR;
/// How long a session lasts without being used.
const SESSION_IDLE: i64 = 2 * HOUR;
/// How exactly the last use is noted; a write for each request would be too much.
const USE_NOTED: i64 = 5 * MINUTE;
/// Failures of one key from one address within five minutes.
const FAILURES: u32 = 10;
/// Requests of one address to the doors of signing in, within five minutes.
const ATTEMPTS: u32 = 300;

/// What carries a session.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SessionKind {
    /// `Authorization: Bearer`, by the CLI and scripts.
    Api,
    /// A cookie of the console; its forms need the CSRF secret.
    Console,
}

impl SessionKind {
    const fn as_str(self) -> &'static str {
        match self {
            Self::Api => "api",
            Self::Console => "console",
        }
    }
}

/// Who speaks in a session.
#[derive(Clone, PartialEq)]
pub struct SessionCaller {
    /// The administrator.
    pub admin: Admin,
    /// The secret that the forms of console pages carry.
    pub csrf: String,
    /// What carries the session. A bearer token is not good as a cookie, nor a cookie as a bearer token.
    pub kind: SessionKind,
    /// When it ends at the latest.
    pub expires: UnixMillis,
}

impl std::fmt::Debug for SessionCaller {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("SessionCaller").field("admin", &self.admin).field("kind", &self.kind).finish_non_exhaustive()
    }
}

/// A session of a browser.
#[derive(Clone, PartialEq)]
pub struct ConsoleSession {
    /// The cookie's value.
    pub token: String,
    /// The secret that the forms of its pages carry.
    pub csrf: String,
    /// When it ends at the latest.
    pub expires: UnixMillis,
    /// Who is signed in.
    pub admin: Admin,
}

impl std::fmt::Debug for ConsoleSession {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("ConsoleSession").field("admin", &self.admin).finish_non_exhaustive()
    }
}

/// One answer to everything that is wrong with a sign-in: it says nothing of what exists.
fn invalid() -> SiteError {
    metrics::counter!("muster_sign_in_failures_total").increment(1);
    SiteError::refused(
        Code::SignInInvalid,
        "The sign-in is not valid: the key or code is not known here, was used before, or is too old. Sign in again.",
    )
}

/// What an administrator's key signs to sign in.
#[must_use]
pub fn sign_in_message(site: SiteCode, challenge: &[u8]) -> Vec<u8> {
    [b"muster/v1/sign-in\0", site.as_str().as_bytes(), b"\0", challenge].concat()
}

/// First step of signing in: something to sign. The same answer for a key that nobody has.
///
/// # Errors
/// `too_many`.
pub async fn session_challenge(ctx: &Ctx, site: &Site, request: ChallengeRequest) -> Result<Challenge, SiteError> {
    site.memory.limiter.count(&format!("sign-in {}", ctx.address), ATTEMPTS, ctx.now)?;
    let (challenge, hash) = new_secret()?;
    let expires = ctx.now.plus(CHALLENGE_LIFETIME);
    let known = admin::by_key(&mut *site.store.reader().await?, &request.key).await?.is_some();
    if known {
        let key = request.key.to_string();
        transaction!(site.store, "session_challenge", |tx| {
            session::purge(tx, ctx.now).await?;
            session::sign_in_insert(tx, &hash, SignInKind::Challenge, &key, expires).await?;
            Ok::<_, SiteError>(())
        })?;
    }
    Ok(Challenge { challenge })
}

/// Second step: the signed challenge for a session. A challenge can be tried once.
///
/// # Errors
/// `sign_in_invalid`, whatever is wrong; `too_many`.
pub async fn session_create(ctx: &Ctx, site: &Site, request: SessionRequest) -> Result<Session, SiteError> {
    let who = format!("key {} {}", request.key, ctx.address);
    site.memory.limiter.check(&who, FAILURES, ctx.now)?;
    site.memory.limiter.count(&format!("sign-in {}", ctx.address), ATTEMPTS, ctx.now)?;
    let (token, hash) = new_secret()?;
    let (csrf, _) = new_secret()?;
    let found = transaction!(site.store, "session_create", |tx| {
        let Some((admin, signed)) = signed_challenge(tx, ctx, site, &request).await? else { return Ok(None) };
        let by = Ctx { caller: Caller::Admin(admin.clone()), ..ctx.clone() };
        let object = format!("admin {}", admin.id);
        if !signed {
            let detail = format!("A sign-in with the key of {} from {} was refused.", admin.name, ctx.address);
            audit::append(tx, ctx, "session_refuse", object, detail).await?;
            return Ok(None);
        }
        let row = new_row(admin, SessionKind::Api, &csrf, ctx.now);
        session::insert(tx, &hash, &row).await?;
        let detail = format!("{} signed in from {}.", row.admin.name, ctx.address);
        audit::append(tx, &by, "session_create", object, detail).await?;
        Ok::<_, SiteError>(Some(row))
    })?;
    match found {
        Some(row) => Ok(Session { token, expires: row.expires, admin: row.admin }),
        None => {
            site.memory.limiter.count(&who, FAILURES, ctx.now)?;
            Err(invalid())
        }
    }
}

/// Takes the challenge, whatever comes of it: the administrator of the key, and whether the key signed the challenge.
async fn signed_challenge(
    tx: &mut Tx,
    ctx: &Ctx,
    site: &Site,
    request: &SessionRequest,
) -> Result<Option<(Admin, bool)>, SiteError> {
    let Some((admin, spki)) = admin::by_key(tx, &request.key).await? else { return Ok(None) };
    let Some((challenge, hash)) = read_secret(&request.challenge) else { return Ok(Some((admin, false))) };
    let subject = session::sign_in_take(tx, &hash, SignInKind::Challenge, ctx.now).await?;
    let key = PublicKey::from_spki(&spki).map_err(|error| SiteError::Fault(error.to_string()))?;
    let signature = BASE64URL.decode(&request.signature).unwrap_or_default();
    let signed = subject.is_some_and(|key| key == request.key.to_string())
        && key.verify(&sign_in_message(site.code, &challenge), &signature).is_ok();
    Ok(Some((admin, signed)))
}

fn new_row(admin: Admin, kind: SessionKind, csrf: &str, now: UnixMillis) -> SessionRow {
    let (kind, csrf) = (kind.as_str().to_owned(), csrf.to_owned());
    SessionRow { admin, kind, csrf, expires: now.plus(SESSION_LIFETIME), used: now }
}

/// Ends the session of this token.
///
/// # Errors
/// `unauthenticated`.
pub async fn session_end(ctx: &Ctx, site: &Site, token: &str) -> Result<(), SiteError> {
    let admin = authz::see(ctx)?;
    let Some((_, hash)) = read_secret(token) else { return Ok(()) };
    transaction!(site.store, "session_end", |tx| {
        if session::delete(tx, &hash).await? {
            let detail = format!("{} signed out.", admin.name);
            audit::append(tx, ctx, "session_end", format!("admin {}", admin.id), detail).await?;
        }
        Ok(())
    })
}

/// Who is signed in.
///
/// # Errors
/// `unauthenticated`.
pub async fn session_show(ctx: &Ctx, _: &Site) -> Result<Admin, SiteError> {
    Ok(authz::see(ctx)?.clone())
}

/// A one-time code that signs a browser in as the caller.
///
/// # Errors
/// `unauthenticated`.
pub async fn session_code(ctx: &Ctx, site: &Site) -> Result<SignInCode, SiteError> {
    let admin = authz::see(ctx)?;
    let (code, hash) = new_secret()?;
    let expires = ctx.now.plus(CODE_LIFETIME);
    let subject = admin.id.to_string();
    transaction!(site.store, "session_code", |tx| {
        session::purge(tx, ctx.now).await?;
        session::sign_in_insert(tx, &hash, SignInKind::Code, &subject, expires).await?;
        let detail = format!("A sign-in code for a browser was made for {}.", admin.name);
        audit::append(tx, ctx, "session_code", format!("admin {}", admin.id), detail).await
    })?;
    let url = format!("{}/sign-in?code={code}", site.addresses.console);
    Ok(SignInCode { code, url, expires })
}

/// A session of a browser for a one-time code.
///
/// # Errors
/// `sign_in_invalid`, `too_many`.
pub async fn session_code_redeem(ctx: &Ctx, site: &Site, code: &str) -> Result<ConsoleSession, SiteError> {
    let who = format!("code {}", ctx.address);
    site.memory.limiter.check(&who, FAILURES, ctx.now)?;
    let found = match read_secret(code) {
        Some((_, code_hash)) => redeem(ctx, site, code_hash).await?,
        None => None,
    };
    match found {
        Some(session) => Ok(session),
        None => {
            site.memory.limiter.count(&who, FAILURES, ctx.now)?;
            Err(invalid())
        }
    }
}

async fn redeem(
    ctx: &Ctx,
    site: &Site,
    code_hash: muster_model::id::Hash,
) -> Result<Option<ConsoleSession>, SiteError> {
    let (token, hash) = new_secret()?;
    let (csrf, _) = new_secret()?;
    transaction!(site.store, "session_code_redeem", |tx| {
        let Some(subject) = session::sign_in_take(tx, &code_hash, SignInKind::Code, ctx.now).await? else {
            return Ok(None);
        };
        let Some(admin) =
            admin::get(tx, subject.parse().map_err(|_| SiteError::Fault("a sign-in code is of nobody".to_owned()))?)
                .await?
        else {
            return Ok(None);
        };
        let by = Ctx { caller: Caller::Admin(admin.clone()), ..ctx.clone() };
        let row = new_row(admin, SessionKind::Console, &csrf, ctx.now);
        session::insert(tx, &hash, &row).await?;
        let detail = format!("{} signed in with a browser from {}.", row.admin.name, ctx.address);
        audit::append(tx, &by, "session_code_redeem", format!("admin {}", row.admin.id), detail).await?;
        let (token, csrf) = (token.clone(), csrf.clone());
        Ok::<_, SiteError>(Some(ConsoleSession { token, csrf, expires: row.expires, admin: row.admin }))
    })
}

/// Who speaks with this token, where its session is open. For the one place that makes a [`Ctx`] of a request.
///
/// # Errors
/// When the store fails; that must not be taken for "nobody".
pub async fn session_caller(site: &Site, token: &str, now: UnixMillis) -> Result<Option<SessionCaller>, SiteError> {
    let Some((_, hash)) = read_secret(token) else { return Ok(None) };
    let row = session::get(&mut *site.store.reader().await?, &hash).await?;
    let Some(row) = row.filter(|row| now < row.expires && now.since(row.used) < SESSION_IDLE) else { return Ok(None) };
    if now.since(row.used) >= USE_NOTED {
        transaction!(site.store, "session_touch", |tx| { session::touch(tx, &hash, now).await })?;
    }
    let kind = if row.kind == SessionKind::Console.as_str() { SessionKind::Console } else { SessionKind::Api };
    Ok(Some(SessionCaller { admin: row.admin, csrf: row.csrf, kind, expires: row.expires }))
}
