//! What one device may ask in a time. One that floods is refused, counted and shown, and the others do not notice it.
//!
//! Buckets in a bounded map: who is forgotten begins with full ones, and only who was quiet for longest is. A refused report counts
//! like many requests, because reading it was for nothing.

use crate::{Ctx, Site, SiteError, authz, identity::limiter::Limiter};
use lru::LruCache;
use muster_model::{
    id::DeviceId,
    limits::Limits,
    problem::Code,
    report::Channel,
    time::{HOUR, MINUTE, UnixMillis},
};
use muster_store::{
    db::quarantine::{self, QuarantineRow},
    transaction,
};
use std::{
    num::NonZeroUsize,
    sync::{Mutex, PoisonError},
    time::Instant,
};

/// Devices that are remembered: more than one server has.
const DEVICES: NonZeroUsize = NonZeroUsize::new(262_144).expect("not zero");
/// As how many requests a report counts that was refused as a whole.
const RUBBISH: f64 = 20.0;
/// Bytes of a refused report that are kept.
const EXCERPT: usize = 200;
/// Reports of one device that are worked on at the same time. A client sends one after another; each may have all the bytes of one.
const WORKING: u8 = 2;

/// The budgets of all devices.
#[derive(Debug)]
pub(crate) struct Budgets {
    devices: Mutex<LruCache<DeviceId, Budget>>,
    /// What was shown in the last hour, by device and reason.
    shown: Limiter,
    /// How many were shown in the last minute, of all devices together.
    written: Limiter,
}

impl Default for Budgets {
    fn default() -> Self {
        Self {
            devices: Mutex::new(LruCache::new(DEVICES)),
            shown: Limiter::with(HOUR, DEVICES),
            written: Limiter::with_window(MINUTE),
        }
    }
}

/// Refusals that are shown in a minute. Each is written; when all devices flood at once the rest is counted only.
const WRITTEN: u32 = 600;

/// What is left to one device. Below zero: something larger than what was left was taken, and is paid back by waiting.
#[derive(Debug, Clone, Copy)]
struct Budget {
    /// By the clock that nobody sets: a request may come to its end long after its time was taken.
    at: Instant,
    requests: f64,
    messages: f64,
    bytes: f64,
    /// Reports that are being read or committed.
    working: u8,
}

/// What a device has used up.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Over {
    Working,
    Requests,
    Messages,
    Bytes,
}

#[expect(clippy::cast_precision_loss, reason = "counts and limits stay far below 2^52")]
impl Budget {
    fn full(limits: &Limits, now: Instant) -> Self {
        Self {
            at: now,
            requests: f64::from(limits.device_requests),
            messages: f64::from(limits.device_messages),
            bytes: limits.device_report_bytes as f64,
            working: 0,
        }
    }

    /// Adds what was earned since the last time.
    fn earn(&mut self, limits: &Limits, now: Instant) {
        let full = Self::full(limits, now);
        let passed = now.saturating_duration_since(self.at).as_secs_f64();
        let earn = |left: f64, most: f64, seconds: f64| (left + most * passed / seconds).min(most);
        self.requests = earn(self.requests, full.requests, 60.0);
        self.messages = earn(self.messages, full.messages, 3_600.0);
        self.bytes = earn(self.bytes, full.bytes, 3_600.0);
        self.at = self.at.max(now);
    }
}

impl Budgets {
    /// Whether a refusal of a device is shown: once an hour for each reason, and only so many of all devices in a minute.
    fn is_to_be_shown(&self, device: DeviceId, of: &str, now: UnixMillis) -> bool {
        let key = format!("{device} {of}");
        self.shown.check(&key, 1, now).is_ok()
            && self.written.count("all", WRITTEN, now).is_ok()
            && self.shown.count(&key, 1, now).is_ok()
    }

    fn with<T>(&self, device: DeviceId, limits: &Limits, now: Instant, act: impl FnOnce(&mut Budget) -> T) -> T {
        let mut devices = self.devices.lock().unwrap_or_else(PoisonError::into_inner);
        let budget = devices.get_or_insert_mut(device, || Budget::full(limits, now));
        budget.earn(limits, now);
        act(budget)
    }

    /// Takes a request; or says that there is none left.
    fn request(&self, device: DeviceId, limits: &Limits, now: Instant) -> Result<(), ()> {
        self.with(device, limits, now, |budget| {
            if budget.requests < 1.0 {
                return Err(());
            }
            budget.requests -= 1.0;
            Ok(())
        })
    }

    /// A place for a report, if it may come: what it costs is known when it was read.
    fn report(&self, device: DeviceId, limits: &Limits, now: Instant) -> Result<Working<'_>, Over> {
        self.with(device, limits, now, |budget| {
            match () {
                () if budget.working >= WORKING => return Err(Over::Working),
                () if budget.requests < 0.0 => return Err(Over::Requests),
                () if budget.messages < 1.0 => return Err(Over::Messages),
                () if budget.bytes < 1.0 => return Err(Over::Bytes),
                () => budget.working += 1,
            }
            Ok(())
        })?;
        Ok(Working { budgets: self, device })
    }

    /// A report was read.
    #[expect(clippy::cast_precision_loss, reason = "both have limits far below 2^52")]
    pub(super) fn read(&self, device: DeviceId, limits: &Limits, now: Instant, messages: usize, bytes: usize) {
        self.with(device, limits, now, |budget| {
            budget.messages -= messages as f64;
            budget.bytes -= bytes as f64;
        });
    }
}

/// A report that is worked on; dropped when it is answered.
#[derive(Debug)]
pub struct Working<'a> {
    budgets: &'a Budgets,
    device: DeviceId,
}

impl Drop for Working<'_> {
    fn drop(&mut self) {
        let mut devices = self.budgets.devices.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(budget) = devices.peek_mut(&self.device) {
            budget.working = budget.working.saturating_sub(1);
        }
    }
}

/// Whether the connected device may ask one thing more.
///
/// # Errors
/// `too_many`: it asked more in the last minute than a device may. It is shown in the quarantine, once an hour.
pub async fn device_admitted(ctx: &Ctx, site: &Site) -> Result<(), SiteError> {
    let device = authz::device(ctx)?.id;
    let Err(()) = site.memory.budgets.request(device, &site.limits, Instant::now()) else { return Ok(()) };
    metrics::counter!("muster_floods_total", "of" => "requests").increment(1);
    let most = site.limits.device_requests;
    show(ctx, site, device, "requests", &format!("It floods: more than {most} requests in a minute."), String::new())
        .await?;
    Err(too_many(&format!("A device may make {most} requests in a minute")))
}

/// A place for a report of the connected device, before a byte of it is read.
///
/// # Errors
/// `unauthenticated`; `too_many`: it sent more messages or bytes than a device may, or more reports at the same time.
pub async fn report_admitted<'a>(ctx: &Ctx, site: &'a Site) -> Result<Working<'a>, SiteError> {
    let (device, limits) = (authz::device(ctx)?.id, &site.limits);
    let over = match site.memory.budgets.report(device, limits, Instant::now()) {
        Ok(working) => return Ok(working),
        Err(over) => over,
    };
    let (of, most) = match over {
        Over::Working => ("reports at once", format!("{WORKING} reports at the same time")),
        Over::Requests => ("reports that can be read", format!("{} requests in a minute", limits.device_requests)),
        Over::Messages => ("messages", format!("{} messages in an hour", limits.device_messages)),
        Over::Bytes => ("bytes", format!("{} bytes of reports in an hour", limits.device_report_bytes)),
    };
    metrics::counter!("muster_floods_total", "of" => of).increment(1);
    show(ctx, site, device, of, &format!("It floods: more than {most}."), String::new()).await?;
    Err(too_many(&format!("A device may send {most}")))
}

fn too_many(may: &str) -> SiteError {
    SiteError::refused(Code::TooMany, format!("{may}; nothing was taken. Wait, and send it again."))
}

/// A report was refused as a whole: it counts against the device, and its beginning is kept, once an hour for each reason.
///
/// # Errors
/// `unauthenticated`; when the store fails.
pub async fn report_refused(ctx: &Ctx, site: &Site, code: Code, detail: &str, begin: &[u8]) -> Result<(), SiteError> {
    let device = authz::device(ctx)?.id;
    if !matches!(code, Code::TooLarge | Code::Malformed | Code::SignatureInvalid | Code::ForeignSite) {
        return Ok(());
    }
    site.memory.budgets.with(device, &site.limits, Instant::now(), |budget| budget.requests -= RUBBISH);
    let begin = begin.get(..EXCERPT).unwrap_or(begin);
    show(ctx, site, device, code.as_str(), &format!("{code}: {detail}"), begin.escape_ascii().to_string()).await
}

/// Keeps what there is to see, once an hour for each device and reason.
async fn show(
    ctx: &Ctx,
    site: &Site,
    device: DeviceId,
    of: &str,
    reason: &str,
    excerpt: String,
) -> Result<(), SiteError> {
    if !site.memory.budgets.is_to_be_shown(device, of, ctx.now) {
        return Ok(());
    }
    tracing::warn!(%device, address = ctx.address, reason, "A device is refused.");
    let row = QuarantineRow {
        device,
        received: ctx.now,
        channel: Channel::Status,
        sequence: 0,
        class: None,
        reason: reason.to_owned(),
        excerpt,
    };
    transaction!(site.store, "device_refused", |tx| {
        quarantine::insert(tx, std::slice::from_ref(&row), site.limits.quarantine_items).await?;
        Ok::<_, SiteError>(())
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;
    use uuid::Uuid;

    #[test]
    fn what_was_shown_of_a_device_is_remembered_beside_many_others_and_a_flood_of_all_is_not_written() {
        let (budgets, now) = (Budgets::default(), UnixMillis(HOUR));
        let device = |number: u128| DeviceId(Uuid::from_u128(number));
        assert!(budgets.is_to_be_shown(device(0), "requests", now));
        let mut shown = 1;
        // Each minute as many as are written, of so many devices as the common limiter would have forgotten the first by.
        for number in 1..=30_000_u128 {
            let minute = i64::try_from(number / 600).unwrap() * MINUTE;
            shown += u32::from(budgets.is_to_be_shown(device(number), "requests", now.plus(minute)));
        }
        assert!(shown >= 29_000, "{shown}");
        let at = now.plus(55 * MINUTE);
        assert!(!budgets.is_to_be_shown(device(0), "requests", at), "within the hour");
        assert!(budgets.is_to_be_shown(device(0), "bytes", at), "another reason");
        let all_at_once = (40_000..42_000_u128).filter(|number| budgets.is_to_be_shown(device(*number), "bytes", at));
        assert_eq!(all_at_once.count(), 599);
        // Who was not shown for that is shown later.
        assert!(budgets.is_to_be_shown(device(41_999), "bytes", at.plus(2 * MINUTE)));
    }

    #[test]
    fn a_device_that_asks_too_often_waits_and_no_other_does() {
        let (budgets, limits) = (Budgets::default(), Limits { device_requests: 60, ..Limits::default() });
        let (a, b) = (DeviceId(Uuid::from_u128(1)), DeviceId(Uuid::from_u128(2)));
        let began = Instant::now();
        let at = |seconds: u64| began + Duration::from_secs(seconds);
        assert!((0..60).all(|_| budgets.request(a, &limits, at(0)).is_ok()));
        assert_eq!(budgets.request(a, &limits, at(0)), Err(()));
        assert_eq!(budgets.request(a, &limits, at(0)), Err(()));
        assert_eq!(budgets.request(b, &limits, at(0)), Ok(()));
        assert_eq!(budgets.request(a, &limits, at(1)), Ok(()), "one a second is earned");
        assert_eq!(budgets.request(a, &limits, at(1)), Err(()));
        assert_eq!(budgets.request(a, &limits, at(0)), Err(()), "what began earlier earns nothing again");
        assert_eq!(
            (0..90).filter(|_| budgets.request(a, &limits, at(999)).is_ok()).count(),
            60,
            "never more than full"
        );
    }

    #[test]
    fn what_is_larger_than_what_is_left_is_paid_back() {
        let limits = Limits { device_messages: 3_600, device_report_bytes: 36_000, ..Limits::default() };
        let (budgets, a) = (Budgets::default(), DeviceId(Uuid::from_u128(1)));
        let began = Instant::now();
        let at = |seconds: u64| began + Duration::from_secs(seconds);
        budgets.read(a, &limits, at(0), 3_599, 1);
        let may = |seconds: u64| budgets.report(a, &limits, at(seconds)).map(drop);
        assert_eq!(may(0), Ok(()));
        budgets.read(a, &limits, at(0), 11, 1);
        assert_eq!(may(9), Err(Over::Messages));
        assert_eq!(may(11), Ok(()));
        budgets.read(a, &limits, at(11), 0, 36_100);
        assert_eq!(may(11), Err(Over::Bytes));
        assert_eq!(may(31), Ok(()));
    }
    #[test]
    fn two_reports_of_a_device_are_worked_on_at_once_and_not_three() {
        let (budgets, limits, a) = (Budgets::default(), Limits::default(), DeviceId(Uuid::from_u128(1)));
        let first = budgets.report(a, &limits, Instant::now()).unwrap();
        let _second = budgets.report(a, &limits, Instant::now()).unwrap();
        assert_eq!(budgets.report(a, &limits, Instant::now()).unwrap_err(), Over::Working);
        drop(first);
        assert!(budgets.report(a, &limits, Instant::now()).is_ok());
    }
}
