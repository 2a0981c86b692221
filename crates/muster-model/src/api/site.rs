//! The site: what it is, its counts, its health.

use std::collections::BTreeMap;

use super::{Deployment, Message, SoftwareTitle};
use crate::{
    id::{Hash, Name, SiteCode},
    time::UnixMillis,
};
use serde::{Deserialize, Serialize};

api! {
    /// `GET /api/v1/site`.
    struct SiteInfo {
        /// The site code.
        code: SiteCode,
        /// The site's name.
        name: Name,
        /// Version of the server.
        version: String,
        /// Fingerprint of the trusted root key.
        root: Hash,
        /// Version of the trust bundle in force.
        trust_version: u64,
        /// When the trust bundle ends.
        trust_expires: UnixMillis,
        /// Addresses of management points.
        management_points: Vec<String>,
        /// `sqlite` or `postgresql`.
        database: String,
    }
}
api! {
    /// `GET /api/v1/dashboard`: what an administrator wants to see first.
    struct Dashboard {
        /// Devices by state.
        devices: BTreeMap<String, u64>,
        /// Devices with a live channel at this moment.
        online: u64,
        /// Requests that wait for approval.
        pending: u64,
        /// Devices by operating system, the most frequent first, at most 12.
        operating_systems: Vec<Count>,
        /// Devices seen per hour of the last 24 hours: the oldest first.
        seen: Vec<SeenHour>,
        /// The latest deployments with their totals, at most 5.
        deployments: Vec<Deployment>,
        /// The latest status messages, at most 10.
        messages: Vec<Message>,
        /// Things that need somebody: sentences.
        warnings: Vec<String>,
        /// What is how frequent among the devices.
        spread: Spread,
    }
}
api! {
    /// What is how frequent among active devices. At a large site this is counted every few minutes.
    #[derive(Default)]
    struct Spread {
        /// By manufacturer and model, the most frequent first, at most 12.
        models: Vec<ModelCount>,
        /// By manufacturer, the most frequent first, at most 12.
        manufacturers: Vec<Count>,
        /// Software, the most spread first, at most 12.
        software: Vec<SoftwareTitle>,
        /// Devices whose agent says that their machine needs a restart.
        restart_pending: u64,
        /// Devices whose manufacturer and model are in neither, because they did not say them.
        unknown: u64,
        /// When it was counted.
        counted: UnixMillis,
    }
}
api! {
    /// A model with a number of devices.
    struct ModelCount {
        /// Who makes it.
        manufacturer: String,
        /// The model.
        model: String,
        /// The number.
        count: u64,
    }
}
api! {
    /// A label with a number.
    struct Count {
        /// The label.
        label: String,
        /// The number.
        count: u64,
    }
}
api! {
    /// How many devices were last seen in one hour.
    struct SeenHour {
        /// Start of the hour.
        hour: UnixMillis,
        /// Devices whose last contact is in this hour.
        devices: u64,
        /// Reports accepted in this hour.
        reports: u64,
    }
}
