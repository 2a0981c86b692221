//! What a group of updates may say, and what it lets through.

use super::{apt, *};

const SIMULATION: &str = "NOTE: This is only a simulation!\n\
Inst base-files [12.4+deb12u11] (12.4+deb12u15 Debian:12.15/oldstable [amd64])\n\
Inst libgcrypt20-dev [1.10.1-3] (1.10.1-3+deb12u1 Debian:12.15/oldstable, Debian-Security:12/oldstable-security [amd64]) []\n\
Inst libc6:i386 [2.36-9] (2.36-10 Ubuntu:24.04/noble-security [i386]) [libc6-dev:amd64 ]\n\
Inst fresh (1:1.0~rc1-1 [all])\n\
Remv old-thing [1.0] [x:amd64 ]\n\
Conf base-files (12.4+deb12u15 Debian:12.15/oldstable [amd64])\n";

fn updates(text: &str) -> Vec<Update> {
    let only = |change| match change {
        Change::Install(update) => Some(update),
        Change::Remove { .. } => None,
    };
    apt::parse(text).unwrap().into_iter().filter_map(only).collect()
}

fn group(packages: &[(&str, &str, bool)], criteria: Option<UpdateCriteria>) -> UpdateGroup {
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

#[test]
fn what_apt_prints_is_read() {
    let found = apt::parse(SIMULATION).unwrap();
    assert_eq!(found.len(), 5);
    assert_eq!(found[4], Change::Remove { package: "old-thing".to_owned() });
    let updates = updates(SIMULATION);
    assert_eq!(updates.iter().map(|u| u.security).collect::<Vec<_>>(), [false, true, true, false]);
    assert_eq!(updates[1].origins, ["Debian:12.15/oldstable", "Debian-Security:12/oldstable-security"]);
    assert_eq!((updates[2].package.as_str(), updates[2].architecture.as_str()), ("libc6", "i386"));
    assert_eq!((&updates[3].installed, updates[3].candidate.as_str()), (&None, "1:1.0~rc1-1"));
}

#[test]
fn a_scan_passes_over_a_line_that_cannot_be_read_and_a_judge_does_not() {
    let text = format!("Inst a* [1] (2 x [amd64])\n{SIMULATION}Remv --purge\n");
    let read = apt::read(&text).unwrap();
    assert_eq!((read.changes.len(), read.unread, read.first.as_str()), (5, 2, "Inst a* [1] (2 x [amd64])"));
    assert_eq!(read.clone().all(), Err(OddOutput::Line(read.first)));
    assert_eq!(apt::read(SIMULATION).unwrap().all(), apt::parse(SIMULATION));
    // What cannot be read counts against the limit too.
    assert_eq!(apt::read(&"Inst ?\n".repeat(UPDATE_LINES_AND_ONE)), Err(OddOutput::TooMany));
}

#[test]
fn what_is_odd_is_refused_whole() {
    for line in [
        "Inst -o [1] (2 x [amd64])",
        "Inst a* [1] (2 x [amd64])",
        "Inst a [1] (2 x [am d64])",
        "Inst a [1] (-2 x [amd64])",
        "Inst a [1]",
        "Inst a [1] (2",
        "Inst ",
        "Remv --purge",
        "Inst a [1;id] (2 x [amd64])",
    ] {
        assert!(apt::parse(&format!("{SIMULATION}{line}\n")).is_err(), "{line}");
    }
    // A version that the tool would take for something else is seen, and is none that could be installed.
    let odd = updates("Inst a [1] (2- x [amd64])\n");
    assert_eq!(group(&[], Some(UpdateCriteria::default())).missing(&odd, &[])[0].version, None);
    // A repository may call itself anything; it stays what it calls itself.
    let said = updates("Inst a [1] (2 Evil [all]) [amd64]) $(id):1/x [amd64])\n");
    assert_eq!(said[0].architecture, "amd64");
    assert!(said[0].origins[0].starts_with("Evil [all])"), "{said:?}");
    let many = "Inst a [1] (2 x [amd64])\n".repeat(UPDATE_LINES_AND_ONE);
    assert_eq!(apt::parse(&many), Err(OddOutput::TooMany));
}

const UPDATE_LINES_AND_ONE: usize = crate::limits::UPDATE_LINES + 1;

/// Every line that is made out of pieces of the grammar is either read, with sound parts, or refused; none makes it fall over.
#[test]
fn any_mixture_is_read_or_refused() {
    const PIECES: [&str; 18] =
        ["Inst", "Remv", " ", "a", "-x", "[", "]", "(", ")", "1.0", "é", ",", ":", "/", "amd64", "\t", "\u{202e}", "+"];
    let mut state = 0x2545_f491_4f6c_dd1d_u64;
    let mut read = 0;
    for _ in 0..40_000 {
        let mut line = String::from(if state.is_multiple_of(2) { "Inst a [1] (2 x" } else { "Inst " });
        for _ in 0..12 {
            state ^= state << 13;
            state ^= state >> 7;
            state ^= state << 17;
            line.push_str(PIECES[usize::try_from(state % 18).unwrap()]);
        }
        line.push_str(if state.is_multiple_of(3) { " [amd64])" } else { "" });
        for change in apt::parse(&line).unwrap_or_default() {
            read += 1;
            match change {
                Change::Remove { package } => assert!(is_name(&package)),
                Change::Install(update) => {
                    assert!(is_name(&update.package) && is_name(&update.architecture) && is_version(&update.candidate));
                    assert!(!update.origins.iter().any(|origin| origin.contains(char::is_control)));
                }
            }
        }
    }
    assert!(read > 100, "{read}");
}

#[test]
fn a_group_allows_what_it_names_and_nothing_else() {
    let offered = updates(SIMULATION);
    let security = UpdateCriteria { security: true, ..UpdateCriteria::default() };
    let mut by_rule = group(&[], Some(security));
    let names = |group: &UpdateGroup| -> Vec<String> {
        group.missing(&offered, &[]).into_iter().map(|missing| missing.package).collect()
    };
    assert_eq!(names(&by_rule), ["libgcrypt20-dev", "libc6"]);
    by_rule.exclude = vec!["libc?".to_owned()];
    assert_eq!(names(&by_rule), ["libgcrypt20-dev"]);
    let origin = UpdateCriteria { origins: vec!["Debian:*".to_owned()], ..UpdateCriteria::default() };
    assert_eq!(names(&group(&[], Some(origin))), ["base-files", "libgcrypt20-dev"]);

    let least = group(&[("base-files", "12.4+deb12u14", false), ("absent", "1", false)], None);
    let missing = least.missing(&offered, &[Installed { name: "base-files", version: "12.4+deb12u11" }]);
    assert_eq!(missing.len(), 1);
    assert_eq!(missing[0].version.as_deref(), Some("12.4+deb12u15"));
    assert!(least.missing(&[], &[Installed { name: "base-files", version: "12.4+deb12u14" }]).is_empty());
    // Nobody offers what is wanted: it is missing all the same.
    let later = group(&[("base-files", "13", false)], None);
    let missing = later.missing(&offered, &[Installed { name: "base-files", version: "12.4+deb12u11" }]);
    assert_eq!((missing.len(), &missing[0].version), (1, &None));
    let exact = group(&[("base-files", "12.4+deb12u14", true)], None);
    let missing = exact.missing(&offered, &[Installed { name: "base-files", version: "12.4+deb12u11" }]);
    assert_eq!(missing[0].version.as_deref(), Some("12.4+deb12u14"));
    assert!(exact.permits(&[Change::Install(offered[0].clone())]).unwrap_err().contains("does not allow"));
}

#[test]
fn what_the_tool_would_do_besides_is_refused() {
    let all = group(&[], Some(UpdateCriteria::default()));
    let offered = updates(SIMULATION);
    let step = |number: usize| [Change::Install(offered[number].clone())];
    all.permits(&step(0)).unwrap();
    assert!(all.permits(&step(3)).unwrap_err().contains("would be new"));
    assert!(all.permits(&[Change::Remove { package: "x".to_owned() }]).unwrap_err().contains("removed"));
    let back = Update { installed: Some("13".to_owned()), ..offered[0].clone() };
    assert!(all.permits(&[Change::Install(back)]).unwrap_err().contains("back"));
    let wide = UpdateGroup { allow_new: true, allow_removals: true, ..all };
    wide.permits(&apt::parse(SIMULATION).unwrap()).unwrap();
}

#[test]
fn a_group_that_could_become_an_option_is_none() {
    for (name, version) in
        [("-o", "1"), ("a b", "1"), ("a*", "1"), ("a", "1 2"), ("a", "-1"), ("a", "1-"), ("", "1"), ("a", "")]
    {
        assert!(group(&[(name, version, false)], None).check().is_err(), "{name} {version}");
    }
    group(&[("libstdc++6", "1:12.2.0-14+deb12u1", false)], None).check().unwrap();
    assert!(group(&[], None).check().is_err());
    assert!(group(&[("a", "1", false), ("a", "2", false)], None).check().is_err());
}

#[test]
fn what_dnf_offers_is_read() {
    let available = "kernel x86_64 5.14.0-427.el9 baseos\nbind-libs x86_64 32:9.16.23-18.el9 updates\n\
        bind-libs x86_64 32:9.16.23-19.el9 updates\n\nodd* x86_64 1-1 base\n-o x86_64 1-1 base\n";
    let installed = "kernel x86_64 5.14.0-400.el9 @System\nkernel x86_64 5.14.0-410.el9 @System\n\
        bind-libs x86_64 32:9.16.23-17.el9 @System\n";
    let security = "RLSA-2024:1 Important/Sec. bind-libs-9.16.23-18.el9.x86_64\n";
    let read = dnf::offers(available, installed, security).unwrap();
    assert_eq!((read.unread, read.first.as_str()), (2, "odd* x86_64 1-1 base"));
    let shown: Vec<_> = read
        .changes
        .iter()
        .map(|change| match change {
            Change::Install(u) => (u.package.as_str(), u.installed.as_deref(), u.candidate.as_str(), u.security),
            Change::Remove { package } => (package.as_str(), None, "", false),
        })
        .collect();
    assert_eq!(
        shown,
        [
            ("kernel", Some("5.14.0-410.el9"), "5.14.0-427.el9", false),
            // The later version has what the advisory of the earlier one is about.
            ("bind-libs", Some("32:9.16.23-17.el9"), "32:9.16.23-19.el9", true)
        ]
    );
    let many = "a noarch 1-1 base\n".repeat(3)
        + &(0..=crate::limits::UPDATE_LINES).map(|n| format!("a{n} noarch 1-1 b\n")).collect::<String>();
    assert_eq!(dnf::offers(&many, "", ""), Err(OddOutput::TooMany));
}

#[test]
fn what_dnf_would_do_is_judged() {
    let group = UpdateGroup { tool: UpdateTool::Dnf, ..group(&[], Some(UpdateCriteria::default())) };
    let judge = |lines: &str| -> Result<(), String> {
        let changes = dnf::read(lines).unwrap().all().map_err(|error| error.to_string())?;
        group.permits(&changes)
    };
    let upgrade = "--> Starting dependency resolution\n---> Package a.noarch 1.9-1 will be upgraded\n\
        ---> Package a.noarch 1.10-1 will be an upgrade\n--> Finished dependency resolution\n";
    judge(upgrade).unwrap();
    for (more, said) in [
        ("---> Package b.noarch 1-1 will be installed\n", "would be new"),
        ("---> Package b.noarch 1-1 will be obsoleting\n", "would be new"),
        ("---> Package b.noarch 1-1 will be erased\n", "removed"),
        ("---> Package b.noarch 1-1 will be obsoleted\n", "removed"),
        ("---> Package b.noarch 2-1 will be downgraded\n---> Package b.noarch 1-1 will be a downgrade\n", "back"),
        ("---> Package b.noarch 1-1 will be reinstalled\n", "back"),
        ("---> Package b.noarch 2-1 will be an upgrade\n", "back"),
        ("---> Package b.noarch 2-1 will be blessed\n", "cannot be read"),
        ("---> Package b* 2-1 will be an upgrade\n", "cannot be read"),
        ("---> Anything\n", "cannot be read"),
    ] {
        let error = judge(&format!("{upgrade}{more}")).unwrap_err();
        assert!(error.contains(said), "{more}: {error}");
    }
}

#[test]
fn an_exact_version_is_the_only_one_whatever_else_fits() {
    let criteria = UpdateCriteria { security: true, ..UpdateCriteria::default() };
    let group = group(&[("openssl", "3.0.17", true)], Some(criteria));
    let offered = updates("Inst openssl [3.0.16] (3.0.18 Debian-Security:12/stable-security [amd64])\n");
    assert!(offered[0].security);
    assert!(!group.allows(&offered[0]) && group.permits(&[Change::Install(offered[0].clone())]).is_err());
    let missing = group.missing(&offered, &[Installed { name: "openssl", version: "3.0.16" }]);
    assert_eq!(missing.len(), 1);
    assert_eq!(missing[0].version.as_deref(), Some("3.0.17"));
}
