//! Applications: the signed objects as their authors made them.

use super::{
    StoreError, Tx,
    bulk::Bulk,
    column::{self, parsed},
};
use muster_model::{
    id::{ApplicationId, Hash},
    time::UnixMillis,
};
use sqlx::{AnyConnection, Row, any::AnyRow};

/// A stored application.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ApplicationRow {
    /// SHA-256 of the object.
    pub hash: Hash,
    /// The application, over all of its versions.
    pub id: ApplicationId,
    /// Its name.
    pub name: String,
    /// Its version.
    pub version: String,
    /// The signed object.
    pub object: Vec<u8>,
    /// Key ids of the authors whose signatures were valid when it was added.
    pub authors: Vec<Hash>,
    /// Bytes of all its content.
    pub content_size: u64,
    /// When it was added.
    pub created: UnixMillis,
}

macro_rules! select {
    ($rest:literal) => {
        concat!("SELECT hash, id, name, version, object, authors, content_size, created FROM application ", $rest)
    };
}

fn from_row(row: &AnyRow) -> Result<ApplicationRow, StoreError> {
    Ok(ApplicationRow {
        hash: parsed(row, "hash")?,
        id: parsed(row, "id")?,
        name: row.try_get("name")?,
        version: row.try_get("version")?,
        object: row.try_get("object")?,
        authors: column::json(row, "authors")?,
        content_size: column::count(row, "content_size")?,
        created: column::time(row, "created")?,
    })
}

static CONTENT: Bulk = Bulk::new("INSERT INTO application_content (application, content)", 2, "ON CONFLICT DO NOTHING");

/// Adds an application and the content that it names, which must be there.
///
/// # Errors
/// [`StoreError::Exists`] when this object is there already.
pub async fn insert(tx: &mut Tx, row: &ApplicationRow, content: &[Hash]) -> Result<(), StoreError> {
    let statement = "INSERT INTO application (hash, id, name, version, object, authors, content_size, created) \
         VALUES ($1, $2, $3, $4, $5, $6, $7, $8)";
    sqlx::query(statement)
        .bind(row.hash.to_string())
        .bind(row.id.to_string())
        .bind(row.name.clone())
        .bind(row.version.clone())
        .bind(row.object.clone())
        .bind(column::to_json(&row.authors))
        .bind(column::signed(row.content_size))
        .bind(row.created.0)
        .execute(tx.conn())
        .await?;
    let hash = row.hash.to_string();
    CONTENT.run(tx, content, |query, content| query.bind(hash.clone()).bind(content.to_string())).await?;
    Ok(())
}

/// The application with this object.
///
/// # Errors
/// When the database cannot be read.
pub async fn get(conn: &mut AnyConnection, hash: Hash) -> Result<Option<ApplicationRow>, StoreError> {
    let row = sqlx::query(select!("WHERE hash = $1")).bind(hash.to_string()).fetch_optional(conn).await?;
    row.as_ref().map(from_row).transpose()
}

/// One page of all applications, by name, the newest of one name first; and how many there are.
///
/// # Errors
/// When the database cannot be read.
pub async fn list(conn: &mut AnyConnection, offset: u64, limit: u32) -> Result<(Vec<ApplicationRow>, u64), StoreError> {
    let total: i64 = sqlx::query_scalar("SELECT COUNT(*) FROM application").fetch_one(&mut *conn).await?;
    let rows = sqlx::query(select!("ORDER BY name, created DESC, hash LIMIT $1 OFFSET $2"))
        .bind(i64::from(limit))
        .bind(column::signed(offset))
        .fetch_all(conn)
        .await?;
    Ok((rows.iter().map(from_row).collect::<Result<_, _>>()?, column::unsigned(total)))
}

/// Versions of one application that are looked at.
const VERSIONS: i64 = 50;

/// The versions of an application, the newest first.
///
/// # Errors
/// When the database cannot be read.
pub async fn of_id(conn: &mut AnyConnection, id: ApplicationId) -> Result<Vec<ApplicationRow>, StoreError> {
    let statement = select!("WHERE id = $1 ORDER BY created DESC, hash LIMIT $2");
    let rows = sqlx::query(statement).bind(id.to_string()).bind(VERSIONS).fetch_all(conn).await?;
    rows.iter().map(from_row).collect()
}
