//! Reports: what a device says, measured against its chain, committed, and only then acknowledged.

mod commit;
mod decompress;
pub(crate) mod queue;
mod read;

use crate::{Ctx, Site, SiteError, audit, authz, ctx::DeviceCaller, delivery::policy};
use commit::Outcome;
use lru::LruCache;
use muster_model::{
    id::DeviceId,
    problem::{Code, Problem},
    report::ReportAnswer,
    status::Severity,
    time::{HOUR, UnixMillis},
};
use muster_store::{
    db::timeline::{self, TimelineRow},
    transaction,
};
use muster_trust::sequence::SequenceError;
use std::{
    num::NonZeroUsize,
    sync::{Mutex, PoisonError},
};

/// Takes a report of the device that is connected.
///
/// # Errors
/// `unauthenticated`; `too_large`; `malformed`; `signature_invalid`: not by this device's key; `foreign_site`;
/// `device_not_active`; `sequence_gap` and `sequence_fork`, with the number that is expected; `too_many`; `unavailable`. Nothing of
/// the report is taken then.
pub async fn report_submit(ctx: &Ctx, site: &Site, envelope: &[u8]) -> Result<ReportAnswer, SiteError> {
    let device = authz::device(ctx)?;
    let report = read::envelope(ctx, site, device, envelope)?;
    match site.memory.reports.submit(site, report).await? {
        Outcome::Answer(answer) => Ok(answer),
        Outcome::NotActive => Err(policy::not_active()),
        Outcome::Refused(SequenceError::Malformed) => {
            Err(SiteError::refused(Code::Malformed, "The report has no messages, or sequence numbers that cannot be."))
        }
        Outcome::Refused(SequenceError::Gap { expected }) => Err(refused(
            Code::SequenceGap,
            format!("The next sequence number of this channel is {expected}; send from there on."),
            expected,
        )),
        Outcome::Refused(SequenceError::Fork { expected }) => {
            fork(ctx, site, device).await?;
            Err(refused(
                Code::SequenceFork,
                "The site has another history of this device; a clone, or a restored image. Its administrator must look.".to_owned(),
                expected,
            ))
        }
    }
}

fn refused(code: Code, detail: String, expected: u64) -> SiteError {
    SiteError::Refused(Box::new(Problem { expected: Some(expected), ..Problem::new(code, detail) }))
}

/// When a fork of a device was last written down: once an hour is enough, however often it is sent.
#[derive(Debug)]
pub(crate) struct Forks(Mutex<LruCache<DeviceId, UnixMillis>>);

/// Devices whose last fork is remembered.
const FORKS: NonZeroUsize = NonZeroUsize::new(10_000).unwrap();

impl Default for Forks {
    fn default() -> Self {
        Self(Mutex::new(LruCache::new(FORKS)))
    }
}

impl Forks {
    fn is_news(&self, device: DeviceId, now: UnixMillis) -> bool {
        let mut forks = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let known = forks.get(&device).is_some_and(|last| (0..HOUR).contains(&now.since(*last)));
        if !known {
            forks.put(device, now);
        }
        !known
    }
}

/// Writes down that a second history of a device was seen. The state of the device stays as it is.
async fn fork(ctx: &Ctx, site: &Site, device: &DeviceCaller) -> Result<(), SiteError> {
    metrics::counter!("muster_forks_total").increment(1);
    if !site.memory.forks.is_news(device.id, ctx.now) {
        return Ok(());
    }
    tracing::warn!(device = %device.id, address = ctx.address, "A device sent a second history of its messages; it was not taken.");
    let line = TimelineRow {
        device: device.id,
        happened: ctx.now,
        kind: "administration",
        severity: Severity::Error,
        text: "A second history of this device was seen and not taken: two machines use its key, or an image was restored."
            .to_owned(),
    };
    transaction!(site.store, "report_fork", |tx| {
        timeline::insert(tx, std::slice::from_ref(&line)).await?;
        let detail = format!("A report from {} continues another history than the one that is stored.", ctx.address);
        audit::append(tx, ctx, "sequence_fork", format!("device {}", device.id), detail).await
    })
}
