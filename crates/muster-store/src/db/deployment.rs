//! Deployments, and where each stands on each of its devices.

mod report;

pub use report::{Known, known, report};

use super::{
    StoreError, Tx,
    bulk::{in_texts, json_texts},
    column::{self, parsed, parsed_opt},
};
use muster_model::{
    api::{DeviceDeployment, Target},
    id::{ApplicationId, DeploymentId, DeviceId, Hash, Name},
    policy::{Action, Deferral, Purpose},
    program::DeploymentOptions,
    status::{DeploymentState, FailureReason, WaitReason},
    time::UnixMillis,
};
use sqlx::{AnyConnection, Row, any::AnyRow};
use std::collections::{BTreeMap, HashMap};

/// A stored deployment.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DeploymentRow {
    /// The id.
    pub id: DeploymentId,
    /// The name.
    pub name: Name,
    /// The application object.
    pub application: Hash,
    /// Its bytes.
    pub application_size: u64,
    /// For whom.
    pub target: Target,
    /// Whether only what the site itself knows may decide who gets it.
    pub high_impact: bool,
    /// Whether clients do not wait for a maintenance window.
    pub outside_windows: bool,
    /// Whether it goes into the overlay where a write filter protects a device.
    pub volatile: bool,
    /// Whether it keeps to the windows for updates.
    pub software_update: bool,
    /// Whether and when it runs again, values, and whether users are told.
    pub options: DeploymentOptions,
    /// Whether, and how far, users may put it off.
    pub deferral: Option<Deferral>,
    /// Whether the application is to be there.
    pub action: Action,
    /// Whether clients begin by themselves.
    pub purpose: Purpose,
    /// Not before.
    pub available: UnixMillis,
    /// When clients start by themselves.
    pub deadline: UnixMillis,
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
    /// Changes with the row.
    pub revision: u64,
}

/// A deployment with what its application is called.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Shown {
    /// The row.
    pub row: DeploymentRow,
    /// The application, over all of its versions.
    pub application_id: ApplicationId,
    /// Its name.
    pub application_name: String,
    /// Its version.
    pub application_version: String,
}

/// What a device says of one of its deployments.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Step {
    /// The deployment.
    pub deployment: DeploymentId,
    /// The device.
    pub device: DeviceId,
    /// Where it stands.
    pub state: DeploymentState,
    /// Why it failed.
    pub reason: Option<FailureReason>,
    /// Exit code of the install command.
    pub exit_code: Option<i32>,
    /// The end of what it printed.
    pub output: String,
    /// When, by the client's clock.
    pub changed: UnixMillis,
    /// What it waits for.
    pub waits: Option<WaitReason>,
    /// Until when, as the client knows.
    pub starts: Option<UnixMillis>,
    /// The device has to be restarted.
    pub restart: bool,
    /// It had succeeded, and was undone.
    pub undone: bool,
    /// The deployment type that it took, where there are several.
    pub deployment_type: Option<Name>,
    /// How often users put it off.
    pub deferred: u32,
}

pub(super) fn state(row: &AnyRow) -> Result<DeploymentState, StoreError> {
    let text: &str = row.try_get("state")?;
    let known = DeploymentState::ALL.iter().copied().find(|state| state.as_str() == text);
    known.ok_or_else(|| StoreError::Corrupt("column state".to_owned()))
}

pub(super) fn reason(row: &AnyRow) -> Result<Option<FailureReason>, StoreError> {
    let text: Option<&str> = row.try_get("reason")?;
    Ok(text.and_then(|text| FailureReason::ALL.iter().copied().find(|reason| reason.as_str() == text)))
}

pub(super) fn waits(row: &AnyRow) -> Result<Option<WaitReason>, StoreError> {
    let text: Option<&str> = row.try_get("waits")?;
    Ok(text.and_then(|text| WaitReason::ALL.iter().copied().find(|reason| reason.as_str() == text)))
}

fn action(row: &AnyRow) -> Result<Action, StoreError> {
    let text: &str = row.try_get("action")?;
    let known = Action::ALL.iter().copied().find(|action| action.as_str() == text);
    known.ok_or_else(|| StoreError::Corrupt("column action".to_owned()))
}

fn purpose(row: &AnyRow) -> Result<Purpose, StoreError> {
    let text: &str = row.try_get("purpose")?;
    let known = Purpose::ALL.iter().copied().find(|purpose| purpose.as_str() == text);
    known.ok_or_else(|| StoreError::Corrupt("column purpose".to_owned()))
}

/// As JSON; none where nothing was said.
fn options(row: &AnyRow) -> Result<DeploymentOptions, StoreError> {
    let text: Option<&str> = row.try_get("options")?;
    text.map_or_else(|| Ok(DeploymentOptions::default()), serde_json::from_str)
        .map_err(|_| StoreError::Corrupt("column options".to_owned()))
}

fn options_text(options: &DeploymentOptions) -> Result<Option<String>, StoreError> {
    let text = (!options.is_none()).then(|| serde_json::to_string(options)).transpose();
    text.map_err(|_| StoreError::Corrupt("column options".to_owned()))
}

fn deferral(row: &AnyRow) -> Result<Option<Deferral>, StoreError> {
    let number = |name| Ok::<_, StoreError>(row.try_get::<Option<i64>, _>(name)?.and_then(|n| u32::try_from(n).ok()));
    let (times, minutes, grace) = (number("defer_times")?, number("defer_minutes")?, number("defer_grace")?);
    Ok(match (times, minutes, grace) {
        (Some(times), Some(minutes), Some(grace_minutes)) => Some(Deferral { times, minutes, grace_minutes }),
        _ => None,
    })
}

fn shown(row: &AnyRow) -> Result<Shown, StoreError> {
    let target = match (parsed_opt(row, "target_device")?, parsed_opt(row, "target_collection")?) {
        (Some(device), _) => Target::Device { device },
        (None, Some(collection)) => Target::Collection { collection },
        (None, None) => Target::AllSystems,
    };
    let deleted: Option<i64> = row.try_get("deleted")?;
    Ok(Shown {
        row: DeploymentRow {
            id: parsed(row, "id")?,
            name: parsed(row, "name")?,
            application: parsed(row, "application")?,
            application_size: column::count(row, "application_size")?,
            target,
            high_impact: row.try_get::<i64, _>("high_impact")? != 0,
            outside_windows: row.try_get::<i64, _>("outside_windows")? != 0,
            volatile: row.try_get::<i64, _>("in_overlay")? != 0,
            software_update: row.try_get::<i64, _>("software_update")? != 0,
            options: options(row)?,
            deferral: deferral(row)?,
            action: action(row)?,
            purpose: purpose(row)?,
            available: column::time(row, "available")?,
            deadline: column::time(row, "deadline")?,
            policy: parsed(row, "policy_body")?,
            policy_size: column::count(row, "policy_size")?,
            created: column::time(row, "created")?,
            created_by: parsed(row, "created_by")?,
            deleted: deleted.map(UnixMillis),
            revision: column::count(row, "revision")?,
        },
        application_id: parsed(row, "application_id")?,
        application_name: row.try_get("application_name")?,
        application_version: row.try_get("application_version")?,
    })
}

/// Adds a deployment. Its devices are added with [`target`].
///
/// # Errors
/// When the database cannot be written.
pub async fn insert(tx: &mut Tx, row: &DeploymentRow) -> Result<(), StoreError> {
    let statement = "INSERT INTO deployment (id, name, application, application_size, target_device, available, deadline, \
         policy_body, policy_size, created, created_by, deleted, revision, target_collection, high_impact, \
         outside_windows, software_update, action, purpose, in_overlay, options, defer_times, defer_minutes, defer_grace) \
         VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, NULL, $12, $13, $14, $15, $16, $17, $18, $19, $20, \
         $21, $22, $23)";
    let (device, collection) = columns(row.target);
    sqlx::query(statement)
        .bind(row.id.to_string())
        .bind(row.name.to_string())
        .bind(row.application.to_string())
        .bind(column::signed(row.application_size))
        .bind(device)
        .bind(row.available.0)
        .bind(row.deadline.0)
        .bind(row.policy.to_string())
        .bind(column::signed(row.policy_size))
        .bind(row.created.0)
        .bind(row.created_by.to_string())
        .bind(column::signed(row.revision))
        .bind(collection)
        .bind(i64::from(row.high_impact))
        .bind(i64::from(row.outside_windows))
        .bind(i64::from(row.software_update))
        .bind(row.action.as_str())
        .bind(row.purpose.as_str())
        .bind(i64::from(row.volatile))
        .bind(options_text(&row.options)?)
        .bind(row.deferral.map(|deferral| i64::from(deferral.times)))
        .bind(row.deferral.map(|deferral| i64::from(deferral.minutes)))
        .bind(row.deferral.map(|deferral| i64::from(deferral.grace_minutes)))
        .execute(tx.conn())
        .await?;
    Ok(())
}

/// A target as its two columns; in neither: All Systems.
fn columns(target: Target) -> (Option<String>, Option<String>) {
    match target {
        Target::AllSystems => (None, None),
        Target::Device { device } => (Some(device.to_string()), None),
        Target::Collection { collection } => (None, Some(collection.to_string())),
    }
}

/// Notes a new deployment for the active devices that it is for. Returns how many.
///
/// # Errors
/// When the database cannot be written.
pub async fn target(tx: &mut Tx, deployment: DeploymentId, now: UnixMillis) -> Result<u64, StoreError> {
    let statement = "INSERT INTO deployment_device (deployment, device, state, output, changed) \
         SELECT p.id, d.id, 'targeted', '', CAST($2 AS BIGINT) FROM deployment p, device d \
         WHERE p.id = $1 AND d.state = 'active' AND (p.target_device IS NULL OR p.target_device = d.id) \
         AND (p.target_collection IS NULL OR EXISTS (SELECT 1 FROM collection_member m \
         WHERE m.collection = p.target_collection AND m.resource_id = d.resource_id)) \
         ON CONFLICT (deployment, device) DO NOTHING";
    let query = sqlx::query(statement).bind(deployment.to_string()).bind(now.0);
    Ok(query.execute(tx.conn()).await?.rows_affected())
}

/// Notes the deployments to All Systems, and to the collections that they are in, for those of `devices` that do not have them yet,
/// all of which are active (asked here, SQLite would walk all active devices for these few); and withdraws those to collections that they left.
///
/// # Errors
/// When the database cannot be written.
pub async fn target_new(tx: &mut Tx, devices: &[DeviceId], now: UnixMillis) -> Result<u64, StoreError> {
    let statement = tx.dialect().pick(in_texts!(
        "INSERT INTO deployment_device (deployment, device, state, output, changed) \
         SELECT p.id, d.id, 'targeted', '', CAST($2 AS BIGINT) FROM deployment p, device d \
         WHERE p.target_device IS NULL AND p.deleted IS NULL \
         AND (NOT EXISTS (SELECT 1 FROM deployment_approval a WHERE a.deployment = p.id) \
         OR EXISTS (SELECT 1 FROM deployment_device h WHERE h.deployment = p.id AND h.device = d.id)) \
         AND (p.target_collection IS NULL OR EXISTS (SELECT 1 FROM collection_member m \
         WHERE m.collection = p.target_collection AND m.resource_id = d.resource_id)) AND d.id",
        "ON CONFLICT (deployment, device) DO UPDATE SET withdrawn = NULL WHERE deployment_device.withdrawn IS NOT NULL"
    ));
    let withdraw = tx.dialect().pick(in_texts!(
        "UPDATE deployment_device SET withdrawn = CAST($2 AS BIGINT) WHERE withdrawn IS NULL \
         AND EXISTS (SELECT 1 FROM deployment p WHERE p.id = deployment_device.deployment \
         AND p.target_collection IS NOT NULL AND NOT EXISTS (SELECT 1 FROM collection_member m \
         JOIN device d ON d.resource_id = m.resource_id WHERE m.collection = p.target_collection \
         AND d.id = deployment_device.device)) AND device",
        ""
    ));
    sqlx::query(withdraw).bind(json_texts(devices)).bind(now.0).execute(tx.conn()).await?;
    let query = sqlx::query(statement).bind(json_texts(devices)).bind(now.0);
    let free = query.execute(tx.conn()).await?.rows_affected();
    // Those that may reach so many devices and no more are counted.
    Ok(free + super::deployment_approval::target_new(tx, devices, now).await?)
}

macro_rules! select {
    ($rest:literal) => {
        concat!(
            "SELECT p.id, p.name, p.application, p.application_size, p.target_device, p.target_collection, p.high_impact, p.outside_windows, p.software_update, \
             p.action, p.purpose, p.in_overlay, p.options, p.defer_times, p.defer_minutes, p.defer_grace, \
             p.available, p.deadline, \
             p.policy_body, p.policy_size, p.created, p.created_by, p.deleted, p.revision, a.id AS application_id, \
             a.name AS application_name, a.version AS application_version \
             FROM deployment p JOIN application a ON a.hash = p.application ",
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
    let total: i64 = sqlx::query_scalar("SELECT COUNT(*) FROM deployment").fetch_one(&mut *conn).await?;
    let rows = sqlx::query(select!("ORDER BY p.created DESC, p.id DESC LIMIT $1 OFFSET $2"))
        .bind(i64::from(limit))
        .bind(column::signed(offset))
        .fetch_all(conn)
        .await?;
    Ok((rows.iter().map(shown).collect::<Result<_, _>>()?, column::unsigned(total)))
}

/// How many deployments of this application object are in force.
///
/// # Errors
/// When the database cannot be read.
pub async fn count_of(conn: &mut AnyConnection, application: Hash) -> Result<u64, StoreError> {
    let statement = "SELECT COUNT(*) FROM deployment WHERE application = $1 AND deleted IS NULL";
    let count: i64 = sqlx::query_scalar(statement).bind(application.to_string()).fetch_one(conn).await?;
    Ok(column::unsigned(count))
}

/// Deletes a deployment: clients no longer get it, its history stays. `false`: it was deleted before, or is not there.
///
/// # Errors
/// When the database cannot be written.
pub async fn delete(tx: &mut Tx, id: DeploymentId, now: UnixMillis) -> Result<bool, StoreError> {
    let statement = "UPDATE deployment SET deleted = $2, revision = revision + 1 WHERE id = $1 AND deleted IS NULL";
    Ok(sqlx::query(statement).bind(id.to_string()).bind(now.0).execute(tx.conn()).await?.rows_affected() > 0)
}

/// Devices by state, counted, of each of these deployments.
///
/// # Errors
/// When the database cannot be read.
pub async fn totals(
    conn: &mut AnyConnection,
    dialect: super::Dialect,
    deployments: &[DeploymentId],
) -> Result<HashMap<DeploymentId, BTreeMap<String, u64>>, StoreError> {
    let statement = dialect.pick(in_texts!(
        "SELECT deployment, state, COUNT(*) AS devices FROM deployment_device WHERE (withdrawn IS NULL OR state IN ('succeeded', 'failed', 'requirements_not_met')) AND deployment",
        "GROUP BY deployment, state"
    ));
    let mut totals: HashMap<DeploymentId, BTreeMap<String, u64>> = HashMap::new();
    for row in sqlx::query(statement).bind(json_texts(deployments)).fetch_all(conn).await? {
        let of: &mut BTreeMap<_, _> = totals.entry(parsed(&row, "deployment")?).or_default();
        of.insert(row.try_get("state")?, column::count(&row, "devices")?);
    }
    Ok(totals)
}

/// How many active devices a target has, and the names of the first of them.
///
/// # Errors
/// When the database cannot be read.
pub async fn preview(conn: &mut AnyConnection, target: Target) -> Result<(u64, Vec<String>), StoreError> {
    macro_rules! of_target {
        ($what:literal, $rest:literal) => {
            concat!(
                "SELECT ",
                $what,
                " FROM device d WHERE state = 'active' AND ($1 = '' OR id = $1) \
                 AND ($2 = '' OR EXISTS (SELECT 1 FROM collection_member m \
                 WHERE m.collection = $2 AND m.resource_id = d.resource_id)) ",
                $rest
            )
        };
    }
    let (device, collection) = columns(target);
    let (device, collection) = (device.unwrap_or_default(), collection.unwrap_or_default());
    let counting = sqlx::query_scalar(of_target!("COUNT(*)", "")).bind(device.clone()).bind(collection.clone());
    let count: i64 = counting.fetch_one(&mut *conn).await?;
    let naming = sqlx::query_scalar(of_target!("name", "ORDER BY name, id LIMIT 10")).bind(device).bind(collection);
    Ok((column::unsigned(count), naming.fetch_all(conn).await?))
}

/// A device that may have to begin.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Candidate {
    /// The device.
    pub id: DeviceId,
    /// Its number.
    pub resource_id: i64,
    /// Its host name.
    pub name: String,
}

fn candidate(row: &AnyRow) -> Result<Candidate, StoreError> {
    Ok(Candidate { id: parsed(row, "id")?, resource_id: row.try_get("resource_id")?, name: row.try_get("name")? })
}

/// The first active devices of a target, by name.
///
/// # Errors
/// When the database cannot be read.
pub async fn first(conn: &mut AnyConnection, target: Target, limit: u32) -> Result<Vec<DeviceId>, StoreError> {
    let statement = "SELECT d.id FROM device d WHERE d.state = 'active' AND ($1 = '' OR d.id = $1) \
         AND ($2 = '' OR EXISTS (SELECT 1 FROM collection_member m \
         WHERE m.collection = $2 AND m.resource_id = d.resource_id)) ORDER BY d.name, d.id LIMIT $3";
    let (device, collection) = columns(target);
    let query = sqlx::query(statement).bind(device.unwrap_or_default()).bind(collection.unwrap_or_default());
    query.bind(i64::from(limit)).fetch_all(conn).await?.iter().map(|row| parsed(row, "id")).collect()
}

/// The active devices of a target, by name.
///
/// # Errors
/// When the database cannot be read.
pub async fn candidates(conn: &mut AnyConnection, target: Target) -> Result<Vec<Candidate>, StoreError> {
    let statement = "SELECT d.id, d.resource_id, d.name FROM device d WHERE d.state = 'active' AND ($1 = '' OR d.id = $1) \
         AND ($2 = '' OR EXISTS (SELECT 1 FROM collection_member m \
         WHERE m.collection = $2 AND m.resource_id = d.resource_id)) ORDER BY d.name, d.id";
    let (device, collection) = columns(target);
    let query = sqlx::query(statement).bind(device.unwrap_or_default()).bind(collection.unwrap_or_default());
    query.fetch_all(conn).await?.iter().map(candidate).collect()
}

macro_rules! open {
    ($what:literal, $rest:literal) => {
        concat!(
            "SELECT ",
            $what,
            " FROM deployment_device t JOIN deployment p ON p.id = t.deployment JOIN device d ON d.id = t.device \
             WHERE t.deployment = $1 AND t.withdrawn IS NULL AND d.state = 'active' \
             AND p.paused IS NULL AND (p.phase IS NULL OR t.phase <= p.phase) \
             AND t.state NOT IN ('installing', 'succeeded', 'failed', 'requirements_not_met') ",
            $rest
        )
    };
}

/// The active devices on which a deployment did not begin yet and may, by name: of a paused one none, and none of a phase that did not
/// begin.
///
/// # Errors
/// When the database cannot be read.
pub async fn open(conn: &mut AnyConnection, id: DeploymentId) -> Result<Vec<Candidate>, StoreError> {
    let statement = open!("d.id, d.resource_id, d.name", "ORDER BY d.name, d.id");
    sqlx::query(statement).bind(id.to_string()).fetch_all(conn).await?.iter().map(candidate).collect()
}

/// How many [`open`] has.
///
/// # Errors
/// When the database cannot be read.
pub async fn count_open(conn: &mut AnyConnection, id: DeploymentId) -> Result<u64, StoreError> {
    let count: i64 = sqlx::query_scalar(open!("COUNT(*)", "")).bind(id.to_string()).fetch_one(conn).await?;
    Ok(column::unsigned(count))
}

/// Where a deployment stands on a device that is in its target.
///
/// # Errors
/// When the database cannot be read.
pub async fn state_on(
    conn: &mut AnyConnection,
    id: DeploymentId,
    device: DeviceId,
) -> Result<Option<DeploymentState>, StoreError> {
    let statement = "SELECT state FROM deployment_device WHERE deployment = $1 AND device = $2 AND withdrawn IS NULL";
    let query = sqlx::query(statement).bind(id.to_string()).bind(device.to_string());
    query.fetch_optional(conn).await?.as_ref().map(state).transpose()
}

fn device_deployment(row: &AnyRow) -> Result<DeviceDeployment, StoreError> {
    let exit_code: Option<i64> = row.try_get("exit_code")?;
    Ok(DeviceDeployment {
        deployment: parsed(row, "deployment")?,
        deployment_name: row.try_get("deployment_name")?,
        device: parsed(row, "device")?,
        device_name: row.try_get("device_name")?,
        state: state(row)?,
        reason: reason(row)?,
        exit_code: exit_code.and_then(|code| i32::try_from(code).ok()),
        output: row.try_get("output")?,
        changed: column::time(row, "changed")?,
        waits: waits(row)?,
        starts: row.try_get::<Option<i64>, _>("starts")?.map(UnixMillis),
        restart: row.try_get::<i64, _>("restart")? != 0,
        undone: row.try_get::<i64, _>("undone")? != 0,
        deployment_type: parsed_opt(row, "deployment_type")?,
        deferred: u32::try_from(column::count(row, "deferred")?).unwrap_or(u32::MAX),
    })
}

macro_rules! select_devices {
    ($rest:literal) => {
        concat!(
            "SELECT t.deployment, p.name AS deployment_name, t.device, d.name AS device_name, t.state, t.reason, \
             t.exit_code, t.output, t.changed, t.waits, t.starts, t.restart, t.undone, t.deployment_type, t.deferred FROM deployment_device t JOIN deployment p ON p.id = t.deployment \
             JOIN device d ON d.id = t.device ",
            $rest
        )
    };
}

/// One page of the devices of a deployment, of one state or of all; and how many there are.
///
/// # Errors
/// When the database cannot be read.
pub async fn devices(
    conn: &mut AnyConnection,
    deployment: DeploymentId,
    state: Option<DeploymentState>,
    offset: u64,
    limit: u32,
) -> Result<(Vec<DeviceDeployment>, u64), StoreError> {
    let state = state.map_or("", DeploymentState::as_str);
    let statement = "SELECT COUNT(*) FROM deployment_device WHERE deployment = $1 AND ($2 = '' OR state = $2) \
         AND (withdrawn IS NULL OR state IN ('succeeded', 'failed', 'requirements_not_met'))";
    let total: i64 =
        sqlx::query_scalar(statement).bind(deployment.to_string()).bind(state).fetch_one(&mut *conn).await?;
    let statement = select_devices!(
        "WHERE t.deployment = $1 AND ($2 = '' OR t.state = $2) \
         AND (t.withdrawn IS NULL OR t.state IN ('succeeded', 'failed', 'requirements_not_met')) ORDER BY t.state, t.device LIMIT $3 OFFSET $4"
    );
    let rows = sqlx::query(statement)
        .bind(deployment.to_string())
        .bind(state)
        .bind(i64::from(limit))
        .bind(column::signed(offset))
        .fetch_all(conn)
        .await?;
    Ok((rows.iter().map(device_deployment).collect::<Result<_, _>>()?, column::unsigned(total)))
}

/// The deployments of a device that are not deleted, the newest first.
///
/// # Errors
/// When the database cannot be read.
pub async fn of_device(conn: &mut AnyConnection, device: DeviceId) -> Result<Vec<DeviceDeployment>, StoreError> {
    let statement = select_devices!(
        "WHERE t.device = $1 AND p.deleted IS NULL AND t.withdrawn IS NULL ORDER BY p.created DESC, p.id LIMIT 500"
    );
    let rows = sqlx::query(statement).bind(device.to_string()).fetch_all(conn).await?;
    rows.iter().map(device_deployment).collect()
}
