//! The event stream: which kind of thing changed, and nothing of it.

use crate::http::{
    AppState, Body,
    extract::Asking,
    respond::{NO_STORE, Refusal},
    route::Route,
};
use axum::{extract::State, response::Response};
use bytes::Bytes;
use futures_util::stream;
use http::{HeaderValue, header};
use muster_model::time::MINUTE;
use muster_site::{
    Ctx, Notice,
    authz::{self, Access},
};
use std::{convert::Infallible, time::Duration};
use tokio::sync::broadcast::{Receiver, error::RecvError};

/// How long one stream lasts; then the reader comes again, and shows that its session still holds.
const LASTS: Duration = Duration::from_millis(5 * MINUTE as u64);
/// Time between two signs of life.
const PING: Duration = Duration::from_secs(15);

pub(super) fn routes() -> Vec<Route> {
    vec![
        Route::get("/api/v1/events", Access::See, events)
            .about(
                "events",
                "What changes, as it changes: `event: device|enrolment|deployment|message`. Ends after five minutes; come again.",
            )
            .gives_bytes("text/event-stream"),
    ]
}

async fn events(State(app): State<AppState>, Asking(ctx): Asking) -> Result<Response, Refusal> {
    stream_of(&app, &ctx)
}

/// The stream, for the API and for the console's pages.
pub(crate) fn stream_of(app: &AppState, ctx: &Ctx) -> Result<Response, Refusal> {
    authz::see(ctx)?;
    let until = tokio::time::Instant::now() + LASTS;
    let first = stream::once(async { Ok(Bytes::from_static(b"retry: 2000\n\n")) });
    let begin = (app.site.bus.subscribe(), app.stopping.clone());
    let rest = stream::unfold(begin, move |(mut notices, mut stopping)| async move {
        let piece = tokio::select! {
            Ok(_) = stopping.wait_for(|stopping| *stopping) => None,
            piece = tokio::time::timeout_at(until, next(&mut notices)) => piece.ok()?,
        };
        Some((Ok::<_, Infallible>(piece?), (notices, stopping)))
    });
    let mut response = Response::new(Body::from_stream(futures_util::StreamExt::chain(first, rest)));
    response.headers_mut().insert(header::CONTENT_TYPE, HeaderValue::from_static("text/event-stream"));
    response.headers_mut().insert(header::CACHE_CONTROL, NO_STORE);
    Ok(response)
}

/// The next piece; `None` when the site ends.
async fn next(notices: &mut Receiver<Notice>) -> Option<Bytes> {
    loop {
        return Some(match tokio::time::timeout(PING, notices.recv()).await {
            Err(_) => Bytes::from_static(b":\n\n"),
            Ok(Ok(Notice::Changed(noun))) => event(noun.as_str()),
            Ok(Ok(Notice::DeviceClosed(_))) => event("device"),
            Ok(Ok(_)) => continue,
            // Some were missed: everything may have changed.
            Ok(Err(RecvError::Lagged(_))) => {
                let all: Vec<_> = ["device", "enrolment", "deployment", "message"].map(event).concat();
                Bytes::from(all)
            }
            Ok(Err(RecvError::Closed)) => return None,
        });
    }
}

fn event(noun: &str) -> Bytes {
    Bytes::from(format!("event: {noun}\ndata: 1\n\n"))
}
