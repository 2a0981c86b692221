//! Status filter rules: which messages they are about, that a flood makes them act as often as they may and no more, and that nobody but the
//! sender is spoken of.

use crate::client::{Outbox, status};
use muster_model::{
    api::{
        ActionState, AlertKind, AlertPostpone, AlertQuery, AlertState, MessageQuery, PageQuery, StatusActionQuery,
        StatusRule, StatusRuleChange, StatusTarget, StatusThreshold, Subscription, TargetKind,
    },
    problem::Code,
    report::{Body, Channel},
    status::{Component, MessageId, Severity},
    status_catalogue::MessageType,
    time::{DAY, HOUR},
};
use muster_site::{
    Ctx, Worker, alert_close, alert_list, alert_postpone, message_list, message_show, quarantine_list, report_submit,
    status_action_claim, status_action_due, status_action_end, status_action_list, status_action_retry, status_hours,
    status_rule_change, status_rule_create, status_rule_delete, status_rule_list, status_threshold_set,
    subscription_create, target_known, testing::TestSite,
};

const PAGE: PageQuery = PageQuery { offset: 0, limit: 50 };

fn rule(name: &str) -> StatusRule {
    serde_json::from_value(serde_json::json!({ "name": name })).unwrap()
}

fn refused(reason: &str) -> Body {
    status(MessageId::PolicyRefused, Severity::Information, &[("reason", reason)])
}

async fn site_ctx(test: &TestSite) -> Ctx {
    let ctx = Ctx::site(test.now());
    let name = |name: &str| name.parse().unwrap();
    let target = |word: &str, kind| StatusTarget { name: name(word), kind: Some(kind), problem: None };
    let targets = vec![target("siem", TargetKind::Webhook), target("desk", TargetKind::Mail)];
    target_known(&ctx, &test.site, targets).unwrap();
    ctx
}

#[tokio::test]
async fn a_flood_makes_a_rule_act_as_often_as_it_may_and_what_is_more_is_counted() {
    // proves I1: actions follow from authenticated messages alone, once for each, and at their rate.
    for test in TestSite::all().await {
        let (admin, site) = (test.full(), &test.site);
        let ctx = site_ctx(&test).await;
        let device = test.enrol("alpha").await;
        let wanted = StatusRule {
            severity: Some(Severity::Error),
            alert: true,
            targets: vec!["siem".parse().unwrap()],
            per_hour: 5,
            ..rule("Errors")
        };
        let made = status_rule_create(&admin, site, wanted).await.unwrap();
        let mut outbox = Outbox::new(Channel::Status);
        for number in 0..40 {
            outbox.push(refused(&format!("no {number}")));
        }
        // A stranger's envelope, and a device's under a strange key, have nothing done.
        let stranger = test.enrol("beta").await;
        let forged = crate::client::sealed(&stranger, &outbox.batch(40));
        report_submit(&test.device(&device), site, &forged).await.unwrap_err();
        assert_eq!(
            status_action_list(&admin, site, StatusActionQuery { limit: 50, ..Default::default() })
                .await
                .unwrap()
                .total,
            0
        );
        let sent = crate::client::sealed(&device, &outbox.batch(40));
        outbox.send(&test, &device).await.unwrap();
        // A retransmission is not a second message.
        report_submit(&test.device(&device), site, &sent).await.unwrap();
        let known = status_rule_list(&admin, site, PAGE).await.unwrap().items.remove(0);
        assert_eq!((known.matched, known.fired, known.dropped), (40, 5, 35), "{known:?}");
        outbox.push(refused("again"));
        outbox.send(&test, &device).await.unwrap();
        let query = StatusActionQuery { state: Some(ActionState::Waiting), limit: 50, ..Default::default() };
        assert_eq!(status_action_list(&admin, site, query).await.unwrap().total, 5);
        test.sources.pass(HOUR);
        outbox.push(refused("an hour later"));
        outbox.send(&test, &device).await.unwrap();
        assert_eq!(status_action_list(&admin, site, query).await.unwrap().total, 6);
        let alerts = alert_list(&admin, site, AlertQuery { all: true, limit: 50, ..Default::default() }).await.unwrap();
        assert_eq!((alerts.total, alerts.items[0].kind), (1, AlertKind::StatusRule));
        assert!(alerts.items[0].text.contains("an hour later"), "{alerts:?}");
        // The site's look at deployments leaves it, and an administrator closes it.
        let mut worker = Worker::new(site.clone());
        while worker.step().await.unwrap() {}
        let closed = alert_close(&admin, site, alerts.items[0].id).await.unwrap();
        assert_eq!((closed.state, closed.closed_by.is_some()), (AlertState::Closed, true));
        assert_eq!(alert_close(&admin, site, closed.id).await.unwrap_err().problem().code, Code::Conflict);
        // The content speaks of the sender and of nobody else.
        let due = status_action_due(&ctx, site).await.unwrap();
        let now = Ctx::site(test.now());
        let sending = status_action_claim(&now, site, &due[0]).await.unwrap().unwrap();
        let content: serde_json::Value = serde_json::from_slice(&sending.body).unwrap();
        assert_eq!(content["message"]["device"], device.id.to_string());
        assert_eq!(
            (&content["message"]["device_name"], &content["message"]["severity"]),
            (&"alpha".into(), &"error".into())
        );
        assert_eq!((&content["message"]["number"], &content["cause"]), (&1_101.into(), &"rule".into()));
        status_rule_delete(&admin, site, made.id).await.unwrap();
        outbox.push(refused("no rule"));
        outbox.send(&test, &device).await.unwrap();
        assert_eq!(status_action_list(&admin, site, query).await.unwrap().total, 6);
    }
}

#[tokio::test]
async fn what_waits_is_tried_again_and_given_up() {
    for test in TestSite::all().await {
        let (admin, site) = (test.full(), &test.site);
        site_ctx(&test).await;
        let device = test.enrol("alpha").await;
        let wanted = StatusRule { targets: vec!["siem".parse().unwrap()], ..rule("All") };
        status_rule_create(&admin, site, wanted).await.unwrap();
        let mut outbox = Outbox::new(Channel::Status);
        outbox.push(refused("no"));
        outbox.send(&test, &device).await.unwrap();
        let target = "siem".parse().unwrap();
        let mut tries = 0;
        for _ in 0..100 {
            let ctx = Ctx::site(test.now());
            match status_action_claim(&ctx, site, &target).await.unwrap() {
                Some(sending) => {
                    tries += 1;
                    // While it is tried nobody else has it.
                    assert!(status_action_claim(&ctx, site, &target).await.unwrap().is_none());
                    status_action_end(&ctx, site, &sending, Err("it is away".to_owned())).await.unwrap();
                }
                None => test.sources.pass(HOUR),
            }
        }
        let shown = status_action_list(&admin, site, StatusActionQuery { limit: 5, ..Default::default() })
            .await
            .unwrap()
            .items
            .remove(0);
        assert_eq!((tries, shown.state, shown.outcome.as_str()), (12, ActionState::Failed, "it is away"));
        let again = status_action_retry(&admin, site, shown.id).await.unwrap();
        assert_eq!(again.state, ActionState::Waiting);
        let ctx = Ctx::site(test.now());
        let sending = status_action_claim(&ctx, site, &target).await.unwrap().unwrap();
        status_action_end(&ctx, site, &sending, Ok("204".to_owned())).await.unwrap();
        assert!(status_action_due(&ctx, site).await.unwrap().is_empty());
        assert_eq!(status_action_retry(&admin, site, shown.id).await.unwrap_err().problem().code, Code::Conflict);
        // Only the site itself takes and ends what is to be sent.
        assert!(status_action_claim(&admin, site, &target).await.is_err());
        assert!(target_known(&admin, site, vec![]).is_err());
    }
}

#[tokio::test]
async fn rules_go_by_their_order_and_by_what_they_are_about() {
    for test in TestSite::all().await {
        let (admin, site) = (test.full(), &test.site);
        site_ctx(&test).await;
        let (alpha, beta) = (test.enrol("alpha").await, test.enrol("beta").await);
        let mut ids = Vec::new();
        for wanted in [
            StatusRule {
                text: Some("noise".to_owned()),
                value: Some("reason".to_owned()),
                discard: true,
                stop: true,
                ..rule("Noise")
            },
            StatusRule { device: Some(alpha.id), keep_days: Some(3), ..rule("Alpha") },
            StatusRule { component: Some(Component::Policy), keep_days: Some(90), ..rule("Policy") },
        ] {
            ids.push(status_rule_create(&admin, site, wanted).await.unwrap().id);
        }
        let mut outbox = Outbox::new(Channel::Status);
        for reason in ["a noise", "signal", "more noise"] {
            outbox.push(refused(reason));
        }
        let mut other = outbox.clone();
        outbox.send(&test, &alpha).await.unwrap();
        other.send(&test, &beta).await.unwrap();
        let list = |query: MessageQuery| {
            let admin = &admin;
            async move { message_list(admin, site, &MessageQuery { limit: 50, ..query }).await.unwrap() }
        };
        let kept = list(MessageQuery { component: Some(Component::Policy), ..Default::default() }).await;
        assert_eq!(kept.items.len(), 2, "{kept:?}");
        let first = &kept.items[1];
        assert_eq!(
            (first.kind, first.number, &first.values["reason"]),
            (Some(MessageType::Detail), Some(1_101), &"signal".to_owned())
        );
        assert_eq!(message_show(&admin, site, first.key).await.unwrap(), *first);
        let before = list(MessageQuery {
            component: Some(Component::Policy),
            before: Some(kept.items[0].key),
            ..Default::default()
        })
        .await;
        assert_eq!((before.items.len(), before.total), (1, 2));
        for (query, count) in [
            (MessageQuery { kind: Some(MessageType::Audit), ..Default::default() }, 0),
            (
                MessageQuery {
                    id: Some(MessageId::PolicyRefused),
                    device: Some(beta.id),
                    severity: Some(Severity::Error),
                    since: Some(test.now().plus(-HOUR)),
                    ..Default::default()
                },
                1,
            ),
            (MessageQuery { since: Some(test.now().plus(HOUR)), ..Default::default() }, 0),
            (
                MessageQuery {
                    component: Some(Component::Agent),
                    id: Some(MessageId::PolicyRefused),
                    ..Default::default()
                },
                0,
            ),
        ] {
            assert_eq!(list(query.clone()).await.items.len(), count, "{query:?}");
        }
        // Counted all the same.
        assert_eq!(status_hours(&admin, site).await.unwrap().items[0].error, 6);
        let by_name = |items: &[muster_model::api::StatusRuleInfo], name: &str| {
            items.iter().find(|info| info.rule.name.as_str() == name).map(|info| (info.place, info.matched)).unwrap()
        };
        let rules = status_rule_list(&admin, site, PAGE).await.unwrap().items;
        assert_eq!(
            [by_name(&rules, "Noise"), by_name(&rules, "Alpha"), by_name(&rules, "Policy")],
            [(1, 4), (2, 1), (3, 2)]
        );
        let moved = StatusRuleChange { place: Some(1), enabled: None };
        status_rule_change(&admin, site, ids[2], moved).await.unwrap();
        let rules = status_rule_list(&admin, site, PAGE).await.unwrap().items;
        assert_eq!([by_name(&rules, "Policy").0, by_name(&rules, "Noise").0, by_name(&rules, "Alpha").0], [1, 2, 3]);
        // Alpha's is over after three days, and goes; the other one stays.
        let mut worker = Worker::new(site.clone());
        test.sources.pass(4 * DAY);
        while worker.step().await.unwrap() {}
        assert_eq!(
            list(MessageQuery { component: Some(Component::Policy), ..Default::default() }).await.items.len(),
            1
        );
    }
}

#[tokio::test]
async fn a_value_of_another_type_is_put_aside_and_a_rule_that_does_nothing_is_refused() {
    for test in TestSite::all().await {
        let (admin, site) = (test.full(), &test.site);
        site_ctx(&test).await;
        let device = test.enrol("alpha").await;
        let mut outbox = Outbox::new(Channel::Status);
        outbox.push(status(MessageId::PolicyAccepted, Severity::Information, &[("version", "$(reboot)")]));
        assert_eq!(outbox.send(&test, &device).await.unwrap().quarantined.len(), 1);
        assert_eq!(quarantine_list(&admin, site, PAGE).await.unwrap().total, 1);
        let odd = [
            (rule("Nothing"), Code::Malformed),
            (StatusRule { alert: true, per_hour: 0, ..rule("Never") }, Code::Malformed),
            (StatusRule { discard: true, keep_days: Some(1), ..rule("Both") }, Code::Malformed),
            (StatusRule { targets: vec!["https-evil".parse().unwrap()], ..rule("Where") }, Code::NotFound),
            (StatusRule { alert: true, collection: Some("P0199999".parse().unwrap()), ..rule("Who") }, Code::NotFound),
        ];
        for (rule, code) in odd {
            let error = status_rule_create(&admin, site, rule.clone()).await.unwrap_err();
            assert_eq!(error.problem().code, code, "{rule:?}");
        }
        let alert = StatusRule { alert: true, ..rule("Alert") };
        let error = status_rule_create(&test.analyst(), site, alert.clone()).await.unwrap_err();
        assert_eq!(error.problem().code, Code::Forbidden);
        status_rule_create(&admin, site, alert.clone()).await.unwrap();
        assert_eq!(status_rule_create(&admin, site, alert).await.unwrap_err().problem().code, Code::Conflict);
    }
}

#[tokio::test]
async fn who_subscribes_is_told_of_new_alerts_and_of_those_that_were_postponed() {
    for test in TestSite::all().await {
        let (admin, site) = (test.full(), &test.site);
        site_ctx(&test).await;
        let device = test.enrol("alpha").await;
        let named = |name: &str, kinds: Vec<AlertKind>| Subscription {
            name: name.parse().unwrap(),
            kinds,
            severity: Some(Severity::Warning),
            target: "desk".parse().unwrap(),
        };
        subscription_create(&admin, site, named("Parts", vec![AlertKind::ComponentStatus])).await.unwrap();
        subscription_create(&admin, site, named("Windows", vec![AlertKind::NeverFits])).await.unwrap();
        let threshold = StatusThreshold { component: Component::Policy, warning: Some(3), critical: Some(10) };
        status_threshold_set(&admin, site, threshold).await.unwrap();
        let mut outbox = Outbox::new(Channel::Status);
        for _ in 0..4 {
            outbox.push(refused("no"));
        }
        outbox.send(&test, &device).await.unwrap();
        let mut worker = Worker::new(site.clone());
        while worker.step().await.unwrap() {}
        let query = StatusActionQuery { limit: 50, ..Default::default() };
        let told = status_action_list(&admin, site, query).await.unwrap();
        assert_eq!((told.total, told.items[0].name.as_str()), (1, "Parts"), "{told:?}");
        let open = AlertQuery { limit: 50, ..Default::default() };
        let alert = alert_list(&admin, site, open).await.unwrap().items.remove(0);
        assert_eq!(
            (alert.kind, alert.subject.as_str(), alert.severity),
            (AlertKind::ComponentStatus, "policy", Severity::Warning)
        );
        assert_eq!(alert_close(&admin, site, alert.id).await.unwrap_err().problem().code, Code::Conflict);
        let shown = alert_postpone(&admin, site, alert.id, AlertPostpone { hours: 1 }).await.unwrap();
        assert_eq!(shown.state, AlertState::Postponed);
        test.sources.pass(HOUR + 1);
        // It goes on, so that somebody hears of it again.
        outbox.push(refused("no"));
        outbox.push(refused("no"));
        outbox.push(refused("no"));
        outbox.send(&test, &device).await.unwrap();
        while worker.step().await.unwrap() {}
        assert_eq!(alert_list(&admin, site, open).await.unwrap().items[0].state, AlertState::Open);
        assert_eq!(status_action_list(&admin, site, query).await.unwrap().total, 2);
        test.sources.pass(2 * HOUR);
        while worker.step().await.unwrap() {}
        assert_eq!(alert_list(&admin, site, open).await.unwrap().total, 0, "the site sees that it is over");
    }
}
