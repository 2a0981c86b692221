//! What deployments take along, do, and refuse: dependencies, what is replaced, removal, offers.

use crate::loop_story::application;
use muster_model::{
    api::{DeploymentCreate, PageQuery, Relation, Target},
    application::{Application, Command, Dependency, DependencyGroup, Requirement, Superseded},
    id::{ApplicationId, Hash},
    policy::{Action, BodyKind, DeploymentPolicy, Purpose},
    problem::Code,
    status::DeploymentState,
};
use muster_site::{
    Worker, application_create, assignment_show, body_show, deployment_create, deployment_delete, deployment_list,
    deployment_preview, deployment_show, testing::TestSite,
};
use muster_trust::{PrivateKey, envelope};

pub(crate) fn id(number: u128) -> ApplicationId {
    ApplicationId(uuid::Uuid::from_u128(number))
}

pub(crate) fn app(number: u128, name: &str, version: &str) -> Application {
    Application {
        id: id(number),
        name: name.parse().unwrap(),
        version: version.to_owned(),
        content: Vec::new(),
        install: Command { program: "/bin/true".to_owned(), arguments: Vec::new(), success_codes: vec![0] },
        ..application(b"")
    }
}

pub(crate) fn removable(application: Application) -> Application {
    Application { uninstall: Some(application.install.clone()), ..application }
}

pub(crate) fn needs(number: u128, version: Option<&str>) -> DependencyGroup {
    DependencyGroup { any: vec![Dependency { application: id(number), version: version.map(str::to_owned) }] }
}

pub(crate) async fn add(test: &TestSite, application: &Application) -> Hash {
    let object = envelope::sign_json(&[&test.admin_key], application).unwrap();
    application_create(&test.full(), &test.site, &object).await.unwrap().hash
}

fn create(application: Hash, target: Target) -> DeploymentCreate {
    DeploymentCreate {
        name: None,
        application,
        target,
        action: Action::Install,
        purpose: Purpose::Required,
        available: None,
        deadline: None,
        high_impact: false,
        outside_windows: false,
        volatile: false,
        software_update: false,
        options: muster_model::program::DeploymentOptions::default(),
        deferral: None,
    }
}

async fn refusal(test: &TestSite, create: &DeploymentCreate) -> (Code, String) {
    let previewed = deployment_preview(&test.full(), &test.site, create).await.unwrap_err();
    let error = deployment_create(&test.full(), &test.site, create).await.unwrap_err();
    assert_eq!(previewed.code(), error.code(), "the preview says it before");
    (error.code(), error.problem().detail)
}

#[tokio::test]
async fn what_it_depends_on_and_replaces_travels_in_the_same_assignment() {
    for test in TestSite::all().await {
        let device = test.enrol("alpha").await;
        let base_old = add(&test, &app(1, "Base", "1.9")).await;
        let base = add(&test, &app(1, "Base", "1.10")).await;
        let middle = add(&test, &Application { dependencies: vec![needs(1, None)], ..app(2, "Middle", "1") }).await;
        let old = add(&test, &removable(app(3, "Old", "1"))).await;
        let new = Application {
            dependencies: vec![needs(2, None), needs(1, Some("1.9.1"))],
            supersedes: vec![Superseded { application: id(3), uninstall: true }],
            requirements: vec![Requirement {
                name: "4 GB".parse().unwrap(),
                query: "select * from SMS_G_System_X86_PC_MEMORY where TotalPhysicalMemory >= 4000000".to_owned(),
            }],
            ..app(4, "New", "2")
        };
        let new = add(&test, &new).await;
        let wanted = create(new, Target::AllSystems);
        let preview = deployment_preview(&test.analyst(), &test.site, &wanted).await.unwrap();
        let seen: Vec<_> = preview.related.iter().map(|r| (r.application, r.relation)).collect();
        let expected = [(base, Relation::Dependency), (middle, Relation::Dependency), (old, Relation::Superseded)];
        assert_eq!(seen, expected, "{preview:?}");
        for says in ["Base 1.10, Middle 1", "uninstalls first what it replaces", "Old 1", "requirements: 4 GB"] {
            assert!(preview.warnings.iter().any(|text| text.contains(says)), "{says}: {:?}", preview.warnings);
        }
        let made = deployment_create(&test.full(), &test.site, &wanted).await.unwrap();
        assert_eq!(made.related, preview.related);
        assert_eq!(deployment_show(&test.analyst(), &test.site, made.id).await.unwrap(), made);
        let mut worker = Worker::new(test.site.clone());
        while worker.step().await.unwrap() {}
        let bodies = assignment_show(&test.device(&device), &test.site).await.unwrap().bodies.clone();
        let of = |kind| bodies.iter().filter(move |body| body.kind == kind).map(|body| body.hash).collect::<Vec<_>>();
        let objects = of(BodyKind::Application);
        assert!([new, base, middle, old].iter().all(|hash| objects.contains(hash)) && !objects.contains(&base_old));
        let policy = body_show(&test.device(&device), &test.site, of(BodyKind::Deployment)[0]).await.unwrap();
        let policy: DeploymentPolicy = serde_json::from_slice(&policy).unwrap();
        assert_eq!(policy.related, [base, middle, old]);
        assert!(body_show(&test.device(&device), &test.site, base).await.is_ok(), "the device may fetch it");
    }
}

#[tokio::test]
async fn circles_depth_and_what_is_not_there_are_refused_before() {
    for test in TestSite::all().await {
        let to = |hash| create(hash, Target::AllSystems);
        let lonely =
            add(&test, &Application { dependencies: vec![needs(99, Some("3"))], ..app(1, "Lonely", "1") }).await;
        let (code, says) = refusal(&test, &to(lonely)).await;
        assert!(code == Code::Conflict && says.contains("version 3 or later"), "{says}");
        let first = add(&test, &Application { dependencies: vec![needs(3, None)], ..app(2, "First", "1") }).await;
        add(&test, &Application { dependencies: vec![needs(2, None)], ..app(3, "Second", "1") }).await;
        let (code, says) = refusal(&test, &to(first)).await;
        assert!(code == Code::Conflict && says.contains("First > Second > First"), "{says}");
        for number in 10..21 {
            let next = Application { dependencies: vec![needs(number + 1, None)], ..app(number, "Deep", "1") };
            add(&test, &next).await;
        }
        let deep = add(&test, &Application { dependencies: vec![needs(10, None)], ..app(9, "Top", "1") }).await;
        add(&test, &app(21, "Bottom", "1")).await;
        let (code, says) = refusal(&test, &to(deep)).await;
        assert!(code == Code::Conflict && says.contains("deeper than 8"), "{says}");
        let stays = app(30, "Stays", "1");
        add(&test, &stays).await;
        let supersedes = vec![Superseded { application: id(30), uninstall: true }];
        let over = add(&test, &Application { supersedes, ..app(31, "Over", "1") }).await;
        let (code, says) = refusal(&test, &to(over)).await;
        assert!(code == Code::Conflict && says.contains("no uninstall command"), "{says}");
        assert_eq!(deployment_list(&test.full(), &test.site, PageQuery::default()).await.unwrap().total, 0);
        // What the site itself would not take is no way in either.
        let stranger = PrivateKey::generate().unwrap();
        let object = envelope::sign_json(&[&stranger], &app(99, "Forged", "3")).unwrap();
        assert_eq!(
            application_create(&test.full(), &test.site, &object).await.unwrap_err().code(),
            Code::AuthorUnknown
        );
        let broken = Requirement { name: "Broken".parse().unwrap(), query: "selekt".to_owned() };
        let broken = Application { requirements: vec![broken], ..app(40, "Broken", "1") };
        let object = envelope::sign_json(&[&test.admin_key], &broken).unwrap();
        let error = application_create(&test.full(), &test.site, &object).await.unwrap_err();
        assert!(error.code() == Code::Malformed && error.problem().detail.contains("Broken"), "{error:?}");
    }
}

#[tokio::test]
async fn a_removal_needs_its_command_and_nobody_who_wants_the_contrary() {
    for test in TestSite::all().await {
        let (alpha, beta) = (test.enrol("alpha").await, test.enrol("beta").await);
        let hash = add(&test, &removable(app(1, "Tool", "1"))).await;
        let next = add(&test, &removable(app(1, "Tool", "2"))).await;
        let plain = add(&test, &app(2, "Plain", "1")).await;
        let one = |device| Target::Device { device };
        let remove = |hash, target| DeploymentCreate { action: Action::Uninstall, ..create(hash, target) };
        let (code, says) = refusal(&test, &remove(plain, Target::AllSystems)).await;
        assert!(code == Code::Conflict && says.contains("no uninstall command"), "{says}");
        let offered = DeploymentCreate { purpose: Purpose::Available, ..remove(hash, Target::AllSystems) };
        assert_eq!(refusal(&test, &offered).await.0, Code::Malformed);
        let installed = deployment_create(&test.full(), &test.site, &create(hash, one(alpha.id))).await.unwrap();
        for target in [one(alpha.id), Target::AllSystems] {
            let (code, says) = refusal(&test, &remove(next, target)).await;
            assert!(code == Code::Conflict && says.contains("Tool 1 installs Tool on 1"), "{says}");
        }
        let removal = deployment_create(&test.full(), &test.site, &remove(next, one(beta.id))).await.unwrap();
        assert_eq!((removal.action, removal.name.as_str()), (Action::Uninstall, "Uninstall Tool 2"));
        assert_eq!(refusal(&test, &create(hash, Target::AllSystems)).await.0, Code::Conflict);
        deployment_delete(&test.full(), &test.site, installed.id).await.unwrap();
        deployment_create(&test.full(), &test.site, &remove(hash, one(alpha.id))).await.unwrap();
        let offer = DeploymentCreate { purpose: Purpose::Available, ..create(plain, Target::AllSystems) };
        let preview = deployment_preview(&test.full(), &test.site, &offer).await.unwrap();
        assert!(preview.warnings.iter().any(|text| text.contains("Nothing starts by itself")), "{preview:?}");
        let made = deployment_create(&test.full(), &test.site, &offer).await.unwrap();
        assert_eq!(made.purpose, Purpose::Available);
        let targeted = DeploymentState::Targeted.as_str();
        assert_eq!(made.totals.get(targeted), Some(&2));
    }
}
