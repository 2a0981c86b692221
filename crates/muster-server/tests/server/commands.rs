//! The program itself: what its commands say, and with which exit code.

use crate::harness::init_args;
use muster_server::{clock::System, command::init, http::api::openapi::description};
use std::{
    fs,
    os::unix::fs::PermissionsExt,
    path::{Path, PathBuf},
    process::Command,
};
use tempfile::TempDir;

/// What a run of `musterd` came to: its exit code, and all that it said.
fn musterd(arguments: &[&str], dir: Option<&Path>) -> (i32, String) {
    let mut command = Command::new(env!("CARGO_BIN_EXE_musterd"));
    command.args(arguments).env_remove("MUSTERD_DIR");
    if let Some(dir) = dir {
        command.arg("--dir").arg(dir);
    }
    let output = command.output().unwrap();
    let said = [output.stdout, output.stderr].concat();
    (output.status.code().unwrap_or(-1), String::from_utf8(said).unwrap())
}

async fn site() -> (TempDir, PathBuf) {
    let dir = tempfile::tempdir().unwrap();
    let site = dir.path().join("site");
    init(&init_args(site.clone()), &System).await.unwrap();
    (dir, site)
}

fn change(site: &Path, from: &str, to: &str) {
    let file = site.join("musterd.toml");
    let text = fs::read_to_string(&file).unwrap();
    assert!(text.contains(from), "{text}");
    fs::write(&file, text.replacen(from, to, 1)).unwrap();
}

#[tokio::test]
async fn config_check_names_each_problem() {
    let (_dir, site) = site().await;
    assert_eq!(musterd(&["config", "check"], Some(&site)), (0, "The configuration has no problem.\n".to_owned()));
    change(&site, "admin = \"127.0.0.1:0\"", "admin = \"0.0.0.0:0\"");
    change(&site, "header_seconds = 30", "header_seconds = 0");
    let (code, said) = musterd(&["config", "check"], Some(&site));
    assert_eq!((code, said.lines().count()), (1, 2), "{said}");
    assert!(said.contains("listen.admin_tls = true") && said.contains("http.header_seconds"), "{said}");
    let (code, said) = musterd(&["serve"], Some(&site));
    assert!(code == 1 && said.contains("listen.admin_tls"), "{said}");
    change(&site, "[http]", "[htp]");
    let (code, said) = musterd(&["config", "check"], Some(&site));
    assert!(code == 1 && said.contains("htp"), "{said}");
}

#[tokio::test]
async fn config_dump_shows_what_is_in_force_and_no_password() {
    let (_dir, site) = site().await;
    change(&site, "sqlite:site.db", "postgres://muster:hunter2@db/muster");
    let (code, said) = musterd(&["config", "dump"], Some(&site));
    assert!(code == 0 && said.contains("postgres://muster:***@db/muster") && !said.contains("hunter2"), "{said}");
    let mut command = Command::new(env!("CARGO_BIN_EXE_musterd"));
    command.args(["config", "dump", "--dir"]).arg(&site).env("MUSTERD_HTTP__PING_SECONDS", "17");
    assert!(String::from_utf8(command.output().unwrap().stdout).unwrap().contains("ping_seconds = 17"));
}

#[tokio::test]
async fn doctor_says_what_is_wrong_and_what_to_do() {
    let (_dir, site) = site().await;
    let (code, said) = musterd(&["doctor"], Some(&site));
    assert_eq!(code, 0, "{said}");
    assert!(said.contains("ok    trust bundle") && said.contains("warn  root key"), "{said}");
    fs::rename(site.join("offline"), site.with_file_name("safe")).unwrap();
    fs::set_permissions(site.join("keys/site.key"), fs::Permissions::from_mode(0o644)).unwrap();
    let (code, said) = musterd(&["doctor"], Some(&site));
    assert!(code == 1 && said.contains("chmod go=") && !said.contains("root key  "), "{said}");
    fs::set_permissions(site.join("keys/site.key"), fs::Permissions::from_mode(0o600)).unwrap();
    fs::write(site.join("keys/site.key"), "another").unwrap();
    let (code, said) = musterd(&["doctor"], Some(&site));
    assert!(code == 1 && said.contains("FAIL  keys"), "{said}");
    fs::remove_file(site.join("site.db")).unwrap();
    assert_eq!(musterd(&["doctor"], Some(&site)).0, 1);
    assert!(!site.join("site.db").exists(), "looking for a database makes none");
    let (code, said) = musterd(&["doctor"], Some(&site.join("nowhere")));
    assert!(code == 1 && said.contains("musterd init"), "{said}");
}

#[test]
fn version_and_description_are_printed() {
    assert_eq!(musterd(&["version"], None), (0, format!("musterd {}\n", env!("CARGO_PKG_VERSION"))));
    assert_eq!(musterd(&["openapi"], None), (0, description()));
    assert_eq!(musterd(&["nonsense"], None).0, 2);
}
