//! Collections as they are shown.

use super::{
    load::{Stored, number},
    query,
};
use crate::{Ctx, Site, SiteError, authz};
use muster_model::{
    api::{
        Collection, CollectionDetail, CollectionEdge, CollectionIndex, CollectionMember, CollectionQuery,
        CollectionRule, DeviceCollection, Page, PageQuery, RuleSpec,
    },
    id::{CollectionId, DeviceId, ResourceId},
    limits,
    problem::Code,
};
use muster_store::{
    Connection,
    db::{
        collection::{self, Rule, RuleRow},
        collection_member, device,
    },
};
use std::collections::{BTreeMap, BTreeSet, HashMap, VecDeque};

/// Characters of a search text.
const SEARCH_CHARS: usize = 100;
/// Collections of one device that are shown.
const COLLECTIONS_SHOWN: u32 = 500;

/// A page of collections, by name.
///
/// # Errors
/// `unauthenticated`, `too_large`.
pub async fn collection_list(ctx: &Ctx, site: &Site, query: &CollectionQuery) -> Result<Page<Collection>, SiteError> {
    authz::see(ctx)?;
    let page = site.page(PageQuery { offset: query.offset, limit: query.limit })?;
    if query.search.chars().count() > SEARCH_CHARS {
        let detail = format!("A search text has at most {SEARCH_CHARS} characters.");
        return Err(SiteError::refused(Code::TooLarge, detail));
    }
    let query = CollectionQuery { search: query.search.trim().to_owned(), ..query.clone() };
    let (items, total) = collection::list(&mut *site.store.reader().await?, &query).await?;
    Ok(Page { items, total, offset: page.offset })
}

/// A collection with its rules, and everything that it reaches.
///
/// # Errors
/// `unauthenticated`, `not_found`.
pub async fn collection_show(ctx: &Ctx, site: &Site, id: CollectionId) -> Result<CollectionDetail, SiteError> {
    authz::see(ctx)?;
    detail(&mut *site.store.reader().await?, site, id).await
}

/// A page of the members of a collection, by name.
///
/// # Errors
/// `unauthenticated`, `too_large`, `not_found`.
pub async fn collection_members(
    ctx: &Ctx,
    site: &Site,
    id: CollectionId,
    query: PageQuery,
) -> Result<Page<CollectionMember>, SiteError> {
    authz::see(ctx)?;
    let page = site.page(query)?;
    let mut reader = site.store.reader().await?;
    collection::get(&mut reader, id).await?.ok_or_else(SiteError::not_found)?;
    let (items, total) = collection_member::list(&mut reader, id, page).await?;
    Ok(Page { items, total, offset: page.offset })
}

/// The collections that a device is in, by name; at most 500.
///
/// # Errors
/// `unauthenticated`, `not_found`.
pub async fn device_collections(ctx: &Ctx, site: &Site, id: DeviceId) -> Result<Vec<DeviceCollection>, SiteError> {
    authz::see(ctx)?;
    let mut reader = site.store.reader().await?;
    device::get(&mut reader, id).await?.ok_or_else(SiteError::not_found)?;
    let collections = collection_member::collections_of(&mut reader, id, COLLECTIONS_SHOWN).await?;
    Ok(collections.into_iter().map(|(id, name)| DeviceCollection { id, name }).collect())
}

/// The whole of a collection, for whoever was authorised.
pub(super) async fn detail(
    conn: &mut Connection,
    site: &Site,
    id: CollectionId,
) -> Result<CollectionDetail, SiteError> {
    let collection = collection::get(conn, id).await?.ok_or_else(SiteError::not_found)?;
    let rows = collection::rules(conn, id).await?;
    let stored = Stored::read(conn).await?;
    let rules = shown(conn, site, rows).await?;
    let graph = reached(site, &stored, id)?;
    let deployments = collection::deployments(conn, id).await?.into_iter().map(|(deployment, _)| deployment).collect();
    Ok(CollectionDetail { collection, rules, graph, deployments })
}

/// What the index in this server's memory is like.
///
/// # Errors
/// `unauthenticated`.
pub fn collection_index(ctx: &Ctx, site: &Site) -> Result<CollectionIndex, SiteError> {
    authz::see(ctx)?;
    let figures = site.memory.index.get();
    Ok(CollectionIndex {
        devices: figures.devices,
        bytes: figures.bytes,
        by_index: figures.by_index,
        by_sql: figures.by_sql,
        as_of: u64::try_from(figures.as_of).unwrap_or_default(),
    })
}

/// Who answers the query of a rule.
pub(super) fn answered(site: &Site, because: &BTreeMap<i64, String>, row: &RuleRow) -> String {
    let Rule::Query(text) = &row.rule else { return String::new() };
    match because.get(&row.id).cloned().or_else(|| query::planned(site, text).err()) {
        Some(reason) => format!("SQL, because {reason}"),
        None => "index".to_owned(),
    }
}

/// Rules with what they name. A direct rule whose device nobody knows any more is left out.
pub(super) async fn shown(
    conn: &mut Connection,
    site: &Site,
    rows: Vec<RuleRow>,
) -> Result<Vec<CollectionRule>, SiteError> {
    let direct = rows.iter().filter_map(|row| match row.rule {
        Rule::Direct(resource) => Some(number(resource)),
        _ => None,
    });
    let direct: Vec<u32> = direct.collect::<Result<_, _>>()?;
    let devices = collection_member::devices(conn, site.store.dialect(), &direct, u32::MAX).await?;
    let devices: HashMap<i64, CollectionMember> = devices.into_iter().map(|found| (found.resource_id, found)).collect();
    let because = site.memory.index.get().because;
    let rule = |row: RuleRow| {
        let answered = answered(site, &because, &row);
        let (rule, label) = match row.rule {
            Rule::Direct(resource) => {
                let found = devices.get(&resource)?;
                let spec = match found.device {
                    Some(device) => RuleSpec::Direct { device },
                    None => RuleSpec::Resource { resource: ResourceId(number(resource).ok()?) },
                };
                (spec, found.name.clone())
            }
            Rule::Query(query) => (RuleSpec::Query { name: row.name.parse().ok()?, query }, row.name),
            Rule::Include(collection) => (RuleSpec::Include { collection }, row.name),
            Rule::Exclude(collection) => (RuleSpec::Exclude { collection }, row.name),
        };
        Some(CollectionRule { id: u64::try_from(row.id).ok()?, rule, label, answered })
    };
    Ok(rows.into_iter().filter_map(rule).collect())
}

/// Dependences around a collection: first what it depends on, then what depends on it, the nearest first.
fn reached(site: &Site, stored: &Stored, id: CollectionId) -> Result<Vec<CollectionEdge>, SiteError> {
    let nodes = stored.nodes(site)?;
    let all = nodes.iter().flat_map(|(dependent, node)| node.sources().map(|(how, source)| (*dependent, how, source)));
    let all: Vec<_> = all.collect();
    let mut picked = BTreeSet::new();
    for upwards in [true, false] {
        let (mut queue, mut seen) = (VecDeque::from([id]), BTreeSet::from([id]));
        while let Some(at) = queue.pop_front() {
            for edge @ (dependent, _, source) in &all {
                let (from, to) = if upwards { (dependent, source) } else { (source, dependent) };
                if *from == at && (seen.contains(to) || seen.len() < limits::COLLECTION_PICTURE / 2) {
                    picked.insert(*edge);
                    if seen.insert(*to) {
                        queue.push_back(*to);
                    }
                }
            }
        }
    }
    let name = |id: &CollectionId| stored.collections.get(id).map(|row| row.name.clone());
    let edge = |(dependent, relation, source): (CollectionId, _, CollectionId)| {
        let (dependent_name, source_name) = (name(&dependent)?, name(&source)?);
        Some(CollectionEdge { dependent, dependent_name, source, source_name, relation })
    };
    Ok(picked.into_iter().filter_map(edge).collect())
}
