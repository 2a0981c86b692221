//! `muster update`: rules that propose groups of updates, and the one command by which an author signs what a rule proposes.

use super::{Context, Part, application, ask::confirm, find};
use crate::{CliError, Client, author, files, output, when};
use clap::Args;
use muster_model::{
    api::{PageQuery, UpdateDraft, UpdateRule, UpdateRuleDetail, UpdateRuleInfo, UpdateRuleSigned},
    application::{Application, Command, Detection, Platform},
    id::{Name, UpdateRuleId},
    time::HOUR,
    update::{UPDATES, UpdateGroup, UpdateTool},
};
use muster_trust::{envelope, sha256};
use std::path::PathBuf;

#[derive(Debug, Args)]
pub(super) struct RuleCreate {
    /// Name of the rule, and of the group
    name: Name,
    /// The tool: apt or dnf
    #[arg(long, value_parser = parse_tool, default_value = "apt")]
    tool: UpdateTool,
    /// Only security updates
    #[arg(long)]
    security: bool,
    /// Only of these origins, with * and ?: Debian-Security:*
    #[arg(long, value_name = "PATTERN")]
    origin: Vec<String>,
    /// Only these packages, with * and ?
    #[arg(long, value_name = "PATTERN")]
    package: Vec<String>,
    /// Never these packages, with * and ?
    #[arg(long, value_name = "PATTERN")]
    exclude: Vec<String>,
    /// Only what the site has known for so long: 12h, 7d
    #[arg(long, value_name = "LENGTH", value_parser = when::parse_length)]
    min_age: Option<i64>,
    /// Only what is missing on so many devices
    #[arg(long, value_name = "COUNT", default_value_t = 1)]
    min_devices: u64,
    /// How often is looked: 12h, 7d
    #[arg(long, value_name = "LENGTH", value_parser = when::parse_length, default_value = "1d")]
    every: i64,
    /// Exactly the proposed versions, and no later ones
    #[arg(long)]
    exact: bool,
    /// Packages may come along that were not there
    #[arg(long)]
    allow_new: bool,
    /// Packages may be removed
    #[arg(long)]
    allow_removals: bool,
    /// How long an installation may run
    #[arg(long, value_name = "SECONDS", default_value_t = 3_600)]
    max_run_seconds: u32,
    /// The deployment, id or name, in which a signed draft takes the place of the revision before
    #[arg(long, value_name = "DEPLOYMENT")]
    deployment: Option<String>,
    /// The group that it goes on with: an application [default: that of the deployment, or a new one]
    #[arg(long, value_name = "APPLICATION")]
    group: Option<String>,
}

#[derive(Debug, Args)]
pub(super) struct RuleSign {
    /// Name or id of the rule
    rule: String,
    /// The author's key [default: the profile's]
    #[arg(long, value_name = "FILE")]
    key: Option<PathBuf>,
    /// Write the signed application here and hand nothing in: where another author has to sign it, too
    #[arg(long, value_name = "FILE")]
    out: Option<PathBuf>,
}

fn parse_tool(text: &str) -> Result<UpdateTool, String> {
    let known = [UpdateTool::Apt, UpdateTool::Dnf].into_iter().find(|tool| tool.as_str() == text);
    known.ok_or_else(|| format!("{text:?} is not one of apt, dnf"))
}

/// Whole hours, at least one.
fn hours(length: i64) -> u32 {
    u32::try_from((length + HOUR - 1) / HOUR).unwrap_or(u32::MAX)
}

async fn rule_named(client: &Client, word: &str) -> Result<UpdateRuleId, CliError> {
    if let Ok(id) = word.parse() {
        return Ok(id);
    }
    let all = client.update_rule_list(&PageQuery { offset: 0, limit: 200 }).await?.items;
    let found = all.into_iter().find(|info| info.rule.name.as_str() == word);
    let none = || CliError::Found(format!("there is no rule {word:?}; `muster update rules` shows all"));
    found.map(|info| info.id).ok_or_else(none)
}

pub(super) async fn create(ctx: &Context, rule: RuleCreate) -> Result<(), CliError> {
    let client = ctx.client().await?;
    let deployment = match &rule.deployment {
        Some(word) => Some(find::deployment(&client, word).await?),
        None => None,
    };
    let application = match &rule.group {
        Some(word) => Some(find::application(&client, word).await?.application.id),
        None => None,
    };
    let rule = UpdateRule {
        name: rule.name,
        tool: rule.tool,
        security: rule.security,
        origins: rule.origin,
        names: rule.package,
        exclude: rule.exclude,
        min_age_hours: rule.min_age.map(hours).unwrap_or_default(),
        min_devices: rule.min_devices,
        every_hours: hours(rule.every),
        exact: rule.exact,
        allow_new: rule.allow_new,
        allow_removals: rule.allow_removals,
        max_run_seconds: rule.max_run_seconds,
        application,
        deployment,
    };
    let made = client.update_rule_create(&rule).await?;
    ctx.out.value(&made, |made| shown(ctx, made))
}

pub(super) async fn list(ctx: &Context, part: Part) -> Result<(), CliError> {
    let page = part.query();
    let found = ctx.client().await?.update_rule_list(&page).await?;
    ctx.out.value(&found, |found| {
        let line = |info: &UpdateRuleInfo| {
            [
                info.rule.name.to_string(),
                criteria(&info.rule),
                format!("{} h", info.rule.every_hours),
                info.looked.map_or_else(|| "-".to_owned(), |looked| when::human(ctx.now, looked)),
                match info.drafted {
                    Some(since) => format!("{} package(s), since {}", info.changes, when::human(ctx.now, since)),
                    None => "-".to_owned(),
                },
                info.rule.deployment.map_or_else(|| "-".to_owned(), |id| id.to_string()),
            ]
        };
        let head = ["RULE", "TAKES", "EVERY", "LOOKED", "WAITS FOR A SIGNATURE", "DEPLOYMENT"];
        let table = output::table(head, found.items.iter().map(line));
        output::listed(&table, found.items.len(), found.total, page.offset, "No rule proposes updates.")
    })
}

fn criteria(rule: &UpdateRule) -> String {
    let mut parts = vec![if rule.security { "security updates" } else { "all updates" }.to_owned()];
    let patterns = |what: &str, patterns: &[String]| format!("{what} {}", patterns.join(", "));
    if !rule.origins.is_empty() {
        parts.push(patterns("of", &rule.origins));
    }
    if !rule.names.is_empty() {
        parts.push(patterns("packages", &rule.names));
    }
    if !rule.exclude.is_empty() {
        parts.push(patterns("but not", &rule.exclude));
    }
    if rule.min_age_hours > 0 {
        parts.push(format!("known for {} h", rule.min_age_hours));
    }
    if rule.min_devices > 1 {
        parts.push(format!("missing on {} devices", rule.min_devices));
    }
    format!("{} ({})", parts.join(", "), rule.tool.as_str())
}

fn shown(ctx: &Context, detail: &UpdateRuleDetail) -> String {
    let UpdateRuleDetail { info, draft } = detail;
    let mut text = output::pairs([
        ("Rule", format!("{} ({})", info.rule.name, info.id)),
        ("Takes", criteria(&info.rule)),
        ("Every", format!("{} hour(s)", info.rule.every_hours)),
        ("Made", format!("{} by {}", when::both(ctx.now, info.created), info.created_by)),
        ("Deployment", info.rule.deployment.map_or_else(|| "none".to_owned(), |id| id.to_string())),
    ]);
    match draft {
        None => text.push_str("\nNothing is new since the last signed revision.\n"),
        Some(draft) => {
            text.push_str(&format!("\nVersion {} waits for a signature. New in it:\n", output::clean(&draft.version)));
            for change in &draft.changes {
                text.push_str(&format!("  {}\n", output::clean(&change.sentence())));
            }
            if draft.left_out > 0 {
                text.push_str(&format!("{} more update(s) found no place in it.\n", draft.left_out));
            }
            text.push_str(&format!("\nNext, an author: muster update sign {}\n", info.id));
        }
    }
    text
}

pub(super) async fn show(ctx: &Context, word: &str) -> Result<(), CliError> {
    let client = ctx.client().await?;
    let id = rule_named(&client, word).await?;
    ctx.out.value(&client.update_rule_show(id).await?, |detail| shown(ctx, detail))
}

pub(super) async fn look(ctx: &Context, word: &str) -> Result<(), CliError> {
    let client = ctx.client().await?;
    let id = rule_named(&client, word).await?;
    ctx.out.value(&client.update_rule_look(id).await?, |detail| shown(ctx, detail))
}

pub(super) async fn delete(ctx: &Context, word: &str) -> Result<(), CliError> {
    let client = ctx.client().await?;
    let id = rule_named(&client, word).await?;
    confirm(ctx, "The rule and its draft are removed. What was signed and deployed stays.")?;
    ctx.out.value(&client.update_rule_delete(id).await?, |info| format!("{} is removed.", info.rule.name))
}

/// The revision before, as its authors signed it, and not as the site tells of it.
async fn before(client: &Client, draft: &UpdateDraft) -> Result<Option<UpdateGroup>, CliError> {
    let Some(hash) = &draft.last else { return Ok(None) };
    let found = |what: &str| CliError::Found(format!("the site handed out {what}; nothing was signed"));
    let object = client.application_object(hash).await?;
    if sha256(&object) != *hash {
        return Err(found("another revision before than it names"));
    }
    let payload = envelope::unverified_payload(&object).map_err(|_| found("a revision that does not parse"))?;
    let application: Application =
        serde_json::from_slice(&payload).map_err(|_| found("a revision that does not parse"))?;
    Ok(application.updates().cloned())
}

/// `muster update sign`: what is new is computed here, of what will be signed and of what was signed before.
pub(super) async fn sign(ctx: &Context, sign: RuleSign) -> Result<(), CliError> {
    let client = ctx.client().await?;
    let id = rule_named(&client, &sign.rule).await?;
    let detail = client.update_rule_show(id).await?;
    let Some(draft) = detail.draft else {
        return Err(CliError::Found("nothing is new since the last signed revision".to_owned()));
    };
    let rule = detail.info.rule;
    let Some(application_id) = rule.application else {
        return Err(CliError::Found("the site names no group for this rule; nothing was signed".to_owned()));
    };
    let last = before(&client, &draft).await?;
    let changes = draft.group.changes_since(last.as_ref());
    let application = Application {
        id: application_id,
        name: rule.name.clone(),
        version: draft.version,
        platform: Platform::Linux,
        content: Vec::new(),
        install: Command { program: UPDATES.to_owned(), arguments: Vec::new(), success_codes: vec![0] },
        uninstall: None,
        repair: None,
        detection: Detection::Updates { group: draft.group },
        secrets: Vec::new(),
        collector: None,
        requirements: Vec::new(),
        return_codes: Vec::new(),
        retries: None,
        dependencies: Vec::new(),
        supersedes: Vec::new(),
        type_name: None,
        types: Vec::new(),
        parameters: Vec::new(),
        max_run_seconds: rule.max_run_seconds,
    };
    let mut about = application::described(&application);
    about.push_str(match last {
        Some(_) => "\nNew since the last signed revision:\n",
        None => "\nIt is the first revision of this group. In it:\n",
    });
    for change in &changes {
        about.push_str(&format!("  {}\n", output::clean(&change.sentence())));
    }
    if let Some(deployment) = rule.deployment {
        about.push_str(&format!("\nIt takes the place of the revision before in the deployment {deployment}.\n"));
    }
    confirm(ctx, &format!("{about}\nYou sign that clients may install this."))?;
    let key = application::author_key(ctx, sign.key.as_deref())?;
    let signed = author::sign(&application, &key)?;
    if let Some(out) = &sign.out {
        files::write_private(out, &signed, true)?;
        return ctx.out.line(&format!(
            "Signed. When all authors have: muster application add {}, then muster update signed {id} {}",
            out.display(),
            sha256(&signed)
        ));
    }
    let hash = sha256(&signed);
    let info = client.application_create(signed).await?;
    if info.hash != hash {
        return Err(CliError::Found(format!("the site took {} for {hash}; do not deploy it", info.hash)));
    }
    taken(ctx, &client, id, hash).await
}

async fn taken(
    ctx: &Context,
    client: &Client,
    id: UpdateRuleId,
    application: muster_model::id::Hash,
) -> Result<(), CliError> {
    let detail = client.update_rule_signed(id, &UpdateRuleSigned { application }).await?;
    ctx.out.value(&detail, |detail| match detail.info.rule.deployment {
        Some(deployment) => {
            format!("The deployment {deployment} has it now.\nNext: muster deployment watch {deployment}")
        }
        None => format!("It is on the site.\nNext: muster deployment create {application} --all-systems"),
    })
}

/// `muster update signed`
pub(super) async fn signed(ctx: &Context, rule: &str, word: &str) -> Result<(), CliError> {
    let client = ctx.client().await?;
    let id = rule_named(&client, rule).await?;
    let application = find::application(&client, word).await?.hash;
    taken(ctx, &client, id, application).await
}

/// `muster update group`
pub(super) async fn group(ctx: &Context, word: &str) -> Result<(), CliError> {
    let client = ctx.client().await?;
    let hash = find::application(&client, word).await?.hash;
    let found = client.update_group_show(&hash).await?;
    ctx.out.value(&found, |found| {
        let rows = found.items.iter().map(|package| {
            [
                package.package.clone(),
                format!("{}{}", if package.exact { "=" } else { "" }, package.version),
                package.superseded_by.clone().unwrap_or_else(|| "-".to_owned()),
                package.devices.to_string(),
            ]
        });
        let table = output::table(["PACKAGE", "SIGNED", "SUPERSEDED BY", "DEVICES"], rows);
        output::listed(&table, found.items.len(), found.total, 0, "The group names no packages.")
    })
}
