//! Which deployments need a restart of the machine. A restart is over when the system runs for another time (`boot`).

use super::{Store, StoreError, outbox::push, set_value};
use muster_model::{
    id::{DeploymentId, Hash},
    report::Message,
    time::UnixMillis,
};
use rusqlite::{Row, Transaction, params};

/// A restart that is needed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RestartPending {
    /// For which deployment.
    pub deployment: DeploymentId,
    /// Its signed application.
    pub application: Hash,
    /// Since when.
    pub since: UnixMillis,
}

pub(super) fn note(tx: &Transaction<'_>, pending: &RestartPending, boot: &str) -> Result<(), StoreError> {
    tx.execute(
        "INSERT INTO restart (id, application, boot, since) VALUES (?1, ?2, ?3, ?4) \
         ON CONFLICT (id) DO UPDATE SET application = ?2, boot = ?3, since = ?4",
        params![pending.deployment.to_string(), pending.application.to_string(), boot, pending.since.0],
    )?;
    Ok(())
}

impl Store {
    /// Keeps a value under a name, together with what the site is told of it.
    ///
    /// # Errors
    /// See [`StoreError`]; neither is kept then.
    pub fn tell(&self, key: &str, value: &str, told: &Message) -> Result<(), StoreError> {
        self.run(|tx, size, bounds| {
            set_value(tx, key, value)?;
            push(tx, size, bounds, told).map(|_| ())
        })?;
        self.more.notify_one();
        Ok(())
    }

    /// What needs a restart, in this run of the system. Empty: nothing does.
    ///
    /// # Errors
    /// See [`StoreError`].
    pub fn restart_pending(&self, boot: &str) -> Result<Vec<RestartPending>, StoreError> {
        let read = |row: &Row<'_>| {
            let text = |at| row.get::<_, String>(at);
            let (id, application, since) = (text(0)?, text(1)?, row.get(2)?);
            let pending = id.parse().ok().zip(application.parse().ok());
            Ok(pending.map(|(deployment, application)| RestartPending {
                deployment,
                application,
                since: UnixMillis(since),
            }))
        };
        let inner = self.lock();
        let mut statement = inner
            .connection
            .prepare("SELECT id, application, since FROM restart WHERE boot = ?1 ORDER BY since, id")?;
        let rows = statement.query_map([boot], read)?.collect::<Result<Vec<_>, _>>()?;
        Ok(rows.into_iter().flatten().collect())
    }

    /// Forgets the restarts of earlier runs of the system: they happened.
    ///
    /// # Errors
    /// See [`StoreError`].
    pub fn restarted(&self, boot: &str) -> Result<(), StoreError> {
        // A system that does not say which run it is says nothing of a restart either.
        if boot.is_empty() {
            return Ok(());
        }
        self.run(|tx, _, _| {
            tx.execute("DELETE FROM restart WHERE boot <> ?1", [boot])?;
            Ok(())
        })
    }
}
