//! What reports leave: channels, messages, history, quarantine, counts.

use crate::fleet::devices;
use muster_model::{
    api::{MessageQuery, PageQuery},
    id::Hash,
    report::Channel,
    status::{Component, MessageId, Severity, StatusMessage},
    time::{HOUR, UnixMillis},
};
use muster_store::{
    StoreError,
    db::{
        channel::{self, ChannelRow},
        dashboard,
        message::{self, MessageRow},
        quarantine::{self, QuarantineRow},
        report_hour::{self, Hour},
        timeline::{self, Text, TimelineRow},
    },
    testing::stores,
    transaction,
};

#[tokio::test]
async fn a_channel_stands_where_it_was_put() {
    for test in stores().await {
        let store = &test.store;
        let ids = devices(store, 3).await;
        let row = |at: usize, channel, last| ChannelRow {
            device: ids[at],
            channel,
            last,
            head: Hash([7; 32]),
            recent: vec![1, 2],
            address: "10.0.0.1".to_owned(),
        };
        let rows = [row(0, Channel::Status, 5), row(0, Channel::Inventory, 1), row(1, Channel::Status, 2)];
        transaction!(store, "t", |tx| { channel::put(tx, &rows).await }).unwrap();
        transaction!(store, "t", |tx| { channel::put(tx, &[row(0, Channel::Status, 6)]).await }).unwrap();
        let standings = transaction!(store, "t", |tx| { channel::lock(tx, &ids).await }).unwrap();
        let stands = &standings[&ids[0]].channels[&Channel::Status];
        assert_eq!(
            (stands.last, stands.head, &stands.recent[..], &stands.address[..]),
            (6, Hash([7; 32]), &[1, 2][..], "10.0.0.1")
        );
        assert_eq!(standings[&ids[0]].channels[&Channel::Inventory].last, 1);
        assert!(standings[&ids[2]].channels.is_empty() && standings[&ids[2]].active);
    }
}

#[tokio::test]
async fn messages_are_found_by_device_and_severity_in_order() {
    for test in stores().await {
        let store = &test.store;
        let ids = devices(store, 2).await;
        let rows: Vec<MessageRow> = (0..300)
            .map(|number: i64| MessageRow {
                device: ids[usize::try_from(number % 2).unwrap()],
                happened: UnixMillis(number),
                received: UnixMillis(1_000 + number),
                message: StatusMessage {
                    component: Component::Agent,
                    id: MessageId::AgentStarted,
                    severity: if number % 10 == 0 { Severity::Error } else { Severity::Information },
                    values: [("version".to_owned(), format!("\"{number}\" Ü"))].into(),
                },
                expires: None,
            })
            .collect();
        let line = |text: &str| TimelineRow {
            device: ids[0],
            happened: UnixMillis(5_000),
            kind: "enrolment",
            severity: Severity::Information,
            text: text.to_owned(),
        };
        let done: Result<(), StoreError> = transaction!(store, "t", |tx| {
            message::insert(tx, &rows).await?;
            report_hour::add(tx, Hour { hour: UnixMillis(1), reports: 1, messages: 300, quarantined: 0 }).await?;
            timeline::insert(tx, &[line("first"), line("second")]).await
        });
        done.unwrap();
        let mut reader = store.reader().await.unwrap();
        let list = async |reader: &mut _, device, severity, offset| {
            message::list(reader, &MessageQuery { device, severity, offset, limit: 7, ..MessageQuery::default() })
                .await
                .unwrap()
        };
        let (page, total) = list(&mut reader, None, None, 1).await;
        assert_eq!((page.len(), total, page[0].happened), (7, 300, UnixMillis(298)));
        assert_eq!(page[0].values["version"], "\"298\" Ü");
        let (page, total) = list(&mut reader, Some(ids[0]), Some(Severity::Error), 0).await;
        assert_eq!((page.len(), total, page[0].happened), (7, 30, UnixMillis(290)));
        let (_, total) = list(&mut reader, None, Some(Severity::Warning), 0).await;
        assert_eq!(total, 30);
        let (lines, total) = timeline::list(&mut reader, ids[0], PageQuery { offset: 0, limit: 3 }).await.unwrap();
        assert_eq!(total, 152);
        assert_eq!(lines[0].text, Text::Plain("second".to_owned()));
        assert_eq!(lines[1].text, Text::Plain("first".to_owned()));
        assert!(matches!(&lines[2].text, Text::Message(Some(MessageId::AgentStarted), values) if values.len() == 1));
    }
}

#[tokio::test]
async fn quarantine_keeps_the_latest_of_each_device() {
    for test in stores().await {
        let store = &test.store;
        let ids = devices(store, 2).await;
        let row = |at: usize, sequence: u64| QuarantineRow {
            device: ids[at],
            received: UnixMillis(1),
            channel: Channel::Status,
            sequence,
            class: None,
            reason: "why".to_owned(),
            excerpt: sequence.to_string(),
        };
        let one: Vec<_> = (0..9).map(|number| row(0, number)).collect();
        transaction!(store, "t", |tx| { quarantine::insert(tx, &one, 4).await }).unwrap();
        transaction!(store, "t", |tx| { quarantine::insert(tx, &[row(1, 100), row(0, 9)], 4).await }).unwrap();
        let page = PageQuery { offset: 0, limit: 10 };
        let (items, total) = quarantine::list(&mut store.reader().await.unwrap(), page).await.unwrap();
        let excerpts: Vec<&str> = items.iter().map(|item| item.excerpt.as_str()).collect();
        assert_eq!((excerpts.as_slice(), total), (&["9", "100", "8", "7", "6"][..], 5));
    }
}

#[tokio::test]
async fn counts_add_up_by_hour_and_by_system() {
    for test in stores().await {
        let store = &test.store;
        devices(store, 10).await;
        for (at, reports) in [(HOUR, 1), (HOUR + 5, 2), (3 * HOUR - 1, 4)] {
            let hour = Hour { hour: UnixMillis(at), reports, messages: 10, quarantined: 1 };
            transaction!(store, "t", |tx| { report_hour::add(tx, hour).await }).unwrap();
        }
        let mut reader = store.reader().await.unwrap();
        let hours = report_hour::since(&mut reader, UnixMillis(HOUR)).await.unwrap();
        let counts: Vec<_> = hours.iter().map(|hour| (hour.hour.0 / HOUR, hour.reports, hour.messages)).collect();
        assert_eq!(counts, [(1, 3, 20), (2, 4, 10)]);
        assert_eq!(dashboard::counts(&mut reader).await.unwrap().devices["active"], 10);
        let systems = dashboard::operating_systems(&mut reader, 2).await.unwrap();
        let labels: Vec<_> = systems.iter().map(|count| (count.label.as_str(), count.count)).collect();
        assert_eq!(labels, [("System 1", 4), ("System 0", 3)]);
        assert!(dashboard::seen(&mut reader, UnixMillis(1)).await.unwrap().is_empty());
    }
}
