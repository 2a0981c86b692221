//! Hardware identities: TPMs that are believed, awaited or blocked.

use crate::http::{
    AppState,
    extract::{Asked, Asking, Json, Part},
    respond::{Refusal, json},
    route::Route,
};
use axum::{extract::State, response::Response};
use http::StatusCode;
use muster_model::{
    api::{Hardware, HardwareSet, PageQuery, Reason},
    id::Hash,
};
use muster_site::authz::Access;

pub(super) fn routes() -> Vec<Route> {
    vec![
        Route::get("/api/v1/hardware", Access::See, list)
            .about("hardware_list", "Hardware identities that somebody decided about, the latest first.")
            .query::<PageQuery>()
            .gives_page::<Hardware>(),
        Route::put("/api/v1/hardware/{id}", Access::Change, set)
            .about("hardware_set", "Allow, await or block a hardware identity. A block locks out its device at once.")
            .takes::<HardwareSet>()
            .gives::<Hardware>(),
        Route::post("/api/v1/hardware/{id}/remove", Access::Change, remove)
            .about("hardware_remove", "Forget what was decided about a hardware identity.")
            .takes::<Reason>()
            .gives::<Hardware>(),
    ]
}

async fn list(
    State(app): State<AppState>,
    Asking(ctx): Asking,
    Asked(query): Asked<PageQuery>,
) -> Result<Response, Refusal> {
    Ok(json(StatusCode::OK, &muster_site::hardware_list(&ctx, &app.site, query).await?))
}

async fn set(
    State(app): State<AppState>,
    Asking(ctx): Asking,
    Part(id): Part<Hash>,
    Json(request): Json<HardwareSet>,
) -> Result<Response, Refusal> {
    Ok(json(StatusCode::OK, &muster_site::hardware_set(&ctx, &app.site, id, request).await?))
}

async fn remove(
    State(app): State<AppState>,
    Asking(ctx): Asking,
    Part(id): Part<Hash>,
    Json(reason): Json<Reason>,
) -> Result<Response, Refusal> {
    Ok(json(StatusCode::OK, &muster_site::hardware_remove(&ctx, &app.site, id, reason).await?))
}
