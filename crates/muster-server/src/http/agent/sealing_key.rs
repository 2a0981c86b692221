//! `POST /mp/v1/sealing-key`: the key to which secrets for this device are sealed from now on, signed by the device's key.

use super::ManagementPoint;
use crate::http::{
    Body, body,
    respond::{self, Refusal},
};
use http::{Request, Response, StatusCode};
use hyper::body::Incoming;
use muster_site::Ctx;
use std::time::Duration;

/// Takes the statement; answers without a body.
pub(super) async fn set(
    ctx: &Ctx,
    point: &ManagementPoint,
    request: Request<Incoming>,
) -> Result<Response<Body>, Refusal> {
    let (parts, stream) = request.into_parts();
    body::expect_type(&parts.headers, "application/cose")?;
    let patience = Duration::from_secs(point.http.body_seconds);
    let statement = body::read(&parts.headers, stream, point.site.limits.enrol_bytes, patience).await?;
    muster_site::sealing_key_set(ctx, &point.site, &statement).await?;
    Ok(respond::empty(StatusCode::NO_CONTENT))
}
