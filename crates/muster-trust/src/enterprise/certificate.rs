//! An issuer of the enterprise, and a client certificate of it.

use super::{EnterpriseError, Serial, algorithms};
use crate::sha256;
use muster_model::{api::IssuerCriteria, id::Hash, limits::CERTIFICATE_BYTES, time::UnixMillis};
use rustls::pki_types::{CertificateDer, UnixTime};
use std::time::Duration;
use x509_parser::{certificate::X509Certificate, extensions::GeneralName, prelude::FromDer};

/// What a certificate must not be named, because the site's own are.
const OWN_NAMES: &str = "urn:muster:";

/// A CA of the enterprise, believed for what the administrator said.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct EnterpriseIssuer {
    certificate: Vec<u8>,
    id: Hash,
    name: String,
    not_before: UnixMillis,
    not_after: UnixMillis,
}

pub(super) fn parse(der: &[u8]) -> Result<X509Certificate<'_>, EnterpriseError> {
    if der.len() > CERTIFICATE_BYTES {
        return Err(EnterpriseError::Malformed);
    }
    match X509Certificate::from_der(der) {
        Ok(([], certificate)) => Ok(certificate),
        _ => Err(EnterpriseError::Malformed),
    }
}

fn seconds(at: x509_parser::time::ASN1Time) -> UnixMillis {
    UnixMillis(at.timestamp().saturating_mul(1_000))
}

impl EnterpriseIssuer {
    /// Reads the certificate of a CA that may sign client certificates.
    ///
    /// # Errors
    /// [`EnterpriseError::Malformed`]; [`EnterpriseError::NotIssued`] for one that is no CA, or none that may sign certificates and
    /// lists; [`EnterpriseError::NotForClients`] for one whose own constraints forbid client certificates.
    pub fn read(der: &[u8]) -> Result<Self, EnterpriseError> {
        let parsed = parse(der)?;
        let usage = parsed.key_usage().map_err(|_| EnterpriseError::Malformed)?;
        if !parsed.is_ca() || usage.is_some_and(|usage| !usage.value.key_cert_sign() || !usage.value.crl_sign()) {
            return Err(EnterpriseError::NotIssued);
        }
        let purposes = parsed.extended_key_usage().map_err(|_| EnterpriseError::Malformed)?;
        if purposes.is_some_and(|purposes| !purposes.value.client_auth && !purposes.value.any) {
            return Err(EnterpriseError::NotForClients);
        }
        let anchor = CertificateDer::from(der);
        webpki::anchor_from_trusted_cert(&anchor).map_err(|_| EnterpriseError::Malformed)?;
        Ok(Self {
            id: sha256(parsed.public_key().raw),
            name: parsed.subject().to_string(),
            not_before: seconds(parsed.validity().not_before),
            not_after: seconds(parsed.validity().not_after),
            certificate: der.to_vec(),
        })
    }

    /// SHA-256 of its `SubjectPublicKeyInfo`.
    #[must_use]
    pub fn id(&self) -> Hash {
        self.id
    }

    /// Its name.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Its certificate, DER.
    #[must_use]
    pub fn certificate(&self) -> &[u8] {
        &self.certificate
    }

    /// When its certificate ends.
    #[must_use]
    pub fn expires(&self) -> UnixMillis {
        self.not_after
    }

    /// Judges a client certificate: signed by this CA itself, within its name constraints, in time, for TLS clients, and what
    /// `criteria` demand. Whether it is revoked is another question, and so is who has its key.
    ///
    /// # Errors
    /// See [`EnterpriseError`].
    pub fn judge(
        &self,
        der: &[u8],
        criteria: &IssuerCriteria,
        now: UnixMillis,
    ) -> Result<EnterpriseCertificate, EnterpriseError> {
        let parsed = parse(der)?;
        let issuer = CertificateDer::from(self.certificate.as_slice());
        let anchors = [webpki::anchor_from_trusted_cert(&issuer).map_err(|_| EnterpriseError::Malformed)?];
        let leaf = CertificateDer::from(der);
        let leaf = webpki::EndEntityCert::try_from(&leaf).map_err(|_| EnterpriseError::Malformed)?;
        let seconds = u64::try_from(now.0.div_euclid(1_000)).map_err(|_| EnterpriseError::NotInTime)?;
        let at = UnixTime::since_unix_epoch(Duration::from_secs(seconds));
        let usage = webpki::KeyUsage::client_auth();
        leaf.verify_for_usage(algorithms().all, &anchors, &[], at, usage, None, None).map_err(|error| match error {
            webpki::Error::CertExpired { .. } | webpki::Error::CertNotValidYet { .. } => EnterpriseError::NotInTime,
            webpki::Error::RequiredEkuNotFoundContext(_) => EnterpriseError::NotForClients,
            _ => EnterpriseError::NotIssued,
        })?;
        // The TLS library takes an anchor as timeless, and a certificate without purposes as one for every purpose.
        if now < self.not_before || now >= self.not_after {
            return Err(EnterpriseError::NotInTime);
        }
        let purposes = parsed.extended_key_usage().map_err(|_| EnterpriseError::Malformed)?;
        if parsed.is_ca() || !purposes.is_some_and(|purposes| purposes.value.client_auth) {
            return Err(EnterpriseError::NotForClients);
        }
        if names(&parsed)?.iter().any(|name| matches!(name, GeneralName::URI(uri) if is_own(uri))) {
            return Err(EnterpriseError::NamesADevice);
        }
        if !super::criteria::met(criteria, &parsed)? {
            return Err(EnterpriseError::NotSelected);
        }
        EnterpriseCertificate::of(der, &parsed, self.id)
    }
}

/// A scheme's name has no case.
fn is_own(uri: &str) -> bool {
    uri.get(..OWN_NAMES.len()).is_some_and(|begin| begin.eq_ignore_ascii_case(OWN_NAMES))
}

pub(super) fn names<'a>(parsed: &'a X509Certificate<'_>) -> Result<&'a [GeneralName<'a>], EnterpriseError> {
    let names = parsed.subject_alternative_name().map_err(|_| EnterpriseError::Malformed)?;
    Ok(names.map_or(&[], |names| &names.value.general_names))
}

/// A client certificate that an issuer and its criteria admit.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct EnterpriseCertificate {
    /// SHA-256 of the certificate.
    pub fingerprint: Hash,
    /// The issuer.
    pub issuer: Hash,
    /// Its serial number.
    pub serial: Serial,
    /// Its subject, for people.
    pub subject: String,
    /// Whom it names: SHA-256 over the subject, or over the alternative names where the subject is empty.
    pub named: Hash,
    /// SHA-256 of its `SubjectPublicKeyInfo`.
    pub key: Hash,
    /// From when on it is valid.
    pub not_before: UnixMillis,
    /// When it ends.
    pub expires: UnixMillis,
    /// The certificate, DER.
    pub der: Vec<u8>,
}

impl EnterpriseCertificate {
    /// Reads a certificate that nobody has judged; its issuer is not known.
    pub(super) fn read(der: &[u8]) -> Result<Self, EnterpriseError> {
        Self::of(der, &parse(der)?, Hash::ZERO)
    }

    fn of(der: &[u8], parsed: &X509Certificate<'_>, issuer: Hash) -> Result<Self, EnterpriseError> {
        let alternative = parsed.subject_alternative_name().map_err(|_| EnterpriseError::Malformed)?;
        let nobody = parsed.subject().iter().next().is_none();
        let (subject, named) = match (nobody, alternative) {
            (false, _) => (parsed.subject().to_string(), sha256(parsed.subject().as_raw())),
            (true, None) => return Err(EnterpriseError::Malformed),
            (true, Some(names)) => {
                let text = names.value.general_names.iter().map(ToString::to_string).collect::<Vec<_>>().join(", ");
                let extension = parsed.extensions().iter().find(|it| it.oid == oid_san());
                (text, sha256(extension.map_or(&[], |it| it.value)))
            }
        };
        // It is shown to people and written into logs.
        let subject = subject.chars().map(|c| if c.is_control() { '\u{fffd}' } else { c }).take(255).collect();
        Ok(Self {
            fingerprint: sha256(der),
            issuer,
            serial: Serial::new(parsed.raw_serial()),
            subject,
            named,
            key: sha256(parsed.public_key().raw),
            not_before: seconds(parsed.validity().not_before),
            expires: seconds(parsed.validity().not_after),
            der: der.to_vec(),
        })
    }
}

fn oid_san() -> x509_parser::der_parser::Oid<'static> {
    x509_parser::oid_registry::OID_X509_EXT_SUBJECT_ALT_NAME
}
