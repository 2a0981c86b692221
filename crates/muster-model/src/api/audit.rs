//! The audit log.

use crate::{audit::AuditHead, id::Hash, time::UnixMillis};
use serde::{Deserialize, Serialize};

api! {
    /// One entry of the audit log.
    struct AuditEntry {
        /// Number in the chain, from 1.
        number: u64,
        /// When.
        time: UnixMillis,
        /// Who: an administrator's name, or `site`.
        actor: String,
        /// What: `token_create`, `enrolment_approve`, ...
        action: String,
        /// On what: a kind and an id.
        object: String,
        /// One sentence.
        detail: String,
        /// Chain head: SHA-256 over the head before and this entry.
        head: Hash,
    }
}
api! {
    /// `GET /api/v1/audit/verify`.
    struct AuditVerdict {
        /// How many entries were checked.
        entries: u64,
        /// The first entry that does not continue the chain.
        broken_at: Option<u64>,
        /// The last chain head.
        head: Hash,
    }
}
api! {
    /// `GET /api/v1/audit/segment`: what follows an entry.
    #[derive(Copy, Eq)]
    struct AuditSegmentQuery {
        /// Number of an entry; 0: from the beginning.
        #[serde(default)] after: u64,
        /// Chain head after that entry. Where the log has another one, it was altered.
        #[serde(default = "beginning")] head: Hash,
    }
}
const fn beginning() -> Hash {
    Hash::ZERO
}
api! {
    /// Entries in the bytes that the chain is over, with a signed head.
    #[derive(Eq)]
    struct AuditSegment {
        /// What is signed.
        about: AuditHead,
        /// Entries, one JSON array a line: number, time, actor, action, object, detail.
        lines: String,
        /// `COSE_Sign1` of `about` by a policy key, in base64.
        signed: String,
        /// That key (SubjectPublicKeyInfo), in base64.
        key: String,
    }
}
api! {
    /// What follows an entry of the audit log.
    #[derive(Eq)]
    struct AuditSegments {
        /// The next entries; absent: there are none.
        segment: Option<AuditSegment>,
    }
}
