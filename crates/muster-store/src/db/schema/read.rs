//! Reading what a database looks like.

use super::{Column, Index, Kind, Reference, Schema, StoreError};
use crate::db::Dialect;
use sqlx::{AnyConnection, AssertSqlSafe, Row as _, any::AnyRow};
use std::collections::BTreeMap;

/// Table, column, type, whether NULL may be, place in the key, default, numbered; in the order of the table.
const COLUMNS: [&str; 2] = [
    "SELECT m.name AS t, p.name AS c, p.type AS k, CAST(p.\"notnull\" = 0 AND p.pk = 0 AS BIGINT) AS n, \
     CAST(p.pk AS BIGINT) AS pk, p.dflt_value AS d, \
     CAST(p.pk = 1 AND m.sql LIKE '%AUTOINCREMENT%' AS BIGINT) AS i \
     FROM sqlite_master m JOIN pragma_table_info(m.name) p WHERE m.type = 'table' AND m.name NOT LIKE 'sqlite_%' \
     ORDER BY m.name, p.cid",
    "SELECT CAST(c.relname AS TEXT) AS t, CAST(a.attname AS TEXT) AS c, format_type(a.atttypid, a.atttypmod) AS k, \
     CAST(CASE WHEN a.attnotnull THEN 0 ELSE 1 END AS BIGINT) AS n, \
     CAST(COALESCE(array_position(p.conkey, a.attnum), 0) AS BIGINT) AS pk, pg_get_expr(d.adbin, d.adrelid) AS d, \
     CAST(CASE WHEN a.attidentity <> '' THEN 1 ELSE 0 END AS BIGINT) AS i \
     FROM pg_class c JOIN pg_namespace s ON s.oid = c.relnamespace AND s.nspname = current_schema() \
     JOIN pg_attribute a ON a.attrelid = c.oid AND a.attnum > 0 AND NOT a.attisdropped \
     LEFT JOIN pg_constraint p ON p.conrelid = c.oid AND p.contype = 'p' \
     LEFT JOIN pg_attrdef d ON d.adrelid = c.oid AND d.adnum = a.attnum \
     WHERE c.relkind IN ('r', 'p') ORDER BY c.relname COLLATE \"C\", a.attnum",
];

/// Table, index, unique, of a constraint, partial, valid, column or expression, whether it descends, the statement; by place.
const INDEXES: [&str; 2] = [
    "SELECT m.name AS t, l.name AS i, CAST(l.\"unique\" AS BIGINT) AS u, CAST(l.origin = 'u' AS BIGINT) AS o, \
     CAST(l.partial AS BIGINT) AS p, CAST(1 AS BIGINT) AS v, x.name AS c, CAST(x.\"desc\" AS BIGINT) AS d, s.sql AS sql \
     FROM sqlite_master m JOIN pragma_index_list(m.name) l JOIN pragma_index_xinfo(l.name) x \
     LEFT JOIN sqlite_master s ON s.type = 'index' AND s.name = l.name \
     WHERE m.type = 'table' AND m.name NOT LIKE 'sqlite_%' AND l.origin <> 'pk' AND x.key = 1 ORDER BY m.name, l.name, x.seqno",
    "SELECT CAST(t.relname AS TEXT) AS t, CAST(i.relname AS TEXT) AS i, \
     CAST(CASE WHEN x.indisunique THEN 1 ELSE 0 END AS BIGINT) AS u, \
     CAST(CASE WHEN k.contype = 'u' THEN 1 ELSE 0 END AS BIGINT) AS o, \
     CAST(CASE WHEN x.indpred IS NULL THEN 0 ELSE 1 END AS BIGINT) AS p, \
     CAST(CASE WHEN x.indisvalid THEN 1 ELSE 0 END AS BIGINT) AS v, \
     pg_get_indexdef(x.indexrelid, n.place, true) AS c, CAST(x.indoption[n.place - 1] & 1 AS BIGINT) AS d, \
     CAST(NULL AS TEXT) AS sql \
     FROM pg_index x JOIN pg_class i ON i.oid = x.indexrelid JOIN pg_class t ON t.oid = x.indrelid \
     JOIN pg_namespace s ON s.oid = i.relnamespace AND s.nspname = current_schema() \
     LEFT JOIN pg_constraint k ON k.conindid = x.indexrelid AND k.contype IN ('p', 'u') \
     CROSS JOIN LATERAL generate_series(1, CAST(x.indnkeyatts AS INTEGER)) AS n(place) \
     WHERE k.contype IS NULL OR k.contype = 'u' ORDER BY t.relname COLLATE \"C\", i.relname COLLATE \"C\", n.place",
];

/// Table, number of the foreign key, column, other table, its column; by place.
const REFERENCES: [&str; 2] = [
    "SELECT m.name AS t, CAST(f.id AS BIGINT) AS f, f.\"from\" AS c, f.\"table\" AS o, f.\"to\" AS r \
     FROM sqlite_master m JOIN pragma_foreign_key_list(m.name) f WHERE m.type = 'table' ORDER BY m.name, f.id, f.seq",
    "SELECT CAST(t.relname AS TEXT) AS t, CAST(k.oid AS BIGINT) AS f, CAST(a.attname AS TEXT) AS c, \
     CAST(o.relname AS TEXT) AS o, CAST(b.attname AS TEXT) AS r \
     FROM pg_constraint k JOIN pg_class t ON t.oid = k.conrelid JOIN pg_class o ON o.oid = k.confrelid \
     JOIN pg_namespace s ON s.oid = t.relnamespace AND s.nspname = current_schema() \
     CROSS JOIN LATERAL unnest(k.conkey, k.confkey) WITH ORDINALITY AS p(c, r, place) \
     JOIN pg_attribute a ON a.attrelid = k.conrelid AND a.attnum = p.c \
     JOIN pg_attribute b ON b.attrelid = k.confrelid AND b.attnum = p.r \
     WHERE k.contype = 'f' ORDER BY t.relname COLLATE \"C\", k.oid, p.place",
];

/// Table, how many checks.
const CHECKS: [&str; 2] = [
    "SELECT name AS t, CAST((LENGTH(sql) - LENGTH(REPLACE(sql, 'CHECK (', ''))) / 7 AS BIGINT) AS n \
     FROM sqlite_master WHERE type = 'table'",
    "SELECT CAST(t.relname AS TEXT) AS t, COUNT(*) AS n FROM pg_constraint k JOIN pg_class t ON t.oid = k.conrelid \
     JOIN pg_namespace s ON s.oid = t.relnamespace AND s.nspname = current_schema() WHERE k.contype = 'c' GROUP BY t.relname",
];

async fn rows(conn: &mut AnyConnection, statement: &'static str) -> Result<Vec<AnyRow>, StoreError> {
    Ok(sqlx::query(statement).persistent(false).fetch_all(conn).await?)
}

fn yes(row: &AnyRow, column: &str) -> Result<bool, StoreError> {
    Ok(row.try_get::<i64, _>(column)? != 0)
}

/// Reads what a database looks like.
///
/// # Errors
/// When it cannot be read.
pub async fn read(conn: &mut AnyConnection, dialect: Dialect) -> Result<Schema, StoreError> {
    let mut schema = Schema::default();
    columns(&rows(conn, dialect.pick(COLUMNS)).await?, &mut schema)?;
    indexes(&rows(conn, dialect.pick(INDEXES)).await?, &mut schema)?;
    references(&rows(conn, dialect.pick(REFERENCES)).await?, &mut schema)?;
    for row in rows(conn, dialect.pick(CHECKS)).await? {
        if let Some(table) = schema.tables.get_mut(row.try_get::<&str, _>("t")?) {
            table.checks = row.try_get("n")?;
        }
    }
    schema.views = views(conn, dialect).await?;
    Ok(schema)
}

fn columns(rows: &[AnyRow], schema: &mut Schema) -> Result<(), StoreError> {
    let mut keys: BTreeMap<String, Vec<(i64, String)>> = BTreeMap::new();
    for row in rows {
        let (name, column): (String, String) = (row.try_get("t")?, row.try_get("c")?);
        let place: i64 = row.try_get("pk")?;
        if place > 0 {
            keys.entry(name.clone()).or_default().push((place, column.clone()));
        }
        let default: Option<String> = row.try_get("d")?;
        let numbered = yes(row, "i")?;
        schema.tables.entry(name).or_default().columns.push(Column {
            name: column,
            kind: Kind::of(row.try_get("k")?),
            null: yes(row, "n")?,
            numbered,
            default: default.map(|text| text.split("::").next().unwrap_or_default().to_owned()),
        });
    }
    for (name, mut key) in keys {
        key.sort();
        schema.tables.entry(name).or_default().key = key.into_iter().map(|(_, column)| column).collect();
    }
    Ok(())
}

fn indexes(rows: &[AnyRow], schema: &mut Schema) -> Result<(), StoreError> {
    let mut found: BTreeMap<String, (Index, bool)> = BTreeMap::new();
    for row in rows {
        let (table, name): (String, String) = (row.try_get("t")?, row.try_get("i")?);
        let (unique, partial, valid) = (yes(row, "u")?, yes(row, "p")?, yes(row, "v")?);
        let of_table = yes(row, "o")?;
        let index = Index { table, unique, partial, columns: Vec::new(), valid };
        let (index, _) = found.entry(name).or_insert((index, of_table));
        let column: Option<String> = row.try_get("c")?;
        let column = match column {
            Some(column) => column,
            None => expression(row.try_get("sql")?, index.columns.len()),
        };
        let column = column.replace('"', "").to_lowercase();
        index.columns.push(if yes(row, "d")? { format!("{column} desc") } else { column });
    }
    for (name, (index, of_table)) in found {
        if of_table {
            let columns = index.columns;
            schema.tables.entry(index.table).or_default().unique.insert(columns);
        } else {
            schema.indexes.insert(name, index);
        }
    }
    Ok(())
}

/// The expression at a place of an index, out of the statement that made it; SQLite tells it in no other way.
fn expression(statement: Option<&str>, place: usize) -> String {
    let text = statement.and_then(|text| text.split_once('(')).map_or("", |(_, rest)| rest);
    let mut depth = 0_i32;
    let mut parts = vec![String::new()];
    for c in text.chars() {
        match c {
            '(' => depth += 1,
            ')' if depth == 0 => break,
            ')' => depth -= 1,
            ',' if depth == 0 => {
                parts.push(String::new());
                continue;
            }
            _ => {}
        }
        if let Some(part) = parts.last_mut() {
            part.push(c);
        }
    }
    parts.get(place).map(|part| part.trim().to_owned()).unwrap_or_default()
}

fn references(rows: &[AnyRow], schema: &mut Schema) -> Result<(), StoreError> {
    let mut found: BTreeMap<(String, i64), Reference> = BTreeMap::new();
    for row in rows {
        let key = (row.try_get("t")?, row.try_get("f")?);
        let empty = Reference { columns: Vec::new(), table: row.try_get("o")?, to: Vec::new() };
        let reference = found.entry(key).or_insert(empty);
        reference.columns.push(row.try_get("c")?);
        reference.to.push(row.try_get::<Option<String>, _>("r")?.unwrap_or_default());
    }
    for ((table, _), reference) in found {
        schema.tables.entry(table).or_default().references.insert(reference);
    }
    Ok(())
}

type Views = BTreeMap<String, Option<Vec<String>>>;

async fn views(conn: &mut AnyConnection, dialect: Dialect) -> Result<Views, StoreError> {
    match dialect {
        Dialect::Postgres => {
            let statement = "SELECT lower(c.relname) AS t, lower(a.attname) AS c FROM pg_class c \
                 JOIN pg_namespace s ON s.oid = c.relnamespace AND s.nspname = current_schema() \
                 JOIN pg_attribute a ON a.attrelid = c.oid AND a.attnum > 0 WHERE c.relkind = 'v' ORDER BY c.relname, a.attnum";
            let mut views = Views::new();
            for row in rows(conn, statement).await? {
                let columns = views.entry(row.try_get("t")?).or_insert_with(|| Some(Vec::new()));
                columns.get_or_insert_default().push(row.try_get("c")?);
            }
            Ok(views)
        }
        // One by one: a view that reads what is not there would end the statement.
        Dialect::Sqlite => {
            let names: Vec<String> =
                sqlx::query_scalar("SELECT name FROM sqlite_master WHERE type = 'view' ORDER BY name")
                    .fetch_all(&mut *conn)
                    .await?;
            let mut views = Views::new();
            for name in names {
                let statement = AssertSqlSafe("SELECT lower(name) FROM pragma_table_info($1) ORDER BY cid");
                let columns: Result<Vec<String>, _> =
                    sqlx::query_scalar(statement).bind(&name).persistent(false).fetch_all(&mut *conn).await;
                views.insert(name.to_lowercase(), columns.ok().filter(|columns| !columns.is_empty()));
            }
            Ok(views)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_expression_is_found_at_its_place() {
        let statement = Some("CREATE INDEX i ON t (a, lower(b, c), d) WHERE (x)");
        assert_eq!(expression(statement, 1), "lower(b, c)");
        assert_eq!(expression(statement, 2), "d");
        assert_eq!(expression(statement, 3), "");
        assert_eq!(expression(None, 0), "");
    }
}
