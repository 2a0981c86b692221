//! HTTP/1.1 on a connection without a device: the enrolment door and the administrators' door.

use super::{Stop, stall::Stall};
use crate::{config::Http, http::Body};
use http::{Request, Response};
use hyper::{body::Incoming, server::conn::http1, service::service_fn};
use hyper_util::rt::{TokioIo, TokioTimer};
use std::{convert::Infallible, future::Future, time::Duration};
use tokio::{
    io::{AsyncRead, AsyncWrite, AsyncWriteExt},
    time::timeout,
};

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
    let mut connection = builder(times).serve_connection(io, service);
    let ended = tokio::select! {
        ended = &mut connection => ended,
        () = stop.wait() => {
            Pin::new(&mut connection).graceful_shutdown();
            (&mut connection).await
        }
    };
    if let Err(error) = ended {
        tracing::debug!(%error, "A connection ended before its time.");
        goodbye(connection.into_parts().io.into_inner()).await;
    }
}

/// Says to the other side that nothing more comes, so that it need not take the end for an attack.
pub(super) async fn goodbye<S: AsyncWrite + Unpin>(mut stream: S) {
    drop(timeout(Duration::from_secs(1), stream.shutdown()).await);
}
