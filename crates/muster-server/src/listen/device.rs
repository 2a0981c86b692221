//! A connection of a device: handshake, who it is, its requests; and when it asks for the live channel, nothing but that.
//!
//! Most devices are connected and silent, so what an idle one costs decides how many a site can have. Large futures live in boxes
//! that are gone when their part is over, and a live channel keeps neither HTTP's buffers nor its state machine.

use super::{Stop, gate::Ticket, http1, live, registry::News, stall::Stall, tls::Ask};
use crate::http::{
    Body,
    agent::{self, Connection, ManagementPoint},
};
use http::{Request, Response};
use hyper::{body::Incoming, service::service_fn};
use hyper_util::rt::TokioIo;
use std::{
    convert::Infallible,
    future::{Future, poll_fn},
    net::SocketAddr,
    pin::Pin,
    sync::Arc,
    task::Poll,
    time::Duration,
};
use tokio::net::TcpStream;
use tokio_rustls::server::TlsStream;

/// A response in the making.
type Answer = Pin<Box<dyn Future<Output = Result<Response<Body>, Infallible>> + Send>>;

/// Serves one connection until it ends, the device is locked out, or the server stops.
pub(crate) async fn serve(
    point: Arc<ManagementPoint>,
    stream: TcpStream,
    peer: SocketAddr,
    ticket: Ticket,
    mut stop: Stop,
) {
    let patience = Duration::from_secs(point.http.handshake_seconds);
    let Some(stream) = Box::pin(point.tls.handshake(Ask::Certificate, stream, patience)).await else { return };
    // In one place from here on: a future holds every value that it was given as often as it was moved.
    let stream = Box::new(stream);
    let connection = Box::pin(Connection::open(point, &stream, peer)).await;
    if let Some(stream) = Box::pin(requests(&connection, stream, &mut stop)).await {
        live::run(&connection, stream).await;
    }
    // Both are held until here: the place at the door, and the word that a part of the server still runs.
    drop((ticket, stop));
}

/// Answers requests. The stream, when the device asked for its live channel.
async fn requests(
    connection: &Arc<Connection>,
    stream: Box<TlsStream<TcpStream>>,
    stop: &mut Stop,
) -> Option<Box<TlsStream<TcpStream>>> {
    let times = &connection.point.http;
    let io = TokioIo::new(Stall::new(stream, Duration::from_secs(times.body_seconds)));
    let service = service_fn(|request: Request<Incoming>| -> Answer {
        let connection = connection.clone();
        Box::pin(async move { Ok(agent::dispatch(&connection, request).await) })
    });
    let mut http = Box::new(http1::builder(times).serve_connection(io, service));
    let asked = tokio::select! {
        biased;
        news = connection.end(stop) => match news {
            News::Closed => return None,
            News::Stopping | News::Changed => {
                Pin::new(&mut *http).graceful_shutdown();
                drop(http.await);
                return None;
            }
        },
        asked = poll_fn(|cx| match Pin::new(&mut *http).poll(cx) {
            Poll::Ready(ended) => Poll::Ready(ended.map(|()| false)),
            // The request for the live channel was read, and its handler waits for ever: the stream is ours now.
            Poll::Pending if connection.wants_live() => Poll::Ready(Ok(true)),
            Poll::Pending => Poll::Pending,
        }) => asked,
    };
    match asked {
        Ok(true) => Some(http.into_parts().io.into_inner().into_inner()),
        Ok(false) => None,
        Err(error) => {
            tracing::debug!(%error, "A device's connection ended before its time.");
            http1::goodbye(http.into_parts().io.into_inner()).await;
            None
        }
    }
}
