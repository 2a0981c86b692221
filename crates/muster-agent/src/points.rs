//! The management points in the order in which they are used. The client stays with one that answered, until it has failed five
//! times within ten minutes; one that has not answered yet is left at its first failure.

use crate::{
    clock::random,
    http::Address,
    locate::{Hint, Source},
};
use std::{collections::VecDeque, time::Duration};
use tokio::time::Instant;

/// So many failures, within that time, and the next point is used: as in Configuration Manager.
const FAILURES: usize = 5;
const WINDOW: Duration = Duration::from_secs(600);
/// What several tasks notice at one moment is one failure.
const ONE: Duration = Duration::from_secs(2);

/// A management point.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Point {
    /// Where it is.
    pub address: Address,
    /// Who named it; `None`: the site itself, in an answer or in signed policy.
    pub source: Option<Source>,
}

/// All of them.
#[derive(Debug)]
pub struct Points {
    named: Vec<Address>,
    ranks: Vec<Vec<Address>>,
    found: Vec<Hint>,
    list: Vec<Point>,
    at: usize,
    /// Whether the one in use has answered since it is in use.
    proven: bool,
    failures: VecDeque<Instant>,
}

impl Points {
    /// Those that the site named; nobody knows which is near, so each client begins at another one.
    #[must_use]
    pub fn new(named: Vec<Address>) -> Self {
        let mut points = Self {
            named: shuffled(named),
            ranks: Vec::new(),
            found: Vec::new(),
            list: Vec::new(),
            at: 0,
            proven: false,
            failures: VecDeque::new(),
        };
        points.arrange(true);
        points
    }

    /// How many there are.
    #[must_use]
    pub const fn len(&self) -> usize {
        self.list.len()
    }

    /// Whether there is none.
    #[must_use]
    pub const fn is_empty(&self) -> bool {
        self.list.is_empty()
    }

    /// The one in use.
    #[must_use]
    pub fn current(&self) -> Option<&Point> {
        self.list.get(self.at)
    }

    /// All, beginning with the one in use.
    #[must_use]
    pub fn order(&self) -> Vec<Address> {
        let (before, after) = self.list.split_at(self.at.min(self.list.len()));
        after.iter().chain(before).map(|point| point.address.clone()).collect()
    }

    /// The site named others.
    pub fn set_named(&mut self, named: Vec<Address>) {
        let is_same = named.len() == self.named.len() && named.iter().all(|address| self.named.contains(address));
        if !is_same {
            self.named = shuffled(named);
            self.arrange(false);
        }
    }

    /// The site's policy says which are near. Where it says something new, the nearest is used.
    pub fn set_ranks(&mut self, ranks: Vec<Vec<Address>>) {
        let is_same = ranks.len() == self.ranks.len()
            && ranks
                .iter()
                .zip(&self.ranks)
                .all(|(new, old)| new.len() == old.len() && new.iter().all(|address| old.contains(address)));
        if !is_same {
            self.ranks = ranks.into_iter().map(shuffled).collect();
            self.arrange(true);
        }
    }

    /// What the sources named, as far as it proved itself.
    #[must_use]
    pub fn found(&self) -> &[Hint] {
        &self.found
    }

    /// The sources named others, and they proved themselves.
    pub fn set_found(&mut self, found: Vec<Hint>, nearest: bool) {
        self.found = found;
        self.arrange(nearest);
    }

    /// A found point is not one.
    pub fn forget(&mut self, address: &Address) {
        self.found.retain(|hint| hint.address != *address);
        self.arrange(false);
    }

    /// Puts the list together. The one in use stays in use where it is still there, unless the nearest is wanted.
    fn arrange(&mut self, nearest: bool) {
        let current = self.current().map(|point| point.address.clone());
        let own = self.ranks.iter().flatten().chain(&self.named);
        let own = own.map(|address| Point { address: address.clone(), source: None });
        let found = self.found.iter().map(|h| Point { address: h.address.clone(), source: Some(h.source.clone()) });
        let mut list: Vec<Point> = Vec::new();
        for point in own.chain(found) {
            if !list.iter().any(|known| known.address == point.address) {
                list.push(point);
            }
        }
        self.list = list;
        let place = current.and_then(|current| self.list.iter().position(|point| point.address == current));
        let at = if nearest { 0 } else { place.unwrap_or(0) };
        if place != Some(at) {
            self.begin();
        }
        self.at = at;
    }

    fn begin(&mut self) {
        self.proven = false;
        self.failures.clear();
    }

    fn is_current(&self, address: &Address) -> bool {
        self.current().is_some_and(|point| point.address == *address)
    }

    /// The point at this address stands.
    pub fn answered(&mut self, address: &Address) {
        if self.is_current(address) {
            self.proven = true;
        }
    }

    /// The one in use did what it should: what was before is forgotten.
    pub fn satisfied(&mut self) {
        self.failures.clear();
    }

    /// The point at this address failed; whether another one is in use now.
    pub fn failed(&mut self, address: &Address, now: Instant) -> bool {
        if !self.is_current(address) {
            return true;
        }
        if self.proven {
            self.failures.retain(|failure| now.duration_since(*failure) < WINDOW);
            if self.failures.back().is_none_or(|last| now.duration_since(*last) >= ONE) {
                self.failures.push_back(now);
            }
            if self.failures.len() < FAILURES {
                return false;
            }
            tracing::info!(%address, "the management point failed too often; the next one is used");
        }
        self.at = (self.at + 1) % self.list.len().max(1);
        self.begin();
        self.list.len() > 1
    }
}

/// Those that are alike, in an order of this client's own.
fn shuffled(mut addresses: Vec<Address>) -> Vec<Address> {
    for end in (1..addresses.len()).rev() {
        addresses.swap(end, random() as usize % (end + 1));
    }
    addresses
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(host: &str) -> Address {
        Address::new(host, 8440).unwrap()
    }

    fn hint(host: &str) -> Hint {
        Hint { address: at(host), source: Source::Dns("_muster-mp._tcp.corp.example".to_owned()) }
    }

    fn hosts(points: &Points) -> Vec<String> {
        points.order().iter().map(|address| address.host().to_owned()).collect()
    }

    #[test]
    fn five_failures_in_ten_minutes_move_on_and_fewer_do_not() {
        // proves S12: a point that answered is kept, until it fails too often.
        let mut points = Points::new(vec![at("a")]);
        points.set_found(vec![hint("b")], false);
        assert_eq!(hosts(&points), ["a", "b"]);
        points.answered(&at("a"));
        let mut now = Instant::now();
        for minute in 0..20 {
            // One in three minutes: never five in ten.
            let moved = points.failed(&at("a"), now);
            assert!(!moved, "minute {}", 3 * minute);
            now += Duration::from_secs(180);
        }
        points.satisfied();
        for failure in 1..=5 {
            // Three tasks notice each failure at the same moment.
            assert!(!points.failed(&at("a"), now) || failure == 5);
            if failure < 5 {
                assert!(!points.failed(&at("a"), now));
                now += Duration::from_secs(20);
            }
        }
        assert_eq!(hosts(&points), ["b", "a"]);
        // It has not answered yet, and is left at once.
        assert!(points.failed(&at("b"), now));
        assert_eq!(hosts(&points), ["a", "b"]);
        assert!(points.failed(&at("b"), now), "that is over already");
        assert_eq!(hosts(&points), ["a", "b"]);
    }

    #[test]
    fn the_site_comes_before_directory_and_dns_and_the_nearest_first() {
        let mut points = Points::new(vec![at("far")]);
        points.set_found(vec![hint("found"), hint("far")], false);
        points.answered(&at("far"));
        assert_eq!(hosts(&points), ["far", "found"]);
        assert_eq!(points.current().unwrap().source, None, "the site's own word counts more");
        points.set_ranks(vec![vec![at("near")], vec![at("far")]]);
        assert_eq!(hosts(&points), ["near", "far", "found"]);
        // Said again, it changes nothing: the client stays where it is.
        points.failed(&at("near"), Instant::now());
        points.answered(&at("far"));
        points.set_ranks(vec![vec![at("near")], vec![at("far")]]);
        points.set_found(vec![hint("other")], false);
        points.set_named(vec![at("far"), at("new")]);
        assert_eq!(hosts(&points)[0], "far");
        // In another network the nearest is tried again.
        points.set_found(vec![hint("other")], true);
        assert_eq!(hosts(&points), ["near", "far", "new", "other"]);
        points.forget(&at("other"));
        assert_eq!(hosts(&points), ["near", "far", "new"]);
    }
}
