//! Queries in WQL.

use super::{Client, ClientError};
use muster_model::api::{QueryCheck, QueryChecked, QueryResult, QueryRun};

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
}
