//! Totals of compliance: always equal to the parts, whatever devices say and wherever they go.

use crate::{
    baseline::{added, compiled, deploy_of, evaluated, result, said},
    client::Outbox,
    collection::{direct, make, work},
};
use muster_model::{
    api::{BaselineDeployment, ComplianceQuery, ResultQuery, RuleSpec, Target},
    baseline::SettingSeverity,
    compliance::{ComplianceOutcome, ComplianceReason, ComplianceState as State},
    id::{CollectionId, Hash},
    report::Channel,
    status::WaitReason,
};
use muster_site::{
    baseline_deploy, baseline_deployment_show, collection_rule_add, collection_rule_remove, collection_show,
    compliance_devices, compliance_results, compliance_settings,
    testing::{TestDevice, TestSite},
};
use std::collections::BTreeMap;

/// Counts the parts, and compares.
async fn totals_are_true(test: &TestSite, of: &BaselineDeployment) {
    let (ctx, site) = (test.full(), &test.site);
    let shown = baseline_deployment_show(&ctx, site, of.id).await.unwrap();
    let query = ComplianceQuery { state: None, offset: 0, limit: 200 };
    let devices = compliance_devices(&ctx, site, of.id, &query).await.unwrap().items;
    let mut counted: BTreeMap<String, u64> = BTreeMap::new();
    for device in &devices {
        *counted.entry(device.state.as_str().to_owned()).or_default() += 1;
    }
    assert_eq!(shown.totals, counted);
    let alerts = devices.iter().filter(|device| device.severity >= Some(SettingSeverity::Critical)).count() as u64;
    assert_eq!(shown.alerting, alerts);
    let query = ResultQuery { limit: 200, ..ResultQuery::default() };
    let results = compliance_results(&ctx, site, of.id, &query).await.unwrap().items;
    for setting in compliance_settings(&ctx, site, of.id).await.unwrap() {
        let mut counted: BTreeMap<String, u64> = BTreeMap::new();
        let its: Vec<_> = results.iter().filter(|row| row.setting == setting.setting).collect();
        for row in &its {
            *counted.entry(row.state.as_str().to_owned()).or_default() += 1;
        }
        if its.len() < devices.len() {
            *counted.entry("unknown".to_owned()).or_default() += (devices.len() - its.len()) as u64;
        }
        assert_eq!(setting.totals, counted, "{}", setting.name);
    }
}

/// A number below `most`; the same ones in each run.
fn random(seed: &mut u64, most: usize) -> usize {
    *seed = seed.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
    usize::try_from(*seed >> 33).unwrap() % most
}

/// Puts something into a device's outbox that it may say.
fn say(outbox: &mut Outbox, of: &BaselineDeployment, last: &mut Option<Hash>, seed: &mut u64) {
    let states = &State::ALL[1..];
    match random(seed, 8) {
        0 => outbox.push(said(of, ComplianceOutcome::Failed { reason: ComplianceReason::NotSigned })),
        1 => outbox.push(said(of, ComplianceOutcome::Waiting { reason: WaitReason::NeverFits, starts: None })),
        2 => outbox.push(said(of, ComplianceOutcome::Waiting { reason: WaitReason::Window, starts: None })),
        3 => outbox.push(said(of, ComplianceOutcome::Unchanged { digest: last.unwrap_or(Hash::ZERO) })),
        _ => {
            let results = (0..3).map(|_| result(states[random(seed, states.len())], Some("x"))).collect();
            let (body, digest) = evaluated(of, results);
            *last = Some(digest);
            outbox.push(body);
        }
    }
}

#[tokio::test]
async fn totals_are_the_sum_of_their_parts_after_any_changes() {
    for test in TestSite::all().await {
        let (ctx, site) = (test.full(), &test.site);
        let mut devices: Vec<(TestDevice, Outbox, Option<Hash>)> = Vec::new();
        for name in ["alpha", "beta", "gamma"] {
            devices.push((test.enrol(name).await, Outbox::new(Channel::Status), None));
        }
        let hash = added(&test).await;
        let some = make(&test, "Some", CollectionId::ALL_SYSTEMS, direct(&[devices[0].0.id])).await;
        work(&test).await;
        let every = baseline_deploy(&ctx, site, &deploy_of(hash, Target::AllSystems)).await.unwrap();
        let those = baseline_deploy(&ctx, site, &deploy_of(hash, Target::Collection { collection: some })).await;
        let those = those.unwrap();
        let seed = &mut 7;
        for _ in 0..30 {
            let (device, outbox, last) = &mut devices[random(seed, 3)];
            if random(seed, 5) == 0 {
                // It comes into the collection, or leaves it.
                let rules = collection_show(&ctx, site, some).await.unwrap().rules;
                let spec = RuleSpec::Direct { device: device.id };
                match rules.iter().find(|rule| rule.rule == spec) {
                    Some(rule) => collection_rule_remove(&ctx, site, some, rule.id).await.unwrap(),
                    None => drop(collection_rule_add(&ctx, site, some, &spec).await.unwrap()),
                }
                work(&test).await;
                compiled(&test).await;
            } else {
                // Several in one report, of both deployments.
                for _ in 0..=random(seed, 4) {
                    let of = if random(seed, 2) == 0 { &every } else { &those };
                    say(outbox, of, last, seed);
                }
                outbox.send(&test, device).await.unwrap();
            }
            totals_are_true(&test, &every).await;
            totals_are_true(&test, &those).await;
        }
        let shown = baseline_deployment_show(&ctx, site, every.id).await.unwrap();
        assert!(!shown.totals.contains_key("unknown") || shown.totals.len() > 1, "something was said");
    }
}
