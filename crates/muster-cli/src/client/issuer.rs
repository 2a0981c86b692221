//! Issuers of the enterprise.

use super::{Client, ClientError};
use muster_model::{
    api::{Issuer, IssuerAdd, Page, Reason},
    id::Hash,
};

impl Client {
    /// `GET /issuers`.
    ///
    /// # Errors
    /// See [`ClientError`].
    pub async fn issuer_list(&self) -> Result<Page<Issuer>, ClientError> {
        self.get("/issuers").await
    }

    /// `POST /issuers`.
    ///
    /// # Errors
    /// See [`ClientError`].
    pub async fn issuer_add(&self, request: &IssuerAdd) -> Result<Issuer, ClientError> {
        self.post("/issuers", request).await
    }

    /// `POST /issuers/{id}/remove`.
    ///
    /// # Errors
    /// `not_found` when it is not there.
    pub async fn issuer_remove(&self, id: Hash, reason: &Reason) -> Result<Issuer, ClientError> {
        self.post(&format!("/issuers/{id}/remove"), reason).await
    }
}
