//! Work in the background: assignments to be made, signatures to be renewed, what is over to be removed.

use crate::{
    Site, SiteError,
    delivery::{
        baseline_deployment::compliance_purge,
        phase::{PhaseWork, phase_work},
        policy::{policy_pending, policy_renew, policy_restore, policy_work},
        update_rule::update_rule_work,
    },
    identity::{
        revocation::{certificate_purge, revocation_hear, revocation_work},
        trust::trust_follow,
    },
    knowledge::{
        class::{class_follow, class_purge, class_take},
        discovery::discovery_work,
        inventory::{
            history::{Purge, history_purge},
            sweep::{Sweep, inventory_sweep},
        },
        title::{title_sweep, title_work},
        update::{UpdateWork, update_work},
    },
    truth::{
        alert::{AlertWork, alert_work},
        alert_told,
        client_log::client_log_purge,
        client_status::{ClientStatusWork, client_status_work},
        maintenance::{MaintenanceWork, maintenance_work},
        status_action::status_purge,
    },
};
use muster_model::time::{DAY, MINUTE, UnixMillis};
use muster_store::{db::session, transaction};
use std::{future::Future, pin::pin, sync::Arc, time::Duration};

/// How long the worker rests at most. What is urgent wakes it earlier.
const REST: Duration = Duration::from_secs(2);
/// How often is asked meanwhile whether another process revoked something: a block must hold everywhere within a second.
const HEAR: Duration = Duration::from_millis(250);

async fn hear(site: &Site) {
    if let Err(error) = revocation_hear(site).await {
        tracing::warn!(%error, "What other processes revoked could not be read; it is tried again.");
    }
}

/// Does some work, and listens meanwhile to what other processes revoke, however long the work takes.
async fn attended<T, H: Future<Output = ()>>(work: impl Future<Output = T>, hear: impl Fn() -> H) -> T {
    let mut work = pin!(work);
    loop {
        tokio::select! {
            biased;
            done = &mut work => return done,
            () = tokio::time::sleep(HEAR) => {}
        }
        // The work goes on meanwhile: it may have what the other one waits for.
        let mut heard = pin!(hear());
        tokio::select! {
            biased;
            done = &mut work => {
                heard.await;
                return done;
            }
            () = &mut heard => {}
        }
    }
}

/// The background worker of one process. Several on one database do not disturb each other.
#[derive(Debug)]
pub struct Worker {
    site: Arc<Site>,
    renewed: Option<UnixMillis>,
    swept: UnixMillis,
    /// How far the removal of old history is, while it goes on.
    purge: Option<Purge>,
    /// How far the removal of rows that nobody has is, while it goes on.
    sweep: Option<Sweep>,
    /// When phases of which deployments were looked at.
    phases: PhaseWork,
    /// How far the look for what needs somebody is.
    alerts: AlertWork,
    /// How far the count of clients is.
    clients: ClientStatusWork,
    /// Why the trust bundle in the database was not taken.
    refused: Option<String>,
    /// When updates were counted.
    updates: UpdateWork,
    /// How far maintenance is.
    maintenance: MaintenanceWork,
    /// When it was last looked how parts of the agents do.
    told: Option<UnixMillis>,
}

impl Worker {
    /// A worker of this site.
    #[must_use]
    pub fn new(site: Arc<Site>) -> Self {
        let (swept, maintenance) = (site.sources.now(), MaintenanceWork::new(&site));
        Self {
            site,
            renewed: None,
            swept,
            purge: None,
            sweep: None,
            phases: PhaseWork::default(),
            alerts: AlertWork::default(),
            clients: ClientStatusWork::default(),
            refused: None,
            updates: UpdateWork::default(),
            maintenance,
            told: None,
        }
    }

    /// Works until `shutdown` is there; what is in a transaction then is finished first.
    pub async fn run(mut self, shutdown: impl Future<Output = ()>) {
        let mut shutdown = pin!(shutdown);
        loop {
            let site = self.site.clone();
            let rest = match attended(self.step(), || hear(&site)).await {
                Ok(true) => Duration::ZERO,
                Ok(false) => REST,
                Err(error) => {
                    tracing::error!(%error, "The background work failed; it is tried again.");
                    REST
                }
            };
            tokio::select! {
                biased;
                () = &mut shutdown => return,
                () = self.rest(rest) => {}
                () = self.site.memory.work.notified() => {}
            }
        }
    }

    /// Rests, and listens to what other processes revoke.
    async fn rest(&self, mut rest: Duration) {
        while !rest.is_zero() {
            let piece = rest.min(HEAR);
            tokio::time::sleep(piece).await;
            rest -= piece;
            hear(&self.site).await;
        }
    }

    /// Another process may have accepted a new trust bundle. One that does not verify is said once, and keeps nobody from
    /// the rest of the work.
    async fn follow(&mut self, now: UnixMillis) -> Result<(), SiteError> {
        match trust_follow(&self.site, now).await {
            Ok(_) => self.refused = None,
            Err(SiteError::Fault(reason)) => {
                if self.refused.as_ref() != Some(&reason) {
                    tracing::error!(
                        reason,
                        "The trust bundle in the database is not taken; the one before stays in force."
                    );
                    self.refused = Some(reason);
                }
            }
            Err(error) => return Err(error),
        }
        Ok(())
    }

    /// One piece of what is to be done now; whether there is more.
    ///
    /// # Errors
    /// When the store fails.
    pub async fn step(&mut self) -> Result<bool, SiteError> {
        let now = self.site.sources.now();
        // Before everything else: who is believed, and who must not be believed any more.
        self.follow(now).await?;
        // One that always has something to sign must not keep devices from their policy.
        let signed = revocation_work(&self.site, now).await?;
        class_follow(&self.site).await?;
        if class_take(&self.site).await? {
            return Ok(true);
        }
        if policy_pending(&self.site, now).await? {
            policy_work(&self.site, now).await?;
            return Ok(true);
        }
        if phase_work(&self.site, &mut self.phases, now).await? {
            return Ok(true);
        }
        // What cannot be looked at keeps nobody from the rest of the work.
        match alert_work(&self.site, &mut self.alerts, now).await {
            Ok(true) => return Ok(true),
            Ok(false) => {}
            Err(error) => tracing::warn!(%error, "What needs somebody could not be looked at; it is tried again."),
        }
        match client_status_work(&self.site, &mut self.clients, now).await {
            Ok(true) => return Ok(true),
            Ok(false) => {}
            Err(error) => tracing::warn!(%error, "Clients could not be counted; they are counted again."),
        }
        match alert_told::told_work(&self.site, &mut self.told, now).await {
            Ok(()) => {}
            Err(error) => {
                tracing::warn!(%error, "How parts of the agents do could not be looked at; it is tried again.")
            }
        }
        if self.renewed.is_none_or(|last| !(0..MINUTE).contains(&now.since(last))) {
            let mut asked = policy_renew(&self.site, now).await?;
            if asked == 0 && self.renewed.is_none() {
                asked = policy_restore(&self.site, now).await?;
            }
            if asked > 0 {
                return Ok(true);
            }
            // What has expired is refused already; here it goes.
            transaction!(self.site.store, "session_purge", |tx| { session::purge(tx, now).await })?;
            certificate_purge(&self.site, now).await?;
            if discovery_work(&self.site, now).await? {
                return Ok(true);
            }
            self.renewed = Some(now);
        }
        if !(0..DAY).contains(&now.since(self.swept)) {
            // In small pieces, each behind what is urgent.
            if self.sweep.is_none() && history_purge(&self.site, self.purge.get_or_insert_default(), now).await? {
                return Ok(true);
            }
            if inventory_sweep(&self.site, self.sweep.get_or_insert_default(), now).await? {
                return Ok(true);
            }
            if compliance_purge(&self.site, now).await? || client_log_purge(&self.site, now).await? {
                return Ok(true);
            }
            if status_purge(&self.site, now).await? {
                return Ok(true);
            }
            let changes = self.purge.take().unwrap_or_default().gone;
            let rows = self.sweep.take().unwrap_or_default().gone;
            title_sweep(&self.site).await?;
            class_purge(&self.site, now).await?;
            tracing::info!(
                changes,
                rows,
                "Old changes of inventory, and rows that no device has any more, were removed."
            );
            self.swept = now;
        }
        // What cannot be removed keeps nobody from the rest of the work.
        match maintenance_work(&self.site, &mut self.maintenance, now).await {
            Ok(true) => return Ok(true),
            Ok(false) => {}
            Err(error) => tracing::warn!(%error, "Maintenance failed; it is tried again."),
        }
        update_work(&self.site, &mut self.updates, now).await?;
        if update_rule_work(&self.site, now).await? {
            return Ok(true);
        }
        let mut titles = self.site.memory.titles.lock().await;
        Ok(title_work(&self.site, &mut titles, now).await? || signed)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use tokio::sync::Notify;

    #[tokio::test]
    async fn a_long_step_does_not_keep_a_revocation_from_being_heard() {
        let heard = Notify::new();
        // A step that lasts until something was heard.
        attended(heard.notified(), || async { heard.notify_one() }).await;
    }
}
