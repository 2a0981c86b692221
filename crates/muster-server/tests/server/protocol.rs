//! `docs/PROTOCOL.md` and its test vectors: what the document says is what the programs do, and what a foreign program verifies.

use crate::protocol_tables;
use base64::{
    Engine, engine::general_purpose::STANDARD as BASE64, engine::general_purpose::URL_SAFE_NO_PAD as BASE64URL,
};
use muster_model::{
    Signed,
    application::{Application, ContentFile, Detection, Platform},
    enrol::{EnrolPoll, EnrolmentToken},
    id::{ApplicationId, DeviceId, EnrolmentId, Hash, SiteCode},
    inventory::{Row, Value as Attribute, section_bytes},
    policy::{Assignment, BodyKind, BodyRef, ClientSettings, Recipient},
    report::{Batch, Body, Channel, Message, REPORT_TYPE},
    secret::{SealedSecret, SealingKey, SecretBinding},
    status::{Component, MessageId, Severity, StatusMessage},
    time::{DAY, UnixMillis},
};
use muster_trust::{
    PrivateKey, PublicKey, TrustBundle,
    bundle::{KeySet, NamedKey},
    certificate::{self, IssuingCa},
    chain, envelope,
    secret::{SealingPrivateKey, open_statement, seal, statement_key},
    sha256,
};
use serde::{Deserialize, Serialize};
use std::{
    collections::BTreeMap,
    fmt::Write,
    fs,
    path::{Path, PathBuf},
    process::Command,
};

const NOW: UnixMillis = UnixMillis(1_790_000_000_000);
const VECTORS: &str = "docs/protocol/vectors.json";
const DOCUMENT: &str = "docs/PROTOCOL.md";

/// Everything that another program needs to try itself on. The private keys are for tests and for nothing else.
#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Vectors {
    note: String,
    site: SiteCode,
    /// The moment at which everything here is valid.
    now: UnixMillis,
    /// PKCS#8 DER, base64; with the public key and its id.
    keys: BTreeMap<String, Key>,
    /// DER, base64.
    certificates: BTreeMap<String, String>,
    sign1: Vec<Envelope>,
    sign: Vec<Envelope>,
    /// The batch inside the report, before compression: its exact text.
    batch: String,
    chain: Vec<Link>,
    token: TokenVector,
    sign_in: SignIn,
    /// A PKCS#10 request by the device's key, DER, base64.
    signing_request: String,
    section: SectionVector,
    sealed: SealedVector,
}

#[derive(Debug, Serialize, Deserialize)]
struct Key {
    private: String,
    public: String,
    id: Hash,
}

#[derive(Debug, Serialize, Deserialize)]
struct Envelope {
    name: String,
    content_type: String,
    /// Names in `keys`.
    signers: Vec<String>,
    /// base64.
    payload: String,
    /// base64.
    envelope: String,
}

#[derive(Debug, Serialize, Deserialize)]
struct Link {
    message: String,
    head: Hash,
}

#[derive(Debug, Serialize, Deserialize)]
struct TokenVector {
    text: String,
    json: EnrolmentToken,
}

#[derive(Debug, Serialize, Deserialize)]
struct SignIn {
    /// base64url, as the site gives it.
    challenge: String,
    /// What is signed, hexadecimal.
    message: String,
    /// base64url.
    signature: String,
}

#[derive(Debug, Serialize, Deserialize)]
struct SectionVector {
    rows: Vec<Row>,
    /// What the digest is taken over.
    bytes: String,
    digest: Hash,
}

#[derive(Debug, Serialize, Deserialize)]
struct SealedVector {
    /// The private sealing key: the scalar, then the public point, base64.
    key: String,
    /// The secret in the clear.
    value: String,
    secret: SealedSecret,
}

pub(crate) fn root_of_repository() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..")
}

fn uuid(last: u8) -> uuid::Uuid {
    format!("0192f0c1-7a3b-7c4d-8e5f-0123456789{last:02x}").parse().unwrap()
}

fn site() -> SiteCode {
    "ABC".parse().unwrap()
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().fold(String::new(), |mut text, b| {
        let _ = write!(text, "{b:02x}");
        text
    })
}

/// The keys of the vectors by name.
struct Keys(BTreeMap<String, PrivateKey>);

impl Keys {
    fn generate() -> Self {
        let names = ["root", "issuing", "policy", "author-1", "author-2", "device", "admin"];
        Self(names.into_iter().map(|name| (name.to_owned(), PrivateKey::generate().unwrap())).collect())
    }
    fn of(&self, name: &str) -> &PrivateKey {
        &self.0[name]
    }
}

fn bundle(keys: &Keys, root: &[u8], issuing: &[u8]) -> TrustBundle {
    let named = |name: &str| NamedKey::new(name, keys.of(name).public());
    TrustBundle {
        site: site(),
        version: 1,
        issued: NOW,
        expires: NOW.plus(365 * DAY),
        root: KeySet { threshold: 1, keys: vec![named("root")] },
        root_certificate: BASE64.encode(root),
        issuing: vec![BASE64.encode(issuing)],
        policy: vec![named("policy")],
        authors: KeySet { threshold: 2, keys: vec![named("author-1"), named("author-2")] },
        revoked: vec![],
        approval: None,
    }
}

fn application() -> Application {
    Application {
        id: ApplicationId(uuid(3)),
        name: "Hello".parse().unwrap(),
        version: "1.0".into(),
        platform: Platform::Linux,
        content: vec![ContentFile { name: "setup.sh".parse().unwrap(), hash: sha256(b"#!/bin/sh\n"), size: 10 }],
        install: muster_model::application::Command {
            program: "/bin/sh".into(),
            arguments: vec!["content/setup.sh".into()],
            success_codes: vec![0],
        },
        detection: Detection::File { path: "/opt/hello".into(), hash: None },
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
        max_run_seconds: 60,
    }
}

fn messages() -> Vec<String> {
    let status = |id, values: &[(&str, &str)]| {
        let values = values.iter().map(|(k, v)| ((*k).to_owned(), (*v).to_owned())).collect();
        let body =
            Body::Status(StatusMessage { component: Component::Agent, id, severity: Severity::Information, values });
        serde_json::to_string(&Message { time: NOW, body }).unwrap()
    };
    vec![status(MessageId::AgentStarted, &[("version", "0.1.0")]), status(MessageId::AgentStopped, &[])]
}

fn rows() -> Vec<Row> {
    let row = |name: &str, size| {
        Row::from([("DeviceID".into(), Attribute::Text(name.into())), ("Size".into(), Attribute::Int(size))])
    };
    vec![row("/var", 20), row("/", 10)]
}

fn assignment() -> Assignment {
    let settings = ClientSettings::default().to_body();
    Assignment {
        site: site(),
        recipient: Recipient::Device(DeviceId(uuid(1))),
        version: 7,
        issued: NOW,
        expires: NOW.plus(7 * DAY),
        trust_version: 1,
        bodies: vec![BodyRef { kind: BodyKind::Settings, hash: sha256(&settings), size: settings.len() as u64 }],
    }
}

/// The batch inside the report.
fn batch() -> String {
    let batch = Batch {
        site: site(),
        channel: Channel::Status,
        time: NOW,
        first: 1,
        previous: Hash::ZERO,
        resume_after_loss: false,
        messages: messages().into_iter().map(|m| serde_json::from_str(&m).unwrap()).collect(),
    };
    serde_json::to_string(&batch).unwrap()
}

/// A device's statement of its sealing key, and a secret that is sealed to it.
fn sealed_secret() -> (SealingKey, SealedVector) {
    let sealing = SealingPrivateKey::generate().unwrap();
    let (site, device, value) = (site(), DeviceId(uuid(2)), "correct horse battery staple");
    let statement = SealingKey { site, device, key: statement_key(sealing.public()), made: NOW };
    let name = "wifi-key".parse().unwrap();
    let binding = SecretBinding { site, device, application: application().id, name, version: NOW };
    let secret = seal(value.as_bytes(), sealing.public(), binding).unwrap();
    (statement, SealedVector { key: BASE64.encode(sealing.kept()), value: value.to_owned(), secret })
}

/// New vectors, with new keys.
fn generate() -> Vectors {
    let keys = Keys::generate();
    let root = certificate::root(site(), keys.of("root"), NOW).unwrap();
    let issuing = certificate::issuing(site(), &root, keys.of("root"), keys.of("issuing").public(), &[], NOW).unwrap();
    let ca = IssuingCa::new(issuing.clone(), keys.of("issuing")).unwrap();
    let client = ca.client(site(), DeviceId(uuid(1)), keys.of("device").public(), NOW).unwrap();
    let poll = EnrolPoll { site: site(), enrolment: EnrolmentId(uuid(2)), time: NOW };
    let batch = batch();
    let compressed = zstd::encode_all(batch.as_bytes(), 3).unwrap();
    let one = |name: &str, signer: &str, content_type: &str, payload: Vec<u8>| Envelope {
        name: name.into(),
        content_type: content_type.into(),
        signers: vec![signer.into()],
        payload: BASE64.encode(&payload),
        envelope: BASE64.encode(envelope::sign1(keys.of(signer), content_type, payload).unwrap()),
    };
    let several = |name: &str, signers: &[&str], content_type: &str, payload: Vec<u8>| Envelope {
        name: name.into(),
        content_type: content_type.into(),
        signers: signers.iter().map(|s| (*s).to_owned()).collect(),
        payload: BASE64.encode(&payload),
        envelope: BASE64.encode(
            envelope::sign(&signers.iter().map(|s| keys.of(s)).collect::<Vec<_>>(), content_type, payload).unwrap(),
        ),
    };
    let mut head = Hash::ZERO;
    let links = messages().into_iter().map(|message| {
        head = chain(head, message.as_bytes());
        Link { message, head }
    });
    let token = EnrolmentToken {
        site: site(),
        root: keys.of("root").public().id(),
        enrol: "https://site.example:8441".into(),
        secret: BASE64URL.encode([9; 32]),
        trust_version: 1,
    };
    let challenge = [5; 32];
    let message = [b"muster/v1/sign-in\0ABC\0".as_slice(), &challenge].concat();
    let bytes = section_bytes(&rows());
    let (statement, sealed) = sealed_secret();
    Vectors {
        note: "Test vectors of docs/PROTOCOL.md. The keys are for tests and for nothing else.".into(),
        site: site(),
        now: NOW,
        certificates: [("root", &root), ("issuing", &issuing), ("client", &client.der)]
            .map(|(name, der)| (name.to_owned(), BASE64.encode(der)))
            .into(),
        sign1: vec![
            one("assignment", "policy", Assignment::TYPE, serde_json::to_vec(&assignment()).unwrap()),
            one("poll", "device", EnrolPoll::TYPE, serde_json::to_vec(&poll).unwrap()),
            one("report", "device", REPORT_TYPE, compressed),
            one("sealing-key", "device", SealingKey::TYPE, serde_json::to_vec(&statement).unwrap()),
        ],
        sign: vec![
            several(
                "trust-bundle",
                &["root"],
                TrustBundle::TYPE,
                serde_json::to_vec(&bundle(&keys, &root, &issuing)).unwrap(),
            ),
            several(
                "application",
                &["author-1", "author-2"],
                Application::TYPE,
                serde_json::to_vec(&application()).unwrap(),
            ),
            several(
                "sealed-secret",
                &["author-1", "author-2"],
                SealedSecret::TYPE,
                serde_json::to_vec(&sealed.secret).unwrap(),
            ),
        ],
        batch,
        chain: links.collect(),
        token: TokenVector { text: token.to_text(), json: token },
        sign_in: SignIn {
            challenge: BASE64URL.encode(challenge),
            message: hex(&message),
            signature: BASE64URL.encode(keys.of("admin").sign(&message).unwrap()),
        },
        signing_request: BASE64.encode(certificate::signing_request(keys.of("device")).unwrap()),
        section: SectionVector { rows: rows(), digest: sha256(&bytes), bytes: String::from_utf8(bytes).unwrap() },
        sealed,
        keys: keys
            .0
            .iter()
            .map(|(name, key)| {
                let public = BASE64.encode(key.public().spki());
                (name.clone(), Key { private: BASE64.encode(key.pkcs8()), public, id: key.public().id() })
            })
            .collect(),
    }
}

/// The committed vectors. With `MUSTER_BLESS=vectors` new ones are made: signatures differ each time, so only on purpose.
fn vectors() -> Vectors {
    let file = root_of_repository().join(VECTORS);
    if std::env::var("MUSTER_BLESS").is_ok_and(|what| what == "vectors") {
        fs::create_dir_all(file.parent().unwrap()).unwrap();
        fs::write(&file, format!("{}\n", serde_json::to_string_pretty(&generate()).unwrap())).unwrap();
    }
    serde_json::from_str(&fs::read_to_string(&file).unwrap()).unwrap()
}

fn key(vectors: &Vectors, name: &str) -> PublicKey {
    let key = PublicKey::from_spki(&BASE64.decode(&vectors.keys[name].public).unwrap()).unwrap();
    assert_eq!(key.id(), vectors.keys[name].id, "{name}");
    key
}

/// CBOR of a byte or text string with its length, as the document describes it.
fn string(major: u8, bytes: &[u8]) -> Vec<u8> {
    let length = u32::try_from(bytes.len()).unwrap();
    let head = match length {
        0..24 => vec![major | u8::try_from(length).unwrap()],
        24..256 => vec![major | 24, u8::try_from(length).unwrap()],
        256..65_536 => [&[major | 25], &u16::try_from(length).unwrap().to_be_bytes()[..]].concat(),
        _ => [&[major | 26], &length.to_be_bytes()[..]].concat(),
    };
    [head, bytes.to_vec()].concat()
}

fn bstr(bytes: &[u8]) -> Vec<u8> {
    string(0x40, bytes)
}

fn tstr(text: &str) -> Vec<u8> {
    string(0x60, text.as_bytes())
}

/// The protected header as the document describes it: three entries, in this order.
fn protected(content_type: &str, id: &Hash) -> Vec<u8> {
    [vec![0xa3, 0x01, 0x26, 0x03], tstr(content_type), vec![0x04], bstr(&id.0)].concat()
}

#[test]
fn an_envelope_of_one_signer_has_the_bytes_that_the_document_says() {
    let vectors = vectors();
    for vector in &vectors.sign1 {
        let signer = key(&vectors, &vector.signers[0]);
        let (payload, bytes) = (BASE64.decode(&vector.payload).unwrap(), BASE64.decode(&vector.envelope).unwrap());
        let opened =
            envelope::open1(&bytes, &vector.content_type, |id| (*id == signer.id()).then(|| signer.clone())).unwrap();
        assert_eq!(opened.value(), &payload, "{}", vector.name);
        let header = protected(&vector.content_type, &signer.id());
        let signature = &bytes[bytes.len() - 64..];
        let by_hand = [vec![0xd2, 0x84], bstr(&header), vec![0xa0], bstr(&payload), bstr(signature)].concat();
        assert_eq!(hex(&bytes), hex(&by_hand), "{}", vector.name);
        let signed = [vec![0x84], tstr("Signature1"), bstr(&header), bstr(b"muster/v1"), bstr(&payload)].concat();
        signer.verify(&signed, signature).unwrap();
        assert!(
            envelope::open1(&bytes, "application/other", |_| Some(signer.clone())).is_err(),
            "another content type"
        );
    }
}

#[test]
fn an_envelope_of_several_signers_has_the_bytes_that_the_document_says() {
    let vectors = vectors();
    for vector in &vectors.sign {
        let signers: Vec<_> = vector.signers.iter().map(|name| key(&vectors, name)).collect();
        let (payload, bytes) = (BASE64.decode(&vector.payload).unwrap(), BASE64.decode(&vector.envelope).unwrap());
        let find = |id: &Hash| signers.iter().find(|key| key.id() == *id).cloned();
        let opened = envelope::open(&bytes, &vector.content_type, signers.len(), find).unwrap();
        assert_eq!(opened.value(), &payload, "{}", vector.name);
        let count = u8::try_from(signers.len()).unwrap();
        let mut by_hand = [vec![0xd8, 0x62, 0x84, 0x40, 0xa0], bstr(&payload), vec![0x80 | count]].concat();
        for signer in &signers {
            let header = protected(&vector.content_type, &signer.id());
            let at = by_hand.len() + 1 + bstr(&header).len() + 1 + 2;
            let signature = &bytes[at..at + 64];
            by_hand.extend([vec![0x83], bstr(&header), vec![0xa0], bstr(signature)].concat());
            let context = [bstr(&header), bstr(b"muster/v1"), bstr(&payload)].concat();
            let signed = [vec![0x85], tstr("Signature"), vec![0x40], context].concat();
            signer.verify(&signed, signature).unwrap();
        }
        assert_eq!(hex(&bytes), hex(&by_hand), "{}", vector.name);
    }
}

#[test]
fn chain_token_sign_in_and_digest_are_as_the_document_says() {
    let vectors = vectors();
    let mut head = [0_u8; 32].to_vec();
    for link in &vectors.chain {
        head = sha256(&[&head[..], &sha256(link.message.as_bytes()).0].concat()).0.to_vec();
        assert_eq!(hex(&head), link.head.to_string());
    }
    let batch: Batch = serde_json::from_str(&vectors.batch).unwrap();
    let texts: Vec<_> = batch.messages.iter().map(|m| m.get()).collect();
    assert_eq!(texts, vectors.chain.iter().map(|link| link.message.as_str()).collect::<Vec<_>>());
    let report = vectors.sign1.iter().find(|v| v.name == "report").unwrap();
    let plain = zstd::decode_all(&BASE64.decode(&report.payload).unwrap()[..]).unwrap();
    assert_eq!(String::from_utf8(plain).unwrap(), vectors.batch);
    assert_eq!(vectors.token.text.parse::<EnrolmentToken>().unwrap(), vectors.token.json);
    let challenge = BASE64URL.decode(&vectors.sign_in.challenge).unwrap();
    let message = [b"muster/v1/sign-in\0ABC\0".as_slice(), &challenge].concat();
    assert_eq!(hex(&message), vectors.sign_in.message);
    key(&vectors, "admin").verify(&message, &BASE64URL.decode(&vectors.sign_in.signature).unwrap()).unwrap();
    assert_eq!(section_bytes(&vectors.section.rows), vectors.section.bytes.as_bytes());
    assert_eq!(sha256(vectors.section.bytes.as_bytes()), vectors.section.digest);
}

#[test]
fn a_sealed_secret_opens_as_the_document_says() {
    let vectors = vectors();
    let SealedVector { key, value, secret } = &vectors.sealed;
    let sealing = SealingPrivateKey::from_kept(&BASE64.decode(key).unwrap()).unwrap();
    assert_eq!(sealing.open(secret).unwrap().as_slice(), value.as_bytes());
    let said = vectors.sign1.iter().find(|v| v.name == "sealing-key").unwrap();
    let device = self::key(&vectors, "device");
    let (public, said) = open_statement(&BASE64.decode(&said.envelope).unwrap(), &device).unwrap();
    assert_eq!((public.id(), said.device), (secret.key, secret.binding.device));
    let signed = vectors.sign.iter().find(|v| v.name == "sealed-secret").unwrap();
    assert_eq!(serde_json::from_slice::<SealedSecret>(&BASE64.decode(&signed.payload).unwrap()).unwrap(), *secret);
}

#[test]
fn bundle_certificates_and_request_are_what_a_client_takes() {
    let vectors = vectors();
    let bundle = vectors.sign.iter().find(|v| v.name == "trust-bundle").unwrap();
    let envelope = BASE64.decode(&bundle.envelope).unwrap();
    let pin = vectors.keys["root"].id;
    let taken = TrustBundle::first(&envelope, &pin, vectors.site, vectors.now).unwrap();
    let issuing = taken.value().issuing_certificates().unwrap();
    assert_eq!(BASE64.encode(&issuing[0]), vectors.certificates["issuing"]);
    let client = BASE64.decode(&vectors.certificates["client"]).unwrap();
    let identity = certificate::issued_client(&client, &issuing, vectors.now).unwrap();
    assert_eq!((identity.site, identity.device), (vectors.site, DeviceId(uuid(1))));
    let request = BASE64.decode(&vectors.signing_request).unwrap();
    assert_eq!(certificate::signing_request_key(&request).unwrap(), key(&vectors, "device"));
}

/// The text between `<!-- name -->` and `<!-- end -->`, replaced.
fn replaced(document: &str, name: &str, generated: &str) -> String {
    let mark = format!("<!-- {name} -->\n");
    let begin = document.find(&mark).unwrap_or_else(|| panic!("{DOCUMENT} has no mark {name}")) + mark.len();
    let end = begin + document[begin..].find("<!-- end -->").unwrap();
    format!("{}{generated}{}", &document[..begin], &document[end..])
}

fn example(vectors: &Vectors) -> String {
    let poll = vectors.sign1.iter().find(|v| v.name == "poll").unwrap();
    let payload = BASE64.decode(&poll.payload).unwrap();
    let header = protected(&poll.content_type, &vectors.keys["device"].id);
    let bytes = BASE64.decode(&poll.envelope).unwrap();
    format!(
        "```text\npayload           {}\nprotected header  {}\nsigned bytes      {}\nenvelope          {}\n```\n",
        String::from_utf8(payload.clone()).unwrap(),
        hex(&header),
        hex(&[vec![0x84], tstr("Signature1"), bstr(&header), bstr(b"muster/v1"), bstr(&payload)].concat()),
        hex(&bytes)
    )
}

#[test]
fn the_document_s_tables_and_its_example_are_the_programs() {
    let file = root_of_repository().join(DOCUMENT);
    let there = fs::read_to_string(&file).unwrap();
    let mut wanted = there.clone();
    for (name, generated) in [
        ("codes", protocol_tables::codes()),
        ("limits", protocol_tables::limits()),
        ("status messages", protocol_tables::status_messages()),
        ("example", example(&vectors())),
    ] {
        wanted = replaced(&wanted, name, &generated);
    }
    if std::env::var_os("MUSTER_BLESS").is_some() {
        fs::write(&file, &wanted).unwrap();
    } else {
        assert!(there == wanted, "{DOCUMENT} is behind the program: run the test again with MUSTER_BLESS=1");
    }
}

#[test]
fn a_foreign_program_verifies_the_vectors() {
    let python = std::env::var("MUSTER_PYTHON").unwrap_or_else(|_| "python3".into());
    let script = root_of_repository().join("scripts/judge-protocol.py");
    let judged = Command::new(&python).arg(script).arg(root_of_repository().join(VECTORS)).output();
    let why = match judged {
        Ok(output) if output.status.code() == Some(77) => String::from_utf8_lossy(&output.stdout).trim().to_owned(),
        Ok(output) => {
            let said = String::from_utf8_lossy(&output.stdout);
            assert!(output.status.success(), "{said}{}", String::from_utf8_lossy(&output.stderr));
            return;
        }
        Err(error) => format!("{python} does not start: {error}"),
    };
    skip("the foreign judge of the protocol's test vectors", &why);
}

/// Says loudly that a test could not run, as `./test` counts it.
pub(crate) fn skip(what: &str, why: &str) {
    let strict = std::env::var("CI").is_ok_and(|v| v == "true" || v == "1");
    assert!(!strict, "{what} was not run, and CI=true allows no skip: {why}");
    let line = format!("SKIPPED {what}: {why}\n");
    drop(std::io::Write::write_all(&mut std::io::stderr(), line.as_bytes()));
    if let Some(path) = std::env::var_os("MUSTER_SKIP_LOG")
        && let Ok(mut log) = fs::OpenOptions::new().create(true).append(true).open(path)
    {
        use std::io::Write;
        drop(log.write_all(line.as_bytes()));
    }
}
