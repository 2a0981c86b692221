//! Baselines: what rules say, what is refused, and an order of values that is one.

use super::*;
use proptest::prelude::*;

fn setting(value_type: ValueType, rules: Vec<Rule>) -> Setting {
    Setting {
        name: "x".parse().unwrap(),
        discovery: Discovery::Sysctl { name: "a.b".to_owned() },
        value_type,
        rules,
        severity: SettingSeverity::Warning,
        private: false,
        remediation: None,
    }
}

fn verdict(value_type: ValueType, rule: Rule, found: Option<&[&str]>) -> Verdict {
    let found = found.map(|values| values.iter().map(|value| (*value).to_owned()).collect::<Vec<_>>());
    setting(value_type, vec![rule]).judge(found.as_deref(), "dpkg")
}

fn text(text: &str) -> String {
    text.to_owned()
}

#[test]
fn rules_hold_as_they_say() {
    use ValueType::{Boolean, Date, Integer, List, String, Version};
    use Verdict::{Compliant, NonCompliant, WrongType};
    let equals = |value: &str| Rule::Equals { value: text(value) };
    let between = |least: &str, most: &str| Rule::Between { least: text(least), most: text(most) };
    for (value_type, rule, found, expected) in [
        (String, equals("a"), Some(&["a"][..]), Compliant),
        (String, equals("a"), Some(&["A"]), NonCompliant),
        (String, equals("a"), None, NonCompliant),
        (String, Rule::Not { value: text("a") }, None, NonCompliant),
        (String, Rule::Not { value: text("a") }, Some(&["b"]), Compliant),
        (String, Rule::Exists { exists: false }, None, Compliant),
        (String, Rule::Exists { exists: true }, Some(&["a", "b"]), Compliant),
        (String, equals("a"), Some(&["a", "b"]), Compliant),
        (String, Rule::Matches { pattern: text("a*z") }, Some(&["abcz"]), Compliant),
        (Integer, equals("7"), Some(&["007"]), Compliant),
        (Integer, Rule::Greater { than: text("9") }, Some(&["10"]), Compliant),
        (Integer, Rule::Less { than: text("9") }, Some(&["10"]), NonCompliant),
        (Integer, between("-3", "3"), Some(&["-3"]), Compliant),
        (Integer, between("-3", "3"), Some(&["many"]), WrongType),
        (Version, Rule::Greater { than: text("1.9") }, Some(&["1.10-1"]), Compliant),
        (Version, Rule::Less { than: text("1.0") }, Some(&["1.0~rc1"]), Compliant),
        (Boolean, equals("true"), Some(&["Yes"]), Compliant),
        (Boolean, equals("true"), Some(&["0"]), NonCompliant),
        (Boolean, equals("true"), Some(&["maybe"]), WrongType),
        (Date, Rule::Less { than: text("2026-11-27") }, Some(&["2026-11-26T23:59:59Z"]), Compliant),
        (Date, equals("2026-11-27"), Some(&["2026-11-27T00:00:00Z"]), Compliant),
        (Date, equals("2026-11-27"), Some(&["yesterday"]), WrongType),
        (List, Rule::Contains { value: text("b") }, Some(&["a", "b"]), Compliant),
        (List, Rule::Contains { value: text("c") }, Some(&["a", "b"]), NonCompliant),
        (List, Rule::OneOf { values: vec![text("a"), text("b")] }, Some(&["b", "a"]), Compliant),
        (List, Rule::OneOf { values: vec![text("a")] }, Some(&["b", "a"]), NonCompliant),
        (List, Rule::Not { value: text("b") }, Some(&["a", "b"]), NonCompliant),
        (List, Rule::Exists { exists: false }, Some(&[]), Compliant),
    ] {
        assert_eq!(verdict(value_type, rule.clone(), found), expected, "{value_type:?} {rule:?} {found:?}");
    }
}

fn baseline(change: impl FnOnce(&mut Setting)) -> Baseline {
    let mut setting = setting(ValueType::String, vec![Rule::Exists { exists: true }]);
    change(&mut setting);
    Baseline {
        id: crate::id::BaselineId(uuid::Uuid::nil()),
        name: "b".parse().unwrap(),
        version: text("1"),
        platform: Platform::Linux,
        items: vec![ConfigurationItem {
            name: "i".parse().unwrap(),
            description: String::new(),
            settings: vec![setting],
        }],
    }
}

fn script(bytes: usize) -> Script {
    Script {
        interpreter: Interpreter::Sh,
        text: "x".repeat(bytes),
        parameters: Vec::new(),
        pass: Pass::Arguments,
        privilege: Privilege::None,
    }
}

fn file(path: &str) -> Discovery {
    Discovery::File { path: text(path), read: FileRead::Mode, follow_links: false }
}

#[test]
fn what_breaks_a_rule_is_refused_by_everybody() {
    type Change = fn(&mut Setting);
    assert_eq!(baseline(|_| {}).check(), Ok(()));
    let wrong: [Change; 18] = [
        |s| s.rules.clear(),
        |s| s.rules = vec![Rule::Exists { exists: true }; 17],
        |s| s.rules = vec![Rule::Greater { than: text("1") }],
        |s| (s.value_type, s.rules) = (ValueType::Integer, vec![Rule::Equals { value: text("x") }]),
        |s| s.rules = vec![Rule::Contains { value: text("1") }],
        |s| s.rules = vec![Rule::Equals { value: "x".repeat(1_025) }],
        |s| s.discovery = Discovery::Sysctl { name: text("net/../../etc/passwd") },
        |s| s.discovery = Discovery::Sysctl { name: text("a..b") },
        |s| s.discovery = file("etc/passwd"),
        |s| s.discovery = file("/etc/../x"),
        |s| s.discovery = file("/etc//x"),
        |s| s.discovery = file("/etc/x/"),
        |s| s.discovery = Discovery::Service { name: text("--help"), property: ServiceProperty::State },
        |s| s.discovery = Discovery::Script { script: script(64 * 1024 + 1) },
        |s| s.discovery = Discovery::Script { script: script(0) },
        |s| s.remediation = Some(Remediation::File { content: Some(String::new()), mode: None }),
        |s| {
            (s.discovery, s.remediation) =
                (file("/x"), Some(Remediation::File { content: None, mode: Some(text("4755")) }))
        },
        |s| (s.discovery, s.remediation) = (file("/x"), Some(Remediation::File { content: None, mode: None })),
    ];
    for (number, change) in wrong.into_iter().enumerate() {
        assert!(baseline(change).check().is_err(), "{number}");
    }
    let mut many = baseline(|_| {});
    many.items[0].settings = vec![many.items[0].settings[0].clone(); 2];
    assert_eq!(many.check(), Err(BaselineError::Count), "two of one name");
    let named =
        |number: usize| Setting { name: number.to_string().parse().unwrap(), ..many.items[0].settings[0].clone() };
    let settings: Vec<Setting> = (0..=500).map(named).collect();
    many.items[0].settings = settings;
    assert_eq!(many.check(), Err(BaselineError::Count), "more than there may be");
}

#[test]
fn a_program_of_any_kind_wants_what_scripts_want() {
    let command = || Command { program: text("/usr/bin/env"), arguments: vec![text("sh")], success_codes: vec![0] };
    assert!(!baseline(|_| {}).runs());
    assert!(baseline(|s| s.discovery = Discovery::Script { script: script(1) }).runs());
    assert!(baseline(|s| s.discovery = Discovery::Command { command: command(), privilege: Privilege::None }).runs());
    assert!(baseline(|s| s.remediation = Some(Remediation::Command { command: command() })).runs());
    assert!(!baseline(|s| s.remediation = None).can_run());
    let file = Remediation::File { content: Some("x".to_owned()), mode: None };
    let service = Remediation::Service { enabled: Some(true), running: None };
    for (remediation, can_run) in [
        (file, true),
        (Remediation::File { content: None, mode: Some("0666".to_owned()) }, true),
        (Remediation::Sysctl { value: "|/tmp/x".to_owned() }, true),
        (service, false),
    ] {
        let of = baseline(|s| s.remediation = Some(remediation.clone()));
        assert!(!of.runs());
        assert_eq!(of.can_run(), can_run, "{remediation:?}");
    }
    let looks = |privilege| baseline(|s| s.discovery = Discovery::Command { command: command(), privilege });
    assert!(looks(Privilege::Root).looks_as_root() && !looks(Privilege::None).looks_as_root());
}

/// Two settings that are put right, and whether the second one is refused because the first one is there.
fn conflict(discoveries: [Discovery; 2], rules: [Rule; 2], remedies: [Remediation; 2]) -> bool {
    let [discovery, other] = discoveries;
    let [rule, another] = rules;
    let [remedy, last] = remedies;
    let make = |discovery: Discovery, rule: Rule, remedy: Remediation| {
        baseline(|setting| {
            setting.discovery = discovery.clone();
            setting.rules = vec![rule.clone()];
            setting.remediation = Some(remedy.clone());
        })
    };
    let (first, second) = (make(discovery, rule, remedy), make(other, another, last));
    let claim = |of: &'static Baseline| Claim { baseline: of, setting: &of.items[0].settings[0] };
    let (first, second): (&Baseline, &Baseline) = (Box::leak(Box::new(first)), Box::leak(Box::new(second)));
    let mut claims = Claims::default();
    assert!(claims.take(claim(first)).is_none());
    let rival = claims.take(claim(second));
    // The same in the other order, but for who is refused; and again the same answer.
    let mut turned = Claims::default();
    assert!(turned.take(claim(second)).is_none());
    assert_eq!(turned.take(claim(first)).is_some(), rival.is_some());
    assert_eq!(claims.rival(claim(second).setting).is_some(), rival.is_some());
    assert!(rival.is_none_or(|rival| rival == claim(first)));
    rival.is_some()
}

#[test]
fn two_that_want_the_same_setting_otherwise_are_found() {
    let file = |path: &str, read| Discovery::File { path: text(path), read, follow_links: false };
    let mode = || file("/etc/x", FileRead::Mode);
    let put = |content: Option<&str>, mode: Option<&str>| Remediation::File {
        content: content.map(text),
        mode: mode.map(text),
    };
    let is = |value: &str| Rule::Equals { value: text(value) };
    let any = || [is("1"), is("2")];
    let sysctl = |name: &str| Discovery::Sysctl { name: text(name) };
    let set = |value: &str| Remediation::Sysctl { value: text(value) };
    let service = |name: &str| Discovery::Service { name: text(name), property: ServiceProperty::State };
    let systemd = |enabled, running| Remediation::Service { enabled, running };
    let hash = file("/etc/x", FileRead::Hash);
    assert!(conflict([mode(), hash.clone()], any(), [put(Some("a"), None), put(Some("b"), None)]), "whatever is read");
    assert!(conflict([mode(), mode()], any(), [put(None, Some("0600")), put(Some("a"), Some("0644"))]));
    assert!(!conflict([mode(), hash], any(), [put(None, Some("0600")), put(Some("a"), None)]), "one each");
    assert!(!conflict([mode(), mode()], any(), [put(Some("a"), None), put(Some("a"), None)]), "the same");
    let elsewhere = file("/etc/y", FileRead::Mode);
    assert!(!conflict([mode(), elsewhere], any(), [put(Some("a"), None), put(Some("b"), None)]));
    assert!(conflict([sysctl("a.b"), sysctl("a.b")], any(), [set("1"), set("2")]));
    assert!(!conflict([sysctl("a.b"), sysctl("a.b")], any(), [set("1"), set(" 1 ")]));
    let names = || [service("ssh"), service("ssh.service")];
    assert!(conflict(names(), any(), [systemd(None, Some(true)), systemd(Some(true), Some(false))]));
    assert!(!conflict(names(), any(), [systemd(None, Some(true)), systemd(Some(false), None)]));
    // Of programs only the rules are known.
    let run = || Remediation::Script { script: script(0) };
    let looks = || [mode(), mode()];
    let both = || [run(), run()];
    assert!(conflict(looks(), any(), both()));
    assert!(conflict(looks(), [is("a"), Rule::Exists { exists: false }], both()));
    assert!(!conflict(looks(), [is("ab"), Rule::Matches { pattern: text("a*") }], both()));
    assert!(!conflict([mode(), file("/etc/x", FileRead::Owner)], any(), both()));
}

proptest! {
    #[test]
    fn values_stand_in_an_order(a in ".{0,12}", b in ".{0,12}", kind in 0..6_usize) {
        let kinds = [
            ValueType::String, ValueType::Integer, ValueType::Version, ValueType::Boolean, ValueType::List, ValueType::Date,
        ];
        let ab = compare_values(&a, &b, kinds[kind], "dpkg");
        prop_assert_eq!(compare_values(&b, &a, kinds[kind], "dpkg"), ab.map(std::cmp::Ordering::reverse));
        if let Some(same) = compare_values(&a, &a, kinds[kind], "dpkg") {
            prop_assert!(same.is_eq());
        }
    }

    #[test]
    fn numbers_compare_as_numbers(a: i64, b: i64) {
        let found = compare_values(&a.to_string(), &b.to_string(), ValueType::Integer, "");
        prop_assert_eq!(found, Some(a.cmp(&b)));
    }

    #[test]
    fn judging_never_fails(values in proptest::collection::vec(".{0,20}", 0..5), pattern in ".{0,8}") {
        let rules = vec![Rule::Matches { pattern }, Rule::Exists { exists: true }];
        let _ = setting(ValueType::List, rules).judge(Some(&values), "");
    }
}
