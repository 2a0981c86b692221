//! The side that answers. It gives whole files of the cache, to devices of its own subnet and site, by a grant that names both of
//! them and the file; each connection is bounded in time, requests and bytes, and there are few at once.

use super::{super::PIECE, is_neighbour, opened, own_key, side};
use crate::{agent::Agent, policy::Policy};
use muster_model::{
    id::Hash,
    limits::{PEER_ADDRESS_CONNECTIONS, PEER_GRANT_BYTES, PEER_REQUESTS},
    peer::{PEER_RANGE_FORM, PeerRange, PeerRefusal},
};
use muster_trust::tls::peer_key;
use std::{
    collections::HashMap,
    fs::File,
    io,
    net::IpAddr,
    os::unix::fs::FileExt,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, TcpStream},
    sync::watch,
    task::JoinSet,
    time::{sleep, timeout},
};
use tokio_rustls::{TlsAcceptor, server::TlsStream};

/// How long somebody may take until the grant is there.
const OPEN: Duration = Duration::from_secs(5);
/// How long it may ask for nothing, and how long a piece may take until it is taken.
const IDLE: Duration = Duration::from_secs(30);
/// How long a connection may last. Who wants more connects again.
const WHOLE: Duration = Duration::from_secs(15 * 60);

/// Serves at this listener until it is given up; every connection ends with it.
pub(super) async fn serve(agent: Arc<Agent>, policy: watch::Receiver<Option<Arc<Policy>>>, listener: TcpListener) {
    let (slots, mut connections) = (Arc::new(Slots::default()), JoinSet::new());
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
        let most = policy.borrow().as_deref().map_or(0, |policy| policy.settings().content_peer_connections);
        // Before the handshake: who is one too many costs nothing.
        let Some(slot) = Slots::take(&slots, address, most as usize) else { continue };
        let conversation = Conversation { agent: agent.clone(), policy: policy.clone(), served: 0 };
        connections.spawn(async move {
            let _slot = slot;
            if is_neighbour(address) {
                let _ = timeout(WHOLE, conversation.hold(tcp)).await;
            }
        });
    }
}

/// Connections that are open, in all and of each address.
#[derive(Debug, Default)]
struct Slots(Mutex<HashMap<IpAddr, usize>>);

/// One of them.
#[derive(Debug)]
struct Slot(Arc<Slots>, IpAddr);

impl Slots {
    fn take(slots: &Arc<Self>, address: IpAddr, most: usize) -> Option<Slot> {
        let mut open = slots.0.lock().unwrap_or_else(PoisonError::into_inner);
        let all: usize = open.values().sum();
        let own = open.get(&address).copied().unwrap_or(0);
        if all >= most || own >= PEER_ADDRESS_CONNECTIONS {
            return None;
        }
        open.insert(address, own + 1);
        Some(Slot(slots.clone(), address))
    }
}

impl Drop for Slot {
    fn drop(&mut self) {
        let mut open = self.0.0.lock().unwrap_or_else(PoisonError::into_inner);
        match open.get_mut(&self.1) {
            Some(count) if *count > 1 => *count -= 1,
            _ => drop(open.remove(&self.1)),
        }
    }
}

/// With one other client.
struct Conversation {
    agent: Arc<Agent>,
    policy: watch::Receiver<Option<Arc<Policy>>>,
    served: u64,
}

impl Conversation {
    async fn hold(mut self, tcp: TcpStream) -> io::Result<()> {
        let opening = timeout(OPEN, self.open(tcp)).await.map_err(|_| io::ErrorKind::TimedOut)?;
        let (mut stream, admitted) = opening?;
        let (file, size) = match admitted {
            Ok(found) => found,
            Err(refusal) => return end(stream, refusal).await,
        };
        stream.write_u8(0).await?;
        stream.flush().await?;
        for _ in 0..PEER_REQUESTS {
            let mut form = [0; PEER_RANGE_FORM];
            timeout(IDLE, stream.read_exact(&mut form)).await.map_err(|_| io::ErrorKind::TimedOut)??;
            match self.next(form, size) {
                Ok(range) => self.give(&mut stream, &file, range).await?,
                Err(refusal) => return end(stream, refusal).await,
            }
        }
        end(stream, PeerRefusal::TooMany).await
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
        self.served += u64::from(range.length);
        if self.served > size { Err(PeerRefusal::TooMany) } else { Ok(range) }
    }

    async fn give(&self, stream: &mut TlsStream<TcpStream>, file: &Arc<File>, range: PeerRange) -> io::Result<()> {
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
            timeout(IDLE, write).await.map_err(|_| io::ErrorKind::TimedOut)??;
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn so_many_are_served_at_once_and_not_one_more() {
        // proves S1: connections of other clients are bounded, in all and of each address.
        let (slots, address) = (Arc::new(Slots::default()), |last: u8| IpAddr::from([10, 0, 0, last]));
        let held: Vec<_> = (0..4).map(|n| Slots::take(&slots, address(n), 4).unwrap()).collect();
        assert!(Slots::take(&slots, address(9), 4).is_none(), "limit + 1");
        drop(held);
        let both: Vec<_> =
            (0..PEER_ADDRESS_CONNECTIONS).map(|_| Slots::take(&slots, address(1), 32).unwrap()).collect();
        assert!(Slots::take(&slots, address(1), 32).is_none(), "limit + 1 of one address");
        assert!(Slots::take(&slots, address(2), 32).is_some(), "and another one is served");
        drop(both);
        assert!(slots.0.lock().unwrap().is_empty());
        assert!(Slots::take(&slots, address(1), 0).is_none());
    }
}
