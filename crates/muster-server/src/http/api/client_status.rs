//! Client status: which clients are active, and which are sound.

use crate::http::{
    AppState,
    extract::{Asked, Asking, Json, Part},
    respond::{Refusal, json},
    route::Route,
};
use axum::{extract::State, response::Response};
use http::StatusCode;
use muster_model::{
    api::{
        ClientStatus, ClientStatusDetail, ClientStatusQuery, ClientStatusScope, ClientStatusSettings,
        ClientStatusSummary, ClientStatusThreshold, ClientStatusThresholdSet,
    },
    id::{CollectionId, DeviceId},
};
use muster_site::authz::Access;

pub(super) fn routes() -> Vec<Route> {
    vec![
        Route::get("/api/v1/client-status", Access::See, summary)
            .about("client_status_summary", "How many clients are active and sound, now and on the days before.")
            .query::<ClientStatusScope>()
            .gives::<ClientStatusSummary>(),
        Route::get("/api/v1/client-status/devices", Access::See, list)
            .about("client_status_list", "Clients with their status, by name.")
            .query::<ClientStatusQuery>()
            .gives_page::<ClientStatus>(),
        Route::get("/api/v1/client-status/devices/{id}", Access::See, show)
            .about("client_status_show", "The status of a client, with each of its checks.")
            .gives::<ClientStatusDetail>(),
        Route::get("/api/v1/client-status/settings", Access::See, settings_show)
            .about("client_status_settings_show", "How old which sign of life may be.")
            .gives::<ClientStatusSettings>(),
        Route::post("/api/v1/client-status/settings", Access::Change, settings_update)
            .about("client_status_settings_update", "Set how old which sign of life may be.")
            .takes::<ClientStatusSettings>()
            .gives::<ClientStatusSettings>(),
        Route::get("/api/v1/client-status/thresholds", Access::See, threshold_list)
            .about("client_status_threshold_list", "Below which part of which collection there is an alert.")
            .gives_page::<ClientStatusThreshold>(),
        Route::post("/api/v1/client-status/thresholds/{id}", Access::Change, threshold_set)
            .about("client_status_threshold_set", "Set or remove the threshold of a collection.")
            .takes::<ClientStatusThresholdSet>()
            .gives_page::<ClientStatusThreshold>(),
    ]
}

async fn summary(
    State(app): State<AppState>,
    Asking(ctx): Asking,
    Asked(scope): Asked<ClientStatusScope>,
) -> Result<Response, Refusal> {
    Ok(json(StatusCode::OK, &muster_site::client_status_summary(&ctx, &app.site, scope.collection).await?))
}

async fn list(
    State(app): State<AppState>,
    Asking(ctx): Asking,
    Asked(query): Asked<ClientStatusQuery>,
) -> Result<Response, Refusal> {
    Ok(json(StatusCode::OK, &muster_site::client_status_list(&ctx, &app.site, query).await?))
}

async fn show(State(app): State<AppState>, Asking(ctx): Asking, Part(id): Part<DeviceId>) -> Result<Response, Refusal> {
    Ok(json(StatusCode::OK, &muster_site::client_status_show(&ctx, &app.site, id).await?))
}

async fn settings_show(State(app): State<AppState>, Asking(ctx): Asking) -> Result<Response, Refusal> {
    Ok(json(StatusCode::OK, &muster_site::client_status_settings_show(&ctx, &app.site).await?))
}

async fn settings_update(
    State(app): State<AppState>,
    Asking(ctx): Asking,
    Json(set): Json<ClientStatusSettings>,
) -> Result<Response, Refusal> {
    Ok(json(StatusCode::OK, &muster_site::client_status_settings_update(&ctx, &app.site, set).await?))
}

async fn threshold_list(State(app): State<AppState>, Asking(ctx): Asking) -> Result<Response, Refusal> {
    Ok(json(StatusCode::OK, &muster_site::client_status_threshold_list(&ctx, &app.site).await?))
}

async fn threshold_set(
    State(app): State<AppState>,
    Asking(ctx): Asking,
    Part(id): Part<CollectionId>,
    Json(set): Json<ClientStatusThresholdSet>,
) -> Result<Response, Refusal> {
    Ok(json(StatusCode::OK, &muster_site::client_status_threshold_set(&ctx, &app.site, id, set).await?))
}
