//! Software titles: what is installed, under one name.

use crate::http::{
    AppState,
    extract::{Asked, Asking, Json, Part},
    respond::{Refusal, json},
    route::Route,
};
use axum::{extract::State, response::Response};
use http::StatusCode;
use muster_model::api::{SoftwareTitle, TitleDetail, TitleQuery, TitleRules, TitleTest, TitleTested};
use muster_site::authz::Access;

pub(super) fn routes() -> Vec<Route> {
    vec![
        Route::get("/api/v1/titles", Access::See, list)
            .about("title_list", "Software under its normalised names, the most spread first.")
            .query::<TitleQuery>()
            .gives_page::<SoftwareTitle>(),
        Route::get("/api/v1/titles/{id}", Access::See, show)
            .about("title_show", "One software title with its versions, the newest first.")
            .gives::<TitleDetail>(),
        Route::get("/api/v1/title-rules", Access::See, rules_show)
            .about("title_rules_show", "The administrators' own rules of software titles.")
            .gives::<TitleRules>(),
        Route::post("/api/v1/title-rules", Access::Change, rules_update)
            .about("title_rules_update", "Set the own rules of software titles, in the place of those before.")
            .takes::<TitleRules>()
            .gives::<TitleRules>(),
        Route::get("/api/v1/title-rules/test", Access::See, test)
            .about("title_test", "What the rules make of a name.")
            .query::<TitleTest>()
            .gives::<TitleTested>(),
    ]
}

async fn list(
    State(app): State<AppState>,
    Asking(ctx): Asking,
    Asked(query): Asked<TitleQuery>,
) -> Result<Response, Refusal> {
    Ok(json(StatusCode::OK, &muster_site::title_list(&ctx, &app.site, query).await?))
}

async fn show(State(app): State<AppState>, Asking(ctx): Asking, Part(id): Part<u64>) -> Result<Response, Refusal> {
    Ok(json(StatusCode::OK, &muster_site::title_show(&ctx, &app.site, id).await?))
}

async fn rules_show(State(app): State<AppState>, Asking(ctx): Asking) -> Result<Response, Refusal> {
    Ok(json(StatusCode::OK, &muster_site::title_rules_show(&ctx, &app.site).await?))
}

async fn rules_update(
    State(app): State<AppState>,
    Asking(ctx): Asking,
    Json(rules): Json<TitleRules>,
) -> Result<Response, Refusal> {
    Ok(json(StatusCode::OK, &muster_site::title_rules_update(&ctx, &app.site, rules).await?))
}

async fn test(
    State(app): State<AppState>,
    Asking(ctx): Asking,
    Asked(query): Asked<TitleTest>,
) -> Result<Response, Refusal> {
    Ok(json(StatusCode::OK, &muster_site::title_test(&ctx, &app.site, query).await?))
}
