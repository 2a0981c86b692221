//! What a root key remembers of what it signed.

use crate::bundle::{NOW, Site};
use muster_trust::{TrustBundle, signed_before::SignedBefore};

// proves S9: who holds a root key is not talked into two trust bundles of one version.
#[test]
fn a_root_key_signs_each_version_once() {
    let site = Site::new();
    let version = |version: u64, expires: i64| TrustBundle {
        version,
        expires: site.bundle.expires.plus(expires),
        ..site.bundle.clone()
    };
    let mut memory = SignedBefore::default();
    assert!(memory.admits(&version(5, 0), Some(3)));
    memory.note(&version(5, 0), Some(3), NOW);
    assert!(memory.admits(&version(5, 0), Some(3)), "the same again is the same");
    assert!(memory.admits(&version(6, 0), Some(4)) && memory.admits(&version(6, 0), None));
    for (next, list) in [(version(5, 1), Some(4)), (version(4, 0), Some(4)), (version(1, 0), None)] {
        assert!(!memory.admits(&next, list), "another {}", next.version);
    }
    assert!(!memory.admits(&version(6, 0), Some(3)), "a list that goes back");
    let elsewhere = TrustBundle { site: "XYZ".parse().unwrap(), ..version(1, 0) };
    assert!(memory.admits(&elsewhere, Some(1)), "another site has its own numbers");
    // What is noted never goes back, and survives its file.
    memory.note(&version(4, 0), Some(1), NOW);
    memory.note(&version(6, 0), None, NOW);
    let memory: SignedBefore = serde_json::from_slice(&serde_json::to_vec(&memory).unwrap()).unwrap();
    let last = memory.last(site.bundle.site).unwrap();
    assert_eq!((last.version, last.list, last.at), (6, 3, NOW));
}
