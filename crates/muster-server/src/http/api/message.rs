//! Status messages.

use crate::http::{
    AppState,
    extract::{Asked, Asking, Part},
    respond::{Refusal, json},
    route::Route,
};
use axum::{extract::State, response::Response};
use http::StatusCode;
use muster_model::api::{Message, MessageEntry, MessageQuery};
use muster_site::authz::Access;

pub(super) fn routes() -> Vec<Route> {
    vec![
        Route::get("/api/v1/messages", Access::See, list)
            .about("message_list", "Status messages, the latest first.")
            .query::<MessageQuery>()
            .gives_page::<Message>(),
        Route::get("/api/v1/messages/{key}", Access::See, show)
            .about("message_show", "A status message, by its place in the list.")
            .gives::<Message>(),
        Route::get("/api/v1/message-catalogue", Access::See, catalogue)
            .about("message_catalogue", "Every kind of status message.")
            .gives_page::<MessageEntry>(),
    ]
}

async fn list(
    State(app): State<AppState>,
    Asking(ctx): Asking,
    Asked(query): Asked<MessageQuery>,
) -> Result<Response, Refusal> {
    Ok(json(StatusCode::OK, &muster_site::message_list(&ctx, &app.site, &query).await?))
}

async fn show(State(app): State<AppState>, Asking(ctx): Asking, Part(key): Part<u64>) -> Result<Response, Refusal> {
    Ok(json(StatusCode::OK, &muster_site::message_show(&ctx, &app.site, key).await?))
}

async fn catalogue(Asking(ctx): Asking) -> Result<Response, Refusal> {
    Ok(json(StatusCode::OK, &muster_site::message_catalogue(&ctx)?))
}
