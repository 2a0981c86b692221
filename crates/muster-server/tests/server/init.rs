//! `musterd init`: once, whole, private; and whatever interrupts it, the next one works or says what to do.

use crate::harness::init_args;
use muster_server::{
    clock::System,
    command::{InitError, init},
    config,
    serve::{Server, StartError},
};
use muster_trust::PrivateKey;
use std::{
    collections::BTreeMap,
    fs,
    os::unix::fs::PermissionsExt,
    path::{Path, PathBuf},
    process::{Command, Stdio},
    sync::Arc,
    time::Duration,
};

/// Every file with its content.
fn files(dir: &Path) -> BTreeMap<PathBuf, Vec<u8>> {
    let mut all = BTreeMap::new();
    for entry in fs::read_dir(dir).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            all.extend(files(&path));
        } else {
            all.insert(path.clone(), fs::read(&path).unwrap());
        }
    }
    all
}

#[tokio::test]
async fn a_second_run_changes_nothing_and_another_site_is_refused() {
    let dir = tempfile::tempdir().unwrap();
    let args = init_args(dir.path().join("site"));
    let made = init(&args, &System).await.unwrap();
    assert!(!made.found && made.root.is_some());
    let before = files(&args.dir);
    assert!(init(&args, &System).await.unwrap().found);
    let mut other = args.clone();
    other.code = "XYZ".parse().unwrap();
    assert!(matches!(init(&other, &System).await, Err(InitError::Another { .. })));
    assert_eq!(files(&args.dir), before);
    let taken = dir.path().join("taken");
    fs::create_dir(&taken).unwrap();
    fs::write(taken.join("letter"), "").unwrap();
    assert!(matches!(init(&init_args(taken), &System).await, Err(InitError::Taken(_))));
}

#[tokio::test]
async fn keys_are_private_and_encrypted_and_the_root_key_stands_apart() {
    let dir = tempfile::tempdir().unwrap();
    let args = init_args(dir.path().join("site"));
    init(&args, &System).await.unwrap();
    assert_eq!(fs::metadata(&args.dir).unwrap().permissions().mode() & 0o777, 0o700);
    for (path, bytes) in files(&args.dir) {
        let name = path.file_name().unwrap().to_str().unwrap();
        if name.ends_with(".pem") && name.contains("key") {
            assert!(String::from_utf8(bytes).unwrap().starts_with("-----BEGIN ENCRYPTED PRIVATE KEY"), "{path:?}");
        }
        if !name.starts_with("site.db") {
            assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o077, 0, "{path:?}");
        }
    }
    // A server runs without what was moved away.
    fs::rename(args.dir.join("offline"), dir.path().join("safe")).unwrap();
    let server = Server::start(&args.dir, config::load(&args.dir).unwrap(), Arc::new(System)).await.unwrap();
    let second = Server::start(&args.dir, config::load(&args.dir).unwrap(), Arc::new(System)).await;
    assert!(matches!(second, Err(StartError::Running(_))));
    assert!(server.stop().await);
}

#[tokio::test]
async fn an_administrator_may_bring_a_key_and_no_private_one_is_made() {
    let dir = tempfile::tempdir().unwrap();
    let key = PrivateKey::generate().unwrap();
    let file = dir.path().join("alice.pub.pem");
    fs::write(&file, key.public().pem()).unwrap();
    let mut args = init_args(dir.path().join("site"));
    args.admin_key = Some(file);
    init(&args, &System).await.unwrap();
    assert!(!args.dir.join("admin/admin.key.pem").exists() && args.dir.join("admin/profile.toml").exists());
}

#[tokio::test]
async fn a_passphrase_is_long_and_a_password_is_no_argument() {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("passphrase");
    fs::write(&file, "short\n").unwrap();
    let mut args = init_args(dir.path().join("site"));
    (args.unattended, args.passphrase_file) = (false, Some(file.clone()));
    assert!(init(&args, &System).await.unwrap_err().to_string().contains("12 characters"));
    fs::write(&file, "long enough for a root\n").unwrap();
    let mut shown = args.clone();
    shown.database = Some("postgres://muster:secret@db/muster".into());
    let error = init(&shown, &System).await.unwrap_err().to_string();
    assert!(error.contains("PGPASSFILE") && !error.contains("secret"), "{error}");
    assert!(!args.dir.exists(), "nothing was made");
    init(&args, &System).await.unwrap();
    let pem = fs::read_to_string(args.dir.join("offline/root.key.pem")).unwrap();
    assert!(PrivateKey::from_pem(&pem, Some(b"long enough for a root")).is_ok());
    assert!(!args.dir.join("admin/admin.passphrase").exists());
}

#[tokio::test]
async fn a_key_that_others_can_read_stops_the_server() {
    let dir = tempfile::tempdir().unwrap();
    let args = init_args(dir.path().join("site"));
    init(&args, &System).await.unwrap();
    let key = args.dir.join("keys/site.key");
    fs::set_permissions(&key, fs::Permissions::from_mode(0o640)).unwrap();
    let error = Server::start(&args.dir, config::load(&args.dir).unwrap(), Arc::new(System)).await.unwrap_err();
    assert!(error.to_string().contains("chmod 600"), "{error}");
}

fn musterd(dir: &Path) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_musterd"));
    command.args(["init", "--code", "ABC", "--name", "Main site", "--admin-name", "alice", "--unattended"]);
    command.args(["--listen-admin", "127.0.0.1:0", "--dir"]).arg(dir).stdout(Stdio::null()).stderr(Stdio::piped());
    command
}

// Whenever the making of a site is cut, what is left is no half site: the next run makes it, whole.
#[test]
fn whenever_init_is_killed_the_next_one_makes_the_site() {
    let dir = tempfile::tempdir().unwrap();
    for n in 0..12_u64 {
        let site = dir.path().join(format!("site{n}"));
        let mut child = musterd(&site).spawn().unwrap();
        // Killed at moments that are spread over its run; where exactly does not matter, and it may be done already.
        let (killer, moment) = std::sync::mpsc::channel::<()>();
        let _ = moment.recv_timeout(Duration::from_millis(n * 60));
        drop(killer);
        drop(child.kill());
        drop(child.wait());
        let done = musterd(&site).output().unwrap();
        assert!(done.status.success(), "{n}: {}", String::from_utf8_lossy(&done.stderr));
        let doctor =
            Command::new(env!("CARGO_BIN_EXE_musterd")).arg("doctor").arg("--dir").arg(&site).output().unwrap();
        let said = String::from_utf8_lossy(&doctor.stdout).into_owned();
        let failed: Vec<_> = said.lines().filter(|l| l.starts_with("FAIL") && !l.contains("ports")).collect();
        assert!(failed.is_empty(), "{n}: {said}");
        assert!(!dir.path().join(format!("site{n}.partial")).exists());
    }
}
