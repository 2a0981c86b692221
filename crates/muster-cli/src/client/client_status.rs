//! Client status.

use super::{Client, ClientError, query};
use muster_model::{
    api::{
        ClientStatus, ClientStatusDetail, ClientStatusQuery, ClientStatusScope, ClientStatusSettings,
        ClientStatusSummary, ClientStatusThreshold, ClientStatusThresholdSet, Page,
    },
    id::{CollectionId, DeviceId},
};

impl Client {
    /// `GET /client-status`.
    ///
    /// # Errors
    /// `not_found`: there is no such collection.
    pub async fn client_status_summary(&self, scope: &ClientStatusScope) -> Result<ClientStatusSummary, ClientError> {
        self.get(&format!("/client-status{}", query(scope))).await
    }

    /// `GET /client-status/devices`.
    ///
    /// # Errors
    /// See [`ClientError`].
    pub async fn client_status_list(&self, wanted: &ClientStatusQuery) -> Result<Page<ClientStatus>, ClientError> {
        self.get(&format!("/client-status/devices{}", query(wanted))).await
    }

    /// `GET /client-status/devices/{id}`.
    ///
    /// # Errors
    /// `not_found`: it is no active device.
    pub async fn client_status_show(&self, id: DeviceId) -> Result<ClientStatusDetail, ClientError> {
        self.get(&format!("/client-status/devices/{id}")).await
    }

    /// `GET /client-status/settings`.
    ///
    /// # Errors
    /// See [`ClientError`].
    pub async fn client_status_settings_show(&self) -> Result<ClientStatusSettings, ClientError> {
        self.get("/client-status/settings").await
    }

    /// `POST /client-status/settings`.
    ///
    /// # Errors
    /// `malformed`: a number of days is none between 1 and 366.
    pub async fn client_status_settings_update(
        &self,
        set: &ClientStatusSettings,
    ) -> Result<ClientStatusSettings, ClientError> {
        self.post("/client-status/settings", set).await
    }

    /// `GET /client-status/thresholds`.
    ///
    /// # Errors
    /// See [`ClientError`].
    pub async fn client_status_threshold_list(&self) -> Result<Page<ClientStatusThreshold>, ClientError> {
        self.get("/client-status/thresholds").await
    }

    /// `POST /client-status/thresholds/{id}`.
    ///
    /// # Errors
    /// `not_found`: there is no such collection.
    pub async fn client_status_threshold_set(
        &self,
        id: CollectionId,
        set: &ClientStatusThresholdSet,
    ) -> Result<Page<ClientStatusThreshold>, ClientError> {
        self.post(&format!("/client-status/thresholds/{id}"), set).await
    }
}
