//! A connection to another client, from the side that fetches: every step has its time.

use super::{
    meter::{Meter, at},
    own_key, side,
};
use crate::agent::Agent;
use muster_model::peer::{Peer, PeerRange, PeerRefusal};
use rustls::pki_types::ServerName;
use std::{io, time::Duration};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
    time::{Instant, timeout},
};
use tokio_rustls::{TlsConnector, client::TlsStream};

/// How long a neighbour may take until it has answered whether it gives anything.
const OPEN: Duration = Duration::from_secs(3);
/// How long it may be silent with a part, beside what the bytes of the part take.
const PART: Duration = Duration::from_secs(3);
/// After so long all that it brought is held against the least rate, from the beginning on.
const GRACE: Duration = Duration::from_secs(10);
/// What it must bring a second at least: slower than that is slower than most sites.
const LEAST_RATE: u64 = 256 << 10;
/// What it must bring to be gone on with at once where the time for this file ended.
const GOOD_RATE: u64 = 4 * LEAST_RATE;

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
pub(super) struct Link {
    stream: TlsStream<TcpStream>,
    meter: Meter,
    /// Bytes a second that this client lets itself have; the others have the same settings, as a rule.
    rate: Option<u64>,
}

impl Link {
    /// Connects, and shows the grant. With a `rate` in force on both sides, the other may take as long as that makes it.
    pub(super) async fn open(agent: &Agent, grant: &[u8], peer: &Peer, rate: Option<u64>) -> Result<Self, Failure> {
        let connecting = timeout(OPEN, Self::connect(agent, grant, peer)).await.unwrap_or(Err(Failure::Away));
        connecting.map(|stream| Self { stream, meter: Meter::default(), rate })
    }

    async fn connect(agent: &Agent, grant: &[u8], peer: &Peer) -> Result<TlsStream<TcpStream>, Failure> {
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
        Ok(stream)
    }

    fn least(&self) -> u64 {
        self.rate.map_or(LEAST_RATE, |rate| LEAST_RATE.min(rate / 2)).max(1)
    }

    /// A part of the file.
    pub(super) async fn take(&mut self, range: PeerRange) -> Result<Vec<u8>, Failure> {
        let (length, least, began) = (u64::from(range.length), self.least(), Instant::now());
        // What it was fast with before is no reason to wait long for one part.
        let patience = (PART + at(length, least)).min(self.meter.patience(length, least, GRACE));
        let part = timeout(patience, self.part(range)).await.unwrap_or(Err(Failure::Refused(PeerRefusal::Slow)));
        self.meter.add(if part.is_ok() { length } else { 0 }, began.elapsed());
        part
    }

    /// The time that the other cost beside what its bytes take.
    pub(super) fn lost(&self) -> Duration {
        self.meter.lost(self.least())
    }

    /// Whether the other, and not this client's own limit, is why the file took so long.
    pub(super) fn is_tardy(&self) -> bool {
        self.rate.is_none() && self.meter.is_below(GOOD_RATE, GRACE)
    }

    async fn part(&mut self, range: PeerRange) -> Result<Vec<u8>, Failure> {
        self.stream.write_all(&range.encode()).await?;
        self.stream.flush().await?;
        PeerRefusal::read(self.stream.read_u8().await?).map_err(Failure::Refused)?;
        let mut bytes = vec![0; range.length as usize];
        self.stream.read_exact(&mut bytes).await?;
        Ok(bytes)
    }
}
