//! Whether a baseline obeys its rules. Author, site and client all ask.

use super::{Baseline, Discovery, FileRead, Remediation, Rule, Script, Setting, ValueType, judge};
use crate::{
    application::Command,
    limits::{
        BASELINE_FILE_BYTES, BASELINE_ITEMS, BASELINE_SETTINGS, BASELINE_TEXT_BYTES, RULE_VALUES, SCRIPT_BYTES,
        SCRIPT_PARAMETERS, SETTING_RULES,
    },
};
use std::collections::HashSet;

/// What is wrong with a baseline.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum BaselineError {
    /// The version is empty, too long, or has control characters.
    #[error("the version must have 1 to 100 printable characters")]
    Version,
    /// Too many, none, or two of one name.
    #[error(
        "a baseline has 1 to {BASELINE_ITEMS} items, each with a name of its own, and 1 to {BASELINE_SETTINGS} settings in all, each with a name of its own in its item"
    )]
    Count,
    /// A setting breaks a rule.
    #[error("{item} / {setting}: {what}")]
    Setting {
        /// The item.
        item: String,
        /// The setting.
        setting: String,
        /// What is wrong.
        what: &'static str,
    },
    /// A text for people is too long.
    #[error("a description has at most {BASELINE_TEXT_BYTES} bytes")]
    Description,
}

/// Suffixes of units of systemd that are no services.
const UNITS: &[&str] =
    &["automount", "device", "mount", "path", "scope", "slice", "snapshot", "socket", "swap", "target", "timer"];

type Checked = Result<(), &'static str>;

fn ensure(holds: bool, what: &'static str) -> Checked {
    if holds { Ok(()) } else { Err(what) }
}

impl Baseline {
    /// Whether everything obeys its rules.
    ///
    /// # Errors
    /// The first rule that is broken.
    pub fn check(&self) -> Result<(), BaselineError> {
        if self.version.is_empty() || self.version.len() > 100 || self.version.chars().any(char::is_control) {
            return Err(BaselineError::Version);
        }
        let items: HashSet<_> = self.items.iter().map(|item| item.name.as_str()).collect();
        let count: usize = self.items.iter().map(|item| item.settings.len()).sum();
        let own_names = self.items.iter().all(|item| {
            let names: HashSet<_> = item.settings.iter().map(|setting| setting.name.as_str()).collect();
            names.len() == item.settings.len()
        });
        if !(1..=BASELINE_ITEMS).contains(&self.items.len())
            || items.len() != self.items.len()
            || !(1..=BASELINE_SETTINGS).contains(&count)
            || !own_names
        {
            return Err(BaselineError::Count);
        }
        if self.items.iter().any(|item| item.description.len() > BASELINE_TEXT_BYTES) {
            return Err(BaselineError::Description);
        }
        for (item, setting) in self.settings() {
            setting.check().map_err(|what| BaselineError::Setting {
                item: item.name.to_string(),
                setting: setting.name.to_string(),
                what,
            })?;
        }
        Ok(())
    }
}

impl Setting {
    fn check(&self) -> Checked {
        discovery(&self.discovery)?;
        ensure((1..=SETTING_RULES).contains(&self.rules.len()), "a setting has 1 to 16 rules")?;
        for wanted in &self.rules {
            rule(wanted, self.value_type)?;
        }
        self.remediation.as_ref().map_or(Ok(()), |remedy| remediation(remedy, &self.discovery))
    }
}

fn text(text: &str) -> bool {
    text.len() <= BASELINE_TEXT_BYTES && !text.chars().any(char::is_control)
}

fn word(text: &str) -> bool {
    let plain = |b: u8| b.is_ascii_alphanumeric() || b"._-+:@~".contains(&b);
    (1..=255).contains(&text.len()) && !text.starts_with('-') && text.bytes().all(plain)
}

fn absolute(path: &str) -> bool {
    path.starts_with('/')
        && !path.starts_with("//")
        && !path.ends_with('/')
        && path.len() <= BASELINE_TEXT_BYTES
        && !path.chars().any(char::is_control)
        && path.split('/').skip(1).all(|part| !part.is_empty() && part != "." && part != "..")
}

/// Parts of letters, digits, `_` and `-`, between dots: it becomes a path.
fn sysctl(name: &str) -> bool {
    let plain = |b: u8| b.is_ascii_alphanumeric() || b == b'_' || b == b'-';
    name.len() <= 128 && name.split('.').all(|part| !part.is_empty() && part.bytes().all(plain))
}

fn mode(text: &str) -> bool {
    // No set-user-id, set-group-id or sticky bit is ever set by a remediation.
    text.len() == 4 && text.starts_with('0') && text.bytes().all(|b| (b'0'..=b'7').contains(&b))
}

fn discovery(discovery: &Discovery) -> Checked {
    match discovery {
        Discovery::File { path, read, .. } => {
            ensure(absolute(path), "a path goes from the root on, without `.` and `..`")?;
            let fine = match read {
                FileRead::Line { pattern } => text(pattern) && !pattern.is_empty(),
                FileRead::Key { key, separator, .. } => {
                    text(key) && !key.trim().is_empty() && separator.as_ref().is_none_or(|s| text(s) && !s.is_empty())
                }
                FileRead::Ini { section, key } => text(section) && text(key) && !key.trim().is_empty(),
                FileRead::Json { pointer } => text(pointer) && (pointer.is_empty() || pointer.starts_with('/')),
                FileRead::Exists | FileRead::Mode | FileRead::Owner | FileRead::Group | FileRead::Hash => true,
            };
            ensure(fine, "what is read of a file is empty, too long, or has characters that are not seen")
        }
        Discovery::Command { command: wanted, .. } => command(wanted),
        Discovery::Script { script: wanted } => script(wanted),
        Discovery::Package { name } => ensure(word(name), "a package's name has no such characters"),
        Discovery::Service { name, .. } => {
            ensure(word(name), "a service's name has no such characters")?;
            // A target or a mount is no service, is never found, and would be started at each evaluation.
            let suffix = name.rsplit_once('.').map_or("service", |(_, suffix)| suffix);
            ensure(!UNITS.contains(&suffix), "of systemd's units only a .service is a service")
        }
        Discovery::Sysctl { name } => ensure(sysctl(name), "a kernel parameter is like net.ipv4.ip_forward"),
        Discovery::Registry { key, value } => {
            ensure(text(key) && !key.is_empty() && text(value), "a key of the registry has 1 to 1024 characters")
        }
    }
}

fn command(command: &Command) -> Checked {
    let fine = |text: &String| text.len() <= 4_096 && !text.contains('\0');
    ensure(absolute(&command.program), "the program must be an absolute path")?;
    ensure(
        command.arguments.len() <= 64 && command.arguments.iter().all(fine),
        "a command has at most 64 arguments of at most 4096 bytes, without NUL",
    )?;
    ensure((1..=64).contains(&command.success_codes.len()), "a command names 1 to 64 success codes")
}

fn script(script: &Script) -> Checked {
    let size = (1..=SCRIPT_BYTES).contains(&script.text.len()) && !script.text.contains('\0');
    ensure(size, "a script has 1 to 65536 bytes, without NUL")?;
    let names: HashSet<_> = script.parameters.iter().map(|parameter| parameter.name.as_str()).collect();
    let fine = |value: String| value.len() <= 4_096 && !value.contains('\0');
    ensure(
        script.parameters.len() <= SCRIPT_PARAMETERS
            && names.len() == script.parameters.len()
            && script.parameters.iter().all(|parameter| fine(parameter.value.argument())),
        "a script has at most 32 parameters of at most 4096 bytes, each with a name of its own, without NUL",
    )
}

fn rule(rule: &Rule, value_type: ValueType) -> Checked {
    let values: Vec<&String> = match rule {
        Rule::Exists { .. } => return Ok(()),
        Rule::Equals { value } | Rule::Not { value } | Rule::Contains { value } => vec![value],
        Rule::OneOf { values } => {
            ensure((1..=RULE_VALUES).contains(&values.len()), "one_of has 1 to 64 values")?;
            values.iter().collect()
        }
        Rule::Between { least, most } => vec![least, most],
        Rule::Greater { than } | Rule::Less { than } => vec![than],
        Rule::Matches { pattern } => vec![pattern],
    };
    let short = |value: &&String| value.len() <= BASELINE_TEXT_BYTES && !value.contains('\0');
    ensure(values.iter().all(short), "a value of a rule has at most 1024 bytes")?;
    let ordered = matches!(value_type, ValueType::Integer | ValueType::Version | ValueType::Date);
    match rule {
        Rule::Contains { .. } => ensure(value_type == ValueType::List, "only a list contains something"),
        Rule::Matches { .. } => {
            ensure(matches!(value_type, ValueType::String | ValueType::List), "only texts match a pattern")
        }
        Rule::Between { .. } | Rule::Greater { .. } | Rule::Less { .. } => {
            ensure(ordered, "only integers, versions and dates are more or less")?;
            ensure(values.iter().all(|value| judge::is_of(value, value_type)), "a value is not of the setting's type")
        }
        _ => ensure(values.iter().all(|value| judge::is_of(value, value_type)), "a value is not of the setting's type"),
    }
}

fn remediation(remediation: &Remediation, discovery: &Discovery) -> Checked {
    let of = "this remediation is for another kind of discovery";
    match remediation {
        Remediation::File { content, mode: wanted } => {
            ensure(matches!(discovery, Discovery::File { .. }), of)?;
            ensure(content.is_some() || wanted.is_some(), "a file's remediation says content, mode, or both")?;
            let size = content.as_ref().is_none_or(|content| content.len() <= BASELINE_FILE_BYTES);
            ensure(size, "a file's content has at most 65536 bytes")?;
            ensure(wanted.as_deref().is_none_or(mode), "a mode is four octal digits, the first of them 0")
        }
        Remediation::Sysctl { value } => {
            ensure(matches!(discovery, Discovery::Sysctl { .. }), of)?;
            ensure(text(value) && !value.trim().is_empty(), "a kernel parameter's value is one line")
        }
        Remediation::Service { enabled, running } => {
            ensure(matches!(discovery, Discovery::Service { .. }), of)?;
            ensure(enabled.is_some() || running.is_some(), "a service's remediation says enabled, running, or both")
        }
        Remediation::Command { command: wanted } => command(wanted),
        Remediation::Script { script: wanted } => script(wanted),
    }
}
