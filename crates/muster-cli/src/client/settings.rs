//! Client settings.

use super::{Client, ClientError};
use http::Method;
use muster_model::{
    api::{
        DeviceSetting, Page, SettingInfo, SettingsAsk, SettingsMove, SettingsObject, SettingsPreview, SettingsSet,
        SettingsVersion,
    },
    id::{DeviceId, SettingsId},
};

impl Client {
    /// `GET /settings`.
    ///
    /// # Errors
    /// See [`ClientError`].
    pub async fn settings_list(&self) -> Result<Vec<SettingsObject>, ClientError> {
        self.get("/settings").await
    }

    /// `GET /settings/{id}`.
    ///
    /// # Errors
    /// `not_found`.
    pub async fn settings_show(&self, id: SettingsId) -> Result<SettingsObject, ClientError> {
        self.get(&format!("/settings/{id}")).await
    }

    /// `POST /settings`.
    ///
    /// # Errors
    /// `malformed`, `conflict`.
    pub async fn settings_create(&self, set: &SettingsSet) -> Result<SettingsObject, ClientError> {
        self.post("/settings", set).await
    }

    /// `PUT /settings/{id}`.
    ///
    /// # Errors
    /// As [`Client::settings_create`]; `not_found`, `changed`.
    pub async fn settings_update(
        &self,
        id: SettingsId,
        set: &SettingsSet,
        revision: Option<u64>,
    ) -> Result<SettingsObject, ClientError> {
        let tag = revision.map(|revision| format!("\"{revision}\""));
        self.send(Method::PUT, &format!("/settings/{id}"), set, tag.as_deref()).await
    }

    /// `DELETE /settings/{id}`.
    ///
    /// # Errors
    /// `not_found`, `conflict`, `changed`.
    pub async fn settings_delete(&self, id: SettingsId, revision: Option<u64>) -> Result<(), ClientError> {
        self.delete_seen(&format!("/settings/{id}"), revision).await
    }

    /// `POST /settings/{id}/move`.
    ///
    /// # Errors
    /// `not_found`, `malformed`, `conflict`, `changed`.
    pub async fn settings_move(
        &self,
        id: SettingsId,
        priority: u32,
        revision: Option<u64>,
    ) -> Result<SettingsObject, ClientError> {
        let tag = revision.map(|revision| format!("\"{revision}\""));
        self.send(Method::POST, &format!("/settings/{id}/move"), &SettingsMove { priority }, tag.as_deref()).await
    }

    /// `GET /settings/{id}/versions`: the newest ones.
    ///
    /// # Errors
    /// `not_found`.
    pub async fn settings_versions(&self, id: SettingsId, limit: u32) -> Result<Page<SettingsVersion>, ClientError> {
        self.get(&format!("/settings/{id}/versions?limit={limit}")).await
    }

    /// `GET /settings-catalogue`.
    ///
    /// # Errors
    /// See [`ClientError`].
    pub async fn settings_catalogue(&self) -> Result<Vec<SettingInfo>, ClientError> {
        self.get("/settings-catalogue").await
    }

    /// `POST /settings-preview`.
    ///
    /// # Errors
    /// What saving it would be refused for.
    pub async fn settings_preview(&self, ask: &SettingsAsk) -> Result<SettingsPreview, ClientError> {
        self.post("/settings-preview", ask).await
    }

    /// `GET /devices/{id}/settings`.
    ///
    /// # Errors
    /// `not_found`.
    pub async fn device_settings(&self, id: DeviceId) -> Result<Vec<DeviceSetting>, ClientError> {
        self.get(&format!("/devices/{id}/settings")).await
    }
}
