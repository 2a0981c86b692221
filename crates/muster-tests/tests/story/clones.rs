//! The state of a client is copied to a second machine: the site sees it, both are out, and a prepared image makes no clone.

use crate::harness::Site;
use std::{fs, path::Path};

/// Copies a directory as an image does, with modes.
fn copy(from: &Path, to: &Path) {
    fs::create_dir(to).unwrap();
    fs::set_permissions(to, fs::metadata(from).unwrap().permissions()).unwrap();
    for entry in fs::read_dir(from).unwrap().map(Result::unwrap) {
        let target = to.join(entry.file_name());
        if entry.file_type().unwrap().is_dir() {
            copy(&entry.path(), &target);
        } else {
            fs::copy(entry.path(), target).unwrap();
        }
    }
}

#[tokio::test]
async fn a_copied_client_is_quarantined_and_a_prepared_image_makes_none() {
    // proves S8: the copy of a client's whole state is seen by its fork, both machines are out, and nothing is left in an image.
    let site = Site::start().await;
    let (device, mut agent) = site.managed("agent").await;
    site.until("the first inventory", async |client| {
        let detail = client.device_show(device.parse().unwrap()).await?.value;
        Ok((!detail.classes.is_empty()).then_some(()))
    })
    .await;
    agent.kill().await.unwrap();
    copy(&site.path("agent"), &site.path("copy"));

    // The machine goes on, and then its copy comes with the same key and the history up to the image.
    let mut agent = site.agent_run("agent");
    let starts = async |client: &muster_cli::Client| {
        let query = muster_model::api::MessageQuery { limit: 500, ..muster_model::api::MessageQuery::default() };
        let items = client.message_list(&query).await?.items;
        Ok::<_, muster_cli::CliError>(items.iter().filter(|m| m.id == "agent_started").count())
    };
    site.until("the second start", async |client| Ok((starts(client).await? == 2).then_some(()))).await;
    let mut copied = site.agent_run("copy");
    site.until("the quarantine", async |client| {
        let seen = client.device_show(device.parse().unwrap()).await?.value.device;
        Ok((seen.state.as_str() == "quarantined" && !seen.online).then_some(()))
    })
    .await;
    let conflicts = site.muster(&["conflict", "list", "--json"]).await.json();
    assert_eq!((&conflicts["total"], &conflicts["items"][0]["kind"]), (&1.into(), &"sequence_fork".into()));
    assert_eq!(conflicts["items"][0]["second"]["address"], "127.0.0.1");
    let id = conflicts["items"][0]["id"].as_str().unwrap();
    let decide = ["conflict", "decide", id, "--as", "two_machines", "--reason", "cloned", "--json"];
    assert_eq!(site.muster(&decide).await.code, Some(5), "nobody was there to agree");
    let decided = site.muster(&[&decide[..], &["--yes"]].concat()).await.json();
    assert_eq!(decided["device_state"], "retired");
    agent.kill().await.unwrap();
    copied.kill().await.unwrap();

    // The second machine is made ready for an image, and comes back from it as a device of its own.
    let unasked = site.agent("copy", &["prepare-image"]).await;
    assert!(unasked.code != Some(0) && unasked.err.contains("--yes"), "{unasked:?}");
    let prepared = site.agent("copy", &["prepare-image", "--yes", "--json"]).await.json();
    assert_eq!(prepared["left"], serde_json::json!([]));
    assert!(fs::read_dir(site.path("copy")).unwrap().next().is_none(), "nothing is left");
    copy(&site.path("copy"), &site.path("image"));
    let started = site.agent("image", &["run"]).await;
    assert_ne!(started.code, Some(0), "without a pin it does not start: {started:?}");
    let (second, mut agent) = site.managed("image").await;
    assert_ne!(second, device);
    agent.kill().await.unwrap();
}
