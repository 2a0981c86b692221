//! Check-ins: a device enrols, tells how it is woken, asks for tokens, and leaves.

use super::{AppleError, Dictionary, Sender, Value, plist, write};

/// How a device is woken.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Push {
    /// The topic of the push certificate.
    pub topic: String,
    /// What the message to it must say.
    pub magic: String,
    /// Its token with Apple.
    pub token: Vec<u8>,
}

/// A message of a check-in.
#[derive(Debug, Clone, PartialEq)]
pub struct Message {
    /// Who says that it is from them.
    pub sender: Sender,
    /// What it is.
    pub kind: CheckIn,
}

/// What a check-in is.
#[derive(Debug, Clone, PartialEq)]
pub enum CheckIn {
    /// The device begins to enrol: everything from before is over.
    Authenticate {
        /// The topic of the push certificate.
        topic: String,
        /// What it says of itself.
        claims: Dictionary,
    },
    /// How it is woken. The first ends the enrolment.
    TokenUpdate {
        /// How it is woken.
        push: Push,
        /// What takes the passcode from it; a secret.
        unlock: Option<Vec<u8>>,
        /// Whether it waits in its assistant until it is told that it is configured.
        awaits: bool,
    },
    /// It leaves.
    CheckOut,
    /// A user of the network signs in. The answer of the second message, where it is that.
    UserAuthenticate(Option<String>),
    /// It gives its bootstrap token into custody; `None` takes it back.
    SetBootstrapToken(Option<Vec<u8>>),
    /// It asks for it.
    GetBootstrapToken,
    /// Declarative management: the endpoint, and what is sent there.
    Declarative {
        /// `tokens`, `declaration-items`, `status` or `declaration/...`.
        endpoint: String,
        /// JSON.
        data: Option<Vec<u8>>,
    },
    /// It asks for a token of a service.
    GetToken(String),
}

fn text(message: &Dictionary, key: &'static str) -> Result<String, AppleError> {
    let text = message.get(key).and_then(Value::text).filter(|text| !text.is_empty() && text.len() <= 1_024);
    text.map(str::to_owned).ok_or(AppleError::Missing(key))
}

fn data(message: &Dictionary, key: &'static str) -> Result<Option<Vec<u8>>, AppleError> {
    match message.get(key) {
        None => Ok(None),
        Some(Value::Data(data)) => Ok(Some(data.clone()).filter(|data| !data.is_empty())),
        Some(_) => Err(AppleError::Missing(key)),
    }
}

impl Message {
    /// Reads a check-in.
    ///
    /// # Errors
    /// See [`AppleError`].
    pub fn read(bytes: &[u8]) -> Result<Self, AppleError> {
        let message = plist::read(bytes)?;
        let kind = match text(&message, "MessageType")?.as_str() {
            "Authenticate" => CheckIn::Authenticate { topic: text(&message, "Topic")?, claims: message.clone() },
            "TokenUpdate" => CheckIn::TokenUpdate {
                push: Push {
                    topic: text(&message, "Topic")?,
                    magic: text(&message, "PushMagic")?,
                    token: data(&message, "Token")?
                        .filter(|token| token.len() <= 128)
                        .ok_or(AppleError::Missing("Token"))?,
                },
                unlock: data(&message, "UnlockToken")?,
                awaits: message.get("AwaitingConfiguration") == Some(&Value::Boolean(true)),
            },
            "CheckOut" => CheckIn::CheckOut,
            "UserAuthenticate" => {
                let answer = message.get("DigestResponse").and_then(Value::text);
                CheckIn::UserAuthenticate(answer.filter(|text| !text.is_empty()).map(str::to_owned))
            }
            "SetBootstrapToken" => CheckIn::SetBootstrapToken(data(&message, "BootstrapToken")?),
            "GetBootstrapToken" => CheckIn::GetBootstrapToken,
            "DeclarativeManagement" => {
                CheckIn::Declarative { endpoint: text(&message, "Endpoint")?, data: data(&message, "Data")? }
            }
            "GetToken" => CheckIn::GetToken(text(&message, "TokenServiceType")?),
            _ => return Err(AppleError::Unknown),
        };
        Ok(Self { sender: Sender::of(&message)?, kind })
    }
}

/// The answer to a device that asks for its bootstrap token.
#[must_use]
pub fn answer_bootstrap_token(token: &[u8]) -> Vec<u8> {
    write(&Dictionary::from([("BootstrapToken".to_owned(), Value::Data(token.to_vec()))]))
}
