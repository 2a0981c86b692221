//! Applications that need and replace others, with the real programs: a dependency comes first, the old one goes, a user begins what is
//! offered, and all of it is removed again.

use crate::{harness::Site, loop_closes::sign_and_add};
use std::path::Path;

/// Signs and adds an application that is a file of its name; its hash.
async fn added(site: &Site, id: u32, name: &str, more: &str) -> String {
    let dir = site.path(name);
    std::fs::create_dir_all(&dir).unwrap();
    let (manifest, there) = (dir.join("app.toml"), place(site, name));
    let text = format!(
        "id = \"0192f0c1-7a3b-7c4d-8e5f-{id:012}\"\nname = {name:?}\nversion = \"1.0\"\nplatform = \"linux\"\nmax_run_seconds = 30\n\
         install = {{ program = \"/usr/bin/touch\", arguments = [{there:?}] }}\n\
         uninstall = {{ program = \"/bin/rm\", arguments = [{there:?}] }}\n\
         detection = {{ kind = \"file\", path = {there:?} }}\n{more}"
    );
    std::fs::write(&manifest, text).unwrap();
    sign_and_add(site, &dir, &manifest).await
}

fn place(site: &Site, name: &str) -> String {
    site.path(&format!("{name}.installed")).display().to_string()
}

fn is_there(site: &Site, name: &str) -> bool {
    Path::new(&place(site, name)).exists()
}

async fn deployed(site: &Site, hash: &str, device: &str, more: &[&str]) -> String {
    let create = [&["deployment", "create", hash, "--device", device, "--yes", "--json"][..], more].concat();
    site.muster(&create).await.json()["id"].as_str().unwrap().to_owned()
}

async fn done(site: &Site, deployment: &str) {
    let watched = site.muster(&["deployment", "watch", deployment, "--timeout", "60s"]).await;
    assert_eq!(watched.code, Some(0), "{watched:?} {}", site.log("agent"));
}

#[tokio::test]
async fn an_application_comes_with_what_it_needs_replaces_the_old_one_and_goes_again() {
    let site = Site::start().await;
    let (device, mut agent) = site.managed("agent").await;
    let old = added(&site, 1, "old", "").await;
    added(&site, 2, "base", "").await;
    let more = "requirements = [{ name = \"Linux\", query = \"select * from SMS_G_System_OPERATING_SYSTEM\" }]\n\
                dependencies = [{ any = [{ application = \"0192f0c1-7a3b-7c4d-8e5f-000000000002\", version = \"1\" }] }]\n\
                supersedes = [{ application = \"0192f0c1-7a3b-7c4d-8e5f-000000000001\", uninstall = true }]\n";
    let new = added(&site, 3, "new", more).await;
    let elsewhere = "requirements = [{ name = \"No memory\", query = \"select * from SMS_G_System_X86_PC_MEMORY where TotalPhysicalMemory < 1\" }]\n";
    let elsewhere = added(&site, 4, "elsewhere", elsewhere).await;

    let first = deployed(&site, &old, &device, &[]).await;
    done(&site, &first).await;
    assert!(is_there(&site, "old"));
    let preview = site.muster(&["deployment", "preview", &new, "--device", &device]).await;
    assert!(preview.out.contains("base 1.0") && preview.out.contains("old 1.0"), "{preview:?}");
    let second = deployed(&site, &new, &device, &[]).await;
    done(&site, &second).await;
    assert!(is_there(&site, "base") && is_there(&site, "new") && !is_there(&site, "old"));
    let shown = site.muster(&["deployment", "show", &second]).await;
    assert!(shown.out.contains("base 1.0 (dependency), old 1.0 (superseded)"), "{shown:?}");

    let contrary = ["deployment", "create", &new, "--device", &device, "--action", "uninstall", "--yes", "--json"];
    let refused = site.muster(&contrary).await;
    assert_eq!((refused.code, refused.problem().as_str()), (Some(1), "conflict"), "{refused:?}");
    site.muster(&["deployment", "delete", &second, "--yes"]).await;
    let third = deployed(&site, &new, &device, &["--action", "uninstall"]).await;
    done(&site, &third).await;
    assert!(is_there(&site, "base") && !is_there(&site, "new"));

    let fourth = deployed(&site, &elsewhere, &device, &[]).await;
    done(&site, &fourth).await;
    let shown = site.muster(&["deployment", "show", &fourth, "--state", "requirements_not_met", "--json"]).await.json();
    assert_eq!(shown["devices"]["items"][0]["output"], "Requirement not met: No memory.", "{shown}");
    assert!(!is_there(&site, "elsewhere"));
    agent.kill().await.unwrap();
}
