//! What needs no site: keys, profiles, signing, completion, and the refusals of a command line without anybody to ask.

use base64::{Engine, engine::general_purpose::STANDARD as BASE64};
use muster_model::time::{DAY, UnixMillis};
use muster_trust::{
    PrivateKey, TrustBundle,
    bundle::{KeySet, NamedKey},
    certificate, envelope,
    proposal::{Change, Proposal},
};
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

/// A trust bundle of a site of this root key, signed.
fn bundle(root: &PrivateKey) -> Vec<u8> {
    let (site, now) = ("ABC".parse().unwrap(), UnixMillis(1_790_000_000_000));
    let [ca, policy, author] = [(); 3].map(|()| PrivateKey::generate().unwrap());
    let root_certificate = certificate::root(site, root, now).unwrap();
    let issuing = certificate::issuing(site, &root_certificate, root, ca.public(), &[], now).unwrap();
    let one = |key: &PrivateKey| KeySet { threshold: 1, keys: vec![NamedKey::new("someone", key.public())] };
    let bundle = TrustBundle {
        site,
        version: 1,
        issued: now,
        expires: now.plus(365 * DAY),
        root: one(root),
        root_certificate: BASE64.encode(root_certificate),
        issuing: vec![BASE64.encode(issuing)],
        policy: vec![NamedKey::new("site server", policy.public())],
        authors: one(&author),
        revoked: vec![],
        approval: None,
    };
    envelope::sign_json(&[root], &bundle).unwrap()
}

// proves S9: a site that is taken over asks the holder of the root key for a second bundle of a version that was signed before.
#[test]
fn a_root_key_does_not_sign_two_trust_bundles_of_one_version() {
    let dir = prepared();
    let dir = dir.path();
    assert_eq!(code(dir, &["key", "create", "--out", "root.pem"]).0, Some(0));
    let pem = std::fs::read_to_string(dir.join("root.pem")).unwrap();
    let present = bundle(&PrivateKey::from_pem(&pem, Some(b"correct horse")).unwrap());
    let propose = |name: &str| {
        let author = PrivateKey::generate().unwrap();
        let change = vec![Change::Author(NamedKey::new(name, author.public()))];
        let now = UnixMillis(1_790_000_100_000);
        let proposal = Proposal::new(&present, change, now, now.plus(365 * DAY)).unwrap();
        std::fs::write(dir.join(name), serde_json::to_vec(&proposal).unwrap()).unwrap();
    };
    let sign = |name: &str, more: &[&str]| code(dir, &[&["trust", "sign", name, "--key", "root.pem"], more].concat());
    propose("good");
    propose("other");
    let (status, said) = sign("good", &[]);
    assert!(
        status == Some(5) && said.contains("revocation list 1 of the root key, which names no issuing CA"),
        "{said}"
    );
    assert_eq!(sign("good", &["--yes"]).0, Some(0));
    assert_eq!(sign("good", &["--yes"]).0, Some(0), "the same again");
    let before = std::fs::read(dir.join("other")).unwrap();
    let (status, said) = sign("other", &["--yes"]);
    assert!(status == Some(6) && said.contains("root.pem signed version 2"), "{said}");
    assert_eq!(std::fs::read(dir.join("other")).unwrap(), before, "nothing was signed");
    let (status, said) = sign("other", &["--yes", "--again"]);
    assert_eq!(status, Some(0), "{said}");
}
