//! CAs of the enterprise, and the revocation lists that were fetched of them.

use super::{
    StoreError, Tx,
    column::{count, json, parsed, parsed_opt, signed, time, to_json},
};
use muster_model::{api::IssuerCriteria, id::Hash, time::UnixMillis};
use sqlx::{AnyConnection, Row, any::AnyRow};

/// An issuer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct IssuerRow {
    /// SHA-256 of its `SubjectPublicKeyInfo`.
    pub id: Hash,
    /// Its name.
    pub name: String,
    /// Its certificate, DER.
    pub certificate: Vec<u8>,
    /// When that ends.
    pub expires: UnixMillis,
    /// Which of its certificates count.
    pub criteria: IssuerCriteria,
    /// Where its list is.
    pub list_url: String,
    /// Hours after its end for which a list is still believed.
    pub grace_hours: u32,
    /// When it was added.
    pub added: UnixMillis,
    /// Who added it.
    pub added_by: String,
    /// When its list was last fetched.
    pub tried: Option<UnixMillis>,
    /// Why that brought none.
    pub failure: Option<String>,
    /// The list that was taken last, without its bytes.
    pub list: Option<IssuerListRow>,
    /// Devices that talk with its certificates.
    pub devices: u64,
}

/// A list, without its bytes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct IssuerListRow {
    /// Its number, hexadecimal.
    pub number: String,
    /// When it was signed.
    pub signed: UnixMillis,
    /// Until when it is believed.
    pub next_update: UnixMillis,
    /// How many certificates it names.
    pub entries: u64,
}

fn issuer(row: &AnyRow) -> Result<IssuerRow, StoreError> {
    let list = match parsed_opt::<String>(row, "number")? {
        None => None,
        Some(number) => Some(IssuerListRow {
            number,
            signed: time(row, "signed")?,
            next_update: time(row, "next_update")?,
            entries: count(row, "entries")?,
        }),
    };
    Ok(IssuerRow {
        id: parsed(row, "id")?,
        name: row.try_get("name")?,
        certificate: row.try_get("certificate")?,
        expires: time(row, "expires")?,
        criteria: json(row, "criteria")?,
        list_url: row.try_get("list_url")?,
        grace_hours: u32::try_from(count(row, "grace_hours")?).unwrap_or(0),
        added: time(row, "added")?,
        added_by: row.try_get("added_by")?,
        tried: row.try_get::<Option<i64>, _>("tried")?.map(UnixMillis),
        failure: row.try_get("failure")?,
        list,
        devices: count(row, "devices")?,
    })
}

/// Every issuer, the first that was added first. There are few.
///
/// # Errors
/// When the database cannot be read.
pub async fn all(conn: &mut AnyConnection) -> Result<Vec<IssuerRow>, StoreError> {
    let statement = "SELECT i.id, i.name, i.certificate, i.expires, i.criteria, i.list_url, i.grace_hours, i.added, \
         i.added_by, i.tried, i.failure, l.number, l.signed, l.next_update, l.entries, \
         (SELECT COUNT(*) FROM enterprise_certificate e JOIN device d ON d.id = e.owner \
          WHERE e.issuer = i.id AND d.state IN ('active', 'quarantined')) AS devices \
         FROM issuer i LEFT JOIN issuer_list l ON l.issuer = i.id ORDER BY i.added, i.id";
    sqlx::query(statement).fetch_all(conn).await?.iter().map(issuer).collect()
}

/// Adds an issuer.
///
/// # Errors
/// [`StoreError::Exists`] when it is there.
pub async fn insert(tx: &mut Tx, row: &IssuerRow) -> Result<(), StoreError> {
    let statement = "INSERT INTO issuer (id, name, certificate, expires, criteria, list_url, grace_hours, added, added_by) \
         VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9)";
    sqlx::query(statement)
        .bind(row.id.to_string())
        .bind(&row.name)
        .bind(&row.certificate[..])
        .bind(row.expires.0)
        .bind(to_json(&row.criteria))
        .bind(&row.list_url)
        .bind(i64::from(row.grace_hours))
        .bind(row.added.0)
        .bind(&row.added_by)
        .execute(tx.conn())
        .await?;
    Ok(())
}

/// Removes an issuer; whether it was there. Its list stays, so that it cannot be followed by an older one.
///
/// # Errors
/// When the database cannot be written.
pub async fn remove(tx: &mut Tx, id: &Hash) -> Result<bool, StoreError> {
    let done = sqlx::query("DELETE FROM issuer WHERE id = $1").bind(id.to_string()).execute(tx.conn()).await?;
    Ok(done.rows_affected() > 0)
}

/// Notes that the list was fetched, and what came of it.
///
/// # Errors
/// When the database cannot be written.
pub async fn tried(tx: &mut Tx, id: &Hash, at: UnixMillis, failure: Option<&str>) -> Result<(), StoreError> {
    let statement = "UPDATE issuer SET tried = $2, failure = $3 WHERE id = $1";
    sqlx::query(statement).bind(id.to_string()).bind(at.0).bind(failure).execute(tx.conn()).await?;
    Ok(())
}

/// The bytes of the list that was taken last.
///
/// # Errors
/// When the database cannot be read.
pub async fn list(conn: &mut AnyConnection, id: &Hash) -> Result<Option<Vec<u8>>, StoreError> {
    let statement = "SELECT list FROM issuer_list WHERE issuer = $1";
    Ok(sqlx::query_scalar(statement).bind(id.to_string()).fetch_optional(conn).await?)
}

/// Keeps a list in the place of `before`; `false` when another one stands there: another process was faster.
///
/// # Errors
/// When the database cannot be written.
pub async fn put_list(
    tx: &mut Tx,
    id: &Hash,
    row: &IssuerListRow,
    list: &[u8],
    before: Option<&IssuerListRow>,
) -> Result<bool, StoreError> {
    let statement = "INSERT INTO issuer_list (issuer, number, signed, next_update, entries, list) \
         VALUES ($1, $2, $3, $4, $5, $6) ON CONFLICT (issuer) DO UPDATE SET number = excluded.number, \
         signed = excluded.signed, next_update = excluded.next_update, entries = excluded.entries, list = excluded.list \
         WHERE issuer_list.number = $7 AND issuer_list.signed = CAST($8 AS BIGINT)";
    let done = sqlx::query(statement)
        .bind(id.to_string())
        .bind(&row.number)
        .bind(row.signed.0)
        .bind(row.next_update.0)
        .bind(signed(row.entries))
        .bind(list)
        .bind(before.map_or("", |before| &before.number))
        .bind(before.map_or(0, |before| before.signed.0))
        .execute(tx.conn())
        .await?;
    Ok(done.rows_affected() > 0)
}
