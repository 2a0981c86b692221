//! WQL on both databases: the points in which results differ, against sets worked out by hand, and against the plain evaluator.

use crate::fleet::{device_id, devices};
use muster_model::{
    catalogue::Catalogue,
    id::Hash,
    inventory::{Row as InventoryRow, Value},
    time::UnixMillis,
    wql::{self, Schema, date::Clock, eval},
};
use muster_store::{
    StoreError,
    db::{
        inventory::{self, NewRow, SectionRow},
        wql as store_wql,
    },
    testing::{TestStore, stores, tamper},
    transaction,
};
use std::{collections::HashMap, time::Duration};

/// 2024-03-10 00:30 UTC: the site is an hour ahead.
const CLOCK: Clock = Clock { now: UnixMillis(1_710_030_600_000), offset_minutes: 60 };
const FIRST: i64 = 16_777_217;

type Attributes = Vec<(&'static str, Value)>;

fn text(text: &str) -> Value {
    Value::Text(text.to_owned())
}

fn list(values: &[&str]) -> Value {
    Value::List(values.iter().map(|v| (*v).to_owned()).collect())
}

/// Rows of each device, from the first on, by class.
fn inventory() -> Vec<(u128, &'static str, Vec<Attributes>)> {
    let day = 86_400_000;
    let os = |caption: &str, build: &str, boot: i64| {
        vec![
            ("Name", text(caption)),
            ("Caption", text(caption)),
            ("BuildNumber", text(build)),
            ("LastBootUpTime", Value::Int(boot)),
            ("Debug", Value::Bool(build == "9600")),
        ]
    };
    let software = |names: &[&str]| -> Vec<Attributes> {
        names
            .iter()
            .map(|name| {
                vec![("SoftwareCode", text(name)), ("ProductName", text(name)), ("ProductVersion", text("10.0.9"))]
            })
            .collect()
    };
    let enclosure = |types: &[&str]| vec![vec![("Tag", text("1")), ("ChassisTypes", list(types))]];
    vec![
        (1, "OPERATING_SYSTEM", vec![os("Windows 11 Enterprise", "22631", CLOCK.now.0 - day)]),
        (2, "OPERATING_SYSTEM", vec![os("windows 10 ENTERPRISE  ", "19045", CLOCK.now.0 - 2 * 3_600_000)]),
        (3, "OPERATING_SYSTEM", vec![os("M\u{dc}LLER OS [x]", "9600", i64::MAX)]),
        (1, "INSTALLED_SOFTWARE", software(&["Seven-Zip", "Reader"])),
        (2, "INSTALLED_SOFTWARE", software(&["Reader"])),
        (3, "INSTALLED_SOFTWARE", vec![vec![("SoftwareCode", text("none"))]]),
        (1, "SYSTEM_ENCLOSURE", enclosure(&["8", "12"])),
        (2, "SYSTEM_ENCLOSURE", enclosure(&["3"])),
        (3, "SYSTEM_ENCLOSURE", vec![vec![("Tag", text("1"))]]),
        (
            1,
            "NETWORK_ADAPTER_CONFIGURATION",
            vec![vec![("Index", Value::Int(1)), ("IPAddress", list(&["10.1.2.3", "fe80::1"]))]],
        ),
    ]
}

async fn filled(test: &TestStore) {
    devices(&test.store, 4).await;
    tamper(&test.store, "INSERT INTO site (id, code, name, created) VALUES (1, 'ABC', 'A site', 1)").await;
    tamper(
        &test.store,
        "UPDATE device SET last_seen = 1710000000000, last_inventory = 1709900000000 WHERE resource_id = 16777217",
    )
    .await;
    for (device, class, rows) in inventory() {
        let rows: Vec<InventoryRow> =
            rows.into_iter().map(|row| row.into_iter().map(|(n, v)| (n.to_owned(), v)).collect()).collect();
        let hashes: Vec<String> = rows.iter().map(|row| format!("{row:?}").replace(' ', "_")).collect();
        let new: Vec<_> = rows.iter().zip(&hashes).map(|(row, hash)| NewRow { hash, key: 1, row }).collect();
        let done: Result<_, StoreError> = transaction!(test.store, "t", |tx| {
            let ids = inventory::intern(tx, Catalogue::built_in().class(class).unwrap(), &new).await?;
            let row_ids = hashes.iter().map(|hash| ids[hash]).collect();
            let (device, class, changed) = (device_id(device), class.to_owned(), UnixMillis(5));
            inventory::put(tx, &[SectionRow { device, class, digest: Hash([1; 32]), row_ids, changed }]).await
        });
        done.unwrap();
    }
}

/// The same rows for the evaluator.
struct Rows;

fn cell(value: Value) -> eval::Cell {
    match value {
        Value::Text(text) => eval::Cell::Text(text),
        Value::Int(number) => eval::Cell::Int(number),
        Value::Bool(truth) => eval::Cell::Int(i64::from(truth)),
        Value::Real(number) => eval::Cell::Real(number),
        Value::List(list) => eval::Cell::List(list.into_iter().map(eval::Cell::Text).collect()),
    }
}

impl eval::Rows for Rows {
    fn rows(&self, class: &wql::schema::Class) -> Vec<eval::Row> {
        if class.role == wql::schema::Role::System {
            let row = |n: i64| {
                let mut row: eval::Row = HashMap::from([
                    ("ResourceID".to_owned(), eval::Cell::Int(FIRST + n)),
                    ("Name".to_owned(), eval::Cell::Text(format!("device-{}", n + 1))),
                    ("Client".to_owned(), eval::Cell::Int(1)),
                ]);
                if n == 0 {
                    let addresses = ["10.1.2.3", "fe80::1"].map(|a| eval::Cell::Text(a.to_owned()));
                    row.insert("IPAddresses".to_owned(), eval::Cell::List(addresses.into()));
                }
                row
            };
            return (0..4).map(row).collect();
        }
        let of = |(device, name, rows): (u128, &str, Vec<Attributes>)| {
            let is = matches!(&class.role, wql::schema::Role::Inventory(own) if own == name);
            let rows = if is { rows } else { Vec::new() };
            rows.into_iter()
                .map(|row| {
                    let mut row: eval::Row = row.into_iter().map(|(n, v)| (n.to_owned(), cell(v))).collect();
                    row.insert("ResourceID".to_owned(), eval::Cell::Int(FIRST - 1 + device as i64));
                    row
                })
                .collect::<Vec<_>>()
        };
        inventory().into_iter().flat_map(of).collect()
    }
}

fn checked(text: &str) -> wql::Checked {
    let parsed = wql::parse(text).unwrap_or_else(|error| panic!("{}", error.shown(text)));
    wql::check(&parsed, Schema::built_in()).unwrap_or_else(|error| panic!("{}", error.shown(text)))
}

/// Conditions on SMS_R_System with other classes as os, sw, enc, net, and which of the four devices they find.
const CASES: &[(&str, &[i64])] = &[
    // Case, blanks at the end, quotes, numbers and truth in quotes.
    ("sys.name = 'DEVICE-1'", &[1]),
    ("os.Caption = \"WINDOWS 10 enterprise\"", &[2]),
    ("sys.Client = \"1\" and sys.name in ('Device-2', 'device-3')", &[2, 3]),
    ("os.Debug = 'True'", &[3]),
    ("os.Debug = 0", &[1, 2]),
    ("os.Caption like 'm\u{fc}ller os [[]x]'", &[3]),
    ("os.Caption = 'm\u{fc}ller os [x]'", &[3]),
    // Sets, on numbers too.
    ("sys.ResourceID like '%[8-9]'", &[2, 3]),
    ("sys.Name like 'device-[^1-3]'", &[4]),
    ("os.Caption not like '%windows%'", &[3]),
    // Arrays: some element, or all of them as one text.
    ("sys.IPAddresses = '10.1.2.3'", &[1]),
    ("sys.IPAddresses like 'FE80%'", &[1]),
    ("enc.ChassisTypes in ('8', '9')", &[1]),
    ("enc.ChassisTypes in (8, 9)", &[1]),
    ("enc.ChassisTypes = '8,12'", &[1]),
    ("enc.ChassisTypes <> '8'", &[1, 2]),
    ("not (enc.ChassisTypes = '3')", &[1]),
    ("enc.ChassisTypes is null", &[3, 4]),
    ("net.IPAddress like '10.1.2.%'", &[1]),
    ("net.IPAddress not like '10.1.2.%'", &[]),
    // Several rows: some row that is not so, and its right contrary.
    ("sw.ProductName <> 'Reader'", &[1]),
    (
        "sys.ResourceID not in (select ResourceID from SMS_G_System_INSTALLED_SOFTWARE where ProductName like 'seven%')",
        &[2, 3, 4],
    ),
    // Versions as texts; a number compares as one.
    ("os.BuildNumber < '9'", &[1, 2]),
    ("os.BuildNumber < 18363", &[3]),
    ("os.BuildNumber >= '19045'", &[1, 2, 3]),
    // Boundaries in local time: two hours ago was yesterday, there. A moment that nobody can count with is unknown.
    ("DateDiff(dd, os.LastBootUpTime, GetDate()) = 1", &[1, 2]),
    ("DateDiff(hh, os.LastBootUpTime, GetDate()) > 2", &[1]),
    ("os.LastBootUpTime >= DateAdd(hh, -3, GetDate())", &[2]),
    ("DateAdd(month, 1, os.LastBootUpTime) > '2024-04-09'", &[1, 2]),
    ("DateAdd(year, -9000, os.LastBootUpTime) is null", &[1, 2, 3, 4]),
    ("os.LastBootUpTime is null", &[3, 4]),
    ("DatePart(hour, os.LastBootUpTime) = 23", &[2]),
    // Null.
    ("sys.Name = null", &[]),
    ("not (sys.Name = null)", &[]),
    ("sys.Name not in (select ProductName from SMS_G_System_INSTALLED_SOFTWARE)", &[]),
    ("sys.Name is not in ('device-1', 'device-2')", &[3, 4]),
    ("sys.ResourceID in (select ResourceID from SMS_CM_RES_COLL_SMS00001)", &[]),
    (
        "sys.ResourceID not in (select ResourceID from SMS_FullCollectionMembership where CollectionID = 'ABC00014')",
        &[1, 2, 3, 4],
    ),
    ("lower(substring(sys.Name, 8, 1)) = '4'", &[4]),
    ("sys.Name = (select Name from SMS_R_System where ResourceID = 16777218)", &[2]),
    ("sys.Name = (select Name from SMS_R_System)", &[]),
];

const JOINS: &str = "select sys.ResourceID from SMS_R_System sys left join SMS_G_System_OPERATING_SYSTEM os on os.ResourceID = \
    sys.ResourceId left outer join SMS_G_System_INSTALLED_SOFTWARE as sw on sw.ResourceID = sys.ResourceID left join \
    SMS_G_System_SYSTEM_ENCLOSURE enc on enc.ResourceID = sys.ResourceID left join SMS_G_System_NETWORK_ADAPTER_CONFIGURATION net on \
    net.ResourceID = sys.ResourceID where ";

const WHOLE: &[(&str, &[i64])] = &[
    ("select * from SMS_R_System", &[1, 2, 3, 4]),
    ("select distinct SMS_R_System.Name from sms_r_system order by name desc", &[1, 2, 3, 4]),
    (
        "select a.ResourceID from SMS_R_System a inner join SMS_R_System b on a.Name > b.Name where b.Name = 'device-2'",
        &[3, 4],
    ),
    (
        "select * from SMS_R_System full join SMS_G_System_SYSTEM_ENCLOSURE e on e.ResourceID = SMS_R_System.ResourceID where e.Tag is null",
        &[4],
    ),
    ("select * from SMS_R_System right join SMS_G_System_PC_BIOS b on b.ResourceID = SMS_R_System.ResourceID", &[]),
    (
        "select SMS_R_SYSTEM.ResourceID,SMS_R_SYSTEM.ResourceType,SMS_R_SYSTEM.Name,SMS_R_SYSTEM.SMSUniqueIdentifier,\
         SMS_R_SYSTEM.ResourceDomainORWorkgroup,SMS_R_SYSTEM.Client from SMS_R_System where SMS_R_System.ResourceId in (select \
         SMS_R_System.ResourceID from SMS_R_System inner join SMS_G_System_INSTALLED_SOFTWARE on \
         SMS_G_System_INSTALLED_SOFTWARE.ResourceId = SMS_R_System.ResourceId where SMS_G_System_INSTALLED_SOFTWARE.ProductName = \"Reader\")",
        &[1, 2],
    ),
];

/// What only the database knows: of the device row, and made of it.
const FACTS: &[(&str, &[i64])] = &[
    ("select * from SMS_R_System where AgentName = 'Heartbeat Discovery' and AgentTime > '2024-01-01'", &[1]),
    ("select * from SMS_R_System where AgentName = 'Heartbeat Discovery' and AgentTime < '2024-01-01'", &[]),
    (
        "select * from SMS_R_System where SMSAssignedSites = 'abc' and Obsolete = 0 and ResourceType = '5'",
        &[1, 2, 3, 4],
    ),
    (
        "select * from SMS_R_System s join SMS_G_System_CH_ClientSummary c on c.ResourceID = s.ResourceID where c.ClientActiveStatus = 1",
        &[1],
    ),
    (
        "select * from SMS_R_System s join SMS_G_System_WORKSTATION_STATUS w on w.ResourceID = s.ResourceID where \
         DateDiff(day, w.LastHardwareScan, GetDate()) < 7",
        &[1],
    ),
    ("select * from SMS_R_User where UserGroupName like 'DOM\\\\%'", &[]),
];

fn expected(devices: &[i64]) -> Vec<i64> {
    devices.iter().map(|n| FIRST - 1 + n).collect()
}

#[tokio::test]
async fn queries_find_what_was_worked_out_by_hand() {
    let joined: Vec<(String, &[i64])> = CASES.iter().map(|(text, found)| (format!("{JOINS}{text}"), *found)).collect();
    let whole: Vec<(String, &[i64])> = WHOLE.iter().map(|(text, found)| ((*text).to_owned(), *found)).collect();
    let mut wrong: Vec<String> = Vec::new();
    for test in stores().await {
        filled(&test).await;
        let dialect = test.store.dialect();
        let mut conn = test.store.reader().await.unwrap();
        for (text, found) in joined.iter().chain(&whole) {
            let query = checked(text);
            let plain: Vec<i64> = eval::members(&query, &Rows, CLOCK).into_iter().collect();
            let members = store_wql::members(&mut conn, dialect, &query, CLOCK, None).await;
            let one = store_wql::members(&mut conn, dialect, &query, CLOCK, Some(&[FIRST])).await;
            let table = store_wql::run(&test.store, &query, CLOCK, 100, Duration::from_secs(20), None).await;
            let few = expected(&found.iter().copied().filter(|n| *n == 1).collect::<Vec<_>>());
            let table_is =
                matches!(&table, Ok(Some(table)) if table.rows.is_empty() == found.is_empty() && table.complete);
            let one_is = matches!(&one, Ok(one) if *one == few);
            if plain != expected(found) || !matches!(&members, Ok(members) if *members == plain) || !one_is || !table_is
            {
                wrong.push(format!("{dialect:?} {text}: {plain:?} {members:?} {one:?} {table:?}"));
            }
        }
        for (text, found) in FACTS {
            let members = store_wql::members(&mut conn, dialect, &checked(text), CLOCK, None).await;
            if !matches!(&members, Ok(members) if *members == expected(found)) {
                wrong.push(format!("{dialect:?} {text}: {members:?}"));
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n\n"));
}
