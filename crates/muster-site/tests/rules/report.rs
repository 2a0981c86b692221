//! Reports: every refusal with its code and unchanged state; what is malformed is put aside and the rest goes on.

use crate::{
    client::{Outbox, full, inventory, package, row, sealed, sealed_json, status},
    loop_story::deploy,
    reason,
};
use muster_model::{
    api::{MessageQuery, PageQuery, Target},
    id::{DeploymentId, Hash},
    inventory::Value,
    problem::Code,
    report::{Body, Channel},
    status::{DeploymentReport, DeploymentState, MessageId, Severity},
    time::DAY,
};
use muster_site::{
    SiteError, audit_list, deployment_show, device_block, device_timeline, inventory_show, message_list,
    quarantine_list, report_submit,
    testing::{TestDevice, TestSite},
};

const PAGE: PageQuery = PageQuery { offset: 0, limit: 500 };

/// What a report could change, counted.
async fn state(test: &TestSite, device: &TestDevice) -> [u64; 4] {
    let (ctx, site) = (test.full(), &test.site);
    [
        message_list(&ctx, site, &MessageQuery { limit: 1, ..Default::default() }).await.unwrap().total,
        quarantine_list(&ctx, site, PAGE).await.unwrap().total,
        device_timeline(&ctx, site, device.id, PAGE).await.unwrap().total,
        audit_list(&ctx, site, PAGE).await.unwrap().total,
    ]
}

/// Sends an envelope that must be refused, and nothing changes; that it was refused stands in the quarantine once.
async fn refused(test: &TestSite, device: &TestDevice, envelope: &[u8], code: Code) -> SiteError {
    let facts = |[messages, _, timeline, audit]: [u64; 4]| [messages, timeline, audit];
    let before = state(test, device).await;
    let error = report_submit(&test.device(device), &test.site, envelope).await.unwrap_err();
    assert_eq!(error.code(), code, "{error}");
    let after = state(test, device).await;
    assert_eq!(facts(after), facts(before), "{code}");
    assert!(after[1] <= before[1] + 1, "{code}");
    error
}

pub(crate) fn started() -> Body {
    status(MessageId::AgentStarted, Severity::Information, &[("version", "0.1.0")])
}

fn outbox(bodies: impl IntoIterator<Item = Body>) -> Outbox {
    let mut outbox = Outbox::new(Channel::Status);
    bodies.into_iter().for_each(|body| outbox.push(body));
    outbox
}

#[tokio::test]
async fn only_a_device_reports_and_only_with_its_own_key() {
    // proves I1: the sender is the connection's device; another key, or an altered byte, and nothing is taken.
    for test in TestSite::all().await {
        let (device, other) = (test.enrol("alpha").await, test.enrol("beta").await);
        let envelope = sealed(&device, &outbox([started()]).batch(1));
        for ctx in [test.anonymous(), test.full(), test.analyst()] {
            let error = report_submit(&ctx, &test.site, &envelope).await.unwrap_err();
            assert_eq!(error.code(), Code::Unauthenticated);
        }
        refused(&test, &other, &envelope, Code::SignatureInvalid).await;
        for at in (0..envelope.len()).step_by(7) {
            let mut altered = envelope.clone();
            altered[at] ^= 0x20;
            let error = report_submit(&test.device(&device), &test.site, &altered).await.unwrap_err();
            assert!(matches!(error.code(), Code::SignatureInvalid | Code::Malformed), "{at}: {error}");
        }
        refused(&test, &device, &envelope[..envelope.len() - 1], Code::Malformed).await;
        refused(&test, &device, b"", Code::Malformed).await;
        let answer = report_submit(&test.device(&device), &test.site, &envelope).await.unwrap();
        assert_eq!(answer.acknowledged, 1);
    }
}

#[tokio::test]
async fn every_limit_holds_at_its_edge() {
    // proves S1: oversize bodies, too many messages and decompression bombs are refused before anything is read of them.
    let test = TestSite::new().await;
    let device = test.enrol("alpha").await;
    let limits = &test.site.limits;
    refused(&test, &device, &vec![0; limits.report_bytes + 1], Code::TooLarge).await;
    refused(&test, &device, &vec![0; limits.report_bytes], Code::Malformed).await;

    let bomb = sealed_json(&device, &vec![b' '; limits.report_decoded_bytes + 1]);
    assert!(bomb.len() < 10_000, "a small envelope: {}", bomb.len());
    refused(&test, &device, &bomb, Code::TooLarge).await;
    refused(&test, &device, &sealed_json(&device, &vec![b' '; limits.report_decoded_bytes]), Code::Malformed).await;

    let most = limits.report_messages;
    let many = outbox((0..=most).map(|_| started()));
    refused(&test, &device, &sealed(&device, &many.batch(most + 1)), Code::TooLarge).await;
    let answer = report_submit(&test.device(&device), &test.site, &sealed(&device, &many.batch(most))).await.unwrap();
    assert_eq!(answer.acknowledged, most as u64);
}

#[tokio::test]
async fn what_is_no_batch_is_refused_whole() {
    let test = TestSite::new().await;
    let device = test.enrol("alpha").await;
    for json in ["", "{}", "[]", "null", "{\"site\":\"TST\",\"channel\":\"status\",\"time\":0,\"first\":1}"] {
        refused(&test, &device, &sealed_json(&device, json.as_bytes()), Code::Malformed).await;
    }
    let nested = format!("{}{}", "[".repeat(100_000), "]".repeat(100_000));
    refused(&test, &device, &sealed_json(&device, nested.as_bytes()), Code::Malformed).await;
    let mut batch = outbox([started()]).batch(1);
    batch.site = "XYZ".parse().unwrap();
    refused(&test, &device, &sealed(&device, &batch), Code::ForeignSite).await;
    batch = outbox([]).batch(0);
    refused(&test, &device, &sealed(&device, &batch), Code::Malformed).await;
    batch = outbox([started()]).batch(1);
    batch.first = 0;
    refused(&test, &device, &sealed(&device, &batch), Code::Malformed).await;
}

#[tokio::test]
async fn a_gap_and_a_fork_say_what_is_expected_and_a_fork_ends_the_talk() {
    for test in TestSite::all().await {
        let device = test.enrol("alpha").await;
        let mut outbox = outbox([started(), started()]);
        outbox.send(&test, &device).await.unwrap();
        outbox.push(started());
        let mut batch = outbox.batch(1);
        batch.first = 5;
        let gap = refused(&test, &device, &sealed(&device, &batch), Code::SequenceGap).await;
        assert_eq!(gap.problem().expected, Some(3));

        let mut batch = outbox.batch(1);
        batch.previous = Hash([9; 32]);
        let envelope = sealed(&device, &batch);
        let [messages, quarantine, timeline, audit] = state(&test, &device).await;
        let fork = report_submit(&test.device(&device), &test.site, &envelope).await.unwrap_err();
        assert_eq!((fork.code(), fork.problem().expected), (Code::SequenceFork, Some(3)));
        let after = [messages, quarantine, timeline + 1, audit + 1];
        assert_eq!(state(&test, &device).await, after);
        refused(&test, &device, &envelope, Code::DeviceNotActive).await;
    }
}

#[tokio::test]
async fn a_blocked_device_says_nothing_more() {
    for test in TestSite::all().await {
        let device = test.enrol("alpha").await;
        device_block(&test.full(), &test.site, device.id, reason("stolen"), None).await.unwrap();
        let envelope = sealed(&device, &outbox([started()]).batch(1));
        refused(&test, &device, &envelope, Code::DeviceNotActive).await;
    }
}

#[tokio::test]
async fn a_malformed_message_is_put_aside_and_the_sequence_goes_on() {
    // proves S1: malformed messages never reach a table; they are counted, and a few are kept to look at.
    for test in TestSite::all().await {
        let device = test.enrol("alpha").await;
        let mut outbox = outbox([started()]);
        let status = |rest: &str| format!("{{\"time\":1,\"body\":{{\"status\":{{\"component\":\"agent\",{rest}}}}}}}");
        outbox.waiting.extend([
            "{\"time\":1}".to_owned(),
            "17".to_owned(),
            "{\"time\":1,\"body\":{\"wipe\":{}}}".to_owned(),
            status("\"id\":\"made_up\",\"severity\":\"error\""),
            // A message cannot name its sender.
            status(
                "\"id\":\"agent_stopped\",\"severity\":\"error\",\"device\":\"0192f0c1-7a3b-7c4d-8e5f-0123456789ab\"",
            ),
            "{\"time\":1,\"body\":{\"inventory\":{\"sections\":[]}}}".to_owned(),
        ]);
        outbox.push(crate::client::status(
            MessageId::PolicyRefused,
            Severity::Error,
            &[("reason", &"x".repeat(1_025))],
        ));
        outbox.push(started());
        let answer = outbox.send(&test, &device).await.unwrap();
        assert_eq!(answer.acknowledged, 9);
        let numbers: Vec<u64> = answer.quarantined.iter().map(|item| item.sequence).collect();
        assert_eq!(numbers, [2, 3, 4, 5, 6, 7, 8], "{answer:?}");
        let page = quarantine_list(&test.analyst(), &test.site, PAGE).await.unwrap();
        assert_eq!((page.total, page.items[0].device), (7, device.id));
        assert!(page.items.iter().all(|item| item.excerpt.len() <= 200 && !item.reason.is_empty()));
        let query = MessageQuery { limit: 10, ..Default::default() };
        assert_eq!(message_list(&test.analyst(), &test.site, &query).await.unwrap().items.len(), 2);
    }
}

#[tokio::test]
async fn quarantine_is_bounded_for_each_device() {
    for test in TestSite::all().await {
        let (device, other) = (test.enrol("alpha").await, test.enrol("beta").await);
        for device in [&device, &other] {
            let mut outbox = outbox([]);
            outbox.waiting.extend((0..50).map(|number| number.to_string()));
            assert_eq!(outbox.send(&test, device).await.unwrap().quarantined.len(), 50);
        }
        let page = quarantine_list(&test.full(), &test.site, PAGE).await.unwrap();
        let most = test.site.limits.quarantine_items;
        assert_eq!(page.total, 2 * most as u64);
        assert_eq!(page.items[0].excerpt, "49", "the latest are kept");
    }
}

fn texts(values: &[(&str, &str)]) -> muster_model::inventory::Row {
    let values: Vec<_> = values.iter().map(|(name, value)| (*name, Value::Text((*value).to_owned()))).collect();
    row(&values)
}

#[tokio::test]
async fn a_bad_section_is_put_aside_and_the_others_are_taken() {
    for test in TestSite::all().await {
        let device = test.enrol("alpha").await;
        let long = "x".repeat(test.site.limits.value_bytes + 1);
        let bad = [
            ("NO_SUCH_CLASS", vec![texts(&[("Name", "x")])]),
            ("PC_BIOS", vec![texts(&[("Name", "x"), ("Colour", "red")])]),
            ("PROCESSOR", vec![row(&[("DeviceID", Value::Int(7))])]),
            ("SERVICE", vec![texts(&[("Caption", "no key")])]),
            ("DISK", vec![texts(&[("DeviceID", &long)])]),
            ("PARTITION", vec![texts(&[("DeviceID", "a\0b")])]),
            ("LOGICAL_DISK", vec![texts(&[("DeviceID", "/")]), texts(&[("DeviceID", "/"), ("Name", "again")])]),
            ("NETWORK_ADAPTER", vec![package("not", "of this class")]),
        ];
        let good = vec![full("INSTALLED_SOFTWARE", &[package("bash", "5.2")])];
        let sections: Vec<_> = good.into_iter().chain(bad.iter().map(|(class, rows)| full(class, rows))).collect();
        let mut outbox = Outbox::new(Channel::Inventory);
        outbox.push(inventory(sections));
        let answer = outbox.send(&test, &device).await.unwrap();
        let mut refused: Vec<&str> = answer.quarantined.iter().filter_map(|item| item.class.as_deref()).collect();
        refused.sort_unstable();
        let mut expected: Vec<&str> = bad.iter().map(|(class, _)| *class).collect();
        expected.sort_unstable();
        assert_eq!(refused, expected, "{answer:?}");
        assert!(answer.resync.is_empty());
        let show = async |class| inventory_show(&test.full(), &test.site, device.id, class, PAGE).await;
        assert_eq!(show("INSTALLED_SOFTWARE").await.unwrap().rows, [package("bash", "5.2")]);
        for (class, _) in bad {
            assert_eq!(show(class).await.unwrap_err().code(), Code::NotFound, "{class}");
        }
    }
}

fn step(deployment: DeploymentId, application: Hash, state: DeploymentState) -> Body {
    let output = String::new();
    Body::Deployment(DeploymentReport {
        deployment,
        application,
        state,
        reason: None,
        exit_code: None,
        output,
        starts: None,
        waits: None,
        runs: None,
        restart: false,
        undone: false,
        deployment_type: None,
        deferred: 0,
    })
}

#[tokio::test]
async fn a_device_speaks_of_its_own_deployments_only() {
    // proves I1: reports about another's deployment, or of another application, change nothing.
    for test in TestSite::all().await {
        let (device, other) = (test.enrol("alpha").await, test.enrol("beta").await);
        let deployment = deploy(&test, Target::Device { device: device.id }).await;
        let done = DeploymentState::Succeeded;
        let mut theirs = outbox([
            step(deployment.id, deployment.application, done),
            step(DeploymentId(uuid::Uuid::from_u128(1)), deployment.application, done),
        ]);
        assert_eq!(theirs.send(&test, &other).await.unwrap().quarantined.len(), 2);
        let mut own = outbox([
            step(deployment.id, Hash([1; 32]), done),
            step(deployment.id, deployment.application, DeploymentState::Targeted),
        ]);
        assert_eq!(own.send(&test, &device).await.unwrap().quarantined.len(), 2);
        let totals = deployment_show(&test.full(), &test.site, deployment.id).await.unwrap().totals;
        assert_eq!(totals, [("targeted".to_owned(), 1)].into());
        own.push(step(deployment.id, deployment.application, done));
        assert!(own.send(&test, &device).await.unwrap().quarantined.is_empty());
        let totals = deployment_show(&test.full(), &test.site, deployment.id).await.unwrap().totals;
        assert_eq!(totals, [("succeeded".to_owned(), 1)].into());
    }
}

#[tokio::test]
async fn a_clock_that_is_wrong_by_a_year_loses_nothing() {
    let test = TestSite::new().await;
    for wrong in [-365 * DAY, 365 * DAY, i64::MIN / 2, i64::MAX / 2] {
        let device = test.enrol(&wrong.to_string()).await;
        let mut outbox = outbox([]);
        let message = muster_model::report::Message { time: test.now().plus(wrong), body: started() };
        outbox.waiting.push(serde_json::to_string(&message).unwrap());
        let answer = outbox.send(&test, &device).await.unwrap();
        assert_eq!((answer.acknowledged, answer.quarantined.len()), (1, 0));
        let timeline = device_timeline(&test.full(), &test.site, device.id, PAGE).await.unwrap();
        assert_eq!(timeline.items[0].time, test.now(), "the history has the site's time");
    }
}
