//! The three doors: sockets, TLS, limits on connections, and an orderly end.

mod device;
pub(crate) mod gate;

mod http1;
mod live;
pub(crate) mod pace;
pub(crate) mod registry;
mod stall;
pub(crate) mod tls;

pub(crate) use device::serve as serve_devices;
pub(crate) use http1::serve as serve_http;

use gate::{Gate, Ticket};
use pace::Pace;
use std::{
    future::Future,
    io,
    net::SocketAddr,
    sync::Arc,
    time::{Duration, Instant},
};
use tokio::{
    net::{TcpListener, TcpStream},
    sync::{mpsc, watch},
};

/// One door.
#[derive(Debug)]
pub(crate) struct Door {
    /// Its name, in logs and metrics.
    pub(crate) name: &'static str,
    /// Where connections come in.
    pub(crate) listener: TcpListener,
    /// How many at once.
    pub(crate) gate: Arc<Gate>,
    /// How fast those of one address.
    pub(crate) pace: Pace,
}

/// Told to every part when the server stops; and every part that runs holds one, so that the end can wait for all.
#[derive(Debug, Clone)]
pub(crate) struct Stop {
    signal: watch::Receiver<bool>,
    _running: mpsc::Sender<()>,
}

/// The other end of [`Stop`].
#[derive(Debug)]
pub(crate) struct Stopper {
    signal: watch::Sender<bool>,
    running: mpsc::Receiver<()>,
}

impl Stop {
    /// A pair.
    pub(crate) fn new() -> (Stopper, Self) {
        let (signal, watching) = watch::channel(false);
        let (sender, running) = mpsc::channel(1);
        (Stopper { signal, running }, Self { signal: watching, _running: sender })
    }

    /// The word alone, for those that nobody waits for.
    pub(crate) fn signal(&self) -> watch::Receiver<bool> {
        self.signal.clone()
    }

    /// Waits until the server stops.
    pub(crate) async fn wait(&mut self) {
        // An error says that the other end is gone: the same.
        drop(self.signal.wait_for(|stopping| *stopping).await);
    }
}

impl Stopper {
    /// Tells everyone, and waits until all parts have ended, but not longer than `patience`. Whether all did.
    pub(crate) async fn stop(mut self, patience: Duration) -> bool {
        let _ = self.signal.send(true);
        tokio::time::timeout(patience, self.running.recv()).await.is_ok()
    }
}

/// Takes connections until the server stops. `serve` gets each with its ticket.
pub(crate) async fn accept<F, S>(door: Door, mut stop: Stop, serve: S)
where
    F: Future<Output = ()> + Send + 'static,
    S: Fn(TcpStream, SocketAddr, Ticket) -> F,
{
    loop {
        let accepted = tokio::select! {
            () = stop.wait() => return,
            accepted = door.listener.accept() => accepted,
        };
        match accepted {
            Ok((stream, peer)) => {
                let peer = canonical(peer);
                let turn = door.pace.turn(peer.ip(), Instant::now());
                let Some((wait, ticket)) = turn.zip(door.gate.enter(peer.ip())) else {
                    metrics::counter!("muster_connections_refused_total", "door" => door.name).increment(1);
                    continue;
                };
                drop(stream.set_nodelay(true));
                let served = serve(stream, peer, ticket);
                if wait.is_zero() {
                    tokio::spawn(served);
                } else {
                    metrics::counter!("muster_connections_delayed_total", "door" => door.name).increment(1);
                    let mut stop = stop.clone();
                    tokio::spawn(async move {
                        tokio::select! {
                            () = stop.wait() => {}
                            () = tokio::time::sleep(wait) => served.await,
                        }
                    });
                }
            }
            Err(error) => {
                if !is_of_the_connection(&error) {
                    tracing::warn!(door = door.name, %error, "No connection can be taken; trying again.");
                    tokio::time::sleep(Duration::from_millis(100)).await;
                }
            }
        }
    }
}

/// Who is at the other end, as everybody writes it: on a socket for both families IPv4 comes in a disguise, which no boundary and no
/// limit by address would know.
fn canonical(peer: SocketAddr) -> SocketAddr {
    SocketAddr::new(peer.ip().to_canonical(), peer.port())
}

/// Errors that only say that one client went away before it was accepted.
fn is_of_the_connection(error: &io::Error) -> bool {
    matches!(
        error.kind(),
        io::ErrorKind::ConnectionRefused | io::ErrorKind::ConnectionAborted | io::ErrorKind::ConnectionReset
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_has_one_form() {
        for (from, to) in [
            ("[::ffff:10.1.2.3]:7", "10.1.2.3:7"),
            ("10.1.2.3:7", "10.1.2.3:7"),
            ("[2001:db8::1]:7", "[2001:db8::1]:7"),
            ("[::1]:7", "[::1]:7"),
        ] {
            assert_eq!(canonical(from.parse().unwrap()).to_string(), to);
        }
    }
}
