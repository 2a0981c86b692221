//! `muster application`: sign on this machine, add to the site. The site never has an author's key.

use super::{Context, Part, ask::confirm, find};
use crate::{CliError, author, files, output, when};
use clap::{Args, Subcommand};
use indicatif::{MultiProgress, ProgressBar, ProgressStyle};
use muster_model::{
    api::ApplicationInfo,
    application::{
        Application, Command, Dependency, Detection, Parameter, ParameterKind, ParameterWay, Privilege, ReturnMeaning,
    },
    id::{ApplicationId, Hash},
    update::UpdateGroup,
};
use muster_trust::sha256;
use std::path::{Path, PathBuf};

#[derive(Debug, Subcommand)]
pub(super) enum Verb {
    /// Describe an application, hash its files, sign it; needs no site
    Sign(Sign),
    /// Add the signature of another author to a signed application
    Cosign {
        /// The signed application; it is replaced
        file: PathBuf,
        /// The author's key [default: the profile's]
        #[arg(long, value_name = "FILE")]
        key: Option<PathBuf>,
    },
    /// Upload the files that the site does not have, then the signed application
    Add {
        /// The signed application
        file: PathBuf,
        /// Where its files are: files or directories [default: where the signed application is]
        #[arg(long, value_name = "PATH")]
        content: Vec<PathBuf>,
    },
    /// List applications
    List(Part),
    /// Show an application
    Show {
        /// Hash, the beginning of it, the name, or name and version
        application: String,
    },
}

#[derive(Debug, Args)]
pub(super) struct Sign {
    /// The description, TOML or JSON; see docs/guides/deploy-an-application.md
    #[arg(long, value_name = "FILE")]
    manifest: PathBuf,
    /// The author's key [default: the profile's]
    #[arg(long, value_name = "FILE")]
    key: Option<PathBuf>,
    /// Where the signed application goes
    #[arg(long, value_name = "FILE")]
    out: PathBuf,
}

#[derive(serde::Serialize)]
struct Signed<'a> {
    hash: Hash,
    file: &'a Path,
    author: Hash,
    application: &'a Application,
}

impl Verb {
    pub(super) async fn run(self, ctx: &Context) -> Result<(), CliError> {
        match self {
            Self::Sign(sign) => application_sign(ctx, &sign),
            Self::Cosign { file, key } => {
                let (signed, _, application) = author::look(&file)?;
                confirm(ctx, &format!("{}Your signature is added to this.", described(&application)))?;
                let key = author_key(ctx, key.as_deref())?;
                let signed = author::cosign(&signed, &key)?;
                std::fs::write(&file, &signed).map_err(|e| CliError::file(&file, e))?;
                printed(ctx, &signed, &file, key.public().id(), &application)
            }
            Self::Add { file, content } => application_add(ctx, &file, content).await,
            Self::List(part) => application_list(ctx, part).await,
            Self::Show { application } => {
                let client = ctx.client().await?;
                let info = find::application(&client, &application).await?;
                ctx.out.value(&info, |info| {
                    let authors: Vec<_> = info.authors.iter().map(Hash::to_string).collect();
                    let more = output::pairs([
                        ("Hash", info.hash.to_string()),
                        ("Signed by", authors.join(", ")),
                        ("Added", when::both(ctx.now, info.created)),
                    ]);
                    format!("{}{more}", described(&info.application))
                })
            }
        }
    }
}

pub(super) fn author_key(ctx: &Context, key: Option<&Path>) -> Result<muster_trust::PrivateKey, CliError> {
    match (key, ctx.profile()) {
        (Some(path), Ok(profile)) => profile.open(path),
        (None, Ok(profile)) => profile.author_key(),
        // An author may have no profile at all: the key and its passphrase are enough.
        (Some(path), Err(_)) => {
            let passphrase = ctx.passphrase_file.as_deref();
            crate::key::open(path, passphrase.map_or(crate::key::Passphrase::Prompt, crate::key::Passphrase::File))
        }
        (None, Err(error)) => Err(error),
    }
}

fn application_sign(ctx: &Context, sign: &Sign) -> Result<(), CliError> {
    let manifest = author::Manifest::read(&sign.manifest)?;
    let mut random = [0; 16];
    muster_trust::random(&mut random).map_err(|e| CliError::file(&sign.manifest, e))?;
    let new_id = ApplicationId(uuid::Builder::from_random_bytes(random).into_uuid());
    let application = manifest.application(&sign.manifest, new_id)?;
    confirm(ctx, &format!("{}You sign that clients may run this.", described(&application)))?;
    let key = author_key(ctx, sign.key.as_deref())?;
    let signed = author::sign(&application, &key)?;
    files::write_private(&sign.out, &signed, true)?;
    if manifest.id.is_none() && !ctx.out.json {
        ctx.out.line(&format!(
            "This is a new application. Put this line into {} so that its next version is the same one:\n\n  id = \"{}\"\n",
            sign.manifest.display(),
            application.id
        ))?;
    }
    printed(ctx, &signed, &sign.out, key.public().id(), &application)
}

fn printed(ctx: &Context, signed: &[u8], file: &Path, author: Hash, application: &Application) -> Result<(), CliError> {
    let signed = Signed { hash: sha256(signed), file, author, application };
    ctx.out.value(&signed, |s| {
        format!("{} is signed: {}\nNext: muster application add {}", s.file.display(), s.hash, s.file.display())
    })
}

fn written(command: &Command) -> String {
    // Each argument in quotes, so that it is seen where one ends.
    let arguments: Vec<_> = command.arguments.iter().map(|a| format!("{a:?}")).collect();
    format!("{} {}", command.program, arguments.join(" ")).trim_end().to_owned()
}

const fn privilege(privilege: Privilege) -> &'static str {
    match privilege {
        Privilege::None => "a user without privileges",
        Privilege::Root => "root, with everything that root may do",
    }
}

/// A group of updates in words.
fn updates(group: &UpdateGroup) -> String {
    let mut parts: Vec<String> = group
        .packages
        .iter()
        .map(|package| {
            format!("{} {}{}", package.name, if package.exact { "exactly " } else { "at least " }, package.version)
        })
        .collect();
    if let Some(criteria) = &group.criteria {
        let security = if criteria.security { "security updates" } else { "all updates" };
        let of = |what: &str, patterns: &[String]| match patterns.is_empty() {
            true => String::new(),
            false => format!(" {what} {}", patterns.join(", ")),
        };
        parts.push(format!("{security}{}{}", of("of", &criteria.origins), of("named", &criteria.names)));
    }
    if !group.exclude.is_empty() {
        parts.push(format!("never {}", group.exclude.join(", ")));
    }
    if group.allow_new {
        parts.push("new packages may come along".to_owned());
    }
    if group.allow_removals {
        parts.push("packages may be removed".to_owned());
    }
    format!("{} ({})", parts.join("; "), group.tool.as_str())
}

/// What an application does, for the person who signs, deploys or looks.
pub(super) fn described(application: &Application) -> String {
    let mut rows = vec![
        ("Application", format!("{} {}", application.name, application.version)),
        ("Id", application.id.to_string()),
        ("Platform", format!("{:?}", application.platform).to_lowercase()),
        ("Runs", written(&application.install)),
        ("For at most", when::length(i64::from(application.max_run_seconds) * 1000)),
    ];
    rows.push(match &application.detection {
        Detection::Package { name, version: Some(version) } => {
            ("Is there when", format!("package {name} is at least {version}"))
        }
        Detection::Package { name, version: None } => ("Is there when", format!("package {name} is installed")),
        Detection::File { path, hash: None } => ("Is there when", format!("{path} exists")),
        Detection::File { path, hash: Some(hash) } => ("Is there when", format!("{path} has the SHA-256 {hash}")),
        Detection::Command { command } => ("Is there when", format!("{} succeeds", written(command))),
        Detection::Updates { group } => ("Is there when", format!("no update is missing of: {}", updates(group))),
        Detection::Program => ("Is a program", "its exit code says whether it worked".to_owned()),
    });
    rows.extend(rules(application));
    if let Some(collector) = &application.collector {
        rows.push(("Collects", format!("{}, with {}", collector.class.name, written(&collector.command))));
        rows.push(("As", privilege(collector.privilege).to_owned()));
    }
    for secret in &application.secrets {
        rows.push(("Secret", format!("{} (sealed for each device with `muster secret seal`)", secret.as_str())));
    }
    rows.extend(parameters(application));
    for file in &application.content {
        rows.push(("File", format!("{} ({}) {}", file.name.as_str(), output::bytes(file.size), file.hash)));
    }
    let mut text = output::pairs(rows);
    // Each of the others as it would be alone, under its own name.
    for other in application.each_type().iter().skip(1) {
        let name = other.type_name.as_ref().map(|name| output::clean(name.as_str())).unwrap_or_default();
        let (secrets, parameters) = (Vec::new(), Vec::new());
        let shown = Application { secrets, parameters, collector: None, ..other.clone() };
        text.push_str(&format!(
            "\nDeployment type {name}, where none before it is for the device:\n{}",
            described(&shown)
        ));
    }
    text
}

/// What a deployment may say to its commands.
fn parameters(application: &Application) -> Vec<(&'static str, String)> {
    let of = |parameter: &Parameter| {
        let kind = match &parameter.kind {
            ParameterKind::String { most_bytes, allowed } if allowed.is_empty() => {
                format!("text of {most_bytes} bytes")
            }
            ParameterKind::String { allowed: values, .. } | ParameterKind::Choice { values } => values.join(" or "),
            ParameterKind::Integer { least, most } => format!("{least} to {most}"),
            ParameterKind::Boolean => "true or false".to_owned(),
            ParameterKind::Secret => "secret".to_owned(),
        };
        let way = match parameter.way {
            ParameterWay::Argument => "an argument".to_owned(),
            ParameterWay::Environment => parameter.name.variable(),
            ParameterWay::Input => "standard input".to_owned(),
        };
        let default = parameter.default.as_ref().map(|value| format!(", {value} where nothing is said"));
        let text = format!("{}: {kind}, as {way}{}", parameter.name, default.unwrap_or_default());
        ("Parameter", output::clean(&text))
    };
    application.parameters.iter().map(of).collect()
}

/// What an application says beside its installation.
fn rules(application: &Application) -> Vec<(&'static str, String)> {
    let mut rows = Vec::new();
    if let Some(command) = &application.uninstall {
        rows.push(("Is removed by", written(command)));
    }
    if let Some(command) = &application.repair {
        rows.push(("Is repaired by", written(command)));
    }
    for requirement in &application.requirements {
        rows.push(("Only where", format!("{}: {}", requirement.name, requirement.query)));
    }
    for known in &application.return_codes {
        rows.push(("Exit code", format!("{} means {}", known.code, meaning(known.meaning))));
    }
    if let Some(retries) = &application.retries {
        let wait = when::length(i64::from(retries.wait_seconds) * 1000);
        rows.push(("Is tried again", format!("{} times, {wait} in between", retries.count)));
    }
    for group in &application.dependencies {
        let any: Vec<_> = group.any.iter().map(needed).collect();
        rows.push(("Needs first", any.join(" or ")));
    }
    for old in &application.supersedes {
        let how = if old.uninstall { "which is uninstalled first" } else { "over which it is installed" };
        rows.push(("Replaces", format!("{}, {how}", old.application)));
    }
    rows
}

fn needed(dependency: &Dependency) -> String {
    match &dependency.version {
        Some(version) => format!("{} {version} or later", dependency.application),
        None => dependency.application.to_string(),
    }
}

const fn meaning(meaning: ReturnMeaning) -> &'static str {
    match meaning {
        ReturnMeaning::Success => "success",
        ReturnMeaning::SuccessRestart => "success, and a restart",
        ReturnMeaning::RestartFirst => "that a restart comes first",
        ReturnMeaning::Retry => "that it is tried again",
        ReturnMeaning::Failure => "failure",
    }
}

async fn application_add(ctx: &Context, file: &Path, mut places: Vec<PathBuf>) -> Result<(), CliError> {
    let (signed, hash, application) = author::look(file)?;
    if places.is_empty() {
        let beside = file.parent().filter(|p| !p.as_os_str().is_empty()).unwrap_or(Path::new("."));
        places.push(beside.to_owned());
    }
    let client = ctx.client().await?;
    let mut missing = Vec::new();
    let mut seen = std::collections::HashSet::new();
    for content in application.files().filter(|file| seen.insert(file.hash)) {
        if !client.content_show(content).await? {
            missing.push(content.clone());
        }
    }
    let wanted = Application { content: missing, types: Vec::new(), ..application.clone() };
    let missing = author::find_content(&wanted, &places)?;
    let bars = MultiProgress::new();
    for (content, path) in &missing {
        let bar = bars.add(upload_bar(content.name.as_str(), content.size));
        let moved = bar.clone();
        client.content_upload(content, path, move |length| moved.inc(length)).await?;
        bar.finish();
    }
    let info = client.application_create(signed).await?;
    if info.hash != hash {
        return Err(CliError::Found(format!("the site took {} for {hash}; do not deploy it", info.hash)));
    }
    ctx.out.value(&info, |info| {
        let a = &info.application;
        format!(
            "{} {} is added: {}\nNext: muster deployment create {} --all-systems",
            a.name, a.version, info.hash, info.hash
        )
    })
}

fn upload_bar(name: &str, size: u64) -> ProgressBar {
    let style = ProgressStyle::with_template("{prefix:20!} {wide_bar} {bytes}/{total_bytes} {bytes_per_sec} {eta}");
    let bar = ProgressBar::new(size).with_prefix(name.to_owned());
    match style {
        Ok(style) => bar.with_style(style),
        Err(_) => bar,
    }
}

async fn application_list(ctx: &Context, part: Part) -> Result<(), CliError> {
    let page = ctx.client().await?.application_list(&part.query()).await?;
    ctx.out.value(&page, |page| {
        let row = |info: &ApplicationInfo| {
            [
                info.application.name.to_string(),
                info.application.version.clone(),
                format!("{:?}", info.application.platform).to_lowercase(),
                output::bytes(info.content_size),
                when::human(ctx.now, info.created),
                info.hash.to_string(),
            ]
        };
        let head = ["NAME", "VERSION", "PLATFORM", "SIZE", "ADDED", "HASH"];
        let table = output::table(head, page.items.iter().map(row));
        let none = "No applications. `muster application sign` makes one.";
        output::listed(&table, page.items.len(), page.total, page.offset, none)
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use muster_model::application::{ContentFile, Platform};

    #[test]
    fn who_signs_sees_where_each_argument_ends() {
        let application = Application {
            id: "0192f0c1-7a3b-7c4d-8e5f-0123456789ab".parse().unwrap(),
            name: "Hello".parse().unwrap(),
            version: "1.0".to_owned(),
            platform: Platform::Linux,
            content: vec![ContentFile { name: "a.deb".parse().unwrap(), hash: Hash([1; 32]), size: 2048 }],
            install: Command {
                program: "/usr/bin/dpkg".to_owned(),
                arguments: ["-i", "content/a.deb", "two words\u{1b}[2J"].map(str::to_owned).to_vec(),
                success_codes: vec![0],
            },
            detection: Detection::Package { name: "a".to_owned(), version: Some("1.0".to_owned()) },
            secrets: Vec::new(),
            collector: None,
            uninstall: None,
            repair: None,
            requirements: Vec::new(),
            return_codes: Vec::new(),
            retries: None,
            dependencies: Vec::new(),
            supersedes: Vec::new(),
            type_name: None,
            types: Vec::new(),
            parameters: Vec::new(),
            max_run_seconds: 600,
        };
        let text = described(&application);
        for says in [
            "Hello 1.0",
            "linux",
            "\"-i\" \"content/a.deb\" \"two words\\u{1b}[2J\"",
            "10 min",
            "package a is at least 1.0",
        ] {
            assert!(text.contains(says), "{says}: {text}");
        }
        assert!(!text.contains('\u{1b}'), "{text:?}");
    }
}
