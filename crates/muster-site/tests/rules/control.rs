//! What is counted for phases and alerts, by whom, and how often; and what administrators' acts leave behind.

use crate::{
    client::{Outbox, full, inventory, row},
    collection::{direct, make, wish, work as evaluate},
    deployment_approval::{approve, ruled, says},
    phase::{Speaker, alerts, create, look, phase, work},
    reason,
    related::{add, app, needs, removable},
};
use muster_model::{
    api::{
        AlertKind, AlertQuery, CollectionCreate, DeploymentAct as Act, DeploymentRetry, PageQuery, Phase, PhaseReach,
        PhasedDeploymentCreate, RivalKind, RuleSpec, Target,
    },
    application::{Application, Superseded},
    id::CollectionId,
    inventory::Value,
    policy::BodyKind,
    problem::Code,
    report::Channel,
    status::DeploymentState as State,
    time::{DAY, HOUR, MINUTE, SECOND},
};
use muster_site::{
    AlertWork, PhaseWork, alert_list, alert_work, assignment_show, collection_create, collection_delete,
    deployment_approval_withdraw, deployment_cancel, deployment_create, deployment_create_phased, deployment_forecast,
    deployment_history, deployment_order, deployment_pause, deployment_preview, deployment_resume, deployment_retry,
    deployment_rivals, deployment_standing, phase_work, testing::TestSite,
};

const ALL: CollectionId = CollectionId::ALL_SYSTEMS;

fn two(first: Phase) -> Vec<Phase> {
    vec![first, phase("Rest", PhaseReach::Rest)]
}

#[tokio::test]
async fn a_device_that_leaves_the_target_because_it_succeeded_counts_for_its_phase() {
    for test in TestSite::all().await {
        let mut all = [Speaker::new(&test, "a").await, Speaker::new(&test, "b").await];
        let text = "select ResourceID from SMS_R_System where ResourceId not in \
             (select ResourceID from SMS_G_System_ADD_REMOVE_PROGRAMS where DisplayName = 'tool')";
        let lacking = RuleSpec::Query { name: "lacking".parse().unwrap(), query: text.to_owned() };
        let lacking = CollectionCreate { incremental: true, ..wish("Lacking", ALL, vec![lacking]) };
        let lacking = collection_create(&test.full(), &test.site, &lacking).await.unwrap().collection.id;
        let pilots = make(&test, "Pilots", ALL, direct(&[all[0].device.id, all[1].device.id])).await;
        evaluate(&test).await;
        let first = Phase { at_least: 2, ..phase("Pilots", PhaseReach::Collection { collection: pilots }) };
        let hash = crate::deployment::application(&test).await;
        let deployment = create(hash, Target::Collection { collection: lacking });
        let wanted = PhasedDeploymentCreate { deployment, phases: two(first) };
        let made = deployment_create_phased(&test.full(), &test.site, &wanted).await.unwrap();
        work(&test).await;
        for speaker in &mut all {
            assert_eq!(speaker.has(&test).await.len(), 1);
            let text = |text: &str| Value::Text(text.to_owned());
            let tool = row(&[("ProdID", text("tool")), ("DisplayName", text("tool")), ("Publisher", text("x"))]);
            let mut outbox = Outbox::new(Channel::Inventory);
            outbox.push(inventory(vec![full("ADD_REMOVE_PROGRAMS", &[tool])]));
            outbox.send(&test, &speaker.device).await.unwrap();
            speaker.says(&test, &made, State::Succeeded).await;
        }
        evaluate(&test).await;
        work(&test).await;
        assert_eq!(all[0].has(&test).await.len(), 0, "it has left");
        test.sources.pass(HOUR);
        assert!(look(&test.site, test.now()).await.unwrap(), "and its success counts");
        let standing = deployment_standing(&test.analyst(), &test.site, made.id).await.unwrap();
        assert_eq!(standing.phases[0].totals.get("succeeded"), Some(&2));
        assert!(standing.phases[1].begun.is_some());
    }
}

#[tokio::test]
async fn what_failed_again_after_a_retry_is_not_forgiven_a_second_time() {
    for test in TestSite::all().await {
        let (mut a, mut b) = (Speaker::new(&test, "a").await, Speaker::new(&test, "b").await);
        let both = make(&test, "Both", ALL, direct(&[a.device.id, b.device.id])).await;
        evaluate(&test).await;
        let first = Phase { stop_count: Some(1), ..phase("Both", PhaseReach::Collection { collection: both }) };
        let deployment = create(crate::deployment::application(&test).await, Target::AllSystems);
        let wanted = PhasedDeploymentCreate { deployment, phases: two(first) };
        let made = deployment_create_phased(&test.full(), &test.site, &wanted).await.unwrap();
        work(&test).await;
        a.says(&test, &made, State::Failed).await;
        b.says(&test, &made, State::Failed).await;
        assert!(look(&test.site, test.now()).await.unwrap(), "two are one too many");
        deployment_resume(&test.full(), &test.site, made.id).await.unwrap();
        assert!(!look(&test.site, test.now()).await.unwrap(), "these were seen");
        let retry = DeploymentRetry::default();
        assert_eq!(deployment_retry(&test.full(), &test.site, made.id, retry).await.unwrap().devices, 2);
        a.says(&test, &made, State::Failed).await;
        b.says(&test, &made, State::Failed).await;
        assert!(look(&test.site, test.now()).await.unwrap(), "these were not");
    }
}

#[tokio::test]
async fn a_phase_that_waits_for_an_approval_begins_with_it() {
    for test in TestSite::all().await {
        let mut a = Speaker::new(&test, "a").await;
        let _b = test.enrol("b").await;
        let second = ruled(&test, 1).await;
        let pilots = make(&test, "Pilots", ALL, direct(&[a.device.id])).await;
        evaluate(&test).await;
        let first = Phase { at_least: 1, ..phase("Pilots", PhaseReach::Collection { collection: pilots }) };
        let deployment = create(crate::deployment::application(&test).await, Target::AllSystems);
        let wanted = PhasedDeploymentCreate { deployment, phases: two(first) };
        let made = deployment_create_phased(&test.full(), &test.site, &wanted).await.unwrap();
        test.sources.pass(DAY);
        let order = deployment_order(&test.analyst(), &test.site, made.id).await.unwrap();
        approve(&test, &made, &second, &says(&test, &order, &made, 2)).await.unwrap();
        let standing = deployment_standing(&test.analyst(), &test.site, made.id).await.unwrap();
        assert_eq!(standing.phases[0].begun, Some(test.now()), "no device could know of it before");
        work(&test).await;
        a.says(&test, &made, State::Succeeded).await;
        assert!(!look(&test.site, test.now()).await.unwrap(), "it has to last its hour");
        test.sources.pass(HOUR);
        deployment_approval_withdraw(&test.full(), &test.site, made.id).await.unwrap();
        assert!(!look(&test.site, test.now()).await.unwrap(), "of what waits nothing begins");
        test.sources.pass(SECOND);
        let order = deployment_order(&test.analyst(), &test.site, made.id).await.unwrap();
        approve(&test, &made, &second, &says(&test, &order, &made, 2)).await.unwrap();
        test.sources.pass(HOUR);
        assert!(look(&test.site, test.now()).await.unwrap());
    }
}

#[tokio::test]
async fn what_a_deployment_takes_along_waits_with_it() {
    for test in TestSite::all().await {
        let (a, _b) = (test.enrol("a").await, test.enrol("b").await);
        let second = ruled(&test, 1).await;
        add(&test, &app(1, "Base", "1")).await;
        let top = add(&test, &Application { dependencies: vec![needs(1, None)], ..app(2, "Top", "1") }).await;
        let made = deployment_create(&test.full(), &test.site, &create(top, Target::AllSystems)).await.unwrap();
        let applications = async || {
            work(&test).await;
            let bodies = assignment_show(&test.device(&a), &test.site).await.unwrap().bodies.clone();
            bodies.iter().filter(|body| body.kind == BodyKind::Application).count()
        };
        assert_eq!(applications().await, 0, "nobody approved any of it");
        let order = deployment_order(&test.analyst(), &test.site, made.id).await.unwrap();
        approve(&test, &made, &second, &says(&test, &order, &made, 2)).await.unwrap();
        assert_eq!(applications().await, 2);
    }
}

#[tokio::test]
async fn a_phase_that_began_late_has_a_day_before_it_is_missed() {
    for test in TestSite::all().await {
        let mut all = Vec::new();
        for name in ["a", "b", "c"] {
            all.push(Speaker::new(&test, name).await);
        }
        let pilots = make(&test, "Pilots", ALL, direct(&[all[0].device.id])).await;
        evaluate(&test).await;
        let first = Phase { at_least: 1, ..phase("Pilots", PhaseReach::Collection { collection: pilots }) };
        let deployment = create(crate::deployment::application(&test).await, Target::AllSystems);
        let wanted = PhasedDeploymentCreate { deployment, phases: two(first) };
        let made = deployment_create_phased(&test.full(), &test.site, &wanted).await.unwrap();
        work(&test).await;
        assert_eq!(deployment_forecast(&test.analyst(), &test.site, made.id).await.unwrap().devices, 1, "not the rest");
        all[0].says(&test, &made, State::Succeeded).await;
        test.sources.pass(2 * DAY);
        assert!(look(&test.site, test.now()).await.unwrap(), "the rest begins");
        assert_eq!(deployment_forecast(&test.analyst(), &test.site, made.id).await.unwrap().devices, 2);
        assert!(alerts(&test, &test.site).await.is_empty(), "and nobody is late yet");
        test.sources.pass(DAY + MINUTE);
        let late = alerts(&test, &test.site).await;
        assert_eq!((late.len(), late[0].kind, late[0].devices), (1, AlertKind::DeadlineMissed, 2), "{late:?}");
        deployment_pause(&test.full(), &test.site, made.id, reason("stop")).await.unwrap();
        assert_eq!(deployment_forecast(&test.analyst(), &test.site, made.id).await.unwrap().devices, 0, "of nobody");
    }
}

// Two servers look in turn: what one of them counted a while ago does not take back what the other one sees.
#[tokio::test]
async fn an_alert_does_not_come_and_go_with_the_server_that_looks() {
    for test in TestSite::all().await {
        let mut a = Speaker::new(&test, "a").await;
        evaluate(&test).await;
        let deployment = create(crate::deployment::application(&test).await, Target::AllSystems);
        let made = deployment_create(&test.full(), &test.site, &deployment).await.unwrap();
        work(&test).await;
        test.sources.pass(DAY + MINUTE);
        let other = test.reopened().await;
        let (mut one, mut two) = (AlertWork::default(), AlertWork::default());
        let seen = async |site: &muster_site::Site, work: &mut AlertWork| {
            while alert_work(site, work, test.now()).await.unwrap() {}
            let query = AlertQuery { all: true, limit: 50, ..AlertQuery::default() };
            let all = alert_list(&test.analyst(), site, query).await.unwrap().items;
            (all.len(), all.iter().filter(|alert| alert.closed.is_none()).count())
        };
        assert_eq!(seen(&test.site, &mut one).await, (1, 1), "it is late");
        a.says(&test, &made, State::Succeeded).await;
        test.sources.pass(MINUTE);
        assert_eq!(seen(&other, &mut two).await, (1, 0), "the other one counts and sees that it is done");
        test.sources.pass(MINUTE);
        assert_eq!(seen(&test.site, &mut one).await, (1, 0), "this one has an old figure and leaves it");
        test.sources.pass(31 * MINUTE);
        assert_eq!(seen(&test.site, &mut one).await, (1, 0));
    }
}

#[tokio::test]
async fn a_deployment_with_phases_rests_between_two_looks() {
    let test = TestSite::all().await.remove(0);
    let mut a = Speaker::new(&test, "a").await;
    let pilots = make(&test, "Pilots", ALL, direct(&[a.device.id])).await;
    evaluate(&test).await;
    let first = Phase { at_least: 1, after_hours: 0, ..phase("Pilots", PhaseReach::Collection { collection: pilots }) };
    let deployment = create(crate::deployment::application(&test).await, Target::AllSystems);
    let wanted = PhasedDeploymentCreate { deployment, phases: two(first) };
    let made = deployment_create_phased(&test.full(), &test.site, &wanted).await.unwrap();
    work(&test).await;
    let mut rested = PhaseWork::default();
    assert!(!phase_work(&test.site, &mut rested, test.now()).await.unwrap());
    a.says(&test, &made, State::Succeeded).await;
    test.sources.pass(10 * SECOND);
    assert!(!phase_work(&test.site, &mut rested, test.now()).await.unwrap(), "a millisecond for its one device");
    test.sources.pass(10 * SECOND);
    assert!(phase_work(&test.site, &mut rested, test.now()).await.unwrap());
}

#[tokio::test]
async fn a_collection_that_a_phase_names_stays_while_the_deployment_is_in_force() {
    for test in TestSite::all().await {
        let a = test.enrol("a").await;
        let pilots = make(&test, "Pilots", ALL, direct(&[a.id])).await;
        evaluate(&test).await;
        let deployment = create(crate::deployment::application(&test).await, Target::AllSystems);
        let phases = two(phase("First ones", PhaseReach::Collection { collection: pilots }));
        let wanted = PhasedDeploymentCreate { deployment, phases };
        let made = deployment_create_phased(&test.full(), &test.site, &wanted).await.unwrap();
        let refused = collection_delete(&test.full(), &test.site, pilots, None).await.unwrap_err();
        let detail = refused.problem().detail;
        assert_eq!(refused.code(), Code::Conflict);
        assert!(detail.contains(&format!("the phase First ones of {} takes its members", made.name)), "{detail}");
        deployment_cancel(&test.full(), &test.site, made.id, reason("over")).await.unwrap();
        collection_delete(&test.full(), &test.site, pilots, None).await.unwrap();
    }
}

#[tokio::test]
async fn what_began_before_it_heard_of_the_pause_keeps_its_policy() {
    for test in TestSite::all().await {
        let mut a = Speaker::new(&test, "a").await;
        let deployment = create(crate::deployment::application(&test).await, Target::AllSystems);
        let made = deployment_create(&test.full(), &test.site, &deployment).await.unwrap();
        work(&test).await;
        deployment_pause(&test.full(), &test.site, made.id, reason("stop")).await.unwrap();
        work(&test).await;
        assert_eq!(a.has(&test).await.len(), 0);
        a.says(&test, &made, State::Downloading).await;
        work(&test).await;
        assert_eq!(a.has(&test).await.len(), 0);
        // It had begun when the pause came.
        a.says(&test, &made, State::Installing).await;
        work(&test).await;
        assert_eq!(a.has(&test).await.len(), 1);
    }
}

#[tokio::test]
async fn what_was_done_to_a_deployment_stands_between_the_steps_of_a_device() {
    for test in TestSite::all().await {
        let (mut a, b) = (Speaker::new(&test, "a").await, Speaker::new(&test, "b").await);
        let first = make(&test, "First", ALL, direct(&[a.device.id])).await;
        evaluate(&test).await;
        let deployment = create(crate::deployment::application(&test).await, Target::AllSystems);
        let phases = two(phase("First", PhaseReach::Collection { collection: first }));
        let wanted = PhasedDeploymentCreate { deployment, phases };
        let made = deployment_create_phased(&test.full(), &test.site, &wanted).await.unwrap();
        work(&test).await;
        test.sources.pass(SECOND);
        a.says(&test, &made, State::Failed).await;
        test.sources.pass(SECOND);
        // Too many: the site itself does this.
        assert!(look(&test.site, test.now()).await.unwrap());
        test.sources.pass(SECOND);
        deployment_resume(&test.full(), &test.site, made.id).await.unwrap();
        test.sources.pass(SECOND);
        let retry = DeploymentRetry { device: Some(a.device.id), phase: None };
        deployment_retry(&test.full(), &test.site, made.id, retry).await.unwrap();
        test.sources.pass(SECOND);
        a.says(&test, &made, State::Succeeded).await;
        test.sources.pass(SECOND);
        deployment_cancel(&test.full(), &test.site, made.id, reason("enough")).await.unwrap();
        let history = async |speaker: &Speaker, offset| {
            let page = PageQuery { offset, limit: 50 };
            let page = deployment_history(&test.analyst(), &test.site, made.id, speaker.device.id, page).await.unwrap();
            assert_eq!(page.total, page.items.len() as u64 + offset);
            page.items
        };
        let me = test.admin.name.to_string();
        let seen = history(&a, 0).await;
        let steps: Vec<_> = seen.iter().rev().map(|event| (event.state, event.act, event.by.as_deref())).collect();
        let expected = [
            (None, Some(Act::PhaseBegin), Some(&*me)),
            (Some(State::Failed), None, None),
            (None, Some(Act::Pause), None),
            (None, Some(Act::Resume), Some(&*me)),
            (None, Some(Act::Retry), Some(&*me)),
            (Some(State::Targeted), None, None),
            (Some(State::Succeeded), None, None),
            (None, Some(Act::Cancel), Some(&*me)),
        ];
        assert_eq!(steps, expected);
        assert!(seen[0].output == "enough" && seen[5].output.contains("failed on 1 of 1"), "{seen:?}");
        assert_eq!(history(&a, 3).await, seen[3..], "it is paged");
        // Another device of another phase: neither its retry nor the begin of that phase.
        let acts: Vec<_> = history(&b, 0).await.into_iter().rev().map(|event| event.act).collect();
        assert_eq!(acts, [Act::Pause, Act::Resume, Act::Cancel].map(Some));
    }
}

#[tokio::test]
async fn a_preview_names_what_it_would_contradict_by_the_rule_of_what_is_there() {
    for test in TestSite::all().await {
        let (a, b) = (test.enrol("a").await, test.enrol("b").await);
        let one = make(&test, "One", ALL, direct(&[a.id])).await;
        let both = make(&test, "Both", ALL, direct(&[a.id, b.id])).await;
        evaluate(&test).await;
        let old = add(&test, &app(1, "Tool", "1")).await;
        let new = add(&test, &app(1, "Tool", "2")).await;
        let other = add(&test, &removable(app(2, "Other", "1"))).await;
        let better = Application {
            supersedes: vec![Superseded { application: crate::related::id(2), uninstall: true }],
            ..app(3, "Better", "1")
        };
        let better = add(&test, &better).await;
        let to = |application, collection| create(application, Target::Collection { collection });
        let made = async |wish| deployment_create(&test.full(), &test.site, &wish).await.unwrap();
        let (first, second) = (made(to(old, both)).await, made(to(other, one)).await);
        for (wish, kind, against, devices) in [
            (to(new, one), RivalKind::Version, first.id, 1),
            (to(new, both), RivalKind::Version, first.id, 2),
            (to(better, both), RivalKind::Superseded, second.id, 1),
        ] {
            let seen = deployment_preview(&test.analyst(), &test.site, &wish).await.unwrap().rivals;
            let short: Vec<_> = seen.iter().map(|of| (of.kind, of.deployment, of.devices, &*of.example)).collect();
            assert_eq!(short, [(kind, against, devices, "a")], "{seen:?}");
            // Made, it is said of it in the same words.
            let is = made(wish).await;
            assert_eq!(deployment_rivals(&test.analyst(), &test.site, is.id).await.unwrap()[..1], seen);
            muster_site::deployment_delete(&test.full(), &test.site, is.id).await.unwrap();
        }
        made(to(better, one)).await;
        // From the other side, and nothing where nothing is.
        let seen = deployment_preview(&test.analyst(), &test.site, &to(other, both)).await.unwrap().rivals;
        assert_eq!((seen.len(), seen[0].kind), (1, RivalKind::Superseded), "{seen:?}");
        let alone = create(new, Target::Device { device: test.enrol("c").await.id });
        assert!(deployment_preview(&test.analyst(), &test.site, &alone).await.unwrap().rivals.is_empty());
    }
}
