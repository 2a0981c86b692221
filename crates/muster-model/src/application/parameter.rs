//! Parameters: what a deployment may say to a program that authors signed. The signed application declares each with its type and the way
//! on which it arrives; site and client hold each value against that. No value is ever a part of a text that a shell reads.

use super::{Application, ApplicationError, Command};
use crate::limits::{PARAMETER_BYTES, PARAMETER_VALUES, PARAMETERS, PARAMETERS_BYTES};
use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, HashSet};

/// What stands for a value among the arguments: alone, or behind `--option=`.
const PLACE: &str = "parameter/";
/// Switches behind which programs take the next argument for code.
const CODE: &[&str] = &["-c", "-e", "-E", "-r", "-S", "/c", "/C", "/k", "/K", "--eval", "--command", "--exec", "-exec"];

/// Name of a parameter: 1 to 40 of `a-z 0-9 _`, a letter first.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(transparent)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema), schema(value_type = String))]
pub struct ParameterName(String);

impl ParameterName {
    /// The name.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The variable of the environment in which its value stands, where it comes on that way.
    #[must_use]
    pub fn variable(&self) -> String {
        format!("MUSTER_VALUE_{}", self.0.to_ascii_uppercase())
    }
}

impl std::str::FromStr for ParameterName {
    type Err = &'static str;
    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let plain = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'_';
        let first = text.bytes().next().is_some_and(|b| b.is_ascii_lowercase());
        match first && text.len() <= 40 && text.bytes().all(plain) {
            true => Ok(Self(text.to_owned())),
            false => Err("the name of a parameter has 1 to 40 of a-z 0-9 _ and begins with a letter"),
        }
    }
}

impl<'de> Deserialize<'de> for ParameterName {
    fn deserialize<D: serde::Deserializer<'de>>(d: D) -> Result<Self, D::Error> {
        std::borrow::Cow::<'de, str>::deserialize(d)?.parse().map_err(serde::de::Error::custom)
    }
}

impl std::fmt::Display for ParameterName {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.0)
    }
}

/// A value, as its type is.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(untagged)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema), schema(as = ApplicationParameterValue))]
pub enum ParameterValue {
    /// Of a boolean.
    Boolean(bool),
    /// Of an integer.
    Integer(i64),
    /// Of a text or a choice.
    Text(String),
}

impl std::fmt::Display for ParameterValue {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Boolean(truth) => write!(f, "{truth}"),
            Self::Integer(number) => write!(f, "{number}"),
            Self::Text(text) => f.write_str(text),
        }
    }
}

/// The type of a parameter.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case", deny_unknown_fields)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub enum ParameterKind {
    /// A text.
    String {
        /// Bytes that it has at most. 1 to 4,096.
        most_bytes: u32,
        /// Where it is not empty: one of these.
        #[serde(default, skip_serializing_if = "Vec::is_empty")]
        allowed: Vec<String>,
    },
    /// A whole number.
    Integer {
        /// The least.
        least: i64,
        /// The most.
        most: i64,
    },
    /// `true` or `false`.
    Boolean,
    /// One of these.
    Choice {
        /// The values.
        values: Vec<String>,
    },
    /// Never: it is known so that it can be refused with the reason.
    Secret,
}

/// On which way a value reaches the program.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub enum ParameterWay {
    /// As one argument, where `parameter/<name>` stands alone, or behind `--option=`.
    #[default]
    Argument,
    /// In the environment, as `MUSTER_VALUE_<NAME>`.
    Environment,
    /// On standard input: one JSON object of all parameters that come on this way.
    Input,
}

/// A parameter, as authors declare it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema), schema(as = ApplicationParameter))]
pub struct Parameter {
    /// Its name.
    pub name: ParameterName,
    /// Its type.
    #[serde(rename = "type")]
    pub kind: ParameterKind,
    /// On which way it reaches the program. Default: as an argument.
    #[serde(default)]
    pub way: ParameterWay,
    /// Its value where a deployment gives none. None: each deployment must give one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub default: Option<ParameterValue>,
}

/// Values by the names of their parameters.
pub type ParameterValues = BTreeMap<ParameterName, ParameterValue>;

/// Why values are not those of an application.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ParameterError {
    /// The application has no such parameter.
    #[error("there is no parameter {0}")]
    Unknown(ParameterName),
    /// It has no default, and no value came.
    #[error("the parameter {0} needs a value")]
    Missing(ParameterName),
    /// All of them together are too long.
    #[error("the values have more than {PARAMETERS_BYTES} bytes together")]
    TooLong,
    /// The value is not of its type.
    #[error("the parameter {0} {1}")]
    Value(ParameterName, String),
}

/// Values as a command gets them, all of them checked.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Given {
    arguments: BTreeMap<String, String>,
    /// For the environment.
    pub environment: Vec<(String, String)>,
    /// For standard input; empty: nothing.
    pub input: String,
}

impl Given {
    /// An argument with the value in its place.
    #[must_use]
    pub fn argument(&self, argument: &str) -> String {
        let value = |place: &str| self.arguments.get(place.strip_prefix(PLACE)?);
        if let Some(value) = value(argument) {
            return value.clone();
        }
        let behind = argument.split_once('=').filter(|(option, _)| option.starts_with('-'));
        match behind.and_then(|(option, place)| Some((option, value(place)?))) {
            Some((option, value)) => format!("{option}={value}"),
            None => argument.to_owned(),
        }
    }
}

/// The name that an argument stands for, and whether it stands alone.
fn place(argument: &str) -> Option<(&str, bool)> {
    if let Some(name) = argument.strip_prefix(PLACE) {
        return Some((name, true));
    }
    let (option, place) = argument.split_once('=')?;
    let name = place.strip_prefix(PLACE).filter(|_| option.starts_with('-'))?;
    Some((name, false))
}

impl Parameter {
    /// The value as text, if it is one of this parameter. `alone`: it is an argument of its own.
    fn take(&self, value: &ParameterValue, alone: bool) -> Result<String, ParameterError> {
        let not = |why: String| ParameterError::Value(self.name.clone(), why);
        let text = value.to_string();
        if text.contains('\0') {
            return Err(not("has a NUL".to_owned()));
        }
        match (&self.kind, value) {
            (ParameterKind::String { most_bytes, allowed }, ParameterValue::Text(text)) => {
                if text.len() > *most_bytes as usize {
                    return Err(not(format!("has more than {most_bytes} bytes")));
                }
                if !allowed.is_empty() && !allowed.contains(text) {
                    return Err(not("is none of the values that its authors allow".to_owned()));
                }
                if alone && allowed.is_empty() && text.starts_with('-') {
                    return Err(not("begins with a dash, so that the program would take it for an option".to_owned()));
                }
            }
            (ParameterKind::Integer { least, most }, ParameterValue::Integer(number)) => {
                if !(least..=most).contains(&number) {
                    return Err(not(format!("is not from {least} to {most}")));
                }
            }
            (ParameterKind::Boolean, ParameterValue::Boolean(_)) => {}
            (ParameterKind::Choice { values }, ParameterValue::Text(text)) => {
                if !values.contains(text) {
                    return Err(not(format!("is none of {}", values.join(", "))));
                }
            }
            (ParameterKind::String { .. } | ParameterKind::Choice { .. }, _) => return Err(not("is no text".into())),
            (ParameterKind::Integer { .. }, _) => return Err(not("is no whole number".to_owned())),
            (ParameterKind::Boolean, _) => return Err(not("is neither true nor false".to_owned())),
            (ParameterKind::Secret, _) => return Err(not("is a secret, and secrets are no parameters".to_owned())),
        }
        Ok(text)
    }

    fn is_sound(&self) -> Result<(), &'static str> {
        let texts = |all: &[String]| {
            let distinct: HashSet<_> = all.iter().collect();
            let fit = |text: &String| text.len() <= PARAMETER_BYTES && !text.contains('\0');
            all.len() <= PARAMETER_VALUES && distinct.len() == all.len() && all.iter().all(fit)
        };
        match &self.kind {
            ParameterKind::String { most_bytes, allowed } => {
                let most = usize::try_from(*most_bytes).unwrap_or(usize::MAX);
                match (1..=PARAMETER_BYTES).contains(&most) && texts(allowed) {
                    true => Ok(()),
                    false => Err("a text has at most 1 to 4096 bytes, and at most 64 values that are allowed"),
                }
            }
            ParameterKind::Integer { least, most } if least > most => Err("the least of a number is over its most"),
            ParameterKind::Choice { values } if values.is_empty() || !texts(values) => {
                Err("a choice has 1 to 64 values of at most 4096 bytes, each once")
            }
            ParameterKind::Secret => Err(
                "a secret is no parameter: values stand in policy and in the records of the site; name it among `secrets`, which are sealed for each device",
            ),
            _ => Ok(()),
        }
    }
}

impl Application {
    /// The values with which a command runs: those that a deployment gives, and the defaults of the others.
    ///
    /// # Errors
    /// What is not a value of this application.
    pub fn given(&self, values: &ParameterValues) -> Result<Given, ParameterError> {
        if let Some(name) = values.keys().find(|name| !self.parameters.iter().any(|known| known.name == **name)) {
            return Err(ParameterError::Unknown(name.clone()));
        }
        let (mut given, mut input, mut bytes) = (Given::default(), BTreeMap::new(), 0_usize);
        for parameter in &self.parameters {
            let name = &parameter.name;
            let value = values.get(name).or(parameter.default.as_ref());
            let value = value.ok_or_else(|| ParameterError::Missing(name.clone()))?;
            let text = parameter.take(value, self.stands_alone(parameter))?;
            bytes += text.len();
            match parameter.way {
                ParameterWay::Argument => drop(given.arguments.insert(name.as_str().to_owned(), text)),
                ParameterWay::Environment => given.environment.push((name.variable(), text)),
                ParameterWay::Input => drop(input.insert(name.as_str(), value)),
            }
        }
        if bytes > PARAMETERS_BYTES {
            return Err(ParameterError::TooLong);
        }
        if !input.is_empty() {
            given.input = serde_json::to_string(&input).unwrap_or_default() + "\n";
        }
        Ok(given)
    }

    /// Whether one of its commands could be given values: it has places for them, or they come by environment or standard input.
    #[must_use]
    pub fn takes_values(&self, command: &Command) -> bool {
        let other_ways = self.parameters.iter().any(|parameter| parameter.way != ParameterWay::Argument);
        !self.parameters.is_empty() && (command.has_places() || other_ways)
    }

    /// Values that people typed, `name` and text, as the types of its parameters have them. What is no value of its type stays a text,
    /// which [`Application::given`] refuses.
    ///
    /// # Errors
    /// One sentence: a name that is none, or twice.
    pub fn read_values(&self, typed: &[(&str, &str)]) -> Result<ParameterValues, String> {
        let mut values = ParameterValues::new();
        for (name, text) in typed {
            let name: ParameterName = name.trim().parse().map_err(|error| format!("{name:?}: {error}."))?;
            let known = self.parameters.iter().find(|parameter| parameter.name == name);
            let as_text = || ParameterValue::Text((*text).to_owned());
            let value = match known.map(|parameter| &parameter.kind) {
                Some(ParameterKind::Integer { .. }) => text.parse().map_or_else(|_| as_text(), ParameterValue::Integer),
                Some(ParameterKind::Boolean) => text.parse().map_or_else(|_| as_text(), ParameterValue::Boolean),
                _ => as_text(),
            };
            if values.insert(name.clone(), value).is_some() {
                return Err(format!("{name} has two values."));
            }
        }
        Ok(values)
    }

    /// The commands that get values.
    fn with_values(&self) -> impl Iterator<Item = &Command> {
        let own = [Some(&self.install), self.uninstall.as_ref(), self.repair.as_ref()];
        let others =
            self.types.iter().flat_map(|kind| [Some(&kind.install), kind.uninstall.as_ref(), kind.repair.as_ref()]);
        own.into_iter().chain(others).flatten()
    }

    fn stands_alone(&self, parameter: &Parameter) -> bool {
        let arguments = self.with_values().flat_map(|command| &command.arguments);
        arguments.into_iter().any(|argument| place(argument) == Some((parameter.name.as_str(), true)))
    }

    pub(super) fn check_parameters(&self) -> Result<(), ApplicationError> {
        if self.parameters.is_empty() {
            // What looks like a place for one is a text, as it always was.
            return Ok(());
        }
        let names: HashSet<_> = self.parameters.iter().map(|parameter| &parameter.name).collect();
        if self.parameters.len() > PARAMETERS || names.len() != self.parameters.len() {
            return Err(ApplicationError::Parameter("an application has at most 32 parameters, each with its name"));
        }
        if self.updates().is_some() {
            return Err(ApplicationError::Parameter("a group of updates has no parameters"));
        }
        for parameter in &self.parameters {
            parameter.is_sound().map_err(ApplicationError::Parameter)?;
            if let Some(value) = &parameter.default
                && let Err(error) = parameter.take(value, self.stands_alone(parameter))
            {
                return Err(ApplicationError::Default(error));
            }
        }
        let by_argument = |name: &str| {
            let known = self.parameters.iter().find(|parameter| parameter.name.as_str() == name);
            known.is_some_and(|parameter| parameter.way == ParameterWay::Argument)
        };
        for command in self.with_values() {
            for (at, argument) in command.arguments.iter().enumerate() {
                let Some((name, _)) = place(argument) else { continue };
                if !by_argument(name) {
                    let why = "parameter/<name> must name a parameter of the application that comes as an argument";
                    return Err(ApplicationError::Parameter(why));
                }
                if at.checked_sub(1).is_some_and(|before| CODE.contains(&command.arguments[before].as_str())) {
                    let why = "a parameter must not stand where the program reads code: give it to the code as an argument behind it";
                    return Err(ApplicationError::Parameter(why));
                }
            }
            if command.program.starts_with(PLACE) {
                return Err(ApplicationError::Parameter("a parameter must not say which program runs"));
            }
        }
        Ok(())
    }
}

impl Command {
    /// Whether each value comes behind what an interpreter takes for its program: a file of the application, or code that authors signed.
    /// Asked of commands that are interpreters or start other programs.
    #[must_use]
    pub fn values_follow_code(&self) -> bool {
        let first = self.arguments.iter().position(|argument| place(argument).is_some());
        let mut before = self.arguments[..first.unwrap_or(self.arguments.len())].iter();
        // Options that are none for code stand before it.
        let what = before.find(|argument| !argument.starts_with('-') || CODE.contains(&argument.as_str()));
        self.program.starts_with("content/")
            || what.is_some_and(|what| match CODE.contains(&what.as_str()) {
                true => before.next().is_some_and(|code| !code.starts_with('-')),
                false => what.starts_with("content/"),
            })
    }

    /// Whether a value gets to the command as one of its arguments.
    #[must_use]
    pub fn has_places(&self) -> bool {
        self.arguments.iter().any(|argument| place(argument).is_some())
    }
}
