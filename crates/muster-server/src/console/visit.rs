//! One request of a person: who asks, with which colours, and how an answer or a refusal becomes a page.

use super::{
    problem::ProblemPage,
    shell::{Done, Shell, Theme},
};
use crate::http::{
    AppState, body,
    guard::{Signed, cookie},
    respond::{self, Refusal},
};
use askama::Template;
use axum::{
    extract::{Form, FromRequest, FromRequestParts, Path, Query, Request},
    response::{IntoResponse, Response},
};
use http::{HeaderMap, HeaderValue, StatusCode, header, request::Parts};
use muster_model::api::{EnrolmentState, PageQuery};
use muster_site::{Ctx, Site, SiteError};
use serde::de::DeserializeOwned;
use std::time::Duration;

/// Name of the cookie that keeps the colours. Script of the console writes it too.
pub(crate) const THEME_COOKIE: &str = "muster_theme";

/// The colours that a request asks for.
pub(crate) fn theme(headers: &HeaderMap) -> Theme {
    Theme::parse(cookie(headers, THEME_COOKIE).unwrap_or(""))
}

/// A request of somebody who is signed in.
#[derive(Debug)]
pub(crate) struct Visit {
    /// What the handlers need.
    pub(crate) app: AppState,
    /// Who asks: the first argument of every rule.
    pub(crate) ctx: Ctx,
    /// The session.
    pub(crate) signed: Signed,
    /// The colours.
    pub(crate) theme: Theme,
    done: Option<Done>,
}

impl FromRequestParts<AppState> for Visit {
    type Rejection = PageRefusal;

    async fn from_request_parts(parts: &mut Parts, app: &AppState) -> Result<Self, PageRefusal> {
        let theme = theme(&parts.headers);
        let known = (parts.extensions.get::<Ctx>().cloned(), parts.extensions.get::<Signed>().cloned());
        let (Some(ctx), Some(signed)) = known else {
            let fault = SiteError::Fault("a page without its guard".to_owned());
            return Err(PageRefusal { theme, refusal: fault.into() });
        };
        let query = parts.uri.query().unwrap_or("");
        let done = query.split('&').find_map(|pair| pair.strip_prefix("done=")).and_then(Done::parse);
        Ok(Self { app: app.clone(), ctx, signed, theme, done })
    }
}

impl Visit {
    /// The site.
    pub(crate) fn site(&self) -> &Site {
        &self.app.site
    }

    /// The answer of a rule, or its refusal as a page.
    pub(crate) fn ask<T, E: Into<Refusal>>(&self, answer: Result<T, E>) -> Result<T, PageRefusal> {
        answer.map_err(|error| self.refuse(error))
    }

    /// A refusal as a page.
    pub(crate) fn refuse(&self, refusal: impl Into<Refusal>) -> PageRefusal {
        PageRefusal { theme: self.theme, refusal: refusal.into() }
    }

    /// What surrounds a page.
    pub(crate) async fn shell(&self, section: &'static str) -> Result<Shell, PageRefusal> {
        let one = PageQuery { offset: 0, limit: 1 };
        let pending = muster_site::enrolment_list(&self.ctx, self.site(), Some(EnrolmentState::Pending), one).await;
        let approval = muster_site::approval_show(&self.ctx, self.site()).await;
        Ok(Shell {
            site: self.site().code,
            site_name: self.site().name.clone(),
            version: env!("CARGO_PKG_VERSION").to_owned(),
            admin: self.signed.admin.clone(),
            csrf: self.signed.csrf.clone(),
            theme: self.theme,
            now: self.ctx.now,
            pending: self.ask(pending)?.total,
            approval: self.ask(approval)?.mode,
            section,
            done: self.done,
        })
    }

    /// A page.
    pub(crate) fn page(&self, template: &impl Template) -> Result<Response, PageRefusal> {
        render(StatusCode::OK, template).map_err(|error| self.refuse(error))
    }
}

/// What a handler answers.
pub(crate) type Answer = Result<Response, PageRefusal>;

/// A page with its status.
pub(crate) fn render(status: StatusCode, template: &impl Template) -> Result<Response, SiteError> {
    let text = template.render().map_err(|error| SiteError::Fault(format!("a page cannot be rendered: {error}")))?;
    Ok(respond::bytes(status, HeaderValue::from_static("text/html; charset=utf-8"), text))
}

/// After something was done: the browser goes to an address of this console and does not send the form again.
pub(crate) fn go(address: &str) -> Response {
    let mut response = respond::empty(StatusCode::SEE_OTHER);
    // Addresses are made of ids, numbers and codes of this program.
    let location = HeaderValue::try_from(address).unwrap_or(HeaderValue::from_static("/"));
    response.headers_mut().insert(header::LOCATION, location);
    response
}

/// After something was done: the browser goes to a page that says so.
pub(crate) fn go_done(address: &str, done: Done) -> Response {
    let sign = if address.contains('?') { '&' } else { '?' };
    go(&format!("{address}{sign}done={}", done.code()))
}

/// A refusal that becomes a page.
#[derive(Debug)]
pub(crate) struct PageRefusal {
    theme: Theme,
    refusal: Refusal,
}

impl PageRefusal {
    /// A refusal before anybody is known.
    pub(crate) fn new(headers: &HeaderMap, refusal: Refusal) -> Self {
        Self { theme: theme(headers), refusal }
    }
}

impl IntoResponse for PageRefusal {
    fn into_response(self) -> Response {
        let problem = *self.refusal.0;
        let status = StatusCode::from_u16(problem.status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
        let page = ProblemPage::new(self.theme, problem.code, problem.detail);
        render(status, &page).unwrap_or_else(|error| Refusal::from(error).into_response())
    }
}

/// A part of the address. What does not parse names nothing.
#[derive(Debug)]
pub(crate) struct Named<T>(pub(crate) T);

impl<T: DeserializeOwned + Send> FromRequestParts<AppState> for Named<T> {
    type Rejection = PageRefusal;

    async fn from_request_parts(parts: &mut Parts, app: &AppState) -> Result<Self, PageRefusal> {
        match Path::<T>::from_request_parts(parts, app).await {
            Ok(Path(value)) => Ok(Self(value)),
            Err(_) => Err(PageRefusal::new(&parts.headers, Refusal::not_found())),
        }
    }
}

/// The query of the address.
#[derive(Debug)]
pub(crate) struct Wanted<T>(pub(crate) T);

impl<T: DeserializeOwned + Send> FromRequestParts<AppState> for Wanted<T> {
    type Rejection = PageRefusal;

    async fn from_request_parts(parts: &mut Parts, _: &AppState) -> Result<Self, PageRefusal> {
        match Query::<T>::try_from_uri(&parts.uri) {
            Ok(Query(value)) => Ok(Self(value)),
            Err(_) => Err(malformed(&parts.headers, "The address is not one that this page understands.")),
        }
    }
}

/// The fields of a form, within the API's limit.
#[derive(Debug)]
pub(crate) struct Fields<T>(pub(crate) T);

impl<T: DeserializeOwned> FromRequest<AppState> for Fields<T> {
    type Rejection = PageRefusal;

    async fn from_request(request: Request, app: &AppState) -> Result<Self, PageRefusal> {
        let (parts, stream) = request.into_parts();
        let headers = parts.headers.clone();
        let patience = Duration::from_secs(app.http.body_seconds);
        let bytes = body::read(&headers, stream, app.site.limits.api_bytes, patience)
            .await
            .map_err(|refusal| PageRefusal::new(&headers, refusal))?;
        let whole = Request::from_parts(parts, axum::body::Body::from(bytes));
        match Form::<T>::from_request(whole, app).await {
            Ok(Form(value)) => Ok(Self(value)),
            Err(_) => Err(malformed(&headers, "The form lacks a field, or has a value that it cannot have.")),
        }
    }
}

fn malformed(headers: &HeaderMap, detail: &str) -> PageRefusal {
    PageRefusal::new(headers, Refusal::malformed(detail))
}

/// The fields of a form that asks for nothing but a reason.
#[derive(Debug, serde::Deserialize)]
pub(crate) struct ReasonFields {
    /// The reason.
    #[serde(default)]
    pub(crate) reason: String,
    /// The revision that the person has seen; empty: any.
    #[serde(default)]
    pub(crate) revision: String,
}

/// Which page of a list the address asks for.
#[derive(Debug, Clone, Copy, serde::Deserialize)]
pub(crate) struct Rows {
    #[serde(default)]
    offset: u64,
    #[serde(default)]
    limit: Option<u32>,
}

impl Rows {
    /// The page, with so many rows where the address does not say.
    pub(crate) fn or(self, limit: u32) -> PageQuery {
        PageQuery { offset: self.offset, limit: self.limit.unwrap_or(limit) }
    }
}

impl From<Rows> for PageQuery {
    fn from(rows: Rows) -> Self {
        rows.or(Self::default().limit)
    }
}

/// A value of a form or query that may be empty: nothing is chosen.
pub(crate) fn chosen<T: std::str::FromStr>(visit: &Visit, text: &str) -> Result<Option<T>, PageRefusal> {
    if text.is_empty() {
        return Ok(None);
    }
    let unknown =
        |_| visit.refuse(Refusal::malformed("The form or address has a value that this page does not offer."));
    text.parse().map(Some).map_err(unknown)
}
