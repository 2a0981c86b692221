//! Serial numbers that the site expects. A serial number is what a device says of itself: being on the list proves nothing, and is
//! shown to whoever decides. Only a token that was made for one of them, together with the mode `all`, approves a device.

use super::device::checked_reason;
use crate::{Ctx, SiteError, audit, authz, site::Site};
use muster_model::{
    api::{Page, PageQuery, Reason, Serial, SerialImport, SerialImported, is_serial},
    limits::SERIAL_ENTRIES,
    problem::Code,
};
use muster_store::{db::serial, transaction};
use std::collections::BTreeSet;

/// A page of expected serial numbers, the latest first.
///
/// # Errors
/// `unauthenticated`, `too_large`.
pub async fn serial_list(ctx: &Ctx, site: &Site, query: PageQuery) -> Result<Page<Serial>, SiteError> {
    authz::see(ctx)?;
    let page = site.page(query)?;
    let (items, total) = serial::list(&mut *site.store.reader().await?, page).await?;
    Ok(Page { items, total, offset: page.offset })
}

/// Expects a list of serial numbers, all or none. A number that is there gets the new note.
///
/// # Errors
/// `unauthenticated`, `forbidden`, `malformed`, `too_large`.
pub async fn serial_import(ctx: &Ctx, site: &Site, import: SerialImport) -> Result<SerialImported, SiteError> {
    let admin = authz::change(ctx)?;
    if import.entries.len() > SERIAL_ENTRIES {
        let detail = format!("A list has at most {SERIAL_ENTRIES} serial numbers; import several.");
        return Err(SiteError::refused(Code::TooLarge, detail));
    }
    let mut rows = Vec::with_capacity(import.entries.len());
    let mut numbers = BTreeSet::new();
    for entry in import.entries {
        if !is_serial(&entry.serial) || !numbers.insert(entry.serial.clone()) {
            let detail = format!("{:?} is no serial number, or is there twice.", entry.serial);
            return Err(SiteError::refused(Code::Malformed, detail));
        }
        let note = checked_reason(Reason { reason: entry.note })?;
        rows.push(Serial { serial: entry.serial, note, changed: ctx.now, changed_by: admin.name.to_string() });
    }
    if rows.is_empty() {
        return Err(SiteError::refused(Code::Malformed, "The list is empty."));
    }
    transaction!(site.store, "serial_import", |tx| {
        for row in &rows {
            serial::set(tx, row).await?;
        }
        let detail = format!("{} serial numbers are expected, from {} on.", rows.len(), rows[0].serial);
        audit::append(tx, ctx, "serial_import", "serials".to_owned(), detail).await
    })?;
    Ok(SerialImported { imported: rows.len() as u64 })
}

/// Expects a serial number no more.
///
/// # Errors
/// `unauthenticated`, `forbidden`, `malformed`, `not_found`.
pub async fn serial_remove(ctx: &Ctx, site: &Site, number: String, reason: Reason) -> Result<Serial, SiteError> {
    authz::change(ctx)?;
    let reason = checked_reason(reason)?;
    transaction!(site.store, "serial_remove", |tx| {
        let row = serial::get(tx, &number).await?.ok_or_else(SiteError::not_found)?;
        serial::remove(tx, &number).await?;
        let detail = format!("Serial number {number} ({}) is expected no more: {reason}", row.note);
        audit::append(tx, ctx, "serial_remove", "serials".to_owned(), detail).await?;
        Ok(row)
    })
}
