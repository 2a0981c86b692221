//! The audit log, file by file, in a place where nothing is written twice: on a disk that this server's thieves do not have.

use crate::listen::Stop;
use muster_model::{
    api::{AuditSegment, AuditSegmentQuery},
    audit::{ENTRIES, Exported, HEAD, SignedHead},
    problem::Code,
    time::{DAY, UnixMillis},
};
use muster_site::{Ctx, Site, SiteError};
use rustix::fs::fsync;
use std::{
    fs::{self, File},
    io::{self, Write},
    os::unix::fs::OpenOptionsExt,
    path::{Path, PathBuf},
    sync::Arc,
    time::Duration,
};
use tokio::time::MissedTickBehavior;

/// Why nothing was exported.
#[derive(Debug, thiserror::Error)]
pub enum ExportError {
    /// The place.
    #[error("{path}: {error}; the audit log is not exported before that is mended")]
    Io {
        /// Which directory.
        path: String,
        /// The system's reason.
        error: io::Error,
    },
    /// The site: also, that its audit log is not the one that was exported.
    #[error(transparent)]
    Site(#[from] SiteError),
}

/// How far a directory goes.
///
/// # Errors
/// When it cannot be read.
pub fn exported(directory: &Path) -> io::Result<Exported> {
    let names = fs::read_dir(directory)?.map(|entry| Ok(entry?.file_name().to_string_lossy().into_owned()));
    let names: Vec<String> = names.collect::<io::Result<_>>()?;
    Ok(Exported::all(&names).pop().unwrap_or(Exported::NOTHING))
}

/// Writes what is new in the audit log into a directory. How many entries that were.
///
/// # Errors
/// See [`ExportError`]; nothing that was written is written again.
pub async fn export(ctx: &Ctx, site: &Site, directory: &Path) -> Result<u64, ExportError> {
    let failed = |error| ExportError::Io { path: directory.display().to_string(), error };
    let (mut at, mut entries) = (exported(directory).map_err(failed)?, 0);
    loop {
        let wanted = AuditSegmentQuery { after: at.last, head: at.head };
        let segment = match muster_site::audit_segment(ctx, site, wanted).await {
            Ok(segment) => segment,
            Err(error) => {
                if error.code() == Code::Conflict {
                    let since = signed_at(directory, at.last).map_err(failed)?;
                    muster_site::audit_altered(ctx, site, &error.problem().detail, since).await?;
                }
                return Err(error.into());
            }
        };
        let Some(segment) = segment.segment else { return Ok(entries) };
        write(directory, &segment).map_err(failed)?;
        let about = segment.about;
        entries += about.last + 1 - about.first;
        at = Exported { first: about.first, last: about.last, head: about.head };
    }
}

/// Reads the whole audit log, which must hang together; what was exported of it dates an alteration. Whether it does.
///
/// # Errors
/// See [`ExportError`].
pub async fn verify(ctx: &Ctx, site: &Site, directory: &Path) -> Result<bool, ExportError> {
    let failed = |error| ExportError::Io { path: directory.display().to_string(), error };
    let Some(number) = muster_site::audit_reverify(ctx, site).await?.broken_at else { return Ok(true) };
    let since = signed_at(directory, number).map_err(failed)?;
    let what = format!("The audit log was altered: entry {number} does not continue the chain.");
    muster_site::audit_altered(ctx, site, &what, since).await?;
    Ok(false)
}

/// When the last head was signed that says that an entry was there: the log was whole then.
fn signed_at(directory: &Path, number: u64) -> io::Result<Option<UnixMillis>> {
    let names = fs::read_dir(directory)?.map(|entry| Ok(entry?.file_name().to_string_lossy().into_owned()));
    let names: Vec<String> = names.collect::<io::Result<_>>()?;
    let Some(of) = Exported::all(&names).into_iter().find(|file| file.last >= number) else { return Ok(None) };
    let head: SignedHead = serde_json::from_slice(&fs::read(directory.join(format!("{}.{HEAD}", of.stem())))?)?;
    Ok(Some(head.about.time))
}

/// Writes a file and its head. Neither may be there; one without a head, which a kill left, gets it where it is whole.
fn write(directory: &Path, segment: &AuditSegment) -> io::Result<()> {
    let about = &segment.about;
    let stem = Exported { first: about.first, last: about.last, head: about.head }.stem();
    let entries = directory.join(format!("{stem}.{ENTRIES}"));
    match once(&entries, segment.lines.as_bytes()) {
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {
            if fs::read(&entries)? != segment.lines.as_bytes() {
                return Err(io::Error::other(format!("{stem}.{ENTRIES} was not written whole; move it away")));
            }
        }
        done => done?,
    }
    let head = SignedHead { about: about.clone(), signed: segment.signed.clone(), key: segment.key.clone() };
    once(&directory.join(format!("{stem}.{HEAD}")), &serde_json::to_vec(&head)?)?;
    fsync(File::open(directory)?)?;
    Ok(())
}

/// Makes a file that must not be there, and brings it to the disk. Nobody may write to it afterwards.
fn once(path: &Path, bytes: &[u8]) -> io::Result<()> {
    let mut file = File::options().write(true).create_new(true).mode(0o440).open(path)?;
    file.write_all(bytes)?;
    file.sync_all()
}

/// Exports what is new every so often, and at the end, until the server stops.
pub(crate) async fn keep_exported(site: Arc<Site>, directory: PathBuf, every: Duration, mut stop: Stop) {
    let (mut every, mut verified) = (tokio::time::interval(every), None::<UnixMillis>);
    every.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        let last = tokio::select! {
            () = stop.wait() => true,
            _ = every.tick() => false,
        };
        let ctx = Ctx::site(site.sources.now());
        // What is new follows what was exported; what is old is read now and then.
        if !last && verified.is_none_or(|at| ctx.now.since(at) > DAY) {
            match verify(&ctx, &site, &directory).await {
                Ok(true) => verified = Some(ctx.now),
                Ok(false) => tracing::error!("The audit log does not hang together: somebody altered the database."),
                Err(error) => tracing::error!(%error, "The audit log could not be verified."),
            }
        }
        match export(&ctx, &site, &directory).await {
            Ok(0) => {}
            Ok(entries) => tracing::info!(entries, "The audit log was exported."),
            Err(error) => tracing::error!(%error, "The audit log was not exported."),
        }
        if last {
            return;
        }
    }
}
