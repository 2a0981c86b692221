//! How often users of the machine put a deployment off, and until when. Kept together with what the site is told of it.

use super::{Store, StoreError, outbox::push};
use muster_model::{
    id::{DeploymentId, Hash},
    report::Message,
    status::DeploymentState,
    time::UnixMillis,
};
use rusqlite::{OptionalExtension, params};

/// How far a deployment was put off.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Deferred {
    /// How often. Zero: users were only given time to answer.
    pub count: u32,
    /// Until when.
    pub until: UnixMillis,
}

impl Store {
    /// How far a deployment of this signed object was put off. Another object is another installation, which begins at nothing.
    ///
    /// # Errors
    /// See [`StoreError`].
    pub fn deferred(&self, id: DeploymentId, application: Hash) -> Result<Option<Deferred>, StoreError> {
        let sql = "SELECT count, until FROM deferral WHERE id = ?1 AND application = ?2";
        let read = |row: &rusqlite::Row<'_>| Ok(Deferred { count: row.get(0)?, until: UnixMillis(row.get(1)?) });
        let values = params![id.to_string(), application.to_string()];
        Ok(self.lock().connection.query_row(sql, values, read).optional()?)
    }

    /// Keeps how far it is put off now, and what the site is told of it, where it still stands as it was read. `false`: it does not, or it
    /// has begun meanwhile, and nothing is kept.
    ///
    /// # Errors
    /// See [`StoreError`]; neither is kept then.
    pub fn defer(
        &self,
        id: DeploymentId,
        application: Hash,
        before: Option<Deferred>,
        deferred: Deferred,
        told: Option<&Message>,
    ) -> Result<bool, StoreError> {
        self.run(|tx, size, bounds| {
            let sql = "SELECT count, until FROM deferral WHERE id = ?1 AND application = ?2";
            let read = |row: &rusqlite::Row<'_>| Ok(Deferred { count: row.get(0)?, until: UnixMillis(row.get(1)?) });
            let now = tx.query_row(sql, params![id.to_string(), application.to_string()], read).optional()?;
            let sql = "SELECT COUNT(*) FROM deployment WHERE id = ?1 AND application = ?2 AND state = ?3";
            let values = params![id.to_string(), application.to_string(), DeploymentState::Installing.as_str()];
            let begun: i64 = tx.query_row(sql, values, |row| row.get(0))?;
            if now != before || begun > 0 {
                return Ok(false);
            }
            tx.execute(
                "INSERT INTO deferral (id, application, count, until) VALUES (?1, ?2, ?3, ?4) \
                 ON CONFLICT (id) DO UPDATE SET application = ?2, count = ?3, until = ?4",
                params![id.to_string(), application.to_string(), deferred.count, deferred.until.0],
            )?;
            if let Some(told) = told {
                push(tx, size, bounds, told)?;
            }
            Ok(true)
        })
    }
}
