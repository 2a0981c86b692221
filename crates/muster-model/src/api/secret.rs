//! Sealed secrets, as administrators see them: for whom, never what.

use crate::{
    api::KeyProtection,
    application::FileName,
    id::{ApplicationId, DeviceId, Hash},
    time::UnixMillis,
};
use serde::{Deserialize, Serialize};

/// Sealed secrets that one request may carry.
pub const SECRETS_ADDED: usize = 1_000;

api! {
    /// A secret of an application, over all devices.
    struct SecretInfo {
        /// The application.
        application: ApplicationId,
        /// Its name; empty where the site does not have the application any more.
        application_name: String,
        /// The name of the secret.
        name: FileName,
        /// How many devices have it.
        devices: u64,
        /// When the newest of them was sealed.
        sealed: UnixMillis,
    }
}
api! {
    /// A device for which a secret can be sealed, or could be when it has told its sealing key.
    struct SecretRecipient {
        /// The device.
        device: DeviceId,
        /// Its name.
        name: String,
        /// The device's key: `SubjectPublicKeyInfo`, base64. Whoever seals keeps its id, and seals for no other later.
        key: String,
        /// How the device's key is kept.
        protection: KeyProtection,
        /// Its sealing key, signed by its key: COSE_Sign1, base64. None: the device has not told one yet.
        #[serde(default)] sealing_key: Option<String>,
    }
}
api! {
    /// `POST /api/v1/secrets`: one secret, sealed for up to 1,000 devices.
    struct SecretAdd {
        /// COSE_Sign by authors, base64; one for each device, all of one application and name.
        secrets: Vec<String>,
    }
}
api! {
    /// What became of them.
    struct SecretAdded {
        /// How many devices get it.
        added: u64,
        /// Devices that have another sealing key by now: seal for them again.
        again: Vec<DeviceId>,
        /// SHA-256 of each envelope that was taken.
        hashes: Vec<Hash>,
    }
}
