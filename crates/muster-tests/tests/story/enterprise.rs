//! Devices that talk with certificates of an enterprise's own PKI. OpenSSL is the enterprise's CA, and the stranger at the door.

use crate::{
    enterprise_ca::{Answer, EnterpriseCa, Publisher},
    harness::{Ran, Site},
};
use base64::{Engine, engine::general_purpose::STANDARD as BASE64};
use serde_json::Value;
use std::{path::Path, process::Stdio, time::Duration};
use tokio::{io::AsyncWriteExt, process::Command, time::timeout};

const PATIENCE: Duration = Duration::from_secs(30);
const RSA: &[&str] = &["rsa:2048"];
const P384: &[&str] = &["ec", "-pkeyopt", "ec_paramgen_curve:P-384"];
const P256: &[&str] = &["ec", "-pkeyopt", "ec_paramgen_curve:P-256"];

/// A request to the management point with this certificate and key, by OpenSSL.
async fn knocks(site: &Site, certificate: &Path, key: &Path) -> String {
    let urls: Value = serde_json::from_slice(&std::fs::read(site.path("site/run/addresses.json")).unwrap()).unwrap();
    let address = urls["management_point"].as_str().unwrap().strip_prefix("https://").unwrap().to_owned();
    let mut child = Command::new("openssl")
        .args(["s_client", "-connect", &address, "-ign_eof", "-cert"])
        .arg(certificate)
        .arg("-key")
        .arg(key)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .kill_on_drop(true)
        .spawn()
        .unwrap();
    let mut stdin = child.stdin.take().unwrap();
    drop(stdin.write_all(b"GET /mp/v1/assignment HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n").await);
    drop(stdin);
    let output = timeout(PATIENCE, child.wait_with_output()).await.expect("openssl ends").unwrap();
    String::from_utf8_lossy(&output.stdout).into_owned() + &String::from_utf8_lossy(&output.stderr)
}

/// The same with a certificate of a CA.
async fn knocks_as(site: &Site, ca: &EnterpriseCa, file: &str) -> String {
    knocks(site, &ca.path(&format!("{file}.crt")), &ca.path(&format!("{file}.key"))).await
}

async fn add(site: &Site, ca: &EnterpriseCa, publisher: &Publisher, more: &[&str]) -> Ran {
    let certificate = ca.path("ca.pem").display().to_string();
    let add = ["issuer", "add", "--certificate", &certificate, "--list", &publisher.url, "--yes", "--json"];
    site.muster(&[&add[..], more].concat()).await
}

/// Waits until the first issuer is as wanted.
async fn until_issuer(site: &Site, what: &str, wanted: impl Fn(&Value) -> bool) -> Value {
    let looking = async {
        loop {
            let issuers = site.muster(&["issuer", "list", "--json"]).await.json();
            if wanted(&issuers["items"][0]) {
                return issuers["items"][0].clone();
            }
            tokio::time::sleep(Duration::from_millis(200)).await;
        }
    };
    timeout(PATIENCE, looking).await.unwrap_or_else(|_| panic!("{what}: {}", site.log("musterd")))
}

async fn enrol(site: &Site, name: &str, pki: &Path) -> Ran {
    let token = site.token(name).await.display().to_string();
    site.agent(name, &["enrol", "--token", &token, "--enterprise", &pki.display().to_string()]).await
}

async fn pending(site: &Site) -> Value {
    let pending = site.muster(&["enrolment", "list", "--state", "pending", "--json"]).await.json();
    pending["items"].clone()
}

async fn approve(site: &Site, request: &Value) -> Ran {
    site.muster(&["enrolment", "approve", request["id"].as_str().unwrap(), "--yes", "--json"]).await
}

async fn until_online(site: &Site, device: &str, wanted: bool) {
    site.until(if wanted { "the device to be online" } else { "the device to be shut out" }, async |client| {
        let online = client.device_show(device.parse().unwrap()).await?.value.device.online;
        Ok((online == wanted).then_some(()))
    })
    .await;
}

// proves S2 S4: a certificate of the enterprise opens the door of the one device that it is mapped to, and lets nobody in.
#[tokio::test]
async fn a_device_talks_with_its_own_certificate_of_the_enterprise_and_no_other() {
    let site = Site::start().await;
    let (ca, stranger) = (EnterpriseCa::new(&site.path(""), "machines"), EnterpriseCa::new(&site.path(""), "stranger"));
    ca.issue("pc1", "/O=Example/CN=pc1", RSA);
    ca.issue("pc2", "/O=Example/CN=pc2", P384);
    ca.issue("lab", "/O=Lab/CN=pc1", P256);
    ca.issue_for("server", "web", "/O=Example/CN=web", P256);
    stranger.issue("pc1", "/O=Example/CN=pc1", P256);
    let publisher = Publisher::new(Answer::Nothing).await;
    let pki = site.path("pki");
    ca.give("pc1", &pki);
    ca.give("lab", &pki);
    ca.give("web", &pki);

    // Before there is an issuer, nothing of it counts, and without its list neither.
    let said = knocks_as(&site, &ca, "pc1").await;
    assert!(said.contains("alert unknown ca") && !said.contains("HTTP/1.1"), "{said}");
    let early = enrol(&site, "early", &pki).await;
    assert!(early.code != Some(0) && early.err.contains("muster issuer add"), "{early:?}");
    let issuer = add(&site, &ca, &publisher, &["--subject", "O=Example"]).await.json();
    assert!(issuer["warning"].as_str().unwrap().contains("none of its certificates counts"), "{issuer}");
    until_issuer(&site, "404 is said", |issuer| issuer["failure"].as_str().is_some_and(|why| why.contains("404")))
        .await;
    let early = enrol(&site, "early2", &pki).await;
    assert!(early.code != Some(0) && early.err.contains("list_stale"), "{early:?}");
    site.muster(&["issuer", "remove", issuer["id"].as_str().unwrap(), "--reason", "again", "--yes"]).await;
    publisher.set(Answer::List(ca.list(3_600)));
    add(&site, &ca, &publisher, &["--subject", "O=Example"]).await.json();
    until_issuer(&site, "the list is taken", |issuer| issuer["list"].is_object()).await;

    // The agent chooses the one of the three that the site takes, and nothing is let in by it.
    let asked = enrol(&site, "agent", &pki).await;
    assert_eq!(asked.code, Some(0), "{asked:?}");
    let request = pending(&site).await[0].clone();
    assert!(request["enterprise"]["subject"].as_str().unwrap().contains("CN=pc1"), "{request}");
    for file in ["pc1", "pc2"] {
        let said = knocks_as(&site, &ca, file).await;
        assert!(said.contains("device_not_active"), "{file}: {said}");
    }
    let device = approve(&site, &request).await.json()["id"].as_str().unwrap().to_owned();
    let mut agent = site.agent_run("agent");
    until_online(&site, &device, true).await;

    // Its own certificate is good, and only that one: not another's, not another purpose, not another CA, nor the site's own.
    assert!(knocks_as(&site, &ca, "pc1").await.contains("HTTP/1.1 200 OK"));
    assert!(knocks_as(&site, &ca, "pc2").await.contains("device_not_active"));
    for (ca, file) in [(&ca, "lab"), (&ca, "web"), (&stranger, "pc1")] {
        let said = knocks_as(&site, ca, file).await;
        assert!(said.contains("alert") && !said.contains("HTTP/1.1"), "{file}: {said}");
    }
    let identity: Value = serde_json::from_slice(&std::fs::read(site.path("agent/identity.json")).unwrap()).unwrap();
    let own = BASE64.decode(identity["stage"]["certificates"][0].as_str().unwrap()).unwrap();
    std::fs::write(ca.path("own.der"), own).unwrap();
    ca.openssl(&["x509", "-inform", "DER", "-in", "own.der", "-out", "own.crt"]);
    let said = knocks(&site, &ca.path("own.crt"), &site.path("agent/device.key")).await;
    assert!(said.contains("device_not_active"), "{said}");

    // Another machine with the same subject waits, and is not let in beside the first.
    ca.issue("twin", "/O=Example/CN=pc1", P256);
    let twin = site.path("pki-twin");
    ca.give("twin", &twin);
    assert_eq!(enrol(&site, "twin", &twin).await.code, Some(0));
    let request = pending(&site).await[0].clone();
    assert!(request["conflicts"].to_string().contains("subject of its certificate"), "{request}");
    assert_eq!(approve(&site, &request).await.problem(), "conflict");
    until_online(&site, &device, true).await;

    // The enterprise renews it, with another key: the device says so with its own key, and the one before is worth nothing.
    agent.kill().await.unwrap();
    tokio::time::sleep(Duration::from_millis(1_100)).await;
    ca.issue("pc1-next", "/O=Example/CN=pc1", P256);
    ca.give("pc1-next", &pki);
    let mut agent = site.agent_run("agent");
    let renewed = async {
        while !knocks_as(&site, &ca, "pc1-next").await.contains("HTTP/1.1 200 OK") {
            tokio::time::sleep(Duration::from_millis(300)).await;
        }
    };
    timeout(PATIENCE, renewed).await.unwrap_or_else(|_| panic!("{}", site.log("agent")));
    until_online(&site, &device, true).await;
    assert!(knocks_as(&site, &ca, "pc1").await.contains("device_not_active"));

    // Whoever else has that key and another device key is a second machine: neither goes on until somebody decides.
    let copy = site.path("pki-copy");
    ca.give("pc1-next", &copy);
    assert_eq!(enrol(&site, "copy", &copy).await.code, Some(0));
    until_online(&site, &device, false).await;
    let conflicts = site.muster(&["conflict", "list", "--json"]).await.json();
    let found = conflicts["items"].as_array().unwrap().iter().find(|it| it["kind"] == "enterprise_key");
    assert_eq!(found.unwrap_or_else(|| panic!("{conflicts}"))["device"], device.as_str());
    agent.kill().await.unwrap();
}

// proves S22 S4 S2: a revoked certificate ends what is open; a list that ends shuts out; a list that is wrong is not taken.
#[tokio::test]
async fn lists_of_the_enterprise_are_fetched_judged_and_fail_closed() {
    let site = Site::start().await;
    let (ca, other) = (EnterpriseCa::new(&site.path(""), "machines"), EnterpriseCa::new(&site.path(""), "other"));
    ca.issue("pc1", "/O=Example/CN=pc1", P256);
    ca.issue("pc2", "/O=Example/CN=pc2", P256);
    let old = ca.list(3_600);
    let publisher = Publisher::new(Answer::List(ca.list(3_600))).await;
    let added = add(&site, &ca, &publisher, &[]).await.json();
    until_issuer(&site, "the list is taken", |issuer| issuer["list"].is_object()).await;
    let pki = site.path("pki");
    ca.give("pc1", &pki);
    let asked = enrol(&site, "agent", &pki).await;
    assert_eq!(asked.code, Some(0), "{asked:?}");
    let request = pending(&site).await[0].clone();
    let device = approve(&site, &request).await.json()["id"].as_str().unwrap().to_owned();
    let mut agent = site.agent_run("agent");
    until_online(&site, &device, true).await;
    // Added anew, it is fetched at once.
    let remove = ["issuer", "remove", added["id"].as_str().unwrap(), "--reason", "to fetch at once", "--yes"];
    let again = async |list: Vec<u8>| {
        publisher.set(Answer::List(list));
        assert_eq!(site.muster(&remove).await.code, Some(0));
        add(&site, &ca, &publisher, &[]).await.json();
        until_issuer(&site, "a good list", |issuer| issuer["failure"].is_null() && issuer["tried"].is_number()).await;
    };

    // What is there instead of a newer list is not taken, each for its reason; the last good one stays until its end, and not longer.
    let reason = async |why: &str| {
        until_issuer(&site, why, |issuer| issuer["failure"].as_str().is_some_and(|reason| reason.contains(why))).await;
    };
    again(ca.list(8)).await;
    publisher.set(Answer::List(other.list(3_600)));
    reason("(foreign)").await;
    let issuer = until_issuer(&site, "it ended", |issuer| issuer["warning"].to_string().contains("out of date")).await;
    assert_eq!(issuer["devices"], 1);
    until_online(&site, &device, false).await;
    let said = knocks_as(&site, &ca, "pc1").await;
    assert!(said.contains("alert") && !said.contains("HTTP/1.1"), "{said}");
    let audit = site.muster(&["audit", "list", "--json"]).await.out;
    assert!(audit.contains("issuer_list_end") && audit.contains("issuer_list_fail"), "{audit}");

    // A good one brings everything back; a revoked certificate ends what is open by it, and only that.
    again(ca.list(60)).await;
    until_online(&site, &device, true).await;
    ca.revoke("pc1");
    publisher.set(Answer::List(ca.list(3_600)));
    until_online(&site, &device, false).await;
    let said = knocks_as(&site, &ca, "pc1").await;
    assert!(said.contains("alert certificate revoked") && !said.contains("HTTP/1.1"), "{said}");
    assert!(knocks_as(&site, &ca, "pc2").await.contains("device_not_active"));

    // Taking the issuer away and adding it again does not bring an older list back, on which nobody was revoked.
    assert_eq!(site.muster(&remove).await.code, Some(0));
    publisher.set(Answer::List(old));
    add(&site, &ca, &publisher, &[]).await.json();
    reason("(older)").await;
    let said = knocks_as(&site, &ca, "pc1").await;
    assert!(said.contains("alert certificate revoked"), "{said}");
    assert!(publisher.asked().iter().all(|line| line == "GET /pki/ca.crl HTTP/1.1"), "{:?}", publisher.asked());
    agent.kill().await.unwrap();
}
