//! Kerberos as strangers send it: proofs, tickets with their PAC, keytabs, and a domain controller's replies.
#![no_main]

use libfuzzer_sys::fuzz_target;
use muster_model::{enrol::DomainProof, id::Hash, time::UnixMillis};
use muster_trust::kerberos::{Acceptor, Keytab, inspect, service_of};

fuzz_target!(|bytes: &[u8]| {
    let _ = serde_json::from_slice::<DomainProof>(bytes);
    let _ = inspect(bytes);
    let keytabs = [Keytab::default()];
    let acceptor = Acceptor { keytabs: &keytabs, realm: "LAB.EXAMPLE", service: "muster/site.example" };
    assert!(
        acceptor.accept(bytes, &Hash([0; 32]), UnixMillis(1_790_000_000_000)).is_err(),
        "without a key nobody comes in"
    );
    let _ = service_of(bytes);
});
