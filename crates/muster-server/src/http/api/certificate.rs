//! Certificates that the site issued, and what it says of those that it revoked.

use crate::http::{
    AppState,
    extract::{Asked, Asking, Json, Part},
    respond::{Refusal, json},
    route::Route,
};
use axum::{extract::State, response::Response};
use http::StatusCode;
use muster_model::api::{Certificate, CertificateQuery, RevocationState, Revoke};
use muster_site::authz::Access;

pub(super) fn routes() -> Vec<Route> {
    vec![
        Route::get("/api/v1/certificates", Access::See, list)
            .about("certificate_list", "Certificates that have not ended, the newest first.")
            .query::<CertificateQuery>()
            .gives_page::<Certificate>(),
        Route::post("/api/v1/certificates/{serial}/revoke", Access::Change, revoke)
            .about("certificate_revoke", "Revoke one certificate for good, a device's or the server's own.")
            .takes::<Revoke>()
            .gives::<Certificate>(),
        Route::get("/api/v1/revocation", Access::See, revocation)
            .about(
                "revocation_show",
                "The signed revocation lists as they are published now, and what is wrong with them.",
            )
            .gives::<RevocationState>(),
    ]
}

async fn list(
    State(app): State<AppState>,
    Asking(ctx): Asking,
    Asked(query): Asked<CertificateQuery>,
) -> Result<Response, Refusal> {
    Ok(json(StatusCode::OK, &muster_site::certificate_list(&ctx, &app.site, query).await?))
}

async fn revoke(
    State(app): State<AppState>,
    Asking(ctx): Asking,
    Part(serial): Part<String>,
    Json(request): Json<Revoke>,
) -> Result<Response, Refusal> {
    Ok(json(StatusCode::OK, &muster_site::certificate_revoke(&ctx, &app.site, &serial, request).await?))
}

async fn revocation(State(app): State<AppState>, Asking(ctx): Asking) -> Result<Response, Refusal> {
    Ok(json(StatusCode::OK, &muster_site::revocation_show(&ctx, &app.site).await?))
}
