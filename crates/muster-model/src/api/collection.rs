//! Collections: devices in groups, or users, by rules.

use crate::{
    api::{DeviceState, ResourceKind},
    id::{CollectionId, DeploymentId, DeviceId, Name, ResourceId},
    schedule::ScheduleToken,
    time::UnixMillis,
};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

api! {
    /// What a collection holds. Never both.
    enum CollectionKind {
        /// Devices.
        Device = "device",
        /// Users and user groups.
        User = "user",
    }
}
api! {
    /// How one collection depends on another.
    enum CollectionRelation {
        /// It has no member that the other one does not have.
        Limiting = "limiting",
        /// The members of the other one are its members too.
        Include = "include",
        /// The members of the other one are never its members.
        Exclude = "exclude",
        /// Its query asks who is in the other one.
        Query = "query",
    }
}
/// A rule. Members are `((queries, direct and included ones) that the limiting collection has) without the excluded ones`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case", deny_unknown_fields)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub enum RuleSpec {
    /// This device.
    Direct {
        /// The device.
        device: DeviceId,
    },
    /// This resource: a user or a group, or a system on which no client runs.
    Resource {
        /// Its number.
        resource: ResourceId,
    },
    /// Every device that a WQL query gives.
    Query {
        /// What people call the rule.
        name: Name,
        /// The query.
        query: String,
    },
    /// Every member of another collection.
    Include {
        /// The other collection.
        collection: CollectionId,
    },
    /// No member of another collection.
    Exclude {
        /// The other collection.
        collection: CollectionId,
    },
}
api! {
    /// A rule of a collection.
    struct CollectionRule {
        /// Its number.
        id: u64,
        /// The rule.
        rule: RuleSpec,
        /// What it names: a device, a collection, or the rule itself.
        label: String,
        /// Who answers its query: `index`, or `SQL`, and why.
        #[serde(default)] answered: String,
    }
}
api! {
    /// A collection.
    struct Collection {
        /// The id.
        id: CollectionId,
        /// What people call it.
        name: Name,
        /// What it is for.
        comment: String,
        /// What it holds.
        kind: CollectionKind,
        /// The collection that limits it; only the two roots have none.
        limiting: Option<CollectionId>,
        /// Comes with every site and cannot be changed.
        built_in: bool,
        /// Takes members only by what the site itself knows.
        protected: bool,
        /// Its queries are asked again as soon as what they ask about changes.
        incremental: bool,
        /// When it is evaluated as a whole.
        schedule: Vec<ScheduleToken>,
        /// How many members it has.
        members: u64,
        /// How many rules it has.
        rules: u64,
        /// When members last came or went.
        members_changed: Option<UnixMillis>,
        /// When it was last evaluated.
        evaluated: Option<UnixMillis>,
        /// How long that took, in milliseconds.
        evaluation_took: u64,
        /// Why the last evaluation failed; the members are those from before.
        evaluation_error: Option<String>,
        /// An evaluation is asked for.
        pending: bool,
        /// When it is evaluated next by its schedule.
        next_evaluation: Option<UnixMillis>,
        /// When it was changed last.
        changed: UnixMillis,
        /// Who changed it.
        changed_by: String,
        /// Changes with every change that somebody made.
        revision: u64,
    }
}
api! {
    /// A dependence between two collections.
    struct CollectionEdge {
        /// The one that depends.
        dependent: CollectionId,
        /// Its name.
        dependent_name: Name,
        /// What it depends on.
        source: CollectionId,
        /// Its name.
        source_name: Name,
        /// How.
        relation: CollectionRelation,
    }
}
api! {
    /// A deployment to a collection.
    struct CollectionDeployment {
        /// The deployment.
        id: DeploymentId,
        /// Its name.
        name: Name,
    }
}
api! {
    /// A collection with its rules and what hangs together with it.
    struct CollectionDetail {
        /// The collection.
        collection: Collection,
        /// Its rules.
        rules: Vec<CollectionRule>,
        /// Every dependence that it reaches, upwards and downwards.
        graph: Vec<CollectionEdge>,
        /// Deployments to it that are in force.
        deployments: Vec<CollectionDeployment>,
    }
}
api! {
    /// `POST /api/v1/collections`, and `POST /api/v1/collections/preview`.
    struct CollectionCreate {
        /// What people call it.
        name: Name,
        /// What it is for.
        #[serde(default)] comment: String,
        /// What it holds; default: devices.
        #[serde(default = "devices")] kind: CollectionKind,
        /// The collection that limits it.
        limiting: CollectionId,
        /// Takes members only by what the site itself knows.
        #[serde(default)] protected: bool,
        /// Its queries are asked again as soon as what they ask about changes.
        #[serde(default)] incremental: bool,
        /// When it is evaluated as a whole.
        #[serde(default)] schedule: Vec<ScheduleToken>,
        /// Its rules.
        #[serde(default)] rules: Vec<RuleSpec>,
    }
}
const fn devices() -> CollectionKind {
    CollectionKind::Device
}
api! {
    /// `PUT /api/v1/collections/{id}`: everything but the kind and the rules.
    struct CollectionSet {
        /// What people call it.
        name: Name,
        /// What it is for.
        #[serde(default)] comment: String,
        /// The collection that limits it.
        limiting: CollectionId,
        /// Takes members only by what the site itself knows.
        #[serde(default)] protected: bool,
        /// Its queries are asked again as soon as what they ask about changes.
        #[serde(default)] incremental: bool,
        /// When it is evaluated as a whole.
        #[serde(default)] schedule: Vec<ScheduleToken>,
    }
}
api! {
    /// Which collections are wanted.
    struct CollectionQuery {
        /// A part of the name or the id.
        #[serde(default)] search: String,
        /// Rows to skip.
        #[serde(default)] offset: u64,
        /// Rows wanted.
        #[serde(default = "super::fifty")] limit: u32,
    }
}
impl Default for CollectionQuery {
    fn default() -> Self {
        Self { search: String::new(), offset: 0, limit: super::fifty() }
    }
}
api! {
    /// A member of a collection.
    struct CollectionMember {
        /// What it is.
        kind: ResourceKind,
        /// The device; none: no client runs on it.
        device: Option<DeviceId>,
        /// Its number among all resources, as queries know it.
        resource_id: i64,
        /// Its host name, or what discovery calls it.
        name: String,
        /// The device's state.
        state: Option<DeviceState>,
    }
}
api! {
    /// A collection that a device is in.
    struct DeviceCollection {
        /// The collection.
        id: CollectionId,
        /// Its name.
        name: Name,
    }
}
api! {
    /// Who would be in a collection; nothing was changed.
    struct CollectionPreview {
        /// How many.
        total: u64,
        /// The first of them, by name.
        items: Vec<CollectionMember>,
    }
}
api! {
    /// One reason why a device is in a collection, or is not.
    struct CollectionReason {
        /// The rule, where it is one.
        rule: Option<u64>,
        /// Which other collection decides, where one does.
        collection: Option<CollectionId>,
        /// Whether it speaks for the device being in.
        holds: bool,
        /// The reason, a sentence.
        text: String,
        /// The row of the device's data that a query found, where it found one.
        #[serde(default)] row: BTreeMap<String, String>,
    }
}
/// Who is asked about: a device by its id, or any resource by its number.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Subject {
    /// A device.
    Device(DeviceId),
    /// A system, a user or a group.
    Resource(ResourceId),
}

impl From<DeviceId> for Subject {
    fn from(id: DeviceId) -> Self {
        Self::Device(id)
    }
}

impl From<ResourceId> for Subject {
    fn from(id: ResourceId) -> Self {
        Self::Resource(id)
    }
}

impl std::fmt::Display for Subject {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Device(id) => id.fmt(f),
            Self::Resource(id) => id.fmt(f),
        }
    }
}

impl<'de> Deserialize<'de> for Subject {
    fn deserialize<D: serde::Deserializer<'de>>(d: D) -> Result<Self, D::Error> {
        let text = String::deserialize(d)?;
        match text.parse() {
            Ok(number) => Ok(Self::Resource(ResourceId(number))),
            Err(_) => text.parse().map(Self::Device).map_err(serde::de::Error::custom),
        }
    }
}

api! {
    /// Why a device, a user or a group is in a collection, or is not.
    struct CollectionExplained {
        /// The collection.
        collection: CollectionId,
        /// Its name.
        collection_name: Name,
        /// The device, where it is one.
        device: Option<DeviceId>,
        /// The number of the resource.
        resource: ResourceId,
        /// Its host name, or what discovery calls it.
        device_name: String,
        /// Whether the rules make it a member, as they are at this moment.
        member: bool,
        /// Whether it is a member, as the last evaluation left it.
        stored: bool,
        /// Every rule and the limiting collection.
        reasons: Vec<CollectionReason>,
    }
}
