//! Inventory classes: those that are built in, and those that administrators add while the site runs.
//!
//! A class is data: its row, its table and its view are made in one transaction. Every process follows within seconds, and what
//! devices sent before the class was there is taken in then.

use super::inventory::{
    apply::{self, Incoming},
    section::{self, clean},
};
use crate::{Ctx, Site, SiteError, audit, authz};
use muster_model::{
    api::{ClassAdd, ClassOverview, Classes, InventoryClass},
    catalogue::{Catalogue, Class},
    id::DeviceId,
    limits::{CLASSES, WAITING_DAYS},
    problem::Code,
    report::Channel,
    time::{DAY, UnixMillis},
};
use muster_store::{
    Tx,
    db::{
        channel, collection, inventory,
        inventory_class::{self, ClassRow, WaitingRow},
        quarantine::{self, QuarantineRow},
    },
    transaction,
};
use std::sync::{Arc, atomic::Ordering};

/// Classes that wait and are shown.
const SHOWN_WAITING: u32 = 100;
/// Sections that are taken in at once.
const TAKEN: u32 = 20;

fn shown(class: &Class, row: Option<&ClassRow>) -> InventoryClass {
    let definition = class.definition();
    InventoryClass {
        name: definition.name,
        provider: definition.provider,
        version: class.version,
        attributes: definition.attributes,
        changed: row.map(|row| row.changed),
        changed_by: row.map(|row| row.changed_by.clone()),
        retired: row.and_then(|row| row.retired),
    }
}

/// Every class, and what waits for classes that are not there.
///
/// # Errors
/// `unauthenticated`.
pub async fn class_list(ctx: &Ctx, site: &Site) -> Result<Classes, SiteError> {
    authz::see(ctx)?;
    let mut reader = site.store.reader().await?;
    let own = inventory_class::all(&mut reader).await?;
    let waiting = inventory_class::waiting(&mut reader, SHOWN_WAITING).await?;
    let overview = |class: &Class, row: Option<&ClassRow>| ClassOverview {
        name: class.name.clone(),
        provider: class.wmi.clone(),
        version: class.version,
        attributes: class.attributes.len() as u64,
        changed: row.map(|row| row.changed),
        changed_by: row.map(|row| row.changed_by.clone()),
        retired: row.and_then(|row| row.retired),
    };
    let mut items: Vec<ClassOverview> =
        Catalogue::built_in().classes().iter().map(|class| overview(class, None)).collect();
    items.extend(own.iter().map(|row| overview(&row.class, Some(row))));
    items.sort_by(|a, b| a.name.cmp(&b.name));
    Ok(Classes { items, waiting })
}

/// One class.
///
/// # Errors
/// `unauthenticated`, `not_found`.
pub async fn class_show(ctx: &Ctx, site: &Site, name: &str) -> Result<InventoryClass, SiteError> {
    authz::see(ctx)?;
    if let Some(class) = Catalogue::built_in().class(name) {
        return Ok(shown(class, None));
    }
    let row = inventory_class::get(&mut *site.store.reader().await?, name).await?.ok_or_else(SiteError::not_found)?;
    Ok(shown(&row.class, Some(&row)))
}

/// Adds a class, or attributes to one that an administrator added before; a class that was retired takes reports again. A
/// definition that says nothing new changes nothing.
///
/// # Errors
/// `unauthenticated`, `forbidden`; `malformed`: it cannot be a class; `conflict`: it would change what there is, or there are too
/// many; `unavailable`: a long report is reading the class's table.
pub async fn class_add(ctx: &Ctx, site: &Site, add: ClassAdd) -> Result<InventoryClass, SiteError> {
    let admin = authz::change(ctx)?;
    let malformed = |error| SiteError::refused(Code::Malformed, format!("The class is not taken: {error}."));
    let wanted = add.class().map_err(malformed)?;
    let (row, _) = transaction!(site.store, "class_add", |tx| {
        inventory_class::bump(tx).await?;
        let before = inventory_class::get(tx.conn(), &wanted.name).await?;
        let class = match &before {
            None => new_class(tx, &wanted).await?,
            Some(before) => {
                let conflict = |error| SiteError::refused(Code::Conflict, format!("The class is not taken: {error}."));
                match before.class.next(&wanted).map_err(conflict)? {
                    None if before.retired.is_none() => return Ok::<_, SiteError>((before.clone(), false)),
                    None => before.class.clone(),
                    Some(next) => next,
                }
            }
        };
        let class = Class { retired: false, ..class };
        let row = ClassRow { class, changed: ctx.now, changed_by: admin.name.to_string(), retired: None };
        inventory_class::put(tx, before.as_ref().map(|before| &before.class), &row).await?;
        // What queries of collections mean may be another thing now.
        collection::lock(tx).await?;
        let detail = format!(
            "Inventory class {} is version {}, with {} attributes.",
            row.class.name,
            row.class.version,
            row.class.attributes.len()
        );
        audit::append(tx, ctx, "class_add", format!("class {}", row.class.name), detail).await?;
        Ok((row, true))
    })?;
    class_load(site).await?;
    site.memory.work.notify_one();
    Ok(shown(&row.class, Some(&row)))
}

async fn new_class(tx: &mut Tx, wanted: &Class) -> Result<Class, SiteError> {
    if inventory_class::all(tx.conn()).await?.len() as u64 >= CLASSES {
        let detail = format!("A site has at most {CLASSES} classes of its administrators.");
        return Err(SiteError::refused(Code::Conflict, detail));
    }
    Ok(wanted.clone())
}

/// Retires a class of an administrator: devices' reports of it are refused from now on; what they reported stays.
///
/// # Errors
/// `unauthenticated`, `forbidden`; `not_found`: no administrator added such a class; `conflict`: it is retired.
pub async fn class_retire(ctx: &Ctx, site: &Site, name: &str) -> Result<InventoryClass, SiteError> {
    let admin = authz::change(ctx)?;
    let row = transaction!(site.store, "class_retire", |tx| {
        inventory_class::bump(tx).await?;
        let before = inventory_class::get(tx.conn(), name).await?.ok_or_else(SiteError::not_found)?;
        if before.retired.is_some() {
            return Err(SiteError::refused(Code::Conflict, "The class is retired already."));
        }
        let class = Class { retired: true, ..before.class.clone() };
        let row = ClassRow { class, changed: ctx.now, changed_by: admin.name.to_string(), retired: Some(ctx.now) };
        inventory_class::put(tx, Some(&before.class), &row).await?;
        collection::lock(tx).await?;
        let detail = format!("Inventory class {name} takes no more reports; what was reported stays.");
        audit::append(tx, ctx, "class_retire", format!("class {name}"), detail).await?;
        Ok::<_, SiteError>(row)
    })?;
    class_load(site).await?;
    Ok(shown(&row.class, Some(&row)))
}

/// Reads the classes into the memory of this process.
pub(crate) async fn class_load(site: &Site) -> Result<(), SiteError> {
    let mut reader = site.store.reader().await?;
    // The number first: whoever changes a class meanwhile makes a higher one, and this is done again.
    let changes = inventory_class::changes(&mut reader).await?;
    let own = inventory_class::all(&mut reader).await?;
    drop(reader);
    let next = Arc::new(Catalogue::with(own.into_iter().map(|row| row.class), changes));
    // Two may load at the same time; the later state stays.
    site.catalogue.rcu(|now| if now.revision() > next.revision() { now.clone() } else { next.clone() });
    site.memory.classes_changed.store(true, Ordering::SeqCst);
    Ok(())
}

/// Looks whether another process changed a class.
pub(crate) async fn class_follow(site: &Site) -> Result<(), SiteError> {
    let changes = inventory_class::changes(&mut *site.store.reader().await?).await?;
    if changes > site.catalogue.load().revision() {
        class_load(site).await?;
    }
    Ok(())
}

async fn take_some(site: &Site, catalogue: &Catalogue, names: &[&str]) -> Result<Vec<WaitingRow>, SiteError> {
    let mut reader = site.store.reader().await?;
    let rows = inventory_class::waiting_of(&mut reader, site.store.dialect(), names, TAKEN).await?;
    drop(reader);
    for row in &rows {
        take(site, catalogue, row).await?;
    }
    Ok(rows)
}

/// Takes in some of what waited for classes that are there now; whether there may be more.
pub(crate) async fn class_take(site: &Site) -> Result<bool, SiteError> {
    if !site.memory.classes_changed.swap(false, Ordering::SeqCst) {
        return Ok(false);
    }
    let catalogue = site.catalogue.load_full();
    let own = catalogue.classes().iter().filter(|class| class.version > 0 && !class.retired);
    let names: Vec<&str> = own.map(|class| class.name.as_str()).collect();
    if names.is_empty() {
        return Ok(false);
    }
    let rows = match take_some(site, &catalogue, &names).await {
        Ok(rows) => rows,
        Err(error) => {
            // It waits on, and is looked at again.
            site.memory.classes_changed.store(true, Ordering::SeqCst);
            return Err(error);
        }
    };
    if rows.is_empty() {
        return Ok(false);
    }
    tracing::info!(sections = rows.len(), "Inventory that waited for its class was taken in.");
    site.memory.classes_changed.store(true, Ordering::SeqCst);
    Ok(true)
}

/// Forgets sections that waited too long for their class, so that those of other devices have room.
pub(crate) async fn class_purge(site: &Site, now: UnixMillis) -> Result<(), SiteError> {
    let before = now.plus(-WAITING_DAYS.saturating_mul(DAY));
    transaction!(site.store, "class_purge", |tx| { inventory_class::purge(tx, before).await })?;
    Ok(())
}

/// Takes one section in, or puts it aside where it does not obey its class; in either case it waits no more.
async fn take(site: &Site, catalogue: &Catalogue, row: &WaitingRow) -> Result<(), SiteError> {
    let class = serde_json::Value::from(row.class.as_str());
    let digest = serde_json::Value::from(row.digest.to_string());
    let text = format!(
        r#"{{"time":0,"body":{{"inventory":{{"sections":[{{"class":{class},"digest":{digest},"change":{{"full":{{"rows":{}}}}}}}]}}}}}}"#,
        row.rows
    );
    loop {
        let read = section::read(catalogue, &site.limits, &site.memory.interner, &text);
        let done = transaction!(site.store, "class_take", |tx| {
            let standing = channel::lock(tx, &[row.device]).await?;
            let active = standing.get(&row.device).is_some_and(|standing| standing.active);
            // A section that came since then is newer than this one.
            let newer = !inventory::sections(tx, &[row.device], &[row.class.as_str()]).await?.is_empty();
            if !inventory_class::take(tx, row).await? || !active || newer {
                return Ok::<_, SiteError>(Some(Vec::new()));
            }
            let report = match &read {
                Ok(report) if report.refused.is_empty() => report,
                Ok(report) => return aside(tx, site, row, report.refused.first().map(|r| r.reason.as_str())).await,
                Err(reason) => return aside(tx, site, row, Some(reason)).await,
            };
            let incoming = Incoming { device: row.device, received: row.received, again: false, late: true, report };
            let applied = apply::apply(tx, &site.memory.interner, &site.limits, &[incoming]).await?;
            Ok(applied.ok().map(|applied| {
                let sweeps = applied.sweeps;
                applied.known.into_iter().map(|known| (sweeps.clone(), known)).collect()
            }))
        })?;
        // `None`: rows were swept since the section was read.
        if let Some(known) = done {
            for (sweeps, known) in known {
                site.memory.interner.put(&sweeps, [known]);
            }
            return Ok(());
        }
    }
}

type Remembered = Vec<(Arc<str>, (super::inventory::interner::TextKey, super::inventory::interner::Known))>;

async fn aside(
    tx: &mut Tx,
    site: &Site,
    row: &WaitingRow,
    reason: Option<&str>,
) -> Result<Option<Remembered>, SiteError> {
    let device: DeviceId = row.device;
    let aside = QuarantineRow {
        device,
        received: row.received,
        channel: Channel::Inventory,
        sequence: 0,
        class: Some(row.class.clone()),
        reason: clean(reason.unwrap_or("It does not obey its class."), 500),
        excerpt: section::excerpt(&row.rows),
    };
    quarantine::insert(tx, &[aside], site.limits.quarantine_items).await?;
    Ok(Some(Vec::new()))
}
