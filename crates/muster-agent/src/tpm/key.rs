//! The device's key in the TPM: what of it is on the disk, and signing with it.

use super::{Endorsement, Evidence, OWNER, Tpm, TpmError, command::Created, command::Handle};
use base64::{Engine, engine::general_purpose::STANDARD as BASE64};
use muster_model::id::Hash;
use muster_trust::{
    PublicKey, Signer,
    attestation::{
        public::{device_public, template},
        read_signature,
    },
    key::KeyError,
    sha256,
};
use serde::{Deserialize, Serialize};
use std::sync::{Mutex, MutexGuard, PoisonError};

/// What is kept of a key: only the TPM that made it can use it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct KeptKey {
    /// The private half, encrypted by the TPM: base64.
    private: String,
    /// The public area: base64.
    public: String,
}

impl KeptKey {
    fn created(&self) -> Result<Created, TpmError> {
        let decode = |text: &str| BASE64.decode(text).map_err(|_| TpmError::Malformed);
        Ok(Created { private: decode(&self.private)?, public: decode(&self.public)? })
    }

    /// The public half.
    ///
    /// # Errors
    /// When the file is damaged.
    pub fn public(&self) -> Result<PublicKey, TpmError> {
        Ok(device_public(&self.created()?.public)?)
    }
}

/// The device's key, loaded in its TPM.
#[derive(Debug)]
pub struct TpmKey {
    public: PublicKey,
    area: Vec<u8>,
    place: String,
    /// The open TPM and the key's place in it; opened anew when a command failed.
    loaded: Mutex<Option<(Tpm, Handle)>>,
    kept: KeptKey,
}

impl TpmKey {
    /// Makes a new key in the TPM at `place`; what to keep of it before it is used.
    ///
    /// # Errors
    /// See [`TpmError`].
    pub fn create(place: &str) -> Result<KeptKey, TpmError> {
        let mut tpm = Tpm::open(place)?;
        let created = tpm
            .with(OWNER, &template::storage(), |commands, storage, _| commands.create(storage, &template::device()))?;
        Ok(KeptKey { private: BASE64.encode(created.private), public: BASE64.encode(created.public) })
    }

    /// Loads a kept key.
    ///
    /// # Errors
    /// See [`TpmError`].
    pub fn load(place: &str, kept: KeptKey) -> Result<Self, TpmError> {
        let (public, area) = (kept.public()?, kept.created()?.public);
        let loaded = load(place, &kept)?;
        Ok(Self { public, area, place: place.to_owned(), loaded: Mutex::new(Some(loaded)), kept })
    }

    fn lock(&self) -> MutexGuard<'_, Option<(Tpm, Handle)>> {
        self.loaded.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Runs `work` with the loaded key; once more from the beginning when the TPM was restarted meanwhile.
    fn run<T>(&self, work: impl Fn(&mut Tpm, Handle) -> Result<T, TpmError>) -> Result<T, TpmError> {
        let mut loaded = self.lock();
        if let Some((tpm, handle)) = loaded.as_mut() {
            match work(tpm, *handle) {
                Ok(done) => return Ok(done),
                Err(error) => tracing::info!(%error, "the TPM is opened again"),
            }
        }
        // The old connection goes first: a software TPM serves one at a time.
        *loaded = None;
        let (tpm, handle) = loaded.insert(load(&self.place, &self.kept)?);
        work(tpm, *handle)
    }

    /// What the TPM shows of itself.
    ///
    /// # Errors
    /// See [`TpmError`].
    pub fn endorsement(&self) -> Result<Endorsement, TpmError> {
        self.run(|tpm, _| tpm.endorsement())
    }

    /// Solves a challenge, and has the key certified for `nonce`.
    ///
    /// # Errors
    /// See [`TpmError`].
    pub fn evidence(&self, blob: &[u8], seed: &[u8], nonce: &Hash) -> Result<Evidence, TpmError> {
        self.run(|tpm, key| tpm.evidence(key, blob, seed, nonce))
    }

    /// The key's public area, `TPMT_PUBLIC`.
    #[must_use]
    pub fn area(&self) -> &[u8] {
        &self.area
    }

    fn signed(&self, digest: &[u8; 32]) -> Result<Vec<u8>, TpmError> {
        self.run(|tpm, key| {
            let signature = tpm.commands.sign(key, digest)?;
            Ok(read_signature(&signature)?.to_vec())
        })
    }
}

fn load(place: &str, kept: &KeptKey) -> Result<(Tpm, Handle), TpmError> {
    let created = kept.created()?;
    let mut tpm = Tpm::open(place)?;
    let handle = tpm
        .with(OWNER, &template::storage(), |commands, storage, _| commands.load(storage, &created))
        .map_err(|error| match error {
            TpmError::Refused { command: LOAD, .. } => TpmError::Foreign(Box::new(error)),
            other => other,
        })?;
    Ok((tpm, handle))
}

/// `TPM2_Load`.
const LOAD: u32 = 0x0157;

impl Signer for TpmKey {
    fn public(&self) -> &PublicKey {
        &self.public
    }

    fn sign(&self, message: &[u8]) -> Result<Vec<u8>, KeyError> {
        self.signed(&sha256(message).0).map_err(|error| {
            tracing::error!(%error, "the TPM did not sign");
            KeyError::Hardware
        })
    }
}
