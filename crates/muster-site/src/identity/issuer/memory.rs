//! Issuers in the memory of this process: handshakes and requests are judged without a query.

use muster_model::{
    api::IssuerCriteria,
    id::Hash,
    time::{HOUR, UnixMillis},
};
use muster_trust::{
    enterprise::{EnterpriseCertificate, EnterpriseError, EnterpriseIssuer, ForeignList, ListError, Serial},
    tls::EnterpriseClients,
};
use std::sync::{Arc, PoisonError, RwLock};

/// An issuer as this process knows it.
#[derive(Debug, Clone)]
pub(super) struct Known {
    pub(super) issuer: EnterpriseIssuer,
    pub(super) criteria: IssuerCriteria,
    pub(super) list: Option<Arc<ForeignList>>,
    /// Why the list that is kept is none.
    pub(super) unusable: Option<ListError>,
    pub(super) grace_hours: u32,
    pub(super) list_url: String,
    pub(super) tried: Option<UnixMillis>,
    pub(super) failure: Option<String>,
    /// Whether its list was in time when this process last looked; what its end closes is closed once.
    pub(super) was_in_time: bool,
}

impl Known {
    /// Until when its list is believed; the beginning of time where there is none.
    pub(super) fn believed_until(&self) -> UnixMillis {
        let grace = i64::from(self.grace_hours) * HOUR;
        self.list.as_ref().map_or(UnixMillis(i64::MIN), |list| list.next_update.plus(grace))
    }

    pub(super) fn in_time(&self, now: UnixMillis) -> bool {
        now < self.believed_until() && now < self.issuer.expires()
    }

    fn standing(&self, serial: &Serial, now: UnixMillis) -> Result<(), EnterpriseError> {
        if now >= self.issuer.expires() {
            return Err(EnterpriseError::NotInTime);
        }
        match &self.list {
            // Who was revoked once is not heard because the list is old.
            Some(list) if list.revoked.contains(serial) => Err(EnterpriseError::Revoked),
            Some(_) if now < self.believed_until() => Ok(()),
            _ => Err(EnterpriseError::ListStale),
        }
    }
}

/// The issuers that this process knows.
#[derive(Debug, Default)]
pub struct Issuers {
    known: RwLock<Arc<Vec<Known>>>,
    /// One reading of the database at a time, so that an older never comes after a newer.
    pub(super) turn: tokio::sync::Mutex<()>,
}

impl Issuers {
    pub(super) fn known(&self) -> Arc<Vec<Known>> {
        self.known.read().unwrap_or_else(PoisonError::into_inner).clone()
    }

    pub(super) fn replace(&self, known: Vec<Known>) {
        *self.known.write().unwrap_or_else(PoisonError::into_inner) = Arc::new(known);
    }

    /// The end of this issuer's list is to be noticed again.
    pub(super) fn unsettle(&self, issuer: &Hash) {
        let mut next = self.known().to_vec();
        for known in next.iter_mut().filter(|known| known.issuer.id() == *issuer) {
            known.was_in_time = true;
        }
        self.replace(next);
    }

    /// Why the list that is kept of an issuer is none, where that is so.
    pub(super) fn unusable(&self, issuer: &Hash) -> Option<ListError> {
        self.known().iter().find(|known| known.issuer.id() == *issuer)?.unusable
    }

    /// Whose certificates count, with their criteria.
    pub(super) fn offered(&self) -> Vec<(EnterpriseIssuer, IssuerCriteria)> {
        self.known().iter().map(|known| (known.issuer.clone(), known.criteria.clone())).collect()
    }

    /// Judges a certificate wholly: issuer, criteria, time, and whether it is revoked.
    ///
    /// # Errors
    /// See [`EnterpriseError`]; of several issuers the one that came furthest says why.
    pub(in crate::identity) fn judge(
        &self,
        der: &[u8],
        now: UnixMillis,
    ) -> Result<EnterpriseCertificate, EnterpriseError> {
        let mut reason = EnterpriseError::NotIssued;
        for known in self.known().iter() {
            match known.issuer.judge(der, &known.criteria, now) {
                Ok(certificate) => return known.standing(&certificate.serial, now).map(|()| certificate),
                Err(EnterpriseError::NotIssued) => {}
                Err(error) => reason = error,
            }
        }
        Err(reason)
    }

    /// Whether a certificate that was judged before is still good.
    ///
    /// # Errors
    /// See [`EnterpriseError`].
    pub(in crate::identity) fn standing(
        &self,
        issuer: &Hash,
        serial: &Serial,
        now: UnixMillis,
    ) -> Result<(), EnterpriseError> {
        let known = self.known();
        let known = known.iter().find(|known| known.issuer.id() == *issuer).ok_or(EnterpriseError::NotIssued)?;
        known.standing(serial, now)
    }
}

impl EnterpriseClients for Issuers {
    fn admit(&self, certificate: &[u8], now: UnixMillis) -> Result<(), EnterpriseError> {
        let judged = self.judge(certificate, now).map(drop);
        if let Err(error) = judged {
            metrics::counter!("muster_enterprise_refused_total", "reason" => error.as_str()).increment(1);
        }
        judged
    }
}
