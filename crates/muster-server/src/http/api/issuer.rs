//! Issuers: CAs of the enterprise whose client certificates count.

use crate::http::{
    AppState,
    extract::{Asking, Json, Part},
    respond::{Refusal, json},
    route::Route,
};
use axum::{extract::State, response::Response};
use http::StatusCode;
use muster_model::{
    api::{Issuer, IssuerAdd, Reason},
    id::Hash,
};
use muster_site::authz::Access;

pub(super) fn routes() -> Vec<Route> {
    vec![
        Route::get("/api/v1/issuers", Access::See, list)
            .about("issuer_list", "CAs of the enterprise whose client certificates count, with their revocation lists.")
            .gives_page::<Issuer>(),
        Route::post("/api/v1/issuers", Access::Change, add)
            .about("issuer_add", "Let the client certificates of a CA count. They let nobody in without an approval.")
            .takes::<IssuerAdd>()
            .gives::<Issuer>(),
        Route::post("/api/v1/issuers/{id}/remove", Access::Change, remove)
            .about(
                "issuer_remove",
                "Let the certificates of a CA count no more. Devices that talk with them are shut out at once.",
            )
            .takes::<Reason>()
            .gives::<Issuer>(),
    ]
}

async fn list(State(app): State<AppState>, Asking(ctx): Asking) -> Result<Response, Refusal> {
    Ok(json(StatusCode::OK, &muster_site::issuer_list(&ctx, &app.site).await?))
}

async fn add(
    State(app): State<AppState>,
    Asking(ctx): Asking,
    Json(request): Json<IssuerAdd>,
) -> Result<Response, Refusal> {
    Ok(json(StatusCode::OK, &muster_site::issuer_add(&ctx, &app.site, request).await?))
}

async fn remove(
    State(app): State<AppState>,
    Asking(ctx): Asking,
    Part(id): Part<Hash>,
    Json(reason): Json<Reason>,
) -> Result<Response, Refusal> {
    Ok(json(StatusCode::OK, &muster_site::issuer_remove(&ctx, &app.site, id, reason).await?))
}
