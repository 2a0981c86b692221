//! Why whoever answers at an address is not a management point of the site.

use crate::http::HttpError;
use rustls::{CertificateError, Error};

/// Why a found point was refused. Each is something that its certificate or its handshake showed; that nothing answers is none.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Refusal {
    /// Its chain does not end in the pinned root, or it has none.
    Stranger,
    /// Its certificate is for another name.
    OtherName,
    /// It proves nothing: what it speaks is not TLS as the site speaks it, or its signature is wrong.
    NotTls,
    /// Its certificate was revoked.
    Revoked,
    /// Its certificate is of the site, and there is no sound proof that it is still good.
    Unproven(&'static str),
}

impl Refusal {
    /// The stable text.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Stranger => "its certificate is not the site's",
            Self::OtherName => "its certificate is for another name",
            Self::NotTls => "it does not prove itself by TLS 1.3",
            Self::Revoked => "its certificate is revoked",
            Self::Unproven(reason) => reason,
        }
    }
}

/// The refusal that an error means, where it means one. A certificate that is out of its time says that a clock is wrong as
/// easily as that the point is false, and is no refusal.
#[must_use]
pub fn refusal(error: &HttpError) -> Option<Refusal> {
    match error {
        HttpError::Unproven { reason, .. } => Some(Refusal::Unproven(reason.as_str())),
        HttpError::Tls { error, .. } => match error {
            Error::InvalidCertificate(CertificateError::Revoked) => Some(Refusal::Revoked),
            Error::InvalidCertificate(
                CertificateError::NotValidForName | CertificateError::NotValidForNameContext { .. },
            ) => Some(Refusal::OtherName),
            Error::InvalidCertificate(
                CertificateError::Expired
                | CertificateError::ExpiredContext { .. }
                | CertificateError::NotValidYet
                | CertificateError::NotValidYetContext { .. },
            )
            | Error::AlertReceived(_) => None,
            Error::InvalidCertificate(_) | Error::NoCertificatesPresented => Some(Refusal::Stranger),
            _ => Some(Refusal::NotTls),
        },
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::http::Address;

    #[test]
    fn what_a_handshake_shows_is_told_from_what_it_does_not() {
        let tls = |error| refusal(&HttpError::Tls { address: Address::new("mp", 1).unwrap(), error });
        let certificate = |error| tls(Error::InvalidCertificate(error));
        assert_eq!(certificate(CertificateError::UnknownIssuer), Some(Refusal::Stranger));
        assert_eq!(certificate(CertificateError::BadSignature), Some(Refusal::Stranger));
        assert_eq!(certificate(CertificateError::NotValidForName), Some(Refusal::OtherName));
        assert_eq!(certificate(CertificateError::Expired), None, "perhaps our clock");
        assert_eq!(tls(Error::AlertReceived(rustls::AlertDescription::HandshakeFailure)), None, "it does not want us");
        assert_eq!(tls(Error::DecryptError), Some(Refusal::NotTls));
        assert_eq!(refusal(&HttpError::Stalled), None);
    }
}
