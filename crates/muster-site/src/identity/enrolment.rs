//! Enrolment: a request with a token and a key, a decision of an administrator, a device with a certificate.
//!
//! A token is used once: one conditional update decides, however many try. The same token with the same key is the same
//! request again, so that a client that was killed at any moment goes on where it was.

use super::{
    admission::{self, Proven, marks},
    attestation::Channel,
    conflict, domain, read_secret,
};
use crate::{Ctx, SiteError, audit, authz, site::Site};
use base64::{Engine, engine::general_purpose::STANDARD as BASE64};
use muster_model::{
    api::{
        ConflictDecision, Device, DeviceState, Enrolment, EnrolmentState, HardwareStanding, Page, PageQuery, Reason,
        is_serial,
    },
    enrol::{DeviceClaims, EnrolAnswer, EnrolPoll, EnrolRequest},
    id::{DeviceId, EnrolmentId, Hash, ResourceId, TokenId},
    policy::{ASSIGNMENT_LIFETIME, Assignment, Recipient},
    problem::Code,
    status::Severity,
    time::UnixMillis,
};
use muster_store::{
    Connection, Tx,
    bus::{Notice, Noun},
    db::{
        assignment, certificate as certificate_row,
        device::{self, DeviceRow},
        domain_account,
        enrolment::{self, EnrolmentRow},
        hardware, mobile, serial, timeline,
        token::{self, TokenRow},
    },
    transaction,
};
use muster_trust::{PublicKey, certificate, envelope};

/// Seconds that a client waits before it asks again.
const RETRY_AFTER: u32 = 5;

/// The enrolment door: a client asks to be enrolled.
///
/// # Errors
/// `malformed`, `csr_invalid`, `token_unknown`, `token_used`, `token_expired`, `token_revoked`, `attestation_refused`,
/// `domain_refused`, `serial_mismatch`; `key_mismatch` for the key of a mobile device. Nothing is changed then.
pub async fn enrolment_request(
    ctx: &Ctx,
    site: &Site,
    channel: &Channel,
    request: EnrolRequest,
) -> Result<EnrolAnswer, SiteError> {
    if !request.claims.is_well_formed() {
        return Err(SiteError::refused(
            Code::Malformed,
            "Host name, operating system and agent version must have 1 to 255 bytes and no control characters.",
        ));
    }
    if request.serial.as_deref().is_some_and(|serial| !is_serial(serial)) {
        return Err(SiteError::refused(Code::Malformed, "A serial number has 1 to 64 characters that can be seen."));
    }
    let key = requested_key(&request.csr)?;
    let Some((_, secret)) = read_secret(&request.secret) else { return Err(token_unknown()) };
    let evidence = match &request.attestation {
        Some(proof) => {
            // Nothing is judged, and nothing written, for somebody without a token.
            let token = usable(site, &secret, &key.id(), ctx.now).await?;
            let claims = &request.claims;
            Some(super::attestation::judge(ctx, site, channel, token, &key, claims, proof).await?)
        }
        None => None,
    };
    let enterprise = match &request.enterprise {
        Some(proof) => {
            let token = usable(site, &secret, &key.id(), ctx.now).await?;
            let channel = (channel, &token.to_string()[..]);
            Some(super::enterprise::judge(ctx, site, channel, &key, proof).await?)
        }
        None => None,
    };
    let made_for = made_for(ctx, site, &secret, request.serial.as_deref()).await?;
    let mut claims = request.claims;
    let account = match &request.domain {
        Some(proof) => {
            let token = usable(site, &secret, &key.id(), ctx.now).await?;
            let (shown, account) = domain::judge(ctx, site, channel, token, &key, &claims, proof).await?;
            // What its domain calls it counts, and not what it says.
            account.computer().clone_into(&mut claims.host_name);
            Some(shown)
        }
        None => None,
    };
    let proven = Proven { evidence, enterprise, account, made_for };
    let id = EnrolmentId(site.sources.id());
    let new = EnrolmentRow {
        id,
        state: EnrolmentState::Pending,
        token: TokenId(id.0),
        key: key.id(),
        spki: key.spki(),
        claims,
        hardware: proven.evidence.as_ref().map(|evidence| evidence.hardware),
        account: proven.account.as_ref().map(|account| account.sid.clone()),
        serial: request.serial,
        verdict: None,
        address: ctx.address.clone(),
        assignment: empty_assignment(site, id, ctx.now)?,
        created: ctx.now,
        device: None,
    };
    let (row, is_new, suspects) = transaction!(site.store, "enrolment_request", |tx| {
        hardware::lock(tx).await?;
        match token::take(tx, &secret, id, ctx.now).await? {
            Some(token) => {
                if mobile::is_key_of_mobile(tx, &new.key).await? {
                    return Err(SiteError::refused(Code::KeyMismatch, "This is the key of a mobile device."));
                }
                let row = EnrolmentRow { token, ..new.clone() };
                let (row, suspects) = admission::admit(tx, ctx, site, row, &proven).await?;
                Ok((row, true, suspects))
            }
            None => Ok::<_, SiteError>((repeated(tx, ctx, &secret, &new.key).await?, false, Vec::new())),
        }
    })?;
    super::conflict::close(&site.memory.verdicts, &site.bus, &suspects);
    if is_new {
        site.bus.publish(Notice::Changed(Noun::Enrolment));
    }
    if is_new && row.device.is_some() {
        site.memory.work.notify_one();
        site.bus.publish(Notice::Changed(Noun::Device));
    }
    answer(ctx, site, row).await
}

/// The serial number that a token was made for. Only the machine that states it may use the token, and a token that is not known
/// makes nobody work.
async fn made_for(ctx: &Ctx, site: &Site, secret: &Hash, stated: Option<&str>) -> Result<Option<String>, SiteError> {
    let token = token::by_secret(&mut *site.store.reader().await?, secret).await?.ok_or_else(token_unknown)?;
    if token.serial.is_none() || token.serial.as_deref() == stated {
        return Ok(token.serial);
    }
    if super::attestation::may_record(ctx, site, &token.id.to_string()) {
        let detail =
            format!("A machine at {} with another serial number tried the token \"{}\".", ctx.address, token.name);
        transaction!(site.store, "enrolment_mismatch", |tx| {
            audit::append(tx, ctx, "enrolment_mismatch", format!("token {}", token.id), detail.clone()).await
        })?;
    }
    Err(SiteError::refused(Code::SerialMismatch, "The token was made for a machine with another serial number."))
}

/// Proof that the client has its key; of the request nothing else is taken.
pub(super) fn requested_key(csr: &str) -> Result<PublicKey, SiteError> {
    let der = BASE64.decode(csr).unwrap_or_default();
    certificate::signing_request_key(&der).map_err(|_| {
        SiteError::refused(
            Code::CsrInvalid,
            "The signing request is not one of a P-256 key with a good signature by it.",
        )
    })
}

pub(super) fn token_unknown() -> SiteError {
    metrics::counter!("muster_enrolment_refused_total", "reason" => "token_unknown").increment(1);
    SiteError::refused(Code::TokenUnknown, "This site does not know the token; ask its administrator for a new one.")
}

/// The token could not be taken: either this is the request that has it, or there is a reason to refuse.
async fn repeated(tx: &mut Tx, ctx: &Ctx, secret: &Hash, key: &Hash) -> Result<EnrolmentRow, SiteError> {
    let token = token::by_secret(tx, secret).await?.ok_or_else(token_unknown)?;
    if let Some(used_by) = token.used_by {
        return enrolment::get(tx, used_by).await?.filter(|row| row.key == *key).ok_or_else(token_used);
    }
    // It was taken and given back between two statements: nothing does that.
    let fault = || SiteError::Fault("an open token could not be taken".to_owned());
    Err(closed(&token, ctx.now).unwrap_or_else(fault))
}

fn token_used() -> SiteError {
    SiteError::refused(Code::TokenUsed, "The token was used before; ask the administrator for a new one.")
}

/// Why a token that nobody used cannot be used any more.
fn closed(token: &TokenRow, now: UnixMillis) -> Option<SiteError> {
    if token.revoked.is_some() {
        Some(SiteError::refused(Code::TokenRevoked, "The token was revoked; ask the administrator for a new one."))
    } else if token.expires <= now {
        Some(SiteError::refused(Code::TokenExpired, "The token is past its end; ask the administrator for a new one."))
    } else {
        None
    }
}

/// The token of a secret, where a request with this key can still take it, or has it.
async fn usable(site: &Site, secret: &Hash, key: &Hash, now: UnixMillis) -> Result<TokenId, SiteError> {
    let mut reader = site.store.reader().await?;
    let token = token::by_secret(&mut reader, secret).await?.ok_or_else(token_unknown)?;
    match token.used_by {
        Some(used_by) => {
            let row = enrolment::get(&mut reader, used_by).await?;
            row.filter(|row| row.key == *key).map(|_| token.id).ok_or_else(token_used)
        }
        None => closed(&token, now).map_or(Ok(token.id), Err),
    }
}

/// What a client gets that is not approved: a signed policy of nothing.
fn empty_assignment(site: &Site, id: EnrolmentId, now: UnixMillis) -> Result<Vec<u8>, SiteError> {
    let trust = site.trust.load();
    let assignment = Assignment {
        site: site.code,
        recipient: Recipient::Enrolment(id),
        version: 0,
        issued: now,
        expires: now.plus(ASSIGNMENT_LIFETIME),
        trust_version: trust.bundle().version,
        bodies: Vec::new(),
    };
    envelope::sign1_json(&*trust.keys.policy, &assignment).map_err(|error| SiteError::Fault(error.to_string()))
}

/// Whether an assignment was signed under the trust bundle in force.
fn is_of_bundle(site: &Site, assignment: &[u8]) -> bool {
    let trust = site.trust.load();
    let opened = envelope::open1_json::<Assignment>(assignment, |id| trust.bundle().policy_key(id));
    opened.is_ok_and(|opened| opened.value().trust_version == trust.bundle().version)
}

/// What a client is told of its request, as it stands now.
async fn answer(ctx: &Ctx, site: &Site, row: EnrolmentRow) -> Result<EnrolAnswer, SiteError> {
    let device = match (row.state, row.device) {
        (EnrolmentState::Pending, _) => {
            // Made anew for an answer that comes late, or after the trust bundle has changed.
            let fresh = ctx.now.since(row.created) < ASSIGNMENT_LIFETIME / 2 && is_of_bundle(site, &row.assignment);
            let assignment = if fresh { row.assignment } else { empty_assignment(site, row.id, ctx.now)? };
            return Ok(EnrolAnswer::Pending {
                enrolment: row.id,
                retry_after: RETRY_AFTER,
                assignment: BASE64.encode(assignment),
            });
        }
        (EnrolmentState::Refused, _) | (_, None) => return Ok(EnrolAnswer::Refused),
        (EnrolmentState::Approved, Some(device)) => device,
    };
    let row = device::get(&mut *site.store.reader().await?, device).await?;
    // A key whose certificate was revoked gets no other: the client enrols anew, with a new key.
    let may = |row: &DeviceRow| {
        row.state == DeviceState::Active && row.key_revoked.is_none() && !site.is_revoked(&row.serial)
    };
    let Some(row) = row.filter(may) else { return Ok(EnrolAnswer::Refused) };
    let certificate = if super::certificate::is_believed(site, &row, ctx.now) {
        row.certificate
    } else {
        // It was away for so long that its certificate ended, or that its issuer did; its key has just proven itself.
        super::certificate::reissue(ctx, site, row).await?
    };
    Ok(EnrolAnswer::Active {
        device,
        certificates: vec![BASE64.encode(certificate), BASE64.encode(site.trust.load().keys.issuing.certificate())],
        management_points: site.addresses.management_points.clone(),
    })
}

/// The enrolment door: a client asks what became of its request. `poll` is signed by the key of the request.
///
/// # Errors
/// `malformed`, `not_found` for a key or request that is not here, `signature_invalid`, `foreign_site`.
pub async fn enrolment_poll(ctx: &Ctx, site: &Site, poll: &[u8]) -> Result<EnrolAnswer, SiteError> {
    let malformed = || SiteError::refused(Code::Malformed, "The poll is not a signed envelope of the expected form.");
    let key = signer_of::<EnrolPoll>(poll).ok_or_else(malformed)?;
    let newest = enrolment::by_key(&mut *site.store.reader().await?, &key).await?;
    let newest = newest.ok_or_else(SiteError::not_found)?;
    let public = PublicKey::from_spki(&newest.spki).map_err(|error| SiteError::Fault(error.to_string()))?;
    let poll = envelope::open1_json::<EnrolPoll>(poll, |_| Some(public)).map_err(|error| match error {
        envelope::EnvelopeError::Malformed => malformed(),
        _ => SiteError::refused(Code::SignatureInvalid, "The poll is not signed by the key of its request."),
    })?;
    if poll.value().site != site.code {
        return Err(SiteError::refused(Code::ForeignSite, "The poll is for another site."));
    }
    let row = if poll.value().enrolment == newest.id {
        newest
    } else {
        let other = enrolment::get(&mut *site.store.reader().await?, poll.value().enrolment).await?;
        other.filter(|row| row.key == key).ok_or_else(SiteError::not_found)?
    };
    answer(ctx, site, row).await
}

/// The key by which an envelope says that it is signed. It is opened twice: first to learn this, then with that key.
pub(super) fn signer_of<T: muster_model::Signed + serde::de::DeserializeOwned>(bytes: &[u8]) -> Option<Hash> {
    let mut key = None;
    let unknown = envelope::open1_json::<T>(bytes, |id| {
        key = Some(*id);
        None
    });
    key.filter(|_| matches!(unknown, Err(envelope::EnvelopeError::KeyUnknown)))
}

/// A request as administrators see it.
async fn shown(conn: &mut Connection, row: EnrolmentRow, conflicts: Vec<String>) -> Result<Enrolment, SiteError> {
    let account = match row.account {
        Some(_) => domain_account::get(conn, row.id).await?,
        None => None,
    };
    let listed = match &row.serial {
        Some(number) => serial::get(conn, number).await?,
        None => None,
    };
    let enterprise = super::enterprise::shown(conn, row.id).await?;
    Ok(Enrolment {
        id: row.id,
        state: row.state,
        claims: row.claims,
        key: row.key,
        key_protection: super::device::protection(row.hardware.as_ref()),
        hardware: row.hardware,
        account,
        serial: row.serial,
        serial_note: listed.map(|listed| listed.note),
        verdict: row.verdict,
        address: row.address,
        created: row.created,
        token: row.token,
        device: row.device,
        enterprise,
        conflicts,
    })
}

/// A page of requests; those that wait with the devices that they resemble.
///
/// # Errors
/// `unauthenticated`, `too_large`.
pub async fn enrolment_list(
    ctx: &Ctx,
    site: &Site,
    state: Option<EnrolmentState>,
    query: PageQuery,
) -> Result<Page<Enrolment>, SiteError> {
    authz::see(ctx)?;
    let page = site.page(query)?;
    let mut reader = site.store.reader().await?;
    let (rows, total) = enrolment::list(&mut reader, state, page).await?;
    let mut items = Vec::with_capacity(rows.len());
    for row in rows {
        let conflicts = match row.state {
            EnrolmentState::Pending => {
                let alike = device::alike(&mut reader, marks(&row)).await?;
                let doubts = super::enterprise::doubts(&mut reader, row.id).await?;
                conflicts(alike).into_iter().chain(doubts).collect()
            }
            _ => Vec::new(),
        };
        items.push(shown(&mut reader, row, conflicts).await?);
    }
    Ok(Page { items, total, offset: page.offset })
}

fn conflicts(alike: Vec<device::Alike>) -> Vec<String> {
    let matters = |device: &device::Alike| device.state != DeviceState::Retired || device.common == "key";
    alike
        .into_iter()
        .filter(matters)
        .map(|device| format!("The same {} as {} device {} ({}).", device.common, device.state, device.name, device.id))
        .collect()
}

/// Makes a device of a request: it gets an id, a certificate, and soon its policy.
///
/// # Errors
/// `unauthenticated`, `forbidden`, `not_found`; `conflict` when it was decided already, or its key is another device's.
pub async fn enrolment_approve(ctx: &Ctx, site: &Site, id: EnrolmentId) -> Result<Device, SiteError> {
    let admin = authz::change(ctx)?;
    let row = enrolment::get(&mut *site.store.reader().await?, id).await?.ok_or_else(SiteError::not_found)?;
    let new = new_device(ctx, site, &row)?;
    transaction!(site.store, "enrolment_approve", |tx| {
        hardware::lock(tx).await?;
        approve(tx, ctx, &row, &new, admin.name.as_str()).await
    })?;
    site.memory.work.notify_one();
    site.bus.publish(Notice::Changed(Noun::Enrolment));
    site.bus.publish(Notice::Changed(Noun::Device));
    Ok(super::device::shown(site, &new.0))
}

/// The decision, in one transaction with the device that it makes, and under the lock of such decisions.
pub(super) async fn approve(
    tx: &mut Tx,
    ctx: &Ctx,
    row: &EnrolmentRow,
    (device, issuer): &(DeviceRow, Hash),
    by: &str,
) -> Result<(), SiteError> {
    if !enrolment::decide(tx, row.id, EnrolmentState::Approved, Some(device.id), by, ctx.now).await? {
        return Err(decided());
    }
    let conflict = |detail: String| Err(SiteError::refused(Code::Conflict, detail));
    for other in device::alike(tx, marks(row)).await? {
        match (other.common, other.state) {
            ("key", _) => {
                return conflict(format!("The key is that of device {}; the client must make a new one.", other.id));
            }
            // Two machines cannot have one TPM or one account: this is the same one under a second name, or the record is stale.
            (common @ ("TPM" | "domain account"), DeviceState::Active | DeviceState::Quarantined) => {
                return conflict(format!(
                    "The {common} is that of {} device {} ({}). Retire that device if this request takes its place, or refuse the request.",
                    other.state, other.name, other.id
                ));
            }
            _ => {}
        }
    }
    if let Some(blocked) = device::blocked_alike(tx, marks(row)).await? {
        return conflict(format!(
            "Its key, hardware or domain account is that of blocked device {blocked}; unblock that one, or refuse the request."
        ));
    }
    if let Some(hardware) = &row.hardware
        && hardware::get(tx, hardware).await?.is_some_and(|it| it.standing == HardwareStanding::Blocked)
    {
        return conflict("Its hardware identity is blocked.".to_owned());
    }
    super::enterprise::check_alone(tx, row.id).await?;
    if let Some(hardware) = &row.hardware {
        // Whoever approved it: it was awaited once, and has come.
        hardware::arrived(tx, hardware).await?;
    }
    conflict::enrolment_decided(tx, ctx, row.id, ConflictDecision::TwoMachines).await?;
    device::insert(tx, device).await?;
    certificate_row::insert(tx, issuer, &device.serial, Some(device.id), ctx.now, device.certificate_expires).await?;
    assignment::ask(tx, &[device.id], ctx.now).await?;
    let protection = super::device::protection(row.hardware.as_ref());
    let why =
        row.verdict.as_deref().filter(|_| by == "site").map(|verdict| format!(" Why: {verdict}.")).unwrap_or_default();
    let text = format!("{by} approved the device; it came with key {} ({protection}).{why}", row.key);
    let line = super::device::line(device.id, ctx.now, "enrolment", Severity::Information, text);
    timeline::insert(tx, &line).await?;
    let detail = format!("{} was approved, key {} ({protection}).{why}", row.claims.host_name, row.key);
    audit::append(tx, ctx, "enrolment_approve", format!("device {}", device.id), detail).await
}

fn decided() -> SiteError {
    SiteError::refused(Code::Conflict, "This request was decided before; the list shows how.")
}

/// The device, and the issuing CA of its certificate.
pub(super) fn new_device(ctx: &Ctx, site: &Site, row: &EnrolmentRow) -> Result<(DeviceRow, Hash), SiteError> {
    let id = DeviceId(row.id.0);
    let key = PublicKey::from_spki(&row.spki).map_err(|error| SiteError::Fault(error.to_string()))?;
    let trust = site.trust.load_full();
    let ca = &trust.keys.issuing;
    let issued = ca.client(site.code, id, &key, ctx.now).map_err(|error| SiteError::Fault(error.to_string()))?;
    let claims: DeviceClaims = row.claims.clone();
    let device = DeviceRow {
        id,
        // The database gives it, with the row.
        resource_id: ResourceId(0),
        state: DeviceState::Active,
        claims,
        key: row.key,
        spki: row.spki.clone(),
        hardware: row.hardware,
        account: row.account.clone(),
        serial: issued.serial,
        previous_serial: None,
        certificate_expires: issued.expires,
        certificate: issued.der,
        enrolled: ctx.now,
        last_seen: None,
        last_inventory: None,
        block_reason: None,
        revision: 1,
        key_revoked: None,
    };
    Ok((device, ca.key_id()))
}

/// Refuses a request; its token stays used.
///
/// # Errors
/// `unauthenticated`, `forbidden`, `not_found`, `malformed` for a reason that is none; `conflict` when it was decided already.
pub async fn enrolment_refuse(ctx: &Ctx, site: &Site, id: EnrolmentId, reason: Reason) -> Result<Enrolment, SiteError> {
    let admin = authz::change(ctx)?;
    let reason = super::device::checked_reason(reason)?;
    let row = transaction!(site.store, "enrolment_refuse", |tx| {
        refuse(tx, ctx, id, admin.name.as_str(), &reason).await?;
        enrolment::get(tx, id).await?.ok_or_else(SiteError::not_found)
    })?;
    site.bus.publish(Notice::Changed(Noun::Enrolment));
    shown(&mut *site.store.reader().await?, row, Vec::new()).await
}

/// Refuses a request, in the transaction of a decision.
pub(super) async fn refuse(tx: &mut Tx, ctx: &Ctx, id: EnrolmentId, by: &str, reason: &str) -> Result<(), SiteError> {
    let refused = enrolment::decide(tx, id, EnrolmentState::Refused, None, by, ctx.now).await?;
    let row = enrolment::get(tx, id).await?.ok_or_else(SiteError::not_found)?;
    if !refused {
        return Err(decided());
    }
    conflict::enrolment_decided(tx, ctx, id, ConflictDecision::Refused).await?;
    let detail = format!("{} was refused: {reason}", row.claims.host_name);
    audit::append(tx, ctx, "enrolment_refuse", format!("enrolment {id}"), detail).await
}

/// The request of an id.
pub(super) async fn pending(site: &Site, id: EnrolmentId) -> Result<EnrolmentRow, SiteError> {
    enrolment::get(&mut *site.store.reader().await?, id).await?.ok_or_else(SiteError::not_found)
}
