//! The revocation door, and who is refused at the others.

use crate::harness::{Answer, Caller, Client, TestDevice, World, port};
use base64::{Engine, engine::general_purpose::STANDARD as BASE64};
use http::{Method, Request, StatusCode};
use http_body_util::Full;
use muster_model::{
    api::{Certificate, Page, RevocationState},
    limits::OCSP_REQUEST_BYTES,
    problem::Code,
};
use muster_trust::{
    certificate::{client_identity, serial_number},
    ocsp::{Issuer, StatusError, read_status},
    tls::status_error,
};
use serde_json::json;
use std::time::{Duration, Instant};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
};
use tokio_rustls::rustls::{self, AlertDescription};

async fn door(world: &World) -> Client {
    let url = world.server.urls().revocation.clone().unwrap();
    Client::over(TcpStream::connect(("127.0.0.1", port(&url))).await.unwrap()).await
}

async fn call(world: &World, method: Method, path: &str, kind: &str, body: Vec<u8>) -> Answer {
    let request = Request::builder().method(method).uri(path).header("host", "x").header("content-type", kind);
    door(world).await.send(request.body(Full::from(body)).unwrap()).await
}

async fn get(world: &World, path: &str) -> Answer {
    call(world, Method::GET, path, "text/plain", Vec::new()).await
}

/// A request about one certificate, without and with a nonce, as OpenSSL makes it.
fn request(world: &World, serial: u128) -> Vec<u8> {
    muster_trust::ocsp::request(&issuer(world), serial, None).unwrap()
}

fn issuer(world: &World) -> Issuer {
    Issuer::from_certificate(world.server.site().trust.load().keys.issuing.certificate()).unwrap()
}

async fn state(world: &World) -> RevocationState {
    world.get(&world.alice, "/revocation").await.json()
}

/// What comes of a connection with the device's certificate: an answer to a request, or the alert.
async fn tries(world: &World, device: &TestDevice) -> Result<StatusCode, AlertDescription> {
    let mut stream = match crate::harness::connect(&world.server.urls().management_point, device.tls()).await {
        Ok(stream) => stream,
        Err(error) => return Err(alert(&error)),
    };
    let ask = b"GET /mp/v1/assignment HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n";
    let mut answer = Vec::new();
    let exchange = async {
        stream.write_all(ask).await?;
        stream.flush().await?;
        stream.read_to_end(&mut answer).await
    };
    match exchange.await {
        Ok(_) => {
            let status = std::str::from_utf8(&answer[9..12]).unwrap();
            Ok(status.parse().unwrap())
        }
        Err(error) => Err(alert(&error)),
    }
}

fn alert(error: &std::io::Error) -> AlertDescription {
    match error.get_ref().and_then(|inner| inner.downcast_ref::<rustls::Error>()) {
        Some(rustls::Error::AlertReceived(alert)) => *alert,
        other => panic!("{error} {other:?}"),
    }
}

// proves S2 S22
#[tokio::test]
async fn lists_and_answers_are_served_in_plain_http_and_nothing_else_is() {
    let world = World::new().await;
    let device = world.device("pc1").await;
    let lists = state(&world).await;
    assert_eq!((lists.lists.len(), lists.revoked, &lists.warnings[..]), (2, 0, &[][..]));
    for list in &lists.lists {
        let path = format!("/crl/{}.crl", list.issuer);
        let answer = get(&world, &path).await;
        assert_eq!(answer.status, StatusCode::OK);
        assert_eq!(answer.headers["content-type"], "application/pkix-crl");
        assert!(answer.headers["cache-control"].to_str().unwrap().contains("max-age=300"), "{answer:?}");
        let tag = answer.headers["etag"].to_str().unwrap();
        let request = Request::get(&path).header("host", "x").header("if-none-match", tag);
        let again = door(&world).await.send(request.body(Full::default()).unwrap()).await;
        assert_eq!((again.status, again.body.len()), (StatusCode::NOT_MODIFIED, 0));
    }
    let serial = serial_number(&device.chain[0]).unwrap();
    let asked = request(&world, serial);
    let posted = call(&world, Method::POST, "/ocsp", "application/ocsp-request", asked.clone()).await;
    let path = format!("/ocsp/{}", BASE64.encode(&asked).replace('+', "%2B").replace('/', "%2f").replace('=', "%3D"));
    let got = get(&world, &path).await;
    for answer in [posted, got] {
        assert_eq!(answer.status, StatusCode::OK);
        assert_eq!(answer.headers["content-type"], "application/ocsp-response");
        assert_eq!(read_status(&answer.body, &issuer(&world), serial).unwrap().verdict, Ok(()));
        assert!(answer.headers["cache-control"].to_str().unwrap().contains("max-age=300"), "{answer:?}");
    }
    let nonce = muster_trust::ocsp::request(&issuer(&world), serial, Some(&[7; 32])).unwrap();
    let answer = call(&world, Method::POST, "/ocsp", "application/ocsp-request", nonce).await;
    assert_eq!(answer.headers["cache-control"], "no-store", "it is for this request alone");
    assert!(answer.body.windows(32).any(|window| window == [7; 32]), "the nonce comes back");
}

#[tokio::test]
async fn everything_else_at_the_revocation_door_is_refused() {
    let world = World::new().await;
    let issuing = state(&world).await.lists[0].issuer;
    for path in [
        "/",
        "/crl",
        "/crl/",
        "/crl/x.crl",
        &format!("/crl/{issuing}"),
        &format!("/crl/{issuing}.crl?x"),
        &format!("/crl/{}.crl", muster_model::id::Hash([9; 32])),
        "/ocsp",
        "/ocsp/",
        "/ocsp/%zz",
        "/mp/v1/assignment",
        "/enrol/v1/trust-bundle",
        "/api/v1/site",
        "/metrics",
        "/health/live",
    ] {
        let answer = get(&world, path).await;
        // An empty request is one too, and malformed in the protocol's own words.
        if path == "/ocsp/" {
            assert_eq!((answer.status, &answer.body[..]), (StatusCode::OK, &[0x30, 3, 0x0a, 1, 1][..]));
            continue;
        }
        assert_eq!((answer.status, answer.code()), (StatusCode::NOT_FOUND, Code::NotFound), "{path}");
    }
    for method in [Method::POST, Method::PUT, Method::DELETE, Method::HEAD, Method::OPTIONS] {
        let answer = call(&world, method.clone(), &format!("/crl/{issuing}.crl"), "x/y", Vec::new()).await;
        assert_eq!(answer.status, StatusCode::NOT_FOUND, "{method}");
    }
    let kind = "application/ocsp-request";
    let large = call(&world, Method::POST, "/ocsp", kind, vec![0x30; OCSP_REQUEST_BYTES + 1]).await;
    assert_eq!(large.code(), Code::TooLarge);
    assert_eq!(call(&world, Method::POST, "/ocsp", "text/plain", vec![]).await.code(), Code::UnsupportedMediaType);
    for junk in [vec![], vec![0x30, 0x80], vec![0xff; 100], vec![0x30; OCSP_REQUEST_BYTES]] {
        let answer = call(&world, Method::POST, "/ocsp", kind, junk).await;
        assert_eq!(&answer.body[..], [0x30, 3, 0x0a, 1, 1], "malformedRequest, unsigned");
    }
}

#[tokio::test]
async fn one_address_cannot_keep_the_responder_busy() {
    let world = World::with(|config| config.http.requests_per_minute = 3).await;
    let mut answers = Vec::new();
    for _ in 0..4 {
        answers.push(get(&world, "/ocsp").await.status);
    }
    assert_eq!(answers, [404, 404, 404, 429].map(|code| StatusCode::from_u16(code).unwrap()));
}

#[tokio::test]
async fn the_door_can_be_closed_and_certificates_name_it_when_told() {
    let closed = World::with(|config| config.listen.revocation_served = false).await;
    assert_eq!(closed.server.urls().revocation, None);
    let device = closed.device("pc1").await;
    assert_eq!(tries(&closed, &device).await, Ok(StatusCode::OK), "devices need no such door");
    assert!(!text_in(&device.chain[0], "http://"));

    let named = World::with(|config| config.names.revocation = Some("http://pki.example:8480".into())).await;
    let device = named.device("pc1").await;
    let issuing = named.server.site().trust.load().keys.issuing.key_id();
    assert!(text_in(&device.chain[0], &format!("http://pki.example:8480/crl/{issuing}.crl")));
    assert!(text_in(&device.chain[0], "http://pki.example:8480/ocsp"));
    assert_eq!(client_identity(&device.chain[0]).unwrap().device, device.id);
    assert_eq!(tries(&named, &device).await, Ok(StatusCode::OK));
}

fn text_in(der: &[u8], text: &str) -> bool {
    der.windows(text.len()).any(|window| window == text.as_bytes())
}

// proves S4 I5: as soon as the decision is answered, the next handshake is refused, and resumption is no way around it.
#[tokio::test]
async fn a_blocked_or_revoked_device_is_refused_in_the_handshake() {
    let world = World::new().await;
    let (device, other) = (world.device("pc1").await, world.device("pc2").await);
    assert_eq!(tries(&world, &device).await, Ok(StatusCode::OK));
    let decide = async |verb: &str| {
        let answer = world.post(&world.alice, &format!("/devices/{}/{verb}", device.id), &json!({"reason": "x"})).await;
        assert_eq!(answer.status, StatusCode::OK, "{answer:?}");
    };
    decide("block").await;
    assert_eq!(tries(&world, &device).await, Err(AlertDescription::CertificateRevoked));
    assert_eq!(tries(&world, &other).await, Ok(StatusCode::OK));
    decide("unblock").await;
    assert_eq!(tries(&world, &device).await, Ok(StatusCode::OK));

    let mut live = world.device_stream(&device).await;
    live.write_all(b"GET /mp/v1/live HTTP/1.1\r\nhost: x\r\n\r\n").await.unwrap();
    let mut head = [0; 15];
    live.read_exact(&mut head).await.unwrap();
    let serial = client_identity(&device.chain[0]).unwrap().serial;
    let revoke = json!({"reason": "its key was copied", "code": "key_compromise"});
    let answer = world.post(&world.alice, &format!("/certificates/{serial}/revoke"), &revoke).await;
    assert_eq!(answer.status, StatusCode::OK, "{answer:?}");
    let since = Instant::now();
    drop(tokio::time::timeout(Duration::from_secs(10), live.read_to_end(&mut Vec::new())).await.expect("closed"));
    assert!(since.elapsed() < Duration::from_secs(1), "{:?}", since.elapsed());
    assert_eq!(tries(&world, &device).await, Err(AlertDescription::CertificateRevoked));
    let again = world.post(&world.alice, &format!("/certificates/{serial}/revoke"), &revoke).await;
    assert_eq!(again.code(), Code::Conflict);
    let revoked: Page<Certificate> = world.get(&world.alice, "/certificates?revoked=true").await.json();
    assert_eq!((revoked.total, revoked.items[0].device), (1, Some(device.id)));
    assert_eq!(revoked.items[0].revocation.as_ref().unwrap().revoked_by, "alice");
}

#[tokio::test]
async fn what_cannot_be_revoked_is_said_and_nothing_changes() {
    let world = World::new().await;
    let device = world.device("pc1").await;
    let serial = client_identity(&device.chain[0]).unwrap().serial;
    let (_, analyst) = world.admin("bob", muster_model::api::Role::ReadOnlyAnalyst).await;
    let code = async |who: &Caller, path: &str, body: serde_json::Value| world.post(who, path, &body).await.code();
    let (path, why) = (format!("/certificates/{serial}/revoke"), json!({"reason": "x"}));
    assert_eq!(code(&analyst, &path, why.clone()).await, Code::Forbidden);
    assert_eq!(code(&world.nobody(), &path, why.clone()).await, Code::Unauthenticated);
    assert_eq!(code(&world.alice, &path, json!({"reason": ""})).await, Code::Malformed);
    let hold = json!({"reason": "x", "code": "certificate_hold"});
    assert_eq!(code(&world.alice, &path, hold).await, Code::Malformed);
    assert_eq!(code(&world.alice, "/certificates/40ff/revoke", why.clone()).await, Code::NotFound);
    assert_eq!(code(&world.alice, "/certificates/xyz/revoke", why).await, Code::NotFound);
    assert_eq!((state(&world).await.revoked, tries(&world, &device).await), (0, Ok(StatusCode::OK)));
}

#[tokio::test]
async fn a_client_of_another_site_is_told_nothing_about_revocation() {
    let (ours, theirs) = (World::new().await, World::new().await);
    let device = theirs.device("pc1").await;
    let stranger = TestDevice { root: ours.root_certificate(), ..device };
    let refused = tries(&ours, &stranger).await.unwrap_err();
    assert_ne!(refused, AlertDescription::CertificateRevoked);
    let pinned = muster_trust::tls::client_pinned(theirs.root()).unwrap();
    let error = crate::harness::connect(&ours.server.urls().enrolment, pinned).await.unwrap_err();
    let error = error.get_ref().and_then(|inner| inner.downcast_ref::<rustls::Error>()).unwrap();
    assert_eq!(status_error(error), None::<StatusError>, "the chain is what is wrong: {error}");
}
