//! Enrolment tokens. Only the hash of the secret is here; to use one is a single conditional update.

use super::{
    StoreError, Tx,
    column::{parse, signed, unsigned},
};
use muster_model::{
    api::PageQuery,
    id::{EnrolmentId, Hash, Name, TokenId},
    time::UnixMillis,
};
use sqlx::AnyConnection;

/// A token.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TokenRow {
    /// The id.
    pub id: TokenId,
    /// What it is for.
    pub name: Name,
    /// When it was made.
    pub created: UnixMillis,
    /// When it ends.
    pub expires: UnixMillis,
    /// Who made it.
    pub created_by: Name,
    /// The request that used it.
    pub used_by: Option<EnrolmentId>,
    /// When it was revoked.
    pub revoked: Option<UnixMillis>,
    /// The serial number of the one machine that it was made for.
    pub serial: Option<String>,
}

type Row = (String, String, i64, i64, String, Option<String>, Option<i64>, Option<String>);

fn token((id, name, created, expires, created_by, used_by, revoked, serial): Row) -> Result<TokenRow, StoreError> {
    Ok(TokenRow {
        id: parse(&id, "token id")?,
        name: parse(&name, "name")?,
        created: UnixMillis(created),
        expires: UnixMillis(expires),
        created_by: parse(&created_by, "name")?,
        used_by: used_by.map(|id| parse(&id, "enrolment id")).transpose()?,
        revoked: revoked.map(UnixMillis),
        serial,
    })
}

macro_rules! select {
    ($rest:literal) => {
        concat!("SELECT id, name, created, expires, created_by, used_by, revoked, serial FROM token ", $rest)
    };
}

/// Adds a token.
///
/// # Errors
/// When the database cannot be written.
pub async fn insert(tx: &mut Tx, token: &TokenRow, secret_hash: &Hash) -> Result<(), StoreError> {
    let statement = "INSERT INTO token (id, name, secret_hash, created, expires, created_by, serial) \
         VALUES ($1, $2, $3, $4, $5, $6, $7)";
    sqlx::query(statement)
        .bind(token.id.to_string())
        .bind(token.name.as_str())
        .bind(secret_hash.to_string())
        .bind(token.created.0)
        .bind(token.expires.0)
        .bind(token.created_by.as_str())
        .bind(token.serial.as_deref())
        .execute(tx.conn())
        .await?;
    Ok(())
}

/// The token of an id.
///
/// # Errors
/// When the database cannot be read.
pub async fn get(conn: &mut AnyConnection, id: TokenId) -> Result<Option<TokenRow>, StoreError> {
    let row = sqlx::query_as(select!("WHERE id = $1")).bind(id.to_string()).fetch_optional(conn).await?;
    row.map(token).transpose()
}

/// The token of a secret's hash.
///
/// # Errors
/// When the database cannot be read.
pub async fn by_secret(conn: &mut AnyConnection, hash: &Hash) -> Result<Option<TokenRow>, StoreError> {
    let row = sqlx::query_as(select!("WHERE secret_hash = $1")).bind(hash.to_string()).fetch_optional(conn).await?;
    row.map(token).transpose()
}

/// Marks an open token as used, and returns it. `None` when it is not there, used, revoked or expired: of any number of
/// transactions at the same time one gets it.
///
/// # Errors
/// When the database cannot be written.
pub async fn take(
    tx: &mut Tx,
    hash: &Hash,
    enrolment: EnrolmentId,
    now: UnixMillis,
) -> Result<Option<TokenId>, StoreError> {
    let statement = "UPDATE token SET used_by = $2 \
         WHERE secret_hash = $1 AND used_by IS NULL AND revoked IS NULL AND expires > $3 RETURNING id";
    let id: Option<String> = sqlx::query_scalar(statement)
        .bind(hash.to_string())
        .bind(enrolment.to_string())
        .bind(now.0)
        .fetch_optional(tx.conn())
        .await?;
    id.map(|id| parse(&id, "token id")).transpose()
}

/// Revokes a token that was not used; whether there was such a one.
///
/// # Errors
/// When the database cannot be written.
pub async fn revoke(tx: &mut Tx, id: TokenId, now: UnixMillis) -> Result<bool, StoreError> {
    let done = sqlx::query("UPDATE token SET revoked = $2 WHERE id = $1 AND used_by IS NULL AND revoked IS NULL")
        .bind(id.to_string())
        .bind(now.0)
        .execute(tx.conn())
        .await?;
    Ok(done.rows_affected() > 0)
}

/// A page of tokens, the newest first, and how many there are.
///
/// # Errors
/// When the database cannot be read.
pub async fn list(conn: &mut AnyConnection, page: PageQuery) -> Result<(Vec<TokenRow>, u64), StoreError> {
    let total: i64 = sqlx::query_scalar("SELECT COUNT(*) FROM token").fetch_one(&mut *conn).await?;
    let rows: Vec<Row> = sqlx::query_as(select!("ORDER BY created DESC, id DESC LIMIT $1 OFFSET $2"))
        .bind(i64::from(page.limit))
        .bind(signed(page.offset))
        .fetch_all(conn)
        .await?;
    Ok((rows.into_iter().map(token).collect::<Result<_, _>>()?, unsigned(total)))
}
