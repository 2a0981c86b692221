//! CMS from anybody, in BER: made definite, read, verified and opened.
#![no_main]

use libfuzzer_sys::fuzz_target;
use muster_trust::cms::{
    CmsError, MAX_BYTES, RsaKey, ber, certificate,
    enveloped::{self, Cipher},
    request::SigningRequest,
    signed::{Sha1, SignedData},
};
use std::sync::LazyLock;

/// A recipient: a key, and a certificate that names it.
static RECIPIENT: LazyLock<(Vec<u8>, RsaKey)> = LazyLock::new(|| {
    let key = RsaKey::generate().expect("a key");
    let ca_key = muster_trust::PrivateKey::generate().expect("a key");
    let now = muster_model::time::UnixMillis(1_780_000_000_000);
    let site = "ABC".parse().expect("a code");
    let root = muster_trust::certificate::root(site, &ca_key, now).expect("a certificate");
    let ca = muster_trust::certificate::IssuingCa::new(root, &ca_key).expect("a CA");
    (ca.authority(site, key.spki(), now).expect("a certificate").der, key)
});

fuzz_target!(|bytes: &[u8]| {
    let (certificate, key) = &*RECIPIENT;
    if let Ok(der) = ber::to_der(bytes, MAX_BYTES) {
        assert_eq!(ber::to_der(&der, der.len()), Ok(der.clone()), "what is definite stays as it is");
    }
    if let Ok(read) = SignedData::read(bytes) {
        let detached = read.content().is_none().then_some(&b"text"[..]);
        for sha1 in [Sha1::Refused, Sha1::TakenForMdmSignature] {
            if let Err(error) = read.verify(detached, &[], sha1) {
                assert_eq!(error, CmsError::NotVerified);
            }
        }
    }
    // The key is new in each run: nobody can have sealed anything to it.
    assert_eq!(enveloped::open(bytes, certificate, key), Err(CmsError::NotOpened));
    if certificate::parts(bytes).is_ok() {
        let _ = enveloped::seal(b"text", bytes, Cipher::Aes128);
    }
    let _ = SigningRequest::read(bytes);
});
