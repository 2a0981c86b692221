//! `POST /enrol/v1/requests/poll`: a device asks what became of its request, signed with its key.

use super::EnrolmentDoor;
use crate::http::{
    Body, body,
    respond::{self, Refusal},
};
use http::{Request, Response, StatusCode};
use hyper::body::Incoming;
use muster_site::Ctx;
use std::time::Duration;

/// Takes the signed poll; answers with the request's state.
pub(super) async fn poll(
    ctx: &Ctx,
    door: &EnrolmentDoor,
    request: Request<Incoming>,
) -> Result<Response<Body>, Refusal> {
    let (parts, stream) = request.into_parts();
    body::expect_type(&parts.headers, "application/cose")?;
    let patience = Duration::from_secs(door.http.body_seconds);
    let bytes = body::read(&parts.headers, stream, door.site.limits.enrol_bytes, patience).await?;
    let answer = muster_site::enrolment_poll(ctx, &door.site, &bytes).await?;
    Ok(respond::json(StatusCode::OK, &answer))
}
