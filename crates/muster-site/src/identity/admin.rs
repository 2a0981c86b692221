//! Administrators: who they are, what they may do, and the key that they sign in with.

use crate::{Ctx, SiteError, audit, authz, site::Site};
use muster_model::{
    api::{Admin, AdminCreate, Page, PageQuery, Reason},
    id::AdminId,
    problem::Code,
};
use muster_store::{db::admin, transaction};
use muster_trust::PublicKey;

/// A page of administrators.
///
/// # Errors
/// `unauthenticated`, `too_large`.
pub async fn admin_list(ctx: &Ctx, site: &Site, query: PageQuery) -> Result<Page<Admin>, SiteError> {
    authz::see(ctx)?;
    let page = site.page(query)?;
    let (items, total) = admin::list(&mut *site.store.reader().await?, page).await?;
    Ok(Page { items, total, offset: page.offset })
}

/// Adds an administrator. The new one's key signs in; it signs applications only once the root key says so.
///
/// # Errors
/// `unauthenticated`, `forbidden`; `malformed` for what is not a P-256 key; `conflict` for a name or key that is another's.
pub async fn admin_create(ctx: &Ctx, site: &Site, request: AdminCreate) -> Result<Admin, SiteError> {
    authz::change(ctx)?;
    let key = PublicKey::from_pem(&request.public_key).map_err(|_| {
        SiteError::refused(Code::Malformed, "The public key must be PEM of a P-256 key; `muster key create` makes one.")
    })?;
    let admin = Admin {
        id: AdminId(site.sources.id()),
        name: request.name,
        role: request.role,
        key: key.id(),
        created: ctx.now,
    };
    let spki = key.spki();
    transaction!(site.store, "admin_create", |tx| {
        admin::insert(tx, &admin, &spki).await?;
        let detail = format!("Administrator {} was added as {}, key {}.", admin.name, admin.role, admin.key);
        audit::append(tx, ctx, "admin_create", format!("admin {}", admin.id), detail).await
    })?;
    Ok(admin)
}

/// Takes away everything that an administrator may do: their sessions end, and their key signs in no more. A signature by the same
/// key on an application counts until the root key takes it from the trust bundle. Nobody disables themselves, so that one always
/// remains.
///
/// # Errors
/// `unauthenticated`, `forbidden`, `malformed`, `not_found`; `conflict` for the caller's own id.
pub async fn admin_disable(ctx: &Ctx, site: &Site, id: AdminId, reason: Reason) -> Result<Admin, SiteError> {
    let caller = authz::change(ctx)?.id;
    let reason = super::device::checked_reason(reason)?;
    if caller == id {
        let detail = "Nobody disables themselves; ask another full administrator.";
        return Err(SiteError::refused(Code::Conflict, detail));
    }
    transaction!(site.store, "admin_disable", |tx| {
        // Two who disable each other at the same moment: the second one is disabled before it can.
        if !admin::hold(tx, caller).await? {
            return Err(SiteError::refused(Code::Unauthenticated, "This administrator is disabled."));
        }
        let there = admin::get(tx, id).await?.ok_or_else(SiteError::not_found)?;
        if !admin::disable(tx, id, ctx.now).await? {
            return Err(SiteError::not_found());
        }
        let detail = format!("Administrator {} was disabled, key {}: {reason}", there.name, there.key);
        audit::append(tx, ctx, "admin_disable", format!("admin {id}"), detail).await?;
        Ok(there)
    })
}
