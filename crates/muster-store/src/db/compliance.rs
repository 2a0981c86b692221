//! How devices stand to the baselines that are deployed to them, as they said last.

use super::{
    StoreError, Tx,
    baseline_deployment::{number, severity},
    bulk::Bulk,
    column::{self, parsed, parsed_opt},
};
use muster_model::{
    api::{DeviceCompliance, ResultQuery},
    baseline::SettingSeverity,
    compliance::{ComplianceReason, ComplianceState, SettingResult},
    id::{DeploymentId, DeviceId, Hash},
    status::WaitReason,
    time::UnixMillis,
};
use sqlx::{AnyConnection, Row, any::AnyRow};

/// How a device stands, as it said.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Stand {
    /// The deployment.
    pub deployment: DeploymentId,
    /// The device.
    pub device: DeviceId,
    /// The state of the whole.
    pub state: ComplianceState,
    /// The highest severity of the settings that are not as they should be.
    pub severity: Option<SettingSeverity>,
    /// Why nothing could be found out.
    pub reason: Option<ComplianceReason>,
    /// The digest of the results.
    pub digest: Option<Hash>,
    /// What the next evaluation waits for, and until when.
    pub waits: Option<(WaitReason, Option<UnixMillis>)>,
    /// When it was evaluated, by the client's clock.
    pub evaluated: Option<UnixMillis>,
    /// Since when it stands so.
    pub changed: UnixMillis,
}

/// A result of one setting.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ResultRow {
    /// The device.
    pub device: DeviceId,
    /// Its host name.
    pub device_name: String,
    /// The setting's number.
    pub setting: u32,
    /// What was found.
    pub result: SettingResult,
    /// Since when.
    pub changed: UnixMillis,
}

pub(super) fn state(row: &AnyRow) -> Result<ComplianceState, StoreError> {
    let text: &str = row.try_get("state")?;
    ComplianceState::of(text).ok_or_else(|| StoreError::Corrupt("column state".to_owned()))
}

fn reason(row: &AnyRow) -> Result<Option<ComplianceReason>, StoreError> {
    let text: Option<&str> = row.try_get("reason")?;
    Ok(text.and_then(ComplianceReason::of))
}

fn waits(row: &AnyRow) -> Result<Option<WaitReason>, StoreError> {
    let text: Option<&str> = row.try_get("waits")?;
    Ok(text.and_then(|text| WaitReason::ALL.iter().copied().find(|reason| reason.as_str() == text)))
}

/// How a device stands, from a row of `compliance_device`.
pub(super) fn stand(row: &AnyRow) -> Result<Stand, StoreError> {
    let time = |name: &str| row.try_get::<Option<i64>, _>(name).map(|time| time.map(UnixMillis));
    let starts = time("starts")?;
    Ok(Stand {
        deployment: parsed(row, "deployment")?,
        device: parsed(row, "device")?,
        state: state(row)?,
        severity: severity(row.try_get("severity")?),
        reason: reason(row)?,
        digest: parsed_opt(row, "digest")?,
        waits: waits(row)?.map(|reason| (reason, starts)),
        evaluated: time("evaluated")?,
        changed: column::time(row, "changed")?,
    })
}

static STAND: Bulk = Bulk::new(
    "INSERT INTO compliance_device \
     (deployment, device, state, severity, reason, digest, waits, starts, evaluated, changed)",
    10,
    "ON CONFLICT (deployment, device) DO UPDATE SET state = excluded.state, severity = excluded.severity, \
     reason = excluded.reason, digest = excluded.digest, waits = excluded.waits, starts = excluded.starts, \
     evaluated = excluded.evaluated, changed = excluded.changed",
);

/// Notes how devices stand, at most once for each deployment and device, for pairs that are known.
///
/// # Errors
/// When the database cannot be written.
pub async fn put(tx: &mut Tx, stands: &[Stand]) -> Result<(), StoreError> {
    STAND
        .run(tx, stands, |query, stand| {
            query
                .bind(stand.deployment.to_string())
                .bind(stand.device.to_string())
                .bind(stand.state.as_str())
                .bind(stand.severity.map(number))
                .bind(stand.reason.map(ComplianceReason::as_str))
                .bind(stand.digest.map(|digest| digest.to_string()))
                .bind(stand.waits.map(|(reason, _)| reason.as_str()))
                .bind(stand.waits.and_then(|(_, starts)| starts).map(|starts| starts.0))
                .bind(stand.evaluated.map(|evaluated| evaluated.0))
                .bind(stand.changed.0)
        })
        .await?;
    Ok(())
}

static RESULT: Bulk = Bulk::new(
    "INSERT INTO compliance_setting (deployment, device, setting, state, value, reason, detail, changed)",
    8,
    "ON CONFLICT (deployment, device, setting) DO UPDATE SET state = excluded.state, value = excluded.value, \
     reason = excluded.reason, detail = excluded.detail, changed = excluded.changed \
     WHERE compliance_setting.state <> excluded.state OR COALESCE(compliance_setting.value, '') <> COALESCE(excluded.value, '') \
     OR COALESCE(compliance_setting.reason, '') <> COALESCE(excluded.reason, '') OR compliance_setting.detail <> excluded.detail",
);

/// A deployment and a device.
pub type Pair = (DeploymentId, DeviceId);

/// A result of a setting, by its number, and since when.
pub type Found<'a> = (Pair, u32, &'a SettingResult, UnixMillis);

/// Notes results, each setting of a pair once. A row that stays as it is is not written.
///
/// # Errors
/// When the database cannot be written.
pub async fn put_results(tx: &mut Tx, results: &[Found<'_>]) -> Result<(), StoreError> {
    RESULT
        .run(tx, results, |query, ((deployment, device), number, result, changed)| {
            query
                .bind(deployment.to_string())
                .bind(device.to_string())
                .bind(i64::from(*number))
                .bind(result.state.as_str())
                .bind(result.value.clone())
                .bind(result.reason.map(ComplianceReason::as_str))
                .bind(result.detail.clone())
                .bind(changed.0)
        })
        .await?;
    Ok(())
}

/// A JSON array of pairs.
fn json_pairs(pairs: &[Pair]) -> String {
    let texts: Vec<[String; 2]> =
        pairs.iter().map(|(deployment, device)| [deployment.to_string(), device.to_string()]).collect();
    column::to_json(&texts)
}

/// How settings of these devices stand: pair, number and state.
///
/// # Errors
/// When the database cannot be read.
pub async fn setting_states(tx: &mut Tx, pairs: &[Pair]) -> Result<Vec<(Pair, u32, ComplianceState)>, StoreError> {
    if pairs.is_empty() {
        return Ok(Vec::new());
    }
    let statement = tx.dialect().pick([
        "SELECT s.deployment, s.device, s.setting, s.state FROM json_each($1) j CROSS JOIN compliance_setting s \
         ON s.deployment = json_extract(j.value, '$[0]') AND s.device = json_extract(j.value, '$[1]')",
        "SELECT s.deployment, s.device, s.setting, s.state FROM jsonb_array_elements(CAST($1 AS jsonb)) j \
         JOIN compliance_setting s ON s.deployment = j ->> 0 AND s.device = j ->> 1",
    ]);
    let rows = sqlx::query(statement).bind(json_pairs(pairs)).fetch_all(tx.conn()).await?;
    let found = |row: &AnyRow| {
        let setting = u32::try_from(row.try_get::<i64, _>("setting")?).unwrap_or_default();
        Ok(((parsed(row, "deployment")?, parsed(row, "device")?), setting, state(row)?))
    };
    rows.iter().map(found).collect()
}

/// Forgets the results of these devices, of which nothing holds any more.
///
/// # Errors
/// When the database cannot be written.
pub async fn clear_results(tx: &mut Tx, pairs: &[Pair]) -> Result<(), StoreError> {
    if pairs.is_empty() {
        return Ok(());
    }
    let statement = tx.dialect().pick([
        "DELETE FROM compliance_setting WHERE (deployment, device) IN \
         (SELECT json_extract(value, '$[0]'), json_extract(value, '$[1]') FROM json_each($1))",
        "DELETE FROM compliance_setting WHERE (deployment, device) IN \
         (SELECT j ->> 0, j ->> 1 FROM jsonb_array_elements(CAST($1 AS jsonb)) j)",
    ]);
    sqlx::query(statement).bind(json_pairs(pairs)).execute(tx.conn()).await?;
    Ok(())
}

fn device_compliance(row: &AnyRow) -> Result<DeviceCompliance, StoreError> {
    Ok(DeviceCompliance {
        deployment: parsed(row, "deployment")?,
        deployment_name: row.try_get("deployment_name")?,
        device: parsed(row, "device")?,
        device_name: row.try_get("device_name")?,
        state: state(row)?,
        severity: severity(row.try_get("severity")?),
        reason: reason(row)?,
        waits: waits(row)?,
        starts: row.try_get::<Option<i64>, _>("starts")?.map(UnixMillis),
        evaluated: row.try_get::<Option<i64>, _>("evaluated")?.map(UnixMillis),
        changed: column::time(row, "changed")?,
    })
}

macro_rules! select_devices {
    ($rest:literal) => {
        concat!(
            "SELECT t.deployment, p.name AS deployment_name, t.device, d.name AS device_name, t.state, t.severity, t.reason, \
             t.waits, t.starts, t.evaluated, t.changed FROM compliance_device t \
             JOIN baseline_deployment p ON p.id = t.deployment JOIN device d ON d.id = t.device ",
            $rest
        )
    };
}

/// One page of the devices of a deployment, of one state or of all, those that do not comply first; and how many there are.
///
/// # Errors
/// When the database cannot be read.
pub async fn devices(
    conn: &mut AnyConnection,
    deployment: DeploymentId,
    state: Option<ComplianceState>,
    offset: u64,
    limit: u32,
) -> Result<(Vec<DeviceCompliance>, u64), StoreError> {
    let state = state.map_or("", ComplianceState::as_str);
    let statement = "SELECT COUNT(*) FROM compliance_device WHERE deployment = $1 AND ($2 = '' OR state = $2) \
         AND withdrawn IS NULL";
    let total: i64 =
        sqlx::query_scalar(statement).bind(deployment.to_string()).bind(state).fetch_one(&mut *conn).await?;
    let rows = sqlx::query(select_devices!(
        "WHERE t.deployment = $1 AND ($2 = '' OR t.state = $2) AND t.withdrawn IS NULL \
         ORDER BY COALESCE(t.severity, -1) DESC, t.state, d.name, t.device LIMIT $3 OFFSET $4"
    ))
    .bind(deployment.to_string())
    .bind(state)
    .bind(i64::from(limit))
    .bind(column::signed(offset))
    .fetch_all(conn)
    .await?;
    Ok((rows.iter().map(device_compliance).collect::<Result<_, _>>()?, column::unsigned(total)))
}

/// The baselines of a device that are in force, by name.
///
/// # Errors
/// When the database cannot be read.
pub async fn of_device(conn: &mut AnyConnection, device: DeviceId) -> Result<Vec<DeviceCompliance>, StoreError> {
    let statement = select_devices!(
        "WHERE t.device = $1 AND p.deleted IS NULL AND t.withdrawn IS NULL ORDER BY p.name, p.id LIMIT 500"
    );
    let rows = sqlx::query(statement).bind(device.to_string()).fetch_all(conn).await?;
    rows.iter().map(device_compliance).collect()
}

/// One page of results of a deployment, by setting and device; and how many there are.
///
/// # Errors
/// When the database cannot be read.
pub async fn results(
    conn: &mut AnyConnection,
    deployment: DeploymentId,
    wanted: &ResultQuery,
    limit: u32,
) -> Result<(Vec<ResultRow>, u64), StoreError> {
    macro_rules! of {
        ($what:literal, $rest:literal) => {
            concat!(
                "SELECT ",
                $what,
                " FROM compliance_setting s JOIN compliance_device t ON t.deployment = s.deployment AND t.device = s.device \
                 JOIN device d ON d.id = s.device WHERE s.deployment = $1 AND t.withdrawn IS NULL \
                 AND ($2 = '' OR s.device = $2) AND ($3 < 0 OR s.setting = $3) AND ($4 = '' OR s.state = $4) \
                 AND ($5 = 0 OR s.state IN ('error', 'conflict', 'non_compliant')) ",
                $rest
            )
        };
    }
    let device = wanted.device.map(|device| device.to_string()).unwrap_or_default();
    let setting = wanted.setting.map_or(-1, i64::from);
    let state_of = wanted.state.map_or("", ComplianceState::as_str);
    let total: i64 = sqlx::query_scalar(of!("COUNT(*)", ""))
        .bind(deployment.to_string())
        .bind(device.clone())
        .bind(setting)
        .bind(state_of)
        .bind(i64::from(wanted.differs))
        .fetch_one(&mut *conn)
        .await?;
    let rows = sqlx::query(of!(
        "s.device, d.name AS device_name, s.setting, s.state, s.value, s.reason, s.detail, s.changed",
        "ORDER BY s.setting, d.name, s.device LIMIT $6 OFFSET $7"
    ))
    .bind(deployment.to_string())
    .bind(device)
    .bind(setting)
    .bind(state_of)
    .bind(i64::from(wanted.differs))
    .bind(i64::from(limit))
    .bind(column::signed(wanted.offset))
    .fetch_all(conn)
    .await?;
    let result = |row: &AnyRow| -> Result<ResultRow, StoreError> {
        Ok(ResultRow {
            device: parsed(row, "device")?,
            device_name: row.try_get("device_name")?,
            setting: u32::try_from(row.try_get::<i64, _>("setting")?).unwrap_or_default(),
            result: SettingResult {
                state: state(row)?,
                value: row.try_get("value")?,
                reason: reason(row)?,
                detail: row.try_get("detail")?,
            },
            changed: column::time(row, "changed")?,
        })
    };
    Ok((rows.iter().map(result).collect::<Result<_, _>>()?, column::unsigned(total)))
}
