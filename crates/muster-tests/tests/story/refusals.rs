//! A client that must not get in, does not: each refusal with its own reason.

use crate::harness::{Ran, Site};
use muster_model::enrol::EnrolmentToken;
use std::path::Path;

async fn enrol(site: &Site, name: &str, token: &Path) -> Ran {
    site.agent(name, &["enrol", "--token", &token.display().to_string()]).await
}

/// Another token of the same look.
fn altered(token: &Path, change: impl Fn(&mut EnrolmentToken)) {
    let mut value: EnrolmentToken = std::fs::read_to_string(token).unwrap().parse().unwrap();
    change(&mut value);
    std::fs::write(token, value.to_text()).unwrap();
}

async fn requests(site: &Site) -> u64 {
    site.muster(&["enrolment", "list", "--json"]).await.json()["total"].as_u64().unwrap()
}

#[tokio::test]
async fn a_token_opens_the_door_once_and_only_as_it_was_made() {
    let site = Site::start().await;
    let used = site.token("used").await;
    assert_eq!(enrol(&site, "first", &used).await.code, Some(0));
    let second = enrol(&site, "second", &used).await;
    assert!(second.code == Some(1) && second.err.contains("token_used"), "{second:?}");

    let unknown = site.token("unknown").await;
    altered(&unknown, |token| token.secret = "A".repeat(43));
    let refused = enrol(&site, "third", &unknown).await;
    assert!(refused.code == Some(1) && refused.err.contains("token_unknown"), "{refused:?}");

    let revoked = site.token("revoked").await;
    let list = site.muster(&["token", "list", "--json"]).await.json();
    let id = list["items"].as_array().unwrap().iter().find(|t| t["name"] == "revoked").unwrap()["id"].clone();
    site.muster(&["token", "revoke", id.as_str().unwrap(), "--yes", "--json"]).await.json();
    let refused = enrol(&site, "fourth", &revoked).await;
    assert!(refused.code == Some(1) && refused.err.contains("token_revoked"), "{refused:?}");

    // proves S9 I7
    let other_root = site.token("root").await;
    altered(&other_root, |token| token.root.0[0] ^= 1);
    let refused = enrol(&site, "fifth", &other_root).await;
    assert_eq!(refused.code, Some(1), "the server is not the pinned one: {refused:?}");
    assert_eq!(requests(&site).await, 1, "only the first one asked");
}

#[tokio::test]
async fn a_refused_request_stays_refused() {
    let site = Site::start().await;
    let token = site.token("one").await;
    assert_eq!(enrol(&site, "agent", &token).await.code, Some(0));
    let pending = site.muster(&["enrolment", "list", "--state", "pending", "--json"]).await.json();
    let id = pending["items"][0]["id"].as_str().unwrap().to_owned();
    let refuse = ["enrolment", "refuse", &id, "--reason", "not ours", "--yes", "--json"];
    assert_eq!(site.muster(&refuse).await.json()["state"], "refused");
    let mut agent = site.agent_run("agent");
    let status = agent.wait().await.unwrap();
    assert!(!status.success() && site.log("agent").contains("refused"), "{}", site.log("agent"));
    let approve = site.muster(&["enrolment", "approve", &id, "--yes"]).await;
    assert_eq!(approve.code, Some(2), "it is not pending any more: {approve:?}");
}

// proves S9
#[tokio::test]
async fn an_agent_without_a_pin_does_not_start() {
    let site = Site::start().await;
    let ran = site.agent("never-enrolled", &["run"]).await;
    assert!(ran.code == Some(1) && ran.err.contains("muster token create"), "{ran:?}");
}
