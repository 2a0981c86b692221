//! The audit log.

use crate::{id::Hash, time::UnixMillis};
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
