//! Content: fetched by hash into a cache that only the agent can reach, in pieces where the site says how the file is cut, resumed
//! where it broke off, checked as it comes and again when it is taken out.

pub mod cache;
mod chunks;
mod out;
mod part;
pub mod peer;
mod pool;
pub mod rate;
mod turn;

pub use out::take_out;
pub use turn::Turn;

use crate::{agent::Agent, http::HttpError, os::PrivateDirectory, policy::Policy, session::Session};
use cache::Pins;
use muster_model::{
    application::ContentFile,
    chunk::{ChunkError, ChunkList},
    id::Hash,
    limits::CHUNKED_BYTES,
    status::{Component, MessageId, Severity},
};
use part::Part;
use peer::FromPeers;
use std::io;
use tokio::time::Instant;
use turn::Slice;

/// Bytes that are read or written at once.
const PIECE: usize = 64 << 10;

/// Why content is not there.
#[derive(Debug, thiserror::Error)]
pub enum ContentError {
    /// It cannot be had now; what came so far is kept.
    #[error("content cannot be fetched: {0}")]
    Unavailable(#[from] HttpError),
    /// Its bytes are not those that the hash names; they were thrown away.
    #[error("content {0} is not what its hash names")]
    Altered(Hash),
    /// It is larger than the cache may be, however empty.
    #[error("the content has {size} bytes, and the cache may have {limit}")]
    CacheTooSmall {
        /// Bytes of all files of the application.
        size: u64,
        /// Bytes that the cache may have.
        limit: u64,
    },
    /// What others need leaves too little room.
    #[error("{size} bytes do not fit beside what other deployments need in the cache, which may have {limit}")]
    CacheFull {
        /// Bytes that are wanted.
        size: u64,
        /// Bytes that the cache may have.
        limit: u64,
    },
    /// Another policy came while it was on its way: that one says whether and how fast it goes on. What came is kept.
    #[error("another policy came meanwhile")]
    Superseded,
    /// It takes long, and others have their turn before it goes on. What came is kept.
    #[error("it takes long, and goes on when others had their turn")]
    Slow,
    /// It was there and made room for something else before it was used.
    #[error("content {0} is not in the cache any more")]
    Gone(Hash),
    /// The disk is full.
    #[error("the disk is full")]
    DiskFull,
    /// The disk failed otherwise.
    #[error("the content cache: {0}")]
    Io(io::Error),
}

impl From<io::Error> for ContentError {
    fn from(error: io::Error) -> Self {
        match error.kind() {
            io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => Self::DiskFull,
            _ => Self::Io(error),
        }
    }
}

async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> Result<T, ContentError> + Send + 'static,
) -> Result<T, ContentError> {
    let broken = || ContentError::Io(io::Error::other("the work was broken off"));
    tokio::task::spawn_blocking(work).await.unwrap_or_else(|_| Err(broken()))
}

/// Whether a file of that length is in the cache. Whether it has the right bytes is asked when it is taken out.
#[must_use]
pub fn is_there(cache: &PrivateDirectory, file: &ContentFile) -> bool {
    let there = cache.open_file(&file.hash.to_string()).ok().flatten();
    there.and_then(|there| there.metadata().ok()).is_some_and(|data| data.len() == file.size)
}

/// Fetches the files of an application into the cache, those that are not there. It ends after a while, so that nothing waits for
/// days behind what is large or slow.
///
/// # Errors
/// See [`ContentError`].
pub async fn fetch(agent: &Agent, policy: &Policy, files: &[ContentFile]) -> Result<(), ContentError> {
    if files.iter().all(|file| is_there(&agent.cache, file)) {
        return Ok(());
    }
    let _turn = agent.turn.due().await;
    fetch_in_turn(agent, policy, files, true).await
}

/// As [`fetch`], for a deployment whose time has not come: it gives way to what is due, and takes no room from anything.
///
/// # Errors
/// See [`ContentError`].
pub async fn fetch_ahead(agent: &Agent, policy: &Policy, files: &[ContentFile]) -> Result<(), ContentError> {
    agent.turn.ahead(|| fetch_in_turn(agent, policy, files, false)).await
}

async fn fetch_in_turn(
    agent: &Agent,
    policy: &Policy,
    files: &[ContentFile],
    is_due: bool,
) -> Result<(), ContentError> {
    let pins = Pins::of(agent, policy, files);
    cache::make_room(agent, policy.settings(), &pins, files, is_due)?;
    let mut slice = is_due.then(Slice::default);
    for file in files {
        let slice = slice.as_mut();
        Fetch {
            agent,
            policy,
            file,
            session: None,
            moved: 0,
            reused: 0,
            from_peers: FromPeers::default(),
            doubted: false,
            slice,
        }
        .run()
        .await?;
    }
    Ok(())
}

/// One file on its way.
struct Fetch<'a> {
    agent: &'a Agent,
    policy: &'a Policy,
    file: &'a ContentFile,
    session: Option<Session>,
    /// Bytes that came over the network, and that were in the cache already.
    moved: u64,
    reused: u64,
    from_peers: FromPeers,
    /// Whether what is there of the file may be there by a list that lied.
    doubted: bool,
    /// `None`: it gives way by itself.
    slice: Option<&'a mut Slice>,
}

impl Fetch<'_> {
    async fn run(mut self) -> Result<(), ContentError> {
        let (cache, file) = (&self.agent.cache, self.file);
        let (name, part_name) = (file.hash.to_string(), format!("{}.part", file.hash));
        if let Some(there) = cache::sound(cache, &name)? {
            // Whether these are the right bytes is asked when they are taken out.
            if there.metadata()?.len() == file.size {
                return Ok(());
            }
            cache::forget(cache, file.hash)?;
        }
        let limit = self.agent.limits.content_bytes;
        if file.size > limit {
            return Err(HttpError::TooLarge { limit }.into());
        }
        let mut list = self.list().await?;
        cache::sound(cache, &part_name)?;
        let mut part = {
            let (target, list, size) = (cache.edit_file(&part_name)?, list.clone(), file.size);
            blocking(move || Part::resume(target, list.as_ref(), size)).await?
        };
        let by_list = list.is_some();
        if by_list {
            self.doubted = true;
            part.cut()?;
        }
        if let Some(known) = list.take() {
            list = self.by_chunks(known, &mut part).await?;
        }
        if list.is_none() {
            self.whole(&mut part).await?;
        }
        if part.digest() != file.hash && self.doubted {
            // The list lied, or what it was believed for. Without it, once, from the beginning.
            if by_list {
                self.refuse_list(ChunkError::Altered)?;
            }
            list = None;
            part.restart()?;
            self.whole(&mut part).await?;
        }
        if part.digest() != file.hash {
            cache.remove(&part_name)?;
            return Err(ContentError::Altered(file.hash));
        }
        let file_handle = part.into_file();
        let now = self.agent.clock.now();
        blocking(move || {
            file_handle.sync_all()?;
            Ok(cache::touch(&file_handle, now)?)
        })
        .await?;
        cache.rename(&part_name, &name)?;
        if list.is_none() {
            // What lies there was not followed to its end. The client cuts the file by itself when it has to.
            cache.remove(&pool::list_name(file.hash))?;
        }
        self.agent.peers.came.notify_one();
        self.say();
        Ok(())
    }

    async fn session(&mut self) -> Result<&mut Session, ContentError> {
        if self.session.is_none() {
            self.session = Some(self.agent.site.session().await?);
        }
        self.session.as_mut().ok_or(ContentError::Unavailable(HttpError::Malformed))
    }

    /// How the file is cut, where the site says so. It is kept beside the file, so that the next version can be put together from it.
    async fn list(&mut self) -> Result<Option<ChunkList>, ContentError> {
        let (cache, file) = (&self.agent.cache, self.file);
        if file.size < CHUNKED_BYTES {
            return Ok(None);
        }
        if let Some(kept) = pool::kept_list(cache, file.hash, file.size) {
            return Ok(Some(kept));
        }
        if pool::is_refused(cache, file.hash) {
            self.doubted = true;
            return Ok(None);
        }
        let asked = self.session().await?.chunk_list(file.hash, file.size).await;
        let bytes = match asked {
            Ok(bytes) => bytes,
            // A site without lists, or one that has none for this file yet.
            Err(error) if chunks::is_unasked(&error) => {
                self.session = None;
                return Ok(None);
            }
            Err(HttpError::TooLarge { .. }) => {
                self.session = None;
                self.refuse_list(ChunkError::TooMany)?;
                return Ok(None);
            }
            Err(error) => return Err(error.into()),
        };
        self.moved += bytes.len() as u64;
        match ChunkList::decode(&bytes, file.size) {
            Ok(list) => {
                let name = pool::list_name(file.hash);
                cache::sound(cache, &name)?;
                cache.write(&name, &bytes)?;
                Ok(Some(list))
            }
            Err(error) => {
                self.refuse_list(error)?;
                Ok(None)
            }
        }
    }

    /// The list, or what came by it, is not believed: that is said, and no list of this file is before it is whole.
    fn refuse_list(&self, error: ChunkError) -> Result<(), ContentError> {
        let hash = self.file.hash.to_string();
        tracing::warn!(hash, %error, "a chunk list was refused; the content is fetched whole");
        let values = [("hash", hash.as_str()), ("reason", error.as_str())];
        self.agent.report(Component::Content, Severity::Warning, MessageId::ChunkListRefused, &values);
        Ok(pool::refuse(&self.agent.cache, self.file.hash)?)
    }

    /// Everything that is missing, from where it broke off.
    async fn whole(&mut self, part: &mut Part) -> Result<(), ContentError> {
        let file = self.file;
        if part.at() > file.size {
            part.restart()?;
        }
        if part.at() == file.size && file.size > 0 {
            return Ok(());
        }
        let from = part.at();
        let asked = self.session().await?.content(file.hash, from, file.size).await;
        let (starts, mut body) = match asked {
            // The server knows no such place in the file: from the beginning, next time.
            Err(HttpError::Status(http::StatusCode::RANGE_NOT_SATISFIABLE) | HttpError::Malformed) => {
                part.restart()?;
                return Err(HttpError::Malformed.into());
            }
            other => other?,
        };
        if starts != from {
            part.restart()?;
        }
        loop {
            let piece = match body.piece().await {
                Ok(Some(piece)) => piece,
                Ok(None) => break,
                Err(HttpError::TooLarge { .. }) => {
                    self.agent.cache.remove(&format!("{}.part", file.hash))?;
                    return Err(ContentError::Altered(file.hash));
                }
                Err(error) => return Err(error.into()),
            };
            part.append(&piece)?;
            self.moved += piece.len() as u64;
            self.pace(piece.len()).await?;
        }
        match part.at() < file.size {
            true => Err(HttpError::Connection("the content ended early".into()).into()),
            false => Ok(()),
        }
    }

    /// Waits as the client settings want it after so many bytes, which were kept.
    async fn pace(&mut self, bytes: usize) -> Result<(), ContentError> {
        self.agent.rate.pass(self.agent, self.policy.settings(), bytes as u64).await;
        match self.slice.as_mut().is_some_and(|slice| slice.is_over(Instant::now())) {
            true => Err(ContentError::Slow),
            false => Ok(()),
        }
    }

    fn say(&self) {
        let file = self.file;
        if file.size < CHUNKED_BYTES {
            return;
        }
        let (hash, size) = (file.hash.to_string(), file.size.to_string());
        let (moved, reused) = (self.moved.to_string(), self.reused.to_string());
        tracing::info!(hash, size, moved, reused, "content");
        let values = [("hash", hash.as_str()), ("size", &size), ("moved", &moved), ("reused", &reused)];
        self.agent.report(Component::Content, Severity::Information, MessageId::ContentFetched, &values);
        if self.from_peers.bytes > 0 {
            let (bytes, peers) = (self.from_peers.bytes.to_string(), self.from_peers.peers.to_string());
            let values = [("hash", hash.as_str()), ("bytes", &bytes), ("peers", &peers)];
            self.agent.report(Component::Content, Severity::Information, MessageId::ContentFromPeers, &values);
        }
    }
}
