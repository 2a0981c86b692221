//! A small fleet at a real site server: it enrols, checks in, reports, and is counted.
#![expect(clippy::unwrap_used, reason = "a story that cannot go on stops")]

use muster_model::api::{DeviceQuery, MessageQuery, PageQuery};
use muster_server::{
    clock::System,
    command::{InitArgs, init},
    config,
    serve::Server,
};
use muster_tests::fleet::{
    Fleet, clock,
    enrol::{Wanted, enrol},
    progress::Progress,
    run::{self, Kind},
    software,
};
use std::{path::Path, sync::Arc, time::Duration};

const COUNT: u64 = 5;

async fn server(dir: &Path) -> Server {
    let loopback = Some("127.0.0.1:0".parse().unwrap());
    let args = InitArgs {
        dir: dir.to_owned(),
        code: "FLT".parse().unwrap(),
        name: "Fleet".parse().unwrap(),
        admin_name: "fleet".parse().unwrap(),
        hosts: vec!["localhost".to_owned()],
        within: Vec::new(),
        admin_key: None,
        passphrase_file: None,
        unattended: true,
        database: None,
        listen_management_point: loopback,
        listen_enrolment: loopback,
        listen_admin: loopback,
        listen_revocation: loopback,
    };
    init(&args, &System).await.unwrap();
    Server::start(dir, config::load(dir).unwrap(), Arc::new(System)).await.unwrap()
}

/// The administrator's profile, with the address that the server got.
async fn profile(dir: &Path, server: &Server) -> muster_cli::Client {
    let mut profile = muster_cli::profile::ProfileDir::read(&dir.join("admin"), None).unwrap();
    profile.profile.address = server.urls().admin.clone();
    profile.write(false).unwrap();
    profile.client(clock::now()).await.unwrap()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_small_fleet_enrols_reports_and_is_counted() {
    let scratch = tempfile::tempdir().unwrap();
    let (site, kept, quiet) = (scratch.path().join("site"), scratch.path().join("fleet"), Progress::quiet());
    let server = server(&site).await;
    let admin = profile(&site, &server).await;

    let wanted = Wanted { count: COUNT, seed: 7, concurrency: 3 };
    enrol(&site.join("admin"), wanted, &quiet).await.unwrap().write(&kept).unwrap();
    let mut fleet = Fleet::read(&kept).unwrap();
    let devices = admin.device_list(&DeviceQuery { limit: 10, ..DeviceQuery::default() }).await.unwrap();
    assert_eq!((fleet.devices.len() as u64, devices.total), (COUNT, COUNT));
    assert_eq!(devices.items[0].name, "fleet-7-00000");

    for kind in [Kind::Full, Kind::Delta, Kind::Unchanged] {
        let summary = run::inventory(&mut fleet, kind, 3, &quiet).await.unwrap();
        assert_eq!((summary.done, summary.failed), (COUNT, 0), "{kind:?}");
    }
    let page = PageQuery { offset: 0, limit: 1 };
    let rows = admin.inventory_show(fleet.devices[0].id, software::CLASS, &page).await.unwrap();
    assert_eq!(rows.total, software::PACKAGES as u64);

    let summary = run::status(&mut fleet, 4, 2, 3, &quiet).await.unwrap();
    assert_eq!((summary.done, summary.failed), (COUNT * 2, 0));
    let messages = admin.message_list(&MessageQuery { limit: 1, ..MessageQuery::default() }).await.unwrap();
    assert_eq!(messages.total, COUNT * 4);

    // A fleet whose file is older than what the site knows goes on where the site is.
    let mut older = Fleet::read(&kept).unwrap();
    let summary = run::status(&mut older, 1, 1, 3, &quiet).await.unwrap();
    assert_eq!((summary.done, summary.failed), (COUNT, 0));

    let summary = run::storm(&fleet, 5, Duration::ZERO, &quiet).await.unwrap();
    assert_eq!((summary.done, summary.failed), (COUNT, 0));
    let summary = run::idle(&fleet, Duration::from_millis(500), Duration::from_millis(100)).await.unwrap();
    assert!(summary.done >= COUNT && summary.failed == 0, "{summary:?}");
    assert!(server.stop().await);
}
