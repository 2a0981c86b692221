//! Queries: in WQL and SQL, now and kept.

use crate::http::{
    AppState,
    extract::{Asked, Asking, Json, Part},
    respond::{Refusal, json},
    route::Route,
};
use axum::{extract::State, response::Response};
use http::StatusCode;
use muster_model::{
    api::{PageQuery, QueryCheck, QueryChecked, QueryResult, QueryRun, QuerySave, QuerySql, SavedQuery, SavedQueryRun},
    id::SavedQueryId,
};
use muster_site::authz::Access;

pub(super) fn routes() -> Vec<Route> {
    vec![
        Route::post("/api/v1/queries/run", Access::See, run)
            .about("query_run", "Run a query in WQL.")
            .takes::<QueryRun>()
            .gives::<QueryResult>(),
        Route::post("/api/v1/queries/check", Access::See, check)
            .about("query_check", "Check a query in WQL: what is wrong with it, and what is often a mistake.")
            .takes::<QueryCheck>()
            .gives::<QueryChecked>(),
        Route::post("/api/v1/queries/sql", Access::See, sql)
            .about("query_sql", "Ask SQL: one SELECT over the views for reports (v_...). It is noted in the audit log.")
            .takes::<QuerySql>()
            .gives::<QueryResult>(),
        Route::get("/api/v1/queries", Access::See, list)
            .about("query_list", "Queries that are kept, by name.")
            .query::<PageQuery>()
            .gives_page::<SavedQuery>(),
        Route::post("/api/v1/queries", Access::Change, save)
            .about("query_save", "Keep a query. One of the same name is replaced.")
            .takes::<QuerySave>()
            .gives::<SavedQuery>(),
        Route::get("/api/v1/queries/{id}", Access::See, show)
            .about("query_show", "A query that is kept.")
            .gives::<SavedQuery>(),
        Route::delete("/api/v1/queries/{id}", Access::Change, delete)
            .about("query_delete", "Keep a query no more.")
            .gives::<SavedQuery>(),
        Route::post("/api/v1/queries/{id}/run", Access::See, run_saved)
            .about("query_run_saved", "Run a query that is kept.")
            .takes::<SavedQueryRun>()
            .gives::<QueryResult>(),
    ]
}

async fn run(
    State(app): State<AppState>,
    Asking(ctx): Asking,
    Json(request): Json<QueryRun>,
) -> Result<Response, Refusal> {
    Ok(json(StatusCode::OK, &muster_site::query_run(&ctx, &app.site, request).await?))
}

async fn check(
    State(app): State<AppState>,
    Asking(ctx): Asking,
    Json(request): Json<QueryCheck>,
) -> Result<Response, Refusal> {
    Ok(json(StatusCode::OK, &muster_site::query_check(&ctx, &app.site, &request)?))
}

async fn sql(
    State(app): State<AppState>,
    Asking(ctx): Asking,
    Json(request): Json<QuerySql>,
) -> Result<Response, Refusal> {
    Ok(json(StatusCode::OK, &muster_site::query_sql(&ctx, &app.site, request).await?))
}

async fn list(
    State(app): State<AppState>,
    Asking(ctx): Asking,
    Asked(page): Asked<PageQuery>,
) -> Result<Response, Refusal> {
    Ok(json(StatusCode::OK, &muster_site::query_list(&ctx, &app.site, page).await?))
}

async fn save(
    State(app): State<AppState>,
    Asking(ctx): Asking,
    Json(request): Json<QuerySave>,
) -> Result<Response, Refusal> {
    Ok(json(StatusCode::OK, &muster_site::query_save(&ctx, &app.site, request).await?))
}

async fn show(
    State(app): State<AppState>,
    Asking(ctx): Asking,
    Part(id): Part<SavedQueryId>,
) -> Result<Response, Refusal> {
    Ok(json(StatusCode::OK, &muster_site::query_show(&ctx, &app.site, id).await?))
}

async fn delete(
    State(app): State<AppState>,
    Asking(ctx): Asking,
    Part(id): Part<SavedQueryId>,
) -> Result<Response, Refusal> {
    Ok(json(StatusCode::OK, &muster_site::query_delete(&ctx, &app.site, id).await?))
}

async fn run_saved(
    State(app): State<AppState>,
    Asking(ctx): Asking,
    Part(id): Part<SavedQueryId>,
    Json(request): Json<SavedQueryRun>,
) -> Result<Response, Refusal> {
    Ok(json(StatusCode::OK, &muster_site::query_run_saved(&ctx, &app.site, id, request).await?))
}
