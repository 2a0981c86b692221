//! The console as a browser without script uses it: the real router, the real rules, a site of its own for each test.

use super::routes;
use crate::{
    config,
    http::{App, AppState, Body, rate::Rate, route},
};
use axum::{Router, extract::ConnectInfo};
use http::{HeaderMap, Method, Request, StatusCode, header};
use http_body_util::BodyExt;
use metrics_exporter_prometheus::PrometheusBuilder;
use muster_model::api::PageQuery;
use muster_site::{Ctx, authz::Access, testing::TestSite};
use std::{net::SocketAddr, sync::Arc};
use tower::ServiceExt;

const HOST: &str = "127.0.0.1:8442";

/// A browser at a site.
struct Browser {
    test: TestSite,
    router: Router,
    cookie: String,
}

/// What came back.
struct Shown {
    status: StatusCode,
    headers: HeaderMap,
    html: String,
}

impl Shown {
    fn header(&self, name: &str) -> &str {
        self.headers.get(name).map_or("", |value| value.to_str().unwrap())
    }

    /// The session's token, as the first form carries it.
    fn csrf(&self) -> String {
        let start = self.html.find("name=\"csrf\" value=\"").expect("a form") + 19;
        self.html[start..].split('"').next().unwrap().to_owned()
    }
}

impl Browser {
    async fn new() -> Self {
        let test = TestSite::new().await;
        let app: AppState = Arc::new(App {
            site: test.site.clone(),
            http: config::Http::default(),
            tls: true,
            loopback: true,
            sign_ins: Rate::new(60),
            stopping: tokio::sync::watch::channel(false).1,
            metrics: PrometheusBuilder::new().build_recorder().handle(),
        });
        Self { router: route::router(&app), test, cookie: String::new() }
    }

    /// A browser in which somebody is signed in.
    async fn signed_in(who: fn(&TestSite) -> Ctx) -> Self {
        let mut browser = Self::new().await;
        let code = muster_site::session_code(&who(&browser.test), &browser.test.site).await.unwrap().code;
        assert_eq!(browser.post("/sign-in", &[("code", &code)]).await.status, StatusCode::SEE_OTHER);
        browser
    }

    async fn send(&mut self, request: Request<Body>) -> Shown {
        let (mut parts, body) = request.into_parts();
        let peer: SocketAddr = "192.0.2.1:5000".parse().unwrap();
        parts.extensions.insert(ConnectInfo(peer));
        parts.headers.insert(header::HOST, HOST.parse().unwrap());
        if !self.cookie.is_empty() {
            parts.headers.insert(header::COOKIE, self.cookie.parse().unwrap());
        }
        let answer = self.router.clone().oneshot(Request::from_parts(parts, body)).await.unwrap();
        for set in answer.headers().get_all(header::SET_COOKIE) {
            if let Some(pair) = set.to_str().unwrap().split(';').next().filter(|p| p.starts_with("muster_session=")) {
                self.cookie = pair.to_owned();
            }
        }
        let (status, headers) = (answer.status(), answer.headers().clone());
        let html = String::from_utf8(answer.into_body().collect().await.unwrap().to_bytes().to_vec()).unwrap();
        Shown { status, headers, html }
    }

    async fn get(&mut self, path: &str) -> Shown {
        self.send(Request::get(path).body(Body::empty()).unwrap()).await
    }

    async fn post(&mut self, path: &str, fields: &[(&str, &str)]) -> Shown {
        self.post_from(&format!("https://{HOST}"), path, fields).await
    }

    async fn post_from(&mut self, origin: &str, path: &str, fields: &[(&str, &str)]) -> Shown {
        let form = super::paging::query(fields);
        let request = Request::post(path)
            .header(header::CONTENT_TYPE, "application/x-www-form-urlencoded")
            .header(header::ORIGIN, origin)
            .body(Body::from(form.trim_start_matches('?').to_owned()))
            .unwrap();
        self.send(request).await
    }

    async fn open_tokens(&self) -> u64 {
        muster_site::token_list(&self.test.full(), &self.test.site, PageQuery::default()).await.unwrap().total
    }
}

#[tokio::test]
async fn a_code_signs_in_once_and_the_session_ends_when_its_owner_says_so() {
    let mut browser = Browser::new().await;
    let before = browser.get("/").await;
    assert_eq!(before.status, StatusCode::UNAUTHORIZED);
    assert!(before.html.contains("muster console"), "the page says how to sign in");
    let made = muster_site::session_code(&browser.test.full(), &browser.test.site).await.unwrap();
    let link = made.url.strip_prefix("http://127.0.0.1:8442").unwrap().to_owned();
    for _ in 0..2 {
        let asked = browser.get(&link).await;
        assert_eq!(asked.status, StatusCode::OK, "looking at the link does not use it up");
        assert!(asked.html.contains(&made.code) && browser.cookie.is_empty());
    }
    let entered = browser.post("/sign-in", &[("code", &made.code)]).await;
    assert_eq!((entered.status, entered.header("location")), (StatusCode::SEE_OTHER, "/"));
    let cookie = entered.header("set-cookie");
    for word in ["HttpOnly", "SameSite=Strict", "Secure", "Path=/"] {
        assert!(cookie.contains(word), "{cookie}");
    }
    let inside = browser.get("/devices").await;
    assert_eq!(inside.status, StatusCode::OK);
    assert!(inside.html.contains("Ada"));

    let mut other = Browser { cookie: String::new(), router: browser.router.clone(), test: Browser::new().await.test };
    let again = other.post("/sign-in", &[("code", &made.code)]).await;
    assert_eq!(again.status, StatusCode::UNAUTHORIZED);
    assert!(again.html.contains("role=\"alert\"") && other.cookie.is_empty());

    let kept = browser.cookie.clone();
    let out = browser.post("/sign-out", &[("csrf", &inside.csrf())]).await;
    assert_eq!((out.status, out.header("location")), (StatusCode::SEE_OTHER, "/sign-in?bye=true"));
    browser.cookie = kept;
    assert_eq!(browser.get("/devices").await.status, StatusCode::UNAUTHORIZED, "the cookie is worth nothing now");
}

#[tokio::test]
async fn a_form_that_no_page_of_this_session_sent_changes_nothing() {
    let mut browser = Browser::signed_in(TestSite::full).await;
    let csrf = browser.get("/tokens").await.csrf();
    let fields = [("name", "for the lobby"), ("valid_seconds", "3600")];
    let with = |token: &'static str| [fields[0], fields[1], ("csrf", token)];
    for forged in [
        browser.post("/tokens", &fields).await,
        browser.post("/tokens", &with("wrong")).await,
        browser.post_from("https://elsewhere.example", "/tokens", &[fields[0], fields[1], ("csrf", &csrf)]).await,
        browser.post_from("null", "/tokens", &[fields[0], fields[1], ("csrf", &csrf)]).await,
    ] {
        assert_eq!(forged.status, StatusCode::FORBIDDEN);
        assert!(forged.html.contains("csrf_invalid") && forged.html.contains("<h1>"));
    }
    assert_eq!(browser.open_tokens().await, 0);
    let made = browser.post("/tokens", &[fields[0], fields[1], ("csrf", &csrf)]).await;
    assert_eq!(made.status, StatusCode::OK);
    assert!(made.html.contains("muster1.") && made.html.contains("for the lobby"));
    assert_eq!(made.header("cache-control"), "no-store", "the token stays in no cache");
    assert_eq!(browser.open_tokens().await, 1);
    assert!(!browser.get("/tokens").await.html.contains("muster1."), "shown once");
}

#[tokio::test]
async fn a_device_is_approved_found_blocked_and_unblocked() {
    let mut browser = Browser::signed_in(TestSite::full).await;
    let request = browser.test.request("kiosk-lobby").await;
    let queue = browser.get("/enrolments").await;
    let fingerprint = super::format::fingerprint(&request.key.public().id());
    assert!(queue.html.contains("kiosk-lobby") && queue.html.contains(&fingerprint));
    let csrf = queue.csrf();
    let approved = browser.post(&format!("/enrolments/{}/approve", request.id), &[("csrf", &csrf)]).await;
    assert_eq!(approved.header("location"), "/enrolments?done=approved");
    assert!(browser.get("/enrolments?done=approved").await.html.contains("The request was approved"));
    assert!(browser.get("/devices?search=kiosk").await.html.contains("kiosk-lobby"));
    assert!(browser.get("/devices?search=nothing-like-it").await.html.contains("No device matches"));
    let page = browser.get("/devices?state=active&sort=last_seen&descending=true").await;
    let id = page.html.split("/devices/").nth(1).unwrap().split('"').next().unwrap().to_owned();
    assert!(browser.get(&format!("/devices/{id}")).await.html.contains(&fingerprint));

    let confirm = browser.get(&format!("/devices/{id}/block")).await;
    assert!(confirm.html.contains("Its connections are closed at once"));
    let revision =
        confirm.html.split("name=\"revision\" value=\"").nth(1).unwrap().split('"').next().unwrap().to_owned();
    let fields = [("csrf", csrf.as_str()), ("reason", "stolen from the lobby"), ("revision", &revision)];
    let empty = browser.post(&format!("/devices/{id}/block"), &[("csrf", &csrf), ("reason", " ")]).await;
    assert_eq!(empty.status, StatusCode::BAD_REQUEST, "a reason is wanted");
    let blocked = browser.post(&format!("/devices/{id}/block"), &fields).await;
    assert_eq!(blocked.header("location"), format!("/devices/{id}?done=blocked"));
    assert!(browser.get(&format!("/devices/{id}")).await.html.contains("stolen from the lobby"));
    let late = browser.post(&format!("/devices/{id}/retire"), &fields).await;
    assert_eq!(late.status, StatusCode::PRECONDITION_FAILED, "somebody changed it since the page was shown");
    assert!(late.html.contains("Somebody changed this before you"));
    let unblocked = browser.post(&format!("/devices/{id}/unblock"), &[("csrf", &csrf), ("reason", "found")]).await;
    assert_eq!(unblocked.status, StatusCode::SEE_OTHER);
    let log = browser.get("/audit").await.html;
    assert!(log.contains("device_block") && log.contains("stolen from the lobby"));
    assert!(browser.get("/audit/verify").await.html.contains("The chain is whole"));
}

#[tokio::test]
async fn an_analyst_sees_every_page_and_changes_nothing() {
    let mut browser = Browser::signed_in(TestSite::analyst).await;
    let csrf = browser.get("/devices").await.csrf();
    let plain = |route: &&route::Route| !route.path.contains('{');
    for route in routes().iter().filter(plain) {
        match (&route.method, route.access) {
            (_, Access::Anyone) => {}
            (&Method::GET, Access::See) if route.path != "/events" => {
                let page = browser.get(route.path).await;
                assert_eq!(page.status, StatusCode::OK, "{}", route.path);
                assert!(page.header("content-security-policy").contains("script-src 'self'"), "{}", route.path);
                assert!(!page.header("content-security-policy").contains("unsafe"), "{}", route.path);
                assert_eq!(page.header("cache-control"), "no-store", "{}", route.path);
            }
            (&Method::GET, Access::Change) => {
                assert_eq!(browser.get(route.path).await.status, StatusCode::FORBIDDEN, "{}", route.path);
            }
            (&Method::POST, Access::Change) => {
                let refused = browser.post(route.path, &[("csrf", &csrf)]).await;
                assert_eq!(refused.status, StatusCode::FORBIDDEN, "{}", route.path);
                assert!(refused.html.contains("Your role is read-only"), "{}", route.path);
            }
            _ => {}
        }
    }
    assert!(!browser.get("/tokens").await.html.contains("Make token"));
}

#[tokio::test]
async fn nobody_sees_a_page_without_signing_in() {
    let mut browser = Browser::new().await;
    for route in routes().iter().filter(|route| route.access != Access::Anyone) {
        let path = route
            .path
            .replace("{id}", "0192f0c1-7a3b-7c4d-8e5f-0123456789ab")
            .replace("{class}", "DISK")
            .replace("{piece}", "0192f0c1-7a3b-7c4d-8e5f-0123456789ab");
        let path = path.replace("{hash}", &"0f".repeat(32));
        let answer = match route.method {
            Method::GET => browser.get(&path).await,
            _ => browser.post(&path, &[]).await,
        };
        assert_eq!(answer.status, StatusCode::UNAUTHORIZED, "{path}");
        assert!(answer.html.contains("Sign in to"), "{path}");
    }
}

#[tokio::test]
async fn what_is_not_there_or_not_understood_is_a_page_that_helps() {
    let mut browser = Browser::signed_in(TestSite::full).await;
    for (path, status) in [
        ("/devices/0192f0c1-7a3b-7c4d-8e5f-0123456789ab", StatusCode::NOT_FOUND),
        ("/devices/not-an-id", StatusCode::NOT_FOUND),
        ("/devices?state=sleeping", StatusCode::BAD_REQUEST),
        ("/devices?offset=-1", StatusCode::BAD_REQUEST),
        ("/devices?limit=100000", StatusCode::PAYLOAD_TOO_LARGE),
        ("/enrolments?state=%3Cscript%3E", StatusCode::BAD_REQUEST),
    ] {
        let page = browser.get(path).await;
        assert_eq!(page.status, status, "{path}");
        assert!(page.html.starts_with("<!doctype html>") && page.html.contains("Go to the overview"), "{path}");
    }
    let search = browser.get("/devices?search=%3Cscript%3Ealert(1)%3C/script%3E").await;
    assert!(search.html.contains("&lt;script&gt;") && !search.html.contains("<script>alert"));
}

#[tokio::test]
async fn colours_are_kept_and_files_are_cached_for_good() {
    let mut browser = Browser::signed_in(TestSite::full).await;
    let page = browser.get("/devices").await;
    assert!(page.html.contains("data-theme=\"auto\""));
    let set = browser.post("/theme", &[("csrf", &page.csrf()), ("theme", "dark")]).await;
    assert!(set.header("set-cookie").starts_with("muster_theme=dark;"));
    browser.cookie.push_str("; muster_theme=dark");
    assert!(browser.get("/devices").await.html.contains("data-theme=\"dark\""));
    let style = super::assets::Assets::get().style.as_str();
    let asset = browser.get(style).await;
    assert_eq!((asset.status, asset.header("content-type")), (StatusCode::OK, "text/css; charset=utf-8"));
    assert_eq!(asset.header("cache-control"), "public, max-age=31536000, immutable");
    let other = browser.get(&style.replace("/assets/", "/assets/0")).await;
    assert_eq!(other.status, StatusCode::NOT_FOUND);
}
