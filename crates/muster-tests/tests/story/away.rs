//! A site that is away for a whole day, in which its client lives on, loses its power twice, and has something to install.

use crate::{harness::Site, loop_closes::added};
use muster_model::{
    api::{Message, MessageQuery, PageQuery},
    status::DeploymentState,
    time::{HOUR, MINUTE},
};
use std::time::Duration;

/// How much faster the client's day goes: eight hours in four seconds.
const PACE: u32 = 7_200;
const SHIFT: Duration = Duration::from_secs(4);

/// What the client said of its starts and of its deployment, oldest first.
async fn told(site: &Site, device: &str) -> Vec<Message> {
    let query = MessageQuery { device: Some(device.parse().unwrap()), limit: 500, ..MessageQuery::default() };
    let mut messages = site.client().await.message_list(&query).await.unwrap().items;
    messages.sort_by_key(|message| message.time);
    messages
}

#[tokio::test]
async fn a_day_without_the_site_costs_nothing_but_time() {
    let Some(mut site) = Site::start_with_clock().await else { return };
    let (device, mut agent) = site.managed("agent").await;
    let hash = added(&site, "late", "/usr/bin/install").await;
    let create = ["deployment", "create", &hash, "--device", &device, "--deadline", "+12h", "--yes", "--json"];
    let deployment = site.muster(&create).await.json()["id"].as_str().unwrap().to_owned();
    site.until("the client to know of the deployment", async |client| {
        let waiting = Some(DeploymentState::Waiting);
        let seen = client.deployment_devices(deployment.parse().unwrap(), waiting, &PageQuery::default()).await?;
        Ok((seen.total == 1).then_some(()))
    })
    .await;
    let before = told(&site, &device).await;

    // Both are gone at once, and only the client comes back: three times, the last two after a loss of power.
    site.kill_server().await;
    for shift in 0..3 {
        agent.kill().await.unwrap();
        site.clock().set(8 * shift, PACE);
        agent = site.agent_run("agent");
        tokio::time::sleep(SHIFT).await;
        assert!(agent.try_wait().unwrap().is_none(), "the client ended: {}", site.log("agent"));
    }
    let alone = site.log("agent");
    assert!(alone.contains("they are kept") && alone.contains("content is not there yet"), "{alone}");
    agent.kill().await.unwrap();

    site.clock().set(24, 1);
    site.serve().await;
    agent = site.agent_run("agent");
    let watched = site.muster(&["deployment", "watch", &deployment, "--timeout", "60s"]).await;
    assert_eq!(watched.code, Some(0), "{watched:?} {}", site.log("agent"));
    assert!(site.path("late/installed/hello.txt").exists());
    site.until("everything to be told", async |client| {
        let query = MessageQuery { device: Some(device.parse().unwrap()), limit: 500, ..MessageQuery::default() };
        let starts = client.message_list(&query).await?.items.iter().filter(|m| m.id == "agent_started").count();
        Ok((starts >= 5).then_some(()))
    })
    .await;

    let after = told(&site, &device).await;
    assert!(before.iter().all(|message| after.contains(message)), "what was told stays");
    let starts: Vec<_> = after.iter().filter(|m| m.id == "agent_started").map(|m| m.time).collect();
    assert_eq!(starts.len(), 5, "each start is told once: {after:?}");
    for (index, start) in starts.iter().skip(1).enumerate() {
        let hours = 8 * i64::try_from(index).unwrap();
        let away = start.since(starts[0]) - hours * HOUR;
        assert!((0..20 * MINUTE).contains(&away), "start {index} is dated when it was: {starts:?}");
    }
    let verdict = site.muster(&["audit", "verify", "--json"]).await.json();
    assert!(verdict["broken_at"].is_null(), "{verdict}");
    let quarantine = site.muster(&["quarantine", "list", "--json"]).await.json();
    assert_eq!(quarantine["total"], 0, "{quarantine}");
    agent.kill().await.unwrap();
}
