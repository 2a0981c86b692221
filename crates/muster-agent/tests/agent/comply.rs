//! Configuration baselines on a client: looked at, put right only where author and site both say so, and nothing run that too few
//! authors signed.

use crate::actor::{Site, machine::Machine, now};
use muster_agent::clock::Clock;
use muster_model::{
    application::{Command, Platform, Privilege},
    baseline::{
        Baseline, ConfigurationItem, Discovery, FileRead, Interpreter, Pass, Remediation, Rule, Script, Setting,
        SettingSeverity, ValueType,
    },
    compliance::{
        BaselinePolicy, ComplianceOutcome, ComplianceReason, ComplianceReport, ComplianceState as State, SettingResult,
    },
    id::{BaselineId, DeploymentId},
    policy::{BodyKind, BodyRef, WindowPolicy},
    report::Body,
    schedule::Recurrence,
    settings::{ClientSettings, ScriptPolicy},
    status::WaitReason,
    time::HOUR,
    window::{MaintenanceWindow, WallTime, WindowKind},
};
use muster_trust::{PrivateKey, bundle::NamedKey, envelope};
use std::{path::Path, sync::Arc};

fn setting(name: &str, discovery: Discovery, value: &str, remediation: Option<Remediation>) -> Setting {
    Setting {
        name: name.parse().unwrap(),
        discovery,
        value_type: ValueType::String,
        rules: vec![Rule::Equals { value: value.to_owned() }],
        severity: SettingSeverity::Critical,
        private: false,
        remediation,
    }
}

fn key(path: &str, key: &str) -> Discovery {
    let read = FileRead::Key { key: key.to_owned(), separator: None, last: false };
    Discovery::File { path: path.to_owned(), read, follow_links: false }
}

fn script(text: &str) -> Script {
    Script {
        interpreter: Interpreter::Sh,
        text: text.to_owned(),
        parameters: Vec::new(),
        pass: Pass::Arguments,
        privilege: Privilege::None,
    }
}

fn baseline(settings: Vec<Setting>) -> Baseline {
    Baseline {
        id: BaselineId(uuid::Uuid::from_u128(77)),
        name: "Test".parse().unwrap(),
        version: "1".to_owned(),
        platform: Platform::Linux,
        items: vec![ConfigurationItem { name: "All".parse().unwrap(), description: String::new(), settings }],
    }
}

fn held(number: u128, remediate: bool) -> BaselinePolicy {
    BaselinePolicy {
        deployment: DeploymentId(uuid::Uuid::from_u128(number)),
        baseline: muster_model::id::Hash::ZERO,
        every: None,
        remediate,
        outside_windows: false,
    }
}

/// Assigns a baseline that these keys signed.
fn assign(site: &Site, baseline: &Baseline, held: &BaselinePolicy, keys: &[&PrivateKey], scripts: ScriptPolicy) {
    assign_bytes(site, envelope::sign_json(keys, baseline).unwrap(), held, scripts);
}

fn assign_bytes(site: &Site, object: Vec<u8>, held: &BaselinePolicy, scripts: ScriptPolicy) {
    let object = site.body(BodyKind::Baseline, object);
    let policy = BaselinePolicy { baseline: object.hash, ..held.clone() };
    let settings = ClientSettings { script_policy: scripts, ..ClientSettings::default() };
    let bodies: Vec<BodyRef> = vec![
        site.body(BodyKind::Settings, serde_json::to_vec(&settings).unwrap()),
        site.body(BodyKind::BaselineDeployment, serde_json::to_vec(&policy).unwrap()),
        object,
    ];
    publish(site, bodies);
}

fn publish(site: &Site, bodies: Vec<BodyRef>) {
    let mut assignment = site.next_assignment(bodies);
    assignment.trust_version = site.state().bundle_version;
    site.publish(&assignment);
}

/// What the client said of a deployment so far.
fn said(state: &crate::actor::State, deployment: DeploymentId) -> Vec<ComplianceReport> {
    let of = state.messages.iter().filter_map(|(_, _, message)| match &message.body {
        Body::Compliance(report) if report.deployment == deployment => Some(report.clone()),
        _ => None,
    });
    of.collect()
}

/// The results of the first evaluation of a deployment.
async fn results(site: &Site, held: &BaselinePolicy) -> Vec<SettingResult> {
    site.wait("an evaluation", |state| {
        said(state, held.deployment).into_iter().find_map(|report| match report.outcome {
            ComplianceOutcome::Evaluated { digest, results } => {
                assert_eq!(digest, muster_trust::sha256(&serde_json::to_vec(&results).unwrap()));
                Some(results)
            }
            _ => None,
        })
    })
    .await
}

fn states(results: &[SettingResult]) -> Vec<State> {
    results.iter().map(|result| result.state).collect()
}

async fn enrolled() -> (Arc<Site>, Machine) {
    let (site, machine) = (Site::start().await, Machine::new());
    machine.enrol(&site).await;
    std::fs::create_dir_all(machine.place("tree/etc")).unwrap();
    (site, machine)
}

fn write(machine: &Machine, path: &str, text: &str) {
    std::fs::write(machine.place(&format!("tree{path}")), text).unwrap();
}

fn read(machine: &Machine, path: &str) -> String {
    std::fs::read_to_string(machine.place(&format!("tree{path}"))).unwrap()
}

#[tokio::test]
async fn drift_is_told_first_and_put_right_only_where_the_site_says_so() {
    let (site, mut machine) = enrolled().await;
    machine.clock = Clock::at(now());
    write(&machine, "/etc/motd", "greeting = bye\n");
    write(&machine, "/etc/good", "x = 1\n");
    let good = Remediation::File { content: Some("greeting = hello\n".to_owned()), mode: Some("0644".to_owned()) };
    let secret = Setting { private: true, ..setting("secret", key("/etc/motd", "greeting"), "other", None) };
    let baseline = baseline(vec![
        setting("greeting", key("/etc/motd", "greeting"), "hello", Some(good)),
        setting("fine", key("/etc/good", "x"), "1", None),
        setting("package", Discovery::Package { name: "base".to_owned() }, "1", None),
        setting("registry", Discovery::Registry { key: "HKLM\\X".to_owned(), value: String::new() }, "1", None),
        secret,
        setting("absent", key("/etc/none", "x"), "1", None),
    ]);
    let author = [&site.keys.author];
    assign(&site, &baseline, &held(1, false), &author, ScriptPolicy::AllSigned);
    let running = machine.run();
    let found = results(&site, &held(1, false)).await;
    let expected = [
        State::NonCompliant,
        State::Compliant,
        State::Compliant,
        State::NotApplicable,
        State::NonCompliant,
        State::NonCompliant,
    ];
    assert_eq!(states(&found), expected);
    assert_eq!(found[0].value.as_deref(), Some("bye"));
    assert_eq!((found[4].value.as_deref(), found[5].value.as_deref()), (None, None), "a private value stays here");
    assert_eq!(read(&machine, "/etc/motd"), "greeting = bye\n", "it was only looked at");

    let again = BaselinePolicy { every: Some(HOUR), ..held(2, true) };
    assign(&site, &baseline, &again, &author, ScriptPolicy::AllSigned);
    let found = results(&site, &again).await;
    assert_eq!((found[0].state, found[0].value.as_deref()), (State::Remediated, Some("hello")));
    assert_eq!(read(&machine, "/etc/motd"), "greeting = hello\n");
    running.stop().await;

    // The next evaluation finds it as it should be; what is not assigned is not evaluated.
    machine.clock.set(now().plus(2 * HOUR));
    let running = machine.run();
    let found = site.wait("another evaluation", |state| said(state, again.deployment).into_iter().nth(1)).await;
    assert!(
        matches!(&found.outcome, ComplianceOutcome::Evaluated { results, .. } if results[0].state == State::Compliant)
    );
    running.stop().await;
    assert_eq!(said(&site.state(), held(1, false).deployment).len(), 1);
}

// proves S19: scripts run only with the signatures of two authors, by the client's own trust bundle, and never under `restricted`.
#[tokio::test]
async fn a_script_runs_only_where_two_authors_signed_it() {
    let (site, machine) = enrolled().await;
    let second = PrivateKey::generate().unwrap();
    site.sign_bundle(|bundle| {
        bundle.version = 2;
        bundle.authors.keys.push(NamedKey::new("second", second.public()));
    });
    write(&machine, "/etc/motd", "x = 1\n");
    let marker = machine.place("ran");
    let command = Command { program: "/bin/echo".to_owned(), arguments: vec!["7".to_owned()], success_codes: vec![0] };
    let touch = Command {
        program: "/usr/bin/touch".to_owned(),
        arguments: vec![marker.display().to_string()],
        success_codes: vec![0],
    };
    let command = Discovery::Command { command, privilege: Privilege::None };
    let baseline = baseline(vec![
        setting("script", Discovery::Script { script: script("echo 7") }, "7", None),
        setting("command", command, "7", None),
        setting("file", key("/etc/motd", "x"), "2", Some(Remediation::Command { command: touch })),
    ]);
    let one = [&site.keys.author];
    let both = [&site.keys.author, &second];
    let try_out = async |number, keys: &[&PrivateKey], scripts| {
        assign(&site, &baseline, &held(number, true), keys, scripts);
        let running = machine.run();
        let found = results(&site, &held(number, true)).await;
        running.stop().await;
        found
    };
    let found = try_out(1, &one, ScriptPolicy::AllSigned).await;
    assert_eq!(found[0].reason, Some(ComplianceReason::TooFewKeys));
    assert_eq!(found[1].reason, Some(ComplianceReason::TooFewKeys), "a command can be any interpreter");
    assert_eq!((found[2].state, found[2].reason), (State::NonCompliant, Some(ComplianceReason::RemediationFailed)));
    assert!(!marker.exists());
    // Twice the same key is one author.
    let found = try_out(2, &[&site.keys.author, &site.keys.author], ScriptPolicy::AllSigned).await;
    assert_eq!(found[0].reason, Some(ComplianceReason::TooFewKeys));
    // The site alone cannot loosen it: the machine's own administrator did not allow it.
    let found = try_out(3, &one, ScriptPolicy::Bypass).await;
    assert_eq!(found[0].reason, Some(ComplianceReason::TooFewKeys));
    let found = try_out(4, &both, ScriptPolicy::Restricted).await;
    assert_eq!(found[0].reason, Some(ComplianceReason::ScriptPolicy));
    assert!(!marker.exists());
    let found = try_out(5, &both, ScriptPolicy::AllSigned).await;
    assert_eq!(states(&found), [State::Compliant, State::Compliant, State::NonCompliant]);
    assert!(marker.exists(), "the remediation ran, and did not help");
    assert_eq!(found[2].reason, Some(ComplianceReason::RemediationFailed));
}

#[tokio::test]
async fn what_no_author_signed_is_not_evaluated_and_said_once() {
    let (site, machine) = enrolled().await;
    write(&machine, "/etc/motd", "x = 1\n");
    let remedy = Remediation::File { content: Some("ours".to_owned()), mode: None };
    let baseline = baseline(vec![setting("x", key("/etc/motd", "x"), "2", Some(remedy))]);
    let stranger = PrivateKey::generate().unwrap();
    let mut altered = envelope::sign_json(&[&site.keys.author], &baseline).unwrap();
    let at = altered.len() / 2;
    altered[at] ^= 1;
    let by_policy = envelope::sign_json(&[&site.keys.policy], &baseline).unwrap();
    let unsigned = serde_json::to_vec(&baseline).unwrap();
    let by_stranger = envelope::sign_json(&[&stranger], &baseline).unwrap();
    let mut broken = baseline.clone();
    broken.items[0].settings[0].rules.clear();
    let broken = envelope::sign_json(&[&site.keys.author], &broken).unwrap();
    for (number, object) in (1..).zip([by_stranger, by_policy, altered, unsigned, broken]) {
        assign_bytes(&site, object, &held(number, true), ScriptPolicy::AllSigned);
        let running = machine.run();
        let first = site.wait("a word about it", |state| said(state, held(number, true).deployment).into_iter().next());
        let outcome = first.await.outcome;
        assert_eq!(outcome, ComplianceOutcome::Failed { reason: ComplianceReason::NotSigned }, "{number}");
        running.stop().await;
    }
    assert_eq!(read(&machine, "/etc/motd"), "x = 1\n");
}

#[tokio::test]
async fn a_link_that_somebody_planted_leads_neither_reading_nor_writing_astray() {
    let (site, machine) = enrolled().await;
    std::fs::write(machine.place("victim"), "x = secret\n").unwrap();
    std::fs::create_dir_all(machine.place("outside")).unwrap();
    let link =
        |from: &str, to: &Path| std::os::unix::fs::symlink(to, machine.place(&format!("tree/etc/{from}"))).unwrap();
    link("file", &machine.place("victim"));
    link("directory", &machine.place("outside"));
    let remedy = || Some(Remediation::File { content: Some("x = ours\n".to_owned()), mode: None });
    let exists = Discovery::File { path: "/etc/directory/new".to_owned(), read: FileRead::Exists, follow_links: true };
    let baseline = baseline(vec![
        setting("read", key("/etc/file", "x"), "other", remedy()),
        // Looking may follow a link where its author says so; writing never does.
        setting("write", exists, "true", remedy()),
    ]);
    assign(&site, &baseline, &held(1, true), &[&site.keys.author], ScriptPolicy::AllSigned);
    let running = machine.run();
    let found = results(&site, &held(1, true)).await;
    assert_eq!((found[0].state, found[0].reason), (State::Error, Some(ComplianceReason::SymbolicLink)));
    assert_eq!(found[0].value, None);
    assert_eq!((found[1].state, found[1].reason), (State::NonCompliant, Some(ComplianceReason::RemediationFailed)));
    assert_eq!(std::fs::read_to_string(machine.place("victim")).unwrap(), "x = secret\n");
    assert_eq!(std::fs::read_dir(machine.place("outside")).unwrap().count(), 0);
    running.stop().await;
}

#[tokio::test]
async fn a_baseline_for_another_system_does_not_apply() {
    let (site, machine) = enrolled().await;
    let mut windows = baseline(vec![setting("x", key("/etc/motd", "x"), "2", None)]);
    windows.platform = Platform::Windows;
    assign(&site, &windows, &held(1, true), &[&site.keys.author], ScriptPolicy::AllSigned);
    let running = machine.run();
    assert_eq!(states(&results(&site, &held(1, true)).await), [State::NotApplicable]);
    running.stop().await;
}

#[tokio::test]
async fn an_agent_that_is_killed_in_a_script_evaluates_again_and_leaves_nothing_running() {
    let (site, mut machine) = enrolled().await;
    let (began, may_end) = (machine.place("began"), machine.place("may-end"));
    let text =
        format!("echo $$ >> {}; while [ ! -e {} ]; do sleep 0.05; done; echo done", began.display(), may_end.display());
    let baseline = baseline(vec![setting(
        "script",
        Discovery::Script { script: Script { privilege: Privilege::Root, ..script(&text) } },
        "done",
        None,
    )]);
    assign(&site, &baseline, &held(1, false), &[&site.keys.author], ScriptPolicy::AllSigned);
    let mut agent = machine.spawn();
    crate::actor::machine::wait_for_file(&began).await;
    agent.kill().await.unwrap();
    assert!(said(&site.state(), held(1, false).deployment).is_empty(), "nothing was found, and nothing is said");
    // Not at once: what ends the machine would end it for ever. But in a quarter of an hour.
    machine.clock = Clock::at(now().plus(HOUR));
    let running = machine.run();
    let twice = async {
        while std::fs::read_to_string(&began).unwrap().lines().count() < 2 {
            tokio::time::sleep(std::time::Duration::from_millis(20)).await;
        }
    };
    tokio::time::timeout(std::time::Duration::from_secs(30), twice).await.unwrap();
    let first: i32 = std::fs::read_to_string(&began).unwrap().lines().next().unwrap().parse().unwrap();
    let environment = std::fs::read(format!("/proc/{first}/environ")).unwrap_or_default();
    assert!(environment.is_empty(), "the first script was ended");
    std::fs::write(&may_end, "").unwrap();
    assert_eq!(states(&results(&site, &held(1, false)).await), [State::Compliant]);
    running.stop().await;
}

#[tokio::test]
async fn what_did_not_change_is_told_by_its_digest_alone() {
    let (site, mut machine) = (Site::start().await, Machine::new());
    machine.clock = Clock::at(now());
    machine.enrol(&site).await;
    std::fs::create_dir_all(machine.place("tree/etc")).unwrap();
    write(&machine, "/etc/motd", "x = 1\n");
    let baseline = baseline(vec![setting("x", key("/etc/motd", "x"), "1", None)]);
    let held = BaselinePolicy { every: Some(HOUR), ..held(1, false) };
    assign(&site, &baseline, &held, &[&site.keys.author], ScriptPolicy::AllSigned);
    let outcome = async |number: usize| {
        let running = machine.run();
        let found = site.wait("an evaluation", |state| said(state, held.deployment).into_iter().nth(number)).await;
        running.stop().await;
        found.outcome
    };
    let ComplianceOutcome::Evaluated { digest, results } = outcome(0).await else { panic!("all results come first") };
    assert_eq!(states(&results), [State::Compliant]);
    machine.clock.set(now().plus(2 * HOUR));
    assert_eq!(outcome(1).await, ComplianceOutcome::Unchanged { digest });
    write(&machine, "/etc/motd", "x = 2\n");
    machine.clock.set(now().plus(4 * HOUR));
    let ComplianceOutcome::Evaluated { results, .. } = outcome(2).await else { panic!("it changed") };
    assert_eq!((results[0].state, results[0].value.as_deref()), (State::NonCompliant, Some("2")));
}

// proves S13: clients do nothing to what they manage outside of their windows, and say what they wait for.
#[tokio::test]
async fn a_closed_window_keeps_a_baseline_waiting() {
    let (site, mut machine) = (Site::start().await, Machine::new());
    machine.clock = Clock::at(now());
    machine.enrol(&site).await;
    site.state().date = Some(now());
    std::fs::create_dir_all(machine.place("tree/etc")).unwrap();
    write(&machine, "/etc/motd", "x = 1\n");
    let remedy = Remediation::File { content: Some("x = 2\n".to_owned()), mode: None };
    let baseline = baseline(vec![setting("x", key("/etc/motd", "x"), "2", Some(remedy))]);
    let opens = WallTime::of_utc(now().plus(3 * HOUR));
    let night = MaintenanceWindow {
        name: "Night".parse().unwrap(),
        kind: WindowKind::General,
        start: opens,
        every: Recurrence::Interval { days: 1, hours: 0, minutes: 0 },
        minutes: 60,
        utc: true,
    };
    let object = site.body(BodyKind::Baseline, envelope::sign_json(&[&site.keys.author], &baseline).unwrap());
    let windows = site.body(BodyKind::Windows, serde_json::to_vec(&WindowPolicy { windows: vec![night] }).unwrap());
    let of = |number, outside_windows| {
        let policy = BaselinePolicy { baseline: object.hash, outside_windows, ..held(number, !outside_windows) };
        site.body(BodyKind::BaselineDeployment, serde_json::to_vec(&policy).unwrap())
    };
    publish(&site, vec![windows.clone(), of(1, false), of(2, true), object.clone()]);
    let running = machine.run();
    let waits = site.wait("what it waits for", |state| said(state, held(1, true).deployment).into_iter().next()).await;
    let starts = Some(opens.as_utc());
    assert_eq!(waits.outcome, ComplianceOutcome::Waiting { reason: WaitReason::Window, starts });
    assert_eq!(states(&results(&site, &held(2, false)).await), [State::NonCompliant], "an explicit switch");
    running.stop().await;
    assert_eq!(read(&machine, "/etc/motd"), "x = 1\n");
    machine.clock.set(opens.as_utc());
    site.state().date = Some(opens.as_utc());
    let running = machine.run();
    assert_eq!(states(&results(&site, &held(1, true)).await), [State::Remediated]);
    running.stop().await;
}

// Without this, each evaluation of the one would undo what the other one did.
#[tokio::test]
async fn two_baselines_that_want_a_setting_otherwise_do_not_fight() {
    let (site, machine) = enrolled().await;
    write(&machine, "/etc/motd", "x = 0\n");
    let wanting = |name: &str, value: &str| {
        let content = Some(format!("x = {value}\n"));
        let mut of = baseline(vec![
            setting("x", key("/etc/motd", "x"), value, Some(Remediation::File { content, mode: None })),
            setting("package", Discovery::Package { name: "base".to_owned() }, "1", None),
        ]);
        (of.name, of.items[0].settings[0].private) = (name.parse().unwrap(), value == "2");
        of
    };
    let body = |object: &Baseline, number, remediate| {
        let object = site.body(BodyKind::Baseline, envelope::sign_json(&[&site.keys.author], object).unwrap());
        let policy = BaselinePolicy { baseline: object.hash, ..held(number, remediate) };
        [site.body(BodyKind::BaselineDeployment, serde_json::to_vec(&policy).unwrap()), object]
    };
    let (first, second) = (wanting("First", "1"), wanting("Second", "2"));
    publish(&site, [body(&first, 1, true), body(&second, 2, true)].concat());
    let running = machine.run();
    let (winner, loser) = (results(&site, &held(1, true)).await, results(&site, &held(2, true)).await);
    assert_eq!(states(&winner)[0], State::Remediated);
    assert_eq!(states(&loser), [State::Conflict, states(&winner)[1]]);
    assert_eq!((loser[0].reason, loser[0].value.as_deref()), (None, None), "it is private");
    assert_eq!(loser[0].detail, "First 1 (x) came first and wants it otherwise.");
    assert_eq!(read(&machine, "/etc/motd"), "x = 1\n");

    // One that only looks claims nothing, and one that no author signed neither: the other one is evaluated again, and has it.
    publish(&site, [body(&first, 3, false), body(&second, 4, true)].concat());
    let found = results(&site, &held(4, true)).await;
    assert_eq!(states(&found)[0], State::Remediated);
    assert_eq!(read(&machine, "/etc/motd"), "x = 2\n");
    running.stop().await;
}
