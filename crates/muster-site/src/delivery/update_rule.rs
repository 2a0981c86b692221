//! Rules that propose groups of updates. The site has no key of an author: a rule makes a draft, an author signs it, and where the rule
//! says so, what was signed takes the place of the revision before in a deployment.

use super::{application, revise, update_draft};
use crate::{Ctx, Site, SiteError, audit, authz};
use muster_model::{
    api::{
        Page, PageQuery, UpdateDraft, UpdateGroupPackage, UpdateRule, UpdateRuleDetail, UpdateRuleInfo,
        UpdateRuleSigned,
    },
    id::{ApplicationId, Hash, UpdateRuleId},
    limits::UPDATE_RULES,
    problem::Code,
    time::{HOUR, UnixMillis},
    update::UpdateGroup,
    version,
};
use muster_store::{
    Connection, Tx,
    db::{
        application::{self as applications, ApplicationRow},
        deployment, software_update, update_rule as stored,
    },
    transaction,
};

/// A page of the rules, by name.
///
/// # Errors
/// `unauthenticated`, `too_large`.
pub async fn update_rule_list(ctx: &Ctx, site: &Site, page: PageQuery) -> Result<Page<UpdateRuleInfo>, SiteError> {
    authz::see(ctx)?;
    let page = site.page(page)?;
    let (items, total) = stored::list(&mut *site.store.reader().await?, page).await?;
    Ok(Page { items, total, offset: page.offset })
}

/// A rule with its draft.
///
/// # Errors
/// `unauthenticated`, `not_found`.
pub async fn update_rule_show(ctx: &Ctx, site: &Site, id: UpdateRuleId) -> Result<UpdateRuleDetail, SiteError> {
    authz::see(ctx)?;
    let mut reader = site.store.reader().await?;
    let info = stored::get(&mut reader, id).await?.ok_or_else(SiteError::not_found)?;
    Ok(UpdateRuleDetail { draft: stored::draft(&mut reader, id).await?, info })
}

/// How many drafts wait for a signature.
///
/// # Errors
/// `unauthenticated`.
pub async fn update_draft_count(ctx: &Ctx, site: &Site) -> Result<u64, SiteError> {
    authz::see(ctx)?;
    Ok(stored::drafts(&mut *site.store.reader().await?).await?)
}

/// Keeps a rule, and looks by it at once.
///
/// # Errors
/// `unauthenticated`, `forbidden`; `malformed`; `conflict`: there is one of that name, there are too many, or the deployment is none of the
/// group.
pub async fn update_rule_create(ctx: &Ctx, site: &Site, rule: UpdateRule) -> Result<UpdateRuleDetail, SiteError> {
    let admin = authz::change(ctx)?.name.clone();
    rule.check().map_err(|detail| SiteError::refused(Code::Malformed, detail))?;
    let new = ApplicationId(site.sources.id());
    let id = UpdateRuleId(site.sources.id());
    let info = transaction!(site.store, "update_rule_create", |tx| {
        let (_, total) = stored::list(tx.conn(), PageQuery { offset: 0, limit: 1 }).await?;
        if total >= UPDATE_RULES {
            return Err(SiteError::refused(Code::Conflict, format!("There are {total} rules, and no more may be.")));
        }
        let application = group_of(site, tx.conn(), &rule).await?.unwrap_or(new);
        let rule = UpdateRule { application: Some(application), ..rule.clone() };
        let (created_by, created) = (admin.clone(), ctx.now);
        let info =
            UpdateRuleInfo { id, rule, created, created_by, looked: None, due: ctx.now, drafted: None, changes: 0 };
        stored::insert(tx, &info).await?;
        let deployment = match info.rule.deployment {
            Some(deployment) => format!(", for the deployment {deployment}"),
            None => String::new(),
        };
        let detail =
            format!("{} proposes updates every {} hour(s){deployment}.", info.rule.name, info.rule.every_hours);
        audit::append(tx, ctx, "update_rule_create", format!("update rule {id}"), detail).await?;
        Ok::<_, SiteError>(info)
    })?;
    look(site, &info, ctx.now).await?;
    update_rule_show(ctx, site, id).await
}

/// The group that a rule goes on with: the one it names, or that of its deployment.
async fn group_of(site: &Site, conn: &mut Connection, rule: &UpdateRule) -> Result<Option<ApplicationId>, SiteError> {
    let conflict = |detail: &str| SiteError::refused(Code::Conflict, detail);
    let Some(id) = rule.deployment else { return Ok(rule.application) };
    let shown = deployment::get(conn, id).await?.filter(|shown| shown.row.deleted.is_none());
    let shown = shown.ok_or_else(|| {
        SiteError::refused(Code::NotFound, "There is no such deployment in force; `muster deployment list` shows all.")
    })?;
    if rule.application.is_some_and(|application| application != shown.application_id) {
        return Err(conflict("The deployment deploys another application than the rule names."));
    }
    match latest(site, conn, shown.application_id).await? {
        Some((_, _, group)) if group.tool == rule.tool => Ok(Some(shown.application_id)),
        Some(_) => Err(conflict("The group of the deployment is for another tool.")),
        None => Err(conflict("The deployment does not deploy a group of updates.")),
    }
}

/// The newest revision of a group that authors signed whom the trust bundle names now: by its version, and not by when it came.
async fn latest(
    site: &Site,
    conn: &mut Connection,
    id: ApplicationId,
) -> Result<Option<(ApplicationRow, String, UpdateGroup)>, SiteError> {
    let mut newest: Option<(ApplicationRow, String, UpdateGroup)> = None;
    for row in applications::of_id(conn, id).await? {
        let application = application::info(&row)?.application;
        let Some(group) = application.updates().cloned() else { continue };
        let is_newer = newest
            .as_ref()
            .is_none_or(|(_, version, _)| version::compare("rpm", &application.version, version).is_gt());
        // What nobody believes any more stands in nobody's way.
        if is_newer && application::believed(site, &row.object) {
            newest = Some((row, application.version, group));
        }
    }
    Ok(newest)
}

/// Removes a rule with its draft. What was signed and deployed stays.
///
/// # Errors
/// `unauthenticated`, `forbidden`, `not_found`.
pub async fn update_rule_delete(ctx: &Ctx, site: &Site, id: UpdateRuleId) -> Result<UpdateRuleInfo, SiteError> {
    authz::change(ctx)?;
    transaction!(site.store, "update_rule_delete", |tx| {
        let info = stored::get(tx.conn(), id).await?.ok_or_else(SiteError::not_found)?;
        stored::delete(tx, id).await?;
        let detail = format!("{} proposes no updates any more.", info.rule.name);
        audit::append(tx, ctx, "update_rule_delete", format!("update rule {id}"), detail).await?;
        Ok(info)
    })
}

/// Looks by a rule now.
///
/// # Errors
/// `unauthenticated`, `forbidden`, `not_found`.
pub async fn update_rule_look(ctx: &Ctx, site: &Site, id: UpdateRuleId) -> Result<UpdateRuleDetail, SiteError> {
    authz::change(ctx)?;
    let info = stored::get(&mut *site.store.reader().await?, id).await?.ok_or_else(SiteError::not_found)?;
    look(site, &info, ctx.now).await?;
    update_rule_show(ctx, site, id).await
}

/// An author signed a draft, and the application was added: it takes the place of the revision before in the deployment of the rule, where
/// the rule names one.
///
/// # Errors
/// `unauthenticated`, `forbidden`, `not_found`; `conflict`: the application is no revision of the group of this rule, an older one than the
/// newest, or the deployment is over or deploys something else.
pub async fn update_rule_signed(
    ctx: &Ctx,
    site: &Site,
    id: UpdateRuleId,
    signed: UpdateRuleSigned,
) -> Result<UpdateRuleDetail, SiteError> {
    authz::change(ctx)?;
    let info =
        transaction!(site.store, "update_rule_signed", |tx| { take(ctx, site, tx, id, signed.application).await })?;
    // What is kept is told, also where the next draft cannot be made.
    super::deployment::changed(site);
    look(site, &info, ctx.now).await?;
    update_rule_show(ctx, site, id).await
}

async fn take(ctx: &Ctx, site: &Site, tx: &mut Tx, id: UpdateRuleId, hash: Hash) -> Result<UpdateRuleInfo, SiteError> {
    let conflict = |detail: &str| SiteError::refused(Code::Conflict, detail);
    let info = stored::get(tx.conn(), id).await?.ok_or_else(SiteError::not_found)?;
    let row = super::deployment::find(applications::get(tx.conn(), hash).await?)?;
    let application = application::info(&row)?.application;
    if application.updates().is_none() || info.rule.application != Some(row.id) {
        return Err(conflict("This application is no revision of the group of this rule."));
    }
    // The site does not decide who is an author: the trust bundle does, now.
    if !application::believed(site, &row.object) {
        return Err(conflict("No author that the trust bundle names signed this application."));
    }
    if latest(site, tx.conn(), row.id).await?.is_some_and(|(newest, _, _)| newest.hash != hash) {
        return Err(conflict("A later revision of this group is here already."));
    }
    match info.rule.deployment {
        Some(deployment) => revise::revise(ctx, site, tx, deployment, &row, &application, &info).await?,
        None => {
            let detail = format!("Version {} of {} was signed.", application.version, info.rule.name);
            audit::append(tx, ctx, "update_rule_signed", format!("update rule {id}"), detail).await?;
        }
    }
    Ok(info)
}

/// What a rule proposes now is kept, or that it proposes nothing.
async fn look(site: &Site, info: &UpdateRuleInfo, now: UnixMillis) -> Result<(), SiteError> {
    let mut reader = site.store.reader().await?;
    let last = match info.rule.application {
        Some(application) => latest(site, &mut reader, application).await?,
        None => None,
    };
    let known = software_update::current(&mut reader, info.rule.tool.as_str()).await?;
    drop(reader);
    let before = last.as_ref().map(|(_, _, group)| group);
    let (group, left_out) = update_draft::proposed(&info.rule, &known, before, now);
    let changes = group.changes_since(before);
    let draft = (!changes.is_empty()).then(|| UpdateDraft {
        version: update_draft::next_version(last.as_ref().map(|(_, version, _)| version.as_str())),
        last: last.as_ref().map(|(row, _, _)| row.hash),
        group,
        changes,
        left_out,
    });
    let due = now.plus(i64::from(info.rule.every_hours) * HOUR);
    transaction!(site.store, "update_rule_look", |tx| {
        stored::looked(tx, info.id, draft.as_ref(), now, due).await?;
        Ok::<_, SiteError>(())
    })?;
    Ok(())
}

/// Looks by the rule whose time has come. `true`: there may be another one.
///
/// # Errors
/// When the store fails.
pub async fn update_rule_work(site: &Site, now: UnixMillis) -> Result<bool, SiteError> {
    let due = stored::due(&mut *site.store.reader().await?, now).await?;
    let Some(info) = due else { return Ok(false) };
    if let Err(error) = look(site, &info, now).await {
        // The next rule has its turn, and this one another one.
        transaction!(site.store, "update_rule_put_off", |tx| {
            stored::put_off(tx, info.id, now.plus(HOUR)).await?;
            Ok::<_, SiteError>(())
        })?;
        return Err(error);
    }
    Ok(true)
}

/// The packages of a signed group, each with what replaced it.
///
/// # Errors
/// `unauthenticated`, `not_found`; `conflict`: it is no group of updates.
pub async fn update_group_show(ctx: &Ctx, site: &Site, hash: Hash) -> Result<Page<UpdateGroupPackage>, SiteError> {
    authz::see(ctx)?;
    let mut reader = site.store.reader().await?;
    let row = super::deployment::find(applications::get(&mut reader, hash).await?)?;
    let application = application::info(&row)?.application;
    let Some(group) = application.updates() else {
        return Err(SiteError::refused(Code::Conflict, "This application is no group of updates."));
    };
    let known = software_update::current(&mut reader, group.tool.as_str()).await?;
    let items: Vec<UpdateGroupPackage> = update_draft::standing(group, &known);
    Ok(Page { total: items.len() as u64, items, offset: 0 })
}
