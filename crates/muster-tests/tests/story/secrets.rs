//! A secret goes from its author to one device each, and nobody on the way can read it: not the site, its database, its logs or its
//! wire, not another device, and not the device's own disk.

use crate::harness::Site;
use muster_model::api::PageQuery;
use std::{
    fs,
    os::unix::fs::PermissionsExt,
    path::{Path, PathBuf},
};

/// What must be found nowhere but where the installer put it.
const CANARY: &str = "canary-0c4f2a96-correct-horse";
const SECOND: &str = "canary-7be1d003-battery-staple";

/// Files below a directory that have these bytes.
fn found(dir: &Path, canary: &str) -> Vec<PathBuf> {
    let mut hits = Vec::new();
    for entry in fs::read_dir(dir).unwrap().map(Result::unwrap) {
        let path = entry.path();
        let kind = entry.file_type().unwrap();
        if kind.is_dir() {
            hits.extend(found(&path, canary));
        } else if kind.is_file() {
            let bytes = fs::read(&path).unwrap_or_default();
            if bytes.windows(canary.len()).any(|window| window == canary.as_bytes()) {
                hits.push(path);
            }
        }
    }
    hits
}

/// An application whose installer wants a secret, prints it, and puts it beside the agent's state. Its name.
async fn added(site: &Site, version: &str) -> String {
    let dir = site.path("app");
    fs::create_dir_all(&dir).unwrap();
    // $1 is the secret's file; the directory above the state directory tells the two agents of this machine apart.
    let script = "#!/bin/sh\nset -e\nstat -c '%a %U' \"$1\"\necho \"got $(cat \"$1\")\"\ncat \"$1\" >\"$2-$(basename \"$(dirname \"$(dirname \"$PWD\")\")\")\"\nexit 0\n";
    fs::write(dir.join("setup"), script).unwrap();
    let target = site.path("out").join(version);
    fs::create_dir_all(site.path("out")).unwrap();
    let text = format!(
        "id = \"0192f0c1-7a3b-7c4d-8e5f-0123456789ab\"\nname = \"Wireless\"\nversion = {version:?}\nplatform = \"linux\"\n\
         max_run_seconds = 30\nsecrets = [\"wifi-key\"]\nfiles = [{{ path = \"setup\" }}]\n[install]\nprogram = \"content/setup\"\n\
         arguments = [\"secret/wifi-key\", {target:?}]\n[detection]\nkind = \"command\"\n\
         command = {{ program = \"/bin/sh\", arguments = [\"-c\", \"ls {0}-*\"] }}\n",
        target.display()
    );
    fs::write(dir.join("app.toml"), text).unwrap();
    let (manifest, signed) = (dir.join("app.toml").display().to_string(), dir.join("app.signed").display().to_string());
    let _ = fs::remove_file(&signed);
    let sign = ["application", "sign", "--manifest", &manifest, "--out", &signed, "--yes", "--json"];
    site.muster(&sign).await.json();
    site.muster(&["application", "add", &signed, "--json"]).await.json()["hash"].as_str().unwrap().to_owned()
}

/// State and reason of a deployment on a device, and what its installer printed.
async fn state(site: &Site, deployment: &str, device: &str, wanted: &str) -> (String, String) {
    site.until(wanted, async |client| {
        let rows = client.deployment_devices(deployment.parse().unwrap(), None, &PageQuery::default()).await?.items;
        let row = rows.into_iter().find(|row| row.device.to_string() == device && row.state.as_str() == wanted);
        Ok(row.map(|row| (row.reason.map_or_else(String::new, |r| r.as_str().to_owned()), row.output)))
    })
    .await
}

fn value(site: &Site, text: &str) -> String {
    let path = site.path("value");
    fs::write(&path, text).unwrap();
    fs::set_permissions(&path, fs::Permissions::from_mode(0o600)).unwrap();
    path.display().to_string()
}

#[tokio::test]
async fn a_secret_is_sealed_for_each_device_and_read_by_nobody_else() {
    // proves S10: a secret in a policy is sealed to the device; site, database, wire, logs, disk and other devices never have it.
    let mut site = Site::start().await;
    let (device, mut agent) = site.managed("one").await;
    let hash = added(&site, "1").await;
    let create = ["deployment", "create", &hash, "--device", &device, "--yes", "--json"];
    let deployment = site.muster(&create).await.json()["id"].as_str().unwrap().to_owned();
    let (reason, said) = state(&site, &deployment, &device, "failed").await;
    assert_eq!(reason, "secret_missing", "{said}");

    let value = value(&site, CANARY);
    let seal = ["secret", "seal", "Wireless", "wifi-key", "--value", &value, "--json"];
    let careful = site.muster(&[&seal[..], &["--yes"]].concat()).await;
    assert!(careful.code != Some(0) && careful.err.contains("--software-keys"), "no TPM, no secret: {careful:?}");
    let unasked = site.muster(&[&seal[..], &["--software-keys"]].concat()).await;
    assert_eq!(unasked.code, Some(5), "nobody was there to agree: {unasked:?}");
    let sealed = site.muster(&[&seal[..], &["--software-keys", "--yes"]].concat()).await.json();
    assert_eq!(sealed["sealed"], 1, "{sealed}");
    let (_, said) = state(&site, &deployment, &device, "succeeded").await;
    assert!(said.contains("600 ") && said.contains("got [secret]"), "{said}");
    assert_eq!(found(&site.path("out"), CANARY).len(), 1, "the installer had it");

    let wrong = ["secret", "seal", "Wireless", "other", "--value", &value, "--software-keys", "--yes"];
    assert!(site.muster(&wrong).await.err.contains("wifi-key"));
    let listed = site.muster(&["secret", "list", "--json"]).await.json();
    assert_eq!((&listed["total"], &listed["items"][0]["devices"]), (&1.into(), &1.into()), "{listed}");

    // The next version of the secret is sealed to the next key, and a second device gets one of its own.
    let (second, mut other) = site.managed("two").await;
    let all = ["deployment", "create", &hash, "--device", &second, "--yes", "--json"];
    let deployment = site.muster(&all).await.json()["id"].as_str().unwrap().to_owned();
    // The file is there, so the detection finds it and the second device needs no secret to begin with.
    state(&site, &deployment, &second, "succeeded").await;
    fs::write(&value, SECOND).unwrap();
    let resealed = site.muster(&[&seal[..], &["--software-keys", "--yes"]].concat()).await.json();
    assert_eq!(resealed["sealed"], 2, "{resealed}");

    // Everything that the site and the devices keep, running and stopped.
    site.until("both policies", async |client| {
        let kept = |agent: &str| fs::read_dir(site.path(agent).join("policy")).unwrap().count();
        let _ = client;
        Ok((kept("one") == 5 && kept("two") == 5).then_some(()))
    })
    .await;
    agent.kill().await.unwrap();
    other.kill().await.unwrap();
    site.kill_server().await;
    for canary in [CANARY, SECOND] {
        for place in ["site", "one", "two"] {
            assert_eq!(found(&site.path(place), canary), Vec::<PathBuf>::new(), "{place}");
        }
        for log in ["musterd", "one", "two"] {
            assert!(!site.log(log).contains(canary), "{log}");
        }
    }
    let policy = |agent: &str| {
        let names = fs::read_dir(site.path(agent).join("policy")).unwrap();
        names.map(|name| name.unwrap().file_name().into_string().unwrap()).collect::<Vec<_>>()
    };
    let shared = policy("one").into_iter().filter(|name| policy("two").contains(name)).count();
    assert_eq!(shared, 3, "settings, application and the assignment's name; the sealed secrets are each device's own");
    let in_memory = fs::read_dir("/dev/shm").unwrap().chain(fs::read_dir("/run").unwrap()).map(Result::unwrap);
    let left: Vec<PathBuf> =
        in_memory.map(|entry| entry.path()).filter(|p| p.display().to_string().contains("muster-agent-")).collect();
    assert!(left.iter().all(|dir| found(dir, CANARY).is_empty()), "{left:?}");
}
