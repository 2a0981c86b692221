//! Chunks from clients of the same subnet, before the site is asked for the rest. Whoever lies, is slow or is away costs little, and
//! what it cannot do is make the file another one.

use super::{
    super::{ContentError, Fetch, chunks::is_unasked, part::Part, pool::Pool},
    AWAY, SHUNNED, is_neighbour,
    link::{Failure, Link},
    opened, own_key,
};
use bytes::Bytes;
use muster_model::{
    chunk::{Chunk, ChunkList},
    limits::PEER_RANGE_BYTES,
    peer::{Peer, PeerGrant, PeerRange, PeerRefusal},
    status::{Component, MessageId, Severity},
};
use muster_trust::sha256;
use std::time::Duration;
use tokio::time::Instant;

/// How much time all peers together may cost one file beside what their bytes take.
const LOST: Duration = Duration::from_secs(20);
/// After so long the connection to the site, on which nothing was said meanwhile, is not relied on.
const IDLE: Duration = Duration::from_secs(5);

/// What came from peers.
#[derive(Debug, Default, Clone, Copy)]
pub(crate) struct FromPeers {
    /// Bytes.
    pub(in crate::content) bytes: u64,
    /// How many gave some.
    pub(in crate::content) peers: usize,
}

impl Fetch<'_> {
    /// Puts chunks in place that are here or that peers have, up to where nobody goes on.
    pub(in crate::content) async fn ask_peers(
        &mut self,
        list: &ChunkList,
        pool: &mut Pool,
        part: &mut Part,
    ) -> Result<(), ContentError> {
        let missing = list.chunks()[part.chunks()..].iter().any(|chunk| !pool.has(chunk));
        if !self.policy.settings().content_peers.fetches() || !missing {
            return Ok(());
        }
        let Some((envelope, grant)) = self.grant().await else { return Ok(()) };
        let (began, mut lost) = (Instant::now(), Duration::ZERO);
        for peer in &grant.peers {
            let now = Instant::now();
            if lost >= LOST || part.chunks() == list.chunks().len() {
                break;
            }
            if self.agent.peers.is_shunned(peer.key, now) || !is_neighbour(peer.address) {
                continue;
            }
            let before = self.from_peers.bytes;
            let outcome = self.ask_peer(&envelope, peer, list, pool, part, &mut lost).await?;
            if self.from_peers.bytes > before {
                self.from_peers.peers += 1;
            }
            if let Err(failure) = outcome {
                self.disappointed(peer, failure);
            }
        }
        if began.elapsed() >= IDLE {
            self.session = None;
        }
        Ok(())
    }

    /// What one has; `Err`: it gives no more. What it cost beside its bytes is added to `lost`.
    async fn ask_peer(
        &mut self,
        envelope: &[u8],
        peer: &Peer,
        list: &ChunkList,
        pool: &mut Pool,
        part: &mut Part,
        lost: &mut Duration,
    ) -> Result<Result<(), Failure>, ContentError> {
        let (rate, began) = (self.policy.settings().content_rate, Instant::now());
        let opened = Link::open(self.agent, envelope, peer, rate).await;
        let mut link = match opened {
            Ok(link) => link,
            Err(failure) => {
                *lost += began.elapsed();
                return Ok(Err(failure));
            }
        };
        let outcome = self.take_from(&mut link, list, pool, part).await;
        *lost += link.lost();
        if matches!(outcome, Err(ContentError::Slow)) && link.is_tardy() {
            // Otherwise the next turn of this file would be its, too.
            self.disappointed(peer, Failure::Refused(PeerRefusal::Slow));
        }
        outcome
    }

    /// Part after part over one connection.
    async fn take_from(
        &mut self,
        link: &mut Link,
        list: &ChunkList,
        pool: &mut Pool,
        part: &mut Part,
    ) -> Result<Result<(), Failure>, ContentError> {
        let rate = self.policy.settings().content_rate;
        while let Some(chunk) = list.chunks().get(part.chunks()) {
            if pool.has(chunk) {
                let at = part.at();
                // One that is not here after all is missing from now on.
                if let Some(bytes) = pool.read(&self.agent.cache, part, chunk) {
                    part.append_chunk(&bytes)?;
                    self.reused += bytes.len() as u64;
                    pool.note_own(chunk.hash, at);
                    tokio::task::yield_now().await;
                }
                continue;
            }
            let most = rate.map_or(PEER_RANGE_BYTES, |rate| u32::try_from(rate).unwrap_or(u32::MAX));
            let run = run(&list.chunks()[part.chunks()..], most.min(PEER_RANGE_BYTES), |chunk| pool.has(chunk));
            let range = PeerRange { first: part.at(), length: run.iter().map(|chunk| chunk.size).sum() };
            let bytes = match link.take(range).await {
                Ok(bytes) => bytes,
                Err(failure) => return Ok(Err(failure)),
            };
            self.moved += bytes.len() as u64;
            let mut rest = &bytes[..];
            for chunk in run {
                let (piece, behind) = rest.split_at(chunk.size as usize);
                if sha256(piece) != chunk.hash {
                    return Ok(Err(Failure::Refused(PeerRefusal::Altered)));
                }
                let at = part.at();
                part.append_chunk(piece)?;
                pool.note_own(chunk.hash, at);
                self.from_peers.bytes += piece.len() as u64;
                rest = behind;
            }
            self.pace(bytes.len()).await?;
        }
        Ok(Ok(()))
    }

    /// The site's word on who has the file; `None`: nobody, or it cannot be had, and then the site itself gives everything.
    async fn grant(&mut self) -> Option<(Bytes, PeerGrant)> {
        let (agent, file) = (self.agent, self.file);
        let asked = match self.session().await {
            Ok(session) => session.content_peers(file.hash).await,
            Err(_) => return None,
        };
        let bytes = match asked {
            Ok(bytes) => bytes?,
            Err(error) => {
                if !is_unasked(&error) {
                    tracing::info!(%error, "who of the subnet has content could not be asked");
                }
                self.session = None;
                return None;
            }
        };
        let grant = match opened(agent, &bytes, own_key(agent)) {
            Ok((grant, _)) => grant,
            Err(refusal) => {
                tracing::warn!(reason = refusal.as_str(), "what the site says of clients of the subnet was refused");
                return None;
            }
        };
        (grant.content == file.hash && grant.size == file.size).then_some((bytes, grant))
    }

    fn disappointed(&self, peer: &Peer, failure: Failure) {
        let (agent, now) = (self.agent, Instant::now());
        tracing::info!(device = %peer.device, ?failure, "a client of the subnet gives no more");
        match failure {
            Failure::Refused(reason @ (PeerRefusal::Altered | PeerRefusal::Slow)) => {
                agent.peers.shun(peer.key, now, SHUNNED);
                if reason == PeerRefusal::Altered {
                    let (device, hash) = (peer.device.to_string(), self.file.hash.to_string());
                    let values = [("device", device.as_str()), ("hash", &hash), ("reason", reason.as_str())];
                    agent.report(Component::Content, Severity::Warning, MessageId::PeerRefused, &values);
                }
            }
            Failure::Away => agent.peers.shun(peer.key, now, AWAY),
            // It is well, and has not this file for this client.
            Failure::Refused(_) => {}
        }
    }
}

/// The chunks from the first on that lie side by side, are missing, and together have no more than `most` bytes; always the first.
fn run(chunks: &[Chunk], most: u32, is_here: impl Fn(&Chunk) -> bool) -> &[Chunk] {
    let (mut count, mut bytes) = (0, 0_u32);
    for chunk in chunks {
        bytes = bytes.saturating_add(chunk.size);
        if count > 0 && (bytes > most || is_here(chunk)) {
            break;
        }
        count += 1;
    }
    &chunks[..count]
}

#[cfg(test)]
mod tests {
    use super::*;
    use muster_model::id::Hash;

    #[test]
    fn what_is_missing_side_by_side_is_asked_for_at_once() {
        let chunk = |byte: u8| Chunk { hash: Hash([byte; 32]), size: 100, stored: 50 };
        let chunks = [1, 2, 3, 9, 4].map(chunk);
        let length = |most| run(&chunks, most, |chunk| chunk.hash == Hash([9; 32])).len();
        assert_eq!([length(1), length(199), length(200), length(1_000)], [1, 1, 2, 3]);
        assert_eq!(run(&chunks[..0], 1_000, |_| false).len(), 0);
    }
}
