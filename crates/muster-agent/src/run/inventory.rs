//! Takes the inventory at the start, at its interval, and when the site asks for it again.

use crate::{
    agent::Agent,
    clock::{random, spread},
    policy::Policy,
    store::StoreError,
};
use muster_model::{
    inventory::Unread,
    status::{Component, MessageId, Severity},
    time::DAY,
};
use std::{sync::Arc, time::Duration};
use tokio::sync::watch;

/// What could not be read the last time, so that it is said once.
const UNREAD: &str = "inventory_unread";

pub(super) async fn run(agent: Arc<Agent>, policy: watch::Receiver<Option<Arc<Policy>>>) {
    loop {
        let wait = match take(&agent).await {
            Ok(()) => spread(super::interval(&policy, |p| p.settings().inventory, 7 * DAY), random()),
            Err(error) => {
                tracing::error!(%error, "the inventory could not be kept; it is taken again");
                Duration::from_secs(300)
            }
        };
        tokio::select! {
            () = tokio::time::sleep(wait) => {}
            () = agent.inventory_wanted.notified() => {}
        }
    }
}

async fn take(agent: &Arc<Agent>) -> Result<(), StoreError> {
    let taker = agent.clone();
    let work = move || {
        let now = taker.clock.now();
        let collected = taker.collector.collect(now);
        let sections = taker.store.push_inventory(&collected, now)?;
        tracing::info!(classes = collected.classes.len(), changed = sections, "inventory");
        Ok::<_, StoreError>(collected.unread)
    };
    let unread = tokio::task::spawn_blocking(work).await.unwrap_or(Err(StoreError::Damaged))?;
    crate::os::give_memory_back();
    report_unread(agent, &unread)
}

/// What cannot be read is said when it changes, and not at every inventory.
fn report_unread(agent: &Agent, unread: &[Unread]) -> Result<(), StoreError> {
    let text = serde_json::to_string(unread).map_err(|_| StoreError::Damaged)?;
    if agent.store.value(UNREAD)?.as_ref() == Some(&text) {
        return Ok(());
    }
    for unread in unread {
        tracing::info!(class = unread.class, reason = unread.reason, "a part of the inventory could not be read");
        // The message's sentence has its own full stop.
        let values = [("class", unread.class.as_str()), ("reason", unread.reason.trim_end_matches('.'))];
        agent.report(Component::Inventory, Severity::Warning, MessageId::InventoryUnreadable, &values);
    }
    agent.store.set_value(UNREAD, &text)
}
