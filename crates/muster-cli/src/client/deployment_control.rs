//! Deployments that are paused, ended, tried again, or rolled out in phases.

use super::{Client, ClientError, query};
use muster_model::{
    api::{
        Deployment, DeploymentEvent, DeploymentRetried, DeploymentRetry, DeploymentRival, DeploymentStanding, Page,
        PageQuery, PhaseBegin, PhasedDeploymentCreate, Reason,
    },
    id::{DeploymentId, DeviceId},
};

impl Client {
    /// `POST /deployments/phased`.
    ///
    /// # Errors
    /// See [`ClientError`].
    pub async fn deployment_create_phased(&self, request: &PhasedDeploymentCreate) -> Result<Deployment, ClientError> {
        self.post("/deployments/phased", request).await
    }

    /// `GET /deployments/{id}/standing`.
    ///
    /// # Errors
    /// `not_found`.
    pub async fn deployment_standing(&self, id: DeploymentId) -> Result<DeploymentStanding, ClientError> {
        self.get(&format!("/deployments/{id}/standing")).await
    }

    /// `GET /deployments/{id}/rivals`.
    ///
    /// # Errors
    /// `not_found`.
    pub async fn deployment_rivals(&self, id: DeploymentId) -> Result<Vec<DeploymentRival>, ClientError> {
        self.get(&format!("/deployments/{id}/rivals")).await
    }

    /// `POST /deployments/{id}/pause`.
    ///
    /// # Errors
    /// `conflict` when it is paused already, or over.
    pub async fn deployment_pause(&self, id: DeploymentId, reason: &Reason) -> Result<DeploymentStanding, ClientError> {
        self.post(&format!("/deployments/{id}/pause"), reason).await
    }

    /// `POST /deployments/{id}/resume`.
    ///
    /// # Errors
    /// `conflict` when it is not paused, or over.
    pub async fn deployment_resume(&self, id: DeploymentId) -> Result<DeploymentStanding, ClientError> {
        self.post(&format!("/deployments/{id}/resume"), &()).await
    }

    /// `POST /deployments/{id}/cancel`.
    ///
    /// # Errors
    /// `conflict` when it is over.
    pub async fn deployment_cancel(
        &self,
        id: DeploymentId,
        reason: &Reason,
    ) -> Result<DeploymentStanding, ClientError> {
        self.post(&format!("/deployments/{id}/cancel"), reason).await
    }

    /// `POST /deployments/{id}/retry`.
    ///
    /// # Errors
    /// `conflict` when it is over.
    pub async fn deployment_retry(
        &self,
        id: DeploymentId,
        request: &DeploymentRetry,
    ) -> Result<DeploymentRetried, ClientError> {
        self.post(&format!("/deployments/{id}/retry"), request).await
    }

    /// `POST /deployments/{id}/phase`.
    ///
    /// # Errors
    /// `conflict` when another phase is the next.
    pub async fn deployment_phase_begin(
        &self,
        id: DeploymentId,
        phase: u32,
    ) -> Result<DeploymentStanding, ClientError> {
        self.post(&format!("/deployments/{id}/phase"), &PhaseBegin { phase }).await
    }

    /// `GET /deployments/{id}/devices/{device}/history`.
    ///
    /// # Errors
    /// `not_found`.
    pub async fn deployment_history(
        &self,
        id: DeploymentId,
        device: DeviceId,
        page: &PageQuery,
    ) -> Result<Page<DeploymentEvent>, ClientError> {
        self.get(&format!("/deployments/{id}/devices/{device}/history{}", query(page))).await
    }
}
