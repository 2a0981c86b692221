//! The trust bundle in force.

use crate::http::{
    AppState,
    extract::Asking,
    respond::{Refusal, json},
    route::Route,
};
use axum::{extract::State, response::Response};
use http::StatusCode;
use muster_model::api::TrustView;
use muster_site::authz::Access;

pub(super) fn routes() -> Vec<Route> {
    vec![
        Route::get("/api/v1/trust", Access::See, show)
            .about("trust_show", "The trust bundle in force, and which devices are known to have it.")
            .gives::<TrustView>(),
    ]
}

async fn show(State(app): State<AppState>, Asking(ctx): Asking) -> Result<Response, Refusal> {
    Ok(json(StatusCode::OK, &muster_site::trust_show(&ctx, &app.site).await?))
}
