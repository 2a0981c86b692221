//! When each baseline was evaluated last, and what was told of it. Both and the report are one transaction, so that the site never hears
//! less than was found.

use super::{Store, StoreError, outbox::push, set_value};
use muster_model::{
    compliance::{BaselinePolicy, ComplianceReason, ComplianceReport, EVERY},
    id::{DeploymentId, Hash},
    report::{Body, Message},
    status::WaitReason,
    time::UnixMillis,
};
use rusqlite::{Transaction, params};
use serde::{Deserialize, Serialize};
use std::time::Duration;

/// Before the deployment's id.
const KEY: &str = "compliance:";
/// Over how long clients spread what all of them tell again.
const AGAIN: Duration = Duration::from_secs(600);
/// Before the baseline's hash.
const LAST: &str = "compliance-last:";

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
    /// When an evaluation began that has not ended.
    #[serde(default)]
    pub begun: Option<UnixMillis>,
    /// How many began one after the other without an end.
    #[serde(default)]
    pub tries: u8,
    /// Why nothing could be found out, as it was told last.
    #[serde(default)]
    pub failed: Option<ComplianceReason>,
    /// When it is evaluated again because what it rests on changed.
    #[serde(default)]
    pub due: Option<UnixMillis>,
}

impl Progress {
    /// Of one that was not evaluated.
    #[must_use]
    pub const fn new(basis: Hash) -> Self {
        Self {
            basis,
            evaluated: None,
            told: None,
            digest: None,
            waits: None,
            begun: None,
            tries: 0,
            failed: None,
            due: None,
        }
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

    /// How far a baseline is, without a word about it.
    ///
    /// # Errors
    /// See [`StoreError`].
    pub fn keep_progress_of_compliance(&self, deployment: DeploymentId, progress: &Progress) -> Result<(), StoreError> {
        let text = serde_json::to_string(progress).map_err(|_| StoreError::Damaged)?;
        self.set_value(&format!("{KEY}{deployment}"), &text)
    }

    /// When this baseline was evaluated last, whatever the deployment is called.
    ///
    /// # Errors
    /// See [`StoreError`].
    pub fn baseline_evaluated(&self, baseline: Hash, remediate: bool) -> Result<Option<UnixMillis>, StoreError> {
        let text = self.value(&format!("{LAST}{baseline}:{remediate}"))?;
        Ok(text.and_then(|text| text.parse().ok()).map(UnixMillis))
    }

    /// Notes that an evaluation begins, before anything is run. What began and did not end is not begun again at once.
    ///
    /// # Errors
    /// See [`StoreError`]; nothing is to be run then.
    pub fn begin_evaluation(
        &self,
        of: &BaselinePolicy,
        progress: &Progress,
        now: UnixMillis,
    ) -> Result<(), StoreError> {
        let text = serde_json::to_string(progress).map_err(|_| StoreError::Damaged)?;
        self.run(|tx, _, _| {
            set_value(tx, &format!("{KEY}{}", of.deployment), &text)?;
            set_value(tx, &format!("{LAST}{}:{}", of.baseline, of.remediate), &now.0.to_string())
        })
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

    /// Forgets baselines that are no longer assigned, and when any was evaluated where that is too long ago to matter.
    ///
    /// # Errors
    /// See [`StoreError`].
    pub fn keep_compliance(&self, assigned: &[DeploymentId], now: UnixMillis) -> Result<(), StoreError> {
        let keys: Vec<String> = {
            let inner = self.lock();
            let mut statement = inner.connection.prepare_cached(
                "SELECT key FROM meta WHERE key LIKE 'compliance:%' \
                 OR (key LIKE 'compliance-last:%' AND CAST(value AS INTEGER) NOT BETWEEN ?1 AND ?2)",
            )?;
            let found = statement.query_map([now.0 - *EVERY.start(), now.0], |row| row.get(0))?;
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

/// The site does not have what it was told of a deployment, or of all of them: it is told again, and not by all devices in the same
/// moment.
pub(super) fn forget_told(
    tx: &Transaction<'_>,
    only: Option<DeploymentId>,
    from: UnixMillis,
) -> Result<(), StoreError> {
    let spread = i64::try_from(crate::clock::spread(AGAIN, crate::clock::random()).as_millis()).unwrap_or_default();
    let like = only.map_or_else(|| format!("{KEY}%"), |deployment| format!("{KEY}{deployment}"));
    let known: Vec<(String, String)> = {
        let mut statement = tx.prepare_cached("SELECT key, value FROM meta WHERE key LIKE ?1")?;
        let rows = statement.query_map([like], |row| Ok((row.get(0)?, row.get(1)?)))?;
        rows.collect::<Result<_, _>>()?
    };
    for (key, text) in known {
        // What cannot be read is evaluated as a new one anyway.
        let Ok(progress) = serde_json::from_str::<Progress>(&text) else { continue };
        let due = progress.evaluated.map(|_| from.plus(spread));
        let again = Progress { told: None, digest: None, waits: None, failed: None, due, ..progress };
        set_value(tx, &key, &serde_json::to_string(&again).map_err(|_| StoreError::Damaged)?)?;
    }
    Ok(())
}
