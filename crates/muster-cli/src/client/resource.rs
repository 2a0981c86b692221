//! Resources, and how long what discovery found is kept.

use super::{Client, ClientError, query};
use http::Method;
use muster_model::{
    api::{DiscoverySettings, Page, Resource, ResourceDetail, ResourceQuery},
    id::ResourceId,
};

impl Client {
    /// `GET /resources`.
    ///
    /// # Errors
    /// See [`ClientError`].
    pub async fn resource_list(&self, wanted: &ResourceQuery) -> Result<Page<Resource>, ClientError> {
        self.get(&format!("/resources{}", query(wanted))).await
    }

    /// `GET /resources/{id}`.
    ///
    /// # Errors
    /// `not_found`.
    pub async fn resource_show(&self, id: ResourceId) -> Result<ResourceDetail, ClientError> {
        self.get(&format!("/resources/{id}")).await
    }

    /// `DELETE /resources/{id}`.
    ///
    /// # Errors
    /// `not_found`; `conflict` where a client runs on it.
    pub async fn resource_remove(&self, id: ResourceId) -> Result<Resource, ClientError> {
        let answer = self.delete(&format!("/resources/{id}")).await?;
        self.parse(&answer)
    }

    /// `GET /discovery/settings`.
    ///
    /// # Errors
    /// See [`ClientError`].
    pub async fn discovery_settings_show(&self) -> Result<DiscoverySettings, ClientError> {
        self.get("/discovery/settings").await
    }

    /// `PUT /discovery/settings`.
    ///
    /// # Errors
    /// `malformed` when a number is out of its range.
    pub async fn discovery_settings_update(
        &self,
        settings: &DiscoverySettings,
    ) -> Result<DiscoverySettings, ClientError> {
        self.send(Method::PUT, "/discovery/settings", settings, None).await
    }
}
