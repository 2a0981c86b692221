//! Certificates and signing requests in DER, from whoever connects.
#![no_main]

use libfuzzer_sys::fuzz_target;
use muster_trust::certificate;

fuzz_target!(|bytes: &[u8]| {
    let _ = certificate::client_identity(bytes);
    let _ = certificate::public_key(bytes);
    let _ = certificate::signing_request_key(bytes);
});
