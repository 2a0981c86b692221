//! The trust bundle in force: whose keys are believed for what, and which devices know it.

use crate::{id::Hash, time::UnixMillis};
use serde::{Deserialize, Serialize};

api! {
    /// `GET /api/v1/trust`.
    struct TrustView {
        /// Its version.
        version: u64,
        /// When it was made.
        issued: UnixMillis,
        /// When clients stop believing it.
        expires: UnixMillis,
        /// How many root keys must sign a successor.
        root_threshold: u32,
        /// How many authors must sign an application.
        author_threshold: u32,
        /// The keys that it names.
        keys: Vec<TrustKey>,
        /// Keys that are believed for nothing.
        revoked: Vec<Hash>,
        /// Active devices by the trust bundle that they are known to have, the newest first.
        devices: Vec<TrustDevices>,
        /// Active devices that have not confirmed their present policy yet; they have an earlier bundle, or did not say.
        unconfirmed: u64,
        /// Until when those may go by an earlier policy: its end. Afterwards they begin nothing new before they have confirmed.
        unconfirmed_until: Option<UnixMillis>,
    }
}
api! {
    /// A key of the trust bundle.
    struct TrustKey {
        /// `root`, `issuing`, `policy` or `author`.
        purpose: String,
        /// Its id.
        key: Hash,
        /// Who holds it.
        name: String,
        /// Whether the site works with it now; the others are believed, too.
        in_use: bool,
    }
}
api! {
    /// How many devices are known to have one version.
    struct TrustDevices {
        /// Version of the trust bundle.
        version: u64,
        /// How many.
        count: u64,
    }
}
