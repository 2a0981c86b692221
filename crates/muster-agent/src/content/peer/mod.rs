//! Content from clients of the same subnet, and to them. Off unless the client settings say otherwise.
//!
//! The site says who may have which file from whom, for an hour, in a signed grant; both sides hold each other against it. What comes
//! is believed for its hash alone.
//!
//! On the wire: the grant with its length in two bytes; one byte as the answer; then, as often as wanted, eight bytes of where and
//! four of how many, and one byte as the answer with the bytes behind it. A byte other than zero is a refusal, and the end.

mod announce;
mod fetch;
mod gate;
mod link;
mod meter;
mod serve;

pub use announce::run;
pub(crate) use fetch::FromPeers;

use crate::{agent::Agent, os::network::network};
use muster_model::{
    id::Hash,
    limits::PEERS_SHUNNED,
    peer::{PeerGrant, PeerReader, PeerRefusal, is_near},
};
use muster_trust::{
    envelope::{self, EnvelopeError},
    key::Signer,
    tls::PeerSide,
};
use std::{
    collections::HashMap,
    net::IpAddr,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};
use tokio::{sync::Notify, time::Instant};

/// How long one is not asked that gave other bytes, or was slow.
const SHUNNED: Duration = Duration::from_secs(3_600);
/// How long one that was not there, or had no time.
const AWAY: Duration = Duration::from_secs(600);

/// What is known of the clients around.
#[derive(Debug, Default)]
pub struct Peers {
    /// Keys of those that are not asked, and until when.
    shunned: Mutex<HashMap<Hash, Instant>>,
    /// Told when a file came that others may want.
    pub(super) came: Notify,
}

impl Peers {
    /// This machine is in another network.
    pub(crate) fn moved(&self) {
        self.came.notify_one();
    }

    fn shun(&self, key: Hash, now: Instant, long: Duration) {
        let mut shunned = self.shunned.lock().unwrap_or_else(PoisonError::into_inner);
        if shunned.len() >= PEERS_SHUNNED {
            shunned.retain(|_, until| *until > now);
        }
        // Whose number is so large, they are asked again in vain sooner, and no memory is lost.
        if shunned.len() < PEERS_SHUNNED {
            shunned.insert(key, now + long);
        }
    }

    fn is_shunned(&self, key: Hash, now: Instant) -> bool {
        let shunned = self.shunned.lock().unwrap_or_else(PoisonError::into_inner);
        shunned.get(&key).is_some_and(|until| *until > now)
    }
}

/// Whether the address is in one of this machine's own subnets, as its kernel says.
fn is_neighbour(address: IpAddr) -> bool {
    is_near(address, &network().addresses)
}

/// This client on a connection with another.
fn side(agent: &Agent) -> Option<PeerSide> {
    let site = &agent.site;
    let (issuing, certificates) =
        (site.trust().bundle().issuing_certificates().ok()?, site.identity().certificates().ok()?);
    Some(PeerSide { issuing, certificates, key: site.key.signer(), time: Arc::new(site.time.clone()) })
}

fn own_key(agent: &Agent) -> Hash {
    agent.site.key.public().id()
}

/// A grant, if it is signed by a policy key and counts for who has `key`.
fn opened(agent: &Agent, bytes: &[u8], key: Hash) -> Result<(PeerGrant, PeerReader), PeerRefusal> {
    let trust = agent.site.trust();
    let bundle = trust.bundle();
    let grant = envelope::open1_json::<PeerGrant>(bytes, |id| bundle.policy_key(id)).map_err(|error| match error {
        EnvelopeError::Malformed => PeerRefusal::Malformed,
        _ => PeerRefusal::SignatureInvalid,
    })?;
    let now = agent.clock.now().max(agent.floor());
    let reader = PeerReader { site: agent.site.identity().site, trust_version: bundle.version, now };
    bundle.in_time(now).map_err(|_| PeerRefusal::TrustTooOld)?;
    grant.value().check(reader, key)?;
    Ok((grant.into_value(), reader))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_disappointed_is_left_alone_for_a_while_and_the_list_is_bounded() {
        // proves S1: what is remembered of peers has its limit.
        let (peers, now) = (Peers::default(), Instant::now());
        peers.shun(Hash([1; 32]), now, SHUNNED);
        assert!(peers.is_shunned(Hash([1; 32]), now) && !peers.is_shunned(Hash([2; 32]), now));
        assert!(!peers.is_shunned(Hash([1; 32]), now + SHUNNED));
        let many = |at: Instant| {
            for number in 0..PEERS_SHUNNED + 1 {
                let mut key = Hash([9; 32]);
                key.0[..8].copy_from_slice(&number.to_be_bytes());
                peers.shun(key, at, AWAY);
            }
            peers.shunned.lock().unwrap().len()
        };
        assert_eq!(many(now), PEERS_SHUNNED, "limit + 1");
        // What is over makes room.
        assert_eq!(many(now + SHUNNED), PEERS_SHUNNED);
        assert!(!peers.shunned.lock().unwrap().contains_key(&Hash([1; 32])));
    }
}
