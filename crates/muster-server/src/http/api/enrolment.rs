//! Requests of devices to be enrolled.

use crate::http::{
    AppState,
    extract::{Asked, Asking, Json, Part},
    respond::{Refusal, json},
    route::Route,
};
use axum::{extract::State, response::Response};
use http::StatusCode;
use muster_model::{
    api::{Device, Enrolment, EnrolmentState, PageQuery, Reason},
    id::EnrolmentId,
};
use muster_site::authz::Access;
use serde::Deserialize;
use utoipa::ToSchema;

/// Which requests, and which page of them.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
struct EnrolmentQuery {
    /// Only those in this state.
    #[serde(default)]
    state: Option<EnrolmentState>,
    /// Rows to skip.
    #[serde(default)]
    offset: u64,
    /// Rows wanted.
    #[serde(default = "rows")]
    limit: u32,
}

fn rows() -> u32 {
    PageQuery::default().limit
}

pub(super) fn routes() -> Vec<Route> {
    vec![
        Route::get("/api/v1/enrolments", Access::See, list)
            .about("enrolment_list", "Requests to be enrolled.")
            .query::<EnrolmentQuery>()
            .gives_page::<Enrolment>(),
        Route::post("/api/v1/enrolments/{id}/approve", Access::Change, approve)
            .about("enrolment_approve", "Let the device in: it gets a certificate with its next poll.")
            .gives::<Device>(),
        Route::post("/api/v1/enrolments/{id}/refuse", Access::Change, refuse)
            .about("enrolment_refuse", "Do not let the device in.")
            .takes::<Reason>()
            .gives::<Enrolment>(),
    ]
}

async fn list(
    State(app): State<AppState>,
    Asking(ctx): Asking,
    Asked(query): Asked<EnrolmentQuery>,
) -> Result<Response, Refusal> {
    let page = PageQuery { offset: query.offset, limit: query.limit };
    Ok(json(StatusCode::OK, &muster_site::enrolment_list(&ctx, &app.site, query.state, page).await?))
}

async fn approve(
    State(app): State<AppState>,
    Asking(ctx): Asking,
    Part(id): Part<EnrolmentId>,
) -> Result<Response, Refusal> {
    Ok(json(StatusCode::OK, &muster_site::enrolment_approve(&ctx, &app.site, id).await?))
}

async fn refuse(
    State(app): State<AppState>,
    Asking(ctx): Asking,
    Part(id): Part<EnrolmentId>,
    Json(reason): Json<Reason>,
) -> Result<Response, Refusal> {
    Ok(json(StatusCode::OK, &muster_site::enrolment_refuse(&ctx, &app.site, id, reason).await?))
}
