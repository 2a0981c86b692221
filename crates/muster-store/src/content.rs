//! Content files, by hash: written beside, verified, then renamed into place. Names come from hashes only, never from outside.

use std::path::PathBuf;

/// The directory of content files.
#[derive(Debug, Clone)]
pub struct ContentStore {
    directory: PathBuf,
}

impl ContentStore {
    /// Content below `directory`, which is made where it is not there.
    ///
    /// # Errors
    /// When it cannot be made.
    pub fn open(directory: PathBuf) -> std::io::Result<Self> {
        std::fs::create_dir_all(&directory)?;
        Ok(Self { directory })
    }

    /// The directory.
    #[must_use]
    pub fn directory(&self) -> &std::path::Path {
        &self.directory
    }
}
