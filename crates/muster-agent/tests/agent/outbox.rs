//! The outbox against a site that counts: nothing lost, nothing twice, whatever is killed, lost, full or set back.

use crate::actor::{Site, machine::Machine};
use muster_agent::store::{
    Store, StoreError,
    compliance::Progress,
    outbox::{Bounds, Outgoing, status},
};
use muster_model::{
    compliance::{ComplianceOutcome, ComplianceReport},
    id::{DeploymentId, Hash, SiteCode},
    report::{Batch, Body, Channel, Message, Quarantined, ReportAnswer},
    status::{Component, MessageId, Severity},
    time::UnixMillis,
};
use muster_trust::{
    chain,
    sequence::{self, SequenceError},
};
use proptest::prelude::*;

fn site_code() -> SiteCode {
    "TST".parse().unwrap()
}

fn message(n: u64, severity: Severity) -> Message {
    let body = status(Component::Agent, severity, MessageId::AgentStarted, &[("version", &n.to_string())]);
    Message { time: UnixMillis(1), body }
}

/// The site's side of one channel: what it has committed.
#[derive(Default)]
struct Committed {
    last: u64,
    head: Option<Hash>,
    numbers: Vec<String>,
    lost: Vec<u64>,
}

impl Committed {
    fn take(&mut self, sent: &Outgoing) -> Result<ReportAnswer, SequenceError> {
        let batch: Batch = serde_json::from_slice(&sent.json).unwrap();
        let head = self.head.unwrap_or(Hash::ZERO);
        let accepted = sequence::accept(self.last, head, &sequence::Recent::default(), &batch)?;
        self.lost.extend(accepted.lost.clone().into_iter().flatten());
        for message in &batch.messages[accepted.skip..] {
            let message: Message = serde_json::from_str(message.get()).unwrap();
            let Body::Status(status) = message.body else { panic!("{message:?}") };
            self.numbers.push(status.values.get("version").or(status.values.get("count")).cloned().unwrap_or_default());
        }
        let (last, head) = accepted.after(self.last, head);
        (self.last, self.head) = (last, Some(head));
        Ok(ReportAnswer { acknowledged: last, head, resync: Vec::new(), quarantined: Vec::new() })
    }
}

/// Sends until nothing is left; puts itself in order as the sender does.
fn drain(store: &Store, site: &mut Committed) {
    while let Some(sent) = store.batch(site_code(), Channel::Status, UnixMillis(2)).unwrap() {
        match site.take(&sent) {
            Ok(answer) => drop(store.answered(&sent, &answer).unwrap()),
            Err(
                SequenceError::Gap { expected } | SequenceError::Fork { expected } | SequenceError::Old { expected },
            ) => {
                store.go_on_at(&sent, expected, UnixMillis(2)).unwrap();
            }
            Err(error) => panic!("{error}"),
        }
    }
}

#[derive(Debug, Clone)]
enum Event {
    Push,
    /// A batch goes out and its answer comes back.
    Send,
    /// A batch goes out, is committed, and its answer is lost.
    AnswerLost,
    /// A batch is made and never arrives.
    NeverArrives,
    /// The agent is killed.
    Kill,
    /// The site finds the batch too large.
    TooLarge,
}

fn events() -> impl Strategy<Value = Vec<Event>> {
    let event = prop_oneof![
        4 => Just(Event::Push),
        2 => Just(Event::Send),
        1 => Just(Event::AnswerLost),
        1 => Just(Event::NeverArrives),
        1 => Just(Event::Kill),
        1 => Just(Event::TooLarge),
    ];
    prop::collection::vec(event, 1..40)
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 32, ..ProptestConfig::default() })]
    #[test]
    fn every_message_arrives_once_and_in_order(events in events()) {
        let machine = Machine::new();
        let directory = machine.directory();
        let mut store = Store::open(&directory, false).unwrap();
        let (mut site, mut pushed) = (Committed::default(), 0_u64);
        for event in events {
            match event {
                Event::Push => {
                    pushed += 1;
                    store.push(&message(pushed, Severity::Error)).unwrap();
                }
                Event::Kill => {
                    drop(store);
                    store = Store::open(&directory, true).unwrap();
                }
                other => {
                    let Some(sent) = store.batch(site_code(), Channel::Status, UnixMillis(2)).unwrap() else { continue };
                    let batch: Batch = serde_json::from_slice(&sent.json).unwrap();
                    match other {
                        Event::Send => {
                            let answer = site.take(&sent).unwrap();
                            store.answered(&sent, &answer).unwrap();
                        }
                        Event::AnswerLost => drop(site.take(&sent).unwrap()),
                        // One alone would be replaced by a message that says so; and what was taken was not too large.
                        Event::TooLarge if batch.messages.len() > 1 && batch.first > site.last => store.too_large(&sent, UnixMillis(2)).unwrap(),
                        _ => {}
                    }
                }
            }
        }
        drain(&store, &mut site);
        let arrived: Vec<u64> = site.numbers.iter().filter_map(|n| n.parse().ok()).collect();
        prop_assert!(site.lost.is_empty());
        prop_assert_eq!(arrived, (1..=pushed).collect::<Vec<_>>());
        prop_assert_eq!(store.size().messages, 0);
    }
}

#[test]
fn a_lost_outbox_goes_on_where_the_site_is() {
    let machine = Machine::new();
    let directory = machine.directory();
    let mut site = Committed::default();
    let store = Store::open(&directory, false).unwrap();
    for n in 1..=5 {
        store.push(&message(n, Severity::Error)).unwrap();
    }
    drain(&store, &mut site);
    drop(store);
    for file in ["agent.db", "agent.db-wal", "agent.db-shm"] {
        directory.remove(file).unwrap();
    }
    let store = Store::open(&directory, true).unwrap();
    store.push(&message(6, Severity::Error)).unwrap();
    drain(&store, &mut site);
    assert_eq!(site.numbers, ["1", "2", "3", "4", "5", "6", ""], "the last says that messages may be lost");
    assert_eq!(site.last, 7);
}

#[test]
fn a_site_that_was_set_back_hears_what_it_lost() {
    let machine = Machine::new();
    let store = Store::open(&machine.directory(), false).unwrap();
    let mut site = Committed::default();
    for n in 1..=5 {
        store.push(&message(n, Severity::Error)).unwrap();
    }
    drain(&store, &mut site);
    // Its database was restored from before the last three.
    (site.last, site.head) = (2, Some(Hash([9; 32])));
    store.push(&message(6, Severity::Error)).unwrap();
    drain(&store, &mut site);
    assert_eq!(site.lost, [3, 4, 5]);
    assert_eq!(site.numbers.last().unwrap(), "");
}

#[test]
fn a_client_that_was_set_back_is_told_where_to_go_on() {
    let machine = Machine::new();
    let directory = machine.directory();
    let store = Store::open(&directory, false).unwrap();
    let mut site = Committed::default();
    store.push(&message(1, Severity::Error)).unwrap();
    drain(&store, &mut site);
    drop(store);
    // An image of the machine is taken, it goes on, and the image is restored.
    let image = std::fs::read(machine.state().join("agent.db")).unwrap();
    let store = Store::open(&directory, true).unwrap();
    for n in 2..=4 {
        store.push(&message(n, Severity::Error)).unwrap();
    }
    drain(&store, &mut site);
    drop(store);
    for file in ["agent.db-wal", "agent.db-shm"] {
        directory.remove(file).unwrap();
    }
    std::fs::write(machine.state().join("agent.db"), image).unwrap();
    let store = Store::open(&directory, true).unwrap();
    store.push(&message(50, Severity::Error)).unwrap();
    let sent = store.batch(site_code(), Channel::Status, UnixMillis(2)).unwrap().unwrap();
    assert_eq!(site.take(&sent).unwrap_err(), SequenceError::Old { expected: 5 });
    drain(&store, &mut site);
    assert!(site.numbers.contains(&"50".to_owned()));
}

#[test]
fn an_answer_that_does_not_fit_makes_nothing_forgotten() {
    let machine = Machine::new();
    let store = Store::open(&machine.directory(), false).unwrap();
    store.push(&message(1, Severity::Error)).unwrap();
    let sent = store.batch(site_code(), Channel::Status, UnixMillis(2)).unwrap().unwrap();
    let head = Committed::default().take(&sent).unwrap().head;
    for (acknowledged, head) in [(0, head), (2, head), (u64::MAX, head), (1, Hash::ZERO)] {
        let answer = ReportAnswer { acknowledged, head, resync: Vec::new(), quarantined: Vec::new() };
        assert_eq!(store.answered(&sent, &answer).unwrap(), muster_agent::store::outbox::Answered::Contradiction);
        assert_eq!(store.size().messages, 1);
    }
}

#[test]
fn a_full_outbox_drops_what_matters_least_and_says_so() {
    let machine = Machine::new();
    let store = Store::open(&machine.directory(), false).unwrap();
    store.set_bounds(Bounds { low: 10_000, all: 20_000 });
    for n in 1..=200 {
        store.push(&message(n, Severity::Information)).unwrap();
    }
    assert!(store.size().bytes <= 10_000);
    let mut kept = 0;
    let full = (1..=1_000).find(|n| match store.push(&message(1_000 + n, Severity::Error)) {
        Ok(()) => {
            kept += 1;
            false
        }
        Err(StoreError::OutboxFull) => true,
        Err(error) => panic!("{error}"),
    });
    assert!(full.is_some() && kept > 50, "{kept}");
    let mut site = Committed::default();
    drain(&store, &mut site);
    let errors = site.numbers.iter().filter(|n| n.parse::<u64>().is_ok_and(|n| n > 1_000)).count();
    assert_eq!(errors, kept, "what was taken arrives");
    let dropped: u64 = site.numbers.last().unwrap().parse().unwrap();
    let informations = site.numbers.len() - 1 - kept;
    assert_eq!(usize::try_from(dropped).unwrap() + informations, 200, "what was dropped is counted");
    store.push(&message(7, Severity::Information)).unwrap();
}

#[test]
fn a_damaged_file_is_put_aside_and_a_later_one_is_not_touched() {
    let machine = Machine::new();
    let directory = machine.directory();
    std::fs::write(machine.state().join("agent.db"), vec![0x55; 8192]).unwrap();
    let store = Store::open(&directory, true).unwrap();
    store.push(&message(1, Severity::Error)).unwrap();
    assert!(machine.state().join("agent.db.damaged").exists());
    store.set_value("x", "y").unwrap();
    drop(store);
    let newer = rusqlite::Connection::open(machine.state().join("agent.db")).unwrap();
    newer.execute_batch("PRAGMA user_version = 99").unwrap();
    drop(newer);
    assert!(matches!(Store::open(&directory, true), Err(StoreError::Newer)));
}

#[tokio::test]
async fn the_site_may_be_away_and_answers_may_be_lost() {
    let (site, machine) = (Site::start().await, Machine::new());
    machine.enrol(&site).await;
    site.state().mischief.away = true;
    let running = machine.run();
    let agent_said = |id: MessageId| site.wait_status(id);
    running.stop().await;
    assert!(site.said().is_empty());
    site.state().mischief.away = false;
    site.state().mischief.lose_answers = 2;
    let running = machine.run();
    agent_said(MessageId::AgentStopped).await;
    site.wait("an inventory", |state| state.chains.contains_key(&Channel::Inventory).then_some(())).await;
    running.stop().await;
    let state = site.state();
    for channel in Channel::ALL {
        let numbers: Vec<u64> = state.messages.iter().filter(|m| m.0 == *channel).map(|m| m.1).collect();
        assert_eq!(numbers, (1..=numbers.len() as u64).collect::<Vec<_>>(), "{channel:?}");
    }
    assert_eq!(state.forks, 0);
}

#[tokio::test]
async fn the_program_is_killed_again_and_again_and_the_chain_is_whole() {
    let (site, machine) = (Site::start().await, Machine::new());
    machine.enrol(&site).await;
    for round in 0..6 {
        let mut agent = machine.spawn();
        let started = |state: &crate::actor::State| {
            state
                .messages
                .iter()
                .filter(|(_, _, m)| matches!(&m.body, Body::Status(s) if s.id == MessageId::AgentStarted))
                .count()
        };
        // Killed at another moment in every round: while it starts, sends, or waits.
        if round % 2 == 0 {
            site.wait("a start", |state| (started(state) > round / 2).then_some(())).await;
        }
        agent.start_kill().unwrap();
        agent.wait().await.unwrap();
    }
    let running = machine.run();
    site.wait_status(MessageId::PolicyAccepted).await;
    running.stop().await;
    let state = site.state();
    let numbers: Vec<u64> = state.messages.iter().filter(|m| m.0 == Channel::Status).map(|m| m.1).collect();
    assert_eq!(numbers, (1..=numbers.len() as u64).collect::<Vec<_>>());
    assert_eq!((state.forks, state.lost.len()), (0, 0));
}

#[tokio::test]
async fn a_policy_that_was_kept_before_a_kill_is_said_after_it_and_once() {
    let (site, machine) = (Site::start().await, Machine::new());
    machine.enrol(&site).await;
    let count = |state: &crate::actor::State, id: MessageId| {
        state.messages.iter().filter(|(_, _, m)| matches!(&m.body, Body::Status(s) if s.id == id)).count()
    };
    let running = machine.run();
    site.wait_status(MessageId::PolicyAccepted).await;
    running.stop().await;
    // The policy is in its place, and nobody was told.
    Store::open(&machine.directory(), true).unwrap().set_value("policy_said", "").unwrap();
    let running = machine.run();
    site.wait("it is said", |state| (count(state, MessageId::PolicyAccepted) == 2).then_some(())).await;
    running.stop().await;
    let before = count(&site.state(), MessageId::AgentStarted);
    let running = machine.run();
    site.wait("a start", |state| (count(state, MessageId::AgentStarted) > before).then_some(())).await;
    running.stop().await;
    assert_eq!(count(&site.state(), MessageId::PolicyAccepted), 2);
}

#[tokio::test]
async fn the_program_goes_on_after_its_database_was_lost() {
    let (site, machine) = (Site::start().await, Machine::new());
    machine.enrol(&site).await;
    let running = machine.run();
    site.wait_status(MessageId::PolicyAccepted).await;
    running.stop().await;
    for file in ["agent.db", "agent.db-wal", "agent.db-shm"] {
        machine.directory().remove(file).unwrap();
    }
    let running = machine.run();
    let values = site.wait_status(MessageId::OutboxLost).await;
    assert_eq!(values["to"], "?", "nobody knows how many");
    running.stop().await;
    let state = site.state();
    let numbers: Vec<u64> = state.messages.iter().filter(|m| m.0 == Channel::Status).map(|m| m.1).collect();
    assert_eq!(numbers, (1..=numbers.len() as u64).collect::<Vec<_>>());
    assert_eq!(state.forks, 0);
}

#[tokio::test]
async fn inventory_is_full_once_then_only_what_changed_and_full_again_when_asked() {
    use muster_model::inventory::Change;
    let (site, machine) = (Site::start().await, Machine::new());
    machine.enrol(&site).await;
    let software = |state: &crate::actor::State| -> Vec<(&'static str, usize)> {
        let sections = state.messages.iter().filter_map(|(_, _, message)| match &message.body {
            Body::Inventory(report) => report.sections.iter().find(|s| s.class == "INSTALLED_SOFTWARE"),
            _ => None,
        });
        let sections = sections.map(|section| match &section.change {
            Change::Full { rows } => ("full", rows.len()),
            Change::Delta { upsert, remove, .. } => ("delta", upsert.len() + remove.len()),
        });
        sections.collect()
    };
    machine.install_packages(&["one", "two"]);
    let running = machine.run();
    let wait = |count: usize| {
        site.wait("an inventory", move |state| (software(state).len() == count).then(|| software(state)))
    };
    assert_eq!(wait(1).await, [("full", 2)]);
    running.stop().await;
    machine.install_packages(&["one", "three"]);
    let running = machine.run();
    assert_eq!(wait(2).await[1], ("delta", 2));
    running.stop().await;
    // The site lost its base and says so with its next answer.
    site.state().resync = vec!["INSTALLED_SOFTWARE".into()];
    let running = machine.run();
    assert_eq!(wait(3).await[2], ("full", 2));
    running.stop().await;
}

// A site that was restored from an older backup hears of compliance anew.
#[test]
fn what_the_site_lost_of_compliance_is_told_again() {
    let machine = Machine::new();
    let store = Store::open(&machine.directory(), false).unwrap();
    let digest = Hash([7; 32]);
    let moment = UnixMillis(5);
    let told =
        Progress { evaluated: Some(moment), told: Some(moment), digest: Some(digest), ..Progress::new(Hash::ZERO) };
    let [one, other] = [1, 2].map(|number| DeploymentId(uuid::Uuid::from_u128(number)));
    for deployment in [one, other] {
        let outcome = ComplianceOutcome::Unchanged { digest };
        let report = ComplianceReport { deployment, baseline: Hash::ZERO, outcome };
        store.keep_evaluation(&told, moment, report).unwrap();
    }
    let sent = store.batch(site_code(), Channel::Status, UnixMillis(6)).unwrap().unwrap();
    let batch: Batch = serde_json::from_slice(&sent.json).unwrap();
    let head = batch.messages.iter().fold(batch.previous, |head, message| chain(head, message.get().as_bytes()));
    let refused = Quarantined { sequence: 1, class: None, reason: "It does not have these results.".to_owned() };
    let answer = ReportAnswer { acknowledged: 2, head, resync: Vec::new(), quarantined: vec![refused] };
    store.answered(&sent, &answer).unwrap();
    let again = |deployment| {
        let now = store.compliance(deployment).unwrap().unwrap();
        assert_eq!(now.evaluated, Some(moment), "not as if it never was");
        (now.told.is_none() && now.digest.is_none() && now.due > Some(moment), now == told)
    };
    assert_eq!((again(one), again(other)), ((true, false), (false, true)), "the one that it does not have");
    // The site was set back: it may lack anything.
    store.push(&message(1, Severity::Error)).unwrap();
    let sent = store.batch(site_code(), Channel::Status, UnixMillis(7)).unwrap().unwrap();
    store.go_on_at(&sent, 1, UnixMillis(7)).unwrap();
    assert_eq!(again(other), (true, false));
}
