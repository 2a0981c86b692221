//! The audit log.

use super::{Client, ClientError, query};
use muster_model::api::{AuditEntry, AuditVerdict, Page, PageQuery};

impl Client {
    /// `GET /audit`, the newest entry first.
    ///
    /// # Errors
    /// See [`ClientError`].
    pub async fn audit_list(&self, page: &PageQuery) -> Result<Page<AuditEntry>, ClientError> {
        self.get(&format!("/audit{}", query(page))).await
    }

    /// `GET /audit/verify`.
    ///
    /// # Errors
    /// See [`ClientError`].
    pub async fn audit_verify(&self) -> Result<AuditVerdict, ClientError> {
        self.get("/audit/verify").await
    }
}
