//! `muster message`: what devices said happened.

use super::{Context, Part, find};
use crate::{CliError, output, when};
use clap::{Subcommand, ValueEnum};
use muster_model::{api::MessageQuery, status::Severity};

#[derive(Debug, Subcommand)]
pub(super) enum Verb {
    /// List status messages, the newest first
    List {
        /// Only of this device: id or host name
        #[arg(long)]
        device: Option<String>,
        /// At least this serious
        #[arg(long)]
        severity: Option<Least>,
        #[command(flatten)]
        part: Part,
    },
}

#[derive(Debug, Clone, Copy, ValueEnum)]
pub(super) enum Least {
    Information,
    Warning,
    Error,
}

impl Verb {
    pub(super) async fn run(self, ctx: &Context) -> Result<(), CliError> {
        let Self::List { device, severity, part } = self;
        let client = ctx.client().await?;
        let device = match device {
            Some(word) => Some(find::device(&client, &word).await?),
            None => None,
        };
        let severity = severity.map(|least| match least {
            Least::Information => Severity::Information,
            Least::Warning => Severity::Warning,
            Least::Error => Severity::Error,
        });
        let wanted = MessageQuery { device, severity, offset: part.offset, limit: part.limit };
        let page = client.message_list(&wanted).await?;
        ctx.out.value(&page, |page| {
            let rows = page.items.iter().map(|m| {
                [
                    when::full(m.time),
                    m.device_name.clone(),
                    m.component.clone(),
                    m.severity.as_str().to_owned(),
                    m.text.clone(),
                ]
            });
            let table = output::table(["TIME", "DEVICE", "COMPONENT", "SEVERITY", "WHAT"], rows);
            output::listed(&table, page.items.len(), page.total, page.offset, "No messages.")
        })
    }
}
