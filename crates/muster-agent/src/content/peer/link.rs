//! A connection to another client, from the side that fetches: every step has its time.

use super::{own_key, side};
use crate::agent::Agent;
use muster_model::peer::{Peer, PeerRange, PeerRefusal};
use rustls::pki_types::ServerName;
use std::{io, time::Duration};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
    time::timeout,
};
use tokio_rustls::{TlsConnector, client::TlsStream};

/// How long a neighbour may take until it has answered whether it gives anything.
const OPEN: Duration = Duration::from_secs(3);
/// How long it may take for a part, beside what its bytes take.
const PART: Duration = Duration::from_secs(3);
/// What it must bring a second at least: slower than that is slower than most sites.
const LEAST_RATE: u64 = 256 << 10;

/// Why another client gives nothing more.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Failure {
    /// It is not there, has no time, or is not who it should be.
    Away,
    /// It refuses, or is refused.
    Refused(PeerRefusal),
}

impl From<io::Error> for Failure {
    fn from(_: io::Error) -> Self {
        Self::Away
    }
}

/// The connection.
pub(super) struct Link(TlsStream<TcpStream>);

impl Link {
    /// Connects, and shows the grant.
    pub(super) async fn open(agent: &Agent, grant: &[u8], peer: &Peer) -> Result<Self, Failure> {
        timeout(OPEN, Self::connect(agent, grant, peer)).await.unwrap_or(Err(Failure::Away))
    }

    async fn connect(agent: &Agent, grant: &[u8], peer: &Peer) -> Result<Self, Failure> {
        if peer.key == own_key(agent) {
            return Err(Failure::Away);
        }
        let config = side(agent).and_then(|side| side.client(peer.key).ok()).ok_or(Failure::Away)?;
        let tcp = TcpStream::connect((peer.address, peer.port)).await?;
        tcp.set_nodelay(true)?;
        let name = ServerName::IpAddress(peer.address.into());
        let mut stream = TlsConnector::from(std::sync::Arc::new(config)).connect(name, tcp).await?;
        let length = u16::try_from(grant.len()).map_err(|_| Failure::Away)?;
        stream.write_all(&length.to_be_bytes()).await?;
        stream.write_all(grant).await?;
        stream.flush().await?;
        PeerRefusal::read(stream.read_u8().await?).map_err(Failure::Refused)?;
        Ok(Self(stream))
    }

    /// A part of the file. With a `rate` in force on both sides, it may take as long as that makes it.
    pub(super) async fn take(&mut self, range: PeerRange, rate: Option<u64>) -> Result<Vec<u8>, Failure> {
        let least = rate.map_or(LEAST_RATE, |rate| LEAST_RATE.min(rate / 2)).max(1);
        let patience = PART + Duration::from_millis(u64::from(range.length) * 1_000 / least);
        timeout(patience, self.part(range)).await.unwrap_or(Err(Failure::Refused(PeerRefusal::Slow)))
    }

    async fn part(&mut self, range: PeerRange) -> Result<Vec<u8>, Failure> {
        self.0.write_all(&range.encode()).await?;
        self.0.flush().await?;
        PeerRefusal::read(self.0.read_u8().await?).map_err(Failure::Refused)?;
        let mut bytes = vec![0; range.length as usize];
        self.0.read_exact(&mut bytes).await?;
        Ok(bytes)
    }
}
