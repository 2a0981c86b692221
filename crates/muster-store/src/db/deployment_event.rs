//! The steps of deployments on devices, as they were said: the history behind the state.

use super::{
    StoreError, Tx,
    bulk::{Bulk, in_texts, json_texts},
    column,
    deployment::{Step, reason, state, waits},
};
use muster_model::{
    api::{DeploymentAct, DeploymentEvent, PageQuery},
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

/// What was done to a deployment.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ActRow<'a> {
    /// The deployment.
    pub deployment: DeploymentId,
    /// Only on this device.
    pub device: Option<DeviceId>,
    /// Only on devices of this phase.
    pub phase: Option<u32>,
    /// What.
    pub act: DeploymentAct,
    /// By whom; nobody: the site.
    pub by: Option<&'a str>,
    /// Why, where somebody said so.
    pub reason: &'a str,
}

/// Notes what was done to a deployment.
///
/// # Errors
/// When the database cannot be written.
pub async fn acted(tx: &mut Tx, row: &ActRow<'_>, now: UnixMillis) -> Result<(), StoreError> {
    let statement = "INSERT INTO deployment_act (deployment, device, phase, happened, act, acted_by, reason) \
         VALUES ($1, $2, $3, $4, $5, $6, $7)";
    sqlx::query(statement)
        .bind(row.deployment.to_string())
        .bind(row.device.map(|device| device.to_string()))
        .bind(row.phase.map(i64::from))
        .bind(now.0)
        .bind(row.act.as_str())
        .bind(row.by.map(str::to_owned))
        .bind(row.reason.to_owned())
        .execute(tx.conn())
        .await?;
    Ok(())
}

fn event(row: &AnyRow) -> Result<DeploymentEvent, StoreError> {
    let exit_code: Option<i64> = row.try_get("exit_code")?;
    let act: Option<DeploymentAct> = column::parsed_opt(row, "act")?;
    Ok(DeploymentEvent {
        happened: column::time(row, "happened")?,
        received: column::time(row, "received")?,
        state: if act.is_some() { None } else { Some(state(row)?) },
        act,
        by: row.try_get("acted_by")?,
        reason: reason(row)?,
        exit_code: exit_code.and_then(|code| i32::try_from(code).ok()),
        waits: waits(row)?,
        starts: row.try_get::<Option<i64>, _>("starts")?.map(UnixMillis),
        output: row.try_get("output")?,
        attempt: u32::try_from(column::count(row, "attempt")?).unwrap_or(u32::MAX),
    })
}

macro_rules! acts {
    ($what:literal) => {
        concat!(
            "SELECT ",
            $what,
            " FROM deployment_act a WHERE a.deployment = $2 AND (a.device IS NULL OR a.device = $1) \
             AND (a.phase IS NULL OR a.phase = (SELECT t.phase FROM deployment_device t \
             WHERE t.deployment = $2 AND t.device = $1))"
        )
    };
}

/// One page of the steps of a deployment on a device, and of what administrators and the site did to it there, the latest first by the
/// site's clock; and how many there are.
///
/// # Errors
/// When the database cannot be read.
pub async fn list(
    conn: &mut AnyConnection,
    deployment: DeploymentId,
    device: DeviceId,
    page: PageQuery,
) -> Result<(Vec<DeploymentEvent>, u64), StoreError> {
    let statement = concat!(
        "SELECT (SELECT COUNT(*) FROM deployment_event WHERE device = $1 AND deployment = $2) + (",
        acts!("COUNT(*)"),
        ")"
    );
    let counting = sqlx::query_scalar(statement).bind(device.to_string()).bind(deployment.to_string());
    let total: i64 = counting.fetch_one(&mut *conn).await?;
    // Of one moment first what was done, and then what came of it.
    let statement = concat!(
        "SELECT 0 AS kind, id, happened, received, state, reason, exit_code, waits, starts, output, attempt, \
         CAST(NULL AS TEXT) AS act, CAST(NULL AS TEXT) AS acted_by FROM deployment_event \
         WHERE device = $1 AND deployment = $2 UNION ALL ",
        acts!(
            "1, a.id, a.happened, a.happened, CAST(NULL AS TEXT), CAST(NULL AS TEXT), CAST(NULL AS BIGINT), \
             CAST(NULL AS TEXT), CAST(NULL AS BIGINT), a.reason, 0, a.act, a.acted_by"
        ),
        " ORDER BY received DESC, kind, id DESC LIMIT $3 OFFSET $4"
    );
    let rows = sqlx::query(statement)
        .bind(device.to_string())
        .bind(deployment.to_string())
        .bind(i64::from(page.limit))
        .bind(column::signed(page.offset))
        .fetch_all(conn)
        .await?;
    Ok((rows.iter().map(event).collect::<Result<_, _>>()?, column::unsigned(total)))
}
