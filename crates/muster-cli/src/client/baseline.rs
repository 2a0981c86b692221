//! Configuration baselines: the site takes what an author signed, as it is.

use super::{Client, ClientError, body, query};
use http::{Method, header};
use muster_model::{
    api::{
        BaselineDeploy, BaselineDeployment, BaselineInfo, BaselinePreview, ComplianceQuery, DeviceCompliance, Page,
        PageQuery, ResultQuery, SettingCompliance, SettingTotals,
    },
    id::{DeploymentId, DeviceId, Hash},
};

impl Client {
    /// `GET /baselines`.
    ///
    /// # Errors
    /// See [`ClientError`].
    pub async fn baseline_list(&self, page: &PageQuery) -> Result<Page<BaselineInfo>, ClientError> {
        self.get(&format!("/baselines{}", query(page))).await
    }

    /// `POST /baselines`: adds a signed object.
    ///
    /// # Errors
    /// `author_unknown`, `malformed`.
    pub async fn baseline_create(&self, signed: Vec<u8>) -> Result<BaselineInfo, ClientError> {
        let builder = self.request(Method::POST, "/baselines").header(header::CONTENT_TYPE, "application/cose");
        let answer = self.call(self.build(builder, body::full(signed))?).await?;
        self.parse(&answer.body)
    }

    /// `GET /baselines/{hash}`.
    ///
    /// # Errors
    /// See [`ClientError`].
    pub async fn baseline_show(&self, hash: &Hash) -> Result<BaselineInfo, ClientError> {
        self.get(&format!("/baselines/{hash}")).await
    }

    /// `GET /baselines/{hash}/object`: what its authors signed, byte for byte.
    ///
    /// # Errors
    /// `not_found`.
    pub async fn baseline_object(&self, hash: &Hash) -> Result<Vec<u8>, ClientError> {
        let builder = self.request(Method::GET, &format!("/baselines/{hash}/object"));
        let answer = self.call(self.build(builder, body::empty())?).await?;
        Ok(answer.body.into())
    }

    /// `GET /baseline-deployments`.
    ///
    /// # Errors
    /// See [`ClientError`].
    pub async fn baseline_deployment_list(&self, page: &PageQuery) -> Result<Page<BaselineDeployment>, ClientError> {
        self.get(&format!("/baseline-deployments{}", query(page))).await
    }

    /// `DELETE /baselines/{hash}`.
    ///
    /// # Errors
    /// `not_found`; `conflict`: a deployment of it is in force.
    pub async fn baseline_delete(&self, hash: Hash) -> Result<(), ClientError> {
        self.delete(&format!("/baselines/{hash}")).await.map(drop)
    }

    /// `POST /baseline-deployments/preview`: what [`Client::baseline_deploy`] would do.
    ///
    /// # Errors
    /// See [`ClientError`].
    pub async fn baseline_preview(&self, request: &BaselineDeploy) -> Result<BaselinePreview, ClientError> {
        self.post("/baseline-deployments/preview", request).await
    }

    /// `POST /baseline-deployments`.
    ///
    /// # Errors
    /// See [`ClientError`].
    pub async fn baseline_deploy(&self, request: &BaselineDeploy) -> Result<BaselineDeployment, ClientError> {
        self.post("/baseline-deployments", request).await
    }

    /// `GET /baseline-deployments/{id}`.
    ///
    /// # Errors
    /// See [`ClientError`].
    pub async fn baseline_deployment_show(&self, id: DeploymentId) -> Result<BaselineDeployment, ClientError> {
        self.get(&format!("/baseline-deployments/{id}")).await
    }

    /// `DELETE /baseline-deployments/{id}`: clients no longer evaluate it.
    ///
    /// # Errors
    /// See [`ClientError`].
    pub async fn baseline_deployment_delete(&self, id: DeploymentId) -> Result<(), ClientError> {
        self.delete(&format!("/baseline-deployments/{id}")).await.map(drop)
    }

    /// `GET /baseline-deployments/{id}/settings`.
    ///
    /// # Errors
    /// See [`ClientError`].
    pub async fn compliance_settings(&self, id: DeploymentId) -> Result<Vec<SettingTotals>, ClientError> {
        self.get(&format!("/baseline-deployments/{id}/settings")).await
    }

    /// `GET /baseline-deployments/{id}/devices`.
    ///
    /// # Errors
    /// See [`ClientError`].
    pub async fn compliance_devices(
        &self,
        id: DeploymentId,
        wanted: &ComplianceQuery,
    ) -> Result<Page<DeviceCompliance>, ClientError> {
        self.get(&format!("/baseline-deployments/{id}/devices{}", query(wanted))).await
    }

    /// `GET /baseline-deployments/{id}/results`.
    ///
    /// # Errors
    /// See [`ClientError`].
    pub async fn compliance_results(
        &self,
        id: DeploymentId,
        wanted: &ResultQuery,
    ) -> Result<Page<SettingCompliance>, ClientError> {
        self.get(&format!("/baseline-deployments/{id}/results{}", query(wanted))).await
    }

    /// `GET /devices/{id}/compliance`.
    ///
    /// # Errors
    /// See [`ClientError`].
    pub async fn device_compliance(&self, id: DeviceId) -> Result<Vec<DeviceCompliance>, ClientError> {
        self.get(&format!("/devices/{id}/compliance")).await
    }
}
