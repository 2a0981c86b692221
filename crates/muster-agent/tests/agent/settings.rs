//! Client settings reach behaviour at once, and none makes a client leave its own bounds.

use crate::{
    actor::{Site, machine::Machine},
    policy::client,
    window::{app, assign, enrolled, policy, waiting, window},
};
use muster_model::{
    policy::{BodyKind, DeploymentPolicy, Recipient},
    report::Body,
    settings::{ClientSettings, ScriptPolicy, drawn},
    status::{DeploymentState as State, WaitReason},
    time::{DAY, HOUR, MINUTE},
    window::{MaintenanceWindow, WallTime, WindowKind},
};

/// Assigns these settings, and nothing else.
fn with(site: &Site, settings: &ClientSettings) {
    site.assign(vec![site.body(BodyKind::Settings, settings.to_body())]);
}

#[tokio::test]
async fn a_client_keeps_its_bounds_and_passes_over_what_it_does_not_know() {
    let mut client = client().await;
    let site = client.site.clone();
    let bodies = [
        (r#"{"tomorrow": {"x": 1}, "policy_poll": 1}"#, MINUTE, ScriptPolicy::AllSigned, 90),
        (
            r#"{"policy_poll": 999999999999, "script_policy": "restricted", "restart": {"notice_minutes": 99999999}}"#,
            DAY,
            ScriptPolicy::Restricted,
            20_160,
        ),
    ];
    for (text, poll, scripts, notice) in bodies {
        site.assign(vec![site.body(BodyKind::Settings, text.as_bytes().to_vec())]);
        client.follower.refresh().await.unwrap();
        let settings = client.follower.publish.borrow().clone().unwrap().settings().clone();
        let found = (settings.policy_poll, settings.script_policy, settings.restart.notice_minutes);
        assert_eq!(found, (poll, scripts, notice), "{text}");
    }
}

#[tokio::test]
async fn updates_go_into_general_windows_where_the_settings_say_so() {
    let (site, machine) = enrolled().await;
    let now = WallTime::of_utc(machine.clock.now()).as_utc();
    let updates = MaintenanceWindow { kind: WindowKind::Updates, ..window(now.plus(3 * HOUR), 60) };
    let update = DeploymentPolicy { software_update: true, ..policy(1) };
    let one = app(&site, &machine, "one", 60);
    let windows = [window(now.plus(-10 * MINUTE), 60), updates];
    assign(&site, &windows, &[(update.clone(), &one)], &ClientSettings::default());
    let running = machine.run();
    let steps = waiting(&site, update.deployment, WaitReason::Window).await;
    assert_eq!(steps.last().unwrap().starts, Some(now.plus(3 * HOUR)), "it has windows of its own");
    let settings = ClientSettings { updates_in_general_windows: true, ..ClientSettings::default() };
    assign(&site, &windows, &[(update.clone(), &one)], &settings);
    assert_eq!(site.wait_end(update.deployment).await.last().unwrap().state, State::Succeeded);
    running.stop().await;
}

#[tokio::test]
async fn a_device_begins_later_by_what_it_drew() {
    let (site, machine) = enrolled().await;
    let now = machine.clock.now();
    let deployment = DeploymentPolicy { deadline: now, ..policy(1) };
    let one = app(&site, &machine, "one", 60);
    let settings = ClientSettings { deadline_spread: 2 * HOUR, ..ClientSettings::default() };
    assign(&site, &[], &[(deployment.clone(), &one)], &settings);
    let Recipient::Device(device) = site.next_assignment(Vec::new()).recipient else { panic!("no device") };
    let later = drawn(2 * HOUR, device, deployment.deployment);
    assert!(later > 0);
    let running = machine.run();
    let steps = waiting(&site, deployment.deployment, WaitReason::Deadline).await;
    assert_eq!(steps.last().unwrap().starts, Some(now.plus(later)));
    running.stop().await;
    assert!(!machine.place("one").exists());
    crate::window::set(&site, &machine, now.plus(later));
    let running = machine.run();
    assert_eq!(site.wait_end(deployment.deployment).await.last().unwrap().state, State::Succeeded);
    running.stop().await;
}

fn inventories(site: &Site) -> usize {
    site.state().messages.iter().filter(|(_, _, message)| matches!(message.body, Body::Inventory(_))).count()
}

#[tokio::test]
async fn no_inventory_is_taken_where_it_is_off_and_one_as_soon_as_it_is_on() {
    let (site, machine) = (Site::start().await, Machine::new());
    machine.enrol(&site).await;
    let off = ClientSettings { inventory_enabled: false, ..ClientSettings::default() };
    with(&site, &off);
    let running = machine.run();
    site.wait("the start", |state| {
        let beats = state.messages.iter().filter(|(_, _, message)| matches!(message.body, Body::Heartbeat(_)));
        (beats.count() > 0).then_some(())
    })
    .await;
    tokio::time::sleep(std::time::Duration::from_millis(300)).await;
    assert_eq!(inventories(&site), 0, "not at the start either");
    with(&site, &ClientSettings::default());
    site.wait("an inventory", |state| {
        state.messages.iter().any(|(_, _, message)| matches!(message.body, Body::Inventory(_))).then_some(())
    })
    .await;
    running.stop().await;
}
