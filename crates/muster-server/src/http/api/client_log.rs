//! Logs of clients.

use crate::http::{
    AppState,
    extract::{Asking, Json, Part},
    respond::{self, Refusal, json},
    route::Route,
};
use axum::{extract::State, response::Response};
use http::{HeaderValue, StatusCode};
use muster_model::{
    api::{ClientLog, LogCollect, LogCollected},
    id::{DeviceId, LogRequestId},
};
use muster_site::authz::Access;

/// Lines of JSON.
pub(crate) const LINES: &str = "application/x-ndjson";

pub(super) fn routes() -> Vec<Route> {
    vec![
        Route::get("/api/v1/devices/{id}/logs", Access::See, show)
            .about("client_log_show", "Where the log of a device stands, and pieces of it that were asked for.")
            .gives::<ClientLog>(),
        Route::post("/api/v1/devices/{id}/logs", Access::Change, collect)
            .about(
                "client_log_collect",
                "Ask a device for the end of its log. It hears of it in its signed assignment.",
            )
            .takes::<LogCollect>()
            .status(202)
            .gives::<LogCollected>(),
        Route::post("/api/v1/devices/{id}/logs/{piece}/download", Access::Change, download)
            .about("client_log_download", "The lines of a piece of a log. That it was read is in the audit log.")
            .gives_bytes(LINES),
    ]
}

async fn show(State(app): State<AppState>, Asking(ctx): Asking, Part(id): Part<DeviceId>) -> Result<Response, Refusal> {
    Ok(json(StatusCode::OK, &muster_site::client_log_show(&ctx, &app.site, id).await?))
}

async fn collect(
    State(app): State<AppState>,
    Asking(ctx): Asking,
    Part(id): Part<DeviceId>,
    Json(wanted): Json<LogCollect>,
) -> Result<Response, Refusal> {
    Ok(json(StatusCode::ACCEPTED, &muster_site::client_log_collect(&ctx, &app.site, id, wanted).await?))
}

async fn download(
    State(app): State<AppState>,
    Asking(ctx): Asking,
    Part((id, piece)): Part<(DeviceId, LogRequestId)>,
) -> Result<Response, Refusal> {
    let lines = muster_site::client_log_download(&ctx, &app.site, id, piece).await?;
    Ok(respond::bytes(StatusCode::OK, HeaderValue::from_static(LINES), lines))
}
