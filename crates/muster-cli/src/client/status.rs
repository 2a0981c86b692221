//! Status filter rules, what they send, and how parts of the agents do.

use super::{Client, ClientError, query};
use http::Method;
use muster_model::{
    api::{
        Page, PageQuery, StatusAction, StatusActionQuery, StatusHour, StatusRule, StatusRuleChange, StatusRuleInfo,
        StatusTarget, StatusThreshold,
    },
    id::{StatusActionId, StatusRuleId},
};

impl Client {
    /// `GET /status/rules`.
    ///
    /// # Errors
    /// See [`ClientError`].
    pub async fn status_rule_list(&self, page: &PageQuery) -> Result<Page<StatusRuleInfo>, ClientError> {
        self.get(&format!("/status/rules{}", query(page))).await
    }

    /// `POST /status/rules`.
    ///
    /// # Errors
    /// `malformed`, `not_found`, `conflict`.
    pub async fn status_rule_create(&self, rule: &StatusRule) -> Result<StatusRuleInfo, ClientError> {
        self.post("/status/rules", rule).await
    }

    /// `GET /status/rules/{id}`.
    ///
    /// # Errors
    /// `not_found`.
    pub async fn status_rule_show(&self, id: StatusRuleId) -> Result<StatusRuleInfo, ClientError> {
        self.get(&format!("/status/rules/{id}")).await
    }

    /// `PUT /status/rules/{id}`.
    ///
    /// # Errors
    /// `not_found`.
    pub async fn status_rule_change(
        &self,
        id: StatusRuleId,
        change: &StatusRuleChange,
    ) -> Result<StatusRuleInfo, ClientError> {
        self.send(Method::PUT, &format!("/status/rules/{id}"), change, None).await
    }

    /// `DELETE /status/rules/{id}`.
    ///
    /// # Errors
    /// `not_found`.
    pub async fn status_rule_delete(&self, id: StatusRuleId) -> Result<(), ClientError> {
        self.delete(&format!("/status/rules/{id}")).await.map(drop)
    }

    /// `GET /status/targets`.
    ///
    /// # Errors
    /// See [`ClientError`].
    pub async fn target_list(&self) -> Result<Page<StatusTarget>, ClientError> {
        self.get("/status/targets").await
    }

    /// `GET /status/actions`.
    ///
    /// # Errors
    /// See [`ClientError`].
    pub async fn status_action_list(&self, wanted: &StatusActionQuery) -> Result<Page<StatusAction>, ClientError> {
        self.get(&format!("/status/actions{}", query(wanted))).await
    }

    /// `POST /status/actions/{id}/retry`.
    ///
    /// # Errors
    /// `not_found`; `conflict` when it was not given up.
    pub async fn status_action_retry(&self, id: StatusActionId) -> Result<StatusAction, ClientError> {
        self.post(&format!("/status/actions/{id}/retry"), &()).await
    }

    /// `GET /status/hours`.
    ///
    /// # Errors
    /// See [`ClientError`].
    pub async fn status_hours(&self) -> Result<Page<StatusHour>, ClientError> {
        self.get("/status/hours").await
    }

    /// `GET /status/thresholds`.
    ///
    /// # Errors
    /// See [`ClientError`].
    pub async fn status_threshold_list(&self) -> Result<Page<StatusThreshold>, ClientError> {
        self.get("/status/thresholds").await
    }

    /// `PUT /status/thresholds`.
    ///
    /// # Errors
    /// `malformed`.
    pub async fn status_threshold_set(&self, threshold: &StatusThreshold) -> Result<StatusThreshold, ClientError> {
        self.send(Method::PUT, "/status/thresholds", threshold, None).await
    }
}
