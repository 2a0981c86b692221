//! The trust bundle as it is handed out, changed and followed, and what the site says of itself.
//!
//! A change is a file that travels ([`Proposal`]): proposed here, signed by the holders of root keys wherever they are, accepted
//! here. Proposing and accepting work on the store alone, so that nothing of it needs a running server, and a running server
//! never sees a root key; it follows what it finds in its database.

use super::{
    keys::{KeyRing, SiteKeys},
    revocation,
};
use crate::{
    Ctx, SiteError, audit, authz,
    site::{Site, Trust, trust_chain},
};
use muster_model::{
    api::{SiteInfo, TrustDevices, TrustKey, TrustView},
    id::{Hash, SiteCode},
    problem::Code,
    time::{DAY, UnixMillis},
};
use muster_store::{
    Store, Tx,
    bus::Notice,
    db::{assignment, trust_bundle},
    transaction,
};
use muster_trust::{
    TrustBundle, TrustChain, certificate,
    crl::{self, List},
    proposal::{Change, Proposal, revoked_issuing},
};
use std::sync::Arc;

/// How long a trust bundle is believed.
pub const BUNDLE_LIFETIME: i64 = 365 * DAY;

/// Where to find a site's trust without a running server.
#[derive(Debug, Clone, Copy)]
pub struct TrustPlace<'a> {
    /// The database.
    pub store: &'a Store,
    /// The site.
    pub code: SiteCode,
    /// Fingerprint of the first trusted root key, from the site's own files.
    pub pin: Hash,
}

/// The signed trust bundle, exactly as the root keys signed it. Anyone may have it: it proves itself.
///
/// # Errors
/// None at present.
pub async fn trust_bundle_show(_: &Ctx, site: &Site) -> Result<Vec<u8>, SiteError> {
    Ok(site.trust.load().chain.envelope().to_vec())
}

/// An earlier trust bundle, or the one in force, by its version: who slept goes through them one by one.
///
/// # Errors
/// `not_found`.
pub async fn trust_bundle_version_show(_: &Ctx, site: &Site, version: u64) -> Result<Vec<u8>, SiteError> {
    // One that is in the database and not in force yet was not verified by this process.
    if version == 0 || version > site.trust.load().bundle().version {
        return Err(SiteError::not_found());
    }
    trust_bundle::get(&mut *site.store.reader().await?, version).await?.ok_or_else(SiteError::not_found)
}

/// What the site says of itself. `version` is that of the server program.
///
/// # Errors
/// `unauthenticated`.
pub async fn site_show(ctx: &Ctx, site: &Site) -> Result<SiteInfo, SiteError> {
    authz::see(ctx)?;
    let trust = site.trust.load();
    Ok(SiteInfo {
        code: site.code,
        name: site.name.clone(),
        version: env!("CARGO_PKG_VERSION").to_owned(),
        root: trust.root()?,
        trust_version: trust.bundle().version,
        trust_expires: trust.bundle().expires,
        management_points: site.addresses.management_points.clone(),
        database: site.store.dialect().name().to_owned(),
    })
}

/// The trust bundle in force as people read it, and which devices are known to have it.
///
/// # Errors
/// `unauthenticated`.
pub async fn trust_show(ctx: &Ctx, site: &Site) -> Result<TrustView, SiteError> {
    authz::see(ctx)?;
    let (known, unconfirmed, unconfirmed_until) = assignment::by_trust(&mut *site.store.reader().await?).await?;
    let trust = site.trust.load_full();
    let bundle = trust.bundle();
    let fault = |error: &dyn std::fmt::Display| SiteError::Fault(error.to_string());
    let issuing = certificate::public_key(trust.keys.issuing.certificate()).map_err(|error| fault(&error))?.id();
    let at_work = [issuing, trust.keys.policy.public().id()];
    let keys = bundle.keys().filter(|(_, key, _)| !bundle.revoked.contains(key)).map(|(purpose, key, name)| {
        // Root and author keys work where they are; the site has none of them.
        let in_use = matches!(purpose, "root" | "author") || at_work.contains(&key);
        TrustKey { purpose: purpose.to_owned(), key, name, in_use }
    });
    Ok(TrustView {
        version: bundle.version,
        issued: bundle.issued,
        expires: bundle.expires,
        root_threshold: bundle.root.threshold,
        author_threshold: bundle.authors.threshold,
        keys: keys.collect(),
        revoked: bundle.revoked.clone(),
        devices: known.into_iter().map(|(version, count)| TrustDevices { version, count }).collect(),
        unconfirmed,
        unconfirmed_until,
    })
}

fn refused(detail: String) -> SiteError {
    SiteError::refused(Code::Conflict, detail)
}

fn no_site() -> SiteError {
    refused("There is no site in this database; `musterd init` makes one.".to_owned())
}

fn verified(place: TrustPlace<'_>, envelopes: &[Vec<u8>]) -> Result<TrustChain, SiteError> {
    if envelopes.is_empty() {
        return Err(no_site());
    }
    trust_chain(envelopes, &place.pin, place.code).map_err(|error| {
        refused(format!("The trust bundles in the database do not verify from the root key: {error}."))
    })
}

/// The trust bundle in force, verified from the pin.
///
/// # Errors
/// `conflict` when there is no site, or what is there does not verify.
pub async fn trust_in_force(_: &Ctx, place: TrustPlace<'_>) -> Result<TrustBundle, SiteError> {
    let envelopes = trust_bundle::after(&mut *place.store.reader().await?, 0).await?;
    Ok(verified(place, &envelopes)?.bundle().clone())
}

/// A proposal for the successor of the newest trust bundle, for another [`BUNDLE_LIFETIME`]. Nothing is stored.
///
/// # Errors
/// `conflict` when the change cannot work, or there is no site.
pub async fn trust_propose(ctx: &Ctx, place: TrustPlace<'_>, changes: Vec<Change>) -> Result<Proposal, SiteError> {
    let envelopes = trust_bundle::after(&mut *place.store.reader().await?, 0).await?;
    let chain = verified(place, &envelopes)?;
    // A root that is new begins its own lists.
    let root = chain.bundle().root_certificate_key().map_err(|error| SiteError::Fault(error.to_string()))?.id();
    let list = revocation::root_list(place.store, &root).await?;
    Proposal::new(chain.envelope(), changes, ctx.now, ctx.now.plus(BUNDLE_LIFETIME))
        .map(|proposal| proposal.after_list(list.as_deref()))
        .map_err(|error| refused(format!("{}.", capital(&error.to_string()))))
}

/// Takes a proposal that is signed: what every client would say to it decides. Then it is in force, and a running server
/// follows. The same proposal again is refused, and changes nothing.
///
/// # Errors
/// `conflict` when somebody has to sign yet, it does not follow on the newest bundle, or this server has no key that clients
/// would believe afterwards; nothing is changed then.
pub async fn trust_accept(
    ctx: &Ctx,
    place: TrustPlace<'_>,
    ring: &dyn KeyRing,
    proposal: &Proposal,
) -> Result<TrustBundle, SiteError> {
    let unsigned = || refused("Nobody has signed this proposal yet; `muster trust sign` does.".to_owned());
    let malformed = |error: muster_trust::proposal::ProposalError| refused(format!("{}.", capital(&error.to_string())));
    let signed = proposal.signed().map_err(malformed)?.ok_or_else(unsigned)?;
    let next =
        transaction!(place.store, "trust_accept", |tx| { accept(ctx, tx, place, ring, proposal, &signed).await })?;
    Ok(next)
}

async fn accept(
    ctx: &Ctx,
    tx: &mut Tx,
    place: TrustPlace<'_>,
    ring: &dyn KeyRing,
    proposal: &Proposal,
    signed: &[u8],
) -> Result<TrustBundle, SiteError> {
    let chain = verified(place, &trust_bundle::after(tx.conn(), 0).await?)?;
    let present = chain.bundle();
    let next = chain.extended(&[signed], ctx.now);
    let next = next.map_err(|error| refused(format!("No client would take it: {error}.")))?.bundle().clone();
    if next.version == present.version {
        return Err(refused(format!("Trust bundle {} is in force already.", next.version)));
    }
    SiteKeys::of(&next, ring).map_err(|error| refused(format!("{error} Propose the change on this machine.")))?;
    trust_bundle::insert(tx, next.version, next.expires, signed).await?;
    let list = proposal.next_root_list(&next);
    let list =
        list.map_err(|_| refused("The revocation list in this proposal is not one of its root key.".to_owned()))?;
    check_root_list(tx, present, &next, list.as_ref().map(|(_, list)| list)).await?;
    if let Some((der, list)) = list {
        let root = next.root_certificate_key().map_err(|error| SiteError::Fault(error.to_string()))?.id();
        if !revocation::put_root_list(tx, root, der, &list).await? {
            return Err(refused(
                "The revocation list in this proposal is older than the one in force; propose again.".to_owned(),
            ));
        }
    }
    let differences = next.differences(Some(present));
    let what = if differences.is_empty() { "only its end is another".to_owned() } else { differences.join("; ") };
    let detail = format!("Trust bundle {} follows on {}: {what}.", next.version, present.version);
    audit::append(tx, ctx, "trust_accept", format!("trust bundle {}", next.version), detail).await?;
    Ok(next)
}

/// Which issuing CAs are revoked is said to those who do not read trust bundles, too: the root's list names those that this bundle
/// revokes, and goes on naming those that the one in force names.
async fn check_root_list(
    tx: &mut Tx,
    present: &TrustBundle,
    next: &TrustBundle,
    list: Option<&List>,
) -> Result<(), SiteError> {
    let fault = |error: &dyn std::fmt::Display| SiteError::Fault(error.to_string());
    let root = next.root_certificate_key().map_err(|error| fault(&error))?;
    let mut named = revoked_issuing(present, next).map_err(|error| fault(&error))?;
    if list.is_some()
        && let Some(before) = revocation::root_list_in(tx, &root.id()).await?
    {
        let before = crl::read(&before, &root).map_err(|error| fault(&error))?;
        named.extend(before.revoked.iter().map(|revoked| revoked.serial));
    }
    let is_named = |serial: &u128| list.is_some_and(|list| list.revoked.iter().any(|it| it.serial == *serial));
    if named.iter().all(is_named) {
        return Ok(());
    }
    Err(refused(
        "The revocation list in this proposal does not name every issuing CA that the root has revoked. The root key that certifies \
         must sign too; propose again."
            .to_owned(),
    ))
}

fn capital(text: &str) -> String {
    let mut chars = text.chars();
    chars.next().map_or_else(String::new, |first| first.to_uppercase().chain(chars).collect())
}

/// Follows the database: takes what was accepted there since, with the keys that belong to it, and has every assignment signed
/// anew. Whether there was something. Safe to call at any time, in every process of the site.
///
/// # Errors
/// When what is there does not verify, or a key is missing; the bundle in force stays.
pub async fn trust_follow(site: &Site, now: UnixMillis) -> Result<bool, SiteError> {
    let trust = site.trust.load_full();
    let have = trust.bundle().version;
    let mut reader = site.store.reader().await?;
    if trust_bundle::newest_version(&mut reader).await? <= have {
        return Ok(false);
    }
    let envelopes = trust_bundle::after(&mut reader, have).await?;
    drop(reader);
    let fault = |error: muster_trust::bundle::BundleError| {
        SiteError::Fault(format!("A new trust bundle in the database is not the site's: {error}."))
    };
    let chain = trust.chain.extended(&envelopes, now).map_err(fault)?;
    let keys = SiteKeys::of(chain.bundle(), site.ring.as_ref())?;
    let (version, dropped) = (chain.bundle().version, dropped(trust.bundle(), chain.bundle()));
    site.trust.store(Arc::new(Trust { chain, keys }));
    tracing::info!(version, "A new trust bundle is in force.");
    site.bus.publish(Notice::TrustChanged { dropped });
    // What was signed under the bundle before is signed anew: of the devices that ask at once, of the others in the background.
    transaction!(site.store, "trust_follow", |tx| { assignment::ask_all(tx, now).await })?;
    site.memory.work.notify_one();
    Ok(true)
}

/// Whether an issuing CA is believed no longer: what it vouched for has to leave.
fn dropped(before: &TrustBundle, after: &TrustBundle) -> bool {
    let ids = |bundle: &TrustBundle| -> Vec<Hash> {
        bundle
            .keys()
            .filter(|(purpose, id, _)| *purpose == "issuing" && !bundle.revoked.contains(id))
            .map(|k| k.1)
            .collect()
    };
    let after = ids(after);
    ids(before).iter().any(|id| !after.contains(id))
}
