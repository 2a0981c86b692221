//! Revocation lists of issuers: which are due, what was fetched judged and kept, and what their state closes.

use super::memory::Known;
use crate::{Ctx, SiteError, audit, site::Site};
use muster_model::{
    id::{DeviceId, Hash},
    time::{DAY, HOUR, MINUTE, SECOND, UnixMillis},
};
use muster_store::{
    bus::Notice,
    db::{
        enterprise,
        issuer::{self, IssuerListRow, IssuerRow},
        revocation as revocation_rows,
    },
    transaction,
};
use muster_trust::enterprise::{EnterpriseIssuer, ForeignList, ListError, Serial};
use std::sync::Arc;

/// How often a list is fetched at most and at least, and how soon again after a failure.
const OFTEN: i64 = 2 * SECOND;
const SELDOM: i64 = HOUR;
const AGAIN: i64 = MINUTE;
/// Characters of a reason that is kept.
const REASON_CHARS: usize = 300;

/// What is known of a list, for judging how it stands.
#[derive(Debug, Clone, Copy)]
pub(super) struct Taken {
    pub(super) signed: UnixMillis,
    pub(super) next_update: UnixMillis,
}

/// A list that has to be fetched.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Due {
    /// The issuer.
    pub issuer: Hash,
    /// Where an administrator said that it is.
    pub url: String,
}

/// Reads the issuers anew: at the start, and when something changed. What is revoked or believed no longer is closed.
pub(crate) async fn issuer_load(site: &Site) -> Result<(), SiteError> {
    let _turn = site.memory.issuers.turn.lock().await;
    let before = site.memory.issuers.known();
    let mut next = Vec::new();
    for row in issuer::all(&mut *site.store.reader().await?).await? {
        let earlier = before.iter().find(|known| known.issuer.id() == row.id);
        match known(site, row, earlier).await {
            Ok(known) => next.push(known),
            // One that does not parse any more is believed by nobody; the others are not hindered.
            Err(error) => tracing::error!(%error, "An issuer in the database cannot be used."),
        }
    }
    let now = site.sources.now();
    for known in &mut next {
        known.was_in_time = known.in_time(now);
    }
    let gone: Vec<Hash> = before
        .iter()
        .map(|known| known.issuer.id())
        .filter(|id| next.iter().all(|known| known.issuer.id() != *id))
        .collect();
    let changed: Vec<Hash> =
        next.iter().filter(|known| is_another(known, &before)).map(|known| known.issuer.id()).collect();
    // Whom this is about, before anything is known anew: what fails up to here is done again as a whole.
    let mut about = Vec::new();
    for id in gone.iter().chain(&changed) {
        about.push((*id, enterprise::of_issuer(&mut *site.store.reader().await?, id).await?));
    }
    site.memory.issuers.replace(next);
    if about.is_empty() {
        return Ok(());
    }
    super::turn(site);
    close(site, about, now).await;
    let ended =
        before.iter().filter(|known| known.was_in_time && changed.contains(&known.issuer.id()) && !known.in_time(now));
    let mut outcome = Ok(());
    for ended in ended {
        if let Err(error) = end(site, ended, now).await {
            // It is closed already; the watch ends it again, so that the event is written when the database can.
            site.memory.issuers.unsettle(&ended.issuer.id());
            outcome = Err(error);
        }
    }
    outcome
}

fn is_another(known: &Known, before: &[Known]) -> bool {
    let earlier = before.iter().find(|earlier| earlier.issuer.id() == known.issuer.id());
    let same_list = |earlier: &Known| match (&earlier.list, &known.list) {
        (Some(earlier), Some(known)) => Arc::ptr_eq(earlier, known) || earlier.revoked == known.revoked,
        (earlier, known) => earlier.is_none() && known.is_none(),
    };
    earlier.is_none_or(|earlier| {
        earlier.criteria != known.criteria || earlier.was_in_time != known.was_in_time || !same_list(earlier)
    })
}

async fn known(site: &Site, row: IssuerRow, earlier: Option<&Known>) -> Result<Known, SiteError> {
    let fault = |error: &dyn std::fmt::Display| SiteError::Fault(format!("{}: {error}", row.name));
    let read = EnterpriseIssuer::read(&row.certificate).map_err(|error| fault(&error))?;
    let same = |list: &&Arc<ForeignList>, kept: &IssuerListRow| {
        list.number.to_string() == kept.number && list.this_update == kept.signed
    };
    let known = |kept: &IssuerListRow| {
        earlier.and_then(|earlier| earlier.list.as_ref()).filter(|list| same(list, kept)).cloned()
    };
    let list = match &row.list {
        None => Ok(None),
        Some(kept) => match known(kept) {
            Some(list) => Ok(Some(list)),
            None => read_kept(site, &read).await?.map(Some),
        },
    };
    if let Err(error) = &list {
        tracing::error!(issuer = %row.id, %error, "The revocation list that is kept cannot be used; another is fetched.");
    }
    Ok(Known {
        issuer: read,
        unusable: list.as_ref().err().copied(),
        criteria: row.criteria,
        list: list.unwrap_or_default(),
        grace_hours: row.grace_hours,
        list_url: row.list_url,
        tried: row.tried,
        failure: row.failure,
        was_in_time: false,
    })
}

/// The list that is kept. One of before the CA changed its name, say, is none, and its number goes on counting: see
/// [`issuer_list_take`].
async fn read_kept(site: &Site, issuer: &EnterpriseIssuer) -> Result<Result<Arc<ForeignList>, ListError>, SiteError> {
    let der = issuer::list(&mut *site.store.reader().await?, &issuer.id()).await?.unwrap_or_default();
    Ok(in_background(issuer, der).await?.map(|(list, _)| Arc::new(list)))
}

/// Reads a list; megabytes to parse: not on a thread that serves.
async fn in_background(
    issuer: &EnterpriseIssuer,
    der: Vec<u8>,
) -> Result<Result<(ForeignList, Vec<u8>), ListError>, SiteError> {
    let issuer = issuer.clone();
    let read = tokio::task::spawn_blocking(move || ForeignList::read(&der, &issuer).map(|list| (list, der)));
    read.await.map_err(|error| SiteError::Fault(error.to_string()))
}

/// Closes what devices have open whose certificate is good no longer: those that were read before, and those of now.
async fn close(site: &Site, about: Vec<(Hash, Vec<(DeviceId, String)>)>, now: UnixMillis) {
    for (issuer, mut devices) in about {
        let later =
            async { Ok::<_, SiteError>(enterprise::of_issuer(&mut *site.store.reader().await?, &issuer).await?) };
        // One that came in between; without it, the ones of before are closed all the same.
        devices.extend(later.await.unwrap_or_default());
        for (device, serial) in devices {
            let serial = Serial::from_hex(&serial).unwrap_or_else(|| Serial::new(&[]));
            if site.memory.issuers.standing(&issuer, &serial, now).is_err() {
                site.bus.publish(Notice::DeviceClosed(device));
            }
        }
    }
}

/// The event that a list has ended. A newer one that has come meanwhile makes none.
async fn end(site: &Site, ended: &Known, now: UnixMillis) -> Result<(), SiteError> {
    let id = ended.issuer.id();
    if site.memory.issuers.known().iter().any(|known| known.issuer.id() == id && known.in_time(now)) {
        return Ok(());
    }
    let detail = format!("The revocation list of {:?} has ended; its certificates count no more.", ended.issuer.name());
    tracing::error!(issuer = %id, "{detail}");
    transaction!(site.store, "issuer_list_end", |tx| {
        audit::append(tx, &Ctx::site(now), "issuer_list_end", format!("issuer {id}"), detail.clone()).await
    })
}

/// The worker's part: a list that came to its end closes what rests on it.
pub(crate) async fn issuer_watch(site: &Site, now: UnixMillis) -> Result<(), SiteError> {
    let known = site.memory.issuers.known();
    if known.iter().all(|known| known.was_in_time == known.in_time(now)) {
        return Ok(());
    }
    issuer_load(site).await
}

/// Which lists are to be fetched now.
#[must_use]
pub fn issuer_list_due(site: &Site, now: UnixMillis) -> Vec<Due> {
    let known = site.memory.issuers.known();
    let due = |known: &&Known| {
        let Some(tried) = known.tried else { return true };
        let wait = match (&known.failure, &known.list) {
            (None, Some(list)) => (list.next_update.since(list.this_update) / 8).clamp(OFTEN, SELDOM),
            _ => AGAIN,
        };
        !(0..wait).contains(&now.since(tried))
    };
    known.iter().filter(due).map(|known| Due { issuer: known.issuer.id(), url: known.list_url.clone() }).collect()
}

/// Takes a list that was fetched: signed by the issuer, complete, in time, and not older than the last. Whether it is a new one.
///
/// # Errors
/// When the store fails. A list that is not taken is noted, and the last one stays in force.
pub async fn issuer_list_take(site: &Site, issuer: Hash, der: Vec<u8>) -> Result<bool, SiteError> {
    let now = site.sources.now();
    let known = site.memory.issuers.known();
    let Some(known) = known.iter().find(|known| known.issuer.id() == issuer) else { return Ok(false) };
    let read = in_background(&known.issuer, der).await?;
    let last = issuer::all(&mut *site.store.reader().await?).await?.into_iter().find(|row| row.id == issuer);
    let Some(last) = last else {
        // Another process removed it, and this one has not heard.
        issuer_load(site).await?;
        return Ok(false);
    };
    // Its list may be known from an earlier time, when the issuer was there before.
    let before = last
        .list
        .as_ref()
        .map(|list| (Serial::from_hex(&list.number).unwrap_or_else(|| Serial::new(&[])), list.signed));
    let checked = read.and_then(|(list, der)| {
        list.check(before.as_ref().map(|(number, signed)| (number, *signed)), now).map(|()| (list, der))
    });
    match checked {
        Ok((list, der)) => keep(site, known, list, der, last.list.as_ref(), now).await,
        Err(error) => {
            metrics::counter!("muster_issuer_lists_refused_total", "reason" => error.as_str()).increment(1);
            issuer_list_failed(site, issuer, &refusal(error)).await?;
            Ok(false)
        }
    }
}

fn refusal(error: ListError) -> String {
    format!("What is there is not taken ({}): {error}.", error.as_str())
}

async fn keep(
    site: &Site,
    known: &Known,
    list: ForeignList,
    der: Vec<u8>,
    before: Option<&IssuerListRow>,
    now: UnixMillis,
) -> Result<bool, SiteError> {
    let row = IssuerListRow {
        number: list.number.to_string(),
        signed: list.this_update,
        next_update: list.next_update,
        entries: list.revoked.len() as u64,
    };
    let (id, is_new) = (known.issuer.id(), before != Some(&row) || known.unusable.is_some());
    let kept = transaction!(site.store, "issuer_list_take", |tx| {
        issuer::tried(tx, &id, now, None).await?;
        let kept = is_new && issuer::put_list(tx, &id, &row, &der, before).await?;
        if kept {
            // Other processes read it.
            revocation_rows::bump(tx).await?;
        }
        Ok::<_, SiteError>(kept)
    })?;
    issuer_load(site).await?;
    Ok(kept)
}

/// Notes that a list could not be had; the first failure after a success is an event.
///
/// # Errors
/// When the store fails.
pub async fn issuer_list_failed(site: &Site, issuer: Hash, reason: &str) -> Result<(), SiteError> {
    let now = site.sources.now();
    let reason: String = reason.chars().filter(|c| !c.is_control()).take(REASON_CHARS).collect();
    let known = site.memory.issuers.known();
    let known = known.iter().find(|known| known.issuer.id() == issuer);
    // A server that errs now in this way and now in that must not fill the log.
    let is_new = known.is_some_and(|known| known.failure.is_none());
    transaction!(site.store, "issuer_list_fail", |tx| {
        issuer::tried(tx, &issuer, now, Some(&reason)).await?;
        if is_new {
            let detail = format!("The revocation list could not be taken: {reason}");
            audit::append(tx, &Ctx::site(now), "issuer_list_fail", format!("issuer {issuer}"), detail).await?;
        }
        Ok::<_, SiteError>(())
    })?;
    if is_new {
        tracing::warn!(%issuer, reason, "The revocation list of an issuer could not be taken; it is tried again.");
    }
    issuer_load(site).await
}

/// What is wrong with an issuer. `list`: an error where the one that is kept cannot be used.
pub(super) fn warning(
    name: &str,
    expires: UnixMillis,
    list: Result<Option<Taken>, ListError>,
    grace_hours: u32,
    failure: Option<&str>,
    now: UnixMillis,
) -> Option<String> {
    let why = failure.map(|failure| format!(" {failure}")).unwrap_or_default();
    if expires <= now {
        return Some(format!("The certificate of issuer {name:?} has ended; its certificates count no more."));
    }
    let list = match list {
        Ok(Some(list)) => list,
        Ok(None) => {
            return Some(format!(
                "There is no revocation list of issuer {name:?} yet; none of its certificates counts.{why}"
            ));
        }
        Err(error) => {
            return Some(format!(
                "The revocation list that is kept of issuer {name:?} cannot be used ({error}); none of its certificates counts until \
                 a newer one is taken.{why}"
            ));
        }
    };
    let (left, until) = (list.next_update.since(now), list.next_update.plus(i64::from(grace_hours) * HOUR).since(now));
    // A list is replaced well before its end; in its last quarter somebody should look.
    let early = (list.next_update.since(list.signed) / 4).min(2 * DAY);
    if until <= 0 {
        Some(format!("The revocation list of issuer {name:?} is out of date; its certificates are refused.{why}"))
    } else if left <= 0 {
        let hours = until / HOUR;
        Some(format!(
            "The revocation list of issuer {name:?} is out of date, and believed for {hours} more hours only.{why}"
        ))
    } else if left < early {
        Some(format!("The revocation list of issuer {name:?} ends in {} minutes.{why}", left / MINUTE))
    } else if expires.since(now) < 30 * DAY {
        Some(format!("The certificate of issuer {name:?} ends in {} days.", expires.since(now) / DAY))
    } else {
        failure.map(|failure| format!("The revocation list of issuer {name:?} cannot be had. {failure}"))
    }
}

/// What is wrong with the issuers and their lists, in sentences.
#[must_use]
pub fn issuer_warnings(site: &Site, now: UnixMillis) -> Vec<String> {
    let known = site.memory.issuers.known();
    let one = |known: &Known| {
        let list = known.list.as_ref().map(|list| Taken { signed: list.this_update, next_update: list.next_update });
        let failure = known.failure.as_deref();
        let list = known.unusable.map_or(Ok(list), Err);
        warning(known.issuer.name(), known.issuer.expires(), list, known.grace_hours, failure, now)
    };
    known.iter().filter_map(one).collect()
}

#[expect(clippy::cast_precision_loss, reason = "a gauge is a float; these numbers stay far below 2^52")]
pub(crate) fn gauges(site: &Site, now: UnixMillis) {
    for known in site.memory.issuers.known().iter() {
        let id = known.issuer.id().to_string();
        let left = known.list.as_ref().map_or(0, |list| list.next_update.since(now) / SECOND);
        metrics::gauge!("muster_issuer_list_seconds_left", "issuer" => id.clone()).set(left as f64);
        let failing = u8::from(known.failure.is_some());
        metrics::gauge!("muster_issuer_list_failing", "issuer" => id).set(f64::from(failing));
    }
}
