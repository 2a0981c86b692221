//! A maintenance window, from the administrator to the device and back: closed it keeps a deployment waiting, open it lets it run.

use crate::{harness::Site, loop_closes::added};
use muster_agent::clock::Clock;
use muster_model::{
    api::PageQuery,
    status::{DeploymentState, WaitReason},
    time::{HOUR, MINUTE, UnixMillis},
    window::WallTime,
};

/// What a deployment waits for on its device, and until when.
async fn waits(site: &Site, deployment: &str, wanted: WaitReason) -> Option<UnixMillis> {
    site.until("a deployment that waits", async |client| {
        let waiting = Some(DeploymentState::Waiting);
        let page = client.deployment_devices(deployment.parse().unwrap(), waiting, &PageQuery::default()).await?;
        Ok(page.items.first().filter(|row| row.waits == Some(wanted)).map(|row| row.starts))
    })
    .await
}

async fn deployed(site: &Site, hash: &str, device: &str) -> String {
    let create = ["deployment", "create", hash, "--device", device, "--yes", "--json"];
    site.muster(&create).await.json()["id"].as_str().unwrap().to_owned()
}

#[tokio::test]
async fn a_window_keeps_a_deployment_waiting_until_it_opens() {
    let site = Site::start().await;
    let (device, mut agent) = site.managed("agent").await;
    let make = ["collection", "create", "--name", "Tills", "--device", &device, "--json"];
    let collection = site.muster(&make).await.json()["collection"]["id"].as_str().unwrap().to_owned();
    let now = Clock::System.now();
    let opens = WallTime::of_utc(now.plus(HOUR + HOUR / 2));
    let start = opens.to_string();
    let window = ["--name", "Night", "--start", &start, "--minutes", "60", "--daily", "--utc"];
    let add = [&["collection", "window", "add", &collection][..], &window, &["--json"]].concat();
    let added_window = site.muster(&add).await.json();
    assert_eq!(added_window["next"], start.as_str(), "{added_window}");
    site.until("the window to reach the device", async |_| {
        let shown = site.agent("agent", &["policy", "show"]).await;
        Ok(shown.out.contains("\"Night\"").then_some(()))
    })
    .await;

    let good = deployed(&site, &added(&site, "good", "/usr/bin/install").await, &device).await;
    assert_eq!(waits(&site, &good, WaitReason::Window).await, Some(opens.as_utc()));
    assert!(!site.path("good/installed/hello.txt").exists());
    let shown = site.muster(&["deployment", "show", &good]).await;
    assert!(shown.out.contains("window, starts"), "{shown:?}");

    // Half a minute, and five for a restart, do not fit into five.
    let short = ["--name", "Night", "--start", &start, "--minutes", "5", "--daily", "--utc", "--json"];
    let update = [&["collection", "window", "update", &collection, "Night"][..], &short].concat();
    site.muster(&update).await.json();
    assert_eq!(waits(&site, &good, WaitReason::NeverFits).await, None);
    let update = [&["collection", "window", "update", &collection, "Night"][..], &window, &["--json"]].concat();
    site.muster(&update).await.json();
    waits(&site, &good, WaitReason::Window).await;

    // The window comes to the device: it opens a minute ago.
    let start = WallTime::of_utc(now.plus(-MINUTE)).to_string();
    let open = ["--name", "Night", "--start", &start, "--minutes", "60", "--daily", "--utc", "--json"];
    let update = [&["collection", "window", "update", &collection, "Night"][..], &open].concat();
    site.muster(&update).await.json();
    let watched = site.muster(&["deployment", "watch", &good, "--timeout", "60s"]).await;
    assert_eq!(watched.code, Some(0), "{watched:?} {}", site.log("agent"));
    assert!(site.path("good/installed/hello.txt").exists());
    agent.kill().await.unwrap();
}
