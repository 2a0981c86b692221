//! SCEP: one address, three operations. Whatever is wrong with a request that its sender signed, the answer is one signed failure, so that
//! nobody learns whether an envelope opened, a challenge was known, or somebody has too many devices.

use super::{
    authority::MobileAuthority,
    issue::{mobile_certificate_issue, mobile_certificate_renew, shown},
    token::is_open,
};
use crate::{Ctx, SiteError, identity::revocation::revocation_list_show, site::Site};
use muster_mdm::scep::{
    Answer, Asked, Authority, CA_RA_MEDIA_TYPE, CAPABILITIES, FailInfo, MEDIA_TYPE, MessageType, Operation, Request,
    authorities, operation,
};
use muster_model::problem::Code;
use muster_store::db::mobile;
use muster_trust::cms::{MAX_BYTES, certificate::parts, enveloped::Cipher};

/// What is answered.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ScepReply {
    /// The media type.
    pub media_type: &'static str,
    /// The body.
    pub body: Vec<u8>,
}

/// Not granted, for a reason that is not said.
const FAILED: Answer<'static> = Answer::Failed(FailInfo::BadRequest);

/// What a request is answered with, but for its cover.
enum Outcome {
    Granted(Vec<Vec<u8>>),
    List(Vec<u8>),
}

/// Answers one request. `query`: of the address; `body`: of a POST.
///
/// # Errors
/// `malformed` for what is no request; when the site fails.
pub async fn scep_answer(
    ctx: &Ctx,
    site: &Site,
    authority: &MobileAuthority,
    query: &str,
    body: Option<Vec<u8>>,
) -> Result<ScepReply, SiteError> {
    let malformed = |error: &dyn std::fmt::Display| SiteError::refused(Code::Malformed, format!("{error}."));
    let (media_type, body) = match operation(query, body).map_err(|error| malformed(&error))? {
        Operation::GetCaCaps => ("text/plain", CAPABILITIES.as_bytes().to_vec()),
        Operation::GetCaCert => {
            let trust = site.trust.load_full();
            let root = trust.bundle().root_certificate().map_err(|error| SiteError::Fault(error.to_string()))?;
            let chain = [&authority.certificate[..], trust.keys.issuing.certificate(), &root];
            (CA_RA_MEDIA_TYPE, authorities(&chain))
        }
        Operation::PkiOperation(message) => {
            let request = Request::read(&message).map_err(|error| malformed(&error))?;
            (MEDIA_TYPE, answered(ctx, site, authority, &request).await?)
        }
    };
    Ok(ScepReply { media_type, body })
}

async fn answered(
    ctx: &Ctx,
    site: &Site,
    authority: &MobileAuthority,
    request: &Request,
) -> Result<Vec<u8>, SiteError> {
    let by = Authority { certificate: &authority.certificate, key: &authority.key };
    let mut nonce = [0; 16];
    muster_trust::random(&mut nonce).map_err(|error| SiteError::Fault(error.to_string()))?;
    let (outcome, cipher) = match request.open(by) {
        // Nothing happens for a sender to whom nothing can be sealed: it would never learn of it.
        Ok((asked, cipher)) if request.can_be_granted() => (outcome(ctx, site, request, asked).await?, cipher),
        _ => (None, Cipher::Aes128),
    };
    let made = match &outcome {
        Some(Outcome::Granted(chain)) => {
            let chain: Vec<&[u8]> = chain.iter().map(Vec::as_slice).collect();
            request.answer(by, cipher, &nonce, Answer::Granted(&chain))
        }
        Some(Outcome::List(list)) => request.answer(by, cipher, &nonce, Answer::List(list)),
        None => request.answer(by, cipher, &nonce, FAILED),
    };
    made.map_err(|error| SiteError::Fault(error.to_string()))
}

/// What is granted; `None`: nothing, for a reason that is not said.
async fn outcome(ctx: &Ctx, site: &Site, request: &Request, asked: Asked) -> Result<Option<Outcome>, SiteError> {
    let granted = match asked {
        Asked::Certificate(asked) => {
            let challenge = asked.challenge.as_ref().filter(|_| request.kind == MessageType::PkcsReq);
            // Some clients ask for the next certificate as for the first; the certificate they sign with says which it is.
            if shown(ctx, site, &request.sender).is_ok() {
                // Whoever shows an open token asks for a first certificate, not for the next one of this device.
                if let Some(challenge) = &asked.challenge
                    && is_open(ctx, site, challenge).await?
                {
                    return Ok(None);
                }
                mobile_certificate_renew(ctx, site, &request.sender, &asked).await
            } else if let Some(challenge) = challenge.filter(|_| asked.is_rsa && request.is_by(&asked.spki)) {
                // Whoever asks first signs with the key that the certificate is for; an answer could not be sealed to another kind.
                mobile_certificate_issue(ctx, site, challenge, &asked).await
            } else {
                return Ok(None);
            }
        }
        Asked::Named { issuer, .. } if request.kind == MessageType::GetCrl => {
            return list(ctx, site, &issuer).await;
        }
        Asked::Named { serial, .. } => return own(ctx, site, &request.sender, &serial).await,
        Asked::State => return Ok(None),
    };
    match granted {
        Ok(granted) => Ok(Some(Outcome::Granted([vec![granted.certificate], granted.chain].concat()))),
        Err(SiteError::Refused(problem)) => {
            tracing::info!(code = %problem.code, address = ctx.address, "A SCEP request was not granted.");
            Ok(None)
        }
        Err(error) => Err(error),
    }
}

/// The revocation list of the issuing CA, which is public. A long one is not sealed for whoever asks; it is where certificates say it is.
async fn list(ctx: &Ctx, site: &Site, issuer: &[u8]) -> Result<Option<Outcome>, SiteError> {
    let trust = site.trust.load_full();
    let ca = &trust.keys.issuing;
    if !parts(ca.certificate()).is_ok_and(|parts| parts.subject == issuer) {
        return Ok(None);
    }
    let list = revocation_list_show(ctx, site, ca.key_id()).await?;
    Ok((list.der.len() <= MAX_BYTES).then(|| Outcome::List(list.der.to_vec())))
}

/// A device's own certificate, and nobody else's.
async fn own(ctx: &Ctx, site: &Site, sender: &[u8], serial: &[u8]) -> Result<Option<Outcome>, SiteError> {
    let Ok(said) = shown(ctx, site, sender) else { return Ok(None) };
    let row = mobile::certificate_of(&mut *site.store.reader().await?, said.device).await?;
    let is_asked = |der: &[u8]| parts(der).is_ok_and(|parts| parts.serial.get(2..) == Some(serial));
    Ok(row.filter(|row| is_asked(&row.certificate)).map(|row| Outcome::Granted(vec![row.certificate])))
}
