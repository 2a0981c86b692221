//! Sample data of collections.

use super::sample::{Flavour, NOW};
use muster_model::{
    api::{
        Collection, CollectionDeployment, CollectionDetail, CollectionEdge, CollectionExplained, CollectionImported,
        CollectionKind, CollectionLeft, CollectionMember, CollectionReason, CollectionRelation, CollectionRule,
        CollectionTaken, CollectionWindow, DeviceState, Forecast, ForecastDevice, ForecastGroup, ResourceKind,
        RuleSpec,
    },
    id::{CollectionId, DeploymentId, DeviceId, ResourceId, WindowId},
    schedule::Recurrence,
    time::{DAY, HOUR},
    window::{MaintenanceWindow, WindowKind},
};
use std::collections::BTreeMap;
use uuid::Uuid;

fn id(text: &str) -> CollectionId {
    text.parse().unwrap()
}

fn collection(f: Flavour, number: &str, label: &str, built_in: bool) -> Collection {
    Collection {
        id: id(number),
        name: f.name(label),
        comment: f.text("Machines of the laboratories"),
        kind: CollectionKind::Device,
        limiting: (number != "SMS00001").then_some(CollectionId::ALL_SYSTEMS),
        built_in,
        protected: built_in,
        incremental: true,
        schedule: vec![],
        members: if f == Flavour::Empty { 0 } else { 1_482 },
        rules: 4,
        members_changed: Some(NOW.plus(-HOUR)),
        evaluated: (f != Flavour::Empty).then_some(NOW.plus(-HOUR)),
        evaluation_took: 45,
        evaluation_error: (f == Flavour::Hostile).then(|| f.text("Rule 7 cannot be asked.")),
        pending: f == Flavour::Empty,
        next_evaluation: Some(NOW.plus(DAY)),
        changed: NOW.plus(-DAY),
        changed_by: f.text("amelia"),
        revision: 3,
    }
}

pub(super) fn collections(f: Flavour) -> Vec<Collection> {
    vec![
        collection(f, "SMS00001", "All Systems", true),
        collection(f, "P0100001", "Laboratories", false),
        collection(f, "P0100002", "Laboratories without servers", false),
    ]
}

pub(super) fn detail(f: Flavour, built_in: bool) -> CollectionDetail {
    let number = if built_in { "SMS00001" } else { "P0100001" };
    let edge = |dependent: &str, source: &str, relation| CollectionEdge {
        dependent: id(dependent),
        dependent_name: f.name(dependent),
        source: id(source),
        source_name: f.name(source),
        relation,
    };
    let rules = [
        RuleSpec::Direct { device: DeviceId(Uuid::from_u128(14)) },
        RuleSpec::Query { name: f.name("Debian"), query: f.text("select * from SMS_R_System") },
        RuleSpec::Include { collection: id("P0100004") },
        RuleSpec::Exclude { collection: id("P0100005") },
    ];
    let rule = |(at, rule): (usize, RuleSpec)| {
        let is_query = matches!(rule, RuleSpec::Query { .. });
        let answered = if is_query { f.text("SQL, because it counts") } else { String::new() };
        CollectionRule { id: at as u64 + 1, rule, label: f.text("web-01"), answered }
    };
    let empty = f == Flavour::Empty;
    CollectionDetail {
        collection: collection(f, number, "Laboratories", built_in),
        rules: if empty { vec![] } else { rules.into_iter().enumerate().map(rule).collect() },
        graph: vec![
            edge("P0100001", "SMS00001", CollectionRelation::Limiting),
            edge("P0100001", "P0100004", CollectionRelation::Include),
            edge("P0100001", "P0100005", CollectionRelation::Exclude),
            edge("P0100002", "P0100001", CollectionRelation::Limiting),
        ],
        deployments: if empty {
            vec![]
        } else {
            vec![CollectionDeployment { id: DeploymentId(Uuid::from_u128(300)), name: f.name("nginx 1.26.3") }]
        },
    }
}

pub(super) fn members(f: Flavour) -> Vec<CollectionMember> {
    let member = |number: u128| CollectionMember {
        kind: ResourceKind::System,
        device: (number != 4).then(|| DeviceId(Uuid::from_u128(number))),
        resource_id: 16_777_216 + i64::try_from(number).unwrap(),
        name: f.text("web-01"),
        state: (number != 4).then_some(if number == 2 { DeviceState::Blocked } else { DeviceState::Active }),
    };
    if f == Flavour::Empty { vec![] } else { (1..5).map(member).collect() }
}

pub(super) fn explained(f: Flavour) -> CollectionExplained {
    let reason = |rule, holds, text: &str| CollectionReason {
        rule,
        collection: None,
        holds,
        text: f.text(text),
        row: BTreeMap::from([(f.text("Name"), f.text("nginx"))]),
    };
    CollectionExplained {
        collection: id("P0100001"),
        collection_name: f.name("Laboratories"),
        device: Some(DeviceId(Uuid::from_u128(14))),
        resource: ResourceId(16_777_217),
        device_name: f.text("web-01"),
        member: f != Flavour::Empty,
        stored: true,
        reasons: vec![
            reason(Some(1), true, "The query Debian gives it."),
            reason(None, false, "The limiting collection does not have it."),
        ],
    }
}

pub(super) fn imported(f: Flavour) -> CollectionImported {
    let empty = f == Flavour::Empty;
    let taken = CollectionTaken { name: f.text("Laboratories"), was: f.text("LAB0001C"), id: id("P0100001"), rules: 3 };
    let why = f.text("There is a collection Laboratories already.");
    let left = CollectionLeft { line: 12, column: 1, collection: f.text("Laboratories"), why };
    CollectionImported {
        what_if: false,
        taken: if empty { vec![] } else { vec![taken] },
        left: if empty { vec![] } else { vec![left] },
    }
}

/// Its maintenance windows.
pub(super) fn windows(f: Flavour) -> Vec<CollectionWindow> {
    let one = |number: u128, name: &str, every: Recurrence, kind, next: Option<&str>| {
        let start = "2026-11-01T01:00".parse().unwrap();
        let window = MaintenanceWindow { name: f.name(name), kind, start, every, minutes: 180, utc: number == 2 };
        CollectionWindow {
            id: WindowId(Uuid::from_u128(number + 900)),
            collection: id("P0100001"),
            sentence: window.to_string(),
            window,
            next: next.map(|next| next.parse().unwrap()),
            changed: NOW.plus(-3 * HOUR),
            changed_by: f.text("amelia"),
            revision: 1,
        }
    };
    vec![
        one(1, "Sunday night", Recurrence::Weekly { day: 1, weeks: 1 }, WindowKind::General, Some("2026-11-29T01:00")),
        one(2, "Moving day", Recurrence::Once, WindowKind::Updates, None),
    ]
}

/// When devices can begin.
pub(super) fn forecast(f: Flavour) -> Forecast {
    let group = |starts, own_clock, devices| ForecastGroup {
        starts: NOW.plus(starts),
        own_clock,
        devices,
        examples: vec![f.text("web-01"), f.text("kiosk-lobby")],
    };
    Forecast {
        devices: 1_236,
        free: 200,
        groups: vec![group(5 * HOUR, false, 2), group(9 * HOUR, true, 1_000)],
        later: 33,
        never: 1,
        never_devices: vec![ForecastDevice { id: DeviceId(Uuid::from_u128(1)), name: f.text("till-07") }],
    }
}
