//! Clients of one subnet give each other chunks: two real ones, and others that lie, are slow, or have no right to what they ask for.

use crate::{
    actor::{CHUNK, Site, machine::Machine, now},
    content::{noise, said, with_data},
    window::{assign, policy},
};
use muster_model::{
    application::ContentFile,
    id::{DeviceId, Hash},
    limits::{PEER_ADDRESS_CONNECTIONS, PEER_GRANT_BYTES, PEER_RANGE_BYTES},
    peer::{PEER_GRANT_LIFETIME, Peer, PeerGrant, PeerRange, PeerRefusal},
    policy::ContentPeers,
    settings::ClientSettings,
    status::{DeploymentState as State, MessageId},
};
use muster_trust::{PrivateKey, envelope, tls::PeerSide};
use rustls::{pki_types::ServerName, time_provider::DefaultTimeProvider};
use std::{
    io,
    net::{IpAddr, Ipv4Addr},
    sync::Arc,
};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, TcpStream},
};
use tokio_rustls::{TlsAcceptor, TlsConnector, client::TlsStream};
use uuid::Uuid;

const HERE: IpAddr = IpAddr::V4(Ipv4Addr::LOCALHOST);

async fn free_port() -> u16 {
    TcpListener::bind((HERE, 0)).await.unwrap().local_addr().unwrap().port()
}

fn settings(content_peers: ContentPeers, port: u16) -> ClientSettings {
    ClientSettings { content_peers, content_peer_port: port, ..ClientSettings::default() }
}

fn key_of(site: &Site) -> Hash {
    site.state().request.as_ref().unwrap().0.id()
}

/// The site's word that the device with `key` may have the file from these.
fn grant(site: &Site, key: Hash, file: &ContentFile, peers: &[(Hash, u16)]) -> PeerGrant {
    let peer = |(key, port): &(Hash, u16)| Peer {
        device: DeviceId(Uuid::from_u128(9)),
        key: *key,
        address: HERE,
        port: *port,
    };
    PeerGrant {
        site: site.code,
        trust_version: 1,
        issued: now(),
        expires: now().plus(PEER_GRANT_LIFETIME),
        device: site.device,
        key,
        content: file.hash,
        size: file.size,
        peers: peers.iter().map(peer).collect(),
    }
}

fn signed(site: &Site, grant: &PeerGrant) -> Vec<u8> {
    envelope::sign1_json(&site.keys.policy, grant).unwrap()
}

/// Has the file deployed, and waits for the end of it.
async fn deployed(site: &Site, machine: &Machine, settings: &ClientSettings, number: u128, file: &ContentFile) {
    let application = with_data(site, machine, &format!("installed-{number}"), file.clone());
    assign(site, &[], &[(policy(number), &application)], settings);
    let steps = site.wait_end(policy(number).deployment).await;
    assert_eq!(steps.last().unwrap().state, State::Succeeded, "{steps:?} {:?}", site.said());
}

/// A client that serves, with a file of 20 chunks.
struct Serving {
    site: Arc<Site>,
    machine: Machine,
    running: crate::actor::machine::Running,
    port: u16,
    data: Vec<u8>,
    file: ContentFile,
}

async fn serving(seed: u64) -> Serving {
    let (site, machine, port) = (Site::start().await, Machine::new(), free_port().await);
    machine.enrol(&site).await;
    let running = machine.run();
    let data = noise(seed, 20);
    let file = site.chunked("data.bin", &data);
    deployed(&site, &machine, &settings(ContentPeers::FetchAndServe, port), 1, &file).await;
    let has = |said: &muster_model::peer::PeerAnnouncement| said.port == port && said.content == [file.hash];
    site.wait("what it serves", |state| state.announced.iter().any(has).then_some(())).await;
    Serving { site, machine, running, port, data, file }
}

/// A device of the site that a test plays.
struct Device {
    key: Arc<PrivateKey>,
    side: PeerSide,
}

impl Device {
    fn new(site: &Site) -> Self {
        let key = Arc::new(PrivateKey::generate().unwrap());
        let device = DeviceId(Uuid::from_u128(9));
        let certificate = site.keys.ca.client(site.code, device, key.public(), now()).unwrap();
        let ca = site.keys.ca.certificate().to_vec();
        let side = PeerSide {
            issuing: vec![ca.clone()],
            certificates: vec![certificate.der, ca],
            key: key.clone(),
            time: Arc::new(DefaultTimeProvider),
        };
        Self { key, side }
    }

    fn id(&self) -> Hash {
        self.key.public().id()
    }

    async fn connect(&self, port: u16, key: Hash) -> io::Result<TlsStream<TcpStream>> {
        let tcp = TcpStream::connect((HERE, port)).await?;
        let config = Arc::new(self.side.client(key).unwrap());
        TlsConnector::from(config).connect(ServerName::IpAddress(HERE.into()), tcp).await
    }

    /// Connects and shows a grant; the answer.
    async fn show(
        &self,
        port: u16,
        key: Hash,
        grant: &[u8],
    ) -> io::Result<(TlsStream<TcpStream>, Result<(), PeerRefusal>)> {
        let mut stream = self.connect(port, key).await?;
        stream.write_u16(u16::try_from(grant.len()).unwrap()).await?;
        stream.write_all(grant).await?;
        stream.flush().await?;
        let answer = PeerRefusal::read(stream.read_u8().await?);
        Ok((stream, answer))
    }

    /// Serves whatever `give` makes of the file, to everybody; its port.
    async fn serves(&self, data: Vec<u8>, give: fn(&mut Vec<u8>) -> Option<u8>) -> u16 {
        let listener = TcpListener::bind((HERE, 0)).await.unwrap();
        let port = listener.local_addr().unwrap().port();
        let acceptor = TlsAcceptor::from(Arc::new(self.side.server().unwrap()));
        tokio::spawn(async move {
            while let Ok((tcp, _)) = listener.accept().await {
                let Ok(mut stream) = acceptor.accept(tcp).await else { continue };
                let _ = lie(&mut stream, &data, give).await;
            }
        });
        port
    }
}

async fn lie(
    stream: &mut tokio_rustls::server::TlsStream<TcpStream>,
    data: &[u8],
    give: fn(&mut Vec<u8>) -> Option<u8>,
) -> io::Result<()> {
    let length = stream.read_u16().await?;
    stream.read_exact(&mut vec![0; usize::from(length)]).await?;
    stream.write_u8(0).await?;
    stream.flush().await?;
    loop {
        let mut form = [0; 12];
        stream.read_exact(&mut form).await?;
        let range = PeerRange::decode(form, data.len() as u64).unwrap();
        let first = usize::try_from(range.first).unwrap();
        let mut bytes = data[first..first + range.length as usize].to_vec();
        let Some(answer) = give(&mut bytes) else { return std::future::pending().await };
        stream.write_u8(answer).await?;
        stream.write_all(&bytes).await?;
        stream.flush().await?;
    }
}

#[tokio::test]
async fn a_second_client_has_its_chunks_from_the_first_and_the_site_gives_none() {
    let first = serving(31).await;
    let (site, machine) = (first.site.twin(8).await, Machine::new());
    machine.enrol(&site).await;
    let file = site.chunked("data.bin", &first.data);
    let word = grant(&site, key_of(&site), &file, &[(key_of(&first.site), first.port)]);
    site.state().grants.insert(file.hash, signed(&site, &word));
    let running = machine.run();
    deployed(&site, &machine, &settings(ContentPeers::Fetch, free_port().await), 2, &file).await;
    let came = site.wait_status(MessageId::ContentFromPeers).await;
    assert_eq!((came["bytes"].as_str(), came["peers"].as_str()), (file.size.to_string().as_str(), "1"));
    assert!(site.state().asked.is_empty(), "the site gave no chunk");
    assert_eq!(site.state().ranges.len(), 1, "and the installer alone came whole");
    assert!(site.state().announced.is_empty(), "who only fetches serves nobody");
    let cached = machine.state().join("content").join(file.hash.to_string());
    assert!(std::fs::read(cached).unwrap() == first.data);
    running.stop().await;

    // A setting that is taken back ends it: the site is told, and nobody listens.
    let off = settings(ContentPeers::Off, first.port);
    assign(&first.site, &[], &[], &off);
    let last =
        |state: &crate::actor::State| state.announced.last().is_some_and(|said| said.content.is_empty()).then_some(());
    first.site.wait("that it serves no more", last).await;
    assert!(TcpStream::connect((HERE, first.port)).await.is_err());
    first.running.stop().await;
    drop(first.machine);
}

#[tokio::test]
async fn by_default_nobody_is_asked_and_nobody_listens() {
    let (site, machine, port) = (Site::start().await, Machine::new(), free_port().await);
    machine.enrol(&site).await;
    let running = machine.run();
    let file = site.chunked("data.bin", &noise(32, 20));
    let default = ClientSettings { content_peer_port: port, ..ClientSettings::default() };
    deployed(&site, &machine, &default, 1, &file).await;
    assert_eq!(site.state().grants_asked, 0);
    assert!(site.state().announced.is_empty());
    assert!(TcpStream::connect((HERE, port)).await.is_err());
    assert!(said(&site, MessageId::ContentFromPeers).is_empty());
    running.stop().await;
}

// Test 13 and ELEVATE-6 of the threats: what a peer gives is believed for its hash alone.
#[tokio::test]
async fn a_peer_that_lies_refuses_or_is_another_costs_little_and_the_site_gives_the_rest() {
    let (site, machine) = (Site::start().await, Machine::new());
    machine.enrol(&site).await;
    let running = machine.run();
    let data = noise(33, 20);
    let (lying, refusing, other) = (Device::new(&site), Device::new(&site), Device::new(&site));
    let lies = lying
        .serves(data.clone(), |bytes| {
            // The third chunk is another.
            if let Some(byte) = bytes.get_mut(2 * CHUNK + 9) {
                *byte ^= 1;
            }
            Some(0)
        })
        .await;
    let refuses = refusing.serves(data.clone(), |_| Some(PeerRefusal::NotHere.byte())).await;
    let file = site.chunked("data.bin", &data);
    let peers = [
        // Nobody is there; somebody else is there; it refuses; it lies.
        (other.id(), free_port().await),
        (other.id(), refuses),
        (refusing.id(), refuses),
        (lying.id(), lies),
    ];
    let word = |key, file: &ContentFile| signed(&site, &grant(&site, key, file, &peers));
    let envelope = word(key_of(&site), &file);
    site.state().grants.insert(file.hash, envelope);
    let fetch = settings(ContentPeers::Fetch, 9_999);
    deployed(&site, &machine, &fetch, 1, &file).await;
    let chunk = CHUNK as u64;
    assert_eq!(site.state().asked, [vec![(2 * chunk, 18 * chunk)]], "what it gave right was kept");
    let refused = said(&site, MessageId::PeerRefused);
    assert_eq!((refused.len(), refused[0]["reason"].as_str()), (1, "altered"));

    // Who lied is not asked again for a while, and a grant for another device, or a forged one, is as good as none.
    for (number, key) in [(2, key_of(&site)), (3, other.id())] {
        let next = site.chunked("data.bin", &noise(33 + u64::try_from(number).unwrap(), 20));
        let envelope = word(key, &next);
        site.state().grants.insert(next.hash, envelope);
        deployed(&site, &machine, &fetch, number, &next).await;
    }
    assert_eq!(site.state().asked[1..], [vec![(0, 20 * chunk)], vec![(0, 20 * chunk)]]);
    assert_eq!((said(&site, MessageId::PeerRefused).len(), site.state().grants_asked), (1, 3));
    running.stop().await;
}

#[tokio::test]
async fn a_peer_that_hangs_is_left_in_time() {
    let (site, machine) = (Site::start().await, Machine::new());
    machine.enrol(&site).await;
    let running = machine.run();
    let data = noise(36, 20);
    let silent = Device::new(&site);
    let port = silent.serves(data.clone(), |_| None).await;
    let file = site.chunked("data.bin", &data);
    let word = grant(&site, key_of(&site), &file, &[(silent.id(), port)]);
    site.state().grants.insert(file.hash, signed(&site, &word));
    let began = std::time::Instant::now();
    deployed(&site, &machine, &settings(ContentPeers::Fetch, 9_999), 1, &file).await;
    assert!(began.elapsed() < std::time::Duration::from_secs(15), "{:?}", began.elapsed());
    assert_eq!(site.state().asked.len(), 1, "the site gave it");
    running.stop().await;
}

#[tokio::test]
async fn a_client_serves_whom_the_site_sends_and_nobody_else() {
    // proves S10: content is for the device that the grant names, from the peers that it names, for its time.
    let Serving { site, machine: _machine, running, port, data, file } = serving(37).await;
    let (asking, own) = (Device::new(&site), key_of(&site));
    let good = grant(&site, asking.id(), &file, &[(own, port)]);
    let (mut stream, answer) = asking.show(port, own, &signed(&site, &good)).await.unwrap();
    assert_eq!(answer, Ok(()));
    let length = u32::try_from(CHUNK).unwrap();
    stream.write_all(&PeerRange { first: 7, length }.encode()).await.unwrap();
    assert_eq!(stream.read_u8().await.unwrap(), 0);
    let mut bytes = vec![0; CHUNK];
    stream.read_exact(&mut bytes).await.unwrap();
    assert!(bytes == data[7..7 + CHUNK]);
    // More than the file has, in all, is too much of one connection.
    let whole = PeerRange { first: 0, length: u32::try_from(file.size).unwrap() };
    stream.write_all(&whole.encode()).await.unwrap();
    assert_eq!(PeerRefusal::read(stream.read_u8().await.unwrap()), Err(PeerRefusal::TooMany));
    drop(stream);

    let other = Device::new(&site);
    let refused = async |grant: &[u8]| asking.show(port, own, grant).await.unwrap().1.unwrap_err();
    let changed = |change: &dyn Fn(&mut PeerGrant)| {
        let mut grant = good.clone();
        change(&mut grant);
        signed(&site, &grant)
    };
    let foreign = envelope::sign1_json(&site.keys.author, &good).unwrap();
    for (grant, reason) in [
        (changed(&|g| g.key = other.id()), PeerRefusal::ForeignDevice),
        (changed(&|g| (g.issued, g.expires) = (now().plus(-PEER_GRANT_LIFETIME), now())), PeerRefusal::Expired),
        (changed(&|g| g.site = "XYZ".parse().unwrap()), PeerRefusal::ForeignSite),
        (changed(&|g| g.trust_version = 2), PeerRefusal::TrustTooOld),
        (changed(&|g| g.peers[0].key = other.id()), PeerRefusal::NotListed),
        (changed(&|g| g.content = Hash([3; 32])), PeerRefusal::NotHere),
        (changed(&|g| g.size += 1), PeerRefusal::NotHere),
        (foreign, PeerRefusal::SignatureInvalid),
        (b"rubbish".to_vec(), PeerRefusal::Malformed),
        (vec![0; PEER_GRANT_BYTES], PeerRefusal::Malformed),
    ] {
        assert_eq!(refused(&grant).await, reason);
    }
    // proves S1: one more than a limit allows is refused, by its length alone.
    let mut stream = asking.connect(port, own).await.unwrap();
    stream.write_u16(u16::try_from(PEER_GRANT_BYTES + 1).unwrap()).await.unwrap();
    assert_eq!(PeerRefusal::read(stream.read_u8().await.unwrap()), Err(PeerRefusal::TooLarge));
    for (first, length, reason) in [
        (0, PEER_RANGE_BYTES + 1, PeerRefusal::TooLarge),
        (file.size, 1, PeerRefusal::OutOfRange),
        (u64::MAX, 1, PeerRefusal::OutOfRange),
        (0, 0, PeerRefusal::OutOfRange),
    ] {
        let (mut stream, answer) = asking.show(port, own, &signed(&site, &good)).await.unwrap();
        assert_eq!(answer, Ok(()));
        stream.write_all(&PeerRange { first, length }.encode()).await.unwrap();
        assert_eq!(PeerRefusal::read(stream.read_u8().await.unwrap()), Err(reason));
    }
    strangers(&site, port, own, &asking, &signed(&site, &good)).await;
    running.stop().await;
}

/// Who is no device of the site, expects another peer, or is one too many.
async fn strangers(site: &Site, port: u16, own: Hash, asking: &Device, good: &[u8]) {
    let foreign_site = Site::start().await;
    let mut foreign = Device::new(&foreign_site);
    foreign.side.issuing = vec![site.keys.ca.certificate().to_vec()];
    assert!(foreign.show(port, own, good).await.is_err(), "a device of another site is refused in the handshake");
    assert!(asking.show(port, asking.id(), good).await.is_err(), "another peer than the site named is not talked to");
    let mut held = Vec::new();
    for _ in 0..PEER_ADDRESS_CONNECTIONS {
        held.push(until_served(asking, port, own, good).await);
    }
    assert!(asking.show(port, own, good).await.is_err(), "limit + 1");
    held.clear();
    until_served(asking, port, own, good).await;
}

/// A connection; those before it may have to be noticed as closed.
async fn until_served(asking: &Device, port: u16, own: Hash, good: &[u8]) -> TlsStream<TcpStream> {
    for _ in 0..500 {
        if let Ok((stream, Ok(()))) = asking.show(port, own, good).await {
            return stream;
        }
        tokio::time::sleep(std::time::Duration::from_millis(5)).await;
    }
    panic!("nobody is served any more");
}
