//! Software updates: what the tools of devices offer.

use crate::time::UnixMillis;
use serde::{Deserialize, Serialize};

api! {
    /// `GET /api/v1/updates`.
    #[derive(Default)]
    struct UpdateQuery {
        /// Part of the package's name.
        #[serde(default)] search: String,
        /// Only security updates.
        #[serde(default)] security: bool,
        /// Those too that a later version replaced, or that no device is offered any more.
        #[serde(default)] superseded: bool,
        /// Rows to skip.
        #[serde(default)] offset: u64,
        /// Rows wanted.
        #[serde(default = "super::fifty")] limit: u32,
    }
}
api! {
    /// A software update that tools of devices offer.
    struct SoftwareUpdate {
        /// Its number.
        id: u64,
        /// The package.
        package: String,
        /// Its architecture.
        architecture: String,
        /// The version that is offered.
        version: String,
        /// By which tool.
        tool: String,
        /// Where it comes from, as repositories call themselves.
        origin: String,
        /// Whether it is a security update, as a repository says it of itself.
        security: bool,
        /// Devices on which it is missing.
        devices: u64,
        /// Since when this site knows of it.
        first_seen: UnixMillis,
        /// The later version that replaces it.
        superseded_by: Option<String>,
    }
}
