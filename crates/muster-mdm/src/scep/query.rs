//! What an address asks. It is read as it came: some clients leave `+` and `/` of Base64 as they are, others escape everything.

use super::ScepError;
use base64::{
    Engine,
    alphabet::STANDARD,
    engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig},
};
use muster_trust::cms::MAX_BYTES;

const BASE64: GeneralPurpose = GeneralPurpose::new(
    &STANDARD,
    GeneralPurposeConfig::new().with_decode_padding_mode(DecodePaddingMode::Indifferent),
);

/// What a client wants.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Operation {
    /// What the server can.
    GetCaCaps,
    /// The certificates of the authorities.
    GetCaCert,
    /// A message. By POST it is the body, whatever the address says beside.
    PkiOperation(Vec<u8>),
}

/// Reads an address's query; `body`: of a POST.
///
/// # Errors
/// [`ScepError::NotARequest`].
pub fn operation(query: &str, body: Option<Vec<u8>>) -> Result<Operation, ScepError> {
    let value = |name: &str| {
        let mut found = query.split('&').filter_map(|pair| pair.split_once('=')).filter(|(key, _)| *key == name);
        let first = found.next();
        first.map(|(_, value)| value).filter(|_| found.next().is_none())
    };
    match (value("operation"), body) {
        (Some("GetCACaps"), None) => Ok(Operation::GetCaCaps),
        (Some("GetCACert"), None) => Ok(Operation::GetCaCert),
        (Some("PKIOperation"), Some(body)) => Ok(Operation::PkiOperation(body)),
        (Some("PKIOperation"), None) => {
            // A message in an address is at most three bytes for each of its own four thirds.
            let text = value("message").filter(|text| text.len() <= 4 * MAX_BYTES).and_then(unescaped);
            let message = text.and_then(|text| BASE64.decode(text).ok()).ok_or(ScepError::NotARequest)?;
            Ok(Operation::PkiOperation(message))
        }
        _ => Err(ScepError::NotARequest),
    }
}

/// Without percent-encoding, and without line ends that some put into Base64.
fn unescaped(text: &str) -> Option<Vec<u8>> {
    let (mut bytes, mut plain) = (text.bytes(), Vec::with_capacity(text.len()));
    while let Some(byte) = bytes.next() {
        let byte = match byte {
            b'%' => {
                let digit =
                    |byte: Option<u8>| char::from(byte?).to_digit(16).and_then(|digit| u8::try_from(digit).ok());
                digit(bytes.next())? << 4 | digit(bytes.next())?
            }
            other => other,
        };
        if !matches!(byte, b'\r' | b'\n') {
            plain.push(byte);
        }
    }
    Some(plain)
}
