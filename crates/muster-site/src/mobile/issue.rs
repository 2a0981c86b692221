//! The issuing core of SCEP and EST: a first certificate by a token, the next one by the present one.
//!
//! What a certificate says is decided by the token; of a request its key is taken and nothing else. One certificate is at work for each
//! device, and for each key and class; a request that comes again is answered with what was answered before.

use super::device::block_for_abuse;
use crate::{Ctx, SiteError, audit, identity::read_secret, site::Site};
use muster_model::{
    api::MobileDevice,
    id::{Hash, MobileId},
    limits::{MOBILE_CERTIFICATES_A_DAY, MOBILE_DEVICES_OF_A_USER},
    problem::Code,
    time::DAY,
};
use muster_store::{
    Tx,
    bus::{Notice, Noun},
    db::{
        certificate, hardware,
        mobile::{self, MobileCertificateRow},
    },
    transaction,
};
use muster_trust::{
    certificate::Issued,
    cms::request::SigningRequest,
    mobile::{MOBILE_LIFETIME, MobileIdentity, issued_mobile},
    sha256,
};

/// A certificate that was granted, and those above it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Granted {
    /// The certificate, DER.
    pub certificate: Vec<u8>,
    /// The issuing CA's, and the root's.
    pub chain: Vec<Vec<u8>>,
}

fn granted(site: &Site, certificate: Vec<u8>) -> Result<Granted, SiteError> {
    let trust = site.trust.load_full();
    let root = trust.bundle().root_certificate().map_err(|error| SiteError::Fault(error.to_string()))?;
    Ok(Granted { certificate, chain: vec![trust.keys.issuing.certificate().to_vec(), root] })
}

/// One refusal for every token that does not let in: who tries secrets learns nothing.
fn unknown() -> SiteError {
    SiteError::refused(Code::TokenUnknown, "The token does not let this device in; make a new one.")
}

fn not_active() -> SiteError {
    SiteError::refused(Code::DeviceNotActive, "This certificate is not at work any more; the device needs a new token.")
}

/// A device's first certificate. `secret`: the challenge of a token.
///
/// # Errors
/// `token_unknown` for a secret that is none, was used by another key, revoked or has ended; `key_mismatch` for a computer's key;
/// `conflict` for a key that has a certificate of this class; `too_many` when the user has as many devices as one may. Nothing is
/// changed then.
pub async fn mobile_certificate_issue(
    ctx: &Ctx,
    site: &Site,
    secret: &str,
    request: &SigningRequest,
) -> Result<Granted, SiteError> {
    let (_, hash) = read_secret(secret).ok_or_else(unknown)?;
    let key = sha256(&request.spki);
    let device = MobileId(site.sources.id());
    // Whoever tries secrets makes nobody write, and waits for nothing.
    let token = mobile::token_by_secret(&mut *site.store.reader().await?, &hash).await?;
    if token.is_none_or(|token| token.used_by.is_none() && (token.revoked.is_some() || token.expires <= ctx.now)) {
        return Err(unknown());
    }
    let row = transaction!(site.store, "mobile_certificate_issue", |tx| {
        // Neither does a computer get this key meanwhile, nor this user another device.
        hardware::lock(tx).await?;
        let Some(token) = mobile::token_take(tx, &hash, device, ctx.now).await? else {
            return answered_before(tx, &hash, &key).await;
        };
        if mobile::is_key_of_computer(tx.conn(), &key).await? {
            return Err(SiteError::refused(Code::KeyMismatch, "This is the key of a computer."));
        }
        if mobile::count_of_user(tx.conn(), &token.user).await? >= u64::from(MOBILE_DEVICES_OF_A_USER) {
            return Err(SiteError::refused(
                Code::TooMany,
                "This user has as many devices as one may; block one of them.",
            ));
        }
        mobile::insert(tx, device, &token, ctx.now).await?;
        let of = mobile::get(tx.conn(), device).await?.ok_or_else(SiteError::not_found)?;
        let row = issue(tx, ctx, site, &of, request).await?;
        let detail = format!(
            "A device of {} ({}) was given its first certificate, {}, by token {}.",
            token.user, token.class, row.serial, token.id
        );
        audit::append(tx, ctx, "mobile_certificate_issue", format!("mobile device {device}"), detail).await?;
        Ok(row)
    })?;
    site.bus.publish(Notice::Changed(Noun::Device));
    granted(site, row.certificate)
}

/// The answer to a request that was granted, when it was lost: for the same token and the same key.
async fn answered_before(tx: &mut Tx, secret: &Hash, key: &Hash) -> Result<MobileCertificateRow, SiteError> {
    let token = mobile::token_by_secret(tx.conn(), secret).await?;
    let Some(device) = token.and_then(|token| token.used_by) else { return Err(unknown()) };
    let row = mobile::certificate_of(tx.conn(), device).await?;
    row.filter(|row| row.key == *key).ok_or_else(unknown)
}

async fn issue(
    tx: &mut Tx,
    ctx: &Ctx,
    site: &Site,
    of: &MobileDevice,
    request: &SigningRequest,
) -> Result<MobileCertificateRow, SiteError> {
    let trust = site.trust.load_full();
    let ca = &trust.keys.issuing;
    let made = ca.mobile(site.code, (of.class, of.id), &request.spki, ctx.now);
    let Issued { der, serial, expires } = made.map_err(|error| SiteError::Fault(error.to_string()))?;
    let row = MobileCertificateRow {
        serial,
        device: of.id,
        class: of.class,
        key: sha256(&request.spki),
        issued: ctx.now,
        expires,
        certificate: der,
    };
    certificate::insert_mobile(tx, &ca.key_id(), &row.serial, row.issued, row.expires).await?;
    mobile::certificate_insert(tx, &row).await?;
    Ok(row)
}

/// What a certificate says that a device shows: of an issuing CA in force, of the class of mobile devices, and not revoked.
///
/// # Errors
/// `device_not_active`.
pub(super) fn shown(ctx: &Ctx, site: &Site, certificate: &[u8]) -> Result<MobileIdentity, SiteError> {
    let issuing = site.trust.load().bundle().issuing_certificates();
    let issuing = issuing.map_err(|error| SiteError::Fault(error.to_string()))?;
    let said = issued_mobile(certificate, &issuing, ctx.now).map_err(|_| not_active())?;
    if said.site == site.code && !site.is_revoked(&said.serial) { Ok(said) } else { Err(not_active()) }
}

/// A device's next certificate, by the present one. The one before ends with it.
///
/// # Errors
/// `device_not_active` for a certificate that is not of a mobile device, not at work any more, or of a device that was blocked, as it
/// is when it asks too often; `conflict` for a key that has a certificate of this class.
pub async fn mobile_certificate_renew(
    ctx: &Ctx,
    site: &Site,
    current: &[u8],
    request: &SigningRequest,
) -> Result<Granted, SiteError> {
    let said = shown(ctx, site, current)?;
    let key = sha256(&request.spki);
    let row = transaction!(site.store, "mobile_certificate_renew", |tx| {
        hardware::lock(tx).await?;
        mobile::touch(tx, said.device).await?;
        // What another process revoked, this one need not know yet.
        let noted = certificate::get(tx.conn(), &said.serial).await?;
        if noted.is_none_or(|noted| noted.revocation.is_some()) {
            return Err(not_active());
        }
        let of = mobile::get(tx.conn(), said.device).await?;
        let at_work = mobile::certificate_of(tx.conn(), said.device).await?;
        let is_active = |of: &MobileDevice| of.blocked.is_none() && of.class == said.class;
        let (Some(of), Some(at_work)) = (of.filter(is_active), at_work) else { return Err(not_active()) };
        let is_young = at_work.expires.since(ctx.now) > MOBILE_LIFETIME / 2;
        // The answer was lost, or somebody asks again and again with one key: nothing new.
        if at_work.key == key && is_young {
            return Ok(Some(at_work));
        }
        if at_work.serial != said.serial {
            return Err(not_active());
        }
        if mobile::is_key_of_computer(tx.conn(), &key).await? {
            return Err(SiteError::refused(Code::KeyMismatch, "This is the key of a computer."));
        }
        let today = mobile::certificates_since(tx.conn(), of.id, ctx.now.plus(-DAY)).await?;
        if today >= u64::from(MOBILE_CERTIFICATES_A_DAY) {
            return Ok(None);
        }
        mobile::certificate_end(tx, of.id, ctx.now).await?;
        let row = issue(tx, ctx, site, &of, request).await?;
        let detail = format!("Certificate {} is followed by {}, for key {key}.", said.serial, row.serial);
        audit::append(tx, ctx, "mobile_certificate_renew", format!("mobile device {}", of.id), detail).await?;
        Ok(Some(row))
    })?;
    match row {
        Some(row) => granted(site, row.certificate),
        None => {
            block_for_abuse(ctx, site, said.device).await?;
            Err(not_active())
        }
    }
}
