//! Service location with a real name server and a real directory: what they say is a hint, a false one is refused before it hears
//! anything, and the site is told.

use crate::{
    actor::{Site, machine::Machine, now},
    directory::{BASE, Directory},
    dns::NameServer,
};
use muster_agent::{
    clock::Clock,
    config::AgentConfig,
    enrol,
    identity::{Identity, Stage},
    locate::{
        self, BindConfig, DnsConfig, Hints, LocationConfig, Service, Source,
        assign::{AnchorConfig, AssignError},
    },
    run,
};
use muster_model::{id::Hash, status::MessageId};
use muster_trust::{
    PrivateKey,
    certificate::{self, IssuingCa},
    tls,
};
use std::{
    collections::BTreeMap,
    os::unix::fs::PermissionsExt,
    pin::Pin,
    sync::{Arc, Mutex},
    task::{Context, Poll},
    time::Duration,
};
use tokio::{
    io::{AsyncRead, AsyncWrite, ReadBuf},
    net::TcpStream,
};

fn dns(server: &NameServer) -> LocationConfig {
    let dns = DnsConfig { domain: "corp.example".to_owned(), configmgr: true, servers: vec![server.address] };
    LocationConfig { dns: Some(dns), ..LocationConfig::default() }
}

async fn found(config: &LocationConfig) -> Hints {
    locate::hints(config, Some("TST".parse().unwrap()), Service::ManagementPoint, &Clock::System).await
}

fn hosts(hints: &Hints) -> Vec<&str> {
    hints.hints.iter().map(|hint| hint.address.host()).collect()
}

#[tokio::test]
async fn a_real_name_server_gives_priority_and_weight() {
    // proves S12: RFC 2782 against BIND; Configuration Manager's record is read after ours.
    let records = "_muster-mp._tcp IN SRV 20 0 8440 backup\n_muster-mp._tcp IN SRV 10 70 8440 mp1\n\
         _muster-mp._tcp IN SRV 10 20 8440 mp2\n_muster-mp._tcp IN SRV 10 10 8440 mp3\n\
         _mssms_mp_tst._tcp IN SRV 0 0 443 old\n_mssms_mp_xyz._tcp IN SRV 0 0 443 other-site\n\
         _muster-enrol._tcp IN SRV 0 0 8441 door\n";
    let Some(server) = NameServer::start(records).await else { return };
    let config = dns(&server);
    let mut first = BTreeMap::<String, u32>::new();
    for _ in 0..400 {
        let hints = found(&config).await;
        assert!(hints.errors.is_empty(), "{:?}", hints.errors);
        let hosts = hosts(&hints);
        assert_eq!(hosts[3..], ["backup.corp.example", "old.corp.example"], "{hosts:?}");
        *first.entry(hosts[0].to_owned()).or_default() += 1;
    }
    // 400 trials: the standard deviations are 9, 8 and 6.
    for (host, share) in [("mp1", 280), ("mp2", 80), ("mp3", 40)] {
        let seen = first.get(&format!("{host}.corp.example")).copied().unwrap_or_default();
        assert!(seen.abs_diff(share) < 50, "{host} was first {seen} times of 400, wanted about {share}");
    }
    let hints = found(&config).await;
    assert_eq!(hints.hints[4].address.port(), 443);
    assert_eq!(hints.hints[4].source, Source::Dns("_mssms_mp_tst._tcp.corp.example".to_owned()));
    let doors = locate::hints(&config, Some("TST".parse().unwrap()), Service::Enrolment, &Clock::System).await;
    assert_eq!(hosts_and_ports(&doors), ["door.corp.example:8441"]);
}

fn hosts_and_ports(hints: &Hints) -> Vec<String> {
    hints.hints.iter().map(|hint| hint.address.to_string()).collect()
}

#[tokio::test]
async fn odd_many_and_no_answers_of_a_real_name_server() {
    // proves S12: what is no host name is refused by parsing; answers are bounded, also over TCP; a dot means no.
    let many: String = (0..90).map(|n| format!("_muster-mp._tcp IN SRV 1 1 8440 mp{n}.with-a-long-name\n")).collect();
    let odd = r"_mssms_mp_tst._tcp IN SRV 0 0 8440 \\\\192\.0\.2\.77\\share
_mssms_mp_tst._tcp IN SRV 1 0 8440 192.0.2.77.
_mssms_mp_tst._tcp IN SRV 2 0 0 no-port
_mssms_mp_tst._tcp IN SRV 3 0 8440 under_score
_mssms_mp_tst._tcp IN SRV 4 0 8440 user\@host
_muster-enrol._tcp IN SRV 0 0 0 .
";
    let Some(server) = NameServer::start(&format!("{many}{odd}")).await else { return };
    let hints = found(&dns(&server)).await;
    assert_eq!(hints.hints.len(), 8, "no more than LOCATION_SHARE: {:?}", hints.errors);
    assert!(hosts(&hints).iter().all(|host| host.ends_with(".with-a-long-name.corp.example")), "{hints:?}");
    assert_eq!(hints.errors.len(), 5, "{:?}", hints.errors);
    let doors = locate::hints(&dns(&server), Some("TST".parse().unwrap()), Service::Enrolment, &Clock::System).await;
    assert!(doors.hints.is_empty() && doors.errors.is_empty(), "{doors:?}");
    // Nobody answers: that is said, within its time.
    drop(server);
    let mut config = dns(&NameServer::start("").await.unwrap());
    config.dns.as_mut().unwrap().servers = vec!["127.0.0.1:9".parse().unwrap()];
    config.dns.as_mut().unwrap().configmgr = false;
    let hints = found(&config).await;
    assert!(hints.hints.is_empty() && hints.errors.len() == 1, "{hints:?}");
}

fn object(name: &str, class: &str, site: &str, addresses: &[&str]) -> String {
    let addresses: String = addresses.iter().map(|a| format!("serviceBindingInformation: {a}\n")).collect();
    format!(
        "dn: CN={name},{BASE}\nobjectClass: serviceConnectionPoint\ncn: {name}\nserviceClassName: {class}\n\
         keywords: muster\nkeywords: site:{site}\n{addresses}\n"
    )
}

fn configmgr(name: &str, site: &str, host: &str) -> String {
    format!(
        "dn: CN={name},{BASE}\nobjectClass: mSSMSManagementPoint\ncn: {name}\nmSSMSSiteCode: {site}\ndNSHostName: {host}\n\
         mSSMSDefaultMP: TRUE\n\n"
    )
}

#[tokio::test]
async fn a_real_directory_is_asked_over_tls_only() {
    // proves S12: service connection points, Configuration Manager's objects, LDAPS, StartTLS, and nothing without TLS.
    let entries = object(
        "muster-mp-TST",
        "muster-mp",
        "TST",
        &["https://mp1.corp.example:8440", "https://mp2.corp.example:8440"],
    ) + &object("muster-enrol-TST", "muster-enrol", "TST", &["https://door.corp.example:8441"])
        + &object("muster-mp-XYZ", "muster-mp", "XYZ", &["https://other.corp.example:8440"])
        + &configmgr("SMS-MP-TST-OLD", "TST", "old.corp.example")
        + &configmgr("SMS-MP-XYZ-OLD", "XYZ", "others.corp.example");
    let Some(directory) = Directory::start(&entries, false).await else { return };
    for scheme in ["ldaps", "ldap"] {
        let mut config = LocationConfig { directory: Some(directory.config(scheme)), ..LocationConfig::default() };
        let hints = found(&config).await;
        assert_eq!(hosts(&hints), ["mp1.corp.example", "mp2.corp.example"], "{scheme}: {:?}", hints.errors);
        config.directory.as_mut().unwrap().configmgr = true;
        let hints = found(&config).await;
        assert_eq!(hosts_and_ports(&hints)[2..], ["old.corp.example:443"], "{scheme}");
        let doors = locate::hints(&config, Some("TST".parse().unwrap()), Service::Enrolment, &Clock::System).await;
        assert_eq!(hosts_and_ports(&doors), ["door.corp.example:8441"]);
        // Another authority does not vouch for this server.
        let other = Directory::start("", false).await.unwrap();
        config.directory.as_mut().unwrap().authorities = other.path("ca.pem");
        let hints = found(&config).await;
        assert!(hints.hints.is_empty());
        assert!(hints.errors[0].to_string().contains("is not trusted"), "{:?}", hints.errors);
    }
    // The certificate is for a name, not for the address.
    let mut config = LocationConfig { directory: Some(directory.config("ldaps")), ..LocationConfig::default() };
    let server = format!("ldaps://127.0.0.1:{}", directory.ports[0]);
    config.directory.as_mut().unwrap().server = server;
    assert!(found(&config).await.errors[0].to_string().contains("is not trusted"));
    // What speaks no TLS gets nothing.
    config.directory.as_mut().unwrap().server = format!("ldaps://localhost:{}", directory.ports[1]);
    assert!(found(&config).await.hints.is_empty());
    config.directory.as_mut().unwrap().base = "DC=nowhere".to_owned();
    config.directory.as_mut().unwrap().server = format!("ldaps://localhost:{}", directory.ports[0]);
    let hints = found(&config).await;
    assert!(hints.hints.is_empty() && hints.errors.is_empty(), "none is an answer: {hints:?}");
}

// proves S12: who may read is the directory's matter; the password is kept from others.
#[tokio::test]
async fn a_bind_is_with_the_password_of_a_private_file() {
    let entries = object("muster-mp-TST", "muster-mp", "TST", &["https://mp1.corp.example:8440"]);
    let Some(directory) = Directory::start(&entries, true).await else { return };
    let file = directory.path("password");
    let bind = BindConfig { name: "CN=reader,DC=corp,DC=example".to_owned(), password_file: file.clone() };
    let mut config = LocationConfig { directory: Some(directory.config("ldaps")), ..LocationConfig::default() };
    assert!(found(&config).await.hints.is_empty(), "anonymous sees nothing");
    config.directory.as_mut().unwrap().bind = Some(bind);
    for (text, mode, says) in [
        ("sesame\n", 0o644, "others can read it"),
        ("\n", 0o600, "is empty"),
        ("wrong", 0o600, "refuses the bind (result 49)"),
    ] {
        std::fs::write(&file, text).unwrap();
        std::fs::set_permissions(&file, std::fs::Permissions::from_mode(mode)).unwrap();
        let hints = found(&config).await;
        assert!(hints.hints.is_empty() && hints.errors[0].to_string().contains(says), "{:?}", hints.errors);
        assert!(!format!("{:?} {config:?}", hints.errors).contains("sesame"));
    }
    std::fs::write(&file, "sesame\n").unwrap();
    assert_eq!(hosts(&found(&config).await), ["mp1.corp.example"]);
}

/// What an attacker's socket saw.
#[derive(Debug, Default)]
struct Seen {
    bytes: Vec<u8>,
    ends: Vec<String>,
    certificates: usize,
}

struct Tapped(TcpStream, Arc<Mutex<Seen>>);

impl AsyncRead for Tapped {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<std::io::Result<()>> {
        let before = buf.filled().len();
        let read = Pin::new(&mut self.0).poll_read(cx, buf);
        self.1.lock().unwrap().bytes.extend_from_slice(&buf.filled()[before..]);
        read
    }
}

impl AsyncWrite for Tapped {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<std::io::Result<usize>> {
        Pin::new(&mut self.0).poll_write(cx, bytes)
    }
    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<std::io::Result<()>> {
        Pin::new(&mut self.0).poll_flush(cx)
    }
    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<std::io::Result<()>> {
        Pin::new(&mut self.0).poll_shutdown(cx)
    }
}

#[derive(Debug)]
struct NothingRevoked;

impl tls::Revocations for NothingRevoked {
    fn is_revoked(&self, _: u128) -> bool {
        false
    }
    fn generation(&self) -> u64 {
        0
    }
}

/// A false management point, with the certificates of a whole site of its own under the same code, or self-signed; it takes
/// every client certificate of the true site, so that one that is shown is seen.
async fn attacker(site: &Site, whole: bool) -> (u16, Arc<Mutex<Seen>>) {
    let (code, now) = (site.code, now());
    let [root, ca_key, key] = [(); 3].map(|()| PrivateKey::generate().unwrap());
    let root_certificate = certificate::root(code, &root, now).unwrap();
    let ca = certificate::issuing(code, &root_certificate, &root, ca_key.public(), &[], now).unwrap();
    let issuing = IssuingCa::new(ca.clone(), &ca_key).unwrap();
    let server = issuing.server(&["localhost".to_owned()], key.public(), now).unwrap();
    let serial = certificate::serial_number(&server.der).unwrap();
    let status = issuing.ocsp_status(serial, muster_trust::ocsp::Status::Good, now, now.plus(3_600_000)).unwrap();
    let chain = if whole { vec![server.der, ca, root_certificate] } else { vec![server.der] };
    let presented = Arc::new(tls::Presented::new(&chain, &key, status).unwrap());
    let clients = tls::ClientAuth::Required {
        roots: vec![site.keys.root_certificate()],
        revoked: Arc::new(NothingRevoked),
        enterprise: Arc::new(tls::NoEnterprise),
    };
    let acceptor = tokio_rustls::TlsAcceptor::from(Arc::new(tls::server(presented, clients).unwrap()));
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    let seen = Arc::new(Mutex::new(Seen::default()));
    let shared = seen.clone();
    tokio::spawn(async move {
        while let Ok((tcp, _)) = listener.accept().await {
            let end = match acceptor.accept(Tapped(tcp, shared.clone())).await {
                Ok(tls) => {
                    let shown = tls.get_ref().1.peer_certificates().map_or(0, <[_]>::len);
                    shared.lock().unwrap().certificates += shown;
                    "a handshake".to_owned()
                }
                Err(error) => error.to_string(),
            };
            shared.lock().unwrap().ends.push(end);
        }
    });
    (port, seen)
}

/// The attacker saw a client that went away, and nothing of who it was.
fn assert_learnt_nothing(site: &Site, machine: &Machine, seen: &Seen) {
    assert!(!seen.ends.is_empty(), "nobody came to the attacker");
    assert_eq!(seen.certificates, 0);
    assert!(seen.ends.iter().all(|end| end.contains("received fatal alert")), "{:?}", seen.ends);
    // A hello and an alert; no part of an identity is in them.
    assert!(seen.bytes.len() < seen.ends.len() * 2_500, "{} bytes in {:?}", seen.bytes.len(), seen.ends);
    let identity = Identity::load(&machine.directory()).unwrap().unwrap();
    let certificate = identity.certificates().unwrap().swap_remove(0);
    let secrets =
        [site.device.to_string().into_bytes(), site.device.0.as_bytes().to_vec(), certificate[100..140].to_vec()];
    for secret in secrets {
        assert!(!seen.bytes.windows(secret.len()).any(|window| window == secret), "{secret:?}");
    }
}

fn configure(machine: &Machine, location: LocationConfig) {
    let config = AgentConfig { location, ..AgentConfig::default() };
    machine.directory().write("agent.json", &serde_json::to_vec(&config).unwrap()).unwrap();
}

#[tokio::test]
async fn a_poisoned_answer_leads_nowhere_and_the_true_point_takes_over() {
    // proves S12: poisoned DNS and a poisoned directory lead to an attacker; it sees no identity and is reported; a point
    // that proves itself is used when the first one fails.
    let (site, machine) = (Site::start().await, Machine::new());
    machine.enrol(&site).await;
    let (second, _second_task) = site.second_point().await;
    let (false_by_dns, seen_by_dns) = attacker(&site, true).await;
    let (false_by_ldap, seen_by_ldap) = attacker(&site, false).await;
    let records = format!(
        "_muster-mp._tcp IN SRV 0 0 {false_by_dns} localhost.\n_muster-mp._tcp IN SRV 5 0 {second} localhost.\n"
    );
    let Some(server) = NameServer::start(&records).await else { return };
    let poisoned = object("muster-mp-TST", "muster-mp", "TST", &[&format!("https://localhost:{false_by_ldap}")]);
    let Some(directory) = Directory::start(&poisoned, false).await else { return };
    configure(&machine, LocationConfig { directory: Some(directory.config("ldaps")), ..dns(&server) });

    let running = machine.run();
    let reports = site
        .wait("both false points", |state| {
            let reports: Vec<_> = point_reports(state);
            (reports.len() == 2).then_some(reports)
        })
        .await;
    assert_eq!(reports[0]["address"], format!("localhost:{false_by_ldap}"));
    assert!(
        reports[0]["source"].starts_with("serviceConnectionPoint in the directory ldaps://localhost:"),
        "{reports:?}"
    );
    assert_eq!(reports[1]["address"], format!("localhost:{false_by_dns}"));
    assert_eq!(reports[1]["source"], "DNS SRV _muster-mp._tcp.corp.example");
    for report in &reports {
        assert_eq!(report["reason"], "its certificate is not the site's");
    }
    assert_learnt_nothing(&site, &machine, &seen_by_dns.lock().unwrap());
    assert_learnt_nothing(&site, &machine, &seen_by_ldap.lock().unwrap());

    // The first point is gone: the client goes on at the one that DNS named, and never at the attacker's.
    site.wait("the live channel", |state| (state.lives > 0).then_some(())).await;
    let (lives, came) = (site.state().lives, seen_by_dns.lock().unwrap().ends.len());
    site.point.get().unwrap().abort();
    running.stop().await;
    let running = machine.run();
    site.wait("the second point", |state| (state.lives > lives).then_some(())).await;
    running.stop().await;
    assert!(seen_by_dns.lock().unwrap().ends.len() > came, "it was looked at once more");
    assert_learnt_nothing(&site, &machine, &seen_by_dns.lock().unwrap());
    assert_eq!(point_reports(&site.state()).len(), 2, "and is not reported again on the same day");
}

fn point_reports(state: &crate::actor::State) -> Vec<BTreeMap<String, String>> {
    let reports = state.messages.iter().filter_map(|(_, _, message)| match &message.body {
        muster_model::report::Body::Status(status) if status.id == MessageId::PointRefused => {
            Some(status.values.clone())
        }
        _ => None,
    });
    reports.collect()
}

#[tokio::test]
async fn a_point_that_answered_is_kept_until_it_failed_five_times() {
    // proves S12: the failover with two listeners.
    let (site, machine) = (Site::start().await, Machine::new());
    machine.enrol(&site).await;
    let (second, _task) = site.second_point().await;
    let points = vec![format!("https://localhost:{second}")];
    configure(&machine, LocationConfig { management_points: points, ..LocationConfig::default() });
    let running = machine.run();
    site.wait("the live channel", |state| (state.lives == 1).then_some(())).await;
    let begun = std::time::Instant::now();
    // It accepts nobody any more, and closes what stands.
    site.point.get().unwrap().abort();
    site.wait("the second point", |state| (state.lives == 2).then_some(())).await;
    assert!(begun.elapsed() > Duration::from_secs(6), "five failures take their time: {:?}", begun.elapsed());
    running.stop().await;
}

fn anchored(machine: &Machine, server: &NameServer, root: Hash, site: Option<&str>) {
    let anchor = AnchorConfig { root, site: site.map(|site| site.parse().unwrap()) };
    let config = AgentConfig { anchor: Some(anchor), location: dns(server), ..AgentConfig::default() };
    machine.directory().write("agent.json", &serde_json::to_vec(&config).unwrap()).unwrap();
}

async fn assigned(machine: &Machine) -> Result<Identity, AssignError> {
    let directory = machine.directory();
    let config = muster_agent::identity::config(&directory).unwrap();
    locate::assign::assign(&directory, &config.location, config.anchor, &machine.clock).await
}

fn port(address: &str) -> &str {
    address.rsplit(':').next().unwrap()
}

// proves S11 S12: without an anchor there is no assignment; with one it is the root's own site, and a wrong code stops it.
#[tokio::test]
async fn a_site_is_found_by_itself_only_under_the_pinned_root() {
    let (site, other) = (Site::start().await, Site::start().await);
    let records = format!(
        "_muster-enrol._tcp IN SRV 0 0 {} localhost.\n_muster-enrol._tcp IN SRV 9 0 {} localhost.\n",
        port(&other.enrol_address),
        port(&site.enrol_address)
    );
    let Some(server) = NameServer::start(&records).await else { return };
    let machine = Machine::new();
    configure(&machine, dns(&server));
    let error = assigned(&machine).await.unwrap_err();
    assert!(matches!(error, AssignError::NoAnchor), "{error}");
    assert!(error.to_string().contains("muster token create") && error.to_string().contains("anchor"), "{error}");
    assert!(other.state().used_secrets.is_empty() && Identity::load(&machine.directory()).unwrap().is_none());

    let (root, nobody) = (site.keys.root.public().id(), Hash([7; 32]));
    anchored(&machine, &server, nobody, None);
    let AssignError::NotFound(reasons) = assigned(&machine).await.unwrap_err() else { panic!() };
    assert!(reasons.len() == 2 && reasons[0].contains("DNS SRV _muster-enrol._tcp.corp.example"), "{reasons:?}");
    anchored(&machine, &server, root, Some("XYZ"));
    let error = assigned(&machine).await.unwrap_err();
    assert!(matches!(error, AssignError::OtherSite { .. }), "{error}");
    assert!(Identity::load(&machine.directory()).unwrap().is_none(), "nothing is kept of what was refused");

    // The first door is that of another hierarchy, and is passed over.
    anchored(&machine, &server, root, None);
    let identity = assigned(&machine).await.unwrap();
    assert_eq!((identity.site, identity.root, &identity.stage), (site.code, root, &Stage::Assigned));
    assert_eq!(port(&identity.enrol), port(&site.enrol_address));
    assert!(matches!(assigned(&machine).await.unwrap_err(), AssignError::Assigned(_)));
    let held = run::hold(&machine.state()).unwrap();
    let (_stop, stopped) = tokio::sync::watch::channel(false);
    let collector = muster_agent::collect::Collector::at(machine.place("tree"));
    let error = run::run(held, machine.clock.clone(), collector, stopped).await.unwrap_err();
    assert!(error.to_string().contains("enrol --token"), "{error}");
    let refused = enrol::accept_token(&machine.directory(), &other.token(), false);
    assert!(matches!(refused, Err(enrol::EnrolError::Enrolled(_))), "a token does not end an assignment");
    machine.enrol(&site).await;
}

// proves S12: a door that moved is found again, and no false one hears the token.
#[tokio::test]
async fn an_enrolment_door_that_moved_is_found_and_a_false_one_hears_nothing() {
    let (site, machine) = (Site::start().await, Machine::new());
    let (false_door, seen) = attacker(&site, true).await;
    let records = format!(
        "_muster-enrol._tcp IN SRV 0 0 {false_door} localhost.\n_muster-enrol._tcp IN SRV 9 0 {} localhost.\n",
        port(&site.enrol_address)
    );
    let Some(server) = NameServer::start(&records).await else { return };
    configure(&machine, dns(&server));
    let mut token = site.token();
    token.enrol = "https://127.0.0.1:9".to_owned();
    let directory = machine.directory();
    enrol::accept_token(&directory, &token, false).unwrap();
    let identity = Identity::load(&directory).unwrap().unwrap();
    let mut enrolment = enrol::Enrolment::new(&directory, &machine.clock, identity).unwrap();
    assert!(matches!(enrolment.step().await.unwrap(), enrol::Progress::Pending { .. }));
    let seen = seen.lock().unwrap();
    assert!(!seen.ends.is_empty() && seen.ends.iter().all(|end| end.contains("received fatal alert")), "{seen:?}");
    let secret = token.secret.as_bytes();
    assert!(!seen.bytes.windows(secret.len()).any(|window| window == secret));
}

// proves P2: whatever a name server answers, an odd target is not followed, and nobody is asked what it means.
#[tokio::test]
async fn an_odd_target_leads_to_no_packet_and_no_lookup() {
    if std::process::Command::new("strace").arg("-V").stdout(std::process::Stdio::null()).status().is_err() {
        crate::actor::machine::skip("a test that watches system calls", "the Debian package strace is missing");
        return;
    }
    let records = r"_muster-mp._tcp IN SRV 0 0 445 \\\\192\.0\.2\.77\\share
_muster-mp._tcp IN SRV 1 0 8440 192.0.2.77.
_muster-mp._tcp IN SRV 2 0 8440 canary\@80.muster.test.
_muster-mp._tcp IN SRV 3 0 8440 http\://canary.muster.test.
_muster-mp._tcp IN SRV 4 0 8440 _canary.muster.test.
_mssms_mp_tst._tcp IN SRV 0 0 8440 \$\{jndi\:ldap\}.muster.test.
";
    let Some(server) = NameServer::start(records).await else { return };
    let (site, machine) = (Site::start().await, Machine::new());
    machine.enrol(&site).await;
    configure(&machine, dns(&server));
    let trace = machine.place("trace");
    let ran = std::process::Command::new("strace")
        .args(["-f", "-qq", "-e", "trace=connect,sendto,sendmsg,sendmmsg", "-e", "signal=none", "-o"])
        .arg(&trace)
        .arg(env!("CARGO_BIN_EXE_muster-agent"))
        .arg("--state")
        .arg(machine.state())
        .args(["locate", "--json"])
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&ran.stdout).into_owned();
    let shown: serde_json::Value = serde_json::from_str(&said).unwrap_or_else(|_| panic!("{ran:?}"));
    assert_eq!(shown["points"], serde_json::json!([]));
    assert_eq!(shown["errors"].as_array().unwrap().len(), 6, "{said}");
    let trace = std::fs::read_to_string(&trace).unwrap();
    let ours = format!("htons({})", server.address.port());
    let to = |line: &&str| line.contains("AF_INET") || line.contains("AF_UNIX");
    assert!(trace.lines().any(|line| line.contains(&ours)), "the name server was asked: {trace}");
    let others: Vec<_> = trace.lines().filter(to).filter(|line| !line.contains(&ours)).collect();
    assert!(others.is_empty(), "{others:#?}");
}
