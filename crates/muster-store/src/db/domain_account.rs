//! Accounts of computers in their domains, as requests to enrol proved them.

use super::{StoreError, Tx, column::time};
use muster_model::{api::DomainAccount, id::EnrolmentId};
use sqlx::{AnyConnection, Row};

/// Keeps what a request proved.
///
/// # Errors
/// When the database cannot be written.
pub async fn insert(tx: &mut Tx, enrolment: EnrolmentId, row: &DomainAccount) -> Result<(), StoreError> {
    let statement = "INSERT INTO domain_account (enrolment, realm, account, sid, group_sid, verified) \
         VALUES ($1, $2, $3, $4, $5, $6)";
    sqlx::query(statement)
        .bind(enrolment.to_string())
        .bind(&row.realm)
        .bind(&row.account)
        .bind(&row.sid)
        .bind(row.group.as_deref())
        .bind(row.verified.0)
        .execute(tx.conn())
        .await?;
    Ok(())
}

/// What a request proved. A device has the id of its request.
///
/// # Errors
/// When the database cannot be read.
pub async fn get(conn: &mut AnyConnection, enrolment: EnrolmentId) -> Result<Option<DomainAccount>, StoreError> {
    let statement = "SELECT realm, account, sid, group_sid, verified FROM domain_account WHERE enrolment = $1";
    let row = sqlx::query(statement).bind(enrolment.to_string()).fetch_optional(conn).await?;
    row.map(|row| {
        Ok(DomainAccount {
            realm: row.try_get("realm")?,
            account: row.try_get("account")?,
            sid: row.try_get("sid")?,
            group: row.try_get("group_sid")?,
            verified: time(&row, "verified")?,
        })
    })
    .transpose()
}
