//! The doors of mobile devices at work.

use crate::{
    http::mobile::{self, MobileDoor},
    listen::{
        self, Door, Stop,
        tls::{Ask, ServerTls},
    },
};
use muster_site::MobileAuthority;
use std::{sync::Arc, time::Duration};

/// EST, over TLS.
pub(crate) fn est(mobile: &Arc<MobileDoor>, tls: &Arc<ServerTls>, door: Door, stop: &Stop) {
    let (mobile, tls, running) = (mobile.clone(), tls.clone(), stop.clone());
    tokio::spawn(listen::accept(door, stop.clone(), move |stream, peer, ticket| {
        let (mobile, tls, stop) = (mobile.clone(), tls.clone(), running.clone());
        async move {
            let patience = Duration::from_secs(mobile.http.handshake_seconds);
            if let Some(stream) = tls.handshake(Ask::Perhaps, stream, patience).await {
                let shown = stream.get_ref().1.peer_certificates().and_then(|chain| chain.first());
                let shown = shown.map(|certificate| certificate.to_vec());
                let respond = |request| mobile::est(&mobile, peer.ip(), shown.as_deref(), request);
                listen::serve_http(stream, &mobile.http, stop, respond).await;
            }
            drop(ticket);
        }
    }));
}

/// Plain HTTP: the messages are signed and sealed by themselves.
pub(crate) fn scep(mobile: &Arc<MobileDoor>, authority: Arc<MobileAuthority>, door: Door, stop: &Stop) {
    let (mobile, running) = (mobile.clone(), stop.clone());
    tokio::spawn(listen::accept(door, stop.clone(), move |stream, peer, ticket| {
        let (mobile, authority, stop) = (mobile.clone(), authority.clone(), running.clone());
        async move {
            let respond = |request| mobile::scep(&mobile, &authority, peer.ip(), request);
            listen::serve_http(stream, &mobile.http, stop, respond).await;
            drop(ticket);
        }
    }));
}
