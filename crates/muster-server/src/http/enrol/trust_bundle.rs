//! `GET /enrol/v1/trust-bundle`, and `.../{version}`: the signed trust bundle, which proves itself.

use super::EnrolmentDoor;
use crate::http::{
    Body,
    respond::{self, COSE, Refusal},
};
use http::{Response, StatusCode};
use muster_site::Ctx;

/// Answers with the bundle, exactly as the root key signed it.
pub(super) async fn show(ctx: &Ctx, door: &EnrolmentDoor) -> Result<Response<Body>, Refusal> {
    let envelope = muster_site::trust_bundle_show(ctx, &door.site).await?;
    Ok(respond::bytes(StatusCode::OK, COSE, envelope))
}

/// Answers with the bundle of that version: who slept goes through them one by one.
pub(super) async fn show_version(ctx: &Ctx, door: &EnrolmentDoor, version: u64) -> Result<Response<Body>, Refusal> {
    let envelope = muster_site::trust_bundle_version_show(ctx, &door.site, version).await?;
    Ok(respond::bytes(StatusCode::OK, COSE, envelope))
}
