//! Who this client is: its key, its site, its pin, its certificate; as kept on disk, and only ever changed whole.

use crate::{
    config::{AgentConfig, Use},
    enterprise::EnterpriseUse,
    os::{PrivateDirectory, volatile_sweep},
    secret,
    tpm::{KeptKey, TpmError, TpmKey},
};
use base64::{Engine, engine::general_purpose::STANDARD as BASE64};
use muster_model::{
    id::{DeviceId, EnrolmentId, Hash, SiteCode},
    limits::TRUST_CHAIN_BYTES,
};
use muster_trust::{PrivateKey, PublicKey, Signer, TrustChain, key::KeyError, server_status::StatusMemory};
use serde::{Deserialize, Serialize};
use std::{collections::BTreeMap, io, sync::Arc};

/// Files of the state directory.
const KEY: &str = "device.key";
const TPM_KEY: &str = "device-key.json";
const CONFIG: &str = "agent.json";
const IDENTITY: &str = "identity.json";
const BUNDLE: &str = "trust-bundle.cose";
const STATUSES: &str = "server-status.json";
/// Bytes of each of them but the trust bundles; far over what they have.
const FILE_BYTES: usize = 256 << 10;

/// What the client knows of its site, in the order in which it comes to know it.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Identity {
    /// The site.
    pub site: SiteCode,
    /// The pinned fingerprint of the trusted root key.
    pub root: Hash,
    /// Address of the enrolment door.
    pub enrol: String,
    /// The least version of the trust bundle that is taken: that of the token.
    #[serde(default)]
    pub trust_version: u64,
    /// How far enrolment is.
    pub stage: Stage,
    /// The certificates of the enterprise, where this client talks with one of them.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub enterprise: Option<EnterpriseUse>,
    /// Whether the site refused this client: with another token it asks with another key.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub refused: bool,
}

/// How far enrolment is.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "state", rename_all = "snake_case", deny_unknown_fields)]
pub enum Stage {
    /// Its site is known, by the pinned root; it has not asked yet.
    Assigned,
    /// Asked, perhaps, and no answer kept. The same request is sent again.
    Requesting {
        /// The token's secret.
        secret: String,
    },
    /// Waiting for an administrator.
    Pending {
        /// Which request.
        enrolment: EnrolmentId,
    },
    /// Managed.
    Active {
        /// The id that the site gave.
        device: DeviceId,
        /// Client certificate, then the issuing CA's: DER, base64.
        certificates: Vec<String>,
        /// Addresses of management points.
        management_points: Vec<String>,
    },
}

impl std::fmt::Debug for Identity {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Identity").field("site", &self.site).field("stage", &self.stage).finish_non_exhaustive()
    }
}

impl std::fmt::Debug for Stage {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Assigned => f.write_str("Assigned"),
            Self::Requesting { .. } => f.write_str("Requesting"),
            Self::Pending { enrolment } => write!(f, "Pending({enrolment})"),
            Self::Active { device, .. } => write!(f, "Active({device})"),
        }
    }
}

/// Why the identity on disk cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum IdentityError {
    /// The disk refused.
    #[error("{file} in the state directory cannot be read or written: {error}")]
    Io {
        /// Which file.
        file: &'static str,
        /// The system's reason.
        error: io::Error,
    },
    /// A file is damaged.
    #[error(
        "{0} in the state directory is damaged; restore it, or leave the site with `muster-agent trust reset` and enrol again with a new token"
    )]
    Damaged(&'static str),
    /// The system has no random source.
    #[error(transparent)]
    Key(#[from] KeyError),
    /// The TPM that holds the key, or should.
    #[error(transparent)]
    Tpm(#[from] TpmError),
    /// The configuration is not one.
    #[error("agent.json in the state directory is not a configuration: {0}")]
    Config(String),
    /// A TPM is demanded and there is none.
    #[error("agent.json demands a TPM, and there is none; give the machine one, or set \"tpm\" to \"auto\"")]
    NoTpm,
}

impl Identity {
    /// What is kept; `None`: this client was never told of a site.
    ///
    /// # Errors
    /// See [`IdentityError`].
    pub fn load(directory: &PrivateDirectory) -> Result<Option<Self>, IdentityError> {
        let Some(bytes) = read(directory, IDENTITY)? else { return Ok(None) };
        serde_json::from_slice(&bytes).map(Some).map_err(|_| IdentityError::Damaged(IDENTITY))
    }

    /// Keeps it: whole or not at all.
    ///
    /// # Errors
    /// [`IdentityError::Io`].
    pub fn store(&self, directory: &PrivateDirectory) -> Result<(), IdentityError> {
        let bytes = serde_json::to_vec_pretty(self).map_err(|_| IdentityError::Damaged(IDENTITY))?;
        directory.write(IDENTITY, &bytes).map_err(|error| IdentityError::Io { file: IDENTITY, error })
    }

    /// The client's certificates, DER; empty before it has any.
    ///
    /// # Errors
    /// [`IdentityError::Damaged`].
    pub fn certificates(&self) -> Result<Vec<Vec<u8>>, IdentityError> {
        match &self.stage {
            Stage::Active { certificates, .. } => decode_certificates(certificates),
            _ => Ok(Vec::new()),
        }
    }
}

/// Certificates as they stand in messages.
///
/// # Errors
/// [`IdentityError::Damaged`].
pub fn decode_certificates(certificates: &[String]) -> Result<Vec<Vec<u8>>, IdentityError> {
    certificates.iter().map(|c| BASE64.decode(c).map_err(|_| IdentityError::Damaged(IDENTITY))).collect()
}

fn read(directory: &PrivateDirectory, file: &'static str) -> Result<Option<Vec<u8>>, IdentityError> {
    directory.read(file, FILE_BYTES).map_err(|error| IdentityError::Io { file, error })
}

fn kept_key(directory: &PrivateDirectory) -> Result<Option<PrivateKey>, IdentityError> {
    let Some(bytes) = read(directory, KEY)? else { return Ok(None) };
    let bytes = zeroize::Zeroizing::new(bytes);
    let pem = std::str::from_utf8(&bytes).map_err(|_| IdentityError::Damaged(KEY))?;
    PrivateKey::from_pem(pem, None).map(Some).map_err(|_| IdentityError::Damaged(KEY))
}

/// The device's key: in a file, or in the machine's TPM.
#[derive(Debug, Clone)]
pub enum DeviceKey {
    /// Whoever has the file has the key.
    Software(Arc<PrivateKey>),
    /// It cannot leave the TPM.
    Tpm(Arc<TpmKey>),
}

impl DeviceKey {
    /// The key as whoever signs wants it.
    #[must_use]
    pub fn signer(&self) -> Arc<dyn Signer> {
        match self {
            Self::Software(key) => key.clone(),
            Self::Tpm(key) => key.clone(),
        }
    }

    /// Whether each signature is a command to hardware, which takes its time.
    #[must_use]
    pub fn is_in_tpm(&self) -> bool {
        matches!(self, Self::Tpm(_))
    }
}

impl Signer for DeviceKey {
    fn public(&self) -> &PublicKey {
        match self {
            Self::Software(key) => key.public(),
            Self::Tpm(key) => Signer::public(&**key),
        }
    }

    fn sign(&self, message: &[u8]) -> Result<Vec<u8>, KeyError> {
        match self {
            Self::Software(key) => key.sign(message),
            Self::Tpm(key) => Signer::sign(&**key, message),
        }
    }
}

/// The client's configuration, as the machine's administrator wrote it; the defaults where there is none.
///
/// # Errors
/// See [`IdentityError`].
pub fn config(directory: &PrivateDirectory) -> Result<AgentConfig, IdentityError> {
    let Some(bytes) = read(directory, CONFIG)? else { return Ok(AgentConfig::default()) };
    serde_json::from_slice(&bytes).map_err(|error| IdentityError::Config(error.to_string()))
}

fn kept_tpm_key(directory: &PrivateDirectory) -> Result<Option<KeptKey>, IdentityError> {
    let Some(bytes) = read(directory, TPM_KEY)? else { return Ok(None) };
    serde_json::from_slice(&bytes).map(Some).map_err(|_| IdentityError::Damaged(TPM_KEY))
}

/// The public half of the device's key, where there is one. The TPM is not asked.
///
/// # Errors
/// See [`IdentityError`].
pub fn public_key(directory: &PrivateDirectory) -> Result<Option<(PublicKey, &'static str)>, IdentityError> {
    if let Some(kept) = kept_tpm_key(directory)? {
        return Ok(Some((kept.public().map_err(|_| IdentityError::Damaged(TPM_KEY))?, "in the TPM")));
    }
    Ok(kept_key(directory)?.map(|key| (key.public().clone(), "in a file")))
}

/// The id of the device's key, where there is one. The TPM is not asked.
///
/// # Errors
/// See [`IdentityError`].
pub fn key_id(directory: &PrivateDirectory) -> Result<Option<Hash>, IdentityError> {
    Ok(public_key(directory)?.map(|(key, _)| key.id()))
}

/// The device's key; made and kept where there is none, in the TPM where there is one and the configuration does not forbid it.
///
/// # Errors
/// See [`IdentityError`].
pub fn device_key(directory: &PrivateDirectory) -> Result<DeviceKey, IdentityError> {
    let config = config(directory)?;
    if let Some(kept) = kept_tpm_key(directory)? {
        return Ok(DeviceKey::Tpm(Arc::new(TpmKey::load(&config.tpm_device, kept)?)));
    }
    if let Some(key) = kept_key(directory)? {
        return Ok(DeviceKey::Software(Arc::new(key)));
    }
    if config.has_tpm() {
        match new_tpm_key(directory, &config) {
            Ok(key) => return Ok(key),
            Err(IdentityError::Tpm(error)) if config.tpm == Use::Auto => {
                tracing::warn!(%error, "the TPM cannot be used; the device's key is kept in a file");
            }
            Err(error) => return Err(error),
        }
    } else if config.tpm == Use::Required {
        return Err(IdentityError::NoTpm);
    }
    let key = PrivateKey::generate()?;
    directory.write(KEY, key.to_pem().as_bytes()).map_err(|error| IdentityError::Io { file: KEY, error })?;
    Ok(DeviceKey::Software(Arc::new(key)))
}

fn new_tpm_key(directory: &PrivateDirectory, config: &AgentConfig) -> Result<DeviceKey, IdentityError> {
    let kept = TpmKey::create(&config.tpm_device)?;
    let bytes = serde_json::to_vec_pretty(&kept).map_err(|_| IdentityError::Damaged(TPM_KEY))?;
    directory.write(TPM_KEY, &bytes).map_err(|error| IdentityError::Io { file: TPM_KEY, error })?;
    Ok(DeviceKey::Tpm(Arc::new(TpmKey::load(&config.tpm_device, kept)?)))
}

/// Forgets everything about a site, for an enrolment with another: key, messages, policy and content too.
///
/// # Errors
/// [`IdentityError::Io`].
pub fn forget(directory: &PrivateDirectory) -> Result<(), IdentityError> {
    for file in [IDENTITY, BUNDLE, STATUSES, KEY, TPM_KEY, "agent.db", "agent.db-wal", "agent.db-shm"] {
        directory.remove(file).map_err(|error| IdentityError::Io { file, error })?;
    }
    // What was sealed for the site before is opened by nobody any more.
    let keys = |error| IdentityError::Io { file: "sealing", error };
    secret::keys::destroy_all(directory).map_err(keys)?;
    volatile_sweep(&directory.path().join("run"), |_| false).map_err(keys)?;
    for file in ["policy", "content", "run", "sealing"] {
        directory.remove_directory(file).map_err(|error| IdentityError::Io { file, error })?;
    }
    Ok(())
}

/// From the pin to the trust bundle in force, verified again. `None`: none was kept yet.
///
/// # Errors
/// Also when it does not verify under the pin.
pub fn load_trust(directory: &PrivateDirectory, identity: &Identity) -> Result<Option<TrustChain>, IdentityError> {
    let read = directory.read(BUNDLE, TRUST_CHAIN_BYTES).map_err(|error| IdentityError::Io { file: BUNDLE, error })?;
    let Some(bytes) = read else { return Ok(None) };
    let chain = TrustChain::kept(&bytes, &identity.root, identity.site);
    chain.map(Some).map_err(|_| IdentityError::Damaged(BUNDLE))
}

/// Keeps a chain that was verified: whole or not at all.
///
/// # Errors
/// [`IdentityError::Io`].
pub fn store_trust(directory: &PrivateDirectory, chain: &TrustChain) -> Result<(), IdentityError> {
    directory.write(BUNDLE, &chain.to_bytes()).map_err(|error| IdentityError::Io { file: BUNDLE, error })
}

/// The newest status of each server, signed by its CA; what is damaged counts as not there, because servers show it again.
#[must_use]
pub fn load_statuses(directory: &PrivateDirectory) -> StatusMemory {
    let kept: BTreeMap<String, String> = read(directory, STATUSES)
        .ok()
        .flatten()
        .and_then(|bytes| serde_json::from_slice(&bytes).ok())
        .unwrap_or_default();
    let entry = |(name, response): (String, String)| Some((name, BASE64.decode(response).ok()?));
    StatusMemory::restored(kept.into_iter().filter_map(entry))
}

/// Keeps the newest statuses, where there are new ones.
///
/// # Errors
/// [`IdentityError::Io`].
pub fn store_statuses(directory: &PrivateDirectory, memory: &StatusMemory) -> Result<(), IdentityError> {
    let Some(changed) = memory.changed() else { return Ok(()) };
    let kept: BTreeMap<String, String> =
        changed.into_iter().map(|(name, response)| (name, BASE64.encode(response))).collect();
    let bytes = serde_json::to_vec_pretty(&kept).map_err(|_| IdentityError::Damaged(STATUSES))?;
    directory.write(STATUSES, &bytes).map_err(|error| IdentityError::Io { file: STATUSES, error })
}
