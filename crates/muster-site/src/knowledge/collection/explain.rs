//! Who would be in a collection, and why a device is in one or is not.

use super::{
    evaluate,
    graph::{Changes, Graph, Members, Round, Scope},
    load::{self, Stored},
    query, rules, why,
};
use crate::{Ctx, Site, SiteError, authz, knowledge::query::permit};
use muster_model::{
    api::{
        Collection, CollectionCreate, CollectionExplained, CollectionMember, CollectionPreview, CollectionReason,
        CollectionRelation, Subject,
    },
    id::{CollectionId, ResourceId},
    limits,
};
use muster_store::{
    Connection,
    db::{
        Leave,
        collection::{self, Rule, RuleRow},
        collection_member,
    },
};
use roaring::RoaringBitmap;
use std::{
    collections::{BTreeMap, BTreeSet, hash_map::Entry},
    sync::Arc,
};

/// The id of a collection that is not there: of a built-in form, so that no site gives it.
const NOWHERE: &str = "SMSFFFFF";

/// Who would be in this collection. The first of them are named.
///
/// # Errors
/// As `collection_create`, which it does not do; `too_many`: others have asked.
pub async fn collection_preview(
    ctx: &Ctx,
    site: &Site,
    create: &CollectionCreate,
) -> Result<CollectionPreview, SiteError> {
    let admin = authz::see(ctx)?;
    let id: CollectionId = NOWHERE.parse().map_err(|_| SiteError::Fault("no id for a preview".to_owned()))?;
    if create.rules.len() > limits::COLLECTION_RULES {
        return Err(rules::malformed(format!("A collection has at most {} rules.", limits::COLLECTION_RULES)));
    }
    let leave = permit()?;
    let mut reader = site.store.reader().await?;
    let mut stored = Stored::read(&mut reader).await?;
    stored.collections.insert(id, rules::row_of(ctx, admin, id, create)?);
    for spec in &create.rules {
        stored.rules.push(rules::rule_of(site, &mut reader, (id, create.kind), spec).await?);
    }
    let graph = stored.sound(site)?;
    let mut members = Members::new();
    for (_, source) in graph.nodes.get(&id).into_iter().flat_map(|node| node.sources()) {
        if let Entry::Vacant(entry) = members.entry(source) {
            entry.insert(Arc::new(load::set(collection_member::of(&mut reader, source).await?)?));
        }
    }
    drop(reader);
    let found = alone(ctx, site, &graph, &members, id, &leave).await?;
    let devices: Vec<u32> = found.iter().collect();
    let mut reader = site.store.reader().await?;
    let most = u32::try_from(limits::COLLECTION_PREVIEW).unwrap_or(u32::MAX);
    let items = collection_member::devices(&mut reader, site.store.dialect(), &devices, most).await?;
    Ok(CollectionPreview { total: found.len(), items })
}

/// The members of one collection, with those of the others as they are.
async fn alone(
    ctx: &Ctx,
    site: &Site,
    graph: &Graph,
    members: &Members,
    id: CollectionId,
    leave: &Leave,
) -> Result<RoaringBitmap, SiteError> {
    let changes = Changes { whole: BTreeSet::from([id]), ..Changes::default() };
    let mut round = Round::new(graph, members, &changes);
    while let Some(pieces) = round.next() {
        for piece in pieces {
            if !piece.asks() {
                round.settle(&piece, RoaringBitmap::new());
                continue;
            }
            let Some(node) = graph.nodes.get(&piece.collection) else { continue };
            match evaluate::ask(site, &node.queries, &piece.ask, ctx.now, leave).await? {
                Ok(found) => round.settle(&piece, found),
                Err(reason) => return Err(rules::malformed(reason)),
            }
        }
    }
    Ok(round.deltas.remove(&id).unwrap_or_default().joined)
}

/// Why a device, a user or a group is in a collection, or is not: every rule, and the limiting collection.
///
/// # Errors
/// `unauthenticated`, `not_found`, `too_many`.
pub async fn collection_explain(
    ctx: &Ctx,
    site: &Site,
    id: CollectionId,
    subject: impl Into<Subject>,
) -> Result<CollectionExplained, SiteError> {
    authz::see(ctx)?;
    let leave = permit()?;
    let mut reader = site.store.reader().await?;
    let row = collection::get(&mut reader, id).await?.ok_or_else(SiteError::not_found)?;
    let found = match subject.into() {
        Subject::Device(device) => collection_member::of_device(&mut reader, device).await?,
        Subject::Resource(number) => collection_member::of_resource(&mut reader, i64::from(number.0)).await?,
    };
    let found = found.ok_or_else(SiteError::not_found)?;
    let rules = collection::rules(&mut reader, id).await?;
    let is_in = memberships(&mut reader, found.resource_id).await?;
    let limiting = match row.limiting {
        Some(limiting) => collection::get(&mut reader, limiting).await?,
        None => None,
    };
    drop(reader);
    let resource = load::number(found.resource_id)?;
    let mut wanted = false;
    let mut refused = false;
    let mut reasons = Vec::new();
    if row.built_in {
        let scope = Scope::Only(RoaringBitmap::from([resource]));
        let holds = evaluate::known_to_site(site, id, &scope).await?.contains(resource);
        wanted |= holds;
        let text = if holds { "The site's own records have it." } else { "The site's own records do not have it." };
        reasons.push(reason(None, None, holds, text.to_owned()));
    }
    for rule in &rules {
        let (relation, one) = judge((ctx, site, &leave), rule, &found, resource, &is_in).await?;
        match relation {
            Some(CollectionRelation::Exclude) => refused |= !one.holds,
            _ => wanted |= one.holds,
        }
        reasons.push(one);
    }
    if rules.is_empty() && !row.built_in {
        reasons.push(reason(None, None, false, "The collection has no rule.".to_owned()));
    }
    let limited = limiting.as_ref().map(|limiting| limit(limiting, &is_in, &found));
    let inside = limited.as_ref().is_none_or(|reason| reason.holds);
    reasons.extend(limited);
    Ok(CollectionExplained {
        collection: id,
        collection_name: row.name,
        device: found.device,
        resource: ResourceId(resource),
        device_name: found.name,
        member: wanted && inside && !refused,
        stored: is_in.contains_key(&id),
        reasons,
    })
}

async fn memberships(conn: &mut Connection, resource: i64) -> Result<BTreeMap<CollectionId, String>, SiteError> {
    let of = collection_member::collections_of_resource(conn, resource).await?;
    Ok(of.into_iter().map(|(id, name)| (id, name.to_string())).collect())
}

fn reason(rule: Option<i64>, collection: Option<CollectionId>, holds: bool, text: String) -> CollectionReason {
    let rule = rule.and_then(|rule| u64::try_from(rule).ok());
    CollectionReason { rule, collection, holds, text, row: BTreeMap::new() }
}

fn limit(limiting: &Collection, is_in: &BTreeMap<CollectionId, String>, device: &CollectionMember) -> CollectionReason {
    let holds = is_in.contains_key(&limiting.id);
    let word = if holds { "has" } else { "does not have" };
    let text = format!("The limiting collection {} ({}) {word} {}.", limiting.name, limiting.id, device.name);
    reason(None, Some(limiting.id), holds, text)
}

/// What one rule says of the device.
async fn judge(
    (ctx, site, leave): (&Ctx, &Site, &Leave),
    rule: &RuleRow,
    device: &CollectionMember,
    resource: u32,
    is_in: &BTreeMap<CollectionId, String>,
) -> Result<(Option<CollectionRelation>, CollectionReason), SiteError> {
    let (id, name) = (Some(rule.id), &rule.name);
    Ok(match &rule.rule {
        Rule::Direct(named) => {
            let holds = i64::from(resource) == *named;
            let text =
                if holds { "A direct rule names it.".to_owned() } else { format!("A direct rule names {name}.") };
            (None, reason(id, None, holds, text))
        }
        Rule::Query(rule_text) => {
            let text = rule_text;
            let scope = Scope::Only(RoaringBitmap::from([resource]));
            let (holds, mut text) = match query::members(site, text, ctx.now, &scope, leave).await? {
                Ok(found) if found.contains(resource) => (true, format!("The query {name} gives it")),
                Ok(_) => (false, format!("The query {name} does not give it")),
                Err(why) => {
                    let text = format!("The query {name} cannot be asked: {why}.");
                    return Ok((None, reason(id, None, false, text)));
                }
            };
            let why = why::why((site, leave), rule_text, ctx.now, resource, holds).await?.unwrap_or_default();
            if !why.text.is_empty() {
                text.push_str(if holds { ", " } else { ": " });
                text.push_str(&why.text);
            }
            text.push('.');
            (None, CollectionReason { row: why.row, ..reason(id, None, holds, text) })
        }
        Rule::Include(source) => {
            let holds = is_in.contains_key(source);
            let word = if holds { "has" } else { "does not have" };
            let text = format!("The included collection {name} ({source}) {word} {}.", device.name);
            (Some(CollectionRelation::Include), reason(id, Some(*source), holds, text))
        }
        Rule::Exclude(source) => {
            let holds = !is_in.contains_key(source);
            let word = if holds { "does not have" } else { "has" };
            let text = format!("The excluded collection {name} ({source}) {word} {}.", device.name);
            (Some(CollectionRelation::Exclude), reason(id, Some(*source), holds, text))
        }
    })
}
