//! Administrators.

use super::{Client, ClientError, query};
use muster_model::api::{Admin, AdminCreate, Page, PageQuery};

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
}
