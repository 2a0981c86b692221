//! Which programs ran. A run is noted with the step that begins it, before the program starts, as one of which nobody knows the end; so a
//! kill at any moment leaves either no run and no program, or a run that is known to have begun.

use super::{Store, StoreError};
use muster_model::{
    id::{DeploymentId, Hash},
    limits::PROGRAM_RUNS,
    program::Outcome,
    time::UnixMillis,
};
use rusqlite::{OptionalExtension, Row, Transaction, params};

/// An administrator asked for another run, whatever the rule says.
const WANTED: &str = "wanted";

/// A run of a program.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Run {
    /// For which time it ran.
    pub due: UnixMillis,
    /// When it began.
    pub started: UnixMillis,
    /// How it ended.
    pub outcome: Outcome,
    /// Its exit code, where it ended by itself.
    pub code: Option<i32>,
}

/// What is known of a program for one deployment.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Known {
    /// It ran.
    Ran(Run),
    /// Another run was asked for.
    Wanted,
}

fn read(row: &Row<'_>) -> rusqlite::Result<Option<Known>> {
    let outcome: String = row.get(2)?;
    if outcome == WANTED {
        return Ok(Some(Known::Wanted));
    }
    let (due, started, code) = (UnixMillis(row.get(0)?), UnixMillis(row.get(1)?), row.get(3)?);
    let outcome = Outcome::ALL.iter().copied().find(|known| known.as_str() == outcome);
    Ok(outcome.map(|outcome| Known::Ran(Run { due, started, outcome, code })))
}

/// Notes that a program began, or how it ended.
pub(super) fn note(tx: &Transaction<'_>, program: Hash, deployment: DeploymentId, run: &Run) -> Result<(), StoreError> {
    keep(tx, program, deployment, (run.due, run.started, run.outcome.as_str(), run.code))?;
    tx.execute(
        "DELETE FROM program_run WHERE (application, deployment) IN (SELECT application, deployment FROM program_run \
         ORDER BY started DESC, application, deployment LIMIT -1 OFFSET ?1)",
        [PROGRAM_RUNS],
    )?;
    Ok(())
}

/// Notes that an administrator wants another run, where one is known.
pub(super) fn want(tx: &Transaction<'_>, program: Hash, deployment: DeploymentId) -> Result<(), StoreError> {
    tx.execute(
        "UPDATE program_run SET outcome = ?3 WHERE application = ?1 AND deployment = ?2",
        params![program.to_string(), deployment.to_string(), WANTED],
    )?;
    let sql = "SELECT COUNT(*) FROM program_run WHERE application = ?1";
    let ran: i64 = tx.query_row(sql, [program.to_string()], |row| row.get(0))?;
    // Where it ran for another deployment only, the rule would still keep it from running.
    if ran > 0 {
        keep(tx, program, deployment, (UnixMillis(0), UnixMillis(0), WANTED, None))?;
    }
    Ok(())
}

fn keep(
    tx: &Transaction<'_>,
    program: Hash,
    deployment: DeploymentId,
    (due, started, outcome, code): (UnixMillis, UnixMillis, &str, Option<i32>),
) -> Result<(), StoreError> {
    tx.execute(
        "INSERT INTO program_run (application, deployment, due, started, outcome, code) VALUES (?1, ?2, ?3, ?4, ?5, ?6) \
         ON CONFLICT (application, deployment) DO UPDATE SET due = ?3, started = ?4, outcome = ?5, code = ?6",
        params![program.to_string(), deployment.to_string(), due.0, started.0, outcome, code],
    )?;
    Ok(())
}

impl Store {
    /// What is known of a program for one deployment.
    ///
    /// # Errors
    /// See [`StoreError`].
    pub fn program_of(&self, program: Hash, deployment: DeploymentId) -> Result<Option<Known>, StoreError> {
        let sql = "SELECT due, started, outcome, code FROM program_run WHERE application = ?1 AND deployment = ?2";
        let inner = self.lock();
        let row = inner.connection.query_row(sql, [program.to_string(), deployment.to_string()], read);
        Ok(row.optional()?.flatten())
    }

    /// The last run of a program, for whichever deployment.
    ///
    /// # Errors
    /// See [`StoreError`].
    pub fn program_last(&self, program: Hash) -> Result<Option<Run>, StoreError> {
        let sql = "SELECT due, started, outcome, code FROM program_run WHERE application = ?1 AND outcome <> ?2 \
             ORDER BY started DESC, due DESC LIMIT 1";
        let inner = self.lock();
        let row = inner.connection.query_row(sql, [program.to_string().as_str(), WANTED], read).optional()?.flatten();
        Ok(row.and_then(|known| match known {
            Known::Ran(run) => Some(run),
            Known::Wanted => None,
        }))
    }
}
