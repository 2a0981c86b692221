//! Maintenance windows.

use super::{Client, ClientError};
use http::Method;
use muster_model::{
    api::{CollectionWindow, DeviceWindow},
    id::{CollectionId, DeviceId, WindowId},
    window::MaintenanceWindow,
};

impl Client {
    /// `GET /collections/{id}/windows`.
    ///
    /// # Errors
    /// `not_found`.
    pub async fn collection_window_list(&self, id: CollectionId) -> Result<Vec<CollectionWindow>, ClientError> {
        self.get(&format!("/collections/{id}/windows")).await
    }

    /// `POST /collections/{id}/windows`.
    ///
    /// # Errors
    /// `not_found`, `malformed`, `conflict`.
    pub async fn collection_window_add(
        &self,
        id: CollectionId,
        window: &MaintenanceWindow,
    ) -> Result<CollectionWindow, ClientError> {
        self.post(&format!("/collections/{id}/windows"), window).await
    }

    /// `PUT /collections/{id}/windows/{window}`.
    ///
    /// # Errors
    /// As [`Client::collection_window_add`]; `changed`.
    pub async fn collection_window_update(
        &self,
        id: CollectionId,
        number: WindowId,
        window: &MaintenanceWindow,
        revision: Option<u64>,
    ) -> Result<CollectionWindow, ClientError> {
        let tag = revision.map(|revision| format!("\"{revision}\""));
        self.send(Method::PUT, &format!("/collections/{id}/windows/{number}"), window, tag.as_deref()).await
    }

    /// `DELETE /collections/{id}/windows/{window}`.
    ///
    /// # Errors
    /// `not_found`.
    pub async fn collection_window_delete(&self, id: CollectionId, number: WindowId) -> Result<(), ClientError> {
        self.delete(&format!("/collections/{id}/windows/{number}")).await.map(drop)
    }

    /// `GET /devices/{id}/windows`.
    ///
    /// # Errors
    /// `not_found`.
    pub async fn device_windows(&self, id: DeviceId) -> Result<Vec<DeviceWindow>, ClientError> {
        self.get(&format!("/devices/{id}/windows")).await
    }
}
