//! Two machines that look like one device.

use crate::http::{
    AppState,
    extract::{Asked, Asking, Json, Part},
    respond::{Refusal, json},
    route::Route,
};
use axum::{extract::State, response::Response};
use http::StatusCode;
use muster_model::{
    api::{Conflict, ConflictDecide, ConflictQuery},
    id::ConflictId,
};
use muster_site::authz::Access;

pub(super) fn routes() -> Vec<Route> {
    vec![
        Route::get("/api/v1/conflicts", Access::See, list)
            .about("conflict_list", "Devices that two machines look like, the newest first.")
            .query::<ConflictQuery>()
            .gives_page::<Conflict>(),
        Route::get("/api/v1/conflicts/{id}", Access::See, show)
            .about("conflict_show", "One conflict, with both machines.")
            .gives::<Conflict>(),
        Route::post("/api/v1/conflicts/{id}/decide", Access::Change, decide)
            .about("conflict_decide", "Say what a conflict was: one machine, two machines, or one to lock out.")
            .takes::<ConflictDecide>()
            .gives::<Conflict>(),
    ]
}

async fn list(
    State(app): State<AppState>,
    Asking(ctx): Asking,
    Asked(query): Asked<ConflictQuery>,
) -> Result<Response, Refusal> {
    Ok(json(StatusCode::OK, &muster_site::conflict_list(&ctx, &app.site, query).await?))
}

async fn show(
    State(app): State<AppState>,
    Asking(ctx): Asking,
    Part(id): Part<ConflictId>,
) -> Result<Response, Refusal> {
    Ok(json(StatusCode::OK, &muster_site::conflict_show(&ctx, &app.site, id).await?))
}

async fn decide(
    State(app): State<AppState>,
    Asking(ctx): Asking,
    Part(id): Part<ConflictId>,
    Json(request): Json<ConflictDecide>,
) -> Result<Response, Refusal> {
    Ok(json(StatusCode::OK, &muster_site::conflict_decide(&ctx, &app.site, id, request).await?))
}
