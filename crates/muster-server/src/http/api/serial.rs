//! Serial numbers that the site expects.

use crate::http::{
    AppState,
    extract::{Asked, Asking, Json, Part},
    respond::{Refusal, json},
    route::Route,
};
use axum::{extract::State, response::Response};
use http::StatusCode;
use muster_model::api::{PageQuery, Reason, Serial, SerialImport, SerialImported};
use muster_site::authz::Access;

pub(super) fn routes() -> Vec<Route> {
    vec![
        Route::get("/api/v1/serials", Access::See, list)
            .about("serial_list", "Serial numbers that the site expects, the latest first. They prove nothing.")
            .query::<PageQuery>()
            .gives_page::<Serial>(),
        Route::post("/api/v1/serials", Access::Change, import)
            .about("serial_import", "Expect a list of serial numbers, all or none.")
            .takes::<SerialImport>()
            .gives::<SerialImported>(),
        Route::post("/api/v1/serials/{serial}/remove", Access::Change, remove)
            .about("serial_remove", "Expect a serial number no more.")
            .takes::<Reason>()
            .gives::<Serial>(),
    ]
}

async fn list(
    State(app): State<AppState>,
    Asking(ctx): Asking,
    Asked(query): Asked<PageQuery>,
) -> Result<Response, Refusal> {
    Ok(json(StatusCode::OK, &muster_site::serial_list(&ctx, &app.site, query).await?))
}

async fn import(
    State(app): State<AppState>,
    Asking(ctx): Asking,
    Json(request): Json<SerialImport>,
) -> Result<Response, Refusal> {
    Ok(json(StatusCode::OK, &muster_site::serial_import(&ctx, &app.site, request).await?))
}

async fn remove(
    State(app): State<AppState>,
    Asking(ctx): Asking,
    Part(serial): Part<String>,
    Json(reason): Json<Reason>,
) -> Result<Response, Refusal> {
    Ok(json(StatusCode::OK, &muster_site::serial_remove(&ctx, &app.site, serial, reason).await?))
}
