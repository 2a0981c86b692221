//! Inventory classes: those that are built in, and those of administrators.

use crate::http::{
    AppState,
    extract::{Asking, Json, Part},
    respond::{Refusal, json},
    route::Route,
};
use axum::{extract::State, response::Response};
use http::StatusCode;
use muster_model::api::{ClassAdd, Classes, InventoryClass};
use muster_site::authz::Access;

pub(super) fn routes() -> Vec<Route> {
    vec![
        Route::get("/api/v1/classes", Access::See, list)
            .about("class_list", "Every inventory class, and what waits for classes that are not there.")
            .gives::<Classes>(),
        Route::post("/api/v1/classes", Access::Change, add)
            .about("class_add", "Add an inventory class, or attributes to one that was added before.")
            .takes::<ClassAdd>()
            .gives::<InventoryClass>()
            .status(201),
        Route::get("/api/v1/classes/{name}", Access::See, show)
            .about("class_show", "One inventory class with its attributes.")
            .gives::<InventoryClass>(),
        Route::delete("/api/v1/classes/{name}", Access::Change, retire)
            .about("class_retire", "Retire a class: it takes no more reports. What was reported stays.")
            .gives::<InventoryClass>(),
    ]
}

async fn list(State(app): State<AppState>, Asking(ctx): Asking) -> Result<Response, Refusal> {
    Ok(json(StatusCode::OK, &muster_site::class_list(&ctx, &app.site).await?))
}

async fn add(
    State(app): State<AppState>,
    Asking(ctx): Asking,
    Json(request): Json<ClassAdd>,
) -> Result<Response, Refusal> {
    Ok(json(StatusCode::CREATED, &muster_site::class_add(&ctx, &app.site, request).await?))
}

async fn show(State(app): State<AppState>, Asking(ctx): Asking, Part(name): Part<String>) -> Result<Response, Refusal> {
    Ok(json(StatusCode::OK, &muster_site::class_show(&ctx, &app.site, &name).await?))
}

async fn retire(
    State(app): State<AppState>,
    Asking(ctx): Asking,
    Part(name): Part<String>,
) -> Result<Response, Refusal> {
    Ok(json(StatusCode::OK, &muster_site::class_retire(&ctx, &app.site, &name).await?))
}
