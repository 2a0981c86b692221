//! Maintenance windows of collections: when their members may be worked on. A device keeps to the windows of all collections that it
//! is in; one that is in none with a window is free.

use super::rules::{changed, conflict, malformed};
use crate::{Ctx, Site, SiteError, audit, authz};
use muster_model::{
    api::{Collection, CollectionKind, CollectionWindow, DeviceWindow},
    id::{CollectionId, DeviceId, WindowId},
    limits,
    problem::Code,
    time::{DAY, UnixMillis},
    window::{MaintenanceWindow, WallTime},
};
use muster_store::{
    Tx,
    bus::{Notice, Noun},
    db::{
        assignment, collection,
        window::{self, WindowRow},
    },
    transaction,
};

fn shown(row: WindowRow, now: UnixMillis) -> CollectionWindow {
    CollectionWindow {
        id: row.id,
        collection: row.collection,
        sentence: row.window.to_string(),
        next: row.window.next_start(WallTime::of_utc(now)),
        window: row.window,
        changed: row.changed,
        changed_by: row.changed_by,
        revision: row.revision,
    }
}

/// A window that somebody wants: in its limits, and not over before it begins.
fn checked(window: &MaintenanceWindow, now: UnixMillis) -> Result<(), SiteError> {
    window.check().map_err(|error| malformed(format!("The window cannot be: {error}.")))?;
    // A day before: somewhere it is not over yet.
    let since = WallTime::of_utc(now.plus(-DAY - i64::from(window.minutes) * 60_000));
    match window.next_start(since) {
        Some(_) => Ok(()),
        None => Err(malformed("The window would never open: there is no such day from its start on.")),
    }
}

/// The collection, in a transaction that has the graph: one of devices, that somebody made.
async fn own(tx: &mut Tx, id: CollectionId) -> Result<Collection, SiteError> {
    collection::lock(tx).await?;
    let row = collection::get(tx.conn(), id).await?.ok_or_else(SiteError::not_found)?;
    if row.kind != CollectionKind::Device {
        return Err(conflict(format!("{} holds no devices; windows are for devices.", row.name)));
    }
    if row.built_in {
        let name = &row.name;
        return Err(conflict(format!(
            "{name} is built in, and a window of it would hold for devices that nobody chose."
        )));
    }
    Ok(row)
}

async fn write(tx: &mut Tx, ctx: &Ctx, verb: &'static str, row: &WindowRow, detail: String) -> Result<(), SiteError> {
    let same = window::of_collection(tx.conn(), row.collection).await?;
    if same.iter().any(|other| other.id != row.id && other.window.name == row.window.name) {
        return Err(conflict(format!("The collection has a window with the name {} already.", row.window.name)));
    }
    window::put(tx, row).await?;
    assignment::ask_members(tx, row.collection, ctx.now).await?;
    audit::append(tx, ctx, verb, format!("collection {}", row.collection), detail).await
}

fn told(site: &Site) {
    changed(site);
    site.bus.publish(Notice::Changed(Noun::Deployment));
    site.memory.work.notify_one();
}

/// The windows of a collection, by name.
///
/// # Errors
/// `unauthenticated`, `not_found`.
pub async fn collection_window_list(
    ctx: &Ctx,
    site: &Site,
    id: CollectionId,
) -> Result<Vec<CollectionWindow>, SiteError> {
    authz::see(ctx)?;
    let mut reader = site.store.reader().await?;
    collection::get(&mut reader, id).await?.ok_or_else(SiteError::not_found)?;
    let rows = window::of_collection(&mut reader, id).await?;
    Ok(rows.into_iter().map(|row| shown(row, ctx.now)).collect())
}

/// Gives a collection a window. Its members keep to it as soon as they have their new policy.
///
/// # Errors
/// `unauthenticated`, `forbidden`, `not_found`; `malformed`: a number out of its range, or a window that never opens; `conflict`: the
/// collection is built in, holds no devices, has a window of that name, or as many as it can have.
pub async fn collection_window_add(
    ctx: &Ctx,
    site: &Site,
    id: CollectionId,
    wanted: &MaintenanceWindow,
) -> Result<CollectionWindow, SiteError> {
    let admin = authz::change(ctx)?;
    checked(wanted, ctx.now)?;
    let row = WindowRow {
        id: WindowId(site.sources.id()),
        collection: id,
        window: wanted.clone(),
        changed: ctx.now,
        changed_by: admin.name.to_string(),
        revision: 1,
    };
    transaction!(site.store, "collection_window_add", |tx| {
        let of = own(tx, id).await?;
        if window::of_collection(tx.conn(), id).await?.len() >= limits::COLLECTION_WINDOWS {
            return Err(conflict(format!("{} has as many windows as a collection can have.", of.name)));
        }
        let detail = format!("{} got the maintenance window {}, {}: {}.", of.name, wanted.name, wanted.kind, wanted);
        write(tx, ctx, "collection_window_add", &row, detail).await
    })?;
    told(site);
    Ok(shown(row, ctx.now))
}

/// Puts another definition in the place of a window's.
///
/// # Errors
/// As [`collection_window_add`]; `changed`.
pub async fn collection_window_update(
    ctx: &Ctx,
    site: &Site,
    (id, number): (CollectionId, WindowId),
    wanted: &MaintenanceWindow,
    revision: Option<u64>,
) -> Result<CollectionWindow, SiteError> {
    let admin = authz::change(ctx)?;
    checked(wanted, ctx.now)?;
    let row = transaction!(site.store, "collection_window_update", |tx| {
        let of = own(tx, id).await?;
        let before = window::get(tx.conn(), id, number).await?.ok_or_else(SiteError::not_found)?;
        if revision.is_some_and(|revision| revision != before.revision) {
            return Err(SiteError::refused(Code::Changed, "The window changed since you read it; read it again."));
        }
        let was = &before.window;
        let detail = format!(
            "The maintenance window {} of {} was {}: {}; it is {}, {}: {}.",
            was.name, of.name, was.kind, was, wanted.name, wanted.kind, wanted
        );
        let row = WindowRow {
            window: wanted.clone(),
            changed: ctx.now,
            changed_by: admin.name.to_string(),
            revision: before.revision + 1,
            ..before
        };
        write(tx, ctx, "collection_window_update", &row, detail).await?;
        Ok::<_, SiteError>(row)
    })?;
    told(site);
    Ok(shown(row, ctx.now))
}

/// Deletes a window. Members that have no other one are free from then on.
///
/// # Errors
/// `unauthenticated`, `forbidden`, `not_found`.
pub async fn collection_window_delete(
    ctx: &Ctx,
    site: &Site,
    id: CollectionId,
    number: WindowId,
) -> Result<(), SiteError> {
    authz::change(ctx)?;
    transaction!(site.store, "collection_window_delete", |tx| {
        let of = own(tx, id).await?;
        let row = window::get(tx.conn(), id, number).await?.ok_or_else(SiteError::not_found)?;
        window::remove(tx, number).await?;
        assignment::ask_members(tx, id, ctx.now).await?;
        let window = &row.window;
        let detail = format!("The maintenance window {} of {} was deleted: {}.", window.name, of.name, window);
        audit::append(tx, ctx, "collection_window_delete", format!("collection {id}"), detail).await
    })?;
    told(site);
    Ok(())
}

/// The windows that hold for a device, with the collections that they come from.
///
/// # Errors
/// `unauthenticated`, `not_found`.
pub async fn device_windows(ctx: &Ctx, site: &Site, device: DeviceId) -> Result<Vec<DeviceWindow>, SiteError> {
    authz::see(ctx)?;
    let mut reader = site.store.reader().await?;
    assignment::get(&mut reader, device).await?.ok_or_else(SiteError::not_found)?;
    let mut windows = Vec::new();
    for row in window::of_device(&mut reader, device).await? {
        let Some(collection) = collection::get(&mut reader, row.collection).await? else { continue };
        let window = shown(row, ctx.now);
        windows.push(DeviceWindow { collection: collection.id, collection_name: collection.name, window });
    }
    Ok(windows)
}
