//! The enrolment door: seven addresses for devices that have no certificate yet, or another. Nothing else is here, and nobody is anybody.

mod attestation;
mod enterprise;
mod issuer;
mod poll;
mod request;
mod trust_bundle;

use super::{Body, rate::Rate, respond::Refusal};
use crate::config::Http;
use http::{Method, Request, Response};
use hyper::body::Incoming;
use muster_model::problem::Code;
use muster_site::{Caller, Channel, Ctx, Site};
use std::{net::IpAddr, sync::Arc};

/// The enrolment door at work.
pub(crate) struct EnrolmentDoor {
    /// The site.
    pub(crate) site: Arc<Site>,
    /// Times and limits.
    pub(crate) http: Http,
    /// How often one address may ask.
    pub(crate) rate: Rate,
}

/// Answers one request.
pub(crate) async fn dispatch(
    door: &EnrolmentDoor,
    peer: IpAddr,
    channel: &Channel,
    request: Request<Incoming>,
) -> Response<Body> {
    let ctx = Ctx { caller: Caller::Anonymous, now: door.site.sources.now(), address: peer.to_string() };
    if !door.rate.allow(peer, ctx.now) {
        return Refusal::new(Code::TooMany, "Too many requests from this address; wait a minute and try again.").into();
    }
    let outcome = match (request.method(), request.uri().path(), request.uri().query()) {
        (&Method::GET, "/enrol/v1/trust-bundle", None) => trust_bundle::show(&ctx, door).await,
        (&Method::POST, "/enrol/v1/attestations", None) => attestation::offer(&ctx, door, channel, request).await,
        (&Method::POST, "/enrol/v1/requests", None) => request::create(&ctx, door, channel, request).await,
        (&Method::GET, "/enrol/v1/issuers", None) => issuer::offer(&ctx, door).await,
        (&Method::POST, "/enrol/v1/enterprise-certificate", None) => {
            enterprise::change(&ctx, door, channel, request).await
        }
        (&Method::POST, "/enrol/v1/requests/poll", None) => poll::poll(&ctx, door, request).await,
        (&Method::GET, path, None) => match super::agent::version_after(path, "/enrol/v1/trust-bundle/") {
            Some(version) => trust_bundle::show_version(&ctx, door, version).await,
            None => Err(Refusal::not_found()),
        },
        _ => Err(Refusal::not_found()),
    };
    outcome.unwrap_or_else(Into::into)
}
