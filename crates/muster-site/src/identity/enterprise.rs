//! Devices with a certificate of the enterprise: proven at enrolment, mapped to one device, and changed only with that device's key.
//!
//! The certificate authenticates the channel of a device that was let in; who the device is, the site decides. A mapped
//! device talks with the certificate that it is mapped to and with no other, not even the site's own: what revokes the one
//! ends the device, and so does what revokes the other.

use super::{
    attestation::{Channel, may_record},
    certificate::is_believed_key,
    conflict, connection,
    enrolment::{self as requests},
};
use crate::{Ctx, SiteError, audit, site::Site};
use base64::{Engine, engine::general_purpose::STANDARD as BASE64};
use muster_model::{
    api::{ConflictKind, ConflictMachine, DeviceState, EnterpriseCertificate},
    enterprise::{EnterpriseAnswer, EnterpriseChange, EnterpriseProof},
    id::{ConflictId, DeviceId, EnrolmentId},
    limits::CERTIFICATE_BYTES,
    problem::Code,
    status::Severity,
    time::UnixMillis,
};
use muster_store::{
    Tx,
    bus::{Notice, Noun},
    db::{
        channel,
        conflict::ConflictRow,
        device,
        enrolment::{self, EnrolmentRow},
        enterprise::{self, Alike, EnterpriseRow},
        timeline,
    },
    transaction,
};
use muster_trust::{
    PublicKey,
    certificate::{ClientIdentity, EnterpriseIdentity, client_identity},
    enterprise::{EnterpriseError, verify},
    envelope,
};

/// Who the holder of the certificate of a connection says to be. The handshake has judged it; whether the device may talk is
/// asked with every request.
///
/// # Errors
/// `device_not_active` for a certificate of nobody.
pub async fn device_identified(site: &Site, der: &[u8], now: UnixMillis) -> Result<ClientIdentity, SiteError> {
    if let Ok(identity) = client_identity(der) {
        return Ok(identity);
    }
    let judged = site.memory.issuers.judge(der, now).map_err(|_| connection::not_active())?;
    let mut reader = site.store.reader().await?;
    let device = enterprise::device(&mut reader, &judged.fingerprint).await?.ok_or_else(connection::not_active)?;
    let row = device::get(&mut reader, device).await?.ok_or_else(connection::not_active)?;
    let key = PublicKey::from_spki(&row.spki).map_err(|error| SiteError::Fault(error.to_string()))?;
    Ok(ClientIdentity {
        site: site.code,
        device,
        key,
        serial: row.serial,
        expires: judged.expires,
        enterprise: Some(EnterpriseIdentity {
            fingerprint: judged.fingerprint,
            issuer: judged.issuer,
            serial: judged.serial,
        }),
    })
}

/// Judges the proof of a request over this connection. `whose` it is decides how often a refusal is recorded.
///
/// # Errors
/// `enterprise_refused`, `malformed`, `too_large`.
pub(super) async fn judge(
    ctx: &Ctx,
    site: &Site,
    (channel, whose): (&Channel, &str),
    key: &PublicKey,
    proof: &EnterpriseProof,
) -> Result<EnterpriseRow, SiteError> {
    if proof.certificate.len() > CERTIFICATE_BYTES * 4 / 3 + 4 {
        let detail = format!("A certificate has at most {CERTIFICATE_BYTES} bytes.");
        return Err(SiteError::refused(Code::TooLarge, detail));
    }
    let malformed = |_| SiteError::refused(Code::Malformed, "The certificate of the enterprise is not base64.");
    let der = BASE64.decode(&proof.certificate).map_err(malformed)?;
    let judged = site.memory.issuers.judge(&der, ctx.now);
    let proven = judged.and_then(|judged| verify(proof, &judged, channel.exporter(), key).map(|()| judged));
    match proven {
        Ok(certificate) => Ok(EnterpriseRow {
            fingerprint: certificate.fingerprint,
            issuer: certificate.issuer,
            serial: certificate.serial.to_string(),
            subject: certificate.subject,
            named: certificate.named,
            key: certificate.key,
            expires: certificate.expires,
        }),
        Err(error) => Err(refused(ctx, site, whose, error).await),
    }
}

/// A refusal, which stands in the audit log, though not more often than is worth reading: somebody has a certificate that does not
/// count, or another's.
async fn refused(ctx: &Ctx, site: &Site, whose: &str, error: EnterpriseError) -> SiteError {
    metrics::counter!("muster_enterprise_refused_total", "reason" => error.as_str()).increment(1);
    let reason = format!("The certificate of the enterprise is refused ({}): {error}.", error.as_str());
    let refusal = SiteError::refused(Code::EnterpriseRefused, reason);
    if !may_record(ctx, site, &format!("{whose} enterprise {}", error.as_str())) {
        return refusal;
    }
    let detail =
        format!("A certificate of the enterprise from {} was refused ({}): {error}.", ctx.address, error.as_str());
    let kept: Result<(), SiteError> = transaction!(site.store, "enterprise_refuse", |tx| {
        audit::append(tx, ctx, "enterprise_refuse", "enterprise certificate".to_owned(), detail.clone()).await
    });
    kept.map_or_else(|error| error, |()| refusal)
}

/// Maps a request to its certificate. Blocked: a device that is locked out has this certificate's key. Otherwise the devices
/// that look the same are told, and one whose key another machine has is quarantined.
pub(super) async fn claim(
    tx: &mut Tx,
    ctx: &Ctx,
    site: &Site,
    request: &EnrolmentRow,
    certificate: &EnterpriseRow,
) -> Result<Claim, SiteError> {
    enterprise::set(tx, request.id, certificate, ctx.now).await?;
    let alike = enterprise::alike(tx, certificate, request.id).await?;
    if let Some(blocked) = alike.iter().find(|other| other.same_key && other.state == DeviceState::Blocked) {
        return Ok(Claim { blocked: Some(blocked.id), suspects: Vec::new() });
    }
    let mut suspects = Vec::new();
    for other in alike {
        let Some(row) = device::get(tx, other.id).await? else { continue };
        if row.key == request.key {
            continue;
        }
        let what = if other.same_key { "the certificate's key" } else { "a certificate for the subject" };
        let text = format!(
            "{} at {} asks to be enrolled (request {}) with another device key and {what} of this device, {}.",
            request.claims.host_name, ctx.address, request.id, certificate.subject
        );
        let line = super::device::line(other.id, ctx.now, "enrolment", Severity::Warning, text);
        timeline::insert(tx, &line).await?;
        if other.same_key && other.state == DeviceState::Active {
            let first = ConflictMachine {
                address: channel::last_address(tx, other.id).await?.unwrap_or_default(),
                name: row.claims.host_name,
                hardware_id: Some(row.claims.hardware_id),
            };
            let second = ConflictMachine {
                address: ctx.address.clone(),
                name: request.claims.host_name.clone(),
                hardware_id: Some(request.claims.hardware_id),
            };
            let id = ConflictId(site.sources.id());
            let kind = ConflictKind::EnterpriseKey;
            suspects.push(ConflictRow { id, enrolment: None, device: other.id, kind, found: ctx.now, first, second });
        }
    }
    Ok(Claim { blocked: None, suspects })
}

/// What a request's certificate says about other devices.
#[derive(Debug, Default)]
pub(super) struct Claim {
    /// A blocked device with the certificate's key.
    pub(super) blocked: Option<DeviceId>,
    /// Devices to be quarantined: two machines have one key.
    pub(super) suspects: Vec<ConflictRow>,
}

impl Claim {
    /// Quarantines; those that were active until now. Call it last: it holds the audit log.
    pub(super) async fn quarantine(self, tx: &mut Tx) -> Result<Vec<ConflictRow>, SiteError> {
        let mut found = Vec::new();
        for row in self.suspects {
            if conflict::found(tx, &row).await? {
                found.push(row);
            }
        }
        Ok(found)
    }
}

/// Two devices cannot have one certificate's key, nor be one subject.
///
/// # Errors
/// `conflict`.
pub(super) async fn check_alone(tx: &mut Tx, owner: EnrolmentId) -> Result<(), SiteError> {
    let Some(certificate) = enterprise::get(tx, owner).await? else { return Ok(()) };
    enterprise::hold(tx, &certificate).await?;
    match enterprise::alike(tx, &certificate, owner).await?.first() {
        None => Ok(()),
        Some(other) => {
            let detail = format!(
                "{} Retire that device if this request takes its place, or refuse the request.",
                sentence(other, &certificate)
            );
            Err(SiteError::refused(Code::Conflict, detail))
        }
    }
}

fn sentence(other: &Alike, certificate: &EnterpriseRow) -> String {
    let what = if other.same_key { "key of its certificate" } else { "subject of its certificate" };
    format!("The {what} ({}) is that of {} device {} ({}).", certificate.subject, other.state, other.name, other.id)
}

/// Why to look twice at a request.
pub(super) async fn doubts(conn: &mut muster_store::Connection, owner: EnrolmentId) -> Result<Vec<String>, SiteError> {
    let Some(certificate) = enterprise::get(conn, owner).await? else { return Ok(Vec::new()) };
    let alike = enterprise::alike(conn, &certificate, owner).await?;
    Ok(alike.iter().map(|other| sentence(other, &certificate)).collect())
}

/// The certificate that a request or device is mapped to, as administrators see it.
pub(super) async fn shown(
    conn: &mut muster_store::Connection,
    owner: EnrolmentId,
) -> Result<Option<EnterpriseCertificate>, SiteError> {
    Ok(enterprise::get(conn, owner).await?.map(|row| EnterpriseCertificate {
        fingerprint: row.fingerprint,
        issuer: row.issuer,
        serial: row.serial,
        subject: row.subject,
        expires: row.expires,
    }))
}

/// The enrolment door: a device goes on with another certificate of the enterprise, because the one that it is mapped to was
/// renewed. The statement is signed with the device's own key, over this connection, and the certificate's key proves itself.
///
/// # Errors
/// `malformed`, `not_found`, `signature_invalid`, `foreign_site`, `device_not_active`, `enterprise_refused`; `conflict` when the
/// certificate is for another subject, or its key is another device's. Nothing is changed then.
pub async fn enterprise_change(
    ctx: &Ctx,
    site: &Site,
    channel: &Channel,
    statement: &[u8],
) -> Result<EnterpriseAnswer, SiteError> {
    let (request, change) = opened(site, statement).await?;
    if change.site != site.code {
        return Err(SiteError::refused(Code::ForeignSite, "The statement is for another site."));
    }
    let Some(id) = request.device.filter(|id| *id == change.device) else { return Err(SiteError::not_found()) };
    if change.exporter != *channel.exporter() {
        return Err(SiteError::refused(Code::SignatureInvalid, "The statement was made for another connection."));
    }
    // Whoever is locked out, or was retired, is not even judged.
    let row = device::get(&mut *site.store.reader().await?, id).await?;
    if row.is_none_or(|row| !is_believed_key(site, &row, &request.key)) {
        return Err(connection::not_active());
    }
    let key = PublicKey::from_spki(&request.spki).map_err(|error| SiteError::Fault(error.to_string()))?;
    let certificate = judge(ctx, site, (channel, &request.key.to_string()), &key, &change.proof).await?;
    let owner = EnrolmentId(id.0);
    let changed = transaction!(site.store, "enterprise_change", |tx| {
        // The same again is no change: its answer was lost.
        if enterprise::get(tx, owner).await?.is_some_and(|known| known.fingerprint == certificate.fingerprint) {
            return Ok(false);
        }
        // First, so that a decision at the same time comes wholly before or wholly after.
        device::touch(tx, id).await?;
        let row = device::get(tx, id).await?.filter(|row| is_believed_key(site, row, &request.key));
        let before = enterprise::get(tx, owner).await?;
        let (Some(_), Some(before)) = (row, before) else { return Err(connection::not_active()) };
        if before.named != certificate.named {
            let detail = format!("The device is {}; for another subject it has to enrol anew.", before.subject);
            return Err(SiteError::refused(Code::Conflict, detail));
        }
        enterprise::hold(tx, &certificate).await?;
        if let Some(other) = enterprise::alike(tx, &certificate, owner).await?.first() {
            return Err(SiteError::refused(Code::Conflict, sentence(other, &certificate)));
        }
        enterprise::set(tx, owner, &certificate, ctx.now).await?;
        let text =
            format!("It talks with another certificate of the enterprise, serial number {}.", certificate.serial);
        let line = super::device::line(id, ctx.now, "certificate", Severity::Information, text.clone());
        timeline::insert(tx, &line).await?;
        audit::append(tx, ctx, "enterprise_change", format!("device {id}"), text).await?;
        Ok::<_, SiteError>(true)
    })?;
    if changed {
        // What was opened with the certificate before comes again with this one.
        site.memory.verdicts.forget(id);
        site.bus.publish(Notice::DeviceClosed(id));
        site.bus.publish(Notice::Changed(Noun::Device));
    }
    Ok(EnterpriseAnswer { device: id, certificate: certificate.fingerprint })
}

/// Opens a statement with the key of the request that it says it is of.
async fn opened(site: &Site, statement: &[u8]) -> Result<(EnrolmentRow, EnterpriseChange), SiteError> {
    let malformed =
        || SiteError::refused(Code::Malformed, "The statement is not a signed envelope of the expected form.");
    let key = requests::signer_of::<EnterpriseChange>(statement).ok_or_else(malformed)?;
    let request = enrolment::by_key(&mut *site.store.reader().await?, &key).await?.ok_or_else(SiteError::not_found)?;
    let public = PublicKey::from_spki(&request.spki).map_err(|error| SiteError::Fault(error.to_string()))?;
    let opened =
        envelope::open1_json::<EnterpriseChange>(statement, |_| Some(public)).map_err(|error| match error {
            envelope::EnvelopeError::Malformed => malformed(),
            _ => SiteError::refused(Code::SignatureInvalid, "The statement is not signed by the device's key."),
        })?;
    Ok((request, opened.into_value()))
}
