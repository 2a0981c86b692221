//! Envelopes of one and of several signers. Nothing that the fuzzer makes may ever be believed.
#![no_main]

use std::sync::LazyLock;

use libfuzzer_sys::fuzz_target;
use muster_trust::{PrivateKey, PublicKey, envelope};

/// A key that signs nothing here: whatever verifies under it is a forgery.
static KEY: LazyLock<PublicKey> =
    LazyLock::new(|| PrivateKey::generate().expect("the system has randomness").public().clone());

fuzz_target!(|bytes: &[u8]| {
    for content_type in ["application/vnd.muster.report+json+zstd", "application/vnd.muster.application+json"] {
        assert!(envelope::open1(bytes, content_type, |_| Some(KEY.clone())).is_err(), "a forged envelope was believed");
        assert!(
            envelope::open(bytes, content_type, 1, |_| Some(KEY.clone())).is_err(),
            "a forged envelope was believed"
        );
    }
    let _ = envelope::unverified_payload(bytes);
});
