//! Sealed secrets, and the statements of the keys that they are sealed to, from a site that may be anybody's.
#![no_main]

use libfuzzer_sys::fuzz_target;
use muster_model::secret::SealedSecret;
use muster_trust::{
    PrivateKey, envelope,
    secret::{SealingPrivateKey, open_statement},
};
use std::sync::LazyLock;

static KEYS: LazyLock<(PrivateKey, SealingPrivateKey)> =
    LazyLock::new(|| (PrivateKey::generate().expect("a key"), SealingPrivateKey::generate().expect("a sealing key")));

fuzz_target!(|bytes: &[u8]| {
    let (device, sealing) = &*KEYS;
    assert!(open_statement(bytes, device.public()).is_err(), "nobody else has the device's key");
    assert!(envelope::open_json::<SealedSecret>(bytes, 1, |_| Some(device.public().clone())).is_err());
    if let Ok(mut secret) = serde_json::from_slice::<SealedSecret>(bytes) {
        assert!(sealing.open(&secret).is_err(), "it is sealed to another key");
        secret.key = sealing.public().id();
        assert!(sealing.open(&secret).is_err(), "nobody sealed anything to this one");
    }
    let _ = SealingPrivateKey::from_kept(bytes);
});
