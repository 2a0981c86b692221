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
    settings_follow_the_members(&site, &collection, &device).await;
    agent.kill().await.unwrap();
}

/// Who is in a collection has its settings, and who leaves it has those of all others again.
async fn settings_follow_the_members(site: &Site, collection: &str, device: &str) {
    let polls = async |length: &str| {
        let wanted = format!("\"policy_poll\": {length},");
        site.until("other settings", async |_| {
            let shown = site.agent("agent", &["policy", "show"]).await;
            Ok(shown.out.contains(&wanted).then_some(()))
        })
        .await;
    };
    let set = ["--collection", collection, "--set", "policy_poll=7m", "--set", "updates_in_general_windows=yes"];
    let asked = [&["settings", "create", "Tills"][..], &set, &["--preview", "--json"]].concat();
    let asked = site.muster(&asked).await.json();
    assert_eq!((&asked["changed"], &asked["changes"][0]["to"]), (&1.into(), &"7 minutes".into()), "{asked}");
    let create = [&["settings", "create", "Tills"][..], &set, &["--yes", "--json"]].concat();
    assert_eq!(site.muster(&create).await.json()["priority"], 1);
    polls("420000").await;
    let resultant = site.muster(&["device", "settings", device, "--json"]).await.json();
    let poll = resultant.as_array().unwrap().iter().find(|setting| setting["name"] == "policy_poll").unwrap();
    assert_eq!((&poll["source"], &poll["shown"]), (&"Tills".into(), &"7 minutes".into()));
    let detail = site.muster(&["collection", "show", collection, "--json"]).await.json();
    let rule = detail["rules"][0]["id"].to_string();
    site.muster(&["collection", "rule", "remove", collection, &rule, "--json"]).await.json();
    polls("3600000").await;
}
