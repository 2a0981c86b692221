//! Alerts.

use super::{Client, ClientError, query};
use muster_model::{
    api::{Alert, AlertDevice, AlertQuery, Page, PageQuery},
    id::AlertId,
};

impl Client {
    /// `GET /alerts`.
    ///
    /// # Errors
    /// See [`ClientError`].
    pub async fn alert_list(&self, wanted: &AlertQuery) -> Result<Page<Alert>, ClientError> {
        self.get(&format!("/alerts{}", query(wanted))).await
    }

    /// `GET /alerts/{id}`.
    ///
    /// # Errors
    /// `not_found`.
    pub async fn alert_show(&self, id: AlertId) -> Result<Alert, ClientError> {
        self.get(&format!("/alerts/{id}")).await
    }

    /// `GET /alerts/{id}/devices`.
    ///
    /// # Errors
    /// `not_found`.
    pub async fn alert_devices(&self, id: AlertId, page: &PageQuery) -> Result<Page<AlertDevice>, ClientError> {
        self.get(&format!("/alerts/{id}/devices{}", query(page))).await
    }

    /// `POST /alerts/{id}/acknowledge`.
    ///
    /// # Errors
    /// `conflict` when somebody has already, or it is over.
    pub async fn alert_acknowledge(&self, id: AlertId) -> Result<Alert, ClientError> {
        self.post(&format!("/alerts/{id}/acknowledge"), &()).await
    }
}
