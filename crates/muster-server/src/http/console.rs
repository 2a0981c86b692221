//! Where the console hangs in: its routes in the one table, and its pages for what the guard refuses.
//!
//! A console handler takes [`Asking`](super::extract::Asking) for the rules, `Extension<`[`Signed`](super::guard::Signed)`>` for the
//! session (name, token for forms), and plain form fields: the guard has checked the form's token and taken it out.

use super::{AppState, Body, guard::COOKIE, respond::Refusal, route::Route};
use http::{HeaderMap, HeaderValue, Response};

/// The console's routes.
pub(crate) fn routes() -> Vec<Route> {
    crate::console::routes()
}

/// What a browser gets when the guard refuses its request.
pub(crate) fn refused(app: &AppState, headers: &HeaderMap, refusal: Refusal) -> Response<Body> {
    crate::console::refused(app, headers, refusal)
}

/// The cookie that carries a console session; over TLS it never leaves TLS.
pub(crate) fn session_cookie(app: &AppState, token: &str) -> HeaderValue {
    cookie(app, token, "")
}

/// The cookie that takes the session's away.
pub(crate) fn no_session_cookie(app: &AppState) -> HeaderValue {
    cookie(app, "", "; Max-Age=0")
}

fn cookie(app: &AppState, value: &str, age: &str) -> HeaderValue {
    let secure = if app.tls { "; Secure" } else { "" };
    let text = format!("{COOKIE}={value}; Path=/; HttpOnly; SameSite=Strict{secure}{age}");
    HeaderValue::try_from(text).unwrap_or(HeaderValue::from_static(""))
}
