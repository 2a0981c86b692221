//! Software updates.

use super::{Client, ClientError, query};
use muster_model::api::{Page, SoftwareUpdate, UpdateQuery};

impl Client {
    /// `GET /updates`.
    ///
    /// # Errors
    /// See [`ClientError`].
    pub async fn update_list(&self, wanted: &UpdateQuery) -> Result<Page<SoftwareUpdate>, ClientError> {
        self.get(&format!("/updates{}", query(wanted))).await
    }
}
