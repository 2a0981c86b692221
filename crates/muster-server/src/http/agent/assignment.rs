//! `GET /mp/v1/assignment`: what this device shall have. With `If-None-Match`, mostly: nothing new.

use super::ManagementPoint;
use crate::http::{
    Body,
    respond::{self, COSE, Refusal, etag, parse_etag},
};
use http::{HeaderMap, Response, StatusCode, header};
use muster_site::Ctx;

/// Answers with the signed assignment, or with 304 when the device has it already.
pub(super) async fn show(ctx: &Ctx, point: &ManagementPoint, headers: &HeaderMap) -> Result<Response<Body>, Refusal> {
    let current = muster_site::assignment_show(ctx, &point.site).await?;
    let has = headers.get(header::IF_NONE_MATCH).and_then(parse_etag);
    let mut response = if has == Some(current.version) {
        respond::empty(StatusCode::NOT_MODIFIED)
    } else {
        respond::bytes(StatusCode::OK, COSE, current.envelope.clone())
    };
    response.headers_mut().insert(header::ETAG, etag(current.version));
    Ok(response)
}
