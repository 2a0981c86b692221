//! What the index answers, and why it does not answer the rest; and that a table follows what devices have.

use super::{
    datum::Datum,
    form::{Form, Rows, Wanted},
    leaf::Leaf,
    plan::plan,
    table::Table,
};
use muster_model::{
    time::UnixMillis,
    wql::{Schema, check, date::Clock, parse},
};

const CLOCK: Clock = Clock { now: UnixMillis(1_710_030_600_000), offset_minutes: 0 };

fn reason(text: &str) -> Option<String> {
    let checked = check(&parse(text).unwrap(), Schema::built_in()).unwrap_or_else(|e| panic!("{}", e.shown(text)));
    plan(&checked).err()
}

#[test]
fn the_shapes_of_real_rules_are_answered_and_what_is_not_says_why() {
    const SOFTWARE: &str = "SMS_G_System_INSTALLED_SOFTWARE";
    for text in [
        "select * from SMS_R_System".to_owned(),
        "select Name from SMS_R_System where Name like 'PC%' and (Client = 1 or not Build < '10')".to_owned(),
        format!("select * from SMS_R_System s inner join {SOFTWARE} x on x.ResourceID = s.ResourceId where x.ProductName = 'a' or s.Client = '1'"),
        format!("select * from SMS_R_System s left join {SOFTWARE} x on x.ResourceID = s.ResourceId and x.ProductName = 'a' where x.ResourceID is null"),
        format!("select * from SMS_R_System where ResourceId not in (select ResourceID from {SOFTWARE} where ProductName like '%a%')"),
        format!("select * from SMS_R_System where ResourceId in (select s.ResourceID from SMS_R_System s join {SOFTWARE} x on x.ResourceID = s.ResourceID where x.ProductVersion > '9')"),
        "select * from SMS_R_System where ResourceID in (select ResourceID from SMS_CM_RES_COLL_SMS00001)".to_owned(),
        "select * from SMS_R_System s join SMS_FullCollectionMembership m on m.ResourceID = s.ResourceID where m.CollectionID = 'SMS00001'".to_owned(),
        "select * from SMS_R_System s join SMS_G_System_OPERATING_SYSTEM o on o.ResourceID = s.ResourceID where DateDiff(dd, o.LastBootUpTime, GetDate()) > 14".to_owned(),
        "select * from SMS_R_System where ResourceID like '%[0-1]' and IPAddresses like '10.%'".to_owned(),
    ] {
        assert_eq!(reason(&text), None, "{text}");
    }
    for (text, why) in [
        ("select * from SMS_R_System a join SMS_R_System b on a.Name = b.Name", "number of the resource"),
        ("select * from SMS_R_System where AgentName = 'x'", "in contact"),
        ("select * from SMS_R_System where Obsolete = 1", "other devices"),
        ("select * from SMS_R_System where Name in (select Name from SMS_R_System)", "numbers of resources"),
        (
            "select * from SMS_R_System where Name = (select Name from SMS_R_System where Client = 1)",
            "what a query gives",
        ),
        (
            "select * from SMS_R_System s join SMS_G_System_CH_ClientSummary c on c.ResourceID = s.ResourceID",
            "not in the index",
        ),
        (
            "select * from SMS_R_System s join SMS_G_System_SERVICE x on x.ResourceID = s.ResourceID where x.Name = s.Name",
            "two classes",
        ),
        (
            "select * from SMS_R_System s join SMS_G_System_SERVICE x on x.ResourceID = s.ResourceID where x.TimeStamp > '2024-01-01'",
            "inventory came",
        ),
        ("select * from SMS_R_User", "not in the index"),
    ] {
        let said = reason(text).unwrap_or_else(|| panic!("{text} is answered"));
        assert!(said.contains(why), "{text}: {said}");
    }
}

fn named(condition: &str) -> Rows {
    let text = format!("select * from SMS_G_System_INSTALLED_SOFTWARE where {condition}");
    let checked = check(&parse(&text).unwrap(), Schema::built_in()).unwrap();
    let test = checked.select.condition.unwrap();
    let attributes = vec!["ProductName".to_owned()];
    Form::Leaf(Wanted { leaf: Leaf { clocked: test.asks_time(), test, attributes }, truth: true })
}

#[test]
fn a_table_follows_what_devices_have_and_counts_its_bytes() {
    let mut table = Table::new(vec!["ProductName".to_owned()], None);
    for (id, name) in [(10, "Reader"), (11, "Zip"), (12, "reader ")] {
        table.add_id(id, vec![Datum::Text(name.into())]);
    }
    let slots = |table: &Table, ids: &[i64]| ids.iter().filter_map(|id| table.by_id(*id)).collect::<Vec<_>>();
    for (device, ids) in [(1, vec![10, 11]), (2, vec![11]), (3, vec![12, 10])] {
        let of = slots(&table, &ids);
        table.set(device, of);
    }
    let (kind, new) = table.kind(&named("ProductName = 'reader'"));
    assert!(new && table.kind(&named("ProductName = 'reader'")) == (kind, false));
    table.settle(CLOCK);
    let who = |table: &Table| table.devices(kind, CLOCK).iter().collect::<Vec<_>>();
    assert_eq!(who(&table), [1, 3]);
    // One of two rows of the kind goes: it stays; the other goes too: it goes.
    let one = slots(&table, &[12]);
    table.set(3, one);
    assert_eq!(who(&table), [1, 3]);
    table.set(3, Vec::new());
    table.add_id(13, vec![Datum::Text("READER".into())]);
    let new = slots(&table, &[13, 11]);
    table.set(2, new);
    assert_eq!(
        (who(&table), table.has_kind(kind, 2, CLOCK), table.has_kind(kind, 3, CLOCK)),
        (vec![1, 2], true, false)
    );
    let row = table.row_of(2, &named("ProductName = 'reader'"), CLOCK).unwrap();
    assert_eq!(row, [("ProductName", &Datum::Text("READER".into()))]);
    assert!(table.bytes() > 100 && !table.is_worn());
    // With another attribute it is filled anew, and looks for the same.
    let mut wider = Table::new(vec!["ProductName".to_owned(), "ProductVersion".to_owned()], Some(table));
    wider.add_id(10, vec![Datum::Text("Reader".into()), Datum::Null]);
    let of = slots(&wider, &[10]);
    wider.set(9, of);
    wider.settle(CLOCK);
    assert_eq!(who(&wider), [9]);
}
