//! Status messages and what was put aside.

use crate::{id::DeviceId, status::Severity, time::UnixMillis};
use serde::{Deserialize, Serialize};

api! {
    /// A status message as shown.
    struct Message {
        /// When it happened, by the client's clock.
        time: UnixMillis,
        /// When the site committed it.
        received: UnixMillis,
        /// The device that sent it.
        device: DeviceId,
        /// Its host name.
        device_name: String,
        /// Part of the agent.
        component: String,
        /// What happened, as code.
        id: String,
        /// How serious it is.
        severity: Severity,
        /// What happened, as a sentence.
        text: String,
    }
}
api! {
    /// `GET /api/v1/messages`.
    #[derive(Default)]
    struct MessageQuery {
        /// Only of this device.
        #[serde(default)] device: Option<DeviceId>,
        /// At least this serious.
        #[serde(default)] severity: Option<Severity>,
        /// Rows to skip.
        #[serde(default)] offset: u64,
        /// Rows wanted.
        #[serde(default = "super::fifty")] limit: u32,
    }
}
api! {
    /// Something that a device sent and the site did not take.
    struct QuarantineItem {
        /// The device.
        device: DeviceId,
        /// When.
        received: UnixMillis,
        /// The class, where it is a section of an inventory.
        class: Option<String>,
        /// Why, in one sentence.
        reason: String,
        /// The first bytes of it, as text, control characters replaced.
        excerpt: String,
    }
}
