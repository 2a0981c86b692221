//! The steps of deployments on devices, as they were said: the history behind the state.

use super::{
    StoreError, Tx,
    bulk::{Bulk, in_texts, json_texts},
    column,
    deployment::{Step, reason, state, waits},
};
use muster_model::{
    api::{DeploymentEvent, PageQuery},
    id::{DeploymentId, DeviceId},
    limits::DEPLOYMENT_EVENTS,
    status::{FailureReason, WaitReason},
    time::UnixMillis,
};
use sqlx::{AnyConnection, Row, any::AnyRow};
use std::collections::BTreeMap;

static INSERT: Bulk = Bulk::new(
    "INSERT INTO deployment_event (deployment, device, happened, received, state, reason, exit_code, waits, starts, \
     output, attempt)",
    11,
    "",
);

/// Adds steps, each with the attempt that it was of and when the site heard of it; of each deployment on each device the last ones
/// stay.
///
/// # Errors
/// When the database cannot be written.
pub async fn insert(tx: &mut Tx, steps: &[(Step, u32, UnixMillis)]) -> Result<(), StoreError> {
    if steps.is_empty() {
        return Ok(());
    }
    INSERT
        .run(tx, steps, |query, (step, attempt, received)| {
            query
                .bind(step.deployment.to_string())
                .bind(step.device.to_string())
                .bind(step.changed.0)
                .bind(received.0)
                .bind(step.state.as_str())
                .bind(step.reason.map(FailureReason::as_str))
                .bind(step.exit_code.map(i64::from))
                .bind(step.waits.map(WaitReason::as_str))
                .bind(step.starts.map(|starts| starts.0))
                .bind(step.output.clone())
                .bind(i64::from(*attempt))
        })
        .await?;
    trim(tx, steps).await
}

/// Removes what is over [`DEPLOYMENT_EVENTS`]. Not at every step, which would look at all of them each time: by a draw, and always where
/// many come at once.
async fn trim(tx: &mut Tx, steps: &[(Step, u32, UnixMillis)]) -> Result<(), StoreError> {
    let mut pairs: BTreeMap<(DeviceId, DeploymentId), i64> = BTreeMap::new();
    for (step, _, received) in steps {
        let drawn = received.0.wrapping_add(i64::from(step.device.0.as_bytes()[15])) % 16 == 0;
        *pairs.entry((step.device, step.deployment)).or_default() += if drawn { 16 } else { 1 };
    }
    let statement = "DELETE FROM deployment_event WHERE device = $1 AND deployment = $2 AND id <= \
         (SELECT id FROM deployment_event WHERE device = $1 AND deployment = $2 ORDER BY id DESC LIMIT 1 OFFSET $3)";
    for ((device, deployment), _) in pairs.iter().filter(|(_, weight)| **weight >= 4) {
        let query = sqlx::query(statement).bind(device.to_string()).bind(deployment.to_string());
        query.bind(i64::from(DEPLOYMENT_EVENTS)).execute(tx.conn()).await?;
    }
    Ok(())
}

/// Notes that devices of a deployment try again, as their rows say now.
///
/// # Errors
/// When the database cannot be written.
pub async fn retried(
    tx: &mut Tx,
    deployment: DeploymentId,
    devices: &[DeviceId],
    now: UnixMillis,
) -> Result<(), StoreError> {
    let statement = tx.dialect().pick(in_texts!(
        "INSERT INTO deployment_event (deployment, device, happened, received, state, output, attempt) \
         SELECT t.deployment, t.device, CAST($2 AS BIGINT), CAST($2 AS BIGINT), t.state, '', t.attempt \
         FROM deployment_device t WHERE t.deployment = $3 AND t.device",
        ""
    ));
    let query = sqlx::query(statement).bind(json_texts(devices)).bind(now.0).bind(deployment.to_string());
    query.execute(tx.conn()).await?;
    Ok(())
}

fn event(row: &AnyRow) -> Result<DeploymentEvent, StoreError> {
    let exit_code: Option<i64> = row.try_get("exit_code")?;
    Ok(DeploymentEvent {
        happened: column::time(row, "happened")?,
        received: column::time(row, "received")?,
        state: state(row)?,
        reason: reason(row)?,
        exit_code: exit_code.and_then(|code| i32::try_from(code).ok()),
        waits: waits(row)?,
        starts: row.try_get::<Option<i64>, _>("starts")?.map(UnixMillis),
        output: row.try_get("output")?,
        attempt: u32::try_from(column::count(row, "attempt")?).unwrap_or(u32::MAX),
    })
}

/// One page of the steps of a deployment on a device, the latest first; and how many there are.
///
/// # Errors
/// When the database cannot be read.
pub async fn list(
    conn: &mut AnyConnection,
    deployment: DeploymentId,
    device: DeviceId,
    page: PageQuery,
) -> Result<(Vec<DeploymentEvent>, u64), StoreError> {
    let statement = "SELECT COUNT(*) FROM deployment_event WHERE device = $1 AND deployment = $2";
    let counting = sqlx::query_scalar(statement).bind(device.to_string()).bind(deployment.to_string());
    let total: i64 = counting.fetch_one(&mut *conn).await?;
    let statement = "SELECT happened, received, state, reason, exit_code, waits, starts, output, attempt \
         FROM deployment_event WHERE device = $1 AND deployment = $2 ORDER BY id DESC LIMIT $3 OFFSET $4";
    let rows = sqlx::query(statement)
        .bind(device.to_string())
        .bind(deployment.to_string())
        .bind(i64::from(page.limit))
        .bind(column::signed(page.offset))
        .fetch_all(conn)
        .await?;
    Ok((rows.iter().map(event).collect::<Result<_, _>>()?, column::unsigned(total)))
}

/// Removes steps that were heard of before a moment, at most so many; how many they were.
///
/// # Errors
/// When the database cannot be written.
pub async fn purge(tx: &mut Tx, before: UnixMillis, most: u32) -> Result<u64, StoreError> {
    let statement = "DELETE FROM deployment_event WHERE id IN \
         (SELECT id FROM deployment_event WHERE received < $1 ORDER BY received, id LIMIT $2)";
    let query = sqlx::query(statement).bind(before.0).bind(i64::from(most));
    Ok(query.execute(tx.conn()).await?.rows_affected())
}
