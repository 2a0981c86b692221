//! Deployments.

use super::{Client, ClientError, Tagged, query};
use http::Method;
use muster_model::{
    api::{
        Deployment, DeploymentApprove, DeploymentCreate, DeploymentOrder, DeploymentPreview, DeviceDeployment,
        Forecast, Page, PageQuery,
    },
    id::DeploymentId,
    status::DeploymentState,
};
use serde::Serialize;

#[derive(Serialize)]
struct Wanted {
    state: Option<DeploymentState>,
    offset: u64,
    limit: u32,
}

impl Client {
    /// `GET /deployments`.
    ///
    /// # Errors
    /// See [`ClientError`].
    pub async fn deployment_list(&self, page: &PageQuery) -> Result<Page<Deployment>, ClientError> {
        self.get(&format!("/deployments{}", query(page))).await
    }

    /// `POST /deployments/preview`: what [`Client::deployment_create`] would do.
    ///
    /// # Errors
    /// See [`ClientError`].
    pub async fn deployment_preview(&self, request: &DeploymentCreate) -> Result<DeploymentPreview, ClientError> {
        self.post("/deployments/preview", request).await
    }

    /// `POST /deployments`.
    ///
    /// # Errors
    /// `content_missing` when a file of the application is not there yet.
    pub async fn deployment_create(&self, request: &DeploymentCreate) -> Result<Deployment, ClientError> {
        self.post("/deployments", request).await
    }

    /// `GET /deployments/{id}`.
    ///
    /// # Errors
    /// See [`ClientError`].
    pub async fn deployment_show(&self, id: DeploymentId) -> Result<Tagged<Deployment>, ClientError> {
        self.get_tagged(&format!("/deployments/{id}")).await
    }

    /// `DELETE /deployments/{id}`: clients no longer get it; what is installed stays.
    ///
    /// # Errors
    /// See [`ClientError`].
    pub async fn deployment_delete(&self, id: DeploymentId) -> Result<Deployment, ClientError> {
        let answer = self.delete(&format!("/deployments/{id}")).await?;
        self.parse(&answer)
    }

    /// `GET /deployments/{id}/devices`.
    ///
    /// # Errors
    /// See [`ClientError`].
    pub async fn deployment_devices(
        &self,
        id: DeploymentId,
        state: Option<DeploymentState>,
        page: &PageQuery,
    ) -> Result<Page<DeviceDeployment>, ClientError> {
        let wanted = Wanted { state, offset: page.offset, limit: page.limit };
        self.get(&format!("/deployments/{id}/devices{}", query(&wanted))).await
    }

    /// `GET /deployments/{id}/approval`: what is to be approved, and who did.
    ///
    /// # Errors
    /// `not_found`.
    pub async fn deployment_order(&self, id: DeploymentId) -> Result<DeploymentOrder, ClientError> {
        self.get(&format!("/deployments/{id}/approval")).await
    }

    /// `PUT /deployments/{id}/approval`.
    ///
    /// # Errors
    /// `conflict` when it is not for the deployment as it is, or by one of its authors.
    pub async fn deployment_approve(
        &self,
        id: DeploymentId,
        approve: &DeploymentApprove,
    ) -> Result<DeploymentOrder, ClientError> {
        self.send(Method::PUT, &format!("/deployments/{id}/approval"), approve, None).await
    }

    /// `DELETE /deployments/{id}/approval`.
    ///
    /// # Errors
    /// `conflict` when there is none.
    pub async fn deployment_approval_withdraw(&self, id: DeploymentId) -> Result<(), ClientError> {
        self.delete(&format!("/deployments/{id}/approval")).await.map(drop)
    }

    /// `GET /deployments/{id}/forecast`.
    ///
    /// # Errors
    /// `not_found`.
    pub async fn deployment_forecast(&self, id: DeploymentId) -> Result<Forecast, ClientError> {
        self.get(&format!("/deployments/{id}/forecast")).await
    }
}
