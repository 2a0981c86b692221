//! Phases of deployments: what they are, which device is in which one, and how far they are.

use super::{
    StoreError, Tx,
    bulk::{in_texts, json_texts},
    column::{self, parsed},
};
use muster_model::{
    api::{Phase, PhaseReach},
    id::{CollectionId, DeploymentId, DeviceId},
    time::UnixMillis,
};
use sqlx::{AnyConnection, Row, any::AnyRow};
use std::collections::{BTreeMap, HashSet};

/// A stored phase.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PhaseRow {
    /// Its number, from 1.
    pub number: u32,
    /// What it is.
    pub phase: Phase,
    /// When it began.
    pub begun: Option<UnixMillis>,
    /// Who began it; nobody: the site.
    pub begun_by: Option<String>,
    /// Failures that an administrator saw when the deployment went on.
    pub forgiven: u64,
}

fn number(row: &AnyRow, column: &str) -> Result<u32, StoreError> {
    u32::try_from(row.try_get::<i64, _>(column)?).map_err(|_| StoreError::Corrupt(format!("column {column}")))
}

/// Gives a new deployment its phases; none of them began.
///
/// # Errors
/// When the database cannot be written.
pub async fn insert(tx: &mut Tx, id: DeploymentId, phases: &[Phase]) -> Result<(), StoreError> {
    for (number, phase) in (1_i64..).zip(phases) {
        let statement = "INSERT INTO deployment_phase (deployment, phase, definition) VALUES ($1, $2, $3)";
        let query = sqlx::query(statement).bind(id.to_string()).bind(number).bind(column::to_json(phase));
        query.execute(tx.conn()).await?;
    }
    sqlx::query("UPDATE deployment SET phase = 0 WHERE id = $1").bind(id.to_string()).execute(tx.conn()).await?;
    Ok(())
}

/// The phases of a deployment, in their order.
///
/// # Errors
/// When the database cannot be read.
pub async fn of_deployment(conn: &mut AnyConnection, id: DeploymentId) -> Result<Vec<PhaseRow>, StoreError> {
    let statement = "SELECT phase, definition, begun, begun_by, forgiven FROM deployment_phase \
         WHERE deployment = $1 ORDER BY phase";
    let rows = sqlx::query(statement).bind(id.to_string()).fetch_all(conn).await?;
    rows.iter()
        .map(|row| {
            Ok(PhaseRow {
                number: number(row, "phase")?,
                phase: column::json(row, "definition")?,
                begun: row.try_get::<Option<i64>, _>("begun")?.map(UnixMillis),
                begun_by: row.try_get("begun_by")?,
                forgiven: column::count(row, "forgiven")?,
            })
        })
        .collect()
}

/// Deployments in force that have phases, are not paused, and do not wait for an approval.
///
/// # Errors
/// When the database cannot be read.
pub async fn live(conn: &mut AnyConnection) -> Result<Vec<DeploymentId>, StoreError> {
    let statement = "SELECT p.id FROM deployment p WHERE p.phase IS NOT NULL AND p.deleted IS NULL AND p.paused IS NULL \
         AND NOT EXISTS (SELECT 1 FROM deployment_approval a WHERE a.deployment = p.id AND a.held = 1) ORDER BY p.id";
    sqlx::query(statement).fetch_all(conn).await?.iter().map(|row| parsed(row, "id")).collect()
}

/// Phases of deployments in force that take the members of a collection: the names of the deployment and of the phase.
///
/// # Errors
/// When the database cannot be read.
pub async fn of_collection(
    conn: &mut AnyConnection,
    collection: CollectionId,
) -> Result<Vec<(String, String)>, StoreError> {
    let statement = "SELECT p.name, f.definition FROM deployment_phase f JOIN deployment p ON p.id = f.deployment \
         WHERE p.deleted IS NULL ORDER BY p.name, p.id, f.phase";
    let mut found = Vec::new();
    for row in sqlx::query(statement).fetch_all(conn).await? {
        let phase: Phase = column::json(&row, "definition")?;
        if phase.reach == (PhaseReach::Collection { collection }) {
            found.push((row.try_get("name")?, phase.name.to_string()));
        }
    }
    Ok(found)
}

/// Active devices of a deployment by phase and state, counted. One that came to an end counts when it has left the target, too: of a
/// target that devices leave because it succeeded there nothing would ever succeed.
///
/// # Errors
/// When the database cannot be read.
pub async fn counts(
    conn: &mut AnyConnection,
    id: DeploymentId,
) -> Result<BTreeMap<u32, BTreeMap<String, u64>>, StoreError> {
    let statement = "SELECT t.phase, t.state, COUNT(*) AS devices FROM deployment_device t \
         JOIN device d ON d.id = t.device WHERE t.deployment = $1 AND t.phase IS NOT NULL \
         AND (t.withdrawn IS NULL OR t.state IN ('succeeded', 'failed', 'requirements_not_met')) \
         AND d.state = 'active' GROUP BY t.phase, t.state";
    let mut counts: BTreeMap<u32, BTreeMap<String, u64>> = BTreeMap::new();
    for row in sqlx::query(statement).bind(id.to_string()).fetch_all(conn).await? {
        let of = counts.entry(number(&row, "phase")?).or_default();
        of.insert(row.try_get("state")?, column::count(&row, "devices")?);
    }
    Ok(counts)
}

/// Begins a phase after another one: so each begins once. `false`: it did already, or the deployment is paused or over.
///
/// # Errors
/// When the database cannot be written.
pub async fn begin(
    tx: &mut Tx,
    id: DeploymentId,
    phase: u32,
    now: UnixMillis,
    by: Option<&str>,
) -> Result<bool, StoreError> {
    let statement = "UPDATE deployment SET phase = CAST($2 AS BIGINT), revision = revision + 1 WHERE id = $1 \
         AND phase = CAST($2 AS BIGINT) - 1 AND paused IS NULL AND deleted IS NULL";
    let query = sqlx::query(statement).bind(id.to_string()).bind(i64::from(phase));
    if query.execute(tx.conn()).await?.rows_affected() == 0 {
        return Ok(false);
    }
    let statement = "UPDATE deployment_phase SET begun = CAST($3 AS BIGINT), begun_by = $4 \
         WHERE deployment = $1 AND phase = CAST($2 AS BIGINT)";
    let query = sqlx::query(statement).bind(id.to_string()).bind(i64::from(phase)).bind(now.0);
    query.bind(by.map(str::to_owned)).execute(tx.conn()).await?;
    Ok(true)
}

macro_rules! forgiven {
    ($rest:literal) => {
        concat!(
            "WITH f AS (SELECT t.phase, COUNT(*) AS devices FROM deployment_device t JOIN device d ON d.id = t.device \
             WHERE t.deployment = $1 AND t.state = 'failed' AND d.state = 'active' GROUP BY t.phase) \
             UPDATE deployment_phase SET forgiven = COALESCE((SELECT f.devices FROM f \
             WHERE f.phase = deployment_phase.phase), 0) WHERE deployment = $1",
            $rest
        )
    };
}

/// Counts the failures so far no longer, of every phase of a deployment.
///
/// # Errors
/// When the database cannot be written.
pub async fn forgive(tx: &mut Tx, id: DeploymentId) -> Result<(), StoreError> {
    sqlx::query(forgiven!("")).bind(id.to_string()).execute(tx.conn()).await?;
    Ok(())
}

/// Forgives no more failures than are left: of what is tried again, a failure is a new one.
///
/// # Errors
/// When the database cannot be written.
pub async fn forgive_less(tx: &mut Tx, id: DeploymentId) -> Result<(), StoreError> {
    let statement =
        forgiven!(" AND forgiven > COALESCE((SELECT f.devices FROM f WHERE f.phase = deployment_phase.phase), 0)");
    sqlx::query(statement).bind(id.to_string()).execute(tx.conn()).await?;
    Ok(())
}

/// Has the phase that began last begin now: until now no device could be told of it.
///
/// # Errors
/// When the database cannot be written.
pub async fn begin_anew(tx: &mut Tx, id: DeploymentId, now: UnixMillis) -> Result<(), StoreError> {
    let statement = "UPDATE deployment_phase SET begun = CAST($2 AS BIGINT) WHERE deployment = $1 \
         AND begun IS NOT NULL AND phase = (SELECT p.phase FROM deployment p WHERE p.id = $1)";
    sqlx::query(statement).bind(id.to_string()).bind(now.0).execute(tx.conn()).await?;
    Ok(())
}

/// Devices of a deployment that are in no phase yet.
///
/// # Errors
/// When the database cannot be read.
pub async fn unplaced(conn: &mut AnyConnection, id: DeploymentId) -> Result<Vec<DeviceId>, StoreError> {
    let statement = "SELECT t.device FROM deployment_device t JOIN deployment p ON p.id = t.deployment \
         WHERE t.deployment = $1 AND p.phase IS NOT NULL AND t.phase IS NULL ORDER BY t.device";
    sqlx::query(statement).bind(id.to_string()).fetch_all(conn).await?.iter().map(|row| parsed(row, "device")).collect()
}

/// Deployments with phases of which some of these devices are in none yet.
///
/// # Errors
/// When the database cannot be read.
pub async fn unplaced_of(tx: &mut Tx, devices: &[DeviceId]) -> Result<Vec<(DeploymentId, DeviceId)>, StoreError> {
    let statement = tx.dialect().pick(in_texts!(
        "SELECT t.deployment, t.device FROM deployment_device t JOIN deployment p ON p.id = t.deployment \
         WHERE p.phase IS NOT NULL AND p.deleted IS NULL AND t.phase IS NULL AND t.device",
        "ORDER BY t.deployment, t.device"
    ));
    let rows = sqlx::query(statement).bind(json_texts(devices)).fetch_all(tx.conn()).await?;
    rows.iter().map(|row| Ok((parsed(row, "deployment")?, parsed(row, "device")?))).collect()
}

/// Which devices of a deployment, that are in no phase yet, are in which of these collections.
///
/// # Errors
/// When the database cannot be read.
pub async fn members(
    tx: &mut Tx,
    id: DeploymentId,
    collections: &[CollectionId],
) -> Result<HashSet<(CollectionId, DeviceId)>, StoreError> {
    if collections.is_empty() {
        return Ok(HashSet::new());
    }
    let statement = tx.dialect().pick(in_texts!(
        "SELECT m.collection, t.device FROM deployment_device t JOIN device d ON d.id = t.device \
         JOIN collection_member m ON m.resource_id = d.resource_id \
         WHERE t.deployment = $2 AND t.phase IS NULL AND m.collection",
        ""
    ));
    let rows = sqlx::query(statement).bind(json_texts(collections)).bind(id.to_string()).fetch_all(tx.conn()).await?;
    rows.iter().map(|row| Ok((parsed(row, "collection")?, parsed(row, "device")?))).collect()
}

/// Puts devices into phases of a deployment, for good.
///
/// # Errors
/// When the database cannot be written.
pub async fn place(tx: &mut Tx, id: DeploymentId, placed: &[(DeviceId, u32)]) -> Result<(), StoreError> {
    let statement = tx.dialect().pick([
        "UPDATE deployment_device SET phase = s.phase FROM (SELECT json_extract(value, '$[0]') AS device, \
         json_extract(value, '$[1]') AS phase FROM json_each($1)) AS s \
         WHERE deployment_device.deployment = $2 AND deployment_device.device = s.device",
        "UPDATE deployment_device SET phase = s.phase FROM (SELECT e ->> 0 AS device, \
         CAST(e ->> 1 AS BIGINT) AS phase FROM jsonb_array_elements(CAST($1 AS jsonb)) AS e) AS s \
         WHERE deployment_device.deployment = $2 AND deployment_device.device = s.device",
    ]);
    for some in placed.chunks(5_000) {
        sqlx::query(statement).bind(column::to_json(&some)).bind(id.to_string()).execute(tx.conn()).await?;
    }
    Ok(())
}
