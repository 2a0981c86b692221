//! PostgreSQL fails while devices report. What was acknowledged is there, once; what was refused has a code and left nothing; and the
//! same site goes on afterwards, without a start.

use crate::client::{Outbox, status};
use muster_model::{
    api::MessageQuery,
    problem::Code,
    report::{Body, Channel},
    status::{MessageId, Severity},
};
use muster_site::{SiteError, message_list, testing::TestSite};
use muster_store::{
    StoreError,
    testing::{at, command, server::Server},
};
use std::time::{Duration, Instant};

/// Ends every connection to the database but its own.
const KILL: &str = "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = current_database() \
     AND pid <> pg_backend_pid()";

fn said(text: &str) -> Body {
    status(MessageId::AgentStarted, Severity::Information, &[("version", text)])
}

async fn messages(test: &TestSite) -> u64 {
    let query = MessageQuery { limit: 1, ..Default::default() };
    message_list(&test.full(), &test.site, &query).await.unwrap().total
}

/// A server, or a word that there is none.
fn server(small: &'static str) -> Option<Server> {
    let server = Server::start(small);
    if server.is_none() {
        let strict = std::env::var("CI").is_ok_and(|ci| ci == "true" || ci == "1");
        assert!(!strict, "a PostgreSQL server of its own could not be started, and CI=true allows no skip");
        eprintln!("SKIPPED: a PostgreSQL server of its own could not be started here");
    }
    server
}

#[tokio::test]
async fn a_connection_that_is_cut_in_the_middle_loses_nothing_and_counts_nothing_twice() {
    let Some(test) = TestSite::all().await.into_iter().nth(1) else { return };
    let device = test.enrol("alpha").await;
    let before = messages(&test).await;
    let url = test.store.url.clone();
    let (stop, mut stopped) = tokio::sync::oneshot::channel::<()>();
    let killer = tokio::spawn(async move {
        while stopped.try_recv().is_err() {
            command(&url, KILL).await.unwrap();
            tokio::time::sleep(Duration::from_millis(7)).await;
        }
    });
    let mut outbox = Outbox::new(Channel::Status);
    let (mut pushed, mut refused, end) = (0, 0, Instant::now() + Duration::from_secs(20));
    while refused < 5 && Instant::now() < end {
        outbox.push(said("0.1.0"));
        pushed += 1;
        if let Err(error) = outbox.send(&test, &device).await {
            assert_eq!(error.code(), Code::Unavailable, "{error}");
            refused += 1;
        }
    }
    assert!(refused > 0, "no connection was cut in the middle of {pushed} reports");
    stop.send(()).unwrap();
    killer.await.unwrap();
    while !outbox.waiting.is_empty() {
        if let Err(error) = outbox.send(&test, &device).await {
            assert_eq!(error.code(), Code::Unavailable, "{error}");
        }
    }
    assert_eq!(messages(&test).await, before + pushed, "of {pushed} messages, {refused} times refused");
}

#[tokio::test]
async fn a_server_that_stops_and_comes_back_is_a_pause() {
    let Some(mut server) = server("") else { return };
    let test = TestSite::on(at(server.url("postgres")).await).await;
    let device = test.enrol("alpha").await;
    let before = messages(&test).await;
    let mut outbox = Outbox::new(Channel::Status);
    outbox.push(said("1"));
    outbox.send(&test, &device).await.unwrap();
    server.stop();
    outbox.push(said("2"));
    let sending = async {
        let mut refusals = 0;
        while let Err(error) = outbox.send(&test, &device).await {
            assert_eq!(error.code(), Code::Unavailable, "{error}");
            refusals += 1;
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
        refusals
    };
    let back = async {
        tokio::time::sleep(Duration::from_millis(400)).await;
        let again = move || {
            assert!(server.again(), "the server starts again");
            server
        };
        tokio::task::spawn_blocking(again).await.unwrap()
    };
    let (refusals, server) = tokio::join!(sending, back);
    assert_eq!(messages(&test).await, before + 2, "after {refusals} refusals");
    test.site.store.close().await;
    drop(server);
}

#[tokio::test]
async fn a_full_disk_refuses_with_a_code_and_the_work_goes_on_when_there_is_space() {
    let Some(server) = server("64m") else { return };
    let root = server.url("postgres");
    command(&root, &format!("CREATE TABLESPACE small LOCATION '{}'", server.small())).await.unwrap();
    command(&root, "CREATE DATABASE site TABLESPACE small").await.unwrap();
    // What somebody else has on that disk, and removes later: a server without a byte left can remove nothing of its own.
    command(&root, "CREATE TABLE other (text TEXT) TABLESPACE small").await.unwrap();
    command(&root, "ALTER TABLE other ALTER COLUMN text SET STORAGE PLAIN").await.unwrap();
    let other = "INSERT INTO other SELECT repeat(md5(random()::text), 250) FROM generate_series(1, 1000)";
    command(&root, other).await.unwrap();
    let url = server.url("site");
    let test = TestSite::on(at(url.clone()).await).await;
    let device = test.enrol("alpha").await;
    let mut outbox = Outbox::new(Channel::Status);
    let before = messages(&test).await;
    command(&url, "CREATE TABLE filler (text TEXT)").await.unwrap();
    for rows in [4_000, 500, 50, 5, 1] {
        let more =
            format!("INSERT INTO filler SELECT repeat(md5(random()::text), 250) FROM generate_series(1, {rows})");
        while command(&url, "ALTER TABLE filler ALTER COLUMN text SET STORAGE PLAIN").await.is_ok()
            && command(&url, &more).await.is_ok()
        {}
    }
    let (mut pushed, mut refusal) = (0, None);
    while refusal.is_none() && pushed < 5_000 {
        for _ in 0..100 {
            outbox.push(said("0.1.0"));
            pushed += 1;
        }
        refusal = outbox.send(&test, &device).await.err();
    }
    let refusal = refusal.unwrap();
    assert!(matches!(refusal, SiteError::Store(StoreError::DiskFull)), "{refusal}");
    assert_eq!(refusal.code(), Code::Unavailable);
    command(&root, "DROP TABLE other").await.unwrap();
    let stored = messages(&test).await - before;
    assert_eq!(stored, outbox.acknowledged, "what was refused left nothing");
    outbox.send(&test, &device).await.unwrap();
    assert_eq!(messages(&test).await - before, pushed);
    test.site.store.close().await;
    drop(server);
}
