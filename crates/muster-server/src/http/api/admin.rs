//! Administrators.

use crate::http::{
    AppState,
    extract::{Asked, Asking, Json, Part},
    respond::{Refusal, json},
    route::Route,
};
use axum::{extract::State, response::Response};
use http::StatusCode;
use muster_model::{
    api::{Admin, AdminCreate, PageQuery, Reason},
    id::AdminId,
};
use muster_site::authz::Access;

pub(super) fn routes() -> Vec<Route> {
    vec![
        Route::get("/api/v1/admins", Access::See, list)
            .about("admin_list", "Administrators.")
            .query::<PageQuery>()
            .gives_page::<Admin>(),
        Route::post("/api/v1/admins", Access::Change, create)
            .about("admin_create", "Add an administrator, whose key signs in from then on.")
            .takes::<AdminCreate>()
            .status(201)
            .gives::<Admin>(),
        Route::post("/api/v1/admins/{id}/disable", Access::Change, disable)
            .about("admin_disable", "Disable an administrator: their sessions end, and their key signs in no more.")
            .takes::<Reason>()
            .gives::<Admin>(),
    ]
}

async fn list(
    State(app): State<AppState>,
    Asking(ctx): Asking,
    Asked(query): Asked<PageQuery>,
) -> Result<Response, Refusal> {
    Ok(json(StatusCode::OK, &muster_site::admin_list(&ctx, &app.site, query).await?))
}

async fn create(
    State(app): State<AppState>,
    Asking(ctx): Asking,
    Json(request): Json<AdminCreate>,
) -> Result<Response, Refusal> {
    Ok(json(StatusCode::CREATED, &muster_site::admin_create(&ctx, &app.site, request).await?))
}

async fn disable(
    State(app): State<AppState>,
    Asking(ctx): Asking,
    Part(id): Part<AdminId>,
    Json(reason): Json<Reason>,
) -> Result<Response, Refusal> {
    Ok(json(StatusCode::OK, &muster_site::admin_disable(&ctx, &app.site, id, reason).await?))
}
