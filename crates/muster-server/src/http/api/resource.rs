//! Resources: what discovery found, whether a client runs on it or not.

use crate::http::{
    AppState,
    extract::{Asked, Asking, Part},
    respond::{Refusal, json},
    route::Route,
};
use axum::{extract::State, response::Response};
use http::StatusCode;
use muster_model::{
    api::{Resource, ResourceDetail, ResourceQuery},
    id::ResourceId,
};
use muster_site::authz::Access;

pub(super) fn routes() -> Vec<Route> {
    vec![
        Route::get("/api/v1/resources", Access::See, list)
            .about("resource_list", "Resources, by name: systems, users and groups, with a client or without.")
            .query::<ResourceQuery>()
            .gives_page::<Resource>(),
        Route::get("/api/v1/resources/{id}", Access::See, show)
            .about("resource_show", "One resource, with what each method of discovery said of it.")
            .gives::<ResourceDetail>(),
        Route::delete("/api/v1/resources/{id}", Access::Change, remove)
            .about("resource_remove", "Remove a resource on which no client runs, with all that was found of it.")
            .gives::<Resource>(),
    ]
}

async fn list(
    State(app): State<AppState>,
    Asking(ctx): Asking,
    Asked(query): Asked<ResourceQuery>,
) -> Result<Response, Refusal> {
    Ok(json(StatusCode::OK, &muster_site::resource_list(&ctx, &app.site, query).await?))
}

async fn show(
    State(app): State<AppState>,
    Asking(ctx): Asking,
    Part(id): Part<ResourceId>,
) -> Result<Response, Refusal> {
    Ok(json(StatusCode::OK, &muster_site::resource_show(&ctx, &app.site, id).await?))
}

async fn remove(
    State(app): State<AppState>,
    Asking(ctx): Asking,
    Part(id): Part<ResourceId>,
) -> Result<Response, Refusal> {
    Ok(json(StatusCode::OK, &muster_site::resource_remove(&ctx, &app.site, id).await?))
}
