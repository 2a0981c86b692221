//! `POST /enrol/v1/requests`: a device asks to be enrolled.

use super::EnrolmentDoor;
use crate::http::{
    Body, body,
    respond::{self, Refusal},
};
use http::{Request, Response, StatusCode};
use hyper::body::Incoming;
use muster_model::enrol::EnrolRequest;
use muster_site::{Channel, Ctx};
use std::time::Duration;

/// Takes the request; answers with its state.
pub(super) async fn create(
    ctx: &Ctx,
    door: &EnrolmentDoor,
    channel: &Channel,
    request: Request<Incoming>,
) -> Result<Response<Body>, Refusal> {
    let (parts, stream) = request.into_parts();
    body::expect_type(&parts.headers, "application/json")?;
    let patience = Duration::from_secs(door.http.body_seconds);
    let bytes = body::read(&parts.headers, stream, door.site.limits.enrol_bytes, patience).await?;
    // What is wrong with it is not said in detail: it may hold the token's secret.
    let request: EnrolRequest = serde_json::from_slice(&bytes)
        .map_err(|_| Refusal::malformed("The body is not a request to enrol; see EnrolRequest in docs/PROTOCOL.md."))?;
    let answer = muster_site::enrolment_request(ctx, &door.site, channel, request).await?;
    Ok(respond::json(StatusCode::OK, &answer))
}
