//! What maintenance windows come to for a deployment, before it is made and after.

use crate::{
    client::{Outbox, full, inventory, row},
    collection::{direct, make, work as evaluate},
    deployment::application,
};
use muster_model::{
    api::{DeploymentCreate, Forecast, PageQuery, Target},
    id::{CollectionId, DeviceId},
    inventory::Value,
    problem::Code,
    report::{Body, Channel},
    schedule::Recurrence,
    status::{DeploymentReport, DeploymentState},
    time::{DAY, HOUR, UnixMillis},
    window::{MaintenanceWindow, WallTime, WindowKind},
};
use muster_site::{
    collection_window_add, collection_window_delete, deployment_create, deployment_forecast, deployment_list,
    deployment_preview, testing::TestSite,
};

const ALL: CollectionId = CollectionId::ALL_SYSTEMS;

fn window(start: UnixMillis, minutes: u32, utc: bool) -> MaintenanceWindow {
    MaintenanceWindow {
        name: format!("{minutes}").parse().unwrap(),
        kind: WindowKind::General,
        start: WallTime::of_utc(start),
        every: Recurrence::Interval { days: 1, hours: 0, minutes: 0 },
        minutes,
        utc,
    }
}

/// Moments with how many devices begin then, and whether those are moments of their own clocks.
fn groups(forecast: &Forecast) -> Vec<(UnixMillis, bool, u64)> {
    forecast.groups.iter().map(|group| (group.starts, group.own_clock, group.devices)).collect()
}

// proves S13: what fits no window is said with its devices before it is saved, and follows every change afterwards.
#[tokio::test]
async fn what_never_fits_is_said_before_and_after() {
    for test in TestSite::all().await {
        let mut devices = Vec::new();
        for name in ["a", "b", "c", "d"] {
            devices.push(test.enrol(name).await);
        }
        let ids: Vec<DeviceId> = devices.iter().map(|device| device.id).collect();
        let tills = make(&test, "Tills", ALL, direct(&ids[..2])).await;
        let short = make(&test, "Short", ALL, direct(&ids[1..3])).await;
        evaluate(&test).await;
        let noon = WallTime::of_utc(test.now()).as_utc();
        let add = async |id, window: MaintenanceWindow| {
            collection_window_add(&test.full(), &test.site, id, &window).await.unwrap()
        };
        add(tills, window(noon.plus(3 * HOUR), 60, true)).await;
        let five = add(short, window(noon.plus(2 * HOUR), 5, false)).await;

        // The application of these tests may run for a minute.
        let application = application(&test).await;
        let create = DeploymentCreate {
            name: None,
            application,
            target: Target::AllSystems,
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
        };
        let preview =
            async |create: &DeploymentCreate| deployment_preview(&test.analyst(), &test.site, create).await.unwrap();
        let seen = preview(&create).await;
        let said = &seen.forecast;
        assert_eq!((said.devices, said.free, said.never, said.later), (4, 1, 1, 0), "{said:?}");
        assert_eq!(said.never_devices.iter().map(|device| device.id).collect::<Vec<_>>(), [ids[2]]);
        // Both have the window in UTC; the one with a local one too does not know its own time zone.
        assert_eq!(groups(said), [(noon.plus(3 * HOUR), false, 1), (noon.plus(3 * HOUR), true, 1)]);
        assert!(seen.warnings.iter().any(|text| text.contains("never start on 1 device(s)") && text.contains(": c.")));
        let later = DeploymentCreate { deadline: Some(test.now().plus(DAY)), ..create.clone() };
        assert_eq!(preview(&later).await.forecast.groups[0].starts, noon.plus(DAY + 3 * HOUR), "after the deadline");
        let outside = DeploymentCreate { outside_windows: true, ..create.clone() };
        let outside = preview(&outside).await;
        assert_eq!((outside.forecast.free, outside.forecast.never), (4, 0));
        assert!(outside.warnings.iter().any(|text| text.contains("does not wait for maintenance windows")));
        let page = PageQuery { offset: 0, limit: 1 };
        assert_eq!(deployment_list(&test.analyst(), &test.site, page).await.unwrap().total, 0, "nothing was done");

        let made = deployment_create(&test.full(), &test.site, &create).await.unwrap();
        let forecast = async || deployment_forecast(&test.analyst(), &test.site, made.id).await.unwrap();
        assert_eq!(&forecast().await, said);
        collection_window_delete(&test.full(), &test.site, short, five.id).await.unwrap();
        let after = forecast().await;
        assert_eq!((after.free, after.never), (2, 0));
        assert_eq!(groups(&after), [(noon.plus(3 * HOUR), false, 2)]);
        // Where the clock of a device stands is known from its inventory; else the moment is one of its own clock.
        let local = make(&test, "Local", ALL, direct(&ids[3..])).await;
        evaluate(&test).await;
        add(local, window(noon.plus(5 * HOUR), 60, false)).await;
        let two = (noon.plus(3 * HOUR), false, 2);
        assert_eq!(groups(&forecast().await), [two, (noon.plus(5 * HOUR), true, 1)]);
        let system = row(&[("Name", Value::Text("Linux".to_owned())), ("CurrentTimeZone", Value::Int(-60))]);
        let mut outbox = Outbox::new(Channel::Inventory);
        outbox.push(inventory(vec![full("OPERATING_SYSTEM", &[system])]));
        outbox.send(&test, &devices[3]).await.unwrap();
        assert_eq!(groups(&forecast().await), [two, (noon.plus(6 * HOUR), false, 1)], "an hour behind UTC");

        let mut outbox = Outbox::new(Channel::Status);
        outbox.push(Body::Deployment(DeploymentReport {
            deployment: made.id,
            application,
            state: DeploymentState::Installing,
            reason: None,
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
        outbox.send(&test, &devices[0]).await.unwrap();
        assert_eq!(forecast().await.devices, 3, "what has begun waits for no window");
        let refused = deployment_forecast(&test.anonymous(), &test.site, made.id).await.unwrap_err();
        assert_eq!(refused.code(), Code::Unauthenticated);
    }
}
