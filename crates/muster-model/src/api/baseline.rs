//! Configuration baselines, their deployments, and how devices stand to them.

use super::Target;
use crate::{
    baseline::{Baseline, SettingSeverity},
    compliance::{ComplianceReason, ComplianceState},
    id::{BaselineId, DeploymentId, DeviceId, Hash, Name},
    status::WaitReason,
    time::UnixMillis,
};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

api! {
    /// A configuration baseline that the site distributes.
    struct BaselineInfo {
        /// SHA-256 of the signed object: this exact version with these exact signatures.
        hash: Hash,
        /// What the author wrote.
        baseline: Baseline,
        /// Key ids of the authors whose signatures are valid.
        authors: Vec<Hash>,
        /// When it was added.
        created: UnixMillis,
    }
}
api! {
    /// `POST /api/v1/baseline-deployments`.
    struct BaselineDeploy {
        /// The name; default: the baseline's name and version.
        #[serde(default)] name: Option<Name>,
        /// Which signed baseline.
        baseline: Hash,
        /// For whom.
        target: Target,
        /// How often it is evaluated, in milliseconds, 15 minutes to 31 days; default: as the client settings say.
        #[serde(default)] every: Option<i64>,
        /// What is not as it should be is put right. Then only what the site itself knows may decide who gets it.
        #[serde(default)] remediate: bool,
        /// Clients do not wait for a maintenance window.
        #[serde(default)] outside_windows: bool,
        /// From which severity on a device that does not comply is an alert; default: none is.
        #[serde(default)] alert_from: Option<SettingSeverity>,
    }
}
api! {
    /// `POST /api/v1/baseline-deployments/preview`: what deploying would do.
    struct BaselinePreview {
        /// How many devices get it.
        devices: u64,
        /// The first of them, by name.
        examples: Vec<String>,
        /// Settings that are looked at.
        settings: u64,
        /// Settings that would be put right.
        remediates: u64,
        /// What to think about: sentences.
        warnings: Vec<String>,
    }
}
api! {
    /// A deployment of a baseline with its totals.
    struct BaselineDeployment {
        /// The id.
        id: DeploymentId,
        /// The name.
        name: Name,
        /// Which signed baseline.
        baseline: Hash,
        /// The baseline, over all of its versions.
        baseline_id: BaselineId,
        /// Its name.
        baseline_name: String,
        /// Its version.
        baseline_version: String,
        /// For whom.
        target: Target,
        /// How often it is evaluated; absent: as the client settings say.
        every: Option<i64>,
        /// What is not as it should be is put right.
        remediate: bool,
        /// Clients do not wait for a maintenance window.
        outside_windows: bool,
        /// From which severity on a device that does not comply is an alert.
        alert_from: Option<SettingSeverity>,
        /// Devices that do not comply in a setting of that severity or a higher one.
        alerting: u64,
        /// When it was made.
        created: UnixMillis,
        /// Who made it.
        created_by: Name,
        /// Devices by state; their sum is the number of targeted devices.
        totals: BTreeMap<String, u64>,
        /// Whether it was deleted: clients no longer evaluate it.
        deleted: bool,
    }
}
api! {
    /// One setting of a deployed baseline, over all devices.
    struct SettingTotals {
        /// Its number in the baseline.
        setting: u32,
        /// The item that it is in.
        item: String,
        /// Its name.
        name: String,
        /// How bad it is when it is not as it should be.
        severity: SettingSeverity,
        /// Whether its value never leaves the device.
        private: bool,
        /// Whether it can be put right.
        remediates: bool,
        /// Devices by state; their sum is the number of targeted devices.
        totals: BTreeMap<String, u64>,
    }
}
api! {
    /// How one device stands to one deployment of a baseline.
    struct DeviceCompliance {
        /// The deployment.
        deployment: DeploymentId,
        /// Its name.
        deployment_name: String,
        /// The device.
        device: DeviceId,
        /// Its host name.
        device_name: String,
        /// How it stands as a whole.
        state: ComplianceState,
        /// The highest severity of its settings that are not as they should be.
        severity: Option<SettingSeverity>,
        /// Why nothing could be found out, where that is so for the whole baseline.
        reason: Option<ComplianceReason>,
        /// What the next evaluation waits for, where the client said so.
        waits: Option<WaitReason>,
        /// Until when, as the client knows.
        starts: Option<UnixMillis>,
        /// When it was evaluated last, by the client's clock.
        evaluated: Option<UnixMillis>,
        /// When the state last changed, by the client's clock.
        changed: UnixMillis,
    }
}
api! {
    /// One setting on one device.
    struct SettingCompliance {
        /// The device.
        device: DeviceId,
        /// Its host name.
        device_name: String,
        /// The setting's number in the baseline.
        setting: u32,
        /// The item that it is in.
        item: String,
        /// Its name.
        name: String,
        /// How bad it is when it is not as it should be.
        severity: SettingSeverity,
        /// How it stands.
        state: ComplianceState,
        /// What has to hold, in words.
        expected: String,
        /// What the client found; none where nothing is there, or where the setting is private.
        value: Option<String>,
        /// Why it could not be found out, or was not put right.
        reason: Option<ComplianceReason>,
        /// One sentence about it.
        detail: String,
        /// Since when it stands so, by the client's clock.
        changed: UnixMillis,
    }
}
/// Which devices of a deployment of a baseline.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct ComplianceQuery {
    /// Only those in this state.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub state: Option<ComplianceState>,
    /// Rows to skip.
    #[serde(default)]
    pub offset: u64,
    /// Rows wanted.
    #[serde(default = "super::fifty")]
    pub limit: u32,
}
/// Which results of a deployment of a baseline: one setting over devices, one device over settings, or all.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct ResultQuery {
    /// Only this device.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub device: Option<DeviceId>,
    /// Only this setting, by its number.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub setting: Option<u32>,
    /// Only those that are not as they should be: `non_compliant`, `conflict` and `error`.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub differs: bool,
    /// Only those in this state.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub state: Option<ComplianceState>,
    /// Rows to skip.
    #[serde(default)]
    pub offset: u64,
    /// Rows wanted.
    #[serde(default = "super::fifty")]
    pub limit: u32,
}
