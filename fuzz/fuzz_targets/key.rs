//! Public and private keys, in DER and PEM.
#![no_main]

use libfuzzer_sys::fuzz_target;
use muster_trust::{PrivateKey, PublicKey};

fuzz_target!(|bytes: &[u8]| {
    if let Ok(key) = PublicKey::from_spki(bytes) {
        assert_eq!(PublicKey::from_spki(&key.spki()).map(|k| k.id()).ok(), Some(key.id()), "one key, one id");
    }
    let _ = PublicKey::from_point(bytes);
    let _ = PrivateKey::from_pkcs8(bytes);
    if let Ok(text) = std::str::from_utf8(bytes) {
        let _ = PublicKey::from_pem(text);
        // Without a passphrase: an encrypted key costs a deliberate second of key derivation.
        let _ = PrivateKey::from_pem(text, None);
    }
});
