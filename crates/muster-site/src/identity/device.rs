//! Devices: who may talk, and who no longer may.

use crate::{Ctx, SiteError, site::Site};
use muster_model::{
    api::{Device, Reason},
    problem::Code,
};
use muster_store::{
    db::device::{self, DeviceRow},
    transaction,
};
use muster_trust::{PublicKey, certificate::Issued};

/// A device as a row of a list.
pub(super) fn shown(site: &Site, row: &DeviceRow) -> Device {
    Device {
        id: row.id,
        name: row.claims.host_name.clone(),
        state: row.state,
        operating_system: row.claims.operating_system.clone(),
        agent_version: row.claims.agent_version.clone(),
        online: site.memory.online.contains(row.id),
        last_seen: row.last_seen,
        last_inventory: row.last_inventory,
        enrolled: row.enrolled,
    }
}

/// A reason that somebody gave, for the record.
///
/// # Errors
/// `malformed`.
pub(super) fn checked_reason(reason: Reason) -> Result<String, SiteError> {
    let text = reason.reason.trim().to_owned();
    if text.is_empty() || text.chars().count() > 500 || text.chars().any(char::is_control) {
        return Err(SiteError::refused(
            Code::Malformed,
            "A reason has 1 to 500 characters and no control characters; it is kept in the audit log.",
        ));
    }
    Ok(text)
}

fn issue(ctx: &Ctx, site: &Site, row: &DeviceRow) -> Result<Issued, SiteError> {
    let fault = |error: &dyn std::fmt::Display| SiteError::Fault(error.to_string());
    let key = PublicKey::from_spki(&row.spki).map_err(|error| fault(&error))?;
    site.keys.issuing.client(site.code, row.id, &key, ctx.now).map_err(|error| fault(&error))
}

/// A new certificate for a device whose key has proven itself; the one before stays good until the new one is used.
pub(super) async fn reissue(ctx: &Ctx, site: &Site, row: DeviceRow) -> Result<Vec<u8>, SiteError> {
    let issued = issue(ctx, site, &row)?;
    transaction!(site.store, "certificate_renew", |tx| {
        if device::renew(tx, row.id, &row.serial, &issued.serial, issued.expires, &issued.der).await? {
            Ok(())
        } else {
            Err(SiteError::refused(Code::DeviceNotActive, "The device is blocked, retired, or was renewed just now."))
        }
    })?;
    Ok(issued.der)
}
