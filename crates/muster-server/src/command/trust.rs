//! `musterd trust`: every change of the trust bundle. One mechanism: propose here, sign where the root key is, accept here. Where
//! the root key lies on this machine the three follow each other; with `--out` the first writes a file and the rest waits.

use super::{
    runtime, say,
    trust_root::{Root, RootArgs},
};
use crate::{clock::System, config, layout::Layout, ring::Ring, serve};
use muster_model::time::DAY;
use muster_site::{Ctx, Store, TrustPlace, identity::keys::KeyRole, site::Sources};
use muster_trust::{
    PrivateKey, PublicKey, TrustBundle,
    bundle::{KeySet, NamedKey},
    proposal::{Change, PROPOSAL_BYTES, Proposal},
};
use std::{
    path::{Path, PathBuf},
    process::ExitCode,
};

/// Where the site is.
#[derive(Debug, clap::Args)]
pub(super) struct At {
    /// The site's directory.
    #[arg(long, env = "MUSTERD_DIR", default_value = "/var/lib/musterd", value_name = "DIR")]
    dir: PathBuf,
}

/// Where the site is, and where the root key.
#[derive(Debug, clap::Args)]
pub(super) struct Signing {
    #[command(flatten)]
    at: At,
    #[command(flatten)]
    root: RootArgs,
    /// Write the proposal to this file, to be signed on another machine with `muster trust sign`, and change nothing yet.
    #[arg(long, value_name = "FILE", conflicts_with_all = ["root_key", "passphrase_file"])]
    out: Option<PathBuf>,
}

#[derive(Debug, clap::Subcommand)]
pub(super) enum TrustCommand {
    /// Sign the same trust bundle for another year, before the present one ends.
    Renew(Signing),
    /// Take a new key for a purpose. The old one is still believed until it is revoked; a root key ends at once.
    Rotate {
        #[command(subcommand)]
        what: Rotate,
    },
    /// Add a person's key, whose signature clients believe on applications.
    Author(AuthorArgs),
    /// Say how many authors must sign each application.
    Threshold(ThresholdArgs),
    /// Say which deployments a second key must approve.
    Approval(ApprovalArgs),
    /// End a key: it is believed for nothing from then on.
    Revoke(RevokeArgs),
    /// Take a proposal that was signed elsewhere. A running server follows within seconds.
    Accept(AcceptArgs),
    /// Show the trust bundle in force, verified from the first root key.
    Show(At),
}

#[derive(Debug, clap::Subcommand)]
pub(super) enum Rotate {
    /// A new key that signs what devices are told.
    Policy(Signing),
    /// A new authority for the certificates of clients and servers.
    Issuing(Signing),
    /// New trusted root keys. Without --new-key one is made beside the present one.
    Root(RootRotation),
}

#[derive(Debug, clap::Args)]
pub(super) struct RootRotation {
    #[command(flatten)]
    signing: Signing,
    /// Public key (PEM file) of the new root; the first one certifies and signs first. Repeat it for several holders.
    #[arg(long = "new-key", value_name = "FILE")]
    new_keys: Vec<PathBuf>,
    /// How many of the new root keys must sign.
    #[arg(long, default_value_t = 1, requires = "new_keys")]
    threshold: u32,
}

#[derive(Debug, clap::Args)]
pub(super) struct AuthorArgs {
    /// Who holds the key.
    name: muster_model::id::Name,
    /// The public key (PEM file), made with `muster key create`.
    key: PathBuf,
    #[command(flatten)]
    signing: Signing,
}

#[derive(Debug, clap::Args)]
pub(super) struct ThresholdArgs {
    /// How many.
    authors: u32,
    #[command(flatten)]
    signing: Signing,
}

#[derive(Debug, clap::Args)]
pub(super) struct ApprovalArgs {
    /// Those for more devices than this; with 0 clients refuse everything that is not approved.
    #[arg(long, value_name = "DEVICES", required_unless_present = "never")]
    above: Option<u64>,
    /// None.
    #[arg(long, conflicts_with = "above")]
    never: bool,
    #[command(flatten)]
    signing: Signing,
}

#[derive(Debug, clap::Args)]
pub(super) struct RevokeArgs {
    /// The key id, or enough of its beginning.
    key: String,
    #[command(flatten)]
    signing: Signing,
}

#[derive(Debug, clap::Args)]
pub(super) struct AcceptArgs {
    /// The signed proposal.
    file: PathBuf,
    #[command(flatten)]
    at: At,
}

pub(super) fn run(command: &TrustCommand) -> Result<ExitCode, String> {
    match command {
        TrustCommand::Renew(signing) => change(signing, vec![]),
        TrustCommand::Rotate { what: Rotate::Policy(signing) } => rotate(signing, KeyRole::Policy),
        TrustCommand::Rotate { what: Rotate::Issuing(signing) } => rotate(signing, KeyRole::Issuing),
        TrustCommand::Rotate { what: Rotate::Root(args) } => rotate_root(args),
        TrustCommand::Author(args) => {
            let key = public_key(&args.key)?;
            change(&args.signing, vec![Change::Author(NamedKey::new(args.name.as_str(), &key))])
        }
        TrustCommand::Threshold(args) => change(&args.signing, vec![Change::AuthorThreshold(args.authors)]),
        TrustCommand::Approval(args) => {
            let above = args.above.filter(|_| !args.never);
            change(&args.signing, vec![Change::ApprovalAbove(above)])
        }
        TrustCommand::Revoke(args) => revoke(args),
        TrustCommand::Accept(args) => accept(&args.at, &args.file),
        TrustCommand::Show(at) => show(at),
    }
}

/// A site on this machine, for the work of one command.
pub(super) struct Here {
    pub(super) layout: Layout,
    ring: std::sync::Arc<Ring>,
    pin: muster_model::id::Hash,
    code: muster_model::id::SiteCode,
    /// What a new issuing CA is bounded to.
    within: Vec<String>,
    store: Store,
    ctx: Ctx,
}

impl Here {
    async fn open(at: &At) -> Result<Self, String> {
        let config = config::load(&at.dir).map_err(|error| error.to_string())?;
        let layout = Layout::new(&at.dir);
        let keys = serve::keys(&layout, &config).map_err(|error| error.to_string())?;
        let store = Store::open(&layout.database(&config.site.database)).await.map_err(|error| error.to_string())?;
        let (ring, pin) = (keys.ring, keys.root);
        Ok(Self {
            layout,
            ring,
            pin,
            code: config.site.code,
            within: config.names.bounds(),
            store,
            ctx: Ctx::site(System.now()),
        })
    }

    fn place(&self) -> TrustPlace<'_> {
        TrustPlace { store: &self.store, code: self.code, pin: self.pin }
    }

    async fn in_force(&self) -> Result<TrustBundle, String> {
        muster_site::trust_in_force(&self.ctx, self.place()).await.map_err(|error| error.to_string())
    }

    async fn propose(&self, changes: Vec<Change>) -> Result<Proposal, String> {
        muster_site::trust_propose(&self.ctx, self.place(), changes).await.map_err(|error| error.to_string())
    }

    async fn accept(&self, proposal: &Proposal) -> Result<(), String> {
        let accepted = muster_site::trust_accept(&self.ctx, self.place(), self.ring.as_ref(), proposal).await;
        let bundle = accepted.map_err(|error| error.to_string())?;
        let days = bundle.expires.since(self.ctx.now) / DAY;
        say(&format!("Trust bundle {} is in force; clients believe it for {days} days.", bundle.version));
        say("A running server follows within seconds, and devices after it.");
        Ok(())
    }
}

/// Runs the work of one command, and closes the database after it.
fn at<T>(at: &At, work: impl AsyncFnOnce(&Here) -> Result<T, String>) -> Result<T, String> {
    runtime()?.block_on(async {
        let here = Here::open(at).await?;
        let outcome = work(&here).await;
        here.store.close().await;
        outcome
    })
}

fn change(signing: &Signing, changes: Vec<Change>) -> Result<ExitCode, String> {
    at(&signing.at, async |here| finish(here, signing, changes).await)
}

/// Proposes, and where the root key is here signs and accepts.
async fn finish(here: &Here, signing: &Signing, changes: Vec<Change>) -> Result<ExitCode, String> {
    finish_with(here, signing, &Root::new(&signing.root), None, changes).await
}

/// As [`finish`]; a new root key that was made here signs first.
async fn finish_with(
    here: &Here,
    signing: &Signing,
    root: &Root<'_>,
    made: Option<&PrivateKey>,
    changes: Vec<Change>,
) -> Result<ExitCode, String> {
    let mut proposal = here.propose(changes).await?;
    if let Some(out) = &signing.out {
        write_proposal(out, &proposal)?;
        say(&format!("{} holds the proposal; nothing is changed yet.", out.display()));
        say(&format!("Where the root key is: muster trust sign {} --key FILE", out.display()));
        say(&format!("Then here: musterd trust accept {}", out.display()));
        return Ok(ExitCode::SUCCESS);
    }
    let present = root.open(here, &here.in_force().await?)?;
    let keys: Vec<&PrivateKey> = made.into_iter().chain([&present]).collect();
    let sentence = |error: muster_trust::proposal::ProposalError| format!("{error}; nothing was changed");
    let next = proposal.prepare(&keys).map_err(sentence)?;
    let standing = proposal.sign(&next, &keys).map_err(sentence)?;
    if !standing.is_complete() {
        return Err("more root keys must sign: write the proposal with --out, and sign it with `muster trust sign`; \
             nothing was changed"
            .to_owned());
    }
    here.accept(&proposal).await?;
    say("Put the root key away again.");
    Ok(ExitCode::SUCCESS)
}

fn rotate(signing: &Signing, role: KeyRole) -> Result<ExitCode, String> {
    at(&signing.at, async |here| {
        // It is kept before anything names it; a key that no bundle ever names does no harm.
        let (key, place) = here.ring.make(role)?;
        say(&format!("The new key is in {place}."));
        let named = NamedKey::new(role.as_str(), &key);
        let (change, purpose) = match role {
            KeyRole::Policy => (Change::Policy(named), "policy"),
            KeyRole::Issuing => (Change::Issuing { key: named, within: here.within.clone() }, "issuing"),
        };
        let old: Vec<String> =
            here.in_force().await?.keys().filter(|key| key.0 == purpose).map(|key| key.1.to_string()).collect();
        let code = finish(here, signing, vec![change]).await?;
        say(&format!("Still believed until you revoke it: {}", old.join(", ")));
        Ok(code)
    })
}

fn rotate_root(args: &RootRotation) -> Result<ExitCode, String> {
    let publics = args.new_keys.iter().map(|path| public_key(path)).collect::<Result<Vec<_>, _>>()?;
    at(&args.signing.at, async |here| {
        let root = Root::new(&args.signing.root);
        let made = match (publics.is_empty(), &args.signing.out) {
            (true, None) => Some(root.make(here)?),
            (true, Some(_)) => {
                return Err(
                    "make the new root key where it will lie, with `muster key create`, and name its public key \
                     with --new-key"
                        .to_owned(),
                );
            }
            (false, _) => None,
        };
        let keys = made.iter().map(PrivateKey::public).chain(&publics);
        let keys = keys.enumerate().map(|(at, key)| NamedKey::new(&format!("trusted root {}", at + 1), key)).collect();
        let change = vec![Change::Root(KeySet { threshold: args.threshold, keys })];
        let code = finish_with(here, &args.signing, &root, made.as_ref(), change).await?;
        say(
            "Open tokens name the old root key: make new ones. Profiles that connect over TLS need the new key id as `root`.",
        );
        Ok(code)
    })
}

fn revoke(args: &RevokeArgs) -> Result<ExitCode, String> {
    at(&args.signing.at, async |here| {
        let bundle = here.in_force().await?;
        let wanted = args.key.to_lowercase();
        let found: Vec<_> = bundle.keys().filter(|key| key.1.to_string().starts_with(&wanted)).collect();
        let [(purpose, id, name)] = found.as_slice() else {
            return Err(format!(
                "{} keys of the trust bundle begin with {wanted}; `musterd trust show` lists them",
                found.len()
            ));
        };
        say(&format!("Revoking the {purpose} key of \"{name}\": {id}"));
        finish(here, &args.signing, vec![Change::Revoke(*id)]).await
    })
}

fn accept(place: &At, file: &Path) -> Result<ExitCode, String> {
    let proposal = read_proposal(file)?;
    at(place, async |here| {
        here.accept(&proposal).await?;
        Ok(ExitCode::SUCCESS)
    })
}

fn show(place: &At) -> Result<ExitCode, String> {
    at(place, async |here| {
        let bundle = here.in_force().await?;
        let days = bundle.expires.since(here.ctx.now).div_euclid(DAY);
        say(&format!("Trust bundle {} of site {}, for {days} more days.", bundle.version, bundle.site));
        for (purpose, id, name) in bundle.keys() {
            say(&format!("{purpose:8} {id}  {name}"));
        }
        for id in &bundle.revoked {
            say(&format!("revoked  {id}"));
        }
        say(&format!(
            "Signatures needed: {} of roots, {} of authors.",
            bundle.root.threshold, bundle.authors.threshold
        ));
        Ok(ExitCode::SUCCESS)
    })
}

fn public_key(path: &Path) -> Result<PublicKey, String> {
    let text = std::fs::read_to_string(path).map_err(|error| format!("{}: {error}", path.display()))?;
    PublicKey::from_pem(&text).map_err(|_| format!("{} is not a public key (PEM, P-256)", path.display()))
}

fn write_proposal(path: &Path, proposal: &Proposal) -> Result<(), String> {
    let text = serde_json::to_vec_pretty(proposal).map_err(|error| error.to_string())?;
    crate::layout::replace_file(path, &text).map_err(|error| format!("{}: {error}", path.display()))
}

fn read_proposal(path: &Path) -> Result<Proposal, String> {
    let at = |error: &dyn std::fmt::Display| format!("{}: {error}", path.display());
    let length = std::fs::metadata(path).map_err(|error| at(&error))?.len();
    if length > PROPOSAL_BYTES as u64 {
        return Err(at(&"too large for a proposal"));
    }
    let text = std::fs::read(path).map_err(|error| at(&error))?;
    serde_json::from_slice(&text).map_err(|error| at(&format!("not a proposal: {error}")))
}
