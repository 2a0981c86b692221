//! Logs of clients. The site keeps the heads that it was told: a log that goes back, or that has other records than it had, is found out,
//! with the moments between which it was altered. Pieces come because an administrator asked, in the signed assignment.

use crate::{Ctx, Site, SiteError, audit, authz, delivery::policy, site::Sources};
use muster_model::{
    api::{AlertKind, ClientLog, DeviceState, LogAlteration, LogCollect, LogCollected, LogStanding, LogState},
    id::{AlertId, DeviceId, Hash, LogRequestId},
    limits::{LOG_ANCHORS, LOG_PIECE_BYTES, LOG_PIECE_DAYS, LOG_PIECE_RECORDS, LOG_PIECES, LOG_PIECES_BYTES},
    log::{LogAnchor, LogFault, LogPiece, LogPoint, LogRequest},
    problem::Code,
    status::Severity,
    time::{DAY, UnixMillis},
};
use muster_store::{
    Tx,
    bus::{Notice, Noun},
    db::{
        alert::{self, Raised},
        assignment,
        client_log::{self, AnchorRow, LogRow, PieceRow, Verdict},
        device,
        timeline::TimelineRow,
    },
    transaction,
};
use muster_trust::log::{At, Break, next};
use std::collections::BTreeMap;

/// Pieces that are removed at once.
const PURGED: u32 = 200;
/// Columns of a piece in the database are compressed with this.
const LEVEL: i32 = 3;

/// A head that a client said.
#[derive(Debug, Clone)]
pub(super) struct Said {
    pub(super) at: usize,
    pub(super) sequence: u64,
    pub(super) device: DeviceId,
    pub(super) happened: UnixMillis,
    pub(super) received: UnixMillis,
    pub(super) anchor: LogAnchor,
    /// With it came a piece.
    pub(super) piece: Option<Box<Read>>,
}

/// A piece of which every line was read.
#[derive(Debug, Clone)]
pub(super) struct Read {
    id: LogRequestId,
    /// Head before the first line, and after each line that follows the one before it.
    heads: Vec<Hash>,
    /// Number of the first line; 0: there are no lines.
    first: u64,
    /// Where a line does not follow.
    broken: Option<Break>,
    lines: Vec<u8>,
}

/// Reads a piece: each line against the one before, before any transaction.
pub(super) fn read(piece: LogPiece) -> Result<(LogAnchor, Box<Read>), String> {
    let (mut heads, mut first, mut at, mut broken) = (Vec::with_capacity(piece.lines.len() + 1), 0, None, None);
    for line in &piece.lines {
        match next(at, line.as_bytes()) {
            Ok((record, after)) => {
                if at.is_none() {
                    // Databases count no further.
                    if record.sequence > i64::MAX.unsigned_abs() / 2 {
                        return Err("No log has so many records.".to_owned());
                    }
                    first = record.sequence;
                    heads.push(record.previous);
                }
                heads.push(after.head);
                at = Some(after);
            }
            Err(found) => {
                broken = Some(found);
                break;
            }
        }
    }
    let stands = At { sequence: piece.anchor.sequence, head: piece.anchor.head };
    if broken.is_none() && at.is_some_and(|at| at != stands) {
        broken = Some(Break { fault: LogFault::Shortened, sequence: stands.sequence, unreadable: false });
    }
    let mut text = piece.lines.join("\n");
    text.push('\n');
    let lines = zstd::bulk::compress(text.as_bytes(), LEVEL).map_err(|error| error.to_string())?;
    Ok((piece.anchor, Box::new(Read { id: piece.request, heads, first, broken, lines })))
}

impl Read {
    fn last(&self) -> Option<u64> {
        (self.heads.len() > 1).then(|| self.first + self.heads.len() as u64 - 2)
    }

    /// The head after a record, where the piece says it.
    fn head(&self, sequence: u64) -> Option<Hash> {
        let place = (sequence + 1).checked_sub(self.first.max(1))?;
        self.heads.get(usize::try_from(place).ok()?).copied()
    }

    /// What the site says of it, by the heads that it was told. An alteration came after the last head that is not in the piece was
    /// told, and before the next one that is.
    fn judge(&self, anchors: &[AnchorRow], said: UnixMillis, now: UnixMillis) -> Verdict {
        if self.heads.is_empty() && self.broken.is_none() {
            // The client could not send it.
            return Verdict { state: LogState::Missing, anchors: 0, altered: None };
        }
        let known: Vec<(&AnchorRow, Option<bool>)> =
            anchors.iter().map(|anchor| (anchor, self.head(anchor.sequence).map(|head| head == anchor.head))).collect();
        let good = known.iter().filter(|(_, same)| *same == Some(true)).count() as u64;
        let after = |from: usize| {
            let next = known[from..].iter().find(|(_, same)| *same == Some(true));
            next.map_or(now, |(anchor, _)| anchor.received)
        };
        if let Some(at) = known.iter().rposition(|(_, same)| *same == Some(false)) {
            let first = known.iter().position(|(_, same)| *same == Some(false)).unwrap_or(at);
            let before = known[..first].iter().rev().find(|(_, same)| *same == Some(true));
            let altered = LogAlteration {
                fault: LogFault::Replaced,
                sequence: before.map_or(self.first, |(anchor, _)| anchor.sequence + 1),
                from: known[at].0.received,
                until: after(at),
            };
            return Verdict { state: LogState::Altered, anchors: good, altered: Some(altered) };
        }
        let end = self.last().unwrap_or(0);
        // It was told that there is more before the piece was made.
        let more = anchors.iter().rev().find(|anchor| anchor.sequence > end && anchor.said < said);
        let short = more.map(|_| Break { fault: LogFault::Shortened, sequence: end + 1, unreadable: false });
        let Some(broken) = self.broken.or(short) else {
            return Verdict { state: LogState::Intact, anchors: good, altered: None };
        };
        // Told while it was as it was: by the first head at or after that record, or else by the last one before.
        let told = anchors.iter().find(|anchor| anchor.sequence >= broken.sequence).or(anchors.last());
        let from = told.map_or(UnixMillis(0), |anchor| anchor.received);
        let altered = LogAlteration { fault: broken.fault, sequence: broken.sequence, from, until: now };
        let gone = matches!(broken.fault, LogFault::Removed | LogFault::Shortened | LogFault::Missing);
        let state = if gone { LogState::Missing } else { LogState::Altered };
        Verdict { state, anchors: good, altered: Some(altered) }
    }
}

/// What came of what clients said.
#[derive(Debug, Default)]
pub(super) struct Taken {
    /// Lines of the devices' histories.
    pub(super) timeline: Vec<TimelineRow>,
    /// What is not taken, and why.
    pub(super) refused: Vec<(usize, u64, &'static str)>,
    /// Devices of which something was found out.
    pub(super) altered: Vec<DeviceId>,
}

/// Takes heads and pieces, those of one device in order.
pub(super) async fn take(tx: &mut Tx, sources: &dyn Sources, said: Vec<Said>) -> Result<Taken, SiteError> {
    let mut taken = Taken::default();
    let mut devices: Vec<DeviceId> = said.iter().map(|said| said.device).collect();
    devices.dedup();
    if devices.is_empty() {
        return Ok(taken);
    }
    let known = client_log::of_devices(tx, &devices).await?;
    let mut rows: BTreeMap<DeviceId, LogRow> = known.into_iter().map(|row| (row.device, row)).collect();
    let (mut anchors, mut pieces) = (Vec::new(), Vec::new());
    for said in said {
        // It may come after heads that were told later, so that it is only judged.
        if said.piece.is_some() {
            pieces.push(said);
            continue;
        }
        let (row, refused) = after(rows.get(&said.device), &said);
        if refused {
            let reason = "The log went back to before what the site was told of it; it is taken for another one.";
            taken.refused.push((said.at, said.sequence, reason));
        }
        let before = rows.get(&said.device).and_then(|row| row.standing.altered);
        if row.standing.altered != before {
            taken.altered.push(said.device);
        }
        let LogStanding { sequence, head, .. } = row.standing;
        let (device, received) = (said.device, said.received);
        anchors.push(AnchorRow { device, era: row.era, sequence, head, said: said.happened, received });
        rows.insert(device, row);
    }
    client_log::anchor(tx, &anchors, LOG_ANCHORS).await?;
    for said in pieces {
        let (at, sequence, device) = (said.at, said.sequence, said.device);
        let era = rows.get(&device).map_or(0, |row| row.era);
        let Some(found) = keep(tx, era, said).await? else {
            taken.refused.push((at, sequence, "Nobody asked for this piece of the log, or it came before."));
            continue;
        };
        if let (Some(altered), Some(row)) = (found, rows.get_mut(&device)) {
            row.standing.altered = Some(altered);
            taken.altered.push(device);
        }
    }
    let rows: Vec<LogRow> = rows.into_values().collect();
    client_log::put(tx, &rows).await?;
    taken.altered.sort_unstable();
    taken.altered.dedup();
    for device in &taken.altered {
        let altered = rows.iter().find(|row| row.device == *device).and_then(|row| row.standing.altered);
        if let Some(altered) = altered {
            taken.timeline.push(raise(tx, sources, *device, altered).await?);
        }
    }
    Ok(taken)
}

/// Where a log stands after what its client said, and whether it went back.
fn after(before: Option<&LogRow>, said: &Said) -> (LogRow, bool) {
    let anchor = &said.anchor;
    let last = before.map(|row| &row.standing);
    let back = last.is_some_and(|last| {
        let other = |sequence: u64, head: Hash| sequence == last.sequence && head != last.head;
        // By what it remembers of what it told: an older copy may have grown beyond that by now. One that remembers more than the site
        // does is no older copy; the site was restored.
        let forgot = |told: LogPoint| told.sequence < last.sequence || other(told.sequence, told.head);
        anchor.sequence < last.sequence || other(anchor.sequence, anchor.head) || anchor.after.is_some_and(forgot)
    });
    let mut altered = last.and_then(|last| last.altered);
    let since = last.map_or(UnixMillis(0), |last| last.received);
    if let Some(broken) = &anchor.broken {
        let (fault, sequence) = (broken.fault, broken.sequence);
        altered = Some(LogAlteration { fault, sequence, from: since, until: said.received });
    }
    if back {
        let sequence = anchor.sequence;
        altered = Some(LogAlteration { fault: LogFault::SetBack, sequence, from: since, until: said.received });
    }
    let standing = LogStanding {
        sequence: anchor.sequence,
        head: anchor.head,
        first: anchor.first,
        received: said.received,
        altered,
    };
    let era = before.map_or(0, |row| row.era) + u64::from(back);
    (LogRow { device: said.device, era, said: said.happened, standing }, back)
}

/// Keeps a piece; what is wrong with it. `None`: it was not asked for.
async fn keep(tx: &mut Tx, era: u64, said: Said) -> Result<Option<Option<LogAlteration>>, SiteError> {
    let (Some(piece), device, received) = (said.piece, said.device, said.received) else { return Ok(None) };
    let mut anchors = client_log::anchors(tx.conn(), device).await?;
    anchors.retain(|anchor| anchor.era == era);
    let verdict = piece.judge(&anchors, said.happened, received);
    let range = piece.last().map(|last| (piece.first, last));
    let row = PieceRow { id: piece.id, device, received, range, verdict, lines: piece.lines };
    if !client_log::receive(tx, &row).await? {
        return Ok(None);
    }
    // The request leaves the assignment.
    assignment::ask(tx, &[device], received).await?;
    Ok(Some(verdict.altered))
}

async fn raise(
    tx: &mut Tx,
    sources: &dyn Sources,
    device: DeviceId,
    altered: LogAlteration,
) -> Result<TimelineRow, SiteError> {
    let sentence = sentence(altered);
    let raised = Raised {
        id: AlertId(sources.id()),
        kind: AlertKind::LogAltered,
        subject: device.to_string(),
        severity: Severity::Error,
        text: sentence.clone(),
        devices: 1,
        named: vec![device],
    };
    alert::raise(tx, &raised, altered.until).await?;
    let (happened, severity) = (altered.until, Severity::Error);
    Ok(TimelineRow { device, happened, kind: "administration", severity, text: sentence })
}

/// For people.
fn sentence(altered: LogAlteration) -> String {
    let shown = |at: UnixMillis| match jiff::Timestamp::from_millisecond(at.0) {
        Ok(time) => time.strftime("%Y-%m-%d %H:%M:%S UTC").to_string(),
        Err(_) => at.0.to_string(),
    };
    let from = if altered.from.0 == 0 { "an unknown time".to_owned() } else { shown(altered.from) };
    format!("{} At record {}, between {from} and {}.", altered.fault.sentence(), altered.sequence, shown(altered.until))
}

/// Where the log of a device stands, and which pieces of it there are.
///
/// # Errors
/// `unauthenticated`, `not_found`.
pub async fn client_log_show(ctx: &Ctx, site: &Site, device: DeviceId) -> Result<ClientLog, SiteError> {
    authz::see(ctx)?;
    let mut reader = site.store.reader().await?;
    device::get(&mut reader, device).await?.ok_or_else(SiteError::not_found)?;
    let standing = client_log::get(&mut reader, device).await?.map(|row| row.standing);
    Ok(ClientLog { standing, pieces: client_log::pieces(&mut reader, device).await? })
}

/// Asks a client for the end of its log. It hears of it in its signed assignment.
///
/// # Errors
/// `unauthenticated`, `forbidden`, `not_found`; `too_large`; `conflict`: one is awaited already, or no more is kept.
pub async fn client_log_collect(
    ctx: &Ctx,
    site: &Site,
    device: DeviceId,
    wanted: LogCollect,
) -> Result<LogCollected, SiteError> {
    let by = authz::change(ctx)?.name.to_string();
    if wanted.limit > LOG_PIECE_RECORDS {
        let detail = format!("A piece of a log has at most {LOG_PIECE_RECORDS} records.");
        return Err(SiteError::refused(Code::TooLarge, detail));
    }
    let limit = if wanted.limit == 0 { LOG_PIECE_RECORDS } else { wanted.limit };
    let request = LogRequest { id: LogRequestId(site.sources.id()), since: wanted.since, limit };
    let piece = transaction!(site.store, "client_log_collect", |tx| {
        let row = device::get(tx.conn(), device).await?.ok_or_else(SiteError::not_found)?;
        if row.state != DeviceState::Active {
            return Err(SiteError::refused(Code::Conflict, "This device is not active; its log does not come."));
        }
        if client_log::awaited(tx.conn(), device).await?.is_some() {
            return Err(SiteError::refused(Code::Conflict, "A piece of this log is awaited already."));
        }
        if client_log::total_bytes(tx.conn()).await? >= LOG_PIECES_BYTES {
            let detail = "The site keeps no more pieces of logs; the oldest ones go by themselves.";
            return Err(SiteError::refused(Code::Conflict, detail));
        }
        client_log::ask(tx, device, &request, ctx.now, &by).await?;
        client_log::trim(tx, device, LOG_PIECES).await?;
        assignment::ask(tx, &[device], ctx.now).await?;
        let since = request.since.map_or(String::new(), |since| format!(" since {}", since.0));
        let detail = format!("Collect at most {limit} records of the log of {}{since}.", row.claims.host_name);
        audit::append(tx, ctx, "client_log_collect", format!("device {device}"), detail).await?;
        let pieces = client_log::pieces(tx.conn(), device).await?;
        pieces.into_iter().find(|piece| piece.id == request.id).ok_or_else(SiteError::not_found)
    })?;
    site.bus.publish(Notice::Changed(Noun::Device));
    // Nobody waits for the queue.
    policy::policy_compile(site, ctx.now, &[device]).await?;
    Ok(piece)
}

/// The lines of a piece, as they came. That somebody read them is in the audit log: they may say what people did.
///
/// # Errors
/// `unauthenticated`, `forbidden`, `not_found`: also while it is awaited.
pub async fn client_log_download(
    ctx: &Ctx,
    site: &Site,
    device: DeviceId,
    id: LogRequestId,
) -> Result<Vec<u8>, SiteError> {
    authz::change(ctx)?;
    let lines = transaction!(site.store, "client_log_download", |tx| {
        let lines = client_log::lines(tx.conn(), device, id).await?.ok_or_else(SiteError::not_found)?;
        let detail = format!("Read piece {id} of its log.");
        audit::append(tx, ctx, "client_log_download", format!("device {device}"), detail).await?;
        Ok::<_, SiteError>(lines)
    })?;
    let text = zstd::bulk::decompress(&lines, LOG_PIECE_BYTES + 1);
    text.map_err(|error| SiteError::Fault(format!("piece {id} of a log cannot be read: {error}")))
}

/// Removes pieces that are too old, a part at a time; whether there are more.
pub(crate) async fn client_log_purge(site: &Site, now: UnixMillis) -> Result<bool, SiteError> {
    let gone = transaction!(site.store, "client_log_purge", |tx| {
        let devices = client_log::purge(tx, now.plus(-LOG_PIECE_DAYS * DAY), PURGED).await?;
        // One that never came leaves the assignment.
        assignment::ask(tx, &devices, now).await?;
        Ok::<_, SiteError>(devices.len())
    })?;
    Ok(gone > 0)
}
