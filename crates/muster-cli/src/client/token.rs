//! Enrolment tokens.

use super::{Client, ClientError, query};
use muster_model::{
    api::{Page, PageQuery, Token, TokenCreate, TokenCreated},
    id::TokenId,
};

impl Client {
    /// `GET /tokens`.
    ///
    /// # Errors
    /// See [`ClientError`].
    pub async fn token_list(&self, page: &PageQuery) -> Result<Page<Token>, ClientError> {
        self.get(&format!("/tokens{}", query(page))).await
    }

    /// `POST /tokens`. The text is in the answer, and never again.
    ///
    /// # Errors
    /// See [`ClientError`].
    pub async fn token_create(&self, request: &TokenCreate) -> Result<TokenCreated, ClientError> {
        self.post("/tokens", request).await
    }

    /// `DELETE /tokens/{id}`.
    ///
    /// # Errors
    /// `conflict` when the token was used.
    pub async fn token_revoke(&self, id: TokenId) -> Result<Token, ClientError> {
        let answer = self.delete(&format!("/tokens/{id}")).await?;
        self.parse(&answer)
    }
}
