//! `dnf`, version 4: how it is called. What of its configuration would make it believe less than signatures is said otherwise here.

use super::{ASKS, Ran, Refusal, THINKS, call};
use crate::agent::Agent;
use muster_model::{
    status::FailureReason,
    update::{
        Missing, Simulation,
        dnf::{self, ROW, SOLVED},
    },
};
use std::{
    io::Read,
    path::{Path, PathBuf},
    time::Duration,
};

const PROGRAM: &str = "/usr/bin/dnf";
/// Its code where another program has it.
const LOCKED: i32 = 200;
/// How often it is asked while whoever had it was done when it was asked for its errors.
const TRIES: u32 = 3;

/// Said with each call, after the machine's own configuration: it holds whatever that says, for each repository too.
const OPTIONS: &[&str] = &[
    "--setopt=gpgcheck=1",
    "--setopt=*.gpgcheck=1",
    "--setopt=localpkg_gpgcheck=1",
    "--setopt=sslverify=1",
    "--setopt=*.sslverify=1",
    "--setopt=skip_if_unavailable=0",
    "--setopt=*.skip_if_unavailable=0",
    "--setopt=exit_on_lock=1",
    "--setopt=protect_running_kernel=1",
    "--setopt=clean_requirements_on_remove=0",
    "--color=never",
];

/// What was fetched when the sources were asked is what is judged, and what is installed.
const AS_KNOWN: [&str; 2] = ["--setopt=metadata_expire=-1", "--setopt=*.metadata_expire=-1"];

/// The tool on a machine.
pub(super) struct Dnf<'a> {
    root: &'a Path,
}

/// Exactly these, and only where an older version is installed.
pub(super) fn targets(wanted: &[&Missing]) -> Vec<String> {
    // Its strictest way: what cannot be had as it was named is an error, and not left out.
    let mut arguments = vec!["--best".to_owned(), "upgrade".to_owned(), "--".to_owned()];
    arguments.extend(wanted.iter().filter_map(|missing| {
        let version = missing.version.as_ref()?;
        let of = missing.architecture.as_deref().map(|of| format!(".{of}")).unwrap_or_default();
        Some(format!("{}-{version}{of}", missing.package))
    }));
    arguments
}

impl<'a> Dnf<'a> {
    /// The tool of the machine whose files lie below `root`, where it has it.
    pub(super) fn of(root: &'a Path) -> Option<Self> {
        let tool = Self { root };
        (root.join("etc/yum.repos.d").exists() && tool.program().exists()).then_some(tool)
    }

    pub(super) fn is_elsewhere(&self) -> bool {
        self.root != Path::new("/")
    }

    /// A test's tree may bring a tool of its own.
    fn program(&self) -> PathBuf {
        let own = self.root.join(&PROGRAM[1..]);
        if self.is_elsewhere() && own.exists() { own } else { PROGRAM.into() }
    }

    fn arguments(&self, more: &[String]) -> Vec<String> {
        let mut arguments: Vec<String> = OPTIONS.iter().map(|option| (*option).to_owned()).collect();
        if self.is_elsewhere() {
            let root = self.root.display();
            arguments.push(format!("--installroot={root}"));
            arguments.push(format!("--config={root}/etc/dnf/dnf.conf"));
            arguments.push(format!("--setopt=reposdir={root}/etc/yum.repos.d"));
            arguments.push("--releasever=1".to_owned());
            arguments.push("--noplugins".to_owned());
        }
        arguments.extend_from_slice(more);
        arguments
    }

    async fn call(
        &self,
        agent: &Agent,
        place: &str,
        more: &[String],
        errors: bool,
        limit: Duration,
    ) -> Result<Ran, String> {
        call(agent, place, self.program(), self.arguments(more), errors, limit).await
    }

    /// Asks it something that it answers in rows.
    async fn ask(&self, agent: &Agent, place: &str, more: &[&str]) -> Result<String, Refusal> {
        let refused = |text: String| Refusal::new(FailureReason::UpdateRefused, text);
        let arguments: Vec<String> =
            AS_KNOWN.iter().chain(&["--quiet"]).chain(more).map(|word| (*word).to_owned()).collect();
        for _ in 0..TRIES {
            let ran = self.call(agent, place, &arguments, false, THINKS).await.map_err(refused)?;
            if ran.code == Some(0) {
                return Ok(ran.text);
            }
            let said = self.call(agent, place, &arguments, true, THINKS).await.map_err(refused)?;
            if said.code != Some(0) {
                return Err(held(&said).unwrap_or_else(|| refused(super::end(&said.text))));
            }
        }
        Err(busy())
    }

    /// What it offers for what is installed.
    pub(super) async fn offered(&self, agent: &Agent, place: &str) -> Result<Simulation, Refusal> {
        let available = self.ask(agent, place, &["repoquery", "--upgrades", "--queryformat", ROW]).await?;
        let installed = self.ask(agent, place, &["repoquery", "--installed", "--queryformat", ROW]).await?;
        let security = self.ask(agent, place, &["updateinfo", "list", "--security"]).await?;
        let read = dnf::offers(&available, &installed, &security);
        read.map_err(|error| Refusal::new(FailureReason::UpdateRefused, error.to_string()))
    }

    /// What it says that it would do.
    pub(super) async fn simulate(
        &self,
        agent: &Agent,
        place: &str,
        wanted: &[&Missing],
    ) -> Result<Simulation, Refusal> {
        let refused = |text: String| Refusal::new(FailureReason::UpdateRefused, text);
        let mut arguments: Vec<String> =
            AS_KNOWN.iter().chain(&["--verbose", "--assumeno"]).map(|word| (*word).to_owned()).collect();
        arguments.extend(targets(wanted));
        // It ends with the same code whether it was told no or could not do it.
        let is_solved = |ran: &Ran| ran.text.lines().any(|line| line == SOLVED);
        for _ in 0..TRIES {
            let ran = self.call(agent, place, &arguments, false, THINKS).await.map_err(refused)?;
            if is_solved(&ran) {
                return dnf::read(&ran.text).map_err(|error| refused(error.to_string()));
            }
            let said = self.call(agent, place, &arguments, true, THINKS).await.map_err(refused)?;
            if !is_solved(&said) {
                return Err(held(&said).unwrap_or_else(|| refused(super::end(&said.text))));
            }
        }
        Err(busy())
    }

    /// Asks its sources. One that is not believed, or does not answer, is an error.
    pub(super) async fn refresh(&self, agent: &Agent, place: &str, limit: Duration) -> Result<(), Refusal> {
        let failed = |text: String| Refusal::new(FailureReason::UpdateSource, text);
        if let Some(key) = odd_key(self.root).map_err(failed)? {
            return Err(failed(key));
        }
        let arguments: Vec<String> =
            ["--quiet", "--assumeyes", "makecache", "--refresh"].iter().map(|word| (*word).to_owned()).collect();
        let ran = self.call(agent, place, &arguments, true, limit.min(ASKS)).await.map_err(failed)?;
        if ran.code == Some(0) {
            return Ok(());
        }
        Err(held(&ran).unwrap_or_else(|| failed(super::end(&ran.text))))
    }

    /// The command that installs these.
    pub(super) fn install(&self, wanted: &[&Missing]) -> (PathBuf, Vec<String>) {
        let mut more: Vec<String> = AS_KNOWN.iter().chain(&["--assumeyes"]).map(|word| (*word).to_owned()).collect();
        more.extend(targets(wanted));
        (self.program(), self.arguments(&more))
    }
}

/// It answers each time that its errors are asked for, and else does not.
fn busy() -> Refusal {
    Refusal { reason: None, text: "Another program has the package manager again and again.".to_owned() }
}

fn held(ran: &Ran) -> Option<Refusal> {
    super::locked(&ran.text).or_else(|| {
        let text = || super::end(&ran.text).chars().take(300).collect();
        (ran.code == Some(LOCKED)).then(|| Refusal { reason: None, text: text() })
    })
}

/// Where the machine's configuration names repositories, below its root.
const CONFIGURATION: [&str; 4] = ["etc/dnf/dnf.conf", "etc/yum.repos.d", "etc/yum/repos.d", "etc/distro.repos.d"];
/// Bytes of a file with repositories, at most.
const CONFIGURATION_BYTES: u64 = 1 << 20;

/// The first key that a repository has from a place where anybody on the way could put another one: it is taken without a question.
fn odd_key(root: &Path) -> Result<Option<String>, String> {
    for place in CONFIGURATION.map(|place| root.join(place)) {
        for file in files(&place).map_err(|error| format!("{} cannot be read: {error}.", place.display()))? {
            let unread = |error: std::io::Error| format!("{} cannot be read: {error}.", file.display());
            let mut text = String::new();
            let opened = std::fs::File::open(&file).map_err(unread)?;
            opened.take(CONFIGURATION_BYTES).read_to_string(&mut text).map_err(unread)?;
            if let Some(key) = keys(&text).find(|key| !key.starts_with("file:") && !key.starts_with("https:")) {
                let name = file.display();
                return Ok(Some(format!(
                    "A repository in {name} has its key from {key:?}; say a file: or https: address, else who is on the way gives the key."
                )));
            }
        }
    }
    Ok(None)
}

fn files(place: &Path) -> std::io::Result<Vec<PathBuf>> {
    if place.is_file() {
        return Ok(vec![place.to_owned()]);
    }
    if !place.is_dir() {
        return Ok(Vec::new());
    }
    let all = place.read_dir()?.map(|entry| Ok(entry?.path())).collect::<std::io::Result<Vec<_>>>()?;
    Ok(all.into_iter().filter(|path| path.extension().is_some_and(|end| end == "repo")).collect())
}

/// Addresses of keys: on the line of their name, and on indented lines behind it.
fn keys(text: &str) -> impl Iterator<Item = &str> {
    let mut inside = false;
    text.lines().flat_map(move |line| {
        let more = line.starts_with([' ', '\t']);
        let value = match line.split_once('=') {
            Some((name, value)) if !more => {
                inside = name.trim() == "gpgkey";
                value
            }
            _ if more => line,
            _ => "",
        };
        let of_keys = if inside { value } else { "" };
        of_keys.split([' ', '\t', ',']).filter(|word| !word.is_empty())
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_come_from_files_or_over_tls_and_from_nowhere_else() {
        let text = "[a]\ngpgkey = file:///k1\n  https://k2, http://k3\nname=x http://none\n[b]\ngpgkey=\n\tftp://k4\nbaseurl=http://x\n";
        assert_eq!(keys(text).collect::<Vec<_>>(), ["file:///k1", "https://k2", "http://k3", "ftp://k4"]);
        let root = tempfile::tempdir().unwrap();
        let place = root.path().join("etc/yum.repos.d");
        std::fs::create_dir_all(&place).unwrap();
        std::fs::write(place.join("a.repo"), "[a]\ngpgkey=file:///etc/key https://example.org/key\n").unwrap();
        std::fs::write(place.join("not-one.txt"), "gpgkey=http://x\n").unwrap();
        assert_eq!(odd_key(root.path()), Ok(None));
        std::fs::write(place.join("b.repo"), "[b]\ngpgkey=http://example.org/key\n").unwrap();
        let said = odd_key(root.path()).unwrap().unwrap();
        assert!(said.contains("b.repo") && said.contains("http://example.org/key"), "{said}");
    }
}
