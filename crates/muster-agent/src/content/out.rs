//! Content leaves the cache: into the directory of an installation, under its own name, checked once more.

use super::{ContentError, PIECE, blocking, cache};
use crate::os::PrivateDirectory;
use muster_model::{application::ContentFile, id::Hash, time::UnixMillis};
use muster_trust::Sha256;
use std::{
    fs::File,
    io::{Read, Write},
};

/// Puts a file of the cache under its own name into a private directory. The bytes that are checked are the bytes that are
/// written, from one handle: what happens to the cache in between does not matter.
///
/// # Errors
/// [`ContentError::Altered`] when the cache has other bytes by now; they are thrown away. [`ContentError::Gone`] when it has none.
pub async fn take_out(
    cache: &PrivateDirectory,
    file: &ContentFile,
    directory: &PrivateDirectory,
    now: UnixMillis,
) -> Result<(), ContentError> {
    let source = cache::sound(cache, &file.hash.to_string())?.ok_or(ContentError::Gone(file.hash))?;
    let target = directory.new_file(file.name.as_str(), 0o500)?;
    let expected = file.hash;
    let done = blocking(move || copy(source, target, expected, now)).await;
    if done.is_err() {
        directory.remove(file.name.as_str())?;
    }
    if matches!(done, Err(ContentError::Altered(_))) {
        cache::forget(cache, expected)?;
    }
    done
}

fn copy(mut source: File, mut target: File, expected: Hash, now: UnixMillis) -> Result<(), ContentError> {
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
    if digest.finish() != expected {
        return Err(ContentError::Altered(expected));
    }
    // What was used last goes last.
    if let Err(error) = cache::touch(&source, now) {
        tracing::warn!(%error, "when content was used could not be kept");
    }
    Ok(())
}
