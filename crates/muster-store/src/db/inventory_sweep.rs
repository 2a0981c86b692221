//! Rows of inventory that no device has and no history names: found by reading in pieces, outside of any transaction, and removed in
//! pieces, each looked at once more where nobody can begin to use them.

use super::{
    Dialect, StoreError, Tx,
    column::to_json,
    inventory::{SWEEPS, of},
    inventory_schema::Statement,
    setting,
};
use muster_model::{catalogue::Class, time::UnixMillis};
use sqlx::{AnyConnection, Row};
use std::collections::HashSet;

/// Ids of rows, by class.
type OfClass = (String, Vec<i64>);

/// The ids of a JSON list of whole numbers.
fn ids(text: &str) -> impl Iterator<Item = i64> + '_ {
    text.split(|c: char| !c.is_ascii_digit()).filter_map(|digits| digits.parse().ok())
}

/// Rows that the devices after `after` have, of the next `limit` devices, and the last of these. `None`: there are no more.
///
/// # Errors
/// When the database cannot be read.
pub async fn of_devices(
    conn: &mut AnyConnection,
    after: &str,
    limit: u32,
) -> Result<Option<(String, Vec<OfClass>)>, StoreError> {
    let statement = "SELECT MAX(id) FROM (SELECT id FROM device WHERE id > $1 ORDER BY id LIMIT $2) AS piece";
    let last: Option<String> =
        sqlx::query_scalar(statement).bind(after.to_owned()).bind(i64::from(limit)).fetch_one(&mut *conn).await?;
    let Some(last) = last else { return Ok(None) };
    let statement = "SELECT class, row_ids FROM device_section WHERE device > $1 AND device <= $2";
    let rows = sqlx::query(statement).bind(after.to_owned()).bind(last.clone()).fetch_all(conn).await?;
    let of_class = |row: &sqlx::any::AnyRow| {
        let text: String = row.try_get("row_ids")?;
        Ok((row.try_get("class")?, ids(&text).collect()))
    };
    Ok(Some((last, rows.iter().map(of_class).collect::<Result<_, StoreError>>()?)))
}

/// Rows that the history after a change names, of the next `limit` changes, and the last of these. `None`: there are no more.
///
/// # Errors
/// When the database cannot be read.
pub async fn of_history(
    conn: &mut AnyConnection,
    after: i64,
    limit: u32,
) -> Result<Option<(i64, Vec<OfClass>)>, StoreError> {
    let statement = "SELECT id, class, removed FROM section_change WHERE id > $1 ORDER BY id LIMIT $2";
    let rows = sqlx::query(statement).bind(after).bind(i64::from(limit)).fetch_all(conn).await?;
    let Some(last) = rows.last() else { return Ok(None) };
    let last = last.try_get("id")?;
    let of_class = |row: &sqlx::any::AnyRow| {
        let text: String = row.try_get("removed")?;
        Ok((row.try_get("class")?, ids(&text).collect()))
    };
    Ok(Some((last, rows.iter().map(of_class).collect::<Result<_, StoreError>>()?)))
}

/// Ids of the rows of a class after one, at most `limit`.
///
/// # Errors
/// When the database cannot be read.
pub async fn after(
    conn: &mut AnyConnection,
    dialect: Dialect,
    class: &Class,
    after: i64,
    limit: u32,
) -> Result<Vec<i64>, StoreError> {
    let query = sqlx::query_scalar(of(dialect, class, Statement::After)).persistent(false);
    Ok(query.bind(after).bind(i64::from(limit)).fetch_all(conn).await?)
}

/// Removes those of these rows that nobody has got since: no section that changed from `since` on, and no change after that one.
/// `sweep` is a new text for [`super::inventory::sweeps`]. Returns how many went.
///
/// # Errors
/// When the database cannot be written.
pub async fn remove(
    tx: &mut Tx,
    class: &Class,
    rows: &[i64],
    (since, change): (UnixMillis, i64),
    sweep: &str,
) -> Result<u64, StoreError> {
    // First, so that it waits for the reports that are being written, and those that come wait for it.
    setting::set(tx, SWEEPS, sweep).await?;
    let mut gone: HashSet<i64> = rows.iter().copied().collect();
    let lists = [
        ("SELECT row_ids FROM device_section WHERE class = $1 AND changed >= $2", since.0),
        ("SELECT removed FROM section_change WHERE class = $1 AND id > $2", change),
    ];
    for (statement, bound) in lists {
        let query = sqlx::query_scalar(statement).bind(class.name.clone()).bind(bound);
        let lists: Vec<String> = query.fetch_all(tx.conn()).await?;
        for id in lists.iter().flat_map(|text| ids(text)) {
            gone.remove(&id);
        }
    }
    let mut gone: Vec<i64> = gone.into_iter().collect();
    gone.sort_unstable();
    // Not kept prepared: a statement for each class would push out those that reports need.
    let query = sqlx::query(of(tx.dialect(), class, Statement::Remove)).persistent(false);
    Ok(query.bind(to_json(&gone)).execute(tx.conn()).await?.rows_affected())
}
