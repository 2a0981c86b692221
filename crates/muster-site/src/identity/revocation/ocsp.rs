//! OCSP: what the site says of one certificate when anybody asks, and what its server shows of its own.

use super::{fault, number};
use crate::{Ctx, SiteError, site::Site};
use muster_model::time::{HOUR, UnixMillis};
use muster_store::db::certificate;
use muster_trust::{
    certificate::IssuingCa,
    ocsp::{Issuer, Refusal, Request, Status},
};
use std::sync::atomic::Ordering;

/// How long an OCSP answer is believed.
pub const STATUS_LIFETIME: i64 = 12 * HOUR;

/// An OCSP answer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OcspAnswer {
    /// The answer, DER.
    pub der: Vec<u8>,
    /// From when until when anybody may be given it again; `None`: it is for this request alone.
    pub cacheable: Option<(UnixMillis, UnixMillis)>,
}

/// Answers an OCSP request, for anyone. What cannot be answered is refused in the protocol's own words.
///
/// # Errors
/// None at present: a fault of the site is an answer too.
pub async fn ocsp_answer(ctx: &Ctx, site: &Site, request: &[u8]) -> Result<OcspAnswer, SiteError> {
    let (outcome, answer) = match answer(ctx, site, request).await {
        Ok(answer) => ("answered", answer),
        Err(refusal) => {
            let outcome = if refusal == Refusal::Malformed { "malformed" } else { "failed" };
            (outcome, OcspAnswer { der: refusal.to_der(), cacheable: None })
        }
    };
    metrics::counter!("muster_ocsp_requests_total", "outcome" => outcome).increment(1);
    Ok(answer)
}

async fn answer(ctx: &Ctx, site: &Site, request: &[u8]) -> Result<OcspAnswer, Refusal> {
    let request = Request::read(request)?;
    let failed = |error: &dyn std::fmt::Display| {
        tracing::error!(%error, "An OCSP request could not be answered.");
        Refusal::Internal
    };
    let trust = site.trust.load_full();
    // Each issuing CA that is believed answers for what it issued; of another's certificates the newest says that it knows none.
    let (mut ca, mut serials) = (&trust.keys.issuing, Vec::new());
    for own in trust.keys.issuing_all() {
        let issuer = Issuer::from_certificate(own.certificate()).map_err(|error| failed(&error))?;
        let asked: Vec<_> = request.serials(&issuer).into_iter().collect();
        let is_its = asked.iter().any(Option::is_some);
        if is_its || serials.is_empty() {
            (ca, serials) = (own, asked);
        }
        if is_its {
            break;
        }
    }
    let mut statuses = Vec::new();
    for serial in serials {
        statuses.push(match serial {
            Some(serial) => status_of(site, ca, serial).await.map_err(|error| failed(&error))?,
            None => Status::Unknown,
        });
    }
    let next_update = ctx.now.plus(STATUS_LIFETIME);
    let der = ca.ocsp_answer(&request, &statuses, ctx.now, next_update).map_err(|e| failed(&e))?;
    Ok(OcspAnswer { der, cacheable: (!request.has_nonce()).then_some((ctx.now, next_update)) })
}

/// What `ca` says of a serial number: nothing, when another CA issued that certificate.
async fn status_of(site: &Site, ca: &IssuingCa, serial: u128) -> Result<Status, SiteError> {
    let issuer = certificate::issuer(&mut *site.store.reader().await?, &format!("{serial:032x}")).await?;
    if issuer.is_some_and(|issuer| issuer != ca.key_id()) {
        return Ok(Status::Unknown);
    }
    status(site, serial).await
}

async fn status(site: &Site, serial: u128) -> Result<Status, SiteError> {
    if let Some(revoked) = site.memory.revoked.status(serial) {
        return Ok(revoked);
    }
    let known = certificate::get(&mut *site.store.reader().await?, &format!("{serial:032x}")).await?;
    // Revoked in the table and not in memory: another process did it a moment ago.
    Ok(match known.map(|certificate| certificate.revocation) {
        None => Status::Unknown,
        Some(None) => Status::Good,
        Some(Some(revocation)) => Status::Revoked { at: revocation.revoked, reason: revocation.reason },
    })
}

/// The status of the server's own certificate, which `ca` issued, to be shown in handshakes.
///
/// # Errors
/// When the store or the key fails.
pub async fn server_status(site: &Site, ca: &IssuingCa, serial: &str, now: UnixMillis) -> Result<Vec<u8>, SiteError> {
    let serial = number(serial).ok_or_else(|| SiteError::Fault("a serial number is no number".to_owned()))?;
    let status = status_of(site, ca, serial).await?;
    let signed = ca.ocsp_status(serial, status, now, now.plus(STATUS_LIFETIME)).map_err(fault)?;
    site.memory.server_proven.store(now.0, Ordering::Relaxed);
    Ok(signed)
}

/// Whether the server's own certificate was revoked, so that it has to get another one.
///
/// # Errors
/// When the store fails.
pub async fn server_certificate_is_revoked(site: &Site, serial: &str) -> Result<bool, SiteError> {
    let serial = number(serial).ok_or_else(|| SiteError::Fault("a serial number is no number".to_owned()))?;
    Ok(!matches!(status(site, serial).await?, Status::Good))
}
