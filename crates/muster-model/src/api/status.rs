//! Status messages and what was put aside.

use crate::{
    id::DeviceId,
    status::{Component, MessageId, Severity},
    status_catalogue::MessageType,
    time::UnixMillis,
};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

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
        /// Its place in the list: those before it have smaller ones.
        key: u64,
        /// The number of its kind; none of a kind that this server does not know.
        number: Option<u16>,
        /// What it is for.
        kind: Option<MessageType>,
        /// Its values, by name.
        values: BTreeMap<String, String>,
    }
}
api! {
    /// A kind of status message.
    struct MessageEntry {
        /// The code.
        id: String,
        /// The number.
        number: u16,
        /// The part of the agent that says it.
        component: Component,
        /// How serious it is.
        severity: Severity,
        /// What it is for.
        kind: MessageType,
        /// Its sentence; `{name}` stands for a value.
        sentence: String,
        /// The type of each value, by name.
        values: BTreeMap<String, String>,
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
        /// Only of this part of the agent.
        #[serde(default)] component: Option<Component>,
        /// Only of this type.
        #[serde(default)] kind: Option<MessageType>,
        /// Only of this kind, as code.
        #[serde(default)] id: Option<MessageId>,
        /// Only what the site got since then.
        #[serde(default)] since: Option<UnixMillis>,
        /// Only what is before this place in the list: the `key` of the last row that one has.
        #[serde(default)] before: Option<u64>,
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
