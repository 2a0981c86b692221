//! The audit log.

use super::{Client, ClientError, query};
use muster_model::api::{AuditEntry, AuditSegment, AuditSegmentQuery, AuditSegments, AuditVerdict, Page, PageQuery};

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

    /// `GET /audit/segment`.
    ///
    /// # Errors
    /// `conflict`: the audit log is not the one that is asked about.
    pub async fn audit_segment(&self, wanted: &AuditSegmentQuery) -> Result<Option<AuditSegment>, ClientError> {
        let found: AuditSegments = self.get(&format!("/audit/segment{}", query(wanted))).await?;
        Ok(found.segment)
    }
}
