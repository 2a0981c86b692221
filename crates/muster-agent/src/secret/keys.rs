//! Sealing keys on the disk: a file each, written once, overwritten before it goes.

use crate::os::PrivateDirectory;
use base64::{Engine, engine::general_purpose::STANDARD as BASE64};
use muster_model::{
    id::{DeviceId, Hash},
    time::UnixMillis,
};
use muster_trust::secret::{SealingPrivateKey, SecretError};
use serde::{Deserialize, Serialize};
use std::io;
use zeroize::{Zeroize, ZeroizeOnDrop, Zeroizing};

/// Bytes of a key's file; far over what it has.
const FILE_BYTES: usize = 4 << 10;
/// What the names of the files end in: the key, and since when the site knows it.
const KEY: &str = ".key";
const TOLD: &str = ".told";

/// A sealing key of this device.
#[derive(Debug)]
pub struct SealingKey {
    /// The key.
    pub key: SealingPrivateKey,
    /// When it was made.
    pub made: UnixMillis,
    /// When the site took it last, for the device that this is. `None`: it is not told yet.
    pub told: Option<UnixMillis>,
}

impl SealingKey {
    /// SHA-256 of its public half.
    #[must_use]
    pub fn id(&self) -> Hash {
        self.key.public().id()
    }
}

#[derive(Serialize, Deserialize, Zeroize, ZeroizeOnDrop)]
#[serde(deny_unknown_fields)]
struct Kept {
    #[zeroize(skip)]
    made: UnixMillis,
    /// The scalar and the point, base64.
    key: String,
}

/// For whom and when a key was told.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Told {
    device: DeviceId,
    at: UnixMillis,
}

/// All of them, the earliest first; `device` is who this is now.
///
/// # Errors
/// When the directory cannot be read. A file that is damaged is passed over: what was sealed to it must be sealed again.
pub fn all(directory: &PrivateDirectory, device: DeviceId) -> io::Result<Vec<SealingKey>> {
    let mut keys = Vec::new();
    for name in directory.names()? {
        let Some(id) = name.strip_suffix(KEY) else { continue };
        match read(directory, &name) {
            Some((key, made)) if key.public().id().to_string() == id => {
                let told = directory.read(&format!("{id}{TOLD}"), FILE_BYTES).ok().flatten();
                let told = told.and_then(|bytes| serde_json::from_slice::<Told>(&bytes).ok());
                let told = told.filter(|told| told.device == device).map(|told| told.at);
                keys.push(SealingKey { key, made, told });
            }
            _ => tracing::warn!(file = name, "a sealing key is damaged"),
        }
    }
    keys.sort_by_key(|key| (key.made, key.id()));
    Ok(keys)
}

fn read(directory: &PrivateDirectory, name: &str) -> Option<(SealingPrivateKey, UnixMillis)> {
    let bytes = Zeroizing::new(directory.read(name, FILE_BYTES).ok().flatten()?);
    let kept: Kept = serde_json::from_slice(&bytes).ok()?;
    let key = Zeroizing::new(BASE64.decode(kept.key.as_bytes()).ok()?);
    Some((SealingPrivateKey::from_kept(&key).ok()?, kept.made))
}

/// Makes one and keeps it.
///
/// # Errors
/// When the disk refuses, or there is no random source.
pub fn make(directory: &PrivateDirectory, made: UnixMillis) -> io::Result<SealingKey> {
    let key = SealingPrivateKey::generate().map_err(|error: SecretError| io::Error::other(error))?;
    let kept = Kept { made, key: BASE64.encode(key.kept()) };
    let bytes = Zeroizing::new(serde_json::to_vec(&kept)?);
    directory.write(&format!("{}{KEY}", key.public().id()), &bytes)?;
    Ok(SealingKey { key, made, told: None })
}

/// The site has taken it.
///
/// # Errors
/// When the disk refuses.
pub fn told(directory: &PrivateDirectory, key: &SealingKey, device: DeviceId, at: UnixMillis) -> io::Result<()> {
    directory.write(&format!("{}{TOLD}", key.id()), &serde_json::to_vec(&Told { device, at })?)
}

/// Nothing is sealed to it any more: what was, nobody opens again.
///
/// # Errors
/// When the disk refuses.
pub fn destroy(directory: &PrivateDirectory, key: &SealingKey) -> io::Result<()> {
    directory.destroy(&format!("{}{KEY}", key.id()))?;
    directory.remove(&format!("{}{TOLD}", key.id()))
}

/// All of them, of a client that is one no more.
///
/// # Errors
/// When the disk refuses.
pub fn destroy_all(state: &PrivateDirectory) -> io::Result<()> {
    let directory = state.directory("sealing").map_err(io::Error::other)?;
    for name in directory.names()? {
        directory.destroy(&name)?;
    }
    Ok(())
}
