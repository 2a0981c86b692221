//! The history of inventory: what was at every moment, whatever the way there, and what is left of it later.

use crate::client::{Outbox, digest, full, inventory, package, row};
use muster_model::{
    api::{CompareQuery, HistoryQuery, MomentQuery},
    id::DeviceId,
    inventory::{Change, Row, Section, Value},
    problem::Code,
    report::Channel,
    time::{DAY, HOUR, SECOND, UnixMillis},
};
use muster_site::{
    Purge, history_compare, history_list, history_purge, history_show,
    testing::{TestDevice, TestSite},
};
use std::collections::{BTreeMap, BTreeSet};

const CLASS: &str = "INSTALLED_SOFTWARE";

/// Numbers that are the same in every run.
struct Dice(u64);

impl Dice {
    fn below(&mut self, most: u64) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0 % most
    }
}

/// A device, and what it said.
struct Story {
    device: TestDevice,
    outbox: Outbox,
    /// Name and version of each package that is on it.
    now: BTreeMap<String, String>,
    /// What the site had from each moment on. `None`: nothing.
    past: BTreeMap<UnixMillis, BTreeMap<String, String>>,
}

fn rows(state: &BTreeMap<String, String>) -> Vec<Row> {
    state.iter().map(|(name, version)| package(name, version)).collect()
}

impl Story {
    async fn new(test: &TestSite, name: &str) -> Self {
        let device = test.enrol(name).await;
        Self { device, outbox: Outbox::new(Channel::Inventory), now: BTreeMap::new(), past: BTreeMap::new() }
    }

    /// Another state: some packages come, go or change.
    fn step(&mut self, dice: &mut Dice) {
        for _ in 0..dice.below(4) {
            let name = format!("p{:02}", dice.below(12));
            match dice.below(3) {
                0 => drop(self.now.remove(&name)),
                _ => drop(self.now.insert(name, dice.below(3).to_string())),
            }
        }
    }

    fn delta(before: &BTreeMap<String, String>, after: &BTreeMap<String, String>, base: &[Row]) -> Section {
        let upsert: BTreeMap<_, _> =
            after.iter().filter(|(k, v)| before.get(*k) != Some(*v)).map(|(k, v)| (k.clone(), v.clone())).collect();
        let key = |name: &String| row(&[("SoftwareCode", Value::Text(name.clone()))]);
        let remove = before.keys().filter(|name| !after.contains_key(*name)).map(key).collect();
        let change = Change::Delta { base: digest(base), upsert: rows(&upsert), remove };
        Section { class: CLASS.to_owned(), digest: digest(&rows(after)), change }
    }

    /// Says how it is, in one of the ways that there are.
    async fn say(&mut self, test: &TestSite, dice: &mut Dice) {
        let before = self.now.clone();
        self.step(dice);
        let whole = full(CLASS, &rows(&self.now));
        let said = match dice.below(6) {
            // A difference to something that the site does not have: it asks for everything, and gets it.
            0 => {
                let lost = Self::delta(&before, &self.now, &[package("never", "0")]);
                self.outbox.push(inventory(vec![lost]));
                let answer = self.outbox.send(test, &self.device).await.unwrap();
                // Where it leads to what the site has, there is nothing to ask for.
                let same = !self.past.is_empty() && before == self.now;
                assert_eq!(answer.resync.is_empty(), same, "{answer:?}");
                whole
            }
            // Two messages in one batch: what was between them was never stored.
            1 => {
                self.outbox.push(inventory(vec![full(CLASS, &rows(&BTreeMap::new()))]));
                whole
            }
            2 if !self.past.is_empty() => whole,
            _ if !self.past.is_empty() => Self::delta(&before, &self.now, &rows(&before)),
            _ => whole,
        };
        self.outbox.push(inventory(vec![said]));
        let answer = self.outbox.send(test, &self.device).await.unwrap();
        assert!(answer.resync.is_empty() && answer.quarantined.is_empty(), "{answer:?}");
        let last = self.past.last_key_value();
        if last.is_none_or(|(_, state)| *state != self.now) {
            let moment = last.map_or(test.now(), |(moment, _)| test.now().max(*moment));
            self.past.insert(moment, self.now.clone());
        }
    }

    /// What the site had at a moment; empty where it had nothing.
    fn at(&self, moment: UnixMillis) -> Option<&BTreeMap<String, String>> {
        self.past.range(..=moment).next_back().map(|(_, state)| state)
    }

    fn moments(&self) -> BTreeSet<UnixMillis> {
        self.past.keys().flat_map(|moment| [moment.plus(-1), *moment, moment.plus(1)]).collect()
    }
}

async fn shown(test: &TestSite, device: DeviceId, at: UnixMillis) -> Result<Vec<Row>, Code> {
    let query = MomentQuery { at, offset: 0, limit: 500 };
    let shown = history_show(&test.analyst(), &test.site, device, CLASS, query).await;
    shown.map(|rows| rows.rows).map_err(|error| error.code())
}

async fn purge(test: &TestSite) -> u64 {
    let mut purge = Purge::default();
    while history_purge(&test.site, &mut purge, test.now()).await.unwrap() {}
    purge.gone
}

#[tokio::test]
async fn every_moment_is_what_was_stored_then_whatever_the_way_there() {
    for test in TestSite::all().await {
        let mut dice = Dice(0x9e37_79b9_7f4a_7c15);
        let mut stories = [Story::new(&test, "alpha").await, Story::new(&test, "beta").await];
        for turn in 0..60 {
            // Sometimes no time passes, and sometimes the clock goes back.
            test.sources.pass([0, 1, HOUR, DAY, -SECOND, 3 * DAY][usize::try_from(dice.below(6)).unwrap()]);
            let story = &mut stories[usize::try_from(dice.below(2)).unwrap()];
            story.say(&test, &mut dice).await;
            if turn % 15 == 14 {
                crate::inventory::sweep(&test).await;
            }
        }
        for story in &stories {
            for moment in story.moments() {
                let expected = story.at(moment).map(rows).ok_or(Code::NotFound);
                assert_eq!(shown(&test, story.device.id, moment).await, expected, "{moment:?}");
            }
        }
        // Any two moments differ as the two states do.
        let story = &stories[0];
        let moments: Vec<UnixMillis> = story.past.keys().copied().collect();
        for _ in 0..20 {
            let mut pick = || moments[usize::try_from(dice.below(moments.len() as u64)).unwrap()];
            let (one, other) = (pick(), pick());
            let (from, to) = (one.min(other), one.max(other));
            let query = CompareQuery { from, to, class: String::new() };
            let found = history_compare(&test.analyst(), &test.site, story.device.id, query).await.unwrap();
            let (before, after) = (&story.past[&from], &story.past[&to]);
            let expected: [Vec<Row>; 3] = [
                rows(&after.iter().filter(|(k, _)| !before.contains_key(*k)).map(own).collect()),
                rows(&before.iter().filter(|(k, _)| !after.contains_key(*k)).map(own).collect()),
                rows(&after.iter().filter(|(k, v)| before.get(*k).is_some_and(|old| old != *v)).map(own).collect()),
            ];
            if before == after {
                assert!(found.classes.is_empty());
                continue;
            }
            let class = &found.classes[0];
            let changed: Vec<Row> = class.changed.iter().map(|change| change.after.clone()).collect();
            assert_eq!([class.added.clone(), class.removed.clone(), changed], expected);
        }
        later(&test, &stories).await;
    }
}

fn own((name, version): (&String, &String)) -> (String, String) {
    (name.clone(), version.clone())
}

/// After the retention: what is answered is still true, and what is gone is said to be gone.
async fn later(test: &TestSite, stories: &[Story]) {
    let last = stories.iter().filter_map(|story| story.past.last_key_value()).map(|(moment, _)| *moment).max().unwrap();
    test.sources.pass(last.since(test.now()) + 90 * DAY - 20 * DAY);
    let cutoff = test.now().plus(-90 * DAY);
    assert!(purge(test).await > 0);
    crate::inventory::sweep(test).await;
    let (mut exact, mut gone) = (0, 0);
    for story in stories {
        for moment in story.moments() {
            match (shown(test, story.device.id, moment).await, story.at(moment)) {
                (Ok(found), state) => {
                    assert_eq!(Some(found), state.map(rows), "never another state than the one that was");
                    exact += 1;
                }
                (Err(code), state) => {
                    assert_eq!(code, Code::NotFound);
                    assert!(moment < cutoff || state.is_none(), "{moment:?} is within what is kept");
                    gone += 1;
                }
            }
        }
    }
    assert!(exact > 10 && gone > 10, "{exact} {gone}");
    // When all history is gone its rows are, and those of the present stay.
    test.sources.pass(200 * DAY);
    purge(test).await;
    assert!(crate::inventory::sweep(test).await > 0);
    for story in stories {
        assert_eq!(shown(test, story.device.id, test.now()).await, Ok(rows(&story.now)));
        let query = HistoryQuery { limit: 50, ..HistoryQuery::default() };
        let left = history_list(&test.full(), &test.site, story.device.id, query).await.unwrap();
        assert_eq!((left.total, left.days.len()), (0, 0));
    }
}

#[tokio::test]
async fn a_device_that_changes_all_the_time_has_its_latest_changes_only() {
    // proves S1
    for test in TestSite::all().await {
        let mut site = test.reopened().await;
        site.limits.history_rows = 30;
        let device = test.enrol("alpha").await;
        let mut outbox = Outbox::new(Channel::Inventory);
        for turn in 0..20 {
            test.sources.pass(HOUR);
            outbox.push(inventory(vec![full(CLASS, &[package("a", &turn.to_string())])]));
            outbox.send(&test, &device).await.unwrap();
        }
        let mut purge = Purge::default();
        while history_purge(&site, &mut purge, test.now()).await.unwrap() {}
        let query = HistoryQuery { limit: 50, ..HistoryQuery::default() };
        let left = history_list(&test.full(), &site, device.id, query).await.unwrap();
        assert_eq!(left.total, 10, "each change counts for three");
        let hours_ago = |hours: i64| test.now().plus(-hours * HOUR);
        assert_eq!(shown(&test, device.id, hours_ago(9)).await, Ok(vec![package("a", "10")]));
        assert_eq!(shown(&test, device.id, hours_ago(11)).await, Err(Code::NotFound));
    }
}

#[tokio::test]
async fn the_same_inventory_again_is_no_change_and_who_may_not_see_it_does_not() {
    let test = TestSite::new().await;
    let device = test.enrol("alpha").await;
    let mut outbox = Outbox::new(Channel::Inventory);
    let both = [package("a", "1"), package("b", "1")];
    let query = HistoryQuery { limit: 50, ..HistoryQuery::default() };
    for rows in [&both[..], &both[..], &[both[1].clone(), both[0].clone()]] {
        test.sources.pass(HOUR);
        outbox.push(inventory(vec![full(CLASS, rows)]));
        outbox.send(&test, &device).await.unwrap();
    }
    let list = history_list(&test.analyst(), &test.site, device.id, query.clone()).await.unwrap();
    assert_eq!((list.total, list.items[0].first, list.items[0].added), (1, true, 2));
    let error = history_list(&test.anonymous(), &test.site, device.id, query.clone()).await.unwrap_err();
    assert_eq!(error.code(), Code::Unauthenticated);
    let error = history_list(&test.full(), &test.site, DeviceId(uuid::Uuid::nil()), query).await.unwrap_err();
    assert_eq!(error.code(), Code::NotFound);
    let wrong = CompareQuery { from: test.now(), to: test.now().plus(-1), class: String::new() };
    let error = history_compare(&test.full(), &test.site, device.id, wrong).await.unwrap_err();
    assert_eq!(error.code(), Code::Malformed);
}
