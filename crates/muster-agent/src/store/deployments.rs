//! How far each deployment is. A step and its report are one transaction, so that the site never hears less than happened.

use super::{Store, StoreError, outbox::push};
use muster_model::{
    id::{DeploymentId, Hash},
    report::{Body, Message},
    status::{DeploymentReport, DeploymentState, FailureReason},
    time::UnixMillis,
};
use rusqlite::{Connection, OptionalExtension, Row, Transaction, params};

/// Where a deployment stands.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Progress {
    /// Which.
    pub deployment: DeploymentId,
    /// The signed application object that is acted upon.
    pub application: Hash,
    /// The state.
    pub state: DeploymentState,
    /// With `failed`: why.
    pub reason: Option<FailureReason>,
    /// Since when.
    pub changed: UnixMillis,
    /// With `installing`: until when it may run. With `waiting`: when it starts.
    pub until: UnixMillis,
    /// Failed attempts to get the content.
    pub attempts: u32,
}

impl Progress {
    /// Whether nothing more is to be done for this application.
    #[must_use]
    pub const fn is_final(&self) -> bool {
        matches!(self.state, DeploymentState::Succeeded | DeploymentState::Failed)
    }
}

fn read(row: &Row<'_>) -> rusqlite::Result<Option<Progress>> {
    let text = |at| row.get::<_, String>(at);
    let (state, reason): (String, Option<String>) = (text(2)?, row.get(3)?);
    let progress = (|| {
        Some(Progress {
            deployment: text(0).ok()?.parse().ok()?,
            application: text(1).ok()?.parse().ok()?,
            state: DeploymentState::ALL.iter().copied().find(|s| s.as_str() == state)?,
            reason: FailureReason::ALL.iter().copied().find(|r| Some(r.as_str()) == reason.as_deref()),
            changed: UnixMillis(row.get(4).ok()?),
            until: UnixMillis(row.get(5).ok()?),
            attempts: row.get(6).ok()?,
        })
    })();
    Ok(progress)
}

const COLUMNS: &str = "id, application, state, reason, changed, until, attempts";

/// Every deployment that the agent knows of.
///
/// # Errors
/// See [`StoreError`].
pub fn all(connection: &Connection) -> Result<Vec<Progress>, StoreError> {
    let mut statement = connection.prepare(&format!("SELECT {COLUMNS} FROM deployment ORDER BY changed, id"))?;
    let rows = statement.query_map([], read)?.collect::<Result<Vec<_>, _>>()?;
    Ok(rows.into_iter().flatten().collect())
}

fn keep(tx: &Transaction<'_>, progress: &Progress) -> Result<(), StoreError> {
    tx.execute(
        "INSERT INTO deployment (id, application, state, reason, changed, until, attempts) \
         VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7) ON CONFLICT (id) DO UPDATE SET application = ?2, state = ?3, \
         reason = ?4, changed = ?5, until = ?6, attempts = ?7",
        params![
            progress.deployment.to_string(),
            progress.application.to_string(),
            progress.state.as_str(),
            progress.reason.map(FailureReason::as_str),
            progress.changed.0,
            progress.until.0,
            progress.attempts,
        ],
    )?;
    Ok(())
}

impl Store {
    /// Where a deployment stands; `None`: it was never spoken of.
    ///
    /// # Errors
    /// See [`StoreError`].
    pub fn deployment(&self, id: DeploymentId) -> Result<Option<Progress>, StoreError> {
        let sql = format!("SELECT {COLUMNS} FROM deployment WHERE id = ?1");
        Ok(self.lock().connection.query_row(&sql, [id.to_string()], read).optional()?.flatten())
    }

    /// Every deployment that the agent knows of.
    ///
    /// # Errors
    /// See [`StoreError`].
    pub fn deployments(&self) -> Result<Vec<Progress>, StoreError> {
        all(&self.lock().connection)
    }

    /// A step: kept and reported in one.
    ///
    /// # Errors
    /// See [`StoreError`]; neither is done then.
    pub fn step(&self, progress: &Progress, report: DeploymentReport) -> Result<(), StoreError> {
        self.run(|tx, size, bounds| {
            keep(tx, progress)?;
            push(tx, size, bounds, &Message { time: progress.changed, body: Body::Deployment(report) }).map(drop)
        })?;
        self.more.notify_one();
        Ok(())
    }

    /// Keeps progress of which nothing is to be reported.
    ///
    /// # Errors
    /// See [`StoreError`].
    pub fn keep_progress(&self, progress: &Progress) -> Result<(), StoreError> {
        self.run(|tx, _, _| keep(tx, progress))
    }

    /// Forgets deployments that are no longer assigned and that nothing runs for.
    ///
    /// # Errors
    /// See [`StoreError`].
    pub fn keep_deployments(&self, assigned: &[DeploymentId]) -> Result<(), StoreError> {
        let gone = self.deployments()?.into_iter().filter(|progress| {
            !assigned.contains(&progress.deployment) && progress.state != DeploymentState::Installing
        });
        let gone: Vec<_> = gone.collect();
        self.run(|tx, _, _| {
            for progress in &gone {
                tx.execute("DELETE FROM deployment WHERE id = ?1", [progress.deployment.to_string()])?;
            }
            Ok(())
        })
    }
}
