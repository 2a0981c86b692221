//! Software titles: many spellings are one product, counted once for each device, and anew when something changes.

use crate::client::{Outbox, full, inventory, row};
use muster_model::{
    api::{TitleQuery, TitleRules, TitleTest},
    inventory::{Row, Value},
    problem::Code,
    report::Channel,
    time::{HOUR, MINUTE},
};
use muster_site::{
    TitleWork, dashboard_show, testing::TestSite, title_list, title_rules_show, title_rules_update, title_show,
    title_test, title_work,
};
use muster_store::testing::tamper;

const CLASS: &str = "INSTALLED_SOFTWARE";

fn package(source: &str, name: &str, version: &str, publisher: &str) -> Row {
    let text = |text: &str| Value::Text(text.to_owned());
    row(&[
        ("SoftwareCode", text(&format!("{source}:{name}:amd64"))),
        ("ProductName", text(name)),
        ("ProductVersion", text(version)),
        ("Publisher", text(publisher)),
        ("EvidenceSource", text(source)),
    ])
}

async fn work(test: &TestSite, work: &mut TitleWork) {
    // Counting rests for a while after each time.
    test.sources.pass(MINUTE);
    while title_work(&test.site, work, test.now()).await.unwrap() {}
}

async fn listed(test: &TestSite, search: &str) -> Vec<(String, String, u64, u64)> {
    let query = TitleQuery { search: search.to_owned(), offset: 0, limit: 50 };
    let page = title_list(&test.analyst(), &test.site, query).await.unwrap();
    assert_eq!(page.total, page.items.len() as u64);
    page.items.into_iter().map(|t| (t.product, t.publisher, t.devices, t.versions)).collect()
}

#[tokio::test]
async fn the_overview_counts_models_makers_and_software_of_active_devices() {
    for test in TestSite::all().await {
        let text = |text: &str| Value::Text(text.to_owned());
        for (name, model) in [
            ("alpha", Some(("Dell Inc.", "OptiPlex 7010"))),
            ("beta", Some(("Dell Inc.", "OptiPlex 7010"))),
            ("gamma", Some(("LENOVO", "20XW"))),
            ("delta", None),
        ] {
            let device = test.enrol(name).await;
            let mut computer = row(&[("Name", text(name))]);
            if let Some((maker, model)) = model {
                computer.insert("Manufacturer".to_owned(), text(maker));
                computer.insert("Model".to_owned(), text(model));
            }
            let software = package("dpkg", "curl", "7.88.1-10", "Debian");
            let mut outbox = Outbox::new(Channel::Inventory);
            outbox.push(inventory(vec![full("COMPUTER_SYSTEM", &[computer]), full(CLASS, &[software])]));
            outbox.send(&test, &device).await.unwrap();
        }
        work(&test, &mut TitleWork::default()).await;
        let seen = async || {
            let spread = dashboard_show(&test.analyst(), &test.site).await.unwrap().spread;
            let models = spread.models.iter().map(|m| format!("{} {} {}", m.manufacturer, m.model, m.count));
            let makers = spread.manufacturers.iter().map(|m| format!("{} {}", m.label, m.count));
            let software = spread.software.iter().map(|t| format!("{} {}", t.product, t.devices));
            (models.chain(makers).chain(software).collect::<Vec<_>>().join(", "), spread.unknown)
        };
        let all = "Dell Inc. OptiPlex 7010 2, LENOVO 20XW 1, Dell Inc. 2, LENOVO 1, curl 4";
        assert_eq!(seen().await, (all.to_owned(), 1));
        tamper(&test.site.store, "UPDATE device SET state = 'retired' WHERE name IN ('gamma', 'delta')").await;
        assert_eq!(seen().await, (all.to_owned(), 1), "not counted at every look");
        test.sources.pass(HOUR);
        assert_eq!(seen().await, ("Dell Inc. OptiPlex 7010 2, Dell Inc. 2, curl 4".to_owned(), 0));
    }
}

#[tokio::test]
async fn spellings_are_one_title_with_its_versions_in_their_order() {
    for test in TestSite::all().await {
        let mut state = TitleWork::default();
        let linux = [("9.0-1", "alpha"), ("10.0-1", "beta"), ("10.0~rc1-1", "gamma")];
        let mut outboxes = Vec::new();
        for (version, name) in linux {
            let device = test.enrol(name).await;
            let mut outbox = Outbox::new(Channel::Inventory);
            let both = [package("dpkg", "firefox", version, "Debian"), package("dpkg", "curl", "7.88.1-10", "Debian")];
            outbox.push(inventory(vec![full(CLASS, &both)]));
            outbox.send(&test, &device).await.unwrap();
            outboxes.push((device, outbox));
        }
        let windows = test.enrol("delta").await;
        let text = |text: &str| Value::Text(text.to_owned());
        let arp = |id: &str, name: &str| {
            row(&[("ProdID", text(id)), ("DisplayName", text(name)), ("Publisher", text("Mozilla"))])
        };
        let mut outbox = Outbox::new(Channel::Inventory);
        // Twice on one device: it is counted once.
        outbox.push(inventory(vec![
            full("ADD_REMOVE_PROGRAMS", &[arp("a", "Mozilla Firefox 9.0 (x86 de)")]),
            full("ADD_REMOVE_PROGRAMS_64", &[arp("b", "Mozilla Firefox 9.0 (x64 en-US)")]),
        ]));
        outbox.send(&test, &windows).await.unwrap();
        work(&test, &mut state).await;
        let (curl, firefox) = ("curl".to_owned(), "Mozilla Firefox".to_owned());
        let expected = [(firefox, "Mozilla".to_owned(), 4, 4), (curl.clone(), curl.clone(), 3, 1)];
        assert_eq!(listed(&test, "").await, expected);
        assert_eq!(listed(&test, "MOZ").await, expected[..1]);
        let query = TitleQuery { search: "firefox".to_owned(), offset: 0, limit: 50 };
        let id = title_list(&test.full(), &test.site, query).await.unwrap().items[0].id;
        let shown = title_show(&test.full(), &test.site, id).await.unwrap();
        let versions: Vec<&str> = shown.versions.iter().map(|v| v.version.as_str()).collect();
        // 10 is after 9, and a candidate before what it is one of.
        assert_eq!(versions, ["10.0-1", "10.0~rc1-1", "9.0-1", "9.0"]);
        // What goes is counted no more, and what nobody has is forgotten with its rows.
        for (device, outbox) in &mut outboxes {
            outbox.push(inventory(vec![full(CLASS, &[])]));
            outbox.send(&test, device).await.unwrap();
        }
        work(&test, &mut state).await;
        assert_eq!(listed(&test, "").await, [("Mozilla Firefox".to_owned(), "Mozilla".to_owned(), 1, 1)]);
        crate::inventory::sweep(&test).await;
    }
}

/// Letters that no database packs.
fn random(length: usize) -> String {
    let mut state = 0x2545_f491_4f6c_dd1d_u64;
    let letter = |_| {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        char::from(b'a' + u8::try_from(state % 26).unwrap())
    };
    (0..length).map(letter).collect()
}

#[tokio::test]
async fn a_row_that_is_odd_does_not_keep_the_others_from_being_looked_at() {
    for test in TestSite::all().await {
        let mut state = TitleWork::default();
        let device = test.enrol("alpha").await;
        let mut outbox = Outbox::new(Channel::Inventory);
        let long = random(3_000);
        outbox.push(inventory(vec![full(
            CLASS,
            &[package("dpkg", &long, &long, &long), package("dpkg", "curl", "1", "Debian")],
        )]));
        outbox.send(&test, &device).await.unwrap();
        work(&test, &mut state).await;
        let mut names: Vec<String> = listed(&test, "").await.into_iter().map(|title| title.0).collect();
        names.sort();
        assert_eq!(names, ["curl".to_owned(), long[..256].to_owned()]);
        // A database that takes only one of two, whatever the reason.
        let index = "CREATE UNIQUE INDEX one_poison ON software_title \
             ((CASE WHEN substr(product, 1, 6) = 'poison' THEN 1 END))";
        tamper(&test.site.store, index).await;
        let names = ["poison-a", "poison-b", "wget"];
        outbox.push(inventory(vec![full(CLASS, &names.map(|name| package("dpkg", name, "1", "Debian")))]));
        outbox.send(&test, &device).await.unwrap();
        // Also for a process that begins anew: what was not taken is not tried again and again.
        for state in [&mut state, &mut TitleWork::default()] {
            work(&test, state).await;
            let names: Vec<String> = listed(&test, "").await.into_iter().map(|title| title.0).collect();
            assert_eq!(names.iter().filter(|name| name.starts_with("poison-")).count(), 1, "{names:?}");
            assert!(
                names.len() == 3 && names.contains(&"wget".to_owned()) && names.contains(&String::new()),
                "{names:?}"
            );
        }
    }
}

#[tokio::test]
async fn only_the_versions_of_the_rows_at_hand_are_read() {
    let test = TestSite::all().await.swap_remove(0);
    let mut state = TitleWork::default();
    let device = test.enrol("alpha").await;
    let mut outbox = Outbox::new(Channel::Inventory);
    for (version, other) in [("1", "2"), ("2", "1")] {
        let both = [package("dpkg", "curl", version, "Debian"), package("dpkg", "wget", other, "Debian")];
        outbox.push(inventory(vec![full(CLASS, &both)]));
        outbox.send(&test, &device).await.unwrap();
        work(&test, &mut state).await;
        let mut found: Vec<_> = listed(&test, "").await.into_iter().map(|title| (title.0, title.2, title.3)).collect();
        found.sort();
        assert_eq!(found, [("curl".to_owned(), 1, 1), ("wget".to_owned(), 1, 1)]);
        // A version that cannot be read: SQLite takes it, and whoever reads it fails.
        let odd = "INSERT INTO software_version (title, version, scheme) \
             SELECT id, X'00ff', 'odd' FROM software_title WHERE TRUE ON CONFLICT DO NOTHING";
        tamper(&test.site.store, odd).await;
    }
}

#[tokio::test]
async fn own_rules_come_first_and_every_row_is_looked_at_again() {
    for test in TestSite::all().await {
        let mut state = TitleWork::default();
        let device = test.enrol("alpha").await;
        let mut outbox = Outbox::new(Channel::Inventory);
        outbox.push(inventory(vec![full(CLASS, &[package("dpkg", "acme-client", "1", "Acme")])]));
        outbox.send(&test, &device).await.unwrap();
        work(&test, &mut state).await;
        assert_eq!(listed(&test, "").await[0].0, "acme-client");
        let rules: TitleRules = serde_json::from_str(
            r#"{"products": [{"product": "Acme Client", "publisher": "Acme", "names": ["acme-*"]}]}"#,
        )
        .unwrap();
        let refused = title_rules_update(&test.analyst(), &test.site, rules.clone()).await.unwrap_err();
        assert_eq!(refused.code(), Code::Forbidden);
        let mut wrong = rules.clone();
        wrong.products[0].names = vec!["*".to_owned()];
        let refused = title_rules_update(&test.full(), &test.site, wrong).await.unwrap_err();
        assert_eq!(refused.code(), Code::Malformed);
        title_rules_update(&test.full(), &test.site, rules.clone()).await.unwrap();
        assert_eq!(title_rules_show(&test.analyst(), &test.site).await.unwrap(), rules);
        let ask = TitleTest { name: "acme-x".to_owned(), source: "dpkg".to_owned(), ..TitleTest::default() };
        assert_eq!(title_test(&test.analyst(), &test.site, ask).await.unwrap().product, "Acme Client");
        work(&test, &mut state).await;
        assert_eq!(listed(&test, "").await, [("Acme Client".to_owned(), "Acme".to_owned(), 1, 1)]);
        // Another process comes to the same.
        test.sources.pass(HOUR);
        work(&test, &mut TitleWork::default()).await;
        assert_eq!(listed(&test, "").await.len(), 1);
        assert_eq!(title_show(&test.full(), &test.site, 999_999).await.unwrap_err().code(), Code::NotFound);
    }
}
