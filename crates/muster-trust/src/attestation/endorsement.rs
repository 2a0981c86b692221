//! Certificates of endorsement keys: who says that a key is in a real TPM.

use super::AttestationError;
use muster_model::time::UnixMillis;
use rustls::pki_types::{CertificateDer, SignatureVerificationAlgorithm, UnixTime};
use std::time::Duration;
use webpki::aws_lc_rs as algorithm;
use x509_parser::{certificate::X509Certificate, prelude::FromDer};

/// `tcg-kp-EKCertificate`, 2.23.133.8.1.
const EK_CERTIFICATE: &[u8] = &[0x67, 0x81, 0x05, 0x08, 0x01];
/// What vendors sign with.
static ALGORITHMS: &[&dyn SignatureVerificationAlgorithm] = &[
    algorithm::ECDSA_P256_SHA256,
    algorithm::ECDSA_P256_SHA384,
    algorithm::ECDSA_P384_SHA256,
    algorithm::ECDSA_P384_SHA384,
    algorithm::RSA_PKCS1_2048_8192_SHA256,
    algorithm::RSA_PKCS1_2048_8192_SHA384,
    algorithm::RSA_PKCS1_2048_8192_SHA512,
];

/// Whether one of the pinned `roots` (DER; each is an anchor by itself, a vendor's intermediate too) vouches for the endorsement
/// key with this `SubjectPublicKeyInfo`, at `now`.
pub(super) fn verify(
    certificate: &[u8],
    spki: &[u8],
    roots: &[Vec<u8>],
    now: UnixMillis,
) -> Result<(), AttestationError> {
    let (_, parsed) = X509Certificate::from_der(certificate).map_err(|_| AttestationError::Malformed)?;
    // Some vendors name the padding in the key's algorithm; the key itself is compared, in both spellings.
    if key_bytes(parsed.public_key().raw) != key_bytes(spki) {
        return Err(AttestationError::EndorsementMismatch);
    }
    let unknown = |_| AttestationError::EndorsementUnknown;
    let roots: Vec<CertificateDer<'_>> = roots.iter().map(|root| CertificateDer::from(root.as_slice())).collect();
    let anchors: Vec<_> = roots.iter().filter_map(|root| webpki::anchor_from_trusted_cert(root).ok()).collect();
    let leaf = CertificateDer::from(certificate);
    let leaf = webpki::EndEntityCert::try_from(&leaf).map_err(unknown)?;
    let seconds = u64::try_from(now.0.div_euclid(1_000)).map_err(|_| AttestationError::EndorsementUnknown)?;
    let at = UnixTime::since_unix_epoch(Duration::from_secs(seconds));
    // A vendor's CA may issue other certificates too, to keys that are in no TPM; this one says what it is.
    let decrypts = parsed.key_usage().ok().flatten().is_some_and(|usage| {
        let usage = usage.value;
        usage.key_encipherment() || usage.key_agreement()
    });
    if !decrypts {
        return Err(AttestationError::EndorsementUnknown);
    }
    let usage = webpki::KeyUsage::required(EK_CERTIFICATE);
    leaf.verify_for_usage(ALGORITHMS, &anchors, &[], at, usage, None, None).map(drop).map_err(unknown)
}

/// The key itself in a `SubjectPublicKeyInfo`.
fn key_bytes(spki: &[u8]) -> Option<Vec<u8>> {
    let (_, info) = x509_parser::x509::SubjectPublicKeyInfo::from_der(spki).ok()?;
    Some(info.subject_public_key.data.to_vec())
}

/// Whether a file's bytes are a certificate that can be an anchor.
#[must_use]
pub fn is_root(certificate: &[u8]) -> bool {
    webpki::anchor_from_trusted_cert(&CertificateDer::from(certificate)).is_ok()
}
