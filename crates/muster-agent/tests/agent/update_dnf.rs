//! Software updates through the real `dnf`: a repository that the test makes and signs, and a machine of its own below a directory, so that
//! nothing of the machine that runs the test is touched.

use super::update::{ends, group, rows, signed, text, tool};
use crate::{
    actor::{
        Site,
        machine::{Machine, skip},
    },
    application::{enrolled, policy},
};
use muster_model::{
    inventory::Value,
    policy::DeploymentPolicy,
    status::{DeploymentState as State, FailureReason as Reason, WaitReason},
    update::{UpdateCriteria, UpdateGroup, UpdateTool},
};
use std::{
    os::unix::fs::PermissionsExt,
    path::{Path, PathBuf},
};

/// A repository, and the machine that has it as its only source.
struct Repository {
    place: PathBuf,
    tree: PathBuf,
    keys: PathBuf,
}

fn write(path: &Path, text: &str) {
    std::fs::create_dir_all(path.parent().unwrap()).unwrap();
    std::fs::write(path, text).unwrap();
}

impl Repository {
    /// `None`: this machine has no dnf.
    fn new(machine: &Machine) -> Option<Self> {
        let needs = ["dnf", "createrepo_c", "modifyrepo_c", "rpm", "rpmbuild", "rpmsign", "gpg"];
        if let Some(name) = needs.iter().find(|name| !Path::new("/usr/bin").join(name).exists()) {
            let why = format!("{name} is missing; install the Debian packages dnf, createrepo-c, rpm and gpg");
            skip("a test of software updates with dnf", &why);
            return None;
        }
        let (place, tree, keys) = (machine.place("repository"), machine.place("tree"), machine.place("gnupg"));
        std::fs::create_dir_all(&keys).unwrap();
        std::fs::set_permissions(&keys, PermissionsExt::from_mode(0o700)).unwrap();
        std::fs::create_dir_all(&place).unwrap();
        let new_key =
            ["--batch", "--quiet", "--passphrase", "", "--quick-gen-key", "t@example.org", "rsa2048", "sign", "never"];
        tool("gpg", &new_key, Some(&keys));
        let key = machine.place("key.asc");
        tool("gpg", &["--batch", "--armor", "--output", key.to_str().unwrap(), "--export"], Some(&keys));
        write(&tree.join("etc/dnf/dnf.conf"), "[main]\n");
        // What would believe anything is said otherwise by the client.
        let source = format!(
            "[test]\nname=Test\nbaseurl=file://{}\nenabled=1\ngpgcheck=0\nrepo_gpgcheck=1\nskip_if_unavailable=1\ngpgkey=file://{}\n",
            place.display(),
            key.display()
        );
        write(&tree.join("etc/yum.repos.d/test.repo"), &source);
        // Debian's rpm has its database elsewhere than the systems that live on it.
        write(&machine.place("home/.rpmmacros"), "%_dbpath /var/lib/rpm\n");
        let dnf = tree.join("usr/bin/dnf");
        let home = machine.place("home");
        write(&dnf, &format!("#!/bin/sh\nHOME={} exec /usr/bin/dnf \"$@\"\n", home.display()));
        std::fs::set_permissions(&dnf, PermissionsExt::from_mode(0o755)).unwrap();
        Some(Self { place, tree, keys })
    }

    /// Builds a package; where it lies.
    fn build(&self, to: &Path, name: &str, version: &str, more: &str) -> PathBuf {
        let spec = self.keys.join(format!("{name}.spec"));
        let text = format!(
            "Name: {name}\nVersion: {version}\nRelease: 1\nSummary: t\nLicense: t\nBuildArch: noarch\n{more}\n\
             %description\nt\n%install\nmkdir -p %{{buildroot}}/opt\necho {version} >%{{buildroot}}/opt/{name}\n%files\n/opt/{name}\n"
        );
        write(&spec, &text);
        let defined = [
            format!("_topdir {}", self.keys.join("build").display()),
            format!("_rpmdir {}", to.display()),
            "_build_name_fmt %%{NAME}-%%{VERSION}.rpm".to_owned(),
        ];
        let mut arguments = vec!["-bb", "--quiet"];
        defined.iter().for_each(|one| arguments.extend(["--define", one]));
        arguments.push(spec.to_str().unwrap());
        tool("rpmbuild", &arguments, None);
        to.join(format!("{name}-{version}.rpm"))
    }

    fn add(&self, name: &str, version: &str, more: &str) {
        let path = self.build(&self.place, name, version, more);
        self.sign(&path);
    }

    fn sign(&self, path: &Path) {
        let home = format!("_gpg_path {}", self.keys.display());
        let define = ["--define", "__gpg /usr/bin/gpg", "--define", "_gpg_name t@example.org", "--define", &home];
        tool("rpmsign", &[&define[..], &["--addsign", path.to_str().unwrap()]].concat(), Some(&self.keys));
    }

    /// Puts these versions onto the machine, as they would have been there.
    fn installed(&self, packages: &[(&str, &str)]) {
        let old = self.keys.join("old");
        let paths: Vec<_> = packages.iter().map(|(name, version)| self.build(&old, name, version, "")).collect();
        let root = self.tree.to_str().unwrap();
        std::fs::create_dir_all(self.tree.join("var/lib/rpm")).unwrap();
        let mut arguments = vec!["--root", root, "--dbpath", "/var/lib/rpm", "-i", "--nosignature", "--nodeps"];
        arguments.extend(paths.iter().map(|path| path.to_str().unwrap()));
        tool("rpm", &arguments, None);
    }

    /// Writes the index with an advisory about a package, and signs it.
    fn publish(&self, secure: (&str, &str)) {
        let place = self.place.to_str().unwrap();
        tool("createrepo_c", &["--quiet", place], None);
        let (name, version) = secure;
        let advisory = format!(
            "<updates><update from=\"t\" status=\"final\" type=\"security\" version=\"1\"><id>T-1</id><title>t</title>\
             <issued date=\"2026-11-01 00:00:00\"/><severity>Important</severity><pkglist><collection short=\"t\"><name>t</name>\
             <package name=\"{name}\" version=\"{version}\" release=\"1\" epoch=\"0\" arch=\"noarch\"><filename>{name}-{version}.rpm</filename></package>\
             </collection></pkglist></update></updates>"
        );
        let path = self.keys.join("updateinfo.xml");
        write(&path, &advisory);
        let repodata = self.place.join("repodata");
        tool("modifyrepo_c", &[path.to_str().unwrap(), repodata.to_str().unwrap()], None);
        let index = repodata.join("repomd.xml");
        let signature = repodata.join("repomd.xml.asc");
        let (index, signature) = (index.to_str().unwrap(), signature.to_str().unwrap());
        let sign = ["--batch", "--yes", "--armor", "--detach-sign", "--output", signature, index];
        tool("gpg", &sign, Some(&self.keys));
    }

    /// The versions of these packages that are installed; empty: none.
    fn versions<const N: usize>(&self, names: [&str; N]) -> [String; N] {
        let query =
            ["--root", self.tree.to_str().unwrap(), "--dbpath", "/var/lib/rpm", "-qa", "--qf", "%{NAME} %{VERSION}\n"];
        let all = tool("rpm", &query, None);
        let of = |name: &str| all.lines().find_map(|line| line.strip_prefix(&format!("{name} ")).map(str::to_owned));
        names.map(|name| of(name).unwrap_or_default())
    }
}

impl Drop for Repository {
    fn drop(&mut self) {
        // The agent of the keys ends with the test.
        let mut stop = std::process::Command::new("gpgconf");
        let _ = stop.args(["--kill", "gpg-agent"]).env("GNUPGHOME", &self.keys).status();
    }
}

fn of_dnf(packages: &[(&str, &str, bool)], criteria: Option<UpdateCriteria>) -> UpdateGroup {
    UpdateGroup { tool: UpdateTool::Dnf, ..group(packages, criteria) }
}

#[tokio::test]
async fn dnf_finds_and_installs_what_the_signed_group_allows_and_nothing_else() {
    let (site, machine) = enrolled().await;
    let Some(repository) = Repository::new(&machine) else { return };
    repository.installed(&[("alpha", "1.0"), ("beta", "1.0"), ("gamma", "1.0"), ("delta", "1.0")]);
    repository.add("alpha", "1.1", "");
    // It wants gamma gone, and brings something new.
    repository.add("beta", "2.0", "Obsoletes: gamma");
    repository.add("delta", "1.1", "Requires: fresh");
    repository.add("fresh", "1.0", "");
    repository.publish(("alpha", "1.1"));
    let running = machine.run();
    let found = rows(&site, "SoftwareUpdate").await;
    let alpha = found.iter().find(|row| text(row, "Package") == "alpha").unwrap();
    assert_eq!((text(alpha, "InstalledVersion"), text(alpha, "CandidateVersion")), ("1.0-1".into(), "1.1-1".into()));
    assert_eq!((text(alpha, "Tool"), text(alpha, "Origin")), ("dnf".into(), "test".into()));
    assert_eq!(alpha.get("Security"), Some(&Value::Bool(true)), "{alpha:?}");
    let beta = found.iter().find(|row| text(row, "Package") == "beta").unwrap();
    assert_eq!(beta.get("Security"), Some(&Value::Bool(false)), "{beta:?}");
    let last = &rows(&site, "LastUpdateScan").await[0];
    assert_eq!((text(last, "State"), text(last, "Tool")), ("complete".into(), "dnf".into()), "{last:?}");

    // A group for another tool is none for this machine, and a version that nobody offers is not installed.
    for (number, packages, said) in [
        (1, group(&[("alpha", "1.1-1", false)], None), "tool"),
        (2, of_dnf(&[("alpha", "1.0.5-1", true)], None), "1.0.5-1"),
    ] {
        let one = policy(number);
        let signed = signed(&machine, number, packages);
        site.assign_all(&[(one.clone(), &signed, &[])]);
        let end = ends(&site, &one).await;
        assert_eq!(end.state, State::Failed, "{end:?}");
        assert!(end.output.contains(said), "{}", end.output);
    }
    let names = ["alpha", "beta", "gamma", "delta", "fresh"];
    assert_eq!(repository.versions(names), ["1.0", "1.0", "1.0", "1.0", ""]);
    // What can go alone goes.
    let all = policy(3);
    let everything = signed(&machine, 3, of_dnf(&[], Some(UpdateCriteria::default())));
    site.assign_all(&[(all.clone(), &everything, &[])]);
    let end = ends(&site, &all).await;
    assert_eq!((end.state, end.reason), (State::Failed, Some(Reason::UpdateRefused)), "{}", end.output);
    assert!(end.output.contains("does not allow") && end.output.contains("beta 2.0-1"), "{}", end.output);
    assert_eq!(repository.versions(names), ["1.1", "1.0", "1.0", "1.0", ""]);
    // A group that allows it, signed by its authors, does it.
    let wide = policy(4);
    let allowed = UpdateGroup { allow_new: true, ..of_dnf(&[("delta", "1.1-1", false)], None) };
    site.assign_all(&[(wide.clone(), &signed(&machine, 4, allowed), &[])]);
    let end = ends(&site, &wide).await;
    assert_eq!(end.state, State::Succeeded, "{end:?}");
    assert_eq!(repository.versions(names), ["1.1", "1.0", "1.0", "1.1", "1.0"]);
    // One that needs what nobody has is not installed, and keeps no other one back.
    repository.add("gamma", "1.1", "Requires: nobody-has-this");
    repository.add("alpha", "1.2", "");
    repository.publish(("alpha", "1.2"));
    let broken = policy(5);
    let both = signed(&machine, 5, of_dnf(&[("gamma", "1.1-1", false), ("alpha", "1.2-1", false)], None));
    site.assign_all(&[(broken.clone(), &both, &[])]);
    let end = ends(&site, &broken).await;
    assert_eq!((end.state, end.reason), (State::Failed, Some(Reason::UpdateRefused)), "{}", end.output);
    assert!(end.output.contains("gamma 1.1-1"), "{}", end.output);
    assert_eq!(repository.versions(["alpha", "gamma"]), ["1.2", "1.0"]);
    running.stop().await;
}

#[tokio::test]
async fn dnf_believes_nothing_that_is_not_signed_and_a_lock_is_waited_for() {
    let (site, machine) = enrolled().await;
    let Some(repository) = Repository::new(&machine) else { return };
    repository.installed(&[("alpha", "1.0")]);
    // Nobody signed the package; the configuration of the machine would take it.
    let path = repository.build(&repository.place, "alpha", "1.1", "");
    repository.publish(("alpha", "1.1"));
    let running = machine.run();
    // The scan makes the key of the repository known.
    rows(&site, "LastUpdateScan").await;
    let alpha = signed(&machine, 1, of_dnf(&[("alpha", "1.1-1", false)], None));
    let plain = policy(1);
    site.assign_all(&[(plain.clone(), &alpha, &[])]);
    let end = ends(&site, &plain).await;
    assert_eq!((end.state, end.reason), (State::Failed, Some(Reason::ExitCode)), "{}", end.output);
    assert!(end.output.contains("not signed"), "{}", end.output);
    assert_eq!(repository.versions(["alpha"]), ["1.0"]);

    // The index was altered after it was signed.
    repository.sign(&path);
    repository.publish(("alpha", "1.1"));
    let index = repository.place.join("repodata/repomd.xml");
    let good = std::fs::read_to_string(&index).unwrap();
    std::fs::write(&index, format!("{good}\n")).unwrap();
    let altered = policy(2);
    site.assign_all(&[(altered.clone(), &alpha, &[])]);
    let end = ends(&site, &altered).await;
    assert_eq!((end.state, end.reason), (State::Failed, Some(Reason::UpdateSource)), "{}", end.output);

    std::fs::write(&index, good).unwrap();
    // Another program, which lives, has the tool.
    let lock = repository.tree.join("var/cache/dnf/metadata_lock.pid");
    std::fs::write(&lock, std::process::id().to_string()).unwrap();
    let busy = policy(3);
    site.assign_all(&[(busy.clone(), &alpha, &[])]);
    let waits = site.wait("it waits", |state| Site::steps(state, busy.deployment).last().and_then(|step| step.waits));
    assert_eq!(waits.await, WaitReason::PackageManager);
    std::fs::remove_file(lock).unwrap();
    let again = DeploymentPolicy { attempt: 1, ..busy };
    site.assign_all(&[(again.clone(), &alpha, &[])]);
    assert_eq!(ends(&site, &again).await.state, State::Succeeded);
    assert_eq!(repository.versions(["alpha"]), ["1.1"]);
    running.stop().await;
}
