//! What a client with a TPM offers and proves: JSON as strangers send it, and the TPM's structures behind it.
#![no_main]

use libfuzzer_sys::fuzz_target;
use muster_model::attestation::{AttestationChallenge, AttestationOffer, AttestationProof};
use muster_trust::attestation::{Offer, public, read_signature};

fuzz_target!(|bytes: &[u8]| {
    let _ = serde_json::from_slice::<AttestationOffer>(bytes);
    let _ = serde_json::from_slice::<AttestationProof>(bytes);
    let _ = serde_json::from_slice::<AttestationChallenge>(bytes);
    let _ = public::hardware_id(bytes);
    let _ = public::device_public(bytes);
    let _ = read_signature(bytes);
    let (endorsement, attestation) = bytes.split_at(bytes.len() / 2);
    if let Ok(offer) = Offer::read(endorsement, attestation) {
        let _ = offer.challenge();
    }
});
