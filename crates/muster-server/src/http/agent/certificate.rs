//! `POST /mp/v1/certificate`: a device renews its certificate over the connection that the present one authenticates.

use super::ManagementPoint;
use crate::http::{
    Body, body,
    respond::{self, Refusal},
};
use http::{Request, Response, StatusCode};
use hyper::body::Incoming;
use muster_model::enrol::RenewRequest;
use muster_site::Ctx;
use std::time::Duration;

/// Takes the request; answers with the next certificate.
pub(super) async fn renew(
    ctx: &Ctx,
    point: &ManagementPoint,
    request: Request<Incoming>,
) -> Result<Response<Body>, Refusal> {
    let (parts, stream) = request.into_parts();
    body::expect_type(&parts.headers, "application/json")?;
    let patience = Duration::from_secs(point.http.body_seconds);
    let bytes = body::read(&parts.headers, stream, point.site.limits.enrol_bytes, patience).await?;
    let request: RenewRequest = serde_json::from_slice(&bytes)
        .map_err(|error| Refusal::malformed(format!("The body is not a request to renew a certificate: {error}")))?;
    let answer = muster_site::certificate_renew(ctx, &point.site, request).await?;
    Ok(respond::json(StatusCode::OK, &answer))
}
