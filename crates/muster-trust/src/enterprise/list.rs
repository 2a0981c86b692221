//! The revocation list of an issuer of the enterprise.

use super::{EnterpriseIssuer, algorithms, certificate::parse};
use muster_model::{
    limits::{FOREIGN_LIST_BYTES, FOREIGN_LIST_ENTRIES},
    time::{HOUR, UnixMillis},
};
use rustls::pki_types::SignatureVerificationAlgorithm;
use std::{collections::HashSet, fmt};
use x509_parser::{
    extensions::{ParsedExtension, X509Extension},
    prelude::FromDer,
    revocation_list::{CertificateRevocationList, RevokedCertificate},
};

/// Extensions of a list and of its entries: the content of their object identifiers (RFC 5280, sections 5.2 and 5.3).
const NUMBER: &[u8] = &[0x55, 0x1d, 20];
const REASON: &[u8] = &[0x55, 0x1d, 21];
const DELTA: &[u8] = &[0x55, 0x1d, 27];
const DISTRIBUTION_POINT: &[u8] = &[0x55, 0x1d, 28];
const CERTIFICATE_ISSUER: &[u8] = &[0x55, 0x1d, 29];
const AUTHORITY_KEY: &[u8] = &[0x55, 0x1d, 35];
/// A distribution point that leaves nothing out which is judged here: an empty one, and one of users' certificates.
const EVERY_CERTIFICATE: [&[u8]; 2] = [&[0x30, 0], &[0x30, 3, 0x81, 1, 0xff]];
/// The reason `removeFromCRL`.
const REMOVED: u8 = 8;

/// Why a list is not taken.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum ListError {
    /// Over the limit.
    #[error("the list is larger than a list may be")]
    TooLarge,
    /// It does not parse, or is not complete: without number or end, a delta, or one of only some certificates.
    #[error("it is not a complete revocation list with a number and an end")]
    Malformed,
    /// Another CA's name stands on it.
    #[error("it is the list of another issuer")]
    Foreign,
    /// It is not signed by the issuer's key.
    #[error("it is not signed by the issuer")]
    Forged,
    /// It begins later than clocks differ.
    #[error("it is from the future")]
    NotYet,
    /// It has ended.
    #[error("it is past its end")]
    Stale,
    /// A newer one was taken before.
    #[error("a newer list was taken before")]
    Older,
}

impl ListError {
    /// A stable word, for metrics and records.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::TooLarge => "too_large",
            Self::Malformed => "malformed",
            Self::Foreign => "foreign",
            Self::Forged => "forged",
            Self::NotYet => "not_yet",
            Self::Stale => "stale",
            Self::Older => "older",
        }
    }
}

/// A number of any length, without leading zeros: serial numbers of certificates, and numbers of lists.
#[derive(Clone, PartialEq, Eq, Hash)]
pub struct Serial(Vec<u8>);

impl Serial {
    /// From the content of an INTEGER.
    #[must_use]
    pub fn new(bytes: &[u8]) -> Self {
        let first = bytes.iter().position(|byte| *byte != 0).unwrap_or(bytes.len());
        Self(bytes[first..].to_vec())
    }

    /// From hexadecimal text.
    #[must_use]
    pub fn from_hex(text: &str) -> Option<Self> {
        let digit = |pair: &[u8]| u8::from_str_radix(std::str::from_utf8(pair).ok()?, 16).ok();
        let bytes: Option<Vec<u8>> = text.as_bytes().chunks(2).map(digit).collect();
        bytes.filter(|_| text.len().is_multiple_of(2)).map(|bytes| Self::new(&bytes))
    }

    /// Whether this number is lower than the other.
    #[must_use]
    pub fn is_below(&self, other: &Self) -> bool {
        (self.0.len(), &self.0) < (other.0.len(), &other.0)
    }
}

impl fmt::Display for Serial {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.0.is_empty() {
            return f.write_str("00");
        }
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

impl fmt::Debug for Serial {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Serial({self})")
    }
}

/// A list that its issuer signed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ForeignList {
    /// Its number.
    pub number: Serial,
    /// When it was signed.
    pub this_update: UnixMillis,
    /// Until when it is believed.
    pub next_update: UnixMillis,
    /// Serial numbers of the certificates that it names.
    pub revoked: HashSet<Serial>,
}

impl ForeignList {
    /// Reads a list and verifies that the issuer signed it. Whether it is in time is not asked.
    ///
    /// # Errors
    /// See [`ListError`].
    pub fn read(der: &[u8], issuer: &EnterpriseIssuer) -> Result<Self, ListError> {
        if der.len() > FOREIGN_LIST_BYTES {
            return Err(ListError::TooLarge);
        }
        // The signature first: nothing else of what a stranger sent is worth a look.
        let parts = signed_parts(der).ok_or(ListError::Malformed)?;
        let ca = parse(issuer.certificate()).map_err(|_| ListError::Malformed)?;
        let key = ca.public_key();
        let key_algorithm = key_algorithm(key.raw).ok_or(ListError::Malformed)?;
        let is_issuers = is_signed(key_algorithm, &key.subject_public_key.data, &parts);
        let Ok(([], list)) = CertificateRevocationList::from_der(der) else { return Err(ListError::Malformed) };
        if list.issuer().as_raw() != ca.subject().as_raw() {
            return Err(ListError::Foreign);
        }
        if !is_issuers {
            return Err(ListError::Forged);
        }
        Self::content(&list)
    }

    fn content(list: &CertificateRevocationList<'_>) -> Result<Self, ListError> {
        check_extensions(list.extensions())?;
        let number = list.crl_number().ok_or(ListError::Malformed)?;
        let at = |seconds: i64| UnixMillis(seconds.saturating_mul(1_000));
        let next_update = list.next_update().ok_or(ListError::Malformed)?;
        let mut revoked = HashSet::new();
        for entry in list.iter_revoked_certificates() {
            if revoked.len() == FOREIGN_LIST_ENTRIES {
                return Err(ListError::TooLarge);
            }
            revoked.insert(entry_serial(entry)?);
        }
        Ok(Self {
            number: Serial::new(&number.to_bytes_be()),
            this_update: at(list.last_update().timestamp()),
            next_update: at(next_update.timestamp()),
            revoked,
        })
    }

    /// Whether the list may be taken now, after `before`.
    ///
    /// # Errors
    /// [`ListError::NotYet`], [`ListError::Stale`], [`ListError::Older`].
    pub fn check(&self, before: Option<(&Serial, UnixMillis)>, now: UnixMillis) -> Result<(), ListError> {
        if self.this_update.since(now) > HOUR {
            return Err(ListError::NotYet);
        }
        if self.next_update <= now {
            return Err(ListError::Stale);
        }
        match before {
            Some((number, signed))
                if self.number.is_below(number) || self.number == *number && self.this_update < signed =>
            {
                Err(ListError::Older)
            }
            _ => Ok(()),
        }
    }
}

/// An entry that says more than that its certificate is revoked may mean another issuer's, or the contrary.
fn entry_serial(entry: &RevokedCertificate<'_>) -> Result<Serial, ListError> {
    let is_fine = |extension: &X509Extension<'_>| match extension.oid.as_bytes() {
        // One reason, and not the one that takes a certificate from a list.
        REASON => matches!(extension.value, [0x0a, 1, reason] if *reason <= 10 && *reason != REMOVED),
        CERTIFICATE_ISSUER => false,
        _ => !is_unread(extension),
    };
    let is_plain = entry.extensions().iter().all(|extension| !extension.critical && is_fine(extension));
    if is_plain { Ok(Serial::new(entry.raw_serial())) } else { Err(ListError::Malformed) }
}

/// Whether the library gave up on an extension.
fn is_unread(extension: &X509Extension<'_>) -> bool {
    matches!(extension.parsed_extension(), ParsedExtension::ParseError { .. })
}

/// Whether the list is one of all certificates of its issuer. What says that it is not is judged by its bytes: the library passes over
/// what it cannot read of it, and a list of some certificates would count as one of all.
fn check_extensions(extensions: &[X509Extension<'_>]) -> Result<(), ListError> {
    let mut known = HashSet::new();
    for extension in extensions {
        let oid = extension.oid.as_bytes();
        let is_fine = match oid {
            DISTRIBUTION_POINT => EVERY_CERTIFICATE.contains(&extension.value),
            DELTA => false,
            NUMBER | AUTHORITY_KEY => !is_unread(extension),
            _ => !extension.critical && !is_unread(extension),
        };
        if !is_fine || !known.insert(oid) {
            return Err(ListError::Malformed);
        }
    }
    Ok(())
}

/// The parts of a signed structure: what is signed, the content of the algorithm's identifier, and the signature.
struct Parts<'a> {
    signed: &'a [u8],
    algorithm: &'a [u8],
    signature: &'a [u8],
}

fn signed_parts(der: &[u8]) -> Option<Parts<'_>> {
    let (whole, rest) = element(der)?;
    let (signed, after) = element(whole.content)?;
    let (algorithm, after) = element(after)?;
    let (signature, end) = element(after)?;
    let is_whole = rest.is_empty() && end.is_empty();
    let signature = signature.content.strip_prefix(&[0])?;
    is_whole.then_some(Parts { signed: signed.whole, algorithm: algorithm.content, signature })
}

/// Whether the signature is by the key: of an algorithm that TLS takes for certificates, so never with SHA-1.
fn is_signed(key_algorithm: &[u8], key: &[u8], parts: &Parts<'_>) -> bool {
    let fits = |known: &&&dyn SignatureVerificationAlgorithm| {
        known.signature_alg_id().as_ref() == parts.algorithm && known.public_key_alg_id().as_ref() == key_algorithm
    };
    let verifies = |known: &&dyn SignatureVerificationAlgorithm| {
        known.verify_signature(key, parts.signed, parts.signature).is_ok()
    };
    algorithms().all.iter().filter(fits).any(verifies)
}

/// The content of the algorithm's identifier in a `SubjectPublicKeyInfo`.
fn key_algorithm(spki: &[u8]) -> Option<&[u8]> {
    let (whole, _) = element(spki)?;
    Some(element(whole.content)?.0.content)
}

/// One element of DER.
struct Element<'a> {
    whole: &'a [u8],
    content: &'a [u8],
}

/// The first element and what follows it; lengths of up to four bytes.
fn element(der: &[u8]) -> Option<(Element<'_>, &[u8])> {
    let first = usize::from(*der.get(1)?);
    let (header, length) = match first {
        0..=0x7f => (2, first),
        0x81..=0x84 => {
            let bytes = der.get(2..2 + (first - 0x80))?;
            (2 + bytes.len(), bytes.iter().fold(0, |length, byte| length << 8 | usize::from(*byte)))
        }
        _ => return None,
    };
    let end = header.checked_add(length)?;
    let whole = der.get(..end)?;
    Some((Element { whole, content: &whole[header..] }, &der[end..]))
}
