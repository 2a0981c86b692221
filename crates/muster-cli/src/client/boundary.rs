//! Boundaries and boundary groups.

use super::{Client, ClientError, query};
use http::Method;
use muster_model::{
    api::{Boundary, BoundaryGroup, BoundaryGroupSet, BoundarySet, Page, PageQuery},
    id::{BoundaryGroupId, BoundaryId},
};

impl Client {
    /// `GET /boundaries`.
    ///
    /// # Errors
    /// See [`ClientError`].
    pub async fn boundary_list(&self, page: &PageQuery) -> Result<Page<Boundary>, ClientError> {
        self.get(&format!("/boundaries{}", query(page))).await
    }

    /// `POST /boundaries`.
    ///
    /// # Errors
    /// `malformed` when the value is not of its kind.
    pub async fn boundary_add(&self, request: &BoundarySet) -> Result<Boundary, ClientError> {
        self.post("/boundaries", request).await
    }

    /// `PUT /boundaries/{id}`.
    ///
    /// # Errors
    /// As [`Client::boundary_add`]; `not_found`.
    pub async fn boundary_change(&self, id: BoundaryId, request: &BoundarySet) -> Result<Boundary, ClientError> {
        self.send(Method::PUT, &format!("/boundaries/{id}"), request, None).await
    }

    /// `DELETE /boundaries/{id}`.
    ///
    /// # Errors
    /// `not_found`.
    pub async fn boundary_remove(&self, id: BoundaryId) -> Result<Boundary, ClientError> {
        let answer = self.delete(&format!("/boundaries/{id}")).await?;
        self.parse(&answer)
    }

    /// `GET /boundary-groups`.
    ///
    /// # Errors
    /// See [`ClientError`].
    pub async fn boundary_group_list(&self, page: &PageQuery) -> Result<Page<BoundaryGroup>, ClientError> {
        self.get(&format!("/boundary-groups{}", query(page))).await
    }

    /// `POST /boundary-groups`.
    ///
    /// # Errors
    /// `malformed` when a boundary or an address in it is none.
    pub async fn boundary_group_add(&self, request: &BoundaryGroupSet) -> Result<BoundaryGroup, ClientError> {
        self.post("/boundary-groups", request).await
    }

    /// `PUT /boundary-groups/{id}`.
    ///
    /// # Errors
    /// As [`Client::boundary_group_add`]; `not_found`.
    pub async fn boundary_group_change(
        &self,
        id: BoundaryGroupId,
        request: &BoundaryGroupSet,
    ) -> Result<BoundaryGroup, ClientError> {
        self.send(Method::PUT, &format!("/boundary-groups/{id}"), request, None).await
    }

    /// `DELETE /boundary-groups/{id}`.
    ///
    /// # Errors
    /// `not_found`.
    pub async fn boundary_group_remove(&self, id: BoundaryGroupId) -> Result<BoundaryGroup, ClientError> {
        let answer = self.delete(&format!("/boundary-groups/{id}")).await?;
        self.parse(&answer)
    }
}
