//! Serial numbers that the site expects.

use super::{Client, ClientError, query};
use muster_model::api::{Page, PageQuery, Reason, Serial, SerialImport, SerialImported};

impl Client {
    /// `GET /serials`.
    ///
    /// # Errors
    /// See [`ClientError`].
    pub async fn serial_list(&self, page: &PageQuery) -> Result<Page<Serial>, ClientError> {
        self.get(&format!("/serials{}", query(page))).await
    }

    /// `POST /serials`.
    ///
    /// # Errors
    /// See [`ClientError`].
    pub async fn serial_import(&self, import: &SerialImport) -> Result<SerialImported, ClientError> {
        self.post("/serials", import).await
    }

    /// `POST /serials/{serial}/remove`.
    ///
    /// # Errors
    /// `not_found` when it is not expected.
    pub async fn serial_remove(&self, serial: &str, reason: &Reason) -> Result<Serial, ClientError> {
        let part: String = serial
            .bytes()
            .map(|b| match b {
                b if b.is_ascii_alphanumeric() || b"-._~".contains(&b) => char::from(b).to_string(),
                b => format!("%{b:02X}"),
            })
            .collect();
        self.post(&format!("/serials/{part}/remove"), reason).await
    }
}
