//! Content files: brought by their hash.

use crate::http::{
    AppState, Body, body,
    extract::{Asking, Part},
    respond::{Refusal, empty},
    route::{BodyLimit, Route},
};
use axum::{extract::State, response::Response};
use bytes::Bytes;
use http::{HeaderValue, Request, StatusCode, header};
use muster_model::id::Hash;
use muster_site::{Chunks, SiteError, authz::Access};
use std::time::Duration;

const BYTES: &str = "application/octet-stream";

pub(super) fn routes() -> Vec<Route> {
    vec![
        Route::put("/api/v1/content/{hash}", Access::Change, upload)
            .about("content_upload", "Bring a content file; 201 when it is new, 200 when it was there.")
            .takes_bytes(BYTES, BodyLimit::Content)
            .status(201),
        Route::head("/api/v1/content/{hash}", Access::See, show)
            .about("content_show", "Whether a content file is there; its size is in Content-Length."),
    ]
}

/// The pieces of an upload as they come in.
struct Pieces {
    stream: Body,
    patience: Duration,
}

impl Chunks for Pieces {
    async fn next(&mut self) -> Result<Option<Bytes>, SiteError> {
        body::next(&mut self.stream, self.patience).await.map_err(|refusal| SiteError::Refused(refusal.0))
    }
}

async fn upload(
    State(app): State<AppState>,
    Asking(ctx): Asking,
    Part(hash): Part<Hash>,
    request: Request<Body>,
) -> Result<Response, Refusal> {
    body::expect_type(request.headers(), BYTES)?;
    let patience = Duration::from_secs(app.http.body_seconds);
    let mut pieces = Pieces { stream: request.into_body(), patience };
    let uploaded = muster_site::content_upload(&ctx, &app.site, hash, &mut pieces).await?;
    Ok(empty(if uploaded.new { StatusCode::CREATED } else { StatusCode::OK }))
}

async fn show(State(app): State<AppState>, Asking(ctx): Asking, Part(hash): Part<Hash>) -> Result<Response, Refusal> {
    let size = muster_site::content_show(&ctx, &app.site, hash).await?;
    let mut response = empty(StatusCode::OK);
    response.headers_mut().insert(header::CONTENT_TYPE, HeaderValue::from_static(BYTES));
    response.headers_mut().insert(header::CONTENT_LENGTH, HeaderValue::from(size));
    Ok(response)
}
