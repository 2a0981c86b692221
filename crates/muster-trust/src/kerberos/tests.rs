//! Proofs of a domain controller of the test's own: one good one, and each way to be a bad one.

use super::{
    cipher::MAC,
    der,
    message::{ApRequest, Authenticator, ENCRYPTED_TICKET, Principal, TICKET, encrypted, name},
    *,
};
use crate::PrivateKey;
use muster_model::time::UnixMillis;

const REALM: &str = "LAB.EXAMPLE";
const SERVICE: &str = "muster/site.example";
const NOW: i64 = 1_790_000_000;

/// What a proof is made of; the default is a good one.
#[derive(Clone)]
struct Forged {
    ticket_key: Key,
    ticket_kind: i64,
    session_key: Key,
    service: (&'static str, &'static str),
    client: (&'static str, &'static str),
    flags: u32,
    transited: &'static [u8],
    starts: i64,
    ends: i64,
    pac_key: Key,
    pac_name: &'static str,
    pac_user: &'static str,
    pac_time: i64,
    control: u32,
    delegated: bool,
    requestor: Option<u32>,
    pacs: usize,
    marked: i64,
    authenticator_client: &'static str,
    authenticator_time: i64,
    authenticator_key: Key,
    checksum: Option<i64>,
    bound: Hash,
}

fn key(byte: u8) -> Key {
    Key::new(18, &[byte; 32]).unwrap()
}

fn good() -> Forged {
    Forged {
        ticket_key: key(1),
        ticket_kind: 18,
        session_key: key(2),
        service: (REALM, SERVICE),
        client: (REALM, "PC1$"),
        flags: 0x4000_0000,
        transited: &[],
        starts: NOW - 60,
        ends: NOW + 600,
        pac_key: key(1),
        pac_name: "PC1$",
        pac_user: "PC1$",
        pac_time: NOW - 60,
        control: 0x80,
        delegated: false,
        requestor: Some(1104),
        pacs: 1,
        marked: 1,
        authenticator_client: "PC1$",
        authenticator_time: NOW,
        authenticator_key: key(2),
        checksum: Some(16),
        bound: Hash([5; 32]),
    }
}

fn utf16(text: &str) -> Vec<u8> {
    text.encode_utf16().flat_map(u16::to_le_bytes).collect()
}

fn sid(numbers: &[u32]) -> Vec<u8> {
    let mut bytes = vec![1, u8::try_from(numbers.len()).unwrap(), 0, 0, 0, 0, 0, 5];
    bytes.extend(numbers.iter().flat_map(|number| number.to_le_bytes()));
    bytes
}

/// `KERB_VALIDATION_INFO` of account 1104 in the groups 515 and 1105, and, by extra identifiers, 1106.
fn validation(user: &str, control: u32) -> Vec<u8> {
    let long = |value: u32| value.to_le_bytes().to_vec();
    let length = u16::try_from(user.len() * 2).unwrap().to_le_bytes();
    let no_text = [vec![0; 4], long(0)].concat();
    let mut body = [long(0x20000), vec![0; 48], [length, length].concat(), long(0x20004), no_text.repeat(5)].concat();
    body.extend([vec![0; 4], long(1104), long(515), long(2), long(0x20008), vec![0; 20]].concat());
    body.extend([no_text.repeat(2), long(0x2000c), vec![0; 8], long(control), vec![0; 28]].concat());
    body.extend([long(1), long(0x20010), long(0), long(0), long(0)].concat());
    body.extend([long(u32::try_from(user.len()).unwrap()), long(0), long(u32::try_from(user.len()).unwrap())].concat());
    body.extend(utf16(user));
    body.resize(body.len().next_multiple_of(4), 0);
    body.extend([long(2), long(1105), long(7), long(1107), long(3)].concat());
    body.extend([long(4), sid(&[21, 1, 2, 3])].concat());
    body.extend([long(1), long(0x20014), long(7), long(5), sid(&[21, 1, 2, 3, 1106])].concat());
    [&[1, 0x10, 8, 0, 0xcc, 0xcc, 0xcc, 0xcc][..], &long(u32::try_from(body.len()).unwrap()), &long(0), &body].concat()
}

fn pac(forged: &Forged) -> Vec<u8> {
    let time = u64::try_from(forged.pac_time + 11_644_473_600).unwrap() * 10_000_000;
    let text = utf16(forged.pac_name);
    let length = u16::try_from(text.len()).unwrap().to_le_bytes();
    let checksum = |kind: u32| [&kind.to_le_bytes()[..], &[0; MAC]].concat();
    let mut parts = vec![
        (1_u32, validation(forged.pac_user, forged.control)),
        (10, [&time.to_le_bytes()[..], &length, &text].concat()),
        (6, checksum(16)),
        (7, checksum(16)),
    ];
    if forged.delegated {
        parts.push((11, vec![0; 16]));
    }
    parts.extend(forged.requestor.map(|user| (18, sid(&[21, 1, 2, 3, user]))));
    let mut head = [u32::try_from(parts.len()).unwrap().to_le_bytes(), [0; 4]].concat();
    let mut body = Vec::new();
    let start = 8 + 16 * parts.len();
    let mut signature = 0;
    for (kind, bytes) in &parts {
        let offset = start + body.len();
        if *kind == 6 {
            signature = offset + 4;
        }
        head.extend([kind.to_le_bytes(), u32::try_from(bytes.len()).unwrap().to_le_bytes()].concat());
        head.extend((offset as u64).to_le_bytes());
        body.extend(bytes);
        body.resize(body.len().next_multiple_of(8), 0);
    }
    let mut whole = [head, body].concat();
    let mac = forged.pac_key.checksum(usage::PAC, &whole).unwrap();
    whole[signature..signature + MAC].copy_from_slice(&mac);
    whole
}

fn authorization(kind: i64, data: &[u8]) -> Vec<u8> {
    der::sequence(&[der::field(0, &der::integer(kind)), der::field(1, &der::octets(data))])
}

impl Forged {
    fn ticket(&self) -> Vec<u8> {
        let session = [
            der::field(0, &der::integer(self.session_key.kind().number())),
            der::field(1, &der::octets(self.session_key.bytes())),
        ];
        let transited = [der::field(0, &der::integer(1)), der::field(1, &der::octets(self.transited))];
        let pac = authorization(128, &pac(self));
        let data = authorization(self.marked, &der::sequence(&vec![pac; self.pacs]));
        let part = der::message(
            ENCRYPTED_TICKET,
            &[
                der::field(0, &der::flags(self.flags)),
                der::field(1, &der::sequence(&session)),
                der::field(2, &der::text(self.client.0)),
                der::field(3, &name(self.client.1, 1)),
                der::field(4, &der::sequence(&transited)),
                der::field(5, &der::time(NOW - 60).unwrap()),
                der::field(6, &der::time(self.starts).unwrap()),
                der::field(7, &der::time(self.ends).unwrap()),
                der::field(10, &der::sequence(&[data])),
            ],
        );
        let sealed = self.ticket_key.encrypt(usage::TICKET, [3; 16], &part).unwrap();
        let sealed = [der::field(0, &der::integer(self.ticket_kind)), der::field(2, &der::octets(&sealed))];
        der::message(
            TICKET,
            &[
                der::field(0, &der::integer(5)),
                der::field(1, &der::text(self.service.0)),
                der::field(2, &name(self.service.1, 2)),
                der::field(3, &der::sequence(&sealed)),
            ],
        )
    }

    fn proof(&self) -> Vec<u8> {
        let checksum = self.authenticator_key.checksum(usage::CHECKSUM, &self.bound.0).unwrap();
        let authenticator = Authenticator {
            client: Principal { realm: self.client.0.to_owned(), name: self.authenticator_client.to_owned() },
            checksum: self.checksum.map(|kind| (kind, &checksum[..])),
            microseconds: 0,
            seconds: self.authenticator_time,
        };
        let bytes = authenticator.write().unwrap();
        let sealed = self.authenticator_key.encrypt(usage::AUTHENTICATOR, [4; 16], &bytes).unwrap();
        ApRequest::write(&self.ticket(), &encrypted(&self.authenticator_key, &sealed))
    }
}

/// A keytab with the key of the service, and of others.
fn keytab() -> Keytab {
    keytab_with(1)
}

/// The same with another newest key of the service.
fn keytab_with(last: u8) -> Keytab {
    let entry = |principal: &[&str], kind: u16, bytes: &[u8]| {
        let sized = |bytes: &[u8]| [&u16::try_from(bytes.len()).unwrap().to_be_bytes(), bytes].concat();
        let mut entry = u16::try_from(principal.len()).unwrap().to_be_bytes().to_vec();
        entry.extend(sized(REALM.as_bytes()));
        entry.extend(principal.iter().flat_map(|part| sized(part.as_bytes())));
        entry.extend([0, 0, 0, 1, 0, 0, 0, 0, 7]);
        entry.extend([&kind.to_be_bytes()[..], &sized(bytes)].concat());
        [&u32::try_from(entry.len()).unwrap().to_be_bytes()[..], &entry].concat()
    };
    let service = ["muster", "site.example"];
    let entries = [
        entry(&service, 23, &[9; 16]),
        entry(&["PC1$"], 18, &[6; 32]),
        entry(&service, 18, &[8; 32]),
        entry(&service, 18, &[last; 32]),
    ];
    Keytab::read(&[&[5, 2][..], &entries.concat()].concat()).unwrap()
}

fn accept(proof: &[u8]) -> Result<Account, KerberosError> {
    let keytabs = [keytab()];
    let acceptor = Acceptor { keytabs: &keytabs, realm: REALM, service: SERVICE };
    acceptor.accept(proof, &Hash([5; 32]), UnixMillis(NOW * 1_000))
}

#[test]
fn a_good_proof_gives_the_account_and_its_groups() {
    let account = accept(&good().proof()).unwrap();
    assert_eq!((account.name.as_str(), account.computer(), account.realm.as_str()), ("PC1$", "PC1", REALM));
    assert_eq!(account.sid, "S-1-5-21-1-2-3-1104");
    let groups = ["S-1-5-21-1-2-3-1105", "S-1-5-21-1-2-3-1106", "S-1-5-21-1-2-3-515"];
    assert_eq!(account.groups, groups, "1107 is not enabled");
    assert_eq!(service_of(&good().proof()).unwrap(), (REALM.to_owned(), SERVICE.to_owned()));
    // What the domain calls it counts, and not how its client has written it; and of the dollars one is not the name's.
    let written = Forged { client: (REALM, "pC1$"), pac_name: "pC1$", authenticator_client: "pC1$", ..good() };
    assert_eq!(accept(&written.proof()).unwrap().computer(), "PC1");
    let odd = Forged { client: (REALM, "PC1$$"), authenticator_client: "PC1$$", ..good() };
    let odd = Forged { pac_name: "PC1$$", pac_user: "PC1$$", ..odd };
    assert_eq!(accept(&odd.proof()).unwrap().computer(), "PC1$");
    for fine in [
        Forged { control: 0x100, ..good() },
        Forged { requestor: None, ..good() },
        Forged { service: (REALM, "MUSTER/Site.Example"), ..good() },
        Forged { ends: NOW - SKEW + 1, ..good() },
        Forged { authenticator_time: NOW + SKEW, ..good() },
    ] {
        assert!(accept(&fine.proof()).is_ok());
    }
}

#[test]
fn the_key_may_stand_in_any_of_the_keytabs() {
    let accept = |keytabs: &[Keytab]| {
        let acceptor = Acceptor { keytabs, realm: REALM, service: SERVICE };
        acceptor.accept(&good().proof(), &Hash([5; 32]), UnixMillis(NOW * 1_000)).map(|account| account.name)
    };
    let (old, new) = (keytab_with(9), keytab());
    assert_eq!(accept(&[old.clone(), new.clone()]).as_deref(), Ok("PC1$"));
    assert_eq!(accept(&[new, old.clone()]).as_deref(), Ok("PC1$"));
    assert_eq!(accept(&[old, Keytab::default()]), Err(KerberosError::Key));
}

// proves S3
#[test]
fn each_bad_proof_is_refused_for_its_reason() {
    use KerberosError::*;
    let bad = [
        (Forged { service: ("OTHER.EXAMPLE", SERVICE), ..good() }, Service),
        (Forged { service: (REALM, "cifs/site.example"), ..good() }, Service),
        (Forged { ticket_kind: 23, ..good() }, Encryption),
        (Forged { ticket_kind: 3, ..good() }, Encryption),
        (Forged { ticket_key: key(7), ..good() }, Key),
        (Forged { client: ("OTHER.EXAMPLE", "PC1$"), ..good() }, Realm),
        (Forged { transited: b"OTHER.EXAMPLE", ..good() }, Realm),
        (Forged { starts: NOW + SKEW + 1, ..good() }, NotYet),
        (Forged { flags: 1 << 24, ..good() }, NotYet),
        (Forged { flags: 0x60a1_0000, ..good() }, Delegated),
        (Forged { flags: 0x4800_0000, ..good() }, Delegated),
        (Forged { ends: NOW - SKEW - 1, ..good() }, Expired),
        (Forged { authenticator_key: key(3), ..good() }, Client),
        (Forged { authenticator_client: "PC2$", ..good() }, Client),
        (Forged { authenticator_time: NOW + SKEW + 1, ..good() }, Skew),
        (Forged { authenticator_time: NOW - SKEW - 1, ..good() }, Skew),
        (Forged { bound: Hash([6; 32]), ..good() }, Binding),
        (Forged { checksum: None, ..good() }, Binding),
        (Forged { checksum: Some(0x8003), ..good() }, Binding),
        (Forged { checksum: Some(15), ..good() }, Binding),
        (Forged { pacs: 0, ..good() }, NoPac),
        (Forged { pacs: 2, ..good() }, NoPac),
        (Forged { marked: 4, ..good() }, NoPac),
        (Forged { pac_key: key(2), ..good() }, PacSignature),
        (Forged { pac_name: "PC2$", ..good() }, PacSignature),
        (Forged { pac_user: "PC2$", ..good() }, PacSignature),
        (Forged { pac_time: NOW - 61, ..good() }, PacSignature),
        (Forged { requestor: Some(1108), ..good() }, PacSignature),
        (Forged { delegated: true, ..good() }, Delegated),
        (Forged { control: 0x10, ..good() }, NotAComputer),
        (Forged { control: 0x81, ..good() }, Disabled),
        (
            Forged {
                client: (REALM, "carl"),
                pac_name: "carl",
                pac_user: "carl",
                authenticator_client: "carl",
                ..good()
            },
            NotAComputer,
        ),
        (
            Forged { client: (REALM, "$"), pac_name: "$", pac_user: "$", authenticator_client: "$", ..good() },
            NotAComputer,
        ),
    ];
    for (at, (forged, reason)) in bad.into_iter().enumerate() {
        assert_eq!(accept(&forged.proof()).unwrap_err(), reason, "case {at}");
    }
}

#[test]
fn no_cut_and_no_changed_bit_makes_another_account_of_it() {
    let proof = good().proof();
    let account = accept(&proof).unwrap();
    for end in 0..proof.len() {
        assert!(accept(&proof[..end]).is_err(), "cut at {end}");
    }
    for at in 0..proof.len() {
        let mut changed = proof.clone();
        changed[at] ^= 1 << (at % 8);
        // The options, and what kind of a name the service's is, are nobody's word; everything else is.
        if let Ok(other) = accept(&changed) {
            assert_eq!(other, account, "byte {at}");
        }
    }
}

#[test]
fn what_a_proof_is_bound_to_is_all_of_it() {
    let claims = |host: &str| DeviceClaims {
        host_name: host.to_owned(),
        operating_system: "x".to_owned(),
        agent_version: "1".to_owned(),
        hardware_id: Hash([1; 32]),
    };
    let (one, two) = (PrivateKey::generate().unwrap(), PrivateKey::generate().unwrap());
    let bound = binding(&Hash([1; 32]), SERVICE, one.public(), &claims("a"));
    assert_eq!(bound, binding(&Hash([1; 32]), "MUSTER/site.example", one.public(), &claims("a")));
    for other in [
        binding(&Hash([2; 32]), SERVICE, one.public(), &claims("a")),
        binding(&Hash([1; 32]), "muster/other", one.public(), &claims("a")),
        binding(&Hash([1; 32]), SERVICE, two.public(), &claims("a")),
        binding(&Hash([1; 32]), SERVICE, one.public(), &claims("b")),
    ] {
        assert_ne!(other, bound);
    }
}

#[test]
fn a_keytab_is_read_whole_or_not_at_all() {
    let keytab = keytab();
    assert_eq!(keytab.entries().len(), 3, "RC4 is passed over");
    assert_eq!(keytab.computer(), Some((REALM, "PC1$")));
    assert!(keytab.keys("OTHER.EXAMPLE", SERVICE).is_empty());
    for bad in [&b""[..], &[5, 1], &[5, 2, 0, 0, 0, 9, 1], &[5, 2, 0, 0, 0, 2, 0, 0], &[5, 2, 0x7f, 0xff, 0xff, 0xff]] {
        assert!(Keytab::read(bad).is_err(), "{bad:?}");
    }
    assert!(Keytab::read(&[5, 2, 0xff, 0xff, 0xff, 0xfe, 1, 2, 0, 0, 0, 0]).unwrap().entries().is_empty(), "holes");
}

/// A client and a domain controller's answers, which the client opens; what is not to its question it does not take.
#[test]
fn a_client_takes_only_answers_to_what_it_asked() {
    let client = Client::of(&keytab()).unwrap();
    let exchange = client.sign_in(UnixMillis(NOW * 1_000)).unwrap();
    let error = der::message(30, &[der::field(0, &der::integer(5))]);
    assert!(matches!(client.signed_in(&exchange, &error), Err(KerberosError::Refused)));
    for wrong in [&b""[..], b"x", &exchange.message] {
        assert!(matches!(client.signed_in(&exchange, wrong), Err(KerberosError::Malformed)));
    }
    assert_eq!(Keytab::default().computer(), None);
    assert!(matches!(Client::of(&Keytab::default()), Err(KerberosError::NotAComputer)));
}
