//! Applications: content, install command, detection rule. Written and signed by an author; the site only distributes them.

mod parameter;
mod requirement;
mod rules;
mod types;

pub use parameter::{
    Given, Parameter, ParameterError, ParameterKind, ParameterName, ParameterValue, ParameterValues, ParameterWay,
};
pub use requirement::{Facts, Requirement};
pub use rules::{Dependency, DependencyGroup, Retries, ReturnCode, ReturnMeaning, Superseded, USUAL_CODES};
pub use types::DeploymentType;

use crate::{
    api::ClassAdd,
    id::{ApplicationId, Hash, Name},
    limits::{REQUIREMENT_BYTES, REQUIREMENTS},
    secret::SECRETS_OF_APPLICATION,
    update::{UPDATES, UpdateGroup},
};
use serde::{Deserialize, Serialize};
use std::collections::HashSet;

/// Content type of a signed application object, a `COSE_Sign` by author keys.
pub const APPLICATION_TYPE: &str = "application/vnd.muster.application+json";

/// An application.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct Application {
    /// Stays the same over all versions.
    pub id: ApplicationId,
    /// The name that people see.
    pub name: Name,
    /// The version that people see.
    pub version: String,
    /// Which systems it is for.
    pub platform: Platform,
    /// The files; the install command finds them, under their names, in its working directory.
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
    /// Names of secrets that the install command gets, each as the path of a file that is gone when it ends: `secret/<name>`
    /// among the arguments. They are sealed for each device on their own.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub secrets: Vec<FileName>,
    /// What it says for the inventory, where it says something.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub collector: Option<Collector>,
    /// What a device must meet to get it.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub requirements: Vec<Requirement>,
    /// What exit codes of its commands mean, where it is not what is usual.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub return_codes: Vec<ReturnCode>,
    /// How often a command that failed is run again. Default: not at all.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub retries: Option<Retries>,
    /// What must be there first: of each group, one.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub dependencies: Vec<DependencyGroup>,
    /// What it replaces.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub supersedes: Vec<Superseded>,
    /// With several deployment types: what people call the application's own, which is the first of them.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub type_name: Option<Name>,
    /// Other ways in which it is installed, in the order in which a client looks whether one is for it; the first that is, it takes.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub types: Vec<DeploymentType>,
    /// What a deployment may say to its commands.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub parameters: Vec<Parameter>,
    /// Seconds that each of its commands may run; then it is ended with everything that it started. 1 to 86,400.
    pub max_run_seconds: u32,
}

impl crate::Signed for Application {
    const TYPE: &'static str = APPLICATION_TYPE;
}

/// A program that says rows of an administrator's class. It runs with each inventory of a device on which the application is installed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct Collector {
    /// The class: none that is built in.
    pub class: ClassAdd,
    /// The command. It prints one row as a JSON object, or a list of them, and nothing else.
    pub command: Command,
    /// Seconds that it may run. 1 to 300.
    pub max_run_seconds: u32,
    /// What it may do on the machine. Default: nothing that an ordinary user may not.
    #[serde(default, skip_serializing_if = "Privilege::is_none")]
    pub privilege: Privilege,
}

/// What a program may do on the machine.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub enum Privilege {
    /// What a user without any privilege may do.
    #[default]
    None,
    /// Everything.
    Root,
}

impl Privilege {
    /// Whether it is none.
    #[must_use]
    pub const fn is_none(&self) -> bool {
        matches!(self, Self::None)
    }
}

/// Systems an application is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub enum Platform {
    /// Linux.
    Linux,
    /// Windows.
    Windows,
    /// macOS.
    Macos,
}

/// One file of an application.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct ContentFile {
    /// A plain file name: letters, digits, `.`, `_`, `-`, `+`, `~`; at most 100; not starting with a dot.
    pub name: FileName,
    /// SHA-256 of the bytes.
    pub hash: Hash,
    /// Length in bytes.
    pub size: u64,
}

/// A command: program and arguments, handed to the system as they are. There is no shell.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct Command {
    /// An absolute path on the client, or `content/<name>` for a file of the application.
    pub program: String,
    /// The arguments, at most 64 of at most 4,096 bytes. `content/<name>` stands for the path of a file of the application.
    #[serde(default)]
    pub arguments: Vec<String>,
    /// Exit codes that mean success. Default: only 0.
    #[serde(default = "zero")]
    pub success_codes: Vec<i32>,
}

fn zero() -> Vec<i32> {
    vec![0]
}

/// How to tell whether an application is installed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case", deny_unknown_fields)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub enum Detection {
    /// The system's package database has this package, in this version or a later one.
    Package {
        /// Package name.
        name: String,
        /// Least version, compared as the system's packages compare; none: any version.
        #[serde(default)]
        version: Option<String>,
    },
    /// This file is there.
    File {
        /// Absolute path.
        path: String,
        /// With these bytes; none: any.
        #[serde(default)]
        hash: Option<Hash>,
    },
    /// This command ends with a success code.
    Command {
        /// The command; it may run for 60 seconds.
        command: Command,
    },
    /// No update of this group is missing. The install command is `updates` then: the client itself, through the system's own tool.
    Updates {
        /// The group.
        group: UpdateGroup,
    },
    /// There is nothing to look for: it is a program that runs, and its exit code says whether that worked. Whether it runs again the
    /// deployment says.
    Program,
}

impl Detection {
    /// Whether it needs files of the application.
    #[must_use]
    pub fn needs_content(&self) -> bool {
        match self {
            Self::Command { command } => {
                command.program.starts_with("content/") || command.arguments.iter().any(|a| a.starts_with("content/"))
            }
            Self::Package { .. } | Self::File { .. } | Self::Updates { .. } | Self::Program => false,
        }
    }
}

/// What is wrong with an application.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ApplicationError {
    /// The version is empty, too long, or has control characters.
    #[error("the version must have 1 to 100 printable characters")]
    Version,
    /// The run time is out of range.
    #[error("max_run_seconds must be from 1 to 86400")]
    RunTime,
    /// Too many files, or two of one name.
    #[error("content must have at most 64 files, each with a name of its own")]
    Content,
    /// A command is not well-formed.
    #[error("{0}")]
    Command(&'static str),
    /// Too many secrets, or two of one name.
    #[error("an application names at most {SECRETS_OF_APPLICATION} secrets, each with a name of its own")]
    Secrets,
    /// The collector's class or time is out of its rules.
    #[error("a collector runs for 1 to 300 seconds and has a class that an administrator may add")]
    Collector,
    /// A requirement is not WQL that a device can compute.
    #[error("the requirement {0:?}: {1}")]
    Requirement(String, String),
    /// Too many requirements, or two of one name.
    #[error(
        "an application has at most {REQUIREMENTS} requirements, each with a name of its own and at most {REQUIREMENT_BYTES} bytes"
    )]
    Requirements,
    /// The table of exit codes.
    #[error("an application gives a meaning to at most 64 exit codes, one to each")]
    ReturnCodes,
    /// Retries out of range.
    #[error("an application is tried again 1 to 20 times, with 1 to 86400 seconds in between")]
    Retries,
    /// Dependencies out of their rules.
    #[error(
        "an application has at most 16 groups of dependencies, each of 1 to 8 other applications with a printable least version"
    )]
    Dependencies,
    /// Superseded applications out of their rules.
    #[error("an application supersedes at most 32 others, each named once")]
    Supersedes,
    /// A group of updates is not well-formed, or stands with something that it does not go with.
    #[error("{0}")]
    Updates(&'static str),
    /// Deployment types out of their rules.
    #[error("{0}")]
    Types(&'static str),
    /// A program has what only something that is there can have.
    #[error("{0}")]
    Program(&'static str),
    /// A parameter is not well-formed, or stands where it must not.
    #[error("{0}")]
    Parameter(&'static str),
    /// The default of a parameter is none of its values.
    #[error("{0}")]
    Default(ParameterError),
    /// A path in the detection rule is not absolute.
    #[error("the detection rule's path must be absolute, without `..`")]
    DetectionPath,
}

impl Application {
    /// Whether everything obeys its rules. Author and site call it.
    ///
    /// # Errors
    /// The first rule that is broken.
    pub fn check(&self) -> Result<(), ApplicationError> {
        self.check_form()?;
        self.check_requirements()
    }

    /// Whether everything but the queries of its requirements obeys its rules. A client calls it, and says of a query that it cannot compute
    /// that it is one.
    ///
    /// # Errors
    /// The first rule that is broken.
    pub fn check_form(&self) -> Result<(), ApplicationError> {
        self.check_types()?;
        self.check_parameters()?;
        self.each_type().iter().try_for_each(Self::check_one_type)
    }

    fn check_one_type(&self) -> Result<(), ApplicationError> {
        self.check_program()?;
        if self.version.is_empty() || self.version.len() > 100 || self.version.chars().any(char::is_control) {
            return Err(ApplicationError::Version);
        }
        if !(1..=86_400).contains(&self.max_run_seconds) {
            return Err(ApplicationError::RunTime);
        }
        let names: HashSet<_> = self.content.iter().map(|f| f.name.as_str()).collect();
        if self.content.len() > 64 || names.len() != self.content.len() {
            return Err(ApplicationError::Content);
        }
        let secrets: HashSet<_> = self.secrets.iter().map(FileName::as_str).collect();
        if self.secrets.len() > SECRETS_OF_APPLICATION || secrets.len() != self.secrets.len() {
            return Err(ApplicationError::Secrets);
        }
        match self.updates() {
            Some(group) => self.check_updates(group)?,
            None => self.install.check(&names, &secrets)?,
        }
        for command in [&self.uninstall, &self.repair].into_iter().flatten() {
            command.check(&names, &HashSet::new())?;
        }
        self.check_rules()?;
        if let Some(collector) = &self.collector {
            collector.command.check(&names, &HashSet::new())?;
            if !(1..=300).contains(&collector.max_run_seconds) || collector.class.class().is_err() {
                return Err(ApplicationError::Collector);
            }
        }
        match &self.detection {
            Detection::Package { name, version } => {
                let ok =
                    |text: &str| !text.is_empty() && text.len() <= 255 && text.bytes().all(|b| b.is_ascii_graphic());
                if !ok(name) || version.as_deref().is_some_and(|v| !ok(v)) {
                    return Err(ApplicationError::Command("a package name or version must be printable ASCII"));
                }
                Ok(())
            }
            Detection::File { path, .. } if !is_absolute(path) => Err(ApplicationError::DetectionPath),
            Detection::File { .. } => Ok(()),
            Detection::Command { command } => command.check(&names, &HashSet::new()),
            Detection::Updates { .. } | Detection::Program => Ok(()),
        }
    }

    /// The group of updates that it is, if it is one.
    #[must_use]
    pub const fn updates(&self) -> Option<&UpdateGroup> {
        match &self.detection {
            Detection::Updates { group } => Some(group),
            _ => None,
        }
    }

    /// A group of updates is nothing else besides.
    fn check_updates(&self, group: &UpdateGroup) -> Result<(), ApplicationError> {
        let command = &self.install;
        if command.program != UPDATES || !command.arguments.is_empty() || command.success_codes != [0] {
            return Err(ApplicationError::Updates("the install command of a group of updates is `updates` alone"));
        }
        let others = self.content.len() + self.secrets.len() + self.supersedes.len();
        let commands = [&self.uninstall, &self.repair].into_iter().flatten().count();
        if others + commands > 0 || self.collector.is_some() || self.platform != Platform::Linux {
            let why = "a group of updates is for Linux, and has no content, secrets, other commands, collector or predecessors";
            return Err(ApplicationError::Updates(why));
        }
        group.check().map_err(ApplicationError::Updates)
    }
}

impl Application {
    fn check_requirements(&self) -> Result<(), ApplicationError> {
        for requirement in self.requirements.iter().chain(self.types.iter().flat_map(|kind| &kind.requirements)) {
            requirement
                .check()
                .map_err(|error| ApplicationError::Requirement(requirement.name.to_string(), error.message))?;
        }
        Ok(())
    }
}

impl Command {
    fn check(&self, names: &HashSet<&str>, secrets: &HashSet<&str>) -> Result<(), ApplicationError> {
        let bad = |text: &str| text.len() > 4096 || text.contains('\0');
        if self.arguments.len() > 64 || self.arguments.iter().any(|a| bad(a)) || bad(&self.program) {
            return Err(ApplicationError::Command(
                "a command has at most 64 arguments of at most 4096 bytes, without NUL",
            ));
        }
        if self.success_codes.is_empty() || self.success_codes.len() > 64 {
            return Err(ApplicationError::Command("a command names 1 to 64 success codes"));
        }
        let known = |text: &str| text.strip_prefix("content/").is_none_or(|name| names.contains(name));
        if !self.arguments.iter().all(|a| known(a)) || !known(&self.program) {
            return Err(ApplicationError::Command("content/<name> must name a file of the application"));
        }
        let known = |text: &str| text.strip_prefix("secret/").is_none_or(|name| secrets.contains(name));
        if !self.arguments.iter().all(|a| known(a)) {
            let why = "secret/<name> must name a secret of the application, and only the install command gets secrets";
            return Err(ApplicationError::Command(why));
        }
        if !self.program.starts_with("content/") && !is_absolute(&self.program) {
            return Err(ApplicationError::Command("the program must be an absolute path or content/<name>"));
        }
        Ok(())
    }
}

fn is_absolute(path: &str) -> bool {
    let bytes = path.as_bytes();
    let windows = bytes.len() > 3 && bytes[0].is_ascii_alphabetic() && &bytes[1..3] == b":\\";
    (path.starts_with('/') && !path.starts_with("//") || windows)
        && path.len() <= 4096
        && !path.contains('\0')
        && !path.split(['/', '\\']).any(|part| part == "..")
}

/// A file name that is a name and never a path.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(transparent)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema), schema(value_type = String))]
pub struct FileName(String);

impl FileName {
    /// The name.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl std::str::FromStr for FileName {
    type Err = &'static str;
    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let plain = |b: u8| b.is_ascii_alphanumeric() || b"._-+~".contains(&b);
        if text.is_empty()
            || text.len() > 100
            || text.starts_with('.')
            || text.ends_with('.')
            || !text.bytes().all(plain)
        {
            return Err("a file name has 1 to 100 of A-Z a-z 0-9 . _ - + ~ and neither starts nor ends with a dot");
        }
        Ok(Self(text.to_owned()))
    }
}
impl<'de> Deserialize<'de> for FileName {
    fn deserialize<D: serde::Deserializer<'de>>(d: D) -> Result<Self, D::Error> {
        std::borrow::Cow::<'de, str>::deserialize(d)?.parse().map_err(serde::de::Error::custom)
    }
}

#[cfg(test)]
mod tests;
