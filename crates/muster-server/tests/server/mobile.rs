//! The doors of mobile devices, with other people's clients: strongSwan and OpenSSL by SCEP, strongSwan and curl by EST.

use crate::harness::World;
use muster_model::{
    api::{MobileDevice, MobileToken, MobileTokenCreated, MobileTokenState, Page},
    limits::CERTIFICATE_REQUEST_BYTES,
};
use muster_trust::mobile::{MobileIdentity, issued_mobile};
use serde_json::json;
use std::{
    fs,
    io::Write,
    path::PathBuf,
    process::{Command, Stdio},
};

/// A client's programs in a folder of their own, and the server that they talk to.
struct Lab {
    world: World,
    dir: PathBuf,
}

/// Whether strongSwan's program is here. With `CI=true` it has to be.
fn is_here(test: &str) -> bool {
    if Command::new("pki").arg("--help").stdout(Stdio::null()).stderr(Stdio::null()).status().is_ok() {
        return true;
    }
    let strict = std::env::var("CI").is_ok_and(|value| value == "true" || value == "1");
    assert!(!strict, "{test} was not run, and CI=true allows no skip: strongswan-pki is not installed");
    let line = format!("SKIPPED {test}: strongswan-pki is not installed\n");
    let _ = std::io::stderr().write_all(line.as_bytes());
    if let Some(path) = std::env::var_os("MUSTER_SKIP_LOG")
        && let Ok(mut log) = fs::OpenOptions::new().create(true).append(true).open(path)
    {
        let _ = log.write_all(line.as_bytes());
    }
    false
}

impl Lab {
    async fn new() -> Self {
        let world = World::with(|config| {
            (config.mobile.est_served, config.mobile.legacy_scep) = (true, true);
            config.mobile.est = "127.0.0.1:0".parse().unwrap();
            config.mobile.scep = "127.0.0.1:0".parse().unwrap();
        })
        .await;
        let dir = world.dir.path().join("client");
        fs::create_dir(&dir).unwrap();
        let lab = Self { world, dir };
        let trust = lab.world.server.site().trust.load_full();
        // Its OpenSSL does not know what bounds the names of the issuing CA, and refuses the CA for that otherwise; and its TLS goes
        // up to 1.2 by itself.
        let options = "libstrongswan {\n x509 {\n enforce_critical = no\n }\n}\nlibtls {\n version_max = 1.3\n}\n";
        lab.write("strongswan.conf", options.as_bytes());
        lab.write("issuing.der", trust.keys.issuing.certificate());
        lab.write("root.der", &trust.bundle().root_certificate().unwrap());
        lab.run("openssl", "x509 -inform DER -in root.der -out root.pem").await;
        for key in ["one", "two", "three"] {
            lab.run("openssl", &format!("genrsa -traditional -out {key}.pem 2048")).await;
        }
        lab
    }

    fn write(&self, name: &str, bytes: &[u8]) {
        fs::write(self.dir.join(name), bytes).unwrap();
    }

    fn read(&self, name: &str) -> Vec<u8> {
        fs::read(self.dir.join(name)).unwrap()
    }

    /// Runs a program; what it printed, or what it complained of.
    async fn tries(&self, program: &str, arguments: &str) -> Result<Vec<u8>, String> {
        let mut command = Command::new(program);
        command.args(arguments.split_whitespace()).current_dir(&self.dir).stdin(Stdio::null());
        command.env("STRONGSWAN_CONF", self.dir.join("strongswan.conf"));
        let done = tokio::task::spawn_blocking(move || command.output()).await.unwrap();
        let done = done.unwrap_or_else(|error| panic!("{program} does not start: {error}"));
        if done.status.success() { Ok(done.stdout) } else { Err(String::from_utf8_lossy(&done.stderr).into_owned()) }
    }

    async fn run(&self, program: &str, arguments: &str) -> Vec<u8> {
        let done = self.tries(program, arguments).await;
        done.unwrap_or_else(|error| panic!("{program} {arguments}: {error}"))
    }

    async fn token(&self, class: &str) -> MobileTokenCreated {
        let request = json!({"name": "a test", "class": class, "user": "Grace"});
        self.world.post(&self.world.alice, "/mobile/tokens", &request).await.json()
    }

    fn says(&self, certificate: &[u8]) -> MobileIdentity {
        let issuing = self.world.server.site().trust.load().bundle().issuing_certificates().unwrap();
        issued_mobile(certificate, &issuing, self.world.server.site().sources.now()).unwrap()
    }

    async fn devices(&self) -> Vec<MobileDevice> {
        let page: Page<MobileDevice> = self.world.get(&self.world.alice, "/mobile/devices").await.json();
        page.items
    }

    fn scep(&self) -> String {
        self.world.server.urls().scep.clone().unwrap()
    }

    fn est(&self) -> String {
        self.world.server.urls().est.clone().unwrap()
    }
}

#[tokio::test]
async fn strongswan_enrols_and_renews_by_scep_and_a_wrong_challenge_is_a_signed_failure() {
    if !is_here("SCEP with strongSwan") {
        return;
    }
    let lab = Lab::new().await;
    let url = lab.scep();
    lab.run("pki", &format!("--scepca --url {url} --caout ca.der --raout ra.der --force")).await;
    let mut fetched: Vec<_> = fs::read_dir(&lab.dir).unwrap().map(|entry| entry.unwrap().file_name()).collect();
    fetched.sort();
    let authority = fs::read(lab.world.site_dir().join("keys/scep-authority.crt")).unwrap();
    lab.write("authority.der", &authority);
    assert!(fetched.iter().any(|name| lab.read(&name.to_string_lossy()) == authority), "{fetched:?}");
    let trusted = "--cacert-enc authority.der --cacert-sig authority.der --cacert issuing.der --cacert root.der";
    let asks = |key: &str, password: &str| {
        format!("--scep --url {url} --in {key}.pem --dn CN=anything --san evil.example --password {password} {trusted}")
    };
    // proves I4: what the token says stands in the certificate, and nothing of what was asked.
    let made = lab.token("equipment").await;
    let first = lab.run("pki", &asks("one", &made.challenge)).await;
    lab.write("first.der", &first);
    let says = lab.says(&first);
    assert_eq!(says.class.as_str(), "equipment");
    let text = String::from_utf8(lab.run("openssl", "x509 -inform DER -in first.der -noout -text").await).unwrap();
    assert!(text.contains(&format!("URI:urn:muster:ABC:mobile:equipment:{}", says.device)), "{text}");
    assert!(!text.contains("evil") && !text.contains("anything"), "{text}");
    lab.run("openssl", "x509 -inform DER -in issuing.der -out issuing.pem").await;
    lab.run("openssl", "x509 -inform DER -in first.der -out first.pem").await;
    lab.run("openssl", "verify -purpose sslclient -CAfile root.pem -untrusted issuing.pem first.pem").await;

    for wrong in ["wrong", &made.challenge] {
        let refused = lab.tries("pki", &asks("two", wrong)).await.unwrap_err();
        assert!(refused.contains("badRequest") || refused.contains("transaction not permitted"), "{refused}");
    }
    let renewing = format!("--scep --url {url} --in two.pem --dn CN=anything --cert first.der --key one.pem {trusted}");
    let second = lab.run("pki", &renewing).await;
    let renewed = lab.says(&second);
    assert_eq!((renewed.device, renewed.class), (says.device, says.class));
    assert_ne!((&renewed.serial, renewed.key), (&says.serial, says.key));
    let again = format!("--scep --url {url} --in three.pem --dn CN=anything --cert first.der --key one.pem {trusted}");
    assert!(lab.tries("pki", &again).await.is_err(), "the certificate before is at work no more");
    let [device] = &lab.devices().await[..] else { panic!("one device") };
    assert_eq!((device.id, device.serial.as_deref()), (says.device, Some(renewed.serial.as_str())));
    let tokens: Page<MobileToken> = lab.world.get(&lab.world.alice, "/mobile/tokens").await.json();
    assert_eq!((tokens.items[0].state, tokens.items[0].used_by), (MobileTokenState::Used, Some(says.device)));
}

#[tokio::test]
async fn strongswan_and_curl_enrol_and_renew_by_est() {
    if !is_here("EST with strongSwan") {
        return;
    }
    let lab = Lab::new().await;
    let url = lab.est();
    let base = format!("{url}/.well-known/est");
    let chain = lab.run("curl", &format!("-sS --fail --cacert root.pem {base}/cacerts")).await;
    lab.write("chain.b64", &chain);
    lab.run("openssl", "base64 -d -A -in chain.b64 -out chain.p7").await;
    let shown = String::from_utf8(lab.run("openssl", "pkcs7 -inform DER -in chain.p7 -print_certs").await).unwrap();
    assert!(shown.contains("issuing CA") && shown.contains("trusted root"), "{shown}");

    // strongSwan, a first certificate and the next.
    let made = lab.token("android").await;
    lab.run("openssl", "req -new -key one.pem -subj /CN=anything -outform DER -out one.csr").await;
    lab.run("openssl", "req -new -key two.pem -subj /CN=anything -outform DER -out two.csr").await;
    let asks = |password: &str| {
        format!(
            "--est --url {url} --in one.csr --cacert root.der --cacert issuing.der --userpass {}:{password}",
            made.id
        )
    };
    assert!(lab.tries("pki", &asks("wrong")).await.is_err());
    let first = lab.run("pki", &asks(&made.challenge)).await;
    lab.write("first.der", &first);
    let says = lab.says(&first);
    assert_eq!(says.class.as_str(), "android");
    let renewing = "--in two.csr --cacert root.der --cacert issuing.der --cert first.der --key one.pem";
    let second = lab.run("pki", &format!("--est --url {url} {renewing}")).await;
    assert_eq!(lab.says(&second).device, says.device);

    // curl, with a key on a curve; and who is refused, and how.
    lab.run("openssl", "ecparam -genkey -name secp384r1 -noout -out ec.pem").await;
    lab.run("openssl", "req -new -key ec.pem -subj /CN=anything -outform DER -out ec.csr").await;
    lab.run("openssl", "base64 -in ec.csr -out ec.b64").await;
    lab.write("large.b64", &vec![b'A'; CERTIFICATE_REQUEST_BYTES + 1]);
    let curl = format!("-sS --cacert root.pem -H Content-Type:application/pkcs10 -w %{{http_code}} {base}");
    let made = lab.token("apple").await;
    let status = async |rest: &str| {
        let answer = lab.run("curl", &format!("{curl}{rest}")).await;
        String::from_utf8(answer[answer.len() - 3..].to_vec()).unwrap()
    };
    let user = format!("--user {}:{}", made.id, made.challenge);
    assert_eq!(status("/simpleenroll --data-binary @ec.b64").await, "401");
    assert_eq!(status(&format!("/simpleenroll --data-binary @ec.b64 --user {}:wrong", made.id)).await, "403");
    assert_eq!(status(&format!("/simpleenroll --data-binary @large.b64 {user}")).await, "413");
    assert_eq!(status(&format!("/simpleenroll --data-binary @root.pem {user}")).await, "400");
    assert_eq!(status("/simplereenroll --data-binary @ec.b64").await, "403");
    assert_eq!(status(&format!("/serverkeygen --data-binary @ec.b64 {user}")).await, "404");
    assert_eq!(status(&format!("/simpleenroll --data-binary @ec.b64 {user}")).await, "200");
    let devices = lab.devices().await;
    assert_eq!(devices.iter().map(|device| device.class.as_str()).collect::<Vec<_>>(), ["apple", "android"]);
}

#[tokio::test]
async fn the_doors_of_mobile_devices_are_shut_unless_they_are_opened() {
    let world = World::new().await;
    assert_eq!((&world.server.urls().est, &world.server.urls().scep), (&None, &None));
    assert!(!world.site_dir().join("keys/scep-authority.rsa.pem").exists());
}
