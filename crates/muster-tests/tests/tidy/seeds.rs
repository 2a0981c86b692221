//! Every fuzz target has seeds to begin from, and the seeds are what the code of today understands.
//!
//! `MUSTER_BLESS=1 cargo nextest run -p muster-tests --test tidy seeds` writes them anew.

use muster_model::api::RevocationReason;
use muster_model::application::{Application, Command, ContentFile, Detection, Platform};
use muster_model::baseline::Baseline;
use muster_model::discovery::Fact;
use muster_model::enrol::{DeviceClaims, EnrolPoll, EnrolRequest, EnrolmentToken};
use muster_model::id::Hash;
use muster_model::inventory::{Change, InventoryReport, Row, Section, Value};
use muster_model::policy::{Assignment, BodyKind, BodyRef, ClientSettings, DeploymentPolicy, Recipient};
use muster_model::report::{Batch, Body, Channel, DiscoveryReport, Message};
use muster_model::secret::{SealedSecret, SealingKey, SecretBinding};
use muster_model::status::{DeploymentReport, DeploymentState};
use muster_model::time::UnixMillis;
use muster_trust::bundle::{KeySet, NamedKey};
use muster_trust::secret::{SealingPrivateKey, seal, statement_key};
use muster_trust::{PrivateKey, TrustBundle, certificate, envelope, kerberos, ocsp};
use serde::Serialize;
use serde_json::value::to_raw_value;

use crate::tree::{read, report, root};

const ID: &str = "0192f0c1-7a3b-7c4d-8e5f-0123456789ab";
const NOW: UnixMillis = UnixMillis(1_780_000_000_000);

/// Target, name of the seed, bytes.
type Seed = (&'static str, &'static str, Vec<u8>);

fn json(target: &'static str, name: &'static str, value: &impl Serialize) -> Seed {
    (target, name, serde_json::to_vec(value).unwrap())
}

fn id<T: std::str::FromStr>() -> T
where
    T::Err: std::fmt::Debug,
{
    ID.parse().unwrap()
}

/// What a FusionInventory agent says, in a few of its sections.
const FOREIGN: &str = "<CONTENT><VERSIONCLIENT>FusionInventory-Agent_v2.6</VERSIONCLIENT><HARDWARE><NAME>pc-1</NAME><MEMORY>2048</MEMORY>\
     </HARDWARE><SOFTWARES><NAME>curl</NAME><VERSION>7.88.1-10</VERSION><ARCH>amd64</ARCH><FROM>deb</FROM></SOFTWARES><CPUS>\
     <NAME>a &amp; b &#x41;</NAME><CORE>4</CORE></CPUS></CONTENT><DEVICEID>pc-1</DEVICEID><QUERY>INVENTORY</QUERY>";

/// A document that is not compressed: the first byte says so.
fn foreign(inside: &str) -> Vec<u8> {
    format!("\0<?xml version=\"1.0\" encoding=\"UTF-8\" ?>\n<REQUEST>{inside}</REQUEST>").into_bytes()
}

fn baseline() -> Baseline {
    let text = r#"{"id": "0192f0c1-7a3b-7c4d-8e5f-0123456789ab", "name": "Servers", "version": "1", "platform": "linux", "items": [
        {"name": "SSH", "description": "Nobody signs in as root.", "settings": [
        {"name": "Root", "severity": "critical", "rules": [{"kind": "one_of", "values": ["no", "prohibit-password"]}],
         "discovery": {"kind": "file", "path": "/etc/ssh/sshd_config", "read": {"kind": "key", "key": "PermitRootLogin", "last": true}},
         "remediation": {"kind": "file", "content": "PermitRootLogin no\n", "mode": "0600"}},
        {"name": "Forwarding", "value_type": "integer", "rules": [{"kind": "between", "least": "0", "most": "0"}],
         "discovery": {"kind": "sysctl", "name": "net.ipv4.ip_forward"}, "remediation": {"kind": "sysctl", "value": "0"}},
        {"name": "Script", "value_type": "list", "private": true, "rules": [{"kind": "contains", "value": "a"}],
         "discovery": {"kind": "script", "script": {"interpreter": "sh", "text": "echo $1", "pass": "stdin",
         "parameters": [{"name": "n", "value": -7}]}}}]}]}"#;
    serde_json::from_str(text).unwrap()
}

fn application() -> Application {
    Application {
        id: id(),
        name: "Seven tools".parse().unwrap(),
        version: "7.1".into(),
        platform: Platform::Linux,
        content: vec![ContentFile { name: "tools.deb".parse().unwrap(), hash: Hash([7; 32]), size: 1_024 }],
        install: Command {
            program: "/usr/bin/dpkg".into(),
            arguments: vec!["-i".into(), "content/tools.deb".into()],
            success_codes: vec![0],
        },
        detection: Detection::Package { name: "tools".into(), version: Some("7.1".into()) },
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
        max_run_seconds: 600,
    }
}

fn claims() -> DeviceClaims {
    DeviceClaims {
        host_name: "pc-7".into(),
        operating_system: "Debian GNU/Linux 12 (bookworm)".into(),
        agent_version: "0.1.0".into(),
        hardware_id: Hash([1; 32]),
    }
}

fn batches() -> [Batch; 2] {
    let row = Row::from([
        ("DeviceID".to_owned(), Value::Text("sda1".into())),
        ("Size".to_owned(), Value::Int(512)),
        ("Compressed".to_owned(), Value::Bool(false)),
    ]);
    let change = Change::Full { rows: vec![row.clone()] };
    let delta = Change::Delta { base: Hash([2; 32]), upsert: vec![row.clone()], remove: vec![row] };
    let section = |change| Section { class: "LOGICAL_DISK".into(), digest: Hash([3; 32]), change };
    let inventory = InventoryReport { sections: vec![section(change), section(delta)], unread: vec![] };
    let deployment = DeploymentReport {
        deployment: id(),
        application: Hash([4; 32]),
        state: DeploymentState::Succeeded,
        reason: None,
        exit_code: Some(0),
        output: "done".into(),
        starts: None,
        waits: None,
        runs: None,
        restart: false,
        undone: false,
        deployment_type: None,
        deferred: 0,
    };
    let fact = |name: &str, value: &str| (name.to_owned(), Fact::List(vec![value.to_owned()]));
    let discovery =
        DiscoveryReport { facts: [fact("IPSubnets", "10.1.2.0"), fact("MACAddresses", "02:00:00:00:00:01")].into() };
    let batch = |channel, bodies: Vec<Body>| Batch {
        site: "LAB".parse().unwrap(),
        channel,
        time: NOW,
        first: 1,
        previous: Hash::ZERO,
        resume_after_loss: false,
        messages: bodies.into_iter().map(|body| to_raw_value(&Message { time: NOW, body }).unwrap()).collect(),
    };
    [
        batch(Channel::Inventory, vec![Body::Inventory(inventory)]),
        batch(
            Channel::Status,
            vec![Body::Heartbeat(claims()), Body::Discovery(discovery), Body::Deployment(deployment)],
        ),
    ]
}

fn wire() -> Vec<Seed> {
    let site = "LAB".parse().unwrap();
    let token = EnrolmentToken {
        site,
        root: Hash([5; 32]),
        enrol: "https://site.example:8444".into(),
        secret: "A".repeat(43),
        trust_version: 1,
    };
    let bodies = [BodyKind::Settings, BodyKind::Deployment, BodyKind::Application].map(|kind| BodyRef {
        kind,
        hash: Hash([6; 32]),
        size: 100,
    });
    let assignment = Assignment {
        site,
        recipient: Recipient::Device(id()),
        version: 3,
        issued: NOW,
        expires: UnixMillis(NOW.0 + 1),
        trust_version: 1,
        bodies: bodies.into(),
    };
    let deployment = DeploymentPolicy {
        deployment: id(),
        application: Hash([4; 32]),
        available: NOW,
        deadline: NOW,
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
    let request = EnrolRequest {
        secret: "A".repeat(43),
        csr: "MIIB".into(),
        claims: claims(),
        attestation: None,
        enterprise: None,
        domain: None,
        serial: None,
    };
    let [inventory, status] = batches();
    vec![
        json("report_batch", "inventory.json", &inventory),
        json("report_batch", "status.json", &status),
        json("assignment", "assignment.json", &assignment),
        json("assignment", "settings.json", &ClientSettings::default()),
        json("assignment", "deployment.json", &deployment),
        json("application", "application.json", &application()),
        json("baseline", "baseline.json", &baseline()),
        json("enrolment", "request.json", &request),
        json("enrolment", "poll.json", &EnrolPoll { site, enrolment: id(), time: NOW }),
        ("token", "token.txt", token.to_text().into_bytes()),
        // One recorded machine has lines of nearly every format that the collectors read.
        ("collect", "machine.txt", read("crates/muster-agent/tests/machines/debian-12.tree").into_bytes()),
        ("kerberos", "computer.keytab", keytab()),
        ("class_definition", "badge.json", class_definition(BADGE_JSON)),
        ("class_definition", "badge.mof", class_definition(BADGE_MOF)),
        ("wql", "software.wql", wql(SOFTWARE_WQL)),
        ("wql", "without.wql", wql(WITHOUT_WQL)),
        ("wql", "functions.wql", wql(FUNCTIONS_WQL)),
        ("mof", "laboratories.mof", mof(LABORATORIES_MOF, false)),
        ("mof", "laboratories-utf16.mof", mof(LABORATORIES_MOF, true)),
        ("live", "changed", b": open\n\nevent: changed\ndata: 1\n\n:\n\n".to_vec()),
    ]
}

/// The keytab of a computer, as Samba writes it.
fn keytab() -> Vec<u8> {
    let mut entry = vec![0, 1, 0, 11];
    entry.extend(b"LAB.EXAMPLE");
    entry.extend([0, 4]);
    entry.extend(b"PC1$");
    entry.extend([0, 0, 0, 1, 0, 0, 0, 0, 2, 0, 18, 0, 32]);
    entry.extend([7; 32]);
    entry.extend([0, 0, 0, 2]);
    [&[5, 2, 0, 0, 0][..], &[u8::try_from(entry.len()).unwrap()], &entry].concat()
}

/// Seeds with keys and signatures: other bytes at each writing.
fn signed() -> Vec<Seed> {
    let site = "LAB".parse().unwrap();
    let key = PrivateKey::generate().unwrap();
    let root = certificate::root(site, &key, NOW).unwrap();
    let named = NamedKey::new("first", key.public());
    let encode = |der: &[u8]| {
        use base64::Engine;
        base64::engine::general_purpose::STANDARD.encode(der)
    };
    let set = KeySet { threshold: 1, keys: vec![named.clone()] };
    let bundle = TrustBundle {
        site,
        version: 1,
        issued: NOW,
        expires: UnixMillis(NOW.0 + 1),
        root: set.clone(),
        root_certificate: encode(&root),
        issuing: vec![encode(&root)],
        policy: vec![named],
        authors: set,
        revoked: vec![],
        approval: None,
    };
    let one = envelope::sign1(&key, muster_model::report::REPORT_TYPE, b"payload".to_vec()).unwrap();
    let several = envelope::sign_json(&[&key], &application()).unwrap();
    let issuer = ocsp::Issuer::from_certificate(&root).unwrap();
    let ca = certificate::IssuingCa::new(root.clone(), &key).unwrap();
    let revoked = ocsp::Status::Revoked { at: NOW, reason: RevocationReason::KeyCompromise };
    let (statement, sealed) = secret(&key);
    let messages = cms(&ca);
    let computer = kerberos::Client::of(&kerberos::Keytab::read(&keytab()).unwrap()).unwrap();
    vec![
        ("kerberos", "sign-in.der", computer.sign_in(NOW).unwrap().message),
        ("ocsp", "request.der", ocsp::request(&issuer, 7, None).unwrap()),
        ("ocsp", "request-nonce.der", ocsp::request(&issuer, 7, Some(&[7; 32])).unwrap()),
        ("ocsp", "good.der", ca.ocsp_status(7, ocsp::Status::Good, NOW, UnixMillis(NOW.0 + 1)).unwrap()),
        ("ocsp", "revoked.der", ca.ocsp_status(7, revoked, NOW, UnixMillis(NOW.0 + 1)).unwrap()),
        ("foreign_inventory", "prolog", foreign("<DEVICEID>pc-1</DEVICEID><QUERY>PROLOG</QUERY>")),
        ("foreign_inventory", "inventory", foreign(FOREIGN)),
        ("ldap", "page", ldap()),
        ("foreign_list", "list.der", ca.revocation_list(7, &[], NOW, UnixMillis(NOW.0 + 1_000_000)).unwrap()),
        ("envelope", "one.cose", one),
        ("envelope", "several.cose", several),
        json("trust_bundle", "bundle.json", &bundle),
        ("trust_bundle", "bundle.cose", envelope::sign_json(&[&key], &bundle).unwrap()),
        ("certificate", "root.der", root),
        ("certificate", "request.der", certificate::signing_request(&key).unwrap()),
        ("attestation", "device.tpmt", device_area(&key)),
        ("secret", "statement.cose", statement),
        json("secret", "sealed.json", &sealed),
        ("secret", "signed.cose", envelope::sign_json(&[&key], &sealed).unwrap()),
        ("key", "public.der", key.public().spki()),
        ("key", "public.pem", key.public().pem().into_bytes()),
    ]
    .into_iter()
    .chain(messages)
    .collect()
}

/// A message of one of Apple's devices.
fn apple(inside: &str) -> Vec<u8> {
    format!("<plist version=\"1.0\"><dict><key>UDID</key><string>d</string>{inside}</dict></plist>").into_bytes()
}

/// Messages of CMS and SCEP, of a sender and to a recipient with an RSA key.
fn cms(ca: &certificate::IssuingCa) -> Vec<Seed> {
    use muster_trust::cms::{RsaKey, der, enveloped, signed};
    let key = RsaKey::generate().unwrap();
    let holder = ca.authority("LAB".parse().unwrap(), key.spki(), NOW).unwrap().der;
    let by = signed::SignAs { certificate: &holder, key: signed::SigningKey::Rsa(&key) };
    let sealed = enveloped::seal(b"text", &holder, enveloped::Cipher::Aes256).unwrap();
    let attribute = |last: u8, tag: u8, value: &[u8]| {
        let kind = [&[0x60, 0x86, 0x48, 0x01, 0x86, 0xf8, 0x45, 0x01, 0x09][..], &[last]].concat();
        signed::Attribute { kind, value: der::value(tag, &[value]) }
    };
    let scep = [
        attribute(2, der::PRINTABLE, b"19"),
        attribute(5, der::OCTETS, &[7; 16]),
        attribute(7, der::PRINTABLE, b"0123456789abcdef"),
    ];
    let message = |content, attributes| signed::sign(content, by, attributes, &[]).unwrap();
    let pieces = [&[0x30, 0x80, 0x24, 0x80, 4, 1, 7, 4, 1, 8, 0, 0, 0, 0][..]].concat();
    vec![
        ("cms", "pieces.ber", pieces),
        ("cms", "attached.der", message(signed::Content::Attached(b"text"), Some(&[]))),
        ("cms", "detached.der", message(signed::Content::Detached(b"text"), None)),
        ("cms", "enveloped.der", sealed.clone()),
        ("cms", "certificates.der", signed::certificates_only(&[&holder], None)),
        ("scep", "request.der", message(signed::Content::Attached(&sealed), Some(&scep))),
        ("scep", "query", b"operation=PKIOperation&message=MIAG%2B/8=".to_vec()),
        ("apple", "checkin.plist", apple("<key>MessageType</key><string>CheckOut</string>")),
        (
            "apple",
            "report.plist",
            apple("<key>CommandUUID</key><string>c</string><key>Status</key><string>NotNow</string>"),
        ),
    ]
}

/// A device's statement of its sealing key, and a secret that is sealed to it.
fn secret(key: &PrivateKey) -> (Vec<u8>, SealedSecret) {
    let sealing = SealingPrivateKey::generate().unwrap();
    let (site, name) = ("LAB".parse().unwrap(), "token".parse().unwrap());
    let said = SealingKey { site, device: id(), key: statement_key(sealing.public()), made: NOW };
    let binding = SecretBinding { site, device: id(), application: id(), name, version: NOW };
    (envelope::sign1_json(key, &said).unwrap(), seal(b"value", sealing.public(), binding).unwrap())
}

const BADGE_JSON: &str = r#"{"name": "BADGE_READER", "provider": "Win32_Badge", "attributes": [{"name": "Name", "type": "String", "key": true}, {"name": "Slots", "type": "UInt16[]"}]}
"#;

const BADGE_MOF: &str = r#"#pragma namespace ("\\\\.\\root\\cimv2\\SMS")
[SMS_Report(TRUE), SMS_Group_Name("Badge"), SMS_Class_ID("CUSTOM|BADGE|1.0"), Namespace("root\\\\cimv2") : ToInstance]
class Win32_Badge : SMS_Class_Template
{
    [SMS_Report(TRUE), key] string Name;
    [SMS_Report(TRUE)] uint16 Slots[];
};
"#;

/// One element of BER.
fn ber(tag: u8, parts: &[&[u8]]) -> Vec<u8> {
    let content = parts.concat();
    [&[tag, 0x82], &u16::try_from(content.len()).unwrap().to_be_bytes()[..], &content].concat()
}

/// What a directory says to a search: an entry, a reference, and the end of a page.
fn ldap() -> Vec<u8> {
    let octets = |text: &str| ber(4, &[text.as_bytes()]);
    let attribute = |name: &str, values: &[&str]| {
        let values: Vec<Vec<u8>> = values.iter().map(|value| octets(value)).collect();
        ber(0x30, &[&octets(name), &ber(0x31, &values.iter().map(Vec::as_slice).collect::<Vec<_>>())])
    };
    let message = |parts: &[&[u8]]| ber(0x30, &[&[&[2, 1, 7][..]], parts].concat());
    let attributes = [attribute("cn", &["PC7"]), attribute("memberOf", &["CN=a,DC=x", "CN=b,DC=x"])].concat();
    let entry = message(&[&ber(0x64, &[&octets("CN=PC7,DC=lab"), &ber(0x30, &[&attributes])])]);
    let reference = message(&[&ber(0x73, &[&octets("ldap://elsewhere/")])]);
    let page = ber(0x30, &[&[2, 1, 0], &octets("cookie")]);
    let control = ber(0x30, &[&octets("1.2.840.113556.1.4.319"), &ber(4, &[&page])]);
    let end = message(&[&ber(0x65, &[&[10, 1, 0], &octets(""), &octets("")]), &ber(0xa0, &[&control])]);
    for one in [&entry, &reference, &end] {
        muster_model::ldap::answer(one).unwrap();
    }
    [entry, reference, end].concat()
}

/// A text that defines one class.
const SOFTWARE_WQL: &str = "select SMS_R_SYSTEM.ResourceID,SMS_R_SYSTEM.Name from SMS_R_System inner join \
    SMS_G_System_INSTALLED_SOFTWARE on SMS_G_System_INSTALLED_SOFTWARE.ResourceID = SMS_R_System.ResourceId where \
    SMS_G_System_INSTALLED_SOFTWARE.ProductName like \"%[a-z]_reader%\" and SMS_R_System.Client = \"1\"";
const WITHOUT_WQL: &str = "select distinct * from SMS_R_System s where s.ResourceId not in (select ResourceID from \
    SMS_CM_RES_COLL_SMS00001) or not (s.Name is not in ('a', 'b\\\\c') and s.IPAddresses <> null) order by s.Name desc;";
const FUNCTIONS_WQL: &str = "select count(*) from SMS_R_System a full outer join SMS_G_System_OPERATING_SYSTEM as o on \
    o.ResourceID = a.ResourceID where DateDiff(dd, o.LastBootUpTime, GetDate()) > 14 and upper(substring(o.Caption, 1, 3)) = 'WIN' \
    and o.InstallDate >= DateAdd(month, -3, GetDate()) and DatePart(hh, o.LastBootUpTime) < 4.5";
const LABORATORIES_MOF: &str = "// x\n[SecurityVerbs(-1)]\ninstance of SMS_Collection\n{\n\tCollectionID = \"LAB0001C\";\n\
    CollectionRules = {instance of SMS_CollectionRuleQuery {QueryExpression = \"select * from SMS_R_System where Name like \\\"L%\\\"\"; \
    RuleName = \"By name\";}, instance of SMS_CollectionRuleDirect {ResourceID = 16777220; RuleName = \"PC7\";}, instance of \
    SMS_CollectionRuleExcludeCollection {ExcludeCollectionID = \"LAB0001D\"; RuleName = \"Broken\";}};\nCollectionType = 2; Name = \"L\"; \
    LimitToCollectionID = \"SMS00001\"; RefreshSchedule = {instance of SMS_ST_RecurWeekly {Day = 2; ForNumberOfWeeks = 1; StartTime = \
    \"20240120130000.000000+***\";}}; RefreshType = 6; OwnedByThisSite = TRUE; Comment = NULL;\n};\n";

fn wql(text: &str) -> Vec<u8> {
    let parsed = muster_model::wql::parse(text).unwrap();
    muster_model::wql::check(&parsed, muster_model::wql::Schema::built_in()).unwrap();
    text.into()
}

fn mof(text: &str, wide: bool) -> Vec<u8> {
    let (found, left) = muster_model::mof::collection::collections(text).unwrap();
    assert!(found.len() == 1 && found[0].rules.len() == 3 && left.is_empty() && found[0].left.is_empty());
    if wide { muster_model::mof::text::utf16(text) } else { text.into() }
}

fn class_definition(text: &str) -> Vec<u8> {
    let found = muster_model::catalogue::definitions(text).unwrap();
    assert!(matches!(&found[..], [one] if one.class().is_ok()), "{text}");
    text.as_bytes().to_vec()
}

/// The public area of a device's key, as a TPM writes it.
fn device_area(key: &PrivateKey) -> Vec<u8> {
    let template = muster_trust::attestation::public::template::device();
    let point = key.public().point();
    // The template ends with two empty coordinates.
    let head = &template[..template.len() - 4];
    [head, &[0, 32], &point[1..33], &[0, 32], &point[33..]].concat()
}

fn targets() -> Vec<String> {
    let manifest: toml::Table = read("fuzz/Cargo.toml").parse().unwrap();
    manifest["bin"].as_array().unwrap().iter().map(|b| b["name"].as_str().unwrap().to_owned()).collect()
}

#[test]
fn every_fuzz_target_has_seeds_that_are_understood() {
    let (wire, signed) = (wire(), signed());
    let place = |seed: &Seed| root().join("fuzz/seeds").join(seed.0).join(seed.1);
    if std::env::var_os("MUSTER_BLESS").is_some() {
        for seed in wire.iter().chain(&signed) {
            std::fs::create_dir_all(place(seed).parent().unwrap()).unwrap();
            std::fs::write(place(seed), &seed.2).unwrap();
        }
    }
    let mut found = Vec::new();
    for seed in &wire {
        if std::fs::read(place(seed)).ok().as_ref() != Some(&seed.2) {
            found.push(format!("{}: not what the code writes today", place(seed).display()));
        }
    }
    found.extend(signed.iter().filter(|s| !place(s).exists()).map(|s| format!("{}: missing", place(s).display())));
    for target in targets() {
        let seeded = wire.iter().chain(&signed).any(|s| s.0 == target);
        let source = root().join(format!("fuzz/fuzz_targets/{target}.rs"));
        if !seeded || !source.exists() {
            found.push(format!(
                "fuzz target {target} lacks its source or its seeds (crates/muster-tests/tests/tidy/seeds.rs)"
            ));
        }
    }
    report("fuzz seeds (MUSTER_BLESS=1 writes them)", &found);
}
