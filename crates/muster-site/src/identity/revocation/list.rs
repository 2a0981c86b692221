//! Revocation lists: signed by the worker when something changed or they get old, published, and looked after.

use super::{STATUS_LIFETIME, entry, fault, revocation_load};
use crate::identity::issuer;
use crate::{Ctx, SiteError, authz, site::Site};
use bytes::Bytes;
use muster_model::{
    api::{RevocationList, RevocationState},
    id::Hash,
    time::{DAY, HOUR, MINUTE, SECOND, UnixMillis},
};
use muster_store::{
    Store, Tx,
    db::revocation::{self, ListRow, RevokedRow},
    transaction,
};
use muster_trust::{PrivateKey, certificate::IssuingCa, crl};
use std::{
    collections::BTreeMap,
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicI64, Ordering},
    },
};

/// How long the issuing CA's list is believed.
pub const LIST_LIFETIME: i64 = 3 * DAY;
/// How old it gets before it is signed again although nothing changed.
const LIST_RENEWAL: i64 = 12 * HOUR;
/// Below this rest of its life somebody has to look: it should have been signed again long ago.
const LIST_WARNING: i64 = 2 * DAY;
/// The root's list lives as long as a trust bundle, because both want the same key. Below this rest it is a warning.
const ROOT_WARNING: i64 = 30 * DAY;
/// Time between two signatures when one change follows another, at least.
const PAUSE: i64 = SECOND;
/// The same in times of what the last signature took, so that signing large lists leaves time for everything else.
const PAUSES: i64 = 9;

/// A list as it is published.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Published {
    /// The list, DER. Clones share it: it is given to anybody who asks.
    pub der: Bytes,
    /// The SHA-256 of it, which names it in caches.
    pub digest: Hash,
    /// When it was signed.
    pub signed: UnixMillis,
    /// Until when it is believed.
    pub next_update: UnixMillis,
    number: u64,
    covers: u64,
    entries: u64,
}

impl From<ListRow> for Published {
    fn from(row: ListRow) -> Self {
        Self {
            digest: muster_trust::sha256(&row.list),
            der: row.list.into(),
            signed: row.signed,
            next_update: row.next_update,
            number: row.number,
            covers: row.covers,
            entries: row.entries,
        }
    }
}

/// The lists that this process publishes, by the key id of their CA.
#[derive(Debug, Default)]
pub struct Lists {
    lists: Mutex<BTreeMap<Hash, Arc<Published>>>,
    /// How long signing all of them took the last time.
    took: AtomicI64,
}

impl Lists {
    fn get(&self, issuer: &Hash) -> Option<Arc<Published>> {
        self.lists.lock().unwrap_or_else(PoisonError::into_inner).get(issuer).cloned()
    }

    /// Time from one signature to the next, when one change follows another.
    fn pause(&self) -> i64 {
        PAUSE.max(self.took.load(Ordering::Relaxed).saturating_mul(PAUSES))
    }

    pub(super) fn replace(&self, rows: Vec<ListRow>) {
        *self.lists.lock().unwrap_or_else(PoisonError::into_inner) =
            rows.into_iter().map(|row| (row.issuer, Arc::new(Published::from(row)))).collect();
    }
}

/// Takes over what another process revoked. The number of the last change, by whomever.
///
/// # Errors
/// When the store cannot be read.
pub(crate) async fn revocation_hear(site: &Site) -> Result<u64, SiteError> {
    let change = revocation::change(&mut *site.store.reader().await?).await?;
    if change != site.memory.revoked.change.load(Ordering::Acquire) {
        revocation_load(site).await?;
    }
    Ok(change)
}

/// The worker's part: hears of changes by other processes, and signs the list of each issuing CA that is believed when it is old
/// or incomplete. Each CA names what it issued itself, and what was issued before that was noted.
/// Whether a list was signed.
///
/// # Errors
/// When the store or the key fails; the list before stays in force.
pub(crate) async fn revocation_work(site: &Site, now: UnixMillis) -> Result<bool, SiteError> {
    let change = revocation_hear(site).await?;
    let trust = site.trust.load_full();
    let (pause, began) = (site.memory.lists.pause(), site.sources.now());
    let mut signed = false;
    for ca in trust.keys.issuing_all() {
        let present = site.memory.lists.get(&ca.key_id());
        let due = present.as_ref().is_none_or(|list| {
            let age = now.since(list.signed);
            !(0..LIST_RENEWAL).contains(&age) || list.covers < change && age >= pause
        });
        if due {
            sign(site, ca, now, present.as_deref()).await?;
        }
        signed |= due;
    }
    issuer::issuer_watch(site, now).await?;
    if signed {
        site.memory.lists.took.store(site.sources.now().since(began).clamp(0, MINUTE), Ordering::Relaxed);
    }
    gauges(site, now);
    Ok(signed)
}

async fn sign(site: &Site, ca: &IssuingCa, now: UnixMillis, present: Option<&Published>) -> Result<(), SiteError> {
    let (change, rows) = {
        let mut reader = site.store.reader().await?;
        (revocation::change(&mut reader).await?, revocation::of_issuer(&mut reader, &ca.key_id()).await?)
    };
    let number = present.map_or(0, |list| list.number) + 1;
    let row = signed_list(ca, number, change, &rows, now, now.plus(LIST_LIFETIME))?;
    let kept = transaction!(site.store, "revocation_sign", |tx| { revocation::put_list(tx, &row).await })?;
    if !kept {
        tracing::debug!(number, "Another process signed a revocation list of this number.");
    }
    metrics::counter!("muster_revocation_lists_signed_total").increment(1);
    site.memory.lists.replace(revocation::lists(&mut *site.store.reader().await?).await?);
    Ok(())
}

fn signed_list(
    ca: &IssuingCa,
    number: u64,
    covers: u64,
    rows: &[RevokedRow],
    now: UnixMillis,
    next_update: UnixMillis,
) -> Result<ListRow, SiteError> {
    let revoked: Vec<_> =
        rows.iter().filter_map(entry).map(|(serial, (at, reason))| crl::Revoked { serial, at, reason }).collect();
    let list = ca.revocation_list(number, &revoked, now, next_update).map_err(fault)?;
    let entries = revoked.len() as u64;
    Ok(ListRow { issuer: ca.key_id(), number, covers, signed: now, next_update, entries, list })
}

/// The first list of a new site's issuing CA, so that there is never a moment without one.
pub(crate) async fn sign_first_list(tx: &mut Tx, ca: &IssuingCa, now: UnixMillis) -> Result<(), SiteError> {
    revocation::put_list(tx, &signed_list(ca, 1, 0, &[], now, now.plus(LIST_LIFETIME))?).await?;
    Ok(())
}

/// The first list of a new site's root. The later ones come with trust bundles: see [`put_root_list`].
pub(crate) async fn sign_first_root_list(
    tx: &mut Tx,
    certificate: &[u8],
    key: &PrivateKey,
    now: UnixMillis,
    next_update: UnixMillis,
) -> Result<(), SiteError> {
    let root = IssuingCa::new(certificate.to_vec(), key).map_err(fault)?;
    revocation::put_list(tx, &signed_list(&root, 1, 0, &[], now, next_update)?).await?;
    Ok(())
}

/// The root's own list: which issuing CAs it has revoked. It is signed where the root key is, comes with a trust bundle, and is
/// as long in force.
pub(crate) async fn put_root_list(
    tx: &mut Tx,
    issuer: Hash,
    der: Vec<u8>,
    list: &crl::List,
) -> Result<bool, SiteError> {
    let row = ListRow {
        issuer,
        number: list.number,
        covers: 0,
        signed: list.this_update,
        next_update: list.next_update,
        entries: list.revoked.len() as u64,
        list: der,
    };
    let kept = revocation::put_list(tx, &row).await?;
    // A running server reads it.
    revocation::bump(tx).await?;
    Ok(kept)
}

/// The root's list in force, for the proposal that its next one will come with.
pub(crate) async fn root_list(store: &Store, root: &Hash) -> Result<Option<Vec<u8>>, SiteError> {
    let lists = revocation::lists(&mut *store.reader().await?).await?;
    Ok(lists.into_iter().find(|list| list.issuer == *root).map(|list| list.list))
}

/// The same in a transaction.
pub(crate) async fn root_list_in(tx: &mut Tx, root: &Hash) -> Result<Option<Vec<u8>>, SiteError> {
    let lists = revocation::lists(tx).await?;
    Ok(lists.into_iter().find(|list| list.issuer == *root).map(|list| list.list))
}

/// A published list, for anyone: it proves itself.
///
/// # Errors
/// `not_found` for a CA that has none here.
pub async fn revocation_list_show(_: &Ctx, site: &Site, issuer: Hash) -> Result<Arc<Published>, SiteError> {
    site.memory.lists.get(&issuer).ok_or_else(SiteError::not_found)
}

/// Every published list, and what is wrong with it.
///
/// # Errors
/// `unauthenticated`.
pub async fn revocation_show(ctx: &Ctx, site: &Site) -> Result<RevocationState, SiteError> {
    authz::see(ctx)?;
    let (lists, warnings) = (shown(site, ctx.now), revocation_warnings(site, ctx.now));
    Ok(RevocationState { lists, revoked: site.memory.revoked.count() as u64, warnings })
}

fn shown(site: &Site, now: UnixMillis) -> Vec<RevocationList> {
    let trust = site.trust.load();
    let newest = ("issuing", trust.keys.issuing.key_id(), LIST_WARNING);
    let earlier = trust.keys.earlier.iter().map(|ca| ("earlier issuing", ca.key_id(), LIST_WARNING));
    // A bundle that is in force has a root; that its certificate parses was looked at before.
    let root = trust.root().ok().map(|root| ("root", root, ROOT_WARNING));
    std::iter::once(newest)
        .chain(earlier)
        .chain(root)
        .map(|(of, issuer, early)| {
            let list = site.memory.lists.get(&issuer);
            let get = |field: fn(&Published) -> u64| list.as_deref().map_or(0, field);
            RevocationList {
                issuer,
                of: of.to_owned(),
                number: get(|list| list.number),
                entries: get(|list| list.entries),
                signed: list.as_ref().map_or(UnixMillis(0), |list| list.signed),
                next_update: list.as_ref().map_or(UnixMillis(0), |list| list.next_update),
                warning: warning(of, list.as_deref(), early, now),
            }
        })
        .collect()
}

fn warning(of: &str, list: Option<&Published>, early: i64, now: UnixMillis) -> Option<String> {
    let cure = match of {
        "root" => "Sign a new one with `musterd trust renew`.",
        _ => "The server signs it by itself while it runs; its log says what hinders it.",
    };
    let Some(list) = list else { return Some(format!("There is no revocation list of the {of} CA. {cure}")) };
    let left = list.next_update.since(now);
    if left <= 0 {
        Some(format!("The revocation list of the {of} CA is out of date. {cure}"))
    } else if left < early {
        Some(format!("The revocation list of the {of} CA ends in {} hours. {cure}", left / HOUR))
    } else {
        None
    }
}

/// What is wrong with the published lists, in sentences.
#[must_use]
pub fn revocation_warnings(site: &Site, now: UnixMillis) -> Vec<String> {
    let own = status_left(site, now).filter(|left| *left < STATUS_LIFETIME / 2).map(|left| {
        let hours = left.max(0) / HOUR;
        format!(
            "The status of the server's own certificate holds for {hours} more hours and could not be signed anew; then no client \
             connects. The server's log says what hinders it."
        )
    });
    shown(site, now)
        .into_iter()
        .filter_map(|list| list.warning)
        .chain(own)
        .chain(issuer::issuer_warnings(site, now))
        .collect()
}

/// How long clients believe the status of the server's own certificate; `None` in a process that serves nobody.
fn status_left(site: &Site, now: UnixMillis) -> Option<i64> {
    let proven = site.memory.server_proven.load(Ordering::Relaxed);
    (proven > 0).then(|| UnixMillis(proven).plus(STATUS_LIFETIME).since(now))
}

#[expect(clippy::cast_precision_loss, reason = "a gauge is a float; these numbers stay far below 2^52")]
fn gauges(site: &Site, now: UnixMillis) {
    issuer::gauges(site, now);
    for list in shown(site, now) {
        let left = list.next_update.since(now) / SECOND;
        let issuer = list.issuer.to_string();
        metrics::gauge!("muster_revocation_list_seconds_left", "of" => list.of, "issuer" => issuer).set(left as f64);
    }
    if let Some(left) = status_left(site, now) {
        metrics::gauge!("muster_server_status_seconds_left").set((left / SECOND) as f64);
    }
    metrics::gauge!("muster_revoked_certificates").set(site.memory.revoked.count() as f64);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_pause_grows_with_what_signing_takes() {
        let lists = Lists::default();
        assert_eq!(lists.pause(), SECOND);
        lists.took.store(3 * SECOND, Ordering::Relaxed);
        assert_eq!(lists.pause(), 27 * SECOND);
    }
}
