//! Resources: whatever has a number. What a client attests stands with its device; here is what discovery says.

use super::{
    StoreError, Tx,
    bulk::Bulk,
    column::{contains, parsed, parsed_opt, resource_id, signed, time, unsigned},
};
use muster_model::{
    api::{DiscoveryMethod, Resource, ResourceAlike, ResourceKind, ResourceQuery},
    discovery::{FACTS, Fact, FactType, Facts},
    id::{DeviceId, ResourceId},
    time::UnixMillis,
};
use sqlx::{AnyConnection, AssertSqlSafe, Row, any::AnyRow};
use std::{collections::BTreeMap, sync::LazyLock};

/// The next number of a resource of that kind, that nothing had before.
pub(super) async fn next_number(tx: &mut Tx, kind: ResourceKind) -> Result<i64, StoreError> {
    let statement = "UPDATE resource_number SET next = next + 1 WHERE kind = $1 RETURNING next - 1";
    Ok(sqlx::query_scalar(statement).bind(kind.as_str()).fetch_one(tx.conn()).await?)
}

/// Adds the resource that a device is.
pub(super) async fn insert_device(
    tx: &mut Tx,
    number: i64,
    device: DeviceId,
    created: UnixMillis,
) -> Result<(), StoreError> {
    let statement = "INSERT INTO resource (resource_id, kind, device, name, search, created, conflict) \
         VALUES ($1, 'system', $2, '', '', $3, 0)";
    let query = sqlx::query(statement).bind(number).bind(device.to_string()).bind(created.0);
    query.execute(tx.conn()).await?;
    Ok(())
}

/// Adds a resource on which no client runs, and gives it its number.
///
/// # Errors
/// When the database cannot be written.
pub async fn insert(tx: &mut Tx, kind: ResourceKind, name: &str, created: UnixMillis) -> Result<i64, StoreError> {
    let number = next_number(tx, kind).await?;
    let statement = "INSERT INTO resource (resource_id, kind, name, search, created, conflict) \
         VALUES ($1, $2, $3, $4, $5, 0)";
    let query = sqlx::query(statement).bind(number).bind(kind.as_str()).bind(name).bind(name.to_lowercase());
    query.bind(created.0).execute(tx.conn()).await?;
    Ok(number)
}

/// What discovery says of a resource, all methods together.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ResourceFacts {
    /// Its number.
    pub resource_id: i64,
    /// Its name; empty where a client runs, which has its own.
    pub name: String,
    /// Since when no method knows it any more.
    pub gone: Option<UnixMillis>,
    /// Whether another one says that it is the same.
    pub conflict: bool,
    /// The attributes.
    pub facts: Facts,
}

static UPDATE: LazyLock<String> = LazyLock::new(|| {
    let columns = FACTS.iter().filter(|fact| fact.kind != FactType::List).zip(6..);
    let columns: String = columns.map(|(fact, number)| format!(", \"{}\" = ${number}", fact.name)).collect();
    format!("UPDATE resource SET name = $2, search = $3, gone = $4, conflict = $5{columns} WHERE resource_id = $1")
});

static VALUES: Bulk = Bulk::new(
    "INSERT INTO resource_value (resource_id, attribute, value)",
    3,
    "ON CONFLICT (resource_id, attribute, value) DO NOTHING",
);

/// Writes what is said of a resource now, in the place of what was said before.
///
/// # Errors
/// When the database cannot be written.
pub async fn put(tx: &mut Tx, row: &ResourceFacts) -> Result<(), StoreError> {
    let mut query = sqlx::query(AssertSqlSafe(UPDATE.as_str()))
        .bind(row.resource_id)
        .bind(row.name.clone())
        .bind(row.name.to_lowercase())
        .bind(row.gone.map(|gone| gone.0))
        .bind(i64::from(row.conflict));
    let mut several: Vec<(i64, &str, &str)> = Vec::new();
    for kind in FACTS {
        let value = row.facts.get(kind.name);
        query = match (kind.kind, value) {
            (FactType::Text, Some(Fact::Text(text))) => query.bind(Some(text.clone())),
            (FactType::Text, _) => query.bind(None::<String>),
            (FactType::Number | FactType::Moment, Some(Fact::Number(number))) => query.bind(Some(*number)),
            (FactType::Number | FactType::Moment, _) => query.bind(None::<i64>),
            (FactType::List, Some(Fact::List(values))) => {
                several.extend(values.iter().map(|value| (row.resource_id, kind.name, value.as_str())));
                query
            }
            (FactType::List, _) => query,
        };
    }
    query.execute(tx.conn()).await?;
    let statement = "DELETE FROM resource_value WHERE resource_id = $1";
    sqlx::query(statement).bind(row.resource_id).execute(tx.conn()).await?;
    VALUES
        .run(tx, &several, |query, (resource, attribute, value)| {
            query.bind(*resource).bind((*attribute).to_owned()).bind((*value).to_owned())
        })
        .await?;
    Ok(())
}

/// The client that runs on a resource: its device, and whether it is retired.
///
/// # Errors
/// [`StoreError::NotFound`]; when the database cannot be read.
pub async fn client(conn: &mut AnyConnection, number: i64) -> Result<Option<(DeviceId, bool)>, StoreError> {
    let statement =
        "SELECT x.device, d.state FROM resource x LEFT JOIN device d ON d.id = x.device WHERE x.resource_id = $1";
    let row = sqlx::query(statement).bind(number).fetch_one(conn).await?;
    let device: Option<DeviceId> = parsed_opt(&row, "device")?;
    let state: Option<String> = row.try_get("state")?;
    Ok(device.map(|device| (device, state.is_none_or(|state| state == "retired"))))
}

/// The resource of a device.
///
/// # Errors
/// When the database cannot be read.
pub async fn of_device(conn: &mut AnyConnection, device: DeviceId) -> Result<Option<i64>, StoreError> {
    let statement = "SELECT resource_id FROM resource WHERE device = $1";
    Ok(sqlx::query_scalar(statement).bind(device.to_string()).fetch_optional(conn).await?)
}

/// The newest client that is not retired and whose computer's account, proven by its domain, has this security identifier.
///
/// # Errors
/// When the database cannot be read.
pub async fn of_account(conn: &mut AnyConnection, sid: &str) -> Result<Option<i64>, StoreError> {
    let statement = "SELECT MAX(resource_id) FROM device WHERE account = $1 AND state <> 'retired'";
    Ok(sqlx::query_scalar(statement).bind(sid.to_owned()).fetch_one(conn).await?)
}

/// Other systems that have a hardware address of this one, by number, name and client; at most 20. It proves nothing: whoever runs a
/// client says which it has.
///
/// # Errors
/// When the database cannot be read.
pub async fn alike(conn: &mut AnyConnection, number: ResourceId) -> Result<Vec<ResourceAlike>, StoreError> {
    let statement = "SELECT DISTINCT x.resource_id, COALESCE(d.name, x.name) AS shown, x.device FROM resource_value v \
         JOIN resource_value o ON o.attribute = v.attribute AND o.value = v.value AND o.resource_id <> v.resource_id \
         JOIN resource x ON x.resource_id = o.resource_id LEFT JOIN device d ON d.id = x.device \
         WHERE v.resource_id = $1 AND v.attribute = 'MACAddresses' AND x.gone IS NULL AND (d.id IS NULL OR d.state <> 'retired') \
         ORDER BY x.resource_id LIMIT 20";
    let rows = sqlx::query(statement).bind(i64::from(number.0)).fetch_all(conn).await?;
    let alike = |row| {
        let device = parsed_opt(row, "device")?;
        Ok(ResourceAlike { resource_id: resource_id(row)?, name: Row::try_get(row, "shown")?, device })
    };
    rows.iter().map(alike).collect()
}

/// Those of these resources that are of a kind.
///
/// # Errors
/// When the database cannot be read.
pub async fn of_kind(tx: &mut Tx, numbers: &[i64], kind: ResourceKind) -> Result<Vec<i64>, StoreError> {
    let statement = tx.dialect().pick([
        "SELECT resource_id FROM resource WHERE kind = $2 AND resource_id IN (SELECT value FROM json_each($1))",
        "SELECT resource_id FROM resource WHERE kind = $2 AND resource_id IN \
         (SELECT CAST(e AS BIGINT) FROM jsonb_array_elements_text(CAST($1 AS jsonb)) AS e)",
    ]);
    let query = sqlx::query_scalar(statement).bind(super::column::to_json(&numbers)).bind(kind.as_str());
    Ok(query.fetch_all(tx.conn()).await?)
}

/// How many resources there are on which no client runs.
///
/// # Errors
/// When the database cannot be read.
pub async fn count_found(conn: &mut AnyConnection) -> Result<u64, StoreError> {
    let statement = "SELECT COUNT(*) FROM resource WHERE device IS NULL";
    Ok(unsigned(sqlx::query_scalar(statement).fetch_one(conn).await?))
}

/// Groups and members go on under another number.
///
/// # Errors
/// When the database cannot be written.
pub async fn follow(tx: &mut Tx, from: i64, to: i64) -> Result<(), StoreError> {
    for (take, drop) in [
        (
            "INSERT INTO resource_member (group_id, member_id) SELECT group_id, CAST($2 AS BIGINT) FROM resource_member \
             WHERE member_id = $1 ON CONFLICT (group_id, member_id) DO NOTHING",
            "DELETE FROM resource_member WHERE member_id = $1",
        ),
        (
            "INSERT INTO resource_group (resource_id, group_id) SELECT CAST($2 AS BIGINT), group_id FROM resource_group \
             WHERE resource_id = $1 ON CONFLICT (resource_id, group_id) DO NOTHING",
            "DELETE FROM resource_group WHERE resource_id = $1",
        ),
    ] {
        sqlx::query(take).bind(from).bind(to).execute(tx.conn()).await?;
        sqlx::query(drop).bind(from).execute(tx.conn()).await?;
    }
    Ok(())
}

/// Removes a resource on which no client runs, with all that is known of it. Its number is given to no other.
///
/// # Errors
/// When the database cannot be written.
pub async fn remove(tx: &mut Tx, number: i64) -> Result<(), StoreError> {
    for statement in [
        "DELETE FROM resource_member WHERE group_id = $1 OR member_id = $1",
        "DELETE FROM resource_group WHERE group_id = $1 OR resource_id = $1",
        "DELETE FROM resource_value WHERE resource_id = $1",
        "DELETE FROM discovery_record WHERE resource_id = $1",
        "DELETE FROM collection_rule WHERE resource_id = $1",
        "DELETE FROM resource WHERE resource_id = $1 AND device IS NULL",
    ] {
        sqlx::query(statement).bind(number).execute(tx.conn()).await?;
    }
    Ok(())
}

/// Which resources are listed: `$1` kind, `$2` pattern, `$3` whether a client runs; each empty: any.
macro_rules! filtered {
    ($what:expr, $rest:literal) => {
        concat!(
            "SELECT ",
            $what,
            " FROM resource x LEFT JOIN device d ON d.id = x.device WHERE (d.id IS NULL OR d.state <> 'retired') \
             AND ($1 = '' OR x.kind = $1) AND ($2 = '' OR lower(COALESCE(d.name, x.search)) LIKE $2 ESCAPE '!') \
             AND ($3 = '' OR ($3 = 'yes' AND d.id IS NOT NULL) OR ($3 = 'no' AND d.id IS NULL))",
            $rest
        )
    };
}
macro_rules! columns {
    () => {
        "x.resource_id, x.kind, x.device, COALESCE(d.name, x.name) AS shown, COALESCE(d.enrolled, x.created) AS created, \
         x.gone, x.conflict, (SELECT MAX(r.found) FROM discovery_record r WHERE r.resource_id = x.resource_id) AS found"
    };
}

fn resource(row: &AnyRow) -> Result<Resource, StoreError> {
    Ok(Resource {
        resource_id: resource_id(row)?,
        kind: parsed(row, "kind")?,
        name: row.try_get("shown")?,
        device: parsed_opt(row, "device")?,
        methods: Vec::new(),
        created: time(row, "created")?,
        found: row.try_get::<Option<i64>, _>("found")?.map(UnixMillis),
        gone: row.try_get::<Option<i64>, _>("gone")?.map(UnixMillis),
        conflict: row.try_get::<i64, _>("conflict")? != 0,
    })
}

/// Adds to resources by which methods they are known: one statement for a page.
async fn with_methods(conn: &mut AnyConnection, rows: &[AnyRow]) -> Result<Vec<Resource>, StoreError> {
    let mut found: Vec<Resource> = rows.iter().map(resource).collect::<Result<_, _>>()?;
    let Some(most) = found.len().checked_sub(1) else { return Ok(found) };
    let places: String = (2..=most + 1).map(|place| format!(", ${place}")).collect();
    let statement = format!(
        "SELECT DISTINCT resource_id, method FROM discovery_record WHERE resource_id IN ($1{places}) ORDER BY resource_id, method"
    );
    let mut query = sqlx::query(AssertSqlSafe(statement));
    for row in &found {
        query = query.bind(i64::from(row.resource_id.0));
    }
    let mut methods: BTreeMap<ResourceId, Vec<DiscoveryMethod>> = BTreeMap::new();
    for row in query.fetch_all(conn).await? {
        methods.entry(resource_id(&row)?).or_default().push(parsed(&row, "method")?);
    }
    for row in &mut found {
        row.methods = methods.remove(&row.resource_id).unwrap_or_default();
    }
    Ok(found)
}

/// A page of resources, by name; and how many the filter finds. Retired clients are not among them.
///
/// # Errors
/// When the database cannot be read.
pub async fn list(conn: &mut AnyConnection, query: &ResourceQuery) -> Result<(Vec<Resource>, u64), StoreError> {
    let kind = query.kind.map_or("", ResourceKind::as_str);
    let text = if query.search.is_empty() { String::new() } else { contains(&query.search) };
    let client = match query.client {
        None => "",
        Some(true) => "yes",
        Some(false) => "no",
    };
    let total: i64 = sqlx::query_scalar(filtered!("COUNT(*)", ""))
        .bind(kind)
        .bind(text.clone())
        .bind(client)
        .fetch_one(&mut *conn)
        .await?;
    let statement = filtered!(columns!(), " ORDER BY shown, x.resource_id LIMIT $4 OFFSET $5");
    let rows = sqlx::query(statement)
        .bind(kind)
        .bind(text)
        .bind(client)
        .bind(i64::from(query.limit))
        .bind(signed(query.offset))
        .fetch_all(&mut *conn)
        .await?;
    Ok((with_methods(conn, &rows).await?, unsigned(total)))
}

/// One resource.
///
/// # Errors
/// When the database cannot be read.
pub async fn get(conn: &mut AnyConnection, number: ResourceId) -> Result<Option<Resource>, StoreError> {
    let statement = concat!(
        "SELECT ",
        columns!(),
        " FROM resource x LEFT JOIN device d ON d.id = x.device WHERE x.resource_id = $1"
    );
    let rows = sqlx::query(statement).bind(i64::from(number.0)).fetch_all(&mut *conn).await?;
    Ok(with_methods(conn, &rows).await?.pop())
}

/// The names of the groups that a resource is in, through others too; at most so many.
///
/// # Errors
/// When the database cannot be read.
pub async fn groups(conn: &mut AnyConnection, number: ResourceId, limit: u32) -> Result<Vec<String>, StoreError> {
    let statement = "SELECT g.name FROM resource_group m JOIN resource g ON g.resource_id = m.group_id \
         WHERE m.resource_id = $1 AND g.gone IS NULL ORDER BY g.name, g.resource_id LIMIT $2";
    Ok(sqlx::query_scalar(statement).bind(i64::from(number.0)).bind(i64::from(limit)).fetch_all(conn).await?)
}
