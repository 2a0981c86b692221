//! The server's private keys on its disk: one encrypted file for each, named by its purpose and key id.

use crate::{
    layout::{Layout, private_file, sync_dir},
    serve::{StartError, private},
};
use muster_model::id::Hash;
use muster_site::{
    SiteError,
    identity::keys::{KeyRing, KeyRole},
};
use muster_trust::PrivateKey;
use std::path::{Path, PathBuf};
use zeroize::Zeroizing;

/// The keys in a site's directory, and what opens them.
pub(crate) struct FileRing {
    dir: PathBuf,
    secret: Zeroizing<String>,
    published_at: Option<String>,
}

/// The beginning of a key id, as in file names.
pub(crate) fn short(id: &Hash) -> String {
    id.to_string().chars().take(16).collect()
}

impl FileRing {
    /// Reads the secret that opens the keys; no key yet.
    pub(crate) fn open(layout: &Layout, key_file: &str) -> Result<Self, StartError> {
        Ok(Self { dir: layout.keys(), secret: private(&layout.resolve(key_file))?, published_at: None })
    }

    /// The same, for a server whose certificates say where their status is published.
    pub(crate) fn published_at(mut self, base: Option<&str>) -> Self {
        self.published_at = base.map(str::to_owned);
        self
    }

    /// Keeps a new key: on the disk before anything names it.
    pub(crate) fn keep(&self, role: KeyRole, key: &PrivateKey) -> Result<PathBuf, String> {
        let path = self.dir.join(format!("{}-{}.key.pem", role.as_str(), short(&key.public().id())));
        let at = |error: &dyn std::fmt::Display| format!("{}: {error}", path.display());
        let pem = key.to_encrypted_pem(self.secret.as_bytes()).map_err(|error| at(&error))?;
        private_file(&path, pem.as_bytes()).map_err(|error| at(&error))?;
        sync_dir(&self.dir).map_err(|error| at(&error))?;
        Ok(path)
    }

    /// Whether each key that is here opens.
    pub(crate) fn check(&self) -> Result<(), SiteError> {
        let fault = |error: std::io::Error| SiteError::Fault(format!("{}: {error}", self.dir.display()));
        for entry in std::fs::read_dir(&self.dir).map_err(fault)? {
            let path = entry.map_err(fault)?.path();
            if path.to_string_lossy().ends_with(".key.pem") {
                self.read(&path)?;
            }
        }
        Ok(())
    }

    fn read(&self, path: &Path) -> Result<PrivateKey, SiteError> {
        let pem = private(path).map_err(|error| SiteError::Fault(error.to_string()))?;
        let name = path.file_name().unwrap_or_default().to_string_lossy();
        PrivateKey::from_pem(&pem, Some(self.secret.as_bytes()))
            .map_err(|error| SiteError::Fault(format!("{name}: {error}.")))
    }
}

impl KeyRing for FileRing {
    fn find(&self, role: KeyRole, id: &Hash) -> Result<Option<PrivateKey>, SiteError> {
        let role = role.as_str();
        // The first of each purpose was made with the site, before it had an id to be named by.
        for name in [format!("{role}-{}.key.pem", short(id)), format!("{role}.key.pem")] {
            let path = self.dir.join(name);
            if path.exists() {
                let key = self.read(&path)?;
                if key.public().id() == *id {
                    return Ok(Some(key));
                }
            }
        }
        Ok(None)
    }

    fn published_at(&self) -> Option<&str> {
        self.published_at.as_deref()
    }
}
