//! TLS on both sides, in memory: the pinned root and nothing else; a device is never a server; no older version.

use muster_model::{
    id::{DeviceId, SiteCode},
    time::{DAY, HOUR, MINUTE, UnixMillis},
};
use muster_trust::{
    PrivateKey,
    certificate::{self, IssuingCa},
    ocsp::{Status, StatusError},
    server_status::StatusMemory,
    tls::{self, ClientAuth, NoEnterprise, Presented, Revocations, ServerTrust, status_error},
};
use rustls::{
    AlertDescription, CertificateError, ClientConfig, ClientConnection, HandshakeKind, ServerConfig, ServerConnection,
    pki_types::{ServerName, UnixTime},
    time_provider::TimeProvider,
};
use std::{
    collections::HashSet,
    sync::{
        Arc, Mutex,
        atomic::{AtomicI64, AtomicU64, Ordering},
    },
};

/// What a server knows of revoked clients.
#[derive(Debug, Default)]
struct Known {
    revoked: Mutex<HashSet<u128>>,
    generation: AtomicU64,
}

impl Known {
    fn revoke(&self, serial: u128) {
        self.revoked.lock().unwrap().insert(serial);
        self.generation.fetch_add(1, Ordering::SeqCst);
    }
}

impl Revocations for Known {
    fn is_revoked(&self, serial: u128) -> bool {
        self.revoked.lock().unwrap().contains(&serial)
    }
    fn generation(&self) -> u64 {
        self.generation.load(Ordering::SeqCst)
    }
}

struct Pki {
    root: PrivateKey,
    root_certificate: Vec<u8>,
    ca: IssuingCa,
}

#[expect(
    clippy::disallowed_methods,
    reason = "the TLS library asks the system for the time, so the certificates must be of today"
)]
fn now() -> UnixMillis {
    let since = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap();
    UnixMillis(i64::try_from(since.as_millis()).unwrap())
}

fn site() -> SiteCode {
    "ABC".parse().unwrap()
}

fn device() -> DeviceId {
    "0192f0c1-7a3b-7c4d-8e5f-0123456789ab".parse().unwrap()
}

impl Pki {
    fn new() -> Self {
        Self::at(now())
    }

    fn at(now: UnixMillis) -> Self {
        let (root, ca_key) = (PrivateKey::generate().unwrap(), PrivateKey::generate().unwrap());
        let root_certificate = certificate::root(site(), &root, now).unwrap();
        let ca = certificate::issuing(site(), &root_certificate, &root, ca_key.public(), &[], now).unwrap();
        Self { root, root_certificate, ca: IssuingCa::new(ca, &ca_key).unwrap() }
    }

    /// A CA that may name servers `within` these only, in the hands of a thief who does not ask whether it may.
    fn stolen(within: &[&str]) -> (Self, Vec<u8>) {
        let ca_key = PrivateKey::generate().unwrap();
        let mut pki = Self::new();
        let issue = |within: &[String]| {
            certificate::issuing(site(), &pki.root_certificate, &pki.root, ca_key.public(), within, now()).unwrap()
        };
        let within: Vec<String> = within.iter().map(|name| (*name).to_owned()).collect();
        let (bounded, unbounded) = (issue(&within), issue(&[]));
        pki.ca = IssuingCa::new(unbounded, &ca_key).unwrap();
        (pki, bounded)
    }

    fn chain(&self, leaf: Vec<u8>) -> Vec<Vec<u8>> {
        vec![leaf, self.ca.certificate().to_vec(), self.root_certificate.clone()]
    }

    fn server(&self, clients: ClientAuth) -> Arc<ServerConfig> {
        let key = PrivateKey::generate().unwrap();
        let leaf = self.ca.server(&["localhost".into()], key.public(), now()).unwrap();
        self.shows(&self.chain(leaf.der), &key, clients)
    }

    /// A server that shows this chain, and that the issuing CA calls its first certificate good.
    fn shows(&self, chain: &[Vec<u8>], key: &PrivateKey, clients: ClientAuth) -> Arc<ServerConfig> {
        let status = self.status(&chain[0], Status::Good);
        Arc::new(tls::server(Arc::new(Presented::new(chain, key, status).unwrap()), clients).unwrap())
    }

    fn status(&self, certificate: &[u8], status: Status) -> Vec<u8> {
        let serial = certificate::serial_number(certificate).unwrap();
        self.ca.ocsp_status(serial, status, now(), now().plus(HOUR)).unwrap()
    }

    fn door(&self) -> Arc<ServerConfig> {
        self.door_knowing(Arc::default())
    }

    fn door_knowing(&self, revoked: Arc<Known>) -> Arc<ServerConfig> {
        self.server(ClientAuth::Required {
            roots: vec![self.root_certificate.clone()],
            revoked,
            enterprise: Arc::new(NoEnterprise),
        })
    }

    fn client(&self, issued_at: UnixMillis) -> Arc<ClientConfig> {
        let key = PrivateKey::generate().unwrap();
        let leaf = self.ca.client(site(), device(), key.public(), issued_at).unwrap();
        let chain = vec![leaf.der, self.ca.certificate().to_vec()];
        Arc::new(tls::client(std::slice::from_ref(&self.root_certificate), Some((&chain, &key))).unwrap())
    }
}

/// Runs a handshake in memory; the connections, or the first error of either side.
fn handshake(
    server: &Arc<ServerConfig>,
    client: &Arc<ClientConfig>,
) -> Result<(ServerConnection, ClientConnection), rustls::Error> {
    let mut server = ServerConnection::new(server.clone())?;
    let mut client = ClientConnection::new(client.clone(), ServerName::try_from("localhost").unwrap())?;
    let mut wire = Vec::new();
    for _ in 0..10 {
        while client.wants_write() {
            client.write_tls(&mut wire).unwrap();
        }
        let mut bytes = &wire[..];
        while !bytes.is_empty() {
            server.read_tls(&mut bytes).unwrap();
            server.process_new_packets()?;
        }
        wire.clear();
        while server.wants_write() {
            server.write_tls(&mut wire).unwrap();
        }
        let mut bytes = &wire[..];
        while !bytes.is_empty() {
            client.read_tls(&mut bytes).unwrap();
            client.process_new_packets()?;
        }
        wire.clear();
    }
    assert!(!server.is_handshaking() && !client.is_handshaking());
    Ok((server, client))
}

// proves S22
#[test]
fn a_ca_that_was_bounded_is_believed_for_no_other_server() {
    for (within, taken) in [
        (&["localhost"][..], true),
        (&["localhost", "10.0.0.0/8"], true),
        (&["corp.example"], false),
        (&["10.0.0.0/8"], false),
        (&["ocalhost"], false),
    ] {
        let (pki, bounded) = Pki::stolen(within);
        let key = PrivateKey::generate().unwrap();
        let leaf = pki.ca.server(&["localhost".into()], key.public(), now()).unwrap();
        let chain = [leaf.der, bounded.clone(), pki.root_certificate.clone()];
        let door = pki.shows(&chain, &key, ClientAuth::None);
        let pinned = Arc::new(tls::client_pinned(pki.root.public().id()).unwrap());
        assert_eq!(handshake(&door, &pinned).is_ok(), taken, "pinned, {within:?}");
        let roots = vec![pki.root_certificate.clone()];
        let rooted = Arc::new(tls::client(&roots, None).unwrap());
        assert_eq!(handshake(&door, &rooted).is_ok(), taken, "rooted, {within:?}");
        let trust = ServerTrust::roots(roots, Some(vec![bounded.clone()]));
        let knowing = Arc::new(tls::client_trusting(trust, None).unwrap());
        assert_eq!(handshake(&door, &knowing).is_ok(), taken, "knowing the CA, {within:?}");
    }
}

// proves S9
#[test]
fn a_first_contact_takes_the_pinned_root_only() {
    let (ours, theirs) = (Pki::new(), Pki::new());
    let pinned = Arc::new(tls::client_pinned(ours.root.public().id()).unwrap());
    handshake(&ours.server(ClientAuth::None), &pinned).unwrap();
    assert!(
        handshake(&theirs.server(ClientAuth::None), &pinned).is_err(),
        "a chain of another root, for the right name"
    );
    // The pinned root's certificate beside a chain that it did not sign proves nothing.
    let key = PrivateKey::generate().unwrap();
    let leaf = theirs.ca.server(&["localhost".into()], key.public(), now()).unwrap();
    let decorated = vec![leaf.der, theirs.ca.certificate().to_vec(), ours.root_certificate.clone()];
    let decorated = theirs.shows(&decorated, &key, ClientAuth::None);
    assert!(handshake(&decorated, &pinned).is_err());
}

#[test]
fn a_pinned_server_must_have_the_name_that_was_called() {
    let pki = Pki::new();
    let key = PrivateKey::generate().unwrap();
    let leaf = pki.ca.server(&["elsewhere.example".into()], key.public(), now()).unwrap();
    let server = pki.shows(&pki.chain(leaf.der), &key, ClientAuth::None);
    assert!(handshake(&server, &Arc::new(tls::client_pinned(pki.root.public().id()).unwrap())).is_err());
}

// proves S2
#[test]
fn both_sides_show_a_certificate_of_the_site() {
    let (ours, theirs) = (Pki::new(), Pki::new());
    let (server, _) = handshake(&ours.door(), &ours.client(now())).unwrap();
    let identity = certificate::client_identity(&server.peer_certificates().unwrap()[0]).unwrap();
    assert_eq!((identity.site, identity.device), (site(), device()));
    let nameless = Arc::new(tls::client(std::slice::from_ref(&ours.root_certificate), None).unwrap());
    assert!(handshake(&ours.door(), &nameless).is_err(), "no certificate");
    assert!(handshake(&ours.door(), &theirs.client(now())).is_err(), "a certificate of another root");
    let expired = ours.client(now().plus(-certificate::CLIENT_LIFETIME - 1_000));
    assert!(handshake(&ours.door(), &expired).is_err(), "an expired certificate");
    assert!(handshake(&theirs.door(), &ours.client(now())).is_err(), "a server of another root");
}

#[test]
fn a_device_is_never_a_server() {
    let pki = Pki::new();
    let key = PrivateKey::generate().unwrap();
    let leaf = pki.ca.client(site(), device(), key.public(), now()).unwrap();
    let server = pki.shows(&pki.chain(leaf.der), &key, ClientAuth::None);
    assert!(handshake(&server, &pki.client(now())).is_err());
    assert!(handshake(&server, &Arc::new(tls::client_pinned(pki.root.public().id()).unwrap())).is_err());
}

#[test]
fn a_server_certificate_is_no_device() {
    let pki = Pki::new();
    let key = PrivateKey::generate().unwrap();
    let leaf = pki.ca.server(&["localhost".into()], key.public(), now()).unwrap();
    let chain = vec![leaf.der, pki.ca.certificate().to_vec()];
    let client = tls::client(std::slice::from_ref(&pki.root_certificate), Some((&chain, &key))).unwrap();
    assert!(handshake(&pki.door(), &Arc::new(client)).is_err());
}

#[test]
fn a_device_cannot_issue_certificates() {
    let pki = Pki::new();
    let (device_key, forged_key) = (PrivateKey::generate().unwrap(), PrivateKey::generate().unwrap());
    let leaf = pki.ca.client(site(), device(), device_key.public(), now()).unwrap();
    let pretender = IssuingCa::new(leaf.der.clone(), &device_key).unwrap();
    let forged = pretender.client(site(), device(), forged_key.public(), now()).unwrap();
    let chain = vec![forged.der, leaf.der, pki.ca.certificate().to_vec()];
    let client = tls::client(std::slice::from_ref(&pki.root_certificate), Some((&chain, &forged_key))).unwrap();
    assert!(handshake(&pki.door(), &Arc::new(client)).is_err());
}

#[test]
fn only_tls_1_3_is_spoken() {
    let pki = Pki::new();
    let mut roots = rustls::RootCertStore::empty();
    roots.add(pki.root_certificate.clone().into()).unwrap();
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let old = ClientConfig::builder_with_provider(provider)
        .with_protocol_versions(&[&rustls::version::TLS12])
        .unwrap()
        .with_root_certificates(roots)
        .with_no_client_auth();
    assert!(handshake(&pki.server(ClientAuth::None), &Arc::new(old)).is_err());
}

#[test]
fn a_resumed_connection_still_knows_its_device() {
    let pki = Pki::new();
    let (door, client) = (pki.door(), pki.client(now()));
    let (first, _) = handshake(&door, &client).unwrap();
    assert_eq!(first.handshake_kind(), Some(HandshakeKind::Full));
    let (second, _) = handshake(&door, &client).unwrap();
    assert_eq!(second.handshake_kind(), Some(HandshakeKind::Resumed));
    let identity = certificate::client_identity(&second.peer_certificates().unwrap()[0]).unwrap();
    assert_eq!(identity.device, device());
}

#[test]
fn the_key_exchange_is_post_quantum_where_both_can() {
    let pki = Pki::new();
    let (_, client) = handshake(&pki.door(), &pki.client(now())).unwrap();
    let group = client.negotiated_key_exchange_group().map(|g| g.name());
    assert_eq!(group, Some(rustls::NamedGroup::X25519MLKEM768));
}

/// A clock that a test moves.
#[derive(Debug)]
struct Moved(AtomicI64);

impl TimeProvider for Moved {
    fn current_time(&self) -> Option<UnixTime> {
        let seconds = (now().0 + self.0.load(Ordering::SeqCst)) / 1_000;
        Some(UnixTime::since_unix_epoch(std::time::Duration::from_secs(seconds.unsigned_abs())))
    }
}

/// A server whose status a test changes, and a client with a memory and a clock of its own.
struct Proven {
    pki: Pki,
    leaf: Vec<u8>,
    presented: Arc<Presented>,
    server: Arc<ServerConfig>,
    clock: Arc<Moved>,
}

impl Proven {
    fn new() -> Self {
        let pki = Pki::new();
        let key = PrivateKey::generate().unwrap();
        let leaf = pki.ca.server(&["localhost".into()], key.public(), now()).unwrap().der;
        let presented = Arc::new(Presented::new(&pki.chain(leaf.clone()), &key, Vec::new()).unwrap());
        let server = Arc::new(tls::server(presented.clone(), ClientAuth::None).unwrap());
        Self { pki, leaf, presented, server, clock: Arc::new(Moved(AtomicI64::new(0))) }
    }

    fn serial(&self) -> u128 {
        certificate::serial_number(&self.leaf).unwrap()
    }

    fn signed(&self, status: Status, from: UnixMillis, until: UnixMillis) -> Vec<u8> {
        self.pki.ca.ocsp_status(self.serial(), status, from, until).unwrap()
    }

    fn shows(&self, status: Vec<u8>) -> &Self {
        self.presented.set_status(status);
        self
    }

    fn client(&self, memory: &Arc<StatusMemory>) -> Arc<ClientConfig> {
        let issuing = vec![self.pki.ca.certificate().to_vec()];
        let mut trust = ServerTrust::roots(vec![self.pki.root_certificate.clone()], Some(issuing));
        (trust.memory, trust.time) = (memory.clone(), self.clock.clone());
        Arc::new(tls::client_trusting(trust, None).unwrap())
    }

    /// What a client says that has never been here.
    fn stranger(&self) -> Result<(), StatusError> {
        self.says(&self.client(&Arc::default())).map(drop)
    }

    fn says(&self, client: &Arc<ClientConfig>) -> Result<HandshakeKind, StatusError> {
        match handshake(&self.server, client) {
            Ok((_, client)) => Ok(client.handshake_kind().unwrap()),
            Err(error) => Err(status_error(&error).unwrap_or_else(|| panic!("{error}"))),
        }
    }
}

// proves S2 S22: a client goes on with a server only when the CA says, in time, that its certificate is good.
#[test]
fn each_status_that_proves_nothing_has_its_reason() {
    let proven = Proven::new();
    let (soon, gone) = (now().plus(HOUR), now().plus(-MINUTE));
    let revoked = Status::Revoked { at: now(), reason: muster_model::api::RevocationReason::KeyCompromise };
    assert_eq!(proven.stranger(), Err(StatusError::Missing), "nothing shown");
    assert_eq!(proven.shows(Vec::new()).stranger(), Err(StatusError::Missing), "an empty one");
    assert_eq!(proven.shows(vec![0; 9_000]).stranger(), Err(StatusError::Malformed), "too large");
    assert_eq!(proven.shows(b"junk".to_vec()).stranger(), Err(StatusError::Malformed));
    let good = proven.signed(Status::Good, now(), soon);
    for at in 0..good.len() {
        let mut altered = good.clone();
        altered[at] ^= 1;
        assert!(proven.shows(altered).stranger().is_err(), "byte {at}");
    }
    assert_eq!(proven.shows(good[..good.len() - 1].to_vec()).stranger(), Err(StatusError::Malformed));
    let other_ca = Pki::new();
    let forged = other_ca.ca.ocsp_status(proven.serial(), Status::Good, now(), soon).unwrap();
    assert_eq!(proven.shows(forged).stranger(), Err(StatusError::Forged));
    let foreign = proven.pki.ca.ocsp_status(proven.serial() ^ 1, Status::Good, now(), soon).unwrap();
    assert_eq!(proven.shows(foreign).stranger(), Err(StatusError::Foreign));
    let stale = proven.signed(Status::Good, now().plus(-DAY), gone);
    assert_eq!(proven.shows(stale).stranger(), Err(StatusError::Stale));
    let early = proven.signed(Status::Good, now().plus(2 * DAY), now().plus(3 * DAY));
    assert_eq!(proven.shows(early).stranger(), Err(StatusError::NotYet));
    assert_eq!(proven.shows(proven.signed(Status::Unknown, now(), soon)).stranger(), Err(StatusError::Unknown));
    assert_eq!(proven.shows(proven.signed(revoked, now(), soon)).stranger(), Err(StatusError::Revoked));
    assert_eq!(proven.shows(good).stranger(), Ok(()), "and the good one is taken");
}

#[test]
fn a_ca_that_the_bundle_does_not_name_proves_nothing_although_the_root_signed_it() {
    let proven = Proven::new();
    proven.shows(proven.signed(Status::Good, now(), now().plus(HOUR)));
    let other = PrivateKey::generate().unwrap();
    let retired =
        certificate::issuing(site(), &proven.pki.root_certificate, &proven.pki.root, other.public(), &[], now());
    let trust = ServerTrust::roots(vec![proven.pki.root_certificate.clone()], Some(vec![retired.unwrap()]));
    let client = Arc::new(tls::client_trusting(trust, None).unwrap());
    assert_eq!(proven.says(&client), Err(StatusError::IssuerUnknown));
}

#[test]
fn a_status_is_remembered_for_its_time_and_a_newer_one_is_not_undone() {
    let proven = Proven::new();
    let good = proven.signed(Status::Good, now().plus(-MINUTE), now().plus(HOUR));
    let memory: Arc<StatusMemory> = Arc::default();
    assert_eq!(proven.shows(good.clone()).says(&proven.client(&memory)), Ok(HandshakeKind::Full));
    let kept = memory.changed().unwrap();
    assert_eq!((&kept[..], memory.changed()), (&[("localhost".to_owned(), good.clone())][..], None));
    // A restart: the server has nothing to show, and what is on the disk is verified again.
    let again = Arc::new(StatusMemory::restored(kept));
    assert_eq!(proven.shows(Vec::new()).says(&proven.client(&again)), Ok(HandshakeKind::Full));
    let tampered = Arc::new(StatusMemory::restored([("localhost".to_owned(), [&good[..], b"x"].concat())]));
    assert_eq!(proven.says(&proven.client(&tampered)), Err(StatusError::Missing));
    // What was forged is refused although a good one is remembered.
    assert_eq!(proven.shows(b"junk".to_vec()).says(&proven.client(&again)), Err(StatusError::Malformed));
    // An attacker who has the key of a revoked certificate plays the older answer again.
    let revoked = Status::Revoked { at: now(), reason: muster_model::api::RevocationReason::KeyCompromise };
    let newer = proven.signed(revoked, now(), now().plus(HOUR));
    assert_eq!(proven.shows(newer).says(&proven.client(&again)), Err(StatusError::Revoked));
    assert_eq!(proven.shows(good).says(&proven.client(&again)), Err(StatusError::Revoked));
    assert_eq!(proven.shows(Vec::new()).says(&proven.client(&again)), Err(StatusError::Revoked));
}

// proves S2: a client that knows that a server's certificate is revoked knows it whatever its clock says.
#[test]
fn a_wrong_clock_does_not_undo_a_revocation() {
    let proven = Proven::new();
    let good = proven.signed(Status::Good, now().plus(-MINUTE), now().plus(2 * HOUR));
    let revoked = Status::Revoked { at: now(), reason: muster_model::api::RevocationReason::KeyCompromise };
    let memory: Arc<StatusMemory> = Arc::default();
    let known = proven.signed(revoked, now(), now().plus(HOUR));
    assert_eq!(proven.shows(known).says(&proven.client(&memory)), Err(StatusError::Revoked));
    // What is known has ended at such a time, and the older answer has not.
    proven.clock.0.store(HOUR + MINUTE, Ordering::SeqCst);
    assert_eq!(proven.shows(good).says(&proven.client(&memory)), Err(StatusError::Revoked));
    let kept = memory.changed().unwrap();
    let again = Arc::new(StatusMemory::restored(kept));
    assert_eq!(proven.says(&proven.client(&again)), Err(StatusError::Revoked), "after a restart, too");
}

#[test]
fn a_session_is_resumed_only_while_the_status_holds() {
    let proven = Proven::new();
    proven.shows(proven.signed(Status::Good, now(), now().plus(HOUR)));
    let client = proven.client(&Arc::default());
    assert_eq!(proven.says(&client), Ok(HandshakeKind::Full));
    assert_eq!(proven.says(&client), Ok(HandshakeKind::Resumed));
    proven.clock.0.store(2 * HOUR, Ordering::SeqCst);
    assert_eq!(proven.says(&client), Err(StatusError::Stale), "a full handshake, and nothing to show in it");
    proven.shows(proven.signed(Status::Good, now().plus(2 * HOUR), now().plus(3 * HOUR)));
    assert_eq!(proven.says(&client), Ok(HandshakeKind::Full));
    assert_eq!(proven.says(&client), Ok(HandshakeKind::Resumed));
}

// proves S4 I5: a revoked client is refused in the handshake, resumed or not, with the alert that says why.
#[test]
fn a_revoked_client_is_refused_in_the_handshake_and_with_its_ticket() {
    let pki = Pki::new();
    let known: Arc<Known> = Arc::default();
    let (door, client, other) = (pki.door_knowing(known.clone()), pki.client(now()), pki.client(now()));
    let (first, _) = handshake(&door, &client).unwrap();
    let serial = certificate::serial_number(&first.peer_certificates().unwrap()[0]).unwrap();
    assert_eq!(handshake(&door, &client).unwrap().0.handshake_kind(), Some(HandshakeKind::Resumed));
    handshake(&door, &other).unwrap();
    known.revoke(serial);
    for _ in 0..3 {
        // With its tickets first, then without any.
        let refused = handshake(&door, &client).unwrap_err();
        assert_eq!(refused, rustls::Error::InvalidCertificate(CertificateError::Revoked));
    }
    let (again, _) = handshake(&door, &other).unwrap();
    assert_eq!(again.handshake_kind(), Some(HandshakeKind::Full), "older tickets are worth nothing to anybody");
    assert_eq!(handshake(&door, &other).unwrap().0.handshake_kind(), Some(HandshakeKind::Resumed));
    assert_eq!(alert(&door, &client), AlertDescription::CertificateRevoked);
}

/// What the client is told when the server refuses it.
fn alert(server: &Arc<ServerConfig>, client: &Arc<ClientConfig>) -> AlertDescription {
    let mut server = ServerConnection::new(server.clone()).unwrap();
    let mut client = ClientConnection::new(client.clone(), ServerName::try_from("localhost").unwrap()).unwrap();
    loop {
        let mut wire = Vec::new();
        while client.wants_write() {
            client.write_tls(&mut wire).unwrap();
        }
        let mut bytes = &wire[..];
        while !bytes.is_empty() {
            server.read_tls(&mut bytes).unwrap();
        }
        let _ = server.process_new_packets();
        let mut wire = Vec::new();
        while server.wants_write() {
            server.write_tls(&mut wire).unwrap();
        }
        let mut bytes = &wire[..];
        while !bytes.is_empty() {
            client.read_tls(&mut bytes).unwrap();
        }
        match client.process_new_packets() {
            Ok(_) => {}
            Err(rustls::Error::AlertReceived(alert)) => return alert,
            Err(error) => panic!("{error}"),
        }
    }
}
