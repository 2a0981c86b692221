//! Deployments with installers that hang, fork, print, lie and are killed, and content that is cut, altered and refused.

use crate::actor::{
    Site, application,
    machine::{Machine, script, wait_for_file},
    now,
};
use muster_model::{
    application::Detection,
    status::{DeploymentReport, DeploymentState as State, FailureReason as Reason, MessageId},
    time::{DAY, SECOND},
};
use muster_trust::PrivateKey;
use std::{os::unix::fs::PermissionsExt, sync::Arc};

async fn enrolled() -> (Arc<Site>, Machine) {
    let (site, machine) = (Site::start().await, Machine::new());
    machine.enrol(&site).await;
    (site, machine)
}

fn states(steps: &[DeploymentReport]) -> Vec<State> {
    steps.iter().map(|step| step.state).collect()
}

/// Deploys a script at once; the script gets the file that detection looks for as its argument.
async fn deploy(lines: &str, max_run_seconds: u32) -> (Vec<DeploymentReport>, Arc<Site>, Machine) {
    let (site, machine) = enrolled().await;
    let installer = site.content("setup.sh", &script(lines));
    let application = application(installer, &machine.place("installed"), max_run_seconds);
    let deployment = site.deploy(&[&site.keys.author], &application, now());
    let running = machine.run();
    let steps = site.wait_end(deployment).await;
    running.stop().await;
    (steps, site, machine)
}

#[tokio::test]
async fn a_deployment_goes_through_its_steps_and_leaves_only_its_content() {
    let (steps, site, machine) = deploy("echo installing; test -f setup.sh && pwd && touch \"$1\"", 60).await;
    assert_eq!(states(&steps), [State::Downloading, State::Installing, State::Succeeded]);
    assert!(steps[2].output.starts_with("installing"), "{:?}", steps[2]);
    let names = |directory: &str| machine.directory().directory(directory).unwrap().names().unwrap();
    assert_eq!(names("run"), Vec::<String>::new());
    // The next version may be put together from it.
    let kept: Vec<String> = site.state().contents.keys().map(ToString::to_string).collect();
    assert_eq!(names("content"), kept);
}

#[tokio::test]
async fn what_is_there_already_is_not_installed() {
    let (site, machine) = enrolled().await;
    std::fs::write(machine.place("installed"), "").unwrap();
    let installer = site.content("setup.sh", &script("touch \"$1.ran\""));
    let application = application(installer, &machine.place("installed"), 60);
    let deployment = site.deploy(&[&site.keys.author], &application, now());
    let running = machine.run();
    assert_eq!(states(&site.wait_end(deployment).await), [State::Succeeded]);
    running.stop().await;
    assert!(!machine.place("installed.ran").exists() && site.state().ranges.is_empty());
}

#[tokio::test]
async fn an_installer_that_hangs_is_ended_with_its_children() {
    let lines = "(while :; do date +%N > \"$1.alive\"; done) & setsid sh -c 'while :; do date +%N > \"$0.alive2\"; done' \"$1\" & \
                 echo hanging; sleep 1000";
    let (steps, _, machine) = deploy(lines, 2).await;
    let last = steps.last().unwrap();
    assert_eq!((last.state, last.reason, last.output.as_str()), (State::Failed, Some(Reason::TimedOut), "hanging"));
    let written = |name: &str| std::fs::metadata(machine.place(name)).unwrap().modified().unwrap();
    let before = (written("installed.alive"), written("installed.alive2"));
    tokio::time::sleep(std::time::Duration::from_millis(300)).await;
    assert_eq!(before, (written("installed.alive"), written("installed.alive2")), "nothing of it runs on");
}

#[tokio::test]
async fn an_installer_that_prints_without_end_costs_nothing() {
    let lines = "head -c 60000000 /dev/zero | tr '\\0' 'x'; printf '\\033[31mthe end\\n'; touch \"$1\"";
    let (steps, ..) = deploy(lines, 120).await;
    let last = steps.last().unwrap();
    assert_eq!(last.state, State::Succeeded);
    assert!(last.output.len() <= 16 << 10 && last.output.ends_with("[31mthe end"), "{}", last.output.len());
}

#[tokio::test]
async fn failures_have_their_reasons() {
    let (steps, ..) = deploy("echo broken; exit 3", 60).await;
    let last = steps.last().unwrap();
    assert_eq!((last.reason, last.exit_code, last.output.as_str()), (Some(Reason::ExitCode), Some(3), "broken"));
    let (steps, ..) = deploy("exit 0", 60).await;
    assert_eq!(steps.last().unwrap().reason, Some(Reason::NotDetected), "what the installer says does not count");
    let (steps, ..) = deploy("kill -9 $$", 60).await;
    assert_eq!((steps.last().unwrap().reason, steps.last().unwrap().exit_code), (Some(Reason::ExitCode), None));
}

#[tokio::test]
async fn an_application_that_no_author_signed_is_never_run() {
    let (site, machine) = enrolled().await;
    let installer = site.content("setup.sh", &script("touch \"$1\""));
    let application = application(installer, &machine.place("installed"), 60);
    let stranger = PrivateKey::generate().unwrap();
    let running = machine.run();
    for signers in [vec![&stranger], vec![&site.keys.policy], vec![&site.keys.root], vec![&stranger, &site.keys.policy]]
    {
        let deployment = site.deploy(&signers, &application, now());
        let steps = site.wait_end(deployment).await;
        assert_eq!((states(&steps), steps[0].reason), (vec![State::Failed], Some(Reason::NotSigned)));
    }
    assert!(!machine.place("installed").exists() && site.state().ranges.is_empty());
    running.stop().await;
}

#[tokio::test]
async fn where_the_bundle_wants_two_authors_one_is_not_enough() {
    let (site, machine) = (Site::start().await, Machine::new());
    let second = PrivateKey::generate().unwrap();
    site.sign_bundle(|bundle| {
        bundle.authors.keys.push(muster_trust::bundle::NamedKey::new("second", second.public()));
        bundle.authors.threshold = 2;
    });
    machine.enrol(&site).await;
    let installer = site.content("setup.sh", &script("touch \"$1\""));
    let application = application(installer, &machine.place("installed"), 60);
    let running = machine.run();
    for signers in [vec![&site.keys.author], vec![&site.keys.author, &site.keys.author]] {
        let steps = site.wait_end(site.deploy(&signers, &application, now())).await;
        assert_eq!(steps.last().unwrap().reason, Some(Reason::NotSigned));
    }
    assert!(!machine.place("installed").exists());
    let steps = site.wait_end(site.deploy(&[&site.keys.author, &second], &application, now())).await;
    assert_eq!(steps.last().unwrap().state, State::Succeeded);
    running.stop().await;
}

#[tokio::test]
async fn content_is_resumed_where_it_broke_off() {
    let (site, machine) = enrolled().await;
    let padding = "# padding\n".repeat(30_000);
    let installer = site.content("setup.sh", &script(&format!("touch \"$1\"; exit\n{padding}")));
    let size = installer.size;
    let application = application(installer, &machine.place("installed"), 60);
    site.state().mischief.cut_content = Some(100_000);
    let deployment = site.deploy(&[&site.keys.author], &application, now());
    let running = machine.run();
    site.wait("a cut answer", |state| (!state.ranges.is_empty()).then_some(())).await;
    running.stop().await;
    // The agent is another one now; what it has is on the disk.
    let running = machine.run();
    let steps = site.wait_end(deployment).await;
    running.stop().await;
    assert_eq!(states(&steps), [State::Downloading, State::Installing, State::Succeeded]);
    let state = site.state();
    assert_eq!(state.ranges[0], None);
    let froms: Vec<u64> = state.ranges[1..].iter().flatten().filter_map(|r| r[6..r.len() - 1].parse().ok()).collect();
    assert!(!froms.is_empty() && froms.iter().all(|from| *from > 0 && *from < size), "{:?}", state.ranges);
}

#[tokio::test]
async fn altered_content_is_thrown_away_and_never_run() {
    let (site, machine) = enrolled().await;
    let installer = site.content("setup.sh", &script("touch \"$1\""));
    let (hash, size) = (installer.hash, installer.size);
    let application = application(installer, &machine.place("installed"), 60);
    let evil = script("touch \"$1\"; #evil");
    for (what, bytes) in [("other bytes", evil[..usize::try_from(size).unwrap()].to_vec()), ("longer", evil)] {
        site.state().contents.insert(hash, bytes);
        let deployment = site.deploy(&[&site.keys.author], &application, now());
        let running = machine.run();
        let values = site.wait_status(MessageId::ContentAltered).await;
        assert_eq!(values["hash"], hash.to_string(), "{what}");
        let steps = site.wait_end(deployment).await;
        assert_eq!(steps.last().unwrap().reason, Some(Reason::ContentAltered), "{what}");
        running.stop().await;
        assert!(!machine.place("installed").exists(), "{what}");
    }
}

#[tokio::test]
async fn content_altered_in_the_cache_is_not_run() {
    let (site, machine) = enrolled().await;
    let installer = site.content("setup.sh", &script("touch \"$1\""));
    let hash = installer.hash;
    let application = application(installer.clone(), &machine.place("installed"), 60);
    // The right length, in the right place, with the right owner: only the bytes are wrong.
    let cache = machine.directory().directory("content").unwrap();
    let evil = vec![b'#'; usize::try_from(installer.size).unwrap()];
    cache.write(&hash.to_string(), &evil).unwrap();
    let deployment = site.deploy(&[&site.keys.author], &application, now());
    let running = machine.run();
    site.wait_status(MessageId::ContentAltered).await;
    let steps = site.wait_end(deployment).await;
    assert_eq!(steps.last().unwrap().state, State::Succeeded, "it was fetched again, and is right now");
    running.stop().await;
}

#[tokio::test]
async fn a_deployment_waits_for_its_time() {
    let (site, mut machine) = (Site::start().await, Machine::new());
    machine.clock = muster_agent::clock::Clock::at(now());
    machine.enrol(&site).await;
    let installer = site.content("setup.sh", &script("touch \"$1\""));
    let application = application(installer, &machine.place("installed"), 60);
    let deadline = now().plus(3 * DAY);
    let deployment = site.deploy(&[&site.keys.author], &application, deadline);
    let running = machine.run();
    let steps = site.wait("waiting", |state| {
        let steps = Site::steps(state, deployment);
        (!steps.is_empty()).then_some(steps)
    });
    let steps = steps.await;
    assert_eq!((states(&steps), steps[0].starts), (vec![State::Waiting], Some(deadline)));
    running.stop().await;
    assert!(!machine.place("installed").exists());
    machine.clock.set(deadline.plus(SECOND));
    let running = machine.run();
    assert_eq!(
        states(&site.wait_end(deployment).await)[1..],
        [State::Downloading, State::Installing, State::Succeeded]
    );
    running.stop().await;
}

#[tokio::test]
async fn a_change_at_the_site_reaches_an_idle_client_through_the_live_channel() {
    let (site, machine) = enrolled().await;
    let running = machine.run();
    site.wait("the live channel", |state| (state.lives > 0).then_some(())).await;
    site.wait_status(MessageId::PolicyAccepted).await;
    let installer = site.content("setup.sh", &script("touch \"$1\""));
    let application = application(installer, &machine.place("installed"), 60);
    let since = std::time::Instant::now();
    let deployment = site.deploy(&[&site.keys.author], &application, now());
    assert_eq!(site.wait_end(deployment).await.last().unwrap().state, State::Succeeded);
    assert!(since.elapsed().as_secs() < 30, "it did not wait for the poll: {:?}", since.elapsed());
    running.stop().await;
}

/// The real program, killed while its installer runs.
async fn killed_in_the_middle(lines: &str, max_run_seconds: u32) -> (Vec<DeploymentReport>, Machine) {
    let (site, machine) = enrolled().await;
    let installer = site.content("setup.sh", &script(lines));
    let application = application(installer, &machine.place("installed"), max_run_seconds);
    let deployment = site.deploy(&[&site.keys.author], &application, now());
    let mut agent = machine.spawn();
    wait_for_file(&machine.place("installed.runs")).await;
    agent.start_kill().unwrap();
    agent.wait().await.unwrap();
    let mut agent = machine.spawn();
    let steps = site.wait_end(deployment).await;
    agent.start_kill().unwrap();
    agent.wait().await.unwrap();
    (steps, machine)
}

#[tokio::test]
async fn an_installer_survives_the_kill_of_the_agent_and_is_not_run_twice() {
    // It prints all the time: a broken pipe would end it.
    let lines = "echo run >> \"$1.runs\"; for i in $(seq 30); do echo $i; sleep 0.1; done; touch \"$1\"";
    let (steps, machine) = killed_in_the_middle(lines, 60).await;
    assert_eq!(states(&steps), [State::Downloading, State::Installing, State::Succeeded]);
    assert_eq!(std::fs::read_to_string(machine.place("installed.runs")).unwrap(), "run\n");
    assert!(steps[2].output.ends_with("30"), "{:?}", steps[2].output);
}

#[tokio::test]
async fn an_installation_that_came_to_nothing_was_interrupted() {
    let (steps, machine) = killed_in_the_middle("echo run >> \"$1.runs\"; sleep 1; exit 1", 60).await;
    assert_eq!(steps.last().unwrap().reason, Some(Reason::Interrupted));
    assert_eq!(std::fs::read_to_string(machine.place("installed.runs")).unwrap(), "run\n");
}

#[tokio::test]
async fn the_cache_belongs_to_the_agent_alone() {
    let (site, machine) = enrolled().await;
    std::fs::create_dir_all(machine.state().join("content")).unwrap();
    std::fs::set_permissions(machine.state().join("content"), std::fs::Permissions::from_mode(0o777)).unwrap();
    let output = machine.program(&["run"]).output().await.unwrap();
    let text = String::from_utf8_lossy(&output.stderr);
    assert!(!output.status.success() && text.contains("chmod 0700"), "{text}");
    drop(site);
}

#[tokio::test]
async fn a_detection_command_decides() {
    let (site, machine) = enrolled().await;
    let installer = site.content("setup.sh", &script("touch \"$1\""));
    let probe = site.content("probe.sh", &script("test -e \"$1\""));
    let mut application = application(installer, &machine.place("installed"), 60);
    let command = muster_model::application::Command {
        program: "content/probe.sh".into(),
        arguments: application.install.arguments.clone(),
        success_codes: vec![0],
    };
    application.content.push(probe);
    application.detection = Detection::Command { command };
    application.check().unwrap();
    let deployment = site.deploy(&[&site.keys.author], &application, now());
    let running = machine.run();
    assert_eq!(states(&site.wait_end(deployment).await), [State::Downloading, State::Installing, State::Succeeded]);
    running.stop().await;
}
