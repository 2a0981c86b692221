//! The profile directory: the profile, its key, and the session that is kept between commands.

use crate::{
    CliError, Client, ClientError, files,
    key::{self, Passphrase},
};
use muster_model::{
    api::Session,
    id::Hash,
    problem::Code,
    profile::{PROFILE_FILE, Profile, SESSION_FILE},
    time::{MINUTE, UnixMillis},
};
use muster_trust::PrivateKey;
use serde::{Deserialize, Serialize};
use std::path::{Path, PathBuf};

/// A profile and the directory that it is in.
#[derive(Debug, Clone)]
pub struct ProfileDir {
    /// The directory.
    pub dir: PathBuf,
    /// Its profile.
    pub profile: Profile,
    /// A passphrase file from the environment, before the profile's own.
    pub passphrase_file: Option<PathBuf>,
}

/// The kept session. Bound to the site's address and root, so that it is never sent anywhere else.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Kept {
    address: String,
    root: Hash,
    token: String,
    expires: UnixMillis,
}

/// Where the profile is without `--profile-dir`: `$XDG_CONFIG_HOME/muster`, else `~/.config/muster`.
#[must_use]
pub fn default_dir() -> Option<PathBuf> {
    let base = std::env::var_os("XDG_CONFIG_HOME").map(PathBuf::from).filter(|p| p.is_absolute());
    let home =
        || std::env::var_os("HOME").or_else(|| std::env::var_os("APPDATA")).map(|h| PathBuf::from(h).join(".config"));
    base.or_else(home).map(|base| base.join("muster"))
}

impl ProfileDir {
    /// Reads the profile of a directory.
    ///
    /// # Errors
    /// [`CliError::NotSignedIn`] when there is none.
    pub fn read(dir: &Path, passphrase_file: Option<PathBuf>) -> Result<Self, CliError> {
        let path = dir.join(PROFILE_FILE);
        if !path.exists() {
            return Err(CliError::NotSignedIn(format!("there is no profile in {}", dir.display())));
        }
        let profile: Profile =
            toml::from_str(&files::read_text(&path)?).map_err(|e| CliError::file(&path, e.message()))?;
        profile.check().map_err(|e| CliError::file(&path, e))?;
        Ok(Self { dir: dir.to_owned(), profile, passphrase_file })
    }

    /// Writes the profile.
    ///
    /// # Errors
    /// [`CliError::File`]; with `keep`, also when there is one already.
    pub fn write(&self, keep: bool) -> Result<PathBuf, CliError> {
        self.profile.check().map_err(|e| CliError::Usage(e.to_string()))?;
        std::fs::create_dir_all(&self.dir).map_err(|e| CliError::file(&self.dir, e))?;
        let path = self.dir.join(PROFILE_FILE);
        let text = toml::to_string(&self.profile).map_err(|e| CliError::file(&path, e))?;
        files::write_private(&path, text.as_bytes(), keep)?;
        Ok(path)
    }

    /// The administrator's key.
    ///
    /// # Errors
    /// See [`key::open`].
    pub fn key(&self) -> Result<PrivateKey, CliError> {
        self.open(&self.dir.join(&self.profile.key))
    }

    /// The key that signs applications.
    ///
    /// # Errors
    /// See [`key::open`].
    pub fn author_key(&self) -> Result<PrivateKey, CliError> {
        self.open(&self.dir.join(self.profile.author_key.as_ref().unwrap_or(&self.profile.key)))
    }

    /// Opens a key with this profile's passphrase.
    ///
    /// # Errors
    /// See [`key::open`].
    pub fn open(&self, path: &Path) -> Result<PrivateKey, CliError> {
        let own = self.profile.passphrase_file.as_ref().map(|file| self.dir.join(file));
        let file = self.passphrase_file.clone().or(own);
        key::open(path, file.as_deref().map_or(Passphrase::Prompt, Passphrase::File))
    }

    /// A client that is signed in: with the kept session while the site takes it, else with the key.
    ///
    /// # Errors
    /// See [`ClientError`] and [`key::open`].
    pub async fn client(&self, now: UnixMillis) -> Result<Client, CliError> {
        let client = Client::new(&self.profile)?;
        if let Some(token) = self.kept(now) {
            let client = client.clone().with_token(&token);
            match client.session_show().await {
                Ok(_) => return Ok(client),
                Err(ClientError::Refused(problem)) if problem.code == Code::Unauthenticated => {}
                Err(error) => return Err(error.into()),
            }
        }
        let session = self.login(&client).await?;
        Ok(client.with_token(&session.token))
    }

    /// Signs in with the key and keeps the session.
    ///
    /// # Errors
    /// See [`ClientError`] and [`key::open`].
    pub async fn login(&self, client: &Client) -> Result<Session, CliError> {
        let session = client.sign_in(&self.key()?).await?;
        let kept = Kept {
            address: self.profile.address.clone(),
            root: self.profile.root,
            token: session.token.clone(),
            expires: session.expires,
        };
        let path = self.dir.join(SESSION_FILE);
        let json = serde_json::to_vec(&kept).map_err(|e| CliError::file(&path, e))?;
        files::write_private(&path, &json, false)?;
        Ok(session)
    }

    /// The token that is kept, if it is for this very site and not about to end.
    #[must_use]
    pub fn kept(&self, now: UnixMillis) -> Option<String> {
        let path = self.dir.join(SESSION_FILE);
        files::check_private(&path).ok()?;
        let kept: Kept = serde_json::from_slice(&files::read_small(&path).ok()?).ok()?;
        let usable =
            kept.address == self.profile.address && kept.root == self.profile.root && kept.expires.since(now) > MINUTE;
        usable.then_some(kept.token)
    }

    /// Forgets the kept session.
    pub fn forget(&self) {
        let _ = std::fs::remove_file(self.dir.join(SESSION_FILE));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn profile(dir: &Path) -> ProfileDir {
        let profile = Profile {
            site: "ABC".parse().unwrap(),
            address: "http://127.0.0.1:9".to_owned(),
            root: Hash([7; 32]),
            key: "admin.key.pem".to_owned(),
            author_key: None,
            passphrase_file: Some("admin.passphrase".to_owned()),
        };
        ProfileDir { dir: dir.to_owned(), profile, passphrase_file: None }
    }

    #[test]
    fn a_profile_is_read_as_it_was_written() {
        let dir = tempfile::tempdir().unwrap();
        let written = profile(&dir.path().join("deep/profile"));
        written.write(true).unwrap();
        assert_eq!(ProfileDir::read(&written.dir, None).unwrap().profile, written.profile);
        assert!(written.write(true).is_err());
        assert_eq!(ProfileDir::read(dir.path(), None).unwrap_err().exit_code(), 4);
    }

    #[test]
    fn a_kept_session_goes_only_where_it_came_from() {
        let dir = tempfile::tempdir().unwrap();
        let mut profile = profile(dir.path());
        let kept = Kept {
            address: profile.profile.address.clone(),
            root: profile.profile.root,
            token: "t".to_owned(),
            expires: UnixMillis(10 * MINUTE),
        };
        let bytes = serde_json::to_vec(&kept).unwrap();
        files::write_private(&dir.path().join(SESSION_FILE), &bytes, false).unwrap();
        assert_eq!(profile.kept(UnixMillis(0)).as_deref(), Some("t"));
        assert_eq!(profile.kept(UnixMillis(9 * MINUTE)), None);
        profile.profile.address = "http://127.0.0.1:10".to_owned();
        assert_eq!(profile.kept(UnixMillis(0)), None);
    }
}
