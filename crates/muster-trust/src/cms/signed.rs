//! `SignedData`: read, verified, and built.

use super::{
    CmsError, MAX_ATTRIBUTES, MAX_BYTES, MAX_CERTIFICATES, MAX_SIGNERS, RsaKey, ber,
    certificate::parts,
    der::{self, Reader},
    oid,
    verify::{AnyKey, Digest},
};
use crate::{key::signature_der, sha256};

/// Whether SHA-1 is taken. It is so in one place: the header `Mdm-Signature` of Apple's devices, which know nothing else.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Sha1 {
    /// A signature over SHA-1 is none.
    Refused,
    /// For the header `Mdm-Signature`, and nothing else.
    TakenForMdmSignature,
}

/// One attribute with one value.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Attribute {
    /// What it is: the content of its object identifier.
    pub kind: Vec<u8>,
    /// Its value, DER.
    pub value: Vec<u8>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
struct SignerInfo {
    /// Issuer and serial number one after the other, or the key identifier.
    named: Named,
    digest: Vec<u8>,
    /// The content of the signed attributes, where there are any.
    attributes: Option<Vec<u8>>,
    algorithm: Vec<u8>,
    signature: Vec<u8>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum Named {
    Issued(Vec<u8>),
    Key(Vec<u8>),
}

/// A signed message that was read, and is not believed yet.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SignedData {
    content_type: Vec<u8>,
    content: Option<Vec<u8>>,
    certificates: Vec<Vec<u8>>,
    signers: Vec<SignerInfo>,
}

/// Who signed a message, and what they signed beside its content.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SignedBy {
    /// The certificate whose key signed. Whether *it* is to be believed is the caller's question.
    pub certificate: Vec<u8>,
    /// The signed attributes.
    pub attributes: Vec<Attribute>,
}

impl SignedBy {
    /// The value of an attribute that is there once.
    #[must_use]
    pub fn attribute(&self, kind: &[u8]) -> Option<&[u8]> {
        let mut of_kind = self.attributes.iter().filter(|attribute| attribute.kind == kind);
        let only = of_kind.next()?;
        of_kind.next().is_none().then_some(&only.value[..])
    }
}

fn signer(content: &[u8]) -> Result<SignerInfo, CmsError> {
    let mut inside = Reader::new(content);
    inside.expect(der::INTEGER)?;
    let who = inside.value()?;
    let named = match who.tag {
        der::SEQUENCE => Named::Issued(who.content.to_vec()),
        0x80 => Named::Key(who.content.to_vec()),
        _ => return Err(CmsError::Malformed),
    };
    let digest = Reader::new(inside.expect(der::SEQUENCE)?).expect(der::OID)?.to_vec();
    let attributes = inside.optional(der::context(0))?.map(<[u8]>::to_vec);
    let algorithm = Reader::new(inside.expect(der::SEQUENCE)?).expect(der::OID)?.to_vec();
    let signature = inside.expect(der::OCTETS)?.to_vec();
    inside.optional(der::context(1))?;
    inside.end()?;
    Ok(SignerInfo { named, digest, attributes, algorithm, signature })
}

fn attributes(content: &[u8]) -> Result<Vec<Attribute>, CmsError> {
    let (mut list, mut found) = (Reader::new(content), Vec::new());
    while !list.is_empty() {
        if found.len() >= MAX_ATTRIBUTES {
            return Err(CmsError::Malformed);
        }
        let mut attribute = Reader::new(list.expect(der::SEQUENCE)?);
        let kind = attribute.expect(der::OID)?.to_vec();
        let mut values = Reader::new(attribute.expect(der::SET)?);
        let value = values.value()?.raw.to_vec();
        values.end()?;
        attribute.end()?;
        found.push(Attribute { kind, value });
    }
    Ok(found)
}

impl SignedData {
    /// Reads a message of at most [`MAX_BYTES`].
    ///
    /// # Errors
    /// [`CmsError::Malformed`].
    pub fn read(bytes: &[u8]) -> Result<Self, CmsError> {
        let message = ber::to_der(bytes, MAX_BYTES)?;
        let mut outer = Reader::new(der::only(&message, der::SEQUENCE)?);
        if outer.expect(der::OID)? != oid::SIGNED_DATA {
            return Err(CmsError::Malformed);
        }
        let mut inside = Reader::new(der::only(outer.expect(der::context(0))?, der::SEQUENCE)?);
        outer.end()?;
        inside.expect(der::INTEGER)?;
        inside.expect(der::SET)?;
        let mut covered = Reader::new(inside.expect(der::SEQUENCE)?);
        let content_type = covered.expect(der::OID)?.to_vec();
        let content = match covered.optional(der::context(0))? {
            Some(content) => Some(der::only(content, der::OCTETS)?.to_vec()),
            None => None,
        };
        covered.end()?;
        let mut certificates = Vec::new();
        let mut list = Reader::new(inside.optional(der::context(0))?.unwrap_or_default());
        while !list.is_empty() {
            if certificates.len() >= MAX_CERTIFICATES {
                return Err(CmsError::Malformed);
            }
            let value = list.value()?;
            // Other kinds of certificates are in nobody's use.
            if value.tag == der::SEQUENCE {
                certificates.push(value.raw.to_vec());
            }
        }
        inside.optional(der::context(1))?;
        let (mut list, mut signers) = (Reader::new(inside.expect(der::SET)?), Vec::new());
        inside.end()?;
        while !list.is_empty() {
            if signers.len() >= MAX_SIGNERS {
                return Err(CmsError::Malformed);
            }
            signers.push(signer(list.expect(der::SEQUENCE)?)?);
        }
        Ok(Self { content_type, content, certificates, signers })
    }

    /// The content, where it is in the message.
    #[must_use]
    pub fn content(&self) -> Option<&[u8]> {
        self.content.as_deref()
    }

    /// The certificates in the message, DER. Nothing of them is believed.
    #[must_use]
    pub fn certificates(&self) -> &[Vec<u8>] {
        &self.certificates
    }

    /// Checks the signature of the one signer, over the content or over `detached` where the content is elsewhere. The certificate is looked
    /// for in the message, and in `known`.
    ///
    /// # Errors
    /// [`CmsError::NotVerified`], whatever is wrong.
    pub fn verify(&self, detached: Option<&[u8]>, known: &[Vec<u8>], sha1: Sha1) -> Result<SignedBy, CmsError> {
        self.checked(detached, known, sha1).map_err(|_| CmsError::NotVerified)
    }

    fn checked(&self, detached: Option<&[u8]>, known: &[Vec<u8>], sha1: Sha1) -> Result<SignedBy, CmsError> {
        let [signer] = &self.signers[..] else { return Err(CmsError::NotVerified) };
        let content = match (&self.content, detached) {
            (Some(content), None) => content,
            (None, Some(detached)) => detached,
            _ => return Err(CmsError::NotVerified),
        };
        let is_named = |certificate: &&Vec<u8>| {
            parts(certificate).is_ok_and(|parts| match &signer.named {
                Named::Issued(named) => [parts.issuer, parts.serial].concat() == *named,
                Named::Key(key) => parts.key_identifier == Some(&key[..]),
            })
        };
        let certificate = self.certificates.iter().chain(known).find(is_named).ok_or(CmsError::NotVerified)?;
        let digest = Digest::of(&signer.digest).ok_or(CmsError::NotVerified)?;
        let is_consistent = match &signer.algorithm[..] {
            // What both are called without a digest is signed over the one that the message names.
            oid::RSA | oid::EC => true,
            algorithm => Digest::of_signature(algorithm) == Some(digest),
        };
        if !is_consistent || digest == Digest::Sha1 && sha1 == Sha1::Refused {
            return Err(CmsError::NotVerified);
        }
        let key = AnyKey::from_spki(parts(certificate)?.spki)?;
        let Some(signed) = &signer.attributes else {
            // What looks like signed attributes is not taken as a content: their signature would be good for it.
            if self.content_type != oid::DATA || content.first() == Some(&der::SET) {
                return Err(CmsError::NotVerified);
            }
            key.verify(digest, content, &signer.signature)?;
            return Ok(SignedBy { certificate: certificate.clone(), attributes: Vec::new() });
        };
        let by = SignedBy { certificate: certificate.clone(), attributes: attributes(signed)? };
        let says_type = by.attribute(oid::CONTENT_TYPE) == Some(&der::oid(&self.content_type));
        let over = der::value(der::OCTETS, &[digest.over(content).as_ref()]);
        if !says_type || by.attribute(oid::MESSAGE_DIGEST) != Some(&over) {
            return Err(CmsError::NotVerified);
        }
        key.verify(digest, &der::value(der::SET, &[signed]), &signer.signature)?;
        Ok(by)
    }
}

/// Who signs: a key and the certificate that names it.
#[derive(Debug, Clone, Copy)]
pub struct SignAs<'a> {
    /// The certificate, DER.
    pub certificate: &'a [u8],
    /// Its key.
    pub key: SigningKey<'a>,
}

/// A key that signs messages.
#[derive(Debug, Clone, Copy)]
pub enum SigningKey<'a> {
    /// RSA, where others know nothing else.
    Rsa(&'a RsaKey),
    /// P-256.
    P256(&'a dyn crate::Signer),
}

impl SigningKey<'_> {
    /// The algorithm as it is named in a signer's information: of RSA without the digest, which every client understands.
    fn algorithm(&self) -> Vec<u8> {
        match self {
            Self::Rsa(_) => der::sequence(&[&der::oid(oid::RSA), &[der::NULL, 0]]),
            Self::P256(_) => der::sequence(&[&der::oid(oid::ECDSA_SHA256)]),
        }
    }

    fn sign(&self, message: &[u8]) -> Result<Vec<u8>, CmsError> {
        match self {
            Self::Rsa(key) => key.sign(message),
            Self::P256(key) => {
                key.sign(message).and_then(|signature| signature_der(&signature)).map_err(|_| CmsError::Key)
            }
        }
    }
}

/// What of a content stands in the message.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Content<'a> {
    /// All of it.
    Attached(&'a [u8]),
    /// Nothing; whoever verifies has it from elsewhere.
    Detached(&'a [u8]),
    /// There is none, and the signature is over the attributes: an answer that says only how it went.
    None,
}

/// A message, signed over SHA-256. `extra`: signed attributes beside `contentType` and `messageDigest`; `None`: no attributes at all, the
/// signature is over the content itself. `chain` goes along.
///
/// # Errors
/// [`CmsError::Key`]; [`CmsError::Malformed`] for a certificate that is none.
pub fn sign(
    content: Content<'_>,
    by: SignAs<'_>,
    extra: Option<&[Attribute]>,
    chain: &[&[u8]],
) -> Result<Vec<u8>, CmsError> {
    let bytes = match content {
        Content::Attached(bytes) | Content::Detached(bytes) => bytes,
        Content::None => &[],
    };
    let named = parts(by.certificate)?;
    let named = der::sequence(&[named.issuer, named.serial]);
    let digest = der::sequence(&[&der::oid(oid::SHA256)]);
    let (attributes, signature) = match extra {
        None => (Vec::new(), by.key.sign(bytes)?),
        Some(extra) => {
            let attribute =
                |kind: &[u8], value: &[u8]| der::sequence(&[&der::oid(kind), &der::value(der::SET, &[value])]);
            let mut all = vec![
                attribute(oid::CONTENT_TYPE, &der::oid(oid::DATA)),
                attribute(oid::MESSAGE_DIGEST, &der::value(der::OCTETS, &[&sha256(bytes).0])),
            ];
            all.extend(extra.iter().map(|extra| attribute(&extra.kind, &extra.value)));
            let mut set = der::set(all);
            let signature = by.key.sign(&set)?;
            // The same bytes under the tag that they have inside the message.
            set[0] = der::context(0);
            (set, signature)
        }
    };
    let signature = der::value(der::OCTETS, &[&signature]);
    let signer = der::sequence(&[&der::small(1), &named, &digest, &attributes, &by.key.algorithm(), &signature]);
    let attached = match content {
        Content::Attached(bytes) => der::value(der::context(0), &[&der::value(der::OCTETS, &[bytes])]),
        _ => Vec::new(),
    };
    let certificates = [&[by.certificate], chain].concat();
    Ok(message(&der::set(vec![digest]), &attached, &certificates, None, &signer))
}

/// A message without a signer, which carries certificates or a revocation list.
#[must_use]
pub fn certificates_only(certificates: &[&[u8]], revocation_list: Option<&[u8]>) -> Vec<u8> {
    message(&[der::SET, 0], &[], certificates, revocation_list, &[])
}

fn message(digests: &[u8], attached: &[u8], certificates: &[&[u8]], list: Option<&[u8]>, signers: &[u8]) -> Vec<u8> {
    let covered = der::sequence(&[&der::oid(oid::DATA), attached]);
    let certificates = match certificates {
        [] => Vec::new(),
        certificates => der::value(der::context(0), certificates),
    };
    let list = list.map(|list| der::value(der::context(1), &[list])).unwrap_or_default();
    let signers = der::value(der::SET, &[signers]);
    let signed = der::sequence(&[&der::small(1), digests, &covered, &certificates, &list, &signers]);
    der::sequence(&[&der::oid(oid::SIGNED_DATA), &der::value(der::context(0), &[&signed])])
}
