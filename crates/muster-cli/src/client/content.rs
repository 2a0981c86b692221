//! Content files, by hash.

use super::{Client, ClientError, body};
use http::{Method, StatusCode, header};
use muster_model::{application::ContentFile, problem::Code};
use std::path::Path;
use tokio::fs::File;

impl Client {
    /// `HEAD /content/{hash}`: whether the site has the file already.
    ///
    /// # Errors
    /// See [`ClientError`].
    pub async fn content_show(&self, file: &ContentFile) -> Result<bool, ClientError> {
        let request = self.build(self.request(Method::HEAD, &format!("/content/{}", file.hash)), body::empty())?;
        let answer = self.open(request).await?;
        match answer.status() {
            StatusCode::OK => Ok(true),
            StatusCode::NOT_FOUND => Ok(false),
            // An answer to HEAD has no body, so the problem has to be made from the status.
            status => {
                let code = Code::ALL.iter().copied().find(|code| code.status() == status.as_u16());
                let detail = "the site refuses to say whether it has the content";
                Err(code.map_or_else(
                    || self.protocol(status),
                    |code| ClientError::Refused(Box::new(muster_model::problem::Problem::new(code, detail))),
                ))
            }
        }
    }

    /// `PUT /content/{hash}`: streams the file; `sent` is called with the length of each piece.
    ///
    /// # Errors
    /// `hash_mismatch` when the file is not what `file` says, `too_large`.
    pub async fn content_upload(
        &self,
        file: &ContentFile,
        path: &Path,
        sent: impl FnMut(u64) + Send + 'static,
    ) -> Result<(), ClientError> {
        let bytes = File::open(path).await.map_err(ClientError::File)?;
        let builder = self
            .request(Method::PUT, &format!("/content/{}", file.hash))
            .header(header::CONTENT_TYPE, "application/octet-stream")
            .header(header::CONTENT_LENGTH, file.size);
        self.call_unhurried(self.build(builder, body::file(bytes, sent))?).await.map(drop)
    }
}
