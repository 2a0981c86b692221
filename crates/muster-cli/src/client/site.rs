//! The site itself, and its dashboard.

use super::{Client, ClientError};
use muster_model::api::{Dashboard, SiteInfo};

impl Client {
    /// `GET /site`.
    ///
    /// # Errors
    /// See [`ClientError`].
    pub async fn site_show(&self) -> Result<SiteInfo, ClientError> {
        self.get("/site").await
    }

    /// `GET /dashboard`.
    ///
    /// # Errors
    /// See [`ClientError`].
    pub async fn dashboard_show(&self) -> Result<Dashboard, ClientError> {
        self.get("/dashboard").await
    }
}
