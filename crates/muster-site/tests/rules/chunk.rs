//! Chunks of content: made once, in the background, and handed out to whom the file is.

use crate::loop_story::application;
use muster_model::{
    api::{DeploymentCreate, Target},
    chunk::{ChunkList, ChunkRanges},
    id::Hash,
    problem::Code,
};
use muster_site::{
    ContentWorker, SiteError, Worker, application_create, chunk_list_for_device, chunks_for_device, content_upload,
    deployment_create, testing::TestSite,
};
use muster_trust::{envelope, sha256};

/// Half of it compresses and half does not.
fn content() -> Vec<u8> {
    let mut state = 1_u64;
    let mut next = || {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        state.to_be_bytes()[0]
    };
    let noise = (0..400_000).map(|_| next());
    noise.chain((0..40_000_u32).flat_map(|n| format!("{n} lines\n").into_bytes())).collect()
}

async fn upload(test: &TestSite, bytes: &[u8]) -> Hash {
    let hash = sha256(bytes);
    let mut body = [bytes::Bytes::copy_from_slice(bytes)].into_iter();
    content_upload(&test.full(), &test.site, hash, &mut body).await.unwrap();
    hash
}

async fn deployed(test: &TestSite, bytes: &[u8], target: Target) {
    let object = envelope::sign_json(&[&test.admin_key], &application(bytes)).unwrap();
    let application = application_create(&test.full(), &test.site, &object).await.unwrap().hash;
    let create: DeploymentCreate =
        serde_json::from_value(serde_json::json!({"application": application, "target": target})).unwrap();
    deployment_create(&test.full(), &test.site, &create).await.unwrap();
    let mut worker = Worker::new(test.site.clone());
    while worker.step().await.unwrap() {}
}

async fn work(test: &TestSite) -> usize {
    let (mut worker, mut steps) = (ContentWorker::new(test.site.clone()), 0);
    while worker.step().await.unwrap() {
        steps += 1;
    }
    steps
}

#[tokio::test]
async fn a_list_is_made_once_and_speaks_of_the_file_as_it_is_stored() {
    for test in TestSite::all().await {
        let (device, bytes) = (test.enrol("alpha").await, content());
        let hash = upload(&test, &bytes).await;
        upload(&test, b"small").await;
        deployed(&test, &bytes, Target::Device { device: device.id }).await;
        let ctx = test.device(&device);
        let missing = chunk_list_for_device(&ctx, &test.site, hash).await.unwrap_err();
        assert_eq!(missing.code(), Code::NotFound, "not yet");
        assert_eq!((work(&test).await, work(&test).await), (1, 0), "once, and none for what is small");

        let list = chunk_list_for_device(&ctx, &test.site, hash).await.unwrap();
        let text = std::fs::read(&list.path).unwrap();
        assert_eq!(text.len() as u64, list.size);
        let list = ChunkList::decode(&text, bytes.len() as u64).unwrap();
        assert!(list.chunks().iter().any(|chunk| chunk.is_packed()) && list.chunks().iter().any(|c| !c.is_packed()));
        let all = ChunkRanges { ranges: vec![(0, list.stored())] };
        let (stored, sent) = chunks_for_device(&ctx, &test.site, hash, &all).await.unwrap();
        assert!(sent == list.stored() && sent < bytes.len() as u64 * 9 / 10, "{sent}");
        let (packed, mut at, mut back) = (std::fs::read(&stored.path).unwrap(), 0, Vec::new());
        for chunk in list.chunks() {
            let piece = &packed[at..at + chunk.stored as usize];
            at += piece.len();
            match chunk.is_packed() {
                true => back.extend(zstd::bulk::decompress(piece, chunk.size as usize).unwrap()),
                false => back.extend_from_slice(piece),
            }
        }
        assert!(back == bytes && at == packed.len());
        // What does not get smaller is not kept twice.
        let noise = bytes[..300_000].to_vec();
        let plain = upload(&test, &noise).await;
        work(&test).await;
        assert!(test.site.content.list_path(plain).exists() && !test.site.content.packed_path(plain).exists());
    }
}

#[tokio::test]
async fn chunks_are_for_those_who_have_the_file() {
    // proves S10: chunks of a file that only another device has are not there, neither the list nor the bytes.
    for test in TestSite::all().await {
        let (device, other, bytes) = (test.enrol("alpha").await, test.enrol("beta").await, content());
        let hash = upload(&test, &bytes).await;
        deployed(&test, &bytes, Target::Device { device: device.id }).await;
        work(&test).await;
        let first = ChunkRanges { ranges: vec![(0, 1)] };
        for (ctx, hash) in [(test.device(&other), hash), (test.device(&device), Hash([7; 32]))] {
            let list = chunk_list_for_device(&ctx, &test.site, hash).await.unwrap_err();
            let chunks = chunks_for_device(&ctx, &test.site, hash, &first).await.unwrap_err();
            assert_eq!(list.problem(), SiteError::not_found().problem());
            assert_eq!(chunks.problem(), SiteError::not_found().problem());
        }
        for ctx in [test.full(), test.anonymous()] {
            let refused = chunk_list_for_device(&ctx, &test.site, hash).await.unwrap_err();
            assert_eq!(refused.code(), Code::Unauthenticated);
        }
        let ctx = test.device(&device);
        for (ranges, code) in [
            (vec![], Code::TooLarge),
            ((0..2_000).map(|at| (at, 1)).collect(), Code::TooLarge),
            (vec![(0, u64::MAX)], Code::Malformed),
            (vec![(10, 10), (15, 10)], Code::Malformed),
            (vec![(u64::MAX, 1)], Code::Malformed),
        ] {
            let refused = chunks_for_device(&ctx, &test.site, hash, &ChunkRanges { ranges }).await.unwrap_err();
            assert_eq!(refused.code(), code);
        }
    }
}

#[tokio::test]
async fn a_file_that_cannot_be_read_keeps_no_other_from_its_list() {
    let test = TestSite::new().await;
    let (gone, there) = (upload(&test, &vec![1; 300_000]).await, upload(&test, &vec![2; 300_000]).await);
    std::fs::remove_file(test.site.content.path(gone)).unwrap();
    assert_eq!(work(&test).await, 2);
    assert!(test.site.content.list_path(there).exists() && !test.site.content.list_path(gone).exists());
    // One that is shorter than the database says has no list that would lie.
    let cut = upload(&test, &vec![3; 300_000]).await;
    std::fs::write(test.site.content.path(cut), [3; 100]).unwrap();
    work(&test).await;
    assert!(!test.site.content.list_path(cut).exists());
}
