//! `/mp/v1/chunks/{hash}`: the chunk list of a content file (`GET`), and those pieces of it that a device has not (`POST`).

use super::ManagementPoint;
use crate::http::{Body, body, file, respond::Refusal};
use http::{HeaderValue, Request, Response, header};
use hyper::body::Incoming;
use muster_model::{
    chunk::{CHUNK_LIST_TYPE, ChunkRanges},
    id::Hash,
    limits::CHUNK_RANGES_BYTES,
};
use muster_site::Ctx;
use std::time::Duration;

/// Answers with the list.
pub(super) async fn show(ctx: &Ctx, point: &ManagementPoint, hash: Hash) -> Result<Response<Body>, Refusal> {
    let list = muster_site::chunk_list_for_device(ctx, &point.site, hash).await?;
    let mut response = file::respond_spans(&list.path, &[(0, list.size)], hash).await?;
    response.headers_mut().insert(header::CONTENT_TYPE, HeaderValue::from_static(CHUNK_LIST_TYPE));
    Ok(response)
}

/// Answers with the ranges that the body asks for, one behind the other.
pub(super) async fn fetch(
    ctx: &Ctx,
    point: &ManagementPoint,
    request: Request<Incoming>,
    hash: Hash,
) -> Result<Response<Body>, Refusal> {
    let (parts, stream) = request.into_parts();
    body::expect_type(&parts.headers, "application/json")?;
    let patience = Duration::from_secs(point.http.body_seconds);
    let text = body::read(&parts.headers, stream, CHUNK_RANGES_BYTES, patience).await?;
    let wanted: ChunkRanges = serde_json::from_slice(&text)
        .map_err(|_| Refusal::malformed("The body must be {\"ranges\": [[first, length]]}."))?;
    let (stored, bytes) = muster_site::chunks_for_device(ctx, &point.site, hash, &wanted).await?;
    metrics::counter!("muster_chunk_bytes_total").increment(bytes);
    file::respond_spans(&stored.path, &wanted.ranges, hash).await
}
