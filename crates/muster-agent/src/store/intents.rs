//! What users of the machine want of deployments that are offered to them. Kept before they are told that it is begun.

use super::{Store, StoreError};
use muster_model::{id::DeploymentId, status::Verb, time::UnixMillis};
use rusqlite::{OptionalExtension, Transaction, params};

/// What a user wants.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Intent {
    /// Which command.
    pub verb: Verb,
    /// Number of the user.
    pub user: u32,
}

pub(super) fn forget(tx: &Transaction<'_>, id: DeploymentId) -> Result<(), StoreError> {
    tx.execute("DELETE FROM intent WHERE id = ?1", [id.to_string()])?;
    Ok(())
}

impl Store {
    /// What a user wants of a deployment.
    ///
    /// # Errors
    /// See [`StoreError`].
    pub fn intent(&self, id: DeploymentId) -> Result<Option<Intent>, StoreError> {
        let sql = "SELECT verb, user FROM intent WHERE id = ?1";
        let read = |row: &rusqlite::Row<'_>| Ok((row.get::<_, String>(0)?, row.get::<_, u32>(1)?));
        let found = self.lock().connection.query_row(sql, [id.to_string()], read).optional()?;
        Ok(found.and_then(|(text, user)| {
            let verb = Verb::ALL.iter().copied().find(|verb| verb.as_str() == text)?;
            Some(Intent { verb, user })
        }))
    }

    /// Keeps what a user wants. `false`: something is wanted already.
    ///
    /// # Errors
    /// See [`StoreError`].
    pub fn intend(&self, id: DeploymentId, intent: Intent, now: UnixMillis) -> Result<bool, StoreError> {
        self.run(|tx, _, _| {
            let sql = "INSERT INTO intent (id, verb, user, since) VALUES (?1, ?2, ?3, ?4) ON CONFLICT (id) DO NOTHING";
            Ok(tx.execute(sql, params![id.to_string(), intent.verb.as_str(), intent.user, now.0])? > 0)
        })
    }

    /// Forgets what a user wanted: it cannot be done any more.
    ///
    /// # Errors
    /// See [`StoreError`].
    pub fn forget_intent(&self, id: DeploymentId) -> Result<(), StoreError> {
        self.run(|tx, _, _| forget(tx, id))
    }
}
