//! Deployment types: several ways in which one application is installed. The application itself is the first of them, by its own platform,
//! content, commands and detection; the others follow it in the order in which a client looks at them.

use super::{Application, ApplicationError, Command, ContentFile, Detection, Platform, Requirement, ReturnCode};
use crate::{id::Name, limits::DEPLOYMENT_TYPES, policy::Feature};
use serde::{Deserialize, Serialize};
use std::{borrow::Cow, collections::HashSet};

/// Another way in which an application is installed. What an application says and this does not (its secrets, dependencies, retries, what it
/// replaces) holds for all of its types.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct DeploymentType {
    /// What people call it, as no other type of the application.
    pub name: Name,
    /// Which systems it is for.
    pub platform: Platform,
    /// What a device must meet so that it is this one.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub requirements: Vec<Requirement>,
    /// Its files. Those of other types are not fetched for it.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub content: Vec<ContentFile>,
    /// How it is installed.
    pub install: Command,
    /// How it is removed, where it can be.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub uninstall: Option<Command>,
    /// How it is repaired, where it can be.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub repair: Option<Command>,
    /// How to tell whether it is there.
    pub detection: Detection,
    /// What exit codes of its commands mean, where it is not what is usual.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub return_codes: Vec<ReturnCode>,
    /// Seconds that each of its commands may run. 1 to 86,400.
    pub max_run_seconds: u32,
}

impl Application {
    /// Each of its types in the order in which a client looks at them, as an application that has that one alone.
    #[must_use]
    pub fn each_type(&self) -> Vec<Self> {
        let own = Self { types: Vec::new(), ..self.clone() };
        let others: Vec<_> = self.types.iter().map(|kind| own.with(kind)).collect();
        std::iter::once(own).chain(others).collect()
    }

    fn with(&self, kind: &DeploymentType) -> Self {
        let kind = kind.clone();
        Self {
            type_name: Some(kind.name),
            platform: kind.platform,
            requirements: kind.requirements,
            content: kind.content,
            install: kind.install,
            uninstall: kind.uninstall,
            repair: kind.repair,
            detection: kind.detection,
            return_codes: kind.return_codes,
            max_run_seconds: kind.max_run_seconds,
            ..self.clone()
        }
    }

    /// What its types are called, the first one too; of an application with one type that needs no name: `default`.
    pub fn type_names(&self) -> impl Iterator<Item = Cow<'_, str>> {
        let own = self.type_name.as_ref().map_or(Cow::Borrowed("default"), |name| Cow::Borrowed(name.as_str()));
        std::iter::once(own).chain(self.types.iter().map(|kind| Cow::Borrowed(kind.name.as_str())))
    }

    /// The systems that one of its types is for.
    pub fn platforms(&self) -> impl Iterator<Item = Platform> {
        std::iter::once(self.platform).chain(self.types.iter().map(|kind| kind.platform))
    }

    /// The files of all of its types.
    pub fn files(&self) -> impl Iterator<Item = &ContentFile> {
        self.content.iter().chain(self.types.iter().flat_map(|kind| &kind.content))
    }

    /// Bytes that a device fetches at most: it takes one of the types.
    #[must_use]
    pub fn fetched_bytes(&self) -> u64 {
        let sum = |files: &[ContentFile]| files.iter().fold(0_u64, |all, file| all.saturating_add(file.size));
        self.types.iter().map(|kind| sum(&kind.content)).fold(sum(&self.content), u64::max)
    }

    /// Seconds that the longest of its commands may run.
    #[must_use]
    pub fn longest_run_seconds(&self) -> u32 {
        self.types.iter().map(|kind| kind.max_run_seconds).fold(self.max_run_seconds, u32::max)
    }

    /// Whether authors signed how one of its types is removed.
    #[must_use]
    pub fn can_be_removed(&self) -> bool {
        self.uninstall.is_some() || self.types.iter().any(|kind| kind.uninstall.is_some())
    }

    /// Whether a device cannot say which of its types is there: the rules of several for one system need files that only come with a type.
    #[must_use]
    pub fn is_found_by_files(&self) -> bool {
        let own = std::iter::once((self.platform, &self.detection));
        let all = own.chain(self.types.iter().map(|kind| (kind.platform, &kind.detection)));
        let by_files: Vec<Platform> = all.filter(|(_, rule)| rule.needs_content()).map(|(of, _)| of).collect();
        by_files.iter().enumerate().any(|(at, of)| by_files[..at].contains(of))
    }

    /// Whether it is a program that runs, and nothing that is there afterwards.
    #[must_use]
    pub const fn is_program(&self) -> bool {
        matches!(self.detection, Detection::Program)
    }

    /// What a client must know to carry it out.
    #[must_use]
    pub fn features(&self) -> Vec<Feature> {
        let has = [
            (Feature::Types, !self.types.is_empty()),
            (Feature::Programs, self.is_program()),
            (Feature::Parameters, !self.parameters.is_empty()),
        ];
        has.into_iter().filter_map(|(feature, is_so)| is_so.then_some(feature)).collect()
    }

    pub(super) fn check_types(&self) -> Result<(), ApplicationError> {
        if self.types.is_empty() {
            return match self.type_name.is_some() {
                true => Err(ApplicationError::Types("an application with one type gives it no name")),
                false => Ok(()),
            };
        }
        if self.type_name.is_none() {
            let why = "an application with several types names its own by `type_name`: it is the first";
            return Err(ApplicationError::Types(why));
        }
        let names: HashSet<_> = self.type_names().collect();
        if self.types.len() >= DEPLOYMENT_TYPES || names.len() != self.types.len() + 1 {
            return Err(ApplicationError::Types(
                "an application has at most 16 deployment types, each with a name of its own",
            ));
        }
        let rules = || std::iter::once(&self.detection).chain(self.types.iter().map(|kind| &kind.detection));
        if rules().any(|rule| matches!(rule, Detection::Updates { .. })) {
            return Err(ApplicationError::Types("a group of updates has one type"));
        }
        let programs = rules().filter(|rule| matches!(rule, Detection::Program)).count();
        if programs != 0 && programs != self.types.len() + 1 {
            return Err(ApplicationError::Types("either all types of an application are programs, or none is"));
        }
        Ok(())
    }

    /// A program leaves nothing that could be looked for, removed or repaired.
    pub(super) fn check_program(&self) -> Result<(), ApplicationError> {
        let other = self.uninstall.is_some() || self.repair.is_some() || self.collector.is_some();
        if self.is_program() && (other || !self.supersedes.is_empty()) {
            let why = "a program has no uninstall or repair command, no collector, and replaces nothing";
            return Err(ApplicationError::Program(why));
        }
        Ok(())
    }
}
