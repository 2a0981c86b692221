//! `TPM2_MakeCredential` without a TPM (Trusted Platform Module Library, part 1, section 24): a secret that only the TPM with
//! this endorsement key gives out, and only while it holds the key of this name.

use super::{AttestationError, public::EndorsementKey, wire::sized};
use aws_lc_rs::{
    agreement::{ECDH_P256, EphemeralPrivateKey, UnparsedPublicKey, agree_ephemeral},
    cipher::{AES_128, EncryptingKey, EncryptionContext, UnboundCipherKey},
    hmac,
    iv::FixedLength,
    rand::SystemRandom,
    rsa::{OAEP_SHA256_MGF1SHA256, OaepPublicEncryptingKey, PublicEncryptingKey},
};
use zeroize::Zeroizing;

const IDENTITY: &[u8] = b"IDENTITY\0";

/// A credential as the TPM takes it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Credential {
    /// Content of `TPM2B_ID_OBJECT`.
    pub(super) blob: Vec<u8>,
    /// Content of `TPM2B_ENCRYPTED_SECRET`.
    pub(super) seed: Vec<u8>,
}

/// Wraps `secret` for the TPM with this endorsement key, bound to the key of this name.
pub(super) fn make(
    endorsement: &EndorsementKey,
    name: &[u8; 34],
    secret: &[u8; 32],
) -> Result<Credential, AttestationError> {
    let (seed, encrypted_seed) = match endorsement {
        EndorsementKey::Rsa(_) => rsa_seed(&endorsement.spki())?,
        EndorsementKey::P256(key) => p256_seed(key.point())?,
    };
    let mut identity = sized(secret);
    let key = kdfa(&seed, b"STORAGE\0", name, 128);
    let key = UnboundCipherKey::new(&AES_128, &key[..16]).map_err(|_| AttestationError::Random)?;
    // The key is new and used once, so the standard's fixed vector of zeros repeats nothing.
    let context = EncryptionContext::Iv128(FixedLength::from([0; 16]));
    EncryptingKey::cfb128(key)
        .and_then(|key| key.less_safe_encrypt(&mut identity, context))
        .map_err(|_| AttestationError::Random)?;
    let integrity = kdfa(&seed, b"INTEGRITY\0", &[], 256);
    let mut mac = hmac::Context::with_key(&hmac::Key::new(hmac::HMAC_SHA256, &integrity[..]));
    mac.update(&identity);
    mac.update(name);
    Ok(Credential { blob: [sized(mac.sign().as_ref()), identity].concat(), seed: encrypted_seed })
}

fn rsa_seed(spki: &[u8]) -> Result<(Zeroizing<[u8; 32]>, Vec<u8>), AttestationError> {
    let bad = |_| AttestationError::EndorsementKey;
    let mut seed = Zeroizing::new([0; 32]);
    crate::random(&mut seed[..]).map_err(|_| AttestationError::Random)?;
    let key = PublicEncryptingKey::from_der(spki).map_err(|_| AttestationError::EndorsementKey)?;
    let key = OaepPublicEncryptingKey::new(key).map_err(bad)?;
    let mut encrypted = vec![0; key.ciphertext_size()];
    key.encrypt(&OAEP_SHA256_MGF1SHA256, &seed[..], &mut encrypted, Some(IDENTITY)).map_err(bad)?;
    Ok((seed, encrypted))
}

fn p256_seed(endorsement: &[u8; 65]) -> Result<(Zeroizing<[u8; 32]>, Vec<u8>), AttestationError> {
    let private =
        EphemeralPrivateKey::generate(&ECDH_P256, &SystemRandom::new()).map_err(|_| AttestationError::Random)?;
    let public = private.compute_public_key().map_err(|_| AttestationError::Random)?;
    let (x, y) = (&public.as_ref()[1..33], &public.as_ref()[33..65]);
    let peer = UnparsedPublicKey::new(&ECDH_P256, endorsement);
    let seed = agree_ephemeral(private, peer, AttestationError::EndorsementKey, |shared| {
        let input = Zeroizing::new([&1_u32.to_be_bytes()[..], shared, IDENTITY, x, &endorsement[1..33]].concat());
        Ok(Zeroizing::new(crate::sha256(&input).0))
    })?;
    Ok((seed, [sized(x), sized(y)].concat()))
}

/// KDFa of the standard, with HMAC-SHA-256, for at most one block; `label` ends with its zero byte.
fn kdfa(key: &[u8; 32], label: &[u8], context: &[u8], bits: u32) -> Zeroizing<[u8; 32]> {
    let mut mac = hmac::Context::with_key(&hmac::Key::new(hmac::HMAC_SHA256, key));
    for part in [&1_u32.to_be_bytes()[..], label, context, &bits.to_be_bytes()] {
        mac.update(part);
    }
    let mut block = Zeroizing::new([0; 32]);
    block.copy_from_slice(mac.sign().as_ref());
    block
}
