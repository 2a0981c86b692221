//! A site outgrows its SQLite file: looked at, copied into PostgreSQL while it stands still, and served from there. The device notices
//! nothing but a pause.

use crate::harness::{Site, postgresql};

const CLASS: &str = r#"{"name": "DESK", "attributes": [
    {"name": "Room", "type": "String", "key": true}, {"name": "Width", "type": "Real64"}]}"#;

/// The site's configuration, with another database.
fn name_database(site: &Site, url: &str) {
    let file = site.path("site/musterd.toml");
    let text = std::fs::read_to_string(&file).unwrap();
    let line = text.lines().find(|line| line.trim_start().starts_with("database = ")).unwrap();
    std::fs::write(&file, text.replace(line, &format!("database = \"{url}\""))).unwrap();
}

#[tokio::test]
async fn a_site_moves_to_postgresql_and_its_device_goes_on() {
    let Some(url) = postgresql().await else { return };
    let mut site = Site::start().await;
    let (device, mut agent) = site.managed("agent").await;
    site.until("the first inventory", async |client| {
        let detail = client.device_show(device.parse().unwrap()).await?.value;
        Ok((!detail.classes.is_empty()).then_some(()))
    })
    .await;
    let class = site.path("desk.json");
    std::fs::write(&class, CLASS).unwrap();
    site.muster(&["class", "add", &class.display().to_string(), "--yes", "--json"]).await.json();
    let made = site.muster(&["collection", "create", "--name", "Desks", "--device", &device, "--yes", "--json"]).await;
    let collection = made.json()["collection"]["id"].as_str().unwrap().to_owned();
    let before = site.muster(&["inventory", "show", &device, "OPERATING_SYSTEM", "--json"]).await.json();
    let (dir, audit) = (site.path("site").display().to_string(), ["audit", "verify", "--json"]);
    let entries = site.muster(&audit).await.json()["entries"].as_u64().unwrap();

    let copy = ["database", "copy", "--dir", &dir, "--to", &url];
    let running = site.musterd_run(&copy).await;
    assert!(running.code == Some(1) && running.err.contains("another musterd runs"), "{running:?}");
    let checked = site.musterd_run(&["database", "check", "--dir", &dir]).await;
    assert_eq!(checked.code, Some(0), "a look is not in the way of the server: {checked:?}");
    site.kill_server().await;

    let secret = site.musterd_run(&["database", "copy", "--dir", &dir, "--to", "postgres://u:secret@h/db"]).await;
    assert!(secret.code == Some(1) && !secret.err.contains("secret@"), "{secret:?}");
    let copied = site.musterd_run(&copy).await;
    assert_eq!(copied.code, Some(0), "{copied:?}");
    for said in ["Copying", "Comparing", "are the same", "Now write `database = ", "about 0 s left"] {
        assert!(copied.out.contains(said), "{said}: {copied:?}");
    }
    let twice = site.musterd_run(&copy).await;
    assert!(twice.code == Some(1) && twice.err.contains("not empty"), "{twice:?}");

    name_database(&site, &url);
    let checked = site.musterd_run(&["database", "check", "--dir", &dir]).await;
    assert_eq!(checked.code, Some(0), "{checked:?}");
    let nothing = site.musterd_run(&["database", "migrate", "--what-if", "--dir", &dir]).await;
    assert!(nothing.out.contains("there is nothing to do"), "{nothing:?}");
    site.serve().await;
    site.until("the device at the moved site", async |client| {
        let seen = client.device_show(device.parse().unwrap()).await?.value;
        Ok(seen.device.online.then_some(()))
    })
    .await;
    let site_of = site.muster(&["site", "show", "--json"]).await.json();
    assert_eq!(site_of["database"], "postgresql");
    let after = site.muster(&["inventory", "show", &device, "OPERATING_SYSTEM", "--json"]).await.json();
    assert_eq!(after["rows"], before["rows"]);
    let classes = site.muster(&["class", "show", "DESK", "--json"]).await.json();
    assert_eq!(classes["version"], 1);
    let members = site.muster(&["collection", "members", &collection, "--json"]).await.json();
    // The device is asked about by its id, and by the number of its resource.
    for word in [device.as_str(), "16777217"] {
        let said = site.muster(&["collection", "explain", &collection, word, "--json"]).await.json();
        assert_eq!(
            (&said["member"], &said["resource"], &said["device"]),
            (&true.into(), &16_777_217.into(), &device.clone().into())
        );
    }
    let nobody = site.muster(&["collection", "explain", &collection, "16777999"]).await;
    assert_ne!(nobody.code, Some(0));
    assert_eq!(members["total"], 1, "{members}");
    // Something new goes through all of it: a deployment that ends on the device, and the log that goes on where it was.
    let hash = crate::loop_closes::added(&site, "moved", "/usr/bin/install").await;
    let made = site.muster(&["deployment", "create", &hash, "--device", &device, "--yes", "--json"]).await.json();
    let watched = site.muster(&["deployment", "watch", made["id"].as_str().unwrap(), "--timeout", "60s"]).await;
    assert_eq!(watched.code, Some(0), "{watched:?} {}", site.log("agent"));
    let verdict = site.muster(&audit).await.json();
    assert!(verdict["broken_at"].is_null() && verdict["entries"].as_u64().unwrap() > entries, "{verdict}");
    agent.kill().await.unwrap();
}
