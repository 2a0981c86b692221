//! The side that answers. It gives whole files of the cache, to devices of its own subnet and site, by a grant that names both of
//! them and the file; each connection is bounded in time, requests and bytes, may not be too slow, and there are few at once.

use super::{
    super::PIECE,
    gate::{Gate, Slot, Slots},
    meter::Meter,
    opened, own_key, side,
};
use crate::{agent::Agent, policy::Policy};
use muster_model::{
    id::Hash,
    limits::{PEER_ADDRESS_CONNECTIONS, PEER_ADDRESS_HANDSHAKES, PEER_GRANT_BYTES, PEER_HANDSHAKES, PEER_REQUESTS},
    peer::{PEER_RANGE_FORM, PeerRange, PeerRefusal},
};
use muster_trust::tls::peer_key;
use std::{fs::File, future::Future, io, net::IpAddr, os::unix::fs::FileExt, sync::Arc, time::Duration};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, TcpStream},
    sync::watch,
    task::JoinSet,
    time::{Instant, sleep, timeout},
};
use tokio_rustls::{TlsAcceptor, server::TlsStream};

/// How long somebody may take until the grant is there.
const OPEN: Duration = Duration::from_secs(5);
/// How long it may ask for nothing, and how long a piece may take until it is taken.
const IDLE: Duration = Duration::from_secs(30);
/// What it must take a second at least, after its first `IDLE`: a quarter of the least that `content_rate` may be on its side. Who
/// takes less only keeps others out.
const LEAST_RATE: u64 = 2 << 10;
/// After one that was turned away: who connects in a loop has no more of this program's time than that.
const TURNED: Duration = Duration::from_millis(5);
/// How long a connection may last. Who wants more connects again.
const WHOLE: Duration = Duration::from_secs(15 * 60);

/// Serves at this listener until it is given up; every connection ends with it.
pub(super) async fn serve(agent: Arc<Agent>, policy: watch::Receiver<Option<Arc<Policy>>>, listener: TcpListener) {
    let (mut gate, mut connections) = (Gate::default(), JoinSet::new());
    let (handshakes, served) = (Arc::new(Slots::default()), Arc::new(Slots::default()));
    loop {
        let accepted = tokio::select! {
            accepted = listener.accept() => accepted,
            Some(_) = connections.join_next() => continue,
        };
        let (tcp, address) = match accepted {
            Ok((tcp, from)) => (tcp, from.ip().to_canonical()),
            Err(error) => {
                tracing::warn!(%error, "a client of the subnet could not be answered");
                sleep(Duration::from_secs(1)).await;
                continue;
            }
        };
        // Before the handshake: who is one too many, or no neighbour, costs nothing.
        let is_room = served.has(address, most(&policy), PEER_ADDRESS_CONNECTIONS)
            && handshakes.has(address, PEER_HANDSHAKES, PEER_ADDRESS_HANDSHAKES);
        let passes = is_room && gate.lets(address, Instant::now());
        let handshake = passes.then(|| Slots::take(&handshakes, address, PEER_HANDSHAKES, PEER_ADDRESS_HANDSHAKES));
        let Some(handshake) = handshake.flatten() else {
            drop(tcp);
            sleep(TURNED).await;
            continue;
        };
        let conversation = Conversation {
            agent: agent.clone(),
            policy: policy.clone(),
            slots: served.clone(),
            address,
            asked: 0,
            meter: Meter::default(),
        };
        connections.spawn(async move {
            let _ = timeout(WHOLE, conversation.hold(tcp, handshake)).await;
        });
    }
}

/// Connections that are served at once, as the policy says now.
fn most(policy: &watch::Receiver<Option<Arc<Policy>>>) -> usize {
    policy.borrow().as_deref().map_or(0, |policy| policy.settings().content_peer_connections as usize)
}

/// With one other client.
struct Conversation {
    agent: Arc<Agent>,
    policy: watch::Receiver<Option<Arc<Policy>>>,
    /// Of those that are served.
    slots: Arc<Slots>,
    address: IpAddr,
    /// Bytes that it asked for.
    asked: u64,
    meter: Meter,
}

impl Conversation {
    async fn hold(mut self, tcp: TcpStream, handshake: Slot) -> io::Result<()> {
        let opening = timeout(OPEN, self.open(tcp)).await.map_err(|_| io::ErrorKind::TimedOut)?;
        let (mut stream, admitted) = opening?;
        let (file, size) = match admitted {
            Ok(found) => found,
            Err(refusal) => return end(stream, refusal).await,
        };
        // From here on it is one that the site sent, and counts among those.
        let slot = Slots::take(&self.slots, self.address, most(&self.policy), PEER_ADDRESS_CONNECTIONS);
        let Some(_slot) = slot else { return end(stream, PeerRefusal::TooMany).await };
        drop(handshake);
        stream.write_u8(0).await?;
        stream.flush().await?;
        for _ in 0..PEER_REQUESTS {
            let mut form = [0; PEER_RANGE_FORM];
            self.waited(0, stream.read_exact(&mut form)).await?;
            match self.next(form, size) {
                Ok(range) => self.give(&mut stream, &file, range).await?,
                Err(refusal) => return end(stream, refusal).await,
            }
        }
        end(stream, PeerRefusal::TooMany).await
    }

    /// Waits for the other side, which takes so many bytes meanwhile; not for long, and not again and again for long.
    async fn waited<T>(&mut self, bytes: u64, work: impl Future<Output = io::Result<T>>) -> io::Result<T> {
        let began = Instant::now();
        let patience = IDLE.min(self.meter.patience(bytes, LEAST_RATE, IDLE));
        let done = timeout(patience, work).await.map_err(|_| io::ErrorKind::TimedOut)??;
        self.meter.add(bytes, began.elapsed());
        Ok(done)
    }

    /// The handshake, and what the other may have.
    async fn open(&self, tcp: TcpStream) -> io::Result<(TlsStream<TcpStream>, Result<(Arc<File>, u64), PeerRefusal>)> {
        tcp.set_nodelay(true)?;
        let config = side(&self.agent).and_then(|side| side.server().ok()).ok_or(io::ErrorKind::InvalidData)?;
        let mut stream = TlsAcceptor::from(Arc::new(config)).accept(tcp).await?;
        let key = peer_key(stream.get_ref().1.peer_certificates()).ok_or(io::ErrorKind::InvalidData)?;
        let length = usize::from(stream.read_u16().await?);
        if length > PEER_GRANT_BYTES {
            return Ok((stream, Err(PeerRefusal::TooLarge)));
        }
        let mut grant = vec![0; length];
        stream.read_exact(&mut grant).await?;
        let admitted = self.admit(&grant, key);
        Ok((stream, admitted))
    }

    /// The file that the grant is about, if this client gives it to who has `key`: opened once, and read from this handle alone.
    fn admit(&self, grant: &[u8], key: Hash) -> Result<(Arc<File>, u64), PeerRefusal> {
        let (agent, own) = (&self.agent, own_key(&self.agent));
        let policy = self.policy.borrow().clone().ok_or(PeerRefusal::Off)?;
        let current = policy.is_current(agent.site.trust().bundle(), agent.clock.now(), agent.floor());
        if !current || !policy.settings().content_peers.serves() {
            return Err(PeerRefusal::Off);
        }
        let (grant, reader) = opened(agent, grant, key)?;
        grant.check_serving(reader, key, own)?;
        // A name without an ending is a file that is whole and was verified.
        let file = agent.cache.open_file(&grant.content.to_string()).ok().flatten().ok_or(PeerRefusal::NotHere)?;
        match file.metadata() {
            Ok(data) if data.len() == grant.size => Ok((Arc::new(file), grant.size)),
            _ => Err(PeerRefusal::NotHere),
        }
    }

    /// What is asked for next; one connection brings as many bytes as the file has, and not more.
    fn next(&mut self, form: [u8; PEER_RANGE_FORM], size: u64) -> Result<PeerRange, PeerRefusal> {
        let range = PeerRange::decode(form, size)?;
        self.asked += u64::from(range.length);
        if self.asked > size { Err(PeerRefusal::TooMany) } else { Ok(range) }
    }

    async fn give(&mut self, stream: &mut TlsStream<TcpStream>, file: &Arc<File>, range: PeerRange) -> io::Result<()> {
        let (mut at, mut left) = (range.first, range.length as usize);
        let mut is_first = true;
        while left > 0 {
            let count = left.min(PIECE);
            let file = file.clone();
            let read = tokio::task::spawn_blocking(move || {
                let mut bytes = vec![0; count];
                file.read_exact_at(&mut bytes, at).map(|()| bytes)
            });
            // What is shorter than it was is no refusal any more: the connection ends.
            let bytes = read.await.map_err(io::Error::other)??;
            let write = async {
                if is_first {
                    stream.write_u8(0).await?;
                }
                stream.write_all(&bytes).await?;
                stream.flush().await
            };
            self.waited(count as u64, write).await?;
            (at, left, is_first) = (at + count as u64, left - count, false);
            let policy = self.policy.borrow().clone();
            if let Some(policy) = policy {
                self.agent.rate.pass(&self.agent, policy.settings(), count as u64).await;
            }
        }
        Ok(())
    }
}

/// Says why, and no more.
async fn end(mut stream: TlsStream<TcpStream>, refusal: PeerRefusal) -> io::Result<()> {
    tracing::info!(reason = refusal.as_str(), "a client of the subnet was refused");
    let last = async {
        stream.write_u8(refusal.byte()).await?;
        stream.shutdown().await
    };
    timeout(OPEN, last).await.map_err(|_| io::ErrorKind::TimedOut)?
}
