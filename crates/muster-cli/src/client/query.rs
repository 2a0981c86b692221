//! Queries, in WQL and SQL, now and kept.

use super::{Client, ClientError, query};
use muster_model::{
    api::{
        Page, PageQuery, QueryCheck, QueryChecked, QueryResult, QueryRun, QuerySave, QuerySql, SavedQuery,
        SavedQueryRun,
    },
    id::SavedQueryId,
};

impl Client {
    /// `POST /queries/run`.
    ///
    /// # Errors
    /// `malformed` with the place; `too_large`, `too_many`.
    pub async fn query_run(&self, request: &QueryRun) -> Result<QueryResult, ClientError> {
        self.post("/queries/run", request).await
    }

    /// `POST /queries/check`.
    ///
    /// # Errors
    /// See [`ClientError`].
    pub async fn query_check(&self, request: &QueryCheck) -> Result<QueryChecked, ClientError> {
        self.post("/queries/check", request).await
    }

    /// `POST /queries/sql`.
    ///
    /// # Errors
    /// `malformed`, `too_large`, `too_many`, `conflict`.
    pub async fn query_sql(&self, request: &QuerySql) -> Result<QueryResult, ClientError> {
        self.post("/queries/sql", request).await
    }

    /// `GET /queries`.
    ///
    /// # Errors
    /// See [`ClientError`].
    pub async fn query_list(&self, page: &PageQuery) -> Result<Page<SavedQuery>, ClientError> {
        self.get(&format!("/queries{}", query(page))).await
    }

    /// `POST /queries`.
    ///
    /// # Errors
    /// `forbidden`; `malformed` with the place.
    pub async fn query_save(&self, request: &QuerySave) -> Result<SavedQuery, ClientError> {
        self.post("/queries", request).await
    }

    /// `DELETE /queries/{id}`.
    ///
    /// # Errors
    /// `forbidden`, `not_found`.
    pub async fn query_delete(&self, id: SavedQueryId) -> Result<SavedQuery, ClientError> {
        let answer = self.delete(&format!("/queries/{id}")).await?;
        self.parse(&answer)
    }

    /// `POST /queries/{id}/run`.
    ///
    /// # Errors
    /// As the query's language has them; `not_found`.
    pub async fn query_run_saved(&self, id: SavedQueryId, request: &SavedQueryRun) -> Result<QueryResult, ClientError> {
        self.post(&format!("/queries/{id}/run"), request).await
    }
}
