//! The audit log: every change, in the transaction of the change, numbered without gap and chained by hash.
//!
//! `head(n) = SHA-256(head(n-1) || SHA-256(entry))`, where an entry's bytes are the JSON array
//! `[number, time, actor, action, object, detail]`. Whoever alters, removes or inserts an entry has to redo all that follow.

use crate::{Ctx, SiteError, authz, site::Site};
use base64::{Engine as _, engine::general_purpose::STANDARD as BASE64};
use muster_model::{
    api::{AlertKind, AuditEntry, AuditSegment, AuditSegmentQuery, AuditSegments, AuditVerdict, Page, PageQuery},
    audit::AuditHead,
    id::{AlertId, Hash},
    limits::{AUDIT_SEGMENT_BYTES, AUDIT_SEGMENT_ENTRIES},
    problem::Code,
    status::Severity,
    time::{DAY, HOUR, UnixMillis},
};
use muster_store::{
    Connection, Tx,
    db::{
        alert::{self, Raised},
        audit, setting,
    },
    transaction,
};

/// The action of an entry that notes which ones were removed.
const REMOVED: &str = "audit_remove";
/// Under this name stands how far the log is exported.
const EXPORTED: &str = "audit_exported";
/// An export that has asked for nothing for so long is none any more.
const EXPORTS: i64 = 30 * DAY;
/// Entries that are read at once when the log is verified.
const VERIFY_ROWS: u32 = 1_000;

/// The bytes of an entry that the chain is over.
fn bytes(entry: &AuditEntry) -> Result<Vec<u8>, SiteError> {
    let fields = (entry.number, entry.time, &entry.actor, &entry.action, &entry.object, &entry.detail);
    serde_json::to_vec(&fields).map_err(|error| SiteError::Fault(error.to_string()))
}

/// The head after `entry`.
fn head_after(head: Hash, entry: &AuditEntry) -> Result<Hash, SiteError> {
    Ok(muster_trust::chain(head, &bytes(entry)?))
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

/// Up to which entry the site's own export has the log, and when it last asked for more.
async fn exported(conn: &mut Connection) -> Result<Option<(u64, UnixMillis)>, SiteError> {
    let text = setting::get(conn, EXPORTED).await?.unwrap_or_default();
    let parsed = text.split_once(' ').and_then(|(number, at)| Some((number.parse().ok()?, at.parse().ok()?)));
    Ok(parsed.map(|(number, at)| (number, UnixMillis(at))))
}

/// Removes some of the oldest entries, all from before a moment; how many went. What was removed is an entry itself.
///
/// # Errors
/// When the store fails.
pub(crate) async fn remove_aged(tx: &mut Tx, ctx: &Ctx, before: UnixMillis, most: u32) -> Result<u64, SiteError> {
    // Nobody adds one meanwhile.
    let (end, _) = audit::lock(tx).await?;
    // What is exported somewhere stays until it was.
    let exported = exported(tx.conn()).await?.filter(|(_, at)| (0..EXPORTS).contains(&ctx.now.since(*at)));
    let end = exported.map_or(end, |(number, _)| end.min(number.saturating_add(1)));
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
    verify(site).await
}

/// How often the log is looked at anew, because its beginning was removed meanwhile.
const LOOKS: u32 = 20;

async fn verify(site: &Site) -> Result<AuditVerdict, SiteError> {
    for _ in 1..LOOKS {
        let base = audit::base(&mut *site.store.reader().await?).await?;
        let verdict = verify_from(site, base).await?;
        // What was removed while it was read is no alteration.
        if verdict.broken_at.is_none() || audit::base(&mut *site.store.reader().await?).await? == base {
            return Ok(verdict);
        }
    }
    let base = audit::base(&mut *site.store.reader().await?).await?;
    verify_from(site, base).await
}

async fn verify_from(site: &Site, (base, base_head): (u64, Hash)) -> Result<AuditVerdict, SiteError> {
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

/// What follows an entry, with a signed head, for whoever keeps it elsewhere.
///
/// # Errors
/// `unauthenticated`; `conflict`: that entry is not there, has another head, or what follows does not continue the chain. Somebody altered
/// the database.
pub async fn audit_segment(ctx: &Ctx, site: &Site, wanted: AuditSegmentQuery) -> Result<AuditSegments, SiteError> {
    let own = authz::site(ctx).is_ok();
    if !own {
        authz::see(ctx)?;
    }
    let mut base = audit::base(&mut *site.store.reader().await?).await?;
    loop {
        let answer = segment(ctx, site, own, wanted, base).await;
        let is_odd = matches!(&answer, Err(SiteError::Refused(problem)) if problem.code == Code::Conflict);
        let now = audit::base(&mut *site.store.reader().await?).await?;
        // What was removed while it was read is no alteration.
        if !is_odd || now == base {
            return answer;
        }
        base = now;
    }
}

async fn segment(
    ctx: &Ctx,
    site: &Site,
    own: bool,
    wanted: AuditSegmentQuery,
    (base, base_head): (u64, Hash),
) -> Result<AuditSegments, SiteError> {
    let altered = |number: u64, what: &str| {
        let detail = format!("The audit log was altered: entry {number} {what}.");
        SiteError::refused(Code::Conflict, detail)
    };
    let mut reader = site.store.reader().await?;
    // The head first: entries that are added meanwhile may be taken, and none that it promises may be missing.
    let (last, _) = audit::head(&mut reader).await?;
    if last < wanted.after {
        return Err(altered(last + 1, "is gone"));
    }
    // Who has nothing begins where the log does.
    let wanted = match wanted.after {
        0 if wanted.head == Hash::ZERO => AuditSegmentQuery { after: base, head: base_head },
        after if after < base => {
            let detail = format!(
                "Entries up to {base} were removed because they are too old, and those after {after} were not exported before; begin in \
                 another directory."
            );
            return Err(SiteError::refused(Code::NotFound, detail));
        }
        _ => wanted,
    };
    let before = match wanted.after.checked_sub(1) {
        _ if wanted.after == base => Some((base, base_head)),
        Some(before) => audit::after(&mut reader, before, 1).await?.pop().map(|entry| (entry.number, entry.head)),
        None => Some((0, Hash::ZERO)),
    };
    match before {
        Some((number, _)) if number != wanted.after => return Err(altered(wanted.after, "is gone")),
        None => return Err(altered(wanted.after, "is gone")),
        Some((_, head)) if head != wanted.head => return Err(altered(wanted.after, "is not the one that it was")),
        Some(_) => {}
    }
    let entries = audit::after(&mut reader, wanted.after, AUDIT_SEGMENT_ENTRIES).await?;
    let noted = if own { exported(&mut reader).await? } else { None };
    drop(reader);
    if own && noted.is_none_or(|(number, at)| number < wanted.after || ctx.now.since(at) >= HOUR) {
        let text = format!("{} {}", wanted.after, ctx.now.0);
        transaction!(site.store, "audit_exported", |tx| {
            Ok::<_, SiteError>(setting::set(tx, EXPORTED, &text).await?)
        })?;
    }
    let (mut head, mut number, mut lines) = (wanted.head, wanted.after, Vec::new());
    for entry in entries {
        let line = bytes(&entry)?;
        if !lines.is_empty() && lines.len() + line.len() > AUDIT_SEGMENT_BYTES {
            break;
        }
        head = muster_trust::chain(head, &line);
        number += 1;
        if entry.number != number || entry.head != head {
            return Err(altered(number, "does not continue the chain"));
        }
        lines.extend_from_slice(&line);
        lines.push(b'\n');
    }
    if number == wanted.after {
        // It promises more.
        return if last > number { Err(altered(number + 1, "is gone")) } else { Ok(AuditSegments { segment: None }) };
    }
    let about = AuditHead {
        site: site.code,
        first: wanted.after + 1,
        last: number,
        previous: wanted.head,
        head,
        digest: muster_trust::sha256(&lines),
        time: ctx.now,
    };
    let trust = site.trust.load_full();
    let key = BASE64.encode(trust.keys.policy.public().spki());
    let signed = muster_trust::envelope::sign1_json(&*trust.keys.policy, &about)
        .map_err(|error| SiteError::Fault(format!("the head of the audit log could not be signed: {error}")))?;
    let lines = String::from_utf8(lines).map_err(|error| SiteError::Fault(error.to_string()))?;
    Ok(AuditSegments { segment: Some(AuditSegment { about, lines, signed: BASE64.encode(signed), key }) })
}

/// As [`audit_verify`], by the site's own export.
///
/// # Errors
/// `unauthenticated` for everybody but the site itself.
pub async fn audit_reverify(ctx: &Ctx, site: &Site) -> Result<AuditVerdict, SiteError> {
    authz::site(ctx)?;
    verify(site).await
}

/// The site's own export found that the audit log is not the one that was exported: somebody is told. `since`: then it was.
///
/// # Errors
/// `unauthenticated` for everybody but the site itself.
pub async fn audit_altered(ctx: &Ctx, site: &Site, what: &str, since: Option<UnixMillis>) -> Result<(), SiteError> {
    authz::site(ctx)?;
    let shown = |at: UnixMillis| {
        jiff::Timestamp::from_millisecond(at.0)
            .map_or_else(|_| at.0.to_string(), |at| at.strftime("%Y-%m-%d %H:%M:%S UTC").to_string())
    };
    let since = since.map_or_else(|| "an unknown time".to_owned(), shown);
    let text = format!("{what} That happened between {since} and {}.", shown(ctx.now));
    let raised = Raised {
        id: AlertId(site.sources.id()),
        kind: AlertKind::AuditAltered,
        subject: "audit".to_owned(),
        severity: Severity::Error,
        text,
        devices: 0,
        named: Vec::new(),
    };
    transaction!(site.store, "audit_altered", |tx| { Ok::<_, SiteError>(alert::raise(tx, &raised, ctx.now).await?) })?;
    Ok(())
}
