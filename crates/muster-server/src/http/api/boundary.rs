//! Boundaries and boundary groups: which management points are near to which devices.

use crate::http::{
    AppState,
    extract::{Asked, Asking, Json, Part},
    respond::{Refusal, json},
    route::Route,
};
use axum::{extract::State, response::Response};
use http::StatusCode;
use muster_model::{
    api::{Boundary, BoundaryGroup, BoundaryGroupSet, BoundarySet, PageQuery},
    id::{BoundaryGroupId, BoundaryId},
};
use muster_site::authz::Access;

pub(super) fn routes() -> Vec<Route> {
    vec![
        Route::get("/api/v1/boundaries", Access::See, list)
            .about("boundary_list", "Boundaries, by name.")
            .query::<PageQuery>()
            .gives_page::<Boundary>(),
        Route::post("/api/v1/boundaries", Access::Change, add)
            .about("boundary_add", "Add a boundary. It means nothing until a group has it.")
            .takes::<BoundarySet>()
            .gives::<Boundary>()
            .status(201),
        Route::put("/api/v1/boundaries/{id}", Access::Change, change)
            .about("boundary_change", "Change a boundary.")
            .takes::<BoundarySet>()
            .gives::<Boundary>(),
        Route::delete("/api/v1/boundaries/{id}", Access::Change, remove)
            .about("boundary_remove", "Remove a boundary, from its groups as well.")
            .gives::<Boundary>(),
        Route::get("/api/v1/boundary-groups", Access::See, group_list)
            .about("boundary_group_list", "Boundary groups, by name.")
            .query::<PageQuery>()
            .gives_page::<BoundaryGroup>(),
        Route::post("/api/v1/boundary-groups", Access::Change, group_add)
            .about("boundary_group_add", "Add a boundary group. Devices inside it use its management points first.")
            .takes::<BoundaryGroupSet>()
            .gives::<BoundaryGroup>()
            .status(201),
        Route::put("/api/v1/boundary-groups/{id}", Access::Change, group_change)
            .about("boundary_group_change", "Change a boundary group.")
            .takes::<BoundaryGroupSet>()
            .gives::<BoundaryGroup>(),
        Route::delete("/api/v1/boundary-groups/{id}", Access::Change, group_remove)
            .about("boundary_group_remove", "Remove a boundary group; its boundaries stay.")
            .gives::<BoundaryGroup>(),
    ]
}

async fn list(
    State(app): State<AppState>,
    Asking(ctx): Asking,
    Asked(query): Asked<PageQuery>,
) -> Result<Response, Refusal> {
    Ok(json(StatusCode::OK, &muster_site::boundary_list(&ctx, &app.site, query).await?))
}

async fn add(
    State(app): State<AppState>,
    Asking(ctx): Asking,
    Json(request): Json<BoundarySet>,
) -> Result<Response, Refusal> {
    Ok(json(StatusCode::CREATED, &muster_site::boundary_add(&ctx, &app.site, request).await?))
}

async fn change(
    State(app): State<AppState>,
    Asking(ctx): Asking,
    Part(id): Part<BoundaryId>,
    Json(request): Json<BoundarySet>,
) -> Result<Response, Refusal> {
    Ok(json(StatusCode::OK, &muster_site::boundary_change(&ctx, &app.site, id, request).await?))
}

async fn remove(
    State(app): State<AppState>,
    Asking(ctx): Asking,
    Part(id): Part<BoundaryId>,
) -> Result<Response, Refusal> {
    Ok(json(StatusCode::OK, &muster_site::boundary_remove(&ctx, &app.site, id).await?))
}

async fn group_list(
    State(app): State<AppState>,
    Asking(ctx): Asking,
    Asked(query): Asked<PageQuery>,
) -> Result<Response, Refusal> {
    Ok(json(StatusCode::OK, &muster_site::boundary_group_list(&ctx, &app.site, query).await?))
}

async fn group_add(
    State(app): State<AppState>,
    Asking(ctx): Asking,
    Json(request): Json<BoundaryGroupSet>,
) -> Result<Response, Refusal> {
    Ok(json(StatusCode::CREATED, &muster_site::boundary_group_add(&ctx, &app.site, request).await?))
}

async fn group_change(
    State(app): State<AppState>,
    Asking(ctx): Asking,
    Part(id): Part<BoundaryGroupId>,
    Json(request): Json<BoundaryGroupSet>,
) -> Result<Response, Refusal> {
    Ok(json(StatusCode::OK, &muster_site::boundary_group_change(&ctx, &app.site, id, request).await?))
}

async fn group_remove(
    State(app): State<AppState>,
    Asking(ctx): Asking,
    Part(id): Part<BoundaryGroupId>,
) -> Result<Response, Refusal> {
    Ok(json(StatusCode::OK, &muster_site::boundary_group_remove(&ctx, &app.site, id).await?))
}
