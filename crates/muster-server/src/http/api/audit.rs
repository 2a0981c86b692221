//! The audit log.

use crate::http::{
    AppState,
    extract::{Asked, Asking},
    respond::{Refusal, json},
    route::Route,
};
use axum::{extract::State, response::Response};
use http::StatusCode;
use muster_model::api::{AuditEntry, AuditSegmentQuery, AuditSegments, AuditVerdict, PageQuery};
use muster_site::authz::Access;

pub(super) fn routes() -> Vec<Route> {
    vec![
        Route::get("/api/v1/audit", Access::See, list)
            .about("audit_list", "The audit log, the newest entry first.")
            .query::<PageQuery>()
            .gives_page::<AuditEntry>(),
        Route::get("/api/v1/audit/verify", Access::See, verify)
            .about("audit_verify", "Check the chain of the whole audit log.")
            .gives::<AuditVerdict>(),
        Route::get("/api/v1/audit/segment", Access::See, segment)
            .about("audit_segment", "What follows an entry of the audit log, with a signed head, for an export.")
            .query::<AuditSegmentQuery>()
            .gives::<AuditSegments>(),
    ]
}

async fn list(
    State(app): State<AppState>,
    Asking(ctx): Asking,
    Asked(query): Asked<PageQuery>,
) -> Result<Response, Refusal> {
    Ok(json(StatusCode::OK, &muster_site::audit_list(&ctx, &app.site, query).await?))
}

async fn verify(State(app): State<AppState>, Asking(ctx): Asking) -> Result<Response, Refusal> {
    Ok(json(StatusCode::OK, &muster_site::audit_verify(&ctx, &app.site).await?))
}

async fn segment(
    State(app): State<AppState>,
    Asking(ctx): Asking,
    Asked(query): Asked<AuditSegmentQuery>,
) -> Result<Response, Refusal> {
    Ok(json(StatusCode::OK, &muster_site::audit_segment(&ctx, &app.site, query).await?))
}
