//! Administrators and their roles.

use crate::{
    id::{AdminId, Hash, Name},
    time::UnixMillis,
};
use serde::{Deserialize, Serialize};

api! {
    /// What an administrator may do. Values are only ever added.
    #[derive(Default)]
    enum Role {
        /// Everything.
        FullAdministrator = "full_administrator",
        /// See everything, change nothing.
        #[default]
        ReadOnlyAnalyst = "read_only_analyst",
    }
}
api! {
    /// An administrator.
    #[derive(Eq)]
    struct Admin {
        /// The id.
        id: AdminId,
        /// The name.
        name: Name,
        /// The role.
        role: Role,
        /// Key id of the key that signs in.
        key: Hash,
        /// When the administrator was created.
        created: UnixMillis,
    }
}
api! {
    /// `POST /api/v1/admins`.
    struct AdminCreate {
        /// The name.
        name: Name,
        /// The role.
        role: Role,
        /// The public key, PEM (`SubjectPublicKeyInfo`, P-256).
        public_key: String,
    }
}
