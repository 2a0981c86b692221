//! What handlers of the administrators' door take: who asks, parts of the address, the query, JSON, preconditions.

use super::{
    AppState, body,
    respond::{Refusal, parse_etag},
};
use axum::extract::{FromRequest, FromRequestParts, Path, Query, Request};
use http::{header, request::Parts};
use muster_model::problem::Code;
use muster_site::Ctx;
use serde::de::DeserializeOwned;
use std::time::Duration;

/// Who asks; put there by the guard.
#[derive(Debug)]
pub(crate) struct Asking(pub(crate) Ctx);

impl<S: Send + Sync> FromRequestParts<S> for Asking {
    type Rejection = Refusal;
    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Refusal> {
        let fault = || muster_site::SiteError::Fault("a route without its guard".to_owned());
        Ok(Self(parts.extensions.remove::<Ctx>().ok_or_else(fault)?))
    }
}

/// A part of the address. What does not parse names nothing: not found.
#[derive(Debug)]
pub(crate) struct Part<T>(pub(crate) T);

impl<T: DeserializeOwned + Send, S: Send + Sync> FromRequestParts<S> for Part<T> {
    type Rejection = Refusal;
    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Refusal> {
        let Path(value) = Path::<T>::from_request_parts(parts, state).await.map_err(|_| Refusal::not_found())?;
        Ok(Self(value))
    }
}

/// The query.
#[derive(Debug)]
pub(crate) struct Asked<T>(pub(crate) T);

impl<T: DeserializeOwned + Send, S: Send + Sync> FromRequestParts<S> for Asked<T> {
    type Rejection = Refusal;
    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Refusal> {
        let query = Query::<T>::from_request_parts(parts, state).await;
        let Query(value) =
            query.map_err(|error| Refusal::malformed(format!("The query is not right: {}", error.body_text())))?;
        Ok(Self(value))
    }
}

/// A JSON body within the API's limit.
#[derive(Debug)]
pub(crate) struct Json<T>(pub(crate) T);

impl<T: DeserializeOwned> FromRequest<AppState> for Json<T> {
    type Rejection = Refusal;
    async fn from_request(request: Request, app: &AppState) -> Result<Self, Refusal> {
        let (parts, stream) = request.into_parts();
        body::expect_type(&parts.headers, "application/json")?;
        let patience = Duration::from_secs(app.http.body_seconds);
        let bytes = body::read(&parts.headers, stream, app.site.limits.api_bytes, patience).await?;
        serde_json::from_slice(&bytes)
            .map(Self)
            .map_err(|error| Refusal::malformed(format!("The body is not what this address takes: {error}")))
    }
}

/// `If-Match`: the revision that the caller has seen.
#[derive(Debug, Clone, Copy)]
pub(crate) struct IfMatch(pub(crate) Option<u64>);

impl<S: Send + Sync> FromRequestParts<S> for IfMatch {
    type Rejection = Refusal;
    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Refusal> {
        match parts.headers.get(header::IF_MATCH) {
            None => Ok(Self(None)),
            Some(value) if value == "*" => Ok(Self(None)),
            Some(value) => match parse_etag(value) {
                Some(revision) => Ok(Self(Some(revision))),
                None => Err(Refusal::new(Code::Changed, "If-Match is not a tag that this site has given.")),
            },
        }
    }
}
