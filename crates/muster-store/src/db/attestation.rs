//! What devices proved about their hardware when they asked to be enrolled, with the raw evidence.

use super::{
    StoreError, Tx,
    column::{parsed, time},
};
use muster_model::{
    id::{EnrolmentId, Hash},
    time::UnixMillis,
};
use sqlx::{AnyConnection, Row};

/// The verdict about a request, and what it rests on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AttestationRow {
    /// SHA-256 of the endorsement key's `SubjectPublicKeyInfo`.
    pub hardware: Hash,
    /// `vendor` or `administrator`.
    pub vouched_by: String,
    /// When it was verified.
    pub verified: UnixMillis,
    /// The endorsement key's certificate, DER.
    pub endorsement_certificate: Option<Vec<u8>>,
    /// The endorsement key, `TPMT_PUBLIC`.
    pub endorsement_key: Vec<u8>,
    /// The attestation key, `TPMT_PUBLIC`.
    pub attestation_key: Vec<u8>,
    /// The device's key, `TPMT_PUBLIC`.
    pub device_key: Vec<u8>,
    /// `TPMS_ATTEST`.
    pub statement: Vec<u8>,
    /// `TPMT_SIGNATURE`.
    pub signature: Vec<u8>,
    /// The site's nonce.
    pub nonce: Hash,
    /// The TLS exporter of the connection.
    pub exporter: Hash,
}

/// Keeps the evidence of a request.
///
/// # Errors
/// When the database cannot be written.
pub async fn insert(tx: &mut Tx, enrolment: EnrolmentId, row: &AttestationRow) -> Result<(), StoreError> {
    let statement = "INSERT INTO attestation (enrolment, hardware, vouched_by, verified, endorsement_certificate, \
         endorsement_key, attestation_key, device_key, statement, signature, nonce, exporter) \
         VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12)";
    sqlx::query(statement)
        .bind(enrolment.to_string())
        .bind(row.hardware.to_string())
        .bind(&row.vouched_by)
        .bind(row.verified.0)
        .bind(row.endorsement_certificate.as_deref())
        .bind(&row.endorsement_key[..])
        .bind(&row.attestation_key[..])
        .bind(&row.device_key[..])
        .bind(&row.statement[..])
        .bind(&row.signature[..])
        .bind(row.nonce.to_string())
        .bind(row.exporter.to_string())
        .execute(tx.conn())
        .await?;
    Ok(())
}

/// The evidence of a request, where it had any. A device has the id of its request.
///
/// # Errors
/// When the database cannot be read.
pub async fn get(conn: &mut AnyConnection, enrolment: EnrolmentId) -> Result<Option<AttestationRow>, StoreError> {
    let statement = "SELECT hardware, vouched_by, verified, endorsement_certificate, endorsement_key, attestation_key, \
         device_key, statement, signature, nonce, exporter FROM attestation WHERE enrolment = $1";
    let Some(row) = sqlx::query(statement).bind(enrolment.to_string()).fetch_optional(conn).await? else {
        return Ok(None);
    };
    Ok(Some(AttestationRow {
        hardware: parsed(&row, "hardware")?,
        vouched_by: row.try_get("vouched_by")?,
        verified: time(&row, "verified")?,
        endorsement_certificate: row.try_get("endorsement_certificate")?,
        endorsement_key: row.try_get("endorsement_key")?,
        attestation_key: row.try_get("attestation_key")?,
        device_key: row.try_get("device_key")?,
        statement: row.try_get("statement")?,
        signature: row.try_get("signature")?,
        nonce: parsed(&row, "nonce")?,
        exporter: parsed(&row, "exporter")?,
    }))
}
