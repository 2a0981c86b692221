//! Boundaries: who may set them, which group a device is in, and the signed order that follows from it.

use crate::client::Outbox;
use muster_model::{
    api::{Boundary, BoundaryGroup, BoundaryGroupSet, BoundaryKind, BoundarySet, PageQuery},
    id::BoundaryId,
    policy::{BodyKind, LocationPolicy},
    problem::Code,
    report::{Body, Channel, NetworkReport},
};
use muster_site::{
    Ctx, Worker, assignment_show, audit_list, body_show, boundary_add, boundary_change, boundary_group_add,
    boundary_group_change, boundary_group_list, boundary_group_remove, boundary_list, boundary_remove, device_show,
    quarantine_list, report_submit,
    testing::{TestDevice, TestSite},
};

const SITE: &str = "https://127.0.0.1:8440";
const NEAR: &str = "https://near.example:8440";

async fn work(test: &TestSite) {
    let mut worker = Worker::new(test.site.clone());
    while worker.step().await.unwrap() {}
}

fn set(name: &str, kind: BoundaryKind, value: &str) -> BoundarySet {
    BoundarySet { name: name.parse().unwrap(), kind, value: value.to_owned() }
}

async fn add(test: &TestSite, kind: BoundaryKind, value: &str) -> Boundary {
    boundary_add(&test.full(), &test.site, set("here", kind, value)).await.unwrap()
}

fn group(name: &str, boundaries: &[BoundaryId], points: &[&str]) -> BoundaryGroupSet {
    BoundaryGroupSet {
        name: name.parse().unwrap(),
        boundaries: boundaries.to_vec(),
        management_points: points.iter().map(|point| (*point).to_owned()).collect(),
    }
}

async fn add_group(test: &TestSite, name: &str, boundaries: &[BoundaryId], points: &[&str]) -> BoundaryGroup {
    boundary_group_add(&test.full(), &test.site, group(name, boundaries, points)).await.unwrap()
}

/// The device reports from this address that it is there.
async fn says(test: &TestSite, device: &TestDevice, outbox: &mut Outbox, from: &str, at: &[&str], site: Option<&str>) {
    let addresses = at.iter().map(|text| (*text).to_owned()).collect();
    outbox.push(Body::Network(NetworkReport { addresses, directory_site: site.map(str::to_owned) }));
    let envelope = crate::client::sealed(device, &outbox.batch(1_000));
    let ctx = Ctx { address: from.to_owned(), ..test.device(device) };
    let answer = report_submit(&ctx, &test.site, &envelope).await.unwrap();
    outbox.take(&answer);
    work(test).await;
}

/// The order that the device is told, by rank; none: it is told nothing.
async fn order(test: &TestSite, device: &TestDevice) -> Option<Vec<Vec<String>>> {
    let ctx = test.device(device);
    let current = assignment_show(&ctx, &test.site).await.unwrap();
    let bodies: Vec<_> = current.bodies.iter().filter(|body| body.kind == BodyKind::Location).collect();
    assert!(bodies.len() <= 1);
    let body = body_show(&ctx, &test.site, bodies.first()?.hash).await.unwrap();
    assert_eq!(muster_trust::sha256(&body), bodies[0].hash);
    Some(serde_json::from_slice::<LocationPolicy>(&body).unwrap().management_points)
}

fn ranks(ranks: &[&[&str]]) -> Option<Vec<Vec<String>>> {
    Some(ranks.iter().map(|rank| rank.iter().map(|address| (*address).to_owned()).collect()).collect())
}

#[tokio::test]
async fn only_full_administrators_set_boundaries_and_everything_is_recorded() {
    for test in TestSite::all().await {
        let page = PageQuery::default();
        let subnet = || set("a", BoundaryKind::IpSubnet, "10.0.0.0/8");
        let denied = boundary_add(&test.analyst(), &test.site, subnet()).await.unwrap_err();
        assert_eq!(denied.code(), Code::Forbidden);
        let denied = boundary_group_add(&test.analyst(), &test.site, group("a", &[], &[])).await.unwrap_err();
        assert_eq!(denied.code(), Code::Forbidden);
        for ctx in [test.anonymous()] {
            assert_eq!(boundary_list(&ctx, &test.site, page).await.unwrap_err().code(), Code::Unauthenticated);
            assert_eq!(boundary_group_list(&ctx, &test.site, page).await.unwrap_err().code(), Code::Unauthenticated);
        }
        for odd in ["10.0.0.1/8", "", "2001:db8::/32"] {
            let refused = boundary_add(&test.full(), &test.site, set("a", BoundaryKind::IpSubnet, odd)).await;
            assert_eq!(refused.unwrap_err().code(), Code::Malformed, "{odd}");
        }
        let row = add(&test, BoundaryKind::IpSubnet, "10.0.0.0/8").await;
        let made = add_group(&test, "g", &[row.id, row.id], &[NEAR]).await;
        assert_eq!(made.boundaries, [row.id], "once");
        for odd in ["http://near.example", r"\\near\x", "https://near.example/x", "near.example"] {
            let refused = boundary_group_change(&test.full(), &test.site, made.id, group("g", &[], &[odd])).await;
            assert_eq!(refused.unwrap_err().code(), Code::Malformed, "{odd}");
        }
        let missing = BoundaryId(uuid::Uuid::from_u128(9));
        let refused = boundary_group_change(&test.full(), &test.site, made.id, group("g", &[missing], &[])).await;
        assert_eq!(refused.unwrap_err().code(), Code::Malformed);
        let refused = boundary_remove(&test.full(), &test.site, missing).await;
        assert_eq!(refused.unwrap_err().code(), Code::NotFound);
        let many = vec![NEAR; 17];
        let refused = boundary_group_change(&test.full(), &test.site, made.id, group("g", &[], &many)).await;
        assert_eq!(refused.unwrap_err().code(), Code::Malformed);

        let seen = boundary_list(&test.analyst(), &test.site, page).await.unwrap();
        assert_eq!((seen.total, &seen.items[0].groups), (1, &vec![made.id]));
        let changed = set("b", BoundaryKind::IpRange, "10.0.0.1-10.0.0.9");
        let changed = boundary_change(&test.full(), &test.site, row.id, changed).await.unwrap();
        assert_eq!((changed.kind, changed.groups), (BoundaryKind::IpRange, vec![made.id]));
        boundary_remove(&test.full(), &test.site, row.id).await.unwrap();
        let groups = boundary_group_list(&test.analyst(), &test.site, page).await.unwrap();
        assert!(groups.items[0].boundaries.is_empty() && groups.items[0].management_points == [NEAR]);
        boundary_group_remove(&test.full(), &test.site, made.id).await.unwrap();
        assert_eq!(boundary_group_list(&test.full(), &test.site, page).await.unwrap().total, 0);
        let audit = audit_list(&test.full(), &test.site, page).await.unwrap();
        let actions: Vec<_> = audit.items.iter().map(|entry| entry.action.as_str()).take(5).collect();
        assert_eq!(
            actions,
            ["boundary_group_remove", "boundary_remove", "boundary_change", "boundary_group_add", "boundary_add"]
        );
    }
}

#[tokio::test]
async fn the_address_that_the_site_sees_counts_before_what_the_device_says() {
    // proves S12: the group, and from it the signed order.
    for test in TestSite::all().await {
        let device = test.enrol("alpha").await;
        let mut outbox = Outbox::new(Channel::Status);
        says(&test, &device, &mut outbox, "10.1.2.3", &["10.1.2.3/24"], None).await;
        assert_eq!(order(&test, &device).await, None, "without groups there is no order");

        let office = add(&test, BoundaryKind::IpSubnet, "10.1.2.0/24").await;
        let lab = add(&test, BoundaryKind::Ipv6Prefix, "2001:db8:7::/48").await;
        let berlin = add(&test, BoundaryKind::DirectorySite, "Berlin").await;
        add_group(&test, "office", &[office.id], &[NEAR]).await;
        add_group(&test, "lab", &[lab.id, berlin.id], &["https://lab.example:8440", SITE]).await;
        work(&test).await;
        assert_eq!(order(&test, &device).await, ranks(&[&[NEAR], &[SITE]]), "what it said before counts at once");

        // Seen in the office, it says that it is in the lab: seen counts.
        says(&test, &device, &mut outbox, "10.1.2.3", &["2001:db8:7::5/64"], Some("Berlin")).await;
        assert_eq!(order(&test, &device).await, ranks(&[&[NEAR], &[SITE]]));
        let shown = device_show(&test.full(), &test.site, device.id).await.unwrap().location.unwrap();
        assert_eq!(
            (shown.seen_address.as_str(), shown.groups[0].as_str(), shown.groups.len()),
            ("10.1.2.3", "office", 1)
        );
        // Seen nowhere, behind a translator of addresses: what it says counts, its own point is not named twice.
        says(&test, &device, &mut outbox, "192.0.2.9", &["2001:db8:7::5/64"], None).await;
        assert_eq!(order(&test, &device).await, ranks(&[&[SITE, "https://lab.example:8440"]]));
        says(&test, &device, &mut outbox, "192.0.2.9", &["192.168.0.5/24"], Some("BERLIN")).await;
        assert_eq!(order(&test, &device).await, ranks(&[&[SITE, "https://lab.example:8440"]]));
        says(&test, &device, &mut outbox, "192.0.2.9", &["192.168.0.5/24"], Some("Paris")).await;
        assert_eq!(order(&test, &device).await, None);
        // In two groups it has the points of both.
        says(&test, &device, &mut outbox, "192.0.2.9", &["10.1.2.77/24", "2001:db8:7::5/64"], None).await;
        assert_eq!(order(&test, &device).await, ranks(&[&[SITE, "https://lab.example:8440", NEAR]]));
        boundary_remove(&test.full(), &test.site, lab.id).await.unwrap();
        work(&test).await;
        assert_eq!(order(&test, &device).await, ranks(&[&[NEAR], &[SITE]]));
    }
}

#[tokio::test]
async fn nothing_is_signed_anew_where_nothing_changes() {
    for test in TestSite::all().await {
        let (here, there) = (test.enrol("alpha").await, test.enrol("beta").await);
        let (mut of_here, mut of_there) = (Outbox::new(Channel::Status), Outbox::new(Channel::Status));
        says(&test, &here, &mut of_here, "10.1.2.3", &[], None).await;
        says(&test, &there, &mut of_there, "10.9.9.9", &[], None).await;
        let version =
            async |device: &TestDevice| assignment_show(&test.device(device), &test.site).await.unwrap().version;
        let before = (version(&here).await, version(&there).await);
        let office = add(&test, BoundaryKind::IpRange, "10.1.2.1-10.1.2.9").await;
        add_group(&test, "office", &[office.id], &[NEAR]).await;
        work(&test).await;
        assert_eq!((version(&here).await, version(&there).await), (before.0 + 1, before.1));
        for _ in 0..3 {
            says(&test, &here, &mut of_here, "10.1.2.4", &["10.1.2.4/24"], None).await;
        }
        assert_eq!(version(&here).await, before.0 + 1, "another address in the same group");
    }
}

#[tokio::test]
async fn what_is_no_network_is_put_aside() {
    for test in TestSite::all().await {
        let device = test.enrol("alpha").await;
        let mut outbox = Outbox::new(Channel::Status);
        let many: Vec<String> = (0..33).map(|n| format!("10.0.0.{n}/24")).collect();
        let many: Vec<&str> = many.iter().map(String::as_str).collect();
        for (addresses, site) in [
            (&["10.0.0.1"][..], None),
            (&[r"\\192.0.2.77\x"], None),
            (&["http://canary.muster.test/24"], None),
            (&many[..], None),
            (&[], Some("a/b")),
            (&[], Some("")),
        ] {
            says(&test, &device, &mut outbox, "10.1.2.3", addresses, site).await;
        }
        let page = PageQuery { offset: 0, limit: 50 };
        assert_eq!(quarantine_list(&test.full(), &test.site, page).await.unwrap().total, 6);
        assert!(device_show(&test.full(), &test.site, device.id).await.unwrap().location.is_none());
        assert_ne!(assignment_show(&test.device(&device), &test.site).await.unwrap().version, 0);
    }
}
