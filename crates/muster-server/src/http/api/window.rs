//! Maintenance windows of collections, and of devices.

use crate::http::{
    AppState,
    extract::{Asking, IfMatch, Json, Part},
    respond::{Refusal, empty, etag, json},
    route::Route,
};
use axum::{extract::State, response::Response};
use http::{StatusCode, header};
use muster_model::{
    api::{CollectionWindow, DeviceWindow},
    id::{CollectionId, DeviceId, WindowId},
    window::MaintenanceWindow,
};
use muster_site::authz::Access;

pub(super) fn routes() -> Vec<Route> {
    vec![
        Route::get("/api/v1/collections/{id}/windows", Access::See, list)
            .about("collection_window_list", "The maintenance windows of a collection, by name.")
            .gives::<Vec<CollectionWindow>>(),
        Route::post("/api/v1/collections/{id}/windows", Access::Change, add)
            .about("collection_window_add", "Give a collection a maintenance window. Its members keep to it.")
            .takes::<MaintenanceWindow>()
            .gives::<CollectionWindow>()
            .status(201),
        Route::put("/api/v1/collections/{id}/windows/{window}", Access::Change, update)
            .about("collection_window_update", "Change a maintenance window. If-Match: only if unchanged.")
            .takes::<MaintenanceWindow>()
            .gives::<CollectionWindow>(),
        Route::delete("/api/v1/collections/{id}/windows/{window}", Access::Change, delete)
            .about("collection_window_delete", "Delete a maintenance window. Members without another one are free.")
            .status(204),
        Route::get("/api/v1/devices/{id}/windows", Access::See, of_device)
            .about("device_windows", "The maintenance windows that hold for a device, by collection.")
            .gives::<Vec<DeviceWindow>>(),
    ]
}

fn tagged(status: StatusCode, window: &CollectionWindow) -> Response {
    let mut response = json(status, window);
    response.headers_mut().insert(header::ETAG, etag(window.revision));
    response
}

async fn list(
    State(app): State<AppState>,
    Asking(ctx): Asking,
    Part(id): Part<CollectionId>,
) -> Result<Response, Refusal> {
    Ok(json(StatusCode::OK, &muster_site::collection_window_list(&ctx, &app.site, id).await?))
}

async fn add(
    State(app): State<AppState>,
    Asking(ctx): Asking,
    Part(id): Part<CollectionId>,
    Json(request): Json<MaintenanceWindow>,
) -> Result<Response, Refusal> {
    let added = muster_site::collection_window_add(&ctx, &app.site, id, &request).await?;
    Ok(tagged(StatusCode::CREATED, &added))
}

async fn update(
    State(app): State<AppState>,
    Asking(ctx): Asking,
    Part(which): Part<(CollectionId, WindowId)>,
    IfMatch(revision): IfMatch,
    Json(request): Json<MaintenanceWindow>,
) -> Result<Response, Refusal> {
    let changed = muster_site::collection_window_update(&ctx, &app.site, which, &request, revision).await?;
    Ok(tagged(StatusCode::OK, &changed))
}

async fn delete(
    State(app): State<AppState>,
    Asking(ctx): Asking,
    Part((id, window)): Part<(CollectionId, WindowId)>,
) -> Result<Response, Refusal> {
    muster_site::collection_window_delete(&ctx, &app.site, id, window).await?;
    Ok(empty(StatusCode::NO_CONTENT))
}

async fn of_device(
    State(app): State<AppState>,
    Asking(ctx): Asking,
    Part(id): Part<DeviceId>,
) -> Result<Response, Refusal> {
    Ok(json(StatusCode::OK, &muster_site::device_windows(&ctx, &app.site, id).await?))
}
