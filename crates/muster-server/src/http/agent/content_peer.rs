//! `/mp/v1/content-peers`: what this device serves to others of its network (`POST`), and from whom it may have a file (`GET` with
//! the file's hash).

use super::ManagementPoint;
use crate::http::{
    Body, body,
    respond::{self, COSE, Refusal},
};
use http::{Request, Response, StatusCode};
use hyper::body::Incoming;
use muster_model::{id::Hash, limits::PEER_ANNOUNCEMENT_BYTES, peer::PeerAnnouncement};
use muster_site::Ctx;
use std::time::Duration;

/// Answers with a signed grant, or with nothing when there is nobody.
pub(super) async fn show(ctx: &Ctx, point: &ManagementPoint, hash: Hash) -> Result<Response<Body>, Refusal> {
    Ok(match muster_site::content_peer_grant(ctx, &point.site, hash).await? {
        Some(grant) => {
            metrics::counter!("muster_peer_grants_total").increment(1);
            respond::bytes(StatusCode::OK, COSE, grant)
        }
        None => respond::empty(StatusCode::NO_CONTENT),
    })
}

/// Takes what the device serves; answers without a body.
pub(super) async fn announce(
    ctx: &Ctx,
    point: &ManagementPoint,
    request: Request<Incoming>,
) -> Result<Response<Body>, Refusal> {
    let (parts, stream) = request.into_parts();
    body::expect_type(&parts.headers, "application/json")?;
    let patience = Duration::from_secs(point.http.body_seconds);
    let text = body::read(&parts.headers, stream, PEER_ANNOUNCEMENT_BYTES, patience).await?;
    let said: PeerAnnouncement = serde_json::from_slice(&text)
        .map_err(|_| Refusal::malformed("The body must be {\"port\": 8003, \"content\": [hash]}."))?;
    muster_site::content_peer_announce(ctx, &point.site, &said).await?;
    Ok(respond::empty(StatusCode::NO_CONTENT))
}
