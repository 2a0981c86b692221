//! The proof that a client has the key of a certificate: one signature, for one connection and one device's key.

use super::{EnterpriseCertificate, EnterpriseError, EnterpriseKey, algorithms};
use crate::{PublicKey, sha256};
use base64::{Engine, engine::general_purpose::STANDARD as BASE64};
use muster_model::{enterprise::EnterpriseProof, id::Hash};
use rustls::{SignatureScheme, pki_types::CertificateDer};

/// Begins what is signed, so that the signature means nothing elsewhere.
const CONTEXT: &[u8] = b"muster/v1/enterprise\0";

/// What is signed: context, the connection's TLS exporter, the device's key, and the certificate's SHA-256.
fn message(certificate: &[u8], exporter: &Hash, device: &PublicKey) -> Vec<u8> {
    [CONTEXT, &exporter.0, &device.spki(), &sha256(certificate).0].concat()
}

/// Proves the key of `certificate` (DER) over the connection with this exporter, for the device with this key.
///
/// # Errors
/// [`EnterpriseError::NotPossessed`] when the key cannot sign in a way that TLS takes.
pub fn prove(
    certificate: &[u8],
    key: &EnterpriseKey,
    exporter: &Hash,
    device: &PublicKey,
) -> Result<EnterpriseProof, EnterpriseError> {
    let (scheme, signature) = key.sign(&message(certificate, exporter, device))?;
    Ok(EnterpriseProof {
        certificate: BASE64.encode(certificate),
        scheme: scheme.into(),
        signature: BASE64.encode(signature),
    })
}

/// Verifies a proof for a certificate that was judged.
///
/// # Errors
/// [`EnterpriseError::NotPossessed`].
pub fn verify(
    proof: &EnterpriseProof,
    certificate: &EnterpriseCertificate,
    exporter: &Hash,
    device: &PublicKey,
) -> Result<(), EnterpriseError> {
    let refused = || EnterpriseError::NotPossessed;
    let signature = BASE64.decode(&proof.signature).map_err(|_| refused())?;
    let scheme = SignatureScheme::from(proof.scheme);
    // As TLS 1.3 does: the first algorithm of a scheme, and none of before.
    let known = algorithms().mapping.iter().find(|(known, _)| *known == scheme && is_of_tls13(*known));
    let algorithm = known.and_then(|(_, algorithms)| algorithms.first()).ok_or_else(refused)?;
    let der = CertificateDer::from(certificate.der.as_slice());
    let leaf = webpki::EndEntityCert::try_from(&der).map_err(|_| refused())?;
    let message = message(&certificate.der, exporter, device);
    leaf.verify_signature(*algorithm, &message, &signature).map_err(|_| refused())
}

const fn is_of_tls13(scheme: SignatureScheme) -> bool {
    !matches!(
        scheme,
        SignatureScheme::RSA_PKCS1_SHA256 | SignatureScheme::RSA_PKCS1_SHA384 | SignatureScheme::RSA_PKCS1_SHA512
    )
}
