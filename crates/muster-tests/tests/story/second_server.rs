//! Two servers of one site on one database: what is decided at one of them holds at the other.

use crate::harness::Site;
use muster_cli::profile::ProfileDir;
use muster_model::time::UnixMillis;
use std::{
    fs,
    time::{Duration, Instant},
};

#[tokio::test]
async fn a_block_at_one_server_closes_what_is_open_at_the_other() {
    // proves S4 I5: every management point of a site, and not only the one that was asked.
    let Some(site) = Site::start_on_postgresql().await else { return };
    let (device, mut agent) = site.managed("agent").await;
    agent.kill().await.unwrap();
    let (mut second, address) = site.second_server().await;
    let identity = site.path("agent/identity.json");
    let mut kept: serde_json::Value = serde_json::from_slice(&fs::read(&identity).unwrap()).unwrap();
    kept["stage"]["management_points"] = serde_json::json!([address]);
    fs::write(&identity, kept.to_string()).unwrap();
    let mut agent = site.agent_run("agent");
    let said = async |what: &str| {
        let began = Instant::now();
        while !site.log("agent").contains(what) {
            assert!(began.elapsed() < Duration::from_secs(60), "{what}: {}", site.log("agent"));
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    };
    let began = Instant::now();
    while site.muster_as("second/admin", &["device", "show", &device, "--json"]).await.json()["device"]["online"]
        != true
    {
        assert!(began.elapsed() < Duration::from_secs(60), "never online: {}", site.log("agent"));
    }
    let first = site.muster(&["device", "show", &device, "--json"]).await.json();
    assert_eq!(first["device"]["online"], false, "its live channel is with the second server");
    let profile = ProfileDir::read(&site.path("second/admin"), None).unwrap();
    let client = profile.client(UnixMillis(i64::MIN)).await.unwrap();
    let blocked = site.muster(&["device", "block", &device, "--reason", "stolen", "--yes", "--json"]).await;
    assert_eq!(blocked.code, Some(0), "{blocked:?}");
    let began = Instant::now();
    while client.device_show(device.parse().unwrap()).await.unwrap().value.device.online {
        assert!(began.elapsed() < Duration::from_secs(60), "it is still connected: {}", site.log("second"));
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    eprintln!("the second server closed the connection at most {} ms after the answer", began.elapsed().as_millis());
    said("blocked or retired").await;
    agent.kill().await.unwrap();
    second.kill().await.unwrap();
}
