//! Devices that need a restart: counted, found by a query and a collection, and said on the device.

use crate::{
    client::{Outbox, full, inventory, row},
    collection::{make, members, work},
};
use muster_model::{
    api::{DeviceRestart, QueryRun, RuleSpec},
    id::CollectionId,
    inventory::{Row, Value},
    report::Channel,
    time::HOUR,
};
use muster_site::{dashboard_show, device_show, query_run, testing::TestSite};

/// The query of the guide.
const QUERY: &str = "select SMS_R_System.Name from SMS_R_System inner join SMS_G_System_MUSTER_PENDING_RESTART \
    on SMS_G_System_MUSTER_PENDING_RESTART.ResourceID = SMS_R_System.ResourceId \
    where SMS_G_System_MUSTER_PENDING_RESTART.Pending = 1";

fn told(pending: bool, programs: i64) -> Row {
    let mut told = row(&[("Pending", Value::Bool(pending)), ("Programs", Value::Int(programs))]);
    if pending {
        told.insert("Reasons".to_owned(), Value::Text("the package manager wants it".to_owned()));
        told.insert("ProgramNames".to_owned(), Value::Text("sshd".to_owned()));
    }
    told
}

#[tokio::test]
async fn devices_that_need_a_restart_are_counted_found_and_gathered() {
    for test in TestSite::all().await {
        let mut devices = Vec::new();
        for (name, rows) in [
            ("alpha", Some(told(true, 2))),
            ("beta", Some(told(false, 5))),
            ("gamma", Some(told(true, 2))),
            ("delta", None),
        ] {
            let device = test.enrol(name).await;
            let mut outbox = Outbox::new(Channel::Inventory);
            if let Some(row) = rows {
                outbox.push(inventory(vec![full("MUSTER_PENDING_RESTART", &[row])]));
                outbox.send(&test, &device).await.unwrap();
            }
            devices.push((device, outbox));
        }
        let rule = RuleSpec::Query { name: "restart".parse().unwrap(), query: QUERY.to_owned() };
        let collection = make(&test, "Restart", CollectionId::ALL_SYSTEMS, vec![rule]).await;
        work(&test).await;
        let both = |first: usize, second: usize| {
            let mut ids = vec![devices[first].0.id, devices[second].0.id];
            ids.sort_unstable();
            ids
        };
        let mut found = members(&test, collection).await;
        found.sort_unstable();
        assert_eq!(found, both(0, 2));
        let request = QueryRun { query: QUERY.to_owned(), limit: 10, utc_offset_minutes: 0 };
        assert_eq!(query_run(&test.analyst(), &test.site, request).await.unwrap().rows.len(), 2);
        let spread = dashboard_show(&test.analyst(), &test.site).await.unwrap().spread;
        assert_eq!(spread.restart_pending, 2);

        let shown = async |at: usize| device_show(&test.analyst(), &test.site, devices[at].0.id).await.unwrap().restart;
        let reasons = "the package manager wants it".to_owned();
        let wanted = DeviceRestart { pending: true, reasons, programs: Some(2), program_names: "sshd".to_owned() };
        assert_eq!(shown(0).await, Some(wanted));
        let restart = shown(1).await.unwrap();
        assert!(!restart.pending && restart.programs == Some(5) && restart.reasons.is_empty());
        assert_eq!(shown(3).await, None, "it said nothing");

        // One was restarted.
        let (device, outbox) = &mut devices[0];
        outbox.push(inventory(vec![full("MUSTER_PENDING_RESTART", &[told(false, 0)])]));
        outbox.send(&test, device).await.unwrap();
        test.sources.pass(HOUR);
        let spread = dashboard_show(&test.analyst(), &test.site).await.unwrap().spread;
        assert_eq!(spread.restart_pending, 1);
    }
}
