//! HTTP/1.1 on a connection without a device: the enrolment door and the administrators' door.

use super::{Stop, stall::Stall};
use crate::{config::Http, http::Body};
use http::{Request, Response};
use hyper::{body::Incoming, server::conn::http1, service::service_fn};
use hyper_util::rt::{TokioIo, TokioTimer};
use std::{convert::Infallible, future::Future, time::Duration};
use tokio::io::{AsyncRead, AsyncWrite};

/// Bytes of a request line with its headers; also the size of the connection's buffer.
pub(crate) const HEADER_BYTES: usize = 16 << 10;
/// Headers of a request.
const HEADERS: usize = 64;

/// The HTTP settings of every door.
pub(crate) fn builder(times: &Http) -> http1::Builder {
    let mut builder = http1::Builder::new();
    builder
        .timer(TokioTimer::new())
        .header_read_timeout(Duration::from_secs(times.header_seconds))
        .max_buf_size(HEADER_BYTES)
        .max_headers(HEADERS)
        .half_close(false);
    builder
}

/// Serves one connection until it ends, or the server stops.
pub(crate) async fn serve<S, F, R>(stream: S, times: &Http, mut stop: Stop, respond: R)
where
    S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
    F: Future<Output = Response<Body>> + Send,
    R: Fn(Request<Incoming>) -> F,
{
    let io = TokioIo::new(Stall::new(stream, Duration::from_secs(times.body_seconds)));
    let service = service_fn(|request| {
        let response = respond(request);
        async move { Ok::<_, Infallible>(response.await) }
    });
    let mut connection = std::pin::pin!(builder(times).serve_connection(io, service));
    let ended = tokio::select! {
        ended = connection.as_mut() => ended,
        () = stop.wait() => {
            connection.as_mut().graceful_shutdown();
            connection.await
        }
    };
    if let Err(error) = ended {
        tracing::debug!(%error, "A connection ended before its time.");
    }
}
