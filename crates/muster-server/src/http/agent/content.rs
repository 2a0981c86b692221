//! `GET /mp/v1/content/{hash}`: a content file that an application in this device's assignment names, whole or from somewhere on.

use super::ManagementPoint;
use crate::http::{Body, file, respond::Refusal};
use http::{HeaderMap, Response};
use muster_model::id::Hash;
use muster_site::Ctx;

/// Answers with the file, or the part of it that `Range` asks for.
pub(super) async fn show(
    ctx: &Ctx,
    point: &ManagementPoint,
    headers: &HeaderMap,
    hash: Hash,
) -> Result<Response<Body>, Refusal> {
    let found = muster_site::content_for_device(ctx, &point.site, hash).await?;
    file::respond(&found.path, found.size, hash, headers).await
}
