//! Client certificates after the first: renewed by the device that holds the key, and by no other.

use crate::{Ctx, SiteError, authz, site::Site};
use base64::{Engine, engine::general_purpose::STANDARD as BASE64};
use muster_model::{
    api::DeviceState,
    enrol::{RenewAnswer, RenewRequest},
    problem::Code,
    status::Severity,
};
use muster_store::{
    db::{
        device::{self, DeviceRow},
        timeline,
    },
    transaction,
};
use muster_trust::{PublicKey, certificate::CLIENT_LIFETIME};

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
    let Some(row) = row.filter(|row| row.state == DeviceState::Active && row.key == caller.key_id) else {
        return Err(super::connection::not_active());
    };
    let certificate = if row.certificate_expires.since(ctx.now) > CLIENT_LIFETIME / 2 {
        row.certificate
    } else {
        reissue(ctx, site, row).await?
    };
    Ok(RenewAnswer {
        certificates: vec![BASE64.encode(certificate), BASE64.encode(site.keys.issuing.certificate())],
        management_points: site.addresses.management_points.clone(),
    })
}

/// A new certificate for a device whose key has proven itself. The one before stays good until its own end: it may be in use
/// on open connections, and the answer may be lost.
pub(super) async fn reissue(ctx: &Ctx, site: &Site, row: DeviceRow) -> Result<Vec<u8>, SiteError> {
    let fault = |error: &dyn std::fmt::Display| SiteError::Fault(error.to_string());
    let key = PublicKey::from_spki(&row.spki).map_err(|error| fault(&error))?;
    let issued = site.keys.issuing.client(site.code, row.id, &key, ctx.now).map_err(|error| fault(&error))?;
    transaction!(site.store, "certificate_renew", |tx| {
        if !device::renew(tx, row.id, &row.serial, &issued.serial, issued.expires, &issued.der).await? {
            return Err(super::connection::not_active());
        }
        let text = format!("Its certificate was renewed; the new one has serial number {}.", issued.serial);
        let line = super::device::line(row.id, ctx.now, "enrolment", Severity::Information, text);
        timeline::insert(tx, &line).await?;
        Ok(())
    })?;
    site.memory.verdicts.forget(row.id);
    Ok(issued.der)
}
