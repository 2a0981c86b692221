//! Configuration baselines: what authors signed. The site checks and distributes them; it could not make one.

use crate::{Ctx, Site, SiteError, audit, authz};
use muster_model::{
    Signed,
    api::{BaselineInfo, Page, PageQuery},
    baseline::Baseline,
    compliance::outline,
    id::Hash,
    limits,
    problem::Code,
};
use muster_store::{
    Tx,
    bus::{Notice, Noun},
    db::{
        baseline::{self, BaselineRow},
        baseline_deployment,
    },
    transaction,
};
use muster_trust::{Verified, envelope, envelope::EnvelopeError};

/// Adds a signed baseline. The same object again changes nothing.
///
/// # Errors
/// `unauthenticated`, `forbidden`; `too_large`; `malformed`: not a well-formed baseline; `author_unknown`: not signed by as many
/// authors of the trust bundle as it wants, or as clients want of what runs programs; `too_many`.
pub async fn baseline_create(ctx: &Ctx, site: &Site, object: &[u8]) -> Result<BaselineInfo, SiteError> {
    authz::change(ctx)?;
    let verified = verify(site, object)?;
    let hash = muster_trust::sha256(object);
    if let Some(row) = baseline::get(&mut *site.store.reader().await?, hash).await? {
        return info(&row);
    }
    let (authors, value) = (verified.signers().to_vec(), verified.into_value());
    let row = BaselineRow {
        hash,
        id: value.id,
        name: value.name.to_string(),
        version: value.version.clone(),
        object: object.to_vec(),
        authors,
        outline: outline(&value),
        created: ctx.now,
    };
    transaction!(site.store, "baseline_create", |tx| { insert(ctx, tx, &row).await })?;
    info(&row)
}

fn verify(site: &Site, object: &[u8]) -> Result<Verified<Baseline>, SiteError> {
    if object.len() > site.limits.object_bytes {
        let detail = format!("A signed baseline may have at most {} bytes.", site.limits.object_bytes);
        return Err(SiteError::refused(Code::TooLarge, detail));
    }
    let trust = site.trust.load();
    let bundle = trust.bundle();
    let verified = envelope::open_json::<Baseline>(object, bundle.author_threshold(), |id| bundle.author_key(id))
        .map_err(|error| match error {
            EnvelopeError::Malformed | EnvelopeError::Key(_) => SiteError::refused(
                Code::Malformed,
                format!("This is not a signed baseline ({}). Sign it with `muster baseline sign`.", Baseline::TYPE),
            ),
            EnvelopeError::KeyUnknown | EnvelopeError::SignatureInvalid | EnvelopeError::BelowThreshold => {
                let wanted = bundle.author_threshold();
                SiteError::refused(
                    Code::AuthorUnknown,
                    format!("The baseline is {error}. {wanted} author(s) of the trust bundle must sign it."),
                )
            }
        })?;
    let value = verified.value();
    value.check().map_err(|error| SiteError::refused(Code::Malformed, format!("The baseline: {error}.")))?;
    // Clients refuse to run it anyway; who adds it shall hear of it now.
    let wanted = bundle.script_threshold();
    if value.can_run() && verified.signers().len() < wanted {
        let detail = format!(
            "The baseline runs programs, or writes files or parameters of the kernel, which {wanted} different authors of the \
             trust bundle must sign: nobody approves what is his own. `muster baseline cosign` adds a signature."
        );
        return Err(SiteError::refused(Code::AuthorUnknown, detail));
    }
    Ok(verified)
}

async fn insert(ctx: &Ctx, tx: &mut Tx, row: &BaselineRow) -> Result<(), SiteError> {
    if baseline::count(tx.conn()).await? >= limits::BASELINES {
        let detail = format!("A site has at most {} baselines.", limits::BASELINES);
        return Err(SiteError::refused(Code::TooMany, detail));
    }
    baseline::insert(tx, row).await?;
    let detail = format!(
        "Baseline {} {} with {} setting(s) was added; {} author(s) signed it.",
        row.name,
        row.version,
        row.outline.len(),
        row.authors.len()
    );
    audit::append(tx, ctx, "baseline_create", format!("baseline {}", row.hash), detail).await
}

/// Deletes a baseline that no deployment in force names. Devices keep what was put right.
///
/// # Errors
/// `unauthenticated`, `forbidden`, `not_found`; `conflict`: devices are held against it.
pub async fn baseline_delete(ctx: &Ctx, site: &Site, hash: Hash) -> Result<(), SiteError> {
    authz::change(ctx)?;
    transaction!(site.store, "baseline_delete", |tx| { delete(ctx, tx, hash).await })?;
    site.bus.publish(Notice::Changed(Noun::Deployment));
    Ok(())
}

async fn delete(ctx: &Ctx, tx: &mut Tx, hash: Hash) -> Result<(), SiteError> {
    let row = baseline::get(tx.conn(), hash).await?.ok_or_else(SiteError::not_found)?;
    // First, so that nobody deploys it meanwhile.
    if !baseline::delete(tx, hash, ctx.now).await? {
        return Err(SiteError::not_found());
    }
    let deployed = baseline_deployment::count_of(tx.conn(), hash).await?;
    if deployed > 0 {
        let detail = format!(
            "Devices are held against {} {} by {deployed} deployment(s); delete these first.",
            row.name, row.version
        );
        return Err(SiteError::refused(Code::Conflict, detail));
    }
    let detail = format!("Baseline {} {} was deleted.", row.name, row.version);
    audit::append(tx, ctx, "baseline_delete", format!("baseline {hash}"), detail).await
}

/// One page of all baselines, by name.
///
/// # Errors
/// `unauthenticated`, `too_large`.
pub async fn baseline_list(ctx: &Ctx, site: &Site, query: PageQuery) -> Result<Page<BaselineInfo>, SiteError> {
    authz::see(ctx)?;
    let page = site.page(query)?;
    let (rows, total) = baseline::list(&mut *site.store.reader().await?, page.offset, page.limit).await?;
    Ok(Page { items: rows.iter().map(info).collect::<Result<_, _>>()?, total, offset: page.offset })
}

/// One baseline.
///
/// # Errors
/// `unauthenticated`, `not_found`.
pub async fn baseline_show(ctx: &Ctx, site: &Site, hash: Hash) -> Result<BaselineInfo, SiteError> {
    authz::see(ctx)?;
    let row = baseline::get(&mut *site.store.reader().await?, hash).await?;
    info(&row.ok_or_else(SiteError::not_found)?)
}

/// The object of a baseline, exactly as its authors signed it.
///
/// # Errors
/// `unauthenticated`, `not_found`.
pub async fn baseline_object(ctx: &Ctx, site: &Site, hash: Hash) -> Result<Vec<u8>, SiteError> {
    authz::see(ctx)?;
    let row = baseline::get(&mut *site.store.reader().await?, hash).await?;
    Ok(row.ok_or_else(SiteError::not_found)?.object)
}

/// A stored baseline.
pub(crate) fn info(row: &BaselineRow) -> Result<BaselineInfo, SiteError> {
    // It was verified when it was added, and its hash is its name.
    let value = envelope::unverified_payload(&row.object)
        .ok()
        .and_then(|payload| serde_json::from_slice(&payload).ok())
        .ok_or_else(|| SiteError::Fault(format!("the stored baseline {} does not parse", row.hash)))?;
    Ok(BaselineInfo { hash: row.hash, baseline: value, authors: row.authors.clone(), created: row.created })
}
