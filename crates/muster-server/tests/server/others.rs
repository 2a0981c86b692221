//! What belongs to another device, and requests that somebody altered or kept: nothing is told, nothing is changed.

use crate::harness::{Answer, TestDevice, World};
use bytes::Bytes;
use http::{Method, Request, StatusCode};
use http_body_util::Full;
use muster_model::{
    Signed,
    api::{ApplicationInfo, Deployment, Message, Page},
    application::{Application, Command, ContentFile, Detection, Platform},
    id::{ApplicationId, Hash},
    policy::Assignment,
    problem::Code,
};
use muster_trust::{PrivateKey, envelope, sha256};

const CONTENT: &[u8] = &[b'#'; 300_000];

/// A request of the administrator with bytes of another type than JSON.
async fn bring(world: &World, method: Method, path: &str, media: &str, bytes: &[u8]) -> Answer {
    let token = world.alice.token.clone().unwrap();
    let request = Request::builder().method(method).uri(format!("/api/v1{path}")).header("host", "localhost");
    let request = request.header("authorization", format!("Bearer {token}")).header("content-type", media);
    world.admin_request(request.body(Full::new(Bytes::copy_from_slice(bytes))).unwrap()).await
}

/// Deploys an application with content to one device; the hashes of everything that only this device may have.
async fn deployed(world: &World, device: &TestDevice) -> Vec<String> {
    let application = Application {
        id: ApplicationId(uuid::Uuid::from_u128(7)),
        name: "Hello".parse().unwrap(),
        version: "1.0".to_owned(),
        platform: Platform::Linux,
        content: vec![ContentFile {
            name: "hello".parse().unwrap(),
            hash: sha256(CONTENT),
            size: CONTENT.len() as u64,
        }],
        install: Command { program: "content/hello".to_owned(), arguments: Vec::new(), success_codes: vec![0] },
        detection: Detection::File { path: "/opt/hello".to_owned(), hash: None },
        secrets: Vec::new(),
        collector: None,
        uninstall: None,
        repair: None,
        requirements: Vec::new(),
        return_codes: Vec::new(),
        retries: None,
        dependencies: Vec::new(),
        supersedes: Vec::new(),
        type_name: None,
        types: Vec::new(),
        parameters: Vec::new(),
        max_run_seconds: 60,
    };
    let object = envelope::sign_json(&[&world.author()], &application).unwrap();
    let uploaded =
        bring(world, Method::PUT, &format!("/content/{}", sha256(CONTENT)), "application/octet-stream", CONTENT).await;
    assert_eq!(uploaded.status, StatusCode::CREATED, "{uploaded:?}");
    let info: ApplicationInfo = bring(world, Method::POST, "/applications", "application/cose", &object).await.json();
    let create = serde_json::json!({"application": info.hash, "target": {"kind": "device", "device": device.id}});
    let _: Deployment = world.post(&world.alice, "/deployments", &create).await.json();
    let mut client = world.management_point(device).await;
    // The assignment follows within moments.
    let assignment = loop {
        let answer = client.get("/mp/v1/assignment").await;
        let bundle = world.server.site().trust.load().bundle().clone();
        let assignment = envelope::open1_json::<Assignment>(&answer.body, |id| bundle.policy_key(id)).unwrap();
        if assignment.value().bodies.len() > 1 {
            break assignment.value().clone();
        }
        tokio::time::sleep(std::time::Duration::from_millis(20)).await;
    };
    let own = assignment.bodies.iter().filter(|body| body.kind != muster_model::policy::BodyKind::Settings);
    let mut paths: Vec<String> = own.map(|body| format!("/mp/v1/bodies/{}", body.hash)).collect();
    paths.push(format!("/mp/v1/content/{}", sha256(CONTENT)));
    // Made in the background; large enough to have one.
    let chunks = format!("/mp/v1/chunks/{}", sha256(CONTENT));
    while client.get(&chunks).await.status != StatusCode::OK {
        tokio::time::sleep(std::time::Duration::from_millis(20)).await;
    }
    paths.push(chunks);
    for path in &paths {
        assert_eq!(client.get(path).await.status, StatusCode::OK, "its own: {path}");
    }
    paths
}

/// An answer without what differs from one moment to the next.
fn told(answer: &Answer) -> (StatusCode, Vec<(String, String)>, Bytes) {
    let mut headers: Vec<(String, String)> = answer
        .headers
        .iter()
        .filter(|(name, _)| *name != "date")
        .map(|(name, value)| (name.to_string(), value.to_str().unwrap().to_owned()))
        .collect();
    headers.sort();
    (answer.status, headers, answer.body.clone())
}

#[tokio::test]
async fn what_is_another_s_is_not_told_from_what_is_nowhere() {
    // proves S10: an object of another device and one that does not exist get the same answer, byte for byte.
    let world = World::new().await;
    let (mine, other) = (world.device("pc1").await, world.device("pc2").await);
    let paths = deployed(&world, &other).await;
    assert_eq!(paths.len(), 4, "a deployment, an application, a file, its chunks: {paths:?}");
    let mut client = world.management_point(&mine).await;
    for path in &paths {
        let (place, _) = path.rsplit_once('/').unwrap();
        let nowhere = format!("{place}/{}", Hash([0x5a; 32]));
        for headers in [&[][..], &[("range", "bytes=0-3")], &[("if-none-match", "\"x\"")]] {
            let (theirs, none) = (client.get_with(path, headers).await, client.get_with(&nowhere, headers).await);
            assert_eq!(theirs.code(), Code::NotFound, "{path}");
            assert_eq!(told(&theirs), told(&none), "{path} {headers:?}");
        }
    }
    // Nor are parts of it to be had by its chunks.
    let wanted = serde_json::json!({"ranges": [[0, 4]]});
    let theirs = client.post_json(&paths[3], &wanted).await;
    let none = client.post_json(&format!("/mp/v1/chunks/{}", Hash([0x5a; 32])), &wanted).await;
    assert_eq!((theirs.code(), told(&theirs)), (Code::NotFound, told(&none)));
    let mut own = world.management_point(&other).await;
    assert_eq!(own.post_json(&paths[3], &wanted).await.body.len(), 4);
    for (body, code) in [
        (serde_json::json!({"ranges": []}), Code::TooLarge),
        (serde_json::json!({"ranges": [[4, 4], [0, 4]]}), Code::Malformed),
        (serde_json::json!({"ranges": [[0, 4]], "of": "x"}), Code::Malformed),
        (serde_json::json!({"ranges": vec![(0, 1); 20_000]}), Code::TooLarge),
    ] {
        assert_eq!(own.post_json(&paths[3], &body).await.code(), code, "{body}");
    }
}

#[tokio::test]
async fn an_altered_request_changes_nothing_and_a_kept_one_changes_nothing_again() {
    // proves I1: each byte of a report is covered by its signature, and the same report sent again counts once.
    let world = World::with(|config| config.limits.device_requests = 100_000).await;
    let device = world.device("pc1").await;
    let report = device.report();
    let count = async || world.get(&world.alice, "/messages").await.json::<Page<Message>>().total;
    let mut client = world.management_point(&device).await;
    for at in 0..report.len() {
        let mut altered = report.clone();
        altered[at] ^= 0x01;
        let answer = client.post_cose("/mp/v1/reports", altered).await;
        let refused = matches!(answer.code(), Code::SignatureInvalid | Code::Malformed);
        assert!(refused, "byte {at} of {}: {answer:?}", report.len());
    }
    for longer in [[&report[..], b"\0"].concat(), report[..report.len() - 1].to_vec(), Vec::new()] {
        assert_eq!(client.post_cose("/mp/v1/reports", longer).await.code(), Code::Malformed);
    }
    assert_eq!(count().await, 0);
    for _ in 0..3 {
        // On the same connection, and on others: another session, and later.
        assert_eq!(client.post_cose("/mp/v1/reports", report.clone()).await.status, StatusCode::OK);
        client = world.management_point(&device).await;
    }
    assert_eq!(count().await, 1);
    let stranger = PrivateKey::generate().unwrap();
    let payload = envelope::open1(&report, muster_model::report::REPORT_TYPE, |_| Some(device.key.public().clone()));
    let again = envelope::sign1(&stranger, muster_model::report::REPORT_TYPE, payload.unwrap().value().clone());
    assert_eq!(client.post_cose("/mp/v1/reports", again.unwrap()).await.code(), Code::SignatureInvalid);
    // A report is no poll and no assignment: the type is signed, too.
    let retyped = envelope::sign1(&device.key, Assignment::TYPE, b"{}".to_vec()).unwrap();
    assert_eq!(client.post_cose("/mp/v1/reports", retyped).await.code(), Code::Malformed);
    assert_eq!(count().await, 1);
}
