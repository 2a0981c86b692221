//! Inventory: each distinct row of a class is stored once; a device's section is the list of the rows that it has.

use super::{
    Dialect, StoreError, Tx,
    bulk::{Bulk, in_texts, json_texts},
    column::{self, parsed},
    device_change,
    inventory_schema::{self, Statement},
};
use muster_model::{
    api::ClassSummary,
    catalogue::{Class, Type},
    id::{DeviceId, Hash},
    inventory::{Row as InventoryRow, Unread, Value},
    time::UnixMillis,
};
use serde::Serialize;
use sqlx::{AnyConnection, AssertSqlSafe, Row, any::AnyRow};
use std::{
    borrow::Cow,
    collections::{BTreeMap, BTreeSet, HashMap},
};

/// A row that may be new to the site.
#[derive(Debug, Serialize)]
pub struct NewRow<'a> {
    /// SHA-256 of the row's JSON, hexadecimal.
    #[serde(rename = "h")]
    pub hash: &'a str,
    /// A number made from its key attributes: equal keys, equal numbers.
    #[serde(rename = "k")]
    pub key: i64,
    /// The row.
    #[serde(rename = "r")]
    pub row: &'a InventoryRow,
}

/// Rows that are added in one statement: its parameter stays at some hundred kilobytes.
const INTERN_ROWS: usize = 1_000;

/// The statement of a class, safe because its names were looked at when it was made.
pub(super) fn of(dialect: Dialect, class: &Class, statement: Statement) -> AssertSqlSafe<Cow<'static, str>> {
    AssertSqlSafe(inventory_schema::statement(dialect, class, statement))
}

/// Ids of the rows with these hashes, after those that are new were added.
///
/// # Errors
/// When the database cannot be written.
pub async fn intern(tx: &mut Tx, class: &Class, rows: &[NewRow<'_>]) -> Result<HashMap<String, i64>, StoreError> {
    let dialect = tx.dialect();
    let mut ids = HashMap::with_capacity(rows.len());
    for rows in rows.chunks(INTERN_ROWS) {
        let hashes = json_texts(rows.iter().map(|row| row.hash));
        let new = column::to_json(&rows);
        sqlx::query(of(dialect, class, Statement::Intern)).bind(new).execute(tx.conn()).await?;
        let found: String =
            sqlx::query_scalar(of(dialect, class, Statement::Ids)).bind(hashes).fetch_one(tx.conn()).await?;
        for (id, hash) in pairs(&found) {
            ids.insert(hash.to_owned(), id);
        }
    }
    Ok(ids)
}

/// What a statement has put into one text: a row that comes by itself costs many times as much as what is in it.
pub(super) fn pairs(text: &str) -> impl Iterator<Item = (i64, &str)> {
    let mut words = text.split_ascii_whitespace();
    std::iter::from_fn(move || Some((words.next()?, words.next()?)))
        .filter_map(|(id, word)| Some((id.parse().ok()?, word)))
}

/// Ids and keys of those rows of some devices, `own`, that have one of these keys; perhaps of others too. Few devices have most keys, and
/// some every device has, each with a row of its own: of these their own rows are asked.
///
/// # Errors
/// When the database cannot be read.
pub async fn with_keys(
    tx: &mut Tx,
    class: &Class,
    keys: &[i64],
    own: &[&[i64]],
) -> Result<Vec<(i64, i64)>, StoreError> {
    let most = 2 * own.iter().map(|own| own.len()).sum::<usize>() + 100;
    let statement = of(tx.dialect(), class, Statement::WithKeys);
    let limit = i64::try_from(most).unwrap_or(i64::MAX);
    let query = sqlx::query_scalar(statement).bind(column::to_json(&keys)).bind(limit);
    let mut found: String = query.fetch_one(tx.conn()).await?;
    if pairs(&found).count() >= most {
        let own: BTreeSet<i64> = own.iter().copied().flatten().copied().collect();
        let statement = of(tx.dialect(), class, Statement::Keys);
        found = sqlx::query_scalar(statement).bind(column::to_json(&own)).fetch_one(tx.conn()).await?;
    }
    Ok(pairs(&found).filter_map(|(id, key)| Some((id, key.parse().ok()?))).collect())
}

/// A section as it is stored.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SectionRow {
    /// The device.
    pub device: DeviceId,
    /// The class.
    pub class: String,
    /// Digest of the section, as the client computed it.
    pub digest: Hash,
    /// The rows.
    pub row_ids: Vec<i64>,
    /// When it last changed.
    pub changed: UnixMillis,
}

/// The sections of these devices that are of these classes.
///
/// # Errors
/// When the database cannot be read.
pub async fn sections(tx: &mut Tx, devices: &[DeviceId], classes: &[&str]) -> Result<Vec<SectionRow>, StoreError> {
    let statement = tx.dialect().pick([
        "SELECT device, class, digest, row_ids, changed FROM device_section \
         WHERE device IN (SELECT value FROM json_each($1)) AND class IN (SELECT value FROM json_each($2))",
        "SELECT device, class, digest, row_ids, changed FROM device_section \
         WHERE device IN (SELECT jsonb_array_elements_text(CAST($1 AS jsonb))) \
         AND class IN (SELECT jsonb_array_elements_text(CAST($2 AS jsonb)))",
    ]);
    let rows = sqlx::query(statement).bind(json_texts(devices)).bind(json_texts(classes)).fetch_all(tx.conn()).await?;
    rows.iter()
        .map(|row| {
            Ok(SectionRow {
                device: parsed(row, "device")?,
                class: row.try_get("class")?,
                digest: parsed(row, "digest")?,
                row_ids: column::json(row, "row_ids")?,
                changed: column::time(row, "changed")?,
            })
        })
        .collect()
}

static PUT: Bulk = Bulk::new(
    "INSERT INTO device_section (device, class, digest, row_ids, row_count, changed)",
    6,
    "ON CONFLICT (device, class) DO UPDATE SET digest = excluded.digest, row_ids = excluded.row_ids, \
     row_count = excluded.row_count, changed = excluded.changed",
);

/// Sets sections, each at most once.
///
/// # Errors
/// When the database cannot be written.
pub async fn put(tx: &mut Tx, rows: &[SectionRow]) -> Result<(), StoreError> {
    PUT.run(tx, rows, |query, row| {
        query
            .bind(row.device.to_string())
            .bind(row.class.clone())
            .bind(row.digest.to_string())
            .bind(column::to_json(&row.row_ids))
            .bind(column::signed(row.row_ids.len() as u64))
            .bind(row.changed.0)
    })
    .await?;
    let mut changes: BTreeMap<DeviceId, Vec<&str>> = BTreeMap::new();
    rows.iter().for_each(|row| changes.entry(row.device).or_default().push(&row.class));
    device_change::note(tx, &changes.into_iter().collect::<Vec<_>>()).await
}

static UNREAD: Bulk =
    Bulk::new("INSERT INTO device_unread (device, class, reason)", 3, "ON CONFLICT (device, class) DO NOTHING");

/// Notes what the agents of these devices could not read, in the place of what was noted before.
///
/// # Errors
/// When the database cannot be written.
pub async fn put_unread(tx: &mut Tx, devices: &[DeviceId], rows: &[(DeviceId, Unread)]) -> Result<(), StoreError> {
    let statement = tx.dialect().pick(in_texts!("DELETE FROM device_unread WHERE device", ""));
    sqlx::query(statement).bind(json_texts(devices)).execute(tx.conn()).await?;
    UNREAD
        .run(tx, rows, |query, (device, unread)| {
            query.bind(device.to_string()).bind(unread.class.clone()).bind(unread.reason.clone())
        })
        .await?;
    Ok(())
}

/// Notes that inventory of these devices was accepted.
///
/// # Errors
/// When the database cannot be written.
pub async fn seen(tx: &mut Tx, devices: &[DeviceId], now: UnixMillis) -> Result<(), StoreError> {
    let statement = tx.dialect().pick(in_texts!("UPDATE device SET last_inventory = $2 WHERE id", ""));
    sqlx::query(statement).bind(json_texts(devices)).bind(now.0).execute(tx.conn()).await?;
    let noted: Vec<_> = devices.iter().map(|device| (*device, vec![device_change::LAST_INVENTORY])).collect();
    device_change::note(tx, &noted).await
}

/// The classes of a device, with the number of rows and the time of their last change.
///
/// # Errors
/// When the database cannot be read.
pub async fn classes(conn: &mut AnyConnection, device: DeviceId) -> Result<Vec<ClassSummary>, StoreError> {
    let statement = "SELECT class, row_count, changed FROM device_section WHERE device = $1 ORDER BY class";
    let rows = sqlx::query(statement).bind(device.to_string()).fetch_all(conn).await?;
    rows.iter()
        .map(|row| {
            Ok(ClassSummary {
                class: row.try_get("class")?,
                rows: column::count(row, "row_count")?,
                changed: column::time(row, "changed")?,
            })
        })
        .collect()
}

/// What the agent of a device could not read.
///
/// # Errors
/// When the database cannot be read.
pub async fn unread(conn: &mut AnyConnection, device: DeviceId) -> Result<Vec<Unread>, StoreError> {
    let statement = "SELECT class, reason FROM device_unread WHERE device = $1 ORDER BY class";
    let rows = sqlx::query(statement).bind(device.to_string()).fetch_all(conn).await?;
    rows.iter().map(|row| Ok(Unread { class: row.try_get("class")?, reason: row.try_get("reason")? })).collect()
}

/// One page of the rows of a class of a device, in the order of their key; and how many there are. `None`: the device has no
/// section of that class.
///
/// # Errors
/// When the database cannot be read.
pub async fn rows(
    conn: &mut AnyConnection,
    dialect: Dialect,
    device: DeviceId,
    class: &Class,
    offset: u64,
    limit: u32,
) -> Result<Option<(Vec<InventoryRow>, u64)>, StoreError> {
    let statement = "SELECT row_count FROM device_section WHERE device = $1 AND class = $2";
    let query = sqlx::query_scalar(statement).bind(device.to_string()).bind(class.name.clone());
    let Some(total) = query.fetch_optional(&mut *conn).await? else { return Ok(None) };
    let rows = sqlx::query(of(dialect, class, Statement::Rows))
        .bind(device.to_string())
        .bind(i64::from(limit))
        .bind(column::signed(offset))
        .fetch_all(conn)
        .await?;
    let rows = rows.iter().map(|row| inventory_row(class, row)).collect::<Result<_, _>>()?;
    Ok(Some((rows, column::unsigned(total))))
}

pub(super) fn inventory_row(class: &Class, row: &AnyRow) -> Result<InventoryRow, StoreError> {
    let mut values = InventoryRow::new();
    for attribute in &class.attributes {
        let name = attribute.name.as_str();
        let value = match attribute.kind {
            Type::Text => row.try_get::<Option<String>, _>(name)?.map(Value::Text),
            Type::Int { .. } | Type::DateTime => row.try_get::<Option<i64>, _>(name)?.map(Value::Int),
            Type::Bool => row.try_get::<Option<i64>, _>(name)?.map(|truth| Value::Bool(truth != 0)),
            Type::Real => row.try_get::<Option<f64>, _>(name)?.map(Value::Real),
            Type::List => match row.try_get::<Option<&str>, _>(name)? {
                Some(_) => Some(Value::List(column::json(row, name)?)),
                None => None,
            },
        };
        if let Some(value) = value {
            values.insert(name.to_owned(), value);
        }
    }
    Ok(values)
}

/// Under this name stands how often rows were swept: a process that kept ids of rows in memory forgets them when it changed.
pub(super) const SWEEPS: &str = "inventory_sweeps";

/// How often rows were swept. Until the transaction ends, nobody sweeps.
///
/// # Errors
/// When the database cannot be read.
pub async fn sweeps(tx: &mut Tx) -> Result<String, StoreError> {
    let statement = tx
        .dialect()
        .pick(["SELECT value FROM setting WHERE name = $1", "SELECT value FROM setting WHERE name = $1 FOR SHARE"]);
    let value: Option<String> = sqlx::query_scalar(statement).bind(SWEEPS).fetch_optional(tx.conn()).await?;
    Ok(value.unwrap_or_default())
}
