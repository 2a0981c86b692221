//! Takes the inventory at the start, at its interval, when the site asks for it again, and when the files that it wants are others.

use super::collector::{self, Said};
use crate::{
    agent::Agent,
    clock::{random, spread},
    collect::{Collected, Files},
    os::contents::Known,
    policy::Policy,
    store::StoreError,
};
use muster_model::{
    inventory::Unread,
    policy::{ClientSettings, SoftwareScan},
    status::{Component, MessageId, Severity},
    time::UnixMillis,
};
use std::{future::pending, sync::Arc, time::Duration};
use tokio::sync::watch;

/// What could not be read the last time, so that it is said once.
const UNREAD: &str = "inventory_unread";
/// Whether files were ever reported: when none are wanted any more, the site is told so.
const FILES: &str = "inventory_files";
/// What was read of files, in the state directory. Without it they are read again.
const KNOWN: &str = "files.json";
/// Bytes of it.
const KNOWN_BYTES: usize = 32 << 20;

type Policies = watch::Receiver<Option<Arc<Policy>>>;

pub(super) async fn run(agent: Arc<Agent>, mut policy: Policies) {
    // What the site wants is known first: it may want nothing.
    let known = policy.wait_for(Option::is_some).await.is_ok();
    if !known {
        pending::<()>().await;
    }
    loop {
        let files = wanted(&policy);
        let current = policy.borrow().clone();
        let enabled = is_enabled(&policy);
        let mut failed = false;
        if enabled {
            let said = match &current {
                Some(policy) => collector::collect(&agent, policy).await,
                None => Vec::new(),
            };
            if let Err(error) = take(&agent, files.clone(), said).await {
                tracing::error!(%error, "the inventory could not be kept; it is taken again");
                failed = true;
            }
        }
        let random = random();
        let wait = |settings: &ClientSettings| match (settings.inventory_enabled, failed) {
            (false, _) => None,
            // It was off.
            (true, _) if !enabled => Some(Duration::ZERO),
            (true, true) => Some(spread(Duration::from_secs(300), random)),
            (true, false) => {
                let part = f64::from(random) / f64::from(u32::MAX);
                Some(super::length(settings.inventory) + super::length(settings.inventory_delay).mul_f64(part))
            }
        };
        let mut waiting = policy.clone();
        tokio::select! {
            () = super::pause(&mut waiting, wait) => {}
            () = agent.inventory_wanted.notified() => {}
            () = others(&mut policy, files.flatten()), if enabled => {}
        }
    }
}

/// Whether inventory is taken at all.
fn is_enabled(policy: &Policies) -> bool {
    policy.borrow().as_ref().is_none_or(|policy| policy.settings().inventory_enabled)
}

/// Which files the policy wants; nothing where no policy is known.
fn wanted(policy: &Policies) -> Option<Option<SoftwareScan>> {
    policy.borrow().as_ref().map(|policy| policy.settings().software.clone())
}

/// Waits until other files are wanted.
async fn others(policy: &mut Policies, known: Option<SoftwareScan>) {
    while wanted(policy).flatten() == known {
        if policy.changed().await.is_err() {
            pending::<()>().await;
        }
    }
}

async fn take(agent: &Arc<Agent>, files: Option<Option<SoftwareScan>>, said: Vec<Said>) -> Result<(), StoreError> {
    let busy = agent.health.busy.begin_on_thread("inventory", tokio::time::Instant::now());
    let taker = agent.clone();
    let work = move || {
        let _busy = busy;
        let now = taker.clock.now();
        let mut collected = collect(&taker, now, files)?;
        said.into_iter().for_each(|said| add(&mut collected, said));
        if let Some(scan) = crate::updates::kept(&taker) {
            collected.updates(&scan);
        }
        let pending = taker.restart_pending()?;
        let pending: Vec<_> = pending.iter().map(|one| one.deployment.to_string()).collect();
        let stale = taker.collector.stale_programs();
        collected.pending_restart(&pending, &taker.collector.restart_signs(), stale.as_ref());
        let sections = taker.store.push_inventory(&collected, now)?;
        tracing::info!(classes = collected.classes.len(), changed = sections, "inventory");
        Ok::<_, StoreError>(collected.unread)
    };
    let unread = tokio::task::spawn_blocking(work).await.unwrap_or(Err(StoreError::Damaged))?;
    agent.facts.taken();
    agent.look_again.notify_one();
    crate::os::give_memory_back();
    report_unread(agent, &unread)
}

/// What a collector said becomes a class of the inventory, or a reason why it did not.
fn add(collected: &mut Collected, said: Said) {
    let name = said.class.name.clone();
    match said.rows {
        Ok(rows) => {
            collected.own.insert(name.clone(), said.class);
            collected.classes.insert(name, rows);
        }
        Err(reason) => collected.unread.push(Unread { class: name, reason }),
    }
}

fn collect(agent: &Agent, now: UnixMillis, files: Option<Option<SoftwareScan>>) -> Result<Collected, StoreError> {
    let Some(wanted) = files.as_ref().and_then(Option::as_ref) else {
        if files.is_some() {
            keep(agent, &Known::default());
        }
        let mut collected = agent.collector.collect(now);
        if files.is_some() && agent.store.value(FILES)?.is_some() {
            collected.no_files();
        }
        return Ok(collected);
    };
    agent.store.set_value(FILES, "reported")?;
    let kept = agent.directory.read(KNOWN, KNOWN_BYTES).ok().flatten();
    let mut known = kept.map(|bytes| Known::from_json(&bytes)).unwrap_or_default();
    // A thread of its own, behind everything else that the machine does.
    let scan = || {
        crate::os::be_nice();
        agent.collector.collect_with(now, Some(Files { wanted, known: &mut known }))
    };
    let collected =
        std::thread::scope(|scope| scope.spawn(scan).join()).unwrap_or_else(|_| agent.collector.collect(now));
    if wanted.read.is_none() {
        known = Known::default();
    }
    keep(agent, &known);
    Ok(collected)
}

/// Keeps what was read of files.
fn keep(agent: &Agent, known: &Known) {
    let text = known.to_json();
    let kept = match known.is_empty() || text.len() > KNOWN_BYTES {
        true => agent.directory.remove(KNOWN),
        false => agent.directory.write(KNOWN, &text),
    };
    if let Err(error) = kept {
        tracing::warn!(%error, "what was read of files could not be kept; it is read again");
    }
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
