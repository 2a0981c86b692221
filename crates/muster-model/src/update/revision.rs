//! Revisions of a group: what is new in one since the one before.

use super::UpdateGroup;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// A package that two revisions of a group say otherwise.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct UpdateGroupChange {
    /// The package.
    pub package: String,
    /// The version before; none: it is new.
    pub from: Option<String>,
    /// The version now; none: it is gone.
    pub to: Option<String>,
}

impl UpdateGroupChange {
    /// For people.
    #[must_use]
    pub fn sentence(&self) -> String {
        match (&self.from, &self.to) {
            (Some(from), Some(to)) => format!("{} {from} -> {to}", self.package),
            (None, Some(to)) => format!("{} {to} (new)", self.package),
            (Some(from), None) => format!("{} {from} (gone)", self.package),
            (None, None) => self.package.clone(),
        }
    }
}

impl UpdateGroup {
    /// What is new in its list of packages since a revision before, by name.
    #[must_use]
    pub fn changes_since(&self, before: Option<&Self>) -> Vec<UpdateGroupChange> {
        let mut all: BTreeMap<&str, (Option<String>, Option<String>)> = BTreeMap::new();
        let shown = |version: &str, exact: bool| if exact { format!("={version}") } else { version.to_owned() };
        for package in before.iter().flat_map(|group| &group.packages) {
            all.entry(&package.name).or_default().0 = Some(shown(&package.version, package.exact));
        }
        for package in &self.packages {
            all.entry(&package.name).or_default().1 = Some(shown(&package.version, package.exact));
        }
        let change = |(package, (from, to)): (&str, _)| UpdateGroupChange { package: package.to_owned(), from, to };
        all.into_iter().filter(|(_, (from, to))| from != to).map(change).collect()
    }
}
