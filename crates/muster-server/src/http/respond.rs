//! How answers look: JSON, signed objects, and refusals as `application/problem+json`.

use super::Body;
use bytes::Bytes;
use http::{HeaderValue, Response, StatusCode, header};
use muster_model::problem::{Code, Problem};
use muster_site::SiteError;
use serde::Serialize;

/// Content type of a signed envelope.
pub(crate) const COSE: HeaderValue = HeaderValue::from_static("application/cose");
/// Content type of JSON.
pub(crate) const JSON: HeaderValue = HeaderValue::from_static("application/json");
/// Content type of a refusal.
const PROBLEM: HeaderValue = HeaderValue::from_static("application/problem+json");
/// Nobody keeps an answer.
pub(crate) const NO_STORE: HeaderValue = HeaderValue::from_static("no-store");

/// A refusal on its way out. Made from a [`SiteError`], whose inner text goes to the log and nowhere else.
#[derive(Debug)]
pub(crate) struct Refusal(pub(crate) Box<Problem>);

impl Refusal {
    /// A refusal of this layer.
    pub(crate) fn new(code: Code, detail: impl Into<String>) -> Self {
        Self(Box::new(Problem::new(code, detail)))
    }

    /// The one answer for everything that is not there for this caller.
    pub(crate) fn not_found() -> Self {
        Self::from(SiteError::not_found())
    }

    /// A request that is not well-formed.
    pub(crate) fn malformed(detail: impl Into<String>) -> Self {
        Self::new(Code::Malformed, detail)
    }
}

impl From<SiteError> for Refusal {
    fn from(error: SiteError) -> Self {
        let problem = error.problem();
        if problem.status >= 500 {
            tracing::error!(%error, code = %problem.code, "A request failed.");
        }
        Self(Box::new(problem))
    }
}

impl From<Refusal> for Response<Body> {
    fn from(refusal: Refusal) -> Self {
        problem(&refusal.0)
    }
}

impl axum::response::IntoResponse for Refusal {
    fn into_response(self) -> axum::response::Response {
        problem(&self.0)
    }
}

/// A refusal as a response.
pub(crate) fn problem(problem: &Problem) -> Response<Body> {
    let status = StatusCode::from_u16(problem.status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    metrics::counter!("muster_refusals_total", "code" => problem.code.as_str()).increment(1);
    let mut response = bytes(status, PROBLEM, serde_json::to_vec(problem).unwrap_or_default());
    match problem.code {
        Code::TooMany => {
            response.headers_mut().insert(header::RETRY_AFTER, HeaderValue::from_static("60"));
        }
        Code::Unauthenticated => {
            response.headers_mut().insert(header::WWW_AUTHENTICATE, HeaderValue::from_static("Bearer"));
        }
        _ => {}
    }
    response
}

/// A value as JSON.
pub(crate) fn json<T: Serialize>(status: StatusCode, value: &T) -> Response<Body> {
    match serde_json::to_vec(value) {
        Ok(body) => bytes(status, JSON, body),
        Err(error) => Refusal::from(SiteError::Fault(format!("an answer cannot be written as JSON: {error}"))).into(),
    }
}

/// Bytes of some type.
pub(crate) fn bytes(status: StatusCode, content_type: HeaderValue, body: impl Into<Bytes>) -> Response<Body> {
    let mut response = Response::new(Body::from(body.into()));
    *response.status_mut() = status;
    let headers = response.headers_mut();
    headers.insert(header::CONTENT_TYPE, content_type);
    headers.insert(header::CACHE_CONTROL, NO_STORE);
    response
}

/// An answer without a body.
pub(crate) fn empty(status: StatusCode) -> Response<Body> {
    let mut response = Response::new(Body::empty());
    *response.status_mut() = status;
    response.headers_mut().insert(header::CACHE_CONTROL, NO_STORE);
    response
}

/// A strong entity tag of a number.
pub(crate) fn etag(number: u64) -> HeaderValue {
    HeaderValue::try_from(format!("\"{number}\"")).unwrap_or(HeaderValue::from_static("\"\""))
}

/// The number in an entity tag that [`etag`] made.
pub(crate) fn parse_etag(value: &HeaderValue) -> Option<u64> {
    let digits = value.to_str().ok()?.strip_prefix('"')?.strip_suffix('"')?;
    digits.bytes().all(|b| b.is_ascii_digit()).then(|| digits.parse().ok()).flatten()
}
