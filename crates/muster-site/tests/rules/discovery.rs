//! Discovery: what is one thing and what is two, what a client has to fear of it, and how it ends.

use muster_model::{
    api::{
        CollectionCreate, CollectionKind, DiscoveryMethod, DiscoverySettings, PageQuery, QueryRun, ResourceKind,
        ResourceQuery, RuleSpec,
    },
    discovery::{DiscoveryRecord, Fact},
    id::{CollectionId, ResourceId},
    problem::Code,
    time::{DAY, UnixMillis},
};
use muster_site::{
    Ctx, Taken, Worker, audit_list, collection_create, collection_explain, collection_members, collection_work,
    device_list, discovery_settings_show, discovery_settings_update, discovery_take, discovery_work, query_run,
    resource_list, resource_remove, resource_show, site::Sources, testing::TestSite,
};
use muster_store::testing::tamper;

const SID: &str = "S-1-5-21-1-2-3-1105";

fn record(method: DiscoveryMethod, identity: &str, name: &str, facts: &[(&str, &str)]) -> DiscoveryRecord {
    let fact = |(name, value): &(&str, &str)| ((*name).to_owned(), Fact::Text((*value).to_owned()));
    DiscoveryRecord {
        method,
        kind: ResourceKind::System,
        identity: identity.to_owned(),
        source: "corp".to_owned(),
        name: name.to_owned(),
        found: UnixMillis(0),
        facts: facts.iter().map(fact).collect(),
    }
}

fn computer(guid: &str, name: &str, facts: &[(&str, &str)]) -> DiscoveryRecord {
    record(DiscoveryMethod::DirectorySystem, &format!("ad:{guid}"), name, facts)
}

async fn found(test: &TestSite, records: &[DiscoveryRecord]) -> Taken {
    let now = test.sources.now();
    let records: Vec<_> = records.iter().map(|record| DiscoveryRecord { found: now, ..record.clone() }).collect();
    discovery_take(&Ctx::site(now), &test.site, &records).await.unwrap()
}

/// Number, name and client of every system.
async fn systems(test: &TestSite) -> Vec<(u32, String, bool)> {
    let query = ResourceQuery { kind: Some(ResourceKind::System), limit: 500, ..ResourceQuery::default() };
    let page = resource_list(&test.full(), &test.site, query).await.unwrap();
    assert_eq!(page.total, page.items.len() as u64);
    let mut all: Vec<_> =
        page.items.into_iter().map(|one| (one.resource_id.0, one.name, one.device.is_some())).collect();
    // Databases order letters in ways of their own.
    all.sort_by(|one, other| (&one.1, one.0).cmp(&(&other.1, other.0)));
    all
}

async fn asked(test: &TestSite, query: &str) -> Vec<String> {
    let request = QueryRun { query: query.to_owned(), limit: 100, utc_offset_minutes: 0 };
    let result = query_run(&test.full(), &test.site, request).await.unwrap();
    let text = |row: Vec<Option<muster_model::inventory::Value>>| match row.into_iter().next().flatten() {
        Some(muster_model::inventory::Value::Text(text)) => text,
        other => format!("{other:?}"),
    };
    let mut rows: Vec<String> = result.rows.into_iter().map(text).collect();
    rows.sort();
    rows
}

async fn members(test: &TestSite, id: &str) -> Vec<String> {
    while collection_work(&test.site, test.sources.now()).await.unwrap() {}
    let id: CollectionId = id.parse().unwrap();
    let page = collection_members(&test.full(), &test.site, id, PageQuery::default()).await.unwrap();
    let mut names: Vec<String> = page.items.into_iter().map(|member| member.name).collect();
    names.sort();
    names
}

/// The site lives through so many days.
async fn live(test: &TestSite, days: i64) {
    for _ in 0..days {
        test.sources.pass(DAY);
        while discovery_work(&test.site, test.sources.now()).await.unwrap() {}
    }
}

/// How often joining or parting was written down.
async fn moves(test: &TestSite) -> usize {
    let log = audit_list(&test.full(), &test.site, PageQuery { offset: 0, limit: 500 }).await.unwrap();
    log.items.iter().filter(|entry| entry.action == "discovery_move").count()
}

async fn prove_account(test: &TestSite) {
    tamper(&test.site.store, "UPDATE device SET account = 'S-1-5-21-1-2-3-1105' WHERE state <> 'retired'").await;
}

#[tokio::test]
async fn what_was_found_is_a_resource_without_a_client_and_is_in_all_systems_only() {
    for test in TestSite::all().await {
        test.enrol("kiosk").await;
        let first = computer("1", "SRV1", &[("DistinguishedName", "CN=SRV1,DC=x"), ("SID", SID)]);
        assert_eq!(found(&test, std::slice::from_ref(&first)).await, Taken { new: 1, changed: 1, same: 0, refused: 0 });
        assert_eq!(found(&test, std::slice::from_ref(&first)).await, Taken { new: 0, changed: 0, same: 1, refused: 0 });
        let all = systems(&test).await;
        assert_eq!(all, [(16_777_218, "SRV1".to_owned(), false), (16_777_217, "kiosk".to_owned(), true)]);
        // It is in All Systems, and not among the clients; the list of devices does not have it.
        assert_eq!(members(&test, "SMS00001").await, ["SRV1", "kiosk"]);
        assert_eq!(members(&test, "SMSDM003").await, ["kiosk"]);
        assert_eq!(device_list(&test.full(), &test.site, Default::default()).await.unwrap().total, 1);
        assert_eq!(asked(&test, "select Name from SMS_R_System where Client = 0").await, ["SRV1"]);
        let by = "select Name from SMS_R_System where AgentName = \"SMS_AD_SYSTEM_DISCOVERY_AGENT\"";
        assert_eq!(asked(&test, by).await, ["SRV1"]);
        // Renamed in the directory, it is the same resource.
        let renamed = computer("1", "SRV2", &[("DistinguishedName", "CN=SRV2,DC=x"), ("SID", SID)]);
        assert_eq!(found(&test, &[renamed]).await.new, 0);
        assert_eq!(systems(&test).await[0], (16_777_218, "SRV2".to_owned(), false));
        assert_eq!(members(&test, "SMS00001").await, ["SRV2", "kiosk"]);
    }
}

#[tokio::test]
async fn a_client_is_joined_by_its_proven_account_and_nothing_else_and_keeps_what_it_said() {
    // proves I2: what a directory says of a name moves no client that only has that name.
    for test in TestSite::all().await {
        test.enrol("pc1").await;
        let facts = [("SID", SID), ("OperatingSystemNameandVersion", "Windows"), ("DistinguishedName", "CN=PC1,DC=x")];
        found(&test, &[computer("1", "pc1", &facts)]).await;
        assert_eq!(systems(&test).await.len(), 2, "the same name is no proof");
        prove_account(&test).await;
        // Whoever enrolled after it was found is joined by the site's own work, and so is a new record.
        let mut worker = Worker::new(test.site.clone());
        while worker.step().await.unwrap() {}
        let all = systems(&test).await;
        assert_eq!(all, [(16_777_217, "pc1".to_owned(), true)], "one resource, under the client's number");
        assert_eq!(moves(&test).await, 1, "members of collections changed with it");
        let detail = resource_show(&test.full(), &test.site, ResourceId(16_777_217)).await.unwrap();
        assert_eq!(detail.resource.methods, [DiscoveryMethod::DirectorySystem]);
        assert_eq!(asked(&test, "select DistinguishedName from SMS_R_System").await, ["CN=PC1,DC=x"]);
        let system = asked(&test, "select OperatingSystemNameandVersion from SMS_R_System").await;
        assert_ne!(system, ["Windows"], "what the client says is not the directory's to say");
        assert_eq!(members(&test, "SMS00001").await, ["pc1"]);
        // What is on the network with the client's name changes nothing of it either.
        found(&test, &[record(DiscoveryMethod::Network, "mac:02:00:00:00:00:09", "pc1", &[("Build", "9")])]).await;
        assert_eq!(systems(&test).await.len(), 2);
        // It retires: the directory's computer is a resource of its own again, under a number that nothing had.
        tamper(&test.site.store, "UPDATE device SET state = 'retired'").await;
        while discovery_work(&test.site, test.sources.now()).await.unwrap() {}
        let names: Vec<_> = systems(&test)
            .await
            .into_iter()
            .map(|(number, name, client)| (number > 16_777_218, name, client))
            .collect();
        assert_eq!(names, [(true, "pc1".to_owned(), false), (true, "pc1".to_owned(), false)]);
        assert_eq!(moves(&test).await, 2);
    }
}

#[tokio::test]
async fn two_that_claim_one_identifier_stay_two_and_are_shown() {
    for test in TestSite::all().await {
        test.enrol("pc1").await;
        prove_account(&test).await;
        found(&test, &[computer("1", "PC1", &[("SID", SID)])]).await;
        assert_eq!(systems(&test).await.len(), 1, "joined at once");
        let taken = found(&test, &[computer("2", "IMPOSTOR", &[("SID", SID)])]).await;
        assert_eq!(taken.new, 1, "another object with the same identifier is another resource");
        let query = ResourceQuery { limit: 10, ..ResourceQuery::default() };
        let all = resource_list(&test.full(), &test.site, query).await.unwrap().items;
        assert!(all.len() == 2 && all.iter().all(|one| one.conflict), "{all:?}");
        // One identity that becomes another kind of thing is another thing.
        let group = DiscoveryRecord { kind: ResourceKind::Group, ..computer("1", "PC1", &[]) };
        let taken = found(&test, &[DiscoveryRecord { method: DiscoveryMethod::DirectoryGroup, ..group }]).await;
        assert_eq!(taken.new, 1);
    }
}

#[tokio::test]
async fn records_that_are_none_are_counted_and_change_nothing() {
    let test = TestSite::new().await;
    let odd = [
        computer("1", "", &[]),
        computer("1", "a\u{0}", &[]),
        computer("1", "a", &[("Mail", "users have this")]),
        computer("1", "a", &[("Build", &"x".repeat(1_025))]),
        record(DiscoveryMethod::Heartbeat, "device:not-an-id", "a", &[]),
        record(DiscoveryMethod::Heartbeat, "device:0192f0c1-7a3b-7c4d-8e5f-0123456789ab", "a", &[]),
    ];
    assert_eq!(found(&test, &odd).await, Taken { refused: 6, ..Taken::default() });
    assert!(systems(&test).await.is_empty());
    let denied = discovery_take(&test.full(), &test.site, &[computer("1", "a", &[])]).await.unwrap_err();
    assert_eq!(denied.code(), Code::Unauthenticated, "nobody hands in what the site did not find");
}

#[tokio::test]
async fn what_nobody_found_for_long_goes_and_a_client_stays() {
    // proves P3, P8
    for test in TestSite::all().await {
        test.enrol("kiosk").await;
        found(&test, &[computer("1", "SRV1", &[]), computer("2", "SRV2", &[])]).await;
        let (full, analyst) = (test.full(), test.analyst());
        assert_eq!(discovery_settings_show(&analyst, &test.site).await.unwrap().keep_days, 90);
        let shorter = DiscoverySettings { keep_days: 30 };
        let denied = discovery_settings_update(&analyst, &test.site, shorter).await.unwrap_err();
        assert_eq!(denied.code(), Code::Forbidden);
        let odd = discovery_settings_update(&full, &test.site, DiscoverySettings { keep_days: 13 }).await.unwrap_err();
        assert_eq!(odd.code(), Code::Malformed, "less than two full runs");
        discovery_settings_update(&full, &test.site, shorter).await.unwrap();
        live(&test, 29).await;
        found(&test, &[computer("2", "SRV2", &[])]).await;
        // A clock that goes wrong for a while, or a site that is off, makes nothing old.
        for step in [400 * DAY, -400 * DAY, 100 * DAY] {
            test.sources.pass(step);
            while discovery_work(&test.site, test.sources.now()).await.unwrap() {}
            assert_eq!(systems(&test).await.len(), 3, "{step}");
        }
        live(&test, 3).await;
        let left: Vec<String> = systems(&test).await.into_iter().map(|(_, name, _)| name).collect();
        assert_eq!(left, ["SRV2", "kiosk"]);
        assert_eq!(members(&test, "SMS00001").await, ["SRV2", "kiosk"]);
        // By hand: only what no client runs on.
        let all = systems(&test).await;
        let (resource, client) = (ResourceId(all[0].0), ResourceId(all[1].0));
        assert_eq!(resource_remove(&full, &test.site, client).await.unwrap_err().code(), Code::Conflict);
        assert_eq!(resource_remove(&test.analyst(), &test.site, resource).await.unwrap_err().code(), Code::Forbidden);
        resource_remove(&full, &test.site, resource).await.unwrap();
        assert_eq!(members(&test, "SMS00001").await, ["kiosk"]);
        assert_eq!(resource_remove(&full, &test.site, resource).await.unwrap_err().code(), Code::NotFound);
    }
}

#[tokio::test]
async fn what_the_network_finds_is_no_client_whatever_addresses_a_client_says() {
    for test in TestSite::all().await {
        let device = test.enrol("kiosk").await;
        let address = "52:54:00:00:00:09";
        let said = |method, identity: &str, name| DiscoveryRecord {
            facts: [("MACAddresses".to_owned(), Fact::List(vec![address.to_owned()]))].into(),
            ..record(method, identity, name, &[])
        };
        let client = said(DiscoveryMethod::Heartbeat, &format!("device:{}", device.id), "kiosk");
        let seen = said(DiscoveryMethod::Network, "mac:52:54:00:00:00:09", "10.1.2.9");
        for records in [[client.clone(), seen.clone()], [seen, client]] {
            found(&test, &records).await;
            let all = systems(&test).await;
            assert_eq!(all, [(16_777_218, "10.1.2.9".to_owned(), false), (16_777_217, "kiosk".to_owned(), true)]);
        }
        // That they are alike is shown on both.
        for (one, other) in [(16_777_218, 16_777_217), (16_777_217, 16_777_218)] {
            let detail = resource_show(&test.full(), &test.site, ResourceId(one)).await.unwrap();
            assert_eq!(detail.alike.iter().map(|alike| alike.resource_id.0).collect::<Vec<_>>(), [other]);
        }
    }
}

#[tokio::test]
async fn why_a_user_is_in_a_collection_is_told() {
    for test in TestSite::all().await {
        let (ada, eve) = (person("1", "CORP\\ada", "Engines"), person("2", "CORP\\eve", "Sales"));
        found(&test, &[ada, eve]).await;
        let query = "select * from SMS_R_User where Department = \"Engines\"".to_owned();
        let rule = RuleSpec::Query { name: "engines".parse().unwrap(), query };
        let made = collection_create(&test.full(), &test.site, &of_users("Engineers", vec![rule])).await.unwrap();
        let id = made.collection.id;
        assert_eq!(members(&test, &id.to_string()).await, ["CORP\\ada"]);
        let query = ResourceQuery { kind: Some(ResourceKind::User), limit: 10, ..ResourceQuery::default() };
        for user in resource_list(&test.full(), &test.site, query).await.unwrap().items {
            let said = collection_explain(&test.full(), &test.site, id, user.resource_id).await.unwrap();
            let is_ada = user.name == "CORP\\ada";
            assert_eq!((said.member, said.stored, said.device), (is_ada, is_ada, None), "{said:?}");
            assert_eq!((said.device_name.as_str(), said.reasons.len()), (user.name.as_str(), 2));
            let (query, limit) = (&said.reasons[0], &said.reasons[1]);
            assert_eq!((query.holds, limit.holds), (is_ada, true), "{said:?}");
            match is_ada {
                true => assert_eq!(query.row["Department"], "Engines", "{query:?}"),
                false => assert!(query.text.contains("it is not so that"), "{query:?}"),
            }
        }
        let nobody = collection_explain(&test.full(), &test.site, id, ResourceId(1)).await.unwrap_err();
        assert_eq!(nobody.code(), Code::NotFound);
    }
}

fn person(guid: &str, name: &str, department: &str) -> DiscoveryRecord {
    let facts = [("UniqueUserName", name), ("Department", department)];
    let record = record(DiscoveryMethod::DirectoryUser, &format!("ad:{guid}"), name, &facts);
    DiscoveryRecord { kind: ResourceKind::User, ..record }
}

fn of_users(name: &str, rules: Vec<RuleSpec>) -> CollectionCreate {
    CollectionCreate {
        name: name.parse().unwrap(),
        comment: String::new(),
        kind: CollectionKind::User,
        limiting: CollectionId::ALL_USERS,
        protected: false,
        incremental: true,
        schedule: Vec::new(),
        rules,
    }
}

#[tokio::test]
async fn users_and_groups_are_in_collections_of_users_and_in_no_other() {
    for test in TestSite::all().await {
        let device = test.enrol("kiosk").await;
        let group = record(DiscoveryMethod::DirectoryGroup, "ad:9", "CORP\\Engineers", &[]);
        let group = DiscoveryRecord { kind: ResourceKind::Group, ..group };
        let (ada, eve) = (person("1", "CORP\\ada", "Engines"), person("2", "CORP\\eve", "Sales"));
        found(&test, &[ada.clone(), eve, group, computer("3", "SRV1", &[])]).await;
        assert_eq!(members(&test, "SMS00002").await, ["CORP\\ada", "CORP\\eve"]);
        assert_eq!(members(&test, "SMS00003").await, ["CORP\\Engineers"]);
        assert_eq!(members(&test, "SMS00004").await, ["CORP\\Engineers", "CORP\\ada", "CORP\\eve"]);
        assert_eq!(members(&test, "SMS00001").await, ["SRV1", "kiosk"]);
        // By a query, which follows what the directory says.
        let (full, query) = (test.full(), "select * from SMS_R_User where Department = 'Engines'".replace('\'', "\""));
        let rule = RuleSpec::Query { name: "engines".parse().unwrap(), query };
        let made = collection_create(&full, &test.site, &of_users("Engineers", vec![rule.clone()])).await.unwrap();
        let id = made.collection.id.to_string();
        assert_eq!(members(&test, &id).await, ["CORP\\ada"]);
        found(&test, &[person("2", "CORP\\eve", "Engines")]).await;
        assert_eq!(members(&test, &id).await, ["CORP\\ada", "CORP\\eve"]);
        // By number; and by what another collection has.
        let all =
            resource_list(&full, &test.site, ResourceQuery { limit: 50, ..ResourceQuery::default() }).await.unwrap();
        let of = |name: &str| all.items.iter().find(|one| one.name == name).unwrap().resource_id;
        let direct = |name: &str| RuleSpec::Resource { resource: of(name) };
        let exclude = RuleSpec::Exclude { collection: made.collection.id };
        let others = of_users("Others", vec![direct("CORP\\Engineers"), direct("CORP\\eve"), exclude]);
        let others = collection_create(&full, &test.site, &others).await.unwrap();
        assert_eq!(members(&test, &others.collection.id.to_string()).await, ["CORP\\Engineers"]);
        // Devices and users never mix.
        let devices = RuleSpec::Query { name: "all".parse().unwrap(), query: "select * from SMS_R_System".to_owned() };
        let limited = CollectionCreate { limiting: CollectionId::ALL_SYSTEMS, ..of_users("a", vec![]) };
        let kiosk = RuleSpec::Direct { device: device.id };
        for odd in [
            of_users("a", vec![devices]),
            of_users("a", vec![kiosk]),
            of_users("a", vec![direct("SRV1")]),
            limited.clone(),
            CollectionCreate { kind: CollectionKind::Device, rules: vec![direct("CORP\\ada")], ..limited.clone() },
            CollectionCreate { kind: CollectionKind::Device, rules: vec![rule], ..limited },
        ] {
            let refused = collection_create(&full, &test.site, &odd).await.unwrap_err();
            assert!(matches!(refused.code(), Code::Malformed | Code::Conflict), "{odd:?}: {refused:?}");
        }
        // A system without a client is a device like others.
        let server = CollectionCreate {
            kind: CollectionKind::Device,
            limiting: CollectionId::ALL_SYSTEMS,
            rules: vec![direct("SRV1")],
            ..of_users("Servers", vec![])
        };
        let server = collection_create(&full, &test.site, &server).await.unwrap();
        assert_eq!(members(&test, &server.collection.id.to_string()).await, ["SRV1"]);
        // Who is gone leaves.
        tamper(&test.site.store, "DELETE FROM collection_rule WHERE kind = 'direct'").await;
        resource_remove(&full, &test.site, of("CORP\\ada")).await.unwrap();
        assert_eq!(members(&test, &id).await, ["CORP\\eve"]);
        assert_eq!(members(&test, "SMS00002").await, ["CORP\\eve"]);
    }
}

#[tokio::test]
async fn who_was_in_a_group_that_is_forgotten_leaves_the_collections_of_that_group() {
    for test in TestSite::all().await {
        let group = record(DiscoveryMethod::DirectoryGroup, "ad:9", "CORP\\Engineers", &[]);
        let group = DiscoveryRecord { kind: ResourceKind::Group, ..group };
        found(&test, &[person("1", "CORP\\ada", "Engines"), person("2", "CORP\\eve", "Sales"), group]).await;
        for statement in [
            "INSERT INTO resource_member (member_id, group_id) SELECT m.resource_id, g.resource_id FROM resource m, resource g \
             WHERE g.kind = 'group' AND m.name = 'CORP\\ada'",
            "INSERT INTO resource_group (resource_id, group_id) SELECT member_id, group_id FROM resource_member",
        ] {
            tamper(&test.site.store, statement).await;
        }
        let query = "select * from SMS_R_User where UserGroupName = \"CORP\\\\Engineers\"".to_owned();
        let rule = RuleSpec::Query { name: "engineers".parse().unwrap(), query };
        let made = collection_create(&test.full(), &test.site, &of_users("Of the group", vec![rule])).await.unwrap();
        let id = made.collection.id.to_string();
        assert_eq!(members(&test, &id).await, ["CORP\\ada"]);
        let all = ResourceQuery { kind: Some(ResourceKind::Group), limit: 50, ..ResourceQuery::default() };
        let all = resource_list(&test.full(), &test.site, all).await.unwrap();
        resource_remove(&test.full(), &test.site, all.items[0].resource_id).await.unwrap();
        assert!(members(&test, &id).await.is_empty(), "nobody is in a group that is not there");
    }
}
