//! Devices, their inventory and their history.

use super::{Client, ClientError, Tagged, encoded, query};
use http::Method;
use muster_model::{
    api::{
        ClassRows, Device, DeviceDetail, DeviceQuery, DevicesBlock, DevicesBlocked, Page, PageQuery, Reason, Revoke,
        TimelineEntry,
    },
    id::DeviceId,
};

impl Client {
    /// `GET /devices`.
    ///
    /// # Errors
    /// See [`ClientError`].
    pub async fn device_list(&self, wanted: &DeviceQuery) -> Result<Page<Device>, ClientError> {
        self.get(&format!("/devices{}", query(wanted))).await
    }

    /// `GET /devices/{id}`, with the ETag for a change.
    ///
    /// # Errors
    /// See [`ClientError`].
    pub async fn device_show(&self, id: DeviceId) -> Result<Tagged<DeviceDetail>, ClientError> {
        self.get_tagged(&format!("/devices/{id}")).await
    }

    /// `GET /devices/{id}/inventory/{class}`.
    ///
    /// # Errors
    /// See [`ClientError`].
    pub async fn inventory_show(&self, id: DeviceId, class: &str, page: &PageQuery) -> Result<ClassRows, ClientError> {
        self.get(&format!("/devices/{id}/inventory/{}{}", encoded(class), query(page))).await
    }

    /// `GET /devices/{id}/timeline`.
    ///
    /// # Errors
    /// See [`ClientError`].
    pub async fn device_timeline(&self, id: DeviceId, page: &PageQuery) -> Result<Page<TimelineEntry>, ClientError> {
        self.get(&format!("/devices/{id}/timeline{}", query(page))).await
    }

    /// `POST /devices/{id}/block`.
    ///
    /// # Errors
    /// `changed` when the device is not as `etag` says; `conflict` when its state does not allow it.
    pub async fn device_block(&self, id: DeviceId, reason: &Reason, etag: Option<&str>) -> Result<Device, ClientError> {
        self.send(Method::POST, &format!("/devices/{id}/block"), reason, etag).await
    }

    /// `POST /devices/block`: many at once.
    ///
    /// # Errors
    /// `not_found` when one of them is not there; nothing is done then.
    pub async fn device_block_many(&self, request: &DevicesBlock) -> Result<DevicesBlocked, ClientError> {
        self.post("/devices/block", request).await
    }

    /// `POST /devices/{id}/unblock`.
    ///
    /// # Errors
    /// As [`Client::device_block`].
    pub async fn device_unblock(
        &self,
        id: DeviceId,
        reason: &Reason,
        etag: Option<&str>,
    ) -> Result<Device, ClientError> {
        self.send(Method::POST, &format!("/devices/{id}/unblock"), reason, etag).await
    }

    /// `POST /devices/{id}/retire`.
    ///
    /// # Errors
    /// As [`Client::device_block`].
    pub async fn device_retire(
        &self,
        id: DeviceId,
        reason: &Reason,
        etag: Option<&str>,
    ) -> Result<Device, ClientError> {
        self.send(Method::POST, &format!("/devices/{id}/retire"), reason, etag).await
    }

    /// `POST /devices/{id}/revoke`.
    ///
    /// # Errors
    /// `conflict` when there is nothing to revoke.
    pub async fn device_revoke(&self, id: DeviceId, request: &Revoke) -> Result<Device, ClientError> {
        self.post(&format!("/devices/{id}/revoke"), request).await
    }
}
