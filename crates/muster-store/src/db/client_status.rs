//! How clients are: their signs of life, what their own checks found, and how many there are of each kind.

use super::{
    StoreError, Tx,
    bulk::Bulk,
    column::{self, parsed},
};
use muster_model::{
    api::{
        ClientActivity, ClientCheck, ClientSignals, ClientStatus, ClientStatusCounts, ClientStatusDay,
        ClientStatusQuery, ClientStatusSettings, ClientStatusThreshold, ClientStatusThresholdSet,
    },
    health::{CheckOutcome, HealthCheck, HealthReport},
    id::{CollectionId, DeviceId},
    time::{DAY, UnixMillis},
};
use sqlx::{Any, AnyConnection, Row, any::AnyArguments, any::AnyRow, query::Query};

/// Signs of life that are noted without a message: policy request, status message, live channel. 0: none.
pub type Signs = [i64; 3];

static SIGNS: Bulk = Bulk::new(
    "INSERT INTO client_status (device, policy_request, status_message, live_channel)",
    4,
    "ON CONFLICT (device) DO UPDATE SET \
     policy_request = CASE WHEN excluded.policy_request > client_status.policy_request THEN excluded.policy_request \
     ELSE client_status.policy_request END, \
     status_message = CASE WHEN excluded.status_message > client_status.status_message THEN excluded.status_message \
     ELSE client_status.status_message END, \
     live_channel = CASE WHEN excluded.live_channel > client_status.live_channel THEN excluded.live_channel \
     ELSE client_status.live_channel END",
);

/// Notes signs of life; never an earlier one than is noted. Each device at most once.
///
/// # Errors
/// When the database cannot be written.
pub async fn note(tx: &mut Tx, rows: &[(DeviceId, Signs)]) -> Result<(), StoreError> {
    SIGNS
        .run(tx, rows, |query, (device, [policy, status, live])| {
            query.bind(device.to_string()).bind(*policy).bind(*status).bind(*live)
        })
        .await?;
    Ok(())
}

static HEARTBEATS: Bulk = Bulk::new(
    "INSERT INTO client_status (device, heartbeat)",
    2,
    "ON CONFLICT (device) DO UPDATE SET heartbeat = excluded.heartbeat",
);

/// Notes heartbeats. Each device at most once.
///
/// # Errors
/// When the database cannot be written.
pub async fn heartbeat(tx: &mut Tx, rows: &[(DeviceId, UnixMillis)]) -> Result<(), StoreError> {
    HEARTBEATS.run(tx, rows, |query, (device, at)| query.bind(device.to_string()).bind(at.0)).await?;
    Ok(())
}

/// What a client said of itself.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HealthRow {
    /// The device.
    pub device: DeviceId,
    /// When.
    pub checked: UnixMillis,
    /// What.
    pub report: HealthReport,
}

static HEALTH: Bulk = Bulk::new(
    "INSERT INTO client_status (device, checked, verdict, failed, remedied, remediates, checks)",
    7,
    "ON CONFLICT (device) DO UPDATE SET checked = excluded.checked, verdict = excluded.verdict, \
     failed = excluded.failed, remedied = excluded.remedied, remediates = excluded.remediates, checks = excluded.checks",
);

/// Writes what clients said of themselves, in the place of what they said before. Each device at most once.
///
/// # Errors
/// When the database cannot be written.
pub async fn put(tx: &mut Tx, rows: &[HealthRow]) -> Result<(), StoreError> {
    HEALTH
        .run(tx, rows, |query, row| {
            let failed = row.report.count(CheckOutcome::Failed);
            let verdict = if failed > 0 { ClientCheck::Failed } else { ClientCheck::Passed };
            query
                .bind(row.device.to_string())
                .bind(row.checked.0)
                .bind(verdict.as_str())
                .bind(column::signed(failed))
                .bind(column::signed(row.report.count(CheckOutcome::Remedied)))
                .bind(i64::from(row.report.remediates))
                .bind(column::to_json(&row.report.checks))
        })
        .await?;
    Ok(())
}

/// Active devices with what is known of them and what follows from it: parameters 1 to 6 are the moments since which each sign counts.
macro_rules! clients {
    ($columns:literal, $($rest:literal),*) => {
        concat!(
            "SELECT ",
            $columns,
            " FROM (SELECT d.id, d.name, d.resource_id, d.last_inventory, s.policy_request, s.heartbeat, s.status_message, \
             s.live_channel, s.checked, s.failed, s.remedied, s.remediates, s.checks, \
             CASE WHEN s.policy_request >= CAST($1 AS BIGINT) OR s.heartbeat >= CAST($2 AS BIGINT) \
             OR d.last_inventory >= CAST($3 AS BIGINT) OR s.status_message >= CAST($4 AS BIGINT) \
             OR s.live_channel >= CAST($5 AS BIGINT) THEN 'active' ELSE 'inactive' END AS activity, \
             CASE WHEN s.checked >= CAST($6 AS BIGINT) THEN s.verdict ELSE 'unknown' END AS verdict \
             FROM device d LEFT JOIN client_status s ON s.device = d.id WHERE d.state = 'active') c ",
            $($rest),*
        )
    };
}

/// Statement text with the moments since which each sign counts.
fn clients(text: &'static str, by: &ClientStatusSettings, now: UnixMillis) -> Query<'static, Any, AnyArguments> {
    let since = |days: u32| now.0 - i64::from(days) * DAY;
    sqlx::query(text)
        .bind(since(by.policy_request_days))
        .bind(since(by.heartbeat_days))
        .bind(since(by.inventory_days))
        .bind(since(by.status_message_days))
        .bind(since(by.live_channel_days))
        .bind(since(by.check_days))
}

/// A row; who is online is not known here.
fn status(row: &AnyRow) -> Result<ClientStatus, StoreError> {
    let time = |name: &str| {
        let at: Option<i64> = row.try_get(name)?;
        Ok::<_, StoreError>(at.filter(|at| *at > 0).map(UnixMillis))
    };
    let number = |name: &str| Ok::<_, StoreError>(column::unsigned(row.try_get::<Option<i64>, _>(name)?.unwrap_or(0)));
    Ok(ClientStatus {
        device: parsed(row, "id")?,
        name: row.try_get("name")?,
        activity: parsed(row, "activity")?,
        online: false,
        check: parsed(row, "verdict")?,
        checked: time("checked")?,
        failed: number("failed")?,
        remedied: number("remedied")?,
        remediates: number("remediates")? > 0,
        signals: ClientSignals {
            policy_request: time("policy_request")?,
            heartbeat: time("heartbeat")?,
            inventory: time("last_inventory")?,
            status_message: time("status_message")?,
            live_channel: time("live_channel")?,
        },
    })
}

/// How many clients there are of each kind: of the site, or among the members of a collection.
///
/// # Errors
/// When the database cannot be read.
pub async fn counts(
    conn: &mut AnyConnection,
    by: &ClientStatusSettings,
    collection: Option<CollectionId>,
    now: UnixMillis,
) -> Result<ClientStatusCounts, StoreError> {
    macro_rules! counted {
        ($rest:literal) => {
            clients!(
                "COUNT(*) AS devices, COUNT(CASE WHEN activity = 'active' THEN 1 END) AS active, \
                 COUNT(CASE WHEN verdict = 'passed' THEN 1 END) AS passed, \
                 COUNT(CASE WHEN verdict = 'failed' THEN 1 END) AS failed, \
                 COUNT(CASE WHEN verdict <> 'unknown' AND remedied > 0 THEN 1 END) AS remedied",
                $rest
            )
        };
    }
    let row = match collection {
        None => clients(counted!(""), by, now).fetch_one(conn).await?,
        Some(id) => {
            let text =
                counted!("WHERE resource_id IN (SELECT resource_id FROM collection_member WHERE collection = $7)");
            clients(text, by, now).bind(id.to_string()).fetch_one(conn).await?
        }
    };
    let count = |name: &str| column::count(&row, name);
    Ok(ClientStatusCounts {
        devices: count("devices")?,
        active: count("active")?,
        passed: count("passed")?,
        failed: count("failed")?,
        remedied: count("remedied")?,
    })
}

macro_rules! listed {
    ($columns:literal, $rest:literal) => {
        clients!(
            $columns,
            "WHERE (CAST($7 AS TEXT) = '' OR activity = CAST($7 AS TEXT)) \
             AND (CAST($8 AS TEXT) = '' OR verdict = CAST($8 AS TEXT)) \
             AND (CAST($9 AS BIGINT) = 0 OR (verdict <> 'unknown' AND remedied > 0)) \
             AND (CAST($10 AS TEXT) = '' OR resource_id IN \
             (SELECT resource_id FROM collection_member WHERE collection = CAST($10 AS TEXT))) ",
            $rest
        )
    };
}

/// One page of clients by name, and how many they are.
///
/// # Errors
/// When the database cannot be read.
pub async fn list(
    conn: &mut AnyConnection,
    by: &ClientStatusSettings,
    wanted: &ClientStatusQuery,
    now: UnixMillis,
) -> Result<(Vec<ClientStatus>, u64), StoreError> {
    let filtered = |text: &'static str| {
        clients(text, by, now)
            .bind(wanted.activity.map_or("", ClientActivity::as_str))
            .bind(wanted.check.map_or("", ClientCheck::as_str))
            .bind(i64::from(wanted.remedied))
            .bind(wanted.collection.map(|id| id.to_string()).unwrap_or_default())
    };
    let row = filtered(listed!("COUNT(*) AS devices", "")).fetch_one(&mut *conn).await?;
    let total = column::count(&row, "devices")?;
    let query = filtered(listed!("*", " ORDER BY name, id LIMIT CAST($11 AS BIGINT) OFFSET CAST($12 AS BIGINT)"));
    let rows = query.bind(i64::from(wanted.limit)).bind(column::signed(wanted.offset)).fetch_all(conn).await?;
    Ok((rows.iter().map(status).collect::<Result<_, _>>()?, total))
}

/// A client with its checks. `None`: it is no active device.
///
/// # Errors
/// When the database cannot be read.
pub async fn get(
    conn: &mut AnyConnection,
    by: &ClientStatusSettings,
    device: DeviceId,
    now: UnixMillis,
) -> Result<Option<(ClientStatus, Vec<HealthCheck>)>, StoreError> {
    let query = clients(clients!("*", "WHERE id = $7"), by, now).bind(device.to_string());
    let Some(row) = query.fetch_optional(conn).await? else { return Ok(None) };
    let checks: Option<String> = row.try_get("checks")?;
    let checks = if checks.is_some() { column::json(&row, "checks")? } else { Vec::new() };
    Ok(Some((status(&row)?, checks)))
}

/// The first clients of a collection that are inactive, or whose checks did not pass.
///
/// # Errors
/// When the database cannot be read.
pub async fn poor(
    conn: &mut AnyConnection,
    by: &ClientStatusSettings,
    collection: CollectionId,
    inactive: bool,
    now: UnixMillis,
    most: u32,
) -> Result<Vec<DeviceId>, StoreError> {
    let text = clients!(
        "id",
        "WHERE resource_id IN (SELECT resource_id FROM collection_member WHERE collection = $7) \
         AND ((CAST($8 AS BIGINT) = 1 AND activity = 'inactive') OR (CAST($8 AS BIGINT) = 0 AND verdict <> 'passed')) \
         ORDER BY id LIMIT CAST($9 AS BIGINT)"
    );
    let query = clients(text, by, now).bind(collection.to_string()).bind(i64::from(inactive)).bind(i64::from(most));
    query.fetch_all(conn).await?.iter().map(|row| parsed(row, "id")).collect()
}

fn threshold(row: &AnyRow) -> Result<ClientStatusThreshold, StoreError> {
    let percent = |name: &str| {
        let percent: Option<i64> = row.try_get(name)?;
        Ok::<_, StoreError>(percent.and_then(|percent| u8::try_from(percent).ok()))
    };
    Ok(ClientStatusThreshold {
        collection: parsed(row, "collection")?,
        name: row.try_get("name")?,
        active_percent: percent("active_percent")?,
        healthy_percent: percent("healthy_percent")?,
        changed: column::time(row, "changed")?,
        changed_by: row.try_get("changed_by")?,
    })
}

/// Every threshold, by the collection's id. They are few: see [`muster_model::limits::CLIENT_STATUS_THRESHOLDS`].
///
/// # Errors
/// When the database cannot be read.
pub async fn thresholds(conn: &mut AnyConnection) -> Result<Vec<ClientStatusThreshold>, StoreError> {
    let statement = "SELECT t.collection, c.name, t.active_percent, t.healthy_percent, t.changed, t.changed_by \
         FROM client_status_threshold t JOIN collection c ON c.id = t.collection ORDER BY t.collection";
    sqlx::query(statement).fetch_all(conn).await?.iter().map(threshold).collect()
}

/// Sets or removes the threshold of a collection.
///
/// # Errors
/// When the database cannot be written.
pub async fn set_threshold(
    tx: &mut Tx,
    collection: CollectionId,
    set: &ClientStatusThresholdSet,
    now: UnixMillis,
    by: &str,
) -> Result<(), StoreError> {
    if *set == ClientStatusThresholdSet::default() {
        let statement = "DELETE FROM client_status_threshold WHERE collection = $1";
        sqlx::query(statement).bind(collection.to_string()).execute(tx.conn()).await?;
        return Ok(());
    }
    let statement = "INSERT INTO client_status_threshold (collection, active_percent, healthy_percent, changed, changed_by) \
         VALUES ($1, $2, $3, $4, $5) ON CONFLICT (collection) DO UPDATE SET active_percent = excluded.active_percent, \
         healthy_percent = excluded.healthy_percent, changed = excluded.changed, changed_by = excluded.changed_by";
    sqlx::query(statement)
        .bind(collection.to_string())
        .bind(set.active_percent.map(i64::from))
        .bind(set.healthy_percent.map(i64::from))
        .bind(now.0)
        .bind(by.to_owned())
        .execute(tx.conn())
        .await?;
    Ok(())
}

/// Writes the counts of the day of `now`, in the place of those that it had; `None`: of the site.
///
/// # Errors
/// When the database cannot be written.
pub async fn put_day(
    tx: &mut Tx,
    collection: Option<CollectionId>,
    counts: &ClientStatusCounts,
    now: UnixMillis,
) -> Result<(), StoreError> {
    let statement = "INSERT INTO client_status_day (collection, day, devices, active, passed, failed, remedied) \
         VALUES ($1, $2, $3, $4, $5, $6, $7) ON CONFLICT (collection, day) DO UPDATE SET devices = excluded.devices, \
         active = excluded.active, passed = excluded.passed, failed = excluded.failed, remedied = excluded.remedied";
    sqlx::query(statement)
        .bind(collection.map(|id| id.to_string()).unwrap_or_default())
        .bind(now.0.div_euclid(DAY) * DAY)
        .bind(column::signed(counts.devices))
        .bind(column::signed(counts.active))
        .bind(column::signed(counts.passed))
        .bind(column::signed(counts.failed))
        .bind(column::signed(counts.remedied))
        .execute(tx.conn())
        .await?;
    Ok(())
}

/// Days from `from` on, the oldest first.
///
/// # Errors
/// When the database cannot be read.
pub async fn days(
    conn: &mut AnyConnection,
    collection: Option<CollectionId>,
    from: UnixMillis,
) -> Result<Vec<ClientStatusDay>, StoreError> {
    let statement = "SELECT day, devices, active, passed, failed, remedied FROM client_status_day \
         WHERE collection = $1 AND day >= $2 ORDER BY day";
    let query = sqlx::query(statement).bind(collection.map(|id| id.to_string()).unwrap_or_default()).bind(from.0);
    query
        .fetch_all(conn)
        .await?
        .iter()
        .map(|row| {
            let counts = ClientStatusCounts {
                devices: column::count(row, "devices")?,
                active: column::count(row, "active")?,
                passed: column::count(row, "passed")?,
                failed: column::count(row, "failed")?,
                remedied: column::count(row, "remedied")?,
            };
            Ok(ClientStatusDay { day: column::time(row, "day")?, counts })
        })
        .collect()
}

/// Removes days before a moment, and what belongs to collections that are gone.
///
/// # Errors
/// When the database cannot be written.
pub async fn purge(tx: &mut Tx, before: UnixMillis) -> Result<(), StoreError> {
    sqlx::query("DELETE FROM client_status_day WHERE day < $1").bind(before.0).execute(tx.conn()).await?;
    let gone = "DELETE FROM client_status_threshold WHERE collection NOT IN (SELECT id FROM collection)";
    sqlx::query(gone).execute(tx.conn()).await?;
    let gone = "DELETE FROM client_status_day WHERE collection <> '' AND collection NOT IN (SELECT id FROM collection)";
    sqlx::query(gone).execute(tx.conn()).await?;
    Ok(())
}
