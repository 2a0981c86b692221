//! Certificates: client certificates after the first, renewed by the device that holds the key and by no other; the server's own;
//! and all of them listed and revoked.

use super::revocation;
use crate::{Ctx, SiteError, audit, authz, site::Site};
use base64::{Engine, engine::general_purpose::STANDARD as BASE64};
use muster_model::{
    api::{
        Certificate, CertificateKind, CertificateQuery, DeviceState, Page, PageQuery, Reason, RevocationReason, Revoke,
    },
    enrol::{RenewAnswer, RenewRequest},
    problem::Code,
    status::Severity,
    time::UnixMillis,
};
use muster_store::{
    bus::{Notice, Noun},
    db::{
        certificate,
        device::{self, DeviceRow},
        mobile, timeline,
    },
    transaction,
};
use muster_trust::{
    PublicKey,
    certificate::{CLIENT_LIFETIME, CertificateError, Issued, IssuingCa, issued_client},
};

/// A device asks for its next certificate, over a connection that the present one authenticates.
///
/// A certificate that has more than half of its life left is answered with itself: however often a device asks, it gets a
/// new one once in fifteen days, and an answer that was lost costs nothing.
///
/// # Errors
/// `unauthenticated`, `csr_invalid`, `key_mismatch`, `device_not_active`.
pub async fn certificate_renew(ctx: &Ctx, site: &Site, request: RenewRequest) -> Result<RenewAnswer, SiteError> {
    let caller = authz::device(ctx)?;
    let key = super::enrolment::requested_key(&request.csr)?;
    if key != caller.key {
        return Err(SiteError::refused(
            Code::KeyMismatch,
            "A certificate is renewed for the key that it has; a new key needs a new enrolment.",
        ));
    }
    let row = device::get(&mut *site.store.reader().await?, caller.id).await?;
    // The connection was asked before; but what was revoked in this moment gets no successor.
    let may = |row: &DeviceRow| {
        row.state == DeviceState::Active
            && row.key_revoked.is_none()
            && row.key == caller.key_id
            && !site.is_revoked(&caller.serial)
            && !site.is_revoked(&row.serial)
    };
    let Some(row) = row.filter(may) else { return Err(super::connection::not_active()) };
    let is_young = row.certificate_expires.since(ctx.now) > CLIENT_LIFETIME / 2;
    // One of an issuing CA of before is exchanged, so that its issuer can end.
    let newest = [site.trust.load().keys.issuing.certificate().to_vec()];
    let certificate = if is_young && issued_client(&row.certificate, &newest, ctx.now).is_ok() {
        row.certificate
    } else {
        reissue(ctx, site, row).await?
    };
    Ok(RenewAnswer {
        certificates: vec![BASE64.encode(certificate), BASE64.encode(site.trust.load().keys.issuing.certificate())],
        management_points: site.addresses.management_points.clone(),
    })
}

/// Whether the certificate of a device is in time, and of an issuing CA that is believed.
pub(super) fn is_believed(site: &Site, row: &DeviceRow, now: UnixMillis) -> bool {
    let issuing = site.trust.load().bundle().issuing_certificates();
    issuing.is_ok_and(|issuing| issued_client(&row.certificate, &issuing, now).is_ok())
}

/// Whether a device is active with this key, and neither its certificate nor its key was revoked.
pub(super) fn is_believed_key(site: &Site, row: &DeviceRow, key: &muster_model::id::Hash) -> bool {
    row.state == DeviceState::Active && row.key == *key && row.key_revoked.is_none() && !site.is_revoked(&row.serial)
}

/// A new certificate for a device whose key has proven itself. The one before stays good until its own end: it may be in use
/// on open connections, and the answer may be lost.
pub(super) async fn reissue(ctx: &Ctx, site: &Site, row: DeviceRow) -> Result<Vec<u8>, SiteError> {
    let fault = |error: &dyn std::fmt::Display| SiteError::Fault(error.to_string());
    let key = PublicKey::from_spki(&row.spki).map_err(|error| fault(&error))?;
    let trust = site.trust.load_full();
    let ca = &trust.keys.issuing;
    let issued = ca.client(site.code, row.id, &key, ctx.now).map_err(|error| fault(&error))?;
    transaction!(site.store, "certificate_renew", |tx| {
        if !device::renew(tx, row.id, &row.serial, &issued.serial, issued.expires, &issued.der).await? {
            return Err(super::connection::not_active());
        }
        let before = certificate::get(tx, &row.serial).await?;
        if before.is_some_and(|before| before.revocation.is_some()) {
            return Err(super::connection::not_active());
        }
        certificate::insert(tx, &ca.key_id(), &issued.serial, Some(row.id), ctx.now, issued.expires).await?;
        let text = format!("Its certificate was renewed; the new one has serial number {}.", issued.serial);
        let line = super::device::line(row.id, ctx.now, "enrolment", Severity::Information, text);
        timeline::insert(tx, &line).await?;
        Ok(())
    })?;
    site.memory.verdicts.forget(row.id);
    Ok(issued.der)
}

/// A new certificate for the server itself, and the signed status that goes with it into handshakes.
///
/// # Errors
/// [`SiteError::Fault`] for a name that no certificate can have; when the store fails.
pub async fn server_certificate_issue(
    site: &Site,
    ca: &IssuingCa,
    names: &[String],
    key: &PublicKey,
    now: UnixMillis,
) -> Result<(Issued, Vec<u8>), SiteError> {
    let issued = ca.server(names, key, now).map_err(|error| {
        let next = match error {
            CertificateError::NotWithin { .. } => {
                "correct names.server, or widen names.within and make another CA: `musterd trust rotate issuing`"
            }
            _ => "check names.server",
        };
        SiteError::Fault(format!("{error}; {next}"))
    })?;
    transaction!(site.store, "server_certificate_issue", |tx| {
        certificate::insert(tx, &ca.key_id(), &issued.serial, None, now, issued.expires).await
    })?;
    let status = revocation::server_status(site, ca, &issued.serial, now).await?;
    Ok((issued, status))
}

/// A page of certificates that have not ended, the newest first.
///
/// # Errors
/// `unauthenticated`, `too_large`.
pub async fn certificate_list(ctx: &Ctx, site: &Site, query: CertificateQuery) -> Result<Page<Certificate>, SiteError> {
    authz::see(ctx)?;
    let page = site.page(PageQuery { offset: query.offset, limit: query.limit })?;
    let (items, total) = certificate::list(&mut *site.store.reader().await?, &query).await?;
    Ok(Page { items, total, offset: page.offset })
}

/// The sentence and the code of a revocation. A hold is what blocking is for, and retiring a device says that it is out of use.
pub(super) fn checked_revoke(request: Revoke) -> Result<(String, RevocationReason), SiteError> {
    if request.code == RevocationReason::CertificateHold {
        return Err(SiteError::refused(Code::Malformed, "A certificate is put on hold by blocking its device."));
    }
    Ok((super::device::checked_reason(Reason { reason: request.reason })?, request.code))
}

/// Revokes one certificate for good, a device's or the server's own. A server whose certificate was revoked gets another one at
/// once. With the newest certificate of a device its key is revoked, and it comes back by enrolling anew; when it is an earlier
/// one, the device goes on with the newest. A mobile device whose certificate at work was revoked comes back by a new token.
///
/// # Errors
/// `unauthenticated`, `forbidden`, `malformed`, `not_found`; `conflict` when it was revoked before or has ended.
pub async fn certificate_revoke(
    ctx: &Ctx,
    site: &Site,
    serial: &str,
    request: Revoke,
) -> Result<Certificate, SiteError> {
    authz::change(ctx)?;
    let (reason, code) = checked_revoke(request)?;
    let serial = revocation::number(serial).map(|serial| format!("{serial:032x}")).ok_or_else(SiteError::not_found)?;
    let (row, revoked) = transaction!(site.store, "certificate_revoke", |tx| {
        let row = certificate::get(tx, &serial).await?.ok_or_else(SiteError::not_found)?;
        if let Some(device) = row.device {
            device::touch(tx, device).await?;
        }
        if let Some(device) = mobile::device_of(tx.conn(), &serial).await? {
            mobile::touch(tx, device).await?;
            mobile::certificate_end_one(tx, &serial, ctx.now).await?;
        }
        let revoked = revocation::revoke_one(tx, ctx, &serial, code).await?;
        if revoked.is_empty() {
            return Err(SiteError::refused(Code::Conflict, "The certificate was revoked before, or has ended."));
        }
        // Its newest certificate has no successor, also not when nobody remembers it any more.
        if let Some(id) = row.device
            && device::get(tx, id).await?.is_some_and(|device| device.serial == serial)
        {
            device::revoke_key(tx, id, ctx.now).await?;
        }
        if let Some(device) = row.device {
            let text = format!("{} revoked certificate {serial}, {code}: {reason}", ctx.actor());
            let line = super::device::line(device, ctx.now, "administration", Severity::Warning, text);
            timeline::insert(tx, &line).await?;
        }
        let detail = format!("The {} certificate was revoked, {code}: {reason}", row.kind);
        audit::append(tx, ctx, "certificate_revoke", format!("certificate {serial}"), detail).await?;
        let row = certificate::get(tx, &serial).await?.ok_or_else(SiteError::not_found)?;
        Ok((row, revoked))
    })?;
    revocation::committed(site, &revoked);
    match row.device {
        Some(device) => {
            site.memory.verdicts.forget(device);
            site.bus.publish(Notice::DeviceClosed(device));
        }
        None if row.kind == CertificateKind::Mobile => (),
        None => site.bus.publish(Notice::ServerCertificateRevoked),
    }
    site.bus.publish(Notice::Changed(Noun::Device));
    Ok(row)
}
