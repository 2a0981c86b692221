//! Public areas of TPM keys (`TPMT_PUBLIC`): the few kinds that Muster uses, and the templates that a client makes them from.

use super::{
    AttestationError,
    wire::{Reader, sized},
};
use crate::{PublicKey, sha256};
use muster_model::id::Hash;

const ALG_RSA: u16 = 0x0001;
const ALG_AES: u16 = 0x0006;
const ALG_SHA256: u16 = 0x000b;
const ALG_NULL: u16 = 0x0010;
const ALG_ECDSA: u16 = 0x0018;
const ALG_ECC: u16 = 0x0023;
const ALG_CFB: u16 = 0x0043;
const CURVE_P256: u16 = 0x0003;

/// Attributes of a key.
mod attribute {
    pub(super) const FIXED_TPM: u32 = 1 << 1;
    pub(super) const FIXED_PARENT: u32 = 1 << 4;
    pub(super) const SENSITIVE_DATA_ORIGIN: u32 = 1 << 5;
    pub(super) const USER_WITH_AUTH: u32 = 1 << 6;
    pub(super) const ADMIN_WITH_POLICY: u32 = 1 << 7;
    pub(super) const NO_DA: u32 = 1 << 10;
    pub(super) const RESTRICTED: u32 = 1 << 16;
    pub(super) const DECRYPT: u32 = 1 << 17;
    pub(super) const SIGN: u32 = 1 << 18;
}
use attribute as a;

/// Made in this TPM, and it cannot leave it.
const BORN_HERE: u32 = a::FIXED_TPM | a::FIXED_PARENT | a::SENSITIVE_DATA_ORIGIN;
/// The attributes of an endorsement key (TCG EK Credential Profile, template L-1 and L-2).
const ENDORSEMENT: u32 = BORN_HERE | a::ADMIN_WITH_POLICY | a::RESTRICTED | a::DECRYPT;
/// `PolicySecret(TPM_RH_ENDORSEMENT)`: who may use the endorsement hierarchy may use the key.
const ENDORSEMENT_POLICY: [u8; 32] = [
    0x83, 0x71, 0x97, 0x67, 0x44, 0x84, 0xb3, 0xf8, 0x1a, 0x90, 0xcc, 0x8d, 0x46, 0xa5, 0xd7, 0x24, 0xfd, 0x52, 0xd7,
    0x6e, 0x06, 0x52, 0x0b, 0x64, 0xf2, 0xa1, 0xda, 0x1b, 0x33, 0x14, 0x69, 0xaa,
];

/// What an endorsement key's public area says before its key: AES-128 in CFB mode, no scheme.
fn endorsement_head(kind: u16) -> Vec<u8> {
    let mut head = head(kind, ENDORSEMENT, &ENDORSEMENT_POLICY);
    for word in [ALG_AES, 128, ALG_CFB, ALG_NULL] {
        head.extend(word.to_be_bytes());
    }
    match kind {
        ALG_RSA => head.extend([2048_u16.to_be_bytes(), [0, 0], [0, 0]].concat()),
        _ => head.extend([CURVE_P256.to_be_bytes(), ALG_NULL.to_be_bytes()].concat()),
    }
    head
}

fn head(kind: u16, attributes: u32, policy: &[u8]) -> Vec<u8> {
    [&kind.to_be_bytes()[..], &ALG_SHA256.to_be_bytes(), &attributes.to_be_bytes(), &sized(policy)].concat()
}

/// A P-256 key that signs with ECDSA and SHA-256.
fn signer_head(attributes: u32) -> Vec<u8> {
    let mut head = head(ALG_ECC, attributes, &[]);
    for word in [ALG_NULL, ALG_ECDSA, ALG_SHA256, CURVE_P256, ALG_NULL] {
        head.extend(word.to_be_bytes());
    }
    head
}

/// The templates that a client gives to its TPM; only the key itself is missing.
pub mod template {
    use super::{
        ALG_AES, ALG_CFB, ALG_ECC, ALG_NULL, ALG_RSA, BORN_HERE, CURVE_P256, a, endorsement_head, head, signer_head,
        sized,
    };

    /// The endorsement key of 2048 bits whose certificate lies at NV index `0x01c0_0002`.
    #[must_use]
    pub fn endorsement_rsa() -> Vec<u8> {
        [endorsement_head(ALG_RSA), sized(&[0; 256])].concat()
    }

    /// The endorsement key on P-256 whose certificate lies at NV index `0x01c0_000a`.
    #[must_use]
    pub fn endorsement_p256() -> Vec<u8> {
        [endorsement_head(ALG_ECC), sized(&[0; 32]), sized(&[0; 32])].concat()
    }

    /// The attestation key: restricted, so that it signs nothing that looks like a statement of the TPM but is none.
    #[must_use]
    pub fn attestation() -> Vec<u8> {
        let attributes = BORN_HERE | a::USER_WITH_AUTH | a::NO_DA | a::RESTRICTED | a::SIGN;
        [signer_head(attributes), sized(&[]), sized(&[])].concat()
    }

    /// The device's key: it signs what it is given, and nothing else.
    #[must_use]
    pub fn device() -> Vec<u8> {
        [signer_head(BORN_HERE | a::USER_WITH_AUTH | a::NO_DA | a::SIGN), sized(&[]), sized(&[])].concat()
    }

    /// The storage key above the device's key; the same in every TPM of the standard, so that it need not be kept.
    #[must_use]
    pub fn storage() -> Vec<u8> {
        let attributes = BORN_HERE | a::USER_WITH_AUTH | a::NO_DA | a::RESTRICTED | a::DECRYPT;
        let mut template = head(ALG_ECC, attributes, &[]);
        for word in [ALG_AES, 128, ALG_CFB, ALG_NULL, CURVE_P256, ALG_NULL] {
            template.extend(word.to_be_bytes());
        }
        [template, sized(&[0; 32]), sized(&[0; 32])].concat()
    }
}

/// An endorsement key of the standard template.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum EndorsementKey {
    /// RSA, 2048 bits, exponent 65537.
    Rsa(Box<[u8; 256]>),
    /// P-256.
    P256(PublicKey),
}

impl EndorsementKey {
    /// From a public area. Whatever is not exactly the standard template with a key in it is refused: another policy or
    /// attribute would be another key than the one that the vendor certified.
    pub(super) fn read(public: &[u8]) -> Result<Self, AttestationError> {
        let other = AttestationError::EndorsementKey;
        if let Some(rest) = public.strip_prefix(&endorsement_head(ALG_RSA)[..]) {
            let mut reader = Reader::new(rest);
            let modulus: Box<[u8; 256]> = reader.sized()?.to_vec().into_boxed_slice().try_into().map_err(|_| other)?;
            reader.end()?;
            return if modulus[0] & 0x80 != 0 { Ok(Self::Rsa(modulus)) } else { Err(other) };
        }
        let rest = public.strip_prefix(&endorsement_head(ALG_ECC)[..]).ok_or(other)?;
        point(rest).map(Self::P256)
    }

    /// `SubjectPublicKeyInfo`, DER; as it stands in the vendor's certificate.
    pub(super) fn spki(&self) -> Vec<u8> {
        match self {
            Self::P256(key) => key.spki(),
            Self::Rsa(modulus) => {
                const ALGORITHM: [u8; 15] =
                    [0x30, 0x0d, 0x06, 0x09, 0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 0x01, 0x01, 0x01, 0x05, 0x00];
                let key = der(0x30, &[der(0x02, &[&[0], &modulus[..]].concat()), der(0x02, &[1, 0, 1])].concat());
                der(0x30, &[&ALGORITHM[..], &der(0x03, &[&[0], &key[..]].concat())].concat())
            }
        }
    }
}

/// One value in DER; shorter than 64 KiB.
fn der(tag: u8, content: &[u8]) -> Vec<u8> {
    let length = content.len().to_be_bytes();
    let head: &[u8] = match content.len() {
        0..0x80 => &length[length.len() - 1..],
        0x80..0x100 => &[0x81, length[length.len() - 1]],
        _ => &[0x82, length[length.len() - 2], length[length.len() - 1]],
    };
    [&[tag], head, content].concat()
}

/// A point on P-256, which ends a public area.
fn point(rest: &[u8]) -> Result<PublicKey, AttestationError> {
    let mut reader = Reader::new(rest);
    let (x, y) = (coordinate(reader.sized()?)?, coordinate(reader.sized()?)?);
    reader.end()?;
    PublicKey::from_point(&[&[4], &x[..], &y[..]].concat()).map_err(|_| AttestationError::Malformed)
}

/// 32 bytes; some TPMs leave out leading zeros.
pub(super) fn coordinate(bytes: &[u8]) -> Result<[u8; 32], AttestationError> {
    let mut whole = [0; 32];
    let from = whole.len().checked_sub(bytes.len()).ok_or(AttestationError::Malformed)?;
    whole[from..].copy_from_slice(bytes);
    Ok(whole)
}

/// A P-256 key in a TPM that signs with ECDSA and SHA-256.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct SigningArea {
    attributes: u32,
    pub(super) key: PublicKey,
    /// The name by which the TPM knows it: hash algorithm, and hash of the public area.
    pub(super) name: [u8; 34],
}

impl SigningArea {
    pub(super) fn read(public: &[u8]) -> Result<Self, AttestationError> {
        let mut reader = Reader::new(public);
        let (kind, hash, attributes) = (reader.u16()?, reader.u16()?, reader.u32()?);
        let policy = reader.sized()?;
        let expected = signer_head(attributes);
        if (kind, hash) != (ALG_ECC, ALG_SHA256) || !policy.is_empty() {
            return Err(AttestationError::Malformed);
        }
        let rest = public.strip_prefix(&expected[..]).ok_or(AttestationError::Malformed)?;
        Ok(Self { attributes, key: point(rest)?, name: name(public) })
    }

    /// Whether it was made in its TPM, stays there, and signs only what that TPM itself has made.
    pub(super) fn is_attestation_key(&self) -> bool {
        let needed = BORN_HERE | a::RESTRICTED | a::SIGN;
        self.attributes & (needed | a::DECRYPT) == needed
    }

    /// Whether it was made in its TPM, stays there, and is for signing.
    pub(super) fn is_device_key(&self) -> bool {
        let needed = BORN_HERE | a::SIGN;
        self.attributes & (needed | a::DECRYPT | a::RESTRICTED) == needed
    }
}

fn name(public: &[u8]) -> [u8; 34] {
    let mut name = [0; 34];
    name[..2].copy_from_slice(&ALG_SHA256.to_be_bytes());
    name[2..].copy_from_slice(&sha256(public).0);
    name
}

/// The public key in the public area of a device's key, as the TPM returned it; the client needs it for its certificate.
///
/// # Errors
/// [`AttestationError::Malformed`].
pub fn device_public(public: &[u8]) -> Result<PublicKey, AttestationError> {
    Ok(SigningArea::read(public)?.key)
}

/// The hardware identity of an endorsement key: SHA-256 of its `SubjectPublicKeyInfo`.
///
/// # Errors
/// When it is not of the standard template.
pub fn hardware_id(public: &[u8]) -> Result<Hash, AttestationError> {
    Ok(sha256(&EndorsementKey::read(public)?.spki()))
}
