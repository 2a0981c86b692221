//! Sealed secrets.

use super::{Client, ClientError, query};
use muster_model::{
    api::{Page, PageQuery, Reason, SecretAdd, SecretAdded, SecretInfo, SecretRecipient},
    application::FileName,
    id::ApplicationId,
};

impl Client {
    /// `GET /secrets`.
    ///
    /// # Errors
    /// See [`ClientError`].
    pub async fn secret_list(&self, page: &PageQuery) -> Result<Page<SecretInfo>, ClientError> {
        self.get(&format!("/secrets{}", query(page))).await
    }

    /// `GET /secrets/{application}/recipients`.
    ///
    /// # Errors
    /// See [`ClientError`].
    pub async fn secret_recipients(
        &self,
        application: ApplicationId,
        page: &PageQuery,
    ) -> Result<Page<SecretRecipient>, ClientError> {
        self.get(&format!("/secrets/{application}/recipients{}", query(page))).await
    }

    /// `POST /secrets`.
    ///
    /// # Errors
    /// `author_unknown` when not as many authors signed as the trust bundle wants; `conflict` where a device has it as new.
    pub async fn secret_add(&self, request: &SecretAdd) -> Result<SecretAdded, ClientError> {
        self.post("/secrets", request).await
    }

    /// `POST /secrets/{application}/{name}/remove`; for how many devices it was sealed.
    ///
    /// # Errors
    /// `not_found` when there is none.
    pub async fn secret_remove(
        &self,
        application: ApplicationId,
        name: &FileName,
        reason: &Reason,
    ) -> Result<u64, ClientError> {
        self.post(&format!("/secrets/{application}/{}/remove", name.as_str()), reason).await
    }
}
