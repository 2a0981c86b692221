//! Logs of clients.

use super::{Client, ClientError, body};
use http::Method;
use muster_model::{
    api::{ClientLog, LogCollect, LogCollected},
    id::{DeviceId, LogRequestId},
};

impl Client {
    /// `GET /devices/{id}/logs`.
    ///
    /// # Errors
    /// See [`ClientError`].
    pub async fn client_log_show(&self, id: DeviceId) -> Result<ClientLog, ClientError> {
        self.get(&format!("/devices/{id}/logs")).await
    }

    /// `POST /devices/{id}/logs`.
    ///
    /// # Errors
    /// `forbidden`, `conflict`, `too_large`.
    pub async fn client_log_collect(&self, id: DeviceId, wanted: &LogCollect) -> Result<LogCollected, ClientError> {
        self.post(&format!("/devices/{id}/logs"), wanted).await
    }

    /// `POST /devices/{id}/logs/{piece}/download`: its lines. That they were read is a change: it is in the audit log.
    ///
    /// # Errors
    /// `forbidden`, `not_found`.
    pub async fn client_log_download(&self, id: DeviceId, piece: LogRequestId) -> Result<Vec<u8>, ClientError> {
        let builder = self.request(Method::POST, &format!("/devices/{id}/logs/{piece}/download"));
        let answer = self.call(self.build(builder, body::empty())?).await?;
        Ok(answer.body.into())
    }
}
