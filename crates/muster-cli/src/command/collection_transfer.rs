//! `muster collection import` and `export`: MOF files.

use super::{Context, find};
use crate::{CliError, Client, files, output};
use muster_model::{
    api::{CollectionExport, CollectionImported},
    limits, mof,
};
use std::path::Path;

pub(super) async fn import(ctx: &Context, client: &Client, path: &Path, what_if: bool) -> Result<(), CliError> {
    let file = files::read_at_most(path, limits::COLLECTION_IMPORT_BYTES as u64)?;
    let done = client.collection_import(file, what_if).await?;
    ctx.out.value(&done, said)
}

fn said(done: &CollectionImported) -> String {
    let rows = done.taken.iter().map(|taken| {
        let id = if done.what_if { String::new() } else { taken.id.to_string() };
        [output::clean(&taken.name), output::clean(&taken.was), id, taken.rules.to_string()]
    });
    let mut text = output::table(["TAKEN", "WAS", "IS", "RULES"], rows);
    for left in &done.left {
        let of =
            if left.collection.is_empty() { String::new() } else { format!("{}: ", output::clean(&left.collection)) };
        text.push_str(&format!("\nline {}, column {}: {of}{}", left.line, left.column, output::clean(&left.why)));
    }
    let (taken, left) = (done.taken.len(), done.left.len());
    let word = if done.what_if { "would be taken" } else { "were taken" };
    text.push_str(&format!("\n{taken} collection(s) {word}, {left} thing(s) not."));
    text
}

pub(super) async fn export(
    ctx: &Context,
    client: &Client,
    collection: Option<&str>,
    path: Option<&Path>,
) -> Result<(), CliError> {
    let collection = match collection {
        Some(word) => Some(find::collection(client, word).await?),
        None => None,
    };
    let exported = client.collection_export(&CollectionExport { collection }).await?;
    let Some(path) = path else {
        return ctx.out.value(&exported, |exported| exported.text.clone());
    };
    files::write_private(path, &mof::text::utf16(&exported.text), false)?;
    ctx.out.value(&exported, |exported| format!("{} collection(s) are in {}.", exported.collections, path.display()))
}
