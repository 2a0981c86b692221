//! Facts for an index in memory: columns of classes, and which resource has which rows. In pieces, by the number of the resource, so
//! that nobody waits for a reader that reads everything.

use super::{
    super::{Dialect, StoreError, column::to_json},
    relation, word,
};
use muster_model::wql::{
    check::Field,
    date::known,
    eval::Cell,
    schema::{Attribute, Class, Kind, Role, Shape},
};
use sqlx::{AnyConnection, AssertSqlSafe, Row, any::AnyRow};
use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};

/// Values of attributes, in their order.
pub type Values = Vec<Option<Cell>>;

/// The first and the last number that a system has.
///
/// # Errors
/// When the database cannot be read.
pub async fn bounds(conn: &mut AnyConnection) -> Result<Option<(i64, i64)>, StoreError> {
    let statement = "SELECT MIN(resource_id) AS first, MAX(resource_id) AS last FROM resource WHERE kind = 'system'";
    let row = sqlx::query(statement).fetch_one(conn).await?;
    let (first, last): (Option<i64>, Option<i64>) = (row.try_get("first")?, row.try_get("last")?);
    Ok(first.zip(last))
}

/// The systems between two numbers, both included, and whether a client runs on each.
///
/// # Errors
/// When the database cannot be read.
pub async fn systems(conn: &mut AnyConnection, (from, to): (i64, i64)) -> Result<Vec<(i64, bool)>, StoreError> {
    let statement = "SELECT ResourceID, Client0 FROM v_R_System WHERE ResourceID >= $1 AND ResourceID <= $2";
    let rows: Vec<(i64, i64)> = sqlx::query_as(statement).bind(from).bind(to).fetch_all(conn).await?;
    Ok(rows.into_iter().map(|(system, client)| (system, client != 0)).collect())
}

fn cell(row: &AnyRow, at: usize, attribute: &Attribute) -> Result<Option<Cell>, StoreError> {
    Ok(match (attribute.kind, attribute.shape) {
        (_, Shape::List) => row.try_get::<Option<String>, _>(at)?.map(|text| {
            let values: Vec<String> = serde_json::from_str(&text).unwrap_or_default();
            Cell::List(values.into_iter().map(Cell::Text).collect())
        }),
        (Kind::Text, _) => row.try_get::<Option<String>, _>(at)?.map(Cell::Text),
        (Kind::Real, _) => row.try_get::<Option<f64>, _>(at)?.map(Cell::Real),
        (Kind::Moment, _) => row.try_get::<Option<i64>, _>(at)?.and_then(known).map(Cell::Int),
        (Kind::Number | Kind::Truth, _) => row.try_get::<Option<i64>, _>(at)?.map(Cell::Int),
    })
}

/// Attributes of the systems between two numbers, both included.
///
/// # Errors
/// When the database cannot be read.
pub async fn system_values(
    conn: &mut AnyConnection,
    class: &Arc<Class>,
    attributes: &[Attribute],
    (from, to): (i64, i64),
) -> Result<BTreeMap<i64, Values>, StoreError> {
    let field = |attribute: &Attribute| Field { source: 0, class: Arc::clone(class), attribute: attribute.clone() };
    let single: Vec<usize> = (0..attributes.len()).filter(|at| attributes[*at].shape == Shape::One).collect();
    let columns =
        single.iter().map(|at| relation::column(&field(&attributes[*at])).unwrap_or_else(|| "NULL".to_owned()));
    let columns: String = columns.map(|column| format!(", {column}")).collect();
    let statement = format!(
        "SELECT ResourceID{columns} FROM v_R_System WHERE ResourceID >= $1 AND ResourceID <= $2 ORDER BY ResourceID"
    );
    let query = sqlx::query(AssertSqlSafe(statement)).persistent(false).bind(from).bind(to);
    let mut found = BTreeMap::new();
    for row in query.fetch_all(&mut *conn).await? {
        let mut values: Values = vec![None; attributes.len()];
        for (column, at) in single.iter().enumerate() {
            // Nobody says it: what stands there has no type.
            if relation::column(&field(&attributes[*at])).is_some() {
                values[*at] = cell(&row, column + 1, &attributes[*at])?;
            }
        }
        found.insert(row.try_get::<i64, _>(0)?, values);
    }
    for (at, attribute) in attributes.iter().enumerate() {
        let Some((view, column)) = relation::several(&field(attribute)) else { continue };
        let statement = format!(
            "SELECT ResourceID, {column} FROM {view} WHERE ResourceID >= $1 AND ResourceID <= $2 AND {column} IS NOT NULL"
        );
        let query = sqlx::query(AssertSqlSafe(statement)).persistent(false).bind(from).bind(to);
        let mut of_each: BTreeMap<i64, BTreeSet<String>> = BTreeMap::new();
        for row in query.fetch_all(&mut *conn).await? {
            of_each.entry(row.try_get(0)?).or_default().insert(row.try_get(1)?);
        }
        for (resource, texts) in of_each {
            if let Some(values) = found.get_mut(&resource) {
                values[at] = Some(Cell::List(texts.into_iter().map(Cell::Text).collect()));
            }
        }
    }
    Ok(found)
}

/// Which rows of an inventory class the systems between two numbers have, both included: ids as a JSON list.
///
/// # Errors
/// When the database cannot be read.
pub async fn sections(
    conn: &mut AnyConnection,
    class: &str,
    (from, to): (i64, i64),
) -> Result<Vec<(i64, String)>, StoreError> {
    // SQLite would begin with all sections of the class, for each piece anew.
    let statement = "SELECT d.resource_id, s.row_ids FROM device d CROSS JOIN device_section s WHERE s.device = d.id \
         AND s.class = $1 AND d.resource_id >= $2 AND d.resource_id <= $3 AND d.state <> 'retired' ORDER BY d.resource_id";
    Ok(sqlx::query_as(statement).bind(class.to_owned()).bind(from).bind(to).fetch_all(conn).await?)
}

/// Rows of an inventory class by their ids, whoever has them, in the order of the ids.
///
/// # Errors
/// When the database cannot be read.
pub async fn rows(
    conn: &mut AnyConnection,
    dialect: Dialect,
    class: &Class,
    attributes: &[Attribute],
    ids: &[i64],
) -> Result<Vec<(i64, Values)>, StoreError> {
    let Role::Inventory(name) = &class.role else { return Ok(Vec::new()) };
    let plain = attributes.iter().map(|attribute| attribute.name.as_str()).chain([name.as_str()]);
    if !plain.into_iter().all(relation::is_name) {
        return Err(StoreError::Corrupt(format!("{name} has a name that is none")));
    }
    let columns: String = attributes.iter().map(|attribute| format!(", \"{}\"", attribute.name)).collect();
    let (table, those) = (name.to_ascii_lowercase(), word::numbers(dialect, "$1"));
    let statement = format!("SELECT row_id{columns} FROM inv_{table} WHERE row_id IN {those} ORDER BY row_id");
    let found = sqlx::query(AssertSqlSafe(statement)).persistent(false).bind(to_json(&ids)).fetch_all(conn).await?;
    found
        .iter()
        .map(|row| {
            let values = attributes.iter().enumerate().map(|(at, attribute)| cell(row, at + 1, attribute));
            Ok((row.try_get(0)?, values.collect::<Result<_, StoreError>>()?))
        })
        .collect()
}
