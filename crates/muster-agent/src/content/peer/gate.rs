//! Who gets as far as a handshake. The other shows nothing before this side has signed, so a handshake is what a stranger can cost:
//! so many come in, of each source and in all, and so many are at it at once.

use crate::os::network::network;
use muster_model::{
    limits::{PEER_ACCEPTS, PEER_SOURCE_ACCEPTS, PEER_SOURCES},
    peer::is_near,
};
use std::{
    collections::{BTreeSet, HashMap},
    net::{IpAddr, Ipv4Addr, Ipv6Addr},
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};
use tokio::time::Instant;

/// For how long it counts which subnets this machine is in: the answer is some files of the kernel.
const LOOK: Duration = Duration::from_secs(60);
/// How often one source may come in after its first ones.
const SOURCE_EVERY: Duration = Duration::from_millis(500);
/// How often anybody may.
const EVERY: Duration = Duration::from_millis(125);

/// The door of the side that answers.
#[derive(Debug, Default)]
pub(super) struct Gate {
    around: Option<(Instant, BTreeSet<(IpAddr, u8)>)>,
    all: Tokens,
    sources: HashMap<IpAddr, Tokens>,
}

impl Gate {
    /// Whether this one may begin a handshake. Who may not has cost nothing.
    pub(super) fn lets(&mut self, address: IpAddr, now: Instant) -> bool {
        let known = self.around.take().filter(|(at, _)| now.duration_since(*at) < LOOK);
        let (_, around) = self.around.insert(known.unwrap_or_else(|| (now, network().addresses)));
        is_near(address, &*around) && self.pass(source(address), now)
    }

    fn pass(&mut self, source: IpAddr, now: Instant) -> bool {
        if self.sources.len() >= PEER_SOURCES && !self.sources.contains_key(&source) {
            self.sources.retain(|_, tokens| !tokens.is_full(now));
            if self.sources.len() >= PEER_SOURCES {
                return false;
            }
        }
        let own = self.sources.entry(source).or_default();
        let passes = own.has(now, SOURCE_EVERY, PEER_SOURCE_ACCEPTS) && self.all.has(now, EVERY, PEER_ACCEPTS);
        if passes {
            own.take(now, SOURCE_EVERY);
            self.all.take(now, EVERY);
        }
        passes
    }
}

/// Whom an address stands for: in IPv6 one machine takes as many addresses of its network as it likes, and of loopback anybody does.
fn source(address: IpAddr) -> IpAddr {
    match address {
        IpAddr::V6(v6) => Ipv6Addr::from(u128::from(v6) >> 64 << 64).into(),
        IpAddr::V4(v4) if v4.is_loopback() => Ipv4Addr::LOCALHOST.into(),
        IpAddr::V4(_) => address,
    }
}

/// A token bucket: when it will be full again says how many are left.
#[derive(Debug, Default)]
struct Tokens(Option<Instant>);

impl Tokens {
    fn is_full(&self, now: Instant) -> bool {
        self.0.is_none_or(|full| full <= now)
    }

    fn has(&self, now: Instant, every: Duration, most: u32) -> bool {
        self.0.is_none_or(|full| full.saturating_duration_since(now) + every <= every * most)
    }

    fn take(&mut self, now: Instant, every: Duration) {
        self.0 = Some(self.0.map_or(now, |full| full.max(now)) + every);
    }
}

/// What is open, in all and of each address.
#[derive(Debug, Default)]
pub(super) struct Slots(Mutex<HashMap<IpAddr, usize>>);

/// One of them.
#[derive(Debug)]
pub(super) struct Slot(Arc<Slots>, IpAddr);

impl Slots {
    /// Whether there would be one.
    pub(super) fn has(&self, address: IpAddr, most: usize, most_of_one: usize) -> bool {
        Self::room(&self.0.lock().unwrap_or_else(PoisonError::into_inner), address, most, most_of_one)
    }

    fn room(open: &HashMap<IpAddr, usize>, address: IpAddr, most: usize, most_of_one: usize) -> bool {
        open.values().sum::<usize>() < most && open.get(&address).copied().unwrap_or(0) < most_of_one
    }

    pub(super) fn take(slots: &Arc<Self>, address: IpAddr, most: usize, most_of_one: usize) -> Option<Slot> {
        let mut open = slots.0.lock().unwrap_or_else(PoisonError::into_inner);
        if !Self::room(&open, address, most, most_of_one) {
            return None;
        }
        *open.entry(address).or_default() += 1;
        Some(Slot(slots.clone(), address))
    }
}

impl Drop for Slot {
    fn drop(&mut self) {
        let mut open = self.0.0.lock().unwrap_or_else(PoisonError::into_inner);
        match open.get_mut(&self.1) {
            Some(count) if *count > 1 => *count -= 1,
            _ => drop(open.remove(&self.1)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use muster_model::limits::{PEER_ADDRESS_CONNECTIONS, PEER_ADDRESS_HANDSHAKES, PEER_HANDSHAKES};

    fn address(last: u8) -> IpAddr {
        IpAddr::from([10, 0, 0, last])
    }

    #[test]
    fn peers_are_served_so_many_at_once_and_not_one_more() {
        // proves S1: connections of other clients are bounded, in all and of each address.
        let slots = Arc::new(Slots::default());
        for (most, of_one) in [(4, PEER_ADDRESS_CONNECTIONS), (PEER_HANDSHAKES, PEER_ADDRESS_HANDSHAKES)] {
            let take = |last, most| Slots::take(&slots, address(last), most, of_one);
            let held: Vec<_> = (0..u8::try_from(most).unwrap()).map(|n| take(n, most).unwrap()).collect();
            assert!(take(99, most).is_none() && !slots.has(address(99), most, of_one), "limit + 1");
            drop(held);
            let both: Vec<_> = (0..of_one).map(|_| take(1, 32).unwrap()).collect();
            assert!(take(1, 32).is_none(), "limit + 1 of one address");
            assert!(take(2, 32).is_some() && slots.has(address(2), 32, of_one), "and another one is served");
            drop(both);
            assert!(slots.0.lock().unwrap().is_empty());
            assert!(take(1, 0).is_none());
        }
    }

    #[test]
    fn peers_that_connect_in_a_loop_get_few_handshakes() {
        // proves S1: what a stranger can have this side sign is bounded, of each source and in all.
        let (mut gate, now) = (Gate::default(), Instant::now());
        let mut passed =
            |from: IpAddr, at: Instant| (0..1_000).take_while(|_| gate.pass(source(from), at)).count() as u32;
        assert_eq!(passed(address(1), now), PEER_SOURCE_ACCEPTS, "limit + 1");
        assert_eq!(passed(address(1), now + SOURCE_EVERY * 3), 3, "and then one after the other");
        let later = now + Duration::from_secs(3_600);
        let v6 = |last: u16| IpAddr::from([0x2001, 0xdb8, 0, 1, 0, 0, 0, last]);
        let many: u32 = (0..100).map(|last| passed(v6(last), later)).sum();
        assert_eq!(many, PEER_SOURCE_ACCEPTS, "a network of IPv6 is one source");
        let all: u32 = (0..100).map(|last| passed(address(last), later)).sum();
        assert_eq!(many + all, PEER_ACCEPTS, "limit + 1 in all");
        assert_eq!(passed(address(200), later + EVERY * 5), 5);
        let much_later = later + Duration::from_secs(3_600);
        let local: u32 = (1..100).map(|last| passed(IpAddr::from([127, 0, 0, last]), much_later)).sum();
        assert_eq!(local, PEER_SOURCE_ACCEPTS, "all of loopback is one");
    }

    #[test]
    fn peers_of_many_addresses_cost_no_memory() {
        // proves S1: the sources that are remembered are bounded, and those that are quiet make room.
        let (mut gate, now) = (Gate::default(), Instant::now());
        for number in 0..PEER_SOURCES {
            let number = u32::try_from(number).unwrap();
            gate.sources.entry(IpAddr::from(number.to_be_bytes())).or_default().take(now, SOURCE_EVERY);
        }
        let another = IpAddr::from([10, 9, 9, 9]);
        assert!(!gate.pass(another, now) && gate.sources.len() == PEER_SOURCES, "limit + 1");
        assert!(gate.pass(another, now + SOURCE_EVERY) && gate.sources.len() == 1);
    }

    #[test]
    fn peers_of_another_network_are_turned_away_before_they_count() {
        let (mut gate, now) = (Gate::default(), Instant::now());
        let own = ("10.0.0.1".parse().unwrap(), 24);
        gate.around = Some((now, BTreeSet::from([own])));
        for last in 0..=255 {
            assert!(!gate.lets(IpAddr::from([10, 0, 1, last]), now));
        }
        assert!(gate.sources.is_empty());
        assert!(gate.lets(address(7), now + LOOK / 2), "what is known counts for a while");
    }
}
