//! `muster title`: software under one name, whatever its packages and installers call it.

use super::{Context, Part};
use crate::{CliError, output};
use clap::Subcommand;
use muster_model::{
    api::{SoftwareTitle, TitleDetail, TitleQuery, TitleRules, TitleTest},
    limits::TITLE_RULES_BYTES,
};
use std::path::PathBuf;

#[derive(Debug, Subcommand)]
pub(super) enum Verb {
    /// List software, the most spread first
    List {
        /// Part of the product or publisher
        #[arg(long, default_value = "", hide_default_value = true, value_name = "TEXT")]
        search: String,
        #[command(flatten)]
        part: Part,
    },
    /// Show a title with its versions, the newest first
    Show {
        /// Its number, as the list has it
        id: u64,
    },
    /// Print your own rules as JSON
    Rules,
    /// Set your own rules, in the place of those before
    Teach {
        /// JSON file: {"products": [{"product", "publisher", "names"}], "publishers": [{"name", "spellings"}]}
        file: PathBuf,
    },
    /// Show what the rules make of a name
    Test {
        /// The name, as a package or an installer has it
        name: String,
        /// The version
        #[arg(long, default_value = "", hide_default_value = true)]
        version: String,
        /// The publisher
        #[arg(long, default_value = "", hide_default_value = true)]
        publisher: String,
        /// The package database: dpkg, rpm, apk, flatpak
        #[arg(long, default_value = "", hide_default_value = true)]
        source: String,
    },
}

impl Verb {
    pub(super) async fn run(self, ctx: &Context) -> Result<(), CliError> {
        match self {
            Self::List { search, part } => {
                let page = part.query();
                let wanted = TitleQuery { search, offset: page.offset, limit: page.limit };
                let found = ctx.client().await?.title_list(&wanted).await?;
                ctx.out.value(&found, |found| {
                    let table = output::table(
                        ["ID", "PRODUCT", "PUBLISHER", "DEVICES", "VERSIONS"],
                        found.items.iter().map(line),
                    );
                    output::listed(&table, found.items.len(), found.total, page.offset, "No software yet.")
                })
            }
            Self::Show { id } => ctx.out.value(&ctx.client().await?.title_show(id).await?, shown),
            Self::Rules => {
                let rules = ctx.client().await?.title_rules_show().await?;
                ctx.out.value(&rules, |rules| serde_json::to_string_pretty(rules).unwrap_or_default())
            }
            Self::Teach { file } => teach(ctx, &file).await,
            Self::Test { name, version, publisher, source } => {
                let test = TitleTest { name, version, publisher, source };
                let found = ctx.client().await?.title_test(&test).await?;
                ctx.out.value(&found, |found| {
                    output::pairs([
                        ("Product", found.product.clone()),
                        ("Publisher", found.publisher.clone()),
                        ("Version", found.version.clone()),
                        ("Architecture", found.architecture.clone()),
                        ("Language", found.language.clone()),
                    ])
                })
            }
        }
    }
}

fn line(title: &SoftwareTitle) -> [String; 5] {
    [
        title.id.to_string(),
        title.product.clone(),
        title.publisher.clone(),
        title.devices.to_string(),
        title.versions.to_string(),
    ]
}

fn shown(detail: &TitleDetail) -> String {
    let facts = [
        ("Product", detail.title.product.clone()),
        ("Publisher", detail.title.publisher.clone()),
        ("Devices", detail.title.devices.to_string()),
    ];
    let rows = detail.versions.iter().map(|v| [v.version.clone(), v.devices.to_string()]);
    format!("{}\n{}", output::pairs(facts), output::table(["VERSION", "DEVICES"], rows))
}

async fn teach(ctx: &Context, file: &std::path::Path) -> Result<(), CliError> {
    let bytes = crate::files::read_at_most(file, TITLE_RULES_BYTES)?;
    let rules: TitleRules = serde_json::from_slice(&bytes)
        .map_err(|error| CliError::Usage(format!("{} does not hold rules: {error}.", file.display())))?;
    rules.check().map_err(|error| CliError::Usage(format!("{}: {error}.", file.display())))?;
    let set = ctx.client().await?.title_rules_update(&rules).await?;
    ctx.out.value(&set, |set| {
        let (products, publishers) = (set.products.len(), set.publishers.len());
        format!("{products} rules of products and {publishers} of publishers are in force.")
    })
}
