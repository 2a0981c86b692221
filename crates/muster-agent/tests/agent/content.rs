//! Content in chunks: a new version moves only what changed, goes on where it broke off, and comes before its time.

use crate::{
    actor::{
        CHUNK, Site, application,
        machine::{Machine, script},
        now,
    },
    window::{app, assign, policy},
};
use muster_model::{
    application::{Application, ContentFile},
    report::Body,
    settings::ClientSettings,
    status::{DeploymentState as State, MessageId},
    time::SECOND,
};
use std::{collections::BTreeMap, sync::Arc};

/// Bytes that do not compress and do not repeat.
pub(crate) fn noise(seed: u64, chunks: usize) -> Vec<u8> {
    let mut state = seed.wrapping_mul(2).wrapping_add(1);
    let mut next = || {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        state.to_be_bytes()[0]
    };
    (0..chunks * CHUNK).map(|_| next()).collect()
}

/// An application with a small installer and a large file, detected by a file of that name.
pub(crate) fn with_data(site: &Site, machine: &Machine, installed: &str, data: ContentFile) -> Application {
    let installer = site.content("setup.sh", &script("test -s data.bin && touch \"$1\""));
    let mut application = application(installer, &machine.place(installed), 60);
    application.content.push(data);
    application
}

pub(crate) async fn enrolled() -> (Arc<Site>, Machine) {
    let (site, machine) = (Site::start().await, Machine::new());
    machine.enrol(&site).await;
    (site, machine)
}

/// Values of the status messages with that id, in order.
pub(crate) fn said(site: &Site, id: MessageId) -> Vec<BTreeMap<String, String>> {
    let state = site.state();
    let of = |body: &Body| match body {
        Body::Status(status) if status.id == id => Some(status.values.clone()),
        _ => None,
    };
    state.messages.iter().filter_map(|(_, _, message)| of(&message.body)).collect()
}

pub(crate) async fn succeeds(site: &Site, application: &Application) {
    let steps = site.wait_end(site.deploy(&[&site.keys.author], application, now())).await;
    assert_eq!(steps.last().unwrap().state, State::Succeeded, "{steps:?} {:?}", site.said());
}

async fn said_of(site: &Site, file: &ContentFile) -> [u64; 3] {
    let hash = file.hash.to_string();
    let values = site
        .wait("what was moved", |state| {
            state.messages.iter().find_map(|(_, _, message)| match &message.body {
                Body::Status(s) if s.id == MessageId::ContentFetched && s.values["hash"] == hash => {
                    Some(s.values.clone())
                }
                _ => None,
            })
        })
        .await;
    ["size", "moved", "reused"].map(|name| values[name].parse().unwrap())
}

#[tokio::test]
async fn a_new_version_moves_only_what_changed() {
    let (site, machine) = enrolled().await;
    let running = machine.run();
    let old = noise(1, 60);
    // Zeros, which compress, and come several times.
    let mut new = [&old[..], &vec![0; 6 * CHUNK]].concat();
    new[10 * CHUNK + 5] ^= 1;
    new[40 * CHUNK] ^= 1;
    let first = site.chunked("data.bin", &old);
    succeeds(&site, &with_data(&site, &machine, "one", first.clone())).await;
    assert_eq!(site.state().asked, [vec![(0, old.len() as u64)]], "all of it at once");
    let [size, moved, reused] = said_of(&site, &first).await;
    assert!(size == old.len() as u64 && moved > size && reused == 0);

    let second = site.chunked("data.bin", &new);
    succeeds(&site, &with_data(&site, &machine, "two", second.clone())).await;
    let (asked, chunk) = (site.state().asked.clone(), CHUNK as u64);
    assert_eq!(asked.len(), 2, "one request: {asked:?}");
    assert_eq!(asked[1][..2], [(10 * chunk, chunk), (40 * chunk, chunk)]);
    assert!(asked[1].len() == 3 && asked[1][2].1 < 100, "one chunk of zeros, compressed: {asked:?}");
    let [size, moved, reused] = said_of(&site, &second).await;
    assert_eq!((size, reused), (new.len() as u64, 63 * chunk));
    assert!(moved < 3 * chunk, "{moved}");
    assert_eq!(site.state().ranges.len(), 1, "only the installer came whole");
    // The cached files have their bytes.
    let cache = machine.state().join("content");
    assert!(std::fs::read(cache.join(second.hash.to_string())).unwrap() == new);
    running.stop().await;
}

#[tokio::test]
async fn what_was_verified_is_not_fetched_again_and_what_was_not_is() {
    let (site, machine) = enrolled().await;
    let data = noise(2, 40);
    let file = site.chunked("data.bin", &data);
    let application = with_data(&site, &machine, "installed", file.clone());
    site.state().mischief.cut_chunks = Some(10 * CHUNK + 100);
    let running = machine.run();
    let deployment = site.deploy(&[&site.keys.author], &application, now());
    site.wait("a cut answer", |state| (!state.asked.is_empty()).then_some(())).await;
    site.wait_part(&machine, &file, 10 * CHUNK).await;
    running.stop().await;
    // Somebody alters what is there, beyond the sixth chunk.
    let part = machine.state().join("content").join(format!("{}.part", file.hash));
    let mut bytes = std::fs::read(&part).unwrap();
    bytes[6 * CHUNK + 17] ^= 1;
    std::fs::write(&part, &bytes).unwrap();
    let asked = site.state().asked.len();
    let running = machine.run();
    let steps = site.wait_end(deployment).await;
    assert_eq!(steps.last().unwrap().state, State::Succeeded);
    running.stop().await;
    let chunk = CHUNK as u64;
    assert_eq!(site.state().asked[asked..], [vec![(6 * chunk, 34 * chunk)]]);
}

#[tokio::test]
async fn content_comes_before_its_time() {
    let (site, mut machine) = (Site::start().await, Machine::new());
    // It stands still: the time of the deployment does not come by itself.
    machine.clock = muster_agent::clock::Clock::at(now());
    machine.enrol(&site).await;
    let running = machine.run();
    let file = site.chunked("data.bin", &noise(3, 20));
    let application = with_data(&site, &machine, "installed", file.clone());
    let deadline = now().plus(2 * SECOND);
    let deployment = site.deploy(&[&site.keys.author], &application, deadline);
    said_of(&site, &file).await;
    assert!(!machine.place("installed").exists());
    assert_eq!(Site::steps(&site.state(), deployment).last().map(|step| step.state), Some(State::Waiting));
    let asked = site.state().asked.len();
    machine.clock.set(deadline.plus(SECOND));
    let steps: Vec<State> = site.wait_end(deployment).await.iter().map(|step| step.state).collect();
    assert_eq!(steps, [State::Waiting, State::Installing, State::Succeeded], "nothing is left to be fetched");
    assert_eq!(site.state().asked.len(), asked);
    running.stop().await;
}

#[tokio::test]
async fn what_is_slow_keeps_nothing_else_waiting_and_goes_on_by_another_policy() {
    let (site, machine) = enrolled().await;
    let file = site.chunked("data.bin", &noise(4, 400));
    let (slow, quick) = (with_data(&site, &machine, "slow", file), app(&site, &machine, "quick", 60));
    // Half a minute for the large file.
    let rate = ClientSettings { content_rate: Some(256 << 10), ..ClientSettings::default() };
    assign(&site, &[], &[(policy(1), &slow)], &rate);
    let running = machine.run();
    site.wait("a download", |state| (!state.asked.is_empty()).then_some(())).await;
    assign(&site, &[], &[(policy(1), &slow), (policy(2), &quick)], &rate);
    let steps = site.wait_end(policy(2).deployment).await;
    assert_eq!(steps.last().unwrap().state, State::Succeeded);
    assert!(!machine.place("slow").exists());
    assign(&site, &[], &[(policy(1), &slow), (policy(2), &quick)], &ClientSettings::default());
    let steps = site.wait_end(policy(1).deployment).await;
    assert_eq!(steps.last().unwrap().state, State::Succeeded);
    running.stop().await;
}

impl Site {
    /// Waits until so much of a file is on the disk of a client.
    async fn wait_part(&self, machine: &Machine, file: &ContentFile, bytes: usize) {
        let part = machine.state().join("content").join(format!("{}.part", file.hash));
        for _ in 0..1_000 {
            if std::fs::metadata(&part).is_ok_and(|data| data.len() == bytes as u64) {
                return;
            }
            tokio::time::sleep(std::time::Duration::from_millis(5)).await;
        }
        panic!("a part of {bytes} bytes did not come");
    }
}
