//! Configuration baselines: only what authors signed, only for whom they are meant, and what devices say of them.

use crate::{
    client::Outbox,
    collection::{direct, make, wish, work},
};
use muster_model::{
    api::{BaselineDeploy, BaselineDeployment, ComplianceQuery, PageQuery, ResultQuery, Target},
    application::Platform,
    baseline::{
        BASELINE_TYPE, Baseline, ConfigurationItem, Discovery, FileRead, Remediation, Rule, Setting, SettingSeverity,
        ValueType,
    },
    compliance::{
        BaselinePolicy, ComplianceOutcome, ComplianceReason, ComplianceReport, ComplianceState as State, SettingResult,
    },
    id::{BaselineId, CollectionId, Hash},
    policy::BodyKind,
    problem::Code,
    report::{Body, Channel},
    status::{Severity, WaitReason},
    time::{HOUR, UnixMillis},
};
use muster_site::{
    Worker, assignment_show, audit_list, baseline_create, baseline_delete, baseline_deploy, baseline_deployment_delete,
    baseline_deployment_show, baseline_list, baseline_object, baseline_preview, baseline_show, body_show,
    collection_change, collection_create, collection_delete, compliance_devices, compliance_results,
    compliance_settings, device_compliance, device_timeline, quarantine_list,
    testing::{TestDevice, TestSite},
};
use muster_trust::{PrivateKey, envelope, sha256};

const PAGE: PageQuery = PageQuery { offset: 0, limit: 50 };

fn setting(name: &str, severity: SettingSeverity, private: bool) -> Setting {
    Setting {
        name: name.parse().unwrap(),
        discovery: Discovery::File { path: "/etc/motd".to_owned(), read: FileRead::Mode, follow_links: false },
        value_type: ValueType::String,
        rules: vec![Rule::Equals { value: "0644".to_owned() }],
        severity,
        private,
        remediation: Some(Remediation::File { content: None, mode: Some("0644".to_owned()) }),
    }
}

fn baseline() -> Baseline {
    let settings = vec![
        setting("one", SettingSeverity::Warning, false),
        setting("two", SettingSeverity::Critical, false),
        setting("three", SettingSeverity::None, true),
    ];
    Baseline {
        id: BaselineId(uuid::Uuid::from_u128(9)),
        name: "Files".parse().unwrap(),
        version: "1".to_owned(),
        platform: Platform::Linux,
        items: vec![ConfigurationItem { name: "All".parse().unwrap(), description: String::new(), settings }],
    }
}

pub(crate) fn deploy_of(baseline: Hash, target: Target) -> BaselineDeploy {
    BaselineDeploy {
        name: None,
        baseline,
        target,
        every: Some(HOUR),
        remediate: false,
        outside_windows: false,
        alert_from: Some(SettingSeverity::Critical),
    }
}

pub(crate) async fn added(test: &TestSite) -> Hash {
    let object = envelope::sign_json(&[&test.admin_key], &baseline()).unwrap();
    baseline_create(&test.full(), &test.site, &object).await.unwrap().hash
}

pub(crate) async fn compiled(test: &TestSite) {
    let mut worker = Worker::new(test.site.clone());
    while worker.step().await.unwrap() {}
}

pub(crate) fn result(state: State, value: Option<&str>) -> SettingResult {
    SettingResult { state, value: value.map(str::to_owned), reason: None, detail: String::new() }
}

pub(crate) fn said(of: &BaselineDeployment, outcome: ComplianceOutcome) -> Body {
    Body::Compliance(ComplianceReport { deployment: of.id, baseline: of.baseline, outcome })
}

pub(crate) fn evaluated(of: &BaselineDeployment, results: Vec<SettingResult>) -> (Body, Hash) {
    let digest = sha256(&serde_json::to_vec(&results).unwrap());
    (said(of, ComplianceOutcome::Evaluated { digest, results }), digest)
}

async fn tell(test: &TestSite, device: &TestDevice, outbox: &mut Outbox, body: Body) -> usize {
    outbox.push(body);
    outbox.send(test, device).await.unwrap().quarantined.len()
}

#[tokio::test]
async fn only_what_authors_signed_is_taken() {
    for test in TestSite::all().await {
        let (ctx, site) = (test.full(), &test.site);
        let object = envelope::sign_json(&[&test.admin_key], &baseline()).unwrap();
        let stranger = PrivateKey::generate().unwrap();
        let json = serde_json::to_vec(&baseline()).unwrap();
        let mut broken = baseline();
        broken.items[0].settings[0].rules.clear();
        for (object, code) in [
            (envelope::sign_json(&[&stranger], &baseline()).unwrap(), Code::AuthorUnknown),
            (envelope::sign_json(&[&test.policy_key], &baseline()).unwrap(), Code::AuthorUnknown),
            (envelope::sign(&[&test.admin_key], "application/json", json.clone()).unwrap(), Code::Malformed),
            (envelope::sign1(&test.admin_key, BASELINE_TYPE, json.clone()).unwrap(), Code::Malformed),
            (envelope::sign_json(&[&test.admin_key], &broken).unwrap(), Code::Malformed),
            (json, Code::Malformed),
            (vec![0; site.limits.object_bytes + 1], Code::TooLarge),
        ] {
            assert_eq!(baseline_create(&ctx, site, &object).await.unwrap_err().code(), code);
        }
        for at in (0..object.len()).step_by(17) {
            let mut altered = object.clone();
            altered[at] ^= 1;
            let error = baseline_create(&ctx, site, &altered).await.unwrap_err();
            assert!(matches!(error.code(), Code::AuthorUnknown | Code::Malformed), "{at}: {error}");
        }
        assert_eq!(baseline_list(&ctx, site, PAGE).await.unwrap().total, 0, "nothing was changed");
        for (ctx, code) in [(test.analyst(), Code::Forbidden), (test.anonymous(), Code::Unauthenticated)] {
            assert_eq!(baseline_create(&ctx, site, &object).await.unwrap_err().code(), code);
        }
        let info = baseline_create(&ctx, site, &object).await.unwrap();
        assert_eq!((info.hash, &info.baseline), (sha256(&object), &baseline()));
        let audited = audit_list(&ctx, site, PAGE).await.unwrap().total;
        assert_eq!(baseline_create(&ctx, site, &object).await.unwrap(), info, "the same again");
        assert_eq!(audit_list(&ctx, site, PAGE).await.unwrap().total, audited);
        assert_eq!(baseline_show(&test.analyst(), site, info.hash).await.unwrap(), info);
        assert_eq!(baseline_object(&test.analyst(), site, info.hash).await.unwrap(), object);
    }
}

#[tokio::test]
async fn from_a_baseline_to_what_devices_say_of_it() {
    for test in TestSite::all().await {
        let (ctx, site) = (test.full(), &test.site);
        let (device, other) = (test.enrol("alpha").await, test.enrol("beta").await);
        let hash = added(&test).await;
        let create = deploy_of(hash, Target::Device { device: device.id });
        let preview = baseline_preview(&test.analyst(), site, &create).await.unwrap();
        assert_eq!((preview.devices, preview.settings, preview.remediates), (1, 3, 3));
        let of = baseline_deploy(&ctx, site, &create).await.unwrap();
        assert_eq!(of.totals, [("unknown".to_owned(), 1)].into());
        compiled(&test).await;

        let current = assignment_show(&test.device(&device), site).await.unwrap();
        let kinds: Vec<BodyKind> = current.bodies.iter().map(|body| body.kind).collect();
        assert_eq!(kinds, [BodyKind::Settings, BodyKind::BaselineDeployment, BodyKind::Baseline]);
        for body in current.bodies.iter().filter(|body| body.kind != BodyKind::Settings) {
            let bytes = body_show(&test.device(&device), site, body.hash).await.unwrap();
            assert_eq!((sha256(&bytes), bytes.len() as u64), (body.hash, body.size));
            if body.kind == BodyKind::BaselineDeployment {
                let policy: BaselinePolicy = serde_json::from_slice(&bytes).unwrap();
                assert_eq!((policy.deployment, policy.baseline, policy.every), (of.id, hash, Some(HOUR)));
            }
            // proves I2: what is not in a device's own assignment is not there for it.
            assert_eq!(body_show(&test.device(&other), site, body.hash).await.unwrap_err().code(), Code::NotFound);
        }

        let (mut outbox, mut others) = (Outbox::new(Channel::Status), Outbox::new(Channel::Status));
        let results = vec![
            result(State::Compliant, Some("0644")),
            result(State::NonCompliant, Some("0777")),
            result(State::NonCompliant, Some("a secret that must not be here")),
        ];
        let (body, digest) = evaluated(&of, results.clone());
        assert_eq!(tell(&test, &device, &mut outbox, body.clone()).await, 0);
        // Another device says the same of a baseline that it does not have; and one that there is not.
        assert_eq!(tell(&test, &other, &mut others, body).await, 1);
        let mut wrong = of.clone();
        wrong.baseline = Hash([9; 32]);
        assert_eq!(tell(&test, &device, &mut outbox, evaluated(&wrong, results.clone()).0).await, 1);
        assert_eq!(tell(&test, &device, &mut outbox, evaluated(&of, results[..2].to_vec()).0).await, 1);
        let mut long = results.clone();
        long[0].value = Some("x".repeat(513));
        assert_eq!(tell(&test, &device, &mut outbox, evaluated(&of, long).0).await, 1);
        let unknown = vec![result(State::Unknown, None); 3];
        assert_eq!(tell(&test, &device, &mut outbox, evaluated(&of, unknown).0).await, 1);
        let stale = said(&of, ComplianceOutcome::Unchanged { digest: Hash([7; 32]) });
        assert_eq!(tell(&test, &device, &mut outbox, stale).await, 1);
        assert_eq!(tell(&test, &device, &mut outbox, said(&of, ComplianceOutcome::Unchanged { digest })).await, 0);
        assert_eq!(quarantine_list(&ctx, site, PAGE).await.unwrap().total, 6);

        let shown = baseline_deployment_show(&test.analyst(), site, of.id).await.unwrap();
        assert_eq!((shown.totals, shown.alerting), ([("non_compliant".to_owned(), 1)].into(), 1));
        let settings = compliance_settings(&test.analyst(), site, of.id).await.unwrap();
        let totals: Vec<Vec<(&str, u64)>> =
            settings.iter().map(|s| s.totals.iter().map(|(s, n)| (s.as_str(), *n)).collect()).collect();
        let expected: [Vec<(&str, u64)>; 3] =
            [vec![("compliant", 1)], vec![("non_compliant", 1)], vec![("non_compliant", 1)]];
        assert_eq!(totals, expected);
        let wanted = ResultQuery { state: Some(State::NonCompliant), limit: 50, ..ResultQuery::default() };
        let found = compliance_results(&test.analyst(), site, of.id, &wanted).await.unwrap();
        let values: Vec<_> = found.items.iter().map(|row| (row.name.as_str(), row.value.as_deref())).collect();
        assert_eq!(values, [("two", Some("0777")), ("three", None)], "of a private setting no value is kept");
        let one = ResultQuery { setting: Some(0), device: Some(device.id), limit: 50, ..ResultQuery::default() };
        assert_eq!(compliance_results(&ctx, site, of.id, &one).await.unwrap().total, 1);
        assert_eq!(found.items[0].expected, "is 0644");
        let differs = ResultQuery { device: Some(device.id), differs: true, limit: 50, ..ResultQuery::default() };
        assert_eq!(compliance_results(&ctx, site, of.id, &differs).await.unwrap().total, 2);
        let mine = device_compliance(&test.analyst(), site, device.id).await.unwrap();
        assert_eq!((mine[0].state, mine[0].severity), (State::NonCompliant, Some(SettingSeverity::Critical)));
        assert!(device_compliance(&ctx, site, other.id).await.unwrap().is_empty());
        let lines = device_timeline(&ctx, site, device.id, PAGE).await.unwrap().items;
        let line = lines.iter().find(|line| line.text == "Baseline Files 1 is not complied with.").unwrap();
        assert_eq!(line.severity, Severity::Error, "an alert");

        let waits = ComplianceOutcome::Waiting { reason: WaitReason::Window, starts: Some(UnixMillis(7)) };
        assert_eq!(tell(&test, &device, &mut outbox, said(&of, waits)).await, 0);
        let query = ComplianceQuery { state: Some(State::NonCompliant), offset: 0, limit: 50 };
        let devices = compliance_devices(&ctx, site, of.id, &query).await.unwrap();
        assert_eq!((devices.items[0].waits, devices.items[0].starts), (Some(WaitReason::Window), Some(UnixMillis(7))));
        let failed = ComplianceOutcome::Failed { reason: ComplianceReason::NotSigned };
        assert_eq!(tell(&test, &device, &mut outbox, said(&of, failed)).await, 0);
        let mine = device_compliance(&ctx, site, device.id).await.unwrap();
        assert_eq!(
            (mine[0].state, mine[0].reason, mine[0].waits),
            (State::Error, Some(ComplianceReason::NotSigned), None)
        );
        let all = ResultQuery { limit: 50, ..ResultQuery::default() };
        assert_eq!(compliance_results(&ctx, site, of.id, &all).await.unwrap().total, 0, "nothing holds any more");
        let good =
            vec![result(State::Compliant, None), result(State::Remediated, None), result(State::NotApplicable, None)];
        assert_eq!(tell(&test, &device, &mut outbox, evaluated(&of, good).0).await, 0);
        assert_eq!(device_compliance(&ctx, site, device.id).await.unwrap()[0].state, State::Remediated);

        baseline_deployment_delete(&ctx, site, of.id).await.unwrap();
        assert_eq!(baseline_deployment_delete(&ctx, site, of.id).await.unwrap_err().code(), Code::Conflict);
        compiled(&test).await;
        assert_eq!(assignment_show(&test.device(&device), site).await.unwrap().bodies.len(), 1);
    }
}

#[tokio::test]
async fn what_puts_things_right_goes_to_protected_collections_only_and_follows_their_members() {
    for test in TestSite::all().await {
        let (ctx, site) = (test.full(), &test.site);
        let (device, later) = (test.enrol("alpha").await, test.enrol("beta").await);
        let hash = added(&test).await;
        let open = make(&test, "Open", CollectionId::ALL_SYSTEMS, direct(&[device.id])).await;
        let mut closed = wish("Closed", CollectionId::ALL_SYSTEMS, direct(&[device.id]));
        closed.protected = true;
        let closed = collection_create(&ctx, site, &closed).await.unwrap().collection;
        work(&test).await;
        let to = |collection| BaselineDeploy { remediate: true, ..deploy_of(hash, Target::Collection { collection }) };
        for refused in [
            baseline_preview(&ctx, site, &to(open)).await.map(drop),
            baseline_deploy(&ctx, site, &to(open)).await.map(drop),
        ] {
            assert_eq!(refused.unwrap_err().code(), Code::Conflict);
        }
        let only_looks = BaselineDeploy { remediate: false, ..to(open) };
        baseline_deploy(&ctx, site, &only_looks).await.unwrap();
        let of = baseline_deploy(&ctx, site, &to(closed.id)).await.unwrap();
        assert_eq!(of.totals["unknown"], 1);
        // Its protection stays as long as that goes to it, and so does the collection.
        let set = muster_model::api::CollectionSet {
            name: closed.name.clone(),
            comment: String::new(),
            limiting: CollectionId::ALL_SYSTEMS,
            protected: false,
            incremental: false,
            schedule: Vec::new(),
        };
        let refused = collection_change(&ctx, site, closed.id, set, None).await.unwrap_err();
        assert_eq!(refused.code(), Code::Conflict, "{refused}");
        assert_eq!(collection_delete(&ctx, site, closed.id, None).await.unwrap_err().code(), Code::Conflict);
        // Who comes later gets it too; and its totals are of those who have it.
        let rule = muster_model::api::RuleSpec::Direct { device: later.id };
        muster_site::collection_rule_add(&ctx, site, closed.id, &rule).await.unwrap();
        work(&test).await;
        compiled(&test).await;
        assert_eq!(baseline_deployment_show(&ctx, site, of.id).await.unwrap().totals["unknown"], 2);
        let bodies = assignment_show(&test.device(&later), site).await.unwrap().bodies.clone();
        assert!(bodies.iter().any(|body| body.kind == BodyKind::Baseline));
        for every in [Some(1), Some(HOUR * 24 * 32)] {
            let wrong = BaselineDeploy { every, ..to(closed.id) };
            assert_eq!(baseline_deploy(&ctx, site, &wrong).await.unwrap_err().code(), Code::Malformed);
        }
        let wrong = deploy_of(Hash([1; 32]), Target::AllSystems);
        assert_eq!(baseline_deploy(&ctx, site, &wrong).await.unwrap_err().code(), Code::NotFound);
        assert_eq!(baseline_deploy(&test.analyst(), site, &to(closed.id)).await.unwrap_err().code(), Code::Forbidden);
    }
}

#[tokio::test]
async fn a_baseline_goes_where_nothing_is_held_against_it_and_can_come_back() {
    for test in TestSite::all().await {
        let (ctx, site) = (test.full(), &test.site);
        test.enrol("alpha").await;
        let object = envelope::sign_json(&[&test.admin_key], &baseline()).unwrap();
        let hash = baseline_create(&ctx, site, &object).await.unwrap().hash;
        for (ctx, code) in [(test.analyst(), Code::Forbidden), (test.anonymous(), Code::Unauthenticated)] {
            assert_eq!(baseline_delete(&ctx, site, hash).await.unwrap_err().code(), code);
        }
        assert_eq!(baseline_delete(&ctx, site, Hash([1; 32])).await.unwrap_err().code(), Code::NotFound);
        let of = baseline_deploy(&ctx, site, &deploy_of(hash, Target::AllSystems)).await.unwrap();
        let refused = baseline_delete(&ctx, site, hash).await.unwrap_err();
        assert_eq!(refused.code(), Code::Conflict);
        assert!(refused.problem().detail.contains("1 deployment"), "{refused}");
        assert!(baseline_show(&ctx, site, hash).await.is_ok());
        baseline_deployment_delete(&ctx, site, of.id).await.unwrap();
        baseline_delete(&ctx, site, hash).await.unwrap();
        assert_eq!(baseline_delete(&ctx, site, hash).await.unwrap_err().code(), Code::NotFound);
        assert_eq!(baseline_show(&ctx, site, hash).await.unwrap_err().code(), Code::NotFound);
        assert_eq!(baseline_list(&ctx, site, PAGE).await.unwrap().total, 0);
        let again = baseline_deploy(&ctx, site, &deploy_of(hash, Target::AllSystems)).await.unwrap_err();
        assert_eq!(again.code(), Code::NotFound);
        let shown = baseline_deployment_show(&ctx, site, of.id).await.unwrap();
        assert_eq!(shown.baseline_name, "Files", "the history stays");
        let done = audit_list(&ctx, site, PAGE).await.unwrap().items;
        assert!(done.iter().any(|entry| entry.action == "baseline_delete"));
        // The same object again is the same baseline.
        assert_eq!(baseline_create(&ctx, site, &object).await.unwrap().hash, hash);
        assert_eq!(baseline_list(&ctx, site, PAGE).await.unwrap().total, 1);
        baseline_deploy(&ctx, site, &deploy_of(hash, Target::AllSystems)).await.unwrap();
        // One that was never deployed leaves nothing.
        let never = added(&test).await;
        baseline_delete(&ctx, site, never).await.unwrap();
        assert_eq!(baseline_delete(&ctx, site, never).await.unwrap_err().code(), Code::NotFound);
    }
}

#[tokio::test]
async fn what_an_earlier_deployment_wants_otherwise_is_said_before_saving() {
    for test in TestSite::all().await {
        let (ctx, site) = (test.full(), &test.site);
        let (alpha, beta) = (test.enrol("alpha").await, test.enrol("beta").await);
        let other = |mode: &str| {
            let mut of = baseline();
            of.name = "Others".parse().unwrap();
            for setting in &mut of.items[0].settings {
                setting.remediation = Some(Remediation::File { content: None, mode: Some(mode.to_owned()) });
            }
            envelope::sign_json(&[&test.admin_key], &of).unwrap()
        };
        let to = |baseline, device: &TestDevice, remediate| BaselineDeploy {
            remediate,
            ..deploy_of(baseline, Target::Device { device: device.id })
        };
        let first = added(&test).await;
        baseline_deploy(&ctx, site, &to(first, &alpha, true)).await.unwrap();
        let otherwise = baseline_create(&ctx, site, &other("0600")).await.unwrap().hash;
        let same = baseline_create(&ctx, site, &other("0644")).await.unwrap().hash;
        let told = async |wanted: &BaselineDeploy| {
            let preview = baseline_preview(&ctx, site, wanted).await.unwrap();
            preview.warnings.into_iter().filter(|warning| warning.contains("otherwise")).collect::<Vec<_>>()
        };
        let warnings = told(&to(otherwise, &alpha, true)).await;
        assert_eq!(warnings.len(), 1, "{warnings:?}");
        assert!(warnings[0].starts_with("Files 1 came first and wants it otherwise: one, two, three."), "{warnings:?}");
        let all = BaselineDeploy { target: Target::AllSystems, ..to(otherwise, &alpha, true) };
        assert_eq!(told(&all).await.len(), 1, "it is one of them");
        for wanted in [to(otherwise, &beta, true), to(otherwise, &alpha, false), to(same, &alpha, true)] {
            assert!(told(&wanted).await.is_empty(), "another device, only looked at, the same");
        }
    }
}

// A conflict names the rival even of a private setting, and is an alert as what does not comply is.
#[tokio::test]
async fn a_conflict_is_kept_with_the_name_of_the_rival() {
    for test in TestSite::all().await {
        let (ctx, site) = (test.full(), &test.site);
        let device = test.enrol("alpha").await;
        let hash = added(&test).await;
        let of = baseline_deploy(&ctx, site, &deploy_of(hash, Target::AllSystems)).await.unwrap();
        let rival = |value: Option<&str>| SettingResult {
            detail: "Others 1 (x) came first and wants it otherwise.".to_owned(),
            ..result(State::Conflict, value)
        };
        let results = vec![result(State::Error, None), rival(Some("0600")), rival(Some("secret"))];
        let mut outbox = Outbox::new(Channel::Status);
        assert_eq!(tell(&test, &device, &mut outbox, evaluated(&of, results).0).await, 0);
        let shown = baseline_deployment_show(&ctx, site, of.id).await.unwrap();
        assert_eq!((shown.totals, shown.alerting), ([("conflict".to_owned(), 1)].into(), 1));
        let wanted = ResultQuery { state: Some(State::Conflict), limit: 50, ..ResultQuery::default() };
        let found = compliance_results(&ctx, site, of.id, &wanted).await.unwrap().items;
        let said: Vec<_> = found.iter().map(|row| (row.value.as_deref(), row.detail.starts_with("Others 1"))).collect();
        assert_eq!(said, [(Some("0600"), true), (None, true)]);
    }
}
