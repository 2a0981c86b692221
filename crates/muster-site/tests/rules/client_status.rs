//! Client status: signs of life, what clients say of themselves, and alerts of collections.

use crate::{
    client::{Outbox, full, inventory, package, status},
    collection::{direct, make, work as evaluate},
};
use muster_model::{
    api::{
        AlertKind, AlertQuery, ClientActivity, ClientCheck, ClientStatusQuery, ClientStatusSettings,
        ClientStatusThresholdSet,
    },
    health::{CheckOutcome, HealthCheck, HealthReport},
    id::CollectionId,
    problem::Code,
    report::{Body, Channel},
    status::{MessageId, Severity},
    time::{DAY, HOUR, MINUTE},
};
use muster_site::{
    ClientStatusWork, alert_list, assignment_show, client_status_list, client_status_settings_update,
    client_status_show, client_status_summary, client_status_threshold_set, client_status_work, collection_delete,
    device_live, device_seen_flush,
    testing::{TestDevice, TestSite},
};

fn health(outcome: CheckOutcome) -> Body {
    let check = |name: &str, outcome| HealthCheck {
        name: name.to_owned(),
        outcome,
        found: "It was found.".to_owned(),
        done: "It was done.".to_owned(),
    };
    let checks = vec![check("disk", CheckOutcome::Passed), check("of_a_newer_client", outcome)];
    Body::Health(HealthReport { remediates: true, checks })
}

async fn say(test: &TestSite, device: &TestDevice, outbox: &mut Outbox, body: Body) {
    outbox.push(body);
    let answer = outbox.send(test, device).await.unwrap();
    assert!(answer.quarantined.is_empty(), "{answer:?}");
}

/// Everything that is to be counted is.
async fn count(test: &TestSite) {
    let mut work = ClientStatusWork::default();
    device_seen_flush(&test.site).await.unwrap();
    while client_status_work(&test.site, &mut work, test.now()).await.unwrap() {}
}

async fn kinds(test: &TestSite) -> Vec<AlertKind> {
    let all = alert_list(&test.full(), &test.site, AlertQuery { limit: 50, ..AlertQuery::default() }).await.unwrap();
    all.items.iter().map(|alert| alert.kind).collect()
}

#[tokio::test]
async fn each_of_five_signs_makes_a_client_active_until_it_is_too_old() {
    for test in TestSite::all().await {
        let admin = test.full();
        let set = ClientStatusSettings {
            policy_request_days: 2,
            heartbeat_days: 3,
            inventory_days: 4,
            status_message_days: 5,
            live_channel_days: 6,
            check_days: 3,
        };
        client_status_settings_update(&admin, &test.site, set).await.unwrap();
        let mut devices = Vec::new();
        for name in ["policy", "heartbeat", "inventory", "status", "live", "silent"] {
            devices.push(test.enrol(name).await);
        }
        assignment_show(&test.device(&devices[0]), &test.site).await.unwrap();
        let claims = muster_site::testing::claims("heartbeat");
        say(&test, &devices[1], &mut Outbox::new(Channel::Status), Body::Heartbeat(claims)).await;
        say(
            &test,
            &devices[2],
            &mut Outbox::new(Channel::Inventory),
            inventory(vec![full("INSTALLED_SOFTWARE", &[package("a", "1")])]),
        )
        .await;
        let started = status(MessageId::AgentStarted, Severity::Information, &[]);
        say(&test, &devices[3], &mut Outbox::new(Channel::Status), started).await;
        device_live(&test.site, devices[4].id, test.now());
        device_seen_flush(&test.site).await.unwrap();
        let active = async || {
            let wanted = ClientStatusQuery { activity: Some(ClientActivity::Active), limit: 50, ..Default::default() };
            let page = client_status_list(&test.analyst(), &test.site, wanted).await.unwrap();
            page.items.into_iter().map(|one| one.name).collect::<Vec<_>>()
        };
        let mut left = vec!["heartbeat", "inventory", "live", "policy", "status"];
        assert_eq!(active().await, left);
        test.sources.pass(DAY + HOUR);
        for gone in ["policy", "heartbeat", "inventory", "status", "live"] {
            test.sources.pass(DAY);
            left.retain(|name| *name != gone);
            assert_eq!(active().await, left, "{gone}");
        }
        let summary = client_status_summary(&test.analyst(), &test.site, None).await.unwrap();
        assert_eq!((summary.counts.devices, summary.counts.active, summary.counts.unknown()), (6, 0, 6));
        let refused = client_status_settings_update(&test.analyst(), &test.site, set).await.unwrap_err();
        assert_eq!(refused.problem().code, Code::Forbidden);
        let never = ClientStatusSettings { check_days: 0, ..set };
        let refused = client_status_settings_update(&admin, &test.site, never).await.unwrap_err();
        assert_eq!(refused.problem().code, Code::Malformed);
    }
}

// proves P5
#[tokio::test]
async fn what_a_client_says_of_itself_counts_for_its_own_row_alone_and_grows_old() {
    for test in TestSite::all().await {
        let (liar, honest) = (test.enrol("liar").await, test.enrol("honest").await);
        let (mut of_liar, mut of_honest) = (Outbox::new(Channel::Status), Outbox::new(Channel::Status));
        say(&test, &honest, &mut of_honest, health(CheckOutcome::Failed)).await;
        say(&test, &liar, &mut of_liar, health(CheckOutcome::Remedied)).await;
        let show =
            async |device: &TestDevice| client_status_show(&test.analyst(), &test.site, device.id).await.unwrap();
        let (of, other) = (show(&honest).await, show(&liar).await);
        assert_eq!((of.status.check, of.status.failed, of.checks.len()), (ClientCheck::Failed, 1, 2));
        assert_eq!((other.status.check, other.status.remedied), (ClientCheck::Passed, 1));
        // Too much, or a message that is none, is put aside, and what was known stays.
        of_liar.push(Body::Health(HealthReport { remediates: true, checks: Vec::new() }));
        assert_eq!(of_liar.send(&test, &liar).await.unwrap().quarantined.len(), 1);
        assert_eq!(show(&liar).await.checks.len(), 2);
        test.sources.pass(3 * DAY + HOUR);
        assert_eq!(show(&honest).await.status.check, ClientCheck::Unknown);
        let failed = ClientStatusQuery { check: Some(ClientCheck::Failed), limit: 50, ..Default::default() };
        assert_eq!(client_status_list(&test.analyst(), &test.site, failed).await.unwrap().total, 0);
    }
}

#[tokio::test]
async fn too_few_of_a_collection_raise_alerts_that_end_by_themselves() {
    for test in TestSite::all().await {
        let (a, b) = (test.enrol("a").await, test.enrol("b").await);
        let kiosks = make(&test, "Kiosks", CollectionId::ALL_SYSTEMS, direct(&[a.id, b.id])).await;
        evaluate(&test).await;
        let admin = test.full();
        let set = ClientStatusThresholdSet { active_percent: Some(60), healthy_percent: Some(50) };
        let refused = client_status_threshold_set(&test.analyst(), &test.site, kiosks, set).await.unwrap_err();
        assert_eq!(refused.problem().code, Code::Forbidden);
        client_status_threshold_set(&admin, &test.site, kiosks, set).await.unwrap();
        let mut outbox = Outbox::new(Channel::Status);
        say(&test, &a, &mut outbox, health(CheckOutcome::Passed)).await;
        count(&test).await;
        assert_eq!(
            kinds(&test).await,
            [AlertKind::ClientsInactive],
            "half are active, and half are enough of healthy ones"
        );
        // The look at deployments leaves it alone.
        muster_site::alert_work(&test.site, &mut muster_site::AlertWork::default(), test.now()).await.unwrap();
        assert_eq!(kinds(&test).await.len(), 1);
        device_live(&test.site, b.id, test.now());
        count(&test).await;
        assert!(kinds(&test).await.is_empty(), "now all are");
        say(&test, &a, &mut outbox, health(CheckOutcome::Failed)).await;
        test.sources.pass(6 * MINUTE);
        count(&test).await;
        assert_eq!(kinds(&test).await, [AlertKind::ClientsUnhealthy]);
        client_status_threshold_set(&admin, &test.site, kiosks, ClientStatusThresholdSet::default()).await.unwrap();
        count(&test).await;
        assert!(kinds(&test).await.is_empty(), "a threshold that is gone alerts nobody");
    }
}

// proves P6
#[tokio::test]
async fn counts_are_kept_for_31_days_of_the_site_and_of_collections_with_a_threshold() {
    for test in TestSite::all().await {
        let device = test.enrol("a").await;
        let kiosks = make(&test, "Kiosks", CollectionId::ALL_SYSTEMS, direct(&[device.id])).await;
        evaluate(&test).await;
        let set = ClientStatusThresholdSet { active_percent: Some(1), healthy_percent: None };
        client_status_threshold_set(&test.full(), &test.site, kiosks, set).await.unwrap();
        for _ in 0..33 {
            device_live(&test.site, device.id, test.now());
            count(&test).await;
            test.sources.pass(DAY);
        }
        for of in [None, Some(kiosks)] {
            let summary = client_status_summary(&test.analyst(), &test.site, of).await.unwrap();
            // The day that has just begun is not counted yet.
            assert_eq!(summary.days.len(), 30);
            assert!(summary.days.windows(2).all(|two| two[1].day.since(two[0].day) == DAY));
            assert!(summary.days.iter().all(|day| (day.counts.devices, day.counts.active) == (1, 1)));
        }
        collection_delete(&test.full(), &test.site, kiosks, None).await.unwrap();
        count(&test).await;
        let gone = client_status_summary(&test.analyst(), &test.site, Some(kiosks)).await.unwrap_err();
        assert_eq!(gone.problem().code, Code::NotFound);
    }
}
