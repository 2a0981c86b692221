//! Signing in with a one-time code of the command line tool.

use super::{
    assets::Assets,
    format,
    shell::Theme,
    visit::{Answer, Fields, PageRefusal, THEME_COOKIE, Visit, Wanted, go, render, theme},
};
use crate::http::{AppState, api::event, console, extract::Asking, respond::Refusal};
use askama::Template;
use axum::{
    extract::State,
    response::{IntoResponse, Response},
};
use http::{HeaderMap, HeaderValue, StatusCode, Uri, header};
use muster_model::{
    id::{Name, SiteCode},
    problem::Code,
};

/// `GET /sign-in`: paste the code, or confirm the one of the link.
#[derive(Debug, Template)]
#[template(path = "sign_in.html")]
pub(crate) struct SignInPage {
    /// The site code.
    pub(crate) site: SiteCode,
    /// The site's name.
    pub(crate) site_name: Name,
    /// The colours.
    pub(crate) theme: Theme,
    /// The code of the link, where there is one.
    pub(crate) code: String,
    /// Why the last attempt did not work.
    pub(crate) problem: Option<String>,
    /// Whether the person just signed out.
    pub(crate) signed_out: bool,
}

/// What the link or the form carries.
#[derive(Debug, Default, serde::Deserialize)]
pub(crate) struct CodeFields {
    #[serde(default)]
    code: String,
    #[serde(default)]
    bye: bool,
}

/// The page for somebody who is not signed in.
pub(crate) fn page(
    app: &AppState,
    headers: &HeaderMap,
    status: StatusCode,
    fields: CodeFields,
    problem: Option<String>,
) -> Response {
    let page = SignInPage {
        site: app.site.code,
        site_name: app.site.name.clone(),
        theme: theme(headers),
        code: fields.code,
        problem,
        signed_out: fields.bye,
    };
    render(status, &page).unwrap_or_else(|error| PageRefusal::new(headers, error.into()).into_response())
}

/// `GET /sign-in`: asks; the code of the link is used only when somebody presses the button, so that nothing that merely looks
/// at links can use it up.
pub(crate) async fn sign_in_show(
    State(app): State<AppState>,
    headers: HeaderMap,
    Wanted(fields): Wanted<CodeFields>,
) -> Response {
    page(&app, &headers, StatusCode::OK, fields, None)
}

/// `POST /sign-in`: the code for a session.
pub(crate) async fn session_create(
    State(app): State<AppState>,
    Asking(ctx): Asking,
    headers: HeaderMap,
    Fields(fields): Fields<CodeFields>,
) -> Response {
    let again = |refusal: Refusal| {
        let status = StatusCode::from_u16(refusal.0.status).unwrap_or(StatusCode::UNAUTHORIZED);
        page(&app, &headers, status, CodeFields::default(), Some(refusal.0.detail))
    };
    if !ctx.address.parse().is_ok_and(|address| app.sign_ins.allow(address, ctx.now)) {
        return again(Refusal::new(Code::TooMany, "Too many attempts from this address; wait a minute and try again."));
    }
    match muster_site::session_code_redeem(&ctx, &app.site, fields.code.trim()).await {
        Ok(session) => {
            let mut response = go("/");
            response.headers_mut().append(header::SET_COOKIE, console::session_cookie(&app, &session.token));
            response
        }
        Err(error) => again(error.into()),
    }
}

/// `POST /sign-out`
pub(crate) async fn session_end(visit: Visit) -> Answer {
    visit.ask(muster_site::session_end(&visit.ctx, visit.site(), &visit.signed.token).await)?;
    let mut response = go("/sign-in?bye=true");
    response.headers_mut().append(header::SET_COOKIE, console::no_session_cookie(&visit.app));
    response.headers_mut().insert("clear-site-data", HeaderValue::from_static("\"cache\", \"storage\""));
    Ok(response)
}

/// The form of the colours.
#[derive(Debug, serde::Deserialize)]
pub(crate) struct ThemeFields {
    #[serde(default)]
    theme: String,
}

/// `POST /theme`: the colours, for browsers without script; back to the page that was left, which its own origin may tell.
pub(crate) async fn theme_update(visit: Visit, headers: HeaderMap, Fields(fields): Fields<ThemeFields>) -> Answer {
    let back = headers
        .get(header::REFERER)
        .and_then(|value| value.to_str().ok()?.parse::<Uri>().ok())
        .and_then(|uri| uri.path_and_query().map(|path| path.as_str().to_owned()))
        .filter(|path| path.starts_with('/') && !path.starts_with("//"));
    let mut response = go(back.as_deref().unwrap_or("/"));
    let secure = if visit.app.tls { "; Secure" } else { "" };
    let theme = Theme::parse(&fields.theme).as_str();
    let cookie = format!("{THEME_COOKIE}={theme}; Path=/; Max-Age=31536000; SameSite=Lax{secure}");
    if let Ok(value) = HeaderValue::try_from(cookie) {
        response.headers_mut().append(header::SET_COOKIE, value);
    }
    Ok(response)
}

/// `GET /events`: the stream that tells pages to look again.
pub(crate) async fn events(visit: Visit) -> Answer {
    visit.ask(event::stream_of(&visit.app, &visit.ctx))
}
