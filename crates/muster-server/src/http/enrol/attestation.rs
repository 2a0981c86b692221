//! `POST /enrol/v1/attestations`: a device offers its TPM before it asks to be enrolled.

use super::EnrolmentDoor;
use crate::http::{
    Body, body,
    respond::{self, Refusal},
};
use http::{Request, Response, StatusCode};
use hyper::body::Incoming;
use muster_model::attestation::AttestationOffer;
use muster_site::{Channel, Ctx};
use std::time::Duration;

/// Takes the offer; answers with a challenge that is good on this connection only.
pub(super) async fn offer(
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
    let offer: AttestationOffer = serde_json::from_slice(&bytes)
        .map_err(|_| Refusal::malformed("The body is not an offer; see AttestationOffer in docs/PROTOCOL.md."))?;
    let answer = muster_site::attestation_offer(ctx, &door.site, channel, offer).await?;
    Ok(respond::json(StatusCode::OK, &answer))
}
