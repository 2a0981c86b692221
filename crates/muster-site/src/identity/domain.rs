//! A computer's proof of its domain at the enrolment door: a Kerberos ticket of its account, made for this connection and this key.
//!
//! What the proof gives is an account and its groups, as the domain controller signed them. Whether that approves anybody is
//! asked elsewhere: being a member of a domain is no authorisation.

use super::{
    approval,
    attestation::{Channel, may_record},
};
use crate::{Ctx, SiteError, audit, site::Site};
use base64::{Engine, engine::general_purpose::STANDARD as BASE64};
use muster_model::{
    api::DomainAccount,
    enrol::{DeviceClaims, DomainProof},
    id::{Hash, TokenId},
    problem::Code,
    time::{SECOND, UnixMillis},
};
use muster_store::transaction;
use muster_trust::{
    PublicKey,
    kerberos::{self, Acceptor, Account, KerberosError, SKEW},
};
use std::{
    collections::HashMap,
    sync::{Mutex, PoisonError},
};

/// Proofs that are remembered; each was a good one, so that only members of a trusted domain can fill this.
const PROOFS: usize = 100_000;

/// Proofs that were taken, for as long as their time would be. Each is bound to its connection besides.
#[derive(Debug, Default)]
pub struct Proofs(Mutex<HashMap<Hash, UnixMillis>>);

impl Proofs {
    /// Takes a proof; `false` when it was taken before, or when there are too many to tell.
    fn take(&self, proof: Hash, now: UnixMillis) -> bool {
        let mut known = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        known.retain(|_, until| *until > now);
        let is_new = known.len() < PROOFS && !known.contains_key(&proof);
        if is_new {
            known.insert(proof, now.plus(2 * SKEW * SECOND));
        }
        is_new
    }
}

/// Judges the proof of a request over this connection.
///
/// # Errors
/// `domain_refused`, `malformed`, `too_large`; nothing but the audit log is changed then.
pub(super) async fn judge(
    ctx: &Ctx,
    site: &Site,
    channel: &Channel,
    token: TokenId,
    key: &PublicKey,
    claims: &DeviceClaims,
    proof: &DomainProof,
) -> Result<(DomainAccount, Account), SiteError> {
    let most = site.limits.domain_bytes;
    if proof.request.len() > most.saturating_mul(4) / 3 + 4 {
        return Err(SiteError::refused(Code::TooLarge, format!("The proof of the domain has more than {most} bytes.")));
    }
    let request = BASE64.decode(&proof.request);
    let request = request.map_err(|_| SiteError::refused(Code::Malformed, "The proof of the domain is not base64."))?;
    let taken = match kerberos::service_of(&request) {
        Ok((realm, service)) => take(ctx, site, (&realm, &service), &request, (channel, key, claims)).await?,
        Err(error) => Err(error),
    };
    match taken {
        Ok(taken) => Ok(taken),
        Err(error) => Err(refused(ctx, site, token, error).await),
    }
}

async fn take(
    ctx: &Ctx,
    site: &Site,
    (realm, service): (&str, &str),
    request: &[u8],
    (channel, key, claims): (&Channel, &PublicKey, &DeviceClaims),
) -> Result<Result<(DomainAccount, Account), KerberosError>, SiteError> {
    let settings = approval::read(&mut *site.store.reader().await?).await?;
    let trusted = settings.domains.iter().find(|it| it.realm == realm && it.service.eq_ignore_ascii_case(service));
    let keytab = site.keytabs.iter().find(|keytab| !keytab.keys(realm, service).is_empty());
    let (Some(trusted), Some(keytab)) = (trusted, keytab) else { return Ok(Err(KerberosError::NoKey)) };
    let acceptor = Acceptor { keytab, realm: &trusted.realm, service: &trusted.service };
    let binding = kerberos::binding(channel.exporter(), &trusted.service, key, claims);
    let account = match acceptor.accept(request, &binding, ctx.now) {
        Ok(account) => account,
        Err(error) => return Ok(Err(error)),
    };
    if !site.memory.proofs.take(account.proof, ctx.now) {
        return Ok(Err(KerberosError::Replayed));
    }
    let group = trusted.groups.iter().find(|group| account.groups.contains(group)).cloned();
    let shown = DomainAccount {
        realm: account.realm.clone(),
        account: account.name.clone(),
        sid: account.sid.clone(),
        group,
        verified: ctx.now,
    };
    Ok(Ok((shown, account)))
}

/// A refusal, which stands in the audit log: somebody with a token tried to be a computer that it is not, or is misconfigured.
async fn refused(ctx: &Ctx, site: &Site, token: TokenId, error: KerberosError) -> SiteError {
    metrics::counter!("muster_domain_refused_total", "reason" => error.as_str()).increment(1);
    let refusal = SiteError::refused(Code::DomainRefused, format!("The proof of the domain is refused: {error}."));
    if !may_record(ctx, site, token) {
        return refusal;
    }
    let detail = format!("A proof of a domain from {} was refused ({}): {error}.", ctx.address, error.as_str());
    let kept: Result<(), SiteError> = transaction!(site.store, "domain_refuse", |tx| {
        audit::append(tx, ctx, "domain_refuse", "enrolment".to_owned(), detail.clone()).await
    });
    kept.map_or_else(|error| error, |()| refusal)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_proof_is_taken_once_while_its_time_lasts() {
        let (proofs, now) = (Proofs::default(), UnixMillis(1_790_000_000_000));
        assert!(proofs.take(Hash([1; 32]), now));
        assert!(!proofs.take(Hash([1; 32]), now));
        assert!(!proofs.take(Hash([1; 32]), now.plus(SKEW * SECOND)));
        assert!(proofs.take(Hash([2; 32]), now));
        assert!(proofs.take(Hash([1; 32]), now.plus(2 * SKEW * SECOND)), "its own time is over by then");
    }
}
