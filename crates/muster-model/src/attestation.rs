//! Hardware identity on the wire: what a client with a TPM 2.0 offers, what the site asks of it, and its proof.

use crate::id::Hash;
use serde::{Deserialize, Serialize};
use std::fmt;

/// `POST /enrol/v1/attestations`: a client offers its TPM before it asks to be enrolled, over the same connection.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct AttestationOffer {
    /// The enrolment token's secret.
    pub secret: String,
    /// The endorsement key's certificate: DER, base64. Absent where the TPM has none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub endorsement_certificate: Option<String>,
    /// The endorsement key: `TPMT_PUBLIC`, base64.
    pub endorsement_key: String,
    /// The attestation key: `TPMT_PUBLIC`, base64.
    pub attestation_key: String,
}

impl fmt::Debug for AttestationOffer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("AttestationOffer").finish_non_exhaustive()
    }
}

/// The site's answer to an offer. It is good for one request to enrol over the same connection.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct AttestationChallenge {
    /// The site's part of the nonce that the TPM signs.
    pub nonce: Hash,
    /// Content of `TPM2B_ID_OBJECT`, base64.
    pub credential: String,
    /// Content of `TPM2B_ENCRYPTED_SECRET`, base64.
    pub seed: String,
}

/// In the request to enrol: proof that the device's key lives in the TPM that was offered.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct AttestationProof {
    /// What the TPM took out of the challenge's credential: 32 bytes, base64.
    pub credential: String,
    /// The device's key: `TPMT_PUBLIC`, base64.
    pub device_key: String,
    /// What the TPM says of it: `TPMS_ATTEST` of `TPM2_Certify`, base64.
    pub statement: String,
    /// The attestation key's signature over the statement: `TPMT_SIGNATURE`, base64.
    pub signature: String,
}

impl fmt::Debug for AttestationProof {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("AttestationProof").finish_non_exhaustive()
    }
}
