//! Certificates and signing requests in DER, from whoever connects; and files of certificates and keys on a client's disk.
#![no_main]

use libfuzzer_sys::fuzz_target;
use muster_model::{api::IssuerCriteria, time::UnixMillis};
use muster_trust::{
    PrivateKey, certificate,
    enterprise::{self, Choice, EnterpriseIssuer},
};
use std::sync::LazyLock;

const NOW: UnixMillis = UnixMillis(1_780_000_000_000);

static CA: LazyLock<EnterpriseIssuer> = LazyLock::new(|| {
    let key = PrivateKey::generate().expect("a key");
    let certificate = certificate::root("LAB".parse().expect("a code"), &key, NOW).expect("a certificate");
    EnterpriseIssuer::read(&certificate).expect("an issuer")
});

fuzz_target!(|bytes: &[u8]| {
    let _ = certificate::client_identity(bytes);
    let _ = certificate::public_key(bytes);
    let _ = certificate::signing_request_key(bytes);
    let _ = EnterpriseIssuer::read(bytes);
    assert!(CA.judge(bytes, &IssuerCriteria::default(), NOW).is_err(), "nobody else has the key");
    let found = enterprise::candidates(&[("file.pem".to_owned(), bytes.to_vec())]);
    assert!(Choice::of(&found, &[(CA.clone(), IssuerCriteria::default())], NOW).is_err(), "nobody else has the key");
});
