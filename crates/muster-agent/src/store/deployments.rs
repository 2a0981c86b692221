//! How far each deployment is. A step and its report are one transaction, so that the site never hears less than happened.

use super::{
    Store, StoreError, intents,
    outbox::push,
    programs::{self, Run},
    restarts::{self, RestartPending},
};
use muster_model::{
    id::{DeploymentId, Hash},
    report::{Body, Message},
    status::{DeploymentReport, DeploymentState, FailureReason, Runs, Verb, WaitReason},
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
    /// With `installing`: until when it may run. With `waiting`: when it starts. At an end: when it is looked at again.
    pub until: UnixMillis,
    /// Failed attempts to get the content.
    pub attempts: u32,
    /// Which command of which object runs, or ran last.
    pub runs: Option<Runs>,
    /// How often the application's own command did not work.
    pub tries: u32,
    /// With `waiting`: for what.
    pub waits: Option<WaitReason>,
    /// With `waiting` for a restart: the run of the system that has to end.
    pub boot: Option<String>,
    /// With `requirements_not_met` and `failed`: what was said.
    pub said: String,
    /// Of an application with several deployment types: the place of the one that this device takes.
    pub own_type: Option<usize>,
    /// The same of the object whose command runs, or ran last.
    pub runs_type: Option<usize>,
}

impl Progress {
    /// One of which nothing is known yet.
    #[must_use]
    pub const fn new(deployment: DeploymentId, application: Hash, now: UnixMillis) -> Self {
        Self {
            deployment,
            application,
            state: DeploymentState::Targeted,
            reason: None,
            changed: now,
            until: UnixMillis(0),
            attempts: 0,
            runs: None,
            tries: 0,
            waits: None,
            boot: None,
            said: String::new(),
            own_type: None,
            runs_type: None,
        }
    }

    /// Whether nothing more is to be done for this application for now.
    #[must_use]
    pub const fn is_final(&self) -> bool {
        self.state.is_end()
    }
}

fn read(row: &Row<'_>) -> rusqlite::Result<Option<Progress>> {
    let text = |at| row.get::<_, String>(at);
    let maybe = |at| row.get::<_, Option<String>>(at);
    let (state, reason): (String, Option<String>) = (text(2)?, row.get(3)?);
    let (object, verb, waits) = (maybe(7)?, maybe(8)?, maybe(10)?);
    let progress = (|| {
        let verb = Verb::ALL.iter().copied().find(|known| Some(known.as_str()) == verb.as_deref());
        let object: Option<Hash> = object.and_then(|text| text.parse().ok());
        let state = DeploymentState::ALL.iter().copied().find(|s| s.as_str() == state)?;
        Some(Progress {
            deployment: text(0).ok()?.parse().ok()?,
            application: text(1).ok()?.parse().ok()?,
            state,
            reason: FailureReason::ALL.iter().copied().find(|r| Some(r.as_str()) == reason.as_deref()),
            changed: UnixMillis(row.get(4).ok()?),
            // An earlier agent kept no time at which it is looked at again.
            until: UnixMillis(if maybe(13).ok()?.is_none() && state.is_end() { 0 } else { row.get(5).ok()? }),
            attempts: row.get(6).ok()?,
            runs: object.zip(verb).map(|(application, verb)| Runs { application, verb }),
            tries: row.get::<_, Option<u32>>(9).ok()?.unwrap_or(0),
            waits: WaitReason::ALL.iter().copied().find(|w| Some(w.as_str()) == waits.as_deref()),
            boot: maybe(11).ok()?,
            said: maybe(12).ok()?.unwrap_or_default(),
            own_type: row.get(14).ok()?,
            runs_type: row.get(15).ok()?,
        })
    })();
    Ok(progress)
}

const SELECT: &str = "SELECT d.id, d.application, d.state, d.reason, d.changed, d.until, d.attempts, \
     r.application, r.verb, r.tries, r.waits, r.boot, r.said, r.id, t.own, t.runs FROM deployment d \
     LEFT JOIN deployment_run r ON r.id = d.id LEFT JOIN deployment_type t ON t.id = d.id";
/// In a file that no agent of this version has opened yet.
const SELECT_EARLIER: &str = "SELECT id, application, state, reason, changed, until, attempts, \
     NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL FROM deployment d";

/// Every deployment that the agent knows of.
///
/// # Errors
/// See [`StoreError`].
pub fn all(connection: &Connection) -> Result<Vec<Progress>, StoreError> {
    let sql = "SELECT COUNT(*) FROM sqlite_master WHERE name = 'deployment_type'";
    let is_there: i64 = connection.query_row(sql, [], |row| row.get(0))?;
    let select = if is_there > 0 { SELECT } else { SELECT_EARLIER };
    let mut statement = connection.prepare(&format!("{select} ORDER BY d.changed, d.id"))?;
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
    tx.execute(
        "INSERT INTO deployment_run (id, application, verb, tries, waits, boot, said) \
         VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7) ON CONFLICT (id) DO UPDATE SET application = ?2, verb = ?3, \
         tries = ?4, waits = ?5, boot = ?6, said = ?7",
        params![
            progress.deployment.to_string(),
            progress.runs.map(|runs| runs.application.to_string()),
            progress.runs.map(|runs| runs.verb.as_str()),
            progress.tries,
            progress.waits.map(WaitReason::as_str),
            progress.boot,
            progress.said,
        ],
    )?;
    let id = progress.deployment.to_string();
    match (progress.own_type, progress.runs_type) {
        (None, None) => tx.execute("DELETE FROM deployment_type WHERE id = ?1", [id])?,
        (own, runs) => tx.execute(
            "INSERT INTO deployment_type (id, own, runs) VALUES (?1, ?2, ?3) \
             ON CONFLICT (id) DO UPDATE SET own = ?2, runs = ?3",
            params![id, own, runs],
        )?,
    };
    Ok(())
}

/// A step of a deployment.
#[derive(Debug)]
pub struct Kept {
    /// Where it stands now.
    pub progress: Progress,
    /// What the site is told.
    pub report: DeploymentReport,
    /// What a user wanted of it is done, or cannot be done.
    pub ends_intent: bool,
    /// Whether it is there because a user had it installed. `None`: that did not change.
    pub installed: Option<Option<u32>>,
    /// It needs a restart; the run of the system in which that is so.
    pub restart: Option<String>,
    /// A program began or ended.
    pub program: Option<(Hash, Run)>,
}

impl Store {
    /// Where a deployment stands; `None`: it was never spoken of.
    ///
    /// # Errors
    /// See [`StoreError`].
    pub fn deployment(&self, id: DeploymentId) -> Result<Option<Progress>, StoreError> {
        let sql = format!("{SELECT} WHERE d.id = ?1");
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
    pub fn step(&self, step: &Kept) -> Result<(), StoreError> {
        let progress = &step.progress;
        self.run(|tx, size, bounds| {
            keep(tx, progress)?;
            if step.ends_intent {
                intents::forget(tx, progress.deployment)?;
            }
            if let Some(user) = step.installed {
                intents::note_installed(tx, progress.deployment, user)?;
            }
            if let Some((program, run)) = &step.program {
                programs::note(tx, *program, progress.deployment, run)?;
            }
            if let Some(boot) = &step.restart {
                let (deployment, application) = (progress.deployment, progress.application);
                restarts::note(tx, &RestartPending { deployment, application, since: progress.changed }, boot)?;
            }
            let body = Body::Deployment(step.report.clone());
            push(tx, size, bounds, &Message { time: progress.changed, body }).map(drop)
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

    /// The last attempt of a deployment that was begun; 0: no other than the first.
    ///
    /// # Errors
    /// See [`StoreError`].
    pub fn attempt(&self, id: DeploymentId) -> Result<u32, StoreError> {
        let sql = "SELECT number FROM attempt WHERE id = ?1";
        Ok(self.lock().connection.query_row(sql, [id.to_string()], |row| row.get(0)).optional()?.unwrap_or(0))
    }

    /// Begins an attempt: its number and the progress that it begins with are kept in one. `again`: a program that ran runs once more.
    ///
    /// # Errors
    /// See [`StoreError`].
    pub fn begin_attempt(&self, progress: &Progress, number: u32, again: bool) -> Result<(), StoreError> {
        self.run(|tx, _, _| {
            keep(tx, progress)?;
            tx.execute(
                "INSERT INTO attempt (id, number) VALUES (?1, ?2) ON CONFLICT (id) DO UPDATE SET number = ?2",
                params![progress.deployment.to_string(), number],
            )?;
            if again {
                programs::want(tx, progress.application, progress.deployment)?;
            }
            Ok(())
        })
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
                let id = progress.deployment.to_string();
                tx.execute("DELETE FROM deployment WHERE id = ?1", [&id])?;
                tx.execute("DELETE FROM deployment_run WHERE id = ?1", [&id])?;
                tx.execute("DELETE FROM attempt WHERE id = ?1", [&id])?;
                tx.execute("DELETE FROM deployment_type WHERE id = ?1", [&id])?;
            }
            intents::keep_only(tx, assigned)
        })
    }
}
