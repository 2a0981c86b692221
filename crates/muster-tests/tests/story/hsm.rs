//! The site's keys in a PKCS#11 token: SoftHSM holds them, a real server uses them, and OpenSSL judges what was signed.

use crate::harness::{Ran, Site};
use base64::{Engine, engine::general_purpose::STANDARD as BASE64};
use serde_json::Value;
use std::{os::unix::fs::PermissionsExt, path::Path, process::Command, time::Duration};

const MODULE: &str = "/usr/lib/softhsm/libsofthsm2.so";

impl Site {
    /// Gives this site a token, and names it in the configuration. `None`: SoftHSM is not on this machine.
    async fn start_with_token() -> Option<Self> {
        if !Path::new(MODULE).exists() {
            muster_tests::skip::loudly("the site's keys in a PKCS#11 token", "the Debian package softhsm2 is missing");
            return None;
        }
        let mut site = Self::start().await;
        std::fs::create_dir(site.path("tokens")).unwrap();
        let config = site.path("softhsm2.conf");
        std::fs::write(&config, format!("directories.tokendir = {}\n", site.path("tokens").display())).unwrap();
        let init = ["--init-token", "--free", "--label", "muster", "--so-pin", "12345678", "--pin", "8642"];
        let made = Command::new("softhsm2-util").args(init).env("SOFTHSM2_CONF", &config).output().unwrap();
        assert!(made.status.success(), "{made:?}");
        let pin = site.path("site/keys/token.pin");
        std::fs::write(&pin, "8642\n").unwrap();
        std::fs::set_permissions(&pin, std::fs::Permissions::from_mode(0o600)).unwrap();
        let file = site.path("site/musterd.toml");
        let text = std::fs::read_to_string(&file).unwrap();
        let named = text.replace("[pkcs11]\n", &format!("[pkcs11]\nmodule = \"{MODULE}\"\n"));
        assert_ne!(named, text);
        std::fs::write(&file, named).unwrap();
        site.with_env("SOFTHSM2_CONF", &config.display().to_string());
        site.kill_server().await;
        site.serve().await;
        Some(site)
    }

    /// `musterd` on this site's directory.
    async fn musterd(&self, arguments: &[&str]) -> Ran {
        let dir = self.path("site").display().to_string();
        self.musterd_run(&[arguments, &["--dir", &dir]].concat()).await
    }

    /// The same, with the root key at hand.
    async fn with_root(&self, arguments: &[&str]) -> String {
        let passphrase = self.path("site/offline/root.passphrase").display().to_string();
        let ran = self.musterd(&[arguments, &["--passphrase-file", &passphrase]].concat()).await;
        assert_eq!(ran.code, Some(0), "{ran:?}");
        ran.out
    }

    fn openssl(&self, arguments: &[&str]) -> String {
        let done = Command::new("openssl").args(arguments).current_dir(self.path("")).output().unwrap();
        let said = format!("{}{}", String::from_utf8_lossy(&done.stdout), String::from_utf8_lossy(&done.stderr));
        assert!(done.status.success(), "{arguments:?} {said}");
        said
    }

    /// The trust bundle, once the running server has taken that version.
    async fn follows(&self, version: u64) -> Value {
        for _ in 0..100 {
            let bundle: Value = self.muster(&["trust", "show", "--json"]).await.json();
            if bundle["version"] == version {
                return bundle;
            }
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
        panic!("the server does not follow: {}", self.log("musterd"));
    }

    fn key_files(&self) -> Vec<String> {
        let names = std::fs::read_dir(self.path("site/keys")).unwrap();
        let names = names.map(|entry| entry.unwrap().file_name().to_string_lossy().into_owned());
        names.filter(|name| name.ends_with(".key.pem")).collect()
    }
}

// proves S10: the keys that sign policy and certificates can be where nobody can take them from.
#[tokio::test]
async fn the_keys_of_a_site_live_in_a_token() {
    let Some(mut site) = Site::start_with_token().await else { return };
    let before = site.key_files();
    let said = site.with_root(&["trust", "rotate", "policy"]).await;
    assert!(said.contains("Token(\"muster\")"), "{said}");
    site.with_root(&["trust", "rotate", "issuing"]).await;
    assert_eq!(site.key_files(), before, "no new key is a file");
    let bundle = site.follows(3).await;
    let unused = |purpose: &str| {
        let keys = bundle["keys"].as_array().unwrap();
        let old = keys.iter().find(|key| key["purpose"] == purpose && key["in_use"] == false);
        old.unwrap_or_else(|| panic!("{bundle}"))["key"].as_str().unwrap().to_owned()
    };
    for old in [unused("policy"), unused("issuing")] {
        site.with_root(&["trust", "revoke", &old]).await;
    }
    // From here on there is no other key than those in the token.
    for name in site.key_files() {
        std::fs::remove_file(site.path("site/keys").join(name)).unwrap();
    }
    site.kill_server().await;
    site.serve().await;
    let doctor = site.musterd(&["doctor"]).await;
    assert!(doctor.out.contains("ok    keys"), "{doctor:?}");
    let (device, mut agent) = site.managed("agent").await;
    site.until("the policy that the token signed", async |client| {
        let detail = client.device_show(device.parse().unwrap()).await?.value;
        Ok((detail.policy_confirmed.is_some() && detail.policy_trust_version == 5).then_some(()))
    })
    .await;

    // OpenSSL believes the certificate and the list that the token's key signed.
    let identity: Value = serde_json::from_slice(&std::fs::read(site.path("agent/identity.json")).unwrap()).unwrap();
    for (name, at) in [("leaf", 0), ("issuing", 1)] {
        let der = BASE64.decode(identity["stage"]["certificates"][at].as_str().unwrap()).unwrap();
        std::fs::write(site.path(&format!("{name}.der")), der).unwrap();
        site.openssl(&["x509", "-inform", "DER", "-in", &format!("{name}.der"), "-out", &format!("{name}.pem")]);
    }
    site.openssl(&["x509", "-inform", "DER", "-in", "site/keys/root.crt.der", "-out", "root.pem"]);
    let verdict = site.openssl(&["verify", "-CAfile", "root.pem", "-untrusted", "issuing.pem", "leaf.pem"]);
    assert!(verdict.contains("leaf.pem: OK"), "{verdict}");
    let urls: Value = serde_json::from_slice(&std::fs::read(site.path("site/run/addresses.json")).unwrap()).unwrap();
    let lists = site.muster(&["revocation", "show", "--json"]).await.json();
    let issuer = lists["lists"][0]["issuer"].as_str().unwrap().to_owned();
    let address = format!("{}/crl/{issuer}.crl", urls["revocation"].as_str().unwrap());
    let said = site.openssl(&["crl", "-inform", "DER", "-in", &address, "-CAfile", "issuing.pem", "-noout"]);
    assert!(said.contains("verify OK"), "{said}");

    // The token is pulled out: what needs a signature fails and says so, and goes on when it is back.
    std::fs::rename(site.path("tokens"), site.path("elsewhere")).unwrap();
    let token = site.token("late").await.display().to_string();
    let asked = site.agent("late", &["enrol", "--token", &token]).await;
    assert_ne!(asked.code, Some(0), "nothing is signed without the key: {asked:?}");
    assert!(site.log("musterd").contains("did not sign"), "{}", site.log("musterd"));
    std::fs::rename(site.path("elsewhere"), site.path("tokens")).unwrap();
    let mut last = None;
    for _ in 0..50 {
        let asked = site.agent("late", &["enrol", "--token", &token]).await;
        let done = asked.code == Some(0);
        last = Some(asked);
        if done {
            break;
        }
        tokio::time::sleep(Duration::from_millis(200)).await;
    }
    assert_eq!(last.as_ref().unwrap().code, Some(0), "{last:?} {}", site.log("musterd"));
    agent.kill().await.unwrap();

    // A server that cannot open its token does not start, and says why.
    site.kill_server().await;
    std::fs::write(site.path("site/keys/token.pin"), "0000\n").unwrap();
    let doctor = site.musterd(&["doctor"]).await;
    assert!(doctor.code != Some(0) && doctor.out.contains("the PIN is not the token's"), "{doctor:?}");
}
