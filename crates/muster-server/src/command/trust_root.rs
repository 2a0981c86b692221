//! The root key on this machine: found, opened, made. A running server never has it.

use super::trust::Here;
use crate::{
    layout::{private_dir, private_file, sync_dir},
    ring::short,
    serve::private,
};
use muster_site::identity::new_site::ROOT_KEY_FILE;
use muster_trust::{PrivateKey, TrustBundle};
use std::{
    cell::OnceCell,
    path::{Path, PathBuf},
};
use zeroize::Zeroizing;

/// Where the root key is.
#[derive(Debug, clap::Args)]
pub(super) struct RootArgs {
    /// The root key. Default: the one in `offline` in the site's directory.
    #[arg(long, value_name = "FILE")]
    root_key: Option<PathBuf>,
    /// File with the passphrase of the root key. Without it, you are asked.
    #[arg(long, value_name = "FILE")]
    passphrase_file: Option<PathBuf>,
}

/// The root key's holder at work: the passphrase is asked for once.
pub(super) struct Root<'a> {
    args: &'a RootArgs,
    passphrase: OnceCell<Zeroizing<String>>,
}

impl<'a> Root<'a> {
    pub(super) fn new(args: &'a RootArgs) -> Self {
        Self { args, passphrase: OnceCell::new() }
    }

    /// The root key that signs under this bundle.
    pub(super) fn open(&self, here: &Here, bundle: &TrustBundle) -> Result<PrivateKey, String> {
        let path = self.args.root_key.clone().unwrap_or_else(|| kept(here, bundle));
        let pem = private(&path).map_err(|error| {
            format!(
                "{error}\nIf you moved the root key away, as you should, name its place with --root-key, or write a proposal \
                 with --out."
            )
        })?;
        let passphrase = self.passphrase()?;
        PrivateKey::from_pem(&pem, Some(passphrase.as_bytes())).map_err(|error| format!("{}: {error}", path.display()))
    }

    /// A new root key, on the disk, under the passphrase of the present one.
    pub(super) fn make(&self, here: &Here) -> Result<PrivateKey, String> {
        let key = PrivateKey::generate().map_err(|error| error.to_string())?;
        let offline = match self.args.root_key.as_deref().and_then(Path::parent) {
            Some(beside) => beside.to_owned(),
            None => here.layout.offline(),
        };
        let path = offline.join(format!("root-{}.key.pem", short(&key.public().id())));
        let at = |error: &dyn std::fmt::Display| format!("{}: {error}", path.display());
        let pem = key.to_encrypted_pem(self.passphrase()?.as_bytes()).map_err(|error| at(&error))?;
        private_dir(&offline).map_err(|error| at(&error))?;
        private_file(&path, pem.as_bytes()).map_err(|error| at(&error))?;
        sync_dir(&offline).map_err(|error| at(&error))?;
        super::say(&format!("The new root key is in {}, under the same passphrase.", path.display()));
        Ok(key)
    }

    fn passphrase(&self) -> Result<&Zeroizing<String>, String> {
        if let Some(known) = self.passphrase.get() {
            return Ok(known);
        }
        let taken = match &self.args.passphrase_file {
            Some(path) => {
                let text = private(path).map_err(|error| error.to_string())?;
                Zeroizing::new(text.strip_suffix('\n').unwrap_or(&text).to_owned())
            }
            None => {
                rpassword::prompt_password("Passphrase of the root key: ").map(Zeroizing::new).map_err(|error| {
                    format!("there is no terminal to ask for the passphrase ({error}); give --passphrase-file")
                })?
            }
        };
        Ok(self.passphrase.get_or_init(|| taken))
    }
}

/// The file of a root key that the bundle names; the first one was made with the site, before there were others.
fn kept(here: &Here, bundle: &TrustBundle) -> PathBuf {
    let offline = here.layout.offline();
    let named = bundle.root.ids().into_iter().map(|id| offline.join(format!("root-{}.key.pem", short(&id))));
    named.into_iter().find(|path| path.exists()).unwrap_or_else(|| offline.join(ROOT_KEY_FILE))
}
