//! A device that has a newer policy than the site remembers: the site's database was restored from an older backup.

use super::policy::{compile, not_active, publish};
use crate::{Ctx, Site, SiteError, audit, authz, identity::limiter::Limiter};
use muster_model::{
    id::DeviceId,
    policy::{Assignment, Recipient},
    problem::Code,
    status::Severity,
    time::{HOUR, UnixMillis},
};
use muster_store::{
    db::{
        assignment,
        timeline::{self, TimelineRow},
    },
    transaction,
};
use muster_trust::envelope::{self, EnvelopeError};

/// How often which device moved its policy's version on.
#[derive(Debug)]
pub struct Raised(Limiter);

impl Default for Raised {
    fn default() -> Self {
        Self(Limiter::with_window(HOUR))
    }
}

impl Raised {
    /// Once an hour: a database is restored once, and after that the site is ahead.
    fn count(&self, device: DeviceId, beyond: bool, now: UnixMillis) -> Result<(), SiteError> {
        self.0.count(&format!("{device} {beyond}"), 1, now)
    }
}

/// No site gets as far by itself; only who signs such a number on purpose.
const MOST: u64 = 1 << 53;

/// A device shows the assignment that it has, because the site's is older or another of the same version. Where a policy key of
/// this site signed it for this device, the site goes on from there. What nobody here signed moves nothing.
///
/// # Errors
/// `unauthenticated`, `device_not_active`, `too_large`, `malformed`, `signature_invalid`, `foreign_site`; `conflict` for another
/// device's, and for a version that no site reaches: then somebody else has the policy key; `too_many` when the device moved it on
/// in the last hour already.
pub async fn assignment_ahead(ctx: &Ctx, site: &Site, bytes: &[u8]) -> Result<(), SiteError> {
    let device = authz::device(ctx)?.id;
    let shown = verify(site, bytes)?;
    if shown.recipient != Recipient::Device(device) {
        return Err(SiteError::refused(Code::Conflict, "The assignment is another device's."));
    }
    let changed = transaction!(site.store, "assignment_ahead", |tx| {
        if assignment::active(tx, &[device]).await?.is_empty() {
            return Err(not_active());
        }
        let row = assignment::of_devices(tx, &[device]).await?.pop();
        // What was signed is compared, and not the bytes: anybody can write a good signature in another way.
        let same = |stored: &[u8]| verify(site, stored).is_ok_and(|stored| stored == shown);
        let known = row.as_ref().is_some_and(|row| row.version > shown.version || same(&row.envelope));
        if known {
            return Ok(Vec::new());
        }
        let beyond = shown.version > MOST;
        match site.memory.raised.count(device, beyond, ctx.now) {
            Err(_) if beyond => return Ok(Vec::new()),
            counted => counted?,
        }
        let have = row.map_or(0, |row| row.version);
        let text = format!(
            "It has policy version {}, signed with a policy key of this site, which remembers version {have}: {}.",
            shown.version,
            if beyond {
                "no site reaches that number; somebody else has the policy key. Rotate it and revoke the old one"
            } else {
                "the database was restored from an older backup, or somebody else has the policy key"
            }
        );
        let line = TimelineRow { device, happened: ctx.now, kind: "administration", severity: Severity::Warning, text };
        timeline::insert(tx, &[line]).await?;
        let detail = format!("Version {} was shown, {have} was known.", shown.version);
        let changed = if beyond {
            Vec::new()
        } else {
            assignment::raise(tx, device, shown.version).await?;
            compile(site, tx, ctx.now, &[device]).await?
        };
        audit::append(tx, ctx, "assignment_ahead", format!("device {device}"), detail).await?;
        Ok::<_, SiteError>(changed)
    })?;
    publish(site, &changed);
    if shown.version > MOST {
        return Err(SiteError::refused(Code::Conflict, "No site reaches this version; its administrator must look."));
    }
    Ok(())
}

fn verify(site: &Site, bytes: &[u8]) -> Result<Assignment, SiteError> {
    if bytes.len() > site.limits.object_bytes {
        let detail = format!("An assignment has at most {} bytes.", site.limits.object_bytes);
        return Err(SiteError::refused(Code::TooLarge, detail));
    }
    let trust = site.trust.load();
    let shown = envelope::open1_json::<Assignment>(bytes, |id| trust.bundle().policy_key(id));
    let shown = shown.map_err(|error| match error {
        EnvelopeError::Malformed | EnvelopeError::Key(_) => {
            SiteError::refused(Code::Malformed, "This is not a signed assignment.")
        }
        _ => SiteError::refused(Code::SignatureInvalid, "No policy key of this site signed this assignment."),
    })?;
    if shown.value().site != site.code {
        return Err(SiteError::refused(Code::ForeignSite, "The assignment is of another site."));
    }
    Ok(shown.into_value())
}
