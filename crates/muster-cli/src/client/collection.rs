//! Collections.

use super::{Client, ClientError, body, query};
use http::{Method, header};
use muster_model::{
    api::{
        Collection, CollectionCreate, CollectionDetail, CollectionExplained, CollectionExport, CollectionExported,
        CollectionImported, CollectionIndex, CollectionMember, CollectionPreview, CollectionQuery, CollectionRule,
        CollectionSet, DeviceCollection, Page, PageQuery, RuleSpec, Subject,
    },
    id::{CollectionId, DeviceId},
};

impl Client {
    /// `GET /collections`.
    ///
    /// # Errors
    /// See [`ClientError`].
    pub async fn collection_list(&self, wanted: &CollectionQuery) -> Result<Page<Collection>, ClientError> {
        self.get(&format!("/collections{}", query(wanted))).await
    }

    /// `POST /collections`.
    ///
    /// # Errors
    /// `malformed`, `conflict`.
    pub async fn collection_create(&self, request: &CollectionCreate) -> Result<CollectionDetail, ClientError> {
        self.post("/collections", request).await
    }

    /// `POST /collections/preview`.
    ///
    /// # Errors
    /// As [`Client::collection_create`].
    pub async fn collection_preview(&self, request: &CollectionCreate) -> Result<CollectionPreview, ClientError> {
        self.post("/collections/preview", request).await
    }

    /// `POST /collections/import`: takes the collections of a MOF file; with `what_if` only says what would be taken.
    ///
    /// # Errors
    /// `malformed`, with the place: it is no MOF; `too_large`, `conflict`.
    pub async fn collection_import(&self, file: Vec<u8>, what_if: bool) -> Result<CollectionImported, ClientError> {
        let path = format!("/collections/import?what_if={what_if}");
        let builder = self.request(Method::POST, &path).header(header::CONTENT_TYPE, "application/octet-stream");
        let answer = self.call(self.build(builder, body::full(file))?).await?;
        self.parse(&answer.body)
    }

    /// `GET /collections/index`.
    ///
    /// # Errors
    /// See [`ClientError`].
    pub async fn collection_index(&self) -> Result<CollectionIndex, ClientError> {
        self.get("/collections/index").await
    }

    /// `GET /collections/export`.
    ///
    /// # Errors
    /// `not_found`.
    pub async fn collection_export(&self, wanted: &CollectionExport) -> Result<CollectionExported, ClientError> {
        self.get(&format!("/collections/export{}", query(wanted))).await
    }

    /// `GET /collections/{id}`.
    ///
    /// # Errors
    /// `not_found`.
    pub async fn collection_show(&self, id: CollectionId) -> Result<CollectionDetail, ClientError> {
        self.get(&format!("/collections/{id}")).await
    }

    /// `PUT /collections/{id}`.
    ///
    /// # Errors
    /// As [`Client::collection_create`]; `not_found`; `changed`.
    pub async fn collection_change(
        &self,
        id: CollectionId,
        request: &CollectionSet,
        revision: Option<u64>,
    ) -> Result<CollectionDetail, ClientError> {
        let tag = revision.map(|revision| format!("\"{revision}\""));
        self.send(Method::PUT, &format!("/collections/{id}"), request, tag.as_deref()).await
    }

    /// `DELETE /collections/{id}`.
    ///
    /// # Errors
    /// `not_found`, `changed`; `conflict`: something depends on it.
    pub async fn collection_delete(&self, id: CollectionId, revision: Option<u64>) -> Result<(), ClientError> {
        self.delete_seen(&format!("/collections/{id}"), revision).await
    }

    /// `GET /collections/{id}/members`.
    ///
    /// # Errors
    /// `not_found`.
    pub async fn collection_members(
        &self,
        id: CollectionId,
        page: &PageQuery,
    ) -> Result<Page<CollectionMember>, ClientError> {
        self.get(&format!("/collections/{id}/members{}", query(page))).await
    }

    /// `GET /collections/{id}/explain/{device}`.
    ///
    /// # Errors
    /// `not_found`.
    pub async fn collection_explain(
        &self,
        id: CollectionId,
        subject: Subject,
    ) -> Result<CollectionExplained, ClientError> {
        self.get(&format!("/collections/{id}/explain/{subject}")).await
    }

    /// `POST /collections/{id}/evaluate`.
    ///
    /// # Errors
    /// `not_found`.
    pub async fn collection_evaluate(&self, id: CollectionId) -> Result<Collection, ClientError> {
        self.post(&format!("/collections/{id}/evaluate"), &()).await
    }

    /// `POST /collections/{id}/rules`.
    ///
    /// # Errors
    /// `not_found`, `malformed`, `conflict`.
    pub async fn collection_rule_add(&self, id: CollectionId, rule: &RuleSpec) -> Result<CollectionRule, ClientError> {
        self.post(&format!("/collections/{id}/rules"), rule).await
    }

    /// `DELETE /collections/{id}/rules/{rule}`.
    ///
    /// # Errors
    /// `not_found`.
    pub async fn collection_rule_remove(&self, id: CollectionId, rule: u64) -> Result<(), ClientError> {
        self.delete(&format!("/collections/{id}/rules/{rule}")).await.map(drop)
    }

    /// `GET /devices/{id}/collections`.
    ///
    /// # Errors
    /// `not_found`.
    pub async fn device_collections(&self, id: DeviceId) -> Result<Vec<DeviceCollection>, ClientError> {
        self.get(&format!("/devices/{id}/collections")).await
    }
}
