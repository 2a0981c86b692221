//! Certificate revocation lists (RFC 5280): full lists, signed by the CA that issued the certificates.

use crate::certificate::{CertificateError, IssuingCa, moment};
use muster_model::{api::RevocationReason, time::UnixMillis};
use rcgen::{CertificateRevocationListParams, KeyIdMethod, RevocationReason as Code, RevokedCertParams, SerialNumber};

/// One revoked certificate.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Revoked {
    /// Its serial number.
    pub serial: u128,
    /// When it was revoked.
    pub at: UnixMillis,
    /// Why.
    pub reason: RevocationReason,
}

impl IssuingCa {
    /// The list of everything that this CA has revoked. `number` must be higher than that of every list before it.
    ///
    /// # Errors
    /// When the times cannot be written or the key fails.
    pub fn revocation_list(
        &self,
        number: u64,
        revoked: &[Revoked],
        now: UnixMillis,
        next_update: UnixMillis,
    ) -> Result<Vec<u8>, CertificateError> {
        let entry = |revoked: &Revoked| {
            Ok(RevokedCertParams {
                serial_number: SerialNumber::from_slice(&revoked.serial.to_be_bytes()),
                revocation_time: moment(revoked.at)?,
                reason_code: Some(code(revoked.reason)),
                invalidity_date: None,
            })
        };
        let list = CertificateRevocationListParams {
            this_update: moment(now)?,
            next_update: moment(next_update)?,
            crl_number: SerialNumber::from(number),
            issuing_distribution_point: None,
            revoked_certs: revoked.iter().map(entry).collect::<Result<_, CertificateError>>()?,
            key_identifier_method: KeyIdMethod::Sha256,
        };
        let signed = list.signed_by(self.issuer()).map_err(|_| CertificateError::Malformed)?;
        Ok(signed.der().to_vec())
    }
}

const fn code(reason: RevocationReason) -> Code {
    match reason {
        RevocationReason::Unspecified => Code::Unspecified,
        RevocationReason::KeyCompromise => Code::KeyCompromise,
        RevocationReason::AffiliationChanged => Code::AffiliationChanged,
        RevocationReason::Superseded => Code::Superseded,
        RevocationReason::CessationOfOperation => Code::CessationOfOperation,
        RevocationReason::CertificateHold => Code::CertificateHold,
        RevocationReason::PrivilegeWithdrawn => Code::PrivilegeWithdrawn,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{PrivateKey, certificate};
    use muster_model::time::DAY;
    use x509_parser::{prelude::FromDer, revocation_list::CertificateRevocationList};

    const NOW: UnixMillis = UnixMillis(1_790_000_000_000);

    // proves S2
    #[test]
    fn a_list_says_who_when_why_and_until_when() {
        let (root_key, ca_key) = (PrivateKey::generate().unwrap(), PrivateKey::generate().unwrap());
        let site = "ABC".parse().unwrap();
        let root = certificate::root(site, &root_key, NOW).unwrap();
        let ca = certificate::issuing(site, &root, &root_key, ca_key.public(), NOW).unwrap();
        let ca = IssuingCa::new(ca, &ca_key).unwrap();
        let revoked = [
            Revoked { serial: 0x40 << 120, at: NOW.plus(-DAY), reason: RevocationReason::CertificateHold },
            Revoked { serial: 7, at: NOW, reason: RevocationReason::KeyCompromise },
        ];
        let der = ca.revocation_list(300, &revoked, NOW, NOW.plus(3 * DAY)).unwrap();
        let (rest, list) = CertificateRevocationList::from_der(&der).unwrap();
        assert!(rest.is_empty());
        assert_eq!(list.crl_number().map(ToString::to_string).as_deref(), Some("300"));
        assert_eq!(list.next_update().unwrap().timestamp() * 1_000, NOW.plus(3 * DAY).0);
        let entries: Vec<_> = list
            .iter_revoked_certificates()
            .map(|entry| (entry.raw_serial().to_vec(), entry.reason_code().map(|(_, reason)| reason.0)))
            .collect();
        assert_eq!(entries, [(vec![0x40].into_iter().chain([0; 15]).collect(), Some(6)), (vec![7], Some(1))]);
        // An empty list is a list too, and it cannot end before it begins.
        assert!(ca.revocation_list(301, &[], NOW, NOW.plus(DAY)).is_ok());
        assert!(ca.revocation_list(301, &[], NOW, NOW).is_err());
    }
}
