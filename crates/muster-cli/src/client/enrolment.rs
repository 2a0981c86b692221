//! Requests of devices to be enrolled.

use super::{Client, ClientError, query};
use muster_model::{
    api::{Device, Enrolment, EnrolmentState, Page, PageQuery, Reason},
    id::EnrolmentId,
};
use serde::Serialize;

#[derive(Serialize)]
struct Wanted {
    state: Option<EnrolmentState>,
    offset: u64,
    limit: u32,
}

impl Client {
    /// `GET /enrolments`.
    ///
    /// # Errors
    /// See [`ClientError`].
    pub async fn enrolment_list(
        &self,
        state: Option<EnrolmentState>,
        page: &PageQuery,
    ) -> Result<Page<Enrolment>, ClientError> {
        let wanted = Wanted { state, offset: page.offset, limit: page.limit };
        self.get(&format!("/enrolments{}", query(&wanted))).await
    }

    /// `POST /enrolments/{id}/approve`: the request becomes a device.
    ///
    /// # Errors
    /// `conflict` when somebody decided before.
    pub async fn enrolment_approve(&self, id: EnrolmentId) -> Result<Device, ClientError> {
        self.post(&format!("/enrolments/{id}/approve"), &serde_json::json!({})).await
    }

    /// `POST /enrolments/{id}/refuse`.
    ///
    /// # Errors
    /// `conflict` when somebody decided before.
    pub async fn enrolment_refuse(&self, id: EnrolmentId, reason: &Reason) -> Result<Enrolment, ClientError> {
        self.post(&format!("/enrolments/{id}/refuse"), reason).await
    }
}
