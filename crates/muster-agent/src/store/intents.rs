//! What users of the machine want of deployments that are offered to them. Kept before they are told that it is begun, together with what
//! the site is told of it; and what a user installed that way, because only that may be taken away by one again.

use super::{Store, StoreError, outbox::push};
use muster_model::{id::DeploymentId, report::Message, status::Verb, time::UnixMillis};
use rusqlite::{OptionalExtension, Transaction, params};

/// What a user wants.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Intent {
    /// Which command.
    pub verb: Verb,
    /// Number of the user.
    pub user: u32,
    /// Since when.
    pub since: UnixMillis,
}

pub(super) fn forget(tx: &Transaction<'_>, id: DeploymentId) -> Result<(), StoreError> {
    tx.execute("DELETE FROM intent WHERE id = ?1", [id.to_string()])?;
    Ok(())
}

/// A command that this user began installed it; `None`: it is not there any more, or nobody knows whose it is.
pub(super) fn note_installed(tx: &Transaction<'_>, id: DeploymentId, user: Option<u32>) -> Result<(), StoreError> {
    match user {
        Some(user) => tx.execute(
            "INSERT INTO installed (id, user) VALUES (?1, ?2) ON CONFLICT (id) DO UPDATE SET user = ?2",
            params![id.to_string(), user],
        )?,
        None => tx.execute("DELETE FROM installed WHERE id = ?1", [id.to_string()])?,
    };
    Ok(())
}

/// Forgets what was wanted of deployments that are gone: one with the same id that comes back begins nothing by itself.
pub(super) fn keep_only(tx: &Transaction<'_>, assigned: &[DeploymentId]) -> Result<(), StoreError> {
    for table in ["intent", "asked", "installed", "deferral"] {
        let mut statement = tx.prepare(&format!("SELECT DISTINCT id FROM {table}"))?;
        let ids = statement.query_map([], |row| row.get::<_, String>(0))?.collect::<Result<Vec<_>, _>>()?;
        for id in ids {
            if !id.parse::<DeploymentId>().is_ok_and(|id| assigned.contains(&id)) {
                tx.execute(&format!("DELETE FROM {table} WHERE id = ?1"), [id])?;
            }
        }
    }
    Ok(())
}

impl Store {
    /// What a user wants of a deployment.
    ///
    /// # Errors
    /// See [`StoreError`].
    pub fn intent(&self, id: DeploymentId) -> Result<Option<Intent>, StoreError> {
        let sql = "SELECT verb, user, since FROM intent WHERE id = ?1";
        let read =
            |row: &rusqlite::Row<'_>| Ok((row.get::<_, String>(0)?, row.get::<_, u32>(1)?, row.get::<_, i64>(2)?));
        let found = self.lock().connection.query_row(sql, [id.to_string()], read).optional()?;
        Ok(found.and_then(|(text, user, since)| {
            let verb = Verb::ALL.iter().copied().find(|verb| verb.as_str() == text)?;
            Some(Intent { verb, user, since: UnixMillis(since) })
        }))
    }

    /// Keeps what a user wants, and what the site is told of it. `false`: something is wanted already.
    ///
    /// # Errors
    /// See [`StoreError`]; neither is kept then.
    pub fn intend(&self, id: DeploymentId, intent: Intent, told: &Message) -> Result<bool, StoreError> {
        let kept = self.run(|tx, size, bounds| {
            let values = params![id.to_string(), intent.verb.as_str(), intent.user, intent.since.0];
            let sql = "INSERT INTO intent (id, verb, user, since) VALUES (?1, ?2, ?3, ?4) ON CONFLICT (id) DO NOTHING";
            if tx.execute(sql, values)? == 0 {
                return Ok(false);
            }
            let sql = "INSERT INTO asked (id, verb, user, since) VALUES (?1, ?2, ?3, ?4) \
                 ON CONFLICT (id, verb) DO UPDATE SET user = ?3, since = ?4";
            tx.execute(sql, values)?;
            push(tx, size, bounds, told).map(|_| true)
        })?;
        if kept {
            self.more.notify_one();
        }
        Ok(kept)
    }

    /// When a user last had a command of a deployment begun.
    ///
    /// # Errors
    /// See [`StoreError`].
    pub fn asked(&self, id: DeploymentId, verb: Verb) -> Result<Option<UnixMillis>, StoreError> {
        let sql = "SELECT since FROM asked WHERE id = ?1 AND verb = ?2";
        let values = [id.to_string(), verb.as_str().to_owned()];
        Ok(self.lock().connection.query_row(sql, values, |row| row.get(0).map(UnixMillis)).optional()?)
    }

    /// Which user had installed what a deployment offers, where it was a user and it is still there.
    ///
    /// # Errors
    /// See [`StoreError`].
    pub fn installed_by(&self, id: DeploymentId) -> Result<Option<u32>, StoreError> {
        let sql = "SELECT user FROM installed WHERE id = ?1";
        Ok(self.lock().connection.query_row(sql, [id.to_string()], |row| row.get(0)).optional()?)
    }

    /// Forgets what a user wanted: it cannot be done any more.
    ///
    /// # Errors
    /// See [`StoreError`].
    pub fn forget_intent(&self, id: DeploymentId) -> Result<(), StoreError> {
        self.run(|tx, _, _| forget(tx, id))
    }
}
