//! Applications: the site takes what an author signed, as it is.

use super::{Client, ClientError, body, query};
use http::{Method, header};
use muster_model::{
    api::{ApplicationInfo, Page, PageQuery},
    id::Hash,
};

impl Client {
    /// `GET /applications`.
    ///
    /// # Errors
    /// See [`ClientError`].
    pub async fn application_list(&self, page: &PageQuery) -> Result<Page<ApplicationInfo>, ClientError> {
        self.get(&format!("/applications{}", query(page))).await
    }

    /// `POST /applications`: adds a signed object whose content is there already.
    ///
    /// # Errors
    /// `author_unknown`, `content_missing`, `malformed`.
    pub async fn application_create(&self, signed: Vec<u8>) -> Result<ApplicationInfo, ClientError> {
        let builder = self.request(Method::POST, "/applications").header(header::CONTENT_TYPE, "application/cose");
        let answer = self.call(self.build(builder, body::full(signed))?).await?;
        self.parse(&answer.body)
    }

    /// `GET /applications/{hash}/object`: what its authors signed, byte for byte.
    ///
    /// # Errors
    /// `not_found`.
    pub async fn application_object(&self, hash: &Hash) -> Result<Vec<u8>, ClientError> {
        let builder = self.request(Method::GET, &format!("/applications/{hash}/object"));
        let answer = self.call(self.build(builder, body::empty())?).await?;
        Ok(answer.body.into())
    }

    /// `GET /applications/{hash}`.
    ///
    /// # Errors
    /// See [`ClientError`].
    pub async fn application_show(&self, hash: &Hash) -> Result<ApplicationInfo, ClientError> {
        self.get(&format!("/applications/{hash}")).await
    }
}
