//! Client settings: how often clients do what. One set for all devices; a policy body like any other.

use crate::{Ctx, Site, SiteError, audit, authz};
use muster_model::{
    policy::{BodyKind, BodyRef, ClientSettings},
    problem::Code,
    time::{DAY, HOUR, MINUTE, UnixMillis},
};
use muster_store::{
    Tx,
    bus::{Notice, Noun},
    db::{assignment, policy_body, setting},
    transaction,
};

/// Under this name the settings stand in the store.
const SETTING: &str = "client_settings";

/// The settings in force.
///
/// # Errors
/// `unauthenticated`.
pub async fn settings_show(ctx: &Ctx, site: &Site) -> Result<ClientSettings, SiteError> {
    authz::see(ctx)?;
    read(setting::get(&mut *site.store.reader().await?, SETTING).await?)
}

fn read(text: Option<String>) -> Result<ClientSettings, SiteError> {
    text.map_or_else(
        || Ok(ClientSettings::default()),
        |text| {
            serde_json::from_str(&text)
                .map_err(|_| SiteError::Fault("the stored client settings do not parse".to_owned()))
        },
    )
}

/// Changes the settings; every device gets a new assignment.
///
/// # Errors
/// `unauthenticated`, `forbidden`; `malformed`: a length out of its range, which the sentence names.
pub async fn settings_update(ctx: &Ctx, site: &Site, settings: ClientSettings) -> Result<ClientSettings, SiteError> {
    authz::change(ctx)?;
    check(&settings)?;
    transaction!(site.store, "settings_update", |tx| { update(ctx, tx, &settings).await })?;
    site.bus.publish(Notice::Changed(Noun::Device));
    site.memory.work.notify_one();
    Ok(settings)
}

fn check(settings: &ClientSettings) -> Result<(), SiteError> {
    let ranges = [
        ("policy_poll", settings.policy_poll, MINUTE, DAY, "1 minute to 1 day"),
        ("inventory", settings.inventory, HOUR, 90 * DAY, "1 hour to 90 days"),
        ("heartbeat", settings.heartbeat, HOUR, 30 * DAY, "1 hour to 30 days"),
    ];
    for (name, value, least, most, words) in ranges {
        if !(least..=most).contains(&value) {
            return Err(SiteError::refused(Code::Malformed, format!("{name} must be {words}, in milliseconds.")));
        }
    }
    let wrong = |reason| SiteError::refused(Code::Malformed, reason);
    settings.software.as_ref().map_or(Ok(()), |scan| scan.check().map_err(wrong))
}

async fn update(ctx: &Ctx, tx: &mut Tx, settings: &ClientSettings) -> Result<(), SiteError> {
    let before = read(setting::get(tx.conn(), SETTING).await?)?;
    if before == *settings {
        return Ok(());
    }
    setting::set(tx, SETTING, &text(settings)?).await?;
    assignment::ask_all(tx, ctx.now).await?;
    let minutes = |settings: &ClientSettings| {
        format!(
            "policy every {} min, inventory every {} h, heartbeat every {} h",
            settings.policy_poll / MINUTE,
            settings.inventory / HOUR,
            settings.heartbeat / HOUR
        )
    };
    let files = |settings: &ClientSettings| match &settings.software {
        Some(scan) => scan.paths.iter().map(|path| path.path.as_str()).collect::<Vec<_>>().join(", "),
        None => "none".to_owned(),
    };
    let detail = format!(
        "Client settings were: {}, files: {}; they are: {}, files: {}.",
        minutes(&before),
        files(&before),
        minutes(settings),
        files(settings)
    );
    audit::append(tx, ctx, "settings_update", "settings".to_owned(), detail).await
}

fn text(settings: &ClientSettings) -> Result<String, SiteError> {
    serde_json::to_string(settings).map_err(|error| SiteError::Fault(error.to_string()))
}

/// The settings as a policy body, which is kept with the others.
pub(super) async fn body(tx: &mut Tx, now: UnixMillis) -> Result<BodyRef, SiteError> {
    let bytes = text(&read(setting::get(tx.conn(), SETTING).await?)?)?.into_bytes();
    let hash = muster_trust::sha256(&bytes);
    policy_body::insert(tx, hash, BodyKind::Settings, &bytes, now).await?;
    Ok(BodyRef { kind: BodyKind::Settings, hash, size: bytes.len() as u64 })
}
