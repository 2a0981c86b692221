//! Software updates.

use super::{Client, ClientError, query};
use muster_model::{
    api::{
        Page, PageQuery, SoftwareUpdate, UpdateGroupPackage, UpdateQuery, UpdateRule, UpdateRuleDetail, UpdateRuleInfo,
        UpdateRuleSigned,
    },
    id::{Hash, UpdateRuleId},
};

impl Client {
    /// `GET /updates`.
    ///
    /// # Errors
    /// See [`ClientError`].
    pub async fn update_list(&self, wanted: &UpdateQuery) -> Result<Page<SoftwareUpdate>, ClientError> {
        self.get(&format!("/updates{}", query(wanted))).await
    }

    /// `GET /updates/groups/{hash}`.
    ///
    /// # Errors
    /// `not_found`; `conflict`: it is no group of updates.
    pub async fn update_group_show(&self, application: &Hash) -> Result<Page<UpdateGroupPackage>, ClientError> {
        self.get(&format!("/updates/groups/{application}")).await
    }

    /// `GET /updates/rules`.
    ///
    /// # Errors
    /// See [`ClientError`].
    pub async fn update_rule_list(&self, page: &PageQuery) -> Result<Page<UpdateRuleInfo>, ClientError> {
        self.get(&format!("/updates/rules{}", query(page))).await
    }

    /// `POST /updates/rules`.
    ///
    /// # Errors
    /// `forbidden`, `malformed`, `conflict`, `not_found`.
    pub async fn update_rule_create(&self, rule: &UpdateRule) -> Result<UpdateRuleDetail, ClientError> {
        self.post("/updates/rules", rule).await
    }

    /// `GET /updates/rules/{id}`.
    ///
    /// # Errors
    /// `not_found`.
    pub async fn update_rule_show(&self, id: UpdateRuleId) -> Result<UpdateRuleDetail, ClientError> {
        self.get(&format!("/updates/rules/{id}")).await
    }

    /// `DELETE /updates/rules/{id}`.
    ///
    /// # Errors
    /// `forbidden`, `not_found`.
    pub async fn update_rule_delete(&self, id: UpdateRuleId) -> Result<UpdateRuleInfo, ClientError> {
        let answer = self.delete(&format!("/updates/rules/{id}")).await?;
        self.parse(&answer)
    }

    /// `POST /updates/rules/{id}/look`.
    ///
    /// # Errors
    /// `forbidden`, `not_found`.
    pub async fn update_rule_look(&self, id: UpdateRuleId) -> Result<UpdateRuleDetail, ClientError> {
        self.post(&format!("/updates/rules/{id}/look"), &serde_json::json!({})).await
    }

    /// `POST /updates/rules/{id}/signed`.
    ///
    /// # Errors
    /// `forbidden`, `not_found`, `conflict`.
    pub async fn update_rule_signed(
        &self,
        id: UpdateRuleId,
        signed: &UpdateRuleSigned,
    ) -> Result<UpdateRuleDetail, ClientError> {
        self.post(&format!("/updates/rules/{id}/signed"), signed).await
    }
}
