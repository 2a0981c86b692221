//! `muster trust`: what is in force, and signing what shall follow, on whichever machine a root key is.

use super::{Context, ask};
use crate::{
    CliError, files,
    key::{self, Passphrase},
    output, when,
};
use clap::Subcommand;
use muster_model::api::TrustView;
use muster_trust::{PrivateKey, TrustBundle, crl::Revoked, proposal::Proposal, signed_before::SignedBefore};
use std::path::{Path, PathBuf};

#[derive(Debug, Subcommand)]
pub(super) enum Verb {
    /// Show the trust bundle in force, and which devices have it
    Show,
    /// Sign a proposal that `musterd trust` wrote, after showing what it changes; needs no site and no network
    Sign {
        /// The proposal; the signature is put into it
        file: PathBuf,
        /// A root key. Repeat it for several; where the root changes, the first new one is among the first that sign
        #[arg(long = "key", value_name = "FILE", required = true)]
        keys: Vec<PathBuf>,
        /// Sign although a key signed this version or a later one before, with other content. Clients that have the other one
        /// will never take this one
        #[arg(long)]
        again: bool,
    },
}

#[derive(serde::Serialize)]
struct Signed {
    version: u64,
    complete: bool,
    file: PathBuf,
}

impl Verb {
    pub(super) async fn run(self, ctx: &Context) -> Result<(), CliError> {
        match self {
            Self::Show => show(ctx).await,
            Self::Sign { file, keys, again } => sign(ctx, &file, &keys, again),
        }
    }
}

async fn show(ctx: &Context) -> Result<(), CliError> {
    let trust = ctx.client().await?.trust_show().await?;
    ctx.out.value(&trust, |trust| shown(ctx, trust))
}

fn shown(ctx: &Context, trust: &TrustView) -> String {
    let keys = trust.keys.iter().map(|key| {
        let state = if key.in_use { "in use" } else { "believed" };
        [key.purpose.clone(), state.to_owned(), key.key.to_string(), key.name.clone()]
    });
    let revoked = trust.revoked.iter().map(|id| ["-".to_owned(), "revoked".to_owned(), id.to_string(), String::new()]);
    let have = |devices: &muster_model::api::TrustDevices| format!("{} have {}", devices.count, devices.version);
    let mut devices: Vec<_> = trust.devices.iter().map(have).collect();
    devices.push(format!("{} have not said yet", trust.unconfirmed));
    format!(
        "{}\n{}",
        output::pairs([
            ("Trust bundle", format!("version {}, until {}", trust.version, when::both(ctx.now, trust.expires))),
            ("Signatures", format!("{} of root keys, {} of authors", trust.root_threshold, trust.author_threshold)),
            ("Devices", devices.join(", ")),
        ]),
        output::table(["PURPOSE", "STATE", "KEY", "NAME"], keys.chain(revoked))
    )
}

fn sign(ctx: &Context, file: &Path, keys: &[PathBuf], again: bool) -> Result<(), CliError> {
    let wrong = |error: &dyn std::fmt::Display| CliError::file(file, error);
    let mut proposal: Proposal = serde_json::from_slice(&files::read_small(file)?).map_err(|error| wrong(&error))?;
    let passphrase = || ctx.passphrase_file.as_deref().map_or(Passphrase::Prompt, Passphrase::File);
    let opened = keys.iter().map(|path| key::open(path, passphrase())).collect::<Result<Vec<_>, _>>()?;
    let opened: Vec<&PrivateKey> = opened.iter().collect();
    let next = proposal.prepare(&opened).map_err(|error| wrong(&error))?;
    let known = proposal.vouched(&opened).map_err(|error| wrong(&error))?;
    let mut asked = question(ctx, &next, known.as_ref());
    let certifier = next.root_certificate_key().map_err(|error| wrong(&error))?;
    let mut list = None;
    if opened.iter().any(|key| *key.public() == certifier) {
        let (number, revoked) = proposal.coming_root_list(&next).map_err(|error| wrong(&error))?;
        asked.push_str(&root_list(number, &revoked));
        list = Some(number);
    }
    for path in keys {
        let memory = memory(path)?;
        if let Some(last) = memory.last(next.site) {
            let text = format!("{} signed version {} {}.", path.display(), last.version, when::both(ctx.now, last.at));
            if !again && !memory.admits(&next, list) {
                return Err(CliError::file(file, format!("{text} {TWICE}")));
            }
            asked.push_str(&format!("\n{text}"));
        }
    }
    ask::confirm(ctx, &asked)?;
    let standing = proposal.sign(&next, &opened).map_err(|error| wrong(&error))?;
    for path in keys {
        remember(ctx, path, &next, list)?;
    }
    let text = serde_json::to_vec_pretty(&proposal).map_err(|error| wrong(&error))?;
    files::write_private(file, &text, false)?;
    let signed = Signed { version: next.version, complete: standing.is_complete(), file: file.to_owned() };
    ctx.out.value(&signed, |signed| {
        let file = signed.file.display();
        match signed.complete {
            true => format!("Signed. At the site: musterd trust accept {file}"),
            false => format!(
                "Signed by {} of {} root keys in force and {} of {} new ones; the others sign {file} too.",
                standing.present, standing.present_threshold, standing.next, standing.next_threshold
            ),
        }
    })
}

/// Why a key does not sign.
const TWICE: &str = "This is another bundle of that version or an earlier one, or a revocation list that goes back. Somebody who is \
    shown both could be given either. Ask the site what became of the first; --again signs all the same.";

fn memory_file(key: &Path) -> PathBuf {
    let mut name = key.as_os_str().to_owned();
    name.push(".signed");
    name.into()
}

/// What this key has signed, as it is kept beside it.
fn memory(key: &Path) -> Result<SignedBefore, CliError> {
    let file = memory_file(key);
    if !file.exists() {
        return Ok(SignedBefore::default());
    }
    serde_json::from_slice(&files::read_small(&file)?).map_err(|error| CliError::file(&file, error))
}

/// Keeps what this key signs now, before the signature leaves this program.
fn remember(ctx: &Context, key: &Path, next: &TrustBundle, list: Option<u64>) -> Result<(), CliError> {
    let file = memory_file(key);
    let mut memory = memory(key)?;
    memory.note(next, list, ctx.now);
    let text = serde_json::to_vec_pretty(&memory).map_err(|error| CliError::file(&file, error))?;
    files::write_private(&file, &text, false)
}

/// The root's own revocation list, which is signed with the bundle.
fn root_list(number: u64, revoked: &[Revoked]) -> String {
    let serials: Vec<_> = revoked.iter().map(|revoked| format!("{:032x}", revoked.serial)).collect();
    let names = if serials.is_empty() { "no issuing CA".to_owned() } else { serials.join(", ") };
    format!("\nWith it, revocation list {number} of the root key, which names {names} as revoked.")
}

/// What is about to be signed, from the bytes themselves.
fn question(ctx: &Context, next: &TrustBundle, known: Option<&TrustBundle>) -> String {
    let mut lines = vec![format!(
        "Trust bundle {} of site {}, made {}, until {}.",
        next.version,
        next.site,
        when::human(ctx.now, next.issued),
        when::both(ctx.now, next.expires)
    )];
    match known {
        Some(known) => {
            lines.push(format!("It follows on {}, which one of these keys signed, and changes:", known.version))
        }
        None => lines.push("None of these keys signed the bundle before it, so look at all that it says:".to_owned()),
    }
    let mut differences = next.differences(known);
    if differences.is_empty() {
        differences.push("nothing but the version and the times".to_owned());
    }
    lines.extend(differences.into_iter().map(|difference| format!("  {difference}")));
    lines.join("\n")
}
