//! Client settings: the default for all, custom ones for collections, and what comes of them for a device.

use crate::{
    id::{CollectionId, Name, SettingsId},
    settings::{Setting, SettingValues},
    time::UnixMillis,
};
use serde::{Deserialize, Serialize};
use serde_json::Value;

api! {
    /// A setting of the catalogue.
    struct SettingInfo {
        /// Its stable name.
        name: String,
        /// The group that it stands in.
        group: String,
        /// What people call it.
        label: String,
        /// What it takes, in words. On the wire a length is in milliseconds.
        takes: String,
        /// Its default.
        #[cfg_attr(feature = "openapi", schema(value_type = Object))]
        default: Value,
        /// The default in words.
        default_shown: String,
        /// What it does.
        about: String,
        /// What is collected by it.
        privacy: Option<String>,
        /// Whether clients do it; else it may be set, and does nothing yet.
        in_force: bool,
        /// The value that is taken only for collections that somebody chose by name.
        dangerous: Option<String>,
    }
}

impl SettingInfo {
    /// Of a setting and its default.
    #[must_use]
    pub fn new(setting: &Setting, default: Value) -> Self {
        Self {
            name: setting.name.to_owned(),
            group: setting.group.to_owned(),
            label: setting.label.to_owned(),
            takes: setting.takes(),
            default_shown: setting.shown(&default),
            default,
            about: setting.about.to_owned(),
            privacy: setting.privacy.map(str::to_owned),
            in_force: setting.in_force,
            dangerous: setting.danger.map(|danger| danger.value.to_owned()),
        }
    }
}

api! {
    /// A collection that settings are for.
    struct SettingsCollection {
        /// Its id.
        id: CollectionId,
        /// Its name.
        name: String,
    }
}
api! {
    /// An object of client settings: the default, or a custom one.
    struct SettingsObject {
        /// Its id; of the default all zeros.
        id: SettingsId,
        /// What people call it.
        name: Name,
        /// What it is for.
        comment: String,
        /// The lowest wins; 0 is the default, which comes last.
        priority: u32,
        /// What it says, by name. What is not here falls through.
        #[cfg_attr(feature = "openapi", schema(value_type = Object))]
        values: SettingValues,
        /// Whose members it is for; of the default none: it is for all.
        collections: Vec<SettingsCollection>,
        /// What is dangerous about it, as sentences.
        warnings: Vec<String>,
        /// Grows with every change.
        version: u64,
        /// When it was changed last.
        changed: UnixMillis,
        /// Who changed it.
        changed_by: String,
    }
}
api! {
    /// What an object of client settings shall be.
    struct SettingsSet {
        /// What people call it.
        name: Name,
        /// What it is for.
        #[serde(default)] comment: String,
        /// What it says, by name.
        #[serde(default)]
        #[cfg_attr(feature = "openapi", schema(value_type = Object))]
        values: SettingValues,
        /// Whose members it is for.
        #[serde(default)] collections: Vec<CollectionId>,
    }
}
api! {
    /// Where custom settings shall stand.
    #[derive(Copy, Eq)]
    struct SettingsMove {
        /// 1 wins over all others.
        priority: u32,
    }
}
api! {
    /// What an object of client settings was.
    struct SettingsVersion {
        /// Its version.
        version: u64,
        /// Its name then.
        name: Name,
        /// Its comment then.
        comment: String,
        /// Its priority when it was changed.
        priority: u32,
        /// What it said.
        #[cfg_attr(feature = "openapi", schema(value_type = Object))]
        values: SettingValues,
        /// Whose members it was for.
        collections: Vec<SettingsCollection>,
        /// Since when.
        changed: UnixMillis,
        /// Who changed it.
        changed_by: String,
    }
}
api! {
    /// A change of settings that is only asked about.
    struct SettingsAsk {
        /// Which object; absent: a new one.
        #[serde(default)] id: Option<SettingsId>,
        /// Where a new one stands, or an old one shall; absent: last, or where it is.
        #[serde(default)] priority: Option<u32>,
        /// What it shall be; absent: it shall go, or only move.
        #[serde(default)] set: Option<SettingsSet>,
    }
}
api! {
    /// What a change of settings would change.
    struct SettingsPreview {
        /// Active devices.
        devices: u64,
        /// Of these: those of which a setting changes.
        changed: u64,
        /// What changes, setting by setting.
        changes: Vec<SettingsDifference>,
    }
}
api! {
    /// A setting that changes in the same way for some devices.
    struct SettingsDifference {
        /// The setting.
        setting: String,
        /// Its value now, in words.
        from: String,
        /// Its value then.
        to: String,
        /// How many devices.
        devices: u64,
        /// Some of them, by name.
        examples: Vec<String>,
    }
}
api! {
    /// A setting as a device has it.
    struct DeviceSetting {
        /// The setting.
        name: String,
        /// The group that it stands in.
        group: String,
        /// What people call it.
        label: String,
        /// Its value.
        #[cfg_attr(feature = "openapi", schema(value_type = Object))]
        value: Value,
        /// The value in words.
        shown: String,
        /// Where it comes from: `default`, or the name of the custom settings.
        source: String,
        /// The object that says so; absent: none does, and it is the setting's own default.
        source_id: Option<SettingsId>,
        /// The priority of that object; 0: the default.
        priority: u32,
        /// What is collected by it.
        privacy: Option<String>,
        /// Whether clients do it.
        in_force: bool,
        /// Whether it is a dangerous value.
        dangerous: bool,
    }
}
