//! Administrators and the keys that they sign in with.

use super::{
    StoreError, Tx,
    column::{parse, signed, unsigned},
};
use muster_model::{
    api::{Admin, PageQuery},
    id::{AdminId, Hash},
    time::UnixMillis,
};
use sqlx::AnyConnection;

type Row = (String, String, String, String, i64);

fn admin((id, name, role, key, created): Row) -> Result<Admin, StoreError> {
    Ok(Admin {
        id: parse(&id, "administrator id")?,
        name: parse(&name, "name")?,
        role: parse(&role, "role")?,
        key: parse(&key, "key id")?,
        created: UnixMillis(created),
    })
}

/// Adds an administrator with the public key (`SubjectPublicKeyInfo`, DER).
///
/// # Errors
/// [`StoreError::Exists`] when the name or the key is another's.
pub async fn insert(tx: &mut Tx, admin: &Admin, spki: &[u8]) -> Result<(), StoreError> {
    sqlx::query("INSERT INTO admin (id, name, role, key_id, spki, created) VALUES ($1, $2, $3, $4, $5, $6)")
        .bind(admin.id.to_string())
        .bind(admin.name.as_str())
        .bind(admin.role.as_str())
        .bind(admin.key.to_string())
        .bind(spki)
        .bind(admin.created.0)
        .execute(tx.conn())
        .await?;
    Ok(())
}

/// The administrator of an id, unless disabled.
///
/// # Errors
/// When the database cannot be read.
pub async fn get(conn: &mut AnyConnection, id: AdminId) -> Result<Option<Admin>, StoreError> {
    let statement = "SELECT id, name, role, key_id, created FROM admin WHERE id = $1 AND disabled IS NULL";
    let row: Option<Row> = sqlx::query_as(statement).bind(id.to_string()).fetch_optional(conn).await?;
    row.map(admin).transpose()
}

/// The administrator of a key id and the key, unless disabled.
///
/// # Errors
/// When the database cannot be read.
pub async fn by_key(conn: &mut AnyConnection, key: &Hash) -> Result<Option<(Admin, Vec<u8>)>, StoreError> {
    let statement = "SELECT id, name, role, key_id, created, spki FROM admin WHERE key_id = $1 AND disabled IS NULL";
    let row: Option<(String, String, String, String, i64, Vec<u8>)> =
        sqlx::query_as(statement).bind(key.to_string()).fetch_optional(conn).await?;
    row.map(|(id, name, role, key, created, spki)| Ok((admin((id, name, role, key, created))?, spki))).transpose()
}

/// A page of administrators by name, and how many there are.
///
/// # Errors
/// When the database cannot be read.
pub async fn list(conn: &mut AnyConnection, page: PageQuery) -> Result<(Vec<Admin>, u64), StoreError> {
    let total: i64 =
        sqlx::query_scalar("SELECT COUNT(*) FROM admin WHERE disabled IS NULL").fetch_one(&mut *conn).await?;
    let statement = "SELECT id, name, role, key_id, created FROM admin WHERE disabled IS NULL \
         ORDER BY name, id LIMIT $1 OFFSET $2";
    let rows: Vec<Row> =
        sqlx::query_as(statement).bind(i64::from(page.limit)).bind(signed(page.offset)).fetch_all(conn).await?;
    Ok((rows.into_iter().map(admin).collect::<Result<_, _>>()?, unsigned(total)))
}

/// Holds an administrator's row until the transaction ends; whether there is one that is not disabled.
///
/// # Errors
/// When the database cannot be written.
pub async fn hold(tx: &mut Tx, id: AdminId) -> Result<bool, StoreError> {
    let statement = "UPDATE admin SET role = role WHERE id = $1 AND disabled IS NULL";
    Ok(sqlx::query(statement).bind(id.to_string()).execute(tx.conn()).await?.rows_affected() > 0)
}

/// Disables an administrator and ends their sessions; whether there was one that was not disabled.
///
/// # Errors
/// When the database cannot be written.
pub async fn disable(tx: &mut Tx, id: AdminId, now: UnixMillis) -> Result<bool, StoreError> {
    let statement = "UPDATE admin SET disabled = $2 WHERE id = $1 AND disabled IS NULL";
    let done = sqlx::query(statement).bind(id.to_string()).bind(now.0).execute(tx.conn()).await?;
    sqlx::query("DELETE FROM session WHERE admin = $1").bind(id.to_string()).execute(tx.conn()).await?;
    Ok(done.rows_affected() > 0)
}
