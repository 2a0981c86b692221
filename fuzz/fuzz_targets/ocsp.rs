//! OCSP requests from anybody, and the status that a server shows, in DER.
#![no_main]

use libfuzzer_sys::fuzz_target;
use muster_model::time::UnixMillis;
use muster_trust::{
    PrivateKey, certificate,
    ocsp::{Issuer, Request, read_status},
    server_status::StatusMemory,
};
use std::sync::LazyLock;

const NOW: UnixMillis = UnixMillis(1_780_000_000_000);

/// A CA's certificate, and its name in requests and answers.
static CA: LazyLock<(Vec<u8>, Issuer)> = LazyLock::new(|| {
    let key = PrivateKey::generate().expect("a key");
    let certificate = certificate::root("ABC".parse().expect("a code"), &key, NOW).expect("a certificate");
    let issuer = Issuer::from_certificate(&certificate).expect("an issuer");
    (certificate, issuer)
});

fuzz_target!(|bytes: &[u8]| {
    if let Ok(request) = Request::read(bytes) {
        let asked = request.serials(&CA.1);
        assert!(!asked.is_empty() && asked.len() <= 8);
    }
    assert!(read_status(bytes, &CA.1, 7).is_err(), "nobody else has the key");
    let memory = StatusMemory::restored([("server".to_owned(), bytes.to_vec())]);
    assert!(memory.check("server", &CA.0, std::slice::from_ref(&CA.0), bytes, NOW).is_err());
    let _ = certificate::serial_number(bytes);
});
