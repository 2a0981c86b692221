//! Sample data of phases, of what happened to a deployment on a device, and of alerts.

use super::{
    alert::{AlertPage, AlertsPage},
    deployment::DeploymentPage,
    deployment_control::DeploymentHistoryPage,
    sample::{Flavour, NOW, ago, uuid},
    sample_collection,
    status_rule::StatusRulesPage,
};
use askama::Template;
use muster_model::{
    api::{
        ActionState, Alert, AlertDevice, AlertKind, AlertQuery, AlertState, DeploymentAct, DeploymentEvent,
        DeploymentRival, DeploymentStanding, PageQuery, Phase, PhaseReach, PhaseStanding, RivalKind, StatusAction,
        StatusHour, StatusRule, StatusRuleInfo, StatusTarget, TargetKind,
    },
    id::{AlertId, DeploymentId, DeviceId, StatusActionId, StatusRuleId},
    status::{Component, DeploymentState, FailureReason, Severity, WaitReason},
    time::HOUR,
};

fn phase(f: Flavour, number: u32, reach: PhaseReach, totals: &[(&str, u64)]) -> PhaseStanding {
    PhaseStanding {
        number,
        phase: Phase {
            name: f.name(&format!("Phase {number}")),
            reach,
            success_percent: 95,
            at_least: 5,
            after_hours: 24,
            stop_percent: Some(10),
            stop_count: None,
            manual: false,
        },
        begun: (number < 3).then(|| ago(i64::from(4 - number) * 24 * HOUR)),
        begun_by: (number < 3).then(|| f.text("amelia")),
        totals: totals.iter().map(|(state, count)| ((*state).to_owned(), *count)).collect(),
        says: f.text("It goes on: 90 of 120 device(s) succeeded, 95 % are wanted."),
    }
}

fn standing(f: Flavour) -> DeploymentStanding {
    DeploymentStanding {
        paused: Some(ago(HOUR)),
        paused_by: (f == Flavour::Hostile).then(|| f.text("")),
        reason: Some(f.text("Phase 2: it failed on 13 of 120 device(s).")),
        cancelled: None,
        not_begun: 1_100,
        begun: 4,
        failed: 13,
        phases: vec![
            phase(f, 1, PhaseReach::Percent { percent: 1 }, &[("succeeded", 12)]),
            phase(f, 2, PhaseReach::Percent { percent: 10 }, &[("succeeded", 90), ("failed", 13), ("waiting", 17)]),
            phase(f, 3, PhaseReach::Rest, &[("targeted", 1_104)]),
        ],
    }
}

pub(super) fn rivals(f: Flavour) -> Vec<DeploymentRival> {
    let rival = |number, kind| DeploymentRival {
        deployment: DeploymentId(uuid(number)),
        name: f.text("nginx 1.27 for web servers"),
        kind,
        devices: number - 400,
        example: f.text("web-01"),
    };
    vec![rival(401, RivalKind::Version), rival(412, RivalKind::Opposed)]
}

fn events(f: Flavour) -> Vec<DeploymentEvent> {
    let event = |hours: i64, state| DeploymentEvent {
        happened: ago(hours * HOUR),
        received: ago(hours * HOUR - 1_000),
        state: Some(state),
        act: None,
        by: None,
        reason: None,
        exit_code: None,
        waits: None,
        starts: None,
        output: String::new(),
        attempt: u32::from(hours < 3),
    };
    let act = |hours, act, by: Option<&str>| DeploymentEvent {
        state: None,
        act: Some(act),
        by: by.map(|by| f.text(by)),
        ..event(hours, DeploymentState::Targeted)
    };
    vec![
        event(1, DeploymentState::Succeeded),
        event(2, DeploymentState::Targeted),
        act(2, DeploymentAct::Retry, Some("amelia")),
        DeploymentEvent { output: f.text("it failed on 2 of 2 device(s)"), ..act(4, DeploymentAct::Pause, None) },
        DeploymentEvent {
            reason: Some(FailureReason::ExitCode),
            exit_code: Some(7),
            output: f.text("no space left on device"),
            ..event(5, DeploymentState::Failed)
        },
        DeploymentEvent {
            waits: Some(WaitReason::Window),
            starts: Some(ago(6 * HOUR)),
            ..event(9, DeploymentState::Waiting)
        },
    ]
}

fn alert(f: Flavour, number: u64, kind: AlertKind, state: AlertState) -> Alert {
    let seen = state != AlertState::Open;
    Alert {
        id: AlertId(uuid(number)),
        kind,
        subject: uuid(300).to_string(),
        state,
        severity: if kind == AlertKind::PhaseStopped { Severity::Error } else { Severity::Warning },
        text: f.text("The deployment nginx 1.26.3 fits no maintenance window of 17 device(s)."),
        devices: 17,
        opened: ago(5 * HOUR),
        changed: ago(HOUR),
        acknowledged: seen.then(|| ago(3 * HOUR)),
        acknowledged_by: seen.then(|| f.text("amelia")),
        closed: (state == AlertState::Closed).then_some(NOW),
        closed_by: None,
        postponed: None,
    }
}

fn status_rules(f: Flavour) -> Vec<StatusRuleInfo> {
    let rule = StatusRule {
        name: "Errors".parse().unwrap(),
        enabled: true,
        component: None,
        message: None,
        severity: Some(Severity::Error),
        kind: None,
        device: None,
        collection: None,
        text: Some(f.text("denied")),
        value: None,
        keep_days: None,
        discard: false,
        alert: true,
        targets: vec!["siem".parse().unwrap()],
        stop: false,
        per_hour: 60,
    };
    let info = |place: u64, enabled| StatusRuleInfo {
        id: StatusRuleId(uuid(700 + place)),
        place,
        rule: StatusRule { enabled, ..rule.clone() },
        created: ago(HOUR),
        created_by: "amelia".parse().unwrap(),
        matched: 812,
        fired: 60,
        dropped: 752,
        last: Some(NOW),
    };
    if f == Flavour::Empty { vec![] } else { vec![info(1, true), info(2, false)] }
}

fn status_targets(f: Flavour) -> Vec<StatusTarget> {
    let target = |name: &str, kind, problem| StatusTarget { name: name.parse().unwrap(), kind, problem };
    if f == Flavour::Empty {
        return vec![];
    }
    vec![target("siem", Some(TargetKind::Webhook), None), target("desk", None, Some(f.text("to names nobody")))]
}

fn status_actions(f: Flavour) -> Vec<StatusAction> {
    let action = StatusAction {
        id: StatusActionId(uuid(720)),
        name: f.text("Errors"),
        target: "siem".parse().unwrap(),
        state: ActionState::Failed,
        created: ago(HOUR),
        tries: 12,
        due: NOW,
        ended: Some(NOW),
        outcome: f.text("the server cannot be reached"),
        device: None,
        text: f.text("A policy was refused: signature."),
    };
    if f == Flavour::Empty { vec![] } else { vec![action] }
}

fn status_hours(f: Flavour) -> Vec<StatusHour> {
    let hour = |ago_hours: i64, information, warning, error| StatusHour {
        hour: ago(ago_hours * HOUR),
        component: Component::Policy,
        information,
        warning,
        error,
    };
    if f == Flavour::Empty { vec![] } else { vec![hour(20, 500, 2, 0), hour(3, 80, 40, 12), hour(0, 9, 0, 1)] }
}

/// Each page with its name.
pub(super) fn pages(f: Flavour) -> Vec<(&'static str, String)> {
    let first = PageQuery { offset: 0, limit: 50 };
    let shell = || f.shell("deployments");
    let page = |name: &'static str, html: askama::Result<String>| (name, html.unwrap_or_default());
    let deployment = || f.deployments().remove(0);
    let of_device = (DeviceId(uuid(14)), f.text("web-01"));
    let some = |rows: Vec<DeploymentEvent>| if f == Flavour::Empty { vec![] } else { rows };
    let alerts = if f == Flavour::Empty {
        vec![]
    } else {
        vec![
            alert(f, 500, AlertKind::PhaseStopped, AlertState::Open),
            alert(f, 501, AlertKind::NeverFits, AlertState::Acknowledged),
            alert(f, 502, AlertKind::DeadlineMissed, AlertState::Closed),
        ]
    };
    let named = vec![AlertDevice { device: DeviceId(uuid(14)), name: f.text("web-01") }];
    let show = |state| {
        AlertPage::new(f.shell("alerts"), alert(f, 500, AlertKind::NeverFits, state), first, f.page(named.clone(), 17))
    };
    let list = |all| {
        let wanted = AlertQuery { all, offset: 0, limit: 50 };
        AlertsPage::new(f.shell("alerts"), wanted, f.page(alerts.clone(), 3))
    };
    let phased = DeploymentPage::new(
        shell(),
        deployment(),
        None,
        first,
        f.page(f.device_deployments(), 1_236),
        sample_collection::forecast(f),
    );
    let rules = StatusRulesPage::new(
        f.shell("messages"),
        first,
        f.page(status_rules(f), 2),
        (status_targets(f), status_actions(f)),
        (&status_hours(f), NOW),
        (f == Flavour::Hostile).then(|| f.text("The name does not do.")),
    );
    vec![
        page("status-rules", rules.render()),
        page("deployment-phases", phased.standing(standing(f), rivals(f)).render()),
        page(
            "deployment-history",
            DeploymentHistoryPage::new(
                shell(),
                deployment(),
                of_device,
                Some(DeploymentState::Failed),
                first,
                f.page(some(events(f)), 6),
            )
            .render(),
        ),
        page("alerts", list(false).render()),
        page("alerts-all", list(true).render()),
        page("alert", show(AlertState::Open).render()),
        page("alert-closed", show(AlertState::Closed).render()),
    ]
}

#[test]
fn try_again_stands_where_there_is_something_to_try_again() {
    let f = Flavour::Plain;
    let first = PageQuery { offset: 0, limit: 50 };
    for (state, offered) in [
        (Some(DeploymentState::Failed), true),
        (Some(DeploymentState::RequirementsNotMet), true),
        (Some(DeploymentState::Succeeded), false),
        (Some(DeploymentState::Waiting), false),
        (None, false),
    ] {
        let of_device = (DeviceId(uuid(14)), "web-01".to_owned());
        let deployment = f.deployments().remove(0);
        let page = DeploymentHistoryPage::new(
            f.shell("deployments"),
            deployment,
            of_device,
            state,
            first,
            f.page(events(f), 6),
        );
        let html = page.render().unwrap();
        assert_eq!(html.contains("/retry"), offered, "{state:?}");
        assert!(html.contains("tried again") && html.contains("by <bdi>amelia</bdi>") && html.contains("by the site"));
    }
}
