//! Boundaries and boundary groups: which management points are near to which devices. An order of addresses follows from them and
//! nothing else: whoever lies about where it is, is sent to a farther server of the same site.

use crate::{Ctx, SiteError, audit, authz, site::Site};
use muster_model::{
    api::{Boundary, BoundaryGroup, BoundaryGroupSet, BoundarySet, DeviceLocation, Page, PageQuery},
    boundary as parsed,
    enrol::is_https_authority,
    id::{BoundaryGroupId, BoundaryId, DeviceId, Name},
    limits,
    problem::Code,
};
use muster_store::{
    Connection, Tx,
    bus::{Notice, Noun},
    db::{
        assignment,
        boundary::{self, Deciding},
        network::{self, NetworkRow},
    },
    transaction,
};
use std::{
    collections::{BTreeSet, HashMap},
    net::IpAddr,
};

fn malformed(detail: impl Into<String>) -> SiteError {
    SiteError::refused(Code::Malformed, detail)
}

/// A page of boundaries, by name.
///
/// # Errors
/// `unauthenticated`, `too_large`.
pub async fn boundary_list(ctx: &Ctx, site: &Site, query: PageQuery) -> Result<Page<Boundary>, SiteError> {
    authz::see(ctx)?;
    let page = site.page(query)?;
    let (items, total) = boundary::list(&mut *site.store.reader().await?, page).await?;
    Ok(Page { items, total, offset: page.offset })
}

/// Adds a boundary. It means nothing until a group has it.
///
/// # Errors
/// `unauthenticated`, `forbidden`; `malformed`: the value is not of its kind; `conflict`: there are too many.
pub async fn boundary_add(ctx: &Ctx, site: &Site, set: BoundarySet) -> Result<Boundary, SiteError> {
    let row = boundary_row(ctx, BoundaryId(site.sources.id()), set)?;
    transaction!(site.store, "boundary_add", |tx| {
        if boundary::count(tx.conn()).await? >= limits::BOUNDARIES {
            return Err(SiteError::refused(Code::Conflict, "There are as many boundaries as a site can have."));
        }
        boundary::put(tx, &row).await?;
        let detail = format!("Boundary {}, {} {}, was added.", row.name, row.kind, row.value);
        audit::append(tx, ctx, "boundary_add", format!("boundary {}", row.id), detail).await?;
        Ok::<_, SiteError>(())
    })?;
    Ok(row)
}

fn boundary_row(ctx: &Ctx, id: BoundaryId, set: BoundarySet) -> Result<Boundary, SiteError> {
    let admin = authz::change(ctx)?;
    let BoundarySet { name, kind, value } = set;
    parsed::Boundary::parse(kind, &value).map_err(|error| malformed(format!("Not a boundary: {error}.")))?;
    Ok(Boundary { id, name, kind, value, groups: Vec::new(), changed: ctx.now, changed_by: admin.name.to_string() })
}

/// Changes a boundary; devices that are in another group then get another order of management points.
///
/// # Errors
/// As [`boundary_add`]; `not_found`.
pub async fn boundary_change(ctx: &Ctx, site: &Site, id: BoundaryId, set: BoundarySet) -> Result<Boundary, SiteError> {
    let mut row = boundary_row(ctx, id, set)?;
    transaction!(site.store, "boundary_change", |tx| {
        let before = boundary::get(tx.conn(), id).await?.ok_or_else(SiteError::not_found)?;
        row.groups = before.groups;
        boundary::put(tx, &row).await?;
        let detail = format!(
            "Boundary {} was {} {}; {} is {} {}.",
            before.name, before.kind, before.value, row.name, row.kind, row.value
        );
        audit::append(tx, ctx, "boundary_change", format!("boundary {id}"), detail).await?;
        follow(tx, ctx).await
    })?;
    changed(site);
    Ok(row)
}

/// Removes a boundary, from its groups as well.
///
/// # Errors
/// `unauthenticated`, `forbidden`, `not_found`.
pub async fn boundary_remove(ctx: &Ctx, site: &Site, id: BoundaryId) -> Result<Boundary, SiteError> {
    authz::change(ctx)?;
    let row = transaction!(site.store, "boundary_remove", |tx| {
        let row = boundary::get(tx.conn(), id).await?.ok_or_else(SiteError::not_found)?;
        boundary::remove(tx, id).await?;
        let detail = format!("Boundary {}, {} {}, was removed.", row.name, row.kind, row.value);
        audit::append(tx, ctx, "boundary_remove", format!("boundary {id}"), detail).await?;
        follow(tx, ctx).await?;
        Ok::<_, SiteError>(row)
    })?;
    changed(site);
    Ok(row)
}

/// A page of boundary groups, by name.
///
/// # Errors
/// `unauthenticated`, `too_large`.
pub async fn boundary_group_list(ctx: &Ctx, site: &Site, query: PageQuery) -> Result<Page<BoundaryGroup>, SiteError> {
    authz::see(ctx)?;
    let page = site.page(query)?;
    let (items, total) = boundary::group_list(&mut *site.store.reader().await?, page).await?;
    Ok(Page { items, total, offset: page.offset })
}

/// Adds a boundary group.
///
/// # Errors
/// `unauthenticated`, `forbidden`; `malformed`: an address that is none, or a boundary that is not there; `conflict`: there are
/// too many.
pub async fn boundary_group_add(ctx: &Ctx, site: &Site, set: BoundaryGroupSet) -> Result<BoundaryGroup, SiteError> {
    let row = group_row(ctx, BoundaryGroupId(site.sources.id()), set)?;
    transaction!(site.store, "boundary_group_add", |tx| {
        if boundary::group_count(tx.conn()).await? >= limits::BOUNDARY_GROUPS {
            return Err(SiteError::refused(Code::Conflict, "There are as many boundary groups as a site can have."));
        }
        store_group(tx, ctx, "boundary_group_add", &row).await
    })?;
    changed(site);
    Ok(row)
}

/// Changes a boundary group.
///
/// # Errors
/// As [`boundary_group_add`]; `not_found`.
pub async fn boundary_group_change(
    ctx: &Ctx,
    site: &Site,
    id: BoundaryGroupId,
    set: BoundaryGroupSet,
) -> Result<BoundaryGroup, SiteError> {
    let row = group_row(ctx, id, set)?;
    transaction!(site.store, "boundary_group_change", |tx| {
        boundary::group_get(tx.conn(), id).await?.ok_or_else(SiteError::not_found)?;
        store_group(tx, ctx, "boundary_group_change", &row).await
    })?;
    changed(site);
    Ok(row)
}

fn group_row(ctx: &Ctx, id: BoundaryGroupId, set: BoundaryGroupSet) -> Result<BoundaryGroup, SiteError> {
    let admin = authz::change(ctx)?;
    let BoundaryGroupSet { name, boundaries, management_points } = set;
    if let Some(odd) = management_points.iter().find(|address| !is_https_authority(address)) {
        let odd: String = odd.chars().take(100).collect();
        return Err(malformed(format!("{odd:?} is not the address of a management point, https://host:port.")));
    }
    if management_points.len() > limits::LOCATION_POINTS {
        return Err(malformed(format!("A boundary group has at most {} management points.", limits::LOCATION_POINTS)));
    }
    let boundaries: BTreeSet<_> = boundaries.into_iter().collect();
    let boundaries = boundaries.into_iter().collect();
    let changed_by = admin.name.to_string();
    Ok(BoundaryGroup { id, name, boundaries, management_points, changed: ctx.now, changed_by })
}

async fn store_group(tx: &mut Tx, ctx: &Ctx, verb: &'static str, row: &BoundaryGroup) -> Result<(), SiteError> {
    let mut names = Vec::new();
    for id in &row.boundaries {
        let known = boundary::get(tx.conn(), *id).await?;
        names.push(known.ok_or_else(|| malformed(format!("There is no boundary {id}.")))?.name.to_string());
    }
    boundary::group_put(tx, row).await?;
    let or_none = |texts: &[String]| if texts.is_empty() { "none".to_owned() } else { texts.join(", ") };
    let detail = format!(
        "Boundary group {}. Boundaries: {}. Management points: {}.",
        row.name,
        or_none(&names),
        or_none(&row.management_points)
    );
    audit::append(tx, ctx, verb, format!("boundary group {}", row.id), detail).await?;
    follow(tx, ctx).await
}

/// Removes a boundary group; its boundaries stay.
///
/// # Errors
/// `unauthenticated`, `forbidden`, `not_found`.
pub async fn boundary_group_remove(ctx: &Ctx, site: &Site, id: BoundaryGroupId) -> Result<BoundaryGroup, SiteError> {
    authz::change(ctx)?;
    let row = transaction!(site.store, "boundary_group_remove", |tx| {
        let row = boundary::group_get(tx.conn(), id).await?.ok_or_else(SiteError::not_found)?;
        boundary::group_remove(tx, id).await?;
        let detail = format!("Boundary group {} was removed.", row.name);
        audit::append(tx, ctx, "boundary_group_remove", format!("boundary group {id}"), detail).await?;
        follow(tx, ctx).await?;
        Ok::<_, SiteError>(row)
    })?;
    changed(site);
    Ok(row)
}

/// Every assignment is looked at again; those in which nothing changes are not signed anew.
async fn follow(tx: &mut Tx, ctx: &Ctx) -> Result<(), SiteError> {
    assignment::ask_all(tx, ctx.now).await?;
    Ok(())
}

fn changed(site: &Site) {
    site.bus.publish(Notice::Changed(Noun::Device));
    site.memory.work.notify_one();
}

/// Boundaries in the form in which devices are held against them.
#[derive(Debug)]
pub(crate) struct Map {
    boundaries: Vec<(BoundaryGroupId, parsed::Boundary)>,
    groups: HashMap<BoundaryGroupId, usize>,
    rows: Vec<BoundaryGroup>,
}

impl Map {
    /// What the site has of them.
    pub(crate) async fn read(conn: &mut Connection) -> Result<Self, SiteError> {
        let (deciding, rows) = boundary::all(conn).await?;
        let groups = rows.iter().enumerate().map(|(at, row)| (row.id, at)).collect();
        let read = |row: Deciding| Some((row.group, parsed::Boundary::parse(row.kind, &row.value).ok()?));
        Ok(Self { boundaries: deciding.into_iter().filter_map(read).collect(), groups, rows })
    }

    /// Whether there is nothing that could decide.
    pub(crate) fn is_empty(&self) -> bool {
        self.boundaries.is_empty()
    }

    /// The groups that a device is in, by name. What the server sees counts; only where that is inside no boundary, which is so
    /// behind a translator of addresses, counts what the device says of itself.
    pub(crate) fn groups(&self, device: &NetworkRow) -> Vec<&BoundaryGroup> {
        let seen: Vec<IpAddr> = device.seen_address.parse().into_iter().collect();
        let mut at = self.inside(&seen, None);
        if at.is_empty() {
            let said = device.report.addresses.iter().filter_map(|text| parsed::network(text));
            let said: Vec<IpAddr> = said.map(|(address, _)| address).collect();
            at = self.inside(&said, device.report.directory_site.as_deref());
        }
        at.into_iter().filter_map(|at| self.rows.get(at)).collect()
    }

    fn inside(&self, addresses: &[IpAddr], site: Option<&str>) -> BTreeSet<usize> {
        let is_in = |boundary: &parsed::Boundary| {
            addresses.iter().any(|address| boundary.has_address(*address))
                || site.is_some_and(|site| boundary.is_site(site))
        };
        let inside = self.boundaries.iter().filter(|(_, boundary)| is_in(boundary));
        inside.filter_map(|(group, _)| self.groups.get(group).copied()).collect()
    }
}

/// Where a device is, as far as it said so.
pub(super) async fn location(conn: &mut Connection, device: DeviceId) -> Result<Option<DeviceLocation>, SiteError> {
    let Some(row) = network::get(conn, device).await? else { return Ok(None) };
    let map = Map::read(conn).await?;
    let groups: Vec<Name> = map.groups(&row).into_iter().map(|group| group.name.clone()).collect();
    let NetworkRow { seen_address, report, reported, .. } = row;
    let (addresses, directory_site) = (report.addresses, report.directory_site);
    Ok(Some(DeviceLocation { seen_address, addresses, directory_site, groups, reported }))
}
