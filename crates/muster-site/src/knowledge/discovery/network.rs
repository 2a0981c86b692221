//! Network discovery: in which ranges, and how often, what the server knows of the network is looked at. Off by default.

use super::take::{Taken, take};
use crate::{Ctx, Site, SiteError, audit, authz};
use muster_model::{
    api::{BoundaryKind, DiscoveryMethod, NetworkDiscovery, NetworkSettings, ResourceKind},
    boundary::Boundary,
    discovery::{DiscoveryRecord, Fact, Neighbour},
    limits::{NETWORK_RANGES, NETWORK_RESOURCES},
    problem::Code,
    time::{DAY, MINUTE, UnixMillis},
};
use muster_store::{
    Connection,
    bus::{Notice, Noun},
    db::setting,
    transaction,
};
use std::net::IpAddr;

/// Under this name settings and the last look stand in the store.
const SETTING: &str = "network_discovery";

fn malformed(detail: impl Into<String>) -> SiteError {
    SiteError::refused(Code::Malformed, detail)
}

async fn read(conn: &mut Connection) -> Result<NetworkDiscovery, SiteError> {
    setting::get(conn, SETTING).await?.map_or_else(
        || Ok(NetworkDiscovery::default()),
        |text| {
            serde_json::from_str(&text)
                .map_err(|_| SiteError::Fault("the stored settings of network discovery do not parse".to_owned()))
        },
    )
}

fn text(value: &NetworkDiscovery) -> Result<String, SiteError> {
    serde_json::to_string(value).map_err(|error| SiteError::Fault(error.to_string()))
}

/// A range in the form in which addresses are held against it.
fn range(text: &str) -> Option<Boundary> {
    [BoundaryKind::IpSubnet, BoundaryKind::IpRange, BoundaryKind::Ipv6Prefix]
        .into_iter()
        .find_map(|kind| Boundary::parse(kind, text).ok())
}

/// What is wanted, and what the last look came to.
///
/// # Errors
/// `unauthenticated`.
pub async fn network_discovery_show(ctx: &Ctx, site: &Site) -> Result<NetworkDiscovery, SiteError> {
    authz::see(ctx)?;
    read(&mut *site.store.reader().await?).await
}

/// Sets in which ranges is looked.
///
/// # Errors
/// `unauthenticated`, `forbidden`; `malformed`: a range that is none, or a length out of its range.
pub async fn network_discovery_set(
    ctx: &Ctx,
    site: &Site,
    settings: NetworkSettings,
) -> Result<NetworkDiscovery, SiteError> {
    authz::change(ctx)?;
    if let Some(odd) = settings.ranges.iter().find(|text| range(text).is_none()) {
        let odd: String = odd.chars().take(60).collect();
        return Err(malformed(format!(
            "{odd:?} is no range; write 10.1.2.0/24, 10.1.2.10-10.1.2.99 or 2001:db8:1::/48."
        )));
    }
    if settings.ranges.len() > NETWORK_RANGES || (settings.enabled && settings.ranges.is_empty()) {
        return Err(malformed(format!("Network discovery looks in 1 to {NETWORK_RANGES} ranges.")));
    }
    if !(5 * MINUTE..=30 * DAY).contains(&settings.every) {
        return Err(malformed("every must be 5 minutes to 30 days, in milliseconds."));
    }
    let set = transaction!(site.store, "network_discovery_set", |tx| {
        let set = NetworkDiscovery { settings: settings.clone(), ..read(tx.conn()).await? };
        setting::set(tx, SETTING, &text(&set)?).await?;
        let detail = format!(
            "Network discovery is {}, in {}.",
            if settings.enabled { "on" } else { "off" },
            if settings.ranges.is_empty() { "no range".to_owned() } else { settings.ranges.join(", ") }
        );
        audit::append(tx, ctx, "network_discovery_set", "discovery".to_owned(), detail).await?;
        Ok::<_, SiteError>(set)
    })?;
    Ok(set)
}

/// Whether it is time to look.
///
/// # Errors
/// `unauthenticated` for everybody but the site.
pub async fn network_discovery_due(ctx: &Ctx, site: &Site) -> Result<bool, SiteError> {
    authz::site(ctx)?;
    let NetworkDiscovery { settings, looked, .. } = read(&mut *site.store.reader().await?).await?;
    let over = |looked: UnixMillis| !(0..settings.every).contains(&ctx.now.since(looked));
    Ok(settings.enabled && looked.is_none_or(over))
}

/// Takes in what the server knows of the network; what is in no range is not even counted as found.
///
/// # Errors
/// `unauthenticated` for everybody but the site.
pub async fn network_discovery_take(
    ctx: &Ctx,
    site: &Site,
    neighbours: &[Neighbour],
    error: Option<&str>,
) -> Result<Taken, SiteError> {
    authz::site(ctx)?;
    let taken = transaction!(site.store, "network_discovery_take", |tx| {
        let before = read(tx.conn()).await?;
        let ranges: Vec<Boundary> = before.settings.ranges.iter().filter_map(|text| range(text)).collect();
        let inside = |address: &IpAddr| ranges.iter().any(|range| range.has_address(*address));
        let found = neighbours.iter().filter(|neighbour| before.settings.enabled && inside(&neighbour.address));
        let records: Vec<DiscoveryRecord> = found.map(|neighbour| record(neighbour, ctx.now)).collect();
        let taken = take(tx, &records, ctx.now).await?;
        let full = || {
            format!(
                "{} were not taken; a site holds at most {NETWORK_RESOURCES} resources of the network.",
                taken.refused
            )
        };
        let (seen, error) = (records.len() as u64, error.map(str::to_owned).or_else(|| (taken.refused > 0).then(full)));
        let after = NetworkDiscovery { looked: Some(ctx.now), seen, error, ..before };
        setting::set(tx, SETTING, &text(&after)?).await?;
        Ok::<_, SiteError>(taken)
    })?;
    if taken.changed > 0 {
        site.bus.publish(Notice::Changed(Noun::Device));
    }
    Ok(taken)
}

fn record(neighbour: &Neighbour, now: UnixMillis) -> DiscoveryRecord {
    let Neighbour { address, hardware, name } = neighbour;
    let mut facts =
        vec![("IPAddresses", vec![address.to_string()]), ("MACAddresses", vec![hardware.to_ascii_uppercase()])];
    facts.extend(name.iter().map(|name| ("ResourceNames", vec![name.clone()])));
    DiscoveryRecord {
        method: DiscoveryMethod::Network,
        kind: ResourceKind::System,
        identity: format!("mac:{hardware}"),
        source: String::new(),
        name: name.clone().unwrap_or_else(|| address.to_string()),
        found: now,
        facts: facts.into_iter().map(|(name, values)| (name.to_owned(), Fact::List(values))).collect(),
    }
}
