//! Who may do what: a read-only analyst sees everything and changes nothing; a stranger sees nothing.

use crate::harness::Site;
use std::os::unix::fs::PermissionsExt;

/// A profile of a new person with their own key, in a directory of that name.
async fn person(site: &Site, name: &str) {
    let passphrase = site.path("passphrase");
    std::fs::write(&passphrase, "correct horse battery").unwrap();
    std::fs::set_permissions(&passphrase, PermissionsExt::from_mode(0o600)).unwrap();
    let passphrase = passphrase.display().to_string();
    let first = site.muster(&["profile", "show", "--json"]).await.json();
    let text = |name: &str| first[name].as_str().unwrap().to_owned();
    let made = site.muster_as(name, &["key", "create", "--passphrase-file", &passphrase, "--json"]).await;
    made.json();
    let (code, address, root) = (text("site"), text("address"), text("root"));
    let add = ["profile", "add", "--site", &code, "--address", &address, "--root", &root];
    site.muster_as(name, &[&add[..], &["--passphrase-file", &passphrase, "--json"]].concat()).await.json();
}

#[tokio::test]
async fn an_analyst_sees_everything_and_changes_nothing() {
    let site = Site::start().await;
    person(&site, "grace").await;
    let stranger = site.muster_as("grace", &["device", "list", "--json"]).await;
    assert_eq!(stranger.code, Some(4), "nobody added the key yet: {stranger:?}");

    let create = ["admin", "create", "--name", "Grace", "--role", "read_only_analyst", "--public-key"];
    let key = site.path("grace/admin.key.pem.pub").display().to_string();
    site.muster(&[&create[..], &[&key, "--yes", "--json"]].concat()).await.json();

    let see = [
        &["device", "list"][..],
        &["site", "show"],
        &["site", "dashboard"],
        &["token", "list"],
        &["enrolment", "list"],
        &["application", "list"],
        &["deployment", "list"],
        &["message", "list"],
        &["quarantine", "list"],
        &["admin", "list"],
        &["settings", "show"],
        &["audit", "list"],
        &["audit", "verify"],
        &["console"],
    ];
    for command in see {
        let ran = site.muster_as("grace", &[command, &["--json"]].concat()).await;
        assert_eq!(ran.code, Some(0), "{command:?}: {ran:?}");
    }
    let change = [
        &["token", "create", "--name", "x"][..],
        &["settings", "update", "--inventory", "1d"],
        &["admin", "create", "--name", "Mallory", "--role", "full_administrator", "--public-key", &key],
    ];
    for command in change {
        let ran = site.muster_as("grace", &[command, &["--yes", "--json"]].concat()).await;
        assert_eq!((ran.code, ran.problem().as_str()), (Some(1), "forbidden"), "{command:?}: {ran:?}");
    }
    site.muster_as("grace", &["logout", "--json"]).await.json();
    assert!(!site.path("grace/session.json").exists());
    assert_eq!(site.muster_as("grace", &["login"]).await.code, Some(0));
}

#[tokio::test]
async fn over_a_network_the_tool_speaks_only_to_the_server_of_the_root_that_it_believes() {
    let site = Site::start_for("0.0.0.0").await;
    let shown = site.muster(&["site", "show", "--json"]).await.json();
    let profile = std::fs::read_to_string(site.path("site/admin/profile.toml")).unwrap();
    assert!(profile.contains("https://127.0.0.1:"), "{profile}");

    let root = shown["root"].as_str().unwrap();
    let other = format!("{}{}", if root.starts_with('0') { "1" } else { "0" }, &root[1..]);
    std::fs::write(site.path("site/admin/profile.toml"), profile.replace(root, &other)).unwrap();
    let ran = site.muster(&["site", "show"]).await;
    assert_eq!(ran.code, Some(3), "{ran:?}");
    assert!(ran.err.contains("not this site's") && ran.err.contains("Nothing was sent"), "{ran:?}");
}
