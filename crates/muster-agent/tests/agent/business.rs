//! Business hours: required work begins outside of them before its deadline, and at its deadline whatever the hour is.

use crate::{
    actor::Site,
    restart::{asked, session, stand_in, wait_notice, wants_restart},
    window::{app, assign, enrolled, policy, set, waiting, window},
};
use muster_agent::restart::notice::Stage;
use muster_model::{
    policy::{ClientSettings, DeploymentPolicy, Purpose},
    settings::BusinessHours,
    status::{DeploymentState as State, WaitReason},
    time::{DAY, HOUR, MINUTE, UnixMillis},
    window::WallTime,
};

/// Hours of every day around a moment: since an hour, for two more.
fn around(now: UnixMillis) -> BusinessHours {
    let clock = |at: UnixMillis| WallTime::of_utc(at).to_string()[11..].to_owned();
    format!("mon-sun {}-{}", clock(now.plus(-HOUR)), clock(now.plus(2 * HOUR))).parse().unwrap()
}

fn settings(hours: BusinessHours) -> ClientSettings {
    ClientSettings { business_hours: Some(hours), ..ClientSettings::default() }
}

/// To the minute, as hours are.
fn minute(at: UnixMillis) -> UnixMillis {
    UnixMillis(at.0.div_euclid(MINUTE) * MINUTE)
}

fn due(number: u128, deadline: UnixMillis) -> DeploymentPolicy {
    DeploymentPolicy { deadline, ..policy(number) }
}

async fn last(site: &Site, number: u128) -> State {
    site.wait_end(policy(number).deployment).await.last().unwrap().state
}

// proves S13: nothing begins in business hours before its deadline, and at its deadline it does.
#[tokio::test]
async fn required_work_waits_for_the_end_of_business_hours_or_for_its_deadline() {
    let (site, machine) = enrolled().await;
    let now = machine.clock.now();
    let over = minute(now).plus(2 * HOUR);
    let [early, soon, long, offered] =
        [("early", 60), ("soon", 60), ("long", 86_000), ("offered", 60)].map(|(name, s)| app(&site, &machine, name, s));
    let available = DeploymentPolicy { purpose: Purpose::Available, ..due(4, now.plus(DAY)) };
    let all = [
        (due(1, now.plus(7 * DAY)), &early),
        (due(2, now.plus(HOUR)), &soon),
        (due(3, now.plus(3 * DAY)), &long),
        (available, &offered),
    ];
    let hourly = ClientSettings { application_reevaluation: HOUR, ..settings(around(now)) };
    assign(&site, &[], &all, &hourly);
    let running = machine.run();
    let steps = waiting(&site, policy(1).deployment, WaitReason::BusinessHours).await;
    assert_eq!(steps.last().unwrap().starts, Some(over));
    let steps = waiting(&site, policy(2).deployment, WaitReason::Deadline).await;
    assert_eq!(steps.last().unwrap().starts, Some(now.plus(HOUR)), "its deadline comes first");
    let steps = waiting(&site, policy(3).deployment, WaitReason::Deadline).await;
    assert_eq!(steps.last().unwrap().starts, Some(now.plus(3 * DAY)), "it would run into them on each day");
    waiting(&site, policy(4).deployment, WaitReason::User).await;
    running.stop().await;

    // At its deadline it begins, in the middle of them.
    set(&site, &machine, now.plus(HOUR));
    let running = machine.run();
    assert_eq!(last(&site, 2).await, State::Succeeded);
    running.stop().await;
    assert!(!machine.place("early").exists());

    set(&site, &machine, over);
    let running = machine.run();
    assert_eq!(last(&site, 1).await, State::Succeeded, "six days before its deadline");
    running.stop().await;
    assert!(!machine.place("long").exists() && !machine.place("offered").exists());

    // What was done early is looked at again, and is not waited for once more.
    std::fs::remove_file(machine.place("soon")).unwrap();
    set(&site, &machine, now.plus(DAY));
    let running = machine.run();
    site.wait("what was undone to be done again", |state| {
        let last = Site::steps(state, policy(2).deployment).pop()?;
        (last.state == State::Succeeded && last.undone).then_some(())
    })
    .await;
    running.stop().await;
    assert_eq!(last(&site, 1).await, State::Succeeded);
}

#[tokio::test]
async fn windows_hold_beside_business_hours_and_alone_after_the_deadline() {
    let (site, machine) = enrolled().await;
    let now = machine.clock.now();
    let (one, two) = (app(&site, &machine, "one", 600), app(&site, &machine, "two", 600));
    // The window of each day begins in business hours and ends behind them.
    let opens = minute(now).plus(HOUR);
    let all = [(due(1, now.plus(3 * DAY)), &one), (due(2, now.plus(-DAY)), &two)];
    assign(&site, &[window(opens, 180)], &all, &settings(around(now)));
    let running = machine.run();
    let steps = waiting(&site, policy(1).deployment, WaitReason::BusinessHours).await;
    assert_eq!(steps.last().unwrap().starts, Some(minute(now).plus(2 * HOUR)));
    let steps = waiting(&site, policy(2).deployment, WaitReason::Window).await;
    assert_eq!(steps.last().unwrap().starts, Some(opens), "its deadline is over");
    running.stop().await;
    set(&site, &machine, opens);
    let running = machine.run();
    assert_eq!(last(&site, 2).await, State::Succeeded);
    running.stop().await;
    assert!(!machine.place("one").exists(), "a window is open, and so are business hours");
    set(&site, &machine, minute(now).plus(2 * HOUR));
    let running = machine.run();
    assert_eq!(last(&site, 1).await, State::Succeeded);
    running.stop().await;
}

#[tokio::test]
async fn a_restart_that_has_time_waits_for_the_end_of_business_hours() {
    let (site, machine) = enrolled().await;
    machine.restart("first");
    session(&machine, "closing");
    let path = stand_in(&machine, 0);
    let (now, app) = (machine.clock.now(), wants_restart(&site, &machine));
    // Installed at night before its deadline; and the machine is not restarted until the day begins.
    let deadline = now.plus(3 * DAY);
    assign(&site, &[], &[(due(1, deadline), &app)], &settings(around(now.plus(6 * HOUR))));
    let config = machine.directory().read("agent.json", 4096).unwrap().unwrap();
    machine.directory().remove("agent.json").unwrap();
    let running = machine.run();
    assert_eq!(last(&site, 1).await, State::Succeeded);
    running.stop().await;
    machine.directory().write("agent.json", &config).unwrap();

    set(&site, &machine, now.plus(6 * HOUR));
    let (running, socket) = machine.run_for_users();
    let notice = wait_notice(&socket, |notice| notice.stage == Stage::Waits).await;
    assert_eq!((notice.waits, notice.at), (Some(WaitReason::BusinessHours), Some(minute(now).plus(8 * HOUR))));
    assert_eq!(asked(&path), 0);
    running.stop().await;
    // Its deadline comes in the middle of business hours.
    set(&site, &machine, deadline.plus(6 * HOUR));
    let (running, socket) = machine.run_for_users();
    wait_notice(&socket, |notice| notice.stage == Stage::Underway).await;
    running.stop().await;
    assert_eq!(asked(&path), 1);
}
