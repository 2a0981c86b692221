//! What needs no site: keys, profiles, signing, completion, and the refusals of a command line without anybody to ask.

use std::{
    path::Path,
    process::{Command, Output},
};

const MANIFEST: &str = r#"
name = "Hello"
version = "1.0"
platform = "linux"
install = { program = "/bin/sh", arguments = ["content/install.sh"] }
detection = { kind = "file", path = "/opt/hello.txt" }
files = [{ path = "install.sh" }]
"#;

fn muster(dir: &Path, arguments: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_muster"))
        .args(arguments)
        .current_dir(dir)
        .env_clear()
        .env("MUSTER_PROFILE_DIR", dir.join("profile"))
        .env("MUSTER_PASSPHRASE_FILE", dir.join("passphrase"))
        .stdin(std::process::Stdio::null())
        .output()
        .unwrap()
}

fn text(output: &Output) -> String {
    format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr))
}

fn code(dir: &Path, arguments: &[&str]) -> (Option<i32>, String) {
    let output = muster(dir, arguments);
    (output.status.code(), text(&output))
}

/// A directory with a passphrase file, a key and an application.
fn prepared() -> tempfile::TempDir {
    let dir = tempfile::tempdir().unwrap();
    let passphrase = dir.path().join("passphrase");
    std::fs::write(&passphrase, "correct horse\n").unwrap();
    #[cfg(unix)]
    std::fs::set_permissions(&passphrase, std::os::unix::fs::PermissionsExt::from_mode(0o600)).unwrap();
    std::fs::write(dir.path().join("app.toml"), MANIFEST).unwrap();
    std::fs::write(dir.path().join("install.sh"), "exit 0\n").unwrap();
    dir
}

#[test]
fn an_author_without_a_site_signs() {
    let dir = prepared();
    let dir = dir.path();
    let (status, said) = code(dir, &["key", "create", "--out", "author.pem"]);
    assert_eq!(status, Some(0), "{said}");
    let sign = ["application", "sign", "--manifest", "app.toml", "--key", "author.pem", "--out", "app.signed"];
    let (status, said) = code(dir, &sign);
    assert_eq!(status, Some(5), "nobody was asked: {said}");
    assert!(
        said.contains("content/install.sh") && said.contains("--yes") && !dir.join("app.signed").exists(),
        "{said}"
    );

    let output = muster(dir, &[&sign[..], &["--yes", "--json"]].concat());
    assert!(output.status.success(), "{}", text(&output));
    let json: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
    let signed = std::fs::read(dir.join("app.signed")).unwrap();
    assert_eq!(json["hash"], muster_trust::sha256(&signed).to_string());
    let public = std::fs::read_to_string(dir.join("author.pem.pub")).unwrap();
    let author = muster_trust::PublicKey::from_pem(&public).unwrap();
    assert_eq!(json["author"], author.id().to_string());
    let opened = muster_trust::envelope::open_json::<muster_model::application::Application>(&signed, 1, |id| {
        (*id == author.id()).then(|| author.clone())
    });
    assert_eq!(opened.unwrap().value().version, "1.0");

    let (status, said) = code(dir, &[&sign[..], &["--yes"]].concat());
    assert_eq!(status, Some(6), "a signed object is not overwritten: {said}");
}

#[test]
fn each_exit_code_is_the_documented_one() {
    let dir = prepared();
    let dir = dir.path();
    let root = "0".repeat(64);
    let add = |address: &'static str| {
        vec!["profile", "add", "--site", "ABC", "--root", &*root, "--address", address]
            .into_iter()
            .map(str::to_owned)
            .collect::<Vec<_>>()
    };
    let run = |arguments: Vec<String>| code(dir, &arguments.iter().map(String::as_str).collect::<Vec<_>>());
    for (arguments, expected, says) in [
        (vec!["exit-codes"], 0, "cancelled"),
        (vec!["help", "exit-codes"], 0, "cancelled"),
        (vec!["device", "list"], 4, "muster profile add"),
        (vec!["no-such-noun"], 2, "Usage"),
        (vec!["device", "block", "x"], 2, "--reason"),
        (vec!["deployment", "create", "hello"], 2, "--all-systems"),
        (vec!["application", "sign", "--manifest", "gone.toml", "--out", "x", "--yes"], 6, "gone.toml"),
        (vec!["completion", "bash"], 0, "_muster"),
    ] {
        let (status, said) = code(dir, &arguments);
        assert_eq!(status, Some(expected), "{arguments:?}: {said}");
        assert!(said.contains(says), "{arguments:?}: {said}");
    }
    let (status, said) = run(add("http://192.0.2.1:80"));
    assert_eq!(status, Some(2), "a secret never goes over plain HTTP: {said}");
    let (status, said) = run(add("http://127.0.0.1:1"));
    assert_eq!(status, Some(0), "{said}");
    assert_eq!(code(dir, &["key", "create"]).0, Some(0));
    let (status, said) = code(dir, &["device", "list"]);
    assert_eq!(status, Some(3), "nothing listens there: {said}");
    assert!(said.contains("Is musterd running"), "{said}");
    std::fs::write(dir.join("passphrase"), "wrong").unwrap();
    let (status, said) = code(dir, &["device", "list"]);
    assert!(status == Some(3) || status == Some(4), "{said}");
}
