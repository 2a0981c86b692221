//! Alerts that somebody is told of, that somebody postpones or closes, and those about parts of the agents that do not do well.

use super::{rule_run, status_count::HOURS_KEPT};
use crate::{Ctx, Site, SiteError, audit, authz, site::Sources};
use muster_model::{
    api::{Alert, AlertKind, AlertPostpone, PageQuery, StatusHour, StatusThreshold},
    id::{AlertId, StatusActionId},
    problem::Code,
    status::Severity,
    time::{HOUR, MINUTE, UnixMillis},
};
use muster_store::{
    Tx,
    bus::{Notice, Noun},
    db::{
        alert::{self, Raised},
        report_hour::hour_of,
        status_action::New,
        status_count, subscription,
    },
    transaction,
};

/// How long an alert may be postponed.
const LONGEST_HOURS: u32 = 24 * 90;

/// Raises an alert. Of a new one, those are told who want it: what is sent to them is written in the same transaction.
pub(crate) async fn raise(
    tx: &mut Tx,
    sources: &dyn Sources,
    raised: &Raised,
    now: UnixMillis,
) -> Result<(), SiteError> {
    if alert::raise(tx, raised, now).await? {
        tell(tx, sources, raised, now).await?;
    }
    Ok(())
}

async fn tell(tx: &mut Tx, sources: &dyn Sources, raised: &Raised, now: UnixMillis) -> Result<(), SiteError> {
    let all = PageQuery { offset: 0, limit: u32::MAX };
    let (subscriptions, _) = subscription::list(tx.conn(), all).await?;
    let mut new: Vec<New> = Vec::new();
    for info in subscriptions {
        let wanted = &info.subscription;
        let is_of_kind = wanted.kinds.is_empty() || wanted.kinds.contains(&raised.kind);
        if !is_of_kind || wanted.severity.is_some_and(|least| raised.severity < least) {
            continue;
        }
        let content = serde_json::json!({
            "cause": "alert", "name": wanted.name,
            "alert": {
                "id": raised.id, "kind": raised.kind, "subject": raised.subject, "severity": raised.severity,
                "text": raised.text, "devices": raised.devices, "opened": now,
            },
        });
        new.push(New {
            id: StatusActionId(sources.id()),
            name: wanted.name.to_string(),
            target: wanted.target.clone(),
            device: None,
            created: now,
            text: raised.text.clone(),
            content: content.to_string(),
        });
    }
    if !new.is_empty() {
        rule_run::put(tx, &mut new).await?;
    }
    Ok(())
}

/// Hears nothing of an alert for a while; then it is as if nobody had looked, and who wants it is told again.
///
/// # Errors
/// `unauthenticated`, `forbidden`, `not_found`, `malformed`; `conflict`: it is over.
pub async fn alert_postpone(ctx: &Ctx, site: &Site, id: AlertId, wanted: AlertPostpone) -> Result<Alert, SiteError> {
    authz::change(ctx)?;
    if !(1..=LONGEST_HOURS).contains(&wanted.hours) {
        let detail = format!("An alert is postponed for 1 to {LONGEST_HOURS} hours.");
        return Err(SiteError::refused(Code::Malformed, detail));
    }
    let until = ctx.now.plus(i64::from(wanted.hours) * HOUR);
    let shown = transaction!(site.store, "alert_postpone", |tx| {
        let known = alert::get(tx.conn(), id).await?.ok_or_else(SiteError::not_found)?;
        if !alert::postpone(tx, id, until).await? {
            return Err(SiteError::refused(Code::Conflict, "This alert is over."));
        }
        let shown = alert::get(tx.conn(), id).await?.ok_or_else(SiteError::not_found)?;
        let detail = format!("Postponed for {} hour(s): {}", wanted.hours, known.text);
        audit::append(tx, ctx, "alert_postpone", format!("alert {id}"), detail).await?;
        Ok(shown)
    })?;
    site.bus.publish(Notice::Changed(Noun::Deployment));
    Ok(shown)
}

/// Says that an alert is over. Only of those that the site cannot see to be over.
///
/// # Errors
/// `unauthenticated`, `forbidden`, `not_found`; `conflict`: it is over, or the site closes it.
pub async fn alert_close(ctx: &Ctx, site: &Site, id: AlertId) -> Result<Alert, SiteError> {
    let by = authz::change(ctx)?.name.to_string();
    let shown = transaction!(site.store, "alert_close", |tx| {
        let known = alert::get(tx.conn(), id).await?.ok_or_else(SiteError::not_found)?;
        if !known.kind.is_closed_by_hand() {
            let detail = "The site closes this alert when it is so no longer. Acknowledge it, or postpone it.";
            return Err(SiteError::refused(Code::Conflict, detail));
        }
        if !alert::close_by_hand(tx, id, ctx.now, &by).await? {
            return Err(SiteError::refused(Code::Conflict, "This alert is over."));
        }
        let shown = alert::get(tx.conn(), id).await?.ok_or_else(SiteError::not_found)?;
        audit::append(tx, ctx, "alert_close", format!("alert {id}"), known.text.clone()).await?;
        Ok(shown)
    })?;
    site.bus.publish(Notice::Changed(Noun::Deployment));
    Ok(shown)
}

/// Once a minute: opens again what was postponed until now, and looks how parts of the agents do in this hour.
pub(crate) async fn told_work(site: &Site, last: &mut Option<UnixMillis>, now: UnixMillis) -> Result<(), SiteError> {
    if last.is_some_and(|last| (0..MINUTE).contains(&now.since(last))) {
        return Ok(());
    }
    let changed = transaction!(site.store, "alert_told", |tx| {
        let sources = site.sources.as_ref();
        let mut changed = false;
        for woken in alert::wake(tx, now).await? {
            let (id, kind, severity, devices) = (woken.id, woken.kind, woken.severity, woken.devices);
            let raised =
                Raised { id, kind, severity, devices, subject: woken.subject, text: woken.text, named: vec![] };
            tell(tx, sources, &raised, now).await?;
            changed = true;
        }
        let hours = status_count::since(tx.conn(), hour_of(now)).await?;
        for threshold in status_count::thresholds(tx.conn()).await? {
            let counted = hours.iter().find(|hour| hour.component == threshold.component);
            let kind = AlertKind::ComponentStatus;
            match judged(&threshold, counted) {
                Some((severity, text)) => {
                    let (id, subject) = (AlertId(sources.id()), threshold.component.as_str().to_owned());
                    let raised = Raised { id, kind, subject, severity, text, devices: 0, named: vec![] };
                    raise(tx, sources, &raised, now).await?;
                    changed = true;
                }
                None => changed |= alert::close(tx, kind, threshold.component.as_str(), now).await?,
            }
        }
        status_count::purge(tx, now.plus(-HOURS_KEPT * HOUR)).await?;
        Ok::<_, SiteError>(changed)
    })?;
    *last = Some(now);
    if changed {
        site.memory.send.notify_one();
        site.bus.publish(Notice::Changed(Noun::Deployment));
    }
    Ok(())
}

/// Whether a part does not do well in an hour, and what to say of it.
fn judged(threshold: &StatusThreshold, counted: Option<&StatusHour>) -> Option<(Severity, String)> {
    let counted = counted?;
    let critical = threshold.critical.is_some_and(|most| counted.error >= most);
    let warning = threshold.warning.is_some_and(|most| counted.warning + counted.error >= most);
    let severity = match (critical, warning) {
        (true, _) => Severity::Error,
        (false, true) => Severity::Warning,
        (false, false) => return None,
    };
    let part = threshold.component.as_str();
    let text = format!(
        "The part {part} of agents said {} error(s) and {} warning(s) in this hour.",
        counted.error, counted.warning
    );
    Some((severity, text))
}
