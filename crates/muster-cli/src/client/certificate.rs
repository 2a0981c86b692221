//! Certificates, and what is revoked.

use super::{Client, ClientError, encoded, query};
use muster_model::api::{Certificate, CertificateQuery, Page, RevocationState, Revoke};

impl Client {
    /// `GET /certificates`.
    ///
    /// # Errors
    /// See [`ClientError`].
    pub async fn certificate_list(&self, wanted: &CertificateQuery) -> Result<Page<Certificate>, ClientError> {
        self.get(&format!("/certificates{}", query(wanted))).await
    }

    /// `POST /certificates/{serial}/revoke`.
    ///
    /// # Errors
    /// `conflict` when it was revoked before or has ended.
    pub async fn certificate_revoke(&self, serial: &str, request: &Revoke) -> Result<Certificate, ClientError> {
        self.post(&format!("/certificates/{}/revoke", encoded(serial)), request).await
    }

    /// `GET /revocation`.
    ///
    /// # Errors
    /// See [`ClientError`].
    pub async fn revocation_show(&self) -> Result<RevocationState, ClientError> {
        self.get("/revocation").await
    }
}
