//! Sessions of administrators, and the single-use secrets that begin one. Only hashes of secrets are here.

use super::{StoreError, Tx, column::parse};
use muster_model::{api::Admin, id::Hash, time::UnixMillis};
use sqlx::AnyConnection;

/// What a single-use secret is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SignInKind {
    /// A challenge to be signed; its subject is a key id.
    Challenge,
    /// A code for a browser; its subject is an administrator id.
    Code,
}

impl SignInKind {
    const fn as_str(self) -> &'static str {
        match self {
            Self::Challenge => "challenge",
            Self::Code => "code",
        }
    }
}

/// Keeps a single-use secret by its hash.
///
/// # Errors
/// [`StoreError::Exists`] when it is there.
pub async fn sign_in_insert(
    tx: &mut Tx,
    hash: &Hash,
    kind: SignInKind,
    subject: &str,
    expires: UnixMillis,
) -> Result<(), StoreError> {
    sqlx::query("INSERT INTO sign_in (hash, kind, subject, expires) VALUES ($1, $2, $3, $4)")
        .bind(hash.to_string())
        .bind(kind.as_str())
        .bind(subject)
        .bind(expires.0)
        .execute(tx.conn())
        .await?;
    Ok(())
}

/// Takes a single-use secret away and returns its subject, where it is there and not expired. It can be taken once.
///
/// # Errors
/// When the database cannot be written.
pub async fn sign_in_take(
    tx: &mut Tx,
    hash: &Hash,
    kind: SignInKind,
    now: UnixMillis,
) -> Result<Option<String>, StoreError> {
    let row: Option<(String, i64)> =
        sqlx::query_as("DELETE FROM sign_in WHERE hash = $1 AND kind = $2 RETURNING subject, expires")
            .bind(hash.to_string())
            .bind(kind.as_str())
            .fetch_optional(tx.conn())
            .await?;
    Ok(row.filter(|(_, expires)| now.0 < *expires).map(|(subject, _)| subject))
}

/// A session.
#[derive(Debug, Clone, PartialEq)]
pub struct SessionRow {
    /// Whose.
    pub admin: Admin,
    /// `api` or `console`.
    pub kind: String,
    /// The secret that a console page's forms carry.
    pub csrf: String,
    /// When it ends at the latest.
    pub expires: UnixMillis,
    /// When it was last used, to some minutes.
    pub used: UnixMillis,
}

/// Kind, CSRF secret, end and last use; then the administrator's columns.
type Row = (String, String, i64, i64, String, String, String, String, i64);

/// Begins a session.
///
/// # Errors
/// When the database cannot be written.
pub async fn insert(tx: &mut Tx, hash: &Hash, session: &SessionRow) -> Result<(), StoreError> {
    let statement = "INSERT INTO session (hash, admin, kind, csrf, created, expires, used) \
         VALUES ($1, $2, $3, $4, $5, $6, $5)";
    sqlx::query(statement)
        .bind(hash.to_string())
        .bind(session.admin.id.to_string())
        .bind(&session.kind)
        .bind(&session.csrf)
        .bind(session.used.0)
        .bind(session.expires.0)
        .execute(tx.conn())
        .await?;
    Ok(())
}

/// The session of a token's hash, unless its administrator is disabled. Whether it ended is the caller's to say.
///
/// # Errors
/// When the database cannot be read.
pub async fn get(conn: &mut AnyConnection, hash: &Hash) -> Result<Option<SessionRow>, StoreError> {
    let statement = "SELECT s.kind, s.csrf, s.expires, s.used, a.id, a.name, a.role, a.key_id, a.created \
         FROM session s JOIN admin a ON a.id = s.admin WHERE s.hash = $1 AND a.disabled IS NULL";
    let row: Option<Row> = sqlx::query_as(statement).bind(hash.to_string()).fetch_optional(conn).await?;
    let Some((kind, csrf, expires, used, id, name, role, key, created)) = row else { return Ok(None) };
    let admin = Admin {
        id: parse(&id, "administrator id")?,
        name: parse(&name, "name")?,
        role: parse(&role, "role")?,
        key: parse(&key, "key id")?,
        created: UnixMillis(created),
    };
    Ok(Some(SessionRow { admin, kind, csrf, expires: UnixMillis(expires), used: UnixMillis(used) }))
}

/// Notes that a session is in use.
///
/// # Errors
/// When the database cannot be written.
pub async fn touch(tx: &mut Tx, hash: &Hash, now: UnixMillis) -> Result<(), StoreError> {
    sqlx::query("UPDATE session SET used = $2 WHERE hash = $1")
        .bind(hash.to_string())
        .bind(now.0)
        .execute(tx.conn())
        .await?;
    Ok(())
}

/// Ends a session; whether there was one.
///
/// # Errors
/// When the database cannot be written.
pub async fn delete(tx: &mut Tx, hash: &Hash) -> Result<bool, StoreError> {
    let done = sqlx::query("DELETE FROM session WHERE hash = $1").bind(hash.to_string()).execute(tx.conn()).await?;
    Ok(done.rows_affected() > 0)
}

/// Takes away what is past its end.
///
/// # Errors
/// When the database cannot be written.
pub async fn purge(tx: &mut Tx, now: UnixMillis) -> Result<(), StoreError> {
    sqlx::query("DELETE FROM sign_in WHERE expires <= $1").bind(now.0).execute(tx.conn()).await?;
    sqlx::query("DELETE FROM session WHERE expires <= $1").bind(now.0).execute(tx.conn()).await?;
    Ok(())
}
