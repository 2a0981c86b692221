//! Apple's management protocol: check-ins, commands and their results, as property lists in XML.
//!
//! What a message says of who sent it is a claim; who it is, the certificate says that signed it.

mod checkin;
mod command;
mod plist;
mod signature;
#[cfg(test)]
mod tests;

pub use checkin::{CheckIn, Message, Push, answer_bootstrap_token};
pub use command::{Command, Failure, Report, Status};
pub use plist::{Dictionary, Value, read, write};
pub use signature::{SIGNATURE_BYTES, signed_by};

/// Bytes of one message at most: a list of all applications of a device has up to 2 MB.
pub const MESSAGE_BYTES: usize = 10 << 20;
/// Values inside each other at most. A report has 5.
pub const DEPTH: usize = 16;
/// Values of one message at most.
pub const VALUES: usize = 200_000;
/// Bytes of an identifier at most.
pub const IDENTIFIER_BYTES: usize = 128;

/// Why a message is not taken.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum AppleError {
    /// Not a property list in XML.
    #[error("the message is not a property list in XML")]
    Malformed,
    /// Beyond a limit.
    #[error("the message is larger or deeper than messages may be")]
    TooLarge,
    /// What no property list of a device has: an entity, a document type of another kind, a processing instruction.
    #[error("the message has something that no property list has")]
    Forbidden,
    /// A key that has to be there is not, or has another type.
    #[error("the message has no {0} of the right type")]
    Missing(&'static str),
    /// The signature of a message is not believed.
    #[error("the message is not signed by the certificate in its signature")]
    Signature,
    /// A kind of message that is not known.
    #[error("the message is of no kind that is known")]
    Unknown,
}

/// Who a message says that it is from.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum Sender {
    /// A device, by its UDID.
    Device(String),
    /// A user of a device: the device's UDID, and the user's id.
    User(String, String),
    /// A user of a shared tablet: the device's UDID, and the user's short name.
    SharedUser(String, String),
    /// A device that its user enrolled, which does not tell its UDID: its enrolment id.
    Enrolment(String),
    /// The user of such a device.
    EnrolmentUser(String, String),
}

/// The id of the user of a shared tablet, which says that the short name counts.
const SHARED: &str = "FFFFFFFF-FFFF-FFFF-FFFF-FFFFFFFFFFFF";

impl Sender {
    /// Who a message says that it is from.
    ///
    /// # Errors
    /// [`AppleError::Missing`].
    pub fn of(message: &Dictionary) -> Result<Self, AppleError> {
        let id = |key: &'static str| match message.get(key) {
            None => Ok(None),
            Some(Value::String(text)) if is_identifier(text) => Ok(Some(text.clone())),
            Some(_) => Err(AppleError::Missing(key)),
        };
        match (id("UDID")?, id("EnrollmentID")?) {
            (Some(device), _) => Ok(match id("UserID")? {
                Some(user) if user == SHARED => {
                    Self::SharedUser(device, id("UserShortName")?.ok_or(AppleError::Missing("UserShortName"))?)
                }
                Some(user) => Self::User(device, user),
                None => Self::Device(device),
            }),
            (None, Some(enrolment)) => Ok(match id("EnrollmentUserID")? {
                Some(user) => Self::EnrolmentUser(enrolment, user),
                None => Self::Enrolment(enrolment),
            }),
            (None, None) => Err(AppleError::Missing("UDID")),
        }
    }
}

fn is_identifier(text: &str) -> bool {
    !text.is_empty() && text.len() <= IDENTIFIER_BYTES && !text.chars().any(char::is_control)
}
