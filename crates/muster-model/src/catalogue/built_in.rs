//! The classes that are built in, from the data file.

use super::{Attribute, Class};
use serde::Deserialize;
use std::borrow::Cow;

/// The classes that the agent collects, in name order. A site takes the others too.
pub const COLLECTED: &[&str] = &[
    "COMPUTER_SYSTEM",
    "COMPUTER_SYSTEM_PRODUCT",
    "DISK",
    "INSTALLED_SOFTWARE",
    "LOGICAL_DISK",
    "NETWORK_ADAPTER",
    "NETWORK_ADAPTER_CONFIGURATION",
    "OPERATING_SYSTEM",
    "PARTITION",
    "PC_BIOS",
    "PROCESSOR",
    "SERVICE",
    "SYSTEM_CONSOLE_USER",
    "SYSTEM_ENCLOSURE",
    "X86_PC_MEMORY",
];

/// Classes whose key attributes cannot be seen from their order in the data file, and how many there are.
const KEYS: &[(&str, usize)] =
    &[("ACCOUNT_SID", 2), ("CCM_RAX", 2), ("DEVICE_INSTALLED_APPLICATIONS", 2), ("POWER_MANAGEMENT_DAILY", 2)];

/// One entry of the data file.
#[derive(Deserialize)]
struct Group<'a> {
    group: &'a str,
    wmi: &'a str,
    attrs: Vec<(&'a str, &'a str)>,
    sms_g_system: Option<&'a str>,
}

/// Every class of the data file.
pub(super) fn classes() -> impl Iterator<Item = Class> {
    let groups: Vec<Group<'static>> =
        serde_json::from_str(include_str!("../../data/inventory-classes.json")).unwrap_or_default();
    groups.into_iter().filter_map(Group::into_class)
}

/// The name of a group's class: what the file says, which has the names that queries in the field use; else the rule, the
/// group's name in upper case with one underscore where something else than letters and digits stands.
fn class_name<'a>(group: &str, said: Option<&'a str>) -> Cow<'a, str> {
    if let Some(name) = said.and_then(|said| said.strip_prefix("SMS_G_System_")) {
        return Cow::Borrowed(name);
    }
    let words = group.split(|c: char| !c.is_ascii_alphanumeric()).filter(|word| !word.is_empty());
    Cow::Owned(words.map(str::to_ascii_uppercase).collect::<Vec<_>>().join("_"))
}

/// How many of the first attributes are the key. The data file has them first, and the rest in the order of the alphabet. Of what
/// the agent collects it is the first alone: clients that are in the field compute the keys of their rows so.
fn keys(name: &str, attributes: &[Attribute]) -> usize {
    if COLLECTED.contains(&name) {
        return 1;
    }
    if let Some((_, keys)) = KEYS.iter().find(|(of, _)| *of == name) {
        return *keys;
    }
    let lower: Vec<String> = attributes.iter().map(|a| a.name.to_ascii_lowercase()).collect();
    let in_order = lower.windows(2).rev().take_while(|pair| pair[0] <= pair[1]).count();
    (attributes.len() - 1 - in_order).max(1)
}

impl Group<'_> {
    fn into_class(self) -> Option<Class> {
        let name = class_name(self.group, self.sms_g_system).into_owned();
        let attributes: Vec<Attribute> =
            self.attrs.into_iter().filter_map(|(kind, name)| Attribute::new(name, kind)).collect();
        if attributes.is_empty() {
            return None;
        }
        let keys = keys(&name, &attributes);
        Some(Class { name, wmi: self.wmi.to_owned(), attributes, keys, version: 0, retired: false })
    }
}

#[cfg(test)]
mod tests {
    use super::super::Catalogue;
    use super::*;

    #[test]
    fn every_group_of_the_file_is_a_class_with_all_its_attributes() {
        let file: serde_json::Value = serde_json::from_str(include_str!("../../data/inventory-classes.json")).unwrap();
        let groups = file.as_array().unwrap();
        let all = Catalogue::built_in().classes();
        let of_file = |class: &&std::sync::Arc<Class>| !super::super::more().contains(&class.name);
        let classes: Vec<_> = all.iter().filter(of_file).collect();
        assert_eq!((groups.len(), classes.len()), (161, 161));
        let attributes: usize = groups.iter().map(|group| group["attrs"].as_array().unwrap().len()).sum();
        assert_eq!(classes.iter().map(|class| class.attributes.len()).sum::<usize>(), attributes);
        for name in COLLECTED {
            assert_eq!(Catalogue::built_in().class(name).unwrap().keys, 1, "{name}");
        }
        let mut folded: Vec<String> = all.iter().map(|class| class.name.to_lowercase()).collect();
        folded.sort();
        folded.dedup();
        assert_eq!(folded.len(), 161 + super::super::more().len(), "no two classes have one table");
    }

    #[test]
    fn names_are_those_that_queries_in_the_field_use() {
        // Where the file says nothing, and what is named in queries and by the vendor's documents.
        let named = [
            "TPM_STATUS",
            "AMT_AGENT",
            "VIRTUAL_MACHINE",
            "VIRTUAL_MACHINE_64",
            "POWER_SETTINGS",
            "POWER_MANAGEMENT_DAILY",
            "SMS_ADVANCED_CLIENT_STATE",
            "1394_CONTROLLER",
            "DRIVER_VXD",
            "ClientEvents",
            "X86_PC_MEMORY",
            "ENCRYPTABLE_VOLUME",
            "BITLOCKER_DETAILS",
        ];
        for name in named {
            assert!(Catalogue::built_in().class(name).is_some(), "{name}");
        }
    }

    #[test]
    fn keys_are_what_stands_before_the_alphabet() {
        let keys = |name: &str| Catalogue::built_in().class(name).unwrap().keys;
        let known = [
            ("PHYSICAL_MEMORY", 2),
            ("QUICK_FIX_ENGINEERING", 2),
            ("DEVICE_BLUETOOTH", 1),
            ("CCM_RECENTLY_USED_APPS", 3),
            ("POWER_MANAGEMENT_DAILY", 2),
            ("TPM", 1),
            ("VOLUME", 1),
        ];
        for (name, count) in known {
            assert_eq!(keys(name), count, "{name}");
        }
    }
}
