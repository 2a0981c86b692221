//! Maintenance tasks.

use super::{Client, ClientError, query};
use http::Method;
use muster_model::api::{
    MaintenancePreview, MaintenanceRun, MaintenanceSettings, MaintenanceTask, MaintenanceWanted, Page, PageQuery,
    TaskName,
};

impl Client {
    /// `GET /maintenance`.
    ///
    /// # Errors
    /// See [`ClientError`].
    pub async fn maintenance_list(&self) -> Result<Page<MaintenanceTask>, ClientError> {
        self.get("/maintenance").await
    }

    /// `GET /maintenance/{task}`.
    ///
    /// # Errors
    /// See [`ClientError`].
    pub async fn maintenance_show(&self, task: TaskName) -> Result<MaintenanceTask, ClientError> {
        self.get(&format!("/maintenance/{task}")).await
    }

    /// `PUT /maintenance/{task}`.
    ///
    /// # Errors
    /// `malformed` when it is out of its bounds.
    pub async fn maintenance_set(
        &self,
        task: TaskName,
        wanted: &MaintenanceSettings,
    ) -> Result<MaintenanceTask, ClientError> {
        self.send(Method::PUT, &format!("/maintenance/{task}"), wanted, None).await
    }

    /// `GET /maintenance/{task}/preview`.
    ///
    /// # Errors
    /// `malformed` when the days are out of their bounds.
    pub async fn maintenance_preview(
        &self,
        task: TaskName,
        keep_days: Option<u32>,
    ) -> Result<MaintenancePreview, ClientError> {
        self.get(&format!("/maintenance/{task}/preview{}", query(&MaintenanceWanted { keep_days }))).await
    }

    /// `POST /maintenance/{task}/run`.
    ///
    /// # Errors
    /// `conflict` when it goes on all the time.
    pub async fn maintenance_run(&self, task: TaskName) -> Result<MaintenanceTask, ClientError> {
        self.post(&format!("/maintenance/{task}/run"), &()).await
    }

    /// `GET /maintenance/{task}/history`.
    ///
    /// # Errors
    /// See [`ClientError`].
    pub async fn maintenance_history(
        &self,
        task: TaskName,
        page: &PageQuery,
    ) -> Result<Page<MaintenanceRun>, ClientError> {
        self.get(&format!("/maintenance/{task}/history{}", query(page))).await
    }
}
