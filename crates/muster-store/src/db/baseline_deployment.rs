//! Deployments of configuration baselines, and which devices they are for.

use super::{
    StoreError, Tx,
    assignment::COMPILE,
    bulk::{in_texts, json_texts},
    column::{self, parsed, parsed_opt},
    compliance::Stand,
    compliance_total,
};
use muster_model::{
    api::Target,
    baseline::SettingSeverity,
    compliance::{ComplianceState, SettingOutline},
    id::{BaselineId, CollectionId, DeploymentId, DeviceId, Hash, Name},
    policy::{BodyKind, BodyRef},
    time::UnixMillis,
};
use sqlx::{AnyConnection, Row, any::AnyRow};
use std::{
    collections::{BTreeMap, HashMap},
    sync::{Arc, Mutex, PoisonError},
};

/// A stored deployment of a baseline.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BaselineDeploymentRow {
    /// The id.
    pub id: DeploymentId,
    /// The name.
    pub name: Name,
    /// The baseline object.
    pub baseline: Hash,
    /// Its bytes.
    pub baseline_size: u64,
    /// For whom.
    pub target: Target,
    /// How often it is evaluated.
    pub every: Option<i64>,
    /// Whether it is put right.
    pub remediate: bool,
    /// Whether it puts right, or runs programs as root to look: it goes to no collection that is not protected.
    pub high_impact: bool,
    /// Whether clients do not wait for a maintenance window.
    pub outside_windows: bool,
    /// From which severity on a device that does not comply is an alert.
    pub alert_from: Option<SettingSeverity>,
    /// Its policy body.
    pub policy: Hash,
    /// The body's bytes.
    pub policy_size: u64,
    /// When it was made.
    pub created: UnixMillis,
    /// Who made it.
    pub created_by: Name,
    /// When it was deleted.
    pub deleted: Option<UnixMillis>,
}

/// A deployment with what its baseline is called.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Shown {
    /// The row.
    pub row: BaselineDeploymentRow,
    /// The baseline, over all of its versions.
    pub baseline_id: BaselineId,
    /// Its name.
    pub baseline_name: String,
    /// Its version.
    pub baseline_version: String,
    /// Its settings.
    pub outline: Vec<SettingOutline>,
}

pub(super) fn severity(number: Option<i64>) -> Option<SettingSeverity> {
    SettingSeverity::ALL.get(usize::try_from(number?).ok()?).copied()
}

pub(super) fn number(severity: SettingSeverity) -> i64 {
    i64::from(severity as u8)
}

fn shown(row: &AnyRow) -> Result<Shown, StoreError> {
    let target = match (parsed_opt(row, "target_device")?, parsed_opt(row, "target_collection")?) {
        (Some(device), _) => Target::Device { device },
        (None, Some(collection)) => Target::Collection { collection },
        (None, None) => Target::AllSystems,
    };
    let deleted: Option<i64> = row.try_get("deleted")?;
    Ok(Shown {
        row: BaselineDeploymentRow {
            id: parsed(row, "id")?,
            name: parsed(row, "name")?,
            baseline: parsed(row, "baseline")?,
            baseline_size: column::count(row, "baseline_size")?,
            target,
            every: row.try_get("every")?,
            remediate: row.try_get::<i64, _>("remediate")? != 0,
            high_impact: row.try_get::<i64, _>("high_impact")? != 0,
            outside_windows: row.try_get::<i64, _>("outside_windows")? != 0,
            alert_from: severity(row.try_get("alert_from")?),
            policy: parsed(row, "policy_body")?,
            policy_size: column::count(row, "policy_size")?,
            created: column::time(row, "created")?,
            created_by: parsed(row, "created_by")?,
            deleted: deleted.map(UnixMillis),
        },
        baseline_id: parsed(row, "baseline_id")?,
        baseline_name: row.try_get("baseline_name")?,
        baseline_version: row.try_get("baseline_version")?,
        outline: column::json(row, "outline")?,
    })
}

/// A target as its two columns; in neither: All Systems.
fn columns(target: Target) -> (Option<String>, Option<String>) {
    match target {
        Target::AllSystems => (None, None),
        Target::Device { device } => (Some(device.to_string()), None),
        Target::Collection { collection } => (None, Some(collection.to_string())),
    }
}

/// Adds a deployment. Its devices are added with [`target`].
///
/// # Errors
/// When the database cannot be written.
pub async fn insert(tx: &mut Tx, row: &BaselineDeploymentRow) -> Result<(), StoreError> {
    let statement = "INSERT INTO baseline_deployment (id, name, baseline, baseline_size, target_device, target_collection, \
         every, remediate, outside_windows, alert_from, policy_body, policy_size, created, created_by, \
         high_impact, deleted) VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, NULL)";
    let (device, collection) = columns(row.target);
    sqlx::query(statement)
        .bind(row.id.to_string())
        .bind(row.name.to_string())
        .bind(row.baseline.to_string())
        .bind(column::signed(row.baseline_size))
        .bind(device)
        .bind(collection)
        .bind(row.every)
        .bind(i64::from(row.remediate))
        .bind(i64::from(row.outside_windows))
        .bind(row.alert_from.map(number))
        .bind(row.policy.to_string())
        .bind(column::signed(row.policy_size))
        .bind(row.created.0)
        .bind(row.created_by.to_string())
        .bind(i64::from(row.high_impact))
        .execute(tx.conn())
        .await?;
    Ok(())
}

/// Notes a new deployment for the active devices that it is for. Returns how many.
///
/// # Errors
/// When the database cannot be written.
pub async fn target(tx: &mut Tx, deployment: DeploymentId, now: UnixMillis) -> Result<u64, StoreError> {
    let statement = "INSERT INTO compliance_device (deployment, device, state, changed) \
         SELECT p.id, d.id, 'unknown', CAST($2 AS BIGINT) FROM baseline_deployment p, device d \
         WHERE p.id = $1 AND d.state = 'active' AND (p.target_device IS NULL OR p.target_device = d.id) \
         AND (p.target_collection IS NULL OR EXISTS (SELECT 1 FROM collection_member m \
         WHERE m.collection = p.target_collection AND m.resource_id = d.resource_id)) \
         ON CONFLICT (deployment, device) DO NOTHING";
    let query = sqlx::query(statement).bind(deployment.to_string()).bind(now.0);
    let devices = query.execute(tx.conn()).await?.rows_affected();
    let mut change = compliance_total::Change::default();
    change.device(deployment, ComplianceState::Unknown, false, column::signed(devices));
    compliance_total::add(tx, &change).await?;
    Ok(devices)
}

/// Deployments to whose targets one of these devices came, or which one of them left.
async fn moved(tx: &mut Tx, devices: &[DeviceId]) -> Result<Vec<DeploymentId>, StoreError> {
    let came = tx.dialect().pick(in_texts!(
        "SELECT DISTINCT p.id FROM baseline_deployment p, device d \
         WHERE p.target_device IS NULL AND p.deleted IS NULL \
         AND (p.target_collection IS NULL OR EXISTS (SELECT 1 FROM collection_member m \
         WHERE m.collection = p.target_collection AND m.resource_id = d.resource_id)) \
         AND NOT EXISTS (SELECT 1 FROM compliance_device t \
         WHERE t.deployment = p.id AND t.device = d.id AND t.withdrawn IS NULL) AND d.id",
        ""
    ));
    let left = tx.dialect().pick(in_texts!(
        "SELECT DISTINCT t.deployment AS id FROM compliance_device t JOIN baseline_deployment p ON p.id = t.deployment \
         JOIN device d ON d.id = t.device WHERE t.withdrawn IS NULL AND p.deleted IS NULL \
         AND p.target_collection IS NOT NULL AND NOT EXISTS (SELECT 1 FROM collection_member m \
         WHERE m.collection = p.target_collection AND m.resource_id = d.resource_id) AND t.device",
        ""
    ));
    let mut moved = Vec::new();
    for statement in [came, left] {
        for row in sqlx::query(statement).bind(json_texts(devices)).fetch_all(tx.conn()).await? {
            moved.push(parsed(&row, "id")?);
        }
    }
    moved.sort_unstable();
    moved.dedup();
    Ok(moved)
}

/// As [`super::deployment::target_new`], for baselines; `devices` are active ones here too.
///
/// # Errors
/// When the database cannot be written.
pub async fn target_new(tx: &mut Tx, devices: &[DeviceId], now: UnixMillis) -> Result<u64, StoreError> {
    let moved = moved(tx, devices).await?;
    if moved.is_empty() {
        return Ok(0);
    }
    compliance_total::lock(tx, &moved).await?;
    compliance_total::tally(tx, &moved, devices, -1).await?;
    let statement = tx.dialect().pick(in_texts!(
        "INSERT INTO compliance_device (deployment, device, state, changed) \
         SELECT p.id, d.id, 'unknown', CAST($2 AS BIGINT) FROM baseline_deployment p, device d \
         WHERE p.target_device IS NULL AND p.deleted IS NULL \
         AND (p.target_collection IS NULL OR EXISTS (SELECT 1 FROM collection_member m \
         WHERE m.collection = p.target_collection AND m.resource_id = d.resource_id)) AND d.id",
        "ON CONFLICT (deployment, device) DO UPDATE SET withdrawn = NULL, state = 'unknown', severity = NULL, reason = NULL, \
         digest = NULL, evaluated = NULL, waits = NULL, starts = NULL, changed = excluded.changed \
         WHERE compliance_device.withdrawn IS NOT NULL"
    ));
    let withdraw = tx.dialect().pick(in_texts!(
        "UPDATE compliance_device SET withdrawn = CAST($2 AS BIGINT) WHERE withdrawn IS NULL \
         AND EXISTS (SELECT 1 FROM baseline_deployment p WHERE p.id = compliance_device.deployment AND p.deleted IS NULL \
         AND p.target_collection IS NOT NULL AND NOT EXISTS (SELECT 1 FROM collection_member m \
         JOIN device d ON d.resource_id = m.resource_id WHERE m.collection = p.target_collection \
         AND d.id = compliance_device.device)) AND device",
        ""
    ));
    // Who comes back has said nothing yet.
    let forget = tx.dialect().pick(in_texts!(
        "DELETE FROM compliance_setting WHERE EXISTS (SELECT 1 FROM compliance_device t \
         WHERE t.deployment = compliance_setting.deployment AND t.device = compliance_setting.device \
         AND t.withdrawn = CAST($2 AS BIGINT)) AND device",
        ""
    ));
    for statement in [withdraw, forget] {
        sqlx::query(statement).bind(json_texts(devices)).bind(now.0).execute(tx.conn()).await?;
    }
    let query = sqlx::query(statement).bind(json_texts(devices)).bind(now.0);
    let new = query.execute(tx.conn()).await?.rows_affected();
    compliance_total::tally(tx, &moved, devices, 1).await?;
    Ok(new)
}

macro_rules! select {
    ($rest:literal) => {
        concat!(
            "SELECT p.id, p.name, p.baseline, p.baseline_size, p.target_device, p.target_collection, p.every, p.remediate, p.high_impact, \
             p.outside_windows, p.alert_from, p.policy_body, p.policy_size, p.created, p.created_by, p.deleted, \
             b.id AS baseline_id, b.name AS baseline_name, b.version AS baseline_version, b.outline \
             FROM baseline_deployment p JOIN baseline b ON b.hash = p.baseline ",
            $rest
        )
    };
}

/// The deployment of that id.
///
/// # Errors
/// When the database cannot be read.
pub async fn get(conn: &mut AnyConnection, id: DeploymentId) -> Result<Option<Shown>, StoreError> {
    let row = sqlx::query(select!("WHERE p.id = $1")).bind(id.to_string()).fetch_optional(conn).await?;
    row.as_ref().map(shown).transpose()
}

/// One page of all deployments, the newest first; and how many there are.
///
/// # Errors
/// When the database cannot be read.
pub async fn list(conn: &mut AnyConnection, offset: u64, limit: u32) -> Result<(Vec<Shown>, u64), StoreError> {
    let total: i64 = sqlx::query_scalar("SELECT COUNT(*) FROM baseline_deployment").fetch_one(&mut *conn).await?;
    let rows = sqlx::query(select!("ORDER BY p.created DESC, p.id DESC LIMIT $1 OFFSET $2"))
        .bind(i64::from(limit))
        .bind(column::signed(offset))
        .fetch_all(conn)
        .await?;
    Ok((rows.iter().map(shown).collect::<Result<_, _>>()?, column::unsigned(total)))
}

/// How many deployments of this baseline object are in force.
///
/// # Errors
/// When the database cannot be read.
pub async fn count_of(conn: &mut AnyConnection, baseline: Hash) -> Result<u64, StoreError> {
    let statement = "SELECT COUNT(*) FROM baseline_deployment WHERE baseline = $1 AND deleted IS NULL";
    let count: i64 = sqlx::query_scalar(statement).bind(baseline.to_string()).fetch_one(conn).await?;
    Ok(column::unsigned(count))
}

/// Deployments in force that put things right, the oldest first.
///
/// # Errors
/// When the database cannot be read.
pub async fn righting(conn: &mut AnyConnection, most: u32) -> Result<Vec<Shown>, StoreError> {
    let statement = select!("WHERE p.deleted IS NULL AND p.remediate <> 0 ORDER BY p.created, p.id LIMIT $1");
    sqlx::query(statement).bind(i64::from(most)).fetch_all(conn).await?.iter().map(shown).collect()
}

/// Whether a deployment goes to one of the active devices of a target.
///
/// # Errors
/// When the database cannot be read.
pub async fn overlaps(conn: &mut AnyConnection, deployment: DeploymentId, target: Target) -> Result<bool, StoreError> {
    let statement = "SELECT 1 AS found FROM compliance_device t JOIN device d ON d.id = t.device \
         WHERE t.deployment = $1 AND t.withdrawn IS NULL AND d.state = 'active' AND ($2 = '' OR d.id = $2) \
         AND ($3 = '' OR EXISTS (SELECT 1 FROM collection_member m \
         WHERE m.collection = $3 AND m.resource_id = d.resource_id)) LIMIT 1";
    let (device, collection) = columns(target);
    let query = sqlx::query(statement).bind(deployment.to_string()).bind(device.unwrap_or_default());
    Ok(query.bind(collection.unwrap_or_default()).fetch_optional(conn).await?.is_some())
}

/// Deletes a deployment: clients no longer evaluate it, its history stays. `false`: it was deleted before, or is not there.
///
/// # Errors
/// When the database cannot be written.
pub async fn delete(tx: &mut Tx, id: DeploymentId, now: UnixMillis) -> Result<bool, StoreError> {
    let statement = "UPDATE baseline_deployment SET deleted = $2 WHERE id = $1 AND deleted IS NULL";
    Ok(sqlx::query(statement).bind(id.to_string()).bind(now.0).execute(tx.conn()).await?.rows_affected() > 0)
}

/// Deployments to a collection that are in force: name, and whether they have high impact.
///
/// # Errors
/// When the database cannot be read.
pub async fn of_collection(conn: &mut AnyConnection, id: CollectionId) -> Result<Vec<(String, bool)>, StoreError> {
    let statement = "SELECT name, high_impact FROM baseline_deployment WHERE target_collection = $1 AND deleted IS NULL \
         ORDER BY created, id";
    let rows = sqlx::query(statement).bind(id.to_string()).fetch_all(conn).await?;
    rows.iter().map(|row| Ok((row.try_get("name")?, row.try_get::<i64, _>("high_impact")? != 0))).collect()
}

/// Asks for the assignments of all active devices of a deployment.
///
/// # Errors
/// When the database cannot be written.
pub async fn ask_targeted(tx: &mut Tx, deployment: DeploymentId, now: UnixMillis) -> Result<u64, StoreError> {
    let statement = "INSERT INTO job (kind, subject, due, attempts) \
         SELECT $1, t.device, CAST($2 AS BIGINT), 0 FROM compliance_device t JOIN device d ON d.id = t.device \
         WHERE t.deployment = $3 AND d.state = 'active' \
         ON CONFLICT (kind, subject) DO UPDATE SET due = excluded.due, attempts = 0";
    let query = sqlx::query(statement).bind(COMPILE).bind(now.0).bind(deployment.to_string());
    Ok(query.execute(tx.conn()).await?.rows_affected())
}

/// The policy bodies of these devices' baselines, in a fixed order: of each deployment that is in force its own, and once the
/// baseline. At most `most` deployments of a device, the oldest first.
///
/// # Errors
/// When the database cannot be read.
pub async fn wanted(
    tx: &mut Tx,
    devices: &[DeviceId],
    most: usize,
) -> Result<BTreeMap<DeviceId, Vec<BodyRef>>, StoreError> {
    let statement = tx.dialect().pick(in_texts!(
        "SELECT t.device, p.policy_body, p.policy_size, p.baseline, p.baseline_size \
         FROM compliance_device t JOIN baseline_deployment p ON p.id = t.deployment WHERE t.device",
        "AND p.deleted IS NULL AND t.withdrawn IS NULL ORDER BY t.device, p.created, p.id"
    ));
    let mut wanted: BTreeMap<DeviceId, Vec<BodyRef>> = BTreeMap::new();
    for row in sqlx::query(statement).bind(json_texts(devices)).fetch_all(tx.conn()).await? {
        let bodies = wanted.entry(parsed(&row, "device")?).or_default();
        if bodies.iter().filter(|body| body.kind == BodyKind::BaselineDeployment).count() >= most {
            continue;
        }
        let (hash, size) = (parsed(&row, "policy_body")?, column::count(&row, "policy_size")?);
        bodies.push(BodyRef { kind: BodyKind::BaselineDeployment, hash, size });
        let (hash, size) = (parsed(&row, "baseline")?, column::count(&row, "baseline_size")?);
        if !bodies.iter().any(|body| body.hash == hash) {
            bodies.push(BodyRef { kind: BodyKind::Baseline, hash, size });
        }
    }
    Ok(wanted)
}

/// What the site knows of a device's deployment of a baseline.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Known {
    /// The baseline object.
    pub baseline: Hash,
    /// The deployment's name.
    pub name: String,
    /// The settings of the baseline.
    pub outline: Arc<Vec<SettingOutline>>,
    /// From which severity on it is an alert.
    pub alert_from: Option<SettingSeverity>,
    /// Whether the device is counted: it did not leave the target.
    pub counted: bool,
    /// How the device stands.
    pub stand: Stand,
}

/// Outlines of baselines by the hash of their objects: they never change, and every report of a device needs one.
static OUTLINES: Mutex<BTreeMap<Hash, Arc<Vec<SettingOutline>>>> = Mutex::new(BTreeMap::new());
/// How many are kept in memory.
const MOST_OUTLINES: usize = 64;

/// What the site knows of these deployments and devices; of deleted deployments too, where that was after `since`.
///
/// # Errors
/// When the database cannot be read.
pub async fn known(
    tx: &mut Tx,
    devices: &[DeviceId],
    deployments: &[DeploymentId],
    since: UnixMillis,
) -> Result<HashMap<(DeviceId, DeploymentId), Known>, StoreError> {
    let statement = tx.dialect().pick([
        "SELECT t.*, p.baseline, p.name, p.alert_from \
         FROM compliance_device t JOIN baseline_deployment p ON p.id = t.deployment \
         WHERE t.device IN (SELECT value FROM json_each($1)) AND t.deployment IN (SELECT value FROM json_each($2)) \
         AND (p.deleted IS NULL OR p.deleted > $3)",
        "SELECT t.*, p.baseline, p.name, p.alert_from \
         FROM compliance_device t JOIN baseline_deployment p ON p.id = t.deployment \
         WHERE t.device IN (SELECT jsonb_array_elements_text(CAST($1 AS jsonb))) \
         AND t.deployment IN (SELECT jsonb_array_elements_text(CAST($2 AS jsonb))) \
         AND (p.deleted IS NULL OR p.deleted > $3)",
    ]);
    let mut known = HashMap::new();
    let query = sqlx::query(statement).bind(json_texts(devices)).bind(json_texts(deployments)).bind(since.0);
    for row in query.fetch_all(tx.conn()).await? {
        let baseline: Hash = parsed(&row, "baseline")?;
        let outline = outline_of(tx, baseline).await?;
        let of = Known {
            baseline,
            name: row.try_get("name")?,
            outline,
            alert_from: severity(row.try_get("alert_from")?),
            counted: row.try_get::<Option<i64>, _>("withdrawn")?.is_none(),
            stand: super::compliance::stand(&row)?,
        };
        known.insert((parsed(&row, "device")?, parsed(&row, "deployment")?), of);
    }
    Ok(known)
}

async fn outline_of(tx: &mut Tx, baseline: Hash) -> Result<Arc<Vec<SettingOutline>>, StoreError> {
    let kept = OUTLINES.lock().unwrap_or_else(PoisonError::into_inner).get(&baseline).cloned();
    if let Some(outline) = kept {
        return Ok(outline);
    }
    let query = sqlx::query("SELECT outline FROM baseline WHERE hash = $1").bind(baseline.to_string());
    let outline: Arc<Vec<SettingOutline>> = Arc::new(column::json(&query.fetch_one(tx.conn()).await?, "outline")?);
    let mut outlines = OUTLINES.lock().unwrap_or_else(PoisonError::into_inner);
    if outlines.len() >= MOST_OUTLINES {
        outlines.pop_first();
    }
    outlines.insert(baseline, outline.clone());
    drop(outlines);
    Ok(outline)
}

/// Removes some results of deployments that were deleted before `until`; how many rows went.
///
/// # Errors
/// When the database cannot be written.
pub async fn purge_results(tx: &mut Tx, until: UnixMillis, most: u32) -> Result<u64, StoreError> {
    compliance_total::forget_settings(tx, until.0).await?;
    let statement = "DELETE FROM compliance_setting WHERE (deployment, device, setting) IN (\
         SELECT s.deployment, s.device, s.setting FROM compliance_setting s \
         JOIN baseline_deployment p ON p.id = s.deployment WHERE p.deleted <= $1 LIMIT $2)";
    Ok(sqlx::query(statement).bind(until.0).bind(i64::from(most)).execute(tx.conn()).await?.rows_affected())
}
