//! Revocation lists in DER: of an enterprise's issuer, from whoever answers where it should be, and of this site's own kind.
#![no_main]

use libfuzzer_sys::fuzz_target;
use muster_model::time::UnixMillis;
use muster_trust::{
    PrivateKey, PublicKey, certificate, crl,
    enterprise::{EnterpriseIssuer, ForeignList, ListError, Serial},
};
use std::sync::LazyLock;

const NOW: UnixMillis = UnixMillis(1_780_000_000_000);

static CA: LazyLock<(PublicKey, EnterpriseIssuer)> = LazyLock::new(|| {
    let key = PrivateKey::generate().expect("a key");
    let certificate = certificate::root("LAB".parse().expect("a code"), &key, NOW).expect("a certificate");
    (key.public().clone(), EnterpriseIssuer::read(&certificate).expect("an issuer"))
});

fuzz_target!(|bytes: &[u8]| {
    let error = ForeignList::read(bytes, &CA.1).expect_err("nobody else has the key");
    assert!(matches!(error, ListError::Malformed | ListError::Foreign | ListError::Forged), "{error}");
    assert!(crl::read(bytes, &CA.0).is_err(), "nobody else has the key");
    let serial = Serial::new(bytes);
    assert_eq!(Serial::from_hex(&serial.to_string()), Some(serial));
});
