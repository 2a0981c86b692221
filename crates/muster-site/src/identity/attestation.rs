//! Hardware identity at the enrolment door: a client offers its TPM, the site challenges it, and judges the proof.
//!
//! A challenge lives in the memory of its connection: it is asked once and answered once, there and nowhere else, and nothing is
//! written for a client that has proven nothing.

use super::{limiter::Limiter, read_secret};
use crate::{Ctx, SiteError, audit, site::Site};
use base64::{Engine, engine::general_purpose::STANDARD as BASE64};
use muster_model::{
    api::{Attestation, HardwareStanding},
    attestation::{AttestationChallenge, AttestationOffer, AttestationProof},
    enrol::DeviceClaims,
    id::{Hash, TokenId},
    problem::Code,
    time::DAY,
};
use muster_store::{
    db::{attestation::AttestationRow, hardware, token},
    transaction,
};
use muster_trust::{
    PublicKey,
    attestation::{AttestationError, Challenge, Offer, Proof},
};
use std::sync::{Mutex, PoisonError};

/// A connection to the enrolment door.
#[derive(Debug)]
pub struct Channel {
    /// Its TLS exporter, which the TPM signs with its statement.
    exporter: Hash,
    asked: Mutex<Option<Asked>>,
    /// Proofs of a domain that came. Each is bound to the exporter, so that on another connection none is worth anything.
    proofs: Mutex<Vec<Hash>>,
}

/// Proofs of a domain that one connection may bring; a client brings two.
const PROOFS: usize = 16;

/// A challenge that was sent, and what it was sent for.
#[derive(Debug)]
struct Asked {
    challenge: Challenge,
    certificate: Option<Vec<u8>>,
    endorsement_key: Vec<u8>,
    attestation_key: Vec<u8>,
    vouched_by: &'static str,
}

impl Channel {
    /// A connection with this exporter.
    #[must_use]
    pub fn new(exporter: Hash) -> Self {
        Self { exporter, asked: Mutex::new(None), proofs: Mutex::default() }
    }

    /// Its TLS exporter.
    pub(super) const fn exporter(&self) -> &Hash {
        &self.exporter
    }

    /// Takes a proof of a domain; `false` when it came before, or too many did.
    pub(super) fn is_new_proof(&self, proof: Hash) -> bool {
        let mut proofs = self.proofs.lock().unwrap_or_else(PoisonError::into_inner);
        let is_new = proofs.len() < PROOFS && !proofs.contains(&proof);
        if is_new {
            proofs.push(proof);
        }
        is_new
    }

    fn ask(&self, asked: Asked) {
        *self.asked.lock().unwrap_or_else(PoisonError::into_inner) = Some(asked);
    }

    fn take(&self) -> Option<Asked> {
        self.asked.lock().unwrap_or_else(PoisonError::into_inner).take()
    }
}

/// The enrolment door: a client with a TPM offers it, and gets a challenge. Nothing is changed; the token stays unused.
///
/// # Errors
/// `malformed`, `too_large`, `token_unknown`, `attestation_refused`.
pub async fn attestation_offer(
    ctx: &Ctx,
    site: &Site,
    channel: &Channel,
    offer: AttestationOffer,
) -> Result<AttestationChallenge, SiteError> {
    let Some((_, secret)) = read_secret(&offer.secret) else { return Err(super::enrolment::token_unknown()) };
    // A token that was used is known too: its request may be made again when the answer was lost.
    let token = token::by_secret(&mut *site.store.reader().await?, &secret).await?;
    let token = token.ok_or_else(super::enrolment::token_unknown)?.id;
    let certificate = offer.endorsement_certificate.as_deref().map(|text| part(site, text)).transpose()?;
    let (endorsement_key, attestation_key) = (part(site, &offer.endorsement_key)?, part(site, &offer.attestation_key)?);
    let offered = match Offer::read(&endorsement_key, &attestation_key) {
        Ok(offered) => offered,
        Err(error) => return Err(refused(ctx, site, token, None, error).await),
    };
    let id = offered.hardware();
    let vouched_by = match vouched(ctx, site, &offered, certificate.as_deref()).await? {
        Ok(by) => by,
        Err(error) => return Err(refused(ctx, site, token, Some(id), error).await),
    };
    let challenge = match offered.challenge() {
        Ok(challenge) => challenge,
        Err(error) => return Err(refused(ctx, site, token, Some(id), error).await),
    };
    let (blob, seed) = challenge.credential();
    let answer =
        AttestationChallenge { nonce: challenge.nonce(), credential: BASE64.encode(blob), seed: BASE64.encode(seed) };
    channel.ask(Asked { challenge, certificate, endorsement_key, attestation_key, vouched_by });
    Ok(answer)
}

/// Who vouches for the endorsement key: a vendor whose root is pinned, or an administrator who named the key.
async fn vouched(
    ctx: &Ctx,
    site: &Site,
    offer: &Offer,
    certificate: Option<&[u8]>,
) -> Result<Result<&'static str, AttestationError>, SiteError> {
    let by_vendor = match certificate {
        Some(certificate) => offer.vouched(certificate, &site.endorsement_roots, ctx.now),
        None => Err(AttestationError::EndorsementUnknown),
    };
    let error = match by_vendor {
        Ok(()) => return Ok(Ok("vendor")),
        // Somebody else's certificate is no oversight of the administrator.
        Err(error @ (AttestationError::EndorsementMismatch | AttestationError::Malformed)) => return Ok(Err(error)),
        Err(error) => error,
    };
    let decided = hardware::get(&mut *site.store.reader().await?, &offer.hardware()).await?;
    let named = decided.filter(|decided| decided.standing != HardwareStanding::Blocked);
    Ok(named.map(|_| "administrator").ok_or(error))
}

fn part(site: &Site, text: &str) -> Result<Vec<u8>, SiteError> {
    let most = site.limits.attestation_bytes;
    if text.len() > most.saturating_mul(4) / 3 + 4 {
        let detail = format!("A part of the attestation has more than {most} bytes.");
        return Err(SiteError::refused(Code::TooLarge, detail));
    }
    BASE64.decode(text).map_err(|_| SiteError::refused(Code::Malformed, "A part of the attestation is not base64."))
}

/// How often a refusal stands in the audit log, for each token or key, and reason.
#[derive(Debug)]
pub struct Recorded(Limiter);

/// Refusals of one token for one reason in a day that are recorded. Many of one kind must not hide another kind.
const RECORDED: u32 = 10;

impl Default for Recorded {
    fn default() -> Self {
        Self(Limiter::with_window(DAY))
    }
}

fn refusal(error: AttestationError, advice: &str) -> SiteError {
    metrics::counter!("muster_attestation_refused_total", "reason" => error.as_str()).increment(1);
    SiteError::refused(Code::AttestationRefused, format!("The attestation is refused: {error}.{advice}"))
}

/// Whether a refusal is written to the audit log: the first ones of `whose` are, a token or a key.
pub(super) fn may_record(ctx: &Ctx, site: &Site, whose: &str) -> bool {
    site.memory.recorded.0.count(whose, RECORDED, ctx.now).is_ok()
}

/// A refusal, which stands in the audit log: somebody with a token tried to be a machine that it is not, or is misconfigured.
async fn refused(ctx: &Ctx, site: &Site, token: TokenId, id: Option<Hash>, error: AttestationError) -> SiteError {
    let (object, advice) = match (id, error) {
        (Some(id), AttestationError::EndorsementUnknown) => {
            let advice = format!(
                " Its hardware identity is {id}; pin its vendor's root, or let it in with `muster hardware allow`."
            );
            (format!("hardware {id}"), advice)
        }
        (Some(id), AttestationError::EndorsementKind) => {
            (format!("hardware {id}"), format!(" Its hardware identity is {id}; `muster hardware allow` names it."))
        }
        (Some(id), _) => (format!("hardware {id}"), String::new()),
        (None, _) => ("hardware".to_owned(), String::new()),
    };
    let refusal = refusal(error, &advice);
    if !may_record(ctx, site, &format!("{token} {}", error.as_str())) {
        return refusal;
    }
    let detail = format!("An attestation from {} was refused ({}): {error}.", ctx.address, error.as_str());
    let kept: Result<(), SiteError> = transaction!(site.store, "attestation_refuse", |tx| {
        audit::append(tx, ctx, "attestation_refuse", object.clone(), detail.clone()).await
    });
    kept.map_or_else(|error| error, |()| refusal)
}

/// Judges the proof of a request over this connection. The challenge is gone afterwards, whatever comes of it.
///
/// # Errors
/// `attestation_refused`, `malformed`, `too_large`; `key_mismatch` when the proven key is not that of the request.
pub(super) async fn judge(
    ctx: &Ctx,
    site: &Site,
    channel: &Channel,
    token: TokenId,
    key: &PublicKey,
    claims: &DeviceClaims,
    proof: &AttestationProof,
) -> Result<AttestationRow, SiteError> {
    let Some(asked) = channel.take() else {
        // Over this connection nothing was asked: it says nothing of any machine, and is counted only.
        return Err(refusal(AttestationError::Nonce, ""));
    };
    let [credential, device_key, statement, signature] =
        [&proof.credential, &proof.device_key, &proof.statement, &proof.signature].map(|text| part(site, text));
    let (credential, device_key, statement, signature) = (credential?, device_key?, statement?, signature?);
    let (nonce, hardware) = (asked.challenge.nonce(), asked.challenge.hardware());
    let given = Proof { secret: &credential, device_key: &device_key, statement: &statement, signature: &signature };
    let attested = match asked.challenge.verify(&given, &channel.exporter, claims) {
        Ok(attested) => attested,
        Err(error) => return Err(refused(ctx, site, token, Some(hardware), error).await),
    };
    if attested.key() != key {
        return Err(refused(ctx, site, token, Some(hardware), AttestationError::Statement).await);
    }
    Ok(AttestationRow {
        hardware: attested.hardware(),
        vouched_by: asked.vouched_by.to_owned(),
        verified: ctx.now,
        endorsement_certificate: asked.certificate,
        endorsement_key: asked.endorsement_key,
        attestation_key: asked.attestation_key,
        device_key,
        statement,
        signature,
        nonce,
        exporter: channel.exporter,
    })
}

/// The evidence as administrators see it.
pub(super) fn shown(row: AttestationRow) -> Attestation {
    let encode = |bytes: Vec<u8>| BASE64.encode(bytes);
    Attestation {
        hardware: row.hardware,
        vouched_by: row.vouched_by,
        verified: row.verified,
        endorsement_certificate: row.endorsement_certificate.map(encode),
        endorsement_key: encode(row.endorsement_key),
        attestation_key: encode(row.attestation_key),
        device_key: encode(row.device_key),
        statement: encode(row.statement),
        signature: encode(row.signature),
        nonce: row.nonce,
        exporter: row.exporter,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_connection_takes_a_proof_once_and_fills_nobody_elses_memory() {
        let (channel, other) = (Channel::new(Hash([1; 32])), Channel::new(Hash([2; 32])));
        assert!(channel.is_new_proof(Hash([1; 32])) && !channel.is_new_proof(Hash([1; 32])));
        let taken = (2..=u8::MAX).filter(|byte| channel.is_new_proof(Hash([*byte; 32]))).count();
        assert_eq!(taken, PROOFS - 1);
        assert!(other.is_new_proof(Hash([1; 32])));
    }
}
