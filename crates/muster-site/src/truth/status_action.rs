//! What is sent to targets. A target is named by a file of the server's machine; the rules know its name and what it is, and no secret.

use crate::{Ctx, Site, SiteError, audit, authz};
use muster_model::{
    api::{Page, PageQuery, StatusAction, StatusActionQuery, StatusTarget},
    id::{Name, StatusActionId},
    limits::{STATUS_ACTION_TRIES, TARGETS},
    problem::Code,
    time::{DAY, HOUR, MINUTE, SECOND, UnixMillis},
};
use muster_store::{
    db::{
        message,
        status_action::{self as stored, Claimed},
    },
    transaction,
};
use std::sync::{Mutex, PoisonError};

/// For how long a try may go on before another server takes it for lost.
const LEASE: i64 = 5 * MINUTE;
/// How long what was sent is shown.
const KEPT: i64 = 31 * DAY;

/// Targets of this machine.
#[derive(Debug, Default)]
pub(crate) struct Targets(Mutex<Vec<StatusTarget>>);

/// Something that is to be sent now.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Sending {
    /// The id. Who gets it twice tells by this.
    pub id: StatusActionId,
    /// The rule or the subscription, as administrators named it.
    pub name: String,
    /// A sentence; parts of it are words of a device.
    pub text: String,
    /// The host name of the device, as it says itself.
    pub device_name: Option<String>,
    /// The JSON.
    pub body: Vec<u8>,
    tries: u32,
}

/// Says which targets this machine has. The server says it when its files change.
///
/// # Errors
/// `unauthenticated` for everybody but the site.
pub fn target_known(ctx: &Ctx, site: &Site, mut targets: Vec<StatusTarget>) -> Result<(), SiteError> {
    authz::site(ctx)?;
    targets.truncate(TARGETS);
    *site.memory.targets.0.lock().unwrap_or_else(PoisonError::into_inner) = targets;
    Ok(())
}

/// The targets that this machine names.
///
/// # Errors
/// `unauthenticated`.
pub fn target_list(ctx: &Ctx, site: &Site) -> Result<Page<StatusTarget>, SiteError> {
    authz::see(ctx)?;
    let items = site.memory.targets.0.lock().unwrap_or_else(PoisonError::into_inner).clone();
    Ok(Page { total: items.len() as u64, items, offset: 0 })
}

/// Refuses a target that this machine does not name.
pub(super) fn known_target(site: &Site, name: &Name) -> Result<(), SiteError> {
    let targets = site.memory.targets.0.lock().unwrap_or_else(PoisonError::into_inner);
    if targets.iter().any(|target| target.name == *name) {
        return Ok(());
    }
    let detail = format!("No file of the server names a target {name}; `muster status targets` shows all.");
    Err(SiteError::refused(Code::NotFound, detail))
}

/// A page of what is or was sent, the latest first.
///
/// # Errors
/// `unauthenticated`, `too_large`.
pub async fn status_action_list(
    ctx: &Ctx,
    site: &Site,
    query: StatusActionQuery,
) -> Result<Page<StatusAction>, SiteError> {
    authz::see(ctx)?;
    let page = site.page(PageQuery { offset: query.offset, limit: query.limit })?;
    let query = StatusActionQuery { offset: page.offset, limit: page.limit, ..query };
    let (items, total) = stored::list(&mut *site.store.reader().await?, &query).await?;
    Ok(Page { items, total, offset: page.offset })
}

/// Sends again what was given up.
///
/// # Errors
/// `unauthenticated`, `forbidden`, `not_found`; `conflict`: it was not given up.
pub async fn status_action_retry(ctx: &Ctx, site: &Site, id: StatusActionId) -> Result<StatusAction, SiteError> {
    authz::change(ctx)?;
    let shown = transaction!(site.store, "status_action_retry", |tx| {
        stored::get(tx.conn(), id).await?.ok_or_else(SiteError::not_found)?;
        if !stored::retry(tx, id, ctx.now).await? {
            return Err(SiteError::refused(
                Code::Conflict,
                "It waits, or was done; only what was given up is tried again.",
            ));
        }
        let shown = stored::get(tx.conn(), id).await?.ok_or_else(SiteError::not_found)?;
        let detail = format!("{} sends again to {}.", shown.name, shown.target);
        audit::append(tx, ctx, "status_action_retry", format!("status action {id}"), detail).await?;
        Ok(shown)
    })?;
    site.memory.send.notify_one();
    Ok(shown)
}

/// Targets for which something is due.
///
/// # Errors
/// `unauthenticated` for everybody but the site; when the store fails.
pub async fn status_action_due(ctx: &Ctx, site: &Site) -> Result<Vec<Name>, SiteError> {
    authz::site(ctx)?;
    Ok(stored::due(&mut *site.store.reader().await?, ctx.now).await?)
}

/// Takes what is due for a target first.
///
/// # Errors
/// `unauthenticated` for everybody but the site; when the store fails.
pub async fn status_action_claim(ctx: &Ctx, site: &Site, target: &Name) -> Result<Option<Sending>, SiteError> {
    authz::site(ctx)?;
    let until = ctx.now.plus(LEASE);
    let claimed = transaction!(site.store, "status_action_claim", |tx| {
        Ok::<_, SiteError>(stored::claim(tx, target, ctx.now, until).await?)
    })?;
    claimed.map(|claimed| sending(site, claimed)).transpose()
}

fn sending(site: &Site, claimed: Claimed) -> Result<Sending, SiteError> {
    let Claimed { new, device_name, tries } = claimed;
    let mut content: serde_json::Value =
        serde_json::from_str(&new.content).map_err(|error| SiteError::Fault(error.to_string()))?;
    if let Some(object) = content.as_object_mut() {
        object.insert("action".to_owned(), new.id.to_string().into());
        object.insert("site".to_owned(), site.code.to_string().into());
        if let Some(message) = object.get_mut("message").and_then(serde_json::Value::as_object_mut) {
            message.insert("device_name".to_owned(), device_name.clone().into());
        }
    }
    let body = content.to_string().into_bytes();
    Ok(Sending { id: new.id, name: new.name, text: new.text, device_name, body, tries })
}

/// When the next try is: after half a minute, then twice as long each time, up to four hours.
fn again(tries: u32, now: UnixMillis) -> Option<UnixMillis> {
    let pause = (30 * SECOND).saturating_mul(1 << tries.saturating_sub(1).min(20)).min(4 * HOUR);
    (tries < STATUS_ACTION_TRIES).then(|| now.plus(pause))
}

/// Says what a try came to: `Ok`, or why not.
///
/// # Errors
/// `unauthenticated` for everybody but the site; when the store fails.
pub async fn status_action_end(
    ctx: &Ctx,
    site: &Site,
    sending: &Sending,
    outcome: Result<String, String>,
) -> Result<(), SiteError> {
    authz::site(ctx)?;
    let done = outcome.is_ok();
    let outcome = outcome.unwrap_or_else(|error| error);
    let outcome = crate::knowledge::inventory::section::clean(&outcome, 500);
    let next = again(sending.tries, ctx.now);
    transaction!(site.store, "status_action_end", |tx| {
        stored::end(tx, sending.id, done, next.filter(|_| !done), &outcome, ctx.now).await?;
        Ok::<_, SiteError>(())
    })
}

/// Removes messages that rules keep for a time that is over, and what was sent long ago, a piece at a time; whether there are more.
pub(crate) async fn status_purge(site: &Site, now: UnixMillis) -> Result<bool, SiteError> {
    const PIECE: u32 = 5_000;
    let gone = transaction!(site.store, "status_purge", |tx| {
        let messages = message::purge(tx, now, PIECE).await?;
        Ok::<_, SiteError>(messages + stored::purge(tx, now.plus(-KEPT), PIECE).await?)
    })?;
    Ok(gone > 0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_fails_is_tried_less_and_less_often_and_then_given_up() {
        let now = UnixMillis(0);
        let pauses: Vec<Option<i64>> = [1, 2, 3, 11, 12].map(|tries| again(tries, now).map(|at| at.0 / SECOND)).into();
        assert_eq!(pauses, [Some(30), Some(60), Some(120), Some(4 * 3_600), None]);
    }
}
