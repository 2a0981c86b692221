//! The dashboard: what an administrator wants to see first. Counted by index, and at most once in two seconds.

use super::{message, spread::spread};
use crate::{Ctx, Site, SiteError, authz, delivery::deployment, identity::revocation::revocation_warnings};
use muster_model::{
    api::{Dashboard, MessageQuery, PageQuery, SeenHour},
    status::DeploymentState,
    time::{DAY, HOUR, SECOND, UnixMillis},
};
use muster_store::db::{alert, dashboard, message as message_row, report_hour, update_rule};
use std::{
    collections::BTreeMap,
    sync::{Mutex, PoisonError},
};

/// How long a dashboard is shown again as it is.
const FRESH: i64 = 2 * SECOND;
/// Before this long the end of the trust bundle is nobody's worry.
const TRUST_WARNING: i64 = 30 * DAY;

/// The last dashboard, and when it was made.
#[derive(Debug, Default)]
pub(crate) struct Last(Mutex<Option<(UnixMillis, Dashboard)>>);

/// The dashboard.
///
/// # Errors
/// `unauthenticated`.
pub async fn dashboard_show(ctx: &Ctx, site: &Site) -> Result<Dashboard, SiteError> {
    authz::see(ctx)?;
    let last = site.memory.dashboard.0.lock().unwrap_or_else(PoisonError::into_inner).clone();
    let online = site.memory.online.count();
    if let Some((_, dashboard)) = last.filter(|(made, _)| (0..FRESH).contains(&ctx.now.since(*made))) {
        return Ok(Dashboard { online, ..dashboard });
    }
    let dashboard = Dashboard { online, ..make(site, ctx.now).await? };
    *site.memory.dashboard.0.lock().unwrap_or_else(PoisonError::into_inner) = Some((ctx.now, dashboard.clone()));
    Ok(dashboard)
}

async fn make(site: &Site, now: UnixMillis) -> Result<Dashboard, SiteError> {
    let (deployments, _) = deployment::list(site, PageQuery { offset: 0, limit: 5 }).await?;
    let first = report_hour::hour_of(now).plus(-23 * HOUR);
    let mut reader = site.store.reader().await?;
    let query = MessageQuery { limit: 10, ..MessageQuery::default() };
    let (messages, _) = message_row::list(&mut reader, &query).await?;
    let counts = dashboard::counts(&mut reader).await?;
    let operating_systems = dashboard::operating_systems(&mut reader, 12).await?;
    let seen = dashboard::seen(&mut reader, first).await?;
    let hours = report_hour::since(&mut reader, first).await?;
    let alerts = alert::count_open(&mut reader).await?;
    let drafts = update_rule::drafts(&mut reader).await?;
    drop(reader);
    let spread = spread(site, now).await?;
    let quarantined: u64 = hours.iter().map(|hour| hour.quarantined).sum();
    let reports: BTreeMap<UnixMillis, u64> = hours.into_iter().map(|hour| (hour.hour, hour.reports)).collect();
    let hour = |number: i64| {
        let hour = first.plus(number * HOUR);
        let of = |counts: &BTreeMap<UnixMillis, u64>| counts.get(&hour).copied().unwrap_or(0);
        SeenHour { hour, devices: of(&seen), reports: of(&reports) }
    };
    let failed =
        deployments.iter().filter(|d| !d.deleted && d.totals.contains_key(DeploymentState::Failed.as_str())).count();
    Ok(Dashboard {
        online: 0,
        pending: counts.pending,
        operating_systems,
        seen: (0..24).map(hour).collect(),
        warnings: {
            let mut all = warnings(site, now, counts.pending, quarantined, failed, alerts);
            all.extend(waiting(drafts));
            all
        },
        devices: counts.devices,
        deployments,
        messages: messages.into_iter().map(message::shown).collect(),
        spread,
    })
}

/// Drafts of updates that nobody signed yet.
fn waiting(drafts: u64) -> Option<String> {
    (drafts > 0)
        .then(|| format!("{drafts} draft(s) of updates wait for a signature: `muster update rules` shows them."))
}

fn warnings(site: &Site, now: UnixMillis, pending: u64, quarantined: u64, failed: usize, alerts: u64) -> Vec<String> {
    let mut warnings = Vec::new();
    let left = site.trust.load().bundle().expires.since(now);
    if left <= 0 {
        warnings.push(
            "The trust bundle is expired: clients take nothing new. Sign a new one with `musterd trust renew`."
                .to_owned(),
        );
    } else if left < TRUST_WARNING {
        let days = left / DAY;
        warnings.push(format!("The trust bundle ends in {days} days. Sign a new one with `musterd trust renew`."));
    }
    warnings.extend(revocation_warnings(site, now));
    if pending > 0 {
        warnings.push(format!("{pending} device(s) wait for approval."));
    }
    if alerts > 0 {
        warnings.push(format!("{alerts} alert(s) are open: `muster alert list` shows them."));
    }
    if failed > 0 {
        warnings.push(format!("{failed} of the latest deployments failed on some devices."));
    }
    if quarantined > 0 {
        warnings
            .push(format!("{quarantined} item(s) that devices sent were put into quarantine in the last 24 hours."));
    }
    warnings
}
