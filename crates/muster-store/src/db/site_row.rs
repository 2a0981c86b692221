//! The one row that says whose database this is.

use super::{StoreError, Tx, column::parse};
use muster_model::{
    id::{Name, SiteCode},
    time::UnixMillis,
};
use sqlx::AnyConnection;

/// The site of this database.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SiteRow {
    /// The site code.
    pub code: SiteCode,
    /// The site's name.
    pub name: Name,
    /// When it was made.
    pub created: UnixMillis,
}

/// The site, where one was made.
///
/// # Errors
/// When the database cannot be read.
pub async fn get(conn: &mut AnyConnection) -> Result<Option<SiteRow>, StoreError> {
    let row: Option<(String, String, i64)> =
        sqlx::query_as("SELECT code, name, created FROM site WHERE id = 1").fetch_optional(conn).await?;
    row.map(|(code, name, created)| {
        Ok(SiteRow { code: parse(&code, "site code")?, name: parse(&name, "name")?, created: UnixMillis(created) })
    })
    .transpose()
}

/// Makes the site.
///
/// # Errors
/// [`StoreError::Exists`] when this database has one already.
pub async fn insert(tx: &mut Tx, site: &SiteRow) -> Result<(), StoreError> {
    sqlx::query("INSERT INTO site (id, code, name, created) VALUES (1, $1, $2, $3)")
        .bind(site.code.as_str())
        .bind(site.name.as_str())
        .bind(site.created.0)
        .execute(tx.conn())
        .await?;
    Ok(())
}
