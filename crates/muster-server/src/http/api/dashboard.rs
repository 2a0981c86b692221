//! The dashboard.

use crate::http::{
    AppState,
    extract::Asking,
    respond::{Refusal, json},
    route::Route,
};
use axum::{extract::State, response::Response};
use http::StatusCode;
use muster_model::api::Dashboard;
use muster_site::authz::Access;

pub(super) fn routes() -> Vec<Route> {
    vec![
        Route::get("/api/v1/dashboard", Access::See, show)
            .about("dashboard_show", "What an administrator wants to see first.")
            .gives::<Dashboard>(),
    ]
}

async fn show(State(app): State<AppState>, Asking(ctx): Asking) -> Result<Response, Refusal> {
    Ok(json(StatusCode::OK, &muster_site::dashboard_show(&ctx, &app.site).await?))
}
