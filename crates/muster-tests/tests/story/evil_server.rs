//! The evil-server game: somebody owns the site's server, its database, its content and every key that it works with, and wants one
//! program of their own to run on a client. They lose, because what runs is signed by authors whom the root key names.

use crate::{harness::Site, loop_closes::added};
use muster_cli::profile::ProfileDir;
use muster_model::{
    Signed,
    application::{Application, Command, Detection, Platform},
    id::{ApplicationId, DeploymentId, Hash},
    policy::DeploymentPolicy,
    secret::SecretBinding,
    time::UnixMillis,
};
use muster_trust::{
    PrivateKey, PublicKey, envelope,
    secret::{open_statement, seal},
    sha256,
};
use rusqlite::params;
use std::{
    fs,
    path::{Path, PathBuf},
};

/// Whoever owns the server, while it stands still.
struct Owner {
    dir: PathBuf,
    database: rusqlite::Connection,
    device: String,
    /// The game is won by a file in here: it is what the attacker's programs make.
    trophies: PathBuf,
}

impl Owner {
    fn new(site: &Site, device: &str) -> Self {
        let dir = site.path("site");
        let database = rusqlite::Connection::open(dir.join("site.db")).unwrap();
        let trophies = site.path("trophies");
        fs::create_dir_all(&trophies).unwrap();
        Self { dir, database, device: device.to_owned(), trophies }
    }

    /// A key that the server works with: whoever owns the server has what opens it.
    fn online_key(&self, name: &str) -> PrivateKey {
        let pem = fs::read_to_string(self.dir.join("keys").join(name)).unwrap();
        PrivateKey::from_pem(&pem, Some(&fs::read(self.dir.join("keys/site.key")).unwrap())).unwrap()
    }

    /// The signed object of an application that the site has.
    fn object(&self, hash: &str) -> Vec<u8> {
        let statement = "SELECT object FROM application WHERE hash = ?1";
        self.database.query_row(statement, [hash], |row| row.get(0)).unwrap()
    }

    /// An application whose installer makes the trophy of this name.
    fn application(&self, name: &str) -> Application {
        let trophy = self.trophies.join(name).display().to_string();
        Application {
            id: ApplicationId(uuid::Uuid::new_v4()),
            name: name.parse().unwrap(),
            version: "1".to_owned(),
            platform: Platform::Linux,
            content: Vec::new(),
            install: Command {
                program: "/usr/bin/touch".to_owned(),
                arguments: vec![trophy.clone()],
                success_codes: vec![0],
            },
            detection: Detection::File { path: trophy, hash: None },
            secrets: Vec::new(),
            collector: None,
            uninstall: None,
            repair: None,
            requirements: Vec::new(),
            return_codes: Vec::new(),
            retries: None,
            dependencies: Vec::new(),
            supersedes: Vec::new(),
            type_name: None,
            types: Vec::new(),
            parameters: Vec::new(),
            max_run_seconds: 30,
        }
    }

    /// Puts an object and its deployment into the database as the rules would, which are not asked.
    fn deploy(&self, object: &[u8], name: &str) -> DeploymentId {
        let now = UnixMillis(1);
        let (hash, id) = (sha256(object), uuid::Uuid::new_v4());
        let deployment = DeploymentId(id);
        let policy = DeploymentPolicy {
            deployment,
            application: hash,
            available: now,
            deadline: now,
            outside_windows: false,
            volatile: false,
            software_update: false,
            action: muster_model::policy::Action::Install,
            purpose: muster_model::policy::Purpose::Required,
            related: Vec::new(),
            deferral: None,
            attempt: 0,
            options: muster_model::program::DeploymentOptions::default(),
            needs: Vec::new(),
        };
        let body = serde_json::to_vec(&policy).unwrap();
        let (size, body_hash) = (i64::try_from(body.len()).unwrap(), sha256(&body));
        let object_size = i64::try_from(object.len()).unwrap();
        let text = |hash: Hash| hash.to_string();
        let run = |statement: &str, values: &[&dyn rusqlite::ToSql]| self.database.execute(statement, values).unwrap();
        run(
            "INSERT OR IGNORE INTO application (hash, id, name, version, object, authors, content_size, created)
             VALUES (?1, ?2, ?3, '1', ?4, '[]', 0, ?5)",
            params![text(hash), id.to_string(), name, object, now.0],
        );
        run(
            "INSERT INTO policy_body (hash, kind, bytes, created) VALUES (?1, 'deployment', ?2, ?3)",
            params![text(body_hash), body, now.0],
        );
        run(
            "INSERT INTO deployment (id, name, application, application_size, target_device, available, deadline,
             policy_body, policy_size, created, created_by, revision)
             VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?6, ?7, ?8, ?6, 'Ada', 1)",
            params![id.to_string(), name, text(hash), object_size, self.device, now.0, text(body_hash), size],
        );
        run(
            "INSERT INTO deployment_device (deployment, device, state, output, changed) VALUES (?1, ?2, 'targeted', '', ?3)",
            params![id.to_string(), self.device, now.0],
        );
        run(
            "INSERT INTO job (kind, subject, due, attempts) SELECT 'policy_compile', ?1, 0, 0
             WHERE NOT EXISTS (SELECT 1 FROM job WHERE kind = 'policy_compile' AND subject = ?1)",
            params![self.device],
        );
        deployment
    }
}

fn sign(keys: &[&PrivateKey], application: &Application) -> Vec<u8> {
    envelope::sign(keys, Application::TYPE, serde_json::to_vec(application).unwrap()).unwrap()
}

#[tokio::test]
async fn whoever_owns_the_server_runs_nothing_on_a_client() {
    // proves S10, I2: with the server, its database, its content and every online key, no byte of the attacker's own is run.
    let mut site = Site::start().await;
    let (device, mut agent) = site.managed("agent").await;
    let good = added(&site, "good", "/usr/bin/install").await;
    let altered = added(&site, "altered", "/usr/bin/install").await;
    let create = ["deployment", "create", &good, "--device", &device, "--yes", "--json"];
    let control = site.muster(&create).await.json()["id"].as_str().unwrap().to_owned();
    let watched = site.muster(&["deployment", "watch", &control, "--timeout", "60s"]).await;
    assert_eq!(watched.code, Some(0), "what an author signed is run: {watched:?}");
    let hello = fs::read(site.path("altered/hello.txt")).unwrap();

    site.kill_server().await;
    let owner = Owner::new(&site, &device);
    let genuine = owner.object(&good);
    let stranger = PrivateKey::generate().unwrap();
    let policy = owner.online_key("policy.key.pem");
    let issuing = owner.online_key("issuing.key.pem");
    let evil = |name: &str| owner.application(name);
    let mut evils = vec![
        owner.deploy(&sign(&[&stranger], &evil("stranger")), "signed by a stranger"),
        owner.deploy(&sign(&[&policy], &evil("policy")), "signed by the policy key"),
        owner.deploy(&sign(&[&issuing], &evil("issuing")), "signed by the issuing key"),
        owner.deploy(&sign(&[&stranger, &policy, &issuing], &evil("all")), "signed by all of them"),
    ];
    // The author's own signature over other bytes: one letter of a path in the signed payload.
    let mut bytes = genuine.clone();
    let at = bytes.windows(8).position(|window| window == b"/install").unwrap();
    bytes[at + 1] = b'I';
    evils.push(owner.deploy(&bytes, "altered after signing"));
    // The author's application, under whose hash the content store has other bytes.
    let hash = sha256(&hello).to_string();
    let stored = walk(&owner.dir.join("content")).into_iter().find(|path| fs::read(path).unwrap() == hello).unwrap();
    let other: Vec<u8> = hello.iter().map(|byte| byte ^ 0x20).collect();
    fs::write(&stored, other).unwrap();
    let object = owner.object(&altered);
    let content = owner.deploy(&object, "content altered in the store");
    drop(owner);

    site.serve().await;
    for deployment in &evils {
        let failed = state(&site, &deployment.to_string()).await;
        assert_eq!(failed, ("failed".to_owned(), "not_signed".to_owned()), "{deployment}");
    }
    let fetched = state(&site, &content.to_string()).await;
    assert_eq!(fetched, ("failed".to_owned(), "content_altered".to_owned()), "{hash}");
    let trophies: Vec<_> = fs::read_dir(site.path("trophies")).unwrap().collect();
    assert!(trophies.is_empty(), "the game is lost: {trophies:?}");
    assert!(!site.path("altered/installed/hello.txt").exists(), "altered content was installed");
    assert!(agent.try_wait().unwrap().is_none(), "the client goes on");
    agent.kill().await.unwrap();
}

/// A secret for the device, as whoever owns the database puts it in.
fn plant(owner: &Owner, keys: &[&PrivateKey], application: ApplicationId) {
    let read = "SELECT k.envelope, d.spki FROM sealing_key k JOIN device d ON d.id = k.device WHERE d.id = ?1";
    let row = |row: &rusqlite::Row<'_>| Ok((row.get::<_, Vec<u8>>(0)?, row.get::<_, Vec<u8>>(1)?));
    let (statement, spki) = owner.database.query_row(read, [&owner.device], row).unwrap();
    let (to, said) = open_statement(&statement, &PublicKey::from_spki(&spki).unwrap()).unwrap();
    let (name, version) = ("token".parse().unwrap(), UnixMillis(1));
    let binding = SecretBinding { site: said.site, device: said.device, application, name, version };
    let sealed = seal(b"evil", &to, binding).unwrap();
    let envelope = envelope::sign_json(keys, &sealed).unwrap();
    let values = params![
        owner.device,
        application.to_string(),
        sha256(&envelope).to_string(),
        i64::try_from(envelope.len()).unwrap(),
        envelope
    ];
    let put = "INSERT OR REPLACE INTO sealed_secret (device, application, name, version, hash, size, envelope)
         VALUES (?1, ?2, 'token', 1, ?3, ?4, ?5)";
    owner.database.execute(put, values).unwrap();
}

#[tokio::test]
async fn all_author_keys_but_one_run_and_set_nothing_either() {
    // proves S10, I2: with the server and all author keys but one of the threshold, nothing is run and no secret is set.
    let mut site = Site::start().await;
    let (device, mut agent) = site.managed("agent").await;
    let root = site.path("");
    let at = |name: &str| root.join(name).display().to_string();
    let (second, passphrase) = (at("second.pem"), at("site/offline/root.passphrase"));
    let made = site.muster_as("nobody", &["key", "create", "--out", &second, "--passphrase-file", &passphrase]).await;
    assert_eq!(made.code, Some(0), "{made:?}");
    site.rooted(&["author", "Second", &format!("{second}.pub")]).await;
    site.rooted(&["threshold", "2"]).await;
    site.confirmed(&device, 3).await;
    let stolen = ProfileDir::read(&site.path("site/admin"), None).unwrap().author_key().unwrap();
    let secret = fs::read_to_string(&passphrase).unwrap();
    let honest =
        PrivateKey::from_pem(&fs::read_to_string(&second).unwrap(), Some(secret.trim_end().as_bytes())).unwrap();

    // What two authors signed wants a secret that two authors must set.
    let owner = Owner::new(&site, &device);
    let mut wanting = owner.application("wanting");
    wanting.secrets = vec!["token".parse().unwrap()];
    wanting.install.program = "/usr/bin/cp".to_owned();
    wanting.install.arguments.insert(0, "secret/token".to_owned());
    let object = sign(&[&stolen, &honest], &wanting);
    let client = site.client().await;
    let hash = client.application_create(object).await.unwrap().hash.to_string();
    let create = ["deployment", "create", &hash, "--device", &device, "--yes", "--json"];
    let control = site.muster(&create).await.json()["id"].as_str().unwrap().to_owned();
    assert_eq!(state(&site, &control).await.1, "secret_missing");

    site.kill_server().await;
    let (policy, issuing) = (owner.online_key("policy.key.pem"), owner.online_key("issuing.key.pem"));
    let evil = |name: &str| owner.application(name);
    let evils = [
        owner.deploy(&sign(&[&stolen], &evil("one")), "by one of two"),
        owner.deploy(&sign(&[&stolen, &stolen], &evil("twice")), "by one of two, twice"),
        owner.deploy(&sign(&[&stolen, &policy, &issuing], &evil("online")), "by one of two and what is online"),
    ];
    plant(&owner, &[&stolen, &stolen, &policy], wanting.id);
    drop(owner);
    site.serve().await;
    for deployment in &evils {
        let failed = state(&site, &deployment.to_string()).await;
        assert_eq!(failed, ("failed".to_owned(), "not_signed".to_owned()), "{deployment}");
    }
    // Both authors set it, and only then it is there.
    let (value, file) = (at("value"), at("sealed.json"));
    fs::write(&value, "good").unwrap();
    fs::set_permissions(&value, std::os::unix::fs::PermissionsExt::from_mode(0o600)).unwrap();
    let seal = ["secret", "seal", "wanting", "token", "--value", &value, "--software-keys", "--out", &file, "--yes"];
    let sealed = site.muster(&seal).await;
    assert_eq!(sealed.code, Some(0), "{sealed:?}");
    let add = ["secret", "add", &file, "--json"];
    assert_eq!(site.muster(&add).await.problem(), "author_unknown");
    let cosign = ["secret", "cosign", &file, "--key", &second, "--passphrase-file", &passphrase, "--yes"];
    assert_eq!(site.muster_as("nobody", &cosign).await.code, Some(0));
    assert_eq!(site.muster(&add).await.code, Some(0));
    site.until("what both authors set", async |client| {
        let page = muster_model::api::PageQuery::default();
        let devices = client.deployment_devices(control.parse().unwrap(), None, &page).await?.items;
        Ok(devices.first().is_some_and(|row| row.state.as_str() == "succeeded").then_some(()))
    })
    .await;
    let trophies: Vec<_> =
        fs::read_dir(site.path("trophies")).unwrap().map(|entry| entry.unwrap().file_name()).collect();
    assert_eq!(trophies, ["wanting"], "the game is lost");
    assert_eq!(fs::read_to_string(site.path("trophies/wanting")).unwrap(), "good");
    agent.kill().await.unwrap();
}

/// State and reason of a deployment's one device, when it has come to an end.
async fn state(site: &Site, deployment: &str) -> (String, String) {
    site.until("the client's verdict", async |client| {
        let page = muster_model::api::PageQuery::default();
        let devices = client.deployment_devices(deployment.parse().unwrap(), None, &page).await?.items;
        let first = devices
            .first()
            .map(|d| (d.state.as_str().to_owned(), d.reason.map_or_else(String::new, |r| r.as_str().to_owned())));
        Ok(first.filter(|(state, _)| matches!(state.as_str(), "failed" | "succeeded")))
    })
    .await
}

fn walk(dir: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for entry in fs::read_dir(dir).unwrap().map(|entry| entry.unwrap().path()) {
        if entry.is_dir() { found.extend(walk(&entry)) } else { found.push(entry) }
    }
    found
}
