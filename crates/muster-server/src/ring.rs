//! The server's private keys: on its disk, one encrypted file for each, named by its purpose and key id; or in a PKCS#11 token.

use crate::{
    config::Config,
    layout::{Layout, private_file, sync_dir},
    pkcs11::Token,
    serve::{StartError, private},
};
use muster_model::id::Hash;
use muster_site::{
    SiteError,
    identity::keys::{KeyRing, KeyRole},
};
use muster_trust::{PrivateKey, PublicKey, Signer};
use std::{
    path::{Path, PathBuf},
    sync::Arc,
};
use zeroize::Zeroizing;

/// The keys in a site's directory and what opens them, and the token that holds the others.
pub(crate) struct Ring {
    dir: PathBuf,
    secret: Zeroizing<String>,
    token: Option<Arc<Token>>,
    published_at: Option<String>,
}

/// The beginning of a key id, as in file names.
pub(crate) fn short(id: &Hash) -> String {
    id.to_string().chars().take(16).collect()
}

impl Ring {
    /// Reads the secret that opens the keys, and starts the token's module where there is one; no key yet.
    pub(crate) fn open(layout: &Layout, config: &Config) -> Result<Self, StartError> {
        let token = match &config.pkcs11.module {
            Some(module) => {
                let pin_file = layout.resolve(&config.pkcs11.pin_file);
                let token = Token::new(Path::new(module), &config.pkcs11.token, pin_file);
                Some(token.map_err(|error| SiteError::Fault(error.to_string()))?)
            }
            None => None,
        };
        Ok(Self {
            dir: layout.keys(),
            secret: private(&layout.resolve(&config.site.key_file))?,
            token,
            published_at: config.names.revocation.clone(),
        })
    }

    /// Makes a new key: in the token where there is one, else on the disk. Its public half, and where it is.
    pub(crate) fn make(&self, role: KeyRole) -> Result<(PublicKey, String), String> {
        if let Some(token) = &self.token {
            let key = token.make(&format!("muster {}", role.as_str())).map_err(|error| error.to_string())?;
            return Ok((key.public().clone(), format!("{token:?}")));
        }
        let key = PrivateKey::generate().map_err(|error| error.to_string())?;
        let path = self.keep(role, &key)?;
        Ok((key.public().clone(), path.display().to_string()))
    }

    /// Keeps a new key: on the disk before anything names it.
    fn keep(&self, role: KeyRole, key: &PrivateKey) -> Result<PathBuf, String> {
        let path = self.dir.join(format!("{}-{}.key.pem", role.as_str(), short(&key.public().id())));
        let at = |error: &dyn std::fmt::Display| format!("{}: {error}", path.display());
        let pem = key.to_encrypted_pem(self.secret.as_bytes()).map_err(|error| at(&error))?;
        private_file(&path, pem.as_bytes()).map_err(|error| at(&error))?;
        sync_dir(&self.dir).map_err(|error| at(&error))?;
        Ok(path)
    }

    /// Whether each key that is here opens, and the token where there is one.
    pub(crate) fn check(&self) -> Result<(), SiteError> {
        if let Some(token) = &self.token {
            token.check().map_err(|error| SiteError::Fault(format!("{token:?}: {error}.")))?;
        }
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

impl KeyRing for Ring {
    fn find(&self, role: KeyRole, id: &Hash) -> Result<Option<Arc<dyn Signer>>, SiteError> {
        let role = role.as_str();
        // The first of each purpose was made with the site, before it had an id to be named by.
        for name in [format!("{role}-{}.key.pem", short(id)), format!("{role}.key.pem")] {
            let path = self.dir.join(name);
            if path.exists() {
                let key = self.read(&path)?;
                if key.public().id() == *id {
                    return Ok(Some(Arc::new(key)));
                }
            }
        }
        let Some(token) = &self.token else { return Ok(None) };
        let found = token.find(id).map_err(|error| SiteError::Fault(format!("{token:?}: {error}.")))?;
        Ok(found.map(|key| Arc::new(key) as Arc<dyn Signer>))
    }

    fn published_at(&self) -> Option<&str> {
        self.published_at.as_deref()
    }
}
