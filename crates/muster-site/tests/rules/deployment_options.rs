//! What a deployment says beyond application, target and times: deployment types, programs that run again, values, notices.

use crate::{
    client::{Outbox, full, inventory},
    loop_story::{application, upload},
};
use muster_model::{
    api::{DeploymentCreate, DeploymentPreview, PageQuery, Target},
    application::{
        Application, Command, ContentFile, Dependency, DependencyGroup, DeploymentType, Detection, Parameter,
        ParameterKind, ParameterValue, ParameterWay, Platform, Requirement,
    },
    id::{ApplicationId, Hash},
    inventory::{Row, Value},
    policy::{Action, BodyKind, DeploymentPolicy, Feature, Purpose},
    problem::Code,
    program::{DeploymentOptions, Rerun},
    report::{Body, Channel},
    schedule::{Recurrence, ScheduleToken},
    status::{DeploymentReport, DeploymentState},
};
use muster_site::{
    Worker, application_create, assignment_show, audit_list, body_show, deployment_create, deployment_devices,
    deployment_preview, deployment_show, testing::TestSite,
};
use muster_trust::{envelope, sha256};

fn app(number: u128, name: &str) -> Application {
    Application {
        id: ApplicationId(uuid::Uuid::from_u128(number)),
        name: name.parse().unwrap(),
        content: Vec::new(),
        install: Command { program: "/bin/true".to_owned(), arguments: Vec::new(), success_codes: vec![0] },
        ..application(b"")
    }
}

async fn add(test: &TestSite, application: &Application) -> Hash {
    let object = envelope::sign_json(&[&test.admin_key], application).unwrap();
    application_create(&test.full(), &test.site, &object).await.unwrap().hash
}

fn create(application: Hash, options: DeploymentOptions) -> DeploymentCreate {
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
        options,
        deferral: None,
    }
}

fn kind(name: &str, bytes: &[u8]) -> DeploymentType {
    let file = ContentFile { name: "setup".parse().unwrap(), hash: sha256(bytes), size: bytes.len() as u64 };
    DeploymentType {
        name: name.parse().unwrap(),
        platform: Platform::Linux,
        requirements: Vec::new(),
        content: vec![file],
        install: Command { program: "content/setup".to_owned(), arguments: Vec::new(), success_codes: vec![0] },
        uninstall: None,
        repair: None,
        detection: Detection::File { path: "/x".to_owned(), hash: None },
        return_codes: Vec::new(),
        max_run_seconds: 7_000,
    }
}

fn memory(least: u64) -> Requirement {
    let query = format!("select * from SMS_G_System_X86_PC_MEMORY where TotalPhysicalMemory >= {least}");
    Requirement { name: "Memory".parse().unwrap(), query }
}

/// A Linux machine with 8 GB.
fn reported() -> Body {
    let text = |text: &str| Value::Text(text.to_owned());
    let row = |pairs: &[(&str, Value)]| -> Row {
        pairs.iter().map(|(name, value)| ((*name).to_owned(), value.clone())).collect()
    };
    let system = row(&[("Name", text("Debian GNU/Linux 12")), ("Caption", text("Debian GNU/Linux 12 (bookworm)"))]);
    let memory = row(&[("Name", text("Memory")), ("TotalPhysicalMemory", Value::Int(8_000_000))]);
    inventory(vec![full("OPERATING_SYSTEM", &[system]), full("X86_PC_MEMORY", &[memory])])
}

/// The policy that a device has of the only deployment.
async fn told(test: &TestSite, device: &muster_site::testing::TestDevice) -> (Hash, DeploymentPolicy) {
    let mut worker = Worker::new(test.site.clone());
    while worker.step().await.unwrap() {}
    let bodies = assignment_show(&test.device(device), &test.site).await.unwrap().bodies.clone();
    let body = bodies.iter().find(|body| body.kind == BodyKind::Deployment).unwrap().hash;
    let bytes = body_show(&test.device(device), &test.site, body).await.unwrap();
    (body, serde_json::from_slice(&bytes).unwrap())
}

#[tokio::test]
async fn a_preview_knows_each_deployment_type_and_a_device_says_which_it_took() {
    for test in TestSite::all().await {
        let device = test.enrol("alpha").await;
        let (small, large): (&'static [u8], &'static [u8]) = (b"small", b"much larger");
        let own = Application {
            type_name: Some("none".parse().unwrap()),
            platform: Platform::Windows,
            types: vec![
                DeploymentType { requirements: vec![memory(16_000_000)], ..kind("small", small) },
                DeploymentType { requirements: vec![memory(4_000_000)], ..kind("large", large) },
            ],
            ..app(1, "Several")
        };
        let object = envelope::sign_json(&[&test.admin_key], &own).unwrap();
        let missing = application_create(&test.full(), &test.site, &object).await.unwrap_err();
        assert_eq!(missing.code(), Code::ContentMissing, "the files of every type");
        for bytes in [small, large] {
            upload(&test, bytes).await;
        }
        let hash = application_create(&test.full(), &test.site, &object).await.unwrap().hash;
        let wanted = create(hash, DeploymentOptions::default());
        let preview = deployment_preview(&test.analyst(), &test.site, &wanted).await.unwrap();
        let types: Vec<_> = preview.types.iter().map(|one| (one.name.as_str(), one.content_size)).collect();
        assert_eq!(
            (types, preview.content_size),
            (vec![("none", 0), ("small", 5), ("large", 11)], 11),
            "one is fetched"
        );
        // Which one the device takes is not known before it reported, and then by its own requirements.
        let says = |preview: &DeploymentPreview| {
            let said = preview.warnings.iter().find(|text| text.starts_with("By what the site knows"));
            said.and_then(|text| text.split_once("take: ")).map(|(_, counts)| counts.to_owned())
        };
        assert_eq!(says(&preview).as_deref(), Some("none 0, small 0, large 0; none 0; not known 1."));
        let mut outbox = Outbox::new(Channel::Inventory);
        outbox.push(reported());
        let answer = outbox.send(&test, &device).await.unwrap();
        assert!(answer.quarantined.is_empty(), "{answer:?}");
        let preview = deployment_preview(&test.analyst(), &test.site, &wanted).await.unwrap();
        assert_eq!(says(&preview).as_deref(), Some("none 0, small 0, large 1; none 0; not known 0."));
        let made = deployment_create(&test.full(), &test.site, &wanted).await.unwrap();
        assert_eq!(told(&test, &device).await.1.needs, [Feature::Types], "an earlier client begins nothing");
        let mut outbox = Outbox::new(Channel::Status);
        outbox.push(Body::Deployment(DeploymentReport {
            deployment: made.id,
            application: hash,
            state: DeploymentState::Succeeded,
            reason: None,
            exit_code: None,
            output: String::new(),
            starts: None,
            waits: None,
            runs: None,
            restart: false,
            undone: false,
            deployment_type: Some("small".parse().unwrap()),
            deferred: 0,
        }));
        outbox.send(&test, &device).await.unwrap();
        let page = PageQuery::default();
        let rows = deployment_devices(&test.analyst(), &test.site, made.id, None, page).await.unwrap().items;
        assert_eq!(rows[0].deployment_type.as_ref().unwrap().as_str(), "small");
    }
}

fn parameters() -> Vec<Parameter> {
    let one = |name: &str, kind, default| Parameter {
        name: name.parse().unwrap(),
        kind,
        way: ParameterWay::Environment,
        default,
    };
    vec![
        one("port", ParameterKind::Integer { least: 1, most: 65_535 }, None),
        one(
            "label",
            ParameterKind::String { most_bytes: 8, allowed: Vec::new() },
            Some(ParameterValue::Text("x".into())),
        ),
    ]
}

fn values(pairs: &[(&str, ParameterValue)]) -> DeploymentOptions {
    let parameters = pairs.iter().map(|(name, value)| (name.parse().unwrap(), value.clone())).collect();
    DeploymentOptions { parameters, ..DeploymentOptions::default() }
}

#[tokio::test]
async fn values_are_held_against_what_authors_declared_and_stand_in_what_is_approved() {
    for test in TestSite::all().await {
        let device = test.enrol("alpha").await;
        let own = add(&test, &Application { parameters: parameters(), ..app(1, "Own") }).await;
        let refused = async |hash, options: DeploymentOptions| {
            let wanted = create(hash, options);
            let previewed = deployment_preview(&test.full(), &test.site, &wanted).await.unwrap_err();
            let error = deployment_create(&test.full(), &test.site, &wanted).await.unwrap_err();
            assert_eq!(previewed.code(), error.code(), "the preview says it before");
            (error.code(), error.problem().detail)
        };
        let text = |text: &str| ParameterValue::Text(text.to_owned());
        for (options, says) in [
            (values(&[]), "port needs a value"),
            (values(&[("port", ParameterValue::Integer(0))]), "not from 1 to 65535"),
            (values(&[("port", text("80"))]), "no whole number"),
            (values(&[("port", ParameterValue::Integer(80)), ("label", text("a\0"))]), "has a NUL"),
            (values(&[("port", ParameterValue::Integer(80)), ("label", text("more than 8"))]), "more than 8 bytes"),
            (values(&[("port", ParameterValue::Integer(80)), ("other", text("x"))]), "no parameter other"),
        ] {
            let (code, detail) = refused(own, options).await;
            assert!(code == Code::Malformed && detail.contains(says), "{detail}");
        }
        // What comes along gets no values.
        let group = DependencyGroup {
            any: vec![Dependency { application: ApplicationId(uuid::Uuid::from_u128(1)), version: None }],
        };
        let over = add(&test, &Application { dependencies: vec![group], ..app(2, "Over") }).await;
        let (code, detail) = refused(over, DeploymentOptions::default()).await;
        assert!(code == Code::Conflict && detail.contains("comes along as a dependency"), "{detail}");
        let secret = Application {
            parameters: vec![Parameter { kind: ParameterKind::Secret, ..parameters()[0].clone() }],
            ..app(3, "Secret")
        };
        let object = envelope::sign_json(&[&test.admin_key], &secret).unwrap();
        let error = application_create(&test.full(), &test.site, &object).await.unwrap_err();
        assert!(error.problem().detail.contains("a secret is no parameter"), "{error:?}");
        // The values stand in the body whose hash is approved, and come back as they were given.
        let mut hashes = Vec::new();
        for port in [80, 81] {
            let options = DeploymentOptions { notices: true, ..values(&[("port", ParameterValue::Integer(port))]) };
            let made = deployment_create(&test.full(), &test.site, &create(own, options.clone())).await.unwrap();
            assert_eq!(deployment_show(&test.analyst(), &test.site, made.id).await.unwrap().options, options);
            let (hash, policy) = told(&test, &device).await;
            assert_eq!((&policy.options, &policy.needs[..]), (&options, &[Feature::Parameters][..]));
            hashes.push(hash);
            muster_site::deployment_delete(&test.full(), &test.site, made.id).await.unwrap();
        }
        assert_ne!(hashes[0], hashes[1]);
        let audit = audit_list(&test.full(), &test.site, PageQuery::default()).await.unwrap().items;
        let says = audit.iter().find(|entry| entry.action == "deployment_create").unwrap();
        assert!(says.detail.contains("with values for port, with notices to users"), "{}", says.detail);
    }
}

#[tokio::test]
async fn only_a_program_runs_again_and_only_where_it_begins_by_itself() {
    for test in TestSite::all().await {
        let device = test.enrol("alpha").await;
        let plain = add(&test, &app(1, "Plain")).await;
        let program = add(&test, &Application { detection: Detection::Program, ..app(2, "Program") }).await;
        let every = |hours| {
            let every = Recurrence::Interval { days: 0, hours, minutes: 0 };
            DeploymentOptions {
                rerun: Rerun::Always,
                schedule: vec![ScheduleToken { start: test.now(), every }],
                ..DeploymentOptions::default()
            }
        };
        let code = async |create: DeploymentCreate| {
            deployment_create(&test.full(), &test.site, &create).await.map(|made| made.id).map_err(|error| error.code())
        };
        assert_eq!(code(create(plain, every(1))).await, Err(Code::Malformed));
        assert_eq!(code(create(program, every(0))).await, Err(Code::Malformed), "never is no schedule");
        let many = DeploymentOptions { schedule: vec![every(1).schedule[0]; 9], ..every(1) };
        assert_eq!(code(create(program, many)).await, Err(Code::Malformed));
        let offered = DeploymentCreate { purpose: Purpose::Available, ..create(program, every(1)) };
        assert_eq!(code(offered).await, Err(Code::Malformed));
        let removed = DeploymentCreate { action: Action::Uninstall, ..create(program, DeploymentOptions::default()) };
        assert_eq!(code(removed).await, Err(Code::Conflict), "nothing is there that could be removed");
        let wanted = create(program, every(6));
        let preview = deployment_preview(&test.analyst(), &test.site, &wanted).await.unwrap();
        let says = "It is a program: its exit code alone says whether it worked. It runs at its deadline and whenever";
        assert!(preview.warnings.iter().any(|text| text.contains(says)), "{:?}", preview.warnings);
        code(wanted).await.unwrap();
        let (_, policy) = told(&test, &device).await;
        assert_eq!((policy.options, policy.needs), (every(6), vec![Feature::Programs]));
    }
}
