//! Devices that foreign protocols manage.

use super::{Client, ClientError, query};
use muster_model::{
    api::{MobileDevice, MobileToken, MobileTokenCreate, MobileTokenCreated, Page, PageQuery, Reason},
    id::{MobileId, TokenId},
};

impl Client {
    /// `GET /mobile/tokens`.
    ///
    /// # Errors
    /// See [`ClientError`].
    pub async fn mobile_token_list(&self, page: &PageQuery) -> Result<Page<MobileToken>, ClientError> {
        self.get(&format!("/mobile/tokens{}", query(page))).await
    }

    /// `POST /mobile/tokens`. The challenge is in the answer, and never again.
    ///
    /// # Errors
    /// See [`ClientError`].
    pub async fn mobile_token_create(&self, request: &MobileTokenCreate) -> Result<MobileTokenCreated, ClientError> {
        self.post("/mobile/tokens", request).await
    }

    /// `DELETE /mobile/tokens/{id}`.
    ///
    /// # Errors
    /// `conflict` when the token was used.
    pub async fn mobile_token_revoke(&self, id: TokenId) -> Result<MobileToken, ClientError> {
        let answer = self.delete(&format!("/mobile/tokens/{id}")).await?;
        self.parse(&answer)
    }

    /// `GET /mobile/devices`.
    ///
    /// # Errors
    /// See [`ClientError`].
    pub async fn mobile_device_list(&self, page: &PageQuery) -> Result<Page<MobileDevice>, ClientError> {
        self.get(&format!("/mobile/devices{}", query(page))).await
    }

    /// `POST /mobile/devices/{id}/block`.
    ///
    /// # Errors
    /// `conflict` when the device was blocked before.
    pub async fn mobile_device_block(&self, id: MobileId, reason: &Reason) -> Result<MobileDevice, ClientError> {
        self.post(&format!("/mobile/devices/{id}/block"), reason).await
    }
}
