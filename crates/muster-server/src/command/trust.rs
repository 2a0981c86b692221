//! `musterd trust renew`: the root key signs the successor of the trust bundle. The only work of the root key after `init`.

use super::{runtime, say};
use crate::{clock::System, config, layout::Layout, serve::private};
use muster_model::time::DAY;
use muster_site::{Ctx, Store, identity::new_site::ROOT_KEY_FILE, site::Sources};
use muster_trust::PrivateKey;
use std::{
    path::{Path, PathBuf},
    process::ExitCode,
};
use zeroize::Zeroizing;

/// What `musterd trust renew` is told.
#[derive(Debug, clap::Args)]
pub(super) struct RenewArgs {
    /// The site's directory.
    #[arg(long, env = "MUSTERD_DIR", default_value = "/var/lib/musterd", value_name = "DIR")]
    dir: PathBuf,
    /// The root key. Default: `offline/root.key.pem` in the site's directory.
    #[arg(long, value_name = "FILE")]
    root_key: Option<PathBuf>,
    /// File with the passphrase of the root key. Without it, you are asked.
    #[arg(long, value_name = "FILE")]
    passphrase_file: Option<PathBuf>,
}

/// Signs, stores, and says what to do next.
pub(super) fn renew(args: &RenewArgs) -> Result<ExitCode, String> {
    let config = config::load(&args.dir).map_err(|error| error.to_string())?;
    let layout = Layout::new(&args.dir);
    let key = root_key(&args.root_key.clone().unwrap_or_else(|| layout.offline().join(ROOT_KEY_FILE)), args)?;
    let url = layout.database(&config.site.database);
    let (version, expires) = runtime()?.block_on(async {
        let store = Store::open(&url).await.map_err(|error| error.to_string())?;
        let now = System.now();
        let renewed = muster_site::trust_renew(&Ctx::site(now), &store, config.site.code, &key).await;
        store.close().await;
        renewed.map(|(version, expires)| (version, expires.since(now) / DAY)).map_err(|error| error.to_string())
    })?;
    say(&format!("Trust bundle {version} is signed; clients believe it for {expires} days."));
    say("A running server hands it out from its next start on: restart it, then put the root key away again.");
    Ok(ExitCode::SUCCESS)
}

fn root_key(path: &Path, args: &RenewArgs) -> Result<PrivateKey, String> {
    let pem = private(path).map_err(|error| {
        format!("{error}\nIf you moved the root key away, as you should, name its place with --root-key.")
    })?;
    let passphrase = match &args.passphrase_file {
        Some(path) => {
            let text = private(path).map_err(|error| error.to_string())?;
            Zeroizing::new(text.strip_suffix('\n').unwrap_or(&text).to_owned())
        }
        None => rpassword::prompt_password("Passphrase of the root key: ").map(Zeroizing::new).map_err(|error| {
            format!("there is no terminal to ask for the passphrase ({error}); give --passphrase-file")
        })?,
    };
    PrivateKey::from_pem(&pem, Some(passphrase.as_bytes())).map_err(|error| format!("{}: {error}", path.display()))
}
