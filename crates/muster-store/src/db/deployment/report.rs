//! What devices report of deployments.

use super::{
    super::{
        StoreError, Tx,
        bulk::{Bulk, in_texts, json_texts},
        column::{self, parsed},
    },
    Step, state,
};
use muster_model::{
    id::{DeploymentId, DeviceId, Hash, Name},
    status::{DeploymentState, FailureReason, WaitReason},
};
use sqlx::Row;
use std::collections::HashMap;

/// What the site knows of a deployment on a device.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Known {
    /// The application that it deploys.
    pub application: Hash,
    /// Where it stands.
    pub state: DeploymentState,
    /// Its name.
    pub name: String,
    /// The attempt.
    pub attempt: u32,
    /// Whether it is paused.
    pub paused: bool,
}

/// What the site knows of the deployments of these devices, deleted ones included.
///
/// # Errors
/// When the database cannot be read.
pub async fn known(tx: &mut Tx, devices: &[DeviceId]) -> Result<HashMap<(DeviceId, DeploymentId), Known>, StoreError> {
    let statement = tx.dialect().pick(in_texts!(
        "SELECT t.device, t.deployment, p.application, t.state, p.name, t.attempt, p.paused \
         FROM deployment_device t JOIN deployment p ON p.id = t.deployment WHERE t.device",
        ""
    ));
    let mut known = HashMap::new();
    for row in sqlx::query(statement).bind(json_texts(devices)).fetch_all(tx.conn()).await? {
        let key = (parsed(&row, "device")?, parsed(&row, "deployment")?);
        let of = Known {
            application: parsed(&row, "application")?,
            state: state(&row)?,
            name: row.try_get("name")?,
            attempt: u32::try_from(column::count(&row, "attempt")?).unwrap_or(u32::MAX),
            paused: row.try_get::<Option<i64>, _>("paused")?.is_some(),
        };
        known.insert(key, of);
    }
    Ok(known)
}

static REPORT: Bulk = Bulk::new(
    "INSERT INTO deployment_device (deployment, device, state, reason, exit_code, output, changed, waits, starts, \
     restart, undone, deployment_type, deferred)",
    13,
    "ON CONFLICT (deployment, device) DO UPDATE SET state = excluded.state, reason = excluded.reason, \
     exit_code = excluded.exit_code, output = excluded.output, changed = excluded.changed, \
     waits = excluded.waits, starts = excluded.starts, restart = excluded.restart, undone = excluded.undone, \
     deployment_type = excluded.deployment_type, deferred = excluded.deferred",
);

/// Notes what devices said, at most one step per deployment and device, for pairs of [`known`].
///
/// # Errors
/// When the database cannot be written.
pub async fn report(tx: &mut Tx, steps: &[Step]) -> Result<(), StoreError> {
    REPORT
        .run(tx, steps, |query, step| {
            query
                .bind(step.deployment.to_string())
                .bind(step.device.to_string())
                .bind(step.state.as_str())
                .bind(step.reason.map(FailureReason::as_str))
                .bind(step.exit_code.map(i64::from))
                .bind(step.output.clone())
                .bind(step.changed.0)
                .bind(step.waits.map(WaitReason::as_str))
                .bind(step.starts.map(|starts| starts.0))
                .bind(i64::from(step.restart))
                .bind(i64::from(step.undone))
                .bind(step.deployment_type.as_ref().map(Name::to_string))
                .bind(i64::from(step.deferred))
        })
        .await?;
    Ok(())
}
