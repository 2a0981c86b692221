//! Devices that foreign protocols manage, and their tokens.

use crate::http::{
    AppState,
    extract::{Asked, Asking, Json, Part},
    respond::{Refusal, json},
    route::Route,
};
use axum::{extract::State, response::Response};
use http::StatusCode;
use muster_model::{
    api::{MobileDevice, MobileToken, MobileTokenCreate, MobileTokenCreated, PageQuery, Reason},
    id::{MobileId, TokenId},
};
use muster_site::authz::Access;

pub(super) fn routes() -> Vec<Route> {
    vec![
        Route::get("/api/v1/mobile/tokens", Access::See, token_list)
            .about("mobile_token_list", "Tokens of mobile devices, the newest first, without their challenges.")
            .query::<PageQuery>()
            .gives_page::<MobileToken>(),
        Route::post("/api/v1/mobile/tokens", Access::Change, token_create)
            .about(
                "mobile_token_create",
                "Make a token for one device of one class. Its challenge is in this answer and nowhere else.",
            )
            .takes::<MobileTokenCreate>()
            .status(201)
            .gives::<MobileTokenCreated>(),
        Route::delete("/api/v1/mobile/tokens/{id}", Access::Change, token_revoke)
            .about("mobile_token_revoke", "Take back a token of a mobile device that was not used.")
            .gives::<MobileToken>(),
        Route::get("/api/v1/mobile/devices", Access::See, device_list)
            .about("mobile_device_list", "Mobile devices that were given a certificate, the newest first.")
            .query::<PageQuery>()
            .gives_page::<MobileDevice>(),
        Route::post("/api/v1/mobile/devices/{id}/block", Access::Change, device_block)
            .about("mobile_device_block", "Block a mobile device for good, and revoke its certificate.")
            .takes::<Reason>()
            .gives::<MobileDevice>(),
    ]
}

async fn token_list(
    State(app): State<AppState>,
    Asking(ctx): Asking,
    Asked(query): Asked<PageQuery>,
) -> Result<Response, Refusal> {
    Ok(json(StatusCode::OK, &muster_site::mobile_token_list(&ctx, &app.site, query).await?))
}

async fn token_create(
    State(app): State<AppState>,
    Asking(ctx): Asking,
    Json(request): Json<MobileTokenCreate>,
) -> Result<Response, Refusal> {
    Ok(json(StatusCode::CREATED, &muster_site::mobile_token_create(&ctx, &app.site, request).await?))
}

async fn token_revoke(
    State(app): State<AppState>,
    Asking(ctx): Asking,
    Part(id): Part<TokenId>,
) -> Result<Response, Refusal> {
    Ok(json(StatusCode::OK, &muster_site::mobile_token_revoke(&ctx, &app.site, id).await?))
}

async fn device_list(
    State(app): State<AppState>,
    Asking(ctx): Asking,
    Asked(query): Asked<PageQuery>,
) -> Result<Response, Refusal> {
    Ok(json(StatusCode::OK, &muster_site::mobile_device_list(&ctx, &app.site, query).await?))
}

async fn device_block(
    State(app): State<AppState>,
    Asking(ctx): Asking,
    Part(id): Part<MobileId>,
    Json(reason): Json<Reason>,
) -> Result<Response, Refusal> {
    Ok(json(StatusCode::OK, &muster_site::mobile_device_block(&ctx, &app.site, id, reason).await?))
}
