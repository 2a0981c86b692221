//! What devices sent and the site did not take.

use crate::http::{
    AppState,
    extract::{Asked, Asking},
    respond::{Refusal, json},
    route::Route,
};
use axum::{extract::State, response::Response};
use http::StatusCode;
use muster_model::api::{PageQuery, QuarantineItem};
use muster_site::authz::Access;

pub(super) fn routes() -> Vec<Route> {
    vec![
        Route::get("/api/v1/quarantine", Access::See, list)
            .about("quarantine_list", "What devices sent and the site did not take, the latest first.")
            .query::<PageQuery>()
            .gives_page::<QuarantineItem>(),
    ]
}

async fn list(
    State(app): State<AppState>,
    Asking(ctx): Asking,
    Asked(query): Asked<PageQuery>,
) -> Result<Response, Refusal> {
    Ok(json(StatusCode::OK, &muster_site::quarantine_list(&ctx, &app.site, query).await?))
}
