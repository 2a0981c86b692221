//! Queries in WQL.

use crate::http::{
    AppState,
    extract::{Asking, Json},
    respond::{Refusal, json},
    route::Route,
};
use axum::{extract::State, response::Response};
use http::StatusCode;
use muster_model::api::{QueryCheck, QueryChecked, QueryResult, QueryRun};
use muster_site::authz::Access;

pub(super) fn routes() -> Vec<Route> {
    vec![
        Route::post("/api/v1/queries/run", Access::See, run)
            .about("query_run", "Run a query in WQL.")
            .takes::<QueryRun>()
            .gives::<QueryResult>(),
        Route::post("/api/v1/queries/check", Access::See, check)
            .about("query_check", "Check a query in WQL: what is wrong with it, and what is often a mistake.")
            .takes::<QueryCheck>()
            .gives::<QueryChecked>(),
    ]
}

async fn run(
    State(app): State<AppState>,
    Asking(ctx): Asking,
    Json(request): Json<QueryRun>,
) -> Result<Response, Refusal> {
    Ok(json(StatusCode::OK, &muster_site::query_run(&ctx, &app.site, request).await?))
}

async fn check(
    State(app): State<AppState>,
    Asking(ctx): Asking,
    Json(request): Json<QueryCheck>,
) -> Result<Response, Refusal> {
    Ok(json(StatusCode::OK, &muster_site::query_check(&ctx, &app.site, &request)?))
}
