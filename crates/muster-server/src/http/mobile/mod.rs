//! The doors of mobile devices: EST over TLS, and SCEP over plain HTTP, which protects itself. Each is served where the configuration says
//! so, and nothing else is here.

mod est;
mod scep;

use super::{Body, rate::Rate, respond::Refusal};
use crate::config::Http;
use http::{Request, Response};
use hyper::body::Incoming;
use muster_model::problem::Code;
use muster_site::{Caller, Ctx, MobileAuthority, Site};
use std::{net::IpAddr, sync::Arc};

/// The doors at work.
pub(crate) struct MobileDoor {
    /// The site.
    pub(crate) site: Arc<Site>,
    /// Times and limits.
    pub(crate) http: Http,
    /// How often one address may ask.
    pub(crate) rate: Rate,
}

impl MobileDoor {
    fn asks(&self, peer: IpAddr) -> Result<Ctx, Refusal> {
        let ctx = Ctx { caller: Caller::Anonymous, now: self.site.sources.now(), address: peer.to_string() };
        match self.rate.allow(peer, ctx.now) {
            true => Ok(ctx),
            false => {
                Err(Refusal::new(Code::TooMany, "Too many requests from this address; wait a minute and try again."))
            }
        }
    }
}

/// Answers one request of EST. `certificate`: what the client showed in the handshake.
pub(crate) async fn est(
    door: &MobileDoor,
    peer: IpAddr,
    certificate: Option<&[u8]>,
    request: Request<Incoming>,
) -> Response<Body> {
    match door.asks(peer) {
        Ok(ctx) => est::dispatch(&ctx, door, certificate, request).await,
        Err(refusal) => refusal.into(),
    }
}

/// Answers one request of SCEP.
pub(crate) async fn scep(
    door: &MobileDoor,
    authority: &MobileAuthority,
    peer: IpAddr,
    request: Request<Incoming>,
) -> Response<Body> {
    match door.asks(peer) {
        Ok(ctx) => scep::dispatch(&ctx, door, authority, request).await.unwrap_or_else(Into::into),
        Err(refusal) => refusal.into(),
    }
}
