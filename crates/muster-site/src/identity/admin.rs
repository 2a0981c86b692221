//! Administrators: who they are, what they may do, and the key that they sign in with.

use crate::{Ctx, SiteError, audit, authz, site::Site};
use muster_model::{
    api::{Admin, AdminCreate, Page, PageQuery},
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
