//! What is printed of deployments.

use super::*;
use muster_model::api::{DeploymentRival, RivalKind};
use muster_model::{
    api::{ForecastDevice, ForecastGroup},
    id::Hash,
};
use std::collections::BTreeMap;

fn deployment(totals: &[(&str, u64)]) -> Deployment {
    Deployment {
        id: "0192f0c1-7a3b-7c4d-8e5f-0123456789ab".parse().unwrap(),
        name: "Hello 1.0".parse().unwrap(),
        application: Hash([1; 32]),
        application_id: "0192f0c1-7a3b-7c4d-8e5f-0123456789ac".parse().unwrap(),
        application_name: "Hello".to_owned(),
        application_version: "1.0".to_owned(),
        target: Target::AllSystems,
        high_impact: false,
        outside_windows: false,
        volatile: false,
        software_update: false,
        options: muster_model::program::DeploymentOptions::default(),
        deferral: None,
        action: Action::Install,
        purpose: Purpose::Required,
        related: Vec::new(),
        available: UnixMillis(0),
        deadline: UnixMillis(0),
        created: UnixMillis(0),
        created_by: "Ada".parse().unwrap(),
        totals: totals.iter().map(|(state, count)| ((*state).to_owned(), *count)).collect::<BTreeMap<_, _>>(),
        deleted: false,
    }
}

#[test]
fn a_deployment_is_over_when_every_device_has_ended() {
    for (totals, over, text) in [
        (&[][..], false, "no devices"),
        (&[("targeted", 1)], false, "1 targeted"),
        (&[("succeeded", 2), ("installing", 1), ("failed", 0)], false, "1 installing, 2 succeeded"),
        (&[("succeeded", 2), ("failed", 1)], true, "2 succeeded, 1 failed"),
    ] {
        assert_eq!(counted(&deployment(totals)), text);
        assert_eq!(Progress::of(deployment(totals)).is_over(), over, "{totals:?}");
    }
}

#[test]
fn a_preview_says_who_and_what_to_think_about() {
    let preview = DeploymentPreview {
        devices: 3,
        examples: vec!["a".to_owned(), "b\u{202e}".to_owned()],
        content_size: 1024,
        forecast: Forecast { devices: 3, free: 3, groups: vec![], later: 0, never: 0, never_devices: vec![] },
        related: Vec::new(),
        types: Vec::new(),
        rivals: vec![DeploymentRival {
            deployment: "0192f0c1-7a3b-7c4d-8e5f-0123456789ab".parse().unwrap(),
            name: "Other\u{202e}".to_owned(),
            kind: RivalKind::Version,
            devices: 2,
            example: "a".to_owned(),
        }],
        warnings: vec!["One of them is off.".to_owned()],
    };
    assert_eq!(
        previewed(&preview),
        "3 devices get it: a, b\u{fffd}, …. Each fetches 1.00 KiB.\n! One of them is off.\n\
         ! Other\u{fffd} (0192f0c1-7a3b-7c4d-8e5f-0123456789ab) contradicts it on 2 device(s). Both install the same \
         application in different versions: the newer one stays once it is there.\n"
    );
    let group = |starts, own_clock, names: &[&str]| ForecastGroup {
        starts: UnixMillis(starts),
        own_clock,
        devices: 2,
        examples: names.iter().map(|name| (*name).to_owned()).collect(),
    };
    let id = "0192f0c1-7a3b-7c4d-8e5f-0123456789ab".parse().unwrap();
    let held = Forecast {
        devices: 7,
        free: 1,
        groups: vec![group(0, true, &["a", "b"])],
        later: 3,
        never: 1,
        never_devices: vec![ForecastDevice { id, name: "till-7".to_owned() }],
    };
    assert_eq!(
        foreseen(&held),
        "1 have no maintenance window and start at the deadline.\n2 can start at 1970-01-01T00:00 by their own clocks: a, b\n\
         3 can start later.\n1 can never start: till-7\n"
    );
}
