//! EST (RFC 7030): certificates over TLS, by a token's id and challenge, or by the certificate of the connection.

use super::issue::{Granted, mobile_certificate_issue, mobile_certificate_renew};
use crate::{Ctx, SiteError, site::Site};
use base64::{Engine, engine::general_purpose::STANDARD as BASE64};
use muster_model::{id::TokenId, problem::Code};
use muster_store::db::mobile;
use muster_trust::cms::{request::SigningRequest, signed::certificates_only};

/// The request in a body: PKCS#10 in Base64, with line ends or without.
fn requested(body: &[u8]) -> Result<SigningRequest, SiteError> {
    let bad =
        || SiteError::refused(Code::CsrInvalid, "The body is not a PKCS#10 request in Base64 that its own key signed.");
    let text: Vec<u8> = body.iter().copied().filter(|byte| !byte.is_ascii_whitespace()).collect();
    let der = BASE64.decode(text).map_err(|_| bad())?;
    SigningRequest::read(&der).map_err(|_| bad())
}

/// Base64 in one line: clients are to pass over line ends, and strongSwan does not.
fn covered(der: &[u8]) -> Vec<u8> {
    BASE64.encode(der).into_bytes()
}

fn answer(granted: &Granted) -> Vec<u8> {
    covered(&certificates_only(&[&granted.certificate], None))
}

/// The certificates of the issuing CA and the root: what `cacerts` answers.
///
/// # Errors
/// When the trust bundle does not parse.
pub fn est_authorities(_ctx: &Ctx, site: &Site) -> Result<Vec<u8>, SiteError> {
    let trust = site.trust.load_full();
    let root = trust.bundle().root_certificate().map_err(|error| SiteError::Fault(error.to_string()))?;
    Ok(covered(&certificates_only(&[trust.keys.issuing.certificate(), &root], None)))
}

/// A device's first certificate: `user` is the token's id, `password` its challenge.
///
/// # Errors
/// As [`mobile_certificate_issue`]; `csr_invalid`.
pub async fn est_enrol(
    ctx: &Ctx,
    site: &Site,
    (user, password): (&str, &str),
    body: &[u8],
) -> Result<Vec<u8>, SiteError> {
    let request = requested(body)?;
    let unknown = || SiteError::refused(Code::TokenUnknown, "The token does not let this device in; make a new one.");
    let id: TokenId = user.parse().map_err(|_| unknown())?;
    let (_, hash) = crate::identity::read_secret(password).ok_or_else(unknown)?;
    let named = mobile::token_by_secret(&mut *site.store.reader().await?, &hash).await?;
    if named.is_none_or(|token| token.id != id) {
        return Err(unknown());
    }
    Ok(answer(&mobile_certificate_issue(ctx, site, password, &request).await?))
}

/// A device's next certificate. `current`: the certificate of the connection.
///
/// # Errors
/// As [`mobile_certificate_renew`]; `csr_invalid`.
pub async fn est_renew(ctx: &Ctx, site: &Site, current: &[u8], body: &[u8]) -> Result<Vec<u8>, SiteError> {
    let request = requested(body)?;
    Ok(answer(&mobile_certificate_renew(ctx, site, current, &request).await?))
}
