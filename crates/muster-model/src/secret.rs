//! Secrets of applications: sealed by an author for one device each, so that the site carries what it can never read.

use crate::{
    application::FileName,
    id::{ApplicationId, DeviceId, Hash, SiteCode},
    time::UnixMillis,
};
use serde::{Deserialize, Serialize};

/// Content type of a device's sealing key, a `COSE_Sign1` by the device's key.
pub const SEALING_KEY_TYPE: &str = "application/vnd.muster.sealing-key+json";
/// Content type of a sealed secret, a `COSE_Sign` by author keys.
pub const SEALED_SECRET_TYPE: &str = "application/vnd.muster.sealed-secret+json";
/// Bytes of a secret in the clear: a private key with its chain fits, a document does not.
pub const SECRET_BYTES: usize = 16 << 10;
/// Secrets that one application may want.
pub const SECRETS_OF_APPLICATION: usize = 16;

/// The key to which secrets for a device are sealed now. The device makes a new one when this one was used.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SealingKey {
    /// The site.
    pub site: SiteCode,
    /// The device.
    pub device: DeviceId,
    /// A P-256 key, `SubjectPublicKeyInfo` in DER, base64.
    pub key: String,
    /// When the device made it; a later one replaces an earlier one.
    pub made: UnixMillis,
}

impl crate::Signed for SealingKey {
    const TYPE: &'static str = SEALING_KEY_TYPE;
}

/// Which secret for which device: what the ciphertext is bound to.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SecretBinding {
    /// The site.
    pub site: SiteCode,
    /// The device, and no other.
    pub device: DeviceId,
    /// The application that gets it, in all its versions.
    pub application: ApplicationId,
    /// Its name within the application.
    pub name: FileName,
    /// When it was sealed; a device never takes an earlier one after a later one.
    pub version: UnixMillis,
}

impl SecretBinding {
    /// The associated data of the encryption: the five values, one a line. None of them can hold a line end.
    #[must_use]
    pub fn associated_data(&self) -> String {
        format!("{}\n{}\n{}\n{}\n{}", self.site, self.device, self.application, self.name.as_str(), self.version.0)
    }
}

/// A secret as it travels: HPKE (RFC 9180, base mode, DHKEM(P-256, HKDF-SHA256), HKDF-SHA256, AES-256-GCM).
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SealedSecret {
    /// Which secret for which device.
    pub binding: SecretBinding,
    /// Id of the sealing key: SHA-256 of its `SubjectPublicKeyInfo`.
    pub key: Hash,
    /// The encapsulated key, 65 bytes, base64.
    pub encapsulated: String,
    /// The ciphertext with its tag, base64.
    pub ciphertext: String,
}

impl crate::Signed for SealedSecret {
    const TYPE: &'static str = SEALED_SECRET_TYPE;
}
