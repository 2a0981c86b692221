//! From a token to an installed application, and back: everything that an administrator does, with the real programs.

use crate::harness::Site;
use std::path::Path;

/// An application that puts a file in its place; its signed object and its content are in `dir`.
fn describe(dir: &Path, name: &str, program: &str) -> std::path::PathBuf {
    std::fs::create_dir_all(dir).unwrap();
    std::fs::write(dir.join("hello.txt"), format!("hello from {name}\n")).unwrap();
    let manifest = dir.join("app.toml");
    let target = dir.join("installed/hello.txt");
    let text = format!(
        "name = {name:?}\nversion = \"1.0\"\nplatform = \"linux\"\nmax_run_seconds = 30\nfiles = [{{ path = \"hello.txt\" }}]\n\
         [install]\nprogram = {program:?}\narguments = [\"-D\", \"content/hello.txt\", {target:?}]\n\
         [detection]\nkind = \"file\"\npath = {target:?}\ncontent = \"hello.txt\"\n"
    );
    std::fs::write(&manifest, text).unwrap();
    manifest
}

/// Signs an application that installs a file with that program and adds it; its hash.
pub(crate) async fn added(site: &Site, name: &str, program: &str) -> String {
    let manifest = describe(&site.path(name), name, program);
    sign_and_add(site, &site.path(name), &manifest).await
}

/// Signs an application of that name without content, with that installer, and adds it; its hash.
pub(crate) async fn added_as(site: &Site, folder: &str, name: &str, command: &[&str]) -> String {
    let dir = site.path(folder);
    std::fs::create_dir_all(&dir).unwrap();
    let manifest = dir.join("app.toml");
    let text = format!(
        "name = {name:?}\nversion = {name:?}\nplatform = \"linux\"\nmax_run_seconds = 30\n[install]\nprogram = {:?}\n\
         arguments = {:?}\n[detection]\nkind = \"file\"\npath = {:?}\n",
        command[0],
        &command[1..],
        format!("/nonexistent/{name}")
    );
    std::fs::write(&manifest, text).unwrap();
    sign_and_add(site, &dir, &manifest).await
}

pub(crate) async fn sign_and_add(site: &Site, dir: &Path, manifest: &Path) -> String {
    let manifest = manifest.display().to_string();
    let signed = dir.join("app.signed").display().to_string();
    let sign = ["application", "sign", "--manifest", &manifest, "--out", &signed];
    let unasked = site.muster(&sign).await;
    assert_eq!(unasked.code, Some(5), "nobody was there to agree: {unasked:?}");
    site.muster(&[&sign[..], &["--yes", "--json"]].concat()).await.json();
    let added = site.muster(&["application", "add", &signed, "--json"]).await.json();
    added["hash"].as_str().unwrap().to_owned()
}

/// Signs, adds and deploys; the deployment's id.
async fn deployed(site: &Site, name: &str, program: &str, device: &str) -> String {
    let hash = added(site, name, program).await;
    let preview = site.muster(&["deployment", "preview", &hash, "--device", device, "--json"]).await.json();
    assert_eq!(preview["devices"], 1);
    let made = site.muster(&["deployment", "create", &hash, "--device", device, "--yes", "--json"]).await.json();
    made["id"].as_str().unwrap().to_owned()
}

#[tokio::test]
async fn a_machine_becomes_a_managed_client() {
    the_loop_closes(Site::start_in_network().await).await;
}

#[tokio::test]
async fn a_machine_becomes_a_managed_client_of_a_site_on_postgresql() {
    if let Some(site) = Site::start_on_postgresql().await {
        the_loop_closes(site).await;
    }
}

async fn the_loop_closes(site: Site) {
    let (device, mut agent) = site.managed("agent").await;

    site.until("the first inventory", async |client| {
        let detail = client.device_show(device.parse().unwrap()).await?.value;
        Ok((!detail.classes.is_empty()).then_some(()))
    })
    .await;
    let system = site.muster(&["inventory", "show", &device, "OPERATING_SYSTEM", "--json"]).await.json();
    assert_eq!(system["total"], 1, "{system}");

    let good = deployed(&site, "good", "/usr/bin/install", &device).await;
    let watched = site.muster(&["deployment", "watch", &good, "--timeout", "60s"]).await;
    assert_eq!(watched.code, Some(0), "{watched:?} {}", site.log("agent"));
    assert_eq!(std::fs::read_to_string(site.path("good/installed/hello.txt")).unwrap(), "hello from good\n");

    let bad = deployed(&site, "bad", "/bin/false", &device).await;
    let watched = site.muster(&["deployment", "watch", &bad, "--timeout", "60s"]).await;
    assert_eq!(watched.code, Some(7), "{watched:?}");
    assert!(watched.err.contains("exit_code"), "{watched:?}");
    let shown = site.muster(&["deployment", "show", &bad, "--state", "failed", "--json"]).await.json();
    assert_eq!(shown["devices"]["items"][0]["exit_code"], 1, "{shown}");

    crate::content::a_new_version_moves_only_what_changed(&site, &device).await;

    let messages = site.muster(&["message", "list", "--json"]).await.json();
    assert!(messages["total"].as_u64().unwrap() > 0, "{messages}");
    for people in
        [&["device", "show", &device][..], &["device", "list"], &["deployment", "list"], &["site", "dashboard"]]
    {
        let ran = site.muster(people).await;
        assert_eq!(ran.code, Some(0), "{ran:?}");
    }
    let timeline = site.muster(&["device", "timeline", &device, "--json"]).await.json();
    assert!(timeline["total"].as_u64().unwrap() > 2, "{timeline}");
    let verdict = site.muster(&["audit", "verify", "--json"]).await.json();
    assert!(verdict["broken_at"].is_null() && verdict["entries"].as_u64().unwrap() >= 6, "{verdict}");
    agent.kill().await.unwrap();
}

#[tokio::test]
async fn a_blocked_device_is_out_at_once_and_comes_back_when_it_is_let_in() {
    let site = Site::start().await;
    let (device, mut agent) = site.managed("agent").await;
    let online = async |wanted: bool| {
        site.until("the live channel to change", async |client| {
            let seen = client.device_show(device.parse().unwrap()).await?.value.device;
            Ok((seen.online == wanted).then_some(()))
        })
        .await;
    };
    let block = ["device", "block", &device, "--reason", "lost", "--json"];
    assert_eq!(site.muster(&block).await.code, Some(5), "nobody was there to agree");
    let blocked = site.muster(&[&block[..], &["--yes"]].concat()).await.json();
    assert_eq!(blocked["state"], "blocked");
    online(false).await;
    let again = site.muster(&[&block[..], &["--yes"]].concat()).await;
    assert_eq!((again.code, again.problem().as_str()), (Some(1), "conflict"));
    let unblock = ["device", "unblock", &device, "--reason", "found", "--yes", "--json"];
    assert_eq!(site.muster(&unblock).await.json()["state"], "active");
    agent.kill().await.unwrap();
    let mut agent = site.agent_run("agent");
    online(true).await;
    agent.kill().await.unwrap();
}
