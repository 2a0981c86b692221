//! Applications: what authors signed. The site checks and distributes them; it could not make one.

use crate::{Ctx, Site, SiteError, audit, authz};
use muster_model::{
    Signed,
    api::{ApplicationInfo, Page, PageQuery},
    application::{Application, Platform},
    id::Hash,
    problem::Code,
};
use muster_store::{
    Tx,
    db::{application, application::ApplicationRow, content_row},
    transaction,
};
use muster_trust::{Verified, envelope, envelope::EnvelopeError};

/// Adds a signed application. The same object again changes nothing.
///
/// # Errors
/// `unauthenticated`, `forbidden`; `too_large`; `malformed`: not a well-formed application; `author_unknown`: not signed by as
/// many authors of the trust bundle as it wants; `content_missing`: a file that it names is not there, and the sentence says which.
pub async fn application_create(ctx: &Ctx, site: &Site, object: &[u8]) -> Result<ApplicationInfo, SiteError> {
    authz::change(ctx)?;
    let verified = verify(site, object)?;
    let hash = muster_trust::sha256(object);
    if let Some(row) = application::get(&mut *site.store.reader().await?, hash).await? {
        return info(&row);
    }
    let (authors, application) = (verified.signers().to_vec(), verified.into_value());
    let row = ApplicationRow {
        hash,
        id: application.id,
        name: application.name.to_string(),
        version: application.version.clone(),
        object: object.to_vec(),
        authors,
        content_size: application.fetched_bytes(),
        created: ctx.now,
    };
    transaction!(site.store, "application_create", |tx| { insert(ctx, tx, &row, &application).await })?;
    info(&row)
}

fn verify(site: &Site, object: &[u8]) -> Result<Verified<Application>, SiteError> {
    if object.len() > site.limits.object_bytes {
        let detail = format!("A signed application may have at most {} bytes.", site.limits.object_bytes);
        return Err(SiteError::refused(Code::TooLarge, detail));
    }
    let trust = site.trust.load();
    let bundle = trust.bundle();
    let verified = envelope::open_json::<Application>(object, bundle.author_threshold(), |id| bundle.author_key(id))
        .map_err(|error| match error {
            EnvelopeError::Malformed | EnvelopeError::Key(_) => SiteError::refused(
                Code::Malformed,
                format!(
                    "This is not a signed application ({}). Sign it with `muster application sign`.",
                    Application::TYPE
                ),
            ),
            EnvelopeError::KeyUnknown | EnvelopeError::SignatureInvalid | EnvelopeError::BelowThreshold => {
                SiteError::refused(
                    Code::AuthorUnknown,
                    format!(
                        "The application is {error}. {} author(s) of the trust bundle must sign it.",
                        bundle.author_threshold()
                    ),
                )
            }
        })?;
    verified
        .value()
        .check()
        .map_err(|error| SiteError::refused(Code::Malformed, format!("The application: {error}.")))?;
    Ok(verified)
}

async fn insert(ctx: &Ctx, tx: &mut Tx, row: &ApplicationRow, application: &Application) -> Result<(), SiteError> {
    let hashes: Vec<Hash> = application.files().map(|file| file.hash).collect();
    let sizes = content_row::sizes(tx, &hashes).await?;
    for file in application.files() {
        match sizes.get(&file.hash) {
            None => {
                let detail =
                    format!("Content file {} ({}) is not there yet; upload it first.", file.name.as_str(), file.hash);
                return Err(SiteError::refused(Code::ContentMissing, detail));
            }
            Some(size) if *size != file.size => {
                let detail = format!(
                    "Content file {} has {size} bytes, and the application says {}.",
                    file.name.as_str(),
                    file.size
                );
                return Err(SiteError::refused(Code::Malformed, detail));
            }
            Some(_) => {}
        }
    }
    application::insert(tx, row, &hashes).await?;
    let detail =
        format!("Application {} {} was added; {} author(s) signed it.", row.name, row.version, row.authors.len());
    audit::append(tx, ctx, "application_create", format!("application {}", row.hash), detail).await
}

/// One page of all applications, by name.
///
/// # Errors
/// `unauthenticated`, `too_large`.
pub async fn application_list(ctx: &Ctx, site: &Site, query: PageQuery) -> Result<Page<ApplicationInfo>, SiteError> {
    authz::see(ctx)?;
    let page = site.page(query)?;
    let (rows, total) = application::list(&mut *site.store.reader().await?, page.offset, page.limit).await?;
    Ok(Page { items: rows.iter().map(info).collect::<Result<_, _>>()?, total, offset: page.offset })
}

/// One application.
///
/// # Errors
/// `unauthenticated`, `not_found`.
pub async fn application_show(ctx: &Ctx, site: &Site, hash: Hash) -> Result<ApplicationInfo, SiteError> {
    authz::see(ctx)?;
    let row = application::get(&mut *site.store.reader().await?, hash).await?;
    info(&row.ok_or_else(SiteError::not_found)?)
}

/// The object of an application, exactly as its authors signed it.
///
/// # Errors
/// `unauthenticated`, `not_found`.
pub async fn application_object(ctx: &Ctx, site: &Site, hash: Hash) -> Result<Vec<u8>, SiteError> {
    authz::see(ctx)?;
    let row = application::get(&mut *site.store.reader().await?, hash).await?;
    Ok(row.ok_or_else(SiteError::not_found)?.object)
}

/// A stored application.
pub(super) fn info(row: &ApplicationRow) -> Result<ApplicationInfo, SiteError> {
    // It was verified when it was added, and its hash is its name.
    let application = envelope::unverified_payload(&row.object)
        .ok()
        .and_then(|payload| serde_json::from_slice(&payload).ok())
        .ok_or_else(|| SiteError::Fault(format!("the stored application {} does not parse", row.hash)))?;
    Ok(ApplicationInfo {
        hash: row.hash,
        application,
        authors: row.authors.clone(),
        created: row.created,
        content_size: row.content_size,
    })
}

/// Whether authors whom the trust bundle names now signed this object.
pub(super) fn believed(site: &Site, object: &[u8]) -> bool {
    verify(site, object).is_ok()
}

/// What people call the systems of a platform.
#[must_use]
pub const fn platform_name(platform: Platform) -> &'static str {
    match platform {
        Platform::Linux => "Linux",
        Platform::Windows => "Windows",
        Platform::Macos => "macOS",
    }
}
