//! Alerts: what needs somebody.

use crate::http::{
    AppState,
    extract::{Asked, Asking, Json, Part},
    respond::{Refusal, json},
    route::Route,
};
use axum::{extract::State, response::Response};
use http::StatusCode;
use muster_model::{
    api::{Alert, AlertDevice, AlertPostpone, AlertQuery, PageQuery},
    id::AlertId,
};
use muster_site::authz::Access;

pub(super) fn routes() -> Vec<Route> {
    vec![
        Route::get("/api/v1/alerts", Access::See, list)
            .about("alert_list", "What needs somebody, the latest first.")
            .query::<AlertQuery>()
            .gives_page::<Alert>(),
        Route::get("/api/v1/alerts/{id}", Access::See, show).about("alert_show", "One alert.").gives::<Alert>(),
        Route::get("/api/v1/alerts/{id}/devices", Access::See, devices)
            .about("alert_devices", "The devices of an alert; of very many the first ones.")
            .query::<PageQuery>()
            .gives_page::<AlertDevice>(),
        Route::post("/api/v1/alerts/{id}/acknowledge", Access::Change, acknowledge)
            .about("alert_acknowledge", "Say that somebody has looked. It stays until it is so no longer.")
            .gives::<Alert>(),
        Route::post("/api/v1/alerts/{id}/postpone", Access::Change, postpone)
            .about("alert_postpone", "Hear nothing of an alert for some hours.")
            .takes::<AlertPostpone>()
            .gives::<Alert>(),
        Route::post("/api/v1/alerts/{id}/close", Access::Change, close)
            .about("alert_close", "Say that an alert is over that the site cannot see to be over.")
            .gives::<Alert>(),
    ]
}

async fn list(
    State(app): State<AppState>,
    Asking(ctx): Asking,
    Asked(query): Asked<AlertQuery>,
) -> Result<Response, Refusal> {
    Ok(json(StatusCode::OK, &muster_site::alert_list(&ctx, &app.site, query).await?))
}

async fn show(State(app): State<AppState>, Asking(ctx): Asking, Part(id): Part<AlertId>) -> Result<Response, Refusal> {
    Ok(json(StatusCode::OK, &muster_site::alert_show(&ctx, &app.site, id).await?))
}

async fn devices(
    State(app): State<AppState>,
    Asking(ctx): Asking,
    Part(id): Part<AlertId>,
    Asked(query): Asked<PageQuery>,
) -> Result<Response, Refusal> {
    Ok(json(StatusCode::OK, &muster_site::alert_devices(&ctx, &app.site, id, query).await?))
}

async fn acknowledge(
    State(app): State<AppState>,
    Asking(ctx): Asking,
    Part(id): Part<AlertId>,
) -> Result<Response, Refusal> {
    Ok(json(StatusCode::OK, &muster_site::alert_acknowledge(&ctx, &app.site, id).await?))
}

async fn postpone(
    State(app): State<AppState>,
    Asking(ctx): Asking,
    Part(id): Part<AlertId>,
    Json(wanted): Json<AlertPostpone>,
) -> Result<Response, Refusal> {
    Ok(json(StatusCode::OK, &muster_site::alert_postpone(&ctx, &app.site, id, wanted).await?))
}

async fn close(State(app): State<AppState>, Asking(ctx): Asking, Part(id): Part<AlertId>) -> Result<Response, Refusal> {
    Ok(json(StatusCode::OK, &muster_site::alert_close(&ctx, &app.site, id).await?))
}
