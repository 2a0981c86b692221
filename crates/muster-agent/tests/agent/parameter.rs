//! Parameters: values reach a real program as they are, on each way, and what is not declared reaches none.

use crate::{
    actor::machine::{Machine, script},
    application::{app, enrolled, policy, states},
};
use muster_model::{
    application::{
        Application, Command, ContentFile, Parameter, ParameterKind, ParameterValue, ParameterValues, ParameterWay,
    },
    policy::DeploymentPolicy,
    program::DeploymentOptions,
    status::{DeploymentState as State, FailureReason as Reason},
};

/// Writes each of its arguments behind its length, then a variable and what it reads: nothing in them is lost.
const TELLS: &str = "told=$1; shift; { for a in \"$@\"; do printf '%s:%s|' \"${#a}\" \"$a\"; done; \
                     printf 'env=%s|in=' \"$MUSTER_VALUE_LABEL\"; cat; } > \"$told\"; touch \"$told.done\"";

fn text(name: &str, way: ParameterWay) -> Parameter {
    let kind = ParameterKind::String { most_bytes: 4_096, allowed: Vec::new() };
    Parameter { name: name.parse().unwrap(), kind, way, default: None }
}

fn tells(machine: &Machine, file: ContentFile) -> Application {
    let told = machine.place("told").display().to_string();
    let arguments = [&told, "parameter/first", "--second=parameter/second", "parameter/count", "end"];
    let done = machine.place("told.done").display().to_string();
    Application {
        install: Command {
            program: "content/tells.sh".into(),
            arguments: arguments.map(str::to_owned).to_vec(),
            success_codes: vec![0],
        },
        uninstall: None,
        repair: None,
        content: vec![file],
        detection: muster_model::application::Detection::File { path: done, hash: None },
        parameters: vec![
            text("first", ParameterWay::Argument),
            text("second", ParameterWay::Argument),
            Parameter {
                default: Some(ParameterValue::Integer(-7)),
                kind: ParameterKind::Integer { least: -9, most: 9 },
                ..text("count", ParameterWay::Argument)
            },
            text("label", ParameterWay::Environment),
            text("body", ParameterWay::Input),
        ],
        ..app(machine, 1, "tells")
    }
}

fn values(pairs: &[(&str, &str)]) -> ParameterValues {
    let one = |(name, text): &(&str, &str)| (name.parse().unwrap(), ParameterValue::Text((*text).to_owned()));
    pairs.iter().map(one).collect()
}

fn with(number: u128, parameters: ParameterValues) -> DeploymentPolicy {
    DeploymentPolicy { options: DeploymentOptions { parameters, ..DeploymentOptions::default() }, ..policy(number) }
}

#[tokio::test]
async fn hostile_values_reach_the_program_as_they_are_and_nothing_else_happens() {
    let (site, machine) = enrolled().await;
    let own = tells(&machine, site.content("tells.sh", &script(TELLS)));
    own.check().unwrap();
    let evil = machine.place("evil");
    let shell = format!("a; touch {0}\n$(touch {0}) `touch {0}` | & > {0} ' \" \\ *", evil.display());
    let long = "x".repeat(4_096);
    let running = machine.run();
    for (number, first, second) in [
        (1, shell.as_str(), "-rf"),
        (2, "", &long),
        (3, "content/tells.sh", "parameter/first"),
        (4, "äöü\t\u{7f}\u{202e}", "--"),
    ] {
        let given = values(&[("first", first), ("second", second), ("label", &shell), ("body", first)]);
        std::fs::remove_file(machine.place("told.done")).ok();
        let told = with(number, given);
        site.assign_all(&[(told.clone(), &own, &[])]);
        let steps = site.wait_end(told.deployment).await;
        assert_eq!(steps.last().unwrap().state, State::Succeeded, "{steps:?}");
        let second = format!("--second={second}");
        let counted = |text: &str| format!("{}:{text}|", text.chars().count());
        let input = serde_json::json!({ "body": first });
        let said = std::fs::read_to_string(machine.place("told")).unwrap();
        let (arguments, rest) = said.split_once("env=").unwrap();
        // A shell counts bytes or characters, by its kind: the length is not compared where they differ.
        let wanted = [first, &second, "-7", "end"].map(counted).concat();
        match first.is_ascii() {
            true => assert_eq!(arguments, wanted),
            false => assert!(arguments.contains(&format!(":{first}|")), "{arguments}"),
        }
        assert_eq!(rest, format!("{shell}|in={input}\n"));
        assert!(!evil.exists());
    }
    running.stop().await;
}

#[tokio::test]
async fn values_that_authors_did_not_declare_run_nothing_whoever_sends_them() {
    let (site, machine) = enrolled().await;
    let own = tells(&machine, site.content("tells.sh", &script(TELLS)));
    let good = [("first", "a"), ("second", "b"), ("label", "c"), ("body", "d")];
    let long = "x".repeat(4_097);
    let running = machine.run();
    let mut number = 0;
    for (name, text, says) in [
        ("first", "nul\0", "has a NUL"),
        ("first", "-rf", "begins with a dash"),
        ("body", &long, "has more than 4096 bytes"),
        ("count", "7", "is no whole number"),
        ("other", "x", "there is no parameter other"),
    ] {
        number += 1;
        let mut given = values(&good);
        given.insert(name.parse().unwrap(), ParameterValue::Text(text.to_owned()));
        let told = with(number, given);
        site.assign_all(&[(told.clone(), &own, &[])]);
        let steps = site.wait_end(told.deployment).await;
        assert_eq!((states(&steps), steps[0].reason), (vec![State::Failed], Some(Reason::ParameterInvalid)), "{name}");
        assert!(steps[0].output.contains(says), "{}", steps[0].output);
    }
    let told = with(9, ParameterValues::new());
    site.assign_all(&[(told.clone(), &own, &[])]);
    assert!(site.wait_end(told.deployment).await[0].output.contains("needs a value"));
    assert!(!machine.place("told").exists() && site.state().ranges.is_empty());
    running.stop().await;
}

// What an interpreter takes for its program is never a value: authors who signed that signed a mistake.
#[tokio::test]
async fn a_value_is_never_what_an_interpreter_runs() {
    let (site, machine) = enrolled().await;
    let evil = machine.place("evil");
    let file = machine.place("script");
    std::fs::write(&file, format!("touch {}", evil.display())).unwrap();
    std::fs::set_permissions(&file, std::os::unix::fs::PermissionsExt::from_mode(0o755)).unwrap();
    let running = machine.run();
    for (number, program, arguments) in [
        (1, "/bin/sh", &["parameter/first"][..]),
        (2, "/bin/sh", &["-x", "parameter/first"]),
        (3, "/usr/bin/env", &["sh", "parameter/first"]),
        (4, "/usr/bin/timeout", &["9", "parameter/first"]),
        (5, "/usr/bin/make", &["-f", "content/own", "parameter/first"]),
        (6, "/usr/bin/find", &["content/own", "-execdir", "parameter/first", ";"]),
        (7, "/bin/sh", &["--init-file=parameter/first", "content/own"]),
    ] {
        let arguments = arguments.iter().map(|a| (*a).to_owned()).collect();
        let own = Application {
            install: Command { program: program.into(), arguments, success_codes: vec![0] },
            parameters: vec![text("first", ParameterWay::Argument)],
            content: vec![site.content("own", b"own")],
            ..app(&machine, 1, "own")
        };
        own.check().unwrap();
        let told = with(number, values(&[("first", &file.display().to_string())]));
        site.assign_all(&[(told.clone(), &own, &[])]);
        let steps = site.wait_end(told.deployment).await;
        assert_eq!(steps.last().unwrap().reason, Some(Reason::ParameterInvalid), "{program}: {steps:?}");
    }
    assert!(!evil.exists());
    running.stop().await;
}
