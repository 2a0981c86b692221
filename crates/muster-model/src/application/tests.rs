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
        type_name: None,
        types: Vec::new(),
        parameters: Vec::new(),
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

/// A second way of installing it.
fn portable() -> DeploymentType {
    DeploymentType {
        name: "portable".parse().unwrap(),
        platform: Platform::Linux,
        requirements: Vec::new(),
        content: vec![ContentFile { name: "archive".parse().unwrap(), hash: Hash([1; 32]), size: 9 }],
        install: command("content/archive", &[]),
        uninstall: Some(command("/rm", &[])),
        repair: None,
        detection: Detection::File { path: "/portable".into(), hash: None },
        return_codes: Vec::new(),
        max_run_seconds: 7,
    }
}

fn with_types(types: Vec<DeploymentType>) -> Application {
    Application { type_name: Some("package".parse().unwrap()), types, ..app("content/setup", &[]) }
}

#[test]
fn each_deployment_type_is_an_application_of_its_own_and_obeys_the_same_rules() {
    let several = with_types(vec![portable()]);
    assert_eq!(several.check(), Ok(()));
    let each = several.each_type();
    let names: Vec<_> = each.iter().flat_map(|one| one.type_names().map(|name| name.into_owned())).collect();
    assert_eq!(names, ["package", "portable"]);
    assert_eq!((each[1].detection.clone(), each[1].max_run_seconds), (portable().detection, 7));
    assert_eq!(
        (each[0].secrets.len(), each[1].secrets.len()),
        (1, 1),
        "what a type does not say, the application says"
    );
    assert!(several.can_be_removed() && several.uninstall.is_none());
    assert_eq!((several.fetched_bytes(), several.longest_run_seconds(), several.files().count()), (9, 7, 2));
    assert_eq!(several.features(), [crate::policy::Feature::Types]);
    assert!(app("/x", &[]).features().is_empty());
    // The file of another type is none of its own.
    let foreign = DeploymentType { install: command("content/setup", &[]), ..portable() };
    assert!(matches!(with_types(vec![foreign]).check(), Err(ApplicationError::Command(_))));
    let secret = DeploymentType { install: command("/x", &["secret/other"]), ..portable() };
    assert!(with_types(vec![secret]).check().is_err());
    let named = |name: &str| DeploymentType { name: name.parse().unwrap(), ..portable() };
    let bad = [
        Application { type_name: None, ..several.clone() },
        with_types(vec![]),
        with_types(vec![named("package")]),
        with_types((0..16).map(|n| named(&format!("type {n}"))).collect()),
        with_types(vec![DeploymentType { detection: Detection::Program, uninstall: None, ..portable() }]),
    ];
    for application in bad {
        assert!(matches!(application.check(), Err(ApplicationError::Types(_))), "{application:?}");
    }
    let query = vec![requirement("select * from SMS_R_User")];
    let asks = with_types(vec![DeploymentType { requirements: query, ..portable() }]);
    assert!(matches!(asks.check(), Err(ApplicationError::Requirement(..))));
    assert_eq!(asks.check_form(), Ok(()), "a client says so itself");
}

#[test]
fn a_program_has_nothing_that_could_be_looked_for() {
    let program = Application { detection: Detection::Program, ..app("/x", &[]) };
    assert_eq!((program.check(), program.is_program()), (Ok(()), true));
    assert_eq!(serde_json::to_string(&program.detection).unwrap(), r#"{"kind":"program"}"#);
    let bad = [
        Application { uninstall: Some(command("/x", &[])), ..program.clone() },
        Application { repair: Some(command("/x", &[])), ..program.clone() },
        Application {
            supersedes: vec![Superseded { application: ApplicationId(uuid::Uuid::from_u128(2)), uninstall: false }],
            ..program
        },
    ];
    for application in bad {
        assert!(matches!(application.check(), Err(ApplicationError::Program(_))), "{application:?}");
    }
}

fn parameter(name: &str, kind: ParameterKind) -> Parameter {
    Parameter { name: name.parse().unwrap(), kind, way: ParameterWay::Argument, default: None }
}

fn text(most_bytes: u32) -> ParameterKind {
    ParameterKind::String { most_bytes, allowed: Vec::new() }
}

fn values(pairs: &[(&str, ParameterValue)]) -> ParameterValues {
    pairs.iter().map(|(name, value)| (name.parse().unwrap(), value.clone())).collect()
}

#[test]
fn values_of_parameters_are_of_their_type_and_stay_one_argument() {
    let own = Application {
        parameters: vec![
            parameter("who", text(20)),
            Parameter {
                default: Some(ParameterValue::Integer(80)),
                ..parameter("port", ParameterKind::Integer { least: 1, most: 99 })
            },
            Parameter { way: ParameterWay::Environment, ..parameter("quiet", ParameterKind::Boolean) },
            Parameter {
                way: ParameterWay::Input,
                ..parameter("mode", ParameterKind::Choice { values: vec!["a".into(), "b".into()] })
            },
        ],
        ..app("content/setup", &["--", "parameter/who", "--port=parameter/port", "as parameter/who"])
    };
    assert_eq!(own.check(), Ok(()));
    let who = |text: &str| ParameterValue::Text(text.into());
    let good =
        values(&[("who", who("a; rm -rf /\n$(x)")), ("quiet", ParameterValue::Boolean(true)), ("mode", who("b"))]);
    let given = own.given(&good).unwrap();
    let placed: Vec<_> = own.install.arguments.iter().map(|argument| given.argument(argument)).collect();
    assert_eq!(placed, ["--", "a; rm -rf /\n$(x)", "--port=80", "as parameter/who"]);
    assert_eq!(given.environment, [("MUSTER_VALUE_QUIET".to_owned(), "true".to_owned())]);
    assert_eq!(given.input, "{\"mode\":\"b\"}\n");
    let with = |name: &str, value: ParameterValue| {
        let mut changed = good.clone();
        changed.insert(name.parse().unwrap(), value);
        own.given(&changed)
    };
    for (name, value) in [
        ("who", who("a\0b")),
        ("who", who("-rf")),
        ("who", who(&"x".repeat(21))),
        ("who", ParameterValue::Integer(1)),
        ("port", ParameterValue::Integer(0)),
        ("port", ParameterValue::Integer(100)),
        ("port", who("80")),
        ("quiet", who("true")),
        ("mode", who("c")),
    ] {
        assert!(matches!(with(name, value.clone()), Err(ParameterError::Value(..))), "{name} {value:?}");
    }
    assert!(matches!(with("other", who("x")), Err(ParameterError::Unknown(_))));
    assert!(matches!(own.given(&values(&[])), Err(ParameterError::Missing(_))));
    // A value is replaced once: what looks like a place in it stays as it is.
    assert_eq!(
        own.given(&values(&[
            ("who", who("parameter/port")),
            ("quiet", ParameterValue::Boolean(false)),
            ("mode", who("a"))
        ]))
        .unwrap()
        .argument("parameter/who"),
        "parameter/port"
    );
}

#[test]
fn parameters_have_bounds_are_no_secrets_and_stand_nowhere_where_code_is_read() {
    let check =
        |parameters: Vec<Parameter>, arguments: &[&str]| Application { parameters, ..app("/x", arguments) }.check();
    let one = |kind: ParameterKind| check(vec![parameter("a", kind)], &[]);
    assert_eq!(one(text(4_096)), Ok(()));
    let refused = one(ParameterKind::Secret).unwrap_err().to_string();
    assert!(refused.contains("a secret is no parameter") && refused.contains("`secrets`"), "{refused}");
    assert!(one(text(0)).is_err() && one(text(4_097)).is_err());
    assert!(one(ParameterKind::Integer { least: 2, most: 1 }).is_err());
    assert!(one(ParameterKind::Choice { values: Vec::new() }).is_err());
    assert!(one(ParameterKind::Choice { values: vec!["x".into(), "x".into()] }).is_err());
    assert!(one(ParameterKind::Choice { values: vec!["x\0".into()] }).is_err());
    assert!(check(vec![parameter("a", text(9)); 2], &[]).is_err());
    let many = (0..33).map(|n| parameter(&format!("p{n}"), text(1))).collect();
    assert!(check(many, &[]).is_err());
    let wrong = Parameter { default: Some(ParameterValue::Integer(1)), ..parameter("a", text(9)) };
    assert!(matches!(check(vec![wrong], &[]), Err(ApplicationError::Default(_))));
    let a = || vec![parameter("a", text(9))];
    assert_eq!(check(a(), &["-x", "parameter/a", "--b=parameter/a"]), Ok(()));
    assert!(check(a(), &["parameter/b"]).is_err() && check(a(), &["-c", "parameter/a"]).is_err());
    let environment = Parameter { way: ParameterWay::Environment, ..parameter("a", text(9)) };
    assert!(check(vec![environment], &["parameter/a"]).is_err());
    assert_eq!(app("/x", &["parameter/a"]).check(), Ok(()), "without a declaration it is a text, as before");
    for name in ["", "A", "1a", "a-b", "a b", "a\n", &"x".repeat(41)] {
        assert!(name.parse::<ParameterName>().is_err(), "{name:?}");
    }
    let follows = |arguments: &[&str]| command("/bin/sh", arguments).values_follow_code();
    assert!(
        follows(&["content/setup", "parameter/a"])
            && follows(&["-c", "echo $0", "parameter/a"])
            && follows(&["-x", "content/a"])
    );
    // A file that is something else than the program, and a program that reads its input.
    assert!(!follows(&["-f", "x", "content/a", "parameter/a"]) && !follows(&["-s"]) && !follows(&[]));
    assert!(!follows(&["--eval=parameter/a", "content/a"]));
    assert!(!follows(&["parameter/a"]) && !follows(&["sh", "parameter/a"]) && !follows(&["-c", "-x", "parameter/a"]));
}

#[test]
fn a_client_that_does_not_know_a_word_of_an_application_believes_none_of_it() {
    /// Every name that an earlier client knows.
    const EARLIER: [&str; 17] = [
        "id",
        "name",
        "version",
        "platform",
        "content",
        "install",
        "uninstall",
        "repair",
        "detection",
        "secrets",
        "collector",
        "requirements",
        "return_codes",
        "retries",
        "dependencies",
        "supersedes",
        "max_run_seconds",
    ];
    let newer = |application: &Application| {
        let json = serde_json::to_value(application).unwrap();
        json.as_object().unwrap().keys().any(|name| !EARLIER.contains(&name.as_str()))
    };
    assert!(!newer(&app("/x", &[])) && newer(&with_types(vec![portable()])));
    assert!(newer(&Application { parameters: vec![parameter("a", text(1))], ..app("/x", &[]) }));
    // And this one does not know what comes after it.
    let mut later = serde_json::to_value(app("/x", &[])).unwrap();
    later["something_later"] = true.into();
    assert!(serde_json::from_value::<Application>(later).is_err());
}
