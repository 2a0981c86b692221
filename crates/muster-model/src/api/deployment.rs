//! Applications and deployments.

use std::collections::BTreeMap;

use super::{DeploymentRival, window::Forecast};
use crate::{
    application::{Application, Platform},
    id::{ApplicationId, CollectionId, DeploymentId, DeviceId, Hash, Name},
    policy::{Action, Deferral, Purpose},
    program::DeploymentOptions,
    status::{DeploymentState, FailureReason, WaitReason},
    time::UnixMillis,
};
use serde::{Deserialize, Serialize};

api! {
    /// An application that the site distributes.
    struct ApplicationInfo {
        /// SHA-256 of the signed object: this exact version with these exact signatures.
        hash: Hash,
        /// What the author wrote.
        application: Application,
        /// Key ids of the authors whose signatures are valid.
        authors: Vec<Hash>,
        /// When it was added.
        created: UnixMillis,
        /// Bytes of all its content.
        content_size: u64,
    }
}
/// Whom a deployment is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case", deny_unknown_fields)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub enum Target {
    /// Every active device.
    AllSystems,
    /// One device.
    Device {
        /// The device.
        device: DeviceId,
    },
    /// The members of a collection: those who come later too, and nobody any more who leaves.
    Collection {
        /// The collection.
        collection: CollectionId,
    },
}
/// Why a deployment takes an application along.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub enum Relation {
    /// It is installed first where it is needed.
    Dependency,
    /// It is uninstalled first where it is there.
    Superseded,
}

impl Relation {
    /// Both.
    pub const ALL: &[Self] = &[Self::Dependency, Self::Superseded];

    /// The stable text.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Dependency => "dependency",
            Self::Superseded => "superseded",
        }
    }
}

api! {
    /// An application that a deployment takes along.
    struct RelatedApplication {
        /// Its signed object.
        application: Hash,
        /// Its name.
        name: String,
        /// Its version.
        version: String,
        /// Why.
        relation: Relation,
    }
}
api! {
    /// `POST /api/v1/deployments`.
    struct DeploymentCreate {
        /// The name; default: the application's name and version.
        #[serde(default)] name: Option<Name>,
        /// Which signed application.
        application: Hash,
        /// For whom.
        target: Target,
        /// Whether it is to be there. Default: it is.
        #[serde(default)] action: Action,
        /// Whether clients begin by themselves. Default: they do.
        #[serde(default)] purpose: Purpose,
        /// Not before; default: now.
        #[serde(default)] available: Option<UnixMillis>,
        /// When clients start by themselves; default: now.
        #[serde(default)] deadline: Option<UnixMillis>,
        /// It can do great harm on the wrong device: only what the site itself knows may decide who gets it. So is every deployment
        /// of an application with secrets.
        #[serde(default)] high_impact: bool,
        /// Clients do not wait for a maintenance window.
        #[serde(default)] outside_windows: bool,
        /// Where a write filter protects a device it goes into the overlay, and is gone after the next restart. Default: it is installed
        /// below the filter, by servicing.
        #[serde(default)] volatile: bool,
        /// It is a software update: it keeps to the windows for updates, where a device has any.
        #[serde(default)] software_update: bool,
        /// Whether and when a program runs again, values for the application's parameters, and whether users are told.
        #[serde(default)] options: DeploymentOptions,
        /// Users may put it off, so often and so long. Default: they may not.
        #[serde(default)] deferral: Option<Deferral>,
    }
}
api! {
    /// `POST /api/v1/deployments/preview`: what `create` would do.
    struct DeploymentPreview {
        /// How many devices get it.
        devices: u64,
        /// The first of them, by name.
        examples: Vec<String>,
        /// Bytes that each of them fetches.
        content_size: u64,
        /// When they can begin at the earliest, by their maintenance windows.
        forecast: Forecast,
        /// Other applications that it takes along.
        related: Vec<RelatedApplication>,
        /// The application's deployment types, where it has several, in the order in which each device looks at them.
        types: Vec<TypePreview>,
        /// Deployments in force that it would contradict, on devices that would have both.
        rivals: Vec<DeploymentRival>,
        /// What to think about: sentences.
        warnings: Vec<String>,
    }
}
api! {
    /// A deployment type in a preview.
    struct TypePreview {
        /// Its name.
        name: String,
        /// Which systems it is for.
        platform: Platform,
        /// Bytes that a device fetches that takes it.
        content_size: u64,
        /// Seconds that its commands may run.
        max_run_seconds: u32,
        /// Names of what a device must meet; the device itself looks.
        requirements: Vec<String>,
        /// How many of the first 50 devices would take it, by what the site knows of them.
        devices: u64,
    }
}
api! {
    /// A deployment with its totals.
    struct Deployment {
        /// The id.
        id: DeploymentId,
        /// The name.
        name: Name,
        /// Which signed application.
        application: Hash,
        /// The application, over all of its versions.
        application_id: ApplicationId,
        /// Its name.
        application_name: String,
        /// Its version.
        application_version: String,
        /// For whom.
        target: Target,
        /// Whether it is to be there.
        action: Action,
        /// Whether clients begin by themselves.
        purpose: Purpose,
        /// Other applications that it takes along.
        related: Vec<RelatedApplication>,
        /// Only what the site itself knows decides who gets it.
        high_impact: bool,
        /// Clients do not wait for a maintenance window.
        outside_windows: bool,
        /// Where a write filter protects a device it goes into the overlay, and is gone after the next restart.
        volatile: bool,
        /// It is a software update: it keeps to the windows for updates, where a device has any.
        software_update: bool,
        /// Whether and when a program runs again, values for the application's parameters, and whether users are told.
        options: DeploymentOptions,
        /// Users may put it off, so often and so long.
        deferral: Option<Deferral>,
        /// Not before.
        available: UnixMillis,
        /// When clients start by themselves.
        deadline: UnixMillis,
        /// When it was made.
        created: UnixMillis,
        /// Who made it.
        created_by: Name,
        /// Devices by state; their sum is the number of targeted devices.
        totals: BTreeMap<String, u64>,
        /// Whether it was deleted: clients no longer get it.
        deleted: bool,
    }
}
api! {
    /// One device of a deployment.
    struct DeviceDeployment {
        /// The deployment.
        deployment: DeploymentId,
        /// Its name.
        deployment_name: String,
        /// The device.
        device: DeviceId,
        /// Its host name.
        device_name: String,
        /// Where it stands.
        state: DeploymentState,
        /// Why it failed.
        reason: Option<FailureReason>,
        /// Exit code of the install command.
        exit_code: Option<i32>,
        /// The end of what the install command printed.
        output: String,
        /// When the state last changed, by the client's clock.
        changed: UnixMillis,
        /// With `waiting`: for what, where the client said so.
        waits: Option<WaitReason>,
        /// With `waiting`: until when, as the client knows.
        starts: Option<UnixMillis>,
        /// With `succeeded`: the device has to be restarted to be done with it.
        restart: bool,
        /// It had succeeded, and a later look found that it was undone.
        undone: bool,
        /// Of an application with several deployment types: the one that the device took.
        deployment_type: Option<Name>,
        /// How often users of the device put it off.
        deferred: u32,
    }
}
