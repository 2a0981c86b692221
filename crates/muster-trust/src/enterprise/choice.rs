//! The client's side: keys and certificates in PEM, and the choice of the one that the site takes.

use super::{EnterpriseCertificate, EnterpriseError, EnterpriseIssuer};
use muster_model::{api::IssuerCriteria, id::Hash, time::UnixMillis};
use rustls::{
    SignatureScheme,
    pki_types::{CertificateDer, PrivateKeyDer, pem::PemObject},
    sign::SigningKey,
};
use std::{collections::BTreeMap, fmt, sync::Arc};

/// What a key offers to sign with, the best first: what TLS 1.3 takes.
const SCHEMES: [SignatureScheme; 7] = [
    SignatureScheme::ECDSA_NISTP256_SHA256,
    SignatureScheme::ECDSA_NISTP384_SHA384,
    SignatureScheme::ECDSA_NISTP521_SHA512,
    SignatureScheme::ED25519,
    SignatureScheme::RSA_PSS_SHA256,
    SignatureScheme::RSA_PSS_SHA384,
    SignatureScheme::RSA_PSS_SHA512,
];

/// The private key of a certificate of the enterprise. Never shown.
#[derive(Clone)]
pub struct EnterpriseKey {
    key: Arc<dyn SigningKey>,
    public: Hash,
}

impl fmt::Debug for EnterpriseKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "EnterpriseKey(of {})", self.public)
    }
}

impl EnterpriseKey {
    fn load(der: PrivateKeyDer<'static>) -> Option<Self> {
        let key = rustls::crypto::aws_lc_rs::default_provider().key_provider.load_private_key(der).ok()?;
        let public = crate::sha256(key.public_key()?.as_ref());
        Some(Self { key, public })
    }

    /// The key as the TLS library wants it.
    pub(crate) fn signing(&self) -> Arc<dyn SigningKey> {
        self.key.clone()
    }

    pub(super) fn sign(&self, message: &[u8]) -> Result<(SignatureScheme, Vec<u8>), EnterpriseError> {
        let signer = self.key.choose_scheme(&SCHEMES).ok_or(EnterpriseError::NotPossessed)?;
        let signature = signer.sign(message).map_err(|_| EnterpriseError::NotPossessed)?;
        Ok((signer.scheme(), signature))
    }
}

/// A certificate that lies on the client's disk.
#[derive(Debug, Clone)]
pub struct Candidate {
    /// Where it lies, for people.
    pub place: String,
    der: Vec<u8>,
    key: Option<EnterpriseKey>,
}

/// The certificates in these files (name, content), each with its key where one of the files has it.
#[must_use]
pub fn candidates(files: &[(String, Vec<u8>)]) -> Vec<Candidate> {
    let keys: Vec<EnterpriseKey> = files
        .iter()
        .flat_map(|(_, pem)| PrivateKeyDer::pem_slice_iter(pem).filter_map(Result::ok).filter_map(EnterpriseKey::load))
        .collect();
    let mut found: Vec<Candidate> = Vec::new();
    for (place, pem) in files {
        for der in CertificateDer::pem_slice_iter(pem).filter_map(Result::ok) {
            if found.iter().any(|candidate| candidate.der == *der) {
                continue;
            }
            let public = super::certificate::parse(&der).ok().map(|parsed| crate::sha256(parsed.public_key().raw));
            let key = keys.iter().find(|key| Some(key.public) == public).cloned();
            found.push(Candidate { place: place.clone(), der: der.to_vec(), key });
        }
    }
    found
}

/// The certificate that a client talks with, and its key.
#[derive(Debug, Clone)]
pub struct Choice {
    /// The certificate.
    pub certificate: EnterpriseCertificate,
    /// Its key.
    pub key: EnterpriseKey,
}

/// Why there is no one certificate. Both list what was looked at.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ChoiceError {
    /// None is taken.
    #[error("none of the certificates is one that the site takes:{}", lines(.0))]
    None(Vec<String>),
    /// Several are, of different subjects.
    #[error("several certificates could be this client's; take all but one away, or narrow the criteria:{}", lines(.0))]
    Several(Vec<String>),
}

fn lines(candidates: &[String]) -> String {
    if candidates.is_empty() {
        return " there are none".to_owned();
    }
    candidates.iter().map(|candidate| format!("\n  {candidate}")).collect()
}

impl Choice {
    /// Chooses among what lies on the disk: of the certificates that an issuer and its criteria admit and whose key is there,
    /// the newest. Two for different subjects are not a choice but an error.
    ///
    /// # Errors
    /// See [`ChoiceError`].
    pub fn of(
        candidates: &[Candidate],
        issuers: &[(EnterpriseIssuer, IssuerCriteria)],
        now: UnixMillis,
    ) -> Result<Self, ChoiceError> {
        let (mut admitted, mut refused) = (BTreeMap::<Hash, (Choice, String)>::new(), Vec::new());
        for candidate in candidates {
            match candidate.judged(issuers, now) {
                Ok(choice) => {
                    let line = format!("{}: {}", candidate.place, choice.certificate.subject);
                    let age = |choice: &Choice| (choice.certificate.not_before, choice.certificate.expires);
                    let kept = admitted.get(&choice.certificate.named);
                    if kept.is_none_or(|(kept, _)| age(kept) < age(&choice)) {
                        admitted.insert(choice.certificate.named, (choice, line));
                    }
                }
                Err(why) => refused.push(format!("{}: {why}", candidate.place)),
            }
        }
        match admitted.len() {
            0 => Err(ChoiceError::None(refused)),
            1 => admitted.into_values().next().map(|(choice, _)| choice).ok_or(ChoiceError::None(refused)),
            _ => Err(ChoiceError::Several(admitted.into_values().map(|(_, line)| line).collect())),
        }
    }
}

impl Choice {
    /// The certificate with this fingerprint, where it and its key are there. Whether it is good, the site says.
    #[must_use]
    pub fn mapped(candidates: &[Candidate], fingerprint: &Hash) -> Option<Self> {
        let found = candidates.iter().find(|candidate| crate::sha256(&candidate.der) == *fingerprint)?;
        let certificate = EnterpriseCertificate::read(&found.der).ok()?;
        Some(Self { certificate, key: found.key.clone()? })
    }
}

impl Candidate {
    fn judged(&self, issuers: &[(EnterpriseIssuer, IssuerCriteria)], now: UnixMillis) -> Result<Choice, String> {
        // The reason of the issuer that came furthest: another issuer's certificate is nothing to speak of.
        let mut reason = EnterpriseError::NotIssued;
        for (issuer, criteria) in issuers {
            match issuer.judge(&self.der, criteria, now) {
                Ok(certificate) => {
                    let key = self.key.clone().ok_or("its private key is not there")?;
                    return Ok(Choice { certificate, key });
                }
                Err(EnterpriseError::NotIssued) => {}
                Err(error) => reason = error,
            }
        }
        Err(reason.to_string())
    }
}
