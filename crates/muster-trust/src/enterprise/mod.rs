//! Client certificates of the enterprise's own PKI: which ones an administrator's issuers and criteria admit, the proof that
//! somebody has the key of one, and the issuer's revocation list.
//!
//! Unlike everything else here these keys are not of the one suite: whatever TLS 1.3 takes is taken (RSA from 2048 bits on, P-256,
//! P-384, P-521, Ed25519, no SHA-1). A certificate says nothing about which device its holder is; that is mapped by the site.

mod certificate;
mod choice;
mod criteria;
mod list;
mod proof;

pub use certificate::{EnterpriseCertificate, EnterpriseIssuer};
pub use choice::{Candidate, Choice, ChoiceError, EnterpriseKey, candidates};
pub use criteria::check as check_criteria;
pub use list::{ForeignList, ListError, Serial};
pub use proof::{prove, verify};

use rustls::crypto::WebPkiSupportedAlgorithms;

/// Why a certificate of the enterprise, or what was shown with it, is not taken.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum EnterpriseError {
    /// Not a certificate of the expected form.
    #[error("it is not a certificate of the expected form")]
    Malformed,
    /// No issuer that the site knows signed it, or not in the way that it may.
    #[error("no issuer that this site knows signed it for TLS clients")]
    NotIssued,
    /// It is not valid yet, or not any more; or its issuer is not.
    #[error("it or its issuer is not valid at this time")]
    NotInTime,
    /// It does not say that it is for TLS clients.
    #[error("its extended key usage does not name TLS clients")]
    NotForClients,
    /// It does not meet what the administrator demands.
    #[error("it does not meet the selection criteria of its issuer")]
    NotSelected,
    /// It has a name that only the site's own certificates may have.
    #[error("it has a name that only the site's own certificates have")]
    NamesADevice,
    /// There is no revocation list of its issuer, or it is past its end.
    #[error("there is no revocation list of its issuer that is in time")]
    ListStale,
    /// It is revoked.
    #[error("it is revoked")]
    Revoked,
    /// The signature that goes with it is not by its key over this connection.
    #[error("the proof is not by its key, for this connection and this device's key")]
    NotPossessed,
}

impl EnterpriseError {
    /// A stable word, for metrics and records.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Malformed => "malformed",
            Self::NotIssued => "not_issued",
            Self::NotInTime => "not_in_time",
            Self::NotForClients => "not_for_clients",
            Self::NotSelected => "not_selected",
            Self::NamesADevice => "names_a_device",
            Self::ListStale => "list_stale",
            Self::Revoked => "revoked",
            Self::NotPossessed => "not_possessed",
        }
    }
}

/// What the TLS library can verify.
fn algorithms() -> WebPkiSupportedAlgorithms {
    rustls::crypto::aws_lc_rs::default_provider().signature_verification_algorithms
}
