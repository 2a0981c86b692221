//! `muster secret`: sealed here, for each device on its own; the site gets what it cannot read.

use super::{Context, Part, ask::confirm, find};
use crate::{
    CliError, Client, author, files, output,
    seal::{self, Known, Recipient, Recipients, What},
    when,
};
use clap::{Args, Subcommand};
use muster_model::{
    api::{PageQuery, Reason, SECRETS_ADDED, SecretAdd, SecretRecipient},
    application::FileName,
    id::{ApplicationId, DeviceId},
};
use serde::Serialize;
use std::path::{Path, PathBuf};
use zeroize::Zeroizing;

/// Bytes of sealed secrets in one request, far under what the API takes.
const REQUEST_BYTES: usize = 512 << 10;
/// Bytes of a file of sealed secrets: 100,000 devices and more.
const FILE_BYTES: u64 = 256 << 20;
/// How often devices that made another key meanwhile are sealed for again.
const ROUNDS: usize = 3;
/// Where keys are listed that are too many to be shown, in the profile directory.
const NEW: &str = "new-devices.txt";
/// Names that are shown of a longer list.
const SHOWN: usize = 5;

#[derive(Debug, Subcommand)]
pub(super) enum Verb {
    /// Seal a secret of an application for each device that it is deployed to
    Seal(Seal),
    /// Add the signature of another author to secrets that were sealed into a file
    Cosign {
        /// The file that `seal --out` wrote; it is replaced
        file: PathBuf,
        /// The author's key [default: the profile's]
        #[arg(long, value_name = "FILE")]
        key: Option<PathBuf>,
    },
    /// Hand secrets that were sealed into a file to the site
    Add {
        /// The file that `seal --out` wrote
        file: PathBuf,
    },
    /// List secrets: for how many devices, never what
    List(Part),
    /// Forget a secret; devices throw it away and destroy the keys that it was sealed to
    Remove {
        /// The application: hash, name, or id of one that is not there any more
        application: String,
        /// The name of the secret
        name: FileName,
        /// Why
        #[arg(long)]
        reason: String,
    },
}

#[derive(Debug, Args)]
pub(super) struct Seal {
    /// The application: hash, the beginning of it, the name, or name and version
    application: String,
    /// The name of the secret, as the application declares it
    name: FileName,
    /// File with the secret, byte for byte; `-` is standard input
    #[arg(long, value_name = "FILE")]
    value: PathBuf,
    /// Seal for devices too whose key is in a file that can be copied, and not in a TPM
    #[arg(long)]
    software_keys: bool,
    /// Write what was sealed here, for another author to sign, instead of handing it to the site
    #[arg(long, value_name = "FILE")]
    out: Option<PathBuf>,
    /// The author's key [default: the profile's]
    #[arg(long, value_name = "FILE")]
    key: Option<PathBuf>,
}

#[derive(Default, Serialize)]
struct Done {
    sealed: u64,
    software_key: Vec<String>,
    no_sealing_key: Vec<String>,
}

impl Verb {
    pub(super) async fn run(self, ctx: &Context) -> Result<(), CliError> {
        match self {
            Self::Seal(seal) => secret_seal(ctx, seal).await,
            Self::Cosign { file, key } => {
                let sealed = read(&file)?;
                let bindings = seal::look(&sealed)?;
                let (first, devices) = (&bindings[0], bindings.len());
                let (name, application) = (first.name.as_str(), first.application);
                if bindings.iter().any(|b| b.name != first.name || b.application != application) {
                    return Err(CliError::file(&file, "it holds secrets of several names; sign each of its own file"));
                }
                let text = format!(
                    "Your signature is added to secret {name} of application {application}, sealed for {devices} device(s). \
                     What it is cannot be seen; its first author says so."
                );
                confirm(ctx, &text)?;
                let signed = seal::cosign(&sealed, &super::application::author_key(ctx, key.as_deref())?)?;
                write(&file, &signed, false)?;
                ctx.out.value(&signed, |_| format!("{} is signed.\nNext: muster secret add {0}", file.display()))
            }
            Self::Add { file } => {
                let sealed = read(&file)?;
                let client = ctx.client().await?;
                let (added, again) = add(&client, &sealed).await?;
                if !again.is_empty() {
                    return Err(CliError::Found(format!(
                        "{added} device(s) get it; {} made another sealing key meanwhile: seal for them again",
                        again.len()
                    )));
                }
                let done = Done { sealed: added, ..Done::default() };
                ctx.out.value(&done, |done| format!("{} device(s) get it.", done.sealed))
            }
            Self::List(part) => secret_list(ctx, part).await,
            Self::Remove { application, name, reason } => {
                let client = ctx.client().await?;
                let id = application_id(&client, &application).await?;
                confirm(ctx, &format!("Devices throw secret {} away, and can never open it again.", name.as_str()))?;
                let devices = client.secret_remove(id, &name, &Reason { reason }).await?;
                ctx.out.value(&devices, |devices| format!("It is removed; it was sealed for {devices} device(s)."))
            }
        }
    }
}

async fn application_id(client: &Client, word: &str) -> Result<ApplicationId, CliError> {
    match word.parse() {
        Ok(id) => Ok(id),
        Err(_) => Ok(find::application(client, word).await?.application.id),
    }
}

fn read(file: &Path) -> Result<SecretAdd, CliError> {
    let bytes = files::read_at_most(file, FILE_BYTES)?;
    serde_json::from_slice(&bytes).map_err(|e| CliError::file(file, e))
}

fn write(file: &Path, sealed: &SecretAdd, keep: bool) -> Result<(), CliError> {
    let bytes = serde_json::to_vec(sealed).map_err(|e| CliError::file(file, e))?;
    files::write_private(file, &bytes, keep)
}

fn value(path: &Path) -> Result<Zeroizing<Vec<u8>>, CliError> {
    let limit = muster_model::secret::SECRET_BYTES as u64;
    if path == Path::new("-") {
        return files::read_input(limit).map(Zeroizing::new);
    }
    files::check_private(path)?;
    files::read_at_most(path, limit).map(Zeroizing::new)
}

async fn recipients(client: &Client, application: ApplicationId) -> Result<Vec<SecretRecipient>, CliError> {
    let mut all = Vec::new();
    loop {
        let page = PageQuery { offset: all.len() as u64, limit: 500 };
        let part = client.secret_recipients(application, &page).await?;
        let last = part.items.is_empty();
        all.extend(part.items);
        if last || all.len() as u64 >= part.total {
            return Ok(all);
        }
    }
}

async fn secret_seal(ctx: &Context, wanted: Seal) -> Result<(), CliError> {
    let client = ctx.client().await?;
    let profile = ctx.profile()?;
    let author = super::application::author_key(ctx, wanted.key.as_deref())?;
    // The site names the application; what it is and what it wants says its author's signature.
    let hash = find::application(&client, &wanted.application).await?.hash;
    let application = author::verified(&client.application_object(&hash).await?, &hash, author.public())?;
    if !application.secrets.contains(&wanted.name) {
        let names: Vec<_> = application.secrets.iter().map(FileName::as_str).collect();
        let names = if names.is_empty() { "no secrets".to_owned() } else { names.join(", ") };
        let name = wanted.name.as_str();
        return Err(CliError::Usage(format!("{} wants {names}, and not {name:?}", application.name)));
    }
    let site = client.site_show().await?.code;
    let mut sorted = seal::sort(site, recipients(&client, application.id).await?, wanted.software_keys)?;
    let mut known = Known::read(&profile.dir, profile.profile.root)?;
    let new = known.new_ones(&sorted.ready)?;
    let listed = list_new(&profile.dir, &new)?;
    let described = described(&sorted, &new, listed.as_deref());
    let head = format!("Secret {} of {} {}", wanted.name.as_str(), application.name, application.version);
    if sorted.ready.is_empty() {
        return Err(CliError::Found(format!("{head} can be sealed for no device.\n{described}")));
    }
    confirm(ctx, &format!("{head}\n{described}"))?;
    let secret = value(&wanted.value)?;
    let what = What { site, application: application.id, name: wanted.name.clone(), version: ctx.now };
    let mut done = Done { software_key: std::mem::take(&mut sorted.software), ..Done::default() };
    done.no_sealing_key = std::mem::take(&mut sorted.silent);
    known.keep(&sorted.ready)?;
    if let Some(out) = &wanted.out {
        write(out, &seal::seal(&what, &secret, &sorted.ready, &author)?, true)?;
        done.sealed = sorted.ready.len() as u64;
        return ctx.out.value(&done, |done| {
            let file = out.display();
            format!("Sealed for {} device(s) into {file}.\nNext: muster secret cosign {file}", done.sealed)
        });
    }
    let mut left = sorted.ready;
    for _ in 0..ROUNDS {
        let (added, again) = add(&client, &seal::seal(&what, &secret, &left, &author)?).await?;
        done.sealed += added;
        left = newer(&client, &what, &known, left, &again).await?;
        if left.is_empty() {
            return ctx.out.value(&done, |done| format!("Sealed for {} device(s).", done.sealed));
        }
    }
    let names: Vec<&str> = left.iter().map(|r| r.name.as_str()).collect();
    Err(CliError::Found(format!(
        "{} device(s) change their sealing key again and again: {}",
        names.len(),
        some(&names)
    )))
}

/// The present sealing keys of devices that made another one meanwhile: of those for which was sealed, by the keys that were agreed to.
async fn newer(
    client: &Client,
    what: &What,
    known: &Known,
    before: Vec<Recipient>,
    again: &[DeviceId],
) -> Result<Vec<Recipient>, CliError> {
    let wanted: Vec<Recipient> = before.into_iter().filter(|one| again.contains(&one.device)).collect();
    if wanted.is_empty() {
        return Ok(Vec::new());
    }
    let mut all = recipients(client, what.application).await?;
    all.retain(|one| wanted.iter().any(|wanted| wanted.device == one.device));
    let mut ready = seal::sort(what.site, all, true)?.ready;
    known.new_ones(&ready)?;
    ready.retain(|one| wanted.iter().any(|wanted| wanted.device == one.device && wanted.key == one.key));
    Ok(ready)
}

/// The keys of devices for which is sealed the first time, all of them, where they are too many to be shown.
fn list_new(profile: &Path, new: &[&Recipient]) -> Result<Option<PathBuf>, CliError> {
    if new.len() <= SHOWN {
        return Ok(None);
    }
    let path = profile.join(NEW);
    let lines: Vec<String> =
        new.iter().map(|one| format!("{} {} {}\n", one.key, one.device, output::clean(&one.name))).collect();
    files::write_private(&path, lines.concat().as_bytes(), false)?;
    Ok(Some(path))
}

/// Hands them over in parts; how many were taken, and which devices must be sealed for again.
async fn add(client: &Client, sealed: &SecretAdd) -> Result<(u64, Vec<DeviceId>), CliError> {
    let (mut added, mut again) = (0, Vec::new());
    let mut rest = &sealed.secrets[..];
    while !rest.is_empty() {
        let mut bytes = 0;
        let fits = rest.iter().take(SECRETS_ADDED).take_while(|text| {
            bytes += text.len();
            bytes <= REQUEST_BYTES
        });
        let (part, later) = rest.split_at(fits.count().max(1));
        let answer = client.secret_add(&SecretAdd { secrets: part.to_vec() }).await?;
        added += answer.added;
        again.extend(answer.again);
        rest = later;
    }
    Ok((added, again))
}

fn some(names: &[&str]) -> String {
    let shown = names.iter().take(SHOWN).map(|name| output::clean(name)).collect::<Vec<_>>().join(", ");
    let more = names.len().saturating_sub(SHOWN);
    if more > 0 { format!("{shown} and {more} more") } else { shown }
}

fn described(sorted: &Recipients, new: &[&Recipient], listed: Option<&Path>) -> String {
    let mut lines = vec![format!("is sealed for {} device(s), each on its own.", sorted.ready.len())];
    if !new.is_empty() {
        let names: Vec<String> = new.iter().map(|r| format!("{} {}", r.name, r.key)).collect();
        let names: Vec<&str> = names.iter().map(String::as_str).collect();
        lines.push(format!(
            "{} of them for the first time from here. Their keys come from the site; compare with what `muster-agent status` \
             says on the device: {}",
            new.len(),
            some(&names)
        ));
        lines.extend(listed.map(|path| format!("All of them are in {}.", path.display())));
    }
    let left = |names: &[String], why: &str| {
        let names: Vec<&str> = names.iter().map(String::as_str).collect();
        (!names.is_empty()).then(|| format!("Not for {} device(s) {why}: {}", names.len(), some(&names)))
    };
    let software = "whose key is in a file that can be copied (--software-keys seals for them too)";
    lines.extend(left(&sorted.software, software));
    lines.extend(left(&sorted.silent, "that told no sealing key yet; try again when they were in contact"));
    lines.join("\n")
}

async fn secret_list(ctx: &Context, part: Part) -> Result<(), CliError> {
    let page = ctx.client().await?.secret_list(&part.query()).await?;
    ctx.out.value(&page, |page| {
        let rows = page.items.iter().map(|secret| {
            [
                secret.name.as_str().to_owned(),
                secret.application_name.clone(),
                secret.devices.to_string(),
                when::human(ctx.now, secret.sealed),
                secret.application.to_string(),
            ]
        });
        let table = output::table(["NAME", "APPLICATION", "DEVICES", "SEALED", "APPLICATION ID"], rows);
        output::listed(&table, page.items.len(), page.total, page.offset, "No secrets. `muster secret seal` makes one.")
    })
}
