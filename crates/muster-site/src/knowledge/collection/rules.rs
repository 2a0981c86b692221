//! Making, changing and removing collections and their rules. Whoever changes the graph takes it first, and what comes out of it
//! is checked as a whole before it is committed: two who change it at the same moment make no circle together.

use super::{
    load::{self, Stored},
    query, show,
};
use crate::{Ctx, Site, SiteError, audit, authz};
use muster_model::{
    api::{
        Admin, Collection, CollectionCreate, CollectionDetail, CollectionKind, CollectionRelation, CollectionRule,
        CollectionSet, DeviceState, ResourceKind, RuleSpec,
    },
    id::CollectionId,
    limits,
    problem::Code,
    schedule::{self, Recurrence, ScheduleToken},
    settings::Reach,
};
use muster_store::{
    Connection, Tx,
    bus::{Notice, Noun},
    db::{
        baseline_deployment, client_settings,
        collection::{self, Rule, RuleRow},
        collection_member, deployment_phase, device_change, resource, window,
    },
    transaction,
};
use std::collections::BTreeMap;

pub(super) fn malformed(detail: impl Into<String>) -> SiteError {
    SiteError::refused(Code::Malformed, detail)
}

pub(super) fn conflict(detail: impl Into<String>) -> SiteError {
    SiteError::refused(Code::Conflict, detail)
}

pub(super) fn changed(site: &Site) {
    site.bus.publish(Notice::Changed(Noun::Collection));
}

/// Everything about a collection that somebody may set.
fn checked(set: CollectionSet) -> Result<CollectionSet, SiteError> {
    if set.comment.chars().count() > 1_000 || set.comment.chars().any(|c| c.is_control() && c != '\n') {
        return Err(malformed("A comment has at most 1000 characters and no control characters."));
    }
    if set.schedule.len() > limits::COLLECTION_SCHEDULES {
        return Err(malformed(format!("A schedule has at most {} tokens.", limits::COLLECTION_SCHEDULES)));
    }
    // Days after a day of the week are for maintenance windows; a schedule with them could not be exported.
    let odd = |token: &&ScheduleToken| {
        !token.is_sound() || matches!(token.every, Recurrence::MonthlyByWeekday { offset: 1.., .. })
    };
    if let Some(odd) = set.schedule.iter().find(odd) {
        return Err(malformed(format!("A token of the schedule has a number outside of its range: {:?}.", odd.every)));
    }
    Ok(set)
}

/// The collection of a wish, without an id that is taken.
pub(super) fn row_of(
    ctx: &Ctx,
    admin: &Admin,
    id: CollectionId,
    create: &CollectionCreate,
) -> Result<Collection, SiteError> {
    let create = create.clone();
    let CollectionSet { name, comment, limiting, protected, incremental, schedule } = checked(CollectionSet {
        name: create.name,
        comment: create.comment,
        limiting: create.limiting,
        protected: create.protected,
        incremental: create.incremental,
        schedule: create.schedule,
    })?;
    Ok(Collection {
        id,
        name,
        comment,
        kind: create.kind,
        limiting: Some(limiting),
        built_in: false,
        protected,
        incremental,
        next_evaluation: schedule::next(&schedule, ctx.now),
        schedule,
        members: 0,
        rules: create.rules.len() as u64,
        members_changed: None,
        evaluated: None,
        evaluation_took: 0,
        evaluation_error: None,
        pending: true,
        changed: ctx.now,
        changed_by: admin.name.to_string(),
        revision: 1,
    })
}

/// Makes a collection. It is evaluated at once.
///
/// # Errors
/// `unauthenticated`, `forbidden`; `malformed`; `conflict`: the name is another one's, a circle, a protected collection that would
/// go by what devices say, or there are too many.
pub async fn collection_create(
    ctx: &Ctx,
    site: &Site,
    create: &CollectionCreate,
) -> Result<CollectionDetail, SiteError> {
    let admin = authz::change(ctx)?;
    let row = transaction!(site.store, "collection_create", |tx| {
        collection::lock(tx).await?;
        let row = insert(ctx, admin, site, tx, create).await?;
        let graph = Stored::read(tx).await?.sound(site)?;
        device_change::ask(tx, &load::asked(graph.nodes.values())).await?;
        let detail = format!("{} was made, limited by {}, with {} rule(s).", row.name, create.limiting, row.rules);
        audit::append(tx, ctx, "collection_create", format!("collection {}", row.id), detail).await?;
        for rule in collection::rules(tx.conn(), row.id).await? {
            let detail = format!("{} got a rule: {}.", row.name, sentence(&rule));
            audit::append(tx, ctx, "collection_rule_add", format!("collection {}", row.id), detail).await?;
        }
        Ok::<_, SiteError>(row)
    })?;
    changed(site);
    show::detail(&mut *site.store.reader().await?, site, row.id).await
}

/// A new collection with its rules, in a transaction that has the graph; whether it is sound is not asked here.
pub(super) async fn insert(
    ctx: &Ctx,
    admin: &Admin,
    site: &Site,
    tx: &mut Tx,
    create: &CollectionCreate,
) -> Result<Collection, SiteError> {
    if collection::count(tx.conn()).await? >= limits::COLLECTIONS {
        return Err(conflict("There are as many collections as a site can have."));
    }
    if create.rules.len() > limits::COLLECTION_RULES {
        return Err(malformed(format!("A collection has at most {} rules.", limits::COLLECTION_RULES)));
    }
    let number = u32::try_from(collection::next_number(tx).await?).unwrap_or(u32::MAX);
    let id =
        CollectionId::of_site(site.code, number).ok_or_else(|| conflict("There is no id left for a collection."))?;
    let row = row_of(ctx, admin, id, create)?;
    if collection::get(tx.conn(), create.limiting).await?.is_none() {
        return Err(malformed(format!("There is no collection {} to limit it.", create.limiting)));
    }
    collection::put(tx, &row).await?;
    for spec in &create.rules {
        let rule = rule_of(site, tx.conn(), (id, row.kind), spec).await?;
        collection::add_rule(tx, &rule).await?;
    }
    Ok(row)
}

/// A rule as it is stored; what it names must be there.
pub(super) async fn rule_of(
    site: &Site,
    conn: &mut Connection,
    (id, kind): (CollectionId, CollectionKind),
    spec: &RuleSpec,
) -> Result<RuleRow, SiteError> {
    let (name, rule) = match spec {
        RuleSpec::Direct { .. } if kind == CollectionKind::User => {
            return Err(malformed("A collection of users holds users and groups, and no devices."));
        }
        RuleSpec::Resource { resource: number } => {
            let found = resource::get(conn, *number).await?.filter(|found| found.gone.is_none());
            let found = found.ok_or_else(|| malformed(format!("There is no resource {number}.")))?;
            if (found.kind == ResourceKind::System) != (kind == CollectionKind::Device) {
                return Err(malformed(format!("{} is a {}; the collection holds {kind}s.", found.name, found.kind)));
            }
            (found.name, Rule::Direct(i64::from(number.0)))
        }
        RuleSpec::Direct { device } => {
            let found = collection_member::of_device(conn, *device).await?;
            let found = found.filter(|found| found.state != Some(DeviceState::Retired));
            let found = found.ok_or_else(|| malformed(format!("There is no device {device}.")))?;
            (found.name, Rule::Direct(i64::from(load::number(found.resource_id)?)))
        }
        RuleSpec::Query { name, query: text } => {
            if text.len() > limits::COLLECTION_QUERY_BYTES {
                let detail = format!("A query has at most {} bytes.", limits::COLLECTION_QUERY_BYTES);
                return Err(SiteError::refused(Code::TooLarge, detail));
            }
            query::gives(site, text, kind)
                .and_then(|()| query::asks(site, text))
                .map_err(|reason| malformed(format!("The query of {name} cannot be asked: {reason}.")))?;
            (name.to_string(), Rule::Query(text.clone()))
        }
        RuleSpec::Include { collection } => (named(conn, *collection).await?, Rule::Include(*collection)),
        RuleSpec::Exclude { collection } => (named(conn, *collection).await?, Rule::Exclude(*collection)),
    };
    Ok(RuleRow { id: 0, collection: id, name, rule })
}

async fn named(conn: &mut Connection, id: CollectionId) -> Result<String, SiteError> {
    let row = collection::get(conn, id).await?;
    Ok(row.ok_or_else(|| malformed(format!("There is no collection {id}.")))?.name.to_string())
}

/// The collection that is to be changed, in a transaction that has the graph.
async fn own(tx: &mut Tx, id: CollectionId, revision: Option<u64>) -> Result<Collection, SiteError> {
    let row = collection::get(tx.conn(), id).await?.ok_or_else(SiteError::not_found)?;
    if row.built_in {
        return Err(conflict(format!("{} comes with every site and cannot be changed.", row.name)));
    }
    if revision.is_some_and(|revision| revision != row.revision) {
        return Err(SiteError::refused(Code::Changed, "The collection changed since you read it; read it again."));
    }
    Ok(row)
}

/// Changes everything of a collection but its kind and its rules.
///
/// # Errors
/// As [`collection_create`]; `not_found`; `changed`; `conflict` for a built-in one, and for taking the protection from one that a
/// deployment of high impact goes to, or client settings that are dangerous elsewhere.
pub async fn collection_change(
    ctx: &Ctx,
    site: &Site,
    id: CollectionId,
    set: CollectionSet,
    revision: Option<u64>,
) -> Result<CollectionDetail, SiteError> {
    let admin = authz::change(ctx)?;
    let CollectionSet { name, comment, limiting, protected, incremental, schedule } = checked(set)?;
    transaction!(site.store, "collection_change", |tx| {
        collection::lock(tx).await?;
        let before = own(tx, id, revision).await?;
        if collection::get(tx.conn(), limiting).await?.is_none() {
            return Err(malformed(format!("There is no collection {limiting} to limit it.")));
        }
        if before.protected && !protected {
            let deployments = collection::deployments(tx.conn(), id).await?;
            if let Some((deployment, _)) = deployments.iter().find(|(_, high_impact)| *high_impact) {
                return Err(conflict(format!(
                    "{} goes to it, has high impact, and needs a protected collection; delete that deployment first.",
                    deployment.name
                )));
            }
            let baselines = baseline_deployment::of_collection(tx.conn(), id).await?;
            if let Some((name, _)) = baselines.iter().find(|(_, high_impact)| *high_impact) {
                return Err(conflict(format!(
                    "The baseline {name} puts things right on its members or looks as root, and needs a protected collection; delete that deployment first."
                )));
            }
            let settings = client_settings::of_collection(tx.conn(), id).await?;
            if let Some(row) = settings.iter().find(|row| row.values.check(Reach::Named).is_err()) {
                return Err(conflict(format!(
                    "The client settings {} are for it, say what is dangerous, and need a protected collection; change them first.",
                    row.name
                )));
            }
        }
        let row = Collection {
            name: name.clone(),
            comment: comment.clone(),
            limiting: Some(limiting),
            protected,
            incremental,
            next_evaluation: schedule::next(&schedule, ctx.now),
            schedule: schedule.clone(),
            changed: ctx.now,
            changed_by: admin.name.to_string(),
            revision: before.revision + 1,
            ..before.clone()
        };
        collection::put(tx, &row).await?;
        let graph = Stored::read(tx).await?.sound(site)?;
        device_change::ask(tx, &load::asked(graph.nodes.values())).await?;
        let was = |row: &Collection| {
            let limiting = row.limiting.map(|id| id.to_string()).unwrap_or_default();
            let (protected, incremental) = (row.protected, row.incremental);
            format!("{}, limited by {limiting}, protected {protected}, incremental {incremental}", row.name)
        };
        let detail = format!("It was {}; it is {}.", was(&before), was(&row));
        audit::append(tx, ctx, "collection_change", format!("collection {id}"), detail).await
    })?;
    changed(site);
    show::detail(&mut *site.store.reader().await?, site, id).await
}

/// Removes a collection on which nothing depends.
///
/// # Errors
/// `unauthenticated`, `forbidden`, `not_found`, `changed`; `conflict`: it is a built-in one, or something depends on it: what.
pub async fn collection_delete(
    ctx: &Ctx,
    site: &Site,
    id: CollectionId,
    revision: Option<u64>,
) -> Result<(), SiteError> {
    authz::change(ctx)?;
    transaction!(site.store, "collection_delete", |tx| {
        collection::lock(tx).await?;
        let row = own(tx, id, revision).await?;
        let mut needs: Vec<String> = Vec::new();
        let stored = Stored::read(tx).await?;
        for (dependent, node) in stored.nodes(site)? {
            let by = node.sources().find(|(_, source)| *source == id).map(|(relation, _)| relation);
            if let Some(relation) = by {
                let how = match relation {
                    CollectionRelation::Limiting => "is limited by it",
                    CollectionRelation::Include => "includes it",
                    CollectionRelation::Exclude => "excludes it",
                    CollectionRelation::Query => "asks about it",
                };
                needs.push(format!("{} {how}", stored.called(dependent)));
            }
        }
        let deployments = collection::deployments(tx.conn(), id).await?;
        needs.extend(deployments.iter().map(|(deployment, _)| format!("{} is deployed to it", deployment.name)));
        let phases = deployment_phase::of_collection(tx.conn(), id).await?;
        needs.extend(phases.iter().map(|(name, phase)| format!("the phase {phase} of {name} takes its members")));
        let baselines = baseline_deployment::of_collection(tx.conn(), id).await?;
        needs.extend(baselines.iter().map(|(name, _)| format!("the baseline {name} is deployed to it")));
        let windows = window::of_collection(tx.conn(), id).await?;
        let settings = client_settings::of_collection(tx.conn(), id).await?;
        needs.extend(settings.iter().map(|row| format!("the client settings {} are for it", row.name)));
        needs.extend(windows.iter().map(|row| format!("its maintenance window {} is there", row.window.name)));
        if !needs.is_empty() {
            let more = needs.len().saturating_sub(10);
            needs.truncate(10);
            let more = if more > 0 { format!("; and {more} more") } else { String::new() };
            return Err(conflict(format!("{} cannot go: {}{more}.", row.name, needs.join("; "))));
        }
        collection::remove(tx, id).await?;
        let detail = format!("{} was deleted; it had {} member(s).", row.name, row.members);
        audit::append(tx, ctx, "collection_delete", format!("collection {id}"), detail).await
    })?;
    changed(site);
    Ok(())
}

/// Adds a rule. The collection is evaluated at once.
///
/// # Errors
/// As [`collection_create`]; `not_found`.
pub async fn collection_rule_add(
    ctx: &Ctx,
    site: &Site,
    id: CollectionId,
    spec: &RuleSpec,
) -> Result<CollectionRule, SiteError> {
    let admin = authz::change(ctx)?;
    let rule = transaction!(site.store, "collection_rule_add", |tx| {
        collection::lock(tx).await?;
        let row = own(tx, id, None).await?;
        if row.rules >= limits::COLLECTION_RULES as u64 {
            return Err(conflict(format!("{} has as many rules as a collection can have.", row.name)));
        }
        let mut rule = rule_of(site, tx.conn(), (id, row.kind), spec).await?;
        let same = collection::rules(tx.conn(), id).await?;
        if same.iter().any(|other| other.rule == rule.rule) {
            return Err(conflict(format!("{} has this rule already.", row.name)));
        }
        rule.id = collection::add_rule(tx, &rule).await?;
        collection::touch(tx, id, ctx.now, admin.name.as_str()).await?;
        let graph = Stored::read(tx).await?.sound(site)?;
        device_change::ask(tx, &load::asked(graph.nodes.values())).await?;
        let detail = format!("{} got a rule: {}.", row.name, sentence(&rule));
        audit::append(tx, ctx, "collection_rule_add", format!("collection {id}"), detail).await?;
        Ok::<_, SiteError>(rule)
    })?;
    changed(site);
    let id = u64::try_from(rule.id).unwrap_or_default();
    let answered = show::answered(site, &BTreeMap::new(), &rule);
    Ok(CollectionRule { id, rule: spec.clone(), label: rule.name, answered })
}

/// Removes a rule. The collection is evaluated at once.
///
/// # Errors
/// `unauthenticated`, `forbidden`, `not_found`; `conflict` for a built-in collection.
pub async fn collection_rule_remove(ctx: &Ctx, site: &Site, id: CollectionId, rule: u64) -> Result<(), SiteError> {
    let admin = authz::change(ctx)?;
    let number = i64::try_from(rule).map_err(|_| SiteError::not_found())?;
    transaction!(site.store, "collection_rule_remove", |tx| {
        collection::lock(tx).await?;
        let row = own(tx, id, None).await?;
        let rules = collection::rules(tx.conn(), id).await?;
        let rule = rules.into_iter().find(|rule| rule.id == number).ok_or_else(SiteError::not_found)?;
        collection::remove_rule(tx, id, number).await?;
        collection::touch(tx, id, ctx.now, admin.name.as_str()).await?;
        let detail = format!("{} lost a rule: {}.", row.name, sentence(&rule));
        audit::append(tx, ctx, "collection_rule_remove", format!("collection {id}"), detail).await
    })?;
    changed(site);
    Ok(())
}

/// Asks for an evaluation of the whole collection, built-in ones too. It is done within a second or two.
///
/// # Errors
/// `unauthenticated`, `forbidden`, `not_found`.
pub async fn collection_evaluate(ctx: &Ctx, site: &Site, id: CollectionId) -> Result<Collection, SiteError> {
    authz::change(ctx)?;
    transaction!(site.store, "collection_evaluate", |tx| {
        let row = collection::get(tx.conn(), id).await?.ok_or_else(SiteError::not_found)?;
        collection::ask(tx, id).await?;
        let detail = format!("An evaluation of {} was asked for.", row.name);
        audit::append(tx, ctx, "collection_evaluate", format!("collection {id}"), detail).await?;
        Ok::<_, SiteError>(Collection { pending: true, ..row })
    })
}

fn sentence(rule: &RuleRow) -> String {
    match &rule.rule {
        Rule::Direct(resource) => format!("the resource {} ({resource})", rule.name),
        Rule::Query(text) => format!("the query {}: {text}", rule.name),
        Rule::Include(source) => format!("everything in {} ({source})", rule.name),
        Rule::Exclude(source) => format!("nothing of {} ({source})", rule.name),
    }
}
