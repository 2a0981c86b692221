//! A device's day: assignment, reports, live channel; and its end, when it is blocked.

use crate::harness::{Client, TestDevice, World, port};
use http::{Method, StatusCode};
use http_body_util::Full;
use muster_model::{api::DeviceDetail, enrol::RenewAnswer, id::Hash, problem::Code, report::ReportAnswer};
use muster_trust::{certificate, envelope};
use std::time::{Duration, Instant};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
    time::timeout,
};
use tokio_rustls::client::TlsStream;

const SETTINGS: &str = r#"{"name":"Default","values":{"policy_poll":7200000}}"#;
const DEFAULT: &str = "/settings/00000000-0000-0000-0000-000000000000";
const SOON: Duration = Duration::from_secs(20);

/// Opens the live channel; returns when the site has said that it is open.
async fn live(stream: &mut TlsStream<TcpStream>) {
    stream.write_all(b"GET /mp/v1/live HTTP/1.1\r\nhost: localhost\r\n\r\n").await.unwrap();
    let head = until(stream, ": open\n\n").await;
    assert!(head.starts_with("HTTP/1.1 200 OK\r\n") && head.contains("content-type: text/event-stream"), "{head}");
}

/// Reads until `mark` was read.
async fn until(stream: &mut TlsStream<TcpStream>, mark: &str) -> String {
    let mut read = String::new();
    while !read.contains(mark) {
        let mut piece = [0; 1024];
        let length = timeout(SOON, stream.read(&mut piece)).await.expect("in time").expect("a piece");
        assert_ne!(length, 0, "the stream ended after {read:?}");
        read.push_str(std::str::from_utf8(&piece[..length]).unwrap());
    }
    read
}

#[tokio::test]
async fn a_device_gets_its_assignment_once_and_then_hears_that_nothing_is_new() {
    let world = World::new().await;
    let device = world.device("pc1").await;
    let mut client = world.management_point(&device).await;
    let first = client.get("/mp/v1/assignment").await;
    assert_eq!((first.status, &first.headers["content-type"]), (StatusCode::OK, &"application/cose".parse().unwrap()));
    let tag = first.headers["etag"].to_str().unwrap();
    let again = client.get_with("/mp/v1/assignment", &[("if-none-match", tag)]).await;
    assert_eq!((again.status, again.body.len()), (StatusCode::NOT_MODIFIED, 0));
    let bundle = client.get("/mp/v1/trust-bundle").await;
    assert_eq!(bundle.body, world.server.site().trust.load().chain.envelope());
    let mut anonymous = world.enrolment().await;
    assert_eq!(anonymous.get("/enrol/v1/trust-bundle").await.body, bundle.body);
    assert_eq!(client.get(&format!("/mp/v1/bodies/{}", Hash([1; 32]))).await.code(), Code::NotFound);
    assert_eq!(client.get(&format!("/mp/v1/content/{}", Hash([1; 32]))).await.code(), Code::NotFound);
}

#[tokio::test]
async fn a_report_is_taken_once_and_from_its_own_device_only() {
    let world = World::new().await;
    let (device, other) = (world.device("pc1").await, world.device("pc2").await);
    let report = device.report();
    let mut client = world.management_point(&device).await;
    let first: ReportAnswer = client.post_cose("/mp/v1/reports", report.clone()).await.json();
    let again: ReportAnswer = client.post_cose("/mp/v1/reports", report.clone()).await.json();
    assert_eq!((first.acknowledged, again.acknowledged, first.head), (1, 1, again.head));
    // proves I1: the sender is whoever the connection's certificate says, whatever the envelope carries.
    let stolen = world.management_point(&other).await.post_cose("/mp/v1/reports", report).await;
    assert_eq!(stolen.code(), Code::SignatureInvalid);
    assert_eq!(client.post("/mp/v1/reports", "application/json", vec![]).await.code(), Code::UnsupportedMediaType);
    let messages = world.get(&world.alice, "/messages").await;
    let messages: muster_model::api::Page<muster_model::api::Message> = messages.json();
    assert_eq!((messages.total, messages.items[0].device), (1, device.id));
}

#[tokio::test]
async fn a_change_reaches_an_idle_device_at_once() {
    let world = World::new().await;
    let device = world.device("pc1").await;
    let mut stream = world.device_stream(&device).await;
    live(&mut stream).await;
    let online: DeviceDetail = world.get(&world.alice, &format!("/devices/{}", device.id)).await.json();
    assert!(online.device.online);
    let changed = world.call(&world.alice, Method::PUT, DEFAULT, Some(SETTINGS.into())).await;
    assert_eq!(changed.status, StatusCode::OK, "{changed:?}");
    until(&mut stream, "event: changed\ndata: 1\n\n").await;
}

// proves I5: a block closes the device's live channel and its other connections at once, and lets it in no more.
#[tokio::test]
async fn a_blocked_device_is_out_within_a_second() {
    let world = World::new().await;
    let other = world.device("other").await;
    let mut others = world.device_stream(&other).await;
    live(&mut others).await;
    let mut times = Vec::new();
    for n in 0..5 {
        let device = world.device(&format!("pc{n}")).await;
        let mut channel = world.device_stream(&device).await;
        live(&mut channel).await;
        let mut kept = world.management_point(&device).await;
        assert_eq!(kept.get("/mp/v1/assignment").await.status, StatusCode::OK);
        let block = serde_json::json!({"reason": "stolen"});
        let answer = world.post(&world.alice, &format!("/devices/{}/block", device.id), &block).await;
        assert_eq!(answer.status, StatusCode::OK, "{answer:?}");
        let since = Instant::now();
        let mut rest = Vec::new();
        drop(timeout(SOON, channel.read_to_end(&mut rest)).await.expect("closed"));
        times.push(since.elapsed());
        locked_out(&world, &device, &mut kept).await;
        if n == 0 {
            let unblock = serde_json::json!({"reason": "found"});
            world.post(&world.alice, &format!("/devices/{}/unblock", device.id), &unblock).await;
            assert_eq!(world.management_point(&device).await.get("/mp/v1/assignment").await.status, StatusCode::OK);
        }
        if times.last().is_some_and(|time| *time < Duration::from_secs(1)) {
            break;
        }
    }
    // One of five, for machines that are busy with something else: what waits for a timer is never in time.
    assert!(times.iter().any(|time| *time < Duration::from_secs(1)), "{times:?}");
    world.call(&world.alice, Method::PUT, DEFAULT, Some(SETTINGS.into())).await;
    until(&mut others, "event: changed").await;
}

/// Neither an old connection nor a new one gets anything.
async fn locked_out(world: &World, device: &TestDevice, kept: &mut Client) {
    let ask = |path: &str| http::Request::get(path).header("host", "localhost").body(Full::default()).unwrap();
    if let Ok(answer) = kept.try_send(ask("/mp/v1/assignment")).await {
        assert_eq!(answer.code(), Code::DeviceNotActive);
    }
    for path in ["/mp/v1/assignment", "/mp/v1/live", "/mp/v1/trust-bundle"] {
        let mut again = world.management_point(device).await;
        let refused = format!("{:?}", again.try_send(ask(path)).await.unwrap_err());
        assert!(refused.contains("AlertReceived(CertificateRevoked)"), "{path}: {refused}");
    }
}

#[tokio::test]
async fn a_certificate_is_renewed_for_its_own_key_only() {
    let world = World::new().await;
    let (device, other) = (world.device("pc1").await, world.device("pc2").await);
    let mut client = world.management_point(&device).await;
    let request = |key| {
        use base64::{Engine, engine::general_purpose::STANDARD as BASE64};
        serde_json::json!({"csr": BASE64.encode(certificate::signing_request(key).unwrap())})
    };
    let renewed: RenewAnswer = client.post_json("/mp/v1/certificate", &request(&device.key)).await.json();
    assert_eq!(renewed.certificates.len(), 2);
    assert_eq!(client.post_json("/mp/v1/certificate", &request(&other.key)).await.code(), Code::KeyMismatch);
    let malformed = client.post_json("/mp/v1/certificate", &serde_json::json!({"csr": "", "x": 1})).await;
    assert_eq!(malformed.code(), Code::Malformed);
}

#[tokio::test]
async fn a_server_that_stops_ends_its_live_channels_in_good_order() {
    let world = World::new().await;
    let device = world.device("pc1").await;
    let mut channel = world.device_stream(&device).await;
    live(&mut channel).await;
    let idle = TcpStream::connect(("127.0.0.1", port(&world.server.urls().admin))).await.unwrap();
    assert!(world.server.stop().await, "everything ended in time");
    let mut rest = Vec::new();
    timeout(SOON, channel.read_to_end(&mut rest)).await.unwrap().unwrap();
    assert!(rest.ends_with(b"0\r\n\r\n"), "{rest:?}");
    drop(idle);
}

#[tokio::test]
async fn an_envelope_of_another_kind_is_no_report() {
    let world = World::new().await;
    let device = world.device("pc1").await;
    let mut client = world.management_point(&device).await;
    let poll = envelope::sign1(&device.key, "application/vnd.muster.poll+json", b"{}".to_vec()).unwrap();
    assert_eq!(client.post_cose("/mp/v1/reports", poll).await.code(), Code::Malformed);
    assert_eq!(client.post_cose("/mp/v1/reports", b"\xd2\x84".to_vec()).await.code(), Code::Malformed);
}
