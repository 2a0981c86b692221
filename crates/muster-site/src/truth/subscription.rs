//! Subscriptions: which target is told of which alerts.

use super::status_action::known_target;
use crate::{Ctx, Site, SiteError, audit, authz};
use muster_model::{
    api::{AlertKind, Page, PageQuery, Subscription, SubscriptionInfo},
    id::SubscriptionId,
    limits::SUBSCRIPTIONS,
    problem::Code,
};
use muster_store::{db::subscription as stored, transaction};

/// A page of the subscriptions, by name.
///
/// # Errors
/// `unauthenticated`, `too_large`.
pub async fn subscription_list(ctx: &Ctx, site: &Site, page: PageQuery) -> Result<Page<SubscriptionInfo>, SiteError> {
    authz::see(ctx)?;
    let page = site.page(page)?;
    let (items, total) = stored::list(&mut *site.store.reader().await?, page).await?;
    Ok(Page { items, total, offset: page.offset })
}

/// Has a target told of alerts from now on.
///
/// # Errors
/// `unauthenticated`, `forbidden`; `malformed`; `not_found`: there is no such target; `conflict`: there is one of that name, or there are too
/// many.
pub async fn subscription_create(ctx: &Ctx, site: &Site, wanted: Subscription) -> Result<SubscriptionInfo, SiteError> {
    let created_by = authz::change(ctx)?.name.clone();
    known_target(site, &wanted.target)?;
    if wanted.kinds.len() > AlertKind::ALL.len() {
        return Err(SiteError::refused(Code::Malformed, "A kind of alerts is named more than once."));
    }
    let info =
        SubscriptionInfo { id: SubscriptionId(site.sources.id()), subscription: wanted, created: ctx.now, created_by };
    transaction!(site.store, "subscription_create", |tx| {
        let (_, total) = stored::list(tx.conn(), PageQuery { offset: 0, limit: 1 }).await?;
        if total >= SUBSCRIPTIONS {
            let detail = format!("There are {total} subscriptions, and no more may be.");
            return Err(SiteError::refused(Code::Conflict, detail));
        }
        stored::insert(tx, &info).await?;
        let detail = format!("{} tells {}.", info.subscription.name, info.subscription.target);
        audit::append(tx, ctx, "subscription_create", format!("subscription {}", info.id), detail).await?;
        Ok(())
    })?;
    Ok(info)
}

/// Tells a target no more.
///
/// # Errors
/// `unauthenticated`, `forbidden`, `not_found`.
pub async fn subscription_delete(ctx: &Ctx, site: &Site, id: SubscriptionId) -> Result<SubscriptionInfo, SiteError> {
    authz::change(ctx)?;
    transaction!(site.store, "subscription_delete", |tx| {
        let info = stored::get(tx.conn(), id).await?.ok_or_else(SiteError::not_found)?;
        stored::delete(tx, id).await?;
        let detail = format!("{} tells {} no more.", info.subscription.name, info.subscription.target);
        audit::append(tx, ctx, "subscription_delete", format!("subscription {id}"), detail).await?;
        Ok(info)
    })
}
