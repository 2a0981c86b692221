//! The audit log: every change, in the transaction of the change, numbered without gap and chained by hash.
//!
//! `head(n) = SHA-256(head(n-1) || SHA-256(entry))`, where an entry's bytes are the JSON array
//! `[number, time, actor, action, object, detail]`. Whoever alters, removes or inserts an entry has to redo all that follow.

use crate::{Ctx, SiteError, authz, site::Site};
use muster_model::{
    api::{AuditEntry, AuditVerdict, Page, PageQuery},
    id::Hash,
    time::UnixMillis,
};
use muster_store::{Tx, db::audit};

/// The action of an entry that notes which ones were removed.
const REMOVED: &str = "audit_remove";
/// Entries that are read at once when the log is verified.
const VERIFY_ROWS: u32 = 1_000;

/// The head after `entry`.
fn head_after(head: Hash, entry: &AuditEntry) -> Result<Hash, SiteError> {
    let fields = (entry.number, entry.time, &entry.actor, &entry.action, &entry.object, &entry.detail);
    let bytes = serde_json::to_vec(&fields).map_err(|error| SiteError::Fault(error.to_string()))?;
    Ok(muster_trust::chain(head, &bytes))
}

/// Adds an entry in the caller's transaction. Call it last: it holds the log until the transaction ends.
///
/// # Errors
/// When the store fails.
pub async fn append(
    tx: &mut Tx,
    ctx: &Ctx,
    action: &'static str,
    object: String,
    detail: String,
) -> Result<(), SiteError> {
    let (number, head) = audit::lock(tx).await?;
    let mut entry = AuditEntry {
        number: number + 1,
        time: ctx.now,
        actor: ctx.actor(),
        action: action.to_owned(),
        object,
        detail,
        head: Hash::ZERO,
    };
    entry.head = head_after(head, &entry)?;
    audit::insert(tx, &entry).await?;
    Ok(())
}

/// Removes some of the oldest entries, all from before a moment; how many went. What was removed is an entry itself.
///
/// # Errors
/// When the store fails.
pub(crate) async fn remove_aged(tx: &mut Tx, ctx: &Ctx, before: UnixMillis, most: u32) -> Result<u64, SiteError> {
    // Nobody adds one meanwhile.
    let (end, _) = audit::lock(tx).await?;
    let Some((last, count)) = audit::aged(tx.conn(), (before, end), most).await? else { return Ok(0) };
    audit::remove_until(tx, &last).await?;
    let detail =
        format!("{count} entries were removed because they are too old; the head after the last one is {}.", last.head);
    append(tx, ctx, REMOVED, format!("audit {}", last.number), detail).await?;
    Ok(count)
}

/// Whether an entry notes that all up to this one were removed.
fn is_removal(entry: &AuditEntry, number: u64, head: Hash) -> bool {
    entry.action == REMOVED && entry.object == format!("audit {number}") && entry.detail.contains(&head.to_string())
}

/// A page of the log, the newest entry first.
///
/// # Errors
/// `unauthenticated`, `too_large`.
pub async fn audit_list(ctx: &Ctx, site: &Site, query: PageQuery) -> Result<Page<AuditEntry>, SiteError> {
    authz::see(ctx)?;
    let page = site.page(query)?;
    let (items, total) = audit::list(&mut *site.store.reader().await?, page).await?;
    Ok(Page { items, total, offset: page.offset })
}

/// Checks the whole chain, a thousand entries at a time.
///
/// # Errors
/// `unauthenticated`.
pub async fn audit_verify(ctx: &Ctx, site: &Site) -> Result<AuditVerdict, SiteError> {
    authz::see(ctx)?;
    let (base, base_head) = audit::base(&mut *site.store.reader().await?).await?;
    let mut verdict = AuditVerdict { entries: base, broken_at: None, head: base_head };
    // What was removed was noted in the log itself, which nobody can add afterwards without making all heads anew.
    let mut is_noted = base == 0;
    // The head first: entries that are added meanwhile are checked too, and none that it promises may be missing.
    let (last, last_head) = audit::head(&mut *site.store.reader().await?).await?;
    loop {
        let entries = audit::after(&mut *site.store.reader().await?, verdict.entries, VERIFY_ROWS).await?;
        if entries.is_empty() {
            break;
        }
        for entry in entries {
            let expected = verdict.entries + 1;
            let head = head_after(verdict.head, &entry)?;
            let noted = expected != last || head == last_head;
            if entry.number != expected || entry.head != head || !noted {
                verdict.broken_at = Some(expected);
                return Ok(verdict);
            }
            is_noted |= is_removal(&entry, base, base_head);
            verdict.entries = expected;
            verdict.head = head;
        }
    }
    if !is_noted {
        verdict.broken_at = Some(base);
    } else if verdict.entries < last {
        verdict.broken_at = Some(verdict.entries + 1);
    }
    Ok(verdict)
}
