//! Serves while the policy says so, and tells the site what there is: at the start, when a file came, in another network, and again
//! after a while.

use super::serve::serve;
use crate::{
    agent::Agent,
    clock::{random, spread},
    os::network::network,
    policy::Policy,
};
use muster_model::{
    id::Hash,
    limits::{CHUNKED_BYTES, PEER_CONTENT},
    peer::PeerAnnouncement,
};
use std::{
    io,
    net::{Ipv4Addr, Ipv6Addr, SocketAddr},
    sync::Arc,
    time::Duration,
};
use tokio::{
    net::TcpListener,
    sync::watch,
    time::{sleep, sleep_until},
};

/// How often it is said although nothing changed; the site forgets it after more than twice that.
const AGAIN: Duration = Duration::from_secs(3 * 3_600);
/// How long after a failure.
const LATER: Duration = Duration::from_secs(300);
/// Files that come one after the other are said at once.
const SETTLE: Duration = Duration::from_millis(300);

/// Follows the policy until the task is ended.
pub async fn run(agent: Arc<Agent>, mut policy: watch::Receiver<Option<Arc<Policy>>>) {
    // Whether the site may think that this client serves.
    let mut told = false;
    // Who answers signs before the other has shown anything: a TPM takes a long time for that, and strangers would have the agent
    // wait for it as often as they connect.
    if agent.site.key.is_in_tpm() {
        if policy.wait_for(|policy| port(policy.as_deref()).is_some()).await.is_ok() {
            tracing::warn!("the key of this client is in its TPM: it serves nobody, though the settings say so");
        }
        return;
    }
    loop {
        let port = port(policy.borrow_and_update().as_deref());
        let followed = policy.clone();
        tokio::select! {
            () = work(&agent, followed, port, &mut told) => {}
            goes_on = other(&mut policy, port) => if !goes_on { return },
        }
    }
}

/// Where this policy lets the client serve; `None`: it does not.
fn port(policy: Option<&Policy>) -> Option<u16> {
    let settings = policy?.settings();
    settings.content_peers.serves().then_some(settings.content_peer_port)
}

/// Waits for a policy that says something else; `false`: none comes any more.
async fn other(policy: &mut watch::Receiver<Option<Arc<Policy>>>, before: Option<u16>) -> bool {
    while policy.changed().await.is_ok() {
        if port(policy.borrow_and_update().as_deref()) != before {
            return true;
        }
    }
    false
}

/// Never ends by itself.
async fn work(agent: &Arc<Agent>, policy: watch::Receiver<Option<Arc<Policy>>>, port: Option<u16>, told: &mut bool) {
    let Some(port) = port else {
        while *told {
            match announce(agent, &PeerAnnouncement::default()).await {
                Ok(()) => *told = false,
                Err(error) => {
                    tracing::info!(%error, "the site does not know yet that this client serves no more");
                    sleep(spread(LATER, random())).await;
                }
            }
        }
        return std::future::pending().await;
    };
    let listener = loop {
        match listen(port).await {
            Ok(listener) => break listener,
            Err(error) => {
                tracing::warn!(port, %error, "clients of the subnet cannot be served at this port");
                sleep(spread(LATER, random())).await;
            }
        }
    };
    tracing::info!(port, "clients of the subnet are served");
    tokio::join!(serve(agent.clone(), policy, listener), tell(agent, port, told));
}

/// At every address of this machine; who is of no subnet of its own is turned away before the handshake.
async fn listen(port: u16) -> io::Result<TcpListener> {
    match TcpListener::bind(SocketAddr::from((Ipv6Addr::UNSPECIFIED, port))).await {
        // Without IPv6.
        Err(error) if error.kind() != io::ErrorKind::AddrInUse => {
            TcpListener::bind(SocketAddr::from((Ipv4Addr::UNSPECIFIED, port))).await
        }
        other => other,
    }
}

async fn tell(agent: &Agent, port: u16, told: &mut bool) {
    let mut before = None;
    loop {
        let state = (whole(agent), network().addresses);
        let again = tokio::time::Instant::now();
        let mut next = again + spread(AGAIN, random());
        if before.as_ref() != Some(&state) && (*told || !state.0.is_empty()) {
            let said = PeerAnnouncement { port, content: state.0.clone() };
            match announce(agent, &said).await {
                Ok(()) => {
                    tracing::info!(files = said.content.len(), "the site knows what this client serves");
                    (*told, before) = (!said.content.is_empty(), Some(state));
                }
                Err(error) => {
                    tracing::info!(%error, "the site could not be told what this client serves");
                    next = again + spread(LATER, random());
                }
            }
        }
        tokio::select! {
            () = agent.peers.came.notified() => sleep(SETTLE).await,
            () = sleep_until(next) => before = None,
        }
    }
}

async fn announce(agent: &Agent, said: &PeerAnnouncement) -> Result<(), crate::http::HttpError> {
    agent.site.session().await?.announce_content(said).await
}

/// The whole files that are worth it, those that were used last first.
fn whole(agent: &Agent) -> Vec<Hash> {
    let mut files = Vec::new();
    for name in agent.cache.names().unwrap_or_default() {
        let Ok(hash) = name.parse::<Hash>() else { continue };
        let Some(data) = agent.cache.open_file(&name).ok().flatten().and_then(|file| file.metadata().ok()) else {
            continue;
        };
        if data.len() >= CHUNKED_BYTES {
            files.push((data.modified().ok(), hash));
        }
    }
    files.sort_unstable_by_key(|(used, hash)| (std::cmp::Reverse(*used), hash.0));
    files.into_iter().take(PEER_CONTENT).map(|(_, hash)| hash).collect()
}
