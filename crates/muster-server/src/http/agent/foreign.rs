//! `POST /mp/v1/foreign/inventory`: what a foreign collector on a device sends, over a connection that proves which device it is.

use super::ManagementPoint;
use crate::http::{
    Body, body,
    respond::{self, Refusal},
};
use http::{HeaderValue, Request, Response, StatusCode, header};
use hyper::body::Incoming;
use muster_model::{limits::FOREIGN_BYTES, problem::Code};
use muster_site::Ctx;
use std::time::Duration;

/// Takes the document; answers as these collectors expect it.
pub(super) async fn submit(
    ctx: &Ctx,
    point: &ManagementPoint,
    request: Request<Incoming>,
) -> Result<Response<Body>, Refusal> {
    // Before a byte of it is read, as for a report.
    let _working = muster_site::report_admitted(ctx, &point.site).await?;
    let (parts, stream) = request.into_parts();
    let named =
        parts.headers.get(header::CONTENT_TYPE).and_then(|value| value.to_str().ok()).unwrap_or_default().to_owned();
    let patience = Duration::from_secs(point.http.body_seconds);
    let bytes = match body::read(&parts.headers, stream, FOREIGN_BYTES, patience).await {
        Ok(bytes) => bytes,
        Err(refusal) => {
            if refusal.0.code == Code::TooLarge {
                muster_site::report_refused(ctx, &point.site, refusal.0.code, &refusal.0.detail, &[]).await?;
            }
            return Err(refusal);
        }
    };
    let text = muster_site::foreign_submit(ctx, &point.site, &named, bytes.to_vec()).await?;
    Ok(respond::bytes(StatusCode::OK, HeaderValue::from_static("application/xml"), text))
}
