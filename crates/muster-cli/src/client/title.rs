//! Software titles.

use super::{Client, ClientError, query};
use muster_model::api::{Page, SoftwareTitle, TitleDetail, TitleQuery, TitleRules, TitleTest, TitleTested};

impl Client {
    /// `GET /titles`.
    ///
    /// # Errors
    /// See [`ClientError`].
    pub async fn title_list(&self, wanted: &TitleQuery) -> Result<Page<SoftwareTitle>, ClientError> {
        self.get(&format!("/titles{}", query(wanted))).await
    }

    /// `GET /titles/{id}`.
    ///
    /// # Errors
    /// `not_found`.
    pub async fn title_show(&self, id: u64) -> Result<TitleDetail, ClientError> {
        self.get(&format!("/titles/{id}")).await
    }

    /// `GET /title-rules`.
    ///
    /// # Errors
    /// See [`ClientError`].
    pub async fn title_rules_show(&self) -> Result<TitleRules, ClientError> {
        self.get("/title-rules").await
    }

    /// `POST /title-rules`.
    ///
    /// # Errors
    /// `malformed` when they cannot be rules.
    pub async fn title_rules_update(&self, rules: &TitleRules) -> Result<TitleRules, ClientError> {
        self.post("/title-rules", rules).await
    }

    /// `GET /title-rules/test`.
    ///
    /// # Errors
    /// See [`ClientError`].
    pub async fn title_test(&self, test: &TitleTest) -> Result<TitleTested, ClientError> {
        self.get(&format!("/title-rules/test{}", query(test))).await
    }
}
