//! Alerts.

use super::{Client, ClientError, query};
use muster_model::{
    api::{Alert, AlertDevice, AlertPostpone, AlertQuery, Page, PageQuery, Subscription, SubscriptionInfo},
    id::{AlertId, SubscriptionId},
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

    /// `POST /alerts/{id}/postpone`.
    ///
    /// # Errors
    /// `conflict` when it is over.
    pub async fn alert_postpone(&self, id: AlertId, hours: u32) -> Result<Alert, ClientError> {
        self.post(&format!("/alerts/{id}/postpone"), &AlertPostpone { hours }).await
    }

    /// `POST /alerts/{id}/close`.
    ///
    /// # Errors
    /// `conflict` when it is over, or the site closes it.
    pub async fn alert_close(&self, id: AlertId) -> Result<Alert, ClientError> {
        self.post(&format!("/alerts/{id}/close"), &()).await
    }

    /// `GET /subscriptions`.
    ///
    /// # Errors
    /// See [`ClientError`].
    pub async fn subscription_list(&self, page: &PageQuery) -> Result<Page<SubscriptionInfo>, ClientError> {
        self.get(&format!("/subscriptions{}", query(page))).await
    }

    /// `POST /subscriptions`.
    ///
    /// # Errors
    /// `not_found` when there is no such target, `conflict` when the name is taken.
    pub async fn subscription_create(&self, wanted: &Subscription) -> Result<SubscriptionInfo, ClientError> {
        self.post("/subscriptions", wanted).await
    }

    /// `DELETE /subscriptions/{id}`.
    ///
    /// # Errors
    /// `not_found`.
    pub async fn subscription_delete(&self, id: SubscriptionId) -> Result<(), ClientError> {
        self.delete(&format!("/subscriptions/{id}")).await.map(drop)
    }
}
