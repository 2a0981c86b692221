//! Where things are in a site's directory, and how private files are written.

use std::{
    fs,
    io::{self, Write},
    os::unix::fs::{DirBuilderExt, OpenOptionsExt},
    path::{Path, PathBuf},
};

/// The directory of a site.
#[derive(Debug, Clone)]
pub struct Layout {
    dir: PathBuf,
}

impl Layout {
    /// Of the site in `dir`.
    #[must_use]
    pub fn new(dir: &Path) -> Self {
        Self { dir: dir.to_owned() }
    }

    /// The directory itself.
    #[must_use]
    pub fn dir(&self) -> &Path {
        &self.dir
    }

    /// A path of the configuration: relative ones start at the directory.
    #[must_use]
    pub fn resolve(&self, path: &str) -> PathBuf {
        self.dir.join(path)
    }

    /// The keys and certificates that a running server needs.
    #[must_use]
    pub fn keys(&self) -> PathBuf {
        self.dir.join("keys")
    }

    /// The root's certificate, PEM, for browsers.
    #[must_use]
    pub fn root_certificate(&self) -> PathBuf {
        self.dir.join("root.crt.pem")
    }

    /// The root key and what belongs to it: to be moved away.
    #[must_use]
    pub fn offline(&self) -> PathBuf {
        self.dir.join("offline")
    }

    /// The first administrator's profile.
    #[must_use]
    pub fn admin(&self) -> PathBuf {
        self.dir.join("admin")
    }

    /// The addresses that the running server has.
    #[must_use]
    pub fn addresses(&self) -> PathBuf {
        self.dir.join("run/addresses.json")
    }

    /// Held by the server that runs on this directory.
    #[must_use]
    pub fn lock(&self) -> PathBuf {
        self.dir.join("run/lock")
    }

    /// The database URL with its path made absolute, where it is a file.
    #[must_use]
    pub fn database(&self, url: &str) -> String {
        match url.strip_prefix("sqlite:") {
            Some(path) if !path.starts_with('/') && !path.starts_with(':') => {
                format!("sqlite:{}", self.dir.join(path).display())
            }
            _ => url.to_owned(),
        }
    }
}

/// Makes a directory that only its owner can enter.
///
/// # Errors
/// When it cannot be made.
pub fn private_dir(path: &Path) -> io::Result<()> {
    fs::DirBuilder::new().recursive(true).mode(0o700).create(path)
}

/// Writes a new file that only its owner can read, and waits until it is on the disk.
///
/// # Errors
/// When it is there already, or cannot be written.
pub fn private_file(path: &Path, bytes: &[u8]) -> io::Result<()> {
    let mut file = fs::OpenOptions::new().write(true).create_new(true).mode(0o600).open(path)?;
    file.write_all(bytes)?;
    file.sync_all()
}

/// Waits until what was made or renamed in a directory is on the disk.
///
/// # Errors
/// When the directory cannot be opened.
pub fn sync_dir(path: &Path) -> io::Result<()> {
    fs::File::open(path)?.sync_all()
}

/// Replaces a file in one step: written beside it, then renamed.
///
/// # Errors
/// When it cannot be written.
pub fn replace_file(path: &Path, bytes: &[u8]) -> io::Result<()> {
    let beside = path.with_extension("new");
    match fs::remove_file(&beside) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
        _ => private_file(&beside, bytes)?,
    }
    fs::rename(&beside, path)
}
