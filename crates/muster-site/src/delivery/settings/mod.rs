//! Client settings: how often clients do what, and how far they may go. A default for all, and custom ones for the members of
//! collections, of which the lowest priority wins, value by value.

mod change;
mod decide;
mod device;
mod preview;

pub use change::{settings_create, settings_delete, settings_move, settings_update};
use decide::Objects;
pub use device::device_settings;
pub(super) use device::{Anywhere, bodies, updates_anywhere};
pub use preview::settings_preview;

use crate::{Ctx, Site, SiteError, authz};
use muster_model::{
    api::{Page, PageQuery, SettingInfo, SettingsCollection, SettingsObject, SettingsVersion},
    id::SettingsId,
    settings::{CATALOGUE, ClientSettings, Setting, SettingValues, setting},
    time::UnixMillis,
};
use muster_store::{
    Connection,
    db::client_settings::{self, SettingsRow, Target},
};

/// Every setting that there is: what it takes, its default, and what it collects.
///
/// # Errors
/// `unauthenticated`.
pub fn settings_catalogue(ctx: &Ctx) -> Result<Vec<SettingInfo>, SiteError> {
    authz::see(ctx)?;
    let mut defaults = SettingValues::of(&ClientSettings::default());
    let info = |setting: &Setting| SettingInfo::new(setting, defaults.0.remove(setting.name).unwrap_or_default());
    Ok(CATALOGUE.iter().map(info).collect())
}

/// The default, and after it the custom settings by priority.
///
/// # Errors
/// `unauthenticated`.
pub async fn settings_list(ctx: &Ctx, site: &Site) -> Result<Vec<SettingsObject>, SiteError> {
    authz::see(ctx)?;
    let mut reader = site.store.reader().await?;
    let (rows, targets) = read(&mut reader).await?;
    Ok(rows.into_iter().map(|row| shown(row, &targets)).collect())
}

/// An object of settings; the default has all zeros for its id.
///
/// # Errors
/// `unauthenticated`, `not_found`.
pub async fn settings_show(ctx: &Ctx, site: &Site, id: SettingsId) -> Result<SettingsObject, SiteError> {
    let found = settings_list(ctx, site).await?.into_iter().find(|object| object.id == id);
    found.ok_or_else(SiteError::not_found)
}

/// What an object was, the newest version first; also of one that is gone.
///
/// # Errors
/// `unauthenticated`, `too_large`; `not_found`: there never was one.
pub async fn settings_versions(
    ctx: &Ctx,
    site: &Site,
    id: SettingsId,
    query: PageQuery,
) -> Result<Page<SettingsVersion>, SiteError> {
    authz::see(ctx)?;
    let page = site.page(query)?;
    let mut reader = site.store.reader().await?;
    let (items, total) = client_settings::versions(&mut reader, id, (page.offset, page.limit)).await?;
    if total == 0 && id != SettingsId::DEFAULT {
        return Err(SiteError::not_found());
    }
    Ok(Page { items, total, offset: page.offset })
}

/// The objects, of which the first is the default, and the collections of all of them.
async fn read(conn: &mut Connection) -> Result<(Vec<SettingsRow>, Vec<Target>), SiteError> {
    let mut rows = client_settings::all(conn).await?;
    if rows.first().is_none_or(|row| row.id != SettingsId::DEFAULT) {
        rows.insert(0, unset()?);
    }
    let targets = client_settings::targets(conn).await?;
    Ok((rows, targets))
}

/// The default as long as nobody set it.
fn unset() -> Result<SettingsRow, SiteError> {
    let name = "Default".parse().map_err(|_| SiteError::Fault("a name is none".to_owned()))?;
    Ok(SettingsRow {
        id: SettingsId::DEFAULT,
        name,
        comment: String::new(),
        place: 0,
        values: SettingValues::default(),
        version: 0,
        changed: UnixMillis(0),
        changed_by: String::new(),
    })
}

fn of(targets: &[Target], id: SettingsId) -> Vec<SettingsCollection> {
    let its = targets.iter().filter(|target| target.settings == id);
    its.map(|target| SettingsCollection { id: target.collection, name: target.name.clone() }).collect()
}

fn shown(row: SettingsRow, targets: &[Target]) -> SettingsObject {
    let collections = of(targets, row.id);
    SettingsObject {
        id: row.id,
        warnings: warnings(&row, &collections),
        name: row.name,
        comment: row.comment,
        priority: row.place,
        values: row.values,
        collections,
        version: row.version,
        changed: row.changed,
        changed_by: row.changed_by,
    }
}

/// What stands as a warning as long as it holds.
fn warnings(row: &SettingsRow, collections: &[SettingsCollection]) -> Vec<String> {
    let names: Vec<_> = collections.iter().map(|collection| collection.name.as_str()).collect();
    let of = if names.is_empty() { "no collection yet".to_owned() } else { names.join(", ") };
    let dangers = row.values.0.iter().filter_map(|(name, value)| {
        let setting = setting(name).filter(|setting| setting.is_danger(value))?;
        let danger = setting.danger?;
        Some(format!("{} is {} for the members of {of}: {}.", setting.label, danger.value, danger.why))
    });
    dangers.collect()
}
