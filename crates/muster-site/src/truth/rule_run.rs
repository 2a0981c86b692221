//! What filter rules make of the messages of reports, in the transaction that stores them: so that nothing is acted upon that was not
//! accepted, and nothing that was accepted is acted upon twice. What is to be sent is only written here.

use super::{alert_told, message::sentence, rule_index::RuleIndex};
use crate::{SiteError, site::Sources};
use muster_model::{
    api::{AlertKind, PageQuery, StatusRuleInfo},
    id::{AlertId, CollectionId, DeviceId, StatusActionId},
    limits::{ALERT_DEVICES, STATUS_ACTIONS},
    status::{Component, Severity},
    time::{DAY, UnixMillis},
};
use muster_store::{
    Tx,
    db::{
        alert::Raised,
        message::MessageRow,
        status_action::{self, New},
        status_count, status_rule,
    },
};
use std::{
    collections::{BTreeMap, HashSet},
    sync::{Arc, Mutex, PoisonError},
};

/// The rules as this process last read them, with their version.
#[derive(Debug, Clone, Default)]
pub(crate) struct Rules(Arc<Mutex<Option<Known>>>);

/// Rules and their version.
type Known = (u64, Arc<RuleIndex>);

impl Rules {
    /// The rules as they are in this transaction.
    async fn get(&self, tx: &mut Tx) -> Result<Arc<RuleIndex>, SiteError> {
        let version = status_rule::version(tx.conn()).await?;
        let known = self.0.lock().unwrap_or_else(PoisonError::into_inner).clone();
        if let Some((_, index)) = known.filter(|(known, _)| *known == version) {
            return Ok(index);
        }
        let all = PageQuery { offset: 0, limit: u32::MAX };
        let (rules, _) = status_rule::list(tx.conn(), all).await?;
        let index = Arc::new(RuleIndex::new(rules).map_err(SiteError::Fault)?);
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = Some((version, index.clone()));
        Ok(index)
    }
}

/// What a message is as others get it. The host name is added when it is sent.
pub(super) fn content(row: &MessageRow) -> serde_json::Value {
    let (message, entry) = (&row.message, row.message.id.entry());
    serde_json::json!({
        "time": row.happened, "received": row.received, "device": row.device, "component": message.component,
        "id": message.id, "number": entry.number, "severity": message.severity, "type": entry.kind,
        "text": sentence(Some(message.id), &message.values), "values": message.values,
    })
}

/// Holds messages against the rules and counts them; what is to be discarded is taken out. Messages of `doubted` devices meet no rule: a
/// second machine has their key. Whether something is to be sent or was raised.
pub(super) async fn run(
    tx: &mut Tx,
    rules: &Rules,
    sources: &dyn Sources,
    messages: &mut Vec<MessageRow>,
    doubted: &HashSet<DeviceId>,
) -> Result<bool, SiteError> {
    let Some(now) = messages.iter().map(|row| row.received).max() else { return Ok(false) };
    let mut counts: BTreeMap<(Component, Severity), u64> = BTreeMap::new();
    for row in messages.iter() {
        *counts.entry((row.message.component, row.message.severity)).or_default() += 1;
    }
    status_count::add(tx, now, &counts).await?;
    let index = rules.get(tx).await?;
    if index.is_empty() {
        return Ok(false);
    }
    let members = members(tx, &index, messages).await?;
    // By place: so that all servers take the rows of rules in one order.
    let mut met: BTreeMap<usize, Vec<usize>> = BTreeMap::new();
    let mut gone = HashSet::new();
    for (at, row) in messages.iter_mut().enumerate() {
        if doubted.contains(&row.device) {
            continue;
        }
        let device = row.device;
        let mut keeps = None;
        for place in index.meets(device, &row.message, |collection| members.contains(&(device, collection))) {
            met.entry(place).or_default().push(at);
            let Some(info) = index.rule(place) else { continue };
            // The first rule that says something about keeping has it.
            if keeps.is_none() && (info.rule.discard || info.rule.keep_days.is_some()) {
                keeps = Some(());
                if info.rule.discard {
                    gone.insert(at);
                }
                row.expires = info.rule.keep_days.map(|days| row.received.plus(i64::from(days) * DAY));
            }
        }
    }
    let mut acts = false;
    for (place, of) in met {
        let Some(info) = index.rule(place) else { continue };
        let rows: Vec<&MessageRow> = of.iter().filter_map(|at| messages.get(*at)).collect();
        acts |= act(tx, sources, info, &rows, now).await?;
    }
    if !gone.is_empty() {
        let mut at = 0;
        messages.retain(|_| {
            at += 1;
            !gone.contains(&(at - 1))
        });
    }
    Ok(acts)
}

async fn members(
    tx: &mut Tx,
    index: &RuleIndex,
    messages: &[MessageRow],
) -> Result<HashSet<(DeviceId, CollectionId)>, SiteError> {
    if index.collections().is_empty() {
        return Ok(HashSet::new());
    }
    let devices: HashSet<DeviceId> = messages.iter().map(|row| row.device).collect();
    let devices: Vec<DeviceId> = devices.into_iter().collect();
    Ok(status_rule::members(tx, &devices, index.collections()).await?)
}

/// What a rule does about messages that met it: as often as it may, the first ones.
async fn act(
    tx: &mut Tx,
    sources: &dyn Sources,
    info: &StatusRuleInfo,
    rows: &[&MessageRow],
    now: UnixMillis,
) -> Result<bool, SiteError> {
    let rule = &info.rule;
    let does = rule.alert || !rule.targets.is_empty();
    let count = rows.len() as u64;
    let wanted = if does { count } else { 0 };
    let granted = status_rule::meet(tx, info.id, count, wanted, rule.per_hour, now).await?;
    let rows = &rows[..rows.len().min(usize::try_from(granted).unwrap_or(usize::MAX))];
    let (true, Some(last)) = (does, rows.last()) else { return Ok(false) };
    if rule.alert {
        let mut named: Vec<DeviceId> = rows.iter().map(|row| row.device).collect();
        named.sort_unstable();
        named.dedup();
        let devices = named.len() as u64;
        named.truncate(ALERT_DEVICES);
        let text = format!("{}: {}", rule.name, sentence(Some(last.message.id), &last.message.values));
        let severity = rows.iter().map(|row| row.message.severity).max().unwrap_or(Severity::Warning);
        let (id, kind, subject) = (AlertId(sources.id()), AlertKind::StatusRule, info.id.to_string());
        alert_told::raise(tx, sources, &Raised { id, kind, subject, severity, text, devices, named }, now).await?;
    }
    if rule.targets.is_empty() {
        return Ok(true);
    }
    let mut new = Vec::with_capacity(rows.len() * rule.targets.len());
    for row in rows {
        let content = content(row);
        for target in &rule.targets {
            let id = StatusActionId(sources.id());
            let text = sentence(Some(row.message.id), &row.message.values);
            let content = serde_json::json!({ "cause": "rule", "name": rule.name, "message": content }).to_string();
            let (name, target, device) = (rule.name.to_string(), target.clone(), Some(row.device));
            new.push(New { id, name, target, device, created: now, text, content });
        }
    }
    let dropped = put(tx, &mut new).await?;
    if dropped > 0 {
        status_rule::drop_more(tx, info.id, dropped).await?;
    }
    Ok(true)
}

/// Writes what is to be sent, as far as there is room; how much there is none for.
pub(super) async fn put(tx: &mut Tx, new: &mut Vec<New>) -> Result<u64, SiteError> {
    let waiting = status_action::waiting(tx.conn(), STATUS_ACTIONS).await?;
    let room = usize::try_from(STATUS_ACTIONS.saturating_sub(waiting)).unwrap_or(usize::MAX);
    let dropped = new.len().saturating_sub(room);
    new.truncate(room);
    status_action::insert(tx, new).await?;
    Ok(dropped as u64)
}
