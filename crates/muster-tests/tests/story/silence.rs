//! Outbound silence: addresses in every field that a device or an administrator can fill, in every spelling that some program once
//! followed. Neither the server nor the client connects to one, or asks for its name. Each system call is watched.

use crate::{harness::Site, loop_closes::added_as};
use base64::{Engine, engine::general_purpose::STANDARD as BASE64};
use muster_model::{
    discovery::Fact,
    enrol::{DeviceClaims, EnrolRequest, EnrolmentToken},
    inventory::{Change, InventoryReport, Section, Value, section_bytes},
    report::{Body, Channel, DiscoveryReport, NetworkReport},
    status::{Component, DeploymentReport, DeploymentState, MessageId, Severity, StatusMessage},
};
use muster_tests::fleet::{
    clock,
    device::message,
    enrol::{self, Wanted, claims},
    http::{Connection, Target},
    progress::Progress,
};
use muster_trust::{PrivateKey, certificate, sha256, tls};
use std::sync::Arc;

/// Addresses of nobody (RFC 5737, RFC 3849, a name under `.test`), as IPv4, IPv6, names, UNC, `WebDAV`, URLs and templates.
const CANARIES: [&str; 12] = [
    "canary.muster.test",
    "192.0.2.77",
    "[2001:db8::77]",
    "http://canary.muster.test/x",
    "https://192.0.2.77:8443/",
    "//192.0.2.77/share",
    r"\\192.0.2.77\share\x",
    r"\\canary.muster.test@80\x",
    "file://canary.muster.test/etc/passwd",
    "ldap://[2001:db8::77]/o=x",
    "${jndi:ldap://canary.muster.test/a}",
    "%5C%5Ccanary.muster.test%5Cx",
];

/// Every line of a trace that goes anywhere but to the loopback network, or asks somebody for a name.
fn outbound(trace: &str) -> Vec<&str> {
    let loud = |line: &&str| {
        let v4 = line.contains("AF_INET,") && !line.contains("inet_addr(\"127.");
        let v6 = line.contains("AF_INET6") && !line.contains("\"::1\"") && !line.contains("\"::ffff:127.");
        let lookup = line.contains("AF_UNIX") && (line.contains("nscd") || line.contains("resolve"));
        v4 || v6 || lookup || line.contains("htons(53)")
    };
    trace.lines().filter(|line| !line.contains(" bind(")).filter(loud).collect()
}

/// A device that puts a canary into everything it can say.
async fn talk(site: &Site) {
    let profile = site.path("site/admin");
    let wanted = Wanted { count: 1, seed: 7, concurrency: 1 };
    let mut fleet = enrol::enrol(&profile, wanted, &Progress::default()).await.unwrap();
    let (root, point) = (fleet.root.clone(), fleet.management_point.clone());
    let device = &mut fleet.devices[0];
    let mut connection = Connection::open(device.tls(&root, false).unwrap(), &point, 1).await.unwrap();
    let now = clock::now();
    for canary in CANARIES {
        let text = || canary.to_owned();
        let said = StatusMessage {
            component: Component::Agent,
            id: MessageId::AgentStarted,
            severity: Severity::Warning,
            values: [("version".to_owned(), text()), (text(), text())].into(),
        };
        let step = DeploymentReport {
            deployment: muster_model::id::DeploymentId(uuid::Uuid::new_v4()),
            application: sha256(canary.as_bytes()),
            state: DeploymentState::Succeeded,
            reason: None,
            exit_code: Some(0),
            output: text(),
            starts: None,
            waits: None,
            runs: None,
            restart: false,
            undone: false,
            deployment_type: None,
            deferred: 0,
        };
        let claims = DeviceClaims {
            host_name: text(),
            operating_system: text(),
            agent_version: text(),
            hardware_id: claims(7, 0).hardware_id,
        };
        // What is no network is put aside, and what is one is only an address.
        let odd = NetworkReport { addresses: vec![text()], directory_site: Some(text()) };
        let near = NetworkReport {
            addresses: ["203.0.113.7/24", "2001:db8::7/64"].map(str::to_owned).into(),
            directory_site: Some("canary-muster-test".to_owned()),
        };
        let said_of_itself = DiscoveryReport {
            facts: [
                ("ResourceNames".to_owned(), Fact::List(vec![text()])),
                ("IPAddresses".to_owned(), Fact::List(vec![text(), "203.0.113.7".to_owned()])),
                ("ResourceDomainORWorkgroup".to_owned(), Fact::Text(text())),
                ("LastLogonUserName".to_owned(), Fact::Text(text())),
            ]
            .into(),
        };
        let bodies = [
            Body::Discovery(said_of_itself),
            Body::Status(said),
            Body::Deployment(step),
            Body::Heartbeat(claims),
            Body::Network(odd),
            Body::Network(near),
        ];
        let messages = bodies.into_iter().map(|body| message(body, now).unwrap()).collect();
        device.report(&mut connection, Channel::Status, messages, now).await.unwrap();
    }
    let row = |canary: &str| {
        let names = ["SoftwareCode", "ProductName", "Publisher", "InstallSource", "UninstallString"];
        names.iter().map(|name| ((*name).to_owned(), Value::Text(canary.to_owned()))).collect()
    };
    let rows: Vec<_> = CANARIES.iter().map(|canary| row(canary)).collect();
    let class = "INSTALLED_SOFTWARE".to_owned();
    let section = Section { class, digest: sha256(&section_bytes(&rows)), change: Change::Full { rows } };
    let body = Body::Inventory(InventoryReport { sections: vec![section], unread: Vec::new() });
    device.report(&mut connection, Channel::Inventory, vec![message(body, now).unwrap()], now).await.unwrap();
    connection.close().await;
}

/// Clients that ask to be enrolled and say of themselves that they are a canary.
async fn ask(site: &Site) {
    for (number, canary) in CANARIES.iter().enumerate() {
        let file = site.token(&format!("token {number}")).await;
        let token: EnrolmentToken = std::fs::read_to_string(file).unwrap().parse().unwrap();
        let config = Arc::new(tls::client_pinned(token.root).unwrap());
        let mut door = Connection::open(config, &Target::parse(&token.enrol).unwrap(), number as u64).await.unwrap();
        let request = EnrolRequest {
            domain: None,
            serial: Some(canary.chars().take(64).collect()),
            secret: token.secret.clone(),
            csr: BASE64.encode(certificate::signing_request(&PrivateKey::generate().unwrap()).unwrap()),
            claims: DeviceClaims {
                host_name: (*canary).to_owned(),
                operating_system: (*canary).to_owned(),
                agent_version: (*canary).to_owned(),
                hardware_id: sha256(canary.as_bytes()),
            },
            attestation: None,
            enterprise: None,
        };
        let body = serde_json::to_vec(&request).unwrap();
        let answer = door.post("/enrol/v1/requests", "application/json", &body).await.unwrap();
        answer.expect(200, "a request to enrol").unwrap();
        door.close().await;
    }
}

#[tokio::test]
async fn nobody_is_contacted_because_a_field_names_them() {
    // proves P2: an address in a device's or an administrator's field is text; no packet and no lookup follows from it.
    let Some(site) = Site::start_traced().await else { return };
    let (device, mut agent) = site.managed("agent").await;
    talk(&site).await;
    ask(&site).await;
    for (number, canary) in CANARIES.iter().enumerate() {
        // The installer gets the canary as an argument, and does nothing with it.
        let hash = added_as(&site, &format!("app{number}"), canary, &["/usr/bin/true", canary]).await;
        let create = ["deployment", "create", &hash, "--device", &device, "--name", canary, "--yes", "--json"];
        site.muster(&create).await.json();
    }
    site.until("every installer's end", async |client| {
        let deployments = client.deployment_list(&muster_model::api::PageQuery::default()).await?.items;
        let ended = deployments.iter().all(|d| d.totals.get("failed") == Some(&1));
        Ok((deployments.len() == CANARIES.len() && ended).then_some(()))
    })
    .await;
    for list in [
        &["device", "list"][..],
        &["enrolment", "list"],
        &["message", "list"],
        &["deployment", "list"],
        &["quarantine", "list"],
        &["device", "timeline", &device],
        &["device", "block", &device, "--reason", "http://canary.muster.test/", "--yes"],
    ] {
        assert_eq!(site.muster(list).await.code, Some(0), "{list:?}");
    }
    agent.kill().await.unwrap();

    // What would be seen is seen: the client is told by its token to go to another address of the loopback network.
    let file = site.token("elsewhere").await;
    let mut token: EnrolmentToken = std::fs::read_to_string(&file).unwrap().parse().unwrap();
    token.enrol = "https://127.0.0.99:9".to_owned();
    std::fs::write(&file, token.to_text()).unwrap();
    let mut elsewhere = site.agent_traced("elsewhere", &["enrol", "--token", &file.display().to_string()]);
    assert!(!elsewhere.wait().await.unwrap().success());
    assert!(site.trace("elsewhere").contains("inet_addr(\"127.0.0.99\")"), "{}", site.trace("elsewhere"));

    for (program, call) in [("musterd", " bind("), ("agent", " connect(")] {
        let trace = site.trace(program);
        assert!(trace.contains(call), "nothing was written down of {program}");
        assert_eq!(outbound(&trace), Vec::<&str>::new(), "{program} went out");
    }
}

#[test]
fn a_trace_that_goes_out_is_seen() {
    for loud in [
        r#"12 connect(9, {sa_family=AF_INET, sin_port=htons(443), sin_addr=inet_addr("192.0.2.77")}, 16) = 0"#,
        r#"12 connect(9, {sa_family=AF_INET, sin_port=htons(53), sin_addr=inet_addr("127.0.0.53")}, 16) = 0"#,
        r#"12 connect(9, {sa_family=AF_INET6, sin6_port=htons(80), inet_pton(AF_INET6, "2001:db8::77", &sin6_addr)}, 28)"#,
        r#"12 connect(9, {sa_family=AF_UNIX, sun_path="/var/run/nscd/socket"}, 110) = -1 ENOENT"#,
        r#"12 sendto(9, "x", 1, 0, {sa_family=AF_INET, sin_port=htons(137), sin_addr=inet_addr("192.0.2.77")}, 16) = 1"#,
    ] {
        assert_eq!(outbound(loud), [loud]);
    }
    let quiet = r#"12 connect(9, {sa_family=AF_INET, sin_port=htons(443), sin_addr=inet_addr("127.0.0.1")}, 16) = 0"#;
    assert!(outbound(quiet).is_empty());
}
