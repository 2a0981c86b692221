//! The history of a device's inventory.

use crate::http::{
    AppState,
    extract::{Asked, Asking, Part},
    respond::{Refusal, json},
    route::Route,
};
use axum::{extract::State, response::Response};
use http::StatusCode;
use muster_model::{
    api::{ClassRows, CompareQuery, DeviceComparison, DeviceHistory, HistoryQuery, MomentQuery},
    id::DeviceId,
};
use muster_site::authz::Access;

pub(super) fn routes() -> Vec<Route> {
    vec![
        Route::get("/api/v1/devices/{id}/history", Access::See, list)
            .about("history_list", "How the inventory of a device changed, the latest first.")
            .query::<HistoryQuery>()
            .gives::<DeviceHistory>(),
        Route::get("/api/v1/devices/{id}/history/{class}", Access::See, show)
            .about("history_show", "The rows of one inventory class of a device as they were at a moment.")
            .query::<MomentQuery>()
            .gives::<ClassRows>(),
        Route::get("/api/v1/devices/{id}/compare", Access::See, compare)
            .about("history_compare", "What is different on a device between two moments.")
            .query::<CompareQuery>()
            .gives::<DeviceComparison>(),
    ]
}

async fn list(
    State(app): State<AppState>,
    Asking(ctx): Asking,
    Part(id): Part<DeviceId>,
    Asked(query): Asked<HistoryQuery>,
) -> Result<Response, Refusal> {
    Ok(json(StatusCode::OK, &muster_site::history_list(&ctx, &app.site, id, query).await?))
}

async fn show(
    State(app): State<AppState>,
    Asking(ctx): Asking,
    Part((id, class)): Part<(DeviceId, String)>,
    Asked(query): Asked<MomentQuery>,
) -> Result<Response, Refusal> {
    Ok(json(StatusCode::OK, &muster_site::history_show(&ctx, &app.site, id, &class, query).await?))
}

async fn compare(
    State(app): State<AppState>,
    Asking(ctx): Asking,
    Part(id): Part<DeviceId>,
    Asked(query): Asked<CompareQuery>,
) -> Result<Response, Refusal> {
    Ok(json(StatusCode::OK, &muster_site::history_compare(&ctx, &app.site, id, query).await?))
}
