//! Content: only what its hash names, only within its limit, only for whom it is meant.

use muster_model::{id::Hash, problem::Code};
use muster_site::{
    SiteError, audit_list, content_for_device, content_show, content_upload,
    testing::{TestSite, some_hash},
};
use muster_trust::sha256;

fn pieces(pieces: &[&[u8]]) -> std::vec::IntoIter<bytes::Bytes> {
    pieces.iter().map(|piece| bytes::Bytes::copy_from_slice(piece)).collect::<Vec<_>>().into_iter()
}

/// Files below the content directory.
fn files(test: &TestSite) -> usize {
    fn count(path: &std::path::Path) -> usize {
        let entries = std::fs::read_dir(path).unwrap().map(|entry| entry.unwrap().path());
        entries.map(|path| if path.is_dir() { count(&path) } else { 1 }).sum()
    }
    count(test.site.content.directory())
}

#[tokio::test]
async fn a_file_is_there_when_its_hash_is_right() {
    for test in TestSite::all().await {
        let hash = sha256(b"in two pieces");
        let done = content_upload(&test.full(), &test.site, hash, &mut pieces(&[b"in two ", b"pieces"])).await.unwrap();
        assert_eq!((done.size, done.new), (13, true));
        assert_eq!(content_show(&test.analyst(), &test.site, hash).await.unwrap(), 13);
        assert_eq!(std::fs::read(test.site.content.path(hash)).unwrap(), b"in two pieces");
        // The same again is not read at all.
        let again = content_upload(&test.full(), &test.site, hash, &mut pieces(&[b"other"])).await.unwrap();
        assert_eq!((again.size, again.new, files(&test)), (13, false, 1));
        let empty = content_upload(&test.full(), &test.site, sha256(b""), &mut pieces(&[])).await.unwrap();
        assert_eq!(empty.size, 0);
    }
}

/// An upload that must be refused, and nothing is left of it.
async fn refused(test: &TestSite, ctx: &muster_site::Ctx, hash: Hash, body: &[&[u8]], code: Code) {
    let before = audit_list(&test.full(), &test.site, Default::default()).await.unwrap().total;
    let error = content_upload(ctx, &test.site, hash, &mut pieces(body)).await.unwrap_err();
    assert_eq!(error.code(), code);
    assert_eq!(files(test), 0, "nothing is left");
    assert_eq!(content_show(&test.full(), &test.site, hash).await.unwrap_err().code(), Code::NotFound);
    assert_eq!(audit_list(&test.full(), &test.site, Default::default()).await.unwrap().total, before);
}

/// A body that breaks off.
struct Broken(bool);

impl muster_site::Chunks for Broken {
    async fn next(&mut self) -> Result<Option<bytes::Bytes>, SiteError> {
        if std::mem::replace(&mut self.0, true) {
            return Err(SiteError::refused(Code::Malformed, "The body broke off."));
        }
        Ok(Some(bytes::Bytes::from_static(b"first")))
    }
}

#[tokio::test]
async fn what_is_refused_leaves_nothing() {
    for test in TestSite::all().await {
        let hash = sha256(b"right");
        refused(&test, &test.full(), hash, &[b"wrong"], Code::HashMismatch).await;
        refused(&test, &test.full(), hash, &[], Code::HashMismatch).await;
        refused(&test, &test.analyst(), hash, &[b"right"], Code::Forbidden).await;
        refused(&test, &test.anonymous(), hash, &[b"right"], Code::Unauthenticated).await;
        let device = test.enrol("alpha").await;
        refused(&test, &test.device(&device), hash, &[b"right"], Code::Unauthenticated).await;
        content_upload(&test.full(), &test.site, hash, &mut Broken(false)).await.unwrap_err();
        assert_eq!(files(&test), 0);
        assert_eq!(content_show(&test.anonymous(), &test.site, hash).await.unwrap_err().code(), Code::Unauthenticated);
    }
}

#[tokio::test]
async fn a_file_may_have_as_many_bytes_as_the_limit_and_not_one_more() {
    let mut test = TestSite::new().await;
    std::sync::Arc::get_mut(&mut test.site).unwrap().limits.content_bytes = 10;
    refused(&test, &test.full(), sha256(b"12345678901"), &[b"123456", b"78901"], Code::TooLarge).await;
    let hash = sha256(b"1234567890");
    content_upload(&test.full(), &test.site, hash, &mut pieces(&[b"123456", b"7890"])).await.unwrap();
}

#[tokio::test]
async fn a_device_without_a_deployment_gets_no_content() {
    let test = TestSite::new().await;
    let device = test.enrol("alpha").await;
    content_upload(&test.full(), &test.site, sha256(b"x"), &mut pieces(&[b"x"])).await.unwrap();
    for hash in [sha256(b"x"), some_hash("absent")] {
        let error = content_for_device(&test.device(&device), &test.site, hash).await.unwrap_err();
        assert_eq!(error.problem(), SiteError::not_found().problem());
    }
    let error = content_for_device(&test.full(), &test.site, sha256(b"x")).await.unwrap_err();
    assert_eq!(error.code(), Code::Unauthenticated, "an administrator is not a device");
}
