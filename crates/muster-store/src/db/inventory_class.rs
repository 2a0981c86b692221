//! Inventory classes of administrators: their definitions, their tables, and what waits for a class that nobody has added yet.

use super::{
    Dialect, StoreError, Tx,
    bulk::{Bulk, in_texts, json_texts},
    column::{self, parsed, signed, unsigned},
    inventory_schema::{class_column, class_history_view, class_table, class_view, is_plain, table},
    setting,
};
use muster_model::{
    api::WaitingClass,
    catalogue::{Catalogue, Class, Definition, more},
    id::{DeviceId, Hash},
    time::UnixMillis,
};
use sqlx::{AnyConnection, AssertSqlSafe, Executor, Row, any::AnyRow};
use std::sync::Arc;

/// Under this name the changes of classes are counted.
const CHANGES: &str = "inventory_classes";
/// Under this name stands of which form the views of the classes are.
const VIEWS: &str = "inventory_views";

/// A class as it is kept.
#[derive(Debug, Clone, PartialEq)]
pub struct ClassRow {
    /// The class.
    pub class: Class,
    /// When it was changed last.
    pub changed: UnixMillis,
    /// Who changed it.
    pub changed_by: String,
    /// When it was retired.
    pub retired: Option<UnixMillis>,
}

fn class_row(row: &AnyRow) -> Result<ClassRow, StoreError> {
    let definition: Definition = column::json(row, "definition")?;
    let odd = |_| StoreError::Corrupt("the definition of an inventory class".to_owned());
    let retired: Option<i64> = row.try_get("retired")?;
    let version = u32::try_from(row.try_get::<i64, _>("version")?);
    let class = definition.class().map_err(odd)?;
    let class = Class { version: version.unwrap_or(u32::MAX), retired: retired.is_some(), ..class };
    Ok(ClassRow {
        class,
        changed: column::time(row, "changed")?,
        changed_by: row.try_get("changed_by")?,
        retired: retired.map(UnixMillis),
    })
}

const SELECT: &str = "SELECT definition, version, changed, changed_by, retired FROM inventory_class";

/// Every class of the administrators, by name.
///
/// # Errors
/// When the database cannot be read.
pub async fn all(conn: &mut AnyConnection) -> Result<Vec<ClassRow>, StoreError> {
    let statement = AssertSqlSafe(format!("{SELECT} ORDER BY name"));
    sqlx::query(statement).fetch_all(conn).await?.iter().map(class_row).collect()
}

/// A class, where an administrator defined it.
///
/// # Errors
/// When the database cannot be read.
pub async fn get(conn: &mut AnyConnection, name: &str) -> Result<Option<ClassRow>, StoreError> {
    let statement = AssertSqlSafe(format!("{SELECT} WHERE name = $1"));
    sqlx::query(statement).bind(name).fetch_optional(conn).await?.as_ref().map(class_row).transpose()
}

/// Counts a change of classes; until the transaction ends nobody else changes one. Call it first.
///
/// # Errors
/// When the database cannot be written.
pub async fn bump(tx: &mut Tx) -> Result<(), StoreError> {
    setting::set(tx, CHANGES, "").await
}

/// How many changes of classes there were.
///
/// # Errors
/// When the database cannot be read.
pub async fn changes(conn: &mut AnyConnection) -> Result<u64, StoreError> {
    let statement = "SELECT revision FROM setting WHERE name = $1";
    let revision: Option<i64> = sqlx::query_scalar(statement).bind(CHANGES).fetch_optional(conn).await?;
    Ok(unsigned(revision.unwrap_or(0)))
}

/// Writes a class: its row, and its table and view, or what they have more than in its last version.
///
/// # Errors
/// When the database cannot be written; [`StoreError::Unavailable`]: the table is being read for longer than is waited.
pub async fn put(tx: &mut Tx, before: Option<&Class>, row: &ClassRow) -> Result<(), StoreError> {
    let class = &row.class;
    is_plain(class)?;
    if tx.dialect() == Dialect::Postgres {
        // A long report on this table must not hold up the inventories of all devices behind this statement.
        tx.conn().execute("SET LOCAL lock_timeout = '3s'").await?;
    }
    match before {
        None => {
            run(tx, class_table(class)).await?;
            run(tx, views(class)).await?;
            for kind in ["v_GS", "v_HS"] {
                super::sql::grant(tx, &format!("{kind}_{}", class.name)).await?;
            }
        }
        Some(before) => {
            for attribute in class.attributes.iter().skip(before.attributes.len()) {
                run(tx, class_column(class, attribute)).await?;
            }
            if class.attributes.len() > before.attributes.len() {
                view(tx, class).await?;
            }
        }
    }
    let definition = column::to_json(&class.definition());
    let statement = "INSERT INTO inventory_class (name, version, definition, changed, changed_by, retired) \
         VALUES ($1, $2, $3, $4, $5, $6) ON CONFLICT (name) DO UPDATE SET version = excluded.version, \
         definition = excluded.definition, changed = excluded.changed, changed_by = excluded.changed_by, retired = excluded.retired";
    sqlx::query(statement)
        .bind(&class.name)
        .bind(i64::from(class.version))
        .bind(&definition)
        .bind(row.changed.0)
        .bind(&row.changed_by)
        .bind(row.retired.map(|moment| moment.0))
        .execute(tx.conn())
        .await?;
    let statement = "INSERT INTO inventory_class_version (name, version, definition, added, added_by) \
         VALUES ($1, $2, $3, $4, $5) ON CONFLICT (name, version) DO NOTHING";
    sqlx::query(statement)
        .bind(&class.name)
        .bind(i64::from(class.version))
        .bind(&definition)
        .bind(row.changed.0)
        .bind(&row.changed_by)
        .execute(tx.conn())
        .await?;
    Ok(())
}

/// The statements that make the tables of the administrators' classes, and the views of all, in a database whose migrations ran.
pub(super) fn statements(dialect: Dialect, catalogue: &Catalogue) -> Result<Vec<String>, StoreError> {
    let mut text = String::new();
    for class in catalogue.classes() {
        is_plain(class)?;
        // One that is built in has its table from a migration, and a definition of its own has another version.
        if class.version > 0 {
            text.push_str(&class_table(class));
        } else if more().contains(&class.name) {
            text.push_str(&own_table(class));
        }
        text.push_str(&format!("DROP VIEW IF EXISTS v_GS_{0};\nDROP VIEW IF EXISTS v_HS_{0};\n", class.name));
        text.push_str(&views(class));
    }
    Ok(super::migrate::split(&dialect.schema(&text)).map(str::to_owned).collect())
}

/// The table of a class that is built in and that no migration makes.
fn own_table(class: &Class) -> String {
    let text = class_table(class).replace("CREATE TABLE", "CREATE TABLE IF NOT EXISTS");
    text.replace("CREATE INDEX", "CREATE INDEX IF NOT EXISTS")
}

/// Runs schema statements of a class whose names were looked at.
async fn run(tx: &mut Tx, text: String) -> Result<(), StoreError> {
    let text = tx.dialect().schema(&text);
    for statement in super::migrate::split(&text) {
        tx.conn().execute(AssertSqlSafe(statement.to_owned())).await?;
    }
    Ok(())
}

/// The views of a class: what devices have, and what they had.
fn views(class: &Class) -> String {
    class_view(class) + &class_history_view(class)
}

/// Of which form the views are, and which tables the program makes by itself: where it is another one they are made anew.
fn form(sample: &Class) -> String {
    let own = made_here().map(|class| {
        let names = class.attributes.iter().map(|attribute| attribute.name.as_str());
        format!("{}({})", class.name, names.collect::<Vec<_>>().join(" "))
    });
    views(sample) + &own.collect::<Vec<_>>().join(" ")
}

/// The classes that are built in and whose tables no migration makes.
fn made_here() -> impl Iterator<Item = &'static Arc<Class>> {
    Catalogue::built_in().classes().iter().filter(|class| more().contains(&class.name))
}

/// Makes the table of such a class, or what it has more than in the program that made it.
async fn follow_table(tx: &mut Tx, class: &Class) -> Result<(), StoreError> {
    is_plain(class)?;
    run(tx, own_table(class)).await?;
    let statement = tx.dialect().pick([
        "SELECT name FROM pragma_table_info($1)",
        "SELECT CAST(attname AS TEXT) FROM pg_attribute WHERE attrelid = CAST($1 AS regclass) AND attnum > 0 AND NOT attisdropped",
    ]);
    let there: Vec<String> = sqlx::query_scalar(statement).bind(table(class)).fetch_all(tx.conn()).await?;
    for attribute in class.attributes.iter().filter(|attribute| !there.contains(&attribute.name)) {
        run(tx, class_column(class, attribute)).await?;
    }
    Ok(())
}

/// Makes the views of a class anew, or for the first time.
pub(super) async fn view(tx: &mut Tx, class: &Class) -> Result<(), StoreError> {
    one_view(tx, &format!("v_GS_{}", class.name), class_view(class)).await?;
    one_view(tx, &format!("v_HS_{}", class.name), class_history_view(class)).await
}

/// Makes a view anew. PostgreSQL takes more columns at the end of one that other views read, and is asked for that first; where more
/// has to change, the view goes and comes again, unless something reads it: then that is said, and nothing is changed. SQLite has no
/// such statement, and does not mind that a view goes.
async fn one_view(tx: &mut Tx, name: &str, text: String) -> Result<(), StoreError> {
    if tx.dialect() == Dialect::Sqlite {
        return run(tx, format!("DROP VIEW IF EXISTS {name};\n{text}")).await;
    }
    tx.conn().execute("SAVEPOINT view").await?;
    match run(tx, text.replacen("CREATE VIEW", "CREATE OR REPLACE VIEW", 1)).await {
        Ok(()) => {
            tx.conn().execute("RELEASE SAVEPOINT view").await?;
            return super::sql::grant(tx, name).await;
        }
        // 42P16: the columns that are there would change.
        Err(StoreError::Database(sqlx::Error::Database(inner))) if inner.code().as_deref() == Some("42P16") => {}
        Err(error) => return Err(error),
    }
    tx.conn().execute("ROLLBACK TO SAVEPOINT view").await?;
    let readers = readers(tx, name).await?;
    if !readers.is_empty() {
        return Err(StoreError::ViewInUse { view: name.to_lowercase(), by: readers.join(", ") });
    }
    run(tx, format!("DROP VIEW {name};\n{text}")).await?;
    super::sql::grant(tx, name).await
}

/// What reads a view, on PostgreSQL.
async fn readers(tx: &mut Tx, view: &str) -> Result<Vec<String>, StoreError> {
    let statement = "SELECT DISTINCT CAST(CAST(r.ev_class AS regclass) AS TEXT) FROM pg_depend d \
         JOIN pg_rewrite r ON r.oid = d.objid AND d.classid = CAST('pg_rewrite' AS regclass) \
         WHERE d.refclassid = CAST('pg_class' AS regclass) AND d.refobjid = CAST($1 AS regclass) AND r.ev_class <> d.refobjid \
         ORDER BY 1";
    Ok(sqlx::query_scalar(statement).bind(view.to_lowercase()).fetch_all(tx.conn()).await?)
}

/// Makes the views of all classes anew where they are not of this program's form.
pub(super) async fn follow_views(tx: &mut Tx) -> Result<bool, StoreError> {
    let Some(sample) = Catalogue::built_in().class("FIRMWARE") else { return Ok(false) };
    let statement = "UPDATE setting SET value = $2, revision = revision + 1 WHERE name = $1 AND value <> $2";
    let changed = sqlx::query(statement).bind(VIEWS).bind(form(sample)).execute(tx.conn()).await?;
    if changed.rows_affected() == 0 {
        return Ok(false);
    }
    for class in made_here() {
        follow_table(tx, class).await?;
    }
    let own = all(tx.conn()).await?;
    let catalogue = Catalogue::with(own.into_iter().map(|row| row.class), 0);
    for class in catalogue.classes() {
        is_plain(class)?;
        view(tx, class).await?;
    }
    Ok(true)
}

/// Whether the views are of this program's form.
pub(super) async fn views_follow(conn: &mut AnyConnection) -> Result<bool, StoreError> {
    let wanted = Catalogue::built_in().class("FIRMWARE").map(|sample| form(sample));
    Ok(setting::get(conn, VIEWS).await? == wanted)
}

/// A section of a class that the site does not know.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct WaitingRow {
    /// The device.
    pub device: DeviceId,
    /// The class, as the device says it.
    pub class: String,
    /// Digest of the section, as the client computed it.
    pub digest: Hash,
    /// When it came.
    pub received: UnixMillis,
    /// Its rows, JSON as the device wrote it.
    pub rows: String,
}

static WAIT: Bulk = Bulk::new(
    "INSERT INTO waiting_section (device, class, digest, received, bytes, section)",
    6,
    "ON CONFLICT (device, class) DO UPDATE SET digest = excluded.digest, received = excluded.received, \
     bytes = excluded.bytes, section = excluded.section",
);

/// Lets sections wait, each class of a device at most once; of each of their devices the latest `classes`, and in all at most `most`:
/// what comes when there are that many waits only where it replaces one that does.
///
/// # Errors
/// When the database cannot be written.
pub async fn wait(tx: &mut Tx, rows: &[WaitingRow], classes: usize, most: u64) -> Result<(), StoreError> {
    if rows.is_empty() {
        return Ok(());
    }
    let total: i64 = sqlx::query_scalar("SELECT COUNT(*) FROM waiting_section").fetch_one(tx.conn()).await?;
    let statement = tx.dialect().pick(in_texts!("SELECT device, class FROM waiting_section WHERE device", ""));
    let devices: Vec<DeviceId> = rows.iter().map(|row| row.device).collect();
    let there = sqlx::query(statement).bind(json_texts(&devices)).fetch_all(tx.conn()).await?;
    let mut known = std::collections::HashSet::new();
    for row in &there {
        known.insert((parsed::<DeviceId>(row, "device")?, row.try_get::<String, _>("class")?));
    }
    let mut room = most.saturating_sub(unsigned(total));
    let mut taken = Vec::new();
    for row in rows {
        let replaces = known.contains(&(row.device, row.class.clone()));
        if replaces || room > 0 {
            room -= u64::from(!replaces);
            taken.push(row);
        }
    }
    WAIT.run(tx, &taken, |query, row| {
        query
            .bind(row.device.to_string())
            .bind(row.class.clone())
            .bind(row.digest.to_string())
            .bind(row.received.0)
            .bind(signed(row.rows.len() as u64))
            .bind(row.rows.clone())
    })
    .await?;
    let statement = tx.dialect().pick(in_texts!(
        "DELETE FROM waiting_section WHERE (device, class) IN (SELECT device, class FROM (SELECT device, class, \
         ROW_NUMBER() OVER (PARTITION BY device ORDER BY received DESC, class) AS place FROM waiting_section WHERE device",
        ") AS placed WHERE place > $2)"
    ));
    let query = sqlx::query(statement).bind(json_texts(&devices)).bind(signed(classes as u64));
    query.execute(tx.conn()).await?;
    Ok(())
}

/// What waits, by class, those of most devices first.
///
/// # Errors
/// When the database cannot be read.
pub async fn waiting(conn: &mut AnyConnection, limit: u32) -> Result<Vec<WaitingClass>, StoreError> {
    let statement = "SELECT class, COUNT(*) AS devices, CAST(SUM(bytes) AS BIGINT) AS bytes, MAX(received) AS received \
         FROM waiting_section GROUP BY class ORDER BY devices DESC, class LIMIT $1";
    let rows = sqlx::query(statement).bind(i64::from(limit)).fetch_all(conn).await?;
    rows.iter()
        .map(|row| {
            Ok(WaitingClass {
                name: row.try_get("class")?,
                devices: column::count(row, "devices")?,
                bytes: column::count(row, "bytes")?,
                received: column::time(row, "received")?,
            })
        })
        .collect()
}

/// Some sections that wait for these classes.
///
/// # Errors
/// When the database cannot be read.
pub async fn waiting_of(
    conn: &mut AnyConnection,
    dialect: Dialect,
    classes: &[&str],
    limit: u32,
) -> Result<Vec<WaitingRow>, StoreError> {
    let statement = dialect.pick(in_texts!(
        "SELECT device, class, digest, received, section FROM waiting_section WHERE class",
        "ORDER BY class, device LIMIT $2"
    ));
    let rows = sqlx::query(statement).bind(json_texts(classes)).bind(i64::from(limit)).fetch_all(conn).await?;
    rows.iter()
        .map(|row| {
            Ok(WaitingRow {
                device: parsed(row, "device")?,
                class: row.try_get("class")?,
                digest: parsed(row, "digest")?,
                received: column::time(row, "received")?,
                rows: row.try_get("section")?,
            })
        })
        .collect()
}

/// Forgets what waits since `before` or longer, or of a device that has retired. Returns how many sections.
///
/// # Errors
/// When the database cannot be written.
pub async fn purge(tx: &mut Tx, before: UnixMillis) -> Result<u64, StoreError> {
    let statement = "DELETE FROM waiting_section WHERE received <= $1 \
         OR EXISTS (SELECT 1 FROM device d WHERE d.id = waiting_section.device AND d.state = 'retired')";
    Ok(sqlx::query(statement).bind(before.0).execute(tx.conn()).await?.rows_affected())
}

/// Takes a section out of those that wait; whether it waited still, as it was read.
///
/// # Errors
/// When the database cannot be written.
pub async fn take(tx: &mut Tx, row: &WaitingRow) -> Result<bool, StoreError> {
    let statement = "DELETE FROM waiting_section WHERE device = $1 AND class = $2 AND digest = $3 AND received = $4";
    let gone = sqlx::query(statement)
        .bind(row.device.to_string())
        .bind(&row.class)
        .bind(row.digest.to_string())
        .bind(row.received.0)
        .execute(tx.conn())
        .await?;
    Ok(gone.rows_affected() > 0)
}
