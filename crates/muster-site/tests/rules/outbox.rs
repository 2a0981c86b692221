//! Nothing is lost and nothing is taken twice: lost requests, lost answers, repeated batches, restarts of the client from an
//! older state of its disk, callers that go away in the middle; in any order.

use crate::client::{Outbox, sealed, status};
use muster_model::{
    api::MessageQuery,
    report::{Body, Channel},
    status::{MessageId, Severity},
};
use muster_site::{
    message_list, report_submit,
    testing::{TestDevice, TestSite},
};
use proptest::prelude::*;
use std::sync::Arc;

/// What may happen.
#[derive(Debug, Clone)]
enum Event {
    /// The client has something to say.
    Say,
    /// It sends so many messages, and the answer comes.
    Send(usize),
    /// It sends so many, and the answer is lost.
    AnswerLost(usize),
    /// It sends so many, and the connection breaks while the site works.
    BrokenOff(usize),
    /// It is killed after it took an answer and before the disk had it: it stands where it stood before.
    SetBack,
    /// An earlier envelope comes again.
    Again(usize),
}

fn event() -> impl Strategy<Value = Event> {
    prop_oneof![
        4 => Just(Event::Say),
        3 => (1_usize..6).prop_map(Event::Send),
        2 => (1_usize..6).prop_map(Event::AnswerLost),
        2 => (1_usize..6).prop_map(Event::BrokenOff),
        1 => Just(Event::SetBack),
        1 => any::<usize>().prop_map(Event::Again),
    ]
}

fn numbered(number: usize) -> Body {
    status(MessageId::OutboxFull, Severity::Information, &[("count", &number.to_string())])
}

async fn play(test: &Arc<TestSite>, device: &Arc<TestDevice>, events: Vec<Event>) -> (usize, Vec<String>) {
    let mut outbox = Outbox::new(Channel::Status);
    let mut before = outbox.clone();
    let mut sent: Vec<Vec<u8>> = Vec::new();
    let mut said = 0;
    // A client takes as many as fit: what it sends again is never less than what it sent before.
    let mut highest = 0_u64;
    for event in events {
        match event {
            Event::Say => {
                outbox.push(numbered(said));
                before.push(numbered(said));
                said += 1;
            }
            Event::Send(count) | Event::AnswerLost(count) | Event::BrokenOff(count) if !outbox.waiting.is_empty() => {
                let again = usize::try_from(highest - outbox.acknowledged.min(highest)).unwrap();
                let batch = outbox.batch(count.max(again));
                highest = highest.max(batch.first + batch.messages.len() as u64 - 1);
                let envelope = sealed(device, &batch);
                sent.push(envelope.clone());
                if matches!(event, Event::BrokenOff(_)) {
                    // The caller's future is dropped at its first pause: in the queue, or in the transaction.
                    let (ctx, site) = (test.device(device), test.site.clone());
                    let call = async move { drop(report_submit(&ctx, &site, &envelope).await) };
                    tokio::select! { biased; () = call => {} () = tokio::task::yield_now() => {} }
                    continue;
                }
                let answer = report_submit(&test.device(device), &test.site, &envelope).await.unwrap();
                if matches!(event, Event::Send(_)) {
                    before = outbox.clone();
                    outbox.take(&answer);
                }
            }
            Event::SetBack => outbox = before.clone(),
            Event::Again(number) if !sent.is_empty() => {
                let envelope = &sent[number % sent.len()];
                // An old envelope is a retransmission, or it ends before what is committed and is refused; it adds nothing.
                drop(report_submit(&test.device(device), &test.site, envelope).await);
            }
            _ => {}
        }
    }
    while !outbox.waiting.is_empty() {
        outbox.send(test, device).await.unwrap();
    }
    let query = MessageQuery { device: Some(device.id), limit: 500, ..MessageQuery::default() };
    let page = message_list(&test.full(), &test.site, &query).await.unwrap();
    (said, page.items.into_iter().rev().map(|message| message.text).collect())
}

/// One site for all cases, so that a case costs an enrolment and not a site; each case has a device of its own.
#[test]
fn nothing_is_lost_and_nothing_is_taken_twice() {
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
    let sites: Vec<Arc<TestSite>> = runtime.block_on(TestSite::all()).into_iter().map(Arc::new).collect();
    proptest!(ProptestConfig { cases: 48, failure_persistence: None, ..ProptestConfig::default() }, |(events in prop::collection::vec(event(), 1..60))| {
        for test in &sites {
            let events = events.clone();
            let (said, stored) = runtime.block_on(async {
                let device = Arc::new(test.enrol("alpha").await);
                play(test, &device, events).await
            });
            let expected: Vec<String> =
                (0..said).map(|number| format!("The outbox was full; {number} messages were not kept.")).collect();
            prop_assert_eq!(stored, expected);
        }
    });
}

#[tokio::test]
async fn reports_of_many_devices_at_once_are_each_answered() {
    for test in TestSite::all().await {
        let test = Arc::new(test);
        let mut tasks = Vec::new();
        for number in 0..24 {
            let device = test.enrol(&format!("device-{number}")).await;
            let test = test.clone();
            tasks.push(tokio::spawn(async move {
                let mut outbox = Outbox::new(Channel::Status);
                let mut acknowledged = 0;
                for number in 0..4 {
                    outbox.push(numbered(number));
                    outbox.push(Body::Heartbeat(device.claims.clone()));
                    acknowledged = outbox.send(&test, &device).await.unwrap().acknowledged;
                }
                acknowledged
            }));
        }
        for task in tasks {
            assert_eq!(task.await.unwrap(), 8);
        }
        let query = MessageQuery { limit: 1, ..Default::default() };
        assert_eq!(message_list(&test.full(), &test.site, &query).await.unwrap().total, 24 * 4);
    }
}

/// The runtime goes away while transactions run, as with a killed process: what is in the database is whole reports.
#[test]
fn a_site_that_is_stopped_in_the_middle_has_whole_reports_only() {
    for round in 0..5 {
        let runtime = || tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
        let first = runtime();
        let (test, devices) = first.block_on(async {
            let test = Arc::new(TestSite::new().await);
            let mut devices = Vec::new();
            for number in 0..8 {
                devices.push(Arc::new(test.enrol(&format!("device-{number}")).await));
            }
            for device in &devices {
                let mut outbox = Outbox::new(Channel::Status);
                (0..40).for_each(|number| outbox.push(numbered(number)));
                let (test, device) = (test.clone(), device.clone());
                tokio::spawn(async move { outbox.send(&test, &device).await.map(drop) });
            }
            for _ in 0..round * 25 {
                tokio::task::yield_now().await;
            }
            (test, devices)
        });
        first.shutdown_timeout(std::time::Duration::from_secs(10));
        let Ok(TestSite { site, store: muster_store::testing::TestStore { store, url, directory }, .. }) =
            Arc::try_unwrap(test)
        else {
            panic!("a task survived its runtime");
        };
        drop((site, store));
        runtime().block_on(async {
            let store = muster_store::Store::open(&url).await.unwrap();
            let ids: Vec<_> = devices.iter().map(|device| device.id).collect();
            let standings =
                muster_store::transaction!(store, "t", |tx| { muster_store::db::channel::lock(tx, &ids).await })
                    .unwrap();
            for id in ids {
                let query = MessageQuery { device: Some(id), limit: 1, ..MessageQuery::default() };
                let mut reader = store.reader().await.unwrap();
                let (_, stored) = muster_store::db::message::list(&mut reader, &query).await.unwrap();
                let last = standings[&id].channels.get(&Channel::Status).map_or(0, |stands| stands.last);
                assert_eq!(stored, last, "a report and its number are committed together");
                assert!(last == 0 || last == 40, "{last}");
            }
        });
        drop(directory);
    }
}
