//! A trust bundle, a kept chain of them, and a proposal for one: their JSON, their consistency, and their envelopes under a pin
//! that nobody holds.
#![no_main]

use libfuzzer_sys::fuzz_target;
use muster_model::{id::Hash, time::UnixMillis};
use muster_trust::{TrustBundle, TrustChain, proposal::Proposal};

fuzz_target!(|bytes: &[u8]| {
    let site = "LAB".parse().expect("a site code");
    assert!(TrustBundle::first(bytes, &Hash::ZERO, site, UnixMillis(0)).is_err(), "a forged trust bundle was believed");
    assert!(TrustChain::kept(bytes, &Hash::ZERO, site).is_err(), "a forged chain of trust bundles was believed");
    if let Ok(proposal) = serde_json::from_slice::<Proposal>(bytes) {
        let _ = proposal.prepare(&[]);
        let _ = proposal.standing();
    }
    if let Ok(bundle) = serde_json::from_slice::<TrustBundle>(bytes) {
        let _ = bundle.check(site, UnixMillis(0));
        let _ = bundle.next(bytes, UnixMillis(0));
        let _ = bundle.policy_key(&Hash::ZERO);
        let _ = bundle.author_key(&Hash::ZERO);
    }
});
