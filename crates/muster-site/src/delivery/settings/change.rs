//! Changes of client settings. Each takes the graph of collections first, so that two who change settings follow each other, and a
//! collection neither goes nor loses its protection meanwhile.

use super::{
    decide::{Objects, reach},
    of, shown,
};
use crate::{Ctx, Site, SiteError, audit, authz};
use muster_model::{
    api::{SettingsObject, SettingsSet},
    id::{CollectionId, SettingsId},
    limits,
    problem::Code,
    settings::{Reach, SettingValues, setting},
};
use muster_store::{
    Tx,
    bus::{Notice, Noun},
    db::{
        assignment,
        client_settings::{self, SettingsRow, Target},
        collection,
    },
    transaction,
};

pub(super) fn malformed(detail: impl Into<String>) -> SiteError {
    SiteError::refused(Code::Malformed, detail)
}

pub(super) fn conflict(detail: impl Into<String>) -> SiteError {
    SiteError::refused(Code::Conflict, detail)
}

/// The collections that somebody names, of devices all of them.
pub(super) async fn targets(
    conn: &mut muster_store::Connection,
    id: SettingsId,
    collections: &[CollectionId],
) -> Result<Vec<Target>, SiteError> {
    if collections.len() > limits::SETTINGS_COLLECTIONS {
        return Err(malformed(format!("Settings are for at most {} collections.", limits::SETTINGS_COLLECTIONS)));
    }
    let mut targets: Vec<Target> = Vec::new();
    for wanted in collections {
        let row = collection::get(conn, *wanted).await?;
        let row = row.ok_or_else(|| malformed(format!("There is no collection {wanted}.")))?;
        if row.kind != muster_model::api::CollectionKind::Device {
            return Err(conflict(format!("{} holds no devices; settings are for devices.", row.name)));
        }
        if targets.iter().any(|target| target.collection == *wanted) {
            return Err(malformed(format!("{} is named twice.", row.name)));
        }
        let (name, protected, built_in) = (row.name.to_string(), row.protected, row.built_in);
        targets.push(Target { settings: id, collection: *wanted, name, protected, built_in });
    }
    Ok(targets)
}

/// Whether settings may say that, for those collections.
pub(super) fn check(set: &SettingsSet, id: SettingsId, targets: &[Target]) -> Result<(), SiteError> {
    let comment = &set.comment;
    if comment.len() > limits::SETTINGS_COMMENT_BYTES || comment.chars().any(char::is_control) {
        let most = limits::SETTINGS_COMMENT_BYTES;
        return Err(malformed(format!("A comment has at most {most} bytes, and no characters that are not seen.")));
    }
    if id == SettingsId::DEFAULT {
        if !targets.is_empty() {
            return Err(conflict("The default is for all clients; make custom settings for a collection."));
        }
        if set.name.as_str() != "Default" {
            return Err(conflict("The default has its name; make custom settings with another one."));
        }
        return set.values.check(Reach::Everyone).map_err(malformed);
    }
    let reach = targets.iter().map(reach).min().unwrap_or(Reach::Protected);
    set.values.check(reach).map_err(malformed)
}

fn told(site: &Site) {
    site.bus.publish(Notice::Changed(Noun::Device));
    site.memory.work.notify_one();
}

/// What changes from one set of values to another, in words.
fn difference(before: &SettingValues, after: &SettingValues) -> String {
    let names: std::collections::BTreeSet<&String> = before.0.keys().chain(after.0.keys()).collect();
    let words = |values: &SettingValues, name: &str| {
        let shown = values.0.get(name).map(|value| setting(name).map_or_else(|| value.to_string(), |s| s.shown(value)));
        shown.map_or_else(|| "not said".to_owned(), |text| text.chars().take(200).collect())
    };
    let changed = names.into_iter().filter(|name| before.0.get(*name) != after.0.get(*name));
    let changed: Vec<_> =
        changed.map(|name| format!("{name} from {} to {}", words(before, name), words(after, name))).collect();
    if changed.is_empty() { "no value".to_owned() } else { changed.join(", ") }
}

fn named(targets: &[Target]) -> String {
    let names: Vec<_> = targets.iter().map(|target| target.name.as_str()).collect();
    if names.is_empty() { "nobody".to_owned() } else { names.join(", ") }
}

/// Writes an object with its version and asks for the policy of whom it is for.
async fn write(
    tx: &mut Tx,
    (ctx, site): (&Ctx, &Site),
    row: &SettingsRow,
    targets: &[Target],
) -> Result<(), SiteError> {
    client_settings::put(tx, row).await?;
    let collections: Vec<_> = targets.iter().map(|target| target.collection).collect();
    client_settings::set_collections(tx, row.id, &collections).await?;
    if row.values.check(Reach::Everyone).is_err() {
        // A collection that everybody is in brings them to everybody, under whatever name.
        crate::knowledge::collection::check_all(tx, site).await?;
    }
    client_settings::keep(tx, row, &of(targets, row.id)).await?;
    ask(tx, ctx, row.id, &collections).await
}

async fn ask(tx: &mut Tx, ctx: &Ctx, id: SettingsId, collections: &[CollectionId]) -> Result<(), SiteError> {
    if id == SettingsId::DEFAULT {
        assignment::ask_all(tx, ctx.now).await?;
    }
    for collection in collections {
        assignment::ask_members(tx, *collection, ctx.now).await?;
    }
    Ok(())
}

fn changed_since() -> SiteError {
    SiteError::refused(Code::Changed, "The settings changed since you read them; read them again.")
}

fn one_of_that_name(objects: &Objects, id: SettingsId, set: &SettingsSet) -> Result<(), SiteError> {
    match objects.rows.iter().any(|row| row.id != id && row.name == set.name) {
        true => Err(conflict(format!("There are settings with the name {} already.", set.name))),
        false => Ok(()),
    }
}

/// Makes custom settings, which come after all others until they are moved.
///
/// # Errors
/// `unauthenticated`, `forbidden`; `malformed`: a setting that is none, a value out of its range, a dangerous one for collections that
/// it is not for; `conflict`: the name is another one's, or there are as many as can be.
pub async fn settings_create(ctx: &Ctx, site: &Site, set: &SettingsSet) -> Result<SettingsObject, SiteError> {
    let admin = authz::change(ctx)?;
    let id = SettingsId(site.sources.id());
    let (row, its) = transaction!(site.store, "settings_create", |tx| {
        collection::lock(tx).await?;
        let objects = Objects::read(tx.conn()).await?;
        if objects.rows.len() > limits::SETTINGS_OBJECTS {
            return Err(conflict(format!("A site has at most {} custom settings.", limits::SETTINGS_OBJECTS)));
        }
        one_of_that_name(&objects, id, set)?;
        let its = targets(tx.conn(), id, &set.collections).await?;
        check(set, id, &its)?;
        let row = SettingsRow {
            id,
            name: set.name.clone(),
            comment: set.comment.clone(),
            place: u32::try_from(objects.rows.len()).unwrap_or(u32::MAX),
            values: set.values.canonical(),
            version: 1,
            changed: ctx.now,
            changed_by: admin.name.to_string(),
        };
        write(tx, (ctx, site), &row, &its).await?;
        let detail = format!(
            "Client settings {}, priority {}, for {}: {}.",
            row.name,
            row.place,
            named(&its),
            difference(&SettingValues::default(), &row.values)
        );
        audit::append(tx, ctx, "settings_create", format!("settings {id}"), detail).await?;
        Ok((row, its))
    })?;
    told(site);
    Ok(shown(row, &its))
}

/// Puts other settings in the place of these, as their next version. The same again changes nothing.
///
/// # Errors
/// As [`settings_create`]; `not_found`, `changed`.
pub async fn settings_update(
    ctx: &Ctx,
    site: &Site,
    id: SettingsId,
    set: &SettingsSet,
    revision: Option<u64>,
) -> Result<SettingsObject, SiteError> {
    let admin = authz::change(ctx)?;
    let (row, its) = transaction!(site.store, "settings_update", |tx| {
        collection::lock(tx).await?;
        let objects = Objects::read(tx.conn()).await?;
        let before = objects.rows.iter().find(|row| row.id == id).ok_or_else(SiteError::not_found)?;
        if revision.is_some_and(|revision| revision != before.version) {
            return Err(changed_since());
        }
        one_of_that_name(&objects, id, set)?;
        let its = targets(tx.conn(), id, &set.collections).await?;
        check(set, id, &its)?;
        let was: Vec<Target> = objects.targets.iter().filter(|target| target.settings == id).cloned().collect();
        let mut now_for: Vec<_> = its.iter().map(|target| target.collection).collect();
        let mut was_for: Vec<_> = was.iter().map(|target| target.collection).collect();
        now_for.sort_unstable();
        was_for.sort_unstable();
        let same = before.name == set.name && before.comment == set.comment && before.values == set.values.canonical();
        if same && now_for == was_for {
            return Ok((before.clone(), its));
        }
        let row = SettingsRow {
            name: set.name.clone(),
            comment: set.comment.clone(),
            values: set.values.canonical(),
            version: before.version + 1,
            changed: ctx.now,
            changed_by: admin.name.to_string(),
            ..before.clone()
        };
        write(tx, (ctx, site), &row, &its).await?;
        was_for.retain(|collection| !now_for.contains(collection));
        ask(tx, ctx, id, &was_for).await?;
        let detail = format!(
            "Client settings {} changed: {}; they were for {}, they are for {}.",
            row.name,
            difference(&before.values, &row.values),
            if id == SettingsId::DEFAULT { "all".to_owned() } else { named(&was) },
            if id == SettingsId::DEFAULT { "all".to_owned() } else { named(&its) }
        );
        audit::append(tx, ctx, "settings_update", format!("settings {id}"), detail).await?;
        Ok((row, its))
    })?;
    told(site);
    Ok(shown(row, &its))
}

/// Moves custom settings to another priority; the others keep their order, without a gap.
///
/// # Errors
/// `unauthenticated`, `forbidden`, `not_found`, `changed`; `conflict` for the default; `malformed`: there is no such priority.
pub async fn settings_move(
    ctx: &Ctx,
    site: &Site,
    id: SettingsId,
    priority: u32,
    revision: Option<u64>,
) -> Result<SettingsObject, SiteError> {
    let admin = authz::change(ctx)?;
    if id == SettingsId::DEFAULT {
        return Err(conflict("The default comes after all others."));
    }
    let (row, its) = transaction!(site.store, "settings_move", |tx| {
        collection::lock(tx).await?;
        let objects = Objects::read(tx.conn()).await?;
        let mut custom: Vec<SettingsRow> = objects.rows.into_iter().skip(1).collect();
        let at = custom.iter().position(|row| row.id == id).ok_or_else(SiteError::not_found)?;
        if revision.is_some_and(|revision| revision != custom[at].version) {
            return Err(changed_since());
        }
        let place = usize::try_from(priority).unwrap_or(usize::MAX);
        if !(1..=custom.len()).contains(&place) {
            return Err(malformed(format!("A priority is 1 to {}.", custom.len())));
        }
        let its: Vec<Target> = objects.targets.into_iter().filter(|target| target.settings == id).collect();
        let before = custom.remove(at);
        if before.place == priority {
            return Ok((before, its));
        }
        let was = before.place;
        let row = SettingsRow {
            place: priority,
            version: before.version + 1,
            changed: ctx.now,
            changed_by: admin.name.to_string(),
            ..before
        };
        custom.insert(place - 1, row.clone());
        renumber(tx, &custom).await?;
        write(tx, (ctx, site), &row, &its).await?;
        let detail = format!("Client settings {} had priority {was}; they have {priority}.", row.name);
        audit::append(tx, ctx, "settings_move", format!("settings {id}"), detail).await?;
        Ok((row, its))
    })?;
    told(site);
    Ok(shown(row, &its))
}

/// Gives each its place, from 1 on.
async fn renumber(tx: &mut Tx, custom: &[SettingsRow]) -> Result<(), SiteError> {
    for (place, row) in (1..).zip(custom) {
        if row.place != place {
            client_settings::set_place(tx, row.id, place).await?;
        }
    }
    Ok(())
}

/// Deletes custom settings. For whom they were, the next ones hold.
///
/// # Errors
/// `unauthenticated`, `forbidden`, `not_found`, `changed`; `conflict` for the default.
pub async fn settings_delete(ctx: &Ctx, site: &Site, id: SettingsId, revision: Option<u64>) -> Result<(), SiteError> {
    authz::change(ctx)?;
    if id == SettingsId::DEFAULT {
        return Err(conflict("The default stays; take values out of it instead."));
    }
    transaction!(site.store, "settings_delete", |tx| {
        collection::lock(tx).await?;
        let objects = Objects::read(tx.conn()).await?;
        let mut custom: Vec<SettingsRow> = objects.rows.into_iter().skip(1).collect();
        let at = custom.iter().position(|row| row.id == id).ok_or_else(SiteError::not_found)?;
        let row = custom.remove(at);
        if revision.is_some_and(|revision| revision != row.version) {
            return Err(changed_since());
        }
        let its: Vec<Target> = objects.targets.into_iter().filter(|target| target.settings == id).collect();
        let collections: Vec<_> = its.iter().map(|target| target.collection).collect();
        client_settings::remove(tx, id).await?;
        renumber(tx, &custom).await?;
        ask(tx, ctx, id, &collections).await?;
        let detail = format!(
            "Client settings {}, which were for {}, were deleted: {}.",
            row.name,
            named(&its),
            difference(&row.values, &SettingValues::default())
        );
        audit::append(tx, ctx, "settings_delete", format!("settings {id}"), detail).await
    })?;
    told(site);
    Ok(())
}
