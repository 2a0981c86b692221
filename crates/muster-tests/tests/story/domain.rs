//! A site that trusts a domain, with a real domain controller: its computer comes in by itself, and nobody in its place.

use crate::harness::{Ran, Site};
use base64::{Engine, engine::general_purpose::STANDARD as BASE64};
use muster_agent::http::{Ask, Connection, HttpError};
use muster_model::{
    enrol::{DeviceClaims, DomainProof, EnrolAnswer, EnrolRequest, EnrolmentToken},
    id::Hash,
    problem::Code,
};
use muster_tests::{
    fleet::clock,
    samba::{Domain, REALM},
};
use muster_trust::{
    PrivateKey, certificate,
    kerberos::{Client, Exchange, Keytab, Session, binding},
    sha256, tls,
};
use serde_json::Value;
use std::{path::Path, sync::Arc};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
};

/// What the agent asks for by itself: the host of the enrolment door.
const SERVICE: &str = "muster/127.0.0.1";

/// The agent `name` is the computer of this keytab.
fn join(site: &Site, domain: &Domain, name: &str, keytab: &Path) {
    use std::os::unix::fs::DirBuilderExt;
    std::fs::DirBuilder::new().mode(0o700).create(site.path(name)).unwrap();
    let config = serde_json::json!({
        "tpm": "off", "domain": "required", "keytab": keytab, "kdc": [domain.address().to_string()],
    });
    std::fs::write(site.path(name).join("agent.json"), config.to_string()).unwrap();
}

async fn enrol(site: &Site, name: &str) -> Ran {
    let token = site.token(name).await.display().to_string();
    site.agent(name, &["enrol", "--token", &token]).await
}

async fn requests(site: &Site, state: &str) -> Vec<Value> {
    let listed = site.muster(&["enrolment", "list", "--state", state, "--json"]).await.json();
    listed["items"].as_array().unwrap().clone()
}

/// A ticket of the account of a keytab.
async fn ticket(domain: &Domain, keytab: &Path, account: &str, service: &str) -> Session {
    let keytab = Keytab::read(&std::fs::read(keytab).unwrap()).unwrap();
    let client = Client::named(&keytab, REALM, account).unwrap();
    let carry = async |exchange: &Exchange| {
        let mut stream = TcpStream::connect(domain.kdc()).await.unwrap();
        stream.write_u32(u32::try_from(exchange.message.len()).unwrap()).await.unwrap();
        stream.write_all(&exchange.message).await.unwrap();
        let mut reply = vec![0; stream.read_u32().await.unwrap() as usize];
        stream.read_exact(&mut reply).await.unwrap();
        reply
    };
    let exchange = client.sign_in(clock::now()).unwrap();
    let session = client.signed_in(&exchange, &carry(&exchange).await).unwrap();
    let exchange = session.ask(service, clock::now()).unwrap();
    session.asked(&exchange, service, &carry(&exchange).await).unwrap()
}

/// The enrolment door, over one TLS session.
struct Door {
    connection: Connection,
    token: EnrolmentToken,
    key: PrivateKey,
}

fn claims(name: &str) -> DeviceClaims {
    DeviceClaims {
        host_name: name.to_owned(),
        operating_system: "Debian".to_owned(),
        agent_version: "0.1.0".to_owned(),
        hardware_id: sha256(name.as_bytes()),
    }
}

impl Door {
    async fn open(site: &Site, name: &str) -> Self {
        let file = site.token(name).await;
        let token: EnrolmentToken = std::fs::read_to_string(file).unwrap().parse().unwrap();
        let config = Arc::new(tls::client_pinned(token.root).unwrap());
        let connection = Connection::open(config, &token.enrol.parse().unwrap()).await.unwrap();
        Self { connection, token, key: PrivateKey::generate().unwrap() }
    }

    /// What a proof for this connection and key is bound to.
    fn bound(&self, name: &str) -> Hash {
        binding(&self.connection.exporter(), SERVICE, self.key.public(), &claims(name))
    }

    async fn ask(&mut self, name: &str, proof: &[u8]) -> Result<EnrolAnswer, HttpError> {
        let request = EnrolRequest {
            secret: self.token.secret.clone(),
            csr: BASE64.encode(certificate::signing_request(&self.key).unwrap()),
            claims: claims(name),
            attestation: None,
            enterprise: None,
            domain: Some(DomainProof { request: BASE64.encode(proof) }),
            serial: None,
        };
        let body = serde_json::to_vec(&request).unwrap();
        self.connection.json(Ask::post("/enrol/v1/requests", "application/json", body), 64 << 10).await
    }

    async fn refused(&mut self, name: &str, proof: &[u8]) -> String {
        let error = self.ask(name, proof).await.unwrap_err();
        let problem = error.problem().unwrap();
        assert_eq!(problem.code, Code::DomainRefused, "{problem:?}");
        problem.detail.clone()
    }
}

// proves S3
#[tokio::test]
async fn a_computer_of_a_trusted_domain_comes_in_by_itself_and_nobody_in_its_place() {
    let Some(domain) = Domain::start().await.unwrap() else { return };
    let computer = domain.computer_create("PC1").unwrap();
    let group = domain.group_create("Clients").unwrap();
    domain.group_add("Clients", "PC1$").unwrap();
    domain.user_create("carl").unwrap();
    let rogue = domain.computer_create_as("carl", "ROGUE").unwrap();
    let person = domain.keytab("carl").unwrap();
    let service = domain.service_create("svc-muster", SERVICE).unwrap();
    let other = domain.service_create("svc-other", "muster/other.example").unwrap();

    let site = Site::start_in_domain(&[&service, &other]).await;
    let trust = format!("{REALM} {SERVICE} {group}");
    let built_in = format!("{REALM} {SERVICE} {}", domain.sid("Domain Computers").unwrap());
    let update = ["approval", "update", "--mode", "trusted-domain", "--yes", "--json", "--trust"];
    assert_eq!(site.muster(&[&update[..], &[&built_in]].concat()).await.problem(), "malformed");
    let approval = site.muster(&[&update[..], &[&trust]].concat()).await.json();
    assert_eq!(approval["mode"], "trusted domain");
    assert_eq!(approval["without_key"], serde_json::json!([]));

    // The computer that a user made proves who it is, and waits; so does what somebody says who has its name.
    join(&site, &domain, "rogue", &rogue);
    let asked = enrol(&site, "rogue").await;
    assert_eq!(asked.code, Some(0), "{asked:?}");
    let pending = requests(&site, "pending").await;
    assert_eq!(pending.len(), 1, "{pending:?}");
    assert_eq!(pending[0]["account"]["account"], "ROGUE$");
    assert_eq!(pending[0]["claims"]["host_name"], "ROGUE", "its name is the one that its domain gave it");
    assert!(pending[0]["verdict"].as_str().unwrap().contains("in no group"), "{pending:?}");

    // A person's ticket; a good one on another connection, for another key, for another service, and a second time.
    let mut door = Door::open(&site, "attacker").await;
    let proof = |session: &Session, bound: &Hash| session.prove(bound, clock::now()).unwrap();
    let user = ticket(&domain, &person, "carl", SERVICE).await;
    let bound = door.bound("pc1");
    assert!(door.refused("pc1", &proof(&user, &bound)).await.contains("not that of a computer"));
    let session = ticket(&domain, &computer, "PC1$", SERVICE).await;
    let mut relay = Door::open(&site, "relay").await;
    let relayed = proof(&session, &relay.bound("pc1"));
    assert!(door.refused("pc1", &relayed).await.contains("not made for this connection"));
    let own = proof(&session, &bound);
    door.key = PrivateKey::generate().unwrap();
    assert!(door.refused("pc1", &own).await.contains("not made for this connection"), "another key");
    let elsewhere = ticket(&domain, &computer, "PC1$", "muster/other.example").await;
    let bound = door.bound("pc1");
    assert!(door.refused("pc1", &proof(&elsewhere, &bound)).await.contains("trusts no domain"));
    assert!(door.refused("pc1", &[0x6e; 100]).await.contains("malformed"));
    assert_eq!(requests(&site, "pending").await.len(), 1, "nothing was changed");
    let audit = site.muster(&["audit", "list", "--limit", "100", "--json"]).await.json().to_string();
    assert_eq!(audit.matches("\"domain_refuse\"").count(), 5, "{audit}");

    // The real one: approved by itself, under the name of its ticket, whatever it says.
    let answer = relay.ask("pc1", &relayed).await.unwrap();
    assert!(matches!(answer, EnrolAnswer::Active { .. }), "{answer:?}");
    let approved = requests(&site, "approved").await;
    let expected = format!("approved: trusted domain {REALM}, account PC1$");
    assert_eq!((&approved[0]["verdict"], approved.len()), (&Value::from(expected), 1));
    let device = approved[0]["device"].as_str().unwrap();
    let shown = site.muster(&["device", "show", device, "--json"]).await.json();
    assert_eq!(shown["device"]["name"], "PC1");
    assert_eq!(shown["account"]["sid"], Value::from(domain.sid("PC1$").unwrap()));
    assert_eq!(shown["account"]["group"], Value::from(group));

    // The same bytes again, and the same account with another key from elsewhere: nothing is replaced.
    assert!(relay.refused("pc1", &relayed).await.contains("used before"));
    let mut second = Door::open(&site, "second").await;
    let again = proof(&session, &second.bound("pc2"));
    assert!(matches!(second.ask("pc2", &again).await.unwrap(), EnrolAnswer::Pending { .. }));
    let pending = requests(&site, "pending").await;
    let conflicts = pending.iter().map(|request| request["conflicts"].to_string()).collect::<String>();
    assert!(conflicts.contains("The same domain account as active device PC1"), "{conflicts}");
    let id = pending.iter().find(|request| request["claims"]["host_name"] == "PC1").unwrap()["id"].as_str().unwrap();
    assert_eq!(site.muster(&["enrolment", "approve", id, "--yes", "--json"]).await.problem(), "conflict");
    let after = site.muster(&["device", "show", device, "--json"]).await.json();
    assert_eq!(after["key"], shown["key"], "the device is who it was");

    // It is blocked: its account does not come back, under whatever name and key.
    site.muster(&["device", "block", device, "--reason", "stolen", "--yes", "--json"]).await.json();
    let mut third = Door::open(&site, "third").await;
    let again = proof(&session, &third.bound("pc3"));
    assert_eq!(third.ask("pc3", &again).await.unwrap(), EnrolAnswer::Refused);

    // Another computer of the group, as the agent brings it in.
    site.muster(&["enrolment", "refuse", id, "--reason", "a second one", "--yes", "--json"]).await.json();
    domain.group_add("Clients", "ROGUE$").unwrap();
    join(&site, &domain, "agent", &rogue);
    let asked = enrol(&site, "agent").await;
    assert_eq!(asked.code, Some(0), "{asked:?}");
    assert!(asked.out.contains("is active at site TST"), "{asked:?}");
}
