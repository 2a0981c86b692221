//! The three doors from outside: certificates that are missing, foreign or old; addresses in odd spellings; senders that sleep.

use crate::harness::{Client, TestDevice, World, connect, port};
use http::{Method, Request, StatusCode};
use http_body_util::Full;
use muster_model::{id::DeviceId, problem::Code, time::DAY};
use muster_server::clock::System;
use muster_site::{identity::new_site::ISSUING_KEY_FILE, site::Sources};
use muster_trust::{
    PrivateKey,
    certificate::{self, IssuingCa},
    tls,
};
use std::time::Duration;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
};

/// How a try to talk to the management point ends, when TLS should not let it come to that.
async fn tls_refuses(world: &World, device: &TestDevice) -> bool {
    let Ok(stream) = connect(&world.server.urls().management_point, device.tls()).await else { return true };
    // With TLS 1.3 the client believes that it is connected before the server has judged its certificate.
    let request = Request::get("/mp/v1/assignment").header("host", "localhost").body(Full::default()).unwrap();
    Client::over(stream).await.try_send(request).await.is_err()
}

fn device_with(world: &World, ca: &IssuingCa, key: PrivateKey, now: i64) -> TestDevice {
    let id = DeviceId(System.id());
    let site = "ABC".parse().unwrap();
    let at = System.now().plus(now);
    let issued = ca.client(site, id, key.public(), at).unwrap();
    TestDevice { id, key, chain: vec![issued.der, ca.certificate().to_vec()], root: world.root_certificate() }
}

/// The site's own issuing CA, as whoever stole its files has it.
fn stolen_ca(world: &World) -> IssuingCa {
    let dir = world.site_dir().join("keys");
    let secret = std::fs::read(dir.join("site.key")).unwrap();
    let pem = std::fs::read_to_string(dir.join(ISSUING_KEY_FILE)).unwrap();
    let key = PrivateKey::from_pem(&pem, Some(&secret)).unwrap();
    IssuingCa::new(std::fs::read(dir.join("issuing.crt.der")).unwrap(), &key).unwrap()
}

// proves S2: the management point talks to nobody without a certificate of this site, and only while it is valid.
#[tokio::test]
async fn no_foreign_or_expired_certificate_opens_the_management_point() {
    let world = World::new().await;
    let none = tls::client(&[world.root_certificate()], None).unwrap();
    if let Ok(stream) = connect(&world.server.urls().management_point, none).await {
        let request = Request::get("/mp/v1/trust-bundle").header("host", "localhost").body(Full::default()).unwrap();
        assert!(Client::over(stream).await.try_send(request).await.is_err(), "no certificate");
    }
    let key = || PrivateKey::generate().unwrap();
    let (root_key, ca_key, site) = (key(), key(), "ABC".parse().unwrap());
    let root = certificate::root(site, &root_key, System.now()).unwrap();
    let ca = certificate::issuing(site, &root, &root_key, ca_key.public(), &[], System.now()).unwrap();
    let foreign = IssuingCa::new(ca, &ca_key).unwrap();
    assert!(tls_refuses(&world, &device_with(&world, &foreign, key(), 0)).await, "another root");
    let own = stolen_ca(&world);
    assert!(tls_refuses(&world, &device_with(&world, &own, key(), -40 * DAY)).await, "expired");
    assert!(tls_refuses(&world, &device_with(&world, &own, key(), 3 * DAY)).await, "not valid yet");
    // A server's certificate is not a client's.
    let server_key = key();
    let issued = own.server(&["localhost".into()], server_key.public(), System.now()).unwrap();
    let server = TestDevice {
        id: DeviceId(System.id()),
        key: server_key,
        chain: vec![issued.der, own.certificate().to_vec()],
        root: world.root_certificate(),
    };
    assert!(tls_refuses(&world, &server).await, "a server's certificate");
}

#[tokio::test]
async fn a_certificate_that_the_site_did_not_give_to_a_device_is_nobody_s() {
    let world = World::new().await;
    // The issuing key alone makes no device: the site knows who it let in.
    let invented = device_with(&world, &stolen_ca(&world), PrivateKey::generate().unwrap(), 0);
    let mut client = world.management_point(&invented).await;
    let answer = client.get("/mp/v1/assignment").await;
    assert_eq!((answer.code(), answer.headers["connection"].to_str().unwrap()), (Code::DeviceNotActive, "close"));
}

#[tokio::test]
async fn a_device_s_certificate_opens_no_other_door() {
    let world = World::with(|config| config.listen.admin_tls = true).await;
    let device = world.device("pc1").await;
    for url in [&world.server.urls().enrolment, &world.server.urls().admin] {
        let mut client = Client::over(connect(url, device.tls()).await.unwrap()).await;
        assert_eq!(client.get("/mp/v1/assignment").await.code(), Code::NotFound);
        let answer = client.get("/api/v1/site").await;
        assert!(matches!(answer.code(), Code::NotFound | Code::Unauthenticated), "{answer:?}");
        let stays = answer.headers.get("strict-transport-security").is_some();
        assert_eq!(stays, *url == world.server.urls().admin, "browsers are told to stay with TLS");
    }
}

/// Spellings of `path` that some servers take for the same address.
fn variants(path: &str) -> Vec<String> {
    let (dir, last) = path.rsplit_once('/').unwrap();
    vec![
        format!("{path}/"),
        format!("/{path}"),
        format!("{dir}//{last}"),
        format!("{dir}/./{last}"),
        format!("{dir}/x/../{last}"),
        format!("{path}%00"),
        format!("{path}%20"),
        format!("{path};x=1"),
        format!("{path}.json"),
        format!("{dir}%2f{last}"),
        path.to_uppercase(),
        format!("/..{path}"),
        format!("{dir}/%2e/{last}"),
        path.replacen("v1", "v1%2f", 1),
        path.replacen("/v1", "/%761", 1),
        format!("http://localhost{path}x"),
    ]
}

#[tokio::test]
async fn an_address_has_one_spelling() {
    let world = World::new().await;
    let device = world.device("pc1").await;
    for path in ["/mp/v1/assignment", "/mp/v1/trust-bundle", "/mp/v1/live"] {
        for variant in variants(path) {
            let mut client = world.management_point(&device).await;
            let answer = client.get(&variant).await;
            assert_eq!(answer.code(), Code::NotFound, "{variant}");
        }
        let mut client = world.management_point(&device).await;
        assert_eq!(client.get(&format!("{path}?x=1")).await.code(), Code::NotFound, "{path} with a query");
    }
    for variant in variants("/enrol/v1/trust-bundle") {
        assert_eq!(world.enrolment().await.get(&variant).await.code(), Code::NotFound, "{variant}");
    }
    for variant in variants("/api/v1/site") {
        let request = Request::get(&variant).header("host", "localhost");
        let request = request.header("authorization", format!("Bearer {}", world.alice.token.clone().unwrap()));
        let answer = world.admin_request(request.body(Full::default()).unwrap()).await;
        assert_eq!(answer.code(), Code::NotFound, "{variant}");
    }
}

#[tokio::test]
async fn another_method_is_another_address() {
    let world = World::new().await;
    let device = world.device("pc1").await;
    let methods = ["PUT", "DELETE", "PATCH", "OPTIONS", "TRACE", "CONNECT", "PROPFIND", "get"];
    for method in methods {
        let method = Method::from_bytes(method.as_bytes()).unwrap();
        // CONNECT has an authority for an address.
        let of = |path: &'static str| if method == Method::CONNECT { "localhost:1" } else { path };
        let ask = |path| {
            Request::builder()
                .method(method.clone())
                .uri(of(path))
                .header("host", "localhost")
                .body(Full::default())
                .unwrap()
        };
        let mut client = world.management_point(&device).await;
        assert_eq!(client.send(ask("/mp/v1/assignment")).await.code(), Code::NotFound, "{method}");
        assert_eq!(
            world.enrolment().await.send(ask("/enrol/v1/trust-bundle")).await.code(),
            Code::NotFound,
            "{method}"
        );
        assert_eq!(world.admin_request(ask("/api/v1/site")).await.code(), Code::NotFound, "{method}");
    }
    let mut client = world.management_point(&device).await;
    assert_eq!(client.get("/mp/v1/reports").await.code(), Code::NotFound);
    let head = Request::head("/mp/v1/assignment").header("host", "localhost").body(Full::default()).unwrap();
    assert_eq!(client.send(head).await.status, StatusCode::NOT_FOUND);
}

#[tokio::test]
async fn who_sends_slowly_is_given_up() {
    let world = World::with(|config| {
        config.http.handshake_seconds = 1;
        config.http.header_seconds = 1;
        config.http.body_seconds = 1;
    })
    .await;
    let urls = world.server.urls();
    // A handshake that never comes.
    let mut silent = TcpStream::connect(("127.0.0.1", port(&urls.enrolment))).await.unwrap();
    // A header that never ends.
    let mut header = TcpStream::connect(("127.0.0.1", port(&urls.admin))).await.unwrap();
    header.write_all(b"GET /health/live HTTP/1.1\r\nhost: a\r\nx: ").await.unwrap();
    // A body that never comes.
    let mut body = TcpStream::connect(("127.0.0.1", port(&urls.admin))).await.unwrap();
    body.write_all(
        b"POST /api/v1/session HTTP/1.1\r\nhost: a\r\ncontent-type: application/json\r\ncontent-length: 100\r\n\r\n{",
    )
    .await
    .unwrap();
    for (what, stream) in [("handshake", &mut silent), ("header", &mut header), ("body", &mut body)] {
        let mut answer = Vec::new();
        let ended = tokio::time::timeout(Duration::from_secs(20), stream.read_to_end(&mut answer)).await;
        assert!(ended.is_ok(), "{what}");
        let answer = String::from_utf8_lossy(&answer);
        match what {
            "body" => assert!(answer.starts_with("HTTP/1.1 400 "), "{answer}"),
            "header" => assert!(answer.is_empty() || answer.starts_with("HTTP/1.1 408 "), "{answer}"),
            _ => {}
        }
    }
}

#[tokio::test]
async fn one_address_does_not_take_every_place() {
    let world = World::with(|config| config.http.connections_per_address = 2).await;
    let target = ("127.0.0.1", port(&world.server.urls().admin));
    // A place is taken when the server answers on it.
    let mut kept = Vec::new();
    for _ in 0..2 {
        let mut client = Client::over(TcpStream::connect(target).await.unwrap()).await;
        assert_eq!(client.get("/health/live").await.status, StatusCode::OK);
        kept.push(client);
    }
    let mut third = TcpStream::connect(target).await.unwrap();
    assert_eq!(third.read(&mut [0; 1]).await.unwrap_or(0), 0, "closed at once");
}

#[tokio::test]
async fn one_address_does_not_ask_without_end() {
    let world = World::with(|config| config.http.requests_per_minute = 5).await;
    let mut door = world.enrolment().await;
    let mut last = None;
    for _ in 0..6 {
        last = Some(door.get("/enrol/v1/trust-bundle").await);
    }
    let last = last.unwrap();
    assert_eq!((last.code(), &last.headers["retry-after"]), (Code::TooMany, &"60".parse().unwrap()));
}

#[tokio::test]
async fn browsers_are_told_to_load_nothing_from_elsewhere() {
    let world = World::new().await;
    for path in ["/health/live", "/api/v1/site", "/nowhere"] {
        let request = Request::get(path).header("host", "localhost").body(Full::default()).unwrap();
        let answer = world.admin_request(request).await;
        assert!(
            answer.headers["content-security-policy"].to_str().unwrap().starts_with("default-src 'none';"),
            "{path}"
        );
        assert_eq!(answer.headers["x-content-type-options"], "nosniff", "{path}");
        assert_eq!(answer.headers["referrer-policy"], "same-origin", "{path}");
        assert_eq!(answer.headers["cache-control"], "no-store", "{path}");
        assert!(answer.headers.contains_key("x-request-id"), "{path}");
    }
}
