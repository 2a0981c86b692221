//! How many devices a deployment may ever get to under the rule of the trust bundle, and who approved that.

use super::{
    StoreError, Tx,
    bulk::{in_texts, json_texts},
    column::{self, parsed, parsed_opt},
};
use muster_model::{
    id::{DeploymentId, DeviceId, Hash},
    time::UnixMillis,
};
use sqlx::{AnyConnection, Row, any::AnyRow};

/// A stored approval.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ApprovedRow {
    /// The signed bytes; a policy body.
    pub body: Hash,
    /// How many.
    pub size: u64,
    /// The key that signed.
    pub signer: Hash,
    /// The account that handed it in.
    pub sent_by: String,
    /// When it was signed.
    pub issued: UnixMillis,
    /// When it ends.
    pub expires: UnixMillis,
}

/// How far a deployment may reach.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ReachRow {
    /// The deployment.
    pub deployment: DeploymentId,
    /// How many devices may ever get it.
    pub reach: u64,
    /// It waits: no device is told of it.
    pub held: bool,
    /// Who approved it.
    pub approved: Option<ApprovedRow>,
    /// When an approval was taken back: what was signed until then counts no more.
    pub withdrawn: Option<UnixMillis>,
}

fn from_row(row: &AnyRow) -> Result<ReachRow, StoreError> {
    let time = |name: &str| row.try_get::<Option<i64>, _>(name).map(|time| UnixMillis(time.unwrap_or_default()));
    let body: Option<Hash> = parsed_opt(row, "body")?;
    let approved = match body {
        None => None,
        Some(body) => Some(ApprovedRow {
            body,
            size: column::count(row, "body_size")?,
            signer: parsed(row, "signer")?,
            sent_by: row.try_get("sent_by")?,
            issued: time("issued")?,
            expires: time("expires")?,
        }),
    };
    Ok(ReachRow {
        deployment: parsed(row, "deployment")?,
        reach: column::count(row, "reach")?,
        held: row.try_get::<i64, _>("held")? != 0,
        approved,
        withdrawn: row.try_get::<Option<i64>, _>("withdrawn")?.map(UnixMillis),
    })
}

/// Keeps how far a deployment may reach, in the place of what was known.
///
/// # Errors
/// When the database cannot be written.
pub async fn put(tx: &mut Tx, row: &ReachRow) -> Result<(), StoreError> {
    let statement = "INSERT INTO deployment_approval \
         (deployment, reach, held, body, body_size, signer, sent_by, issued, expires, withdrawn) \
         VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10) ON CONFLICT (deployment) DO UPDATE SET \
         reach = excluded.reach, held = excluded.held, body = excluded.body, body_size = excluded.body_size, \
         signer = excluded.signer, sent_by = excluded.sent_by, issued = excluded.issued, expires = excluded.expires, \
         withdrawn = excluded.withdrawn";
    let approved = row.approved.as_ref();
    sqlx::query(statement)
        .bind(row.deployment.to_string())
        .bind(column::signed(row.reach))
        .bind(i64::from(row.held))
        .bind(approved.map(|approved| approved.body.to_string()))
        .bind(approved.map(|approved| column::signed(approved.size)))
        .bind(approved.map(|approved| approved.signer.to_string()))
        .bind(approved.map(|approved| approved.sent_by.clone()))
        .bind(approved.map(|approved| approved.issued.0))
        .bind(approved.map(|approved| approved.expires.0))
        .bind(row.withdrawn.map(|withdrawn| withdrawn.0))
        .execute(tx.conn())
        .await?;
    Ok(())
}

/// How far a deployment may reach; `None`: no rule was there when it was made.
///
/// # Errors
/// When the database cannot be read.
pub async fn get(conn: &mut AnyConnection, deployment: DeploymentId) -> Result<Option<ReachRow>, StoreError> {
    let statement = "SELECT deployment, reach, held, body, body_size, signer, sent_by, issued, expires, withdrawn \
         FROM deployment_approval WHERE deployment = $1";
    let row = sqlx::query(statement).bind(deployment.to_string()).fetch_optional(conn).await?;
    row.as_ref().map(from_row).transpose()
}

/// How many devices a deployment ever got to, those that left its collection included.
///
/// # Errors
/// When the database cannot be read.
pub async fn reached(conn: &mut AnyConnection, deployment: DeploymentId) -> Result<u64, StoreError> {
    let statement = "SELECT COUNT(*) FROM deployment_device WHERE deployment = $1";
    let count: i64 = sqlx::query_scalar(statement).bind(deployment.to_string()).fetch_one(conn).await?;
    Ok(column::unsigned(count))
}

/// Whether a deployment ever got to more devices than `above`. Looks at no more rows than it must.
///
/// # Errors
/// When the database cannot be read.
pub async fn reached_over(conn: &mut AnyConnection, deployment: DeploymentId, above: u64) -> Result<bool, StoreError> {
    let statement = "SELECT 1 FROM deployment_device WHERE deployment = $1 LIMIT 1 OFFSET $2";
    let query = sqlx::query(statement).bind(deployment.to_string()).bind(column::signed(above));
    Ok(query.fetch_optional(conn).await?.is_some())
}

/// Devices of its target that a deployment may not get to, because it reached as many as it may.
///
/// # Errors
/// When the database cannot be read.
pub async fn left_out(conn: &mut AnyConnection, deployment: DeploymentId) -> Result<u64, StoreError> {
    let statement = "SELECT COUNT(*) FROM deployment p JOIN deployment_approval a ON a.deployment = p.id \
         JOIN device d ON d.state = 'active' WHERE p.id = $1 AND p.target_device IS NULL AND p.deleted IS NULL \
         AND (p.target_collection IS NULL OR EXISTS (SELECT 1 FROM collection_member m \
         WHERE m.collection = p.target_collection AND m.resource_id = d.resource_id)) \
         AND NOT EXISTS (SELECT 1 FROM deployment_device t WHERE t.deployment = p.id AND t.device = d.id)";
    let count: i64 = sqlx::query_scalar(statement).bind(deployment.to_string()).fetch_one(conn).await?;
    Ok(column::unsigned(count))
}

/// Notes deployments that may reach so many devices and no more for those of `devices` that are new in their targets. Whoever got one
/// and left counts for ever: by coming and going nothing reaches further than was approved.
///
/// # Errors
/// When the database cannot be written.
pub async fn target_new(tx: &mut Tx, devices: &[DeviceId], now: UnixMillis) -> Result<u64, StoreError> {
    let statement = tx.dialect().pick(in_texts!(
        "INSERT INTO deployment_device (deployment, device, state, output, changed) \
         SELECT x.deployment, x.device, 'targeted', '', CAST($2 AS BIGINT) FROM (\
         SELECT p.id AS deployment, d.id AS device, ROW_NUMBER() OVER (PARTITION BY p.id ORDER BY d.id) AS place, \
         a.reach - (SELECT COUNT(*) FROM deployment_device t WHERE t.deployment = p.id) AS room \
         FROM deployment_approval a JOIN deployment p ON p.id = a.deployment CROSS JOIN device d \
         WHERE a.held = 0 AND p.target_device IS NULL AND p.deleted IS NULL \
         AND (p.target_collection IS NULL OR EXISTS (SELECT 1 FROM collection_member m \
         WHERE m.collection = p.target_collection AND m.resource_id = d.resource_id)) \
         AND NOT EXISTS (SELECT 1 FROM deployment_device t WHERE t.deployment = p.id AND t.device = d.id) AND d.id",
        ") x WHERE x.place <= x.room ON CONFLICT (deployment, device) DO NOTHING"
    ));
    let query = sqlx::query(statement).bind(json_texts(devices)).bind(now.0);
    Ok(query.execute(tx.conn()).await?.rows_affected())
}

/// Notes one deployment for as many of the active devices of its target as it may still get to.
///
/// # Errors
/// When the database cannot be written.
pub async fn target(tx: &mut Tx, deployment: DeploymentId, now: UnixMillis) -> Result<u64, StoreError> {
    let statement = "INSERT INTO deployment_device (deployment, device, state, output, changed) \
         SELECT x.deployment, x.device, 'targeted', '', CAST($2 AS BIGINT) FROM (\
         SELECT p.id AS deployment, d.id AS device, ROW_NUMBER() OVER (PARTITION BY p.id ORDER BY d.id) AS place, \
         a.reach - (SELECT COUNT(*) FROM deployment_device t WHERE t.deployment = p.id) AS room \
         FROM deployment_approval a JOIN deployment p ON p.id = a.deployment CROSS JOIN device d \
         WHERE p.id = $1 AND a.held = 0 AND d.state = 'active' AND p.target_device IS NULL AND p.deleted IS NULL \
         AND (p.target_collection IS NULL OR EXISTS (SELECT 1 FROM collection_member m \
         WHERE m.collection = p.target_collection AND m.resource_id = d.resource_id)) \
         AND NOT EXISTS (SELECT 1 FROM deployment_device t WHERE t.deployment = p.id AND t.device = d.id)\
         ) x WHERE x.place <= x.room ON CONFLICT (deployment, device) DO NOTHING";
    let query = sqlx::query(statement).bind(deployment.to_string()).bind(now.0);
    Ok(query.execute(tx.conn()).await?.rows_affected())
}
