//! Administrators.

use super::{Client, ClientError, query};
use muster_model::{
    api::{Admin, AdminCreate, Page, PageQuery, Reason},
    id::AdminId,
};

impl Client {
    /// `GET /admins`.
    ///
    /// # Errors
    /// See [`ClientError`].
    pub async fn admin_list(&self, page: &PageQuery) -> Result<Page<Admin>, ClientError> {
        self.get(&format!("/admins{}", query(page))).await
    }

    /// `POST /admins`.
    ///
    /// # Errors
    /// `conflict` when the key or name is another administrator's.
    pub async fn admin_create(&self, request: &AdminCreate) -> Result<Admin, ClientError> {
        self.post("/admins", request).await
    }

    /// `POST /admins/{id}/disable`.
    ///
    /// # Errors
    /// `conflict` for the caller's own id.
    pub async fn admin_disable(&self, id: AdminId, reason: &Reason) -> Result<Admin, ClientError> {
        self.post(&format!("/admins/{id}/disable"), reason).await
    }
}
