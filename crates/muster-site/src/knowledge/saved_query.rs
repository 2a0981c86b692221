//! Queries that administrators keep under a name, for all of them. Who may see may run them; who may change keeps them.

use super::query::{self, refused_wql};
use crate::{Ctx, SiteError, audit, authz, site::Site};
use muster_model::{
    api::{Page, PageQuery, QueryLanguage, QueryResult, QueryRun, QuerySave, QuerySql, SavedQuery, SavedQueryRun},
    id::SavedQueryId,
    limits,
    problem::Code,
    wql::{self, Schema},
};
use muster_store::{
    db::{saved_query, sql},
    transaction,
};

fn malformed(detail: impl Into<String>) -> SiteError {
    SiteError::refused(Code::Malformed, detail)
}

/// Looks at what is to be kept: a query that cannot be asked is none.
fn checked(site: &Site, save: &QuerySave) -> Result<(), SiteError> {
    if save.comment.chars().count() > limits::QUERY_COMMENT || save.comment.chars().any(char::is_control) {
        return Err(malformed(format!("A comment is one line of at most {} characters.", limits::QUERY_COMMENT)));
    }
    // `muster query run` tells a name from a query by this.
    if save.name.as_str().to_ascii_lowercase().starts_with("select ") {
        return Err(malformed("A name does not begin with the word select."));
    }
    match save.language {
        QueryLanguage::Wql => {
            let parsed = wql::parse(&save.query).map_err(|error| refused_wql(&save.query, &error))?;
            let schema = Schema::of(&site.catalogue.load());
            wql::check(&parsed, &schema).map(drop).map_err(|error| refused_wql(&save.query, &error))
        }
        QueryLanguage::Sql => sql::allowed(site.store.dialect(), &save.query).map(drop).map_err(query::refused_sql),
    }
}

/// A page of the queries that are kept, by name.
///
/// # Errors
/// `unauthenticated`, `too_large`.
pub async fn query_list(ctx: &Ctx, site: &Site, page: PageQuery) -> Result<Page<SavedQuery>, SiteError> {
    authz::see(ctx)?;
    let page = site.page(page)?;
    let (items, total) = saved_query::list(&mut *site.store.reader().await?, page).await?;
    Ok(Page { items, total, offset: page.offset })
}

/// A query that is kept.
///
/// # Errors
/// `unauthenticated`, `not_found`.
pub async fn query_show(ctx: &Ctx, site: &Site, id: SavedQueryId) -> Result<SavedQuery, SiteError> {
    authz::see(ctx)?;
    saved_query::get(&mut *site.store.reader().await?, id).await?.ok_or_else(SiteError::not_found)
}

/// Keeps a query; one of the same name that is there is replaced, and keeps its owner.
///
/// # Errors
/// `unauthenticated`, `forbidden`; `malformed`, with the place: it cannot be asked; `too_many`.
pub async fn query_save(ctx: &Ctx, site: &Site, save: QuerySave) -> Result<SavedQuery, SiteError> {
    let admin = authz::change(ctx)?;
    checked(site, &save)?;
    let fresh = SavedQueryId(site.sources.id());
    transaction!(site.store, "query_save", |tx| {
        let before = saved_query::by_name(tx, save.name.as_str()).await?;
        if before.is_none() && saved_query::total(tx).await? >= limits::SAVED_QUERIES {
            let detail = format!("A site keeps at most {} queries; delete some.", limits::SAVED_QUERIES);
            return Err(SiteError::refused(Code::TooMany, detail));
        }
        let row = SavedQuery {
            id: before.as_ref().map_or(fresh, |before| before.id),
            name: save.name.clone(),
            language: save.language,
            query: save.query.clone(),
            comment: save.comment.clone(),
            owner: before.as_ref().map_or_else(|| admin.name.to_string(), |before| before.owner.clone()),
            changed: ctx.now,
            changed_by: admin.name.to_string(),
            revision: before.as_ref().map_or(1, |before| before.revision + 1),
        };
        saved_query::put(tx, &row).await?;
        let did = if before.is_some() { "was changed" } else { "is kept" };
        let text: String = row.query.chars().take(limits::AUDIT_QUERY).collect();
        let detail = format!("The query {} ({}) {did}: {text}", row.name, row.language);
        audit::append(tx, ctx, "query_save", format!("query {}", row.id), detail).await?;
        Ok(row)
    })
}

/// Keeps a query no more.
///
/// # Errors
/// `unauthenticated`, `forbidden`, `not_found`.
pub async fn query_delete(ctx: &Ctx, site: &Site, id: SavedQueryId) -> Result<SavedQuery, SiteError> {
    authz::change(ctx)?;
    transaction!(site.store, "query_delete", |tx| {
        let row = saved_query::get(tx, id).await?.ok_or_else(SiteError::not_found)?;
        saved_query::delete(tx, id).await?;
        let detail = format!("The query {} of {} is kept no more.", row.name, row.owner);
        audit::append(tx, ctx, "query_delete", format!("query {id}"), detail).await?;
        Ok(row)
    })
}

/// Runs a query that is kept.
///
/// # Errors
/// `not_found`, and as the query's language has them.
pub async fn query_run_saved(
    ctx: &Ctx,
    site: &Site,
    id: SavedQueryId,
    request: SavedQueryRun,
) -> Result<QueryResult, SiteError> {
    let SavedQuery { query, language, .. } = query_show(ctx, site, id).await?;
    let SavedQueryRun { limit, utc_offset_minutes } = request;
    match language {
        QueryLanguage::Wql => query::query_run(ctx, site, QueryRun { query, limit, utc_offset_minutes }).await,
        QueryLanguage::Sql => query::query_sql(ctx, site, QuerySql { statement: query, limit }).await,
    }
}
