//! Enrolment tokens.

use crate::http::{
    AppState,
    extract::{Asked, Asking, Json, Part},
    respond::{Refusal, json},
    route::Route,
};
use axum::{extract::State, response::Response};
use http::StatusCode;
use muster_model::{
    api::{PageQuery, Token, TokenCreate, TokenCreated},
    id::TokenId,
};
use muster_site::authz::Access;

pub(super) fn routes() -> Vec<Route> {
    vec![
        Route::get("/api/v1/tokens", Access::See, list)
            .about("token_list", "Enrolment tokens, the newest first, without their secrets.")
            .query::<PageQuery>()
            .gives_page::<Token>(),
        Route::post("/api/v1/tokens", Access::Change, create)
            .about("token_create", "Make an enrolment token. Its text is in this answer and nowhere else.")
            .takes::<TokenCreate>()
            .status(201)
            .gives::<TokenCreated>(),
        Route::delete("/api/v1/tokens/{id}", Access::Change, revoke)
            .about("token_revoke", "Take back a token that was not used.")
            .gives::<Token>(),
    ]
}

async fn list(
    State(app): State<AppState>,
    Asking(ctx): Asking,
    Asked(query): Asked<PageQuery>,
) -> Result<Response, Refusal> {
    Ok(json(StatusCode::OK, &muster_site::token_list(&ctx, &app.site, query).await?))
}

async fn create(
    State(app): State<AppState>,
    Asking(ctx): Asking,
    Json(request): Json<TokenCreate>,
) -> Result<Response, Refusal> {
    Ok(json(StatusCode::CREATED, &muster_site::token_create(&ctx, &app.site, request).await?))
}

async fn revoke(
    State(app): State<AppState>,
    Asking(ctx): Asking,
    Part(id): Part<TokenId>,
) -> Result<Response, Refusal> {
    Ok(json(StatusCode::OK, &muster_site::token_revoke(&ctx, &app.site, id).await?))
}
