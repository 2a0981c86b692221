//! `/scep`: what it can, whose certificates it has, and messages by GET or POST. Some clients say no media type, so none is asked for.

use super::MobileDoor;
use crate::http::{
    Body, body,
    respond::{self, Refusal},
};
use http::{HeaderValue, Method, Request, Response, StatusCode};
use hyper::body::Incoming;
use muster_model::limits::CERTIFICATE_REQUEST_BYTES;
use muster_site::{Ctx, MobileAuthority};
use std::time::Duration;

/// Answers one request.
pub(super) async fn dispatch(
    ctx: &Ctx,
    door: &MobileDoor,
    authority: &MobileAuthority,
    request: Request<Incoming>,
) -> Result<Response<Body>, Refusal> {
    let (parts, stream) = request.into_parts();
    // The second is what clients append to the address of a server by themselves.
    if !matches!(parts.uri.path(), "/scep" | "/scep/pkiclient.exe" | "/cgi-bin/pkiclient.exe") {
        return Err(Refusal::not_found());
    }
    let query = parts.uri.query().unwrap_or_default();
    let body = match parts.method {
        Method::GET => None,
        Method::POST => {
            let patience = Duration::from_secs(door.http.body_seconds);
            Some(body::read(&parts.headers, stream, CERTIFICATE_REQUEST_BYTES, patience).await?.to_vec())
        }
        _ => return Err(Refusal::not_found()),
    };
    let reply = muster_site::scep_answer(ctx, &door.site, authority, query, body).await?;
    Ok(respond::bytes(StatusCode::OK, HeaderValue::from_static(reply.media_type), reply.body))
}
