//! Who may do what: the table of routes, walked.

use crate::harness::{Answer, Caller, World};
use http::{Method, Request, StatusCode};
use http_body_util::Full;
use muster_model::{api::Role, problem::Code};
use muster_server::http::route::{Kind, Route, table};
use muster_site::authz::Access;

/// The address with something in the place of each parameter.
fn address(route: &Route) -> String {
    let mut path = route.path.to_owned();
    for (name, value) in [
        ("{id}", "0192f0c1-7a3b-7c4d-8e5f-0123456789ab"),
        ("{hash}", "0f0f0f0f0f0f0f0f0f0f0f0f0f0f0f0f0f0f0f0f0f0f0f0f0f0f0f0f0f0f0f0f"),
        ("{class}", "OPERATING_SYSTEM"),
        ("{piece}", "0192f0c1-7a3b-7c4d-8e5f-0123456789ab"),
    ] {
        path = path.replace(name, value);
    }
    path
}

async fn call(world: &World, who: &Caller, route: &Route) -> Answer {
    let mut request = Request::builder().method(route.method.clone()).uri(address(route)).header("host", "localhost");
    if let Some(token) = &who.token {
        request = request.header("authorization", format!("Bearer {token}"));
        request = request.header("cookie", format!("muster_session={token}"));
    }
    request = request.header("content-type", "application/json");
    let body = if route.method == Method::GET || route.method == Method::HEAD { "" } else { "{}" };
    world.admin_request(request.body(Full::from(body)).unwrap()).await
}

/// Routes that never end, and are judged by their head alone: none of them is asked here by somebody who may.
fn streams(route: &Route) -> bool {
    route.path.ends_with("/events")
}

#[tokio::test]
async fn every_route_asks_who_comes() {
    let world = World::new().await;
    let (_, analyst) = world.admin("rosalind", Role::ReadOnlyAnalyst).await;
    let device = Caller { token: Some("A".repeat(43)) };
    let mut full: Option<Caller> = None;
    for route in table().iter().filter(|route| route.kind == Kind::Api) {
        let anonymous = call(&world, &world.nobody(), route).await;
        let stranger = call(&world, &device, route).await;
        match route.access {
            Access::Anyone => assert_ne!(anonymous.status, StatusCode::UNAUTHORIZED, "{route:?}"),
            _ => {
                for answer in [&anonymous, &stranger] {
                    assert_eq!(answer.status, StatusCode::UNAUTHORIZED, "{route:?}");
                    if route.method != Method::HEAD {
                        assert_eq!(answer.code(), Code::Unauthenticated, "{route:?}");
                    }
                }
                assert_eq!(anonymous.body, stranger.body, "{route:?}: who is nobody learns nothing");
            }
        }
        // Whoever ends the session would end the one that the other calls need.
        if !streams(route) && route.about.operation != "session_end" {
            let seen = call(&world, &analyst, route).await.status;
            match route.access {
                Access::Change => assert_eq!(seen, StatusCode::FORBIDDEN, "{route:?}"),
                Access::Device => assert_eq!(seen, StatusCode::UNAUTHORIZED, "{route:?}"),
                Access::See | Access::Anyone => assert_ne!(seen, StatusCode::FORBIDDEN, "{route:?}"),
            }
        }
        // Some of these calls end the session: then comes another administrator. As few as can be, for who signs in is counted.
        if !streams(route) && !route.about.operation.is_empty() {
            let caller = match full.take() {
                Some(caller) if world.get(&caller, "/session").await.status == StatusCode::OK => caller,
                _ => world.admin(&format!("full {}", route.about.operation), Role::FullAdministrator).await.1,
            };
            let done = call(&world, &caller, route).await.status;
            full = Some(caller);
            let refused = done == StatusCode::UNAUTHORIZED || done == StatusCode::FORBIDDEN;
            assert!(!refused || route.access == Access::Anyone, "{route:?} {done}");
        }
    }
}

#[tokio::test]
async fn every_change_needs_the_right_to_change() {
    // A POST that only reads, and what everybody does with a session of their own.
    const READS: &[&str] = &[
        "baseline_preview",
        "collection_preview",
        "deployment_preview",
        "query_check",
        "query_run",
        "query_run_saved",
        "query_sql",
        "session_code",
        "session_challenge",
        "session_create",
        "session_end",
        "settings_preview",
    ];
    for route in table().iter().filter(|route| route.kind == Kind::Api) {
        let changes = route.method != Method::GET && route.method != Method::HEAD;
        if changes && !READS.contains(&route.about.operation) {
            assert_eq!(route.access, Access::Change, "{route:?}");
        }
        if !changes {
            assert_ne!(route.access, Access::Change, "{route:?}");
        }
    }
}

#[tokio::test]
async fn whoever_needs_no_session_gets_nothing_of_the_site() {
    let open: Vec<_> = table()
        .iter()
        .filter(|r| r.kind == Kind::Api && r.access == Access::Anyone)
        .map(|r| format!("{r:?}"))
        .collect();
    assert_eq!(
        open,
        [
            "POST /api/v1/session/challenge (Anyone)",
            "POST /api/v1/session (Anyone)",
            "GET /api/v1/openapi.json (Anyone)",
            "GET /health/live (Anyone)",
            "GET /health/ready (Anyone)",
            "GET /metrics (Anyone)",
        ]
    );
}

#[tokio::test]
async fn a_session_ends_when_it_is_ended_and_no_other() {
    let world = World::new().await;
    let (_, bob) = world.admin("bob", Role::FullAdministrator).await;
    assert_eq!(world.call(&bob, Method::DELETE, "/session", None).await.status, StatusCode::NO_CONTENT);
    assert_eq!(world.get(&bob, "/session").await.code(), Code::Unauthenticated);
    assert_eq!(world.get(&world.alice, "/session").await.status, StatusCode::OK);
}

#[tokio::test]
async fn a_bearer_token_is_no_cookie_and_the_scheme_is_bearer() {
    let world = World::new().await;
    let token = world.alice.token.clone().unwrap();
    for (name, value) in [
        ("cookie", format!("muster_session={token}")),
        ("authorization", token.clone()),
        ("authorization", format!("Basic {token}")),
        ("authorization", format!("bearer: {token}")),
        ("authorization", format!("Bearer  {token}")),
        ("authorization", format!("Bearer {token}x")),
        ("x-forwarded-user", "alice".into()),
    ] {
        let request = Request::get("/api/v1/site").header("host", "localhost").header(name, &value);
        let answer = world.admin_request(request.body(Full::default()).unwrap()).await;
        assert_eq!(answer.code(), Code::Unauthenticated, "{name}: {value}");
    }
}
