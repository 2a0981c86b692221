//! Status messages, and what was not taken of what devices sent.

use super::{Client, ClientError, query};
use muster_model::api::{Message, MessageEntry, MessageQuery, Page, PageQuery, QuarantineItem};

impl Client {
    /// `GET /messages`.
    ///
    /// # Errors
    /// See [`ClientError`].
    pub async fn message_list(&self, wanted: &MessageQuery) -> Result<Page<Message>, ClientError> {
        self.get(&format!("/messages{}", query(wanted))).await
    }

    /// `GET /messages/{key}`.
    ///
    /// # Errors
    /// `not_found`.
    pub async fn message_show(&self, key: u64) -> Result<Message, ClientError> {
        self.get(&format!("/messages/{key}")).await
    }

    /// `GET /message-catalogue`.
    ///
    /// # Errors
    /// See [`ClientError`].
    pub async fn message_catalogue(&self) -> Result<Page<MessageEntry>, ClientError> {
        self.get("/message-catalogue").await
    }

    /// `GET /quarantine`.
    ///
    /// # Errors
    /// See [`ClientError`].
    pub async fn quarantine_list(&self, page: &PageQuery) -> Result<Page<QuarantineItem>, ClientError> {
        self.get(&format!("/quarantine{}", query(page))).await
    }
}
