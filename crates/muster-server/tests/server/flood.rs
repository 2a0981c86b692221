//! A device that floods: refused, slowed, counted and shown; and the device beside it notices nothing.

use crate::harness::{TestDevice, World};
use http::{Method, StatusCode};
use muster_model::{
    api::{Page, QuarantineItem},
    problem::Code,
    report::ReportAnswer,
};
use std::time::{Duration, Instant};

async fn aside(world: &World) -> Vec<QuarantineItem> {
    world.get(&world.alice, "/quarantine").await.json::<Page<QuarantineItem>>().items
}

async fn asks(world: &World, device: &TestDevice) -> StatusCode {
    world.management_point(device).await.get("/mp/v1/assignment").await.status
}

// proves S1, I1: who asks more than a device may is refused with a code, waits for it, and stands in the quarantine once.
#[tokio::test]
async fn a_device_that_asks_too_much_is_slowed_and_no_other_is() {
    let world = World::with(|config| config.limits.device_requests = 20).await;
    let (rogue, other) = (world.device("rogue").await, world.device("other").await);
    let mut client = world.management_point(&rogue).await;
    let mut taken = 0;
    let refused = loop {
        let answer = client.get("/mp/v1/assignment").await;
        if answer.status != StatusCode::OK {
            break answer;
        }
        taken += 1;
        assert!(taken <= 40, "nothing is refused");
    };
    assert!(taken >= 20, "{taken}");
    assert_eq!((refused.code(), &refused.headers["retry-after"]), (Code::TooMany, &"60".parse().unwrap()));
    let began = Instant::now();
    // A third of a request is earned in this second: refused again, also on another connection.
    let mut second = world.management_point(&rogue).await;
    assert_eq!(second.post_cose("/mp/v1/reports", rogue.report()).await.code(), Code::TooMany);
    assert!(began.elapsed() >= Duration::from_millis(900), "it waits for its answer: {:?}", began.elapsed());
    let began = Instant::now();
    assert_eq!(asks(&world, &other).await, StatusCode::OK);
    assert!(began.elapsed() < Duration::from_millis(900), "the other does not: {:?}", began.elapsed());
    let items = aside(&world).await;
    assert_eq!(items.len(), 1, "{items:?}");
    assert_eq!((items[0].device, items[0].class.as_ref()), (rogue.id, None));
    assert!(items[0].reason.contains("more than 20 requests in a minute"), "{items:?}");
    let messages = world.get(&world.alice, "/messages").await.json::<Page<muster_model::api::Message>>();
    assert_eq!(messages.total, 0, "nothing of it was taken");
}

// proves S1, I1: what cannot be read counts against its sender, its beginning is kept once an hour, and none of it is a fact.
#[tokio::test]
async fn rubbish_is_kept_once_and_ends_the_patience_with_its_sender() {
    let world = World::with(|config| {
        config.limits.device_requests = 100;
        config.limits.report_bytes = 10_000;
    })
    .await;
    let (rogue, other) = (world.device("rogue").await, world.device("other").await);
    let mut codes = Vec::new();
    for body in [
        &b"\x01<script>not a report</script>"[..],
        &[0x5a; 10_001],
        &other.report(),
        b"more",
        b"and more",
        b"still",
        b"more",
    ] {
        let answer = world.management_point(&rogue).await.post_cose("/mp/v1/reports", body.to_vec()).await;
        codes.push(answer.code());
    }
    assert_eq!(codes[..4], [Code::Malformed, Code::TooLarge, Code::SignatureInvalid, Code::Malformed]);
    assert_eq!(codes[6], Code::TooMany, "{codes:?}");
    let items = aside(&world).await;
    let reasons: Vec<&str> = items.iter().map(|item| item.reason.split(':').next().unwrap()).collect();
    assert_eq!(reasons, ["It floods", "signature_invalid", "too_large", "malformed"], "each once: {items:?}");
    assert!(items[3].excerpt.starts_with(r"\x01<script>"), "{items:?}");
    let page = world.call(&world.alice, Method::GET, "/quarantine", None).await;
    assert_eq!(page.status, StatusCode::OK);
    let answer = world.management_point(&other).await.post_cose("/mp/v1/reports", other.report()).await;
    assert_eq!(answer.json::<ReportAnswer>().acknowledged, 1);
}

// proves S1: messages and bytes of a device have a measure of their own, and so have its connections.
#[tokio::test]
async fn messages_and_connections_of_a_device_are_measured() {
    let world = World::with(|config| {
        config.limits.device_messages = 1;
        config.limits.device_connections = 2;
    })
    .await;
    let device = world.device("pc1").await;
    let mut client = world.management_point(&device).await;
    assert_eq!(client.post_cose("/mp/v1/reports", device.report()).await.status, StatusCode::OK);
    assert_eq!(client.post_cose("/mp/v1/reports", device.report()).await.code(), Code::TooMany);
    let mut second = world.management_point(&device).await;
    assert_eq!(second.get("/mp/v1/assignment").await.status, StatusCode::OK);
    let mut third = world.management_point(&device).await;
    assert_eq!(third.get("/mp/v1/assignment").await.status, StatusCode::OK);
    let ask = http::Request::get("/mp/v1/assignment").header("host", "localhost").body(http_body_util::Full::default());
    assert!(client.try_send(ask.unwrap()).await.is_err(), "the oldest has ended");
    assert_eq!(second.get("/mp/v1/assignment").await.status, StatusCode::OK);
}
