//! `muster message`: what devices said happened.

use super::{Context, Part, find};
use crate::{CliError, output, when};
use clap::{Subcommand, ValueEnum};
use muster_model::{
    api::MessageQuery,
    status::{Component, MessageId, Severity},
    status_catalogue::MessageType,
};

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
        /// Only of this part of the agent
        #[arg(long, value_parser = parse_component)]
        component: Option<Component>,
        /// Only of this type: audit, milestone, detail
        #[arg(long = "type", value_name = "TYPE", value_parser = parse_type)]
        kind: Option<MessageType>,
        /// Only of this kind: a code of `muster message catalogue`
        #[arg(long, value_name = "CODE", value_parser = parse_id)]
        id: Option<MessageId>,
        /// Only what came in the last: 30m, 12h, 7d
        #[arg(long, value_name = "LENGTH", value_parser = when::parse_length)]
        since: Option<i64>,
        /// Only what is before this key: that of the last row that you have
        #[arg(long, value_name = "KEY")]
        before: Option<u64>,
        #[command(flatten)]
        part: Part,
    },
    /// Show a status message with its values
    Show {
        /// Its key, as `muster message list` shows it
        key: u64,
    },
    /// List every kind of status message
    Catalogue,
}

pub(super) fn parse_component(text: &str) -> Result<Component, String> {
    let known = Component::ALL.iter().copied().find(|known| known.as_str() == text);
    let words: Vec<_> = Component::ALL.iter().map(|known| known.as_str()).collect();
    known.ok_or_else(|| format!("{text:?} is not one of {}", words.join(", ")))
}

pub(super) fn parse_type(text: &str) -> Result<MessageType, String> {
    let known = MessageType::ALL.iter().copied().find(|known| known.as_str() == text);
    known.ok_or_else(|| format!("{text:?} is not one of audit, milestone, detail"))
}

/// A code, or its number.
pub(super) fn parse_id(text: &str) -> Result<MessageId, String> {
    let is_it = |id: &&MessageId| id.as_str() == text || id.entry().number.to_string() == text;
    let known = MessageId::ALL.iter().find(is_it).copied();
    known.ok_or_else(|| format!("{text:?} is no kind of message; `muster message catalogue` shows all"))
}

#[derive(Debug, Clone, Copy, ValueEnum)]
pub(super) enum Least {
    Information,
    Warning,
    Error,
}

impl From<Least> for Severity {
    fn from(least: Least) -> Self {
        match least {
            Least::Information => Self::Information,
            Least::Warning => Self::Warning,
            Least::Error => Self::Error,
        }
    }
}

async fn show(ctx: &Context, key: u64) -> Result<(), CliError> {
    ctx.out.value(&ctx.client().await?.message_show(key).await?, |m| {
        let number = m.number.map(|number| format!(" ({number})")).unwrap_or_default();
        let mut text = output::pairs([
            ("Message", format!("{}{number}", m.id)),
            ("What", output::clean(&m.text)),
            ("Severity", m.severity.as_str().to_owned()),
            ("Type", m.kind.map(|kind| kind.as_str().to_owned()).unwrap_or_default()),
            ("Component", m.component.clone()),
            ("Device", format!("{} ({})", output::clean(&m.device_name), m.device)),
            ("Happened", when::both(ctx.now, m.time)),
            ("Received", when::both(ctx.now, m.received)),
        ]);
        let rows = m.values.iter().map(|(name, value)| [output::clean(name), output::clean(value)]);
        text.push('\n');
        text.push_str(&output::table(["VALUE", "IS"], rows));
        text
    })
}

async fn catalogue(ctx: &Context) -> Result<(), CliError> {
    ctx.out.value(&ctx.client().await?.message_catalogue().await?, |page| {
        let rows = page.items.iter().map(|entry| {
            [
                entry.number.to_string(),
                entry.id.clone(),
                entry.component.as_str().to_owned(),
                entry.severity.as_str().to_owned(),
                entry.kind.as_str().to_owned(),
                entry.sentence.clone(),
            ]
        });
        let table = output::table(["NUMBER", "CODE", "COMPONENT", "SEVERITY", "TYPE", "SENTENCE"], rows);
        output::listed(&table, page.items.len(), page.total, page.offset, "No kinds.")
    })
}

impl Verb {
    pub(super) async fn run(self, ctx: &Context) -> Result<(), CliError> {
        let (device, severity, component, kind, id, since, before, part) = match self {
            Self::List { device, severity, component, kind, id, since, before, part } => {
                (device, severity, component, kind, id, since, before, part)
            }
            Self::Show { key } => return show(ctx, key).await,
            Self::Catalogue => return catalogue(ctx).await,
        };
        let client = ctx.client().await?;
        let device = match device {
            Some(word) => Some(find::device(&client, &word).await?),
            None => None,
        };
        let since = since.map(|length| ctx.now.plus(-length));
        let severity = severity.map(Severity::from);
        let (offset, limit) = (part.offset, part.limit);
        let wanted = MessageQuery { device, severity, component, kind, id, since, before, offset, limit };
        let page = client.message_list(&wanted).await?;
        ctx.out.value(&page, |page| {
            let rows = page.items.iter().map(|m| {
                [
                    m.key.to_string(),
                    when::full(m.time),
                    m.device_name.clone(),
                    m.component.clone(),
                    m.severity.as_str().to_owned(),
                    m.text.clone(),
                ]
            });
            let table = output::table(["KEY", "TIME", "DEVICE", "COMPONENT", "SEVERITY", "WHAT"], rows);
            output::listed(&table, page.items.len(), page.total, page.offset, "No messages.")
        })
    }
}
