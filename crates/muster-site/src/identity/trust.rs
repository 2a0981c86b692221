//! The trust bundle as it is handed out and renewed, and what the site says of itself.

use super::new_site::BUNDLE_LIFETIME;
use crate::{Ctx, SiteError, audit, authz, site::Site};
use muster_model::{api::SiteInfo, id::SiteCode, problem::Code, time::UnixMillis};
use muster_store::{Store, db::trust_bundle, transaction};
use muster_trust::{PrivateKey, TrustBundle, envelope};

/// The signed trust bundle, exactly as the root key signed it. Anyone may have it: it proves itself.
///
/// # Errors
/// None at present.
pub async fn trust_show(_: &Ctx, site: &Site) -> Result<Vec<u8>, SiteError> {
    Ok(site.trust.load().envelope.clone())
}

/// An earlier trust bundle, or the one in force, by its version: who slept goes through them one by one.
///
/// # Errors
/// `not_found`.
pub async fn trust_version_show(_: &Ctx, site: &Site, version: u64) -> Result<Vec<u8>, SiteError> {
    // One that is in the database and not in force yet was not verified by this process.
    if version == 0 || version > site.trust.load().bundle.value().version {
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
    let bundle = trust.bundle.value();
    Ok(SiteInfo {
        code: site.code,
        name: site.name.clone(),
        version: env!("CARGO_PKG_VERSION").to_owned(),
        root: site.root,
        trust_version: bundle.version,
        trust_expires: bundle.expires,
        management_points: site.addresses.management_points.clone(),
        database: site.store.dialect().name().to_owned(),
    })
}

/// Signs the successor of the newest trust bundle with the root key: the same content, one version later, for another
/// [`BUNDLE_LIFETIME`](super::new_site::BUNDLE_LIFETIME). Works on the store alone, so that the root key need not come near
/// a running server; that one hands the new bundle out from its next start on. Returns the new version and its end.
///
/// # Errors
/// `conflict` when the key is not the root of the bundle in force, or there is no site; nothing is changed then.
pub async fn trust_renew(
    ctx: &Ctx,
    store: &Store,
    code: SiteCode,
    root_key: &PrivateKey,
) -> Result<(u64, UnixMillis), SiteError> {
    let refused = |detail: String| SiteError::refused(Code::Conflict, detail);
    let fault = |error: envelope::EnvelopeError| SiteError::Fault(error.to_string());
    let renewed = transaction!(store, "trust_renew", |tx| {
        let Some(present) = trust_bundle::newest(tx).await? else {
            return Err(refused("There is no site in this database; `musterd init` makes one.".to_owned()));
        };
        let present = TrustBundle::kept(&present, &root_key.public().id(), code)
            .map_err(|error| refused(format!("This is not the root key of the bundle in force: {error}.")))?;
        let mut next = present.value().clone();
        next.version += 1;
        next.issued = ctx.now;
        next.expires = ctx.now.plus(BUNDLE_LIFETIME);
        let signed = envelope::sign_json(&[root_key], &next).map_err(fault)?;
        // What a client would say to it decides.
        present
            .value()
            .next(&signed, ctx.now)
            .map_err(|error| refused(format!("No client would take it: {error}.")))?;
        trust_bundle::insert(tx, next.version, next.expires, &signed).await?;
        let root = next.root_certificate().map_err(|error| SiteError::Fault(error.to_string()))?;
        super::revocation::sign_root_list(tx, &root, root_key, ctx.now, next.expires).await?;
        let detail = format!("Trust bundle {} was signed by root key {}.", next.version, root_key.public().id());
        audit::append(tx, ctx, "trust_renew", format!("trust bundle {}", next.version), detail).await?;
        Ok((next.version, next.expires))
    })?;
    Ok(renewed)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{NewSite, site_create};
    use muster_store::testing::stores;
    use muster_trust::PrivateKey;

    const NOW: UnixMillis = UnixMillis(1_790_000_000_000);

    #[tokio::test]
    async fn the_root_key_and_no_other_renews_the_bundle() {
        for test in stores().await {
            let (code, name) = ("ABC".parse().unwrap(), "Main site".parse().unwrap());
            let (ctx, stranger) = (Ctx::site(NOW), PrivateKey::generate().unwrap());
            let none = trust_renew(&ctx, &test.store, code, &stranger).await.unwrap_err();
            assert_eq!(none.code(), Code::Conflict);
            let id = uuid::Uuid::from_u128(1);
            let new = NewSite::generate(code, name, "alice".parse().unwrap(), id, None, NOW).unwrap();
            site_create(&ctx, &test.store, &new).await.unwrap();
            let first = TrustBundle::first(&new.trust_bundle, &new.root(), code, NOW).unwrap();
            for other in [&stranger, &new.policy_key, &new.issuing_key] {
                let refused = trust_renew(&ctx, &test.store, code, other).await.unwrap_err();
                assert_eq!(refused.code(), Code::Conflict);
            }
            let later = Ctx::site(first.value().expires.plus(1));
            let (version, expires) = trust_renew(&later, &test.store, code, &new.root_key).await.unwrap();
            assert_eq!((version, expires), (2, later.now.plus(BUNDLE_LIFETIME)));
            let mut reader = test.store.reader().await.unwrap();
            let signed = trust_bundle::newest(&mut reader).await.unwrap().unwrap();
            let next = first.value().next(&signed, later.now).unwrap();
            assert_eq!(next.value().authors, first.value().authors, "only version and times change");
        }
    }
}
