//! What comes of several objects of settings for one client: one pure function, asked by the site for policy, for what is shown, and for
//! what would change.

use super::{CATALOGUE, ClientSettings, Reach, Setting, setting};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use std::collections::BTreeMap;

/// Some settings with their values, by name. What is not in it falls through to the object after it, and at last to the default.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct SettingValues(pub BTreeMap<String, Value>);

impl SettingValues {
    /// Whether every name is a setting's and every value one that it takes and that is allowed by that way.
    ///
    /// # Errors
    /// The first thing that is wrong, as a sentence.
    pub fn check(&self, reach: Reach) -> Result<(), String> {
        for (name, value) in &self.0 {
            let shown = || name.chars().take(60).collect::<String>();
            let setting = setting(name).ok_or_else(|| format!("There is no setting {:?}.", shown()))?;
            setting.check(value)?;
            setting.allowed(value, reach)?;
        }
        Ok(())
    }

    /// The same, each value with all that it leaves out.
    #[must_use]
    pub fn canonical(&self) -> Self {
        let value = |(name, value): (&String, &Value)| {
            let setting = setting(name);
            (name.clone(), setting.map_or_else(|| value.clone(), |setting| setting.canonical(value.clone())))
        };
        Self(self.0.iter().map(value).collect())
    }

    /// Every value of these settings.
    #[must_use]
    pub fn of(settings: &ClientSettings) -> Self {
        let whole = serde_json::to_value(settings).unwrap_or_default();
        let value = |setting: &Setting| {
            let found = setting.name.split('.').try_fold(&whole, |at, part| at.get(part));
            (setting.name.to_owned(), found.cloned().unwrap_or_default())
        };
        Self(CATALOGUE.iter().map(value).collect())
    }

    /// The settings that have these values, and else their defaults. `None`: a value is of another type.
    #[must_use]
    pub fn settings(&self) -> Option<ClientSettings> {
        serde_json::from_value(self.nested()).ok()
    }

    /// These values where they were stored before a setting in a group had a name with a full stop: each by the name that it has now and
    /// as near to what was said as it may be, and without what is no setting.
    #[must_use]
    pub fn upgraded(self) -> Self {
        if self.0.keys().all(|name| setting(name).is_some()) {
            return self;
        }
        let mut said = BTreeMap::new();
        for (name, value) in self.0 {
            match value {
                value if setting(&name).is_some() => drop(said.insert(name, value)),
                Value::Object(fields) => {
                    let fields = fields.into_iter().map(|(field, value)| (format!("{name}.{field}"), value));
                    said.extend(fields.filter(|(name, _)| setting(name).is_some()));
                }
                _ => {}
            }
        }
        let said = Self(said);
        match said.settings() {
            Some(settings) => {
                let mut near = Self::of(&settings.bounded());
                near.0.retain(|name, _| said.0.contains_key(name));
                near
            }
            None => said,
        }
    }

    fn nested(&self) -> Value {
        let mut whole = Map::new();
        for (name, value) in self.0.iter().filter(|(_, value)| !value.is_null()) {
            match name.split_once('.') {
                None => drop(whole.insert(name.clone(), value.clone())),
                Some((group, field)) => {
                    let group = whole.entry(group).or_insert_with(|| Value::Object(Map::new()));
                    if let Value::Object(fields) = group {
                        fields.insert(field.to_owned(), value.clone());
                    }
                }
            }
        }
        Value::Object(whole)
    }
}

/// One object of settings that a client has.
#[derive(Debug, Clone)]
pub struct Layer<'a, S> {
    /// The lowest wins. No two have the same.
    pub priority: u32,
    /// What it is.
    pub source: S,
    /// How it came to the client.
    pub reach: Reach,
    /// What it says.
    pub values: &'a SettingValues,
}

/// One setting of a client.
#[derive(Debug, Clone, PartialEq)]
pub struct Decided<S> {
    /// The setting.
    pub setting: &'static Setting,
    /// Its value.
    pub value: Value,
    /// Which object says so. `None`: none does, and it is the setting's default.
    pub source: Option<S>,
}

impl PartialEq for Setting {
    fn eq(&self, other: &Self) -> bool {
        self.name == other.name
    }
}

/// What comes of these objects: of each setting the value of the object with the lowest priority that says it. A value that is not
/// sound, or not allowed by the way on which it came, is as if it were not said.
#[must_use]
pub fn resultant<S: Clone>(layers: &[Layer<'_, S>]) -> Vec<Decided<S>> {
    let defaults = SettingValues::of(&ClientSettings::default());
    let decided = |setting: &'static Setting| {
        let said = |layer: &&Layer<'_, S>| {
            let value = layer.values.0.get(setting.name);
            value.is_some_and(|value| setting.check(value).is_ok() && setting.allowed(value, layer.reach).is_ok())
        };
        let first = layers.iter().filter(said).min_by_key(|layer| layer.priority);
        let values = first.map_or(&defaults, |layer| layer.values);
        let value = values.0.get(setting.name).cloned().unwrap_or_default();
        Decided { setting, value, source: first.map(|layer| layer.source.clone()) }
    };
    CATALOGUE.iter().map(decided).collect()
}

/// The settings of a client that they come to.
#[must_use]
pub fn client_settings<S>(decided: &[Decided<S>]) -> ClientSettings {
    let value = |decided: &Decided<S>| (decided.setting.name.to_owned(), decided.value.clone());
    // Each was checked: a value of another type cannot be here.
    SettingValues(decided.iter().map(value).collect()).settings().unwrap_or_default().bounded()
}

/// What a body always says.
const ALWAYS: [&str; 3] = ["policy_poll", "inventory", "heartbeat"];

impl ClientSettings {
    /// The bytes of the policy body: what is not as by default, so that clients of earlier versions understand as much as they can.
    #[must_use]
    pub fn to_body(&self) -> Vec<u8> {
        let defaults = SettingValues::of(&Self::default());
        let mut values = SettingValues::of(self);
        values.0.retain(|name, value| ALWAYS.contains(&name.as_str()) || defaults.0.get(name) != Some(value));
        values.nested().to_string().into_bytes()
    }

    /// Reads a policy body: the settings inside of what a client accepts, and the names that this program does not know, which are
    /// passed over. `None`: it is none.
    #[must_use]
    pub fn from_body(body: &[u8]) -> Option<(Self, Vec<String>)> {
        let whole: Map<String, Value> = serde_json::from_slice(body).ok()?;
        let (mut known, mut unknown) = (SettingValues::default(), Vec::new());
        for (name, value) in whole {
            let prefix = format!("{name}.");
            match value {
                Value::Object(fields) if CATALOGUE.iter().any(|setting| setting.name.starts_with(&prefix)) => {
                    for (field, value) in fields {
                        take(&mut known, &mut unknown, format!("{prefix}{field}"), value);
                    }
                }
                value => take(&mut known, &mut unknown, name, value),
            }
        }
        let bounded = known.0.into_iter().map(|(name, value)| Some((setting(&name)?.read(value)?, name)));
        let bounded: Vec<_> = bounded.collect::<Option<_>>()?;
        let settings = SettingValues(bounded.into_iter().map(|(value, name)| (name, value)).collect()).settings()?;
        Some((settings, unknown))
    }

    /// The same, inside of what a client accepts: a site that is taken over must not make its clients come every millisecond, or never
    /// again. What has no nearest sound value has its default.
    #[must_use]
    pub fn bounded(&self) -> Self {
        let values = SettingValues::of(self).0.into_iter();
        let bounded = values.filter_map(|(name, value)| Some((setting(&name)?.bounded(value)?, name)));
        SettingValues(bounded.map(|(value, name)| (name, value)).collect()).settings().unwrap_or_default()
    }
}

fn take(known: &mut SettingValues, unknown: &mut Vec<String>, name: String, value: Value) {
    if setting(&name).is_some() {
        known.0.insert(name, value);
    } else {
        unknown.push(name.chars().take(60).collect());
    }
}
