//! `/.well-known/est/`: the CA's certificates, a first certificate by a token, the next one by the certificate of the connection.

use super::MobileDoor;
use crate::http::{
    Body, body,
    respond::{self, Refusal},
};
use base64::{Engine, engine::general_purpose::STANDARD as BASE64};
use http::{HeaderMap, HeaderValue, Method, Request, Response, StatusCode, header};
use hyper::body::Incoming;
use muster_model::{limits::CERTIFICATE_REQUEST_BYTES, problem::Code};
use muster_site::Ctx;
use std::time::Duration;
use zeroize::Zeroizing;

const CERTIFICATES: HeaderValue = HeaderValue::from_static("application/pkcs7-mime; smime-type=certs-only");

/// Answers one request.
pub(super) async fn dispatch(
    ctx: &Ctx,
    door: &MobileDoor,
    certificate: Option<&[u8]>,
    request: Request<Incoming>,
) -> Response<Body> {
    let answer = match (request.method(), request.uri().path(), request.uri().query()) {
        (&Method::GET, "/.well-known/est/cacerts", None) => {
            muster_site::est_authorities(ctx, &door.site).map_err(Into::into)
        }
        (&Method::POST, "/.well-known/est/simpleenroll", None) => enrol(ctx, door, request).await,
        (&Method::POST, "/.well-known/est/simplereenroll", None) => renew(ctx, door, certificate, request).await,
        _ => Err(Refusal::not_found()),
    };
    match answer {
        Ok(certificates) => {
            let mut response = respond::bytes(StatusCode::OK, CERTIFICATES, certificates);
            response.headers_mut().insert("content-transfer-encoding", HeaderValue::from_static("base64"));
            response
        }
        Err(refusal) => {
            let is_unknown = refusal.0.code == Code::Unauthenticated;
            let mut response: Response<Body> = refusal.into();
            if is_unknown {
                let basic = HeaderValue::from_static("Basic realm=\"muster mobile token\"");
                response.headers_mut().insert(header::WWW_AUTHENTICATE, basic);
            }
            response
        }
    }
}

/// User and password of `Authorization: Basic`.
fn basic(headers: &HeaderMap) -> Option<(String, Zeroizing<String>)> {
    let text = headers.get(header::AUTHORIZATION)?.to_str().ok()?;
    let (scheme, text) = text.split_once(' ')?;
    let plain = Zeroizing::new(BASE64.decode(text.trim()).ok().filter(|_| scheme.eq_ignore_ascii_case("basic"))?);
    let (user, password) = std::str::from_utf8(&plain).ok()?.split_once(':')?;
    Some((user.to_owned(), Zeroizing::new(password.to_owned())))
}

async fn read(door: &MobileDoor, request: Request<Incoming>) -> Result<(HeaderMap, bytes::Bytes), Refusal> {
    let (parts, stream) = request.into_parts();
    body::expect_type(&parts.headers, "application/pkcs10")?;
    let patience = Duration::from_secs(door.http.body_seconds);
    let body = body::read(&parts.headers, stream, CERTIFICATE_REQUEST_BYTES, patience).await?;
    Ok((parts.headers, body))
}

async fn enrol(ctx: &Ctx, door: &MobileDoor, request: Request<Incoming>) -> Result<Vec<u8>, Refusal> {
    let unknown = || Refusal::new(Code::Unauthenticated, "A token's id and challenge are needed, by HTTP Basic.");
    let (user, password) = basic(request.headers()).ok_or_else(unknown)?;
    let (_, body) = read(door, request).await?;
    Ok(muster_site::est_enrol(ctx, &door.site, (&user, &password), &body).await?)
}

async fn renew(
    ctx: &Ctx,
    door: &MobileDoor,
    certificate: Option<&[u8]>,
    request: Request<Incoming>,
) -> Result<Vec<u8>, Refusal> {
    let certificate = certificate.ok_or_else(|| {
        Refusal::new(Code::Forbidden, "The certificate that is to be renewed must be shown in the TLS handshake.")
    })?;
    let (_, body) = read(door, request).await?;
    Ok(muster_site::est_renew(ctx, &door.site, certificate, &body).await?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn basic_is_read_or_it_is_none() {
        let of = |text: &str| {
            let mut headers = HeaderMap::new();
            headers.insert(header::AUTHORIZATION, HeaderValue::from_str(text).unwrap());
            basic(&headers).map(|(user, password)| format!("{user} {}", password.as_str()))
        };
        assert_eq!(of("Basic YTpiOmM=").as_deref(), Some("a b:c"));
        assert_eq!(of("basic YTpiOmM=").as_deref(), Some("a b:c"));
        for bad in ["Basic", "Basic *", "Bearer YTpiOmM=", "Basic YWJj"] {
            assert_eq!(of(bad), None, "{bad}");
        }
    }
}
