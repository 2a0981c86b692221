//! Every key of a site is rotated under a running client, and under one that slept; the root key stays on another machine.

use crate::harness::{self, Ran, Site};
use std::path::Path;

impl Site {
    /// `musterd trust` on this site's directory, with the root key's passphrase where it is wanted.
    async fn trust(&self, arguments: &[&str]) -> Ran {
        let dir = self.path("site").display().to_string();
        harness::run("musterd", &[&["trust"], arguments, &["--dir", &dir]].concat()).await
    }

    /// As [`Site::trust`], with the root key on this machine.
    pub(crate) async fn rooted(&self, arguments: &[&str]) -> String {
        let passphrase = self.path("site/offline/root.passphrase").display().to_string();
        let ran = self.trust(&[arguments, &["--passphrase-file", &passphrase]].concat()).await;
        assert_eq!(ran.code, Some(0), "{ran:?}");
        ran.out
    }

    /// The trust bundle as the API says it.
    async fn bundle(&self) -> serde_json::Value {
        self.muster(&["trust", "show", "--json"]).await.json()
    }

    /// The id of the key of that purpose that is in use, or is not.
    async fn key(&self, purpose: &str, in_use: bool) -> String {
        let bundle = self.bundle().await;
        let keys = bundle["keys"].as_array().unwrap();
        let found = keys.iter().find(|key| key["purpose"] == purpose && key["in_use"] == in_use);
        found.unwrap_or_else(|| panic!("no such {purpose} key: {bundle}"))["key"].as_str().unwrap().to_owned()
    }

    /// Waits until the device has confirmed a policy that was signed under this trust bundle.
    pub(crate) async fn confirmed(&self, device: &str, trust_version: u64) -> u64 {
        self.until("the policy under the new trust bundle", async |client| {
            let detail = client.device_show(device.parse().unwrap()).await?.value;
            let there = detail.policy_confirmed.is_some() && detail.policy_trust_version == trust_version;
            Ok(there.then_some(detail.policy_version))
        })
        .await
    }

    async fn serial(&self, device: &str) -> String {
        let detail = self.client().await.device_show(device.parse().unwrap()).await.unwrap().value;
        detail.certificate_serial
    }
}

// proves S9 S10 S11
#[tokio::test]
async fn every_key_is_rotated_under_a_running_client() {
    let site = Site::start().await;
    let (device, mut agent) = site.managed("agent").await;
    site.confirmed(&device, 1).await;
    site.rooted(&["rotate", "policy"]).await;
    site.confirmed(&device, 2).await;
    let old = site.key("policy", false).await;
    site.rooted(&["revoke", &old[..12]]).await;
    site.confirmed(&device, 3).await;
    let bundle = site.bundle().await;
    assert_eq!(bundle["revoked"].as_array().unwrap(), &[old], "{bundle}");

    // Issuing CAs overlap: the client connects by its old certificate, and exchanges it.
    let serial = site.serial(&device).await;
    site.rooted(&["rotate", "issuing"]).await;
    site.confirmed(&device, 4).await;
    assert_eq!(site.serial(&device).await, serial, "its certificate is still good");
    agent.kill().await.unwrap();
    agent = site.agent_run("agent");
    site.until("the certificate of the new authority", async |client| {
        let detail = client.device_show(device.parse().unwrap()).await?.value;
        Ok((detail.certificate_serial != serial).then_some(()))
    })
    .await;
    let old = site.key("issuing", false).await;
    site.rooted(&["revoke", &old]).await;
    site.confirmed(&device, 5).await;

    // The root: new tokens pin the new one, and old tokens open nothing.
    let before = site.token("before").await;
    site.rooted(&["rotate", "root"]).await;
    site.confirmed(&device, 6).await;
    let refused = site.agent("stranger", &["enrol", "--token", &before.display().to_string()]).await;
    assert_eq!(refused.code, Some(1), "{refused:?}");
    let after = site.token("after").await;
    let asked = site.agent("newcomer", &["enrol", "--token", &after.display().to_string()]).await;
    assert_eq!(asked.code, Some(0), "{asked:?}");
    site.rooted(&["renew"]).await;
    site.confirmed(&device, 7).await;
    let shown = site.trust(&["show"]).await;
    assert!(shown.code == Some(0) && shown.out.contains("Trust bundle 7"), "{shown:?}");
    // After a restart all of it is verified again from the first root key.
    agent.kill().await.unwrap();
    let mut site = site;
    site.kill_server().await;
    site.serve().await;
    let mut agent = site.agent_run("agent");
    site.until("the client after the restart", async |client| {
        let seen = client.device_show(device.parse().unwrap()).await?.value;
        Ok(seen.device.online.then_some(()))
    })
    .await;
    agent.kill().await.unwrap();
}

// proves S9 S11
#[tokio::test]
async fn a_client_that_slept_finds_back_when_nothing_is_as_it_was() {
    let site = Site::start().await;
    let (device, mut agent) = site.managed("agent").await;
    site.confirmed(&device, 1).await;
    agent.kill().await.unwrap();
    // Nothing that the client has verifies anything of the site any more, but the chain of the roots.
    for purpose in ["policy", "issuing"] {
        site.rooted(&["rotate", purpose]).await;
    }
    site.until("the server's new keys", async |_| Ok((site.bundle().await["version"] == 3).then_some(()))).await;
    for purpose in ["policy", "issuing"] {
        let old = site.key(purpose, false).await;
        site.rooted(&["revoke", &old]).await;
    }
    site.rooted(&["rotate", "root"]).await;
    site.rooted(&["rotate", "root"]).await;
    site.until("the server's new root", async |_| Ok((site.bundle().await["version"] == 7).then_some(()))).await;
    let serial = site.serial(&device).await;
    let mut agent = site.agent_run("agent");
    site.confirmed(&device, 7).await;
    assert_ne!(site.serial(&device).await, serial, "its old certificate is of nobody");
    agent.kill().await.unwrap();
}

/// The root keys are on other machines: what travels is a file.
#[tokio::test]
async fn every_root_action_works_by_exchanging_files() {
    let site = Site::start().await;
    let (device, mut agent) = site.managed("agent").await;
    let vault = site.path("vault");
    std::fs::rename(site.path("site/offline"), &vault).unwrap();
    let at = |name: &str| site.path(name).display().to_string();
    let (file, passphrase) = (at("next.json"), at("vault/root.passphrase"));
    let sign = async |keys: &[&str]| {
        let mut arguments = vec!["trust", "sign", &file, "--passphrase-file", &passphrase, "--json"];
        keys.iter().for_each(|key| arguments.extend(["--key", key]));
        let asked = site.muster_as("nobody", &arguments).await;
        assert!(asked.code == Some(5) && asked.err.contains("Trust bundle"), "it is looked at first: {asked:?}");
        site.muster_as("nobody", &[&arguments[..], &["--yes"]].concat()).await
    };
    let root = at("vault/root.key.pem");
    let away = site.trust(&["renew", "--passphrase-file", &passphrase]).await;
    assert!(away.code == Some(1) && away.err.contains("--out"), "{away:?}");

    let proposed = site.trust(&["rotate", "policy", "--out", &file]).await;
    assert_eq!(proposed.code, Some(0), "{proposed:?}");
    let unsigned = site.trust(&["accept", &file]).await;
    assert!(unsigned.code == Some(1) && unsigned.err.contains("Nobody has signed"), "{unsigned:?}");
    // Signed by a key that is no root.
    let stranger = at("stranger.pem");
    let make = ["key", "create", "--out", &stranger, "--passphrase-file", &passphrase];
    assert_eq!(site.muster_as("nobody", &make).await.code, Some(0));
    let refused = sign_refused(&site, &file, &stranger, &passphrase).await;
    assert!(refused.code == Some(6) && refused.err.contains("not a root key"), "{refused:?}");
    assert_eq!(sign(&[&root]).await.json()["complete"], true);
    assert_eq!(site.trust(&["accept", &file]).await.code, Some(0));
    site.confirmed(&device, 2).await;
    let again = site.trust(&["accept", &file]).await;
    assert!(again.code == Some(1) && again.err.contains("in force already"), "{again:?}");

    // Two holders from now on: the new root is one of them, and signs first for its certificate.
    let (second, public) = (at("vault/second.pem"), at("vault/second.pem.pub"));
    let made = site.muster_as("nobody", &["key", "create", "--out", &second, "--passphrase-file", &passphrase]).await;
    assert_eq!(made.code, Some(0), "{made:?}");
    let first_public = public_half(&root, &passphrase, &at("vault/root.pub"));
    let rotate =
        ["rotate", "root", "--new-key", &public, "--new-key", &first_public, "--threshold", "2", "--out", &file];
    assert_eq!(site.trust(&rotate).await.code, Some(0));
    let first = sign_refused(&site, &file, &root, &passphrase).await;
    assert!(first.err.contains("signs first"), "{first:?}");
    assert_eq!(sign(&[&second]).await.json()["complete"], false);
    let half = site.trust(&["accept", &file]).await;
    assert_eq!(half.code, Some(1), "one of two: {half:?}");
    assert_eq!(sign(&[&root]).await.json()["complete"], true);
    assert_eq!(site.trust(&["accept", &file]).await.code, Some(0));
    site.confirmed(&device, 3).await;
    agent.kill().await.unwrap();
}

async fn sign_refused(site: &Site, file: &str, key: &str, passphrase: &str) -> Ran {
    let arguments = ["trust", "sign", file, "--key", key, "--passphrase-file", passphrase, "--yes"];
    let ran = site.muster_as("nobody", &arguments).await;
    assert_eq!(ran.code, Some(6), "{ran:?}");
    ran
}

/// Writes the public half of an encrypted key.
fn public_half(key: &str, passphrase: &str, out: &str) -> String {
    let (pem, secret) = (std::fs::read_to_string(key).unwrap(), std::fs::read_to_string(passphrase).unwrap());
    let key = muster_trust::PrivateKey::from_pem(&pem, Some(secret.trim_end().as_bytes())).unwrap();
    std::fs::write(out, key.public().pem()).unwrap();
    out.to_owned()
}

/// The database is put back to an older state: its clients know more, and the site goes on from what it once signed.
#[tokio::test]
async fn a_site_restored_from_a_backup_goes_on_from_what_its_clients_have() {
    let mut site = Site::start().await;
    let (device, mut agent) = site.managed("agent").await;
    site.confirmed(&device, 1).await;
    site.kill_server().await;
    let copy = |from: &Path, to: &Path| {
        std::fs::create_dir_all(to).unwrap();
        for entry in std::fs::read_dir(from).unwrap().flatten().filter(|entry| entry.path().is_file()) {
            std::fs::copy(entry.path(), to.join(entry.file_name())).unwrap();
        }
    };
    copy(&site.path("site"), &site.path("backup"));
    site.serve().await;
    let mut newest = 0;
    for minutes in ["11m", "12m", "13m"] {
        site.muster(&["settings", "update", "--policy-poll", minutes, "--yes", "--json"]).await.json();
        newest = site
            .until("a newer policy", async |client| {
                let detail = client.device_show(device.parse().unwrap()).await?.value;
                let newer = detail.policy_confirmed.is_some() && detail.policy_version > newest;
                Ok(newer.then_some(detail.policy_version))
            })
            .await;
    }
    site.kill_server().await;
    copy(&site.path("backup"), &site.path("site"));
    site.serve().await;
    // The client refuses the old policy, shows what it has, and gets a newer one.
    site.until("a policy beyond what was restored", async |client| {
        let detail = client.device_show(device.parse().unwrap()).await?.value;
        Ok((detail.policy_confirmed.is_some() && detail.policy_version > newest).then_some(()))
    })
    .await;
    let timeline = site.muster(&["device", "timeline", &device, "--json"]).await.json().to_string();
    assert!(timeline.contains("restored from an older backup"), "{timeline}");
    agent.kill().await.unwrap();
}
