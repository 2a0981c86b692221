//! `muster class`: inventory classes, those that are built in and those of administrators.

use super::{Context, ask::confirm};
use crate::{CliError, output, when};
use clap::Subcommand;
use muster_model::{
    api::{ClassOverview, Classes, InventoryClass},
    catalogue,
    limits::DEFINITION_BYTES,
};
use std::path::PathBuf;

#[derive(Debug, Subcommand)]
pub(super) enum Verb {
    /// Add the classes of a file, or attributes to classes that were added before
    Add {
        /// File with one class or a list of classes in JSON, or with custom inventory classes of Configuration Manager (MOF)
        file: PathBuf,
    },
    /// List the classes that administrators added, and what waits for classes that are not there
    List {
        /// Those that are built in too
        #[arg(long)]
        all: bool,
    },
    /// Show a class with its attributes
    Show {
        /// The name, for example INSTALLED_SOFTWARE
        name: String,
    },
    /// Retire a class: it takes no more reports, and what was reported stays
    Retire {
        /// The name
        name: String,
    },
}

impl Verb {
    pub(super) async fn run(self, ctx: &Context) -> Result<(), CliError> {
        match self {
            Self::Add { file } => add(ctx, &file).await,
            Self::List { all } => list(ctx, all).await,
            Self::Show { name } => {
                let class = ctx.client().await?.class_show(&name).await?;
                ctx.out.value(&class, |class| shown(ctx, class))
            }
            Self::Retire { name } => {
                let name = name.to_ascii_uppercase();
                confirm(ctx, &format!("Class {} takes no more reports.", output::clean(&name)))?;
                let class = ctx.client().await?.class_retire(&name).await?;
                ctx.out.value(&class, |class| format!("Class {} is retired.", class.name))
            }
        }
    }
}

async fn add(ctx: &Context, file: &std::path::Path) -> Result<(), CliError> {
    let bytes = crate::files::read_at_most(file, DEFINITION_BYTES as u64)?;
    let text = text(&bytes).ok_or_else(|| CliError::Usage(format!("{} is no text.", file.display())))?;
    let definitions = catalogue::definitions(&text).map_err(|error| CliError::Usage(format!("{error}.")))?;
    // All are looked at before the first one is sent.
    for definition in &definitions {
        definition
            .class()
            .map_err(|error| CliError::Usage(format!("Class {}: {error}.", output::clean(&definition.name))))?;
    }
    let client = ctx.client().await?;
    let mut added = Vec::new();
    for definition in &definitions {
        added.push(client.class_add(definition).await?);
    }
    ctx.out.value(&added, |added| {
        let line = |class: &InventoryClass| {
            let attributes = class.attributes.len();
            format!("Class {} is version {} with {attributes} attributes.", class.name, class.version)
        };
        added.iter().map(line).collect::<Vec<_>>().join("\n")
    })
}

/// A text in UTF-8, or in UTF-16 with its mark, as the MOF tools of Windows write it.
fn text(bytes: &[u8]) -> Option<String> {
    muster_model::mof::text::text(bytes).ok()
}

async fn list(ctx: &Context, all: bool) -> Result<(), CliError> {
    let mut classes = ctx.client().await?.class_list().await?;
    classes.items.retain(|class| all || class.version > 0);
    ctx.out.value(&classes, |classes| listed(ctx, classes))
}

fn listed(ctx: &Context, classes: &Classes) -> String {
    let row = |class: &ClassOverview| {
        [
            class.name.clone(),
            if class.version == 0 { "built in".to_owned() } else { class.version.to_string() },
            class.attributes.to_string(),
            class.changed.map(|changed| when::human(ctx.now, changed)).unwrap_or_default(),
            class.changed_by.clone().unwrap_or_default(),
            class.retired.map(|retired| when::human(ctx.now, retired)).unwrap_or_default(),
        ]
    };
    let mut text = if classes.items.is_empty() {
        "No class was added.".to_owned()
    } else {
        output::table(["NAME", "VERSION", "ATTRIBUTES", "CHANGED", "BY", "RETIRED"], classes.items.iter().map(row))
    };
    if !classes.waiting.is_empty() {
        let rows = classes
            .waiting
            .iter()
            .map(|w| [w.name.clone(), w.devices.to_string(), w.bytes.to_string(), when::human(ctx.now, w.received)]);
        text.push_str("\n\nNot known, and waiting to be added:\n");
        text.push_str(&output::table(["NAME", "DEVICES", "BYTES", "LAST"], rows));
    }
    text
}

fn shown(ctx: &Context, class: &InventoryClass) -> String {
    let version = if class.version == 0 { "built in".to_owned() } else { class.version.to_string() };
    let facts = [
        ("Name", Some(class.name.clone())),
        ("View", Some(format!("v_GS_{}", class.name))),
        ("Provider", Some(class.provider.clone())),
        ("Version", Some(version)),
        ("Changed", class.changed.map(|changed| when::human(ctx.now, changed))),
        ("By", class.changed_by.clone()),
        ("Retired", class.retired.map(|retired| when::human(ctx.now, retired))),
    ];
    let facts = facts.into_iter().filter_map(|(name, value)| Some((name, value?)));
    let rows = class.attributes.iter().map(|attribute| {
        [attribute.name.clone(), attribute.kind.clone(), if attribute.key { "key" } else { "" }.to_owned()]
    });
    format!("{}\n\n{}", output::pairs(facts).trim_end(), output::table(["ATTRIBUTE", "TYPE", "KEY"], rows))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn texts_of_both_worlds_are_read() {
        assert_eq!(text("é".as_bytes()).as_deref(), Some("é"));
        assert_eq!(text(&[0xff, 0xfe, b'a', 0, 0xe9, 0]).as_deref(), Some("aé"));
        assert_eq!(text(&[0xfe, 0xff, 0, b'a']).as_deref(), Some("a"));
        assert_eq!(text(&[0xff, 0xfe, 0, 0xd8]), None);
        assert_eq!(text(&[0xc3]), None);
    }
}
