//! Status messages.

use crate::http::{
    AppState,
    extract::{Asked, Asking},
    respond::{Refusal, json},
    route::Route,
};
use axum::{extract::State, response::Response};
use http::StatusCode;
use muster_model::api::{Message, MessageQuery};
use muster_site::authz::Access;

pub(super) fn routes() -> Vec<Route> {
    vec![
        Route::get("/api/v1/messages", Access::See, list)
            .about("message_list", "Status messages, the latest first.")
            .query::<MessageQuery>()
            .gives_page::<Message>(),
    ]
}

async fn list(
    State(app): State<AppState>,
    Asking(ctx): Asking,
    Asked(query): Asked<MessageQuery>,
) -> Result<Response, Refusal> {
    Ok(json(StatusCode::OK, &muster_site::message_list(&ctx, &app.site, &query).await?))
}
