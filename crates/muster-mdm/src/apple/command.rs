//! Commands, and what a device says of them.

use super::{AppleError, Dictionary, Sender, Value, is_identifier, plist, write};

/// How far a command is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Status {
    /// None is: the device asks for one.
    Idle,
    /// It was done.
    Acknowledged,
    /// It failed.
    Error,
    /// The device does not understand it.
    CommandFormatError,
    /// Later: the device asks again by itself.
    NotNow,
}

/// One link of a chain of errors.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Failure {
    /// Its number.
    pub code: i64,
    /// Whose number that is.
    pub domain: String,
    /// A sentence, in English where there is one.
    pub text: String,
}

/// What a device says.
#[derive(Debug, Clone, PartialEq)]
pub struct Report {
    /// Who says that it is from them.
    pub sender: Sender,
    /// How far the command is.
    pub status: Status,
    /// Which command; none when it is idle.
    pub command: Option<String>,
    /// Why it failed.
    pub errors: Vec<Failure>,
    /// Everything else that it says.
    pub answer: Dictionary,
}

/// Links of a chain of errors that are kept.
const ERRORS: usize = 16;
/// Characters of an error's sentence that are kept.
const ERROR_CHARACTERS: usize = 500;

impl Report {
    /// Reads a report.
    ///
    /// # Errors
    /// See [`AppleError`].
    pub fn read(bytes: &[u8]) -> Result<Self, AppleError> {
        let mut answer = plist::read(bytes)?;
        let sender = Sender::of(&answer)?;
        let status = match answer.get("Status").and_then(Value::text) {
            Some("Idle") => Status::Idle,
            Some("Acknowledged") => Status::Acknowledged,
            Some("Error") => Status::Error,
            Some("CommandFormatError") => Status::CommandFormatError,
            Some("NotNow") => Status::NotNow,
            _ => return Err(AppleError::Missing("Status")),
        };
        let command =
            answer.remove("CommandUUID").and_then(|id| id.text().filter(|id| is_identifier(id)).map(str::to_owned));
        if command.is_none() && status != Status::Idle {
            return Err(AppleError::Missing("CommandUUID"));
        }
        let errors = match answer.remove("ErrorChain") {
            Some(Value::Array(chain)) => chain.iter().take(ERRORS).filter_map(failure).collect(),
            _ => Vec::new(),
        };
        Ok(Self { sender, status, command, errors, answer })
    }
}

fn failure(link: &Value) -> Option<Failure> {
    let Value::Dictionary(link) = link else { return None };
    let text = |key: &str| {
        let text = link.get(key).and_then(Value::text)?;
        Some(text.chars().filter(|c| !c.is_control()).take(ERROR_CHARACTERS).collect::<String>())
    };
    let Some(Value::Integer(code)) = link.get("ErrorCode") else { return None };
    let said = text("USEnglishDescription").or_else(|| text("LocalizedDescription"));
    Some(Failure { code: *code, domain: text("ErrorDomain")?, text: said.unwrap_or_default() })
}

/// What a device can be told.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Command {
    /// Say these things of yourself.
    DeviceInformation(Vec<String>),
    /// Say how you are protected.
    SecurityInfo,
    /// Say which applications you have; only those that are managed.
    InstalledApplicationList(bool),
    /// Say which profiles you have.
    ProfileList,
    /// Say which certificates you have.
    CertificateList,
    /// Install this profile.
    InstallProfile(Vec<u8>),
    /// Remove the profile of this identifier.
    RemoveProfile(String),
    /// Lock, with this message, and on a computer with this PIN.
    DeviceLock(Option<String>, Option<String>),
    /// Start again.
    RestartDevice,
    /// Erase everything; on an older computer with this PIN.
    EraseDevice(Option<String>),
    /// The assistant may go on.
    DeviceConfigured,
}

impl Command {
    /// Its name in the protocol.
    #[must_use]
    pub fn name(&self) -> &'static str {
        match self {
            Self::DeviceInformation(_) => "DeviceInformation",
            Self::SecurityInfo => "SecurityInfo",
            Self::InstalledApplicationList(_) => "InstalledApplicationList",
            Self::ProfileList => "ProfileList",
            Self::CertificateList => "CertificateList",
            Self::InstallProfile(_) => "InstallProfile",
            Self::RemoveProfile(_) => "RemoveProfile",
            Self::DeviceLock(..) => "DeviceLock",
            Self::RestartDevice => "RestartDevice",
            Self::EraseDevice(_) => "EraseDevice",
            Self::DeviceConfigured => "DeviceConfigured",
        }
    }

    /// The message that tells it, under this id.
    #[must_use]
    pub fn message(&self, id: &str) -> Vec<u8> {
        let text = |text: &str| Value::String(text.to_owned());
        let mut command = Dictionary::from([("RequestType".to_owned(), text(self.name()))]);
        let mut say = |key: &str, value: Value| drop(command.insert(key.to_owned(), value));
        match self {
            Self::DeviceInformation(queries) => {
                say("Queries", Value::Array(queries.iter().map(|query| text(query)).collect()));
            }
            Self::InstalledApplicationList(managed) => say("ManagedAppsOnly", Value::Boolean(*managed)),
            Self::InstallProfile(profile) => say("Payload", Value::Data(profile.clone())),
            Self::RemoveProfile(identifier) => say("Identifier", text(identifier)),
            Self::DeviceLock(message, pin) => {
                message.iter().for_each(|message| say("Message", text(message)));
                pin.iter().for_each(|pin| say("PIN", text(pin)));
            }
            Self::EraseDevice(pin) => pin.iter().for_each(|pin| say("PIN", text(pin))),
            Self::SecurityInfo
            | Self::ProfileList
            | Self::CertificateList
            | Self::RestartDevice
            | Self::DeviceConfigured => {}
        }
        write(&Dictionary::from([
            ("CommandUUID".to_owned(), text(id)),
            ("Command".to_owned(), Value::Dictionary(command)),
        ]))
    }
}
