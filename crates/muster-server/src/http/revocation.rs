//! The revocation door: revocation lists and OCSP over plain HTTP, as the standards expect, because what is served proves itself
//! and must be had before any TLS can be judged. Nothing else is here.

use super::{
    Body, body,
    rate::Rate,
    respond::{self, Refusal},
};
use crate::config::Http;
use base64::{Engine, engine::general_purpose::STANDARD as BASE64};
use http::{HeaderMap, HeaderValue, Method, Request, Response, StatusCode, header};
use hyper::body::Incoming;
use muster_model::{
    id::Hash,
    limits::OCSP_REQUEST_BYTES,
    problem::Code,
    time::{MINUTE, SECOND, UnixMillis},
};
use muster_site::{Caller, Ctx, Site};
use std::{net::IpAddr, sync::Arc, time::Duration};

const LIST: HeaderValue = HeaderValue::from_static("application/pkix-crl");
const ANSWER: HeaderValue = HeaderValue::from_static("application/ocsp-response");
/// How long a cache may keep an answer; so long a revocation may be hidden behind one.
const CACHED: i64 = 5 * MINUTE;

/// The revocation door at work.
pub(crate) struct RevocationDoor {
    /// The site.
    pub(crate) site: Arc<Site>,
    /// Times and limits.
    pub(crate) http: Http,
    /// How often one address may ask.
    pub(crate) rate: Rate,
}

/// Answers one request.
pub(crate) async fn dispatch(door: &RevocationDoor, peer: IpAddr, request: Request<Incoming>) -> Response<Body> {
    let ctx = Ctx { caller: Caller::Anonymous, now: door.site.sources.now(), address: peer.to_string() };
    if !door.rate.allow(peer, ctx.now) {
        return Refusal::new(Code::TooMany, "Too many requests from this address; wait a minute and try again.").into();
    }
    answer(&ctx, door, request).await.unwrap_or_else(Into::into)
}

async fn answer(ctx: &Ctx, door: &RevocationDoor, request: Request<Incoming>) -> Result<Response<Body>, Refusal> {
    if request.uri().query().is_some() {
        return Err(Refusal::not_found());
    }
    let path = request.uri().path();
    if request.method() == Method::POST && path == "/ocsp" {
        let (parts, stream) = request.into_parts();
        body::expect_type(&parts.headers, "application/ocsp-request")?;
        let patience = Duration::from_secs(door.http.body_seconds);
        let asked = body::read(&parts.headers, stream, OCSP_REQUEST_BYTES, patience).await?;
        return ocsp(ctx, door, &asked).await;
    }
    if request.method() != Method::GET {
        return Err(Refusal::not_found());
    }
    if let Some(issuer) = path.strip_prefix("/crl/").and_then(|rest| rest.strip_suffix(".crl")) {
        return list(ctx, door, issuer, request.headers()).await;
    }
    let asked = path.strip_prefix("/ocsp/").filter(|asked| asked.len() <= OCSP_REQUEST_BYTES).and_then(unescaped);
    match asked.and_then(|text| BASE64.decode(text).ok()) {
        Some(asked) => ocsp(ctx, door, &asked).await,
        None => Err(Refusal::not_found()),
    }
}

async fn list(ctx: &Ctx, door: &RevocationDoor, issuer: &str, headers: &HeaderMap) -> Result<Response<Body>, Refusal> {
    let issuer: Hash = issuer.parse().map_err(|_| Refusal::not_found())?;
    let list = muster_site::revocation_list_show(ctx, &door.site, issuer).await?;
    let tag = HeaderValue::try_from(format!("\"{}\"", list.digest));
    let tag = tag.unwrap_or(HeaderValue::from_static("\"\""));
    let mut response = if headers.get(header::IF_NONE_MATCH) == Some(&tag) {
        respond::empty(StatusCode::NOT_MODIFIED)
    } else {
        respond::bytes(StatusCode::OK, LIST, list.der.clone())
    };
    response.headers_mut().insert(header::ETAG, tag);
    cacheable(&mut response, ctx.now, list.next_update);
    Ok(response)
}

async fn ocsp(ctx: &Ctx, door: &RevocationDoor, asked: &[u8]) -> Result<Response<Body>, Refusal> {
    let answer = muster_site::ocsp_answer(ctx, &door.site, asked).await?;
    let mut response = respond::bytes(StatusCode::OK, ANSWER, answer.der);
    if let Some((_, next_update)) = answer.cacheable {
        cacheable(&mut response, ctx.now, next_update);
    }
    Ok(response)
}

/// A cache may keep it for a while, and never past its end.
fn cacheable(response: &mut Response<Body>, now: UnixMillis, next_update: UnixMillis) {
    let seconds = next_update.since(now).clamp(0, CACHED) / SECOND;
    let text = format!("public, max-age={seconds}, no-transform, must-revalidate");
    if let Ok(value) = HeaderValue::try_from(text) {
        response.headers_mut().insert(header::CACHE_CONTROL, value);
    }
}

/// Text of an address without its percent-encoding.
fn unescaped(text: &str) -> Option<Vec<u8>> {
    let mut bytes = text.bytes();
    let mut plain = Vec::with_capacity(text.len());
    while let Some(byte) = bytes.next() {
        plain.push(match byte {
            b'%' => {
                let digit = |byte: Option<u8>| char::from(byte?).to_digit(16).and_then(|d| u8::try_from(d).ok());
                digit(bytes.next())? << 4 | digit(bytes.next())?
            }
            other => other,
        });
    }
    Some(plain)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_is_unescaped_or_it_is_none() {
        assert_eq!(unescaped("MFE%2BAB%3d").as_deref(), Some(&b"MFE+AB="[..]));
        assert_eq!(unescaped("a/b+c").as_deref(), Some(&b"a/b+c"[..]));
        for bad in ["%", "%2", "%zz", "a%b"] {
            assert_eq!(unescaped(bad), None, "{bad}");
        }
    }
}
