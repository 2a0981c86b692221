//! `/health/live`, `/health/ready` and `/metrics`.

use super::{
    AppState,
    extract::Asking,
    respond::{self, Refusal},
    route::Route,
};
use axum::{extract::State, response::Response};
use http::{HeaderValue, StatusCode};
use muster_site::authz::{self, Access};
use serde::Serialize;

#[derive(Serialize)]
struct Health {
    status: &'static str,
}

/// The routes. Health says nothing but yes or no; metrics are for the machine itself, or for whoever may see the site.
pub(crate) fn routes() -> Vec<Route> {
    vec![
        Route::get("/health/live", Access::Anyone, live),
        Route::get("/health/ready", Access::Anyone, ready),
        Route::get("/metrics", Access::Anyone, metrics),
    ]
}

async fn live() -> Response {
    respond::json(StatusCode::OK, &Health { status: "live" })
}

/// Ready: the database answers.
async fn ready(State(app): State<AppState>) -> Result<Response, Refusal> {
    app.site.store.ping().await.map_err(muster_site::SiteError::from)?;
    Ok(respond::json(StatusCode::OK, &Health { status: "ready" }))
}

/// On a loopback address without a session; elsewhere for whoever may see the site.
async fn metrics(State(app): State<AppState>, Asking(ctx): Asking) -> Result<Response, Refusal> {
    if !app.loopback {
        authz::see(&ctx)?;
    }
    let text = HeaderValue::from_static("text/plain; version=0.0.4; charset=utf-8");
    Ok(respond::bytes(StatusCode::OK, text, app.metrics.render()))
}
