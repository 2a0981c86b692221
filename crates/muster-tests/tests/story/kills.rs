//! Both programs are killed with SIGKILL, again and again, at different moments: nothing is lost, and nothing is there twice.

use crate::harness::{self, Site};
use muster_model::api::MessageQuery;
use std::time::Duration;

/// How many starts of its agent the site knows of.
async fn starts(site: &Site, device: &str, wanted: usize) -> usize {
    site.until("the agent's start to be known", async |client| {
        let query = MessageQuery { device: Some(device.parse().unwrap()), limit: 500, ..MessageQuery::default() };
        let messages = client.message_list(&query).await?.items;
        let found = messages.iter().filter(|message| message.id == "agent_started").count();
        Ok((found >= wanted).then_some(found))
    })
    .await
}

#[tokio::test]
async fn kills_of_both_sides_lose_nothing_and_repeat_nothing() {
    let mut site = Site::start().await;
    let (device, mut agent) = site.managed("agent").await;
    assert_eq!(starts(&site, &device, 1).await, 1);
    for round in 2..6 {
        agent.kill().await.unwrap();
        site.kill_server().await;
        // The agent starts while the site is away: what it says stays on its disk.
        agent = site.agent_run("agent");
        site.serve().await;
        // The server is killed again at a moment that differs, in the middle of whatever it is doing for the agent.
        let (held, moment) = tokio::sync::oneshot::channel::<()>();
        let _ = tokio::time::timeout(Duration::from_millis(150 * round), moment).await;
        drop(held);
        site.kill_server().await;
        site.serve().await;
        let round = usize::try_from(round).unwrap();
        assert_eq!(starts(&site, &device, round).await, round, "each start of the agent is told once");
    }
    let verdict = site.muster(&["audit", "verify", "--json"]).await.json();
    assert!(verdict["broken_at"].is_null(), "{verdict}");
    let quarantine = site.muster(&["quarantine", "list", "--json"]).await.json();
    assert_eq!(quarantine["total"], 0, "{quarantine}");
    site.kill_server().await;
    let dir = site.path("site").display().to_string();
    let doctor = harness::run("musterd", &["doctor", "--dir", &dir]).await;
    assert_eq!(doctor.code, Some(0), "{doctor:?}");
    agent.kill().await.unwrap();
}
