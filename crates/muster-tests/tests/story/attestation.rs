//! A machine with a TPM: it enrols as attested, works with a key that it cannot show, and never comes back once it is blocked.

use crate::{
    harness::Site,
    swtpm::{Swtpm, Vendor},
};
use serde_json::Value;

/// The agent `name` has this TPM.
fn equip(site: &Site, name: &str, tpm: &Swtpm, when: &str) {
    use std::os::unix::fs::DirBuilderExt;
    std::fs::DirBuilder::new().mode(0o700).create(site.path(name)).unwrap();
    let config = serde_json::json!({ "tpm": when, "tpm_device": tpm.place() });
    std::fs::write(site.path(name).join("agent.json"), config.to_string()).unwrap();
}

async fn enrol(site: &Site, name: &str) -> crate::harness::Ran {
    let token = site.token(name).await.display().to_string();
    site.agent(name, &["enrol", "--token", &token]).await
}

/// The request that waits.
async fn pending(site: &Site) -> Value {
    let pending = site.muster(&["enrolment", "list", "--state", "pending", "--json"]).await.json();
    assert_eq!(pending["total"], 1, "{pending}");
    pending["items"][0].clone()
}

async fn approve(site: &Site, request: &Value) -> String {
    let id = request["id"].as_str().unwrap();
    let device = site.muster(&["enrolment", "approve", id, "--yes", "--json"]).await.json();
    device["id"].as_str().unwrap().to_owned()
}

/// Strangers who connect do not have the TPM sign: whatever the settings say, nobody listens.
async fn nobody_is_served(site: &Site) {
    let port = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    let set = format!("content_peer_port={port}");
    let set = ["settings", "update", "--set", "content_peers=fetch_and_serve", "--set", &set, "--yes"];
    let ran = site.muster(&set).await;
    assert_eq!(ran.code, Some(0), "{ran:?}");
    let said = "the key of this client is in its TPM: it serves nobody";
    site.until(said, async |_| Ok(site.log("agent").contains(said).then_some(()))).await;
    assert!(std::net::TcpStream::connect(("127.0.0.1", port)).is_err());
}

// proves S4 S8
#[tokio::test]
async fn a_machine_with_a_tpm_is_attested_and_cannot_come_back_once_it_is_blocked() {
    let Some(vendor) = Vendor::new() else { return };
    let tpm = vendor.tpm("tpm").await;
    let mut site = Site::start_believing(&vendor.roots()).await;
    equip(&site, "agent", &tpm, "required");
    let asked = enrol(&site, "agent").await;
    assert_eq!(asked.code, Some(0), "{asked:?}");
    assert!(!site.path("agent/device.key").exists(), "the key has no file");

    // Who approves sees it before.
    let request = pending(&site).await;
    assert_eq!(request["key_protection"], "attested", "{request}");
    let hardware = request["hardware"].as_str().unwrap().to_owned();
    let device = approve(&site, &request).await;

    // Handshakes and reports are signed by the TPM.
    let mut agent = site.agent_run("agent");
    site.until("the first inventory", async |client| {
        let detail = client.device_show(device.parse().unwrap()).await?.value;
        Ok((detail.device.online && !detail.classes.is_empty()).then_some(()))
    })
    .await;
    let shown = site.muster(&["device", "show", &device, "--json"]).await.json();
    assert_eq!(shown["device"]["key_protection"], "attested");
    assert_eq!(shown["attestation"]["vouched_by"], "vendor");
    assert_eq!(shown["attestation"]["hardware"], hardware.as_str());
    let list = site.muster(&["device", "list"]).await.out;
    assert!(list.contains("attested"), "{list}");
    let status = site.agent("agent", &["status", "--json"]).await.json();
    assert_eq!(status["key_place"], "in the TPM");
    nobody_is_served(&site).await;
    agent.kill().await.unwrap();

    // After three weeks the certificate is renewed, for the same key.
    if site.restart_after(21 * 24).await {
        let mut agent = site.agent_run("agent");
        let serial = shown["certificate_serial"].as_str().unwrap();
        let renewed = site
            .until("the next certificate", async |client| {
                let detail = client.device_show(device.parse().unwrap()).await?.value;
                Ok((detail.certificate_serial != serial).then_some(detail))
            })
            .await;
        assert_eq!(renewed.key.to_string(), shown["key"].as_str().unwrap());
        agent.kill().await.unwrap();
        site.restart_after(0).await;
    }

    // The same machine under another name and key: an alarm that names both, and no second device.
    equip(&site, "second", &tpm, "required");
    assert_eq!(enrol(&site, "second").await.code, Some(0));
    let request = pending(&site).await;
    let conflicts = request["conflicts"].to_string();
    assert!(conflicts.contains("The same TPM as active device") && conflicts.contains(&device), "{conflicts}");
    let refused = site.muster(&["enrolment", "approve", request["id"].as_str().unwrap(), "--yes", "--json"]).await;
    assert_eq!(refused.problem(), "conflict", "{refused:?}");
    let timeline = site.muster(&["device", "timeline", &device, "--json"]).await.json().to_string();
    assert!(timeline.contains("Two machines") && timeline.contains(request["id"].as_str().unwrap()), "{timeline}");

    let block = ["hardware", "block", &hardware, "--reason", "stolen", "--yes", "--json"];
    assert_eq!(site.muster(&block).await.json()["standing"], "blocked");
    let shown = site.muster(&["device", "show", &device, "--json"]).await.json();
    assert_eq!(shown["device"]["state"], "blocked", "{shown}");
    let unblock = ["device", "unblock", &device, "--reason", "x", "--yes", "--json"];
    assert_eq!(site.muster(&unblock).await.problem(), "conflict");
    let refused = site.muster(&["enrolment", "approve", request["id"].as_str().unwrap(), "--yes", "--json"]).await;
    assert_eq!(refused.problem(), "conflict", "the one that waited does not come in either: {refused:?}");
    equip(&site, "third", &tpm, "required");
    let third = enrol(&site, "third").await;
    assert!(third.code == Some(1) && third.err.contains("refused"), "{third:?}");
}

#[tokio::test]
async fn a_tpm_that_nobody_vouches_for_is_a_software_key_until_an_administrator_names_it() {
    let (Some(vendor), Some(stranger)) = (Vendor::new(), Vendor::new()) else { return };
    let (tpm, foreign) = (vendor.tpm("tpm").await, stranger.tpm("tpm").await);
    let site = Site::start_believing(&vendor.roots()).await;
    drop(tpm);
    equip(&site, "strict", &foreign, "required");
    let refused = enrol(&site, "strict").await;
    assert!(refused.code == Some(1) && refused.err.contains("does not believe this machine's TPM"), "{refused:?}");
    let at = refused.err.find("hardware identity is ").unwrap() + "hardware identity is ".len();
    let hardware = refused.err[at..at + 64].to_owned();

    equip(&site, "auto", &foreign, "auto");
    assert_eq!(enrol(&site, "auto").await.code, Some(0));
    let request = pending(&site).await;
    assert_eq!((request["key_protection"].as_str(), request["hardware"].is_null()), (Some("software key"), true));
    let refuse = ["enrolment", "refuse", request["id"].as_str().unwrap(), "--reason", "again", "--yes", "--json"];
    site.muster(&refuse).await.json();

    // Awaited by a list: it is attested, and approved without being asked about; once.
    std::fs::write(site.path("list.csv"), format!("id,note\n{hardware},lab bench 4\n")).unwrap();
    site.muster(&["hardware", "import", "--list", "list.csv", "--yes", "--json"]).await.json();
    let active = enrol(&site, "strict").await;
    assert!(active.code == Some(0) && active.out.contains("is active"), "{active:?}");
    let devices = site.muster(&["device", "list", "--json"]).await.json();
    assert_eq!(
        (devices["total"].as_u64(), devices["items"][0]["key_protection"].as_str()),
        (Some(1), Some("attested"))
    );
    let listed = site.muster(&["hardware", "list", "--json"]).await.json();
    assert_eq!(
        (listed["items"][0]["standing"].as_str(), listed["items"][0]["note"].as_str()),
        (Some("allowed"), Some("lab bench 4"))
    );
    equip(&site, "twin", &foreign, "required");
    assert_eq!(enrol(&site, "twin").await.code, Some(0));
    pending(&site).await;
}
