//! Hardware identities: TPMs that the site believes without their vendor, awaits, or never lets in.

use crate::{id::Hash, time::UnixMillis};
use serde::{Deserialize, Serialize};

api! {
    /// How a device's key is kept, as far as the site could prove it.
    #[derive(Default)]
    enum KeyProtection {
        /// Nothing was proven: whoever has its file has the key.
        #[default]
        SoftwareKey = "software key",
        /// It lives in a TPM whose endorsement key the site believes, and cannot leave it.
        Attested = "attested",
    }
}
api! {
    /// What the site thinks of a hardware identity.
    enum HardwareStanding {
        /// It is believed, whether or not a vendor vouches for it.
        Allowed = "allowed",
        /// It is believed, and a device that proves it is approved by itself, once.
        Awaited = "awaited",
        /// It never comes in, under whatever name and key.
        Blocked = "blocked",
    }
}
api! {
    /// A hardware identity that somebody decided about.
    struct Hardware {
        /// SHA-256 of the endorsement key's `SubjectPublicKeyInfo`.
        id: Hash,
        /// What the site thinks of it.
        standing: HardwareStanding,
        /// Why, or which machine it is.
        note: String,
        /// Since when.
        changed: UnixMillis,
        /// Who decided.
        changed_by: String,
    }
}
api! {
    /// `PUT /api/v1/hardware/{id}`.
    struct HardwareSet {
        /// What the site is to think of it.
        standing: HardwareStanding,
        /// Why, or which machine it is; 1 to 500 characters.
        note: String,
    }
}
