//! `POST /mp/v1/reports`: everything that a device says. Answered when it is on the disk.

use super::ManagementPoint;
use crate::http::{
    Body, body,
    respond::{self, Refusal},
};
use http::{Request, Response, StatusCode};
use hyper::body::Incoming;
use muster_model::problem::Code;
use muster_site::Ctx;
use std::time::Duration;

/// Takes the signed report; answers with what is acknowledged.
pub(super) async fn submit(
    ctx: &Ctx,
    point: &ManagementPoint,
    request: Request<Incoming>,
) -> Result<Response<Body>, Refusal> {
    let (parts, stream) = request.into_parts();
    body::expect_type(&parts.headers, "application/cose")?;
    // Before a byte of it is read: who sends too much is not listened to.
    let _working = muster_site::report_admitted(ctx, &point.site).await?;
    let patience = Duration::from_secs(point.http.body_seconds);
    let envelope = match body::read(&parts.headers, stream, point.site.limits.report_bytes, patience).await {
        Ok(envelope) => envelope,
        // A broken line is nobody's fault.
        Err(refusal) if refusal.0.code != Code::TooLarge => return Err(refusal),
        Err(refusal) => {
            muster_site::report_refused(ctx, &point.site, refusal.0.code, &refusal.0.detail, &[]).await?;
            return Err(refusal);
        }
    };
    let answer = muster_site::report_submit(ctx, &point.site, &envelope).await?;
    Ok(respond::json(StatusCode::OK, &answer))
}
