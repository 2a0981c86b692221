//! `musterd init`: a site from nothing, in one step. It is made beside its place and put there when it is whole.

use super::{runtime, say};
use crate::{
    clock::System,
    config::{self, Config},
    layout::{Layout, private_dir, private_file, sync_dir},
    pem,
};
use muster_model::{
    enrol::is_https_authority,
    id::{Hash, Name, SiteCode},
    profile::{KEY_FILE, PASSPHRASE_FILE, PROFILE_FILE, Profile},
    time::UnixMillis,
};
use muster_site::{Ctx, NewSite, SiteError, identity::new_site::ROOT_KEY_FILE, site::Sources};
use muster_trust::PublicKey;
use std::{
    fs, io,
    net::SocketAddr,
    path::{Path, PathBuf},
    process::ExitCode,
};
use zeroize::Zeroizing;

/// File that says that a directory is an unfinished site; what it holds was never in use.
const UNFINISHED: &str = ".musterd-init";
/// File name of the root key's passphrase with `--unattended`.
const ROOT_PASSPHRASE_FILE: &str = "root.passphrase";
/// Characters of a passphrase that somebody chose.
const LEAST_PASSPHRASE: usize = 12;

const OFFLINE_TEXT: &str = "This directory holds the trusted root key of the site. Clients believe whatever it signs.\n\
    The running server does not need it: move this directory to a medium that you keep locked away, and keep a copy.\n\
    You need it again to sign a new trust bundle, at the latest when the present one ends (`musterd doctor` says when).\n";

/// What `musterd init` is told.
#[derive(Debug, Clone, clap::Args)]
pub struct InitArgs {
    /// Directory of the new site; it is made.
    #[arg(long, env = "MUSTERD_DIR", default_value = "/var/lib/musterd", value_name = "DIR")]
    pub dir: PathBuf,
    /// The site code: three characters from A-Z and 0-9. It never changes.
    #[arg(long)]
    pub code: SiteCode,
    /// The site's name.
    #[arg(long)]
    pub name: Name,
    /// Name of the first administrator.
    #[arg(long, value_name = "NAME")]
    pub admin_name: Name,
    /// DNS name or address by which clients reach this server; the first one is told to them. Repeat it for more.
    #[arg(long = "host", value_name = "HOST")]
    pub hosts: Vec<String>,
    /// Domain, network or address of all servers of the site, to which its issuing CA is bounded. Repeat it for more. Without it: the
    /// domain of each host, and what has none, itself.
    #[arg(long = "within", value_name = "DOMAIN")]
    pub within: Vec<String>,
    /// Public key of the first administrator (PEM file), made with `muster key create`. Without it, one is made here.
    #[arg(long, value_name = "FILE")]
    pub admin_key: Option<PathBuf>,
    /// File with the passphrase of the root key and of the administrator's key. Without it, you are asked.
    #[arg(long, value_name = "FILE", conflicts_with = "unattended")]
    pub passphrase_file: Option<PathBuf>,
    /// Make passphrases and leave them in files (mode 0600) beside the keys: for trying out, and for automation.
    #[arg(long)]
    pub unattended: bool,
    /// The database: `sqlite:<path>` or `postgres://user@host/database`. A password stands in the file that PGPASSFILE names.
    #[arg(long, value_name = "URL")]
    pub database: Option<String>,
    /// Where devices with a certificate connect. Default: 0.0.0.0:8440.
    #[arg(long, value_name = "ADDRESS")]
    pub listen_management_point: Option<SocketAddr>,
    /// Where devices without a certificate connect. Default: 0.0.0.0:8441.
    #[arg(long, value_name = "ADDRESS")]
    pub listen_enrolment: Option<SocketAddr>,
    /// Where administrators connect: without TLS on a loopback address, else with it. Default: 127.0.0.1:8442.
    #[arg(long, value_name = "ADDRESS")]
    pub listen_admin: Option<SocketAddr>,
    /// Where revocation lists and OCSP are served, over plain HTTP. Default: 0.0.0.0:8480.
    #[arg(long, value_name = "ADDRESS")]
    pub listen_revocation: Option<SocketAddr>,
}

/// Why no site was made.
#[derive(Debug, thiserror::Error)]
pub enum InitError {
    /// Another site, or something else, is at the place.
    #[error("{} is not empty and is not a site; choose another directory with --dir", .0.display())]
    Taken(PathBuf),
    /// There is a site of another code.
    #[error("{} holds the site {found} already; `musterd init` never replaces a site", .dir.display())]
    Another {
        /// The directory.
        dir: PathBuf,
        /// Its site code.
        found: SiteCode,
    },
    /// Something that was given cannot be used.
    #[error("{0}")]
    Argument(String),
    /// A file cannot be read or written.
    #[error("{}: {error}", .path.display())]
    File {
        /// Which.
        path: PathBuf,
        /// Why.
        error: io::Error,
    },
    /// The database, or the random source.
    #[error("{0}")]
    Site(#[from] SiteError),
}

/// What was made, or found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Made {
    /// Whether it was there before.
    pub found: bool,
    /// The site code.
    pub code: SiteCode,
    /// Fingerprint of the trusted root key, where it was just made.
    pub root: Option<Hash>,
    /// What to know next: sentences.
    pub next: Vec<String>,
}

/// Makes the site and says what to do next.
pub(super) fn run(args: &InitArgs) -> Result<ExitCode, String> {
    let made = runtime()?.block_on(init(args, &System)).map_err(|error| error.to_string())?;
    for sentence in &made.next {
        say(sentence);
    }
    Ok(ExitCode::SUCCESS)
}

/// Makes the site, unless it is there.
///
/// # Errors
/// See [`InitError`]. Nothing is at the site's place then.
pub async fn init(args: &InitArgs, sources: &dyn Sources) -> Result<Made, InitError> {
    let dir = std::path::absolute(&args.dir).map_err(|error| file(&args.dir, error))?;
    if let Some(made) = there_already(&dir, args)? {
        return Ok(made);
    }
    let config = configuration(args)?;
    let passphrases = Passphrases::take(args)?;
    let admin_key = args.admin_key.as_deref().map(public_key).transpose()?;
    let partial = beside(&dir)?;
    clear(&partial)?;
    let now = sources.now();
    let (within, id) = (config.names.bounds(), sources.id());
    let new = NewSite::generate(args.code, args.name.clone(), args.admin_name.clone(), id, admin_key, &within, now)?;
    write_files(&partial, &new, &config, &passphrases)?;
    database(&partial, &config, &new, now).await?;
    let marker = partial.join(UNFINISHED);
    fs::remove_file(&marker).map_err(|error| file(&marker, error))?;
    sync_dir(&partial).map_err(|error| file(&partial, error))?;
    fs::rename(&partial, &dir).map_err(|error| file(&dir, error))?;
    if let Some(parent) = dir.parent() {
        sync_dir(parent).map_err(|error| file(parent, error))?;
    }
    Ok(Made { found: false, code: args.code, root: Some(new.root()), next: next_steps(&dir, &new, args) })
}

fn file(path: &Path, error: io::Error) -> InitError {
    InitError::File { path: path.to_owned(), error }
}

/// What is at the place: nothing, this site (nothing is to be done), or something else (refused).
fn there_already(dir: &Path, args: &InitArgs) -> Result<Option<Made>, InitError> {
    if dir.join(config::FILE).exists() {
        let config = config::load(dir).map_err(|error| InitError::Argument(error.to_string()))?;
        if config.site.code != args.code {
            return Err(InitError::Another { dir: dir.to_owned(), found: config.site.code });
        }
        let next = vec![
            format!(
                "Site {} \"{}\" is in {} already; nothing was changed.",
                args.code,
                config.site.name,
                dir.display()
            ),
            format!("Start it: musterd serve --dir {}", dir.display()),
        ];
        return Ok(Some(Made { found: true, code: args.code, root: None, next }));
    }
    match fs::read_dir(dir).map(|mut entries| entries.next().is_some()) {
        Ok(true) => Err(InitError::Taken(dir.to_owned())),
        Ok(false) => Ok(None),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(file(dir, error)),
    }
}

/// The configuration that is written.
fn configuration(args: &InitArgs) -> Result<Config, InitError> {
    let mut config = Config::new(args.code, args.name.clone());
    if let Some(url) = &args.database {
        if config::has_password(url) {
            return Err(InitError::Argument(
                "a password in --database can be seen by everyone on this machine: leave it out, and write it into a file that \
                 PGPASSFILE names (host:port:database:user:password, mode 0600)"
                    .to_owned(),
            ));
        }
        config.site.database.clone_from(url);
    }
    if !args.hosts.is_empty() {
        config.names.server.clone_from(&args.hosts);
    }
    for local in ["localhost", "127.0.0.1"] {
        if !config.names.server.iter().any(|name| name == local) {
            config.names.server.push(local.to_owned());
        }
    }
    config.names.within.clone_from(&args.within);
    for local in ["localhost", "127.0.0.1"] {
        if !muster_trust::names_within::covers(&config.names.within, local) {
            config.names.within.push(local.to_owned());
        }
    }
    let listen = &mut config.listen;
    listen.management_point = args.listen_management_point.unwrap_or(listen.management_point);
    listen.enrolment = args.listen_enrolment.unwrap_or(listen.enrolment);
    listen.admin = args.listen_admin.unwrap_or(listen.admin);
    listen.revocation = args.listen_revocation.unwrap_or(listen.revocation);
    listen.admin_tls = !listen.admin.ip().is_loopback();
    match config::problems(&config).first() {
        Some(problem) => Err(InitError::Argument(problem.clone())),
        None => Ok(config),
    }
}

/// The secrets that encrypt the keys that the server does not use.
struct Passphrases {
    root: Zeroizing<String>,
    admin: Zeroizing<String>,
    kept: bool,
}

impl Passphrases {
    fn take(args: &InitArgs) -> Result<Self, InitError> {
        if args.unattended {
            return Ok(Self { root: secret()?, admin: secret()?, kept: true });
        }
        let chosen = match &args.passphrase_file {
            Some(path) => {
                let text = Zeroizing::new(fs::read_to_string(path).map_err(|error| file(path, error))?);
                Zeroizing::new(text.strip_suffix('\n').unwrap_or(&text).to_owned())
            }
            None => asked()?,
        };
        if chosen.chars().count() < LEAST_PASSPHRASE {
            return Err(InitError::Argument(format!(
                "the passphrase protects the root of all trust: give it at least {LEAST_PASSPHRASE} characters"
            )));
        }
        Ok(Self { root: chosen.clone(), admin: chosen, kept: false })
    }
}

fn asked() -> Result<Zeroizing<String>, InitError> {
    let ask = |text| {
        rpassword::prompt_password(text).map(Zeroizing::new).map_err(|error| {
            InitError::Argument(format!(
                "there is no terminal to ask for a passphrase ({error}); give --passphrase-file or --unattended"
            ))
        })
    };
    let (first, second) = (ask("Passphrase of the root key and of your own key: ")?, ask("The same once more: ")?);
    if first == second {
        Ok(first)
    } else {
        Err(InitError::Argument("the two passphrases are not the same; nothing was made".to_owned()))
    }
}

/// 32 random bytes as text.
fn secret() -> Result<Zeroizing<String>, InitError> {
    use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD as BASE64URL};
    let mut bytes = Zeroizing::new([0_u8; 32]);
    muster_trust::random(&mut bytes[..]).map_err(|error| InitError::Argument(error.to_string()))?;
    Ok(Zeroizing::new(BASE64URL.encode(&bytes[..])))
}

fn public_key(path: &Path) -> Result<PublicKey, InitError> {
    let text = fs::read_to_string(path).map_err(|error| file(path, error))?;
    PublicKey::from_pem(&text).map_err(|_| {
        InitError::Argument(format!(
            "{} is not the public key of an administrator (PEM, P-256); `muster key create` makes one",
            path.display()
        ))
    })
}

/// Where the site is made before it is put to its place: in the same directory, so that one rename puts it there.
fn beside(dir: &Path) -> Result<PathBuf, InitError> {
    let name = dir.file_name().ok_or_else(|| InitError::Taken(dir.to_owned()))?;
    let mut partial = name.to_owned();
    partial.push(".partial");
    let partial = dir.with_file_name(partial);
    if let Some(parent) = partial.parent() {
        fs::create_dir_all(parent).map_err(|error| file(parent, error))?;
    }
    Ok(partial)
}

/// Makes the directory, and throws away what an interrupted run left in it: nothing of that was ever in use.
fn clear(partial: &Path) -> Result<(), InitError> {
    if partial.exists() {
        let empty = fs::read_dir(partial).map_err(|error| file(partial, error))?.next().is_none();
        if !empty && !partial.join(UNFINISHED).exists() {
            return Err(InitError::Argument(format!(
                "{} is in the way and was not made by `musterd init`; move it away",
                partial.display()
            )));
        }
        fs::remove_dir_all(partial).map_err(|error| file(partial, error))?;
    }
    private_dir(partial).map_err(|error| file(partial, error))?;
    let marker = partial.join(UNFINISHED);
    private_file(&marker, b"An unfinished site; `musterd init` begins anew.\n").map_err(|error| file(&marker, error))
}

fn write_files(dir: &Path, new: &NewSite, config: &Config, passphrases: &Passphrases) -> Result<(), InitError> {
    let layout = Layout::new(dir);
    let write = |path: PathBuf, bytes: &[u8]| private_file(&path, bytes).map_err(|error| file(&path, error));
    for sub in [layout.keys(), layout.offline(), layout.admin(), layout.resolve(&config.site.content)] {
        private_dir(&sub).map_err(|error| file(&sub, error))?;
    }
    let site_secret = secret()?;
    write(layout.resolve(&config.site.key_file), site_secret.as_bytes())?;
    for part in new.files(passphrases.root.as_bytes(), site_secret.as_bytes())? {
        let sub = if part.name == ROOT_KEY_FILE { layout.offline() } else { layout.keys() };
        write(sub.join(part.name), &part.content)?;
    }
    write(layout.offline().join("README.txt"), OFFLINE_TEXT.as_bytes())?;
    write(layout.root_certificate(), pem::certificate(&new.root_certificate).as_bytes())?;
    let profile = profile(new, config, passphrases.kept);
    let admin = layout.admin();
    if let Some(key) = &new.admin_key {
        let text =
            key.to_encrypted_pem(passphrases.admin.as_bytes()).map_err(|e| InitError::Argument(e.to_string()))?;
        write(admin.join(KEY_FILE), text.as_bytes())?;
        if passphrases.kept {
            write(admin.join(PASSPHRASE_FILE), passphrases.admin.as_bytes())?;
        }
    }
    write(admin.join(PROFILE_FILE), toml_of(&profile)?.as_bytes())?;
    if passphrases.kept {
        write(layout.offline().join(ROOT_PASSPHRASE_FILE), passphrases.root.as_bytes())?;
    }
    for sub in [layout.keys(), layout.offline(), admin] {
        sync_dir(&sub).map_err(|error| file(&sub, error))?;
    }
    write(dir.join(config::FILE), toml_of(config)?.as_bytes())
}

fn toml_of<T: serde::Serialize>(value: &T) -> Result<String, InitError> {
    toml::to_string_pretty(value).map_err(|error| InitError::Argument(error.to_string()))
}

fn profile(new: &NewSite, config: &Config, kept: bool) -> Profile {
    let port = config.listen.admin.port();
    let address = match (config.listen.admin_tls, config.names.server.first()) {
        (true, Some(name)) if is_https_authority(&format!("https://{name}:{port}")) => format!("https://{name}:{port}"),
        (true, Some(name)) => format!("https://[{name}]:{port}"),
        _ => format!("http://{}", config.listen.admin),
    };
    Profile {
        site: new.code,
        address,
        root: new.root(),
        key: KEY_FILE.to_owned(),
        author_key: None,
        passphrase_file: (kept && new.admin_key.is_some()).then(|| PASSPHRASE_FILE.to_owned()),
    }
}

async fn database(dir: &Path, config: &Config, new: &NewSite, now: UnixMillis) -> Result<(), InitError> {
    let url = Layout::new(dir).database(&config.site.database);
    let store = muster_site::Store::open(&url).await.map_err(SiteError::from)?;
    let made = muster_site::site_create(&Ctx::site(now), &store, new).await;
    store.close().await;
    if made.as_ref().is_err_and(|error| error.code() == muster_model::problem::Code::Conflict) {
        return Err(InitError::Argument(format!(
            "the database {} holds a site already. If an interrupted `musterd init` left it there, empty that database and run \
             init again; else name another one with --database",
            config.without_secrets().site.database
        )));
    }
    Ok(made?)
}

fn next_steps(dir: &Path, new: &NewSite, args: &InitArgs) -> Vec<String> {
    let layout = Layout::new(dir);
    let mut next = vec![
        format!("Site {} \"{}\" was made in {}.", new.code, new.name, dir.display()),
        format!("Trusted root key: {}", new.root()),
        format!(
            "Move {} away: it holds the root key, which the running server does not need.",
            layout.offline().display()
        ),
    ];
    next.push(match &args.admin_key {
        Some(_) => format!(
            "Profile of {}: {}. Put the private key beside it, as {KEY_FILE}.",
            new.admin.name,
            layout.admin().display()
        ),
        None => format!("Profile and key of {}: {}", new.admin.name, layout.admin().display()),
    });
    next.push(format!("Start it: musterd serve --dir {}", dir.display()));
    next
}
