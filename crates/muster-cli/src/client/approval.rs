//! Which requests are approved without an administrator.

use super::{Client, ClientError};
use http::Method;
use muster_model::api::{Approval, ApprovalSet};

impl Client {
    /// `GET /approval`.
    ///
    /// # Errors
    /// See [`ClientError`].
    pub async fn approval_show(&self) -> Result<Approval, ClientError> {
        self.get("/approval").await
    }

    /// `PUT /approval`.
    ///
    /// # Errors
    /// See [`ClientError`].
    pub async fn approval_update(&self, set: &ApprovalSet) -> Result<Approval, ClientError> {
        self.send(Method::PUT, "/approval", set, None).await
    }
}
