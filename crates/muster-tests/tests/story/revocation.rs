//! Revocation as a foreign judge sees it: OpenSSL reads the lists, asks the responder and shakes hands, before and after an
//! administrator decides.

use crate::harness::{Ran, Site};
use base64::{Engine, engine::general_purpose::STANDARD as BASE64};
use muster_trust::{
    PrivateKey,
    certificate::{self, IssuingCa},
};
use serde_json::Value;
use std::{process::Stdio, time::Duration};
use tokio::{io::AsyncWriteExt, process::Command, time::timeout};

const PATIENCE: Duration = Duration::from_secs(20);
/// With what the server's key files are encrypted.
const KEY_OF_KEYS: &str = "site/keys/site.key";

/// What the judge works with: files in the story's directory, and the addresses of the site.
struct Judge<'a> {
    site: &'a Site,
    published: String,
    point: String,
}

impl<'a> Judge<'a> {
    /// With the certificate and key of the device whose state directory has that name.
    async fn of(site: &'a Site, agent: &str) -> Self {
        let urls: Value = json(site, "site/run/addresses.json");
        let identity = json(site, &format!("{agent}/identity.json"));
        let text = |value: &Value| value.as_str().unwrap().to_owned();
        let judge = Self { site, published: text(&urls["revocation"]), point: text(&urls["management_point"]) };
        std::fs::write(site.path("leaf.der"), BASE64.decode(text(&identity["stage"]["certificates"][0])).unwrap())
            .unwrap();
        for (name, der) in [
            ("root", "site/keys/root.crt.der".to_owned()),
            ("issuing", "site/keys/issuing.crt.der".to_owned()),
            ("leaf", "leaf.der".to_owned()),
        ] {
            let out = format!("{name}.pem");
            judge.good(&["x509", "-inform", "DER", "-in", &der, "-out", &out]).await;
        }
        std::fs::copy(site.path(&format!("{agent}/device.key")), site.path("leaf.key")).unwrap();
        judge
    }

    /// OpenSSL in the story's directory.
    async fn openssl(&self, arguments: &[&str], input: &str) -> Ran {
        let mut child = Command::new("openssl")
            .args(arguments)
            .current_dir(self.site.path(""))
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .kill_on_drop(true)
            .spawn()
            .unwrap();
        let mut stdin = child.stdin.take().unwrap();
        // It may have ended before it read.
        drop(stdin.write_all(input.as_bytes()).await);
        drop(stdin);
        let output = timeout(PATIENCE, child.wait_with_output()).await.expect("openssl ends").unwrap();
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        Ran { code: output.status.code(), out: text(&output.stdout), err: text(&output.stderr) }
    }

    async fn good(&self, arguments: &[&str]) -> String {
        let ran = self.openssl(arguments, "").await;
        assert_eq!(ran.code, Some(0), "{arguments:?} {ran:?}");
        ran.out
    }

    /// Fetches and verifies the list of a CA; the text of it.
    async fn list(&self, of: &str) -> String {
        let state = self.site.muster(&["revocation", "show", "--json"]).await.json();
        let list = state["lists"].as_array().unwrap().iter().find(|list| list["of"] == of).unwrap().clone();
        assert!(list["warning"].is_null(), "{list}");
        let address = format!("{}/crl/{}.crl", self.published, list["issuer"].as_str().unwrap());
        let (ca, out) = (format!("{of}.pem"), format!("{of}.crl.pem"));
        let fetch = ["crl", "-inform", "DER", "-in", &address, "-CAfile", &ca, "-out", &out];
        let ran = self.openssl(&fetch, "").await;
        assert!(ran.code == Some(0) && ran.err.contains("verify OK"), "{ran:?}");
        self.good(&["crl", "-in", &out, "-noout", "-text"]).await
    }

    /// `openssl verify` with the lists of both CAs.
    async fn verify(&self) -> Ran {
        self.list("root").await;
        self.list("issuing").await;
        let lists = ["-CRLfile", "issuing.crl.pem", "-CRLfile", "root.crl.pem"];
        let whom = ["-CAfile", "root.pem", "-untrusted", "issuing.pem", "leaf.pem"];
        self.openssl(&[&["verify", "-crl_check_all"], &lists[..], &whom[..]].concat(), "").await
    }

    /// What the responder says, after checking that it signed it.
    async fn ocsp(&self, about: &[&str]) -> String {
        let url = format!("{}/ocsp", self.published);
        let ask = ["ocsp", "-issuer", "issuing.pem", "-CAfile", "root.pem", "-url", &url];
        let ran = self.openssl(&[&ask[..], about].concat(), "").await;
        assert!(ran.code == Some(0) && ran.err.contains("Response verify OK"), "{ran:?}");
        ran.out
    }

    /// A request to the management point with the device's certificate.
    async fn shakes_hands(&self) -> String {
        let address = self.point.strip_prefix("https://").unwrap();
        let who = [
            "-cert",
            "leaf.pem",
            "-key",
            "leaf.key",
            "-cert_chain",
            "issuing.pem",
            "-CAfile",
            "root.pem",
            "-verify_return_error",
        ];
        let ask = "GET /mp/v1/assignment HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n";
        let ran =
            self.openssl(&[&["s_client", "-connect", address, "-status", "-ign_eof"], &who[..]].concat(), ask).await;
        ran.out + &ran.err
    }

    /// Waits until the published list of the issuing CA has `text`, or has it no more.
    async fn until_listed(&self, text: &str, wanted: bool) {
        let listed = async {
            while self.list("issuing").await.contains(text) != wanted {
                tokio::time::sleep(Duration::from_millis(100)).await;
            }
        };
        timeout(PATIENCE, listed).await.unwrap_or_else(|_| panic!("{text}: not {wanted} in time"));
    }
}

fn json(site: &Site, file: &str) -> Value {
    serde_json::from_slice(&std::fs::read(site.path(file)).unwrap()).unwrap()
}

// proves S2 S22 S4 S23 I5
#[tokio::test]
async fn a_foreign_judge_sees_who_is_revoked_and_who_is_not() {
    let site = Site::start().await;
    let (device, mut agent) = site.managed("agent").await;
    agent.kill().await.unwrap();
    let judge = Judge::of(&site, "agent").await;

    // Good, by every way; the server shows the proof of its own certificate in the handshake.
    assert!(judge.verify().await.out.contains("leaf.pem: OK"));
    assert!(judge.ocsp(&["-cert", "leaf.pem"]).await.contains("leaf.pem: good"));
    assert!(judge.ocsp(&["-cert", "leaf.pem", "-no_nonce"]).await.contains("leaf.pem: good"));
    assert!(judge.ocsp(&["-sha256", "-cert", "leaf.pem"]).await.contains("leaf.pem: good"));
    assert!(judge.ocsp(&["-serial", "0x1234"]).await.contains("0x1234: unknown"));
    let said = judge.shakes_hands().await;
    assert!(said.contains("OCSP Response Status: successful") && said.contains("Cert Status: good"), "{said}");
    assert!(said.contains("HTTP/1.1 200 OK"), "{said}");

    // On hold: refused at once, in the handshake, and every judge can know why.
    let decide = async |verb: &str| {
        site.muster(&["device", verb, &device, "--reason", "story", "--yes", "--json"]).await.json();
    };
    decide("block").await;
    let said = judge.shakes_hands().await;
    assert!(said.contains("alert certificate revoked") && !said.contains("HTTP/1.1"), "{said}");
    assert!(judge.ocsp(&["-cert", "leaf.pem"]).await.contains("Reason: certificateHold"));
    judge.until_listed("Certificate Hold", true).await;
    let verdict = judge.verify().await;
    assert!(verdict.code != Some(0) && verdict.err.contains("certificate revoked"), "{verdict:?}");

    // And in again.
    decide("unblock").await;
    assert!(judge.shakes_hands().await.contains("HTTP/1.1 200 OK"));
    assert!(judge.ocsp(&["-cert", "leaf.pem"]).await.contains("leaf.pem: good"));
    judge.until_listed("Certificate Hold", false).await;
    assert!(judge.verify().await.out.contains("leaf.pem: OK"));

    // For good: no unblocking brings it back.
    let revoke = ["device", "revoke", &device, "--reason", "stolen key", "--code", "key_compromise", "--yes", "--json"];
    site.muster(&revoke).await.json();
    assert!(judge.shakes_hands().await.contains("alert certificate revoked"));
    decide("block").await;
    decide("unblock").await;
    assert!(judge.ocsp(&["-cert", "leaf.pem"]).await.contains("Reason: keyCompromise"));
    judge.until_listed("Key Compromise", true).await;
    let again = site.muster(&revoke).await;
    assert_eq!(again.problem(), "conflict", "there is nothing left to revoke");
}

// proves S22: a server whose certificate is revoked shows another one at once, and its devices stay.
#[tokio::test]
async fn a_server_whose_certificate_is_revoked_gets_another_one() {
    let site = Site::start().await;
    let (device, mut agent) = site.managed("agent").await;
    let judge = Judge::of(&site, "agent").await;
    let servers = async || {
        let all = site.muster(&["certificate", "list", "--json"]).await.json();
        let servers: Vec<Value> =
            all["items"].as_array().unwrap().iter().filter(|c| c["kind"] == "server").cloned().collect();
        servers
    };
    let serial = servers().await[0]["serial"].as_str().unwrap().to_owned();
    let shown = |said: &str| {
        let line = said.lines().find(|line| line.contains("Serial Number:")).unwrap_or_else(|| panic!("{said}"));
        line.rsplit(' ').next().unwrap().to_lowercase()
    };
    assert_eq!(shown(&judge.shakes_hands().await), serial);
    let revoke = ["certificate", "revoke", &serial, "--reason", "story", "--code", "key_compromise", "--yes", "--json"];
    site.muster(&revoke).await.json();
    let renewed = async {
        while shown(&judge.shakes_hands().await) == serial {
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    };
    timeout(PATIENCE, renewed).await.expect("another certificate in time");
    assert!(judge.ocsp(&["-serial", &format!("0x{serial}")]).await.contains("Reason: keyCompromise"));
    assert_eq!(servers().await.len(), 2);
    site.until("the device to be online", async |client| {
        Ok(client.device_show(device.parse().unwrap()).await?.value.device.online.then_some(()))
    })
    .await;
    agent.kill().await.unwrap();
}

// proves S22: a thief of the issuing CA's key has no certificate for a server of any other name, by the judge's reading.
#[tokio::test]
async fn a_stolen_issuing_key_names_no_other_server() {
    let site = Site::start().await;
    let (_, mut agent) = site.managed("agent").await;
    agent.kill().await.unwrap();
    let judge = Judge::of(&site, "agent").await;
    let read = |file: &str| std::fs::read_to_string(site.path(file)).unwrap();
    let key = PrivateKey::from_pem(&read("site/keys/issuing.key.pem"), Some(read(KEY_OF_KEYS).as_bytes())).unwrap();
    // The thief's own program asks for no bounds: the same CA by name and key, certified by nobody.
    let (code, now) = ("TST".parse().unwrap(), muster_tests::fleet::clock::now());
    let nobody = PrivateKey::generate().unwrap();
    let root = certificate::root(code, &nobody, now).unwrap();
    let unbounded = certificate::issuing(code, &root, &nobody, key.public(), &[], now).unwrap();
    let thief = IssuingCa::new(unbounded, &key).unwrap();
    for (name, verdict) in
        [("localhost", None), ("login.example", Some("permitted subtree")), ("10.0.0.1", Some("permitted subtree"))]
    {
        let leaf = thief.server(&[name.to_owned()], nobody.public(), now).unwrap();
        std::fs::write(site.path("stolen.der"), leaf.der).unwrap();
        judge.good(&["x509", "-inform", "DER", "-in", "stolen.der", "-out", "stolen.pem"]).await;
        let ran =
            judge.openssl(&["verify", "-CAfile", "root.pem", "-untrusted", "issuing.pem", "stolen.pem"], "").await;
        match verdict {
            None => assert!(ran.out.contains("stolen.pem: OK"), "{ran:?}"),
            Some(why) => assert!(ran.code != Some(0) && ran.err.contains(why), "{name} {ran:?}"),
        }
    }
}
