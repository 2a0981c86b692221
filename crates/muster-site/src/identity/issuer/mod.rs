//! Issuers: CAs of the enterprise whose client certificates count, with their criteria and their revocation lists.
//!
//! To trust one is to let it say which key is a machine's. It never says which device that is, and it lets nobody in: an
//! administrator does, as for every other device.

mod list;
mod memory;

pub(crate) use list::issuer_load;
pub use list::{Due, issuer_list_due, issuer_list_failed, issuer_list_take, issuer_warnings};
pub(crate) use list::{gauges, issuer_watch};
pub use memory::Issuers;

use super::{device::checked_reason, revocation};
use crate::{Ctx, SiteError, audit, authz, site::Site};
use base64::{Engine, engine::general_purpose::STANDARD as BASE64};
use list::{Taken, warning};
use muster_model::{
    api::{Issuer, IssuerAdd, IssuerList, Page, Reason},
    enterprise::{IssuerOffer, IssuersAnswer},
    id::Hash,
    limits::{CERTIFICATE_BYTES, ISSUERS, LIST_URL_BYTES},
    problem::Code,
};
use muster_store::{
    db::{
        issuer::{self, IssuerRow},
        revocation as revocation_rows,
    },
    transaction,
};
use muster_trust::enterprise::{EnterpriseIssuer, check_criteria};

/// A week: longer than that a list that ended is not believed, whatever an administrator wishes.
const GRACE_HOURS: u32 = 168;

/// Every issuer, on one page, the first that was added first.
///
/// # Errors
/// `unauthenticated`.
pub async fn issuer_list(ctx: &Ctx, site: &Site) -> Result<Page<Issuer>, SiteError> {
    authz::see(ctx)?;
    let rows = issuer::all(&mut *site.store.reader().await?).await?;
    let items: Vec<_> = rows.into_iter().map(|row| shown(site, row, ctx.now)).collect();
    Ok(Page { total: items.len() as u64, items, offset: 0 })
}

fn shown(site: &Site, row: IssuerRow, now: muster_model::time::UnixMillis) -> Issuer {
    let taken = row.list.as_ref().map(|list| Taken { signed: list.signed, next_update: list.next_update });
    let taken = site.memory.issuers.unusable(&row.id).map_or(Ok(taken), Err);
    let warning = warning(&row.name, row.expires, taken, row.grace_hours, row.failure.as_deref(), now);
    Issuer {
        id: row.id,
        name: row.name,
        expires: row.expires,
        criteria: row.criteria,
        list_url: row.list_url,
        grace_hours: row.grace_hours,
        added: row.added,
        added_by: row.added_by,
        list: row.list.map(|list| IssuerList {
            number: list.number,
            signed: list.signed,
            next_update: list.next_update,
            entries: list.entries,
        }),
        tried: row.tried,
        failure: row.failure,
        devices: row.devices,
        warning,
    }
}

fn malformed(detail: impl Into<String>) -> SiteError {
    SiteError::refused(Code::Malformed, detail)
}

/// The one certificate in a text: PEM, or DER in base64.
fn certificate(text: &str) -> Result<Vec<u8>, SiteError> {
    if text.len() > CERTIFICATE_BYTES * 2 {
        let detail = format!("A CA's certificate has at most {CERTIFICATE_BYTES} bytes.");
        return Err(SiteError::refused(Code::TooLarge, detail));
    }
    let body = match text.trim().strip_prefix("-----BEGIN CERTIFICATE-----") {
        Some(rest) => rest.strip_suffix("-----END CERTIFICATE-----").unwrap_or("-"),
        None => text,
    };
    let body: String = body.split_ascii_whitespace().collect();
    BASE64.decode(body).map_err(|_| malformed("The certificate is not one in PEM, nor DER in base64."))
}

/// Whether a text is `http://host[:port]/path`: no user, no fragment, nothing that is not ASCII.
fn is_list_url(text: &str) -> bool {
    let Some(rest) = text.strip_prefix("http://") else { return false };
    let Some((authority, path)) = rest.split_once('/') else { return false };
    let plain = path.bytes().all(|byte| byte.is_ascii_graphic() && !b"#\\\"<>".contains(&byte));
    text.len() <= LIST_URL_BYTES && plain && muster_model::enrol::is_https_authority(&format!("https://{authority}"))
}

/// Adds an issuer. Its certificates count when its first revocation list was taken, and not before.
///
/// # Errors
/// `unauthenticated`, `forbidden`, `malformed`, `too_large`; `conflict` when it is there, or is a key of this site.
pub async fn issuer_add(ctx: &Ctx, site: &Site, add: IssuerAdd) -> Result<Issuer, SiteError> {
    let admin = authz::change(ctx)?;
    let der = certificate(&add.certificate)?;
    let read = EnterpriseIssuer::read(&der)
        .map_err(|error| malformed(format!("It cannot be an issuer of client certificates: {error}.")))?;
    if let Some(wrong) = check_criteria(&add.criteria) {
        return Err(malformed(format!(
            "{wrong:?} is no criterion, or one too many; a subject's is CN=value, a name's dns:name, a usage's a dotted identifier."
        )));
    }
    if !is_list_url(&add.list_url) {
        return Err(malformed(
            "The address of a revocation list is http://host/path; lists are signed and need no TLS.",
        ));
    }
    if add.grace_hours > GRACE_HOURS {
        return Err(malformed(format!("A list that ended is believed for at most {GRACE_HOURS} more hours.")));
    }
    if read.expires() <= ctx.now {
        return Err(malformed("The certificate of the CA has ended."));
    }
    check_foreign(site, &read)?;
    let row = IssuerRow {
        id: read.id(),
        name: read.name().to_owned(),
        expires: read.expires(),
        certificate: der,
        criteria: add.criteria,
        list_url: add.list_url,
        grace_hours: add.grace_hours,
        added: ctx.now,
        added_by: admin.name.to_string(),
        tried: None,
        failure: None,
        list: None,
        devices: 0,
    };
    transaction!(site.store, "issuer_add", |tx| {
        if issuer::all(tx.conn()).await?.len() >= ISSUERS {
            let detail = format!("A site has at most {ISSUERS} issuers; remove one that is not needed.");
            return Err(SiteError::refused(Code::Conflict, detail));
        }
        issuer::insert(tx, &row).await?;
        revocation_rows::bump(tx).await?;
        let detail = format!(
            "Client certificates of {:?} count from now on, where they meet {}; its revocation list is fetched from {}, and believed \
             for {} hours after its end.",
            row.name,
            serde_json::to_string(&row.criteria).unwrap_or_default(),
            row.list_url,
            row.grace_hours
        );
        audit::append(tx, ctx, "issuer_add", format!("issuer {}", row.id), detail).await
    })?;
    issuer_load(site).await?;
    site.memory.work.notify_one();
    let rows = issuer::all(&mut *site.store.reader().await?).await?;
    let row = rows.into_iter().find(|other| other.id == row.id).ok_or_else(SiteError::not_found)?;
    Ok(shown(site, row, ctx.now))
}

/// A key of this site is not the enterprise's: its own certificates would be judged by other rules.
fn check_foreign(site: &Site, read: &EnterpriseIssuer) -> Result<(), SiteError> {
    let trust = site.trust.load();
    let issuing = trust.bundle().issuing_certificates().map_err(|error| SiteError::Fault(error.to_string()))?;
    let mut own = issuing.iter().filter_map(|der| muster_trust::certificate::public_key(der).ok()).map(|key| key.id());
    if own.any(|id| id == read.id()) || trust.root()? == read.id() {
        return Err(SiteError::refused(Code::Conflict, "This is a CA of this site; its certificates count already."));
    }
    Ok(())
}

/// Removes an issuer: what talks with its certificates is closed, and comes in by them no more.
///
/// # Errors
/// `unauthenticated`, `forbidden`, `malformed`, `not_found`.
pub async fn issuer_remove(ctx: &Ctx, site: &Site, id: Hash, reason: Reason) -> Result<Issuer, SiteError> {
    authz::change(ctx)?;
    let reason = checked_reason(reason)?;
    let row = transaction!(site.store, "issuer_remove", |tx| {
        let row = issuer::all(tx.conn()).await?.into_iter().find(|row| row.id == id);
        let row = row.ok_or_else(SiteError::not_found)?;
        issuer::remove(tx, &id).await?;
        revocation_rows::bump(tx).await?;
        let detail = format!(
            "Client certificates of {:?} count no more; {} devices talk with them: {reason}",
            row.name, row.devices
        );
        audit::append(tx, ctx, "issuer_remove", format!("issuer {id}"), detail).await?;
        Ok::<_, SiteError>(row)
    })?;
    issuer_load(site).await?;
    site.memory.work.notify_one();
    Ok(shown(site, row, ctx.now))
}

/// The enrolment door: whose certificates count, and which of them, so that a client can choose. Anybody who reaches the door may read
/// the criteria: a client reads them again when its certificate was renewed, and has no token then. They are no secret.
///
/// # Errors
/// None at present.
pub async fn issuer_offer(_: &Ctx, site: &Site) -> Result<IssuersAnswer, SiteError> {
    let offer = |(issuer, criteria): (EnterpriseIssuer, _)| IssuerOffer {
        certificate: BASE64.encode(issuer.certificate()),
        criteria,
    };
    Ok(IssuersAnswer { issuers: site.memory.issuers.offered().into_iter().map(offer).collect() })
}

/// Sessions from before are not resumed; whoever comes again is judged again.
fn turn(site: &Site) {
    revocation::turn(site);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_address_of_a_list_is_plain() {
        for good in ["http://pki.example/ca.crl", "http://10.0.0.1:8080/a/b.crl?x=1", "http://[::1]:80/c"] {
            assert!(is_list_url(good), "{good}");
        }
        for bad in [
            "https://pki.example/ca.crl",
            "ldap://pki.example/ca",
            "file:///etc/passwd",
            "http://pki.example",
            "http:///ca.crl",
            "http://user@pki.example/ca.crl",
            "http://pki.example/ca.crl#x",
            "http://pki.example/a b",
            "http://pki.example/\u{e4}",
            "http://pki.example:0/ca.crl",
            "http://pki.example/a\r\nHost: b",
            &format!("http://pki.example/{}", "a".repeat(LIST_URL_BYTES)),
        ] {
            assert!(!is_list_url(bad), "{bad}");
        }
    }
}
