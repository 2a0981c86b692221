//! When each baseline was evaluated last, and what was told of it. Both and the report are one transaction, so that the site never hears
//! less than was found.

use super::{Store, StoreError, outbox::push, set_value};
use muster_model::{
    compliance::ComplianceReport,
    id::{DeploymentId, Hash},
    report::{Body, Message},
    status::WaitReason,
    time::UnixMillis,
};
use rusqlite::params;
use serde::{Deserialize, Serialize};

/// Before the deployment's id.
const KEY: &str = "compliance:";

/// How far a baseline is.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Progress {
    /// What the evaluation rested on.
    pub basis: Hash,
    /// When it was evaluated last.
    pub evaluated: Option<UnixMillis>,
    /// When all of its results were told last.
    pub told: Option<UnixMillis>,
    /// Digest of these results.
    pub digest: Option<Hash>,
    /// What it waits for, as it was told.
    pub waits: Option<(WaitReason, Option<UnixMillis>)>,
}

impl Progress {
    /// Of one that was not evaluated.
    #[must_use]
    pub const fn new(basis: Hash) -> Self {
        Self { basis, evaluated: None, told: None, digest: None, waits: None }
    }
}

impl Store {
    /// How far a baseline is; `None`: it was never spoken of.
    ///
    /// # Errors
    /// See [`StoreError`].
    pub fn compliance(&self, deployment: DeploymentId) -> Result<Option<Progress>, StoreError> {
        let text = self.value(&format!("{KEY}{deployment}"))?;
        Ok(text.and_then(|text| serde_json::from_str(&text).ok()))
    }

    /// An evaluation: kept and reported in one.
    ///
    /// # Errors
    /// See [`StoreError`]; neither is done then.
    pub fn keep_evaluation(
        &self,
        progress: &Progress,
        time: UnixMillis,
        report: ComplianceReport,
    ) -> Result<(), StoreError> {
        let key = format!("{KEY}{}", report.deployment);
        let text = serde_json::to_string(progress).map_err(|_| StoreError::Damaged)?;
        self.run(|tx, size, bounds| {
            set_value(tx, &key, &text)?;
            push(tx, size, bounds, &Message { time, body: Body::Compliance(report) }).map(drop)
        })?;
        self.more.notify_one();
        Ok(())
    }

    /// Forgets baselines that are no longer assigned.
    ///
    /// # Errors
    /// See [`StoreError`].
    pub fn keep_compliance(&self, assigned: &[DeploymentId]) -> Result<(), StoreError> {
        let keys: Vec<String> = {
            let inner = self.lock();
            let mut statement =
                inner.connection.prepare_cached("SELECT key FROM meta WHERE key LIKE 'compliance:%'")?;
            let found = statement.query_map([], |row| row.get(0))?;
            found.collect::<Result<_, _>>()?
        };
        let wanted = |key: &String| assigned.iter().any(|id| key.strip_prefix(KEY) == Some(id.to_string().as_str()));
        let gone: Vec<String> = keys.into_iter().filter(|key| !wanted(key)).collect();
        if gone.is_empty() {
            return Ok(());
        }
        self.run(|tx, _, _| {
            for key in &gone {
                tx.execute("DELETE FROM meta WHERE key = ?1", params![key])?;
            }
            Ok(())
        })
    }
}
