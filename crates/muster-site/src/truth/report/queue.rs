//! Many reports, one transaction: while one transaction is being committed, the next reports gather.
//!
//! Little waits when there is nothing to wait for; under load, the cost of a commit is shared by all that came meanwhile.

use super::{
    commit::{self, Committed, Outcome},
    read::{self, Report},
};
use crate::{
    Site, SiteError,
    identity::{conflict, connection::Verdicts},
    knowledge::inventory::interner::Interner,
    site::Sources,
    truth::rule_run::Rules,
};
use arc_swap::ArcSwap;
use muster_model::{catalogue::Catalogue, id::DeviceId, limits::Limits, problem::Code};
use muster_store::{
    Store, StoreError,
    bus::{Bus, Notice, Noun},
};
use std::{
    collections::HashSet,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};
use tokio::sync::{Notify, oneshot};

/// Reports in one transaction.
const TOGETHER: usize = 256;
/// After a transaction of so many reports the next one waits for this long: those whose answers are just on their way come again, and
/// few large transactions cost less than many small ones.
const MANY: usize = 4;
const GATHER: Duration = Duration::from_millis(2);
/// Reports that may wait.
const WAITING: usize = 4_096;
/// Bytes of JSON of the reports that may wait.
const WAITING_BYTES: usize = 256 << 20;

/// The reports that wait.
#[derive(Debug, Clone, Default)]
pub(crate) struct Queue(Arc<Mutex<Inner>>);

#[derive(Debug, Default)]
struct Inner {
    waiting: Vec<Waiting>,
    bytes: usize,
    /// A task is working on them.
    working: bool,
}

#[derive(Debug)]
struct Waiting {
    report: Report,
    bytes: usize,
    answer: oneshot::Sender<Result<Outcome, SiteError>>,
}

/// What the working task needs of the site.
struct Worker {
    queue: Queue,
    store: Store,
    bus: Bus,
    interner: Arc<Interner>,
    limits: Limits,
    catalogue: Arc<ArcSwap<Catalogue>>,
    sources: Arc<dyn Sources>,
    verdicts: Arc<Verdicts>,
    rules: Rules,
    send: Arc<Notify>,
}

impl Queue {
    fn inner(&self) -> MutexGuard<'_, Inner> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Commits a report, together with others that wait. Whoever stops waiting for the answer does not stop the commit.
    ///
    /// # Errors
    /// `too_many` when too much waits already; when the store fails.
    pub(super) async fn submit(&self, site: &Site, report: Report) -> Result<Outcome, SiteError> {
        let bytes = report.bytes();
        let (answer, answered) = oneshot::channel();
        let start = {
            let mut inner = self.inner();
            if inner.waiting.len() >= WAITING || inner.bytes + bytes > WAITING_BYTES {
                let detail = "Too many reports wait already; nothing was taken. Send it again in a minute.";
                return Err(SiteError::refused(Code::TooMany, detail));
            }
            inner.bytes += bytes;
            inner.waiting.push(Waiting { report, bytes, answer });
            !std::mem::replace(&mut inner.working, true)
        };
        if start {
            let worker = Worker {
                queue: self.clone(),
                store: site.store.clone(),
                bus: site.bus.clone(),
                interner: site.memory.interner.clone(),
                limits: site.limits.clone(),
                catalogue: site.catalogue.clone(),
                sources: site.sources.clone(),
                verdicts: site.memory.verdicts.clone(),
                rules: site.memory.rules.clone(),
                send: site.memory.send.clone(),
            };
            tokio::spawn(worker.work());
        }
        let lost = || {
            SiteError::refused(
                Code::Unavailable,
                "The site was stopped before the report was committed; send it again.",
            )
        };
        answered.await.map_err(|_| lost())?
    }

    /// The next reports, at most one per device; `None`, and the work is over, when none wait.
    fn next(&self) -> Option<Vec<Waiting>> {
        let mut inner = self.inner();
        if inner.waiting.is_empty() {
            inner.working = false;
            return None;
        }
        let mut devices: HashSet<DeviceId> = HashSet::new();
        let (mut now, mut later) = (Vec::new(), Vec::new());
        for waiting in std::mem::take(&mut inner.waiting) {
            // A second report of a device waits, and so does everything of that device after it: order is kept.
            if devices.insert(waiting.report.device) && now.len() < TOGETHER {
                now.push(waiting);
            } else {
                later.push(waiting);
            }
        }
        inner.waiting = later;
        inner.bytes = inner.waiting.iter().map(|waiting| waiting.bytes).sum();
        Some(now)
    }
}

/// When the working task is ended from outside, or panics, another may begin; what waits then is refused and sent again.
struct Working {
    queue: Queue,
    /// The task came to its end by itself: [`Queue::next`] has said so, and another task may be at work already.
    over: bool,
}

impl Drop for Working {
    fn drop(&mut self) {
        if !self.over {
            let mut inner = self.queue.inner();
            inner.working = false;
            inner.waiting.clear();
            inner.bytes = 0;
        }
    }
}

impl Worker {
    async fn work(self) {
        let mut working = Working { queue: self.queue.clone(), over: false };
        while let Some(waiting) = self.queue.next() {
            let (mut reports, answers): (Vec<Report>, Vec<_>) =
                waiting.into_iter().map(|waiting| (waiting.report, waiting.answer)).unzip();
            let outcomes = match self.commit(&mut reports).await {
                Ok(outcomes) => outcomes.into_iter().map(Ok).collect(),
                Err(error) if reports.len() == 1 => vec![Err(error)],
                // Nothing is wrong with any of them, and alone each would wait in vain as long as all together did.
                Err(SiteError::Store(StoreError::DiskFull)) => {
                    reports.iter().map(|_| Err(StoreError::DiskFull.into())).collect()
                }
                Err(SiteError::Store(StoreError::Unavailable(why))) => {
                    reports.iter().map(|_| Err(StoreError::Unavailable(why.clone()).into())).collect()
                }
                // One of them may be the reason: each by itself, so that it alone bears it.
                Err(error) => {
                    tracing::warn!(%error, reports = reports.len(), "Reports could not be committed together; each is tried alone.");
                    let mut outcomes = Vec::with_capacity(reports.len());
                    for report in &mut reports {
                        let outcome = self.commit(std::slice::from_mut(report)).await;
                        outcomes.push(outcome.and_then(|mut outcomes| {
                            outcomes.pop().ok_or_else(|| SiteError::Fault("a report has no outcome".to_owned()))
                        }));
                    }
                    outcomes
                }
            };
            for (answer, outcome) in answers.into_iter().zip(outcomes) {
                // A client that went away sends the report again, and is told that it is committed.
                drop(answer.send(outcome));
            }
            if reports.len() >= MANY {
                tokio::time::sleep(GATHER).await;
            }
        }
        working.over = true;
    }

    async fn commit(&self, reports: &mut [Report]) -> Result<Vec<Outcome>, SiteError> {
        loop {
            let refs: Vec<&Report> = reports.iter().collect();
            let (sources, rules) = (self.sources.as_ref(), &self.rules);
            match commit::commit(&self.store, &self.interner, &self.limits, sources, rules, &refs).await? {
                Ok(committed) => {
                    conflict::close(&self.verdicts, &self.bus, &committed.suspects);
                    self.tell(&committed);
                    if committed.acts {
                        self.send.notify_one();
                    }
                    return Ok(committed.outcomes);
                }
                // Rows were swept since the reports were read. It happens once a day at most.
                Err(_) => {
                    for report in &mut *reports {
                        report.items = read::items(&report.batch, &self.catalogue.load(), &self.limits, &self.interner);
                    }
                }
            }
        }
    }

    fn tell(&self, committed: &Committed) {
        let nouns = [
            (Noun::Message, committed.messages),
            (Noun::Deployment, committed.steps),
            (Noun::Device, committed.heartbeats + committed.inventories),
        ];
        for (noun, _) in nouns.into_iter().filter(|(_, count)| *count > 0) {
            self.bus.publish(Notice::Changed(noun));
        }
        metrics::counter!("muster_reports_total").increment(committed.outcomes.len() as u64);
        metrics::counter!("muster_report_messages_total").increment(committed.messages + committed.steps);
        metrics::counter!("muster_inventories_total").increment(committed.inventories);
        metrics::counter!("muster_quarantined_total").increment(committed.quarantined);
        metrics::histogram!("muster_reports_together")
            .record(u32::try_from(committed.outcomes.len()).unwrap_or(u32::MAX));
    }
}
