//! Bytes of a real (software) TPM, recorded by `crates/muster-tests/tests/story/forgeries.rs`, and everything that is one step beside them.

use super::*;
use base64::{Engine, engine::general_purpose::STANDARD as BASE64};

/// One honest attestation, and who vouches for the TPM.
#[derive(serde::Deserialize)]
struct Recorded {
    time: i64,
    roots: Vec<String>,
    endorsement_certificate: String,
    endorsement_key: String,
    attestation_key: String,
    device_key: String,
    nonce: Hash,
    exporter: Hash,
    claims: DeviceClaims,
    statement: String,
    signature: String,
}

impl Recorded {
    fn new() -> Self {
        serde_json::from_str(include_str!("../../tests/trust/attestation.json")).unwrap()
    }

    fn now(&self) -> UnixMillis {
        UnixMillis(self.time)
    }

    fn roots(&self) -> Vec<Vec<u8>> {
        self.roots.iter().map(|root| bytes(root)).collect()
    }

    fn offer(&self) -> Offer {
        Offer::read(&bytes(&self.endorsement_key), &bytes(&self.attestation_key)).unwrap()
    }

    /// The challenge that was answered, with a secret that this test knows.
    fn challenge(&self) -> Challenge {
        let mut challenge = self.offer().challenge().unwrap();
        (challenge.nonce, challenge.secret) = (self.nonce, Zeroizing::new([7; 32]));
        challenge
    }

    fn verify(&self) -> Result<Attested, AttestationError> {
        let (device_key, statement, signature) =
            (bytes(&self.device_key), bytes(&self.statement), bytes(&self.signature));
        let proof = Proof { secret: &[7; 32], device_key: &device_key, statement: &statement, signature: &signature };
        self.challenge().verify(&proof, &self.exporter, &self.claims)
    }
}

fn bytes(text: &str) -> Vec<u8> {
    BASE64.decode(text).unwrap()
}

// proves S4
#[test]
fn a_recorded_attestation_is_believed_and_nothing_beside_it() {
    let good = Recorded::new();
    let attested = good.verify().unwrap();
    assert_eq!(attested.hardware(), good.offer().hardware());
    assert_eq!(attested.key(), &public::device_public(&bytes(&good.device_key)).unwrap());
    assert_eq!(good.offer().vouched(&bytes(&good.endorsement_certificate), &good.roots(), good.now()), Ok(()));

    let after = |change: fn(&mut Recorded)| {
        let mut other = Recorded::new();
        change(&mut other);
        other.verify().unwrap_err()
    };
    assert_eq!(after(|r| r.nonce.0[0] ^= 1), AttestationError::Nonce);
    assert_eq!(after(|r| r.exporter.0[31] ^= 1), AttestationError::Nonce);
    assert_eq!(after(|r| r.claims.host_name.push('x')), AttestationError::Nonce);
    assert_eq!(after(|r| r.claims.hardware_id.0[0] ^= 1), AttestationError::Nonce);
    let (device_key, statement, signature) = (bytes(&good.device_key), bytes(&good.statement), bytes(&good.signature));
    let proof = Proof { secret: &[8; 32], device_key: &device_key, statement: &statement, signature: &signature };
    let wrong = good.challenge().verify(&proof, &good.exporter, &good.claims);
    assert_eq!(wrong, Err(AttestationError::Credential));
}

#[test]
fn no_altered_or_cut_byte_is_believed() {
    let good = Recorded::new();
    let parts: [fn(&mut Recorded) -> &mut String; 3] =
        [|r| &mut r.device_key, |r| &mut r.statement, |r| &mut r.signature];
    for part in parts {
        let length = bytes(part(&mut Recorded::new())).len();
        for at in 0..length {
            let mut other = Recorded::new();
            let mut altered = bytes(part(&mut other));
            altered[at] ^= 1;
            *part(&mut other) = BASE64.encode(&altered);
            assert!(other.verify().is_err(), "byte {at}");
            *part(&mut other) = BASE64.encode(&altered[..at]);
            assert!(other.verify().is_err(), "cut at {at}");
        }
        let mut longer = Recorded::new();
        let mut with_more = bytes(part(&mut longer));
        with_more.push(0);
        *part(&mut longer) = BASE64.encode(&with_more);
        assert!(longer.verify().is_err());
    }
    let endorsement_key = bytes(&good.endorsement_key);
    // Everything before the key itself is the standard's: not a bit of it may differ.
    for at in 0..endorsement_key.len() - 256 {
        let mut altered = endorsement_key.clone();
        altered[at] ^= 1;
        assert!(Offer::read(&altered, &bytes(&good.attestation_key)).is_err(), "byte {at}");
    }
}

#[test]
fn only_a_pinned_vendor_vouches_for_exactly_this_key_in_time() {
    let good = Recorded::new();
    let (certificate, roots, now) = (bytes(&good.endorsement_certificate), good.roots(), good.now());
    let judged = |certificate: &[u8], roots: &[Vec<u8>], now| good.offer().vouched(certificate, roots, now);
    assert_eq!(judged(&certificate, &[], now), Err(AttestationError::EndorsementUnknown));
    let stranger = crate::PrivateKey::generate().unwrap();
    let other = crate::certificate::root("ABC".parse().unwrap(), &stranger, now).unwrap();
    assert!(is_root(&other) && is_root(&roots[0]) && !is_root(b"no"));
    assert_eq!(judged(&certificate, std::slice::from_ref(&other), now), Err(AttestationError::EndorsementUnknown));
    assert_eq!(judged(&other, &roots, now), Err(AttestationError::EndorsementMismatch));
    assert_eq!(judged(b"", &roots, now), Err(AttestationError::Malformed));
    let before = UnixMillis(0);
    assert_eq!(judged(&certificate, &roots, before), Err(AttestationError::EndorsementUnknown));
    for at in 0..certificate.len() {
        let mut altered = certificate.clone();
        altered[at] ^= 1;
        assert!(judged(&altered, &roots, now).is_err(), "byte {at}");
    }
}

#[test]
fn the_attributes_that_bind_a_key_are_each_needed() {
    let good = Recorded::new();
    let with = |area: &str, flip: u32| {
        let mut area = bytes(area);
        let attributes = u32::from_be_bytes(area[4..8].try_into().unwrap());
        area[4..8].copy_from_slice(&(attributes ^ flip).to_be_bytes());
        SigningArea::read(&area).unwrap()
    };
    let (fixed_tpm, fixed_parent, origin, restricted, decrypt, sign) =
        (1 << 1, 1 << 4, 1 << 5, 1 << 16, 1 << 17, 1 << 18);
    assert!(with(&good.attestation_key, 0).is_attestation_key() && with(&good.device_key, 0).is_device_key());
    for flip in [fixed_tpm, fixed_parent, origin, restricted, decrypt, sign] {
        assert!(!with(&good.attestation_key, flip).is_attestation_key(), "{flip:x}");
        assert!(!with(&good.device_key, flip).is_device_key(), "{flip:x}");
    }
}

/// A vendor, as far as a test needs one: its root, and the certificate that it gives to an endorsement key.
fn vendor(spki: &[u8], change: impl FnOnce(&mut rcgen::CertificateParams)) -> (Vec<u8>, Vec<u8>) {
    let mut ca = rcgen::CertificateParams::default();
    ca.is_ca = rcgen::IsCa::Ca(rcgen::BasicConstraints::Unconstrained);
    let key = crate::PrivateKey::generate().unwrap().issuer_key().unwrap();
    let root = ca.self_signed(&key).unwrap().der().to_vec();
    let mut params = rcgen::CertificateParams::default();
    params.key_usages = vec![rcgen::KeyUsagePurpose::KeyEncipherment];
    params.extended_key_usages = vec![rcgen::ExtendedKeyUsagePurpose::Other(vec![2, 23, 133, 8, 1])];
    change(&mut params);
    let spki = rcgen::SubjectPublicKeyInfo::from_der(spki).unwrap();
    let issued = params.signed_by(&spki, &rcgen::Issuer::new(ca, key)).unwrap();
    (root, issued.der().to_vec())
}

/// The public area of a P-256 endorsement key.
fn p256_area(key: &crate::PrivateKey) -> Vec<u8> {
    let template = public::template::endorsement_p256();
    let head = &template[..template.len() - 68];
    let point = key.public().point();
    [head, &wire::sized(&point[1..33]), &wire::sized(&point[33..])].concat()
}

// proves S4: the vendor of a blocked TPM does not bring it back under its second endorsement key.
#[test]
fn a_vendor_vouches_for_one_hardware_identity_of_a_tpm() {
    let good = Recorded::new();
    let rsa = good.offer();
    let (root, certificate) = vendor(&rsa.endorsement.spki(), |_| {});
    assert_eq!(rsa.vouched(&certificate, &[root], good.now()), Ok(()));
    let second = crate::PrivateKey::generate().unwrap();
    let p256 = Offer::read(&p256_area(&second), &bytes(&good.attestation_key)).unwrap();
    assert_ne!(p256.hardware(), rsa.hardware());
    let (root, certificate) = vendor(&second.public().spki(), |params| {
        params.key_usages = vec![rcgen::KeyUsagePurpose::KeyAgreement];
    });
    assert_eq!(
        p256.vouched(&certificate, std::slice::from_ref(&root), good.now()),
        Err(AttestationError::EndorsementKind)
    );
    assert_eq!(p256.vouched(&certificate, &[], good.now()), Err(AttestationError::EndorsementUnknown));
    assert_eq!(rsa.vouched(&certificate, &[root], good.now()), Err(AttestationError::EndorsementMismatch));
}

// proves S4: what else a vendor's CA certifies is no endorsement key.
#[test]
fn a_certificate_that_is_not_said_to_be_of_an_endorsement_key_vouches_for_none() {
    use rcgen::{ExtendedKeyUsagePurpose::ServerAuth, KeyUsagePurpose::DigitalSignature};
    let good = Recorded::new();
    let changes: [fn(&mut rcgen::CertificateParams); 4] = [
        |params| params.extended_key_usages.clear(),
        |params| params.extended_key_usages = vec![ServerAuth],
        |params| params.key_usages.clear(),
        |params| params.key_usages = vec![DigitalSignature],
    ];
    for change in changes {
        let (root, certificate) = vendor(&good.offer().endorsement.spki(), change);
        let judged = good.offer().vouched(&certificate, &[root], good.now());
        assert_eq!(judged, Err(AttestationError::EndorsementUnknown));
    }
}

#[test]
fn both_kinds_of_endorsement_key_get_a_challenge() {
    let good = Recorded::new();
    let key = crate::PrivateKey::generate().unwrap();
    let area = p256_area(&key);
    assert_eq!(public::hardware_id(&area).unwrap(), key.public().id());
    let offer = Offer::read(&area, &bytes(&good.attestation_key)).unwrap();
    let challenge = offer.challenge().unwrap();
    let (blob, seed) = challenge.credential();
    assert_eq!((blob.len(), seed.len()), (2 + 32 + 34, 68));
    let (blob, seed) = (good.challenge().credential.blob.len(), good.challenge().credential.seed.len());
    assert_eq!((blob, seed), (2 + 32 + 34, 256));
}
