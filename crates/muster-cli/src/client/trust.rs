//! The trust bundle in force.

use super::{Client, ClientError};
use muster_model::api::TrustView;

impl Client {
    /// `GET /trust`.
    ///
    /// # Errors
    /// See [`ClientError`].
    pub async fn trust_show(&self) -> Result<TrustView, ClientError> {
        self.get("/trust").await
    }
}
