//! Opening and making an administrator's key. The passphrase comes from a prompt or a private file, never from an argument.

use crate::{CliError, files};
use muster_trust::{PrivateKey, key::KeyError};
use std::{io::IsTerminal, path::Path};
use zeroize::Zeroizing;

/// Characters of a passphrase that somebody chose, at least.
const LEAST: usize = 12;

/// Where a passphrase comes from.
#[derive(Debug, Clone, Copy)]
pub enum Passphrase<'a> {
    /// A file that only its owner reads: its content, without one final line feed.
    File(&'a Path),
    /// The person at the terminal.
    Prompt,
}

impl Passphrase<'_> {
    fn read(self, prompt: &str) -> Result<Zeroizing<String>, CliError> {
        match self {
            Self::File(path) => {
                files::check_private(path)?;
                let mut text = Zeroizing::new(files::read_text(path)?);
                if text.ends_with('\n') {
                    text.pop();
                }
                Ok(text)
            }
            Self::Prompt if std::io::stdin().is_terminal() => {
                rpassword::prompt_password(prompt).map(Zeroizing::new).map_err(CliError::Output)
            }
            Self::Prompt => Err(CliError::NotSignedIn(
                "the key needs its passphrase and there is nobody to ask; name a file with it in MUSTER_PASSPHRASE_FILE"
                    .to_owned(),
            )),
        }
    }
}

/// Opens a key file. A key that is not encrypted needs no passphrase, and is taken only from a private file.
///
/// # Errors
/// [`CliError::NotSignedIn`] for a wrong passphrase, [`CliError::File`] for a file that is no key.
pub fn open(path: &Path, passphrase: Passphrase<'_>) -> Result<PrivateKey, CliError> {
    let pem = Zeroizing::new(files::read_text(path)?);
    let opened = if pem.contains("BEGIN ENCRYPTED PRIVATE KEY") {
        let secret = passphrase.read(&format!("Passphrase of {}: ", path.display()))?;
        PrivateKey::from_pem(&pem, Some(secret.as_bytes()))
    } else {
        files::check_private(path)?;
        PrivateKey::from_pem(&pem, None)
    };
    opened.map_err(|error| match error {
        KeyError::WrongPassphrase => CliError::NotSignedIn(format!("{}: {error}", path.display())),
        other => CliError::file(path, other),
    })
}

/// Makes a key: `path` encrypted, `<path>.pub` for others.
///
/// # Errors
/// [`CliError::File`] when either file exists; [`CliError::Usage`] when the two passphrases differ.
pub fn create(path: &Path, passphrase: Passphrase<'_>) -> Result<PrivateKey, CliError> {
    if path.exists() {
        return Err(CliError::file(path, "exists; a key is never overwritten"));
    }
    let secret = passphrase.read("Passphrase for the new key: ")?;
    if matches!(passphrase, Passphrase::Prompt) && *passphrase.read("The same again: ")? != *secret {
        return Err(CliError::Usage("the two passphrases differ; nothing was made".to_owned()));
    }
    if secret.chars().count() < LEAST {
        return Err(CliError::Usage(format!("a passphrase has at least {LEAST} characters; nothing was made")));
    }
    let key = PrivateKey::generate().map_err(|e| CliError::file(path, e))?;
    let pem = key.to_encrypted_pem(secret.as_bytes()).map_err(|e| CliError::file(path, e))?;
    files::write_private(path, pem.as_bytes(), true)?;
    let mut public = path.as_os_str().to_owned();
    public.push(".pub");
    std::fs::write(&public, key.public().pem()).map_err(|e| CliError::file(&public, e))?;
    Ok(key)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_new_key_opens_with_its_passphrase_and_no_other() {
        let dir = tempfile::tempdir().unwrap();
        let (path, right, wrong) = (dir.path().join("k.pem"), dir.path().join("right"), dir.path().join("wrong"));
        files::write_private(&right, b"correct horse\n", true).unwrap();
        files::write_private(&wrong, b"battery staple\n", true).unwrap();
        let made = create(&path, Passphrase::File(&right)).unwrap();
        assert_eq!(open(&path, Passphrase::File(&right)).unwrap().public(), made.public());
        let error = open(&path, Passphrase::File(&wrong)).unwrap_err();
        assert_eq!(error.exit_code(), 4, "{error}");
        let error = create(&path, Passphrase::File(&right)).unwrap_err();
        assert_eq!(error.exit_code(), 6, "{error}");
        let public = std::fs::read_to_string(dir.path().join("k.pem.pub")).unwrap();
        assert_eq!(muster_trust::PublicKey::from_pem(&public).unwrap(), *made.public());
    }

    #[test]
    fn a_short_passphrase_makes_no_key() {
        let dir = tempfile::tempdir().unwrap();
        let short = dir.path().join("short");
        files::write_private(&short, b"12345678901", true).unwrap();
        assert_eq!(create(&dir.path().join("k.pem"), Passphrase::File(&short)).unwrap_err().exit_code(), 2);
        assert!(!dir.path().join("k.pem").exists());
    }
}
