//! Inventories of foreign collectors. Who sends one is known by its certificate; what it says goes into classes of its own, and never
//! into those of the agent.

use crate::{
    Ctx, Site, SiteError, authz,
    knowledge::inventory::{
        apply::{self, Incoming},
        section::{self, clean},
    },
};
use muster_mdm::foreign::{self, Bounds, Encoding, ForeignError, Mapped, Request};
use muster_model::{
    catalogue::is_foreign,
    id::DeviceId,
    inventory::{Change, InventoryReport, Section, Value, section_bytes},
    limits::{FOREIGN_DECODED_BYTES, FOREIGN_VALUE_BYTES},
    problem::Code,
    report::{Body, Channel, Message},
};
use muster_store::{
    Tx,
    db::{
        channel, inventory,
        quarantine::{self, QuarantineRow},
    },
    transaction,
};
use muster_trust::sha256;
use std::{sync::Arc, time::Instant};

/// Hours after which a collector shall ask again.
const HOURS: u32 = 24;

/// Takes what a foreign collector on a device sends, packed as its content type says. Returns the answer, which is XML. It has a place for it
/// ([`crate::report_admitted`]).
///
/// # Errors
/// `unauthenticated`; `device_not_active`; `unsupported_media_type`; `malformed` and `too_large`: nothing of it is taken, and what came is put aside.
pub async fn foreign_submit(ctx: &Ctx, site: &Site, content_type: &str, body: Vec<u8>) -> Result<String, SiteError> {
    let device = authz::device(ctx)?.id;
    let Some(encoding) = Encoding::of_type(content_type) else {
        let detail = "Send application/xml, application/x-compress-zlib or application/x-compress-gzip.";
        return Err(SiteError::refused(Code::UnsupportedMediaType, detail));
    };
    let bounds = Bounds {
        decoded_bytes: FOREIGN_DECODED_BYTES,
        rows: site.limits.section_rows,
        value_bytes: FOREIGN_VALUE_BYTES,
    };
    // Reading takes some tens of milliseconds: not where connections are served.
    let read = move || {
        let text = foreign::decode(encoding, &body, bounds.decoded_bytes)?;
        let request = foreign::read(&text, &bounds)?;
        let mapped = match request {
            Request::Prolog => None,
            Request::Inventory(document) => Some(foreign::map(&document)),
        };
        Ok::<_, ForeignError>((mapped, text.len()))
    };
    let read = apart(read).await?;
    let unpacked = read.as_ref().map_or(FOREIGN_DECODED_BYTES, |(_, bytes)| *bytes);
    site.memory.budgets.read(device, &site.limits, Instant::now(), 1, unpacked);
    let mapped = match read {
        Ok((Some(mapped), _)) => mapped,
        Ok((None, _)) => return Ok(foreign::prolog_answer(HOURS)),
        Err(error) => {
            put_aside(ctx, site, device, &error).await?;
            let code = if matches!(error, ForeignError::TooLarge(_)) { Code::TooLarge } else { Code::Malformed };
            return Err(SiteError::refused(code, format!("The inventory is not taken: {error}.")));
        }
    };
    let silent = silent(site, device, &mapped).await?;
    let text = apart(move || message(mapped, silent)).await??;
    store(ctx, site, device, &text.into()).await?;
    Ok(foreign::inventory_answer().to_owned())
}

/// Does what takes long where no connection waits for it.
async fn apart<T: Send + 'static>(work: impl FnOnce() -> T + Send + 'static) -> Result<T, SiteError> {
    tokio::task::spawn_blocking(work).await.map_err(|error| SiteError::Fault(error.to_string()))
}

/// Classes that this collector said of the device before and says nothing of any more: there is nothing of them now. What another
/// collector said stays.
async fn silent(site: &Site, device: DeviceId, mapped: &Mapped) -> Result<Vec<String>, SiteError> {
    let catalogue = site.catalogue.load_full();
    let mut reader = site.store.reader().await?;
    let mut silent = Vec::new();
    for stored in inventory::classes(&mut reader, device).await? {
        let Some(class) = catalogue.class(&stored.class) else { continue };
        if !is_foreign(&class.name) || stored.rows == 0 || mapped.classes.contains_key(&class.name) {
            continue;
        }
        // All rows of a section came in one document.
        let rows = inventory::rows(&mut reader, site.store.dialect(), device, class, 0, 1).await?;
        let first = rows.and_then(|(rows, _)| rows.into_iter().next()).unwrap_or_default();
        if first.get("Source") == Some(&Value::Text(mapped.source.clone())) {
            silent.push(stored.class);
        }
    }
    Ok(silent)
}

/// The rows as an inventory message, so that they are read and stored as those of an agent are.
fn message(mapped: Mapped, silent: Vec<String>) -> Result<String, SiteError> {
    let section = |(class, rows): (String, Vec<_>)| Section {
        class,
        digest: sha256(&section_bytes(&rows)),
        change: Change::Full { rows },
    };
    let silent = silent.into_iter().map(|class| (class, Vec::new()));
    let sections = mapped.classes.into_iter().chain(silent).map(section).collect();
    let body = Body::Inventory(InventoryReport { sections, unread: Vec::new() });
    let message = Message { time: muster_model::time::UnixMillis(0), body };
    serde_json::to_string(&message).map_err(|error| SiteError::Fault(error.to_string()))
}

async fn store(ctx: &Ctx, site: &Site, device: DeviceId, text: &Arc<str>) -> Result<(), SiteError> {
    let catalogue = site.catalogue.load_full();
    loop {
        let (catalogue, text) = (catalogue.clone(), text.clone());
        let (limits, interner) = (site.limits.clone(), site.memory.interner.clone());
        let report = apart(move || section::read_foreign(&catalogue, &limits, &interner, &text))
            .await?
            .map_err(|reason| SiteError::refused(Code::Malformed, reason))?;
        let done = transaction!(site.store, "foreign_submit", |tx| {
            active(tx, device).await?;
            let rows: Vec<QuarantineRow> = report
                .refused
                .iter()
                .map(|refused| aside(ctx, device, refused.class.clone(), &refused.reason, &refused.excerpt))
                .collect();
            let incoming = Incoming { device, received: ctx.now, again: false, late: true, report: &report };
            let applied = apply::apply(tx, &site.memory.interner, &site.limits, &[incoming]).await?;
            if applied.is_ok() {
                quarantine::insert(tx, &rows, site.limits.quarantine_items).await?;
            }
            Ok::<_, SiteError>(applied)
        })?;
        // Otherwise rows were swept since it was read.
        if let Ok(applied) = done {
            site.memory.interner.put(&applied.sweeps, applied.known);
            return Ok(());
        }
    }
}

async fn active(tx: &mut Tx, device: DeviceId) -> Result<(), SiteError> {
    let standing = channel::lock(tx, &[device]).await?;
    if standing.get(&device).is_some_and(|standing| standing.active) {
        return Ok(());
    }
    Err(SiteError::refused(Code::DeviceNotActive, "The device is not active."))
}

fn aside(ctx: &Ctx, device: DeviceId, class: Option<String>, reason: &str, excerpt: &str) -> QuarantineRow {
    QuarantineRow {
        device,
        received: ctx.now,
        channel: Channel::Inventory,
        sequence: 0,
        class,
        reason: clean(reason, 500),
        excerpt: section::excerpt(excerpt),
    }
}

async fn put_aside(ctx: &Ctx, site: &Site, device: DeviceId, error: &ForeignError) -> Result<(), SiteError> {
    let row = aside(ctx, device, None, &format!("A foreign inventory is not taken: {error}."), "");
    transaction!(site.store, "foreign_aside", |tx| {
        active(tx, device).await?;
        Ok::<_, SiteError>(quarantine::insert(tx, std::slice::from_ref(&row), site.limits.quarantine_items).await?)
    })
}
