//! `GET /mp/v1/bodies/{hash}`: a policy body or a signed application that this device's assignment lists.

use super::ManagementPoint;
use crate::http::{
    Body,
    respond::{self, Refusal},
};
use http::{HeaderValue, Response, StatusCode};
use muster_model::id::Hash;
use muster_site::Ctx;

/// Answers with the bytes; the device checks them against their hash.
pub(super) async fn show(ctx: &Ctx, point: &ManagementPoint, hash: Hash) -> Result<Response<Body>, Refusal> {
    let bytes = muster_site::body_show(ctx, &point.site, hash).await?;
    Ok(respond::bytes(StatusCode::OK, HeaderValue::from_static("application/octet-stream"), bytes))
}
