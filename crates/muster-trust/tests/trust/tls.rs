//! TLS on both sides, in memory: the pinned root and nothing else; a device is never a server; no older version.

use muster_model::{
    id::{DeviceId, SiteCode},
    time::UnixMillis,
};
use muster_trust::{
    PrivateKey,
    certificate::{self, IssuingCa},
    tls::{self, ClientAuth},
};
use rustls::{ClientConfig, ClientConnection, HandshakeKind, ServerConfig, ServerConnection, pki_types::ServerName};
use std::sync::Arc;

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
        let ca = certificate::issuing(site(), &root_certificate, &root, ca_key.public(), now).unwrap();
        Self { root, root_certificate, ca: IssuingCa::new(ca, &ca_key).unwrap() }
    }

    fn chain(&self, leaf: Vec<u8>) -> Vec<Vec<u8>> {
        vec![leaf, self.ca.certificate().to_vec(), self.root_certificate.clone()]
    }

    fn server(&self, clients: ClientAuth) -> Arc<ServerConfig> {
        let key = PrivateKey::generate().unwrap();
        let leaf = self.ca.server(&["localhost".into()], key.public(), now()).unwrap();
        Arc::new(tls::server(&self.chain(leaf.der), &key, clients).unwrap())
    }

    fn door(&self) -> Arc<ServerConfig> {
        self.server(ClientAuth::Required(vec![self.root_certificate.clone()]))
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
    let decorated = Arc::new(tls::server(&decorated, &key, ClientAuth::None).unwrap());
    assert!(handshake(&decorated, &pinned).is_err());
}

#[test]
fn a_pinned_server_must_have_the_name_that_was_called() {
    let pki = Pki::new();
    let key = PrivateKey::generate().unwrap();
    let leaf = pki.ca.server(&["elsewhere.example".into()], key.public(), now()).unwrap();
    let server = Arc::new(tls::server(&pki.chain(leaf.der), &key, ClientAuth::None).unwrap());
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
    let server = Arc::new(tls::server(&pki.chain(leaf.der), &key, ClientAuth::None).unwrap());
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
