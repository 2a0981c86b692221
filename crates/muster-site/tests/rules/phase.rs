//! Deployments that are paused, ended, tried again and rolled out in phases; and alerts, which follow from what is so.

use crate::{
    client::Outbox,
    collection::{direct, make, work as evaluate},
    deployment::application,
    reason,
};
use muster_model::{
    api::{
        AlertKind, AlertQuery, AlertState, Deployment, DeploymentCreate, DeploymentRetry, PageQuery, Phase, PhaseBegin,
        PhaseReach, PhasedDeploymentCreate, RuleSpec, Target,
    },
    id::{CollectionId, DeploymentId, DeviceId},
    policy::{BodyKind, DeploymentPolicy},
    problem::Code,
    report::{Body, Channel},
    schedule::Recurrence,
    status::{DeploymentReport, DeploymentState as State, FailureReason},
    time::{DAY, HOUR, MINUTE, UnixMillis},
    window::{MaintenanceWindow, WallTime, WindowKind},
};
use muster_site::{
    AlertWork, PhaseWork, Site, SiteError, Worker, alert_acknowledge, alert_devices, alert_list, alert_show,
    alert_work, assignment_show, audit_list, body_show, collection_rule_add, collection_rule_remove, collection_show,
    collection_window_add, collection_window_delete, deployment_cancel, deployment_create, deployment_create_phased,
    deployment_devices, deployment_history, deployment_pause, deployment_phase_begin, deployment_resume,
    deployment_retry, deployment_show, deployment_standing, device_block, phase_work,
    testing::{TestDevice, TestSite},
};

const PAGE: PageQuery = PageQuery { offset: 0, limit: 500 };

pub(crate) fn create(application: muster_model::id::Hash, target: Target) -> DeploymentCreate {
    DeploymentCreate {
        name: None,
        application,
        target,
        available: None,
        deadline: None,
        high_impact: false,
        outside_windows: false,
        volatile: false,
        software_update: false,
        options: muster_model::program::DeploymentOptions::default(),
        deferral: None,
        action: muster_model::policy::Action::Install,
        purpose: muster_model::policy::Purpose::Required,
    }
}

pub(crate) async fn work(test: &TestSite) {
    let mut worker = Worker::new(test.site.clone());
    while worker.step().await.unwrap() {}
}

/// A device with what it has to say.
pub(crate) struct Speaker {
    pub(crate) device: TestDevice,
    pub(crate) outbox: Outbox,
}

impl Speaker {
    pub(crate) async fn new(test: &TestSite, name: &str) -> Self {
        Self { device: test.enrol(name).await, outbox: Outbox::new(Channel::Status) }
    }

    pub(crate) async fn says(&mut self, test: &TestSite, deployment: &Deployment, state: State) {
        self.outbox.push(Body::Deployment(DeploymentReport {
            deployment: deployment.id,
            application: deployment.application,
            state,
            reason: (state == State::Failed).then_some(FailureReason::ExitCode),
            exit_code: None,
            output: String::new(),
            starts: None,
            waits: None,
            runs: None,
            restart: false,
            undone: false,
            deployment_type: None,
            deferred: 0,
        }));
        self.outbox.send(test, &self.device).await.unwrap();
    }

    /// The policies of deployments that it has.
    pub(crate) async fn has(&self, test: &TestSite) -> Vec<DeploymentPolicy> {
        let ctx = test.device(&self.device);
        let mut policies = Vec::new();
        for body in assignment_show(&ctx, &test.site).await.unwrap().bodies.iter() {
            if body.kind == BodyKind::Deployment {
                let bytes = body_show(&ctx, &test.site, body.hash).await.unwrap();
                policies.push(serde_json::from_slice(&bytes).unwrap());
            }
        }
        policies
    }
}

/// The totals are those of the devices that are listed, state by state, and so is their sum.
async fn sums(test: &TestSite, id: DeploymentId) {
    let shown = deployment_show(&test.analyst(), &test.site, id).await.unwrap();
    let all = deployment_devices(&test.analyst(), &test.site, id, None, PAGE).await.unwrap();
    assert_eq!(shown.totals.values().sum::<u64>(), all.total);
    for state in State::ALL {
        let page = deployment_devices(&test.analyst(), &test.site, id, Some(*state), PAGE).await.unwrap();
        assert_eq!(shown.totals.get(state.as_str()).copied().unwrap_or(0), page.total, "{state:?}");
        assert_eq!(page.total, all.items.iter().filter(|row| row.state == *state).count() as u64);
    }
}

#[tokio::test]
async fn a_pause_holds_who_has_not_begun_and_a_retry_is_a_new_attempt() {
    for test in TestSite::all().await {
        let (mut open, mut busy, mut bad) =
            (Speaker::new(&test, "open").await, Speaker::new(&test, "busy").await, Speaker::new(&test, "bad").await);
        let hash = application(&test).await;
        let made = deployment_create(&test.full(), &test.site, &create(hash, Target::AllSystems)).await.unwrap();
        work(&test).await;
        open.says(&test, &made, State::Waiting).await;
        busy.says(&test, &made, State::Installing).await;
        bad.says(&test, &made, State::Failed).await;
        let analyst = deployment_pause(&test.analyst(), &test.site, made.id, reason("no")).await.unwrap_err();
        assert_eq!(analyst.code(), Code::Forbidden);
        assert!(deployment_pause(&test.full(), &test.site, made.id, reason("")).await.is_err());
        let standing = deployment_pause(&test.full(), &test.site, made.id, reason("broken")).await.unwrap();
        assert_eq!((standing.not_begun, standing.begun, standing.failed), (1, 1, 1));
        assert_eq!(standing.reason.as_deref(), Some("broken"));
        let again = deployment_pause(&test.full(), &test.site, made.id, reason("broken")).await.unwrap_err();
        assert_eq!(again.code(), Code::Conflict);
        work(&test).await;
        assert_eq!(open.has(&test).await.len(), 0, "nobody begins");
        assert_eq!(busy.has(&test).await.len(), 1, "what has begun goes on");
        // What comes now does not begin either.
        let late = Speaker::new(&test, "late").await;
        assert_eq!(late.has(&test).await.len(), 0);
        // Tried again while it is paused: when it goes on.
        let retry = DeploymentRetry::default();
        assert_eq!(deployment_retry(&test.full(), &test.site, made.id, retry).await.unwrap().devices, 1);
        assert_eq!(deployment_retry(&test.full(), &test.site, made.id, retry).await.unwrap().devices, 0, "once");
        sums(&test, made.id).await;
        work(&test).await;
        assert_eq!(bad.has(&test).await.len(), 0);
        deployment_resume(&test.full(), &test.site, made.id).await.unwrap();
        assert!(deployment_resume(&test.full(), &test.site, made.id).await.is_err());
        work(&test).await;
        assert_eq!((open.has(&test).await[0].attempt, bad.has(&test).await[0].attempt), (0, 1));
        assert_eq!(late.has(&test).await.len(), 1);
        bad.says(&test, &made, State::Succeeded).await;
        // Each step is kept, with its attempt.
        let history = deployment_history(&test.analyst(), &test.site, made.id, bad.device.id, PAGE).await.unwrap();
        let step = |event: &muster_model::api::DeploymentEvent| Some((event.state?, event.attempt));
        let steps: Vec<_> = history.items.iter().rev().filter_map(step).collect();
        assert_eq!(steps, [(State::Failed, 0), (State::Targeted, 1), (State::Succeeded, 1)]);
        // Only on one device, also where it is not for it.
        open.says(&test, &made, State::RequirementsNotMet).await;
        assert_eq!(deployment_retry(&test.full(), &test.site, made.id, retry).await.unwrap().devices, 0);
        let one = DeploymentRetry { device: Some(open.device.id), phase: None };
        assert_eq!(deployment_retry(&test.full(), &test.site, made.id, one).await.unwrap().devices, 1);
        sums(&test, made.id).await;

        deployment_cancel(&test.full(), &test.site, made.id, reason("wrong")).await.unwrap();
        assert!(deployment_cancel(&test.full(), &test.site, made.id, reason("wrong")).await.is_err());
        assert!(deployment_retry(&test.full(), &test.site, made.id, retry).await.is_err());
        work(&test).await;
        for speaker in [&open, &busy, &bad, &late] {
            assert_eq!(speaker.has(&test).await.len(), 0);
        }
        // What ran when it ended is said all the same.
        busy.says(&test, &made, State::Succeeded).await;
        sums(&test, made.id).await;
        let standing = deployment_standing(&test.analyst(), &test.site, made.id).await.unwrap();
        assert_eq!(standing.cancelled, Some(test.now()));
        let audit = audit_list(&test.analyst(), &test.site, PAGE).await.unwrap();
        let acts: Vec<&str> = audit.items.iter().rev().map(|entry| entry.action.as_str()).collect();
        let acts: Vec<&str> = acts.into_iter().filter(|action| action.starts_with("deployment_")).collect();
        let expected = ["create", "pause", "retry", "resume", "retry", "cancel"].map(|act| format!("deployment_{act}"));
        assert_eq!(acts, expected);
    }
}

pub(crate) fn phase(name: &str, reach: PhaseReach) -> Phase {
    Phase {
        name: name.parse().unwrap(),
        reach,
        success_percent: 100,
        at_least: 2,
        after_hours: 1,
        stop_percent: None,
        stop_count: Some(0),
        manual: false,
    }
}

/// One look at everything, as a server that has just begun.
pub(crate) async fn look(site: &Site, now: UnixMillis) -> Result<bool, SiteError> {
    phase_work(site, &mut PhaseWork::default(), now).await
}

pub(crate) async fn alerts(test: &TestSite, site: &Site) -> Vec<muster_model::api::Alert> {
    let mut work = AlertWork::default();
    while alert_work(site, &mut work, test.now()).await.unwrap() {}
    alert_list(&test.analyst(), site, AlertQuery { limit: 50, ..AlertQuery::default() }).await.unwrap().items
}

#[tokio::test]
async fn each_phase_waits_for_the_one_before_and_failures_stop_all() {
    for test in TestSite::all().await {
        let mut all = Vec::new();
        for name in ["a", "b", "c", "d", "e"] {
            all.push(Speaker::new(&test, name).await);
        }
        let ids: Vec<DeviceId> = all.iter().map(|speaker| speaker.device.id).collect();
        let first = make(&test, "First", CollectionId::ALL_SYSTEMS, direct(&ids[..2])).await;
        let second = make(&test, "Second", CollectionId::ALL_SYSTEMS, direct(&ids[1..4])).await;
        evaluate(&test).await;
        let hash = application(&test).await;
        let phases = vec![
            phase("First", PhaseReach::Collection { collection: first }),
            Phase { stop_count: Some(1), ..phase("Second", PhaseReach::Collection { collection: second }) },
            phase("Rest", PhaseReach::Rest),
        ];
        let wanted = |phases| PhasedDeploymentCreate { deployment: create(hash, Target::AllSystems), phases };
        let bad = deployment_create_phased(&test.full(), &test.site, &wanted(phases[..2].to_vec())).await;
        assert_eq!(bad.unwrap_err().code(), Code::Malformed);
        let made = deployment_create_phased(&test.full(), &test.site, &wanted(phases)).await.unwrap();
        let having = async |all: &[Speaker]| {
            work(&test).await;
            let mut having = Vec::new();
            for speaker in all {
                having.push(speaker.has(&test).await.len());
            }
            having
        };
        assert_eq!(having(&all).await, [1, 1, 0, 0, 0]);
        assert_eq!(made.totals["targeted"], 5, "the totals are those of all phases");
        for speaker in &mut all[..2] {
            speaker.says(&test, &made, State::Succeeded).await;
        }
        assert!(!look(&test.site, test.now()).await.unwrap(), "it has to last an hour");
        test.sources.pass(HOUR);
        // Two servers at once: it begins once.
        let other = test.reopened().await;
        let now = test.now();
        let (one, two) = tokio::join!(look(&test.site, now), look(&other, now));
        assert!(one.unwrap() ^ two.unwrap(), "one of them begins it");
        assert_eq!(having(&all).await, [1, 1, 1, 1, 0]);
        // Who is not active does not count.
        all[2].says(&test, &made, State::Failed).await;
        all[3].says(&test, &made, State::Failed).await;
        device_block(&test.full(), &test.site, ids[3], reason("lost"), None).await.unwrap();
        assert!(!look(&test.site, test.now()).await.unwrap());
        muster_site::device_unblock(&test.full(), &test.site, ids[3], reason("found"), None).await.unwrap();
        assert!(look(&test.site, test.now()).await.unwrap(), "two failures are one too many");
        let standing = deployment_standing(&test.analyst(), &test.site, made.id).await.unwrap();
        assert_eq!((standing.paused, standing.paused_by.as_deref()), (Some(test.now()), None));
        assert!(standing.reason.unwrap().contains("failed on 2 of 2"));
        let skip = deployment_phase_begin(&test.full(), &test.site, made.id, PhaseBegin { phase: 3 }).await;
        assert_eq!(skip.unwrap_err().code(), Code::Conflict, "it is paused");
        let open = alerts(&test, &test.site).await;
        assert_eq!((open.len(), open[0].kind, open[0].devices), (1, AlertKind::PhaseStopped, 2));
        // It goes on, and is not stopped for the same.
        deployment_resume(&test.full(), &test.site, made.id).await.unwrap();
        assert!(!look(&test.site, test.now()).await.unwrap());
        assert!(alerts(&test, &test.site).await.is_empty(), "it is so no longer");
        let closed = alert_show(&test.analyst(), &test.site, open[0].id).await.unwrap();
        assert_eq!((closed.state, closed.closed), (AlertState::Closed, Some(test.now())));
        for (number, code) in [(2, Code::Conflict), (4, Code::Conflict)] {
            let refused = deployment_phase_begin(&test.full(), &test.site, made.id, PhaseBegin { phase: number }).await;
            assert_eq!(refused.unwrap_err().code(), code);
        }
        let retried = DeploymentRetry { device: None, phase: Some(1) };
        assert_eq!(deployment_retry(&test.full(), &test.site, made.id, retried).await.unwrap().devices, 0);
        let standing =
            deployment_phase_begin(&test.full(), &test.site, made.id, PhaseBegin { phase: 3 }).await.unwrap();
        assert_eq!(standing.phases[2].begun_by.as_deref(), Some(test.admin.name.as_str()));
        assert_eq!(standing.phases[1].begun_by.as_deref(), Some("site"));
        assert_eq!(having(&all).await, [1, 1, 1, 1, 1]);
        // Who comes later is in a phase too.
        all.push(Speaker::new(&test, "f").await);
        assert_eq!(having(&all).await, [1, 1, 1, 1, 1, 1]);
        sums(&test, made.id).await;
    }
}

// proves S13: what never fits is an alert with its devices, for as long as it is so.
#[tokio::test]
async fn an_alert_opens_is_seen_and_closes_by_itself() {
    for test in TestSite::all().await {
        let (a, _b) = (test.enrol("a").await, test.enrol("b").await);
        let tills = make(&test, "Tills", CollectionId::ALL_SYSTEMS, direct(&[a.id])).await;
        evaluate(&test).await;
        let hash = application(&test).await;
        deployment_create(&test.full(), &test.site, &create(hash, Target::AllSystems)).await.unwrap();
        assert!(alerts(&test, &test.site).await.is_empty());
        let window = MaintenanceWindow {
            name: "short".parse().unwrap(),
            kind: WindowKind::General,
            start: WallTime::of_utc(test.now()),
            every: Recurrence::Interval { days: 1, hours: 0, minutes: 0 },
            minutes: 5,
            utc: true,
        };
        let made = collection_window_add(&test.full(), &test.site, tills, &window).await.unwrap();
        let open = alerts(&test, &test.site).await;
        assert_eq!((open.len(), open[0].kind, open[0].state), (1, AlertKind::NeverFits, AlertState::Open), "{open:?}");
        let devices = alert_devices(&test.analyst(), &test.site, open[0].id, PAGE).await.unwrap();
        assert_eq!(devices.items.iter().map(|row| row.device).collect::<Vec<_>>(), [a.id]);
        assert_eq!(alerts(&test, &test.reopened().await).await.len(), 1, "another server finds the same one");
        let forbidden = alert_acknowledge(&test.analyst(), &test.site, open[0].id).await.unwrap_err();
        assert_eq!(forbidden.code(), Code::Forbidden);
        alert_acknowledge(&test.full(), &test.site, open[0].id).await.unwrap();
        assert!(alert_acknowledge(&test.full(), &test.site, open[0].id).await.is_err());
        assert_eq!(alerts(&test, &test.site).await[0].state, AlertState::Acknowledged, "and stays so");
        collection_window_delete(&test.full(), &test.site, tills, made.id).await.unwrap();
        assert!(alerts(&test, &test.site).await.is_empty());
        // A day after the deadline nobody is done.
        test.sources.pass(DAY + MINUTE);
        let late = alerts(&test, &test.site).await;
        assert_eq!((late.len(), late[0].kind, late[0].devices), (1, AlertKind::DeadlineMissed, 2));
        let all = AlertQuery { all: true, limit: 50, ..AlertQuery::default() };
        assert_eq!(alert_list(&test.analyst(), &test.site, all).await.unwrap().total, 2, "what is over is kept");
    }
}

// The sum of the parts is the whole after every step, in whatever order devices speak, come, go, and administrators act.
#[tokio::test]
async fn totals_are_the_parts_whatever_happens_in_whatever_order() {
    for (at, test) in TestSite::all().await.into_iter().enumerate() {
        let mut all = Vec::new();
        for name in ["a", "b", "c", "d"] {
            all.push(Speaker::new(&test, name).await);
        }
        let ids: Vec<DeviceId> = all.iter().map(|speaker| speaker.device.id).collect();
        let some = make(&test, "Some", CollectionId::ALL_SYSTEMS, direct(&ids[..1])).await;
        evaluate(&test).await;
        let hash = application(&test).await;
        let phases = vec![
            Phase { after_hours: 0, at_least: 1, ..phase("Half", PhaseReach::Percent { percent: 50 }) },
            phase("Rest", PhaseReach::Rest),
        ];
        let wanted =
            PhasedDeploymentCreate { deployment: create(hash, Target::Collection { collection: some }), phases };
        let made = deployment_create_phased(&test.full(), &test.site, &wanted).await.unwrap();
        // Another order for each database and each change of this file, and the same one each time.
        let mut random = 0x5eed_u64 + at as u64;
        let mut draw = |below: u64| {
            random = random.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            (random >> 33) % below
        };
        for _ in 0..40 {
            let who = usize::try_from(draw(4)).unwrap();
            let (full, site) = (test.full(), &test.site);
            match draw(9) {
                0 => {
                    let rule = RuleSpec::Direct { device: ids[who] };
                    let _ = collection_rule_add(&full, site, some, &rule).await;
                    evaluate(&test).await;
                }
                1 => {
                    let rules = collection_show(&full, site, some).await.unwrap().rules;
                    if let Some(rule) = rules.get(who) {
                        collection_rule_remove(&full, site, some, rule.id).await.unwrap();
                        evaluate(&test).await;
                    }
                }
                2 => drop(deployment_pause(&full, site, made.id, reason("stop")).await),
                3 => drop(deployment_resume(&full, site, made.id).await),
                4 => drop(deployment_retry(&full, site, made.id, DeploymentRetry::default()).await),
                5 => drop(look(site, test.now()).await.unwrap()),
                _ => {
                    let state = State::ALL[usize::try_from(1 + draw(6)).unwrap()];
                    all[who].says(&test, &made, state).await;
                }
            }
            work(&test).await;
            sums(&test, made.id).await;
            let standing = deployment_standing(&test.analyst(), &test.site, made.id).await.unwrap();
            let count = |state: State| -> u64 {
                standing.phases.iter().filter_map(|phase| phase.totals.get(state.as_str())).sum()
            };
            let phased: u64 = standing.phases.iter().map(|phase| phase.totals.values().sum::<u64>()).sum();
            let over = count(State::Succeeded) + count(State::RequirementsNotMet) + count(State::Failed);
            assert_eq!(standing.not_begun + standing.begun + over, phased, "{standing:?}");
            // Who left is not tried again.
            assert!(standing.failed <= count(State::Failed), "{standing:?}");
        }
    }
}
