//! Collectors of administrators' classes: heard when authors signed them and they obey their class, and in no other case.

use crate::actor::{
    Site, application,
    machine::{Machine, script, skip},
    now,
};
use muster_model::{
    api::{ClassAdd, ClassAttribute},
    application::{Application, Collector, Command, Privilege},
    inventory::{Change, InventoryReport, Row, Value},
    report::Body,
    status::{DeploymentState as State, FailureReason as Reason},
};
use muster_trust::{PrivateKey, bundle::NamedKey};
use std::{os::unix::fs::PermissionsExt, sync::Arc};

const CLASS: &str = "BADGE_READER";

async fn enrolled() -> (Arc<Site>, Machine) {
    let (site, machine) = (Site::start().await, Machine::new());
    machine.enrol(&site).await;
    // The application counts as installed: only its collector is of interest.
    std::fs::write(machine.place("installed"), "").unwrap();
    (site, machine)
}

/// An application whose collector runs these lines.
fn collecting(site: &Site, machine: &Machine, lines: &str, seconds: u32) -> Application {
    let program = site.content("collect.sh", &script(lines));
    let attribute = |name: &str, kind: &str, key| ClassAttribute { name: name.to_owned(), kind: kind.to_owned(), key };
    let class = ClassAdd {
        name: CLASS.to_owned(),
        provider: String::new(),
        attributes: vec![attribute("Name", "String", true), attribute("Slots", "UInt8", false)],
    };
    let command = Command {
        program: "content/collect.sh".to_owned(),
        arguments: vec![machine.place("ran").display().to_string()],
        success_codes: vec![0],
    };
    let collector = Some(Collector { class, command, max_run_seconds: seconds, privilege: Privilege::None });
    Application { collector, ..application(program, &machine.place("installed"), 60) }
}

/// What is reported of the class: its rows, or why there are none.
fn reported(report: &InventoryReport) -> Option<Result<Vec<Row>, String>> {
    let section = report.sections.iter().find(|section| section.class == CLASS).map(|section| match &section.change {
        Change::Full { rows } => Ok(rows.clone()),
        Change::Delta { upsert, .. } => Ok(upsert.clone()),
    });
    let unread = report.unread.iter().find(|unread| unread.class == CLASS).map(|unread| Err(unread.reason.clone()));
    section.or(unread)
}

/// Deploys, signed by these, and waits for what is reported.
async fn heard(lines: &str, seconds: u32) -> Result<Vec<Row>, String> {
    let (site, machine) = enrolled().await;
    let application = collecting(&site, &machine, lines, seconds);
    heard_of(&site, &machine, &application).await
}

async fn heard_of(site: &Arc<Site>, machine: &Machine, application: &Application) -> Result<Vec<Row>, String> {
    site.deploy(&[&site.keys.author], application, now());
    let running = machine.run();
    let heard = site
        .wait("what the collector says", |state| {
            state.messages.iter().rev().find_map(|(_, _, message)| match &message.body {
                Body::Inventory(report) => reported(report),
                _ => None,
            })
        })
        .await;
    // Another inventory may have begun meanwhile; what it uses goes with its end.
    let left = || std::fs::read_dir(machine.state().join("run")).unwrap().collect::<Vec<_>>();
    for _ in 0..100 {
        if left().is_empty() {
            break;
        }
        tokio::time::sleep(std::time::Duration::from_millis(50)).await;
    }
    assert!(left().is_empty(), "{:?}", left());
    running.stop().await;
    assert!(!machine.place("state-collect").exists());
    heard
}

/// What one row says, as a text.
fn said(rows: Result<Vec<Row>, String>) -> String {
    let Some(Value::Text(text)) = rows.unwrap()[0].get("Name").cloned() else { panic!("no name") };
    text
}

/// Says what it may do; `$1` is a file that only root may read, and `$PPID` the agent.
const LOOKS: &str = r#"
may() { if "$@" 2>/dev/null >/dev/null; then echo -n "$name "; fi; }
exec 3>"$HOME/out"
{
    echo -n "$(id -u) $(id -G): "
    name=read; may cat "$1"
    name=signal; may kill -0 $PPID
    name=memory; may cat /proc/$PPID/maps
    name=state; may ls "${1%/*}/state"
    name=content; may sh -c 'echo >> "$0"' "$0"
    name=cwd; may touch ./new
    name=home; may touch "$HOME/new"
    name=terminal; may sh -c 'echo > /dev/tty'
    echo -n "privs $(sed -n 's/^NoNewPrivs:[^0-9]*//p' /proc/self/status) "
    echo -n "caps $(sed -n 's/^CapEff:[^0-9]*0*//p' /proc/self/status) "
    echo -n "core $(ulimit -c) "
    echo "env $(env | grep -v '^PWD=\|^OLDPWD=\|^_=' | cut -d= -f1 | sort | tr '\n' ' ')"
} >&3
printf '[{"Name": "%s"}]' "$(cat "$HOME/out")"
"#;

#[tokio::test]
async fn a_collector_has_no_privilege_that_its_authors_did_not_sign() {
    // proves I2: what it may do on a client, its authors signed, and no server adds to it.
    if !muster_agent::os::is_root() {
        return skip("a_collector_has_no_privilege_that_its_authors_did_not_sign", "only root can become another user");
    }
    let (site, machine) = enrolled().await;
    let mut application = collecting(&site, &machine, LOOKS, 30);
    let secret = machine.place("secret");
    std::fs::write(&secret, "only root's").unwrap();
    std::fs::set_permissions(&secret, PermissionsExt::from_mode(0o600)).unwrap();
    let collector = application.collector.as_mut().unwrap();
    collector.command.arguments = vec![secret.display().to_string()];
    let text = said(heard_of(&site, &machine, &application).await);
    let env = "env DEBIAN_FRONTEND HOME LANG MUSTER_RUN PATH TMPDIR";
    assert_eq!(text.trim_end(), format!("65534 65534: home privs 1 caps  core 0 {env}"));

    let (site, machine) = enrolled().await;
    let mut application = collecting(&site, &machine, r#"printf '[{"Name": "%s %s"}]' "$(id -u)" "$(cat $1)""#, 30);
    let secret = machine.place("secret");
    std::fs::write(&secret, "read").unwrap();
    std::fs::set_permissions(&secret, PermissionsExt::from_mode(0o600)).unwrap();
    let collector = application.collector.as_mut().unwrap();
    collector.command.arguments = vec![secret.display().to_string()];
    collector.privilege = Privilege::Root;
    assert_eq!(said(heard_of(&site, &machine, &application).await), "0 read");
}

#[tokio::test]
async fn a_collector_runs_as_nobody_else_when_its_user_is_not_there_and_leaves_nothing_running() {
    if !muster_agent::os::is_root() {
        return skip("a_collector_runs_as_nobody_else_when_its_user_is_not_there", "only root can become another user");
    }
    for (user, reason) in [("no-such-user", "has no user"), ("root", "is root")] {
        let (site, machine) = enrolled().await;
        std::fs::write(machine.state().join("agent.json"), format!(r#"{{"collector_user": "{user}"}}"#)).unwrap();
        let application = collecting(&site, &machine, "echo '[]'", 30);
        let error = heard_of(&site, &machine, &application).await.unwrap_err();
        assert!(error.contains(reason), "{error}");
    }
    let left = said(heard("setsid sleep 1000 >/dev/null 2>&1 & printf '[{\"Name\": \"%s\"}]' $!", 30).await);
    let command = std::fs::read_to_string(format!("/proc/{left}/cmdline")).unwrap_or_default();
    assert_eq!(command, "", "{left} still runs");
}

#[tokio::test]
async fn what_the_installation_left_running_outlives_the_collector() {
    let (site, machine) = (Site::start().await, Machine::new());
    machine.enrol(&site).await;
    // As an installer that starts its service by itself.
    let lines = r#"case "$1" in
        *installed) setsid sleep 300 >/dev/null 2>&1 & echo $! >"$1" ;;
        *) echo '[{"Name": "one"}]' ;;
        esac"#;
    heard_of(&site, &machine, &collecting(&site, &machine, lines, 30)).await.unwrap();
    let service = std::fs::read_to_string(machine.place("installed")).unwrap();
    let command = std::fs::read_to_string(format!("/proc/{}/cmdline", service.trim())).unwrap_or_default();
    let ended = std::process::Command::new("kill").arg(service.trim()).status().unwrap();
    assert!(command.contains("sleep") && ended.success(), "{service} is gone");
}

#[tokio::test]
async fn a_signed_collector_says_rows_of_its_class() {
    let rows = heard(r#"echo '[{"Name": "front", "Slots": 4}, {"Name": "back"}]'"#, 30).await.unwrap();
    let row = |name: &str| Row::from([("Name".to_owned(), Value::Text(name.to_owned()))]);
    let mut front = row("front");
    front.insert("Slots".to_owned(), Value::Int(4));
    assert_eq!(rows, [front, row("back")]);
    assert_eq!(heard(r#"echo '{"Name": "one"}'"#, 30).await, Ok(vec![row("one")]));
}

#[tokio::test]
async fn what_does_not_obey_goes_nowhere_and_the_reason_is_told() {
    // proves S1
    for (lines, reason) in [
        (r#"echo '[{"Name": "a", "Slots": 400}]'"#, "out of range"),
        (r#"echo '[{"Name": "a", "Other": 1}]'"#, "no attribute"),
        (r#"echo '[{"Slots": 1}]'"#, "missing"),
        (r#"echo '[{"Name": "a"}, {"Name": "a", "Slots": 1}]'"#, "same key"),
        ("echo hello", "not a list of rows"),
        ("exit 3", "code 3"),
        ("sleep 60", "more than 1 seconds"),
        ("head -c 3000000 /dev/zero | tr '\\0' ' '; echo '[]'", "printed more than"),
    ] {
        let seconds = if reason.contains("seconds") { 1 } else { 30 };
        let error = heard(lines, seconds).await.unwrap_err();
        assert!(error.contains(reason), "{lines}: {error}");
    }
}

#[tokio::test]
async fn a_collector_that_authors_did_not_sign_never_runs() {
    // proves I2: whoever owns the server decides who gets which signed thing, and cannot make one.
    let (site, machine) = (Site::start().await, Machine::new());
    let (second, stranger) = (PrivateKey::generate().unwrap(), PrivateKey::generate().unwrap());
    site.sign_bundle(|bundle| {
        bundle.authors.keys.push(NamedKey::new("second", second.public()));
        bundle.authors.threshold = 2;
    });
    machine.enrol(&site).await;
    std::fs::write(machine.place("installed"), "").unwrap();
    let mut application = collecting(&site, &machine, "touch \"$1\"; echo '[]'", 30);
    // Everybody may write there, as the collector is nobody.
    let ran = machine.place("everybodys/ran");
    std::fs::create_dir(ran.parent().unwrap()).unwrap();
    std::fs::set_permissions(ran.parent().unwrap(), PermissionsExt::from_mode(0o777)).unwrap();
    application.collector.as_mut().unwrap().command.arguments = vec![ran.display().to_string()];
    let author = &site.keys.author;
    let running = machine.run();
    for signers in [vec![&stranger], vec![&site.keys.policy, &stranger], vec![author], vec![author, author]] {
        let steps = site.wait_end(site.deploy(&signers, &application, now())).await;
        assert_eq!(steps.last().map(|step| (step.state, step.reason)), Some((State::Failed, Some(Reason::NotSigned))));
    }
    assert!(!ran.exists());
    let steps = site.wait_end(site.deploy(&[author, &second], &application, now())).await;
    assert_eq!(steps.last().map(|step| step.state), Some(State::Succeeded));
    crate::actor::machine::wait_for_file(&ran).await;
    running.stop().await;
}
