//! Status messages, and what was not taken of what devices sent.

use super::{Client, ClientError, query};
use muster_model::api::{Message, MessageQuery, Page, PageQuery, QuarantineItem};

impl Client {
    /// `GET /messages`.
    ///
    /// # Errors
    /// See [`ClientError`].
    pub async fn message_list(&self, wanted: &MessageQuery) -> Result<Page<Message>, ClientError> {
        self.get(&format!("/messages{}", query(wanted))).await
    }

    /// `GET /quarantine`.
    ///
    /// # Errors
    /// See [`ClientError`].
    pub async fn quarantine_list(&self, page: &PageQuery) -> Result<Page<QuarantineItem>, ClientError> {
        self.get(&format!("/quarantine{}", query(page))).await
    }
}
