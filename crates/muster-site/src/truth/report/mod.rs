//! Reports: what a device says, measured against its chain, committed, and only then acknowledged.

mod commit;
mod decompress;
pub(crate) mod queue;
mod read;
mod suspect;

use super::budget;
use crate::identity::sign::Sign;
use crate::{Ctx, Site, SiteError, authz, delivery::policy};
use commit::Outcome;
use muster_model::{
    problem::{Code, Problem},
    report::ReportAnswer,
};
use muster_trust::sequence::SequenceError;
use std::time::Instant;

/// Takes a report of the device that is connected; it has a place for it ([`crate::report_admitted`]).
///
/// # Errors
/// `unauthenticated`; `too_large`; `malformed`; `signature_invalid`: not by this device's key; `foreign_site`;
/// `device_not_active`; `sequence_gap` and `sequence_fork`, with the number that is expected; `too_many`; `unavailable`. Nothing of
/// the report is taken then.
pub async fn report_submit(ctx: &Ctx, site: &Site, envelope: &[u8]) -> Result<ReportAnswer, SiteError> {
    let device = authz::device(ctx)?;
    let report = match read::envelope(ctx, site, device, envelope) {
        Ok(report) => report,
        Err(error) => {
            let problem = error.problem();
            budget::report_refused(ctx, site, problem.code, &problem.detail, envelope).await?;
            return Err(error);
        }
    };
    site.memory.budgets.read(device.id, &site.limits, Instant::now(), report.items.len(), report.bytes());
    let says_something = report.says_something();
    let accepted_policy = report.accepted_policy();
    match site.memory.reports.submit(site, report).await? {
        Outcome::Answer(answer) => {
            if says_something {
                site.memory.signs.note(device.id, Sign::StatusMessage, ctx.now);
            }
            if let Some(version) = accepted_policy {
                site.memory.confirmed.note(device.id, version, ctx.now);
            }
            Ok(answer)
        }
        Outcome::NotActive => Err(policy::not_active()),
        Outcome::Refused(SequenceError::Malformed) => {
            Err(SiteError::refused(Code::Malformed, "The report has no messages, or sequence numbers that cannot be."))
        }
        Outcome::Refused(SequenceError::Gap { expected }) => Err(refused(
            Code::SequenceGap,
            format!("The next sequence number of this channel is {expected}; send from there on."),
            expected,
        )),
        Outcome::Refused(SequenceError::Old { expected }) => {
            metrics::counter!("muster_old_reports_total").increment(1);
            tracing::info!(device = %device.id, address = ctx.address, expected, "A report is older than what is remembered of its device.");
            Err(refused(
                Code::SequenceFork,
                format!("The report is older than what is remembered; the next sequence number is {expected}."),
                expected,
            ))
        }
        Outcome::Refused(SequenceError::Fork { expected }) => {
            Err(refused(
                Code::SequenceFork,
                "The site has another history of this device: a clone, or a restored image. It is quarantined until its administrator decides.".to_owned(),
                expected,
            ))
        }
    }
}

fn refused(code: Code, detail: String, expected: u64) -> SiteError {
    SiteError::Refused(Box::new(Problem { expected: Some(expected), ..Problem::new(code, detail) }))
}
