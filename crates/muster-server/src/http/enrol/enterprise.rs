//! `POST /enrol/v1/enterprise-certificate`: a device goes on with another certificate of the enterprise, signed with its own key.

use super::EnrolmentDoor;
use crate::http::{
    Body, body,
    respond::{self, Refusal},
};
use http::{Request, Response, StatusCode};
use hyper::body::Incoming;
use muster_site::{Channel, Ctx};
use std::time::Duration;

/// Takes the signed statement; answers with what the device is mapped to.
pub(super) async fn change(
    ctx: &Ctx,
    door: &EnrolmentDoor,
    channel: &Channel,
    request: Request<Incoming>,
) -> Result<Response<Body>, Refusal> {
    let (parts, stream) = request.into_parts();
    body::expect_type(&parts.headers, "application/cose")?;
    let patience = Duration::from_secs(door.http.body_seconds);
    let bytes = body::read(&parts.headers, stream, door.site.limits.enrol_bytes, patience).await?;
    let answer = muster_site::enterprise_change(ctx, &door.site, channel, &bytes).await?;
    Ok(respond::json(StatusCode::OK, &answer))
}
