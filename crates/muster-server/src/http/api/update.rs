//! Software updates: what the tools of devices offer.

use crate::http::{
    AppState,
    extract::{Asked, Asking},
    respond::{Refusal, json},
    route::Route,
};
use axum::{extract::State, response::Response};
use http::StatusCode;
use muster_model::api::{SoftwareUpdate, UpdateQuery};
use muster_site::authz::Access;

pub(super) fn routes() -> Vec<Route> {
    vec![
        Route::get("/api/v1/updates", Access::See, list)
            .about("update_list", "Software updates that devices miss, those that most of them miss first.")
            .query::<UpdateQuery>()
            .gives_page::<SoftwareUpdate>(),
    ]
}

async fn list(
    State(app): State<AppState>,
    Asking(ctx): Asking,
    Asked(query): Asked<UpdateQuery>,
) -> Result<Response, Refusal> {
    Ok(json(StatusCode::OK, &muster_site::update_list(&ctx, &app.site, &query).await?))
}
