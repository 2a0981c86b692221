//! The machine's TPM 2.0: its identity, and the device's key inside it.
//!
//! The codec is small and our own, so that the agent builds without a system library: thirteen commands, each with
//! its parameters and nothing else. Keys are made from the templates that the site's verifier knows.

pub mod command;
mod key;
mod transport;

pub use key::{KeptKey, TpmKey};

use command::{Commands, ENDORSEMENT, Handle, OWNER};
use muster_model::id::Hash;
use muster_trust::attestation::{
    AttestationError,
    public::{hardware_id, template},
};
use std::io;
use zeroize::Zeroizing;

/// NV index of the certificate of the RSA endorsement key, and of the one on P-256.
const RSA_CERTIFICATE: u32 = 0x01c0_0002;
const P256_CERTIFICATE: u32 = 0x01c0_000a;

/// Why the TPM did not do what it should.
#[derive(Debug, thiserror::Error)]
pub enum TpmError {
    /// It cannot be reached.
    #[error("the TPM cannot be reached: {0}")]
    Io(#[from] io::Error),
    /// It refused a command.
    #[error("the TPM refused command {command:#06x} with code {code:#06x}")]
    Refused {
        /// Which command.
        command: u32,
        /// Its reason, as the standard numbers them.
        code: u32,
    },
    /// Its response is none.
    #[error("the TPM's response is not what it should be")]
    Malformed,
    /// The key that was kept is not this TPM's.
    #[error("the device's key is another TPM's: {0}; enrol again with a new token")]
    Foreign(Box<TpmError>),
}

impl From<AttestationError> for TpmError {
    fn from(_: AttestationError) -> Self {
        Self::Malformed
    }
}

/// What a TPM shows of itself.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Endorsement {
    /// The vendor's certificate, DER, where the TPM holds one.
    pub certificate: Option<Vec<u8>>,
    /// The endorsement key, `TPMT_PUBLIC`.
    pub endorsement_key: Vec<u8>,
    /// The attestation key, `TPMT_PUBLIC`.
    pub attestation_key: Vec<u8>,
}

/// What a TPM says of the device's key, when it was asked by a challenge.
#[derive(Debug)]
pub struct Evidence {
    /// The challenge's secret.
    pub credential: Zeroizing<Vec<u8>>,
    /// `TPMS_ATTEST`.
    pub statement: Vec<u8>,
    /// `TPMT_SIGNATURE`.
    pub signature: Vec<u8>,
}

/// A TPM that was opened.
#[derive(Debug)]
pub(crate) struct Tpm {
    commands: Commands,
}

impl Tpm {
    pub(crate) fn open(place: &str) -> Result<Self, TpmError> {
        Ok(Self { commands: Commands::open(place)? })
    }

    /// Runs `work` with an object that is gone afterwards.
    fn with<T>(
        &mut self,
        hierarchy: Handle,
        template: &[u8],
        work: impl FnOnce(&mut Commands, Handle, Vec<u8>) -> Result<T, TpmError>,
    ) -> Result<T, TpmError> {
        let (handle, public) = self.commands.create_primary(hierarchy, template)?;
        let done = work(&mut self.commands, handle, public);
        self.commands.flush(handle)?;
        done
    }

    /// The endorsement key's template and certificate: RSA where there is a certificate for it or none at all.
    fn endorsement_template(&mut self) -> Result<(Vec<u8>, Option<Vec<u8>>), TpmError> {
        if let Some(certificate) = self.commands.nv_read(RSA_CERTIFICATE)? {
            return Ok((template::endorsement_rsa(), Some(certificate)));
        }
        Ok(match self.commands.nv_read(P256_CERTIFICATE)? {
            Some(certificate) => (template::endorsement_p256(), Some(certificate)),
            None => (template::endorsement_rsa(), None),
        })
    }

    fn endorsement(&mut self) -> Result<Endorsement, TpmError> {
        let (endorsement, certificate) = self.endorsement_template()?;
        let endorsement_key = self.with(ENDORSEMENT, &endorsement, |_, _, public| Ok(public))?;
        let attestation_key = self.with(ENDORSEMENT, &template::attestation(), |_, _, public| Ok(public))?;
        let certificate = certificate.map(|certificate| whole_der(&certificate).to_vec());
        Ok(Endorsement { certificate, endorsement_key, attestation_key })
    }

    /// Solves a challenge, and has `key` certified for `nonce`. One object is in the TPM at a time, beside the two that it needs.
    fn evidence(&mut self, key: Handle, blob: &[u8], seed: &[u8], nonce: &Hash) -> Result<Evidence, TpmError> {
        let (endorsement, _) = self.endorsement_template()?;
        let (attestation, _) = self.commands.create_primary(ENDORSEMENT, &template::attestation())?;
        let done = self.with(ENDORSEMENT, &endorsement, |commands, endorsement, _| {
            commands.activate_credential(attestation, endorsement, blob, seed)
        });
        let done = done.and_then(|credential| {
            let (statement, signature) = self.commands.certify(key, attestation, &nonce.0)?;
            Ok(Evidence { credential: Zeroizing::new(credential), statement, signature })
        });
        self.commands.flush(attestation)?;
        done
    }
}

/// A certificate without what some TPMs have after it in their memory.
fn whole_der(bytes: &[u8]) -> &[u8] {
    let length = match bytes {
        [0x30, 0x82, high, low, ..] => 4 + usize::from(*high) * 256 + usize::from(*low),
        [0x30, 0x81, length, ..] => 3 + usize::from(*length),
        _ => bytes.len(),
    };
    bytes.get(..length).unwrap_or(bytes)
}

/// The hardware identity of an endorsement key.
#[must_use]
pub fn hardware(endorsement: &Endorsement) -> Option<Hash> {
    hardware_id(&endorsement.endorsement_key).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_lies_behind_a_certificate_is_left_out() {
        assert_eq!(whole_der(&[0x30, 0x82, 0, 2, 1, 2, 0xff, 0xff]), [0x30, 0x82, 0, 2, 1, 2]);
        assert_eq!(whole_der(&[0x30, 0x81, 1, 9, 0]), [0x30, 0x81, 1, 9]);
        for odd in [&[][..], &[0x30], &[0x30, 0x82, 0xff, 0xff, 1]] {
            assert_eq!(whole_der(odd), odd);
        }
    }
}
