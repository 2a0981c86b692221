//! Before every handler of the administrators' door: who asks, may they, and did the form come from a page of this console.

use super::{
    AppState, Body, body,
    respond::Refusal,
    route::{BodyLimit, Kind},
};
use axum::{
    extract::{ConnectInfo, Request, State},
    middleware::Next,
    response::{IntoResponse, Response},
};
use bytes::Bytes;
use http::{HeaderMap, HeaderName, Method, header};
use muster_model::{api::Admin, problem::Code};
use muster_site::{
    Caller, Ctx,
    authz::{self, Access},
    identity::session::SessionKind,
};
use muster_trust::secret_eq;
use std::{net::SocketAddr, time::Duration};

/// Name of the console's session cookie.
pub(crate) const COOKIE: &str = "muster_session";
/// Header that may carry a form's token instead of a field.
pub(crate) const CSRF_HEADER: HeaderName = HeaderName::from_static("x-csrf-token");
/// Name of the field that carries a form's token.
pub(crate) const CSRF_FIELD: &str = "csrf";

/// One route with its demand.
#[derive(Debug, Clone)]
pub(crate) struct Guarded {
    pub(crate) app: AppState,
    pub(crate) access: Access,
    pub(crate) kind: Kind,
    pub(crate) body: BodyLimit,
}

/// A session that was found. Handlers of the console take it as an extension.
#[derive(Clone)]
pub(crate) struct Signed {
    /// Who is signed in.
    pub(crate) admin: Admin,
    /// The token that forms must carry.
    pub(crate) csrf: String,
    /// The session's own token, to end it.
    pub(crate) token: String,
}

impl std::fmt::Debug for Signed {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Signed").field("admin", &self.admin.name).finish_non_exhaustive()
    }
}

/// Finds out who asks, refuses who may not, and hands on with a [`Ctx`] in the request's extensions.
pub(crate) async fn guard(State(guarded): State<Guarded>, request: Request, next: Next) -> Response {
    let (kind, app) = (guarded.kind, guarded.app.clone());
    let headers = request.headers().clone();
    match admit(&guarded, request).await {
        Ok(request) => next.run(request).await,
        Err(refusal) if kind == Kind::Console => super::console::refused(&app, &headers, refusal),
        Err(refusal) => refusal.into_response(),
    }
}

async fn admit(guarded: &Guarded, request: Request) -> Result<Request, Refusal> {
    let Guarded { app, access, kind, body } = guarded;
    announced(app, *body, request.headers())?;
    let address = request.extensions().get::<ConnectInfo<SocketAddr>>().map(|peer| peer.0.ip());
    let mut ctx = Ctx {
        caller: Caller::Anonymous,
        now: app.site.sources.now(),
        address: address.map(|ip| ip.to_string()).unwrap_or_default(),
    };
    if *kind == Kind::Console && request.method() != Method::GET {
        same_origin(request.headers())?;
    }
    let signed = match token(*kind, request.headers()) {
        Some(token) => find(app, *kind, &ctx, token).await,
        None => Ok(None),
    };
    let signed = match (access, signed) {
        // Whoever needs no session is not refused for a bad one.
        (Access::Anyone, signed) => signed.unwrap_or_default(),
        (_, signed) => signed?,
    };
    if let Some(signed) = &signed {
        ctx.caller = Caller::Admin(signed.admin.clone());
    }
    match access {
        Access::Anyone => {}
        Access::See => drop(authz::see(&ctx)?),
        Access::Change => drop(authz::change(&ctx)?),
        // Devices have doors of their own.
        Access::Device => drop(authz::device(&ctx)?),
    }
    let mut request = match (&signed, kind) {
        (Some(signed), Kind::Console) if request.method() != Method::GET && *access != Access::Anyone => {
            checked_form(request, &signed.csrf, app.site.limits.api_bytes, Duration::from_secs(app.http.body_seconds))
                .await?
        }
        _ => request,
    };
    request.extensions_mut().insert(ctx);
    if let Some(signed) = signed {
        request.extensions_mut().insert(signed);
    }
    Ok(request)
}

/// The credential that counts for this kind of route, and no other.
fn token(kind: Kind, headers: &HeaderMap) -> Option<&str> {
    match kind {
        Kind::Api => headers.get(header::AUTHORIZATION)?.to_str().ok()?.strip_prefix("Bearer "),
        Kind::Console => cookie(headers, COOKIE),
    }
}

/// A cookie of that name. Twice the same name is none.
pub(crate) fn cookie<'a>(headers: &'a HeaderMap, name: &str) -> Option<&'a str> {
    let mut found = headers
        .get_all(header::COOKIE)
        .iter()
        .filter_map(|value| value.to_str().ok())
        .flat_map(|value| value.split(';'))
        .filter_map(|pair| pair.trim().split_once('='))
        .filter(|(key, _)| *key == name)
        .map(|(_, value)| value);
    let value = found.next()?;
    found.next().is_none().then_some(value)
}

async fn find(app: &AppState, kind: Kind, ctx: &Ctx, token: &str) -> Result<Option<Signed>, Refusal> {
    let wanted = match kind {
        Kind::Api => SessionKind::Api,
        Kind::Console => SessionKind::Console,
    };
    let found = muster_site::session_caller(&app.site, token, ctx.now).await?;
    // A bearer token is not good as a cookie, nor a cookie as a bearer token.
    Ok(found.filter(|session| session.kind == wanted).map(|session| Signed {
        admin: session.admin,
        csrf: session.csrf,
        token: token.to_owned(),
    }))
}

/// What says that it is too large is refused before anything else is looked at.
fn announced(app: &AppState, body: BodyLimit, headers: &HeaderMap) -> Result<(), Refusal> {
    let limits = &app.site.limits;
    let limit = match body {
        BodyLimit::Api => limits.api_bytes as u64,
        BodyLimit::Object => limits.object_bytes as u64,
        BodyLimit::Content => limits.content_bytes,
        BodyLimit::Import => muster_model::limits::COLLECTION_IMPORT_BYTES as u64,
    };
    if super::body::announced(headers).is_some_and(|length| length > limit) {
        return Err(Refusal::new(Code::TooLarge, format!("The body has more than {limit} bytes.")));
    }
    Ok(())
}

/// A browser says where a form comes from; what says nothing is no browser, and is judged by the token alone.
fn same_origin(headers: &HeaderMap) -> Result<(), Refusal> {
    let text = |name: &HeaderName| headers.get(name).and_then(|value| value.to_str().ok());
    let site = text(&HeaderName::from_static("sec-fetch-site"));
    let host = text(&header::HOST).unwrap_or("");
    let origin_ok = text(&header::ORIGIN).is_none_or(|origin| {
        origin.strip_prefix("https://").or_else(|| origin.strip_prefix("http://")).is_some_and(|of| of == host)
    });
    if site.is_none_or(|site| site == "same-origin") && origin_ok {
        return Ok(());
    }
    Err(forged())
}

fn forged() -> Refusal {
    Refusal::new(Code::CsrfInvalid, "The form was not sent by a page of this console; load the page again.")
}

/// A form whose token is the session's; the token is taken out of it.
async fn checked_form(request: Request, csrf: &str, limit: usize, patience: Duration) -> Result<Request, Refusal> {
    let (mut parts, form) = request.into_parts();
    let bytes = body::read(&parts.headers, form, limit, patience).await?;
    let by_header = parts.headers.get(CSRF_HEADER).map(|value| value.as_bytes().to_vec());
    let (sent, rest) = if by_header.is_some() { (by_header, bytes) } else { take_field(&bytes) };
    if csrf.is_empty() || !sent.is_some_and(|sent| secret_eq(&sent, csrf.as_bytes())) {
        return Err(forged());
    }
    parts.headers.remove(header::CONTENT_LENGTH);
    Ok(Request::from_parts(parts, Body::from(rest)))
}

/// The token's field, and the form without it. The token has no character that a form would encode.
fn take_field(form: &Bytes) -> (Option<Vec<u8>>, Bytes) {
    let prefix = [CSRF_FIELD.as_bytes(), b"="].concat();
    let (mut sent, mut rest) = (None, Vec::with_capacity(form.len()));
    for pair in form.split(|b| *b == b'&').filter(|pair| !pair.is_empty()) {
        match pair.strip_prefix(&prefix[..]) {
            Some(value) if sent.is_none() => sent = Some(value.to_vec()),
            // A second one is a form that no page of ours has.
            Some(_) => return (None, Bytes::new()),
            None => {
                if !rest.is_empty() {
                    rest.push(b'&');
                }
                rest.extend_from_slice(pair);
            }
        }
    }
    (sent, rest.into())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn headers(pairs: &[(&'static str, &'static str)]) -> HeaderMap {
        pairs.iter().map(|(k, v)| (HeaderName::from_static(k), v.parse().unwrap())).collect()
    }

    #[test]
    fn a_form_of_another_origin_is_refused() {
        for good in [
            &[][..],
            &[("host", "a:1"), ("origin", "https://a:1"), ("sec-fetch-site", "same-origin")],
            &[("host", "a:1"), ("origin", "http://a:1")],
        ] {
            assert!(same_origin(&headers(good)).is_ok(), "{good:?}");
        }
        for bad in [
            &[("host", "a:1"), ("origin", "https://b:1")][..],
            &[("host", "a:1"), ("origin", "null")],
            &[("host", "a:1"), ("sec-fetch-site", "cross-site")],
            &[("host", "a:1"), ("sec-fetch-site", "same-site")],
            &[("origin", "https://a")],
        ] {
            assert_eq!(same_origin(&headers(bad)).unwrap_err().0.code, Code::CsrfInvalid, "{bad:?}");
        }
    }

    #[test]
    fn the_token_is_taken_out_of_a_form_and_two_are_none() {
        let of = |text: &'static str| {
            let (sent, rest) = take_field(&Bytes::from(text));
            (sent.map(|s| String::from_utf8(s).unwrap()), String::from_utf8(rest.to_vec()).unwrap())
        };
        assert_eq!(of("csrf=x&a=1&b=2"), (Some("x".into()), "a=1&b=2".into()));
        assert_eq!(of("a=1&csrf=x"), (Some("x".into()), "a=1".into()));
        assert_eq!(of("a=csrf"), (None, "a=csrf".into()));
        assert_eq!(of("csrf=x&csrf=y").0, None);
    }

    #[test]
    fn a_cookie_given_twice_is_none() {
        assert_eq!(cookie(&headers(&[("cookie", "a=1; muster_session=x")]), COOKIE), Some("x"));
        assert_eq!(cookie(&headers(&[("cookie", "muster_session=x; muster_session=y")]), COOKIE), None);
        assert_eq!(cookie(&headers(&[("cookie", "xmuster_session=x")]), COOKIE), None);
    }
}
