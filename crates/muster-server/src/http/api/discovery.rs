//! Discovery: the directories in which is looked, and how long what was found is kept.

use crate::http::{
    AppState,
    extract::{Asking, Json, Part},
    respond::{Refusal, json},
    route::Route,
};
use axum::{extract::State, response::Response};
use http::StatusCode;
use muster_model::api::{
    DirectorySettings, DiscoveryRun, DiscoverySettings, DiscoverySource, DiscoverySources, NetworkDiscovery,
    NetworkSettings,
};
use muster_site::authz::Access;

pub(super) fn routes() -> Vec<Route> {
    vec![
        Route::get("/api/v1/discovery/settings", Access::See, settings_show)
            .about("discovery_settings_show", "How long what discovery found is kept.")
            .gives::<DiscoverySettings>(),
        Route::put("/api/v1/discovery/settings", Access::Change, settings_update)
            .about("discovery_settings_update", "Change how long what discovery found is kept.")
            .takes::<DiscoverySettings>()
            .gives::<DiscoverySettings>(),
        Route::get("/api/v1/discovery/network", Access::See, network_show)
            .about("network_discovery_show", "Network discovery: its ranges, and what the last look came to.")
            .gives::<NetworkDiscovery>(),
        Route::put("/api/v1/discovery/network", Access::Change, network_set)
            .about("network_discovery_set", "Set in which ranges network discovery looks. Nothing is ever sent there.")
            .takes::<NetworkSettings>()
            .gives::<NetworkDiscovery>(),
        Route::get("/api/v1/discovery/sources", Access::See, list)
            .about("discovery_list", "The directories in which is looked.")
            .gives::<DiscoverySources>(),
        Route::get("/api/v1/discovery/sources/{name}", Access::See, show)
            .about("discovery_show", "One directory: what is wanted of it, and what its last run came to.")
            .gives::<DiscoverySource>(),
        Route::put("/api/v1/discovery/sources/{name}", Access::Change, set)
            .about("discovery_set", "Set what is wanted of a directory. The next run is a full one.")
            .takes::<DirectorySettings>()
            .gives::<DiscoverySource>(),
        Route::delete("/api/v1/discovery/sources/{name}", Access::Change, delete)
            .about("discovery_delete", "Look at a directory no longer. What was found stays until it ages.")
            .gives::<DiscoverySource>(),
        Route::post("/api/v1/discovery/sources/{name}/run", Access::Change, run)
            .about("discovery_run", "Ask for a run now.")
            .takes::<DiscoveryRun>()
            .gives::<DiscoverySource>(),
    ]
}

async fn settings_show(State(app): State<AppState>, Asking(ctx): Asking) -> Result<Response, Refusal> {
    Ok(json(StatusCode::OK, &muster_site::discovery_settings_show(&ctx, &app.site).await?))
}

async fn settings_update(
    State(app): State<AppState>,
    Asking(ctx): Asking,
    Json(request): Json<DiscoverySettings>,
) -> Result<Response, Refusal> {
    Ok(json(StatusCode::OK, &muster_site::discovery_settings_update(&ctx, &app.site, request).await?))
}

async fn network_show(State(app): State<AppState>, Asking(ctx): Asking) -> Result<Response, Refusal> {
    Ok(json(StatusCode::OK, &muster_site::network_discovery_show(&ctx, &app.site).await?))
}

async fn network_set(
    State(app): State<AppState>,
    Asking(ctx): Asking,
    Json(request): Json<NetworkSettings>,
) -> Result<Response, Refusal> {
    Ok(json(StatusCode::OK, &muster_site::network_discovery_set(&ctx, &app.site, request).await?))
}

async fn list(State(app): State<AppState>, Asking(ctx): Asking) -> Result<Response, Refusal> {
    Ok(json(StatusCode::OK, &muster_site::discovery_list(&ctx, &app.site).await?))
}

async fn show(State(app): State<AppState>, Asking(ctx): Asking, Part(name): Part<String>) -> Result<Response, Refusal> {
    Ok(json(StatusCode::OK, &muster_site::discovery_show(&ctx, &app.site, &name).await?))
}

async fn set(
    State(app): State<AppState>,
    Asking(ctx): Asking,
    Part(name): Part<String>,
    Json(request): Json<DirectorySettings>,
) -> Result<Response, Refusal> {
    Ok(json(StatusCode::OK, &muster_site::discovery_set(&ctx, &app.site, &name, request).await?))
}

async fn delete(
    State(app): State<AppState>,
    Asking(ctx): Asking,
    Part(name): Part<String>,
) -> Result<Response, Refusal> {
    Ok(json(StatusCode::OK, &muster_site::discovery_delete(&ctx, &app.site, &name).await?))
}

async fn run(
    State(app): State<AppState>,
    Asking(ctx): Asking,
    Part(name): Part<String>,
    Json(request): Json<DiscoveryRun>,
) -> Result<Response, Refusal> {
    Ok(json(StatusCode::OK, &muster_site::discovery_run(&ctx, &app.site, &name, request).await?))
}
