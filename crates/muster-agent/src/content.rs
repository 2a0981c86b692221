//! Content: fetched by hash into a cache that only the agent can reach, resumed where it broke off, checked as it comes and
//! again when it is taken out.

use crate::{http::HttpError, os::PrivateDirectory, session::Session, site::Site};
use muster_model::{application::ContentFile, id::Hash, limits::Limits};
use muster_trust::Sha256;
use std::{
    fs::File,
    io::{self, Read, Seek, SeekFrom, Write},
};

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

/// Fetches a file into the cache, if it is not there.
///
/// # Errors
/// See [`ContentError`].
pub async fn fetch(
    cache: &PrivateDirectory,
    site: &Site,
    file: &ContentFile,
    limits: &Limits,
) -> Result<(), ContentError> {
    let (name, part) = (file.hash.to_string(), format!("{}.part", file.hash));
    if let Some(there) = cache.open_file(&name)? {
        // Whether these are the right bytes is asked when they are taken out.
        if there.metadata()?.len() == file.size {
            return Ok(());
        }
        cache.remove(&name)?;
    }
    if file.size > limits.content_bytes {
        return Err(HttpError::TooLarge { limit: limits.content_bytes }.into());
    }
    let target = cache.edit_file(&part)?;
    let (mut target, mut digest, mut at) = blocking(move || resume(target)).await?;
    if at > file.size {
        (digest, at) = restart(&mut target)?;
    }
    if at < file.size || file.size == 0 {
        let mut session = site.session().await?;
        (digest, at) = match receive(&mut session, file, &mut target, digest, at).await {
            Err(ContentError::Unavailable(HttpError::TooLarge { .. })) => {
                cache.remove(&part)?;
                return Err(ContentError::Altered(file.hash));
            }
            other => other?,
        };
    }
    if at < file.size {
        return Err(HttpError::Connection("the content ended early".into()).into());
    }
    if digest.finish() != file.hash {
        cache.remove(&part)?;
        return Err(ContentError::Altered(file.hash));
    }
    blocking(move || Ok(target.sync_all()?)).await?;
    cache.rename(&part, &name)?;
    Ok(())
}

/// Digest and length of what a fetch before this one left.
fn resume(mut target: File) -> Result<(File, Sha256, u64), ContentError> {
    let (mut digest, mut at, mut buffer) = (Sha256::default(), 0, vec![0; PIECE]);
    target.seek(SeekFrom::Start(0))?;
    loop {
        match target.read(&mut buffer)? {
            0 => return Ok((target, digest, at)),
            count => {
                digest.update(&buffer[..count]);
                at += count as u64;
            }
        }
    }
}

fn restart(target: &mut File) -> Result<(Sha256, u64), ContentError> {
    target.set_len(0)?;
    target.seek(SeekFrom::Start(0))?;
    Ok((Sha256::default(), 0))
}

async fn receive(
    session: &mut Session,
    file: &ContentFile,
    target: &mut File,
    mut digest: Sha256,
    mut at: u64,
) -> Result<(Sha256, u64), ContentError> {
    let answer = match session.content(file.hash, at, file.size).await {
        // The server knows no such place in the file: from the beginning, next time.
        Err(HttpError::Status(http::StatusCode::RANGE_NOT_SATISFIABLE) | HttpError::Malformed) => {
            restart(target)?;
            return Err(HttpError::Malformed.into());
        }
        other => other?,
    };
    let (starts, mut body) = answer;
    if starts != at {
        (digest, at) = restart(target)?;
    }
    while let Some(piece) = body.piece().await? {
        target.write_all(&piece)?;
        digest.update(&piece);
        at += piece.len() as u64;
    }
    Ok((digest, at))
}

/// Puts a file of the cache under its own name into a private directory. The bytes that are checked are the bytes that are
/// written, from one handle: what happens to the cache in between does not matter.
///
/// # Errors
/// [`ContentError::Altered`] when the cache has other bytes by now; they are thrown away.
pub async fn take_out(
    cache: &PrivateDirectory,
    file: &ContentFile,
    directory: &PrivateDirectory,
) -> Result<(), ContentError> {
    let name = file.hash.to_string();
    let source = cache.open_file(&name)?.ok_or(ContentError::Altered(file.hash))?;
    let target = directory.new_file(file.name.as_str(), 0o500)?;
    let expected = file.hash;
    let done = blocking(move || copy(source, target, expected)).await;
    if done.is_err() {
        directory.remove(file.name.as_str())?;
    }
    if matches!(done, Err(ContentError::Altered(_))) {
        cache.remove(&name)?;
    }
    done
}

fn copy(mut source: File, mut target: File, expected: Hash) -> Result<(), ContentError> {
    let (mut digest, mut buffer) = (Sha256::default(), vec![0; PIECE]);
    loop {
        match source.read(&mut buffer)? {
            0 => break,
            count => {
                digest.update(&buffer[..count]);
                target.write_all(&buffer[..count])?;
            }
        }
    }
    if digest.finish() == expected { Ok(()) } else { Err(ContentError::Altered(expected)) }
}

/// Throws away what no deployment needs any more.
///
/// # Errors
/// When the disk refuses.
pub fn keep_only(cache: &PrivateDirectory, needed: &[Hash]) -> io::Result<()> {
    for name in cache.names()? {
        let hash = name.strip_suffix(".part").unwrap_or(&name);
        if !needed.iter().any(|needed| needed.to_string() == hash) {
            cache.remove(&name)?;
        }
    }
    Ok(())
}
