//! Content from clients of the same network: which clients serve what, and the signed word that lets one fetch a file from others.
//!
//! The site says who is a peer, by the address from which it was asked itself. A client may name no other file as its own than those
//! that its assignment gives it, and gets a grant for no other.

use crate::{
    Ctx, Site, SiteError, authz,
    delivery::{
        content::content_for_device,
        policy::{self, Current},
    },
};
use muster_model::{
    id::Hash,
    limits::{CHUNKED_BYTES, PEER_CONTENT, PEERS},
    peer::{PEER_GRANT_LIFETIME, PEER_LEAST_PORT, Peer, PeerAnnouncement, PeerGrant, neighbourhood},
    policy::{BodyKind, ClientSettings, ContentPeers},
    problem::Code,
    time::HOUR,
};
use muster_store::{
    db::{assignment, content_peer, content_peer::PeerRow, device, policy_body},
    transaction,
};
use std::net::IpAddr;

/// How long it counts that a client said that it serves; it says so again before that is half over.
const ANNOUNCED_FOR: i64 = 8 * HOUR;
/// Of so many that announced themselves last, those in a grant are taken: not all ask the same.
const CHOICE: u32 = 64;
/// Clients that went silent and are forgotten with one announcement.
const FORGOTTEN: u32 = 32;

/// The device that asks says what it serves to others, and where; with nothing, that it serves no more.
///
/// # Errors
/// `device_not_active`; `too_large`, `malformed`; `forbidden`: its settings do not let it serve.
pub async fn content_peer_announce(ctx: &Ctx, site: &Site, said: &PeerAnnouncement) -> Result<(), SiteError> {
    let current = policy::current(ctx, site).await?;
    let device = authz::device(ctx)?.id;
    if said.content.is_empty() {
        return transaction!(site.store, "content_peer_remove", |tx| {
            content_peer::remove(tx, device).await?;
            Ok::<_, SiteError>(())
        });
    }
    if said.content.len() > PEER_CONTENT {
        let detail = format!("A client says of at most {PEER_CONTENT} files that it serves them.");
        return Err(SiteError::refused(Code::TooLarge, detail));
    }
    if said.port < PEER_LEAST_PORT {
        let detail = format!("A client serves at a port from {PEER_LEAST_PORT} on.");
        return Err(SiteError::refused(Code::Malformed, detail));
    }
    if !peers_of(site, &current).await?.serves() {
        return Err(SiteError::refused(Code::Forbidden, "The settings of this client do not let it serve others."));
    }
    let Some((address, network)) = place(ctx) else {
        return Err(SiteError::refused(Code::Forbidden, "Nobody is a neighbour of the address that this client has."));
    };
    let applications = assignment::applications(&current.bodies);
    let row = PeerRow { device, address, port: said.port, network, announced: ctx.now };
    transaction!(site.store, "content_peer_announce", |tx| {
        let content = content_peer::named(tx, &applications, &said.content, CHUNKED_BYTES).await?;
        content_peer::put(tx, &row, &content).await?;
        for silent in content_peer::silent(tx.conn(), ctx.now.plus(-ANNOUNCED_FOR), FORGOTTEN).await? {
            content_peer::remove(tx, silent).await?;
        }
        Ok::<_, SiteError>(())
    })
}

/// A signed grant by which the device that asks may fetch a file from others of its network. `None`: there are no such others, or
/// its settings do not let it.
///
/// # Errors
/// `device_not_active`; `not_found`, the same for what is not there and what is another's.
pub async fn content_peer_grant(ctx: &Ctx, site: &Site, content: Hash) -> Result<Option<Vec<u8>>, SiteError> {
    let size = content_for_device(ctx, site, content).await?.size;
    let current = policy::current(ctx, site).await?;
    let Some((_, network)) = place(ctx).filter(|_| size >= CHUNKED_BYTES) else { return Ok(None) };
    if !peers_of(site, &current).await?.fetches() {
        return Ok(None);
    }
    let id = authz::device(ctx)?.id;
    let since = ctx.now.plus(-ANNOUNCED_FOR);
    let (peers, key) = {
        let mut reader = site.store.reader().await?;
        let peers = content_peer::of_content(&mut reader, content, &network, id, since, CHOICE).await?;
        if peers.is_empty() {
            return Ok(None);
        }
        // The key of the device, also where it talks to the site with a certificate of the enterprise.
        let row = device::get(&mut reader, id).await?.ok_or_else(policy::not_active)?;
        (peers, row.key)
    };
    let trust = site.trust.load_full();
    let grant = PeerGrant {
        site: site.code,
        trust_version: trust.bundle().version,
        issued: ctx.now,
        expires: ctx.now.plus(PEER_GRANT_LIFETIME),
        device: id,
        key,
        content,
        size,
        peers: chosen(peers, key),
    };
    muster_trust::envelope::sign1_json(&*trust.keys.policy, &grant)
        .map(Some)
        .map_err(|error| SiteError::Fault(format!("a grant could not be signed: {error}")))
}

/// As many as a grant may have, in another order for each who asks.
fn chosen(mut peers: Vec<Peer>, asking: Hash) -> Vec<Peer> {
    peers.sort_by_cached_key(|peer| {
        let both: Vec<u8> = asking.0.iter().chain(&peer.key.0).copied().collect();
        muster_trust::sha256(&both).0
    });
    peers.truncate(PEERS);
    peers
}

/// Where the site sees the device that asks.
fn place(ctx: &Ctx) -> Option<(IpAddr, String)> {
    let address = ctx.address.parse::<IpAddr>().ok()?.to_canonical();
    Some((address, neighbourhood(address)?))
}

/// What the settings in the assignment of a device say.
async fn peers_of(site: &Site, current: &Current) -> Result<ContentPeers, SiteError> {
    let Some(body) = current.bodies.iter().find(|body| body.kind == BodyKind::Settings) else {
        return Ok(ContentPeers::Off);
    };
    let bytes = policy_body::get(&mut *site.store.reader().await?, body.hash).await?;
    let settings = bytes.and_then(|bytes| ClientSettings::from_body(&bytes));
    Ok(settings.map_or(ContentPeers::Off, |(settings, _)| settings.content_peers))
}

#[cfg(test)]
mod tests {
    use super::*;
    use muster_model::id::DeviceId;

    #[test]
    fn a_grant_has_so_many_peers_and_not_all_ask_the_same_first() {
        // proves S1: a grant is bounded.
        let peer = |byte: u8| Peer {
            device: DeviceId(uuid::Uuid::from_u128(u128::from(byte))),
            key: Hash([byte; 32]),
            address: IpAddr::from([10, 0, 0, byte]),
            port: 8_003,
        };
        let all: Vec<Peer> = (1..40).map(peer).collect();
        let first: std::collections::HashSet<Hash> = (100..120)
            .map(|asking| chosen(all.clone(), Hash([asking; 32])))
            .map(|chosen| {
                assert_eq!(chosen.len(), PEERS, "limit + 23");
                chosen[0].key
            })
            .collect();
        assert!(first.len() > 5, "{first:?}");
    }
}
