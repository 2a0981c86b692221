//! `/mp/v1/assignment`: what this device shall have. With `If-None-Match`, mostly: nothing new. And what it has, where the site
//! knows less.

use super::ManagementPoint;
use crate::http::{
    Body, body,
    respond::{self, COSE, Refusal, etag, parse_etag},
};
use http::{HeaderMap, Request, Response, StatusCode, header};
use hyper::body::Incoming;
use muster_site::Ctx;
use std::time::Duration;

/// Answers with the signed assignment, or with 304 when the device has it already.
pub(super) async fn show(ctx: &Ctx, point: &ManagementPoint, headers: &HeaderMap) -> Result<Response<Body>, Refusal> {
    let current = muster_site::assignment_show(ctx, &point.site).await?;
    let has = headers.get(header::IF_NONE_MATCH).and_then(parse_etag);
    let mut response = if has == Some(current.version) {
        muster_site::assignment_confirmed(ctx, &point.site, current.version)?;
        respond::empty(StatusCode::NOT_MODIFIED)
    } else {
        respond::bytes(StatusCode::OK, COSE, current.envelope.clone())
    };
    response.headers_mut().insert(header::ETAG, etag(current.version));
    Ok(response)
}

/// Takes the assignment that the device has, where it is newer than the site's; answers without a body.
pub(super) async fn ahead(
    ctx: &Ctx,
    point: &ManagementPoint,
    request: Request<Incoming>,
) -> Result<Response<Body>, Refusal> {
    let (parts, stream) = request.into_parts();
    body::expect_type(&parts.headers, "application/cose")?;
    let patience = Duration::from_secs(point.http.body_seconds);
    let envelope = body::read(&parts.headers, stream, point.site.limits.object_bytes, patience).await?;
    muster_site::assignment_ahead(ctx, &point.site, &envelope).await?;
    Ok(respond::empty(StatusCode::NO_CONTENT))
}
