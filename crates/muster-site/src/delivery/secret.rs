//! Sealed secrets: taken from authors, handed to the one device that opens them. The site checks who signed, never what it is.

use super::policy::not_active;
use crate::{Ctx, Site, SiteError, audit, authz};
use base64::{Engine, engine::general_purpose::STANDARD as BASE64};
use muster_model::{
    api::{Page, PageQuery, Reason, SECRETS_ADDED, SecretAdd, SecretAdded, SecretInfo, SecretRecipient},
    application::{Application, FileName},
    id::{ApplicationId, DeviceId},
    problem::Code,
    secret::SealedSecret,
    time::{DAY, UnixMillis},
};
use muster_store::{
    Tx,
    db::{
        assignment,
        secret::{self, RecipientRow, SecretRow, Standing},
    },
    transaction,
};
use muster_trust::{
    envelope::{self, EnvelopeError},
    secret::SecretError,
    sha256,
};
use std::collections::HashMap;

/// How far a device's or an author's clock may be ahead.
const AHEAD: i64 = DAY;

/// A device says to which key its secrets are sealed from now on.
///
/// # Errors
/// `unauthenticated`, `device_not_active`, `too_large`, `malformed`, `signature_invalid`, `foreign_site`; `conflict`: a later key is
/// known, or another device's.
pub async fn sealing_key_set(ctx: &Ctx, site: &Site, statement: &[u8]) -> Result<(), SiteError> {
    let caller = authz::device(ctx)?;
    if statement.len() > site.limits.enrol_bytes {
        let detail = format!("A sealing key has at most {} bytes.", site.limits.enrol_bytes);
        return Err(SiteError::refused(Code::TooLarge, detail));
    }
    let opened = muster_trust::secret::open_statement(statement, &caller.key);
    let (key, said) = opened.map_err(|error| match error {
        SecretError::Statement(EnvelopeError::KeyUnknown | EnvelopeError::SignatureInvalid) => {
            SiteError::refused(Code::SignatureInvalid, "The device's key did not sign this sealing key.")
        }
        error => SiteError::refused(Code::Malformed, format!("{error}.")),
    })?;
    if said.site != site.code {
        return Err(SiteError::refused(Code::ForeignSite, "The sealing key is for another site."));
    }
    if said.device != caller.id {
        return Err(SiteError::refused(Code::Conflict, "The sealing key is another device's."));
    }
    if said.made > ctx.now.plus(AHEAD) {
        return Err(SiteError::refused(Code::Malformed, "The sealing key is from the future; set the device's clock."));
    }
    let device = caller.id;
    transaction!(site.store, "sealing_key_set", |tx| {
        if assignment::active(tx, &[device]).await?.is_empty() {
            return Err(not_active());
        }
        if secret::set_sealing_key(tx, device, key.id(), said.made, statement).await? {
            Ok(())
        } else {
            Err(SiteError::refused(Code::Conflict, "The site knows a later sealing key of this device."))
        }
    })
}

/// A page of the devices that an application is deployed to, with what a secret for each of them is sealed to.
///
/// # Errors
/// `unauthenticated`, `too_large`.
pub async fn secret_recipients(
    ctx: &Ctx,
    site: &Site,
    application: ApplicationId,
    query: PageQuery,
) -> Result<Page<SecretRecipient>, SiteError> {
    authz::see(ctx)?;
    let page = site.page(query)?;
    let (rows, total) = secret::recipients(&mut *site.store.reader().await?, application, page).await?;
    Ok(Page { items: rows.into_iter().map(recipient).collect(), total, offset: page.offset })
}

fn recipient(row: RecipientRow) -> SecretRecipient {
    SecretRecipient {
        device: row.device,
        name: row.name,
        key: BASE64.encode(row.spki),
        protection: row.protection,
        sealing_key: row.sealing_key.map(|envelope| BASE64.encode(envelope)),
    }
}

/// A page of secrets, over all devices.
///
/// # Errors
/// `unauthenticated`, `too_large`.
pub async fn secret_list(ctx: &Ctx, site: &Site, query: PageQuery) -> Result<Page<SecretInfo>, SiteError> {
    authz::see(ctx)?;
    let page = site.page(query)?;
    let (items, total) = secret::list(&mut *site.store.reader().await?, page).await?;
    Ok(Page { items, total, offset: page.offset })
}

/// The secrets that an application wants, each with for how many devices it is sealed, and when last. One that is sealed for nobody
/// yet has neither.
///
/// # Errors
/// `unauthenticated`.
pub async fn secret_wanted(
    ctx: &Ctx,
    site: &Site,
    application: &Application,
) -> Result<Vec<(FileName, u64, Option<UnixMillis>)>, SiteError> {
    authz::see(ctx)?;
    if application.secrets.is_empty() {
        return Ok(Vec::new());
    }
    let sealed = secret::of_application(&mut *site.store.reader().await?, application.id).await?;
    let one = |name: &FileName| match sealed.iter().find(|(sealed, ..)| sealed == name) {
        Some((_, devices, when)) => (name.clone(), *devices, Some(*when)),
        None => (name.clone(), 0, None),
    };
    Ok(application.secrets.iter().map(one).collect())
}

/// Takes one secret, sealed for up to 1,000 devices and signed by authors. All of it or nothing is taken, but for devices that made
/// another sealing key meanwhile: those are named.
///
/// # Errors
/// `unauthenticated`, `forbidden`, `malformed`, `too_large`, `author_unknown`, `foreign_site`; `not_found` for a device that is not
/// active; `conflict` where a device has this secret as new or newer.
pub async fn secret_add(ctx: &Ctx, site: &Site, add: &SecretAdd) -> Result<SecretAdded, SiteError> {
    authz::change(ctx)?;
    if add.secrets.is_empty() || add.secrets.len() > SECRETS_ADDED {
        let detail = format!("One request carries 1 to {SECRETS_ADDED} sealed secrets.");
        return Err(SiteError::refused(Code::TooLarge, detail));
    }
    let mut rows = Vec::new();
    let mut keys = HashMap::new();
    for text in &add.secrets {
        let (sealed, row) = verify(site, ctx.now, text)?;
        keys.insert(row.device, sealed.key);
        rows.push(row);
    }
    let (application, name) = (rows[0].application, rows[0].name.clone());
    let alike = rows.iter().all(|row| row.application == application && row.name == name);
    if !alike || keys.len() != rows.len() {
        return Err(malformed("All secrets of a request are of one application and name, each for another device."));
    }
    let added = transaction!(site.store, "secret_add", |tx| {
        let devices: Vec<DeviceId> = rows.iter().map(|row| row.device).collect();
        let standing = secret::standing(tx, &devices, application, &name).await?;
        let standing: HashMap<DeviceId, Standing> = standing.into_iter().map(|s| (s.device, s)).collect();
        let mut added = SecretAdded { added: 0, again: Vec::new(), hashes: Vec::new() };
        let mut taken = Vec::new();
        for row in &rows {
            let stands = standing.get(&row.device).ok_or_else(|| {
                SiteError::refused(Code::NotFound, format!("Device {} is not there, or not active.", row.device))
            })?;
            if stands.version.is_some_and(|version| version >= row.version) {
                let detail = format!("Device {} has this secret as new or newer.", row.device);
                return Err(SiteError::refused(Code::Conflict, detail));
            }
            if stands.key == keys.get(&row.device).copied() {
                added.hashes.push(row.hash);
                taken.push(row.clone());
            } else {
                added.again.push(row.device);
            }
        }
        added.added = taken.len() as u64;
        keep(ctx, tx, &taken, application, &name).await?;
        Ok::<_, SiteError>(added)
    })?;
    site.memory.work.notify_one();
    Ok(added)
}

async fn keep(
    ctx: &Ctx,
    tx: &mut Tx,
    taken: &[SecretRow],
    application: ApplicationId,
    name: &FileName,
) -> Result<(), SiteError> {
    if taken.is_empty() {
        return Ok(());
    }
    secret::put(tx, taken).await?;
    let devices: Vec<DeviceId> = taken.iter().map(|row| row.device).collect();
    assignment::ask(tx, &devices, ctx.now).await?;
    let detail = format!("Secret {} was sealed for {} device(s).", name.as_str(), taken.len());
    audit::append(tx, ctx, "secret_add", format!("application {application}"), detail).await
}

fn malformed(detail: &str) -> SiteError {
    SiteError::refused(Code::Malformed, detail)
}

fn verify(site: &Site, now: UnixMillis, text: &str) -> Result<(SealedSecret, SecretRow), SiteError> {
    let bytes = BASE64.decode(text).map_err(|_| malformed("A sealed secret is not base64."))?;
    if bytes.len() > site.limits.object_bytes {
        let detail = format!("A sealed secret has at most {} bytes.", site.limits.object_bytes);
        return Err(SiteError::refused(Code::TooLarge, detail));
    }
    let trust = site.trust.load();
    let (bundle, threshold) = (trust.bundle(), trust.bundle().author_threshold());
    let opened = envelope::open_json::<SealedSecret>(&bytes, threshold, |id| bundle.author_key(id));
    let sealed = opened.map_err(|error| match error {
        EnvelopeError::Malformed | EnvelopeError::Key(_) => malformed("This is not a sealed secret."),
        EnvelopeError::KeyUnknown | EnvelopeError::SignatureInvalid | EnvelopeError::BelowThreshold => {
            let detail = format!(
                "The secret is {error}. {threshold} author(s) of the trust bundle must sign it: `muster secret cosign`."
            );
            SiteError::refused(Code::AuthorUnknown, detail)
        }
    })?;
    let sealed = sealed.into_value();
    if sealed.binding.site != site.code {
        return Err(SiteError::refused(Code::ForeignSite, "The secret is for another site."));
    }
    if sealed.binding.version > now.plus(AHEAD) {
        return Err(malformed("The secret was sealed in the future; set the clock of the machine that seals."));
    }
    let row = SecretRow {
        device: sealed.binding.device,
        application: sealed.binding.application,
        name: sealed.binding.name.clone(),
        version: sealed.binding.version,
        hash: sha256(&bytes),
        envelope: bytes,
    };
    Ok((sealed, row))
}

/// Forgets a secret: devices throw it away, and destroy the keys that it was sealed to. Returns for how many it was sealed.
///
/// # Errors
/// `unauthenticated`, `forbidden`, `malformed`, `not_found`.
pub async fn secret_remove(
    ctx: &Ctx,
    site: &Site,
    application: ApplicationId,
    name: &FileName,
    reason: Reason,
) -> Result<u64, SiteError> {
    authz::change(ctx)?;
    let reason = crate::identity::device::checked_reason(reason)?;
    let devices = transaction!(site.store, "secret_remove", |tx| {
        let devices = secret::remove(tx, application, name).await?;
        if devices.is_empty() {
            return Err(SiteError::not_found());
        }
        assignment::ask(tx, &devices, ctx.now).await?;
        let detail = format!("Secret {} of {} device(s) was removed: {reason}", name.as_str(), devices.len());
        audit::append(tx, ctx, "secret_remove", format!("application {application}"), detail).await?;
        Ok::<_, SiteError>(devices)
    })?;
    site.memory.work.notify_one();
    Ok(devices.len() as u64)
}
