//! Client settings.

use super::{Client, ClientError};
use http::Method;
use muster_model::policy::ClientSettings;

impl Client {
    /// `GET /settings`.
    ///
    /// # Errors
    /// See [`ClientError`].
    pub async fn settings_show(&self) -> Result<ClientSettings, ClientError> {
        self.get("/settings").await
    }

    /// `PUT /settings`.
    ///
    /// # Errors
    /// See [`ClientError`].
    pub async fn settings_update(&self, settings: &ClientSettings) -> Result<ClientSettings, ClientError> {
        self.send(Method::PUT, "/settings", settings, None).await
    }
}
