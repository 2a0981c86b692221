//! The history of a device's inventory.

use super::{Client, ClientError, encoded, query};
use muster_model::{
    api::{ClassRows, CompareQuery, DeviceComparison, DeviceHistory, HistoryQuery, MomentQuery},
    id::DeviceId,
};

impl Client {
    /// `GET /devices/{id}/history`.
    ///
    /// # Errors
    /// See [`ClientError`].
    pub async fn history_list(&self, id: DeviceId, wanted: &HistoryQuery) -> Result<DeviceHistory, ClientError> {
        self.get(&format!("/devices/{id}/history{}", query(wanted))).await
    }

    /// `GET /devices/{id}/history/{class}`.
    ///
    /// # Errors
    /// `not_found` when it was not there, or is not kept any more.
    pub async fn history_show(
        &self,
        id: DeviceId,
        class: &str,
        wanted: &MomentQuery,
    ) -> Result<ClassRows, ClientError> {
        self.get(&format!("/devices/{id}/history/{}{}", encoded(class), query(wanted))).await
    }

    /// `GET /devices/{id}/compare`.
    ///
    /// # Errors
    /// See [`ClientError`].
    pub async fn history_compare(&self, id: DeviceId, wanted: &CompareQuery) -> Result<DeviceComparison, ClientError> {
        self.get(&format!("/devices/{id}/compare{}", query(wanted))).await
    }
}
