//! Resources as people see them, and how long what was found is kept.

use super::{merge::settle_others, upkeep::forget};
use crate::{Ctx, Site, SiteError, audit, authz};
use muster_model::{
    api::{DiscoverySettings, Page, Resource, ResourceDetail, ResourceQuery},
    id::ResourceId,
    problem::Code,
};
use muster_store::{
    Connection,
    bus::{Notice, Noun},
    db::{discovery, resource, setting},
    transaction,
};

/// Under this name the settings stand in the store.
const SETTING: &str = "discovery_settings";
/// A record must outlive two full runs, or what is there would come and go.
const KEEP_DAYS: std::ops::RangeInclusive<u32> = 14..=3_650;
/// Characters of a text that is searched for.
const SEARCH_CHARS: usize = 200;
/// Groups of a resource that are shown.
const GROUPS: u32 = 500;

/// A page of resources, by name.
///
/// # Errors
/// `unauthenticated`, `too_large`.
pub async fn resource_list(ctx: &Ctx, site: &Site, query: ResourceQuery) -> Result<Page<Resource>, SiteError> {
    authz::see(ctx)?;
    site.page(muster_model::api::PageQuery { offset: query.offset, limit: query.limit })?;
    if query.search.chars().count() > SEARCH_CHARS {
        let detail = format!("A search text has at most {SEARCH_CHARS} characters.");
        return Err(SiteError::refused(Code::TooLarge, detail));
    }
    let (items, total) = resource::list(&mut *site.store.reader().await?, &query).await?;
    Ok(Page { items, total, offset: query.offset })
}

/// A resource, with what each method said of it.
///
/// # Errors
/// `unauthenticated`, `not_found`.
pub async fn resource_show(ctx: &Ctx, site: &Site, id: ResourceId) -> Result<ResourceDetail, SiteError> {
    authz::see(ctx)?;
    let mut reader = site.store.reader().await?;
    let resource = resource::get(&mut reader, id).await?.ok_or_else(SiteError::not_found)?;
    let records = discovery::of_resource(&mut reader, i64::from(id.0)).await?;
    let groups = resource::groups(&mut reader, id, GROUPS).await?;
    let alike = resource::alike(&mut reader, id).await?;
    let records = records.into_iter().map(discovery::RecordRow::shown).collect();
    Ok(ResourceDetail { resource, records, groups, alike })
}

/// Removes a resource on which no client runs, with all that was found of it. A method that finds it again makes a new one.
///
/// # Errors
/// `unauthenticated`, `forbidden`, `not_found`; `conflict`: a client runs on it, which is retired and not removed.
pub async fn resource_remove(ctx: &Ctx, site: &Site, id: ResourceId) -> Result<Resource, SiteError> {
    authz::change(ctx)?;
    let removed = transaction!(site.store, "resource_remove", |tx| {
        let row = resource::get(tx.conn(), id).await?.ok_or_else(SiteError::not_found)?;
        if row.device.is_some() {
            let detail = "A client runs on this resource; retire the device instead.";
            return Err(SiteError::refused(Code::Conflict, detail));
        }
        let records = discovery::of_resource(tx.conn(), i64::from(id.0)).await?;
        forget(tx, i64::from(id.0), row.kind).await?;
        // Who was in dispute with it may be alone now.
        for record in &records {
            if let Some(sid) = &record.sid {
                settle_others(tx, sid, &record.identity, ctx.now).await?;
            }
        }
        let detail = format!("{} {} was removed, with what discovery said of it.", row.kind, row.name);
        audit::append(tx, ctx, "resource_remove", format!("resource {id}"), detail).await?;
        Ok::<_, SiteError>(row)
    })?;
    site.bus.publish(Notice::Changed(Noun::Device));
    Ok(removed)
}

/// The settings in force.
pub(crate) async fn settings(conn: &mut Connection) -> Result<DiscoverySettings, SiteError> {
    setting::get(conn, SETTING).await?.map_or_else(
        || Ok(DiscoverySettings::default()),
        |text| {
            serde_json::from_str(&text)
                .map_err(|_| SiteError::Fault("the stored settings of discovery do not parse".to_owned()))
        },
    )
}

/// How long what was found is kept.
///
/// # Errors
/// `unauthenticated`.
pub async fn discovery_settings_show(ctx: &Ctx, site: &Site) -> Result<DiscoverySettings, SiteError> {
    authz::see(ctx)?;
    settings(&mut *site.store.reader().await?).await
}

/// Changes how long what was found is kept.
///
/// # Errors
/// `unauthenticated`, `forbidden`; `malformed`: a number of days out of its range.
pub async fn discovery_settings_update(
    ctx: &Ctx,
    site: &Site,
    wanted: DiscoverySettings,
) -> Result<DiscoverySettings, SiteError> {
    authz::change(ctx)?;
    if !KEEP_DAYS.contains(&wanted.keep_days) {
        let detail = format!("keep_days must be {} to {}.", KEEP_DAYS.start(), KEEP_DAYS.end());
        return Err(SiteError::refused(Code::Malformed, detail));
    }
    let text = serde_json::to_string(&wanted).map_err(|error| SiteError::Fault(error.to_string()))?;
    transaction!(site.store, "discovery_settings_update", |tx| {
        let before = settings(tx.conn()).await?;
        setting::set(tx, SETTING, &text).await?;
        let detail = format!(
            "What discovery found was kept for {} days, and is kept for {} now.",
            before.keep_days, wanted.keep_days
        );
        audit::append(tx, ctx, "discovery_settings_update", "discovery".to_owned(), detail).await
    })?;
    Ok(wanted)
}
