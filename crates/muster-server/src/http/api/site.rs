//! The site itself.

use crate::http::{
    AppState,
    extract::Asking,
    respond::{Refusal, json},
    route::Route,
};
use axum::{extract::State, response::Response};
use http::StatusCode;
use muster_model::api::SiteInfo;
use muster_site::authz::Access;

pub(super) fn routes() -> Vec<Route> {
    vec![
        Route::get("/api/v1/site", Access::See, show)
            .about("site_show", "What the site says of itself.")
            .gives::<SiteInfo>(),
    ]
}

async fn show(State(app): State<AppState>, Asking(ctx): Asking) -> Result<Response, Refusal> {
    Ok(json(StatusCode::OK, &muster_site::site_show(&ctx, &app.site).await?))
}
