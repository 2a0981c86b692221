//! Hardware identities.

use super::{Client, ClientError, query};
use http::Method;
use muster_model::{
    api::{Hardware, HardwareSet, Page, PageQuery, Reason},
    id::Hash,
};

impl Client {
    /// `GET /hardware`.
    ///
    /// # Errors
    /// See [`ClientError`].
    pub async fn hardware_list(&self, page: &PageQuery) -> Result<Page<Hardware>, ClientError> {
        self.get(&format!("/hardware{}", query(page))).await
    }

    /// `PUT /hardware/{id}`.
    ///
    /// # Errors
    /// See [`ClientError`].
    pub async fn hardware_set(&self, id: Hash, request: &HardwareSet) -> Result<Hardware, ClientError> {
        self.send(Method::PUT, &format!("/hardware/{id}"), request, None).await
    }

    /// `POST /hardware/{id}/remove`.
    ///
    /// # Errors
    /// `not_found` when nothing was decided about it.
    pub async fn hardware_remove(&self, id: Hash, reason: &Reason) -> Result<Hardware, ClientError> {
        self.post(&format!("/hardware/{id}/remove"), reason).await
    }
}
