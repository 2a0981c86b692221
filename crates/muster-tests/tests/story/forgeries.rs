//! The forgeries of an attestation, against a real site, with two TPMs: each is refused, and nothing changes.

use crate::{harness::Site, swtpm::Vendor};
use base64::{Engine, engine::general_purpose::STANDARD as BASE64};
use muster_agent::{
    http::{Ask, Connection, HttpError},
    tpm::command::{Commands, Created, ENDORSEMENT, Handle, OWNER},
};
use muster_model::{
    attestation::{AttestationChallenge, AttestationOffer, AttestationProof},
    enrol::{DeviceClaims, EnrolAnswer, EnrolRequest, EnrolmentToken},
    id::Hash,
    problem::Code,
};
use muster_trust::{
    PrivateKey, PublicKey, Signer,
    attestation::{
        bound_nonce,
        public::{device_public, template},
        read_signature,
        wire::sized,
    },
    certificate,
    key::KeyError,
    tls,
};
use std::{
    path::Path,
    sync::{Arc, Mutex},
};

const RSA_CERTIFICATE: u32 = 0x01c0_0002;

/// A TPM in an attacker's hands.
struct Machine {
    commands: Arc<Mutex<Commands>>,
    endorsement_key: Vec<u8>,
    certificate: Vec<u8>,
    attestation_key: Vec<u8>,
    device: Created,
    public: PublicKey,
}

impl std::fmt::Debug for Machine {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Machine")
    }
}

impl Machine {
    fn new(place: &str) -> Self {
        let mut tpm = Commands::open(place).unwrap();
        let area = |tpm: &mut Commands, template: Vec<u8>| {
            let (handle, public) = tpm.create_primary(ENDORSEMENT, &template).unwrap();
            tpm.flush(handle).unwrap();
            public
        };
        let endorsement_key = area(&mut tpm, template::endorsement_rsa());
        let attestation_key = area(&mut tpm, template::attestation());
        let certificate = tpm.nv_read(RSA_CERTIFICATE).unwrap().unwrap();
        let device = new_key(&mut tpm);
        let public = device_public(&device.public).unwrap();
        let commands = Arc::new(Mutex::new(tpm));
        Self { commands, endorsement_key, certificate, attestation_key, device, public }
    }

    /// The same TPM with another device key.
    fn new_like(other: &Self) -> Self {
        let device = new_key(&mut other.commands.lock().unwrap());
        Self {
            commands: other.commands.clone(),
            endorsement_key: other.endorsement_key.clone(),
            certificate: other.certificate.clone(),
            attestation_key: other.attestation_key.clone(),
            public: device_public(&device.public).unwrap(),
            device,
        }
    }

    /// With the device's key loaded.
    fn with_device<T>(&self, work: impl FnOnce(&mut Commands, Handle) -> T) -> T {
        let mut tpm = self.commands.lock().unwrap();
        let (storage, _) = tpm.create_primary(OWNER, &template::storage()).unwrap();
        let key = tpm.load(storage, &self.device).unwrap();
        tpm.flush(storage).unwrap();
        let done = work(&mut tpm, key);
        tpm.flush(key).unwrap();
        done
    }

    /// What the TPM takes out of a credential; `None` when it refuses.
    fn activate(&self, challenge: &AttestationChallenge) -> Option<Vec<u8>> {
        let (blob, seed) = (BASE64.decode(&challenge.credential).unwrap(), BASE64.decode(&challenge.seed).unwrap());
        let mut tpm = self.commands.lock().unwrap();
        let (attestation, _) = tpm.create_primary(ENDORSEMENT, &template::attestation()).unwrap();
        let (endorsement, _) = tpm.create_primary(ENDORSEMENT, &template::endorsement_rsa()).unwrap();
        let secret = tpm.activate_credential(attestation, endorsement, &blob, &seed);
        tpm.flush(attestation).unwrap();
        tpm.flush(endorsement).unwrap();
        secret.ok()
    }

    /// The TPM's statement about the device's key for this nonce.
    fn certify(&self, nonce: &Hash) -> (Vec<u8>, Vec<u8>) {
        self.with_device(|tpm, key| {
            let (attestation, _) = tpm.create_primary(ENDORSEMENT, &template::attestation()).unwrap();
            let done = tpm.certify(key, attestation, &nonce.0).unwrap();
            tpm.flush(attestation).unwrap();
            done
        })
    }
}

fn new_key(tpm: &mut Commands) -> Created {
    let (storage, _) = tpm.create_primary(OWNER, &template::storage()).unwrap();
    let device = tpm.create(storage, &template::device()).unwrap();
    tpm.flush(storage).unwrap();
    device
}

impl Signer for Machine {
    fn public(&self) -> &PublicKey {
        &self.public
    }

    fn sign(&self, message: &[u8]) -> Result<Vec<u8>, KeyError> {
        let digest = muster_trust::sha256(message).0;
        let signature = self.with_device(|tpm, key| tpm.sign(key, &digest).unwrap());
        Ok(read_signature(&signature).unwrap().to_vec())
    }
}

/// The enrolment door, over one TLS session.
struct Door {
    connection: Connection,
    token: EnrolmentToken,
}

impl Door {
    async fn open(site: &Site, name: &str) -> Self {
        let file = site.token(name).await;
        let token: EnrolmentToken = std::fs::read_to_string(file).unwrap().parse().unwrap();
        Self { connection: Self::connect(&token).await, token }
    }

    async fn connect(token: &EnrolmentToken) -> Connection {
        let config = Arc::new(tls::client_pinned(token.root).unwrap());
        Connection::open(config, &token.enrol.parse().unwrap()).await.unwrap()
    }

    async fn post<T: serde::de::DeserializeOwned>(
        &mut self,
        path: &str,
        body: &impl serde::Serialize,
    ) -> Result<T, Code> {
        let body = serde_json::to_vec(body).unwrap();
        match self.connection.json(Ask::post(path, "application/json", body), 65_536).await {
            Ok(answer) => Ok(answer),
            Err(HttpError::Refused(problem)) => Err(problem.code),
            Err(error) => panic!("{error}"),
        }
    }

    async fn offer(&mut self, endorsement: &Machine, attestation_key: &[u8]) -> Result<AttestationChallenge, Code> {
        let offer = AttestationOffer {
            secret: self.token.secret.clone(),
            endorsement_certificate: Some(BASE64.encode(&endorsement.certificate)),
            endorsement_key: BASE64.encode(&endorsement.endorsement_key),
            attestation_key: BASE64.encode(attestation_key),
        };
        self.post("/enrol/v1/attestations", &offer).await
    }

    async fn prove(&mut self, key: &dyn Signer, proof: Given) -> Result<EnrolAnswer, Code> {
        let csr = BASE64.encode(certificate::signing_request(key).unwrap());
        let attestation = AttestationProof {
            credential: BASE64.encode(proof.secret),
            device_key: BASE64.encode(proof.device_key),
            statement: BASE64.encode(proof.statement),
            signature: BASE64.encode(proof.signature),
        };
        let (secret, claims) = (self.token.secret.clone(), claims());
        self.post(
            "/enrol/v1/requests",
            &EnrolRequest {
                secret,
                csr,
                claims,
                attestation: Some(attestation),
                enterprise: None,
                domain: None,
                serial: None,
            },
        )
        .await
    }
}

/// What an attacker gives as a proof.
#[derive(Clone)]
struct Given {
    secret: Vec<u8>,
    device_key: Vec<u8>,
    statement: Vec<u8>,
    signature: Vec<u8>,
}

fn claims() -> DeviceClaims {
    DeviceClaims {
        host_name: "pc1".to_owned(),
        operating_system: "Debian GNU/Linux 12 (bookworm)".to_owned(),
        agent_version: "0.1.0".to_owned(),
        hardware_id: Hash([9; 32]),
    }
}

/// The honest proof for a challenge over this connection.
fn honest(machine: &Machine, challenge: &AttestationChallenge, exporter: &Hash) -> Given {
    let nonce = bound_nonce(&challenge.nonce, exporter, &machine.public, &claims());
    let (statement, signature) = machine.certify(&nonce);
    let secret = machine.activate(challenge).unwrap();
    Given { secret, device_key: machine.device.public.clone(), statement, signature }
}

/// A public area like this one, with another key in it.
fn with_key(area: &[u8], key: &PublicKey) -> Vec<u8> {
    let head = &area[..area.len() - 68];
    [head, &sized(&key.point()[1..33]), &sized(&key.point()[33..])].concat()
}

/// `TPMT_SIGNATURE` by a key in memory.
fn signed(key: &PrivateKey, statement: &[u8]) -> Vec<u8> {
    let signature = key.sign(statement).unwrap();
    [&[0, 0x18, 0, 0x0b][..], &sized(&signature[..32]), &sized(&signature[32..])].concat()
}

/// What every forgery gets.
const REFUSED: Code = Code::AttestationRefused;

// proves S4
#[tokio::test]
async fn no_forged_attestation_is_believed() {
    let (Some(vendor), Some(stranger)) = (Vendor::new(), Vendor::new()) else { return };
    let (first, second, foreign) =
        (vendor.tpm("first").await, vendor.tpm("second").await, stranger.tpm("foreign").await);
    let site = Site::start_believing(&vendor.roots()).await;
    let (a, b, unknown) = (Machine::new(&first.place()), Machine::new(&second.place()), Machine::new(&foreign.place()));
    let mut door = Door::open(&site, "one").await;
    two_tpms(&mut door, &a, &b).await;
    loose_attestation_key(&mut door, &a).await;
    key_in_software(&mut door, &a).await;
    old_statement(&mut door, &a).await;
    relayed(&mut door, &a).await;
    unknown_maker(&mut door, &unknown).await;

    // Nothing of all this is a request, and the token is as good as before: the honest one comes in.
    let requests = site.muster(&["enrolment", "list", "--json"]).await.json();
    assert_eq!(requests["total"], 0, "{requests}");
    let challenge = door.offer(&a, &a.attestation_key).await.unwrap();
    let given = honest(&a, &challenge, &door.connection.exporter());
    record(&vendor.roots(), &a, &challenge, &door.connection.exporter(), &given);
    assert!(matches!(door.prove(&a, given).await, Ok(EnrolAnswer::Pending { .. })));
    let audit = site.muster(&["audit", "list", "--limit", "100", "--json"]).await.json().to_string();
    for reason in [
        "credential",
        "endorsement_mismatch",
        "attestation_key",
        "signature",
        "statement",
        "nonce",
        "endorsement_unknown",
    ] {
        assert!(audit.contains(&format!("({reason})")), "{reason}: {audit}");
    }
    second_enrolment(&site, &a).await;
}

/// 1: the endorsement key of one TPM and the attestation key of another. Neither gives out the secret.
async fn two_tpms(door: &mut Door, a: &Machine, b: &Machine) {
    let challenge = door.offer(a, &b.attestation_key).await.unwrap();
    assert_eq!((a.activate(&challenge), b.activate(&challenge)), (None, None));
    let nonce = bound_nonce(&challenge.nonce, &door.connection.exporter(), &b.public, &claims());
    let (statement, signature) = b.certify(&nonce);
    let guessed = Given { secret: vec![0; 32], device_key: b.device.public.clone(), statement, signature };
    assert_eq!(door.prove(b, guessed).await.unwrap_err(), REFUSED);
    // The certificate of one with the endorsement key of the other.
    let mixed = Machine { certificate: a.certificate.clone(), ..Machine::new_like(b) };
    assert_eq!(door.offer(&mixed, &b.attestation_key).await.unwrap_err(), REFUSED);
}

/// 2: an attestation key that is not restricted, or could leave its TPM, would sign anything.
async fn loose_attestation_key(door: &mut Door, a: &Machine) {
    for bit in [1_u32 << 16, 1 << 1, 1 << 4, 1 << 5, 1 << 18] {
        let mut area = a.attestation_key.clone();
        let attributes = u32::from_be_bytes(area[4..8].try_into().unwrap());
        area[4..8].copy_from_slice(&(attributes & !bit).to_be_bytes());
        assert_eq!(door.offer(a, &area).await.unwrap_err(), REFUSED, "{bit:x}");
    }
}

/// 3: a key made in software, with a statement built by hand.
async fn key_in_software(door: &mut Door, a: &Machine) {
    let (software, exporter) = (PrivateKey::generate().unwrap(), door.connection.exporter());
    let area = with_key(&a.device.public, software.public());
    let nonce =
        |challenge: &AttestationChallenge| bound_nonce(&challenge.nonce, &exporter, software.public(), &claims());

    let challenge = door.offer(a, &a.attestation_key).await.unwrap();
    let (real, _) = a.certify(&nonce(&challenge));
    let name = [&[0, 0x0b][..], &muster_trust::sha256(&area).0].concat();
    // The names are the last 72 bytes: two of 34, each with its length.
    let by_hand = [&real[..real.len() - 72], &sized(&name), &sized(&name)].concat();
    let forged = Given {
        secret: a.activate(&challenge).unwrap(),
        device_key: area.clone(),
        signature: signed(&software, &by_hand),
        statement: by_hand,
    };
    assert_eq!(door.prove(&software, forged).await.unwrap_err(), REFUSED);

    // With an attestation key that is in no TPM nobody gives out the secret.
    let challenge = door.offer(a, &with_key(&a.attestation_key, software.public())).await.unwrap();
    assert_eq!(a.activate(&challenge), None);

    // A real statement about the TPM's key, for a request of the software key.
    let challenge = door.offer(a, &a.attestation_key).await.unwrap();
    let given = honest(a, &challenge, &exporter);
    assert_eq!(door.prove(&software, given).await.unwrap_err(), REFUSED);

    // A real statement about the TPM's key, for the software key's nonce and with its area.
    let challenge = door.offer(a, &a.attestation_key).await.unwrap();
    let (statement, signature) = a.certify(&nonce(&challenge));
    let given = Given { secret: a.activate(&challenge).unwrap(), device_key: area, statement, signature };
    assert_eq!(door.prove(&software, given).await.unwrap_err(), REFUSED);
}

/// 4: an old statement to a new challenge, and to its own, which is gone.
async fn old_statement(door: &mut Door, a: &Machine) {
    let challenge = door.offer(a, &a.attestation_key).await.unwrap();
    let old = honest(a, &challenge, &door.connection.exporter());
    let next = door.offer(a, &a.attestation_key).await.unwrap();
    let secret = a.activate(&next).unwrap();
    assert_eq!(door.prove(a, Given { secret, ..old.clone() }).await.unwrap_err(), REFUSED);
    assert_eq!(door.prove(a, old).await.unwrap_err(), REFUSED);
}

/// 5: the machine speaks to somebody in the middle, who speaks to the site over a second session.
async fn relayed(door: &mut Door, a: &Machine) {
    let mut middle = Door { connection: Door::connect(&door.token).await, token: door.token.clone() };
    let challenge = middle.offer(a, &a.attestation_key).await.unwrap();
    let relayed = honest(a, &challenge, &door.connection.exporter());
    assert_eq!(middle.prove(a, relayed.clone()).await.unwrap_err(), REFUSED);
    assert_eq!(door.prove(a, relayed).await.unwrap_err(), REFUSED, "it was not asked over this one");
}

/// 6: a TPM of an unknown maker, and one whose certificate is none.
async fn unknown_maker(door: &mut Door, unknown: &Machine) {
    assert_eq!(door.offer(unknown, &unknown.attestation_key).await.unwrap_err(), REFUSED);
    let bare = Machine { certificate: vec![0x30, 0], ..Machine::new_like(unknown) };
    assert_eq!(door.offer(&bare, &bare.attestation_key).await.unwrap_err(), REFUSED);
}

/// 7: the same TPM again, with another key, is an alarm and no second device.
async fn second_enrolment(site: &Site, a: &Machine) {
    let pending = site.muster(&["enrolment", "list", "--json"]).await.json();
    let id = pending["items"][0]["id"].as_str().unwrap().to_owned();
    site.muster(&["enrolment", "approve", &id, "--yes", "--json"]).await.json();
    let again = Machine::new_like(a);
    let mut door = Door::open(site, "again").await;
    let challenge = door.offer(&again, &again.attestation_key).await.unwrap();
    let given = honest(&again, &challenge, &door.connection.exporter());
    assert!(matches!(door.prove(&again, given).await, Ok(EnrolAnswer::Pending { .. })));
    let pending = site.muster(&["enrolment", "list", "--state", "pending", "--json"]).await.json();
    let second = pending["items"][0]["id"].as_str().unwrap().to_owned();
    assert!(pending["items"][0]["conflicts"].to_string().contains(&id), "{pending}");
    let refused = site.muster(&["enrolment", "approve", &second, "--yes", "--json"]).await;
    assert_eq!(refused.problem(), "conflict");
    let timeline = site.muster(&["device", "timeline", &id, "--json"]).await.json().to_string();
    assert!(timeline.contains("Two machines") && timeline.contains(&second), "{timeline}");
}

/// Writes the honest attestation where the verifier's own tests read it, with `MUSTER_BLESS=1`.
fn record(roots: &Path, machine: &Machine, challenge: &AttestationChallenge, exporter: &Hash, given: &Given) {
    if std::env::var_os("MUSTER_BLESS").is_none() {
        return;
    }
    let pem = |file: std::io::Result<std::fs::DirEntry>| {
        let text = std::fs::read_to_string(file.unwrap().path()).unwrap();
        text.lines().filter(|line| !line.starts_with("-----")).collect::<String>()
    };
    let encode = |bytes: &[u8]| BASE64.encode(bytes);
    let recorded = serde_json::json!({
        "time": muster_agent::clock::Clock::System.now(),
        "roots": std::fs::read_dir(roots).unwrap().map(pem).collect::<Vec<_>>(),
        "endorsement_certificate": encode(&machine.certificate),
        "endorsement_key": encode(&machine.endorsement_key),
        "attestation_key": encode(&machine.attestation_key),
        "device_key": encode(&given.device_key),
        "nonce": challenge.nonce,
        "exporter": exporter,
        "claims": claims(),
        "statement": encode(&given.statement),
        "signature": encode(&given.signature),
    });
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../muster-trust/tests/trust/attestation.json");
    std::fs::write(path, serde_json::to_string_pretty(&recorded).unwrap() + "\n").unwrap();
}
