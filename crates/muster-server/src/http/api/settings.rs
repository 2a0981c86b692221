//! Client settings.

use crate::http::{
    AppState,
    extract::{Asking, Json},
    respond::{Refusal, json},
    route::Route,
};
use axum::{extract::State, response::Response};
use http::StatusCode;
use muster_model::policy::ClientSettings;
use muster_site::authz::Access;

pub(super) fn routes() -> Vec<Route> {
    vec![
        Route::get("/api/v1/settings", Access::See, show)
            .about("settings_show", "The client settings in force. Lengths in milliseconds.")
            .gives::<ClientSettings>(),
        Route::put("/api/v1/settings", Access::Change, update)
            .about("settings_update", "Change the client settings; every device gets a new assignment.")
            .takes::<ClientSettings>()
            .gives::<ClientSettings>(),
    ]
}

async fn show(State(app): State<AppState>, Asking(ctx): Asking) -> Result<Response, Refusal> {
    Ok(json(StatusCode::OK, &muster_site::settings_show(&ctx, &app.site).await?))
}

async fn update(
    State(app): State<AppState>,
    Asking(ctx): Asking,
    Json(settings): Json<ClientSettings>,
) -> Result<Response, Refusal> {
    Ok(json(StatusCode::OK, &muster_site::settings_update(&ctx, &app.site, settings).await?))
}
