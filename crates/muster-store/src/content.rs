//! Content files, by hash: written beside, verified, then renamed into place. Names come from hashes only, never from outside.

use crate::StoreError;
use muster_model::id::Hash;
use std::{
    io,
    path::{Path, PathBuf},
    sync::Arc,
};
use tokio::io::AsyncWriteExt;

/// Where files are written until they are complete.
const INCOMING: &str = "incoming";

/// The directory of content files.
#[derive(Debug, Clone)]
pub struct ContentStore {
    directory: Arc<PathBuf>,
}

impl ContentStore {
    /// Content below `directory`, which is made where it is not there. What uploads left unfinished is removed.
    ///
    /// # Errors
    /// When it cannot be made.
    pub fn open(directory: PathBuf) -> io::Result<Self> {
        let incoming = directory.join(INCOMING);
        std::fs::create_dir_all(&incoming)?;
        for entry in std::fs::read_dir(&incoming)? {
            // A file that cannot be removed now wastes space and harms nothing.
            if let Err(error) = std::fs::remove_file(entry?.path()) {
                tracing::warn!(%error, "An unfinished upload could not be removed.");
            }
        }
        Ok(Self { directory: Arc::new(directory) })
    }

    /// The directory.
    #[must_use]
    pub fn directory(&self) -> &Path {
        &self.directory
    }

    /// Where the file with this hash is, if it is there.
    #[must_use]
    pub fn path(&self, hash: Hash) -> PathBuf {
        let name = hash.to_string();
        self.directory.join(&name[..2]).join(name)
    }

    /// Where the chunk list of that file is, if it has one.
    #[must_use]
    pub fn list_path(&self, hash: Hash) -> PathBuf {
        self.path(hash).with_extension("chunks")
    }

    /// Where that file is with its chunks compressed, if that is kept.
    #[must_use]
    pub fn packed_path(&self, hash: Hash) -> PathBuf {
        self.path(hash).with_extension("packed")
    }

    /// Begins something that belongs to a file that is there. It blocks, for work that has a thread of its own.
    ///
    /// # Errors
    /// When it cannot be made.
    pub fn draft(&self) -> io::Result<Draft> {
        let path = self.directory.join(INCOMING).join(uuid::Uuid::new_v4().simple().to_string());
        let file = std::fs::File::create_new(&path)?;
        Ok(Draft { path, file, placed: false })
    }

    /// Begins a new file.
    ///
    /// # Errors
    /// When it cannot be made.
    pub async fn begin(&self) -> Result<Upload, StoreError> {
        let path = self.directory.join(INCOMING).join(uuid::Uuid::new_v4().simple().to_string());
        let file = tokio::fs::File::create_new(&path).await.map_err(failed)?;
        Ok(Upload { store: self.clone(), path, file, size: 0, placed: false })
    }

    /// Removes a file; nothing happens where there is none.
    ///
    /// # Errors
    /// When it is there and cannot be removed.
    pub async fn remove(&self, hash: Hash) -> Result<(), StoreError> {
        for path in [self.list_path(hash), self.packed_path(hash), self.path(hash)] {
            match tokio::fs::remove_file(path).await {
                Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(failed(error)),
                _ => {}
            }
        }
        Ok(())
    }
}

/// A file that is being written. Dropped before [`Upload::place`], it leaves nothing.
#[derive(Debug)]
pub struct Upload {
    store: ContentStore,
    path: PathBuf,
    file: tokio::fs::File,
    size: u64,
    placed: bool,
}

impl Upload {
    /// Appends bytes.
    ///
    /// # Errors
    /// When they cannot be written; [`StoreError::DiskFull`] when there is no space.
    pub async fn write(&mut self, bytes: &[u8]) -> Result<(), StoreError> {
        self.file.write_all(bytes).await.map_err(failed)?;
        self.size += bytes.len() as u64;
        Ok(())
    }

    /// Bytes that were written.
    #[must_use]
    pub fn size(&self) -> u64 {
        self.size
    }

    /// Makes the file durable and puts it in its place. The caller has compared its hash.
    ///
    /// # Errors
    /// When that cannot be done; nothing is left then.
    pub async fn place(mut self, hash: Hash) -> Result<(), StoreError> {
        self.file.flush().await.map_err(failed)?;
        self.file.sync_all().await.map_err(failed)?;
        let (from, to) = (self.path.clone(), self.store.path(hash));
        tokio::task::spawn_blocking(move || place(&from, &to))
            .await
            .map_err(|error| StoreError::Unavailable(error.to_string()))?
            .map_err(failed)?;
        self.placed = true;
        Ok(())
    }
}

/// Something that belongs to a file and is being written. Dropped before [`Draft::place`], it leaves nothing.
#[derive(Debug)]
pub struct Draft {
    path: PathBuf,
    file: std::fs::File,
    placed: bool,
}

impl Draft {
    /// Makes it durable and puts it in its place.
    ///
    /// # Errors
    /// When that cannot be done; nothing is left then.
    pub fn place(mut self, to: &Path) -> io::Result<()> {
        self.file.sync_all()?;
        place(&self.path, to)?;
        self.placed = true;
        Ok(())
    }
}

impl io::Write for Draft {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.file.write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.file.flush()
    }
}

impl Drop for Draft {
    fn drop(&mut self) {
        if !self.placed
            && let Err(error) = std::fs::remove_file(&self.path)
        {
            tracing::warn!(%error, "What was left of a packed file could not be removed.");
        }
    }
}

fn place(from: &Path, to: &Path) -> io::Result<()> {
    let folder = to.parent().unwrap_or(to);
    std::fs::create_dir_all(folder)?;
    std::fs::rename(from, to)?;
    // The new names must be durable too, before the database speaks of them.
    std::fs::File::open(folder)?.sync_all()?;
    folder.parent().map_or(Ok(()), |parent| std::fs::File::open(parent)?.sync_all())
}

impl Drop for Upload {
    fn drop(&mut self) {
        if !self.placed
            && let Err(error) = std::fs::remove_file(&self.path)
        {
            tracing::warn!(%error, "An unfinished upload could not be removed.");
        }
    }
}

fn failed(error: io::Error) -> StoreError {
    match error.kind() {
        io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => StoreError::DiskFull,
        _ => StoreError::Unavailable(error.to_string()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn files(directory: &Path) -> usize {
        let count = |path: &Path| std::fs::read_dir(path).map_or(0, |entries| entries.count());
        count(&directory.join(INCOMING)) + count(&directory.join("07"))
    }

    #[tokio::test]
    async fn a_file_is_there_when_it_is_placed_and_not_before() {
        let directory = tempfile::tempdir().unwrap();
        let store = ContentStore::open(directory.path().to_owned()).unwrap();
        let hash = Hash([7; 32]);
        let mut upload = store.begin().await.unwrap();
        upload.write(b"half").await.unwrap();
        assert!(!store.path(hash).exists());
        drop(upload);
        assert_eq!(files(directory.path()), 0, "a dropped upload leaves nothing");
        let mut upload = store.begin().await.unwrap();
        upload.write(b"ha").await.unwrap();
        upload.write(b"lf").await.unwrap();
        assert_eq!(upload.size(), 4);
        upload.place(hash).await.unwrap();
        assert_eq!(std::fs::read(store.path(hash)).unwrap(), b"half");
        assert_eq!(files(directory.path()), 1);
        store.remove(hash).await.unwrap();
        store.remove(hash).await.unwrap();
        assert_eq!(files(directory.path()), 0);
    }

    #[tokio::test]
    async fn what_a_crash_left_goes_at_the_next_start() {
        let directory = tempfile::tempdir().unwrap();
        ContentStore::open(directory.path().to_owned()).unwrap();
        std::fs::write(directory.path().join(INCOMING).join("rest"), b"x").unwrap();
        ContentStore::open(directory.path().to_owned()).unwrap();
        assert_eq!(files(directory.path()), 0);
    }
}
