//! Resources: what queries and collections know by a number, whether a client runs on it or not.

use crate::{
    discovery::Facts,
    id::{DeviceId, ResourceId},
    time::UnixMillis,
};
use serde::{Deserialize, Serialize};

api! {
    /// What a resource is.
    enum ResourceKind {
        /// A computer.
        System = "system",
        /// A user.
        User = "user",
        /// A group of a directory.
        Group = "group",
    }
}
api! {
    /// How resources are found.
    enum DiscoveryMethod {
        /// The client says so itself.
        Heartbeat = "heartbeat",
        /// Computers of an Active Directory.
        DirectorySystem = "active_directory_system",
        /// Users of an Active Directory.
        DirectoryUser = "active_directory_user",
        /// Groups of an Active Directory.
        DirectoryGroup = "active_directory_group",
        /// What is known of the network.
        Network = "network",
    }
}
impl DiscoveryMethod {
    /// The name of Configuration Manager's agent of this method, as `AgentName` has it.
    #[must_use]
    pub const fn agent_name(self) -> &'static str {
        match self {
            Self::Heartbeat => "Heartbeat Discovery",
            Self::DirectorySystem => "SMS_AD_SYSTEM_DISCOVERY_AGENT",
            Self::DirectoryUser => "SMS_AD_USER_DISCOVERY_AGENT",
            Self::DirectoryGroup => "SMS_AD_SECURITY_GROUP_DISCOVERY_AGENT",
            Self::Network => "SMS_NETWORK_DISCOVERY",
        }
    }
}
api! {
    /// A resource, as a row of a list.
    struct Resource {
        /// Its number.
        resource_id: ResourceId,
        /// What it is.
        kind: ResourceKind,
        /// What people call it.
        name: String,
        /// The client that runs on it; none: it is not managed, and never gets policy.
        device: Option<DeviceId>,
        /// The methods that found it.
        methods: Vec<DiscoveryMethod>,
        /// When the site heard of it first.
        created: UnixMillis,
        /// When it was found last.
        found: Option<UnixMillis>,
        /// When the last method that knew it said that it is no more.
        gone: Option<UnixMillis>,
        /// Whether another resource says that it is the same, by something that only one can have.
        conflict: bool,
    }
}
api! {
    /// `GET /api/v1/resources`.
    #[derive(Default)]
    struct ResourceQuery {
        /// Part of the name.
        #[serde(default)] search: String,
        /// Only resources of this kind.
        #[serde(default)] kind: Option<ResourceKind>,
        /// Only those on which a client runs, or on which none does.
        #[serde(default)] client: Option<bool>,
        /// Rows to skip.
        #[serde(default)] offset: u64,
        /// Rows wanted.
        #[serde(default = "super::fifty")] limit: u32,
    }
}
api! {
    /// What one method said last of a resource.
    struct ResourceRecord {
        /// The method.
        method: DiscoveryMethod,
        /// By what the method knows it.
        identity: String,
        /// When it was found first.
        first_found: UnixMillis,
        /// When it was found last.
        found: UnixMillis,
        /// When the method said that it is no more.
        gone: Option<UnixMillis>,
        /// What it said.
        facts: Facts,
    }
}
api! {
    /// A resource with what is known of it.
    struct ResourceDetail {
        /// The resource.
        resource: Resource,
        /// What each method said.
        records: Vec<ResourceRecord>,
        /// The groups that it is in, through other groups too, by name.
        groups: Vec<String>,
        /// Others that say that they have one of its hardware addresses; at most 20. It joins nothing.
        alike: Vec<ResourceAlike>,
    }
}
api! {
    /// A resource with a hardware address that another has too.
    struct ResourceAlike {
        /// Its number.
        resource_id: ResourceId,
        /// Its name.
        name: String,
        /// The client that runs on it, where one does.
        device: Option<DeviceId>,
    }
}
api! {
    /// How long what discovery found is kept.
    #[derive(Copy, Eq)]
    struct DiscoverySettings {
        /// Days after which a record that was not found again is removed. Default 90, as in Configuration Manager.
        keep_days: u32,
    }
}
impl Default for DiscoverySettings {
    fn default() -> Self {
        Self { keep_days: 90 }
    }
}
