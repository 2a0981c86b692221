//! Devices, their inventory and their history.

use crate::http::{
    AppState,
    extract::{Asked, Asking, IfMatch, Json, Part},
    respond::{Refusal, etag, json},
    route::Route,
};
use axum::{extract::State, response::Response};
use http::{StatusCode, header};
use muster_model::{
    api::{
        ClassRows, Device, DeviceDetail, DeviceQuery, DevicesBlock, DevicesBlocked, PageQuery, Reason, Revoke,
        TimelineEntry,
    },
    id::DeviceId,
};
use muster_site::authz::Access;

pub(super) fn routes() -> Vec<Route> {
    vec![
        Route::get("/api/v1/devices", Access::See, list)
            .about("device_list", "Devices: searched, sorted, a page at a time.")
            .query::<DeviceQuery>()
            .gives_page::<Device>(),
        Route::get("/api/v1/devices/{id}", Access::See, show)
            .about("device_show", "One device. The ETag is its revision.")
            .gives::<DeviceDetail>(),
        Route::get("/api/v1/devices/{id}/inventory/{class}", Access::See, inventory)
            .about("inventory_show", "The rows of one inventory class of a device.")
            .query::<PageQuery>()
            .gives::<ClassRows>(),
        Route::get("/api/v1/devices/{id}/timeline", Access::See, timeline)
            .about("device_timeline", "The history of a device, the latest first.")
            .query::<PageQuery>()
            .gives_page::<TimelineEntry>(),
        Route::post("/api/v1/devices/{id}/block", Access::Change, block)
            .about(
                "device_block",
                "Lock a device out: its connections are closed at once. If-Match: only if unchanged.",
            )
            .takes::<Reason>()
            .gives::<Device>(),
        Route::post("/api/v1/devices/block", Access::Change, block_many)
            .about("device_block_many", "Lock up to 1,000 devices out in one step: all of them, or none.")
            .takes::<DevicesBlock>()
            .gives::<DevicesBlocked>(),
        Route::post("/api/v1/devices/{id}/unblock", Access::Change, unblock)
            .about("device_unblock", "Let a blocked device in again.")
            .takes::<Reason>()
            .gives::<Device>(),
        Route::post("/api/v1/devices/{id}/retire", Access::Change, retire)
            .about("device_retire", "Let a device go for good: to come back it must enrol anew.")
            .takes::<Reason>()
            .gives::<Device>(),
        Route::post("/api/v1/devices/{id}/revoke", Access::Change, revoke)
            .about(
                "device_revoke",
                "Revoke every certificate of a device for good: it comes back by enrolling with a new key.",
            )
            .takes::<Revoke>()
            .gives::<Device>(),
    ]
}

async fn list(
    State(app): State<AppState>,
    Asking(ctx): Asking,
    Asked(query): Asked<DeviceQuery>,
) -> Result<Response, Refusal> {
    Ok(json(StatusCode::OK, &muster_site::device_list(&ctx, &app.site, query).await?))
}

async fn show(State(app): State<AppState>, Asking(ctx): Asking, Part(id): Part<DeviceId>) -> Result<Response, Refusal> {
    let detail = muster_site::device_show(&ctx, &app.site, id).await?;
    let mut response = json(StatusCode::OK, &detail);
    response.headers_mut().insert(header::ETAG, etag(detail.revision));
    Ok(response)
}

async fn inventory(
    State(app): State<AppState>,
    Asking(ctx): Asking,
    Part((id, class)): Part<(DeviceId, String)>,
    Asked(query): Asked<PageQuery>,
) -> Result<Response, Refusal> {
    Ok(json(StatusCode::OK, &muster_site::inventory_show(&ctx, &app.site, id, &class, query).await?))
}

async fn timeline(
    State(app): State<AppState>,
    Asking(ctx): Asking,
    Part(id): Part<DeviceId>,
    Asked(query): Asked<PageQuery>,
) -> Result<Response, Refusal> {
    Ok(json(StatusCode::OK, &muster_site::device_timeline(&ctx, &app.site, id, query).await?))
}

async fn block(
    State(app): State<AppState>,
    Asking(ctx): Asking,
    Part(id): Part<DeviceId>,
    IfMatch(revision): IfMatch,
    Json(reason): Json<Reason>,
) -> Result<Response, Refusal> {
    Ok(json(StatusCode::OK, &muster_site::device_block(&ctx, &app.site, id, reason, revision).await?))
}

async fn block_many(
    State(app): State<AppState>,
    Asking(ctx): Asking,
    Json(request): Json<DevicesBlock>,
) -> Result<Response, Refusal> {
    Ok(json(StatusCode::OK, &muster_site::device_block_many(&ctx, &app.site, request).await?))
}

async fn unblock(
    State(app): State<AppState>,
    Asking(ctx): Asking,
    Part(id): Part<DeviceId>,
    IfMatch(revision): IfMatch,
    Json(reason): Json<Reason>,
) -> Result<Response, Refusal> {
    Ok(json(StatusCode::OK, &muster_site::device_unblock(&ctx, &app.site, id, reason, revision).await?))
}

async fn retire(
    State(app): State<AppState>,
    Asking(ctx): Asking,
    Part(id): Part<DeviceId>,
    IfMatch(revision): IfMatch,
    Json(reason): Json<Reason>,
) -> Result<Response, Refusal> {
    Ok(json(StatusCode::OK, &muster_site::device_retire(&ctx, &app.site, id, reason, revision).await?))
}

async fn revoke(
    State(app): State<AppState>,
    Asking(ctx): Asking,
    Part(id): Part<DeviceId>,
    Json(request): Json<Revoke>,
) -> Result<Response, Refusal> {
    Ok(json(StatusCode::OK, &muster_site::device_revoke(&ctx, &app.site, id, request).await?))
}
