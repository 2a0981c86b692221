//! Software updates through the real `apt`: a repository that the test makes and signs, and a machine of its own below a directory, so that
//! the packages of the machine that runs the test are not touched.

use crate::{
    actor::{
        Site,
        machine::{Machine, skip},
    },
    application::{app, enrolled, policy},
};
use muster_model::{
    application::{Application, Command, Detection},
    inventory::{Change, Row, Section, Value},
    policy::DeploymentPolicy,
    report::Body,
    status::{DeploymentReport, DeploymentState as State, FailureReason as Reason, WaitReason},
    update::{UPDATES, UpdateCriteria, UpdateGroup, UpdatePackage, UpdateTool},
};
use std::{
    fmt::Write,
    path::{Path, PathBuf},
    process::Stdio,
};

/// Runs a tool of the system; what it printed.
pub(crate) fn tool(program: &str, arguments: &[&str], home: Option<&Path>) -> String {
    let mut command = std::process::Command::new(program);
    command.args(arguments).stdin(Stdio::null()).stderr(Stdio::null());
    if let Some(home) = home {
        command.env("GNUPGHOME", home);
    }
    let output = command.output().unwrap();
    assert!(output.status.success(), "{program} {arguments:?}");
    String::from_utf8(output.stdout).unwrap()
}

/// A repository, and the machine that has it as its only source.
pub(crate) struct Repository {
    place: PathBuf,
    pub(crate) tree: PathBuf,
    keys: PathBuf,
    architecture: String,
    packages: String,
}

impl Repository {
    /// `None`: this machine has no apt.
    pub(crate) fn new(machine: &Machine, installed: &[(&str, &str)]) -> Option<Self> {
        let missing =
            ["apt-get", "dpkg-deb", "gpg", "gpgv"].iter().find(|name| !Path::new("/usr/bin").join(name).exists());
        if let Some(name) = missing {
            skip("a test of software updates", &format!("{name} is missing; install the Debian packages apt and gpg"));
            return None;
        }
        let (place, tree, keys) = (machine.place("repository"), machine.place("tree"), machine.place("gnupg"));
        for path in ["etc/apt/keyrings", "etc/apt/sources.list.d", "etc/apt/preferences.d", "etc/apt/apt.conf.d"] {
            std::fs::create_dir_all(tree.join(path)).unwrap();
        }
        for path in [
            "var/lib/apt/lists/partial",
            "var/cache/apt/archives/partial",
            "var/lib/dpkg/info",
            "var/lib/dpkg/updates",
            "var/lib/dpkg/triggers",
            "var/log/apt",
        ] {
            std::fs::create_dir_all(tree.join(path)).unwrap();
        }
        std::fs::create_dir_all(&keys).unwrap();
        std::fs::set_permissions(&keys, std::os::unix::fs::PermissionsExt::from_mode(0o700)).unwrap();
        let mut status = String::new();
        for (name, version) in installed {
            let text = "Status: install ok installed\nArchitecture: all\nMaintainer: Test <t@example.org>";
            writeln!(status, "Package: {name}\n{text}\nVersion: {version}\nDescription: test\n").unwrap();
            std::fs::write(tree.join(format!("var/lib/dpkg/info/{name}.list")), "").unwrap();
        }
        std::fs::write(tree.join("var/lib/dpkg/status"), status).unwrap();
        std::fs::write(tree.join("var/lib/dpkg/available"), "").unwrap();
        let new_key =
            ["--batch", "--quiet", "--passphrase", "", "--quick-gen-key", "t@example.org", "ed25519", "sign", "never"];
        tool("gpg", &new_key, Some(&keys));
        let ring = tree.join("etc/apt/keyrings/test.gpg");
        tool("gpg", &["--batch", "--output", ring.to_str().unwrap(), "--export"], Some(&keys));
        let source = format!("deb [signed-by={}] file:{} stable main\n", ring.display(), place.display());
        std::fs::write(tree.join("etc/apt/sources.list"), source).unwrap();
        let architecture = tool("dpkg", &["--print-architecture"], None).trim().to_owned();
        std::fs::create_dir_all(place.join(format!("dists/stable/main/binary-{architecture}"))).unwrap();
        Some(Self { place, tree, keys, architecture, packages: String::new() })
    }

    /// Adds a package; `more` are further lines of its control file.
    pub(crate) fn add(&mut self, name: &str, version: &str, more: &str) {
        let build = self.place.join("build");
        std::fs::create_dir_all(build.join("DEBIAN")).unwrap();
        std::fs::create_dir_all(build.join("opt")).unwrap();
        std::fs::write(build.join("opt").join(name), version).unwrap();
        let control = format!(
            "Package: {name}\nVersion: {version}\nArchitecture: all\nMaintainer: Test <t@example.org>\n{more}Description: test\n"
        );
        std::fs::write(build.join("DEBIAN/control"), &control).unwrap();
        let file = format!("{name}_{version}_all.deb");
        let path = self.place.join(&file);
        let pair = [build.to_str().unwrap(), path.to_str().unwrap()];
        tool("dpkg-deb", &["--root-owner-group", "-Znone", "--build", pair[0], pair[1]], None);
        std::fs::remove_dir_all(build).unwrap();
        let bytes = std::fs::read(&path).unwrap();
        let hash = muster_trust::sha256(&bytes);
        writeln!(self.packages, "{control}Filename: {file}\nSize: {}\nSHA256: {hash}\n", bytes.len()).unwrap();
    }

    fn index(&self) -> PathBuf {
        self.place.join(format!("dists/stable/main/binary-{}/Packages", self.architecture))
    }

    /// Writes the index, and signs it. `label`: what the repository calls itself.
    pub(crate) fn publish(&self, label: &str) {
        std::fs::write(self.index(), &self.packages).unwrap();
        let (hash, size) = (muster_trust::sha256(self.packages.as_bytes()), self.packages.len());
        let release = format!(
            "Origin: Test\nLabel: {label}\nSuite: stable\nCodename: stable\nArchitectures: {0}\nComponents: main\n\
             Date: Fri, 27 Nov 2020 10:00:00 UTC\nSHA256:\n {hash} {size} main/binary-{0}/Packages\n",
            self.architecture
        );
        let dist = self.place.join("dists/stable");
        std::fs::write(dist.join("Release"), release).unwrap();
        let (to, from) = (dist.join("InRelease"), dist.join("Release"));
        let sign = ["--batch", "--yes", "--clearsign", "--output", to.to_str().unwrap(), from.to_str().unwrap()];
        tool("gpg", &sign, Some(&self.keys));
        std::fs::remove_file(from).unwrap();
    }

    /// The version of a package that is installed.
    pub(crate) fn version(&self, name: &str) -> Option<String> {
        let status = std::fs::read_to_string(self.tree.join("var/lib/dpkg/status")).unwrap();
        let stanza = status.split("\n\n").find(|stanza| stanza.starts_with(&format!("Package: {name}\n")))?;
        let is_there = stanza.contains("Status: install ok installed");
        let version = stanza.lines().find_map(|line| line.strip_prefix("Version: "));
        version.filter(|_| is_there).map(str::to_owned)
    }
}

impl Drop for Repository {
    fn drop(&mut self) {
        // The agent of the keys ends with the test.
        let mut stop = std::process::Command::new("gpgconf");
        let _ = stop.args(["--kill", "gpg-agent"]).env("GNUPGHOME", &self.keys).status();
    }
}

pub(crate) fn group(packages: &[(&str, &str, bool)], criteria: Option<UpdateCriteria>) -> UpdateGroup {
    let package = |(name, version, exact): &(&str, &str, bool)| UpdatePackage {
        name: (*name).to_owned(),
        version: (*version).to_owned(),
        exact: *exact,
    };
    UpdateGroup {
        tool: UpdateTool::Apt,
        packages: packages.iter().map(package).collect(),
        criteria,
        exclude: Vec::new(),
        allow_new: false,
        allow_removals: false,
    }
}

/// The group as what its authors sign.
pub(crate) fn signed(machine: &Machine, number: u128, group: UpdateGroup) -> Application {
    Application {
        install: Command { program: UPDATES.to_owned(), arguments: Vec::new(), success_codes: vec![0] },
        uninstall: None,
        repair: None,
        detection: Detection::Updates { group },
        max_run_seconds: 120,
        ..app(machine, number, "updates")
    }
}

pub(crate) async fn ends(site: &Site, deployment: &DeploymentPolicy) -> DeploymentReport {
    site.wait_end(deployment.deployment).await.last().unwrap().clone()
}

pub(crate) fn text(row: &Row, name: &str) -> String {
    match row.get(name) {
        Some(Value::Text(text)) => text.clone(),
        other => format!("{other:?}"),
    }
}

/// The rows of a class that the client told last.
pub(crate) async fn rows(site: &Site, class: &str) -> Vec<Row> {
    site.wait("a scan", |state| {
        let sections = state.messages.iter().rev().filter_map(|(_, _, message)| match &message.body {
            Body::Inventory(report) => report.sections.iter().find(|section| section.class == class),
            _ => None,
        });
        let full = |section: &Section| match &section.change {
            Change::Full { rows } => Some(rows.clone()),
            Change::Delta { .. } => None,
        };
        let mut full = sections.filter_map(full);
        full.next()
    })
    .await
}

#[tokio::test]
async fn updates_are_found_and_installed_where_the_signed_group_allows_it_and_nothing_else_is() {
    let (site, machine) = enrolled().await;
    let installed = [("alpha", "1.0"), ("beta", "1.0"), ("gamma", "1.0"), ("delta", "1.0")];
    let Some(mut repository) = Repository::new(&machine, &installed) else { return };
    repository.add("alpha", "1.1", "");
    // It wants gamma gone.
    repository.add("beta", "2.0", "Conflicts: gamma\n");
    // It brings something new.
    repository.add("delta", "1.1", "Depends: fresh\n");
    repository.add("fresh", "1.0", "");
    repository.publish("Test-Security");
    let running = machine.run();
    // Somebody else's version: it is not offered.
    let other = policy(1);
    let nothing = signed(&machine, 1, group(&[("alpha", "1.0.5", true)], None));
    site.assign_all(&[(other.clone(), &nothing, &[])]);
    let end = ends(&site, &other).await;
    assert_eq!((end.state, end.reason), (State::Failed, Some(Reason::UpdateRefused)), "{}", end.output);
    assert!(end.output.contains("1.0.5"), "{}", end.output);
    assert_eq!(repository.version("alpha").as_deref(), Some("1.0"));

    // The scan says what there is.
    let found = rows(&site, "SoftwareUpdate").await;
    let alpha = found.iter().find(|row| text(row, "Package") == "alpha").unwrap();
    assert_eq!(text(alpha, "InstalledVersion"), "1.0");
    assert_eq!(text(alpha, "CandidateVersion"), "1.1");
    assert_eq!(alpha.get("Security"), Some(&Value::Bool(true)), "{alpha:?}");
    assert_eq!(text(&rows(&site, "LastUpdateScan").await[0], "State"), "complete");

    // What can go alone goes; what would remove something, or bring something new, stays and is said.
    let all = policy(2);
    let everything = signed(&machine, 2, group(&[], Some(UpdateCriteria::default())));
    site.assign_all(&[(all.clone(), &everything, &[])]);
    let end = ends(&site, &all).await;
    assert_eq!((end.state, end.reason), (State::Failed, Some(Reason::UpdateRefused)), "{}", end.output);
    assert!(end.output.contains("does not allow") && end.output.contains("beta 2.0"), "{}", end.output);
    let versions = |names: [&str; 5]| names.map(|name| repository.version(name).unwrap_or_default());
    let names = ["alpha", "beta", "gamma", "delta", "fresh"];
    assert_eq!(versions(names), ["1.1", "1.0", "1.0", "1.0", ""]);

    // A group that allows it, signed by its authors, does it.
    let wide = policy(3);
    let allowed = UpdateGroup { allow_new: true, ..group(&[("delta", "1.1", false)], None) };
    site.assign_all(&[(wide.clone(), &signed(&machine, 3, allowed), &[])]);
    let end = ends(&site, &wide).await;
    assert_eq!(end.state, State::Succeeded, "{end:?}");
    assert_eq!(versions(names), ["1.1", "1.0", "1.0", "1.1", "1.0"]);
    running.stop().await;
}

#[tokio::test]
async fn a_source_that_is_not_signed_and_a_tool_that_is_busy_are_said() {
    let (site, machine) = enrolled().await;
    let Some(mut repository) = Repository::new(&machine, &[("alpha", "1.0")]) else { return };
    repository.add("alpha", "1.1", "");
    repository.publish("Test");
    // Altered after it was signed.
    let index = std::fs::read_to_string(repository.index()).unwrap();
    std::fs::write(repository.index(), index.replace("Version: 1.1", "Version: 6.6")).unwrap();
    let running = machine.run();
    let altered = policy(1);
    let alpha = signed(&machine, 1, group(&[("alpha", "1.1", false)], None));
    site.assign_all(&[(altered.clone(), &alpha, &[])]);
    let end = ends(&site, &altered).await;
    assert_eq!((end.state, end.reason), (State::Failed, Some(Reason::UpdateSource)), "{}", end.output);
    // Nobody signed it.
    std::fs::write(repository.index(), index).unwrap();
    let release = repository.place.join("dists/stable/InRelease");
    let text_of = std::fs::read_to_string(&release).unwrap();
    let plain = text_of.split("\n\n").nth(1).unwrap().split("-----BEGIN").next().unwrap().to_owned();
    std::fs::remove_file(&release).unwrap();
    std::fs::write(repository.place.join("dists/stable/Release"), plain).unwrap();
    let unsigned = policy(2);
    site.assign_all(&[(unsigned.clone(), &alpha, &[])]);
    let end = ends(&site, &unsigned).await;
    assert_eq!((end.state, end.reason), (State::Failed, Some(Reason::UpdateSource)), "{}", end.output);
    assert!(end.output.contains("not signed"), "{}", end.output);
    // Nothing is known of what there is, which is not the same as that nothing is missing.
    let anything = policy(4);
    let all = signed(&machine, 4, group(&[], Some(UpdateCriteria::default())));
    site.assign_all(&[(anything.clone(), &all, &[])]);
    assert_eq!(ends(&site, &anything).await.reason, Some(Reason::UpdateSource));
    assert_eq!(repository.version("alpha").as_deref(), Some("1.0"));
    // Another program has the tool: it waits.
    repository.publish("Test");
    let path = repository.tree.join("var/lib/apt/lists/lock");
    let lock = std::fs::File::options().write(true).create(true).truncate(false).open(path).unwrap();
    rustix::fs::fcntl_lock(&lock, rustix::fs::FlockOperation::NonBlockingLockExclusive).unwrap();
    let busy = policy(3);
    site.assign_all(&[(busy.clone(), &alpha, &[])]);
    let waits =
        site.wait("it waits", |state| Site::steps(state, busy.deployment).last().and_then(|step| step.waits)).await;
    assert_eq!(waits, WaitReason::PackageManager);
    drop(lock);
    running.stop().await;
}
