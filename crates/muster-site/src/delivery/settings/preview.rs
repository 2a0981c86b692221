//! What a change of settings would change, and for how many devices: asked before it is saved, and never written.

use super::{
    change::{check, malformed, targets},
    decide::Objects,
    device::sets,
};
use crate::{Ctx, Site, SiteError, authz};
use muster_model::{
    api::{SettingsAsk, SettingsDifference, SettingsPreview},
    id::{CollectionId, SettingsId},
    time::UnixMillis,
};
use muster_store::{
    Connection,
    db::client_settings::{self, SettingsRow},
};
use std::collections::{BTreeMap, HashMap};
use uuid::Uuid;

/// Devices of a difference that are named.
const EXAMPLES: usize = 5;

/// What a change of settings would change.
///
/// # Errors
/// `unauthenticated`; what saving it would be refused for.
pub async fn settings_preview(ctx: &Ctx, site: &Site, ask: &SettingsAsk) -> Result<SettingsPreview, SiteError> {
    authz::see(ctx)?;
    let mut reader = site.store.reader().await?;
    let before = Objects::read(&mut reader).await?;
    let after = changed(&mut reader, &before, ask).await?;
    let devices = client_settings::active(&mut reader).await?;
    let stored = |collection| before.targets.iter().any(|target| target.collection == collection);
    let asked = after.targets.iter().map(|target| target.collection).filter(|collection| !stored(*collection));
    let asked: Vec<_> = asked.collect();
    let mut counted: HashMap<Vec<CollectionId>, (u64, Vec<i64>)> = HashMap::new();
    let mut others = devices;
    for (resource, set) in sets(&mut reader, &asked).await? {
        let (count, examples) = counted.entry(set).or_default();
        *count += 1;
        others = others.saturating_sub(1);
        if examples.len() < EXAMPLES {
            examples.push(resource);
        }
    }
    counted.insert(Vec::new(), (others, Vec::new()));
    let mut preview = SettingsPreview { devices, changed: 0, changes: Vec::new() };
    let mut found: BTreeMap<(usize, String, String), (u64, Vec<i64>)> = BTreeMap::new();
    for (set, (count, examples)) in counted.into_iter().filter(|(_, (count, _))| *count > 0) {
        let (was, is) = (before.decide(&set), after.decide(&set));
        let differ = was.iter().zip(&is).enumerate().filter(|(_, (was, is))| was.value != is.value);
        let mut any = false;
        for (at, (was, is)) in differ {
            any = true;
            let key = (at, was.setting.shown(&was.value), is.setting.shown(&is.value));
            let (devices, some) = found.entry(key).or_default();
            *devices += count;
            some.extend(examples.iter().take(EXAMPLES.saturating_sub(some.len())));
        }
        preview.changed += if any { count } else { 0 };
    }
    for ((at, from, to), (devices, some)) in found {
        let setting = muster_model::settings::CATALOGUE[at].name.to_owned();
        let mut examples = Vec::new();
        for resource in some {
            examples.extend(client_settings::device_name(&mut reader, resource).await?);
        }
        preview.changes.push(SettingsDifference { setting, from, to, devices, examples });
    }
    Ok(preview)
}

/// The objects as they would be.
async fn changed(conn: &mut Connection, before: &Objects, ask: &SettingsAsk) -> Result<Objects, SiteError> {
    let mut after = before.clone();
    // A new one has no id yet.
    let id = ask.id.unwrap_or(SettingsId(Uuid::max()));
    let at = after.rows.iter().position(|row| row.id == id);
    let old = at.map(|at| after.rows.remove(at));
    if ask.id.is_some() && old.is_none() {
        return Err(SiteError::not_found());
    }
    let old_place = at.unwrap_or(after.rows.len());
    let new = match (&ask.set, old) {
        (Some(set), old) => {
            let its = targets(conn, id, &set.collections).await?;
            check(set, id, &its)?;
            after.targets.retain(|target| target.settings != id);
            after.targets.extend(its);
            let place = old.as_ref().map_or(0, |row| row.place);
            Some(SettingsRow {
                id,
                name: set.name.clone(),
                comment: set.comment.clone(),
                place,
                values: set.values.canonical(),
                version: 0,
                changed: UnixMillis(0),
                changed_by: String::new(),
            })
        }
        // Only moved.
        (None, Some(old)) if ask.priority.is_some() => Some(old),
        (None, Some(_)) if id == SettingsId::DEFAULT => return Err(malformed("The default cannot go.")),
        (None, Some(_)) => None,
        (None, None) => return Err(malformed("Say what the new settings shall be.")),
    };
    if let Some(new) = new {
        let place = match ask.priority {
            _ if id == SettingsId::DEFAULT => 0,
            None => old_place,
            Some(priority) => usize::try_from(priority).unwrap_or(usize::MAX),
        };
        if place > after.rows.len() || (place == 0 && id != SettingsId::DEFAULT) {
            return Err(malformed(format!("A priority is 1 to {}.", after.rows.len())));
        }
        after.rows.insert(place, new);
    } else {
        after.targets.retain(|target| target.settings != id);
    }
    for (place, row) in (0..).zip(&mut after.rows) {
        row.place = place;
    }
    Ok(after)
}
