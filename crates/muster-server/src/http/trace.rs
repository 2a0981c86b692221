//! A number for each request of an administrator, in the log and in the answer; and how long it took.

use super::Body;
use axum::{extract::MatchedPath, middleware::Next, response::Response};
use http::{HeaderName, HeaderValue, Method, Request};
use std::{
    sync::atomic::{AtomicU64, Ordering},
    time::Instant,
};
use tracing::Instrument;

/// The header that carries a request's number.
const REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");
static NEXT: AtomicU64 = AtomicU64::new(1);

/// Runs a request in a span of its own. The query is not logged: it may carry a sign-in code.
pub(crate) async fn request(request: Request<Body>, next: Next) -> Response {
    let id = NEXT.fetch_add(1, Ordering::Relaxed);
    let method = request.method().clone();
    let route = request.extensions().get::<MatchedPath>().map_or("-", |path| path.as_str()).to_owned();
    let span = tracing::info_span!("request", id, %method, route);
    let started = Instant::now();
    let mut response = next.run(request).instrument(span.clone()).await;
    let status = response.status();
    metrics::histogram!("muster_api_seconds", "route" => route, "status" => status.as_u16().to_string())
        .record(started.elapsed().as_secs_f64());
    span.in_scope(|| {
        if method == Method::GET || method == Method::HEAD {
            tracing::debug!(status = status.as_u16(), "A request was answered.");
        } else {
            tracing::info!(status = status.as_u16(), "A request was answered.");
        }
    });
    response.headers_mut().insert(REQUEST_ID, HeaderValue::from(id));
    response
}
