//! Mobile devices: listed, and blocked for good. One that was blocked comes back by a new token, as another device.

use crate::{
    Ctx, SiteError, audit, authz,
    identity::{
        device::checked_reason,
        revocation::{self, Committed},
    },
    site::Site,
};
use muster_model::{
    api::{AlertKind, MobileDevice, Page, PageQuery, Reason, RevocationReason},
    id::{AlertId, MobileId},
    problem::Code,
    status::Severity,
};
use muster_store::{
    Tx,
    bus::{Notice, Noun},
    db::{
        alert::{self, Raised},
        mobile,
    },
    transaction,
};

/// A page of devices, the newest first.
///
/// # Errors
/// `unauthenticated`, `too_large`.
pub async fn mobile_device_list(ctx: &Ctx, site: &Site, query: PageQuery) -> Result<Page<MobileDevice>, SiteError> {
    authz::see(ctx)?;
    let page = site.page(query)?;
    let (items, total) = mobile::list(&mut *site.store.reader().await?, page).await?;
    Ok(Page { items, total, offset: page.offset })
}

/// Blocks a device for good, and revokes its certificates.
///
/// # Errors
/// `unauthenticated`, `forbidden`, `malformed`, `not_found`; `conflict` when it was blocked before.
pub async fn mobile_device_block(
    ctx: &Ctx,
    site: &Site,
    id: MobileId,
    request: Reason,
) -> Result<MobileDevice, SiteError> {
    authz::change(ctx)?;
    let reason = checked_reason(request)?;
    let (row, revoked) = transaction!(site.store, "mobile_device_block", |tx| {
        mobile::touch(tx, id).await?;
        let row = mobile::get(tx.conn(), id).await?.ok_or_else(SiteError::not_found)?;
        if row.blocked.is_some() {
            return Err(SiteError::refused(Code::Conflict, "The device was blocked before."));
        }
        let revoked = block(tx, ctx, id, &reason).await?;
        let detail = format!("The device of {} ({}) was blocked: {reason}", row.user, row.class);
        audit::append(tx, ctx, "mobile_device_block", format!("mobile device {id}"), detail).await?;
        Ok((mobile::get(tx.conn(), id).await?.ok_or_else(SiteError::not_found)?, revoked))
    })?;
    revocation::committed(site, &revoked);
    site.bus.publish(Notice::Changed(Noun::Device));
    Ok(row)
}

/// Blocks, in the transaction of a decision.
async fn block(tx: &mut Tx, ctx: &Ctx, id: MobileId, reason: &str) -> Result<Committed, SiteError> {
    mobile::set_blocked(tx, id, Some((ctx.now, reason))).await?;
    mobile::certificate_end(tx, id, ctx.now).await?;
    // Also those before it: whoever believes certificates by list alone believes them until their own end.
    revocation::revoke_mobile(tx, ctx, id, RevocationReason::PrivilegeWithdrawn).await
}

/// Blocks a device that asks for certificates without end, and tells the administrators.
pub(super) async fn block_for_abuse(ctx: &Ctx, site: &Site, id: MobileId) -> Result<(), SiteError> {
    let own = Ctx { caller: crate::Caller::Site, ..ctx.clone() };
    let alert = AlertId(site.sources.id());
    let revoked = transaction!(site.store, "mobile_device_abuse", |tx| {
        mobile::touch(tx, id).await?;
        let row = mobile::get(tx.conn(), id).await?.ok_or_else(SiteError::not_found)?;
        if row.blocked.is_some() {
            return Ok::<_, SiteError>(Committed::default());
        }
        let reason = "It asked for certificates too often in a day.";
        let revoked = block(tx, &own, id, reason).await?;
        let text = format!(
            "The device {id} ({}) of {} asked for certificates too often in a day, last from {}; it was blocked and its \
             certificates revoked. Find out who has its key, and give it a new token.",
            row.class, row.user, ctx.address
        );
        let raised = Raised {
            id: alert,
            kind: AlertKind::MobileBlocked,
            subject: id.to_string(),
            severity: Severity::Error,
            text,
            devices: 1,
            named: Vec::new(),
        };
        alert::raise(tx, &raised, ctx.now).await?;
        audit::append(tx, &own, "mobile_device_block", format!("mobile device {id}"), reason.to_owned()).await?;
        Ok(revoked)
    })?;
    revocation::committed(site, &revoked);
    site.bus.publish(Notice::Changed(Noun::Device));
    Ok(())
}
