//! SCEP (RFC 8894): what a client asks, read and verified, and the answers in the form that clients take.
//!
//! The registration authority has an RSA key of its own, which opens requests and signs answers; the key of the issuing CA is never here.
//! Ciphers are AES, digests SHA-256 and longer. What a request means, and whether it is granted, is decided elsewhere.

mod attribute;
mod query;
#[cfg(test)]
mod tests;

pub use query::{Operation, operation};

use attribute::Kind;
use muster_trust::cms::{
    CmsError, RsaKey, certificate,
    der::{self, Reader},
    enveloped::{Cipher, can_seal, open, seal},
    request::SigningRequest,
    signed::{Attribute, Content, Sha1, SignAs, SignedBy, SignedData, SigningKey, certificates_only, sign},
};

/// The media type of requests and answers.
pub const MEDIA_TYPE: &str = "application/x-pki-message";
/// The media type of one CA certificate.
pub const CA_MEDIA_TYPE: &str = "application/x-x509-ca-cert";
/// The media type of the certificates of registration authority and CA.
pub const CA_RA_MEDIA_TYPE: &str = "application/x-x509-ca-ra-cert";
/// What the server can, a line each. SHA-384 is among them because strongSwan uses AES only where it is.
pub const CAPABILITIES: &str = "AES\nPOSTPKIOperation\nRenewal\nSCEPStandard\nSHA-256\nSHA-384\nSHA-512\n";
/// Bytes of a transaction's name at most. Clients use the hash of their key.
pub const TRANSACTION_BYTES: usize = 128;

/// Why a request is not one.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum ScepError {
    /// Not a request: there is nobody to sign an answer for.
    #[error("this is not a SCEP request that is signed by its sender")]
    NotARequest,
    /// A request whose inside cannot be read, whatever is wrong with it.
    #[error("the request cannot be read")]
    NotReadable,
    /// The answer cannot be made: for a sender without an RSA key, or because a key failed.
    #[error("no answer can be made for this sender")]
    NoAnswer,
}

impl From<CmsError> for ScepError {
    fn from(_: CmsError) -> Self {
        Self::NotARequest
    }
}

/// What kind of request it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum MessageType {
    /// A first certificate; of some clients also the next.
    PkcsReq,
    /// The next certificate.
    RenewalReq,
    /// What became of a request.
    CertPoll,
    /// A certificate by its number.
    GetCert,
    /// The revocation list of a certificate's issuer.
    GetCrl,
}

/// Why something is not granted, as it is said to the client.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum FailInfo {
    /// An algorithm that is not taken.
    BadAlgorithm,
    /// The request does not hold together.
    BadMessageCheck,
    /// Not granted, or not readable: which of them is not said.
    BadRequest,
    /// The clock of the sender is wrong.
    BadTime,
    /// No such certificate.
    BadCertificate,
}

/// A request whose signature is by the certificate in it. Who that is, is not known yet.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Request {
    /// What it is.
    pub kind: MessageType,
    /// The client's name for what it does.
    transaction: Vec<u8>,
    nonce: Vec<u8>,
    /// The certificate that signed: the sender's own, or one that it was issued.
    pub sender: Vec<u8>,
    envelope: Vec<u8>,
}

/// What a request asks.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Asked {
    /// A certificate for the key that signed this.
    Certificate(SigningRequest),
    /// A certificate, or a revocation list, by issuer's name (DER) and serial number (bytes).
    Named {
        /// The issuer's name.
        issuer: Vec<u8>,
        /// The serial number.
        serial: Vec<u8>,
    },
    /// What became of a request.
    State,
}

/// The registration authority at work: a certificate and its RSA key.
#[derive(Debug, Clone, Copy)]
pub struct Authority<'a> {
    /// The certificate, DER.
    pub certificate: &'a [u8],
    /// Its key.
    pub key: &'a RsaKey,
}

/// What is answered.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Answer<'a> {
    /// These certificates, the asked one first.
    Granted(&'a [&'a [u8]]),
    /// This revocation list.
    List(&'a [u8]),
    /// Somebody has to decide; ask again.
    Pending,
    /// Not granted.
    Failed(FailInfo),
}

impl Request {
    /// Reads a request and checks that its sender signed it.
    ///
    /// # Errors
    /// [`ScepError::NotARequest`], whatever is wrong.
    pub fn read(bytes: &[u8]) -> Result<Self, ScepError> {
        let message = SignedData::read(bytes)?;
        let by = message.verify(None, &[], Sha1::Refused)?;
        let kind = match Kind::Message.text(&by)? {
            b"19" => MessageType::PkcsReq,
            b"17" => MessageType::RenewalReq,
            b"20" => MessageType::CertPoll,
            b"21" => MessageType::GetCert,
            b"22" => MessageType::GetCrl,
            _ => return Err(ScepError::NotARequest),
        };
        let (transaction, nonce) = (Kind::Transaction.text(&by)?.to_vec(), Kind::SenderNonce.octets(&by)?.to_vec());
        let is_short = (1..=TRANSACTION_BYTES).contains(&transaction.len()) && (1..=64).contains(&nonce.len());
        let envelope = message.content().filter(|_| is_short).ok_or(ScepError::NotARequest)?.to_vec();
        Ok(Self { kind, transaction, nonce, sender: by.certificate, envelope })
    }

    /// Opens it, and reads what is asked; with the cipher for an answer.
    ///
    /// # Errors
    /// [`ScepError::NotReadable`], whether it does not open or something else is inside: who could tell the one from the other could open
    /// what others sent.
    pub fn open(&self, authority: Authority<'_>) -> Result<(Asked, Cipher), ScepError> {
        let opened = open(&self.envelope, authority.certificate, authority.key).map_err(|_| ScepError::NotReadable)?;
        let asked = match self.kind {
            MessageType::PkcsReq | MessageType::RenewalReq => {
                SigningRequest::read(&opened.content).map(Asked::Certificate)
            }
            MessageType::CertPoll => Ok(Asked::State),
            MessageType::GetCert | MessageType::GetCrl => named(&opened.content),
        };
        Ok((asked.map_err(|_| ScepError::NotReadable)?, opened.cipher))
    }

    /// Whether the certificate that signed has the key that the request is for: of a first request it has to.
    #[must_use]
    pub fn is_by(&self, spki: &[u8]) -> bool {
        certificate::parts(&self.sender).is_ok_and(|parts| parts.spki == spki)
    }

    /// Whether something can be granted to the sender: an answer is sealed to its RSA key of 2,048 to 8,192 bits.
    #[must_use]
    pub fn can_be_granted(&self) -> bool {
        can_seal(&self.sender)
    }

    /// The signed answer. `nonce`: 16 fresh random bytes.
    ///
    /// # Errors
    /// [`ScepError::NoAnswer`].
    pub fn answer(
        &self,
        authority: Authority<'_>,
        cipher: Cipher,
        nonce: &[u8; 16],
        answer: Answer<'_>,
    ) -> Result<Vec<u8>, ScepError> {
        let inside = match answer {
            Answer::Granted(certificates) => Some(certificates_only(certificates, None)),
            Answer::List(list) => Some(certificates_only(&[], Some(list))),
            Answer::Pending | Answer::Failed(_) => None,
        };
        let sealed = inside.map(|inside| seal(&inside, &self.sender, cipher)).transpose();
        let sealed = sealed.map_err(|_| ScepError::NoAnswer)?;
        let (status, why): (&[u8], Option<&[u8]>) = match answer {
            Answer::Granted(_) | Answer::List(_) => (b"0", None),
            Answer::Pending => (b"3", None),
            Answer::Failed(why) => (b"2", Some(why.text())),
        };
        let mut attributes = vec![
            Kind::Message.printable(b"3"),
            Kind::Status.printable(status),
            Kind::SenderNonce.octet_string(nonce),
            Kind::RecipientNonce.octet_string(&self.nonce),
            Kind::Transaction.printable(&self.transaction),
        ];
        attributes.extend(why.map(|why| Kind::FailInfo.printable(why)));
        let content = sealed.as_deref().map_or(Content::None, Content::Attached);
        let by = SignAs { certificate: authority.certificate, key: SigningKey::Rsa(authority.key) };
        sign(content, by, Some(&attributes), &[]).map_err(|_| ScepError::NoAnswer)
    }
}

impl FailInfo {
    fn text(self) -> &'static [u8] {
        match self {
            Self::BadAlgorithm => b"0",
            Self::BadMessageCheck => b"1",
            Self::BadRequest => b"2",
            Self::BadTime => b"3",
            Self::BadCertificate => b"4",
        }
    }
}

/// `IssuerAndSerialNumber`.
fn named(content: &[u8]) -> Result<Asked, CmsError> {
    let mut inside = Reader::new(der::only(content, der::SEQUENCE)?);
    let issuer = inside.value()?;
    let serial = inside.expect(der::INTEGER)?;
    inside.end()?;
    if issuer.tag != der::SEQUENCE || serial.is_empty() || serial.len() > 20 {
        return Err(CmsError::Malformed);
    }
    Ok(Asked::Named { issuer: issuer.raw.to_vec(), serial: serial.to_vec() })
}

/// What answers to `GetCACert`: the certificates of the registration authority and of the CA, and of what is above it.
#[must_use]
pub fn authorities(certificates: &[&[u8]]) -> Vec<u8> {
    certificates_only(certificates, None)
}
