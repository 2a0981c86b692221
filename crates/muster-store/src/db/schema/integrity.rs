//! Whether what a database holds is whole.

use super::{Finding, Schema, StoreError};
use crate::db::Dialect;
use sqlx::{AnyConnection, AssertSqlSafe, Executor as _, Row as _};

/// Rows of one kind that are named; one is enough to know what to do.
const NAMED: u32 = 20;
/// The oldest PostgreSQL that Muster is tested with.
const OLDEST: i64 = 150_000;

/// What the database itself says of its files, and rows that name others which are not there.
///
/// # Errors
/// When it cannot be read.
pub async fn integrity(conn: &mut AnyConnection, dialect: Dialect, found: &Schema) -> Result<Vec<Finding>, StoreError> {
    match dialect {
        Dialect::Sqlite => sqlite(conn).await,
        Dialect::Postgres => {
            let mut findings = server(conn).await?;
            findings.extend(constraints(conn).await?);
            findings.extend(orphans(conn, found).await?);
            findings.extend(numbers(conn, found).await?);
            Ok(findings)
        }
    }
}

async fn sqlite(conn: &mut AnyConnection) -> Result<Vec<Finding>, StoreError> {
    let mut findings = Vec::new();
    let statement = AssertSqlSafe(format!("PRAGMA integrity_check({NAMED})"));
    let said: Vec<String> = sqlx::query_scalar(statement).persistent(false).fetch_all(&mut *conn).await?;
    for sentence in said.iter().filter(|sentence| *sentence != "ok") {
        let next = "Stop the server, keep this file aside, and restore the database from a backup; look at the disk.";
        findings.push(Finding::serious(format!("SQLite says that the file is damaged: {sentence}."), next));
    }
    let statement = "SELECT \"table\" AS t, CAST(COUNT(*) AS BIGINT) AS n, parent AS p FROM pragma_foreign_key_check \
         GROUP BY \"table\", parent";
    for row in sqlx::query(statement).persistent(false).fetch_all(conn).await? {
        findings.push(orphan(row.try_get("t")?, row.try_get("p")?, row.try_get("n")?));
    }
    Ok(findings)
}

fn orphan(table: &str, other: &str, rows: i64) -> Finding {
    let what = format!("{rows} rows of {table} name rows of {other} that are not there.");
    Finding::serious(what, "Somebody wrote around Muster. Restore the database from a backup from before it happened.")
}

async fn server(conn: &mut AnyConnection) -> Result<Vec<Finding>, StoreError> {
    let mut findings = Vec::new();
    let statement =
        "SELECT CAST(current_setting('server_version_num') AS BIGINT) AS v, current_setting('server_encoding') AS e";
    let row = conn.fetch_one(statement).await?;
    let (version, encoding): (i64, String) = (row.try_get("v")?, row.try_get("e")?);
    if version < OLDEST {
        let what = format!("The server is PostgreSQL {}; Muster is made for 15 and later.", version / 10_000);
        findings.push(Finding::serious(what, "Upgrade the server (pg_upgrade)."));
    }
    if encoding != "UTF8" {
        let next = "Make a database with ENCODING 'UTF8' TEMPLATE template0, and copy the site into it with `musterd database copy`.";
        findings.push(Finding::serious(format!("The database keeps text in {encoding}, and not in UTF8."), next));
    }
    Ok(findings)
}

async fn constraints(conn: &mut AnyConnection) -> Result<Vec<Finding>, StoreError> {
    let mut findings = Vec::new();
    let statement = "SELECT CAST(k.conname AS TEXT) AS k, CAST(t.relname AS TEXT) AS t FROM pg_constraint k \
         JOIN pg_class t ON t.oid = k.conrelid JOIN pg_namespace s ON s.oid = t.relnamespace AND s.nspname = current_schema() \
         WHERE NOT k.convalidated ORDER BY 1";
    for row in conn.fetch_all(statement).await? {
        let (name, table): (String, String) = (row.try_get("k")?, row.try_get("t")?);
        let what = format!("The constraint {name} of {table} was never held against the rows that are there.");
        findings.push(Finding::serious(what, format!("ALTER TABLE {table} VALIDATE CONSTRAINT \"{name}\";")));
    }
    let statement = "SELECT DISTINCT CAST(t.relname AS TEXT) AS t FROM pg_trigger g JOIN pg_class t ON t.oid = g.tgrelid \
         JOIN pg_namespace s ON s.oid = t.relnamespace AND s.nspname = current_schema() \
         WHERE g.tgisinternal AND g.tgenabled <> 'O' ORDER BY 1";
    for row in conn.fetch_all(statement).await? {
        let table: String = row.try_get("t")?;
        let what = format!("The foreign keys of {table} are switched off.");
        findings.push(Finding::serious(what, format!("ALTER TABLE {table} ENABLE TRIGGER ALL;")));
    }
    Ok(findings)
}

/// A foreign key that was switched off for a while lets rows in which no constraint looks at again.
async fn orphans(conn: &mut AnyConnection, found: &Schema) -> Result<Vec<Finding>, StoreError> {
    let mut findings = Vec::new();
    for (name, table) in &found.tables {
        for reference in &table.references {
            let pairs = || reference.columns.iter().zip(&reference.to);
            let same: Vec<String> = pairs().map(|(a, b)| format!("o.\"{b}\" = t.\"{a}\"")).collect();
            let there: Vec<String> = pairs().map(|(a, _)| format!("t.\"{a}\" IS NOT NULL")).collect();
            // Names come from the database's own catalogue of names.
            let statement = format!(
                "SELECT COUNT(*) FROM \"{name}\" t WHERE {} AND NOT EXISTS (SELECT 1 FROM \"{}\" o WHERE {})",
                there.join(" AND "),
                reference.table,
                same.join(" AND ")
            );
            let rows: i64 =
                sqlx::query_scalar(AssertSqlSafe(statement)).persistent(false).fetch_one(&mut *conn).await?;
            if rows > 0 {
                findings.push(orphan(name, &reference.table, rows));
            }
        }
    }
    Ok(findings)
}

/// A sequence behind its table gives a number a second time, and the row that gets it is refused.
async fn numbers(conn: &mut AnyConnection, found: &Schema) -> Result<Vec<Finding>, StoreError> {
    let mut findings = Vec::new();
    for (name, table) in &found.tables {
        let Some(column) = table.numbered().map(|column| &column.name) else { continue };
        let statement = format!(
            "SELECT COALESCE(MAX(\"{column}\"), 0) AS most, \
             COALESCE(pg_sequence_last_value(CAST(pg_get_serial_sequence('\"{name}\"', '{column}') AS regclass)), 0) AS last \
             FROM \"{name}\""
        );
        let row = sqlx::query(AssertSqlSafe(statement)).persistent(false).fetch_one(&mut *conn).await?;
        let (most, last): (i64, i64) = (row.try_get("most")?, row.try_get("last")?);
        if most > last {
            let what = format!("The numbers of {name}.{column} are at {last}, and the table holds {most} already.");
            let next = format!("SELECT setval(pg_get_serial_sequence('\"{name}\"', '{column}'), {most});");
            findings.push(Finding::serious(what, next));
        }
    }
    Ok(findings)
}
