//! Rules that propose groups of updates: what they propose, that the site cannot sign it, what a signed draft replaces; and how users put a
//! deployment off.

use crate::{
    client::{Outbox, full, inventory, row},
    deployment_approval::{approve, ruled, says as approval},
    loop_story::application,
    trust::change,
};
use muster_model::{
    api::{
        Deployment, DeploymentCreate, PageQuery, Target, UpdateDraft, UpdateRule, UpdateRuleDetail, UpdateRuleSigned,
    },
    application::{Application, Command, Detection},
    id::{ApplicationId, Hash},
    inventory::{Row, Value},
    policy::{Action, BodyKind, Deferral, DeploymentPolicy, Purpose},
    problem::Code,
    report::{Body, Channel},
    status::{DeploymentReport, DeploymentState, WaitReason},
    time::{HOUR, MINUTE},
    update::{UPDATES, UpdateGroup, UpdateTool},
};
use muster_site::{
    UpdateWork, Worker, application_create, assignment_show, audit_list, body_show, dashboard_show, deployment_create,
    deployment_delete, deployment_devices, deployment_order, deployment_show,
    testing::{TestDevice, TestSite},
    update_draft_count, update_group_show, update_rule_create, update_rule_delete, update_rule_list, update_rule_look,
    update_rule_show, update_rule_signed, update_rule_work, update_work,
};
use muster_trust::{PrivateKey, bundle::NamedKey, envelope, proposal::Change};

const PAGE: PageQuery = PageQuery { offset: 0, limit: 50 };

fn offered(package: &str, version: &str, security: bool) -> Row {
    let text = |text: &str| Value::Text(text.to_owned());
    row(&[
        ("Package", text(package)),
        ("Architecture", text("amd64")),
        ("InstalledVersion", text("0.1")),
        ("CandidateVersion", text(version)),
        ("Origin", text("Debian:12/stable, Debian-Security:12/stable-security")),
        ("Security", Value::Bool(security)),
        ("Tool", text("apt")),
    ])
}

/// A device says what it misses, and it is counted.
async fn says(test: &TestSite, device: &TestDevice, outbox: &mut Outbox, work: &mut UpdateWork, rows: &[Row]) {
    outbox.push(inventory(vec![full("SoftwareUpdate", rows)]));
    outbox.send(test, device).await.unwrap();
    test.sources.pass(11 * MINUTE);
    update_work(&test.site, work, test.now()).await.unwrap();
}

fn rule(name: &str) -> UpdateRule {
    UpdateRule {
        name: name.parse().unwrap(),
        tool: UpdateTool::Apt,
        security: true,
        origins: vec!["Debian-Security:*".to_owned()],
        names: Vec::new(),
        exclude: vec!["linux-*".to_owned()],
        min_age_hours: 0,
        min_devices: 1,
        every_hours: 24,
        exact: false,
        allow_new: false,
        allow_removals: false,
        max_run_seconds: 600,
        application: None,
        deployment: None,
    }
}

fn changes(draft: &UpdateDraft) -> Vec<String> {
    draft.changes.iter().map(muster_model::update::UpdateGroupChange::sentence).collect()
}

fn revision(id: ApplicationId, version: &str, group: UpdateGroup) -> Application {
    Application {
        id,
        name: "Security".parse().unwrap(),
        version: version.to_owned(),
        content: Vec::new(),
        install: Command { program: UPDATES.to_owned(), arguments: Vec::new(), success_codes: vec![0] },
        detection: Detection::Updates { group },
        ..application(b"")
    }
}

/// As an author does it on their own machine.
async fn sign(test: &TestSite, detail: &UpdateRuleDetail) -> Hash {
    let draft = detail.draft.clone().unwrap();
    let application = revision(detail.info.rule.application.unwrap(), &draft.version, draft.group);
    let object = envelope::sign_json(&[&test.admin_key], &application).unwrap();
    application_create(&test.full(), &test.site, &object).await.unwrap().hash
}

fn create(application: Hash, deferral: Option<Deferral>) -> DeploymentCreate {
    DeploymentCreate {
        name: None,
        application,
        target: Target::AllSystems,
        action: Action::Install,
        purpose: Purpose::Required,
        available: None,
        deadline: None,
        high_impact: false,
        outside_windows: false,
        volatile: false,
        software_update: false,
        options: Default::default(),
        deferral,
    }
}

/// The policy of its only deployment.
async fn policy(test: &TestSite, device: &TestDevice) -> DeploymentPolicy {
    let mut worker = Worker::new(test.site.clone());
    while worker.step().await.unwrap() {}
    let ctx = test.device(device);
    let bodies = assignment_show(&ctx, &test.site).await.unwrap().bodies.clone();
    let body = bodies.iter().find(|body| body.kind == BodyKind::Deployment).unwrap();
    serde_json::from_slice(&body_show(&ctx, &test.site, body.hash).await.unwrap()).unwrap()
}

fn report(deployment: &Deployment, state: DeploymentState, deferred: u32) -> Body {
    Body::Deployment(DeploymentReport {
        deployment: deployment.id,
        application: deployment.application,
        state,
        reason: None,
        exit_code: None,
        output: String::new(),
        starts: None,
        waits: (state == DeploymentState::Waiting).then_some(WaitReason::Deferred),
        runs: None,
        restart: false,
        undone: false,
        deployment_type: None,
        deferred,
    })
}

#[tokio::test]
async fn a_rule_proposes_and_only_what_an_author_signed_takes_its_place() {
    for test in TestSite::all().await {
        let (device, mut work) = (test.enrol("alpha").await, UpdateWork::default());
        let mut outbox = Outbox::new(Channel::Inventory);
        let rows = [offered("openssl", "1.9", true), offered("linux-image", "6", true), offered("nano", "7", false)];
        says(&test, &device, &mut outbox, &mut work, &rows).await;
        assert_eq!(
            update_rule_create(&test.analyst(), &test.site, rule("S")).await.unwrap_err().code(),
            Code::Forbidden
        );
        let first = update_rule_create(&test.full(), &test.site, rule("Security")).await.unwrap();
        let draft = first.draft.clone().unwrap();
        assert_eq!((changes(&draft), draft.version.as_str()), (vec!["openssl 1.9 (new)".to_owned()], "1"));
        assert_eq!(update_draft_count(&test.analyst(), &test.site).await.unwrap(), 1);
        let warnings = dashboard_show(&test.analyst(), &test.site).await.unwrap().warnings;
        assert!(warnings.iter().any(|warning| warning.contains("1 draft(s) of updates wait")), "{warnings:?}");
        let twice = update_rule_create(&test.full(), &test.site, rule("Security")).await.unwrap_err();
        assert_eq!(twice.code(), Code::Conflict);

        // What is signed is deployed, and a second rule goes on with it in that deployment.
        let one = sign(&test, &first).await;
        update_rule_signed(&test.full(), &test.site, first.info.id, UpdateRuleSigned { application: one })
            .await
            .unwrap();
        assert_eq!(update_draft_count(&test.analyst(), &test.site).await.unwrap(), 0);
        let deployment = deployment_create(&test.full(), &test.site, &create(one, None)).await.unwrap();
        update_rule_delete(&test.full(), &test.site, first.info.id).await.unwrap();
        let next = UpdateRule { deployment: Some(deployment.id), ..rule("Goes on") };
        let next = update_rule_create(&test.full(), &test.site, next).await.unwrap();
        assert_eq!((next.info.rule.application, &next.draft), (first.info.rule.application, &None));
        assert_eq!(policy(&test, &device).await.application, one);
        let mut said = Outbox::new(Channel::Status);
        said.push(report(&deployment, DeploymentState::Succeeded, 0));
        said.send(&test, &device).await.unwrap();

        // Time passes: there are later versions. The rule looks by itself at its hour, and not before.
        let rows = [offered("openssl", "1.10", true), offered("zlib", "2", true)];
        says(&test, &device, &mut outbox, &mut work, &rows).await;
        assert!(!update_rule_work(&test.site, test.now()).await.unwrap());
        test.sources.pass(24 * HOUR);
        assert!(update_rule_work(&test.site, test.now()).await.unwrap());
        let next = update_rule_show(&test.analyst(), &test.site, next.info.id).await.unwrap();
        let draft = next.draft.clone().unwrap();
        assert_eq!(changes(&draft), ["openssl 1.9 -> 1.10", "zlib 2 (new)"]);
        assert_eq!((draft.version.as_str(), draft.last), ("2", Some(one)));
        // Found once more it waits as long as it has waited.
        let since = next.info.drafted;
        test.sources.pass(HOUR);
        let again = update_rule_look(&test.full(), &test.site, next.info.id).await.unwrap();
        assert_eq!((again.info.drafted, again.draft.as_ref()), (since, Some(&draft)));
        // What the signed group has is shown as superseded.
        let standing = update_group_show(&test.analyst(), &test.site, one).await.unwrap().items;
        assert_eq!((standing[0].package.as_str(), standing[0].superseded_by.as_deref()), ("openssl", Some("1.10")));
        // Nothing of that reached a client: it has what was signed.
        assert_eq!(policy(&test, &device).await.application, one);

        // Another application is no revision of it, whoever signed it.
        let other = revision(ApplicationId(uuid::Uuid::from_u128(77)), "2", draft.group.clone());
        let other = envelope::sign_json(&[&test.admin_key], &other).unwrap();
        let other = application_create(&test.full(), &test.site, &other).await.unwrap().hash;
        let wrong = UpdateRuleSigned { application: other };
        let refused = update_rule_signed(&test.full(), &test.site, next.info.id, wrong).await.unwrap_err();
        assert_eq!(refused.code(), Code::Conflict);
        let two = sign(&test, &next).await;
        let signed = UpdateRuleSigned { application: two };
        let none = update_rule_signed(&test.analyst(), &test.site, next.info.id, signed.clone()).await.unwrap_err();
        assert_eq!(none.code(), Code::Forbidden);
        let done = update_rule_signed(&test.full(), &test.site, next.info.id, signed).await.unwrap();
        assert_eq!(done.draft, None);
        let shown = deployment_show(&test.analyst(), &test.site, deployment.id).await.unwrap();
        assert_eq!((shown.application, shown.application_version.as_str()), (two, "2"));
        assert_eq!(shown.totals, [("targeted".to_owned(), 1)].into(), "every device begins anew");
        let now = policy(&test, &device).await;
        assert_eq!((now.application, now.deployment), (two, deployment.id));
        // An older revision takes nobody's place.
        let old = UpdateRuleSigned { application: one };
        assert_eq!(
            update_rule_signed(&test.full(), &test.site, next.info.id, old).await.unwrap_err().code(),
            Code::Conflict
        );
        let audit = audit_list(&test.full(), &test.site, PAGE).await.unwrap().items;
        for action in ["update_rule_create", "update_rule_delete", "update_rule_signed", "deployment_revise"] {
            assert!(audit.iter().any(|entry| entry.action == action), "{action}");
        }
        // In a deployment that is over nothing is replaced.
        deployment_delete(&test.full(), &test.site, deployment.id).await.unwrap();
        let dead = UpdateRule { deployment: Some(deployment.id), ..rule("Dead") };
        assert_eq!(update_rule_create(&test.full(), &test.site, dead).await.unwrap_err().code(), Code::NotFound);
        assert_eq!(update_rule_list(&test.analyst(), &test.site, PAGE).await.unwrap().total, 1);
    }
}

/// Whether a device is told of a deployment.
async fn is_told(test: &TestSite, device: &TestDevice) -> bool {
    let mut worker = Worker::new(test.site.clone());
    while worker.step().await.unwrap() {}
    let bodies = assignment_show(&test.device(device), &test.site).await.unwrap().bodies.clone();
    bodies.iter().any(|body| body.kind == BodyKind::Deployment)
}

// proves S19: an approval is for one revision
#[tokio::test]
async fn a_revision_waits_for_an_approval_of_its_own_and_what_nobody_believes_any_more_is_in_no_way() {
    for test in TestSite::all().await {
        let (device, mut work) = (test.enrol("alpha").await, UpdateWork::default());
        let mut outbox = Outbox::new(Channel::Inventory);
        let second = ruled(&test, 0).await;
        says(&test, &device, &mut outbox, &mut work, &[offered("openssl", "1.9", true)]).await;
        let first = update_rule_create(&test.full(), &test.site, rule("Security")).await.unwrap();
        let one = sign(&test, &first).await;
        let deployment = deployment_create(&test.full(), &test.site, &create(one, None)).await.unwrap();
        assert!(!is_told(&test, &device).await);
        let order = deployment_order(&test.analyst(), &test.site, deployment.id).await.unwrap();
        let early = approval(&test, &order, &deployment, 1);
        approve(&test, &deployment, &second, &early).await.unwrap();
        assert!(is_told(&test, &device).await);

        // The next revision: the approval was for the other one.
        let next = UpdateRule { deployment: Some(deployment.id), ..rule("Goes on") };
        let next = update_rule_create(&test.full(), &test.site, next).await.unwrap();
        says(&test, &device, &mut outbox, &mut work, &[offered("openssl", "1.10", true)]).await;
        let next = update_rule_look(&test.full(), &test.site, next.info.id).await.unwrap();
        let signed = UpdateRuleSigned { application: sign(&test, &next).await };
        update_rule_signed(&test.full(), &test.site, next.info.id, signed.clone()).await.unwrap();
        assert!(!is_told(&test, &device).await, "nobody approved this one");
        let order = deployment_order(&test.analyst(), &test.site, deployment.id).await.unwrap();
        assert!(order.waits_for_approval && order.approval.is_none(), "{order:?}");
        assert_eq!(approve(&test, &deployment, &second, &early).await.unwrap_err().code(), Code::Conflict);
        let again = approval(&test, &order, &deployment, 1);
        approve(&test, &deployment, &second, &again).await.unwrap();
        assert!(is_told(&test, &device).await);
        assert_eq!(policy(&test, &device).await.application, signed.application);

        // Somebody who is no author any more signed a revision that no other one could ever follow.
        let group = next.draft.clone().unwrap().group;
        let last = revision(next.info.rule.application.unwrap(), "9999", group);
        let last = envelope::sign_json(&[&second], &last).unwrap();
        application_create(&test.full(), &test.site, &last).await.unwrap();
        let third = NamedKey::new("third", PrivateKey::generate().unwrap().public());
        change(&test, vec![Change::Author(third), Change::Revoke(second.public().id())]).await;
        says(&test, &device, &mut outbox, &mut work, &[offered("openssl", "1.11", true)]).await;
        let next = update_rule_look(&test.full(), &test.site, next.info.id).await.unwrap();
        let draft = next.draft.clone().unwrap();
        assert_eq!((draft.version.as_str(), draft.last), ("3", Some(signed.application)));
        let signed = UpdateRuleSigned { application: sign(&test, &next).await };
        update_rule_signed(&test.full(), &test.site, next.info.id, signed).await.unwrap();
    }
}

#[tokio::test]
async fn users_may_put_off_what_is_signed_so_and_the_site_shows_how_often() {
    for test in TestSite::all().await {
        let device = test.enrol("alpha").await;
        let app = Application {
            detection: Detection::File { path: "/x".to_owned(), hash: None },
            content: Vec::new(),
            install: Command { program: "/bin/true".to_owned(), arguments: Vec::new(), success_codes: vec![0] },
            ..application(b"")
        };
        let object = envelope::sign_json(&[&test.admin_key], &app).unwrap();
        let hash = application_create(&test.full(), &test.site, &object).await.unwrap().hash;
        let three = Deferral { times: 3, minutes: 60, grace_minutes: 120 };
        let offer = DeploymentCreate { purpose: Purpose::Available, ..create(hash, Some(three)) };
        for wrong in [
            create(hash, Some(Deferral { times: 0, ..three })),
            create(hash, Some(Deferral { minutes: u32::MAX, ..three })),
            offer,
        ] {
            let refused = deployment_create(&test.full(), &test.site, &wrong).await.unwrap_err();
            assert_eq!(refused.code(), Code::Malformed, "{wrong:?}");
        }
        let made = deployment_create(&test.full(), &test.site, &create(hash, Some(three))).await.unwrap();
        assert_eq!(made.deferral, Some(three));
        assert_eq!(deployment_show(&test.analyst(), &test.site, made.id).await.unwrap().deferral, Some(three));
        assert_eq!(policy(&test, &device).await.deferral, Some(three));
        let mut outbox = Outbox::new(Channel::Status);
        outbox.push(report(&made, DeploymentState::Waiting, 2));
        outbox.send(&test, &device).await.unwrap();
        let row = deployment_devices(&test.analyst(), &test.site, made.id, None, PAGE).await.unwrap().items.remove(0);
        assert_eq!((row.waits, row.deferred), (Some(WaitReason::Deferred), 2));
    }
}

/// What is missing somewhere, for rules that are pure.
#[test]
fn a_rule_says_what_it_takes() {
    assert!(rule("a").check().is_ok());
    for wrong in [
        UpdateRule { every_hours: 0, ..rule("a") },
        UpdateRule { max_run_seconds: 0, ..rule("a") },
        UpdateRule { min_age_hours: 9_000, ..rule("a") },
        UpdateRule { names: vec![String::new()], ..rule("a") },
        UpdateRule { exclude: vec!["x".to_owned(); 201], ..rule("a") },
    ] {
        assert!(wrong.check().is_err(), "{wrong:?}");
    }
}
