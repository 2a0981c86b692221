//! Status filter rules: what is done with which messages.

use super::status_action::known_target;
use crate::{Ctx, Site, SiteError, audit, authz};
use muster_model::{
    api::{Page, PageQuery, StatusRule, StatusRuleChange, StatusRuleInfo},
    id::StatusRuleId,
    limits::STATUS_RULES,
    problem::Code,
};
use muster_store::{
    db::{collection, device, status_rule as stored},
    transaction,
};

/// A page of the rules, in their order.
///
/// # Errors
/// `unauthenticated`, `too_large`.
pub async fn status_rule_list(ctx: &Ctx, site: &Site, page: PageQuery) -> Result<Page<StatusRuleInfo>, SiteError> {
    authz::see(ctx)?;
    let page = site.page(page)?;
    let (items, total) = stored::list(&mut *site.store.reader().await?, page).await?;
    Ok(Page { items, total, offset: page.offset })
}

/// A rule.
///
/// # Errors
/// `unauthenticated`, `not_found`.
pub async fn status_rule_show(ctx: &Ctx, site: &Site, id: StatusRuleId) -> Result<StatusRuleInfo, SiteError> {
    authz::see(ctx)?;
    stored::get(&mut *site.store.reader().await?, id).await?.ok_or_else(SiteError::not_found)
}

/// Keeps a rule, after all others. It is in force for what is stored from then on, on every server.
///
/// # Errors
/// `unauthenticated`, `forbidden`; `malformed`; `not_found`: it names a device, a collection or a target that there is not; `conflict`: there
/// is one of that name, or there are too many.
pub async fn status_rule_create(ctx: &Ctx, site: &Site, rule: StatusRule) -> Result<StatusRuleInfo, SiteError> {
    let created_by = authz::change(ctx)?.name.clone();
    rule.check().map_err(|detail| SiteError::refused(Code::Malformed, detail))?;
    for target in &rule.targets {
        known_target(site, target)?;
    }
    let id = StatusRuleId(site.sources.id());
    transaction!(site.store, "status_rule_create", |tx| {
        stored::change(tx).await?;
        if let Some(collection) = rule.collection {
            let none = || SiteError::refused(Code::NotFound, "There is no such collection.");
            collection::get(tx.conn(), collection).await?.ok_or_else(none)?;
        }
        if let Some(device) = rule.device {
            let none = || SiteError::refused(Code::NotFound, "There is no such device.");
            device::get(tx.conn(), device).await?.ok_or_else(none)?;
        }
        let (all, total) = stored::list(tx.conn(), PageQuery { offset: 0, limit: u32::MAX }).await?;
        if total >= STATUS_RULES {
            return Err(SiteError::refused(Code::Conflict, format!("There are {total} rules, and no more may be.")));
        }
        let place = all.last().map_or(1, |last| last.place + 1);
        let (rule, created, created_by) = (rule.clone(), ctx.now, created_by.clone());
        let info =
            StatusRuleInfo { id, place, rule, created, created_by, matched: 0, fired: 0, dropped: 0, last: None };
        stored::insert(tx, &info).await?;
        let detail = said(&info.rule);
        audit::append(tx, ctx, "status_rule_create", format!("status rule {id}"), detail).await?;
        Ok(info)
    })
}

/// What a rule does, for the audit log.
fn said(rule: &StatusRule) -> String {
    let mut does = Vec::new();
    if let Some(days) = rule.keep_days {
        does.push(format!("keeps for {days} day(s)"));
    }
    if rule.discard {
        does.push("discards".to_owned());
    }
    if rule.alert {
        does.push("raises an alert".to_owned());
    }
    does.extend(rule.targets.iter().map(|target| format!("sends to {target}")));
    if rule.stop {
        does.push("stops".to_owned());
    }
    format!("{}: {}; at most {} time(s) an hour.", rule.name, does.join(", "), rule.per_hour)
}

/// Puts a rule in force or out of it, or to another place.
///
/// # Errors
/// `unauthenticated`, `forbidden`, `not_found`.
pub async fn status_rule_change(
    ctx: &Ctx,
    site: &Site,
    id: StatusRuleId,
    change: StatusRuleChange,
) -> Result<StatusRuleInfo, SiteError> {
    authz::change(ctx)?;
    transaction!(site.store, "status_rule_change", |tx| {
        stored::change(tx).await?;
        let (mut all, _) = stored::list(tx.conn(), PageQuery { offset: 0, limit: u32::MAX }).await?;
        let at = all.iter().position(|info| info.id == id).ok_or_else(SiteError::not_found)?;
        let mut info = all.remove(at);
        info.rule.enabled = change.enabled.unwrap_or(info.rule.enabled);
        let wanted = change.place.map(|place| usize::try_from(place.max(1) - 1).unwrap_or(usize::MAX));
        all.insert(wanted.unwrap_or(at).min(all.len()), info);
        for (at, info) in all.iter_mut().enumerate() {
            let place = at as u64 + 1;
            if info.place != place || info.id == id {
                info.place = place;
                stored::put(tx, info).await?;
            }
        }
        let info = all.into_iter().find(|info| info.id == id).ok_or_else(SiteError::not_found)?;
        let force = if info.rule.enabled { "in force" } else { "not in force" };
        let detail = format!("{}: at place {}, {force}.", info.rule.name, info.place);
        audit::append(tx, ctx, "status_rule_change", format!("status rule {id}"), detail).await?;
        Ok(info)
    })
}

/// Removes a rule. What it has had sent, and alerts that it raised, stay.
///
/// # Errors
/// `unauthenticated`, `forbidden`, `not_found`.
pub async fn status_rule_delete(ctx: &Ctx, site: &Site, id: StatusRuleId) -> Result<StatusRuleInfo, SiteError> {
    authz::change(ctx)?;
    transaction!(site.store, "status_rule_delete", |tx| {
        stored::change(tx).await?;
        let info = stored::get(tx.conn(), id).await?.ok_or_else(SiteError::not_found)?;
        stored::delete(tx, id).await?;
        audit::append(tx, ctx, "status_rule_delete", format!("status rule {id}"), said(&info.rule)).await?;
        Ok(info)
    })
}
