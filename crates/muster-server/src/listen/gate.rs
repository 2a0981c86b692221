//! How many connections a door has at once, in all and from one address. One over the limit is closed before it costs anything.

use std::{
    collections::HashMap,
    net::{IpAddr, Ipv6Addr},
    sync::{Arc, Mutex, PoisonError},
};

/// The counter of one door.
#[derive(Debug)]
pub(crate) struct Gate {
    name: &'static str,
    most: usize,
    per_address: usize,
    inside: Mutex<Inside>,
}

#[derive(Debug, Default)]
struct Inside {
    total: usize,
    by_address: HashMap<IpAddr, usize>,
}

/// A place inside; it is free again when this is dropped.
#[derive(Debug)]
pub(crate) struct Ticket {
    gate: Arc<Gate>,
    address: IpAddr,
}

/// Addresses that one sender can have at will count as one: an IPv6 network of 64 bits.
pub(crate) fn sender(address: IpAddr) -> IpAddr {
    match address.to_canonical() {
        IpAddr::V6(v6) => IpAddr::V6(Ipv6Addr::from_bits(v6.to_bits() & !u128::from(u64::MAX))),
        v4 @ IpAddr::V4(_) => v4,
    }
}

impl Gate {
    /// A door called `name` for `most` connections, of which `per_address` may come from one address (0: all of them).
    pub(crate) fn new(name: &'static str, most: usize, per_address: usize) -> Arc<Self> {
        Arc::new(Self { name, most, per_address, inside: Mutex::default() })
    }

    /// A place inside, where there is one.
    pub(crate) fn enter(self: &Arc<Self>, address: IpAddr) -> Option<Ticket> {
        let address = sender(address);
        let mut inside = self.inside.lock().unwrap_or_else(PoisonError::into_inner);
        if inside.total >= self.most {
            return None;
        }
        if self.per_address > 0 {
            let of_address = inside.by_address.entry(address).or_default();
            if *of_address >= self.per_address {
                return None;
            }
            *of_address += 1;
        }
        inside.total += 1;
        metrics::gauge!("muster_connections", "door" => self.name).set(count(inside.total));
        Some(Ticket { gate: self.clone(), address })
    }
}

#[expect(clippy::cast_precision_loss, reason = "a gauge is a float; counts stay far below 2^52")]
fn count(number: usize) -> f64 {
    number as f64
}

impl Drop for Ticket {
    fn drop(&mut self) {
        let mut inside = self.gate.inside.lock().unwrap_or_else(PoisonError::into_inner);
        inside.total -= 1;
        metrics::gauge!("muster_connections", "door" => self.gate.name).set(count(inside.total));
        if let Some(of_address) = inside.by_address.get_mut(&self.address) {
            *of_address -= 1;
            if *of_address == 0 {
                inside.by_address.remove(&self.address);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_address_cannot_take_every_place() {
        let gate = Gate::new("test", 3, 2);
        let (a, b): (IpAddr, IpAddr) = ("10.0.0.1".parse().unwrap(), "10.0.0.2".parse().unwrap());
        let first = gate.enter(a).unwrap();
        let _second = gate.enter(a).unwrap();
        assert!(gate.enter(a).is_none(), "two of one address");
        let _third = gate.enter(b).unwrap();
        assert!(gate.enter(b).is_none(), "three in all");
        drop(first);
        assert!(gate.enter(b).is_some());
        assert_eq!(gate.inside.lock().unwrap().by_address.len(), 2);
    }

    #[test]
    fn a_network_of_one_sender_is_one_address() {
        let of = |text: &str| sender(text.parse().unwrap());
        assert_eq!(of("2001:db8:1:2:3::4"), of("2001:db8:1:2:ffff::"));
        assert_ne!(of("2001:db8:1:2::1"), of("2001:db8:1:3::1"));
        assert_eq!(of("::ffff:10.0.0.1"), of("10.0.0.1"));
    }
}
