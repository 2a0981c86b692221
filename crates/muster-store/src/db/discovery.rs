//! Discovery records: what each method said last of each resource.

use super::{
    StoreError, Tx,
    bulk::{in_texts, json_texts},
    column::{json, parsed, time, to_json, unsigned},
};
use muster_model::{
    api::{DiscoveryMethod, ResourceKind, ResourceRecord},
    discovery::Facts,
    time::{DAY, UnixMillis},
};
use sqlx::{AnyConnection, Row, any::AnyRow};

/// A stored record.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RecordRow {
    /// Its number; 0 before it is stored.
    pub id: i64,
    /// The method.
    pub method: DiscoveryMethod,
    /// By what the method knows the resource again.
    pub identity: String,
    /// Which of the sources of that method; empty where there is only one.
    pub source: String,
    /// What the resource is.
    pub kind: ResourceKind,
    /// The resource.
    pub resource_id: i64,
    /// What it is called.
    pub name: String,
    /// Its security identifier.
    pub sid: Option<String>,
    /// When it was found first.
    pub first_found: UnixMillis,
    /// When it was found last.
    pub found: UnixMillis,
    /// When the method said that it is no more.
    pub gone: Option<UnixMillis>,
    /// What the method said.
    pub facts: Facts,
}

impl RecordRow {
    /// As people see it.
    #[must_use]
    pub fn shown(self) -> ResourceRecord {
        let Self { method, identity, first_found, found, gone, facts, .. } = self;
        ResourceRecord { method, identity, first_found, found, gone, facts }
    }
}

fn record(row: &AnyRow) -> Result<RecordRow, StoreError> {
    Ok(RecordRow {
        id: row.try_get("id")?,
        method: parsed(row, "method")?,
        identity: row.try_get("identity")?,
        source: row.try_get("source")?,
        kind: parsed(row, "kind")?,
        resource_id: row.try_get("resource_id")?,
        name: row.try_get("name")?,
        sid: row.try_get("sid")?,
        first_found: time(row, "first_found")?,
        found: time(row, "found")?,
        gone: row.try_get::<Option<i64>, _>("gone")?.map(UnixMillis),
        facts: json(row, "facts")?,
    })
}

macro_rules! select {
    ($rest:literal) => {
        concat!(
            "SELECT id, method, identity, source, kind, resource_id, name, sid, first_found, found, gone, facts \
             FROM discovery_record ",
            $rest
        )
    };
}

/// The records of these identities, of any method.
///
/// # Errors
/// When the database cannot be read.
pub async fn of_identities(tx: &mut Tx, identities: &[&str]) -> Result<Vec<RecordRow>, StoreError> {
    let statement = tx.dialect().pick(in_texts!(
        "SELECT id, method, identity, source, kind, resource_id, name, sid, first_found, found, gone, facts \
         FROM discovery_record WHERE identity",
        "ORDER BY id"
    ));
    let rows = sqlx::query(statement).bind(json_texts(identities)).fetch_all(tx.conn()).await?;
    rows.iter().map(record).collect()
}

/// The records of a resource.
///
/// # Errors
/// When the database cannot be read.
pub async fn of_resource(conn: &mut AnyConnection, resource: i64) -> Result<Vec<RecordRow>, StoreError> {
    let query = sqlx::query(select!("WHERE resource_id = $1 ORDER BY method, identity")).bind(resource);
    query.fetch_all(conn).await?.iter().map(record).collect()
}

/// Writes a record, in the place of the one that its method said of the same identity before.
///
/// # Errors
/// When the database cannot be written.
pub async fn put(tx: &mut Tx, row: &RecordRow) -> Result<(), StoreError> {
    let statement = "INSERT INTO discovery_record (method, identity, kind, resource_id, name, sid, first_found, found, gone, \
         facts, source) VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11) ON CONFLICT (method, identity) DO UPDATE SET \
         kind = excluded.kind, source = excluded.source, resource_id = excluded.resource_id, name = excluded.name, sid = excluded.sid, \
         found = excluded.found, gone = excluded.gone, facts = excluded.facts";
    sqlx::query(statement)
        .bind(row.method.as_str())
        .bind(row.identity.clone())
        .bind(row.kind.as_str())
        .bind(row.resource_id)
        .bind(row.name.clone())
        .bind(row.sid.clone())
        .bind(row.first_found.0)
        .bind(row.found.0)
        .bind(row.gone.map(|gone| gone.0))
        .bind(to_json(&row.facts))
        .bind(row.source.clone())
        .execute(tx.conn())
        .await?;
    Ok(())
}

/// Notes that records were found again as they were. One that stands in the future is set back: a clock was wrong then.
///
/// # Errors
/// When the database cannot be written.
pub async fn found_again(tx: &mut Tx, ids: &[i64], found: UnixMillis) -> Result<(), StoreError> {
    let statement = tx.dialect().pick([
        "UPDATE discovery_record SET found = $2 WHERE (found < $2 OR found > $3) AND id IN (SELECT value FROM json_each($1))",
        "UPDATE discovery_record SET found = $2 WHERE (found < $2 OR found > $3) AND id IN \
         (SELECT CAST(e AS BIGINT) FROM jsonb_array_elements_text(CAST($1 AS jsonb)) AS e)",
    ]);
    let query = sqlx::query(statement).bind(to_json(&ids)).bind(found.0).bind(found.plus(DAY).0);
    query.execute(tx.conn()).await?;
    Ok(())
}

/// Notes that the method says that these are no more.
///
/// # Errors
/// When the database cannot be written.
pub async fn set_gone(tx: &mut Tx, ids: &[i64], now: UnixMillis) -> Result<(), StoreError> {
    let statement = tx.dialect().pick([
        "UPDATE discovery_record SET gone = $2 WHERE gone IS NULL AND id IN (SELECT value FROM json_each($1))",
        "UPDATE discovery_record SET gone = $2 WHERE gone IS NULL AND id IN \
         (SELECT CAST(e AS BIGINT) FROM jsonb_array_elements_text(CAST($1 AS jsonb)) AS e)",
    ]);
    sqlx::query(statement).bind(to_json(&ids)).bind(now.0).execute(tx.conn()).await?;
    Ok(())
}

/// How many records of a source and method there are.
///
/// # Errors
/// When the database cannot be read.
pub async fn count(conn: &mut AnyConnection, source: &str, method: DiscoveryMethod) -> Result<u64, StoreError> {
    let statement = "SELECT COUNT(*) FROM discovery_record WHERE source = $1 AND method = $2";
    let count: i64 =
        sqlx::query_scalar(statement).bind(source.to_owned()).bind(method.as_str()).fetch_one(conn).await?;
    Ok(unsigned(count))
}

/// Other resources that a record in force gives this security identifier.
///
/// # Errors
/// When the database cannot be read.
pub async fn others_with_sid(conn: &mut AnyConnection, sid: &str, identity: &str) -> Result<Vec<i64>, StoreError> {
    let statement = "SELECT DISTINCT resource_id FROM discovery_record WHERE sid = $1 AND identity <> $2 AND gone IS NULL \
         ORDER BY resource_id LIMIT 16";
    Ok(sqlx::query_scalar(statement).bind(sid.to_owned()).bind(identity.to_owned()).fetch_all(conn).await?)
}

/// Records, at most so many, that are with a resource other than the client whose account they describe.
///
/// # Errors
/// When the database cannot be read.
pub async fn to_join(conn: &mut AnyConnection, limit: u32) -> Result<Vec<RecordRow>, StoreError> {
    // From the devices, of which few have an account, to the records by their index.
    let statement = select!(
        "WHERE id IN (SELECT r.id FROM device d JOIN discovery_record r ON r.sid = d.account \
         JOIN resource x ON x.resource_id = r.resource_id \
         WHERE d.account IS NOT NULL AND d.state <> 'retired' AND r.resource_id <> d.resource_id AND r.kind = 'system' \
         AND r.method = 'active_directory_system' AND r.gone IS NULL AND x.conflict = 0 AND NOT EXISTS (SELECT 1 FROM device n \
         WHERE n.account = d.account AND n.state <> 'retired' AND n.resource_id > d.resource_id) ORDER BY r.id LIMIT $1) ORDER BY id"
    );
    let rows = sqlx::query(statement).bind(i64::from(limit)).fetch_all(conn).await?;
    rows.iter().map(record).collect()
}

/// Records of other methods, at most so many, that are with a client that was retired.
///
/// # Errors
/// When the database cannot be read.
pub async fn to_part(conn: &mut AnyConnection, limit: u32) -> Result<Vec<RecordRow>, StoreError> {
    let statement = select!(
        "WHERE id IN (SELECT r.id FROM device d JOIN resource x ON x.device = d.id \
         JOIN discovery_record r ON r.resource_id = x.resource_id \
         WHERE d.state = 'retired' AND r.method <> 'heartbeat' ORDER BY r.id LIMIT $1) ORDER BY id"
    );
    let rows = sqlx::query(statement).bind(i64::from(limit)).fetch_all(conn).await?;
    rows.iter().map(record).collect()
}

/// Records in force of a source and method, at most so many, that were found last before that moment.
///
/// # Errors
/// When the database cannot be read.
pub async fn unseen(
    conn: &mut AnyConnection,
    source: &str,
    method: DiscoveryMethod,
    before: UnixMillis,
    limit: u32,
) -> Result<Vec<RecordRow>, StoreError> {
    let statement =
        select!("WHERE source = $1 AND method = $2 AND found < $3 AND gone IS NULL ORDER BY found, id LIMIT $4");
    let query = sqlx::query(statement).bind(source.to_owned()).bind(method.as_str()).bind(before.0);
    query.bind(i64::from(limit)).fetch_all(conn).await?.iter().map(record).collect()
}

/// Records, at most so many, that were found last before the first moment; what clients say of themselves, before the second one too.
///
/// # Errors
/// When the database cannot be read.
pub async fn aged(conn: &mut AnyConnection, before: [UnixMillis; 2], limit: u32) -> Result<Vec<RecordRow>, StoreError> {
    let statement = select!("WHERE found < $1 AND (method <> 'heartbeat' OR found < $2) ORDER BY found, id LIMIT $3");
    let query = sqlx::query(statement).bind(before[0].0).bind(before[1].0);
    query.bind(i64::from(limit)).fetch_all(conn).await?.iter().map(record).collect()
}

/// Removes a record.
///
/// # Errors
/// When the database cannot be written.
pub async fn remove(tx: &mut Tx, id: i64) -> Result<(), StoreError> {
    sqlx::query("DELETE FROM discovery_record WHERE id = $1").bind(id).execute(tx.conn()).await?;
    Ok(())
}
