//! One byte over the limit, at every address that takes a body.

use crate::harness::{Client, World, port};
use bytes::Bytes;
use http::{Method, Request, StatusCode};
use http_body_util::Full;
use muster_model::problem::Code;
use muster_server::http::route::{Kind, table};
use tokio::net::TcpStream;

fn over(limit: usize) -> Full<Bytes> {
    Full::from(vec![b' '; limit + 1])
}

// proves S1: what is over its limit is refused with a code, and reaches no rule.
#[tokio::test]
async fn one_byte_over_the_limit_is_refused_everywhere() {
    let world = World::with(|config| {
        config.limits.api_bytes = 2_000;
        config.limits.object_bytes = 3_000;
        config.limits.content_bytes = 4_000;
        config.limits.enrol_bytes = 1_500;
        config.limits.report_bytes = 2_500;
    })
    .await;
    for route in table().iter().filter(|r| r.kind == Kind::Api && r.method != Method::GET && r.method != Method::HEAD) {
        let limit = match route.about.operation {
            "application_create" | "baseline_create" => 3_000,
            "content_upload" => 4_000,
            "collection_import" => muster_model::limits::COLLECTION_IMPORT_BYTES,
            _ => 2_000,
        };
        let media = match route.about.operation {
            "application_create" | "baseline_create" => "application/cose",
            "content_upload" | "collection_import" => "application/octet-stream",
            _ => "application/json",
        };
        let path =
            route.path.replace("{id}", "0192f0c1-7a3b-7c4d-8e5f-0123456789ab").replace("{hash}", &"0f".repeat(32));
        let request = Request::builder().method(route.method.clone()).uri(path).header("host", "localhost");
        let request = request.header("content-type", media);
        let request = request.header("authorization", format!("Bearer {}", world.alice.token.clone().unwrap()));
        let answer = world.admin_request(request.body(over(limit)).unwrap()).await;
        assert_eq!(answer.code(), Code::TooLarge, "{route:?}");
    }
    for (path, media) in [
        ("/enrol/v1/requests", "application/json"),
        ("/enrol/v1/requests/poll", "application/cose"),
        ("/enrol/v1/attestations", "application/json"),
        ("/enrol/v1/enterprise-certificate", "application/cose"),
    ] {
        let answer = world.enrolment().await.post(path, media, vec![b' '; 1_501]).await;
        assert_eq!(answer.code(), Code::TooLarge, "{path}");
    }
    let device = world.device("pc1").await;
    for (path, media, limit) in [
        ("/mp/v1/reports", "application/cose", 2_500),
        ("/mp/v1/certificate", "application/json", 1_500),
        ("/mp/v1/assignment", "application/cose", 3_000),
        ("/mp/v1/sealing-key", "application/cose", 1_500),
        ("/mp/v1/content-peers", "application/json", muster_model::limits::PEER_ANNOUNCEMENT_BYTES),
        ("/mp/v1/foreign/inventory", "application/xml", muster_model::limits::FOREIGN_BYTES),
    ] {
        let answer = world.management_point(&device).await.post(path, media, vec![b' '; limit + 1]).await;
        assert_eq!(answer.code(), Code::TooLarge, "{path}");
    }
}

#[tokio::test]
async fn a_body_that_does_not_say_its_length_is_counted() {
    let world = World::with(|config| config.limits.api_bytes = 2_000).await;
    let mut stream = TcpStream::connect(("127.0.0.1", port(&world.server.urls().admin))).await.unwrap();
    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    let head = format!(
        "POST /api/v1/tokens HTTP/1.1\r\nhost: a\r\nauthorization: Bearer {}\r\ncontent-type: application/json\r\n\
         transfer-encoding: chunked\r\n\r\n",
        world.alice.token.clone().unwrap()
    );
    stream.write_all(head.as_bytes()).await.unwrap();
    for _ in 0..3 {
        let piece = format!("3e8\r\n{}\r\n", " ".repeat(1_000));
        // The server may have answered and closed already.
        if stream.write_all(piece.as_bytes()).await.is_err() {
            break;
        }
    }
    let mut answer = vec![0; 12];
    stream.read_exact(&mut answer).await.unwrap();
    assert_eq!(std::str::from_utf8(&answer).unwrap(), "HTTP/1.1 413");
}

#[tokio::test]
async fn long_headers_and_many_headers_are_refused() {
    let world = World::new().await;
    for headers in [format!("x: {}\r\n", "a".repeat(20_000)), "x: a\r\n".repeat(100)] {
        let mut stream = TcpStream::connect(("127.0.0.1", port(&world.server.urls().admin))).await.unwrap();
        use tokio::io::{AsyncReadExt, AsyncWriteExt};
        drop(stream.write_all(format!("GET /health/live HTTP/1.1\r\nhost: a\r\n{headers}\r\n").as_bytes()).await);
        let mut answer = Vec::new();
        drop(stream.read_to_end(&mut answer).await);
        assert!(!answer.starts_with(b"HTTP/1.1 200"), "{}", String::from_utf8_lossy(&answer));
    }
}

#[tokio::test]
async fn a_page_has_its_limit() {
    let world = World::new().await;
    for list in
        ["admins", "tokens", "enrolments", "devices", "messages", "quarantine", "applications", "deployments", "audit"]
    {
        assert_eq!(world.get(&world.alice, &format!("/{list}?limit=501")).await.code(), Code::TooLarge, "{list}");
        assert_eq!(world.get(&world.alice, &format!("/{list}?limit=500")).await.status, StatusCode::OK, "{list}");
        assert_eq!(world.get(&world.alice, &format!("/{list}?limit=x")).await.code(), Code::Malformed, "{list}");
        assert_eq!(world.get(&world.alice, &format!("/{list}?nothing=x")).await.code(), Code::Malformed, "{list}");
    }
    let _ = Client::over(TcpStream::connect(("127.0.0.1", port(&world.server.urls().admin))).await.unwrap()).await;
}
