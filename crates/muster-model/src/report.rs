//! Reports: how everything that a client says reaches the site, once, in order, signed.
//!
//! A client keeps each message on disk with a sequence number until the site acknowledged it. It sends messages in
//! batches. A batch is the payload of a `COSE_Sign1` by the device's key, compressed with zstd.
//!
//! Messages of one device and channel form a hash chain: `head(0)` is 32 zero bytes,
//! `head(n) = SHA-256(head(n-1) || SHA-256(message n))` over the message's exact JSON bytes. The site keeps the last
//! sequence number and its head. A batch that begins at or before that number and arrives at the same head is a
//! retransmission; one that arrives at another head is a second history of the same device (a clone, a restored image).

use crate::{
    api::ResourceKind,
    boundary,
    compliance::ComplianceReport,
    discovery::{Facts, check_facts},
    enrol::DeviceClaims,
    health::HealthReport,
    id::{Hash, SiteCode},
    inventory::InventoryReport,
    limits,
    log::{LogAnchor, LogPiece},
    status::{DeploymentReport, StatusMessage},
    time::UnixMillis,
};
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;

/// Content type of a report envelope: zstd-compressed JSON of a [`Batch`].
pub const REPORT_TYPE: &str = "application/vnd.muster.report+json+zstd";
/// Content type of an enrolment poll: JSON of [`crate::enrol::EnrolPoll`].
pub const POLL_TYPE: &str = "application/vnd.muster.poll+json";

/// Independent streams of messages of one device, so that a large inventory never delays an event.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Channel {
    /// Status messages, states of deployments and baselines, heartbeats.
    Status,
    /// Inventory, and pieces of logs.
    Inventory,
}

impl Channel {
    /// Every channel.
    pub const ALL: &[Self] = &[Self::Status, Self::Inventory];

    /// The stable text.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Status => "status",
            Self::Inventory => "inventory",
        }
    }
}

/// Payload of a report envelope.
#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Batch {
    /// The site it is for.
    pub site: SiteCode,
    /// The channel.
    pub channel: Channel,
    /// When the batch was made, by the client's clock.
    pub time: UnixMillis,
    /// Sequence number of the first message; the first of a channel is 1.
    pub first: u64,
    /// Chain head before the first message.
    pub previous: Hash,
    /// The client says that everything before `first` that the site does not have is lost (its disk was): go on from here.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub resume_after_loss: bool,
    /// JSON of [`Message`]s, in order, without gap. The chain is over these exact bytes.
    pub messages: Vec<Box<RawValue>>,
}

/// One message.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Message {
    /// When it happened, by the client's clock.
    pub time: UnixMillis,
    /// What it says.
    pub body: Body,
}

/// What a message can say.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Body {
    /// Something happened.
    Status(StatusMessage),
    /// A step of a deployment.
    Deployment(DeploymentReport),
    /// The client is there, and this is what it is (heartbeat discovery).
    Heartbeat(DeviceClaims),
    /// Where the client is: for the boundaries that say which management points are near.
    Network(NetworkReport),
    /// What the client is, for queries and collections (heartbeat discovery).
    Discovery(DiscoveryReport),
    /// How the device stands to a configuration baseline.
    Compliance(ComplianceReport),
    /// What the client's checks of itself found.
    Health(HealthReport),
    /// What is on the device.
    Inventory(InventoryReport),
    /// Where the client's log stands.
    Log(LogAnchor),
    /// A piece of the client's log.
    LogPiece(LogPiece),
}

impl Body {
    /// The channel this kind of message belongs to.
    #[must_use]
    pub const fn channel(&self) -> Channel {
        match self {
            // Large ones do not hold up what is urgent.
            Self::Inventory(_) | Self::LogPiece(_) => Channel::Inventory,
            Self::Status(_)
            | Self::Deployment(_)
            | Self::Heartbeat(_)
            | Self::Network(_)
            | Self::Discovery(_)
            | Self::Compliance(_)
            | Self::Log(_)
            | Self::Health(_) => Channel::Status,
        }
    }
}

/// The networks that a client says it is in. Nothing but an order of addresses follows from it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct NetworkReport {
    /// Its addresses, each with the length of its prefix: `10.0.0.5/24`.
    pub addresses: Vec<String>,
    /// The directory's site that it is in, where its administrator said so.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub directory_site: Option<String>,
}

impl NetworkReport {
    /// Whether every part obeys its limit.
    #[must_use]
    pub fn is_well_formed(&self) -> bool {
        self.addresses.len() <= limits::NETWORK_ADDRESSES
            && self.addresses.iter().all(|text| boundary::network(text).is_some())
            && self.directory_site.as_deref().is_none_or(boundary::is_directory_site)
    }
}

/// What a client says of itself for discovery, under Configuration Manager's names.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct DiscoveryReport {
    /// Attributes of [`DISCOVERED_BY_CLIENTS`].
    pub facts: Facts,
}

/// What a client may say of itself for discovery. Where it is in a directory, and in which groups, is not its to say.
pub const DISCOVERED_BY_CLIENTS: [&str; 13] = [
    "ResourceDomainORWorkgroup",
    "OperatingSystemNameandVersion",
    "Build",
    "CPUType",
    "SMBIOSGUID",
    "LastLogonUserName",
    "IsVirtualMachine",
    "IPAddresses",
    "IPSubnets",
    "IPv6Addresses",
    "IPv6Prefixes",
    "MACAddresses",
    "ResourceNames",
];

impl DiscoveryReport {
    /// Whether every part obeys its limit, and is the client's to say.
    #[must_use]
    pub fn is_well_formed(&self) -> bool {
        self.facts.keys().all(|name| DISCOVERED_BY_CLIENTS.contains(&name.as_str()))
            && check_facts(&self.facts, ResourceKind::System).is_ok()
    }
}

/// The site's answer to a report: all messages up to `acknowledged` are committed; the client may forget them.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ReportAnswer {
    /// Last committed sequence number of the channel.
    pub acknowledged: u64,
    /// Chain head at that number.
    pub head: Hash,
    /// Inventory classes of which the site wants all rows again.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub resync: Vec<String>,
    /// What was refused of the messages and put aside: sequence number and reason. It is not to be sent again.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub quarantined: Vec<Quarantined>,
}

/// A message, or one section of an inventory, that the site did not take.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Quarantined {
    /// Sequence number of the message.
    pub sequence: u64,
    /// The class, where only a section was refused.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub class: Option<String>,
    /// One sentence.
    pub reason: String,
}
