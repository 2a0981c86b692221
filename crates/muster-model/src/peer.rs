//! Content from clients of the same subnet: what the site signs about who may have what from whom, and what two clients say to each
//! other. A peer is believed for nothing: each chunk is held against its hash, and the file against what its author signed.

use crate::{
    Signed,
    id::{DeviceId, Hash, SiteCode},
    limits::{PEER_RANGE_BYTES, PEERS},
    time::{HOUR, MINUTE, UnixMillis},
};
use serde::{Deserialize, Serialize};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// Content type of a signed grant.
pub const PEER_GRANT_TYPE: &str = "application/vnd.muster.peer-grant+json";
/// How long a grant is believed: as long as a device that was blocked may still be served by its neighbours.
pub const PEER_GRANT_LIFETIME: i64 = HOUR;
/// How far a grant's time of signature may be ahead of the clock of who reads it.
pub const PEER_GRANT_AHEAD: i64 = 10 * MINUTE;
/// What both sides of a connection say that they speak.
pub const PEER_PROTOCOL: &[u8] = b"muster-peer/1";
/// The lowest port at which a client may serve.
pub const PEER_LEAST_PORT: u16 = 1_024;

/// A client that has a file and serves it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Peer {
    /// The device.
    pub device: DeviceId,
    /// Id of its key: who answers at the address has it, or is nobody.
    pub key: Hash,
    /// The address from which the site itself was asked by it.
    pub address: IpAddr,
    /// Where it listens, as it says.
    pub port: u16,
}

/// Payload of a grant, a `COSE_Sign1` by a policy key of the trust bundle: this device may have this file from these peers, and
/// these peers may give it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PeerGrant {
    /// The site that speaks.
    pub site: SiteCode,
    /// The least version of the trust bundle that both must have.
    pub trust_version: u64,
    /// When it was signed.
    pub issued: UnixMillis,
    /// When it stops being believed.
    pub expires: UnixMillis,
    /// The device that may fetch.
    pub device: DeviceId,
    /// Id of its key; whoever shows the grant must prove that it has it.
    pub key: Hash,
    /// The file.
    pub content: Hash,
    /// Bytes of it.
    pub size: u64,
    /// Who may give it, in the order in which they are asked.
    pub peers: Vec<Peer>,
}

impl Signed for PeerGrant {
    const TYPE: &'static str = PEER_GRANT_TYPE;
}

/// Where a grant is read.
#[derive(Debug, Clone, Copy)]
pub struct PeerReader {
    /// The site of who reads.
    pub site: SiteCode,
    /// The version of its trust bundle.
    pub trust_version: u64,
    /// Its time.
    pub now: UnixMillis,
}

impl PeerGrant {
    /// Whether it counts for `reader`, when `key` is the key of who may fetch by it.
    ///
    /// # Errors
    /// The first thing that is wrong.
    pub fn check(&self, reader: PeerReader, key: Hash) -> Result<(), PeerRefusal> {
        let PeerReader { site, trust_version, now } = reader;
        if self.site != site {
            return Err(PeerRefusal::ForeignSite);
        }
        if self.trust_version > trust_version {
            return Err(PeerRefusal::TrustTooOld);
        }
        if self.key != key {
            return Err(PeerRefusal::ForeignDevice);
        }
        // A stolen policy key must not sign one that outlives what was revoked.
        let lives = (1..=PEER_GRANT_LIFETIME).contains(&self.expires.since(self.issued));
        if !lives || now >= self.expires || self.issued > now.plus(PEER_GRANT_AHEAD) {
            return Err(PeerRefusal::Expired);
        }
        match self.peers.len() {
            0 => Err(PeerRefusal::NotListed),
            count if count > PEERS => Err(PeerRefusal::TooLarge),
            _ => Ok(()),
        }
    }

    /// As [`Self::check`], for a peer that has the key `own`.
    ///
    /// # Errors
    /// The first thing that is wrong.
    pub fn check_serving(&self, reader: PeerReader, key: Hash, own: Hash) -> Result<(), PeerRefusal> {
        self.check(reader, key)?;
        self.peers.iter().any(|peer| peer.key == own).then_some(()).ok_or(PeerRefusal::NotListed)
    }
}

/// What a client that serves says to its site. Without content: it serves no more.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PeerAnnouncement {
    /// Where it listens.
    pub port: u16,
    /// Files that are whole in its cache.
    pub content: Vec<Hash>,
}

macro_rules! refusals {
    ($($(#[doc = $doc:literal])+ $name:ident = $number:literal, $text:literal;)+) => {
        /// Why a peer gives nothing, or why what it gives is not taken.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
        pub enum PeerRefusal { $($(#[doc = $doc])+ $name,)+ }

        impl PeerRefusal {
            /// Every reason.
            pub const ALL: &[Self] = &[$(Self::$name,)+];
            /// The byte that stands for it.
            #[must_use]
            pub const fn byte(self) -> u8 { match self { $(Self::$name => $number,)+ } }
            /// The stable text.
            #[must_use]
            pub const fn as_str(self) -> &'static str { match self { $(Self::$name => $text,)+ } }
            /// What a byte stands for; zero is no refusal, and what this program does not know is one all the same.
            ///
            /// # Errors
            /// The refusal.
            pub const fn read(byte: u8) -> Result<(), Self> {
                match byte { 0 => Ok(()), $($number => Err(Self::$name),)+ _ => Err(Self::Malformed) }
            }
        }
    };
}

refusals! {
    /// What was said is not of the form that it should have.
    Malformed = 1, "malformed";
    /// More than a limit allows.
    TooLarge = 2, "too_large";
    /// The grant is not signed by a policy key of the trust bundle.
    SignatureInvalid = 3, "signature_invalid";
    /// The grant is of another site.
    ForeignSite = 4, "foreign_site";
    /// The grant is for another device.
    ForeignDevice = 5, "foreign_device";
    /// The grant is past its expiry, lives too long, or is of the future.
    Expired = 6, "expired";
    /// The site did not name this peer.
    NotListed = 7, "not_listed";
    /// The grant wants a newer trust bundle than there is.
    TrustTooOld = 8, "trust_too_old";
    /// The file is not in the cache.
    NotHere = 9, "not_here";
    /// The file has no such bytes.
    OutOfRange = 10, "out_of_range";
    /// The connection had as much as one may have.
    TooMany = 11, "too_many";
    /// The client serves nobody.
    Off = 12, "off";
    /// What came is not what its hash names.
    Altered = 13, "altered";
    /// It was too slow, or silent.
    Slow = 14, "slow";
}

/// A part of the file that is asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PeerRange {
    /// The first byte.
    pub first: u64,
    /// How many.
    pub length: u32,
}

/// Bytes of a [`PeerRange`] on the wire.
pub const PEER_RANGE_FORM: usize = 12;

impl PeerRange {
    /// As it is sent.
    #[must_use]
    pub fn encode(self) -> [u8; PEER_RANGE_FORM] {
        let mut bytes = [0; PEER_RANGE_FORM];
        bytes[..8].copy_from_slice(&self.first.to_be_bytes());
        bytes[8..].copy_from_slice(&self.length.to_be_bytes());
        bytes
    }

    /// Reads what was sent by somebody who may have a file of `size` bytes.
    ///
    /// # Errors
    /// [`PeerRefusal::TooLarge`], [`PeerRefusal::OutOfRange`].
    pub fn decode(bytes: [u8; PEER_RANGE_FORM], size: u64) -> Result<Self, PeerRefusal> {
        let [a, b, c, d, e, f, g, h, i, j, k, l] = bytes;
        let range =
            Self { first: u64::from_be_bytes([a, b, c, d, e, f, g, h]), length: u32::from_be_bytes([i, j, k, l]) };
        if range.length > PEER_RANGE_BYTES {
            return Err(PeerRefusal::TooLarge);
        }
        let end = range.first.checked_add(u64::from(range.length));
        match end {
            Some(end) if range.length > 0 && end <= size => Ok(range),
            _ => Err(PeerRefusal::OutOfRange),
        }
    }
}

/// The part of the network in which the site looks for peers of an address that it saw: 24 bits of an IPv4 address, 64 of an IPv6
/// address. Which of them are in its own subnet, the client itself knows better. `None`: an address of which nobody is a neighbour, as
/// is loopback: what comes from there came through a tunnel or a proxy, and says nothing of where the clients are.
#[must_use]
pub fn neighbourhood(address: IpAddr) -> Option<String> {
    match address.to_canonical() {
        address if address.is_unspecified() || address.is_multicast() || address.is_loopback() => None,
        IpAddr::V4(v4) => {
            let [a, b, c, _] = v4.octets();
            Some(format!("{}/24", Ipv4Addr::new(a, b, c, 0)))
        }
        // Which link a link-local address is on, it does not say.
        IpAddr::V6(v6) if v6.is_unicast_link_local() => None,
        IpAddr::V6(v6) => Some(format!("{}/64", Ipv6Addr::from(u128::from(v6) >> 64 << 64))),
    }
}

/// Whether an address is in one of the subnets of this machine; loopback leads nowhere else, and always is.
#[must_use]
pub fn is_near<'a>(address: IpAddr, own: impl IntoIterator<Item = &'a (IpAddr, u8)>) -> bool {
    let address = address.to_canonical();
    let same = |own: IpAddr, prefix: u8| match (address, own) {
        (IpAddr::V4(a), IpAddr::V4(b)) => {
            (1..=32).contains(&prefix) && (u32::from(a) ^ u32::from(b)) >> (32 - prefix) == 0
        }
        (IpAddr::V6(a), IpAddr::V6(b)) => {
            (1..=128).contains(&prefix) && (u128::from(a) ^ u128::from(b)) >> (128 - prefix) == 0
        }
        _ => false,
    };
    address.is_loopback() || own.into_iter().any(|(own, prefix)| same(*own, *prefix))
}

#[cfg(test)]
mod tests {
    use super::*;
    use uuid::Uuid;

    const NOW: UnixMillis = UnixMillis(1_790_000_000_000);

    fn reader() -> PeerReader {
        PeerReader { site: "TST".parse().unwrap(), trust_version: 3, now: NOW }
    }

    fn peer(byte: u8) -> Peer {
        let device = DeviceId(Uuid::from_u128(u128::from(byte)));
        Peer { device, key: Hash([byte; 32]), address: "10.1.2.3".parse().unwrap(), port: 8_003 }
    }

    fn grant() -> PeerGrant {
        PeerGrant {
            site: "TST".parse().unwrap(),
            trust_version: 3,
            issued: NOW,
            expires: NOW.plus(PEER_GRANT_LIFETIME),
            device: DeviceId(Uuid::from_u128(1)),
            key: Hash([1; 32]),
            content: Hash([9; 32]),
            size: 1_000,
            peers: vec![peer(2)],
        }
    }

    #[test]
    fn a_grant_counts_for_its_site_its_device_its_peers_and_its_hour() {
        // proves S10: each word of a grant is looked at.
        let (one, two) = (Hash([1; 32]), Hash([2; 32]));
        assert_eq!(grant().check_serving(reader(), one, two), Ok(()));
        let refused = |change: &dyn Fn(&mut PeerGrant)| {
            let mut grant = grant();
            change(&mut grant);
            grant.check_serving(reader(), one, two).unwrap_err()
        };
        assert_eq!(refused(&|g| g.site = "XYZ".parse().unwrap()), PeerRefusal::ForeignSite);
        assert_eq!(refused(&|g| g.trust_version = 4), PeerRefusal::TrustTooOld);
        assert_eq!(refused(&|g| g.key = two), PeerRefusal::ForeignDevice);
        assert_eq!(refused(&|g| g.expires = NOW), PeerRefusal::Expired);
        assert_eq!(refused(&|g| g.expires = g.expires.plus(1)), PeerRefusal::Expired, "no grant lives longer");
        let ahead = PEER_GRANT_AHEAD + 1;
        let future = |g: &mut PeerGrant| (g.issued, g.expires) = (NOW.plus(ahead), NOW.plus(ahead + 1));
        assert_eq!(refused(&future), PeerRefusal::Expired);
        assert_eq!(refused(&|g| g.peers = vec![peer(3)]), PeerRefusal::NotListed);
        assert_eq!(refused(&|g| g.peers.clear()), PeerRefusal::NotListed);
        assert_eq!(refused(&|g| g.peers = vec![peer(2); PEERS + 1]), PeerRefusal::TooLarge, "limit + 1");
        assert_eq!(grant().check_serving(reader(), two, two), Err(PeerRefusal::ForeignDevice));
    }

    #[test]
    fn a_range_is_inside_of_the_file_and_of_its_limit() {
        let read = |first, length, size| PeerRange::decode(PeerRange { first, length }.encode(), size);
        let whole = PeerRange { first: 0, length: PEER_RANGE_BYTES };
        assert_eq!(read(0, PEER_RANGE_BYTES, u64::from(PEER_RANGE_BYTES)), Ok(whole));
        assert_eq!(read(0, PEER_RANGE_BYTES + 1, u64::MAX), Err(PeerRefusal::TooLarge), "limit + 1");
        assert_eq!(read(5, 5, 10), Ok(PeerRange { first: 5, length: 5 }));
        for (first, length) in [(5, 6), (10, 1), (0, 0), (u64::MAX, 1), (u64::MAX - 1, 2)] {
            assert_eq!(read(first, length, 10), Err(PeerRefusal::OutOfRange), "{first} {length}");
        }
    }

    #[test]
    fn each_refusal_has_its_byte_and_an_unknown_one_is_a_refusal() {
        for refusal in PeerRefusal::ALL {
            assert_eq!(PeerRefusal::read(refusal.byte()), Err(*refusal));
        }
        assert_eq!((PeerRefusal::read(0), PeerRefusal::read(200)), (Ok(()), Err(PeerRefusal::Malformed)));
    }

    #[test]
    fn neighbours_are_of_the_same_network() {
        let of = |text: &str| neighbourhood(text.parse().unwrap());
        assert_eq!(of("10.1.2.3").as_deref(), Some("10.1.2.0/24"));
        assert_eq!(of("::ffff:10.1.2.3"), of("10.1.2.200"), "one address, however it is written");
        assert_eq!(of("2001:db8:1:2:3::4").as_deref(), Some("2001:db8:1:2::/64"));
        assert_eq!([of("127.0.0.1"), of("::1"), of("::ffff:127.0.0.1")], [const { None }; 3]);
        assert_eq!([of("0.0.0.0"), of("::"), of("fe80::1"), of("ff02::1"), of("224.0.0.1")], [const { None }; 5]);
        let own: [(IpAddr, u8); 3] = [
            ("10.1.2.3".parse().unwrap(), 25),
            ("2001:db8::1".parse().unwrap(), 64),
            ("192.0.2.1".parse().unwrap(), 0),
        ];
        let near = |text: &str| is_near(text.parse().unwrap(), &own);
        assert!(near("10.1.2.127") && near("2001:db8::ffff") && near("127.0.0.1") && near("::ffff:10.1.2.4"));
        // A default route is no subnet.
        assert!(!near("10.1.2.128") && !near("2001:db8:0:1::1") && !near("198.51.100.1"));
    }
}
