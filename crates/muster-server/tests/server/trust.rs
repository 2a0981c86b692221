//! `musterd trust renew`: the program, with the root key moved away, and what the server hands out afterwards.

use crate::harness::init_args;
use muster_server::{clock::System, command::init, config, serve::Server};
use std::{
    fs,
    process::{Command, Output},
    sync::Arc,
};

#[tokio::test]
async fn the_root_key_renews_the_bundle_from_wherever_it_is_kept() {
    let dir = tempfile::tempdir().unwrap();
    let args = init_args(dir.path().join("site"));
    init(&args, &System).await.unwrap();
    let medium = dir.path().join("medium");
    fs::rename(args.dir.join("offline"), &medium).unwrap();
    let renew = |key: Option<&str>| -> Output {
        let mut command = Command::new(env!("CARGO_BIN_EXE_musterd"));
        command.args(["trust", "renew", "--dir"]).arg(&args.dir);
        command.arg("--passphrase-file").arg(medium.join("root.passphrase"));
        if let Some(key) = key {
            command.arg("--root-key").arg(key);
        }
        command.output().unwrap()
    };
    let away = renew(None);
    assert!(!away.status.success() && String::from_utf8_lossy(&away.stderr).contains("--root-key"));
    let policy = renew(args.dir.join("keys/policy.key.pem").to_str());
    assert!(!policy.status.success(), "the server's own key is no root key");
    let done = renew(medium.join("root.key.pem").to_str());
    assert!(done.status.success(), "{}", String::from_utf8_lossy(&done.stderr));
    let server = Server::start(&args.dir, config::load(&args.dir).unwrap(), Arc::new(System)).await.unwrap();
    assert_eq!(server.site().trust.load().bundle().version, 2);
    server.stop().await;
}
