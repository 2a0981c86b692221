//! Software updates: what a system's own tool offers, and which of it authors allow to be installed.
//!
//! A group of updates is the detection rule of a signed application whose install command is [`UPDATES`]: so it is signed, deployed, held to
//! windows, reported and shown as every application is. The client asks the tool, and installs nothing that the group does not allow.

pub mod apt;
pub mod dnf;
mod revision;
mod simulation;

pub use revision::UpdateGroupChange;
pub use simulation::{OddOutput, Simulation};

use crate::{
    glob::fits,
    limits::{UPDATE_PACKAGES, UPDATE_PATTERNS},
    version,
};
use serde::{Deserialize, Serialize};
use std::collections::BTreeSet;

/// The install command of a group of updates: the client itself, through the system's tool.
pub const UPDATES: &str = "updates";

/// The system's own tool.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub enum UpdateTool {
    /// `apt-get`.
    Apt,
    /// `dnf`, version 4.
    Dnf,
}

impl UpdateTool {
    /// The stable text.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Apt => "apt",
            Self::Dnf => "dnf",
        }
    }

    /// The database whose order of versions counts.
    #[must_use]
    pub const fn database(self) -> &'static str {
        match self {
            Self::Apt => "dpkg",
            Self::Dnf => "rpm",
        }
    }
}

/// A group of updates, as authors sign it: single packages, a criterion, or both.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct UpdateGroup {
    /// Which tool.
    pub tool: UpdateTool,
    /// Updates by name and version.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub packages: Vec<UpdatePackage>,
    /// What else belongs to it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub criteria: Option<UpdateCriteria>,
    /// Patterns of names that never belong to it.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub exclude: Vec<String>,
    /// Packages may come along that were not there before. Default: no.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub allow_new: bool,
    /// Packages may go that are there. Default: no.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub allow_removals: bool,
}

/// One update by name and version. Where the package is not installed it says nothing.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct UpdatePackage {
    /// The name of the package.
    pub name: String,
    /// The least version that is to be there.
    pub version: String,
    /// Exactly this version is installed, and no later one.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub exact: bool,
}

/// Which updates belong to a group: those for which all of it holds.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct UpdateCriteria {
    /// Only security updates, as the repository says it of itself.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub security: bool,
    /// Patterns with `*` and `?` of origins, like `Debian-Security:*`; empty: any.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub origins: Vec<String>,
    /// Patterns of names of packages; empty: any.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub names: Vec<String>,
}

/// An update that the system's tool offers.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Update {
    /// The name of the package.
    pub package: String,
    /// Its architecture.
    pub architecture: String,
    /// The version that is installed; none: it would be new.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub installed: Option<String>,
    /// The version that is offered.
    pub candidate: String,
    /// Where it comes from, as repositories call themselves.
    pub origins: Vec<String>,
    /// Whether it is a security update, as a repository says it of itself.
    pub security: bool,
}

/// A package that is installed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Installed<'a> {
    /// Its name.
    pub name: &'a str,
    /// Its version.
    pub version: &'a str,
}

/// An update of a group that is missing on a machine.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Missing {
    /// The name of the package.
    pub package: String,
    /// Its architecture, where the tool said it.
    pub architecture: Option<String>,
    /// The version to install; none: nobody offers one that the group allows.
    pub version: Option<String>,
}

impl Missing {
    /// For people.
    #[must_use]
    pub fn shown(&self) -> String {
        match &self.version {
            Some(version) => format!("{} {version}", self.package),
            None => format!("{} (no version is offered that is allowed)", self.package),
        }
    }
}

/// Whether this can be the name of a package or of an architecture: it becomes an argument.
#[must_use]
pub fn is_name(text: &str) -> bool {
    let plain = |b: u8| b.is_ascii_alphanumeric() || b"+.-_".contains(&b);
    (1..=128).contains(&text.len()) && text.as_bytes()[0].is_ascii_alphanumeric() && text.bytes().all(plain)
}

/// Whether this can be a version.
#[must_use]
pub fn is_version(text: &str) -> bool {
    let plain = |b: u8| b.is_ascii_alphanumeric() || b"+.-~:^_".contains(&b);
    (1..=128).contains(&text.len()) && text.as_bytes()[0].is_ascii_alphanumeric() && text.bytes().all(plain)
}

/// Whether a version can be an argument of the tool: a last `+` or `-` would mean something else to it.
#[must_use]
pub fn is_argument(version: &str) -> bool {
    is_version(version) && !version.ends_with(['+', '-'])
}

/// Whether this can be a pattern of names or origins.
#[must_use]
pub fn is_pattern(text: &str) -> bool {
    (1..=128).contains(&text.len()) && !text.chars().any(char::is_control)
}

impl UpdateGroup {
    /// Whether everything obeys its rules.
    ///
    /// # Errors
    /// The first rule that is broken.
    pub fn check(&self) -> Result<(), &'static str> {
        let names: BTreeSet<&str> = self.packages.iter().map(|package| package.name.as_str()).collect();
        if self.packages.len() > UPDATE_PACKAGES || names.len() != self.packages.len() {
            return Err("a group of updates has at most 1000 packages, each named once");
        }
        if self.packages.is_empty() && self.criteria.is_none() {
            return Err("a group of updates names packages or criteria; `criteria = {}` means everything");
        }
        if !self.packages.iter().all(|package| is_name(&package.name) && is_argument(&package.version)) {
            return Err("a package or version has characters that none has");
        }
        let criteria = self.criteria.iter().flat_map(|criteria| criteria.origins.iter().chain(&criteria.names));
        let patterns: Vec<&String> = criteria.chain(&self.exclude).collect();
        if patterns.len() > UPDATE_PATTERNS || !patterns.iter().all(|pattern| is_pattern(pattern)) {
            return Err("a group of updates has at most 200 patterns of 1 to 128 printable characters");
        }
        Ok(())
    }

    /// Whether this version of this package may be put in the place of an older one.
    #[must_use]
    pub fn allows(&self, update: &Update) -> bool {
        if self.excludes(&update.package) {
            return false;
        }
        let by_name = self.packages.iter().find(|package| package.name == update.package);
        let version = |package: &UpdatePackage| match package.exact {
            true => package.version == update.candidate,
            false => self.at_least(&update.candidate, &package.version),
        };
        // An exact version is the only one, whatever else fits.
        if let Some(package) = by_name.filter(|package| package.exact) {
            return version(package);
        }
        by_name.is_some_and(version) || self.criteria.as_ref().is_some_and(|criteria| criteria.fit(update))
    }

    fn excludes(&self, name: &str) -> bool {
        self.exclude.iter().any(|pattern| fits(pattern, name))
    }

    fn at_least(&self, version: &str, wanted: &str) -> bool {
        version::compare(self.tool.database(), version, wanted).is_ge()
    }

    /// What of the group is missing: the tool offers `offered`, and `installed` is there.
    #[must_use]
    pub fn missing(&self, offered: &[Update], installed: &[Installed<'_>]) -> Vec<Missing> {
        let there = offered.iter().filter(|update| update.installed.is_some());
        let mut missing: Vec<Missing> = there
            .filter(|update| self.allows(update))
            .map(|update| Missing {
                package: update.package.clone(),
                architecture: Some(update.architecture.clone()),
                version: Some(update.candidate.clone()).filter(|version| is_argument(version)),
            })
            .collect();
        for package in self.packages.iter().filter(|package| !self.excludes(&package.name)) {
            let known = missing.iter().any(|missing| missing.package == package.name);
            let older =
                |there: &&Installed<'_>| there.name == package.name && !self.at_least(there.version, &package.version);
            if !known && installed.iter().any(|there| older(&there)) {
                // An exact version may be offered beside a later one.
                let version = package.exact.then(|| package.version.clone());
                missing.push(Missing { package: package.name.clone(), architecture: None, version });
            }
        }
        missing
    }

    /// Whether the tool may do what it says that it would do; else why not.
    ///
    /// # Errors
    /// A sentence that says the first thing which is not allowed.
    pub fn permits(&self, changes: &[Change]) -> Result<(), String> {
        for change in changes {
            match change {
                Change::Remove { package } if !self.allow_removals => {
                    return Err(format!("{package} would be removed, which the signed group does not allow."));
                }
                Change::Remove { .. } => {}
                Change::Install(update) => self.permits_one(update)?,
            }
        }
        Ok(())
    }

    fn permits_one(&self, update: &Update) -> Result<(), String> {
        let (name, candidate) = (&update.package, &update.candidate);
        match &update.installed {
            None if self.allow_new && !self.excludes(name) => Ok(()),
            None => Err(format!("{name} {candidate} would be new, which the signed group does not allow.")),
            Some(installed) if self.at_least(installed, candidate) => {
                Err(format!("{name} would go from {installed} back to {candidate}."))
            }
            Some(_) if self.allows(update) => Ok(()),
            Some(_) => Err(format!("{name} {candidate} would be installed, which the signed group does not allow.")),
        }
    }
}

impl UpdateCriteria {
    fn fit(&self, update: &Update) -> bool {
        let name = self.names.is_empty() || self.names.iter().any(|pattern| fits(pattern, &update.package));
        let of = |origin: &String| self.origins.iter().any(|pattern| fits(pattern, origin));
        let origin = self.origins.is_empty() || update.origins.iter().any(of);
        name && origin && (!self.security || update.security)
    }
}

/// What a tool says that it would do.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Change {
    /// It would put this there.
    Install(Update),
    /// It would remove this.
    Remove {
        /// The name of the package.
        package: String,
    },
}

#[cfg(test)]
mod tests;
