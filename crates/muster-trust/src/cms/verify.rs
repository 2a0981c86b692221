//! One signature under one public key, of the few kinds that are believed.

use super::{CmsError, der, oid};
use aws_lc_rs::{
    digest::{self, Algorithm},
    signature::{
        ECDSA_P256_SHA256_ASN1, ECDSA_P256_SHA384_ASN1, ECDSA_P256_SHA512_ASN1, ECDSA_P384_SHA256_ASN1,
        ECDSA_P384_SHA384_ASN1, ECDSA_P384_SHA512_ASN1, RSA_PKCS1_2048_8192_SHA1_FOR_LEGACY_USE_ONLY,
        RSA_PKCS1_2048_8192_SHA256, RSA_PKCS1_2048_8192_SHA384, RSA_PKCS1_2048_8192_SHA512, UnparsedPublicKey,
        VerificationAlgorithm,
    },
};

/// A digest that a signature is made over.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Digest {
    Sha1,
    Sha256,
    Sha384,
    Sha512,
}

impl Digest {
    /// Of an algorithm's object identifier.
    pub(crate) fn of(algorithm: &[u8]) -> Option<Self> {
        Some(match algorithm {
            oid::SHA1 => Self::Sha1,
            oid::SHA256 => Self::Sha256,
            oid::SHA384 => Self::Sha384,
            oid::SHA512 => Self::Sha512,
            _ => return None,
        })
    }

    /// The digest that the name of a signature algorithm carries.
    pub(crate) fn of_signature(algorithm: &[u8]) -> Option<Self> {
        Some(match algorithm {
            oid::RSA_SHA1 => Self::Sha1,
            oid::RSA_SHA256 | oid::ECDSA_SHA256 => Self::Sha256,
            oid::RSA_SHA384 | oid::ECDSA_SHA384 => Self::Sha384,
            oid::RSA_SHA512 | oid::ECDSA_SHA512 => Self::Sha512,
            _ => return None,
        })
    }

    pub(crate) fn over(self, bytes: &[u8]) -> digest::Digest {
        let algorithm: &'static Algorithm = match self {
            Self::Sha1 => &digest::SHA1_FOR_LEGACY_USE_ONLY,
            Self::Sha256 => &digest::SHA256,
            Self::Sha384 => &digest::SHA384,
            Self::Sha512 => &digest::SHA512,
        };
        digest::digest(algorithm, bytes)
    }
}

/// A public key of a kind that may ask for certificates: RSA of at least 2,048 bits, P-256 or P-384. Of each key one encoding is taken,
/// so that its hash is its name.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct AnyKey<'a> {
    kind: Kind,
    key: &'a [u8],
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    Rsa,
    P256,
    P384,
}

impl<'a> AnyKey<'a> {
    /// From `SubjectPublicKeyInfo`, DER: a point that is not compressed, or exactly one `RSAPublicKey`.
    pub(crate) fn from_spki(spki: &'a [u8]) -> Result<Self, CmsError> {
        let mut inside = der::Reader::new(der::only(spki, der::SEQUENCE)?);
        let mut algorithm = der::Reader::new(inside.expect(der::SEQUENCE)?);
        let kind = match algorithm.expect(der::OID)? {
            oid::RSA => {
                if !algorithm.expect(der::NULL)?.is_empty() {
                    return Err(CmsError::Malformed);
                }
                Kind::Rsa
            }
            oid::EC => match algorithm.expect(der::OID)? {
                oid::P256 => Kind::P256,
                oid::P384 => Kind::P384,
                _ => return Err(CmsError::Malformed),
            },
            _ => return Err(CmsError::Malformed),
        };
        algorithm.end()?;
        let key = inside.expect(der::BIT_STRING)?.strip_prefix(&[0]).ok_or(CmsError::Malformed)?;
        inside.end()?;
        match kind {
            Kind::Rsa => rsa_public_key(key)?,
            Kind::P256 => point(key, 65)?,
            Kind::P384 => point(key, 97)?,
        }
        Ok(Self { kind, key })
    }

    /// What is in the bit string of its `SubjectPublicKeyInfo`.
    pub(crate) fn bytes(&self) -> &'a [u8] {
        self.key
    }

    /// The object identifier of its curve; `None`: an RSA key.
    pub(crate) fn curve(&self) -> Option<&'static [u8]> {
        match self.kind {
            Kind::Rsa => None,
            Kind::P256 => Some(oid::P256),
            Kind::P384 => Some(oid::P384),
        }
    }

    /// `SubjectPublicKeyInfo`, written anew: what is hashed and issued is never what somebody sent.
    pub(crate) fn spki(&self) -> Vec<u8> {
        let algorithm = match self.curve() {
            None => der::sequence(&[&der::oid(oid::RSA), &[der::NULL, 0]]),
            Some(curve) => der::sequence(&[&der::oid(oid::EC), &der::oid(curve)]),
        };
        der::sequence(&[&algorithm, &der::value(der::BIT_STRING, &[&[0], self.key])])
    }

    /// Whether it is an RSA key, to which an envelope can be addressed.
    pub(crate) fn is_rsa(&self) -> bool {
        self.kind == Kind::Rsa
    }

    /// Checks a signature over `message`.
    pub(crate) fn verify(&self, digest: Digest, message: &[u8], signature: &[u8]) -> Result<(), CmsError> {
        let algorithm: &'static dyn VerificationAlgorithm = match (self.kind, digest) {
            (Kind::Rsa, Digest::Sha1) => &RSA_PKCS1_2048_8192_SHA1_FOR_LEGACY_USE_ONLY,
            (Kind::Rsa, Digest::Sha256) => &RSA_PKCS1_2048_8192_SHA256,
            (Kind::Rsa, Digest::Sha384) => &RSA_PKCS1_2048_8192_SHA384,
            (Kind::Rsa, Digest::Sha512) => &RSA_PKCS1_2048_8192_SHA512,
            (Kind::P256, Digest::Sha256) => &ECDSA_P256_SHA256_ASN1,
            (Kind::P256, Digest::Sha384) => &ECDSA_P256_SHA384_ASN1,
            (Kind::P256, Digest::Sha512) => &ECDSA_P256_SHA512_ASN1,
            (Kind::P384, Digest::Sha256) => &ECDSA_P384_SHA256_ASN1,
            (Kind::P384, Digest::Sha384) => &ECDSA_P384_SHA384_ASN1,
            (Kind::P384, Digest::Sha512) => &ECDSA_P384_SHA512_ASN1,
            (_, Digest::Sha1) => return Err(CmsError::NotVerified),
        };
        UnparsedPublicKey::new(algorithm, self.key).verify(message, signature).map_err(|_| CmsError::NotVerified)
    }
}

/// That these bytes are one point that is not compressed.
fn point(bytes: &[u8], length: usize) -> Result<(), CmsError> {
    if bytes.len() == length && bytes[0] == 4 { Ok(()) } else { Err(CmsError::Malformed) }
}

/// That these bytes are a modulus and an exponent, positive and in their shortest form, and nothing else.
fn rsa_public_key(bytes: &[u8]) -> Result<(), CmsError> {
    let mut inside = der::Reader::new(der::only(bytes, der::SEQUENCE)?);
    for number in [inside.expect(der::INTEGER)?, inside.expect(der::INTEGER)?] {
        match number {
            [1..0x80, ..] | [0, 0x80..=0xff, ..] => (),
            _ => return Err(CmsError::Malformed),
        }
    }
    inside.end()
}
