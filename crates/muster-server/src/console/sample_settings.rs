//! Sample data of client settings.

use super::{
    sample::{Flavour, NOW, uuid},
    settings::{SettingsObjectPage, SettingsPage, filled},
};
use muster_model::{
    api::{
        DeviceSetting, Role, SettingsCollection, SettingsDifference, SettingsObject, SettingsPreview, SettingsVersion,
    },
    id::SettingsId,
    settings::{CATALOGUE, ClientSettings, SettingValues},
    time::DAY,
};
use serde_json::json;

fn values(f: Flavour) -> SettingValues {
    let scan = json!({"paths": [{"path": "/opt", "names": [f.text("*.jar")], "recursive": true}], "exclude": [], "files": 5000, "seconds": 60});
    let values = [("policy_poll", json!(5_400_000)), ("script_policy", json!("bypass")), ("software", scan)];
    SettingValues(values.into_iter().map(|(name, value)| (name.to_owned(), value)).collect())
}

fn collections(f: Flavour) -> Vec<SettingsCollection> {
    vec![SettingsCollection { id: "P0100001".parse().unwrap(), name: f.text("Laboratories") }]
}

fn object(f: Flavour, custom: bool) -> SettingsObject {
    let empty = f == Flavour::Empty;
    SettingsObject {
        id: if custom { SettingsId(uuid(70)) } else { SettingsId::DEFAULT },
        name: if custom { f.name("Kiosks") } else { "Default".parse().unwrap() },
        comment: f.text("Machines that stand in halls"),
        priority: u32::from(custom),
        values: if empty { SettingValues::default() } else { values(f) },
        collections: if custom && !empty { collections(f) } else { Vec::new() },
        warnings: if custom {
            vec![f.text("Script execution policy is bypass for the members of Laboratories.")]
        } else {
            vec![]
        },
        version: if empty { 0 } else { 3 },
        changed: NOW.plus(-DAY),
        changed_by: f.text("amelia"),
    }
}

/// The page of all objects.
pub(super) fn list(f: Flavour, role: Role) -> SettingsPage {
    let mut shell = f.shell("settings");
    shell.admin.role = role;
    let objects = if f == Flavour::Empty { vec![object(f, false)] } else { vec![object(f, false), object(f, true)] };
    let fields = [("name".to_owned(), f.text("Kiosks"))].into();
    SettingsPage { shell, objects, problem: Some(f.text("A name is needed.")), fields }
}

/// The page of one object.
pub(super) fn one(f: Flavour, custom: bool, role: Role) -> SettingsObjectPage {
    let mut shell = f.shell("settings");
    shell.admin.role = role;
    let object = object(f, custom);
    let version = SettingsVersion {
        version: 3,
        name: object.name.clone(),
        comment: object.comment.clone(),
        priority: object.priority,
        values: object.values.clone(),
        collections: collections(f),
        changed: object.changed,
        changed_by: object.changed_by.clone(),
    };
    let change = SettingsDifference {
        setting: "policy_poll".to_owned(),
        from: f.text("1 hour"),
        to: f.text("90 minutes"),
        devices: 1_482,
        examples: vec![f.text("kiosk-7")],
    };
    let changes = if f == Flavour::Empty { vec![] } else { vec![change] };
    let preview = Some(SettingsPreview { devices: 100_000, changed: 1_482, changes });
    let versions = f.page(vec![version], 3);
    let fields = filled(&object);
    SettingsObjectPage { shell, object, versions, fields, preview, problem: Some(f.text("At least 1 minute.")) }
}

/// The settings of a device.
pub(super) fn of_device(f: Flavour) -> Vec<DeviceSetting> {
    let defaults = SettingValues::of(&ClientSettings::default());
    let row = |(at, setting): (usize, &muster_model::settings::Setting)| {
        let value = defaults.0[setting.name].clone();
        DeviceSetting {
            name: setting.name.to_owned(),
            group: setting.group.to_owned(),
            label: setting.label.to_owned(),
            shown: f.text(&setting.shown(&value)),
            source: f.text("Kiosks"),
            source_id: (at % 2 == 0).then_some(SettingsId(uuid(70))),
            priority: u32::from(at % 4 == 0),
            privacy: setting.privacy.map(str::to_owned),
            in_force: setting.in_force,
            dangerous: at == 16,
            value,
        }
    };
    CATALOGUE.iter().enumerate().map(row).collect()
}
