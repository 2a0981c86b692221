//! Two machines that look like one device.

use super::{Client, ClientError, query};
use muster_model::{
    api::{Conflict, ConflictDecide, ConflictQuery, Page},
    id::ConflictId,
};

impl Client {
    /// `GET /conflicts`.
    ///
    /// # Errors
    /// See [`ClientError`].
    pub async fn conflict_list(&self, wanted: &ConflictQuery) -> Result<Page<Conflict>, ClientError> {
        self.get(&format!("/conflicts{}", query(wanted))).await
    }

    /// `GET /conflicts/{id}`.
    ///
    /// # Errors
    /// `not_found`.
    pub async fn conflict_show(&self, id: ConflictId) -> Result<Conflict, ClientError> {
        self.get(&format!("/conflicts/{id}")).await
    }

    /// `POST /conflicts/{id}/decide`.
    ///
    /// # Errors
    /// `conflict` when it was decided before.
    pub async fn conflict_decide(&self, id: ConflictId, request: &ConflictDecide) -> Result<Conflict, ClientError> {
        self.post(&format!("/conflicts/{id}/decide"), request).await
    }
}
