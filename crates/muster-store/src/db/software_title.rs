//! Software titles: what the rows of software are, and on how many devices.

use super::{
    Dialect, StoreError, Tx,
    bulk::Bulk,
    column::{self, signed, unsigned},
    inventory::of,
    inventory_schema::Statement,
};
use muster_model::{
    api::{SoftwareTitle, SoftwareVersion},
    catalogue::Class,
    id::DeviceId,
    inventory::Row as InventoryRow,
};
use sqlx::{AnyConnection, Row};
use std::collections::{BTreeSet, HashMap};

/// Some rows of a class after a row that were not looked at by these rules yet, in the order of their ids.
///
/// # Errors
/// When the database cannot be read.
pub async fn unknown(
    conn: &mut AnyConnection,
    dialect: Dialect,
    class: &Class,
    after: i64,
    rules: i64,
    limit: u32,
) -> Result<Vec<(i64, InventoryRow)>, StoreError> {
    let query = sqlx::query(of(dialect, class, Statement::Untitled));
    let rows = query.bind(after).bind(rules).bind(i64::from(limit)).fetch_all(conn).await?;
    rows.iter().map(|row| Ok((row.try_get("row_id")?, super::inventory::inventory_row(class, row)?))).collect()
}

/// What a row is.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct SoftwareRow {
    /// Its id in the table of its class.
    pub row_id: i64,
    /// The product.
    pub product: String,
    /// The publisher.
    pub publisher: String,
    /// The version.
    pub version: String,
    /// How versions follow each other.
    pub scheme: &'static str,
    /// The architecture.
    pub architecture: String,
    /// The language.
    pub language: String,
}

static TITLE: Bulk =
    Bulk::new("INSERT INTO software_title (product, publisher)", 2, "ON CONFLICT (product, publisher) DO NOTHING");
static VERSION: Bulk = Bulk::new(
    "INSERT INTO software_version (title, version, scheme)",
    3,
    "ON CONFLICT (title, version, scheme) DO NOTHING",
);
static ROW: Bulk = Bulk::new(
    "INSERT INTO software_row (class, row_id, version, architecture, language, rules)",
    6,
    "ON CONFLICT (class, row_id) DO UPDATE SET version = excluded.version, architecture = excluded.architecture, \
     language = excluded.language, rules = excluded.rules",
);

/// Keeps what rows of a class are.
///
/// # Errors
/// When the database cannot be written.
pub async fn put(tx: &mut Tx, class: &str, rules: i64, rows: &[SoftwareRow]) -> Result<(), StoreError> {
    let titles: BTreeSet<(&str, &str)> =
        rows.iter().map(|row| (row.product.as_str(), row.publisher.as_str())).collect();
    let titles: Vec<_> = titles.into_iter().collect();
    TITLE
        .run(tx, &titles, |query, (product, publisher)| query.bind((*product).to_owned()).bind((*publisher).to_owned()))
        .await?;
    // Only those of these rows: a product may have any number of publishers, and a title any number of versions.
    let statement = tx.dialect().pick([
        "SELECT t.id, t.product, t.publisher FROM json_each($1) AS e CROSS JOIN software_title t \
         WHERE t.product = (e.value->>0) AND t.publisher = (e.value->>1)",
        "SELECT t.id, t.product, t.publisher FROM jsonb_array_elements(CAST($1 AS jsonb)) AS e \
         JOIN software_title t ON t.product = (e->>0) AND t.publisher = (e->>1)",
    ]);
    let found = sqlx::query(statement).bind(column::to_json(&titles)).fetch_all(tx.conn()).await?;
    let mut title_ids: HashMap<(String, String), i64> = HashMap::new();
    for row in &found {
        title_ids.insert((row.try_get("product")?, row.try_get("publisher")?), row.try_get("id")?);
    }
    let title = |row: &SoftwareRow| {
        let lost = || StoreError::Corrupt("a software title has no id".to_owned());
        title_ids.get(&(row.product.clone(), row.publisher.clone())).copied().ok_or_else(lost)
    };
    let mut versions: BTreeSet<(i64, &str, &str)> = BTreeSet::new();
    for row in rows {
        versions.insert((title(row)?, row.version.as_str(), row.scheme));
    }
    let versions: Vec<_> = versions.into_iter().collect();
    VERSION
        .run(tx, &versions, |query, (title, version, scheme)| {
            query.bind(*title).bind((*version).to_owned()).bind((*scheme).to_owned())
        })
        .await?;
    let statement = tx.dialect().pick([
        "SELECT v.id, v.title, v.version, v.scheme FROM json_each($1) AS e CROSS JOIN software_version v \
         WHERE v.title = (e.value->>0) AND v.version = (e.value->>1) AND v.scheme = (e.value->>2)",
        "SELECT v.id, v.title, v.version, v.scheme FROM jsonb_array_elements(CAST($1 AS jsonb)) AS e \
         JOIN software_version v ON v.title = CAST(e->>0 AS BIGINT) AND v.version = (e->>1) AND v.scheme = (e->>2)",
    ]);
    let found = sqlx::query(statement).bind(column::to_json(&versions)).fetch_all(tx.conn()).await?;
    let mut version_ids: HashMap<(i64, String, String), i64> = HashMap::new();
    for row in &found {
        let key = (row.try_get("title")?, row.try_get("version")?, row.try_get("scheme")?);
        version_ids.insert(key, row.try_get("id")?);
    }
    let mut kept = Vec::with_capacity(rows.len());
    for row in rows {
        let key = (title(row)?, row.version.clone(), row.scheme.to_owned());
        let lost = || StoreError::Corrupt("a software version has no id".to_owned());
        kept.push((*version_ids.get(&key).ok_or_else(lost)?, row));
    }
    ROW.run(tx, &kept, |query, (version, row)| {
        query
            .bind(class.to_owned())
            .bind(row.row_id)
            .bind(*version)
            .bind(row.architecture.clone())
            .bind(row.language.clone())
            .bind(rules)
    })
    .await?;
    Ok(())
}

/// Which version each row of a class is, and which title each version: for counting.
///
/// # Errors
/// When the database cannot be read.
pub async fn versions(conn: &mut AnyConnection, class: &str) -> Result<Vec<(i64, i64, i64)>, StoreError> {
    let statement = "SELECT n.row_id, n.version, v.title FROM software_row n JOIN software_version v ON v.id = n.version \
         WHERE n.class = $1";
    let rows = sqlx::query(statement).bind(class).fetch_all(conn).await?;
    rows.iter().map(|row| Ok((row.try_get("row_id")?, row.try_get("version")?, row.try_get("title")?))).collect()
}

/// The sections of some devices after this one that are of these classes: device and row ids. Those of devices that are retired are
/// none.
///
/// # Errors
/// When the database cannot be read.
pub async fn installed(
    conn: &mut AnyConnection,
    dialect: Dialect,
    after: &str,
    classes: &[&str],
    limit: u32,
) -> Result<Vec<(DeviceId, String, Vec<i64>)>, StoreError> {
    let statement = dialect.pick(super::bulk::in_texts!(
        "SELECT s.device, s.class, s.row_ids FROM device_section s JOIN (SELECT id FROM device WHERE id > $2 \
         AND state <> 'retired' ORDER BY id LIMIT $3) d ON d.id = s.device WHERE s.class",
        "ORDER BY s.device"
    ));
    let query = sqlx::query(statement).bind(super::bulk::json_texts(classes)).bind(after).bind(i64::from(limit));
    let rows = query.fetch_all(conn).await?;
    rows.iter()
        .map(|row| Ok((column::parsed(row, "device")?, row.try_get("class")?, column::json(row, "row_ids")?)))
        .collect()
}

/// The last of the next devices after this one, for paging through all of them.
///
/// # Errors
/// When the database cannot be read.
pub async fn last_device(conn: &mut AnyConnection, after: &str, limit: u32) -> Result<Option<String>, StoreError> {
    let statement = "SELECT MAX(id) AS id FROM (SELECT id FROM device WHERE id > $1 AND state <> 'retired' \
         ORDER BY id LIMIT $2) AS d";
    Ok(sqlx::query_scalar(statement).bind(after).bind(i64::from(limit)).fetch_one(conn).await?)
}

/// The number of the latest change of any inventory; another one: there is something to be counted anew.
///
/// # Errors
/// When the database cannot be read.
pub async fn latest(conn: &mut AnyConnection) -> Result<i64, StoreError> {
    let statement = "SELECT COALESCE(MAX(id), 0) FROM section_change";
    Ok(sqlx::query_scalar(statement).fetch_one(conn).await?)
}

/// The counts as they are stored: of titles, or of versions.
///
/// # Errors
/// When the database cannot be read.
pub async fn counts(conn: &mut AnyConnection, of_titles: bool) -> Result<HashMap<i64, u64>, StoreError> {
    let statement = if of_titles {
        "SELECT id, devices FROM software_title WHERE devices > 0"
    } else {
        "SELECT id, devices FROM software_version WHERE devices > 0"
    };
    let rows = sqlx::query(statement).fetch_all(conn).await?;
    rows.iter().map(|row| Ok((row.try_get("id")?, column::count(row, "devices")?))).collect()
}

/// Sets counts of titles, or of versions.
///
/// # Errors
/// When the database cannot be written.
pub async fn set_counts(tx: &mut Tx, of_titles: bool, counts: &[(i64, u64)]) -> Result<(), StoreError> {
    let statement = if of_titles {
        "UPDATE software_title SET devices = $2 WHERE id = $1"
    } else {
        "UPDATE software_version SET devices = $2 WHERE id = $1"
    };
    for (id, devices) in counts {
        sqlx::query(statement).bind(*id).bind(signed(*devices)).execute(tx.conn()).await?;
    }
    Ok(())
}

fn title(row: &sqlx::any::AnyRow) -> Result<SoftwareTitle, StoreError> {
    Ok(SoftwareTitle {
        id: column::count(row, "id")?,
        product: row.try_get("product")?,
        publisher: row.try_get("publisher")?,
        devices: column::count(row, "devices")?,
        versions: column::count(row, "versions")?,
    })
}

/// A page of the titles that devices have, the most spread first; and how many there are.
///
/// # Errors
/// When the database cannot be read.
pub async fn list(
    conn: &mut AnyConnection,
    search: &str,
    offset: u64,
    limit: u32,
) -> Result<(Vec<SoftwareTitle>, u64), StoreError> {
    let pattern = column::contains(search);
    let statement = "SELECT COUNT(*) FROM software_title WHERE devices > 0 AND \
         (lower(product) LIKE $1 ESCAPE '!' OR lower(publisher) LIKE $1 ESCAPE '!')";
    let total: i64 = sqlx::query_scalar(statement).bind(&pattern).fetch_one(&mut *conn).await?;
    let statement = "SELECT t.id, t.product, t.publisher, t.devices, \
         (SELECT COUNT(*) FROM software_version v WHERE v.title = t.id AND v.devices > 0) AS versions FROM software_title t \
         WHERE t.devices > 0 AND (lower(t.product) LIKE $1 ESCAPE '!' OR lower(t.publisher) LIKE $1 ESCAPE '!') \
         ORDER BY t.devices DESC, t.id LIMIT $2 OFFSET $3";
    let query = sqlx::query(statement).bind(&pattern).bind(i64::from(limit)).bind(signed(offset));
    let rows = query.fetch_all(conn).await?;
    Ok((rows.iter().map(title).collect::<Result<_, _>>()?, unsigned(total)))
}

/// The titles that most devices have.
///
/// # Errors
/// When the database cannot be read.
pub async fn most_spread(conn: &mut AnyConnection, limit: u32) -> Result<Vec<SoftwareTitle>, StoreError> {
    let statement = "SELECT t.id, t.product, t.publisher, t.devices, \
         (SELECT COUNT(*) FROM software_version v WHERE v.title = t.id AND v.devices > 0) AS versions FROM software_title t \
         WHERE t.devices > 0 ORDER BY t.devices DESC, t.id LIMIT $1";
    sqlx::query(statement).bind(i64::from(limit)).fetch_all(conn).await?.iter().map(title).collect()
}

/// A title with its versions that devices have, in no order, of each how versions of its kind follow each other.
///
/// # Errors
/// When the database cannot be read.
pub async fn get(
    conn: &mut AnyConnection,
    id: u64,
    limit: u32,
) -> Result<Option<(SoftwareTitle, Vec<(SoftwareVersion, String)>)>, StoreError> {
    let statement = "SELECT t.id, t.product, t.publisher, t.devices, \
         (SELECT COUNT(*) FROM software_version v WHERE v.title = t.id AND v.devices > 0) AS versions \
         FROM software_title t WHERE t.id = $1";
    let found = sqlx::query(statement).bind(signed(id)).fetch_optional(&mut *conn).await?;
    let Some(found) = found else { return Ok(None) };
    let statement = "SELECT version, scheme, devices FROM software_version WHERE title = $1 AND devices > 0 \
         ORDER BY devices DESC, id LIMIT $2";
    let rows = sqlx::query(statement).bind(signed(id)).bind(i64::from(limit)).fetch_all(conn).await?;
    let versions = rows
        .iter()
        .map(|row| {
            let version = SoftwareVersion { version: row.try_get("version")?, devices: column::count(row, "devices")? };
            Ok((version, row.try_get("scheme")?))
        })
        .collect::<Result<_, StoreError>>()?;
    Ok(Some((title(&found)?, versions)))
}

/// Removes what is known of rows of a class that are not there any more.
///
/// # Errors
/// When the database cannot be written.
pub async fn sweep(tx: &mut Tx, class: &Class, limit: u32) -> Result<u64, StoreError> {
    let query = sqlx::query(of(tx.dialect(), class, Statement::TitleSweep)).persistent(false);
    Ok(query.bind(i64::from(limit)).execute(tx.conn()).await?.rows_affected())
}

/// Removes versions and titles that no row is any more.
///
/// # Errors
/// When the database cannot be written.
pub async fn sweep_titles(tx: &mut Tx, limit: u32) -> Result<(), StoreError> {
    for statement in [
        "DELETE FROM software_version WHERE id IN (SELECT v.id FROM software_version v WHERE NOT EXISTS \
         (SELECT 1 FROM software_row n WHERE n.version = v.id) LIMIT $1)",
        "DELETE FROM software_title WHERE id IN (SELECT t.id FROM software_title t WHERE NOT EXISTS \
         (SELECT 1 FROM software_version v WHERE v.title = t.id) LIMIT $1)",
    ] {
        sqlx::query(statement).bind(i64::from(limit)).execute(tx.conn()).await?;
    }
    Ok(())
}
