//! Collections that come and go as MOF text.

use super::{
    format,
    shell::Shell,
    visit::{Answer, Fields, Visit},
};
use askama::Template;
use axum::response::IntoResponse as _;
use http::header;
use muster_model::{
    api::{CollectionExport, CollectionImport, CollectionImported},
    problem::Code,
};

/// `GET /collections/import`, and what came of it.
#[derive(Debug, Template)]
#[template(path = "collection_import.html")]
pub(crate) struct ImportPage {
    /// What surrounds the page.
    pub(crate) shell: Shell,
    /// What came of it.
    pub(crate) done: Option<CollectionImported>,
    /// What was wrong with the text.
    pub(crate) problem: Option<String>,
    /// What was in the form.
    pub(crate) fields: ImportFields,
}

/// The form.
#[derive(Debug, Default, serde::Deserialize)]
pub(crate) struct ImportFields {
    #[serde(default)]
    pub(crate) text: String,
    #[serde(default)]
    pub(crate) make: String,
}

/// `GET /collections/import`
pub(crate) async fn form(visit: Visit) -> Answer {
    let shell = visit.shell("collections").await?;
    visit.page(&ImportPage { shell, done: None, problem: None, fields: ImportFields::default() })
}

/// `POST /collections/import`
pub(crate) async fn collection_import(visit: Visit, Fields(fields): Fields<ImportFields>) -> Answer {
    let request = CollectionImport { text: fields.text.clone(), what_if: fields.make.is_empty() };
    let (done, problem) = match muster_site::collection_import(&visit.ctx, visit.site(), &request).await {
        Ok(done) => (Some(done), None),
        Err(error) if matches!(error.code(), Code::Malformed | Code::Conflict | Code::TooLarge) => {
            (None, Some(error.problem().detail))
        }
        Err(error) => return Err(visit.refuse(error)),
    };
    let shell = visit.shell("collections").await?;
    visit.page(&ImportPage { shell, done, problem, fields })
}

/// `GET /collections/export`
pub(crate) async fn collection_export(visit: Visit) -> Answer {
    let exported = muster_site::collection_export(&visit.ctx, visit.site(), &CollectionExport::default()).await;
    let text = visit.ask(exported)?.text;
    let headers = [
        (header::CONTENT_TYPE, "text/plain; charset=utf-8"),
        (header::CONTENT_DISPOSITION, "attachment; filename=\"collections.mof\""),
    ];
    Ok((headers, text).into_response())
}
