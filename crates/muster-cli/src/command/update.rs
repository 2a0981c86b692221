//! `muster update`: which software updates devices miss. What may be installed is signed as an application and deployed as one.

use super::{
    Context, Part,
    update_rule::{self, RuleCreate, RuleSign},
};
use crate::{CliError, output, when};
use clap::Subcommand;
use muster_model::api::{SoftwareUpdate, UpdateQuery};

#[derive(Debug, Subcommand)]
pub(super) enum Verb {
    /// List updates that devices miss, those that most of them miss first
    List {
        /// Part of the package's name
        #[arg(long, default_value = "", hide_default_value = true, value_name = "TEXT")]
        search: String,
        /// Only security updates
        #[arg(long)]
        security: bool,
        /// Those too that a later version replaced, or that no device is offered any more
        #[arg(long)]
        superseded: bool,
        #[command(flatten)]
        part: Part,
    },
    /// Show the packages of a signed group, and which of them a later version replaced
    Group {
        /// Hash, the beginning of it, the name, or name and version
        application: String,
    },
    /// List rules that propose groups of updates, and whose drafts wait for a signature
    Rules(Part),
    /// Show a rule with its draft
    Rule {
        /// Name or id
        rule: String,
    },
    /// Keep a rule that proposes a group of updates; it looks at once
    RuleCreate(RuleCreate),
    /// Remove a rule with its draft
    RuleDelete {
        /// Name or id
        rule: String,
    },
    /// Look by a rule now
    Look {
        /// Name or id
        rule: String,
    },
    /// Sign what a rule proposes, add it, and put it into the deployment of the rule
    Sign(RuleSign),
    /// Put what authors signed for a rule into the deployment of the rule
    Signed {
        /// Name or id of the rule
        rule: String,
        /// Hash, the beginning of it, or name and version
        application: String,
    },
}

impl Verb {
    pub(super) async fn run(self, ctx: &Context) -> Result<(), CliError> {
        let (search, security, superseded, part) = match self {
            Self::List { search, security, superseded, part } => (search, security, superseded, part),
            Self::Group { application } => return update_rule::group(ctx, &application).await,
            Self::Rules(part) => return update_rule::list(ctx, part).await,
            Self::Rule { rule } => return update_rule::show(ctx, &rule).await,
            Self::RuleCreate(rule) => return update_rule::create(ctx, rule).await,
            Self::RuleDelete { rule } => return update_rule::delete(ctx, &rule).await,
            Self::Look { rule } => return update_rule::look(ctx, &rule).await,
            Self::Sign(sign) => return update_rule::sign(ctx, sign).await,
            Self::Signed { rule, application } => return update_rule::signed(ctx, &rule, &application).await,
        };
        let page = part.query();
        let wanted = UpdateQuery { search, security, superseded, offset: page.offset, limit: page.limit };
        let found = ctx.client().await?.update_list(&wanted).await?;
        ctx.out.value(&found, |found| {
            let table = output::table(
                ["PACKAGE", "VERSION", "ARCH", "SECURITY", "DEVICES", "FIRST SEEN", "ORIGIN", "SUPERSEDED BY"],
                found.items.iter().map(line),
            );
            output::listed(&table, found.items.len(), found.total, page.offset, "No device misses an update.")
        })
    }
}

fn line(update: &SoftwareUpdate) -> [String; 8] {
    [
        update.package.clone(),
        update.version.clone(),
        update.architecture.clone(),
        if update.security { "yes" } else { "no" }.to_owned(),
        update.devices.to_string(),
        when::full(update.first_seen),
        update.origin.clone(),
        update.superseded_by.clone().unwrap_or_else(|| "-".to_owned()),
    ]
}
