//! Client settings: the default, custom ones, their versions, what a change would change, and what comes of them for a device.

use crate::http::{
    AppState,
    extract::{Asked, Asking, IfMatch, Json, Part},
    respond::{Refusal, empty, etag, json},
    route::Route,
};
use axum::{extract::State, response::Response};
use http::{StatusCode, header};
use muster_model::{
    api::{
        DeviceSetting, PageQuery, SettingInfo, SettingsAsk, SettingsMove, SettingsObject, SettingsPreview, SettingsSet,
        SettingsVersion,
    },
    id::{DeviceId, SettingsId},
};
use muster_site::authz::Access;

pub(super) fn routes() -> Vec<Route> {
    vec![
        Route::get("/api/v1/settings", Access::See, list)
            .about("settings_list", "The default client settings, and after them the custom ones by priority.")
            .gives::<Vec<SettingsObject>>(),
        Route::post("/api/v1/settings", Access::Change, create)
            .about("settings_create", "Make custom client settings for collections. They come after all others.")
            .takes::<SettingsSet>()
            .gives::<SettingsObject>()
            .status(201),
        Route::get("/api/v1/settings/{id}", Access::See, show)
            .about("settings_show", "An object of client settings; the default has all zeros for its id.")
            .gives::<SettingsObject>(),
        Route::put("/api/v1/settings/{id}", Access::Change, update)
            .about("settings_update", "Change client settings, as their next version. If-Match: only if unchanged.")
            .takes::<SettingsSet>()
            .gives::<SettingsObject>(),
        Route::delete("/api/v1/settings/{id}", Access::Change, delete)
            .about("settings_delete", "Delete custom client settings. If-Match: only if unchanged.")
            .status(204),
        Route::post("/api/v1/settings/{id}/move", Access::Change, move_to)
            .about("settings_move", "Give custom client settings another priority; the others keep their order.")
            .takes::<SettingsMove>()
            .gives::<SettingsObject>(),
        Route::get("/api/v1/settings/{id}/versions", Access::See, versions)
            .about("settings_versions", "What client settings were, the newest version first.")
            .gives_page::<SettingsVersion>(),
        Route::get("/api/v1/settings-catalogue", Access::See, catalogue)
            .about("settings_catalogue", "Every setting: what it takes, its default, and what it collects.")
            .gives::<Vec<SettingInfo>>(),
        Route::post("/api/v1/settings-preview", Access::See, preview)
            .about("settings_preview", "What a change of client settings would change, and for how many devices.")
            .takes::<SettingsAsk>()
            .gives::<SettingsPreview>(),
        Route::get("/api/v1/devices/{id}/settings", Access::See, of_device)
            .about("device_settings", "The settings of a device, each with the object that says so.")
            .gives::<Vec<DeviceSetting>>(),
    ]
}

fn tagged(status: StatusCode, object: &SettingsObject) -> Response {
    let mut response = json(status, object);
    response.headers_mut().insert(header::ETAG, etag(object.version));
    response
}

async fn list(State(app): State<AppState>, Asking(ctx): Asking) -> Result<Response, Refusal> {
    Ok(json(StatusCode::OK, &muster_site::settings_list(&ctx, &app.site).await?))
}

async fn create(
    State(app): State<AppState>,
    Asking(ctx): Asking,
    Json(request): Json<SettingsSet>,
) -> Result<Response, Refusal> {
    Ok(tagged(StatusCode::CREATED, &muster_site::settings_create(&ctx, &app.site, &request).await?))
}

async fn show(
    State(app): State<AppState>,
    Asking(ctx): Asking,
    Part(id): Part<SettingsId>,
) -> Result<Response, Refusal> {
    Ok(tagged(StatusCode::OK, &muster_site::settings_show(&ctx, &app.site, id).await?))
}

async fn update(
    State(app): State<AppState>,
    Asking(ctx): Asking,
    Part(id): Part<SettingsId>,
    IfMatch(revision): IfMatch,
    Json(request): Json<SettingsSet>,
) -> Result<Response, Refusal> {
    Ok(tagged(StatusCode::OK, &muster_site::settings_update(&ctx, &app.site, id, &request, revision).await?))
}

async fn delete(
    State(app): State<AppState>,
    Asking(ctx): Asking,
    Part(id): Part<SettingsId>,
    IfMatch(revision): IfMatch,
) -> Result<Response, Refusal> {
    muster_site::settings_delete(&ctx, &app.site, id, revision).await?;
    Ok(empty(StatusCode::NO_CONTENT))
}

async fn move_to(
    State(app): State<AppState>,
    Asking(ctx): Asking,
    Part(id): Part<SettingsId>,
    IfMatch(revision): IfMatch,
    Json(request): Json<SettingsMove>,
) -> Result<Response, Refusal> {
    Ok(tagged(StatusCode::OK, &muster_site::settings_move(&ctx, &app.site, id, request.priority, revision).await?))
}

async fn versions(
    State(app): State<AppState>,
    Asking(ctx): Asking,
    Part(id): Part<SettingsId>,
    Asked(page): Asked<PageQuery>,
) -> Result<Response, Refusal> {
    Ok(json(StatusCode::OK, &muster_site::settings_versions(&ctx, &app.site, id, page).await?))
}

async fn catalogue(Asking(ctx): Asking) -> Result<Response, Refusal> {
    Ok(json(StatusCode::OK, &muster_site::settings_catalogue(&ctx)?))
}

async fn preview(
    State(app): State<AppState>,
    Asking(ctx): Asking,
    Json(request): Json<SettingsAsk>,
) -> Result<Response, Refusal> {
    Ok(json(StatusCode::OK, &muster_site::settings_preview(&ctx, &app.site, &request).await?))
}

async fn of_device(
    State(app): State<AppState>,
    Asking(ctx): Asking,
    Part(id): Part<DeviceId>,
) -> Result<Response, Refusal> {
    Ok(json(StatusCode::OK, &muster_site::device_settings(&ctx, &app.site, id).await?))
}
