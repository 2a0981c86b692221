//! `muster baseline`: sign on this machine, add to the site, hold devices against it, see which do not comply and why.

use super::{Context, Part, application::author_key, ask::confirm, find};
use crate::{CliError, Client, baseline_author, files, output, when};
use clap::{Args, Subcommand};
use muster_model::{
    api::{
        BaselineDeploy, BaselineDeployment, BaselineInfo, BaselinePreview, ComplianceQuery, ResultQuery,
        SettingCompliance, SettingTotals, Target,
    },
    baseline::{Baseline, Discovery, FileRead, Remediation, Rule, Script, Setting, SettingSeverity},
    compliance::ComplianceState,
    id::{BaselineId, Hash, Name},
};
use muster_trust::sha256;
use std::{
    collections::BTreeMap,
    path::{Path, PathBuf},
};

#[derive(Debug, Subcommand)]
pub(super) enum Verb {
    /// Sign a description of settings; needs no site
    Sign(Sign),
    /// Add the signature of another author to a signed baseline
    Cosign {
        /// The signed baseline; it is replaced
        file: PathBuf,
        /// The author's key [default: the profile's]
        #[arg(long, value_name = "FILE")]
        key: Option<PathBuf>,
    },
    /// Add a signed baseline to the site
    Add {
        /// The signed baseline
        file: PathBuf,
    },
    /// List baselines
    List(Part),
    /// Show a baseline with its settings
    Show {
        /// Hash, the beginning of it, the name, or name and version
        baseline: String,
    },
    /// Hold devices against a baseline; shows who gets it, and asks
    Deploy(Deploy),
    /// Show what `deploy` would do
    Preview(Deploy),
    /// List deployments of baselines, the newest first
    Deployments(Part),
    /// Show how devices stand to a deployed baseline
    Compliance(Compliance),
    /// End a deployment of a baseline: clients no longer evaluate it
    Undeploy {
        /// Id or name of the deployment
        deployment: String,
    },
    /// Delete a baseline that no deployment in force names
    Delete {
        /// Hash, the beginning of it, the name, or name and version
        baseline: String,
    },
}

#[derive(Debug, Args)]
pub(super) struct Sign {
    /// The description, TOML or JSON; see docs/guides/hold-devices-to-a-baseline.md
    #[arg(long, value_name = "FILE")]
    manifest: PathBuf,
    /// The author's key [default: the profile's]
    #[arg(long, value_name = "FILE")]
    key: Option<PathBuf>,
    /// Where the signed baseline goes
    #[arg(long, value_name = "FILE")]
    out: PathBuf,
}

#[derive(Debug, Args)]
pub(super) struct Deploy {
    /// Hash, the beginning of it, the name, or name and version
    baseline: String,
    #[command(flatten)]
    target: To,
    /// Name of the deployment [default: name and version of the baseline]
    #[arg(long)]
    name: Option<Name>,
    /// How often it is evaluated: 15m to 31d [default: as the client settings say]
    #[arg(long, value_parser = when::parse_length, value_name = "LENGTH")]
    every: Option<i64>,
    /// Put right what is not as it should be, where the baseline says how
    #[arg(long)]
    remediate: bool,
    /// Do not wait for maintenance windows
    #[arg(long)]
    outside_windows: bool,
    /// A device that does not comply is an alert from this severity on: none, information, warning, critical
    #[arg(long, value_parser = parse_severity, value_name = "SEVERITY")]
    alert_from: Option<SettingSeverity>,
}

#[derive(Debug, Args)]
#[group(required = true, multiple = false)]
struct To {
    /// To every active device
    #[arg(long)]
    all_systems: bool,
    /// To one device: id or host name
    #[arg(long, value_name = "DEVICE")]
    device: Option<String>,
    /// To the members of a collection, id or name: to those who come later too
    #[arg(long, value_name = "COLLECTION")]
    collection: Option<String>,
}

#[derive(Debug, Args)]
pub(super) struct Compliance {
    /// Id or name of the deployment
    deployment: String,
    /// Only what is in this state: unknown, not_applicable, compliant, remediated, error, conflict, non_compliant
    #[arg(long, value_parser = parse_state, value_name = "STATE")]
    state: Option<ComplianceState>,
    /// The settings of one device: id or host name
    #[arg(long, value_name = "DEVICE")]
    device: Option<String>,
    /// The devices of one setting, by its number
    #[arg(long, value_name = "NUMBER")]
    setting: Option<u32>,
    /// Only settings that are not as they should be
    #[arg(long)]
    differs: bool,
    #[command(flatten)]
    part: Part,
}

fn parse_state(text: &str) -> Result<ComplianceState, String> {
    let known = || ComplianceState::ALL.iter().map(|state| state.as_str()).collect::<Vec<_>>().join(", ");
    ComplianceState::of(text).ok_or_else(|| format!("{text:?} is not one of {}", known()))
}

fn parse_severity(text: &str) -> Result<SettingSeverity, String> {
    let known = || SettingSeverity::ALL.iter().map(|severity| severity.as_str()).collect::<Vec<_>>().join(", ");
    let found = SettingSeverity::ALL.iter().copied().find(|severity| severity.as_str() == text);
    found.ok_or_else(|| format!("{text:?} is not one of {}", known()))
}

#[derive(serde::Serialize)]
struct Signed<'a> {
    hash: Hash,
    file: &'a Path,
    author: Hash,
    baseline: &'a Baseline,
}

impl Deploy {
    async fn request(self, client: &Client) -> Result<BaselineDeploy, CliError> {
        let baseline = find::baseline(client, &self.baseline).await?.hash;
        let target = match (self.target.device, self.target.collection) {
            (Some(word), _) => Target::Device { device: find::device(client, &word).await? },
            (None, Some(word)) => Target::Collection { collection: find::collection(client, &word).await? },
            (None, None) => Target::AllSystems,
        };
        Ok(BaselineDeploy {
            name: self.name,
            baseline,
            target,
            every: self.every,
            remediate: self.remediate,
            outside_windows: self.outside_windows,
            alert_from: self.alert_from,
        })
    }
}

impl Verb {
    pub(super) async fn run(self, ctx: &Context) -> Result<(), CliError> {
        match self {
            Self::Sign(sign) => baseline_sign(ctx, &sign),
            Self::Cosign { file, key } => {
                let (signed, _, baseline) = baseline_author::look(&file)?;
                confirm(ctx, &format!("{}Your signature is added to this.", described(&baseline)))?;
                let key = author_key(ctx, key.as_deref())?;
                let signed = baseline_author::cosign(&signed, &key)?;
                std::fs::write(&file, &signed).map_err(|e| CliError::file(&file, e))?;
                printed(ctx, &signed, &file, key.public().id(), &baseline)
            }
            Self::Add { file } => {
                let (signed, hash, _) = baseline_author::look(&file)?;
                let info = ctx.client().await?.baseline_create(signed).await?;
                if info.hash != hash {
                    return Err(CliError::Found(format!("the site took {} for {hash}; do not deploy it", info.hash)));
                }
                ctx.out.value(&info, |info| {
                    let of = &info.baseline;
                    let next = format!("muster baseline deploy {} --all-systems", info.hash);
                    format!("{} {} is added: {}\nNext: {next}", of.name, of.version, info.hash)
                })
            }
            Self::List(part) => baseline_list(ctx, part).await,
            Self::Show { baseline } => {
                let info = find::baseline(&ctx.client().await?, &baseline).await?;
                ctx.out.value(&info, |info| {
                    let authors: Vec<_> = info.authors.iter().map(Hash::to_string).collect();
                    let more = output::pairs([
                        ("Hash", info.hash.to_string()),
                        ("Signed by", authors.join(", ")),
                        ("Added", when::both(ctx.now, info.created)),
                    ]);
                    format!("{}{more}", described(&info.baseline))
                })
            }
            Self::Deploy(deploy) => {
                let client = ctx.client().await?;
                let request = deploy.request(&client).await?;
                if !ctx.yes {
                    confirm(ctx, &previewed(&client.baseline_preview(&request).await?))?;
                }
                let made = client.baseline_deploy(&request).await?;
                ctx.out.value(&made, |d| {
                    format!("{} is deployed: {}\nNext: muster baseline compliance {}", d.name, d.id, d.id)
                })
            }
            Self::Preview(deploy) => {
                let client = ctx.client().await?;
                let request = deploy.request(&client).await?;
                ctx.out.value(&client.baseline_preview(&request).await?, previewed)
            }
            Self::Deployments(part) => baseline_deployments(ctx, part).await,
            Self::Compliance(wanted) => baseline_compliance(ctx, wanted).await,
            Self::Delete { baseline } => {
                let client = ctx.client().await?;
                let info = find::baseline(&client, &baseline).await?;
                let what = format!("{} {} ({})", info.baseline.name, info.baseline.version, info.hash);
                confirm(ctx, &format!("{what} goes. It is refused while a deployment of it is in force."))?;
                client.baseline_delete(info.hash).await?;
                ctx.out.value(&info, |info| format!("{} {} is deleted.", info.baseline.name, info.baseline.version))
            }
            Self::Undeploy { deployment } => {
                let client = ctx.client().await?;
                let id = find::baseline_deployment(&client, &deployment).await?;
                let seen = client.baseline_deployment_show(id).await?;
                let what = format!("{} ({id}): {}.", seen.name, counted(&seen.totals));
                confirm(ctx, &format!("{what}\nClients no longer evaluate it; what was put right stays."))?;
                client.baseline_deployment_delete(id).await?;
                ctx.out.value(&client.baseline_deployment_show(id).await?, |d| format!("{} is deleted.", d.name))
            }
        }
    }
}

fn baseline_sign(ctx: &Context, sign: &Sign) -> Result<(), CliError> {
    let mut random = [0; 16];
    muster_trust::random(&mut random).map_err(|e| CliError::file(&sign.manifest, e))?;
    let new_id = BaselineId(uuid::Builder::from_random_bytes(random).into_uuid());
    let (baseline, known) = baseline_author::read(&sign.manifest, new_id)?;
    confirm(ctx, &format!("{}You sign that clients may do this.", described(&baseline)))?;
    let key = author_key(ctx, sign.key.as_deref())?;
    let signed = baseline_author::sign(&baseline, &key)?;
    files::write_private(&sign.out, &signed, true)?;
    if !known && !ctx.out.json {
        ctx.out.line(&format!(
            "This is a new baseline. Put this line into {} so that its next version is the same one:\n\n  id = \"{}\"\n",
            sign.manifest.display(),
            baseline.id
        ))?;
    }
    printed(ctx, &signed, &sign.out, key.public().id(), &baseline)
}

fn printed(ctx: &Context, signed: &[u8], file: &Path, author: Hash, baseline: &Baseline) -> Result<(), CliError> {
    let signed = Signed { hash: sha256(signed), file, author, baseline };
    ctx.out.value(&signed, |s| {
        let second = if s.baseline.can_run() {
            "\nIt runs programs, or writes files or parameters of the kernel: where the trust bundle names several authors, a second one signs with `muster baseline cosign`."
        } else {
            ""
        };
        let file = s.file.display();
        format!("{file} is signed: {}{second}\nNext: muster baseline add {file}", s.hash)
    })
}

/// What a baseline does, for the person who signs, deploys or looks.
fn described(baseline: &Baseline) -> String {
    let head = output::pairs([
        ("Baseline", format!("{} {}", baseline.name, baseline.version)),
        ("Id", baseline.id.to_string()),
        ("Platform", format!("{:?}", baseline.platform).to_lowercase()),
    ]);
    let rows = (0_u32..).zip(baseline.settings()).map(|(number, (item, setting))| {
        [
            number.to_string(),
            format!("{} / {}", item.name, setting.name),
            setting.severity.as_str().to_owned(),
            looks(&setting.discovery),
            setting.rules.iter().map(rule).collect::<Vec<_>>().join(", "),
            setting.remediation.as_ref().map(|remediation| remedy(remediation, setting)).unwrap_or_default(),
        ]
    });
    let table = output::table(["#", "SETTING", "SEVERITY", "FOUND BY", "SHALL BE", "PUT RIGHT BY"], rows);
    format!("{head}{table}\n{}", texts(baseline))
}

/// What a machine will run or have in a file, to the letter: nobody signs or approves what he did not see.
fn texts(baseline: &Baseline) -> String {
    let mut shown = String::new();
    let mut add = |place: &str, what: String, text: &str| {
        let lines: Vec<String> = text.split('\n').map(visible).collect();
        shown.push_str(&format!("\n--- {}: {what} ---\n{}\n--- end ---\n", visible(place), lines.join("\n")));
    };
    let of = |script: &Script, user: &str| {
        let parameters: Vec<String> =
            script.parameters.iter().map(|p| format!("{}={:?}", p.name.as_str(), p.value.argument())).collect();
        format!("{} as {user}, parameters [{}]", script.interpreter.program(), parameters.join(", "))
    };
    for (item, setting) in baseline.settings() {
        let place = format!("{} / {}", item.name, setting.name);
        if let Discovery::Script { script } = &setting.discovery {
            add(&place, format!("found by {}", of(script, user(&setting.discovery))), &script.text);
        }
        match &setting.remediation {
            Some(Remediation::Script { script }) => {
                add(&place, format!("put right by {}", of(script, "root")), &script.text);
            }
            Some(Remediation::File { content: Some(content), .. }) => {
                add(&place, "put right by this content".to_owned(), content);
            }
            _ => {}
        }
    }
    shown
}

/// A line with everything that a terminal would obey, or that would hide other text, as its number.
fn visible(line: &str) -> String {
    let letter = |c: char| {
        let hidden = c != '\t' && output::clean(&c.to_string()) != c.to_string();
        if hidden { c.escape_unicode().to_string() } else { c.to_string() }
    };
    line.chars().map(letter).collect()
}

fn user(discovery: &Discovery) -> &'static str {
    if discovery.is_root() { "root" } else { "nobody" }
}

fn looks(discovery: &Discovery) -> String {
    match discovery {
        Discovery::File { path, read, .. } => match read {
            FileRead::Exists => format!("{path}: that it is there"),
            FileRead::Mode => format!("{path}: its mode"),
            FileRead::Owner => format!("{path}: its owner"),
            FileRead::Group => format!("{path}: its group"),
            FileRead::Hash => format!("{path}: its SHA-256"),
            FileRead::Line { pattern } => format!("{path}: lines like {pattern:?}"),
            FileRead::Key { key, .. } => format!("{path}: {key}"),
            FileRead::Ini { section, key } => format!("{path}: [{section}] {key}"),
            FileRead::Json { pointer } => format!("{path}: {pointer}"),
        },
        // Each argument in quotes, so that it is seen where one ends.
        Discovery::Command { command, .. } => {
            format!("as {}: {} {:?}", user(discovery), command.program, command.arguments)
        }
        Discovery::Script { script } => {
            let program = script.interpreter.program();
            format!("as {}: a script of {} bytes for {program}", user(discovery), script.text.len())
        }
        Discovery::Package { name } => format!("package {name}"),
        Discovery::Service { name, property } => format!("service {name}: {property:?}").to_lowercase(),
        Discovery::Sysctl { name } => format!("sysctl {name}"),
        Discovery::Registry { key, value } => format!("registry {key} {value}"),
    }
}

fn rule(rule: &Rule) -> String {
    match rule {
        Rule::Exists { exists: true } => "there".to_owned(),
        Rule::Exists { exists: false } => "not there".to_owned(),
        Rule::Equals { value } => format!("{value:?}"),
        Rule::Not { value } => format!("not {value:?}"),
        Rule::OneOf { values } => format!("one of {values:?}"),
        Rule::Contains { value } => format!("with {value:?}"),
        Rule::Between { least, most } => format!("{least} to {most}"),
        Rule::Greater { than } => format!("more than {than}"),
        Rule::Less { than } => format!("less than {than}"),
        Rule::Matches { pattern } => format!("like {pattern:?}"),
    }
}

fn remedy(remediation: &Remediation, setting: &Setting) -> String {
    match remediation {
        Remediation::File { content, mode } => {
            let content = content.as_ref().map(|content| format!("{} bytes", content.len()));
            let parts: Vec<String> =
                content.into_iter().chain(mode.as_ref().map(|mode| format!("mode {mode}"))).collect();
            format!("writing {}", parts.join(", "))
        }
        Remediation::Sysctl { value } => format!("setting {value:?}"),
        Remediation::Service { enabled, running } => {
            let word =
                |flag: &Option<bool>, yes: &str, no: &str| flag.map(|flag| if flag { yes } else { no }.to_owned());
            let parts: Vec<String> =
                word(enabled, "enable", "disable").into_iter().chain(word(running, "start", "stop")).collect();
            parts.join(", ")
        }
        Remediation::Command { command } => format!("root: {} {:?}", command.program, command.arguments),
        Remediation::Script { script } => {
            format!(
                "root: a script of {} bytes for {}, {}",
                script.text.len(),
                script.interpreter.program(),
                setting.name
            )
        }
    }
}

fn previewed(preview: &BaselinePreview) -> String {
    let examples: Vec<_> = preview.examples.iter().map(|name| output::clean(name)).collect();
    let more = if preview.devices > examples.len() as u64 { ", …" } else { "" };
    let mut text = format!("{} devices are held against {} settings", preview.devices, preview.settings);
    if !examples.is_empty() {
        text.push_str(&format!(": {}{more}", examples.join(", ")));
    }
    text.push_str(".\n");
    for warning in &preview.warnings {
        text.push_str(&format!("! {}\n", output::clean(warning)));
    }
    text
}

/// Devices by state, the worst first.
fn counted(totals: &BTreeMap<String, u64>) -> String {
    let count = |state: &ComplianceState| totals.get(state.as_str()).copied().filter(|n| *n > 0);
    let known = ComplianceState::ALL.iter().rev();
    let known: Vec<_> = known.filter_map(|s| Some(format!("{} {}", count(s)?, s.as_str()))).collect();
    if known.is_empty() { "no devices".to_owned() } else { known.join(", ") }
}

async fn baseline_list(ctx: &Context, part: Part) -> Result<(), CliError> {
    let page = ctx.client().await?.baseline_list(&part.query()).await?;
    ctx.out.value(&page, |page| {
        let row = |info: &BaselineInfo| {
            [
                info.baseline.name.to_string(),
                info.baseline.version.clone(),
                format!("{:?}", info.baseline.platform).to_lowercase(),
                info.baseline.settings().count().to_string(),
                info.authors.len().to_string(),
                when::human(ctx.now, info.created),
                info.hash.to_string(),
            ]
        };
        let head = ["NAME", "VERSION", "PLATFORM", "SETTINGS", "SIGNED BY", "ADDED", "HASH"];
        let table = output::table(head, page.items.iter().map(row));
        let none = "No baselines. `muster baseline sign` makes one.";
        output::listed(&table, page.items.len(), page.total, page.offset, none)
    })
}

async fn baseline_deployments(ctx: &Context, part: Part) -> Result<(), CliError> {
    let page = ctx.client().await?.baseline_deployment_list(&part.query()).await?;
    ctx.out.value(&page, |page| {
        let row = |d: &BaselineDeployment| {
            [
                d.id.to_string(),
                d.name.to_string(),
                match d.target {
                    Target::AllSystems => "all systems".to_owned(),
                    Target::Device { .. } => "one device".to_owned(),
                    Target::Collection { collection } => format!("collection {collection}"),
                },
                if d.deleted { "deleted".to_owned() } else { counted(&d.totals) },
                if d.remediate { "yes" } else { "no" }.to_owned(),
                d.alerting.to_string(),
                d.created_by.to_string(),
            ]
        };
        let head = ["ID", "NAME", "TARGET", "DEVICES", "PUT RIGHT", "ALERTS", "MADE BY"];
        let table = output::table(head, page.items.iter().map(row));
        output::listed(&table, page.items.len(), page.total, page.offset, "No deployments of baselines.")
    })
}

async fn baseline_compliance(ctx: &Context, wanted: Compliance) -> Result<(), CliError> {
    let client = ctx.client().await?;
    let id = find::baseline_deployment(&client, &wanted.deployment).await?;
    let page = wanted.part.query();
    if wanted.device.is_some() || wanted.setting.is_some() || wanted.differs {
        let device = match &wanted.device {
            Some(word) => Some(find::device(&client, word).await?),
            None => None,
        };
        let query = ResultQuery {
            device,
            setting: wanted.setting,
            differs: wanted.differs,
            state: wanted.state,
            offset: page.offset,
            limit: page.limit,
        };
        let results = client.compliance_results(id, &query).await?;
        return ctx.out.value(&results, |results| {
            let table = output::table(RESULT_HEAD, results.items.iter().map(|row| result_row(ctx, row)));
            output::listed(&table, results.items.len(), results.total, results.offset, "No results.")
        });
    }
    let deployment = client.baseline_deployment_show(id).await?;
    let settings = client.compliance_settings(id).await?;
    let query = ComplianceQuery { state: wanted.state, offset: page.offset, limit: page.limit };
    let devices = client.compliance_devices(id, &query).await?;
    let all = serde_json::json!({ "deployment": deployment, "settings": settings, "devices": devices });
    ctx.out.value(&all, |_| {
        let mut text = head(ctx, &deployment);
        text.push_str(&output::table(
            ["#", "SETTING", "SEVERITY", "DEVICES"],
            settings.iter().map(|s: &SettingTotals| {
                [
                    s.setting.to_string(),
                    format!("{} / {}", s.item, s.name),
                    s.severity.as_str().to_owned(),
                    counted(&s.totals),
                ]
            }),
        ));
        let rows = devices.items.iter().map(|d| {
            let reason = d.reason.map(|reason| reason.as_str().to_owned());
            let waits = || d.waits.map(|waits| format!("waits: {}", waits.as_str()));
            [
                d.device_name.clone(),
                d.state.as_str().to_owned(),
                d.severity.map(|severity| severity.as_str().to_owned()).unwrap_or_default(),
                reason.or_else(waits).unwrap_or_default(),
                d.evaluated.map(|moment| when::human(ctx.now, moment)).unwrap_or_default(),
            ]
        });
        let table = output::table(["DEVICE", "STATE", "SEVERITY", "WHY", "EVALUATED"], rows);
        text.push('\n');
        text.push_str(&output::listed(&table, devices.items.len(), devices.total, devices.offset, "No devices."));
        text
    })
}

fn head(ctx: &Context, deployment: &BaselineDeployment) -> String {
    let every = deployment.every.map_or_else(|| "as the client settings say".to_owned(), when::length);
    output::pairs([
        ("Deployment", format!("{} ({})", deployment.name, deployment.id)),
        ("Baseline", format!("{} {}", deployment.baseline_name, deployment.baseline_version)),
        ("Signed object", deployment.baseline.to_string()),
        ("Evaluated every", every),
        ("Put right", if deployment.remediate { "yes" } else { "no" }.to_owned()),
        ("Windows", if deployment.outside_windows { "not waited for" } else { "kept" }.to_owned()),
        ("Made by", format!("{}, {}", deployment.created_by, when::human(ctx.now, deployment.created))),
        ("Devices", if deployment.deleted { "deleted".to_owned() } else { counted(&deployment.totals) }),
        ("Alerts", deployment.alerting.to_string()),
    ])
}

/// Above rows of [`result_row`].
pub(super) const RESULT_HEAD: [&str; 9] =
    ["DEVICE", "#", "SETTING", "STATE", "SEVERITY", "EXPECTED", "FOUND", "WHY", "SINCE"];

pub(super) fn result_row(ctx: &Context, row: &SettingCompliance) -> [String; 9] {
    let reason = row.reason.map(|reason| reason.as_str()).unwrap_or_default();
    let why = [reason, row.detail.as_str()].into_iter().filter(|part| !part.is_empty()).collect::<Vec<_>>().join(": ");
    [
        row.device_name.clone(),
        row.setting.to_string(),
        format!("{} / {}", row.item, row.name),
        row.state.as_str().to_owned(),
        row.severity.as_str().to_owned(),
        row.expected.clone(),
        row.value.as_deref().unwrap_or_default().replace('\n', ", "),
        why,
        when::human(ctx.now, row.changed),
    ]
}
