//! `muster status`: status filter rules, what they send, and how parts of the agents do.

use super::{
    Context, Part,
    ask::confirm,
    find,
    message::{Least, parse_component, parse_id, parse_type},
};
use crate::{CliError, Client, output, when};
use clap::{Args, Subcommand};
use muster_model::{
    api::{
        ActionState, PageQuery, StatusAction, StatusActionQuery, StatusRule, StatusRuleChange, StatusRuleInfo,
        StatusThreshold,
    },
    id::{Name, StatusActionId, StatusRuleId},
    status::{Component, MessageId},
    status_catalogue::MessageType,
};
use std::collections::BTreeMap;

#[derive(Debug, Subcommand)]
pub(super) enum Verb {
    /// Keep a filter rule, after all others
    #[command(name = "rule-create")]
    Create(Box<Create>),
    /// List filter rules in their order, with how often each acted
    Rules {
        #[command(flatten)]
        part: Part,
    },
    /// Put a rule in force
    Enable {
        /// Name or id of the rule
        rule: String,
    },
    /// Put a rule out of force
    Disable {
        /// Name or id of the rule
        rule: String,
    },
    /// Put a rule to another place
    Move {
        /// Name or id of the rule
        rule: String,
        /// The place, from 1
        place: u64,
    },
    /// Remove a rule; what it has had sent stays
    #[command(name = "rule-delete")]
    Delete {
        /// Name or id of the rule
        rule: String,
    },
    /// List the targets that files of the server name
    Targets,
    /// List what is or was sent to targets, the latest first
    Actions {
        /// Only those that stand so: waiting, done, failed
        #[arg(long)]
        state: Option<ActionState>,
        #[command(flatten)]
        part: Part,
    },
    /// Send again what was given up
    Retry {
        /// Id of the action
        action: StatusActionId,
    },
    /// Show how many messages parts of the agents sent in the last day, and their thresholds
    Summary,
    /// Say from how many messages in an hour on a part does not do well
    Threshold {
        /// The part of the agents
        #[arg(value_parser = parse_component)]
        component: Component,
        /// So many warnings and errors are a warning [default: never]
        #[arg(long)]
        warning: Option<u64>,
        /// So many errors are critical [default: never]
        #[arg(long)]
        critical: Option<u64>,
    },
}

#[derive(Debug, Args)]
pub(super) struct Create {
    /// Name of the rule
    name: Name,
    /// Only messages of this part of the agent
    #[arg(long, value_parser = parse_component)]
    component: Option<Component>,
    /// Only messages of this kind: a code of `muster message catalogue`, or its number
    #[arg(long, value_name = "CODE", value_parser = parse_id)]
    message: Option<MessageId>,
    /// Only messages that are at least so serious
    #[arg(long)]
    severity: Option<Least>,
    /// Only messages of this type: audit, milestone, detail
    #[arg(long = "type", value_name = "TYPE", value_parser = parse_type)]
    kind: Option<MessageType>,
    /// Only messages of this device: id or host name
    #[arg(long)]
    device: Option<String>,
    /// Only messages of devices of this collection: id or name
    #[arg(long)]
    collection: Option<String>,
    /// Only messages that have this text in a value
    #[arg(long)]
    text: Option<String>,
    /// Only where the text is in the value of this name
    #[arg(long, value_name = "NAME", requires = "text")]
    value: Option<String>,
    /// Keep the message for so many days
    #[arg(long, value_name = "DAYS")]
    keep_days: Option<u32>,
    /// Do not keep the message
    #[arg(long, conflicts_with = "keep_days")]
    discard: bool,
    /// Raise an alert
    #[arg(long)]
    alert: bool,
    /// Send the message to this target: see `muster status targets`
    #[arg(long = "send", value_name = "TARGET")]
    targets: Vec<Name>,
    /// Rules after this one do not see the message
    #[arg(long)]
    stop: bool,
    /// How often in an hour it raises and sends at most
    #[arg(long, value_name = "COUNT", default_value_t = 60)]
    per_hour: u32,
}

async fn named(client: &Client, word: &str) -> Result<StatusRuleId, CliError> {
    if let Ok(id) = word.parse() {
        return Ok(id);
    }
    let mut offset = 0;
    loop {
        let page = client.status_rule_list(&PageQuery { offset, limit: 500 }).await?;
        if let Some(info) = page.items.iter().find(|info| info.rule.name.as_str() == word) {
            return Ok(info.id);
        }
        offset += page.items.len() as u64;
        if page.items.is_empty() || offset >= page.total {
            return Err(CliError::Found(format!("there is no rule {word:?}; `muster status rules` shows all")));
        }
    }
}

/// Which messages a rule is about.
fn about(rule: &StatusRule) -> String {
    let mut parts = Vec::new();
    parts.extend(rule.component.map(|component| format!("component {}", component.as_str())));
    parts.extend(rule.message.map(|id| id.as_str().to_owned()));
    parts.extend(rule.severity.map(|severity| format!("{} or worse", severity.as_str())));
    parts.extend(rule.kind.map(|kind| kind.as_str().to_owned()));
    parts.extend(rule.device.map(|device| format!("device {device}")));
    parts.extend(rule.collection.as_ref().map(|collection| format!("collection {collection}")));
    parts.extend(rule.text.as_ref().map(|text| match &rule.value {
        Some(value) => format!("{text:?} in {value}"),
        None => format!("{text:?} in a value"),
    }));
    if parts.is_empty() { "all messages".to_owned() } else { parts.join(", ") }
}

/// What a rule does.
fn does(rule: &StatusRule) -> String {
    let mut parts = Vec::new();
    parts.extend(rule.keep_days.map(|days| format!("keep {days} d")));
    parts.extend(rule.discard.then(|| "discard".to_owned()));
    parts.extend(rule.alert.then(|| "alert".to_owned()));
    parts.extend(rule.targets.iter().map(|target| format!("send to {target}")));
    parts.extend(rule.stop.then(|| "stop".to_owned()));
    parts.join(", ")
}

fn row(info: &StatusRuleInfo) -> [String; 7] {
    [
        info.place.to_string(),
        if info.rule.enabled { info.rule.name.to_string() } else { format!("{} (off)", info.rule.name) },
        about(&info.rule),
        does(&info.rule),
        info.matched.to_string(),
        format!("{} (at most {} an hour)", info.fired, info.rule.per_hour),
        info.dropped.to_string(),
    ]
}

const HEAD: [&str; 7] = ["PLACE", "RULE", "ABOUT", "DOES", "MESSAGES", "ACTED", "DROPPED"];

async fn create(ctx: &Context, wanted: Create) -> Result<(), CliError> {
    let client = ctx.client().await?;
    let device = match &wanted.device {
        Some(word) => Some(find::device(&client, word).await?),
        None => None,
    };
    let collection = match &wanted.collection {
        Some(word) => Some(find::collection(&client, word).await?),
        None => None,
    };
    let rule = StatusRule {
        name: wanted.name,
        enabled: true,
        component: wanted.component,
        message: wanted.message,
        severity: wanted.severity.map(Into::into),
        kind: wanted.kind,
        device,
        collection,
        text: wanted.text,
        value: wanted.value,
        keep_days: wanted.keep_days,
        discard: wanted.discard,
        alert: wanted.alert,
        targets: wanted.targets,
        stop: wanted.stop,
        per_hour: wanted.per_hour,
    };
    let made = client.status_rule_create(&rule).await?;
    ctx.out.value(&made, |made| output::table(HEAD, [row(made)]))
}

async fn change(ctx: &Context, word: &str, change: StatusRuleChange) -> Result<(), CliError> {
    let client = ctx.client().await?;
    let id = named(&client, word).await?;
    ctx.out.value(&client.status_rule_change(id, &change).await?, |info| output::table(HEAD, [row(info)]))
}

async fn summary(ctx: &Context) -> Result<(), CliError> {
    let client = ctx.client().await?;
    let (hours, thresholds) = (client.status_hours().await?, client.status_threshold_list().await?);
    let both = serde_json::json!({ "hours": hours, "thresholds": thresholds });
    ctx.out.value(&both, |_| {
        let mut all: BTreeMap<Component, [u64; 3]> = BTreeMap::new();
        for hour in &hours.items {
            let sum = all.entry(hour.component).or_default();
            for (sum, count) in sum.iter_mut().zip([hour.information, hour.warning, hour.error]) {
                *sum += count;
            }
        }
        let number = |most: Option<u64>| most.map_or_else(|| "-".to_owned(), |most| format!("{most} an hour"));
        let rows = thresholds.items.iter().map(|threshold| {
            let [information, warning, error] = all.get(&threshold.component).copied().unwrap_or_default();
            [
                threshold.component.as_str().to_owned(),
                information.to_string(),
                warning.to_string(),
                error.to_string(),
                number(threshold.warning),
                number(threshold.critical),
            ]
        });
        output::table(["COMPONENT", "INFORMATION", "WARNING", "ERROR", "WARNING FROM", "CRITICAL FROM"], rows)
    })
}

fn action(ctx: &Context, action: &StatusAction) -> [String; 8] {
    [
        action.id.to_string(),
        when::human(ctx.now, action.created),
        action.name.clone(),
        action.target.to_string(),
        action.state.to_string(),
        action.tries.to_string(),
        output::clean(&action.outcome),
        output::clean(&action.text),
    ]
}

impl Verb {
    pub(super) async fn run(self, ctx: &Context) -> Result<(), CliError> {
        match self {
            Self::Create(wanted) => create(ctx, *wanted).await,
            Self::Rules { part } => {
                let page = ctx.client().await?.status_rule_list(&part.query()).await?;
                ctx.out.value(&page, |page| {
                    let table = output::table(HEAD, page.items.iter().map(row));
                    output::listed(&table, page.items.len(), page.total, page.offset, "No filter rules.")
                })
            }
            Self::Enable { rule } => change(ctx, &rule, StatusRuleChange { enabled: Some(true), place: None }).await,
            Self::Disable { rule } => change(ctx, &rule, StatusRuleChange { enabled: Some(false), place: None }).await,
            Self::Move { rule, place } => {
                change(ctx, &rule, StatusRuleChange { enabled: None, place: Some(place) }).await
            }
            Self::Delete { rule } => {
                let client = ctx.client().await?;
                let id = named(&client, &rule).await?;
                confirm(ctx, "The rule is removed. What it has had sent, and alerts that it raised, stay.")?;
                client.status_rule_delete(id).await?;
                ctx.out.line("The rule is removed.")
            }
            Self::Targets => ctx.out.value(&ctx.client().await?.target_list().await?, |page| {
                let rows = page.items.iter().map(|target| {
                    [
                        target.name.to_string(),
                        target.kind.map(|kind| kind.to_string()).unwrap_or_default(),
                        target.problem.as_deref().map(output::clean).unwrap_or_default(),
                    ]
                });
                let table = output::table(["TARGET", "IS", "PROBLEM"], rows);
                let none = "No file of the server names a target.";
                output::listed(&table, page.items.len(), page.total, page.offset, none)
            }),
            Self::Actions { state, part } => {
                let wanted = StatusActionQuery { state, offset: part.offset, limit: part.limit };
                let page = ctx.client().await?.status_action_list(&wanted).await?;
                ctx.out.value(&page, |page| {
                    let head = ["ID", "SINCE", "RULE", "TARGET", "STATE", "TRIES", "OUTCOME", "WHAT"];
                    let table = output::table(head, page.items.iter().map(|one| action(ctx, one)));
                    output::listed(&table, page.items.len(), page.total, page.offset, "Nothing was sent.")
                })
            }
            Self::Retry { action } => {
                let shown = ctx.client().await?.status_action_retry(action).await?;
                ctx.out.value(&shown, |shown| format!("It is sent to {} again.", shown.target))
            }
            Self::Summary => summary(ctx).await,
            Self::Threshold { component, warning, critical } => {
                let wanted = StatusThreshold { component, warning, critical };
                let set = ctx.client().await?.status_threshold_set(&wanted).await?;
                ctx.out.value(&set, |set| format!("Thresholds of {} are set.", set.component.as_str()))
            }
        }
    }
}
