//! Certificate revocation lists (RFC 5280): full lists, signed by the CA that issued the certificates.

use crate::{
    PublicKey,
    certificate::{CertificateError, IssuingCa, moment},
};
use muster_model::{api::RevocationReason, time::UnixMillis};
use rcgen::{CertificateRevocationListParams, KeyIdMethod, RevocationReason as Code, RevokedCertParams, SerialNumber};
use x509_parser::{
    oid_registry::OID_SIG_ECDSA_WITH_SHA256, prelude::FromDer, revocation_list::CertificateRevocationList,
};

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

/// What a list says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct List {
    /// Its number.
    pub number: u64,
    /// When it was signed.
    pub this_update: UnixMillis,
    /// Until when it is believed.
    pub next_update: UnixMillis,
    /// Whom it names.
    pub revoked: Vec<Revoked>,
}

/// Reads a list that `key` signed. Whether it is in time is not asked.
///
/// # Errors
/// [`CertificateError::Malformed`] when it is not one of that key, or not of the form that [`IssuingCa::revocation_list`] makes.
pub fn read(der: &[u8], key: &PublicKey) -> Result<List, CertificateError> {
    let malformed = || CertificateError::Malformed;
    let (rest, list) = CertificateRevocationList::from_der(der).map_err(|_| malformed())?;
    let is_signed = rest.is_empty()
        && list.signature_algorithm.algorithm == OID_SIG_ECDSA_WITH_SHA256
        && key.verify_der(list.tbs_cert_list.as_ref(), &list.signature_value.data).is_ok();
    if !is_signed {
        return Err(malformed());
    }
    let at = |seconds: i64| UnixMillis(seconds.saturating_mul(1_000));
    let entry = |entry: &x509_parser::revocation_list::RevokedCertificate<'_>| {
        let bytes = entry.raw_serial();
        let serial = (bytes.len() <= 16).then(|| bytes.iter().fold(0, |n, byte| n << 8 | u128::from(*byte)))?;
        let reason = reason(entry.reason_code().map_or(0, |(_, code)| code.0))?;
        Some(Revoked { serial, at: at(entry.revocation_date.timestamp()), reason })
    };
    Ok(List {
        number: list.crl_number().and_then(|number| u64::try_from(number).ok()).ok_or_else(malformed)?,
        this_update: at(list.last_update().timestamp()),
        next_update: at(list.next_update().ok_or_else(malformed)?.timestamp()),
        revoked: list.iter_revoked_certificates().map(entry).collect::<Option<_>>().ok_or_else(malformed)?,
    })
}

const fn reason(code: u8) -> Option<RevocationReason> {
    Some(match code {
        0 => RevocationReason::Unspecified,
        1 => RevocationReason::KeyCompromise,
        3 => RevocationReason::AffiliationChanged,
        4 => RevocationReason::Superseded,
        5 => RevocationReason::CessationOfOperation,
        6 => RevocationReason::CertificateHold,
        9 => RevocationReason::PrivilegeWithdrawn,
        _ => return None,
    })
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
        let ca = certificate::issuing(site, &root, &root_key, ca_key.public(), &[], NOW).unwrap();
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
        // Whoever has the CA's key reads the same, and whoever has another's nothing.
        let read_again = read(&der, ca_key.public()).unwrap();
        assert_eq!((read_again.number, read_again.next_update), (300, NOW.plus(3 * DAY)));
        assert_eq!(read_again.revoked, revoked);
        assert!(read(&der, root_key.public()).is_err());
        let mut changed = der.clone();
        *changed.last_mut().unwrap() ^= 1;
        assert!(read(&changed, ca_key.public()).is_err());
        // An empty list is a list too, and it cannot end before it begins.
        assert!(ca.revocation_list(301, &[], NOW, NOW.plus(DAY)).is_ok());
        assert!(ca.revocation_list(301, &[], NOW, NOW).is_err());
    }
}
