//! Applications: signed by their authors, distributed by the site.

use crate::http::{
    AppState, Body, body,
    extract::{Asked, Asking, Part},
    respond::{self, Refusal, json},
    route::{BodyLimit, Route},
};
use axum::{extract::State, response::Response};
use http::{HeaderValue, Request, StatusCode};
use muster_model::{
    api::{ApplicationInfo, PageQuery},
    id::Hash,
};
use muster_site::authz::Access;
use std::time::Duration;

const COSE: &str = "application/cose";

pub(super) fn routes() -> Vec<Route> {
    vec![
        Route::get("/api/v1/applications", Access::See, list)
            .about("application_list", "Applications, by name.")
            .query::<PageQuery>()
            .gives_page::<ApplicationInfo>(),
        Route::post("/api/v1/applications", Access::Change, create)
            .about("application_create", "Add an application: the object that its authors signed.")
            .takes_bytes(COSE, BodyLimit::Object)
            .status(201)
            .gives::<ApplicationInfo>(),
        Route::get("/api/v1/applications/{hash}", Access::See, show)
            .about("application_show", "One application, by the hash of its signed object.")
            .gives::<ApplicationInfo>(),
        Route::get("/api/v1/applications/{hash}/object", Access::See, object)
            .about("application_object", "The signed object itself, for whoever verifies what its authors signed.")
            .gives_bytes(COSE),
    ]
}

async fn list(
    State(app): State<AppState>,
    Asking(ctx): Asking,
    Asked(query): Asked<PageQuery>,
) -> Result<Response, Refusal> {
    Ok(json(StatusCode::OK, &muster_site::application_list(&ctx, &app.site, query).await?))
}

async fn create(State(app): State<AppState>, Asking(ctx): Asking, request: Request<Body>) -> Result<Response, Refusal> {
    let (parts, stream) = request.into_parts();
    body::expect_type(&parts.headers, COSE)?;
    let patience = Duration::from_secs(app.http.body_seconds);
    let object = body::read(&parts.headers, stream, app.site.limits.object_bytes, patience).await?;
    Ok(json(StatusCode::CREATED, &muster_site::application_create(&ctx, &app.site, &object).await?))
}

async fn object(State(app): State<AppState>, Asking(ctx): Asking, Part(hash): Part<Hash>) -> Result<Response, Refusal> {
    let object = muster_site::application_object(&ctx, &app.site, hash).await?;
    Ok(respond::bytes(StatusCode::OK, HeaderValue::from_static(COSE), object))
}

async fn show(State(app): State<AppState>, Asking(ctx): Asking, Part(hash): Part<Hash>) -> Result<Response, Refusal> {
    Ok(json(StatusCode::OK, &muster_site::application_show(&ctx, &app.site, hash).await?))
}
