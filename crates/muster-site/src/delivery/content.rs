//! Content: files by hash, brought by an administrator, fetched by the devices whose policy names them.

use crate::{Ctx, Site, SiteError, authz, delivery::policy};
use bytes::Bytes;
use lru::LruCache;
use muster_model::{id::Hash, problem::Code};
use muster_store::{
    Tx,
    db::{assignment, content_row},
    transaction,
};
use muster_trust::Sha256;
use std::{
    future::Future,
    num::NonZeroUsize,
    path::PathBuf,
    sync::{Mutex, MutexGuard, PoisonError},
};

/// The body of an upload: pieces, one after the other.
pub trait Chunks: Send {
    /// The next piece; `None` at the end.
    ///
    /// # Errors
    /// When the body broke off.
    fn next(&mut self) -> impl Future<Output = Result<Option<Bytes>, SiteError>> + Send;
}

/// Pieces that are at hand.
impl<T: Iterator<Item = Bytes> + Send> Chunks for T {
    async fn next(&mut self) -> Result<Option<Bytes>, SiteError> {
        Ok(Iterator::next(self))
    }
}

/// What an upload came to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Uploaded {
    /// Bytes of the file.
    pub size: u64,
    /// Whether it was not there before.
    pub new: bool,
}

/// A file that the caller may read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ContentPath {
    /// Where it is.
    pub path: PathBuf,
    /// Bytes of it.
    pub size: u64,
}

/// Takes a file: written beside, hashed while it comes, and put into its place only when the hash is right. A file that is
/// there already is not read again.
///
/// # Errors
/// `unauthenticated`, `forbidden`; `too_large` over `Limits::content_bytes`; `hash_mismatch`, and nothing is left of it.
pub async fn content_upload(
    ctx: &Ctx,
    site: &Site,
    hash: Hash,
    chunks: &mut impl Chunks,
) -> Result<Uploaded, SiteError> {
    authz::change(ctx)?;
    if let Some(size) = content_row::size(&mut *site.store.reader().await?, hash).await? {
        return Ok(Uploaded { size, new: false });
    }
    let mut upload = site.content.begin().await?;
    let mut digest = Sha256::default();
    while let Some(bytes) = chunks.next().await? {
        if upload.size() + bytes.len() as u64 > site.limits.content_bytes {
            let detail = format!("A content file may have at most {} bytes.", site.limits.content_bytes);
            return Err(SiteError::refused(Code::TooLarge, detail));
        }
        digest.update(&bytes);
        upload.write(&bytes).await?;
    }
    let size = upload.size();
    if digest.finish() != hash {
        let detail =
            "The bytes are not those that the hash names; nothing was kept. Compute the hash again and send the file.";
        return Err(SiteError::refused(Code::HashMismatch, detail));
    }
    upload.place(hash).await?;
    let new = transaction!(site.store, "content_upload", |tx| { note(ctx, tx, hash, size).await })?;
    site.memory.content.notify_one();
    Ok(Uploaded { size, new })
}

async fn note(ctx: &Ctx, tx: &mut Tx, hash: Hash, size: u64) -> Result<bool, SiteError> {
    let new = content_row::insert(tx, hash, size, ctx.now).await?;
    if new {
        let detail = format!("A content file of {size} bytes was added.");
        crate::audit::append(tx, ctx, "content_upload", format!("content {hash}"), detail).await?;
    }
    Ok(new)
}

/// Bytes of a file that is there.
///
/// # Errors
/// `unauthenticated`, `not_found`.
pub async fn content_show(ctx: &Ctx, site: &Site, hash: Hash) -> Result<u64, SiteError> {
    authz::see(ctx)?;
    content_row::size(&mut *site.store.reader().await?, hash).await?.ok_or_else(SiteError::not_found)
}

/// Which application names which content, and its size. An application is named by what its authors signed, so that this never changes;
/// whether a device has the application is asked each time.
#[derive(Debug)]
pub(crate) struct Contents(Mutex<LruCache<(Hash, Hash), u64>>);

/// Pairs that are kept in memory.
const REMEMBERED: NonZeroUsize = NonZeroUsize::new(10_000).unwrap();

impl Default for Contents {
    fn default() -> Self {
        Self(Mutex::new(LruCache::new(REMEMBERED)))
    }
}

impl Contents {
    fn known(&self) -> MutexGuard<'_, LruCache<(Hash, Hash), u64>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn get(&self, applications: &[Hash], content: Hash) -> Option<u64> {
        let mut known = self.known();
        applications.iter().find_map(|application| known.get(&(*application, content)).copied())
    }
}

/// Where a file is, for a device whose current assignment lists an application that names it.
///
/// # Errors
/// `device_not_active`; `not_found`, the same for what is not there and what is another's.
pub async fn content_for_device(ctx: &Ctx, site: &Site, hash: Hash) -> Result<ContentPath, SiteError> {
    let current = policy::current(ctx, site).await?;
    let applications = assignment::applications(&current.bodies);
    if applications.is_empty() {
        return Err(SiteError::not_found());
    }
    let size = match site.memory.contents.get(&applications, hash) {
        Some(size) => size,
        None => {
            let mut reader = site.store.reader().await?;
            let found = content_row::size_in(&mut reader, site.store.dialect(), hash, &applications).await?;
            let (application, size) = found.ok_or_else(SiteError::not_found)?;
            site.memory.contents.known().put((application, hash), size);
            size
        }
    };
    Ok(ContentPath { path: site.content.path(hash), size })
}
