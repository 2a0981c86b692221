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
    id::TokenId,
    problem::Code,
};
use muster_store::transaction;
use muster_trust::{
    PublicKey,
    kerberos::{self, Acceptor, Account, KerberosError},
};
/// Judges the proof of a request over this connection.
///
/// # Errors
/// `domain_refused`, `malformed`; nothing but the audit log is changed then.
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
        // Refused as any other: a client that need not prove its domain asks again without.
        let detail = format!("The proof of the domain has more than {most} bytes; the account is in too many groups.");
        return Err(SiteError::refused(Code::DomainRefused, detail));
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
    let has_key = site.keytabs.iter().any(|keytab| !keytab.keys(realm, service).is_empty());
    let Some(trusted) = trusted.filter(|_| has_key) else { return Ok(Err(KerberosError::NoKey)) };
    let acceptor = Acceptor { keytabs: &site.keytabs, realm: &trusted.realm, service: &trusted.service };
    let binding = kerberos::binding(channel.exporter(), &trusted.service, key, claims);
    let account = match acceptor.accept(request, &binding, ctx.now) {
        Ok(account) => account,
        Err(error) => return Ok(Err(error)),
    };
    if !channel.is_new_proof(account.proof) {
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
    if !may_record(ctx, site, &token.to_string()) {
        return refusal;
    }
    let detail = format!("A proof of a domain from {} was refused ({}): {error}.", ctx.address, error.as_str());
    let kept: Result<(), SiteError> = transaction!(site.store, "domain_refuse", |tx| {
        audit::append(tx, ctx, "domain_refuse", "enrolment".to_owned(), detail.clone()).await
    });
    kept.map_or_else(|error| error, |()| refusal)
}
