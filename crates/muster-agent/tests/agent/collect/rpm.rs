//! rpm databases: made by the test, damaged, of formats that cannot be read, and made by rpm itself.

use super::{assert_sound, row, skip, text};
use crate::{
    rpm_database::{Package, header, write},
    tree::Tree,
};
use muster_agent::{
    collect::Collector,
    os::{
        Machine,
        linux::rpm::{parse_header, paths},
    },
};
use muster_model::time::UnixMillis;
use std::process::Command;

const BASH: Package = Package {
    name: "bash",
    epoch: None,
    version: "5.1.8",
    release: "9.el9",
    architecture: Some("x86_64"),
    vendor: Some("Rocky Enterprise Software Foundation"),
    installed: 1_716_000_100,
};

/// The packages of the recorded server; two kernels are installed side by side, and a key is no software.
pub(super) fn server_packages() -> Vec<Package> {
    let kernel = Package { name: "kernel-core", version: "5.14.0", ..BASH };
    vec![
        BASH,
        Package { release: "427.13.1.el9_4", ..kernel },
        Package { release: "427.16.1.el9_4", installed: 1_717_000_000, ..kernel },
        Package {
            name: "dbus-common",
            epoch: Some(1),
            version: "1.12.20",
            release: "8.el9",
            architecture: Some("noarch"),
            ..BASH
        },
        Package {
            name: "gpg-pubkey",
            version: "350d275d",
            release: "6279464b",
            architecture: None,
            vendor: None,
            ..BASH
        },
    ]
}

pub(super) fn add_server_packages(tree: &Tree) {
    let headers: Vec<Vec<u8>> = server_packages().iter().map(header).collect();
    write(&tree.at("var/lib/rpm/rpmdb.sqlite"), &headers);
}

#[test]
fn a_damaged_header_is_counted_and_the_others_are_read() {
    let tree = Tree::empty();
    let good = header(&BASH);
    let cut = good[..good.len() / 2].to_vec();
    write(&tree.at("usr/lib/sysimage/rpm/rpmdb.sqlite"), &[cut, good, vec![0xff; 64]]);
    let found = Collector::at(tree.root()).collect(UnixMillis(0));
    assert_sound(&found);
    assert_eq!(found.classes["INSTALLED_SOFTWARE"].len(), 1);
    let unread = found.unread.iter().find(|u| u.class == "INSTALLED_SOFTWARE").unwrap();
    assert!(unread.reason.starts_with("2 entries of /usr/lib/sysimage/rpm/rpmdb.sqlite are damaged"), "{unread:?}");
}

#[test]
fn a_header_that_is_cut_or_changed_anywhere_is_read_or_refused() {
    let good = header(&BASH);
    assert_eq!(parse_header(&good).unwrap().name, "bash");
    assert_eq!(paths(&good), ["/usr/bin/a", "/lib/b"]);
    for end in 0..good.len() {
        assert_eq!(parse_header(&good[..end]), None, "cut at {end}");
        assert!(paths(&good[..end]).is_empty(), "cut at {end}");
    }
    for at in 0..good.len() {
        let mut bad = good.clone();
        bad[at] ^= 0xff;
        let _ = parse_header(&bad);
        assert!(paths(&bad).len() <= 2);
    }
}

#[test]
fn a_database_that_is_none_takes_the_class_out_of_the_report() {
    let tree = Tree::empty();
    tree.write("var/lib/rpm/rpmdb.sqlite", "this is no database".repeat(1_000));
    tree.write("var/lib/dpkg/status", "Package: x\nStatus: install ok installed\nVersion: 1\n");
    let found = Collector::at(tree.root()).collect(UnixMillis(0));
    assert_sound(&found);
    assert!(!found.classes.contains_key("INSTALLED_SOFTWARE"), "half of the software would look like a removal");
    assert!(found.unread.iter().any(|u| u.reason.contains("rpmdb.sqlite could not be read")), "{:?}", found.unread);
}

#[test]
fn a_format_of_rpm_alone_is_named() {
    for (file, format) in [("Packages", "Berkeley DB"), ("Packages.db", "ndb")] {
        let tree = Tree::empty();
        tree.write(&format!("var/lib/rpm/{file}"), "x");
        let found = Collector::at(tree.root()).collect(UnixMillis(0));
        assert!(found.unread.iter().any(|u| u.reason.contains(format)), "{:?}", found.unread);
        assert!(!found.classes.contains_key("INSTALLED_SOFTWARE"));
    }
}

#[test]
fn a_link_does_not_lead_out_of_the_tree() {
    let (outside, tree) = (Tree::empty(), Tree::empty());
    write(&outside.at("rpmdb.sqlite"), &[header(&BASH)]);
    std::os::unix::fs::symlink(outside.at("rpmdb.sqlite"), tree.at("var/lib/rpm/rpmdb.sqlite")).unwrap();
    let found = Collector::at(tree.root()).collect(UnixMillis(0));
    assert!(!found.classes.contains_key("INSTALLED_SOFTWARE"));
}

/// The judge is rpm itself: it builds a package, installs it into a database of its own, and we read that.
#[test]
fn a_database_that_rpm_made_is_read() {
    let tree = Tree::empty();
    tree.write(
        "demo.spec",
        "Name: demo\nEpoch: 3\nVersion: 1.20\nRelease: 4.test\nSummary: Demo\nLicense: MIT\nVendor: ACME Linux\n\
         BuildArch: noarch\n%description\nA demo.\n%install\nmkdir -p %{buildroot}/opt/demo/lib\n\
         touch %{buildroot}/opt/demo/tool %{buildroot}/opt/demo/lib/a.jar\n%files\n/opt/demo\n",
    );
    let root = tree.root().to_str().unwrap().to_owned();
    let run = |program: &str, arguments: &[&str]| {
        Command::new(program).args(arguments).env("HOME", &root).output().map(|o| o.status.success()).unwrap_or(false)
    };
    let built = run("rpmbuild", &["-bb", "--define", &format!("_topdir {root}/build"), &format!("{root}/demo.spec")]);
    let package = format!("{root}/build/RPMS/noarch/demo-1.20-4.test.noarch.rpm");
    let database = format!("{root}/var/lib/rpm");
    std::fs::create_dir_all(&database).unwrap();
    let backend = ["--define", "_db_backend sqlite", "--dbpath", &database];
    let made = built
        && run("rpm", &[&backend[..], &["--initdb"]].concat())
        && run("rpm", &[&backend[..], &["-i", "--nodeps", "--justdb", &package]].concat());
    if !made {
        return skip("a_database_that_rpm_made_is_read", "needs rpmbuild and rpm with sqlite (Debian package rpm)");
    }
    let found = Collector::at(tree.root()).collect(UnixMillis(0));
    assert_sound(&found);
    let demo = row(&found, "INSTALLED_SOFTWARE", "rpm:demo-3:1.20-4.test.noarch");
    assert_eq!((text(demo, "Publisher").as_str(), text(demo, "VersionMinor").as_str()), ("ACME Linux", "20"));
    assert!(demo.contains_key("InstallDate"));
    let wanted = ["/opt/demo/tool", "/opt/demo/lib/a.jar", "/opt/demo/other"].map(str::to_owned).into();
    let owners = Machine::open(tree.root()).unwrap().owners(&wanted);
    let mut owned: Vec<&str> = owners.keys().map(String::as_str).collect();
    owned.sort_unstable();
    assert_eq!(owned, ["/opt/demo/lib/a.jar", "/opt/demo/tool"]);
    assert!(owners.values().all(|code| code == "rpm:demo-3:1.20-4.test.noarch"), "{owners:?}");
}
