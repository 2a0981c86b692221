//! What the machine's administrator wrote about a target: where messages go, and with what they are signed. Whoever administers the site by
//! API or console names a target, and can neither make one nor read its secrets.

use crate::directory::file_bytes;
use muster_model::{
    api::{StatusTarget, TargetKind},
    id::Name,
    limits::TARGETS,
};
use serde::Deserialize;
use std::{
    fs,
    os::unix::fs::{MetadataExt, PermissionsExt},
    path::{Path, PathBuf},
};
use tokio_rustls::rustls::pki_types::{CertificateDer, pem::PemObject};
use zeroize::Zeroizing;

/// Bytes of the file itself, of the authorities, and of a secret.
const FILE_BYTES: u64 = 16 << 10;
const AUTHORITIES_BYTES: u64 = 1 << 20;
const SECRET_BYTES: u64 = 1 << 10;
/// A secret that is shorter is guessed.
const SECRET_LEAST: usize = 16;
/// Who gets a mail, arguments of a program, and seconds that it may run.
const RECIPIENTS: usize = 20;
const ARGUMENTS: usize = 50;
const LONGEST_RUN: u64 = 60;

/// `<name>.toml` in the directory of targets.
#[derive(Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case", deny_unknown_fields)]
pub(super) enum TargetFile {
    /// A message is posted there.
    Webhook {
        /// `https://...`.
        url: String,
        /// File with the certificates (PEM) of the authorities that vouch for the server.
        authorities: PathBuf,
        /// File with the secret that both sides know.
        secret_file: PathBuf,
    },
    /// A message is mailed.
    Mail {
        /// `smtps://host[:port]`, or `smtp://host[:port]`, which is TLS as well: nothing is said before it has started.
        server: String,
        /// File with the certificates (PEM) of the authorities that vouch for the server.
        authorities: PathBuf,
        /// Who sends.
        from: String,
        /// Who gets it.
        to: Vec<String>,
        /// Who signs in there; nobody, where the server takes mail from this machine.
        user: Option<String>,
        /// File with the password.
        password_file: Option<PathBuf>,
    },
    /// A program is run.
    Program {
        /// The file.
        program: PathBuf,
        /// Its arguments. Nothing of a message ever becomes one.
        #[serde(default)]
        arguments: Vec<String>,
        /// How long it may run.
        #[serde(default = "thirty")]
        seconds: u64,
    },
}

const fn thirty() -> u64 {
    30
}

impl TargetFile {
    /// Reads the file about a target. The name has the grammar of names, and is looked at once more: it must lead nowhere else.
    pub(super) fn read(dir: &Path, name: &Name) -> Result<Self, String> {
        if !is_file_name(name.as_str()) {
            return Err("no file can name it".to_owned());
        }
        let text = file_bytes(&dir.join(format!("{name}.toml")), FILE_BYTES, false)?;
        let text = std::str::from_utf8(&text).map_err(|_| format!("{name}.toml is no text"))?;
        let file: Self = toml::from_str(text).map_err(|error| format!("{name}.toml: {}", error.message()))?;
        match &file {
            Self::Webhook { url, .. } if !url.starts_with("https://") => Err("url is not https://...".to_owned()),
            Self::Mail { to, .. } if to.is_empty() || to.len() > RECIPIENTS => {
                Err(format!("to names 1 to {RECIPIENTS} addresses"))
            }
            Self::Mail { user, password_file, .. } if user.is_some() != password_file.is_some() => {
                Err("user and password_file go together".to_owned())
            }
            Self::Program { arguments, .. } if arguments.len() > ARGUMENTS => {
                Err(format!("a program has at most {ARGUMENTS} arguments"))
            }
            Self::Program { seconds, .. } if !(1..=LONGEST_RUN).contains(seconds) => {
                Err(format!("a program runs for 1 to {LONGEST_RUN} seconds"))
            }
            Self::Program { program, .. } => executable(program).map(|()| file),
            _ => Ok(file),
        }
    }

    pub(super) const fn kind(&self) -> TargetKind {
        match self {
            Self::Webhook { .. } => TargetKind::Webhook,
            Self::Mail { .. } => TargetKind::Mail,
            Self::Program { .. } => TargetKind::Program,
        }
    }
}

fn is_file_name(name: &str) -> bool {
    let is_plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-_".contains(&byte);
    !name.is_empty() && name.len() <= 64 && name.bytes().all(is_plain)
}

/// Refuses a program that others could replace.
fn executable(program: &Path) -> Result<(), String> {
    let failed = |what: &dyn std::fmt::Display| format!("{}: {what}", program.display());
    if !program.is_absolute() {
        return Err(failed(&"is no whole path"));
    }
    let status = fs::metadata(program).map_err(|error| failed(&error))?;
    if !status.is_file() || status.permissions().mode() & 0o111 == 0 {
        return Err(failed(&"is no program"));
    }
    let own = rustix::process::geteuid().as_raw();
    if status.permissions().mode() & 0o022 != 0 || (status.uid() != 0 && status.uid() != own) {
        return Err(failed(&"others can write it"));
    }
    Ok(())
}

/// Certificates (DER) of those who vouch for a server.
pub(super) fn authorities(dir: &Path, file: &Path) -> Result<Vec<Vec<u8>>, String> {
    let path = dir.join(file);
    let pem = file_bytes(&path, AUTHORITIES_BYTES, false)?;
    let all: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(&pem).map(|c| c.map(|c| c.to_vec())).collect();
    match all {
        Ok(all) if !all.is_empty() => Ok(all),
        _ => Err(format!("{}: there is no certificate in it", path.display())),
    }
}

/// A secret, which nobody but the server's user may read.
pub(super) fn secret(dir: &Path, file: &Path, least: usize) -> Result<Zeroizing<Vec<u8>>, String> {
    let path = dir.join(file);
    let mut secret = file_bytes(&path, SECRET_BYTES, true)?;
    while secret.last().is_some_and(|byte| matches!(byte, b'\n' | b'\r')) {
        secret.pop();
    }
    match secret.len() >= least {
        true => Ok(secret),
        false => Err(format!("{}: has fewer than {least} bytes", path.display())),
    }
}

/// The secret of a webhook.
pub(super) fn webhook_secret(dir: &Path, file: &Path) -> Result<Zeroizing<Vec<u8>>, String> {
    secret(dir, file, SECRET_LEAST)
}

/// Every target that a file names, with what is wrong with it.
pub(super) fn all(dir: &Path) -> Vec<StatusTarget> {
    let Ok(files) = fs::read_dir(dir) else { return Vec::new() };
    let mut names: Vec<Name> = files
        .flatten()
        .filter_map(|file| file.file_name().to_str()?.strip_suffix(".toml")?.parse().ok())
        .filter(|name: &Name| is_file_name(name.as_str()))
        .collect();
    names.sort_by(|a, b| a.as_str().cmp(b.as_str()));
    names.truncate(TARGETS);
    let target = |name: Name| match TargetFile::read(dir, &name) {
        Ok(file) => StatusTarget { name, kind: Some(file.kind()), problem: None },
        Err(problem) => StatusTarget { name, kind: None, problem: Some(problem) },
    };
    names.into_iter().map(target).collect()
}
