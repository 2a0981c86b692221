//! Rules of applications.

use super::*;
use crate::{inventory, time::UnixMillis};
use std::collections::BTreeMap;

fn command(program: &str, arguments: &[&str]) -> Command {
    let arguments = arguments.iter().map(|a| (*a).to_owned()).collect();
    Command { program: program.into(), arguments, success_codes: vec![0] }
}

fn app(program: &str, arguments: &[&str]) -> Application {
    Application {
        id: ApplicationId(uuid::Uuid::nil()),
        name: "x".parse().unwrap(),
        version: "1".into(),
        platform: Platform::Linux,
        content: vec![ContentFile { name: "setup".parse().unwrap(), hash: Hash([0; 32]), size: 1 }],
        install: command(program, arguments),
        uninstall: None,
        repair: None,
        detection: Detection::File { path: "/x".into(), hash: None },
        secrets: vec!["token".parse().unwrap()],
        collector: None,
        requirements: Vec::new(),
        return_codes: Vec::new(),
        retries: None,
        dependencies: Vec::new(),
        supersedes: Vec::new(),
        max_run_seconds: 1,
    }
}

fn requirement(query: &str) -> Requirement {
    Requirement { name: "Condition".parse().unwrap(), query: query.to_owned() }
}

#[test]
fn a_file_name_is_never_a_path() {
    for good in ["a", "muster_1.0+b~1-2.deb", "A.TAR.GZ"] {
        assert!(good.parse::<FileName>().is_ok(), "{good}");
    }
    let long = "x".repeat(101);
    for bad in
        ["", ".", "..", "../a", "/a", "a/b", "a\\b", "C:a", "a\0", "a ", "a.", ".bashrc", "\u{202e}a", long.as_str()]
    {
        assert!(bad.parse::<FileName>().is_err(), "{bad:?}");
    }
}

#[test]
fn a_command_names_what_it_has() {
    assert_eq!(app("content/setup", &["content/setup"]).check(), Ok(()));
    assert_eq!(app("/x", &["secret/token"]).check(), Ok(()));
    assert_eq!(app("/usr/bin/dpkg", &["-i", "; rm -rf /"]).check(), Ok(()), "arguments are not interpreted");
    for (program, arguments) in [
        ("setup", &[][..]),
        ("content/other", &[]),
        ("/bin/../x", &[]),
        ("//host/share", &[]),
        ("/x", &["content/other"]),
        ("/x", &["secret/other"]),
        ("secret/token", &[]),
    ] {
        assert!(app(program, arguments).check().is_err(), "{program} {arguments:?}");
        let removes = Application { uninstall: Some(command(program, arguments)), ..app("/x", &[]) };
        assert!(removes.check().is_err(), "{program} {arguments:?}");
    }
    let secret = Application { repair: Some(command("/x", &["secret/token"])), ..app("/x", &[]) };
    assert!(secret.check().is_err(), "only an installation gets secrets");
}

#[test]
fn what_an_earlier_author_signed_stays_as_it_was_byte_for_byte() {
    let earlier = r#"{"id":"00000000-0000-0000-0000-000000000000","name":"x","version":"1","platform":"linux","content":[{"name":"setup","hash":"0000000000000000000000000000000000000000000000000000000000000000","size":1}],"install":{"program":"/x","arguments":[],"success_codes":[0]},"detection":{"kind":"file","path":"/x","hash":null},"secrets":["token"],"max_run_seconds":1}"#;
    let read: Application = serde_json::from_str(earlier).unwrap();
    assert_eq!(read, app("/x", &[]));
    assert_eq!(serde_json::to_string(&read).unwrap(), earlier);
}

#[test]
fn exit_codes_mean_what_the_application_says_then_what_is_usual() {
    let mut app = app("/x", &[]);
    let meaning = |app: &Application, code| app.meaning(&app.install, code);
    for (code, is) in [
        (0, ReturnMeaning::Success),
        (3_010, ReturnMeaning::SuccessRestart),
        (1_641, ReturnMeaning::RestartFirst),
        (1_618, ReturnMeaning::Retry),
        (1, ReturnMeaning::Failure),
        (-1, ReturnMeaning::Failure),
    ] {
        assert_eq!(meaning(&app, code), is, "{code}");
    }
    app.install.success_codes = vec![7];
    assert_eq!(meaning(&app, 7), ReturnMeaning::Success);
    assert_eq!(meaning(&app, 0), ReturnMeaning::Failure, "as before: only what is named is success");
    app.return_codes = vec![
        ReturnCode { code: 7, meaning: ReturnMeaning::SuccessRestart },
        ReturnCode { code: 1_618, meaning: ReturnMeaning::Failure },
    ];
    assert_eq!(meaning(&app, 7), ReturnMeaning::SuccessRestart);
    assert_eq!(meaning(&app, 1_618), ReturnMeaning::Failure);
    app.return_codes.push(ReturnCode { code: 7, meaning: ReturnMeaning::Failure });
    assert_eq!(app.check(), Err(ApplicationError::ReturnCodes), "one code, one meaning");
}

#[test]
fn rules_have_bounds() {
    let other = |n| ApplicationId(uuid::Uuid::from_u128(n));
    let needs = |application, version: Option<&str>| DependencyGroup {
        any: vec![Dependency { application, version: version.map(str::to_owned) }],
    };
    let base = || app("/x", &[]);
    let with = |groups: Vec<DependencyGroup>| Application { dependencies: groups, ..base() }.check();
    assert_eq!(with(vec![needs(other(2), Some("1.2"))]), Ok(()));
    assert!(with(vec![needs(base().id, None)]).is_err(), "nothing needs itself");
    assert!(with(vec![needs(other(2), Some("\u{7}"))]).is_err());
    assert!(with(vec![DependencyGroup { any: vec![] }]).is_err());
    assert!(with(vec![needs(other(2), None); 17]).is_err());
    let replaces = |ids: &[u128]| {
        let supersedes = ids.iter().map(|n| Superseded { application: other(*n), uninstall: true }).collect();
        Application { supersedes, ..base() }.check()
    };
    assert_eq!(replaces(&[1, 2]), Ok(()));
    assert!(replaces(&[1, 1]).is_err() && replaces(&[0]).is_err());
    for (count, wait_seconds, good) in [(1, 1, true), (20, 86_400, true), (0, 1, false), (21, 1, false), (1, 0, false)]
    {
        let retries = Some(Retries { count, wait_seconds });
        assert_eq!(Application { retries, ..base() }.check().is_ok(), good, "{count} {wait_seconds}");
    }
}

#[test]
fn a_dependency_wants_at_least_its_version() {
    let needs = |version: &str| Dependency { application: app("/x", &[]).id, version: Some(version.to_owned()) };
    let at = |version: &str| Application { version: version.to_owned(), ..app("/x", &[]) };
    for (least, is, good) in
        [("1.9", "1.10", true), ("1.10", "1.9", false), ("2", "2", true), ("2", "2.1", true), ("2.0", "1.99", false)]
    {
        assert_eq!(needs(least).is_met_by(&at(is)), good, "{is} for {least}");
    }
}

fn facts() -> BTreeMap<String, Vec<inventory::Row>> {
    let row = |pairs: &[(&str, inventory::Value)]| {
        pairs.iter().map(|(name, value)| ((*name).to_owned(), value.clone())).collect::<inventory::Row>()
    };
    let text = |text: &str| inventory::Value::Text(text.to_owned());
    let software = ["vim", "nano"].map(|name| row(&[("SoftwareCode", text(name)), ("ProductName", text(name))]));
    BTreeMap::from([
        ("INSTALLED_SOFTWARE".to_owned(), software.to_vec()),
        ("X86_PC_MEMORY".to_owned(), vec![row(&[("TotalPhysicalMemory", inventory::Value::Int(8_000_000))])]),
    ])
}

#[test]
fn a_requirement_is_met_where_its_query_finds_something() {
    let (classes, now) = (facts(), UnixMillis(1_790_000_000_000));
    let facts = Facts { classes: &classes, now, offset_minutes: 0 };
    for (query, met) in [
        ("select * from SMS_G_System_X86_PC_MEMORY where TotalPhysicalMemory >= 4000000", true),
        ("select * from SMS_G_System_X86_PC_MEMORY where TotalPhysicalMemory >= 16000000", false),
        (
            "select * from SMS_R_System inner join SMS_G_System_INSTALLED_SOFTWARE on SMS_G_System_INSTALLED_SOFTWARE.ResourceID = SMS_R_System.ResourceID where SMS_G_System_INSTALLED_SOFTWARE.ProductName = 'VIM'",
            true,
        ),
        (
            "select * from SMS_R_System where ResourceID not in (select ResourceID from SMS_G_System_INSTALLED_SOFTWARE where ProductName = 'vim')",
            false,
        ),
        (
            "select * from SMS_R_System where ResourceID not in (select ResourceID from SMS_G_System_INSTALLED_SOFTWARE where ProductName = 'emacs')",
            true,
        ),
        ("select * from SMS_G_System_TPM", false),
    ] {
        assert_eq!(requirement(query).is_met(facts).ok(), Some(met), "{query}");
    }
}

#[test]
fn a_requirement_that_no_device_can_compute_is_refused() {
    for query in [
        "",
        "drop table device",
        "select * from SMS_R_User",
        "select * from SMS_FullCollectionMembership",
        "select * from SMS_G_System_NO_SUCH_CLASS",
        "select * from SMS_R_System where Name = 'x'",
        "select count(*) from SMS_G_System_TPM",
        "select * from SMS_G_System_X86_PC_MEMORY where NoSuchAttribute = 1",
    ] {
        assert!(requirement(query).check().is_err(), "{query}");
        let app = Application { requirements: vec![requirement(query)], ..app("/x", &[]) };
        assert!(matches!(app.check(), Err(ApplicationError::Requirement(..))), "{query}");
    }
}

#[test]
fn a_requirement_that_would_never_end_is_not_begun() {
    let mut classes = facts();
    let row = classes["INSTALLED_SOFTWARE"][0].clone();
    classes.insert("INSTALLED_SOFTWARE".to_owned(), vec![row; 2_000]);
    let facts = Facts { classes: &classes, now: UnixMillis(0), offset_minutes: 0 };
    let query = "select * from SMS_G_System_INSTALLED_SOFTWARE a inner join SMS_G_System_INSTALLED_SOFTWARE b on a.ResourceID = b.ResourceID where a.ProductName = 'x'";
    let since = std::time::Instant::now();
    let refused = requirement(query).is_met(facts);
    assert!(refused.is_err(), "{refused:?}");
    assert!(since.elapsed().as_secs() < 5);
}
