//! Directories in which is looked: what administrators want of each.

use crate::{Ctx, Site, SiteError, audit, authz};
use muster_model::{
    api::{DirectorySettings, DiscoveryRun, DiscoverySource, DiscoverySources},
    discovery::is_source_name,
    limits::{DIRECTORIES, DIRECTORY_CONTAINERS, DISCOVERY_VALUE_BYTES},
    problem::Code,
    time::{DAY, HOUR, MINUTE, UnixMillis},
};
use muster_store::{
    db::discovery_source::{self as store, SourceRow},
    transaction,
};
use std::collections::BTreeSet;

fn malformed(detail: impl Into<String>) -> SiteError {
    SiteError::refused(Code::Malformed, detail)
}

fn shown(row: SourceRow, now: UnixMillis) -> DiscoverySource {
    DiscoverySource { running: row.claimed > now, ..row.source }
}

/// Every directory in which is looked.
///
/// # Errors
/// `unauthenticated`.
pub async fn discovery_list(ctx: &Ctx, site: &Site) -> Result<DiscoverySources, SiteError> {
    authz::see(ctx)?;
    let rows = store::all(&mut *site.store.reader().await?).await?;
    Ok(DiscoverySources { items: rows.into_iter().map(|row| shown(row, ctx.now)).collect() })
}

/// One directory.
///
/// # Errors
/// `unauthenticated`, `not_found`.
pub async fn discovery_show(ctx: &Ctx, site: &Site, name: &str) -> Result<DiscoverySource, SiteError> {
    authz::see(ctx)?;
    let row = store::get(&mut *site.store.reader().await?, name).await?.ok_or_else(SiteError::not_found)?;
    Ok(shown(row, ctx.now))
}

/// Sets what is wanted of a directory, and adds it where it is not there. The next run is a full one.
///
/// # Errors
/// `unauthenticated`, `forbidden`; `malformed`: a setting that cannot be, which the sentence names; `conflict`: there are too many.
pub async fn discovery_set(
    ctx: &Ctx,
    site: &Site,
    name: &str,
    settings: DirectorySettings,
) -> Result<DiscoverySource, SiteError> {
    let by = authz::change(ctx)?.name.to_string();
    let settings = checked(name, settings)?;
    transaction!(site.store, "discovery_set", |tx| {
        let all = store::all(tx.conn()).await?;
        let before = all.iter().find(|row| row.source.name == name);
        if before.is_none() && all.len() >= DIRECTORIES {
            return Err(SiteError::refused(Code::Conflict, "There are as many directories as a site can have."));
        }
        // A change within the same millisecond must be seen as one too.
        let now = before.map_or(ctx.now, |row| UnixMillis(ctx.now.0.max(row.source.changed.0 + 1)));
        store::set(tx, name, &settings, now, &by).await?;
        let kinds: Vec<&str> = settings.kinds.iter().map(|kind| kind.as_str()).collect();
        let detail = format!(
            "Directory {name} is {}. Looked for: {} below {}; in full every {} h, for changes every {} min.",
            if settings.enabled { "looked at" } else { "not looked at" },
            kinds.join(", "),
            settings.containers.join("; "),
            settings.full / HOUR,
            settings.delta / MINUTE
        );
        audit::append(tx, ctx, "discovery_set", format!("directory {name}"), detail).await
    })?;
    discovery_show(ctx, site, name).await
}

fn checked(name: &str, settings: DirectorySettings) -> Result<DirectorySettings, SiteError> {
    if !is_source_name(name) {
        return Err(malformed(
            "A directory's name has 1 to 32 of a-z, 0-9 and hyphens: it is the name of the server's file.",
        ));
    }
    let containers: BTreeSet<String> = settings.containers.into_iter().collect();
    let is_name = |text: &String| {
        (3..=DISCOVERY_VALUE_BYTES).contains(&text.len()) && text.contains('=') && !text.chars().any(char::is_control)
    };
    if containers.is_empty() || containers.len() > DIRECTORY_CONTAINERS || !containers.iter().all(is_name) {
        let detail = format!(
            "containers must be 1 to {DIRECTORY_CONTAINERS} distinguished names, like OU=Berlin,DC=corp,DC=example."
        );
        return Err(malformed(detail));
    }
    let kinds: BTreeSet<_> = settings.kinds.into_iter().collect();
    if kinds.is_empty() {
        return Err(malformed("kinds must name what is looked for: system, user, group."));
    }
    if !(HOUR..=30 * DAY).contains(&settings.full) {
        return Err(malformed("full must be 1 hour to 30 days, in milliseconds."));
    }
    if settings.delta != 0 && !(MINUTE..=DAY).contains(&settings.delta) {
        return Err(malformed("delta must be 0, or 1 minute to 1 day, in milliseconds."));
    }
    if settings.logon_days > 3_650 || settings.password_days > 3_650 {
        return Err(malformed("logon_days and password_days are at most 3650."));
    }
    Ok(DirectorySettings {
        containers: containers.into_iter().collect(),
        kinds: kinds.into_iter().collect(),
        ..settings
    })
}

/// Asks for a run now. It begins within seconds, where the directory is enabled.
///
/// # Errors
/// `unauthenticated`, `forbidden`, `not_found`; `conflict`: the directory is not enabled.
pub async fn discovery_run(
    ctx: &Ctx,
    site: &Site,
    name: &str,
    run: DiscoveryRun,
) -> Result<DiscoverySource, SiteError> {
    authz::change(ctx)?;
    transaction!(site.store, "discovery_run", |tx| {
        let row = store::get(tx.conn(), name).await?.ok_or_else(SiteError::not_found)?;
        if !row.source.settings.enabled {
            return Err(SiteError::refused(Code::Conflict, "The directory is not enabled; enable it first."));
        }
        store::ask(tx, name, run.full).await?;
        let detail = format!("A {} run was asked for.", if run.full { "full" } else { "delta" });
        audit::append(tx, ctx, "discovery_run", format!("directory {name}"), detail).await
    })?;
    discovery_show(ctx, site, name).await
}

/// Removes a directory. What was found in it stays until it is as old as such data may be.
///
/// # Errors
/// `unauthenticated`, `forbidden`, `not_found`.
pub async fn discovery_delete(ctx: &Ctx, site: &Site, name: &str) -> Result<DiscoverySource, SiteError> {
    authz::change(ctx)?;
    let row = transaction!(site.store, "discovery_delete", |tx| {
        let row = store::get(tx.conn(), name).await?.ok_or_else(SiteError::not_found)?;
        store::remove(tx, name).await?;
        let detail = "The directory is not looked at any more; what was found stays until it ages.".to_owned();
        audit::append(tx, ctx, "discovery_delete", format!("directory {name}"), detail).await?;
        Ok::<_, SiteError>(row)
    })?;
    Ok(shown(row, ctx.now))
}
