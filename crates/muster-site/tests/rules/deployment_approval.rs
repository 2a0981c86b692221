//! Deployments that a second key must approve: how far they reach without, who can approve, and what ends it.

use crate::{loop_story::deploy, trust::change};
use base64::{Engine, engine::general_purpose::STANDARD as BASE64};
use muster_model::{
    api::{Deployment, DeploymentApprove, DeploymentOrder, PageQuery, Target},
    deployment_approval::DeploymentApproval,
    policy::BodyKind,
    problem::Code,
    time::{DAY, HOUR},
};
use muster_site::{
    SiteError, Worker, assignment_show, audit_list, audit_verify, deployment_approval_withdraw, deployment_approve,
    deployment_order, deployment_show,
    testing::{TestDevice, TestSite},
};
use muster_store::testing::tamper;
use muster_trust::{PrivateKey, Signer, bundle::NamedKey, envelope, proposal::Change};

async fn work(test: &TestSite) {
    let mut worker = Worker::new(test.site.clone());
    while worker.step().await.unwrap() {}
}

/// A second author, and the rule.
pub(crate) async fn ruled(test: &TestSite, above: u64) -> PrivateKey {
    let second = PrivateKey::generate().unwrap();
    let author = Change::Author(NamedKey::new("second", second.public()));
    change(test, vec![author, Change::ApprovalAbove(Some(above))]).await;
    second
}

pub(crate) fn says(test: &TestSite, order: &DeploymentOrder, of: &Deployment, devices: u64) -> DeploymentApproval {
    DeploymentApproval {
        site: test.site.code,
        deployment: of.id,
        order: order.order,
        target: of.target,
        devices,
        issued: test.now(),
        expires: test.now().plus(7 * DAY),
    }
}

pub(crate) async fn approve(
    test: &TestSite,
    of: &Deployment,
    key: &dyn Signer,
    says: &DeploymentApproval,
) -> Result<DeploymentOrder, SiteError> {
    let approval = BASE64.encode(envelope::sign1_json(key, says).unwrap());
    deployment_approve(&test.full(), &test.site, of.id, &DeploymentApprove { approval }).await
}

/// Kinds of bodies of a device, but for its settings.
async fn told(test: &TestSite, device: &TestDevice) -> Vec<BodyKind> {
    work(test).await;
    let bodies = assignment_show(&test.device(device), &test.site).await.unwrap().bodies.clone();
    bodies.into_iter().map(|body| body.kind).filter(|kind| *kind != BodyKind::Settings).collect()
}

// proves S19: keys count and not accounts, and what was approved is what runs
#[tokio::test]
async fn a_deployment_above_the_reach_waits_for_a_second_key_and_goes_no_further_than_that_said() {
    for test in TestSite::all().await {
        let (first, other) = (test.enrol("first").await, test.enrol("other").await);
        let second = ruled(&test, 1).await;
        let all = [BodyKind::Deployment, BodyKind::Application, BodyKind::DeploymentApproval];
        let of = deploy(&test, Target::AllSystems).await;
        let order = deployment_order(&test.analyst(), &test.site, of.id).await.unwrap();
        assert!(order.waits_for_approval && order.devices == 2 && order.above == Some(1), "{order:?}");
        assert!(told(&test, &first).await.is_empty() && told(&test, &other).await.is_empty());

        let right = says(&test, &order, &of, 2);
        let stranger = PrivateKey::generate().unwrap();
        let refusals = [
            (approve(&test, &of, &test.admin_key, &right).await, Code::Conflict, "its author"),
            (approve(&test, &of, &stranger, &right).await, Code::AuthorUnknown, "a stranger"),
            (approve(&test, &of, &test.root_key, &right).await, Code::AuthorUnknown, "the root"),
        ];
        for (answer, code, who) in refusals {
            assert_eq!(answer.unwrap_err().code(), code, "{who}");
        }
        let wrong = [
            (DeploymentApproval { site: "XYZ".parse().unwrap(), ..right.clone() }, Code::ForeignSite),
            (DeploymentApproval { order: muster_model::id::Hash([7; 32]), ..right.clone() }, Code::Conflict),
            (DeploymentApproval { target: Target::Device { device: first.id }, ..right.clone() }, Code::Conflict),
            (DeploymentApproval { devices: 1, ..right.clone() }, Code::Conflict),
            (DeploymentApproval { expires: test.now(), ..right.clone() }, Code::Conflict),
            (DeploymentApproval { expires: test.now().plus(91 * DAY), ..right.clone() }, Code::Conflict),
            (DeploymentApproval { issued: test.now().plus(2 * DAY), ..right.clone() }, Code::Conflict),
        ];
        for (says, code) in &wrong {
            assert_eq!(approve(&test, &of, &second, says).await.unwrap_err().code(), *code, "{says:?}");
        }
        assert!(told(&test, &first).await.is_empty(), "no refusal changes anything");
        let approval = BASE64.encode(envelope::sign1_json(&second, &right).unwrap());
        let approval = DeploymentApprove { approval };
        for (ctx, code) in [(test.analyst(), Code::Forbidden), (test.anonymous(), Code::Unauthenticated)] {
            let answer = deployment_approve(&ctx, &test.site, of.id, &approval).await;
            assert_eq!(answer.unwrap_err().code(), code);
        }
        // The second key's approval counts, whoever hands it in.
        let order = deployment_approve(&test.full(), &test.site, of.id, &approval).await.unwrap();
        let seen = order.approval.unwrap();
        assert_eq!((seen.name.as_deref(), seen.devices, seen.dead), (Some("second"), 2, None));
        assert_eq!((told(&test, &first).await, told(&test, &other).await), (all.to_vec(), all.to_vec()));

        // Who comes later is more than was approved.
        let later = test.enrol("later").await;
        assert!(told(&test, &later).await.is_empty());
        let order = deployment_order(&test.full(), &test.site, of.id).await.unwrap();
        assert_eq!((order.devices, order.left_out), (2, 1));
        // The signer's clock is ahead.
        let ahead = DeploymentApproval { issued: test.now().plus(HOUR), ..says(&test, &order, &of, 3) };
        approve(&test, &of, &second, &ahead).await.unwrap();
        assert_eq!(told(&test, &later).await, all);

        // Another deployment of the same application is another thing.
        let again = deploy(&test, Target::AllSystems).await;
        assert_eq!(approve(&test, &again, &second, &right).await.unwrap_err().code(), Code::Conflict);
        assert_eq!(told(&test, &first).await, all);

        deployment_approval_withdraw(&test.full(), &test.site, of.id).await.unwrap();
        let twice = deployment_approval_withdraw(&test.full(), &test.site, of.id).await.unwrap_err();
        assert_eq!(twice.code(), Code::Conflict);
        assert!(told(&test, &first).await.is_empty());
        let replayed = approve(&test, &of, &second, &ahead).await;
        assert_eq!(replayed.unwrap_err().code(), Code::Conflict, "what was withdrawn stays so");
        let page = PageQuery { offset: 0, limit: 500 };
        let audit = audit_list(&test.full(), &test.site, page).await.unwrap();
        let count = |action: &str| audit.items.iter().filter(|entry| entry.action == action).count();
        assert_eq!((count("deployment_approve"), count("deployment_approval_withdraw")), (2, 1));
        assert!(audit_verify(&test.full(), &test.site).await.unwrap().broken_at.is_none());
    }
}

// proves S19: what is written into the database approves nothing
#[tokio::test]
async fn rows_that_nobody_signed_reach_no_device() {
    for test in TestSite::all().await {
        let (first, other) = (test.enrol("first").await, test.enrol("other").await);
        let second = ruled(&test, 1).await;
        let of = deploy(&test, Target::AllSystems).await;
        let order = deployment_order(&test.full(), &test.site, of.id).await.unwrap();
        approve(&test, &of, &second, &says(&test, &order, &of, 2)).await.unwrap();
        assert_eq!(told(&test, &first).await.len(), 3);
        let kept = deployment_order(&test.full(), &test.site, of.id).await.unwrap().approval.unwrap().expires;
        let store = &test.site.store;
        tamper(store, "CREATE TABLE kept AS SELECT reach, expires, body FROM deployment_approval").await;
        let altered = [
            "UPDATE deployment_approval SET reach = 5000",
            "UPDATE deployment_approval SET expires = 1899999999999",
            "UPDATE deployment_approval SET body = (SELECT policy_body FROM deployment)",
        ];
        for alter in altered {
            tamper(store, alter).await;
            change(&test, vec![]).await;
            assert!(told(&test, &first).await.is_empty() && told(&test, &other).await.is_empty(), "{alter}");
            let order = deployment_order(&test.full(), &test.site, of.id).await.unwrap();
            assert!(order.waits_for_approval && order.approval.unwrap().dead.is_some(), "{alter}");
            let back = "UPDATE deployment_approval SET reach = (SELECT reach FROM kept), \
                 expires = (SELECT expires FROM kept), body = (SELECT body FROM kept)";
            tamper(store, back).await;
        }
        assert!(kept > test.now());
        // Another target, more devices, another order as a further attempt, and what nobody can read.
        test.enrol("third").await;
        tamper(store, "CREATE TABLE kept_body AS SELECT hash, bytes FROM policy_body").await;
        let altered = [
            (
                "UPDATE deployment SET target_device = (SELECT MIN(id) FROM device)",
                "UPDATE deployment SET target_device = NULL",
            ),
            (
                "INSERT INTO deployment_device (deployment, device, state, output, changed) \
                 SELECT p.id, d.id, 'targeted', '', 0 FROM deployment p, device d WHERE d.name = 'third'",
                "DELETE FROM deployment_device WHERE device = (SELECT id FROM device WHERE name = 'third')",
            ),
            (
                "INSERT INTO deployment_attempt (deployment, attempt, policy_body, policy_size) \
                 SELECT p.id, 1, k.body, 10 FROM deployment p, kept k",
                "DELETE FROM deployment_attempt",
            ),
            (
                "UPDATE policy_body SET bytes = (SELECT k.bytes FROM kept_body k WHERE k.hash <> policy_body.hash ORDER BY k.hash LIMIT 1) \
                 WHERE hash = (SELECT policy_body FROM deployment)",
                "UPDATE policy_body SET bytes = (SELECT k.bytes FROM kept_body k WHERE k.hash = policy_body.hash)",
            ),
        ];
        for (alter, back) in altered {
            tamper(store, alter).await;
            if alter.contains("deployment_attempt") {
                tamper(store, "UPDATE deployment_device SET attempt = 1").await;
            }
            change(&test, vec![]).await;
            assert!(told(&test, &first).await.is_empty() && told(&test, &other).await.is_empty(), "{alter}");
            tamper(store, "UPDATE deployment_device SET attempt = 0").await;
            tamper(store, back).await;
            change(&test, vec![]).await;
            assert_eq!(told(&test, &first).await.len(), 3, "{alter}");
        }
        let unapproved = "UPDATE deployment_approval SET reach = 5000, held = 0, body = NULL, expires = NULL";
        for alter in [unapproved, "DELETE FROM deployment_approval"] {
            tamper(store, alter).await;
            change(&test, vec![]).await;
            assert!(told(&test, &first).await.is_empty() && told(&test, &other).await.is_empty(), "{alter}");
            let order = deployment_order(&test.full(), &test.site, of.id).await.unwrap();
            assert!(order.waits_for_approval, "{alter}");
        }
        // One that was made before the rule waits in the same way, until it is approved.
        approve(&test, &of, &second, &says(&test, &order, &of, 3)).await.unwrap();
        change(&test, vec![]).await;
        assert_eq!(told(&test, &first).await.len(), 3);
    }
}

#[tokio::test]
async fn an_approval_ends_with_its_time_and_with_its_key() {
    for test in TestSite::all().await {
        let first = test.enrol("first").await;
        let second = ruled(&test, 0).await;
        let of = deploy(&test, Target::Device { device: first.id }).await;
        let order = deployment_order(&test.full(), &test.site, of.id).await.unwrap();
        let right = says(&test, &order, &of, 1);
        approve(&test, &of, &second, &DeploymentApproval { expires: test.now().plus(HOUR), ..right.clone() })
            .await
            .unwrap();
        assert_eq!(told(&test, &first).await.len(), 3);
        test.sources.pass(HOUR);
        let order = deployment_order(&test.full(), &test.site, of.id).await.unwrap();
        assert!(order.waits_for_approval && order.approval.unwrap().dead.is_some());
        let third = PrivateKey::generate().unwrap();
        change(&test, vec![Change::Author(NamedKey::new("third", third.public()))]).await;
        assert!(told(&test, &first).await.is_empty(), "what has ended is not told any more");
        approve(&test, &of, &second, &right).await.unwrap();
        assert_eq!(told(&test, &first).await.len(), 3);
        change(&test, vec![Change::Revoke(second.public().id())]).await;
        let order = deployment_order(&test.full(), &test.site, of.id).await.unwrap();
        let seen = order.approval.unwrap();
        assert!(order.waits_for_approval && seen.dead.is_some() && seen.name.is_none(), "{seen:?}");
        assert_eq!(approve(&test, &of, &second, &right).await.unwrap_err().code(), Code::AuthorUnknown);
        assert!(!deployment_show(&test.full(), &test.site, of.id).await.unwrap().deleted);
    }
}
