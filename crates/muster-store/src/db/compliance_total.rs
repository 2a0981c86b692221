//! How many devices stand how to a baseline and to each of its settings, counted as they change. Always equal to the parts: whoever
//! changes a part holds the deployment, and changes the total in the same transaction.

use super::{
    Dialect, StoreError, Tx,
    bulk::{Bulk, in_texts, json_texts},
    column::{self, parsed},
};
use muster_model::{
    compliance::ComplianceState,
    id::{DeploymentId, DeviceId},
};
use sqlx::{AnyConnection, Row};
use std::collections::{BTreeMap, HashMap};

/// What is added to totals, or taken away.
#[derive(Debug, Default)]
pub struct Change {
    /// Of each deployment and state: devices, and how many of them are alerts.
    devices: BTreeMap<(DeploymentId, ComplianceState), (i64, i64)>,
    /// Of each deployment, setting and state: devices.
    settings: BTreeMap<(DeploymentId, u32, ComplianceState), i64>,
}

impl Change {
    /// A device stands so from now on (`1`), or no longer (`-1`).
    pub fn device(&mut self, deployment: DeploymentId, state: ComplianceState, alert: bool, by: i64) {
        let total = self.devices.entry((deployment, state)).or_default();
        *total = (total.0 + by, total.1 + if alert { by } else { 0 });
    }

    /// A setting of a device stands so from now on (`1`), or no longer (`-1`).
    pub fn setting(&mut self, deployment: DeploymentId, setting: u32, state: ComplianceState, by: i64) {
        *self.settings.entry((deployment, setting, state)).or_default() += by;
    }
}

/// Keeps every other transaction from changing how devices stand to these deployments.
///
/// # Errors
/// When the database cannot be read.
pub async fn lock(tx: &mut Tx, deployments: &[DeploymentId]) -> Result<(), StoreError> {
    // SQLite has one writer anyway. In one order, so that two never wait in a ring.
    let statement = "SELECT id FROM baseline_deployment WHERE id IN (SELECT jsonb_array_elements_text(CAST($1 AS jsonb))) \
         ORDER BY id FOR NO KEY UPDATE";
    if tx.dialect() == Dialect::Postgres && !deployments.is_empty() {
        sqlx::query(statement).bind(json_texts(deployments)).fetch_all(tx.conn()).await?;
    }
    Ok(())
}

static DEVICES: Bulk = Bulk::new(
    "INSERT INTO compliance_total (deployment, state, devices, alerts)",
    4,
    "ON CONFLICT (deployment, state) DO UPDATE SET devices = compliance_total.devices + excluded.devices, \
     alerts = compliance_total.alerts + excluded.alerts",
);

static SETTINGS: Bulk = Bulk::new(
    "INSERT INTO compliance_setting_total (deployment, setting, state, devices)",
    4,
    "ON CONFLICT (deployment, setting, state) DO UPDATE SET \
     devices = compliance_setting_total.devices + excluded.devices",
);

/// Adds a change to the totals. The deployments are locked.
///
/// # Errors
/// When the database cannot be written.
pub async fn add(tx: &mut Tx, change: &Change) -> Result<(), StoreError> {
    let devices: Vec<_> = change.devices.iter().filter(|(_, by)| **by != (0, 0)).collect();
    DEVICES
        .run(tx, &devices, |query, ((deployment, state), (devices, alerts))| {
            query.bind(deployment.to_string()).bind(state.as_str()).bind(*devices).bind(*alerts)
        })
        .await?;
    let settings: Vec<_> = change.settings.iter().filter(|(_, by)| **by != 0).collect();
    SETTINGS
        .run(tx, &settings, |query, ((deployment, setting, state), by)| {
            query.bind(deployment.to_string()).bind(i64::from(*setting)).bind(state.as_str()).bind(**by)
        })
        .await?;
    Ok(())
}

/// Adds the parts of these devices (`1`), or takes them away (`-1`), as they stand now. The deployments are locked.
pub(super) async fn tally(
    tx: &mut Tx,
    deployments: &[DeploymentId],
    devices: &[DeviceId],
    by: i64,
) -> Result<(), StoreError> {
    let of_devices = tx.dialect().pick([
        "INSERT INTO compliance_total (deployment, state, devices, alerts) \
         SELECT t.deployment, t.state, $3 * COUNT(*), $3 * SUM(CASE WHEN t.severity >= p.alert_from THEN 1 ELSE 0 END) \
         FROM compliance_device t JOIN baseline_deployment p ON p.id = t.deployment \
         WHERE t.device IN (SELECT value FROM json_each($1)) AND t.deployment IN (SELECT value FROM json_each($2)) \
         AND t.withdrawn IS NULL GROUP BY t.deployment, t.state ON CONFLICT (deployment, state) DO UPDATE SET \
         devices = compliance_total.devices + excluded.devices, alerts = compliance_total.alerts + excluded.alerts",
        "INSERT INTO compliance_total (deployment, state, devices, alerts) \
         SELECT t.deployment, t.state, CAST($3 AS BIGINT) * COUNT(*), \
         CAST($3 AS BIGINT) * CAST(SUM(CASE WHEN t.severity >= p.alert_from THEN 1 ELSE 0 END) AS BIGINT) \
         FROM compliance_device t JOIN baseline_deployment p ON p.id = t.deployment \
         WHERE t.device IN (SELECT jsonb_array_elements_text(CAST($1 AS jsonb))) \
         AND t.deployment IN (SELECT jsonb_array_elements_text(CAST($2 AS jsonb))) \
         AND t.withdrawn IS NULL GROUP BY t.deployment, t.state ORDER BY t.deployment, t.state \
         ON CONFLICT (deployment, state) DO UPDATE SET \
         devices = compliance_total.devices + excluded.devices, alerts = compliance_total.alerts + excluded.alerts",
    ]);
    let of_settings = tx.dialect().pick([
        "INSERT INTO compliance_setting_total (deployment, setting, state, devices) \
         SELECT s.deployment, s.setting, s.state, $3 * COUNT(*) FROM compliance_device t \
         JOIN compliance_setting s ON s.deployment = t.deployment AND s.device = t.device \
         WHERE t.device IN (SELECT value FROM json_each($1)) AND t.deployment IN (SELECT value FROM json_each($2)) \
         AND t.withdrawn IS NULL GROUP BY s.deployment, s.setting, s.state \
         ON CONFLICT (deployment, setting, state) DO UPDATE SET \
         devices = compliance_setting_total.devices + excluded.devices",
        "INSERT INTO compliance_setting_total (deployment, setting, state, devices) \
         SELECT s.deployment, s.setting, s.state, CAST($3 AS BIGINT) * COUNT(*) FROM compliance_device t \
         JOIN compliance_setting s ON s.deployment = t.deployment AND s.device = t.device \
         WHERE t.device IN (SELECT jsonb_array_elements_text(CAST($1 AS jsonb))) \
         AND t.deployment IN (SELECT jsonb_array_elements_text(CAST($2 AS jsonb))) \
         AND t.withdrawn IS NULL GROUP BY s.deployment, s.setting, s.state \
         ON CONFLICT (deployment, setting, state) DO UPDATE SET \
         devices = compliance_setting_total.devices + excluded.devices",
    ]);
    for statement in [of_devices, of_settings] {
        let query = sqlx::query(statement).bind(json_texts(devices)).bind(json_texts(deployments)).bind(by);
        query.execute(tx.conn()).await?;
    }
    Ok(())
}

/// The settings of a deployment of which nothing is kept any more are counted no more.
pub(super) async fn forget_settings(tx: &mut Tx, until: i64) -> Result<(), StoreError> {
    let statement = "DELETE FROM compliance_setting_total WHERE deployment IN \
         (SELECT id FROM baseline_deployment WHERE deleted <= $1)";
    sqlx::query(statement).bind(until).execute(tx.conn()).await?;
    Ok(())
}

/// Devices by state, counted, of each of these deployments; and how many of them are alerts.
///
/// # Errors
/// When the database cannot be read.
pub async fn totals(
    conn: &mut AnyConnection,
    dialect: Dialect,
    deployments: &[DeploymentId],
) -> Result<HashMap<DeploymentId, (BTreeMap<String, u64>, u64)>, StoreError> {
    let statement = dialect.pick(in_texts!(
        "SELECT deployment, state, devices, alerts FROM compliance_total WHERE devices > 0 AND deployment",
        ""
    ));
    let mut totals: HashMap<DeploymentId, (BTreeMap<String, u64>, u64)> = HashMap::new();
    for row in sqlx::query(statement).bind(json_texts(deployments)).fetch_all(conn).await? {
        let of = totals.entry(parsed(&row, "deployment")?).or_default();
        of.0.insert(row.try_get("state")?, column::count(&row, "devices")?);
        of.1 += column::count(&row, "alerts")?;
    }
    Ok(totals)
}

/// Devices by setting and state, counted, of a deployment. Those that said nothing are in none.
///
/// # Errors
/// When the database cannot be read.
pub async fn setting_totals(
    conn: &mut AnyConnection,
    deployment: DeploymentId,
) -> Result<HashMap<u32, BTreeMap<String, u64>>, StoreError> {
    let statement =
        "SELECT setting, state, devices FROM compliance_setting_total WHERE deployment = $1 AND devices > 0";
    let mut totals: HashMap<u32, BTreeMap<String, u64>> = HashMap::new();
    for row in sqlx::query(statement).bind(deployment.to_string()).fetch_all(conn).await? {
        let setting = u32::try_from(row.try_get::<i64, _>("setting")?).unwrap_or_default();
        totals.entry(setting).or_default().insert(row.try_get("state")?, column::count(&row, "devices")?);
    }
    Ok(totals)
}
