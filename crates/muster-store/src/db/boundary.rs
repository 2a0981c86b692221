//! Boundaries and boundary groups.

use super::{
    StoreError, Tx,
    column::{self, parse, parsed, signed, unsigned},
};
use muster_model::{
    api::{Boundary, BoundaryGroup, PageQuery},
    id::{BoundaryGroupId, BoundaryId},
};
use sqlx::{AnyConnection, Row, any::AnyRow};

fn boundary(row: &AnyRow) -> Result<Boundary, StoreError> {
    Ok(Boundary {
        id: parsed(row, "id")?,
        name: parsed(row, "name")?,
        kind: parse(row.try_get("kind")?, "kind")?,
        value: row.try_get("value")?,
        groups: Vec::new(),
        changed: column::time(row, "changed")?,
        changed_by: row.try_get("changed_by")?,
    })
}

/// A boundary, where it is there.
///
/// # Errors
/// When the database cannot be read.
pub async fn get(conn: &mut AnyConnection, id: BoundaryId) -> Result<Option<Boundary>, StoreError> {
    let statement = "SELECT id, name, kind, value, changed, changed_by FROM boundary WHERE id = $1";
    let row = sqlx::query(statement).bind(id.to_string()).fetch_optional(&mut *conn).await?;
    let Some(mut found) = row.as_ref().map(boundary).transpose()? else { return Ok(None) };
    found.groups = groups_of(conn, id).await?;
    Ok(Some(found))
}

async fn groups_of(conn: &mut AnyConnection, id: BoundaryId) -> Result<Vec<BoundaryGroupId>, StoreError> {
    let statement = "SELECT boundary_group FROM boundary_group_member WHERE boundary = $1 ORDER BY boundary_group";
    let rows = sqlx::query(statement).bind(id.to_string()).fetch_all(conn).await?;
    rows.iter().map(|row| parsed(row, "boundary_group")).collect()
}

/// Writes a boundary, new or in the place of what it was.
///
/// # Errors
/// When the database cannot be written.
pub async fn put(tx: &mut Tx, row: &Boundary) -> Result<(), StoreError> {
    let statement = "INSERT INTO boundary (id, name, kind, value, changed, changed_by) VALUES ($1, $2, $3, $4, $5, $6) \
         ON CONFLICT (id) DO UPDATE SET name = excluded.name, kind = excluded.kind, value = excluded.value, \
         changed = excluded.changed, changed_by = excluded.changed_by";
    sqlx::query(statement)
        .bind(row.id.to_string())
        .bind(row.name.as_str())
        .bind(row.kind.as_str())
        .bind(&row.value)
        .bind(row.changed.0)
        .bind(&row.changed_by)
        .execute(tx.conn())
        .await?;
    Ok(())
}

/// Removes a boundary, also from the groups that it is in; whether it was there.
///
/// # Errors
/// When the database cannot be written.
pub async fn remove(tx: &mut Tx, id: BoundaryId) -> Result<bool, StoreError> {
    let statement = "DELETE FROM boundary_group_member WHERE boundary = $1";
    sqlx::query(statement).bind(id.to_string()).execute(tx.conn()).await?;
    let done = sqlx::query("DELETE FROM boundary WHERE id = $1").bind(id.to_string()).execute(tx.conn()).await?;
    Ok(done.rows_affected() > 0)
}

/// How many boundaries there are.
///
/// # Errors
/// When the database cannot be read.
pub async fn count(conn: &mut AnyConnection) -> Result<u64, StoreError> {
    let total: i64 = sqlx::query_scalar("SELECT COUNT(*) FROM boundary").fetch_one(conn).await?;
    Ok(unsigned(total))
}

/// A page of boundaries by name; and how many there are.
///
/// # Errors
/// When the database cannot be read.
pub async fn list(conn: &mut AnyConnection, page: PageQuery) -> Result<(Vec<Boundary>, u64), StoreError> {
    let total = count(conn).await?;
    let statement =
        "SELECT id, name, kind, value, changed, changed_by FROM boundary ORDER BY name, id LIMIT $1 OFFSET $2";
    let rows =
        sqlx::query(statement).bind(i64::from(page.limit)).bind(signed(page.offset)).fetch_all(&mut *conn).await?;
    let mut found = rows.iter().map(boundary).collect::<Result<Vec<_>, _>>()?;
    for row in &mut found {
        row.groups = groups_of(conn, row.id).await?;
    }
    Ok((found, total))
}

fn group(row: &AnyRow) -> Result<BoundaryGroup, StoreError> {
    Ok(BoundaryGroup {
        id: parsed(row, "id")?,
        name: parsed(row, "name")?,
        boundaries: Vec::new(),
        management_points: column::json(row, "management_points")?,
        changed: column::time(row, "changed")?,
        changed_by: row.try_get("changed_by")?,
    })
}

async fn boundaries_of(conn: &mut AnyConnection, id: BoundaryGroupId) -> Result<Vec<BoundaryId>, StoreError> {
    let statement = "SELECT boundary FROM boundary_group_member WHERE boundary_group = $1 ORDER BY boundary";
    let rows = sqlx::query(statement).bind(id.to_string()).fetch_all(conn).await?;
    rows.iter().map(|row| parsed(row, "boundary")).collect()
}

/// A boundary group, where it is there.
///
/// # Errors
/// When the database cannot be read.
pub async fn group_get(conn: &mut AnyConnection, id: BoundaryGroupId) -> Result<Option<BoundaryGroup>, StoreError> {
    let statement = "SELECT id, name, management_points, changed, changed_by FROM boundary_group WHERE id = $1";
    let row = sqlx::query(statement).bind(id.to_string()).fetch_optional(&mut *conn).await?;
    let Some(mut found) = row.as_ref().map(group).transpose()? else { return Ok(None) };
    found.boundaries = boundaries_of(conn, id).await?;
    Ok(Some(found))
}

/// Writes a boundary group with its boundaries, new or in the place of what it was. The boundaries are there.
///
/// # Errors
/// When the database cannot be written.
pub async fn group_put(tx: &mut Tx, row: &BoundaryGroup) -> Result<(), StoreError> {
    let statement = "INSERT INTO boundary_group (id, name, management_points, changed, changed_by) \
         VALUES ($1, $2, $3, $4, $5) ON CONFLICT (id) DO UPDATE SET name = excluded.name, \
         management_points = excluded.management_points, changed = excluded.changed, changed_by = excluded.changed_by";
    sqlx::query(statement)
        .bind(row.id.to_string())
        .bind(row.name.as_str())
        .bind(column::to_json(&row.management_points))
        .bind(row.changed.0)
        .bind(&row.changed_by)
        .execute(tx.conn())
        .await?;
    leave(tx, row.id).await?;
    let statement = "INSERT INTO boundary_group_member (boundary_group, boundary) VALUES ($1, $2)";
    for boundary in &row.boundaries {
        sqlx::query(statement).bind(row.id.to_string()).bind(boundary.to_string()).execute(tx.conn()).await?;
    }
    Ok(())
}

async fn leave(tx: &mut Tx, id: BoundaryGroupId) -> Result<(), StoreError> {
    let statement = "DELETE FROM boundary_group_member WHERE boundary_group = $1";
    sqlx::query(statement).bind(id.to_string()).execute(tx.conn()).await?;
    Ok(())
}

/// Removes a boundary group; its boundaries stay. Whether it was there.
///
/// # Errors
/// When the database cannot be written.
pub async fn group_remove(tx: &mut Tx, id: BoundaryGroupId) -> Result<bool, StoreError> {
    leave(tx, id).await?;
    let done = sqlx::query("DELETE FROM boundary_group WHERE id = $1").bind(id.to_string()).execute(tx.conn()).await?;
    Ok(done.rows_affected() > 0)
}

/// How many boundary groups there are.
///
/// # Errors
/// When the database cannot be read.
pub async fn group_count(conn: &mut AnyConnection) -> Result<u64, StoreError> {
    let total: i64 = sqlx::query_scalar("SELECT COUNT(*) FROM boundary_group").fetch_one(conn).await?;
    Ok(unsigned(total))
}

/// A page of boundary groups by name; and how many there are.
///
/// # Errors
/// When the database cannot be read.
pub async fn group_list(conn: &mut AnyConnection, page: PageQuery) -> Result<(Vec<BoundaryGroup>, u64), StoreError> {
    let total = group_count(conn).await?;
    let statement = "SELECT id, name, management_points, changed, changed_by FROM boundary_group \
         ORDER BY name, id LIMIT $1 OFFSET $2";
    let rows =
        sqlx::query(statement).bind(i64::from(page.limit)).bind(signed(page.offset)).fetch_all(&mut *conn).await?;
    let mut found = rows.iter().map(group).collect::<Result<Vec<_>, _>>()?;
    for row in &mut found {
        row.boundaries = boundaries_of(conn, row.id).await?;
    }
    Ok((found, total))
}

/// A boundary of a group that names management points: what decides about devices.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Deciding {
    /// The group.
    pub group: BoundaryGroupId,
    /// Kind of the boundary.
    pub kind: muster_model::api::BoundaryKind,
    /// Value of the boundary.
    pub value: String,
}

/// Every boundary of every group, and the groups by name. There are few.
///
/// # Errors
/// When the database cannot be read.
pub async fn all(conn: &mut AnyConnection) -> Result<(Vec<Deciding>, Vec<BoundaryGroup>), StoreError> {
    let statement = "SELECT m.boundary_group, b.kind, b.value FROM boundary_group_member m \
         JOIN boundary b ON b.id = m.boundary ORDER BY m.boundary_group, b.id";
    let rows = sqlx::query(statement).fetch_all(&mut *conn).await?;
    let deciding = rows.iter().map(|row| {
        let (group, kind) = (parsed(row, "boundary_group")?, parse(row.try_get("kind")?, "kind")?);
        Ok(Deciding { group, kind, value: row.try_get("value")? })
    });
    let deciding = deciding.collect::<Result<_, StoreError>>()?;
    let statement = "SELECT id, name, management_points, changed, changed_by FROM boundary_group ORDER BY name, id";
    let rows = sqlx::query(statement).fetch_all(conn).await?;
    Ok((deciding, rows.iter().map(group).collect::<Result<_, _>>()?))
}
