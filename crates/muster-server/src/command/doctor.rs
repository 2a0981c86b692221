//! `musterd doctor`: what is wrong with a site, and what to do about it. Changes nothing.

use super::{runtime, say};
use crate::{
    clock::System,
    config::{self, Config},
    layout::Layout,
    serve::{self, Keys},
};
use muster_model::time::{DAY, UnixMillis};
use muster_site::{ContentStore, Site, SiteError, SiteParts, Store, site::Addresses, site::Sources};
use rustix::fs::{FlockOperation, flock, statvfs};
use std::{
    fs::{self, File},
    net::{SocketAddr, TcpListener},
    os::unix::fs::PermissionsExt,
    path::Path,
    process::ExitCode,
    sync::Arc,
};

/// Days before the end of the trust bundle from which on it is a warning.
const BUNDLE_WARNING: i64 = 30;
/// Bytes of free space below which the disk is a warning, and below which it is a failure.
const SPACE: (u64, u64) = (2 << 30, 200 << 20);
/// A clock before this moment (2026-01-01) was never set.
const CLOCK: UnixMillis = UnixMillis(1_767_225_600_000);

/// How one check ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Verdict {
    Ok,
    Warn,
    Fail,
}

/// One line of the list.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Finding {
    pub(crate) verdict: Verdict,
    pub(crate) what: &'static str,
    pub(crate) sentence: String,
}

#[derive(Debug, Default)]
struct Findings(Vec<Finding>);

impl Findings {
    fn ok(&mut self, what: &'static str, sentence: impl Into<String>) {
        self.0.push(Finding { verdict: Verdict::Ok, what, sentence: sentence.into() });
    }
    fn warn(&mut self, what: &'static str, sentence: impl Into<String>) {
        self.0.push(Finding { verdict: Verdict::Warn, what, sentence: sentence.into() });
    }
    fn fail(&mut self, what: &'static str, sentence: impl Into<String>) {
        self.0.push(Finding { verdict: Verdict::Fail, what, sentence: sentence.into() });
    }
}

/// Checks everything and prints a list.
pub(super) fn run(dir: &Path) -> Result<ExitCode, String> {
    let findings = runtime()?.block_on(examine(dir, System.now()));
    for finding in &findings {
        let mark = match finding.verdict {
            Verdict::Ok => "ok  ",
            Verdict::Warn => "warn",
            Verdict::Fail => "FAIL",
        };
        say(&format!("{mark}  {:<14} {}", finding.what, finding.sentence));
    }
    let failed = findings.iter().filter(|f| f.verdict == Verdict::Fail).count();
    let warned = findings.iter().filter(|f| f.verdict == Verdict::Warn).count();
    say(&format!("{failed} failed, {warned} to look at, {} fine", findings.len() - failed - warned));
    Ok(if failed == 0 { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

/// Everything that can be said of the site in `dir`.
pub(crate) async fn examine(dir: &Path, now: UnixMillis) -> Vec<Finding> {
    let mut found = Findings::default();
    clock(now, &mut found);
    let config = match config::load(dir) {
        Ok(config) => config,
        Err(error) => {
            found.fail("configuration", error.to_string());
            return found.0;
        }
    };
    let problems = config::problems(&config);
    for problem in &problems {
        found.fail("configuration", problem.clone());
    }
    if problems.is_empty() {
        found.ok("configuration", format!("{} has no problem.", dir.join(config::FILE).display()));
    }
    let layout = Layout::new(dir);
    modes(&layout, &config, &mut found);
    space(dir, &mut found);
    let running = running(&layout);
    ports(&config, running, &mut found);
    match serve::keys(&layout, &config) {
        Ok(keys) => {
            if let Err(error) = keys.ring.check() {
                found.fail("keys", error.to_string());
                return found.0;
            }
            found.ok("keys", "The keys of the server open with the site's key file.");
            database(&layout, &config, keys, now, &mut found).await;
        }
        Err(error) => found.fail("keys", error.to_string()),
    }
    found.0
}

fn clock(now: UnixMillis, found: &mut Findings) {
    if now < CLOCK {
        found.fail(
            "clock",
            "The clock is years behind: set it (for example with timedatectl), else certificates are wrong.",
        );
    } else {
        found.ok("clock", "The clock shows a time that can be.");
    }
}

fn modes(layout: &Layout, config: &Config, found: &mut Findings) {
    let before = found.0.len();
    let mut private = vec![layout.dir().to_owned(), layout.keys(), layout.resolve(&config.site.key_file)];
    private.extend([layout.offline(), layout.admin()].into_iter().filter(|path| path.exists()));
    private.push(layout.dir().join(config::FILE));
    for path in private {
        match fs::metadata(&path) {
            Ok(there) if there.permissions().mode() & 0o077 != 0 => {
                found.fail("files", format!("{0} can be read by others; run: chmod go= {0}", path.display()));
            }
            Ok(_) => {}
            Err(error) => found.fail("files", format!("{}: {error}; restore it from a backup.", path.display())),
        }
    }
    if layout.offline().join("root.key.pem").exists() {
        let text =
            "holds the root key, which the server does not need: move the directory to a medium that you lock away.";
        found.warn("root key", format!("{} {text}", layout.offline().display()));
    }
    if found.0.len() == before {
        found.ok("files", "Keys and configuration are there, and nobody else can read them.");
    }
}

fn space(dir: &Path, found: &mut Findings) {
    match statvfs(dir) {
        Ok(disk) => {
            let free = disk.f_bavail.saturating_mul(disk.f_frsize);
            let text = format!("{} MB are free in {}.", free >> 20, dir.display());
            if free < SPACE.1 {
                found.fail("disk", format!("{text} Reports are refused when it is full: free some space now."));
            } else if free < SPACE.0 {
                found.warn("disk", format!("{text} Free some space before it is full."));
            } else {
                found.ok("disk", text);
            }
        }
        Err(error) => found.fail("disk", format!("The disk of {} cannot be asked: {error}.", dir.display())),
    }
}

/// Whether a server runs on this directory.
fn running(layout: &Layout) -> bool {
    File::open(layout.lock()).is_ok_and(|file| flock(&file, FlockOperation::NonBlockingLockExclusive).is_err())
}

fn ports(config: &Config, running: bool, found: &mut Findings) {
    if running {
        found.ok("ports", "The server runs and has its ports.");
        return;
    }
    let before = found.0.len();
    let mut doors: Vec<(&str, SocketAddr)> = vec![
        ("listen.management_point", config.listen.management_point),
        ("listen.enrolment", config.listen.enrolment),
        ("listen.admin", config.listen.admin),
    ];
    if config.listen.revocation_served {
        doors.push(("listen.revocation", config.listen.revocation));
    }
    for (name, address) in doors {
        if let Err(error) = TcpListener::bind(address) {
            let text = "another program has it, or this machine has no such address; change it in musterd.toml.";
            found.fail("ports", format!("{name} = {address} cannot be used ({error}): {text}"));
        }
    }
    if found.0.len() == before {
        found.ok("ports", "The ports are free; the server does not run.");
    }
}

async fn database(layout: &Layout, config: &Config, keys: Keys, now: UnixMillis, found: &mut Findings) {
    let url = layout.database(&config.site.database);
    // A database that is not there is not made by looking for it.
    let file = url.strip_prefix("sqlite:").map(|rest| Path::new(rest.split('?').next().unwrap_or(rest)).to_owned());
    if let Some(file) = file.filter(|file| !file.exists()) {
        found.fail("database", format!("{} is not there; restore it from a backup.", file.display()));
        return;
    }
    let opened = async {
        let store = Store::open(&url).await?;
        let content = ContentStore::open(layout.resolve(&config.site.content))
            .map_err(|error| SiteError::Fault(format!("the content directory cannot be used: {error}")))?;
        Site::open(SiteParts {
            store,
            content,
            keys: keys.ring,
            root: keys.root,
            endorsement_roots: Vec::new(),
            keytabs: Vec::new(),
            limits: config.limits.clone(),
            addresses: Addresses::default(),
            sources: Arc::new(System),
        })
        .await
    };
    let site = match opened.await {
        Ok(site) => site,
        Err(error) => {
            found.fail("database", format!("{} does not open: {error}", config.without_secrets().site.database));
            return;
        }
    };
    found.ok("database", format!("The database answers, and holds the site {}.", site.code));
    if site.code != config.site.code {
        found.fail("database", format!("site.code is {}: name the right database.", config.site.code));
    }
    bundle(&site, now, found);
    revocation(&site, config, now, found);
    match muster_site::alert_count(&site).await {
        Ok(0) => found.ok("alerts", "No alert is open."),
        Ok(open) => found.warn("alerts", format!("{open} alert(s) are open: `muster alert list` shows them.")),
        // The schema is brought up to date when the server starts.
        Err(error) => found.warn("alerts", format!("The alerts cannot be read: {error}")),
    }
    site.store.close().await;
}

fn bundle(site: &Site, now: UnixMillis, found: &mut Findings) {
    let days = site.trust.load().bundle().expires.since(now).div_euclid(DAY);
    let next = "sign a new one with `musterd trust renew`.";
    if days < 0 {
        found.fail("trust bundle", format!("The trust bundle ended {} days ago and no client takes it: {next}", -days));
    } else if days < BUNDLE_WARNING {
        found.warn("trust bundle", format!("The trust bundle ends in {days} days: {next}"));
    } else {
        found.ok("trust bundle", format!("The trust bundle holds for {days} more days."));
    }
}

/// Whether others can learn what is revoked.
fn revocation(site: &Site, config: &Config, now: UnixMillis, found: &mut Findings) {
    if !config.listen.revocation_served {
        let text = "listen.revocation_served is off: others cannot ask whether a certificate of this site is revoked.";
        found.warn("revocation", text);
    }
    let warnings = muster_site::revocation_warnings(site, now);
    if warnings.is_empty() {
        found.ok("revocation", "The revocation lists are signed and hold.");
    }
    for warning in warnings {
        found.warn("revocation", warning);
    }
}
