//! Configuration baselines: what settings of a device should be, how each is found out, and how it is put right. Written and signed by
//! authors, as applications are; the site only distributes them.

mod check;
mod conflict;
mod judge;
#[cfg(test)]
mod tests;
mod words;

pub use check::BaselineError;
pub use conflict::{Claim, Claims};
pub use judge::{Verdict, compare_values};

use crate::{
    application::{Command, FileName, Platform, Privilege},
    id::{BaselineId, Name},
};
use serde::{Deserialize, Serialize};

/// Content type of a signed baseline object, a `COSE_Sign` by author keys.
pub const BASELINE_TYPE: &str = "application/vnd.muster.baseline+json";

/// A configuration baseline.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct Baseline {
    /// Stays the same over all versions.
    pub id: BaselineId,
    /// The name that people see.
    pub name: Name,
    /// The version that people see.
    pub version: String,
    /// Which systems it is for.
    pub platform: Platform,
    /// What belongs together, each under a name of its own.
    pub items: Vec<ConfigurationItem>,
}

impl crate::Signed for Baseline {
    const TYPE: &'static str = BASELINE_TYPE;
}

/// A configuration item: settings that belong together.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct ConfigurationItem {
    /// Its name in the baseline.
    pub name: Name,
    /// Why it matters, for people.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub description: String,
    /// Its settings, each under a name of its own.
    pub settings: Vec<Setting>,
}

/// One setting.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct Setting {
    /// Its name in the item.
    pub name: Name,
    /// How its value is found out.
    pub discovery: Discovery,
    /// How its value is read and compared.
    #[serde(default)]
    pub value_type: ValueType,
    /// What has to hold of it: all of these.
    pub rules: Vec<Rule>,
    /// How bad it is when they do not.
    #[serde(default)]
    pub severity: SettingSeverity,
    /// Whether its value never leaves the device.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub private: bool,
    /// How it is put right, where a deployment says that it shall be. Absent: it is only looked at.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub remediation: Option<Remediation>,
}

/// How the value of a setting is found out.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case", deny_unknown_fields)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub enum Discovery {
    /// Something about a file.
    File {
        /// Absolute path.
        path: String,
        /// What of it.
        read: FileRead,
        /// Whether symbolic links on the way are followed. Default: not, because whoever may make one would choose what is read.
        #[serde(default, skip_serializing_if = "std::ops::Not::not")]
        follow_links: bool,
    },
    /// What a command prints, without blanks around it.
    Command {
        /// The command; there is no shell.
        command: Command,
        /// What it may do on the machine. Default: nothing that an ordinary user may not.
        #[serde(default, skip_serializing_if = "Privilege::is_none")]
        privilege: Privilege,
    },
    /// What a script prints, without blanks around it.
    Script {
        /// The script.
        script: Script,
    },
    /// The version of an installed package.
    Package {
        /// Its name.
        name: String,
    },
    /// Something about a service.
    Service {
        /// Its name.
        name: String,
        /// What of it.
        property: ServiceProperty,
    },
    /// A parameter of the Linux kernel.
    Sysctl {
        /// Its name, like `net.ipv4.ip_forward`.
        name: String,
    },
    /// A value of the registry of Windows.
    Registry {
        /// The key, from the hive on.
        key: String,
        /// The value's name; empty: the key's own.
        #[serde(default)]
        value: String,
    },
}

/// What of a file is the value.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case", deny_unknown_fields)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub enum FileRead {
    /// That it is there: `true`.
    Exists,
    /// Its permissions as four octal digits: `0644`.
    Mode,
    /// The number of the user that it belongs to.
    Owner,
    /// The number of its group.
    Group,
    /// SHA-256 of its bytes.
    Hash,
    /// The lines that fit a pattern with `*` and `?`, without blanks around them.
    Line {
        /// The pattern, for a whole line.
        pattern: String,
    },
    /// The values of a key: `key = value` or `key value`. Lines that begin with `#` or `;` do not count.
    Key {
        /// The key; letter case counts.
        key: String,
        /// What stands between key and value. Absent: `=`, or blanks.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        separator: Option<String>,
        /// Of several, the last one counts. Default: the first.
        #[serde(default, skip_serializing_if = "std::ops::Not::not")]
        last: bool,
    },
    /// The value of a key in a section of an INI file.
    Ini {
        /// The section, without brackets; empty: before the first one.
        section: String,
        /// The key.
        key: String,
    },
    /// A value in a JSON file.
    Json {
        /// JSON pointer (RFC 6901), like `/server/port`.
        pointer: String,
    },
}

/// What of a service is the value.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub enum ServiceProperty {
    /// `running` or `stopped`.
    State,
    /// Whether it starts with the system: `true` or `false`.
    Enabled,
}

/// A script: part of the signed object, run by an interpreter of a closed list.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct Script {
    /// What runs it.
    pub interpreter: Interpreter,
    /// The script.
    pub text: String,
    /// Its parameters, in order.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub parameters: Vec<Parameter>,
    /// How it gets them.
    #[serde(default)]
    pub pass: Pass,
    /// What it may do on the machine when it only looks. Default: nothing that an ordinary user may not. One that puts right is root's.
    #[serde(default, skip_serializing_if = "Privilege::is_none")]
    pub privilege: Privilege,
}

/// What runs a script: a program at its usual place, and nothing that is found by a search.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub enum Interpreter {
    /// `/bin/sh`.
    Sh,
    /// `/bin/bash`.
    Bash,
    /// `/usr/bin/python3`.
    Python3,
    /// `/usr/bin/perl`.
    Perl,
}

impl Interpreter {
    /// The program.
    #[must_use]
    pub const fn program(self) -> &'static str {
        match self {
            Self::Sh => "/bin/sh",
            Self::Bash => "/bin/bash",
            Self::Python3 => "/usr/bin/python3",
            Self::Perl => "/usr/bin/perl",
        }
    }
}

/// A parameter of a script.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct Parameter {
    /// Its name.
    pub name: FileName,
    /// Its value.
    pub value: ParameterValue,
}

/// A value with its type.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(untagged)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub enum ParameterValue {
    /// Yes or no.
    Boolean(bool),
    /// A whole number.
    Integer(i64),
    /// A text.
    String(String),
}

impl ParameterValue {
    /// As an argument.
    #[must_use]
    pub fn argument(&self) -> String {
        match self {
            Self::Boolean(flag) => flag.to_string(),
            Self::Integer(number) => number.to_string(),
            Self::String(text) => text.clone(),
        }
    }
}

/// How a script gets its parameters.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub enum Pass {
    /// As arguments, in their order.
    #[default]
    Arguments,
    /// As a JSON object on its standard input.
    Stdin,
}

/// How a value is read and compared.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub enum ValueType {
    /// A text, byte by byte.
    #[default]
    String,
    /// A whole number, decimal.
    Integer,
    /// A version, as the package system of the device compares it.
    Version,
    /// Yes or no, in the usual words.
    Boolean,
    /// A list of texts: a rule holds where it holds for each of them.
    List,
    /// A day, `2026-11-27`, or a moment, `2026-11-27T08:00:00Z`.
    Date,
}

/// What has to hold of a value. Where there is no value, only `exists = false` holds.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case", deny_unknown_fields)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub enum Rule {
    /// There is a value, or there is none.
    Exists {
        /// Which.
        exists: bool,
    },
    /// It is this.
    Equals {
        /// This.
        value: String,
    },
    /// It is not this.
    Not {
        /// This.
        value: String,
    },
    /// It is one of these.
    OneOf {
        /// These.
        values: Vec<String>,
    },
    /// A list has this.
    Contains {
        /// This.
        value: String,
    },
    /// It is from the one to the other, both included.
    Between {
        /// The least.
        least: String,
        /// The most.
        most: String,
    },
    /// It is more than this.
    Greater {
        /// This.
        than: String,
    },
    /// It is less than this.
    Less {
        /// This.
        than: String,
    },
    /// It fits a pattern with `*` and `?`.
    Matches {
        /// The pattern.
        pattern: String,
    },
}

/// How bad it is when a setting is not as it should be.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub enum SettingSeverity {
    /// Not at all.
    None,
    /// For the record.
    Information,
    /// To be looked at.
    #[default]
    Warning,
    /// At once.
    Critical,
}

impl SettingSeverity {
    /// Every severity, the least first.
    pub const ALL: &[Self] = &[Self::None, Self::Information, Self::Warning, Self::Critical];

    /// The stable text.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::None => "none",
            Self::Information => "information",
            Self::Warning => "warning",
            Self::Critical => "critical",
        }
    }
}

/// How a setting is put right.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case", deny_unknown_fields)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub enum Remediation {
    /// The file of the discovery gets this text and this mode; what is not said stays. No symbolic link is ever followed.
    File {
        /// Its text.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        content: Option<String>,
        /// Its mode, octal: `0644`.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        mode: Option<String>,
    },
    /// The parameter of the discovery is set, now and at every start of the system.
    Sysctl {
        /// To this.
        value: String,
    },
    /// The service of the discovery is brought into this state.
    Service {
        /// Starts with the system, or not.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        enabled: Option<bool>,
        /// Runs now, or not.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        running: Option<bool>,
    },
    /// A command is run, as root. It must do no harm when it is run again.
    Command {
        /// The command; there is no shell.
        command: Command,
    },
    /// A script is run, as root. It must do no harm when it is run again.
    Script {
        /// The script.
        script: Script,
    },
}

impl Remediation {
    /// Whether it runs a program of the author's choice.
    #[must_use]
    pub const fn runs(&self) -> bool {
        matches!(self, Self::Command { .. } | Self::Script { .. })
    }
}

impl Remediation {
    /// Whether it can make the machine run something of the author's choice: what is written into a file or a parameter of the
    /// kernel can, as a program does.
    #[must_use]
    pub const fn can_run(&self) -> bool {
        !matches!(self, Self::Service { .. })
    }
}

impl Discovery {
    /// Whether it runs a program of the author's choice.
    #[must_use]
    pub const fn runs(&self) -> bool {
        matches!(self, Self::Command { .. } | Self::Script { .. })
    }
}

impl Discovery {
    /// Whether it runs a program as root.
    #[must_use]
    pub fn is_root(&self) -> bool {
        match self {
            Self::Command { privilege, .. } => *privilege == Privilege::Root,
            Self::Script { script } => script.privilege == Privilege::Root,
            _ => false,
        }
    }
}

impl Baseline {
    /// All settings with the items that they are in, in their order: the place in it is a setting's number in reports.
    pub fn settings(&self) -> impl Iterator<Item = (&ConfigurationItem, &Setting)> {
        self.items.iter().flat_map(|item| item.settings.iter().map(move |setting| (item, setting)))
    }

    /// Whether any setting runs a program of the authors' choice. A command counts as a script does: which programs are
    /// interpreters cannot be listed.
    #[must_use]
    pub fn runs(&self) -> bool {
        self.settings()
            .any(|(_, setting)| setting.discovery.runs() || setting.remediation.as_ref().is_some_and(Remediation::runs))
    }

    /// Whether it can make the machine run something of the authors' choice, and so needs the signatures of two.
    #[must_use]
    pub fn can_run(&self) -> bool {
        self.settings().any(|(_, setting)| {
            setting.discovery.runs() || setting.remediation.as_ref().is_some_and(Remediation::can_run)
        })
    }

    /// Whether any program that only looks is root's.
    #[must_use]
    pub fn looks_as_root(&self) -> bool {
        self.settings().any(|(_, setting)| setting.discovery.is_root())
    }

    /// Whether any setting can be put right.
    #[must_use]
    pub fn remediates(&self) -> bool {
        self.settings().any(|(_, setting)| setting.remediation.is_some())
    }
}
