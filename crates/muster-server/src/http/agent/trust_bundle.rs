//! `GET /mp/v1/trust-bundle`, and `.../{version}`: the signed trust bundle.

use super::ManagementPoint;
use crate::http::{
    Body,
    respond::{self, COSE, Refusal},
};
use http::{Response, StatusCode};
use muster_site::Ctx;

/// Answers with the bundle, exactly as the root key signed it.
pub(super) async fn show(ctx: &Ctx, point: &ManagementPoint) -> Result<Response<Body>, Refusal> {
    let envelope = muster_site::trust_bundle_show(ctx, &point.site).await?;
    Ok(respond::bytes(StatusCode::OK, COSE, envelope))
}

/// Answers with the bundle of that version: who slept goes through them one by one.
pub(super) async fn show_version(ctx: &Ctx, point: &ManagementPoint, version: u64) -> Result<Response<Body>, Refusal> {
    let envelope = muster_site::trust_bundle_version_show(ctx, &point.site, version).await?;
    Ok(respond::bytes(StatusCode::OK, COSE, envelope))
}
