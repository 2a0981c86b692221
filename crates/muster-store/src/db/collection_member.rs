//! Members of collections, and what an evaluation leaves. Written as differences, in few statements.

use super::{
    Dialect, StoreError, Tx,
    column::{parse, parsed, parsed_opt, signed, to_json, unsigned},
};
use muster_model::{
    api::{CollectionMember, PageQuery, ResourceKind},
    id::{CollectionId, DeviceId, Name},
    time::UnixMillis,
};
use sqlx::{AnyConnection, Row, any::AnyRow};

/// How many numbers one statement carries.
const PIECE: usize = 20_000;

/// Counters of changes: to the rules, and to the members.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Version {
    /// Changes with every rule.
    pub rules: i64,
    /// Changes with every evaluation that is written.
    pub members: i64,
}

/// What one evaluation of a collection came to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Evaluation {
    /// The collection.
    pub collection: CollectionId,
    /// The request that is answered by it: what `pending` was when it began; 0: none was.
    pub answers: i64,
    /// Who came.
    pub joined: Vec<u32>,
    /// Who went.
    pub left: Vec<u32>,
    /// How many members there are now.
    pub members: u64,
    /// How long it took.
    pub took: u64,
    /// Why it failed.
    pub error: Option<String>,
    /// When it is due again; `None`: what is noted stays.
    pub next: Option<Option<UnixMillis>>,
}

/// The counters.
///
/// # Errors
/// When the database cannot be read.
pub async fn version(conn: &mut AnyConnection) -> Result<Version, StoreError> {
    let row = sqlx::query("SELECT rules, members FROM collection_state WHERE id = 1").fetch_one(conn).await?;
    Ok(Version { rules: row.try_get("rules")?, members: row.try_get("members")? })
}

/// Takes the right to write an evaluation that began at `seen`; `false`: rules or members changed since.
///
/// # Errors
/// When the database cannot be written.
pub async fn claim(tx: &mut Tx, seen: Version) -> Result<bool, StoreError> {
    let statement = "UPDATE collection_state SET members = members + 1 WHERE id = 1 AND rules = $1 AND members = $2";
    let done = sqlx::query(statement).bind(seen.rules).bind(seen.members).execute(tx.conn()).await?;
    Ok(done.rows_affected() > 0)
}

/// Every member of every collection.
///
/// # Errors
/// When the database cannot be read.
pub async fn all(conn: &mut AnyConnection) -> Result<Vec<(CollectionId, i64)>, StoreError> {
    let statement = "SELECT collection, resource_id FROM collection_member ORDER BY collection, resource_id";
    let rows: Vec<(String, i64)> = sqlx::query_as(statement).fetch_all(conn).await?;
    rows.into_iter().map(|(collection, resource)| Ok((parse(&collection, "collection")?, resource))).collect()
}

/// Every member of one collection.
///
/// # Errors
/// When the database cannot be read.
pub async fn of(conn: &mut AnyConnection, collection: CollectionId) -> Result<Vec<i64>, StoreError> {
    let statement = "SELECT resource_id FROM collection_member WHERE collection = $1";
    Ok(sqlx::query_scalar(statement).bind(collection.to_string()).fetch_all(conn).await?)
}

/// Systems: those with a client that is not retired, and, unless only clients are wanted, those that were found and have none. All,
/// or those of `only`.
///
/// # Errors
/// When the database cannot be read.
pub async fn systems(
    conn: &mut AnyConnection,
    dialect: Dialect,
    only: Option<&[u32]>,
    clients: bool,
) -> Result<Vec<i64>, StoreError> {
    macro_rules! all {
        ($rest:literal) => {
            concat!(
                "SELECT x.resource_id FROM resource x LEFT JOIN device d ON d.id = x.device WHERE x.kind = 'system' \
                 AND (d.state <> 'retired' OR (x.device IS NULL AND x.gone IS NULL AND $1 = 0))",
                $rest
            )
        };
    }
    let Some(only) = only else {
        return Ok(sqlx::query_scalar(all!("")).bind(i64::from(clients)).fetch_all(conn).await?);
    };
    let statement = dialect.pick([
        all!(" AND x.resource_id IN (SELECT value FROM json_each($2))"),
        all!(" AND x.resource_id IN (SELECT CAST(e AS BIGINT) FROM jsonb_array_elements_text(CAST($2 AS jsonb)) AS e)"),
    ]);
    Ok(sqlx::query_scalar(statement).bind(i64::from(clients)).bind(to_json(&only)).fetch_all(conn).await?)
}

/// Resources of these kinds that were found and are not gone: all, or those of `only`.
///
/// # Errors
/// When the database cannot be read.
pub async fn resources(
    conn: &mut AnyConnection,
    dialect: Dialect,
    only: Option<&[u32]>,
    kinds: [ResourceKind; 2],
) -> Result<Vec<i64>, StoreError> {
    macro_rules! all {
        ($rest:literal) => {
            concat!("SELECT resource_id FROM resource WHERE kind IN ($1, $2) AND gone IS NULL", $rest)
        };
    }
    let [one, other] = kinds.map(ResourceKind::as_str);
    let Some(only) = only else {
        return Ok(sqlx::query_scalar(all!("")).bind(one).bind(other).fetch_all(conn).await?);
    };
    let statement = dialect.pick([
        all!(" AND resource_id IN (SELECT value FROM json_each($3))"),
        all!(" AND resource_id IN (SELECT CAST(e AS BIGINT) FROM jsonb_array_elements_text(CAST($3 AS jsonb)) AS e)"),
    ]);
    Ok(sqlx::query_scalar(statement).bind(one).bind(other).bind(to_json(&only)).fetch_all(conn).await?)
}

/// Writes what an evaluation came to.
///
/// # Errors
/// When the database cannot be written.
pub async fn put(tx: &mut Tx, evaluation: &Evaluation, now: UnixMillis) -> Result<(), StoreError> {
    let id = evaluation.collection.to_string();
    let insert = tx.dialect().pick([
        "INSERT INTO collection_member (collection, resource_id) SELECT $1, value FROM json_each($2) WHERE true \
         ON CONFLICT (collection, resource_id) DO NOTHING",
        "INSERT INTO collection_member (collection, resource_id) SELECT $1, CAST(e AS BIGINT) \
         FROM jsonb_array_elements_text(CAST($2 AS jsonb)) AS e ON CONFLICT (collection, resource_id) DO NOTHING",
    ]);
    for piece in evaluation.joined.chunks(PIECE) {
        sqlx::query(insert).bind(id.clone()).bind(to_json(&piece)).execute(tx.conn()).await?;
    }
    let delete = tx.dialect().pick([
        "DELETE FROM collection_member WHERE collection = $1 AND resource_id IN (SELECT value FROM json_each($2))",
        "DELETE FROM collection_member WHERE collection = $1 AND resource_id IN \
         (SELECT CAST(e AS BIGINT) FROM jsonb_array_elements_text(CAST($2 AS jsonb)) AS e)",
    ]);
    for piece in evaluation.left.chunks(PIECE) {
        sqlx::query(delete).bind(id.clone()).bind(to_json(&piece)).execute(tx.conn()).await?;
    }
    let changed = i64::from(!evaluation.joined.is_empty() || !evaluation.left.is_empty());
    let statement = "UPDATE collection SET member_count = $2, evaluated = $3, evaluation_took = $4, evaluation_error = $5, \
         members_changed = CASE WHEN $6 = 1 THEN CAST($3 AS BIGINT) ELSE members_changed END, \
         pending = CASE WHEN pending = $7 THEN 0 ELSE pending END WHERE id = $1";
    sqlx::query(statement)
        .bind(id.clone())
        .bind(signed(evaluation.members))
        .bind(now.0)
        .bind(signed(evaluation.took))
        .bind(evaluation.error.clone())
        .bind(changed)
        .bind(evaluation.answers)
        .execute(tx.conn())
        .await?;
    if let Some(next) = evaluation.next {
        sqlx::query("UPDATE collection SET next_evaluation = $2 WHERE id = $1")
            .bind(id)
            .bind(next.map(|next| next.0))
            .execute(tx.conn())
            .await?;
    }
    Ok(())
}

/// Of these collections those to which something is deployed.
///
/// # Errors
/// When the database cannot be read.
pub async fn deployed(conn: &mut AnyConnection) -> Result<Vec<CollectionId>, StoreError> {
    let statement = "SELECT target_collection FROM deployment WHERE target_collection IS NOT NULL AND deleted IS NULL \
         UNION SELECT target_collection FROM baseline_deployment WHERE target_collection IS NOT NULL AND deleted IS NULL \
         UNION SELECT collection FROM maintenance_window UNION SELECT collection FROM client_settings_collection";
    let ids: Vec<String> = sqlx::query_scalar(statement).fetch_all(conn).await?;
    ids.iter().map(|id| parse(id, "collection")).collect()
}

/// Asks for the assignments of these resources' devices, where they are active.
///
/// # Errors
/// When the database cannot be written.
pub async fn ask_policy(tx: &mut Tx, resources: &[u32], now: UnixMillis) -> Result<(), StoreError> {
    // Without COALESCE, SQLite walks all that are active instead of these.
    let statement = tx.dialect().pick([
        "INSERT INTO job (kind, subject, due, attempts) SELECT $1, id, CAST($2 AS BIGINT), 0 FROM device \
         WHERE COALESCE(state, '') = 'active' AND resource_id IN (SELECT value FROM json_each($3)) \
         ON CONFLICT (kind, subject) DO UPDATE SET due = excluded.due, attempts = 0",
        "INSERT INTO job (kind, subject, due, attempts) SELECT $1, id, CAST($2 AS BIGINT), 0 FROM device \
         WHERE state = 'active' AND resource_id IN \
         (SELECT CAST(e AS BIGINT) FROM jsonb_array_elements_text(CAST($3 AS jsonb)) AS e) \
         ON CONFLICT (kind, subject) DO UPDATE SET due = excluded.due, attempts = 0",
    ]);
    for piece in resources.chunks(PIECE) {
        sqlx::query(statement)
            .bind(super::assignment::COMPILE)
            .bind(now.0)
            .bind(to_json(&piece))
            .execute(tx.conn())
            .await?;
    }
    Ok(())
}

fn member(row: &AnyRow) -> Result<CollectionMember, StoreError> {
    Ok(CollectionMember {
        kind: parsed(row, "kind")?,
        device: parsed_opt(row, "id")?,
        resource_id: row.try_get("resource_id")?,
        name: row.try_get("name")?,
        state: parsed_opt(row, "state")?,
    })
}

/// A page of a collection's members, by name, whose name or id contains `search`.
///
/// # Errors
/// When the database cannot be read.
pub async fn list(
    conn: &mut AnyConnection,
    collection: CollectionId,
    page: PageQuery,
) -> Result<(Vec<CollectionMember>, u64), StoreError> {
    let total: i64 = sqlx::query_scalar("SELECT COUNT(*) FROM collection_member WHERE collection = $1")
        .bind(collection.to_string())
        .fetch_one(&mut *conn)
        .await?;
    let statement = "SELECT d.id, x.kind, x.resource_id, COALESCE(d.name, x.name) AS name, d.state FROM collection_member m \
         JOIN resource x ON x.resource_id = m.resource_id LEFT JOIN device d ON d.id = x.device \
         WHERE m.collection = $1 ORDER BY 4, 3 LIMIT $2 OFFSET $3";
    let rows = sqlx::query(statement)
        .bind(collection.to_string())
        .bind(i64::from(page.limit))
        .bind(signed(page.offset))
        .fetch_all(conn)
        .await?;
    Ok((rows.iter().map(member).collect::<Result<_, _>>()?, unsigned(total)))
}

/// The first `limit` of these resources, by name.
///
/// # Errors
/// When the database cannot be read.
pub async fn devices(
    conn: &mut AnyConnection,
    dialect: Dialect,
    resources: &[u32],
    limit: u32,
) -> Result<Vec<CollectionMember>, StoreError> {
    let statement = dialect.pick([
        "SELECT d.id, x.kind, x.resource_id, COALESCE(d.name, x.name) AS name, d.state FROM resource x \
         LEFT JOIN device d ON d.id = x.device WHERE x.resource_id IN (SELECT value FROM json_each($1)) \
         ORDER BY 4, 3 LIMIT $2",
        "SELECT d.id, x.kind, x.resource_id, COALESCE(d.name, x.name) AS name, d.state FROM resource x \
         LEFT JOIN device d ON d.id = x.device WHERE x.resource_id IN \
         (SELECT CAST(e AS BIGINT) FROM jsonb_array_elements_text(CAST($1 AS jsonb)) AS e) ORDER BY 4, 3 LIMIT $2",
    ]);
    let rows = sqlx::query(statement).bind(to_json(&resources)).bind(i64::from(limit)).fetch_all(conn).await?;
    rows.iter().map(member).collect()
}

/// The resource of a device.
///
/// # Errors
/// When the database cannot be read.
pub async fn of_device(conn: &mut AnyConnection, device: DeviceId) -> Result<Option<CollectionMember>, StoreError> {
    let statement = "SELECT id, 'system' AS kind, resource_id, name, state FROM device WHERE id = $1";
    let row = sqlx::query(statement).bind(device.to_string()).fetch_optional(conn).await?;
    row.as_ref().map(member).transpose()
}

/// The devices with this number or this name, whatever its case; at most 20.
///
/// # Errors
/// When the database cannot be read.
pub async fn known_as(
    conn: &mut AnyConnection,
    resource: i64,
    name: &str,
) -> Result<Vec<CollectionMember>, StoreError> {
    let statement = "SELECT id, 'system' AS kind, resource_id, name, state FROM device WHERE resource_id = $1 OR lower(name) = lower($2) \
         ORDER BY state = 'retired', resource_id LIMIT 20";
    let rows = sqlx::query(statement).bind(resource).bind(name).fetch_all(conn).await?;
    rows.iter().map(member).collect()
}

/// A resource of any kind, as a member.
///
/// # Errors
/// When the database cannot be read.
pub async fn of_resource(conn: &mut AnyConnection, resource: i64) -> Result<Option<CollectionMember>, StoreError> {
    let statement = "SELECT d.id, x.kind, x.resource_id, COALESCE(d.name, x.name) AS name, d.state FROM resource x \
         LEFT JOIN device d ON d.id = x.device WHERE x.resource_id = $1";
    let row = sqlx::query(statement).bind(resource).fetch_optional(conn).await?;
    row.as_ref().map(member).transpose()
}

/// The collections that a resource is in, by name.
///
/// # Errors
/// When the database cannot be read.
pub async fn collections_of_resource(
    conn: &mut AnyConnection,
    resource: i64,
) -> Result<Vec<(CollectionId, Name)>, StoreError> {
    let statement = "SELECT c.id, c.name FROM collection_member m JOIN collection c ON c.id = m.collection \
         WHERE m.resource_id = $1 ORDER BY c.name, c.id";
    let rows = sqlx::query(statement).bind(resource).fetch_all(conn).await?;
    rows.iter().map(|row| Ok((parsed(row, "id")?, parsed(row, "name")?))).collect()
}

/// The devices whose domain has proven that they have this name, without those that are retired; at most two.
///
/// # Errors
/// When the database cannot be read.
pub async fn proven_as(conn: &mut AnyConnection, name: &str) -> Result<Vec<CollectionMember>, StoreError> {
    let statement = "SELECT d.id, 'system' AS kind, d.resource_id, d.name, d.state FROM device d \
         JOIN domain_account a ON a.enrolment = d.id AND a.sid = d.account \
         WHERE lower(d.name) = lower($1) AND lower(a.account) = lower($1) || '$' AND d.state <> 'retired' \
         ORDER BY d.resource_id LIMIT 2";
    let rows = sqlx::query(statement).bind(name).fetch_all(conn).await?;
    rows.iter().map(member).collect()
}

/// The collections that a device is in, by name.
///
/// # Errors
/// When the database cannot be read.
pub async fn collections_of(
    conn: &mut AnyConnection,
    device: DeviceId,
    limit: u32,
) -> Result<Vec<(CollectionId, Name)>, StoreError> {
    let statement = "SELECT c.id, c.name FROM device d JOIN collection_member m ON m.resource_id = d.resource_id \
         JOIN collection c ON c.id = m.collection WHERE d.id = $1 ORDER BY c.name, c.id LIMIT $2";
    let rows = sqlx::query(statement).bind(device.to_string()).bind(i64::from(limit)).fetch_all(conn).await?;
    rows.iter().map(|row| Ok((parsed(row, "id")?, parsed(row, "name")?))).collect()
}
