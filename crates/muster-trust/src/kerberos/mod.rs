//! Kerberos (RFC 4120) between a computer of an Active Directory domain and the site: the computer's account asks for a ticket for
//! the site's service and proves with it who it is, and the site takes the proof. Bytes in, bytes out; time and randomness
//! are arguments, and whoever calls carries the messages.
//!
//! The proof is an `AP-REQ` whose authenticator holds a keyed checksum of [`binding`]: the TLS connection, the device's key and
//! what it says of itself. So a proof that was overheard, relayed or made for another service of the account is worth
//! nothing here. Only AES is spoken; one realm, no trust between realms, no delegation.

mod accept;
mod cipher;
mod client;
mod der;
mod keytab;
mod message;
mod pac;
#[cfg(test)]
mod tests;

pub use accept::{Acceptor, Account, service_of};
pub use cipher::{EncryptionType, Key};
pub use client::{Client, Exchange, Session};
pub use keytab::{Keytab, KeytabEntry};

use crate::{PublicKey, Sha256};
use muster_model::{enrol::DeviceClaims, id::Hash};

/// Bytes of a text in a principal's name.
const NAME_BYTES: usize = 255;
/// Seconds that the clocks of a computer, its domain and the site may differ.
pub const SKEW: i64 = 300;
const BINDING_CONTEXT: &[u8] = b"muster/v1/domain\0";

/// What keys are used for (RFC 4120, section 7.5.1; MS-PAC, section 2.8.1).
mod usage {
    pub(super) const TIMESTAMP: u32 = 1;
    pub(super) const TICKET: u32 = 2;
    pub(super) const AS_REPLY: u32 = 3;
    pub(super) const TGS_CHECKSUM: u32 = 6;
    pub(super) const TGS_AUTHENTICATOR: u32 = 7;
    pub(super) const TGS_REPLY: u32 = 8;
    pub(super) const CHECKSUM: u32 = 10;
    pub(super) const AUTHENTICATOR: u32 = 11;
    pub(super) const PAC: u32 = 17;
}

macro_rules! errors {
    ($($(#[doc = $doc:literal])+ $name:ident = $code:literal, $text:literal;)+) => {
        /// Why a Kerberos message is not taken.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
        pub enum KerberosError { $($(#[doc = $doc])+ #[error($text)] $name,)+ }

        impl KerberosError {
            /// The stable name of the reason.
            #[must_use]
            pub const fn as_str(self) -> &'static str { match self { $(Self::$name => $code,)+ } }
        }
    };
}

errors! {
    /// Not of the form that it should have.
    Malformed = "malformed", "a Kerberos message is malformed";
    /// Encrypted with something else than AES.
    Encryption = "encryption", "the ticket is not encrypted with AES; RC4 and DES are not taken";
    /// The key does not open it.
    Key = "key", "the ticket cannot be opened with the service's key";
    /// For another service.
    Service = "service", "the ticket is for another service or realm";
    /// The client is of another realm.
    Realm = "realm", "the account is of another realm";
    /// Past its end.
    Expired = "expired", "the ticket has expired";
    /// Before its beginning, or invalid yet.
    NotYet = "not_yet", "the ticket is not valid yet";
    /// The clocks differ.
    Skew = "skew", "the authenticator's time differs from the site's by more than five minutes";
    /// The authenticator is another's.
    Client = "client", "the authenticator is not that of the ticket's account";
    /// Made for another connection, key or purpose.
    Binding = "binding", "the proof was not made for this connection and this key";
    /// There is no PAC, or more than one.
    NoPac = "no_pac", "the ticket does not say once what the domain knows of the account";
    /// The PAC is not that of the domain controller, or another account's.
    PacSignature = "pac_signature", "what the ticket says of the account is not signed by the domain for this service";
    /// Made by somebody in the account's name, or handed to another host.
    Delegated = "delegated", "the ticket was delegated: another service or host has it in the account's name";
    /// A person's account, or a service's.
    NotAComputer = "not_a_computer", "the account is not that of a computer that is a member of the domain";
    /// The account is disabled.
    Disabled = "disabled", "the account is disabled";
    /// It came before.
    Replayed = "replayed", "the proof was used before over this connection, or too many were";
    /// The site does not trust the domain, or has no key.
    NoKey = "no_key", "this site trusts no domain with this service and realm, or has no key for it";
    /// The domain said no.
    Refused = "refused", "the domain refused the request";
    /// The answer is not to what was asked.
    Answer = "answer", "the domain's answer is not to what was asked";
}

/// Reads bytes as each of the structures that come from outside, and believes nothing of them: how many they could be. For whoever
/// looks for bytes that a parser does not survive.
#[must_use]
pub fn inspect(bytes: &[u8]) -> usize {
    [
        Keytab::read(bytes).is_ok(),
        message::ApRequest::read(bytes).is_ok(),
        message::TicketPart::read(bytes).is_ok(),
        message::Authenticator::read(bytes).is_ok(),
        message::authorization(bytes).is_ok(),
        pac::inspect(bytes),
        client::inspect(bytes),
    ]
    .into_iter()
    .filter(|understood| *understood)
    .count()
}

/// What a computer's proof is made for: SHA-256 over the connection's TLS exporter, the service, the device's key, and what it says
/// of itself.
#[must_use]
pub fn binding(exporter: &Hash, service: &str, key: &PublicKey, claims: &DeviceClaims) -> Hash {
    let mut said = Sha256::default();
    for text in [&claims.host_name, &claims.operating_system, &claims.agent_version] {
        said.update(text.as_bytes());
        // No text of the claims holds a control character.
        said.update(&[0]);
    }
    said.update(&claims.hardware_id.0);
    let service = crate::sha256(service.to_ascii_lowercase().as_bytes());
    let mut all = Sha256::default();
    for part in [BINDING_CONTEXT, &exporter.0, &service.0, &key.spki(), &said.finish().0] {
        all.update(part);
    }
    all.finish()
}
