//! Members of collections by random queries over random rows: the index, SQL on both databases and the evaluator give the same, at
//! once and after every change.

use crate::{
    client::{Outbox, full, inventory},
    collection::{make, members, work},
    wql_random::{Grammar, Random, rows},
};
use muster_model::{
    api::{CollectionCreate, RuleSpec},
    id::CollectionId,
    report::Channel,
    wql::{
        self, Schema,
        date::Clock,
        eval::{self, Cell},
        schema::{Class, Shape},
    },
};
use muster_site::{
    collection_create, collection_rule_add, collection_show, device_retire,
    testing::{TestDevice, TestSite},
};
use muster_store::db::wql as store_wql;
use std::{
    collections::{BTreeMap, BTreeSet, HashMap},
    time::Duration,
};

/// As many queries as one site gets; `MUSTER_WQL_CASES` and `MUSTER_WQL_SEED` say otherwise.
const CASES: usize = 40;
const SEED: u64 = 20_261_127;
const ALL: CollectionId = CollectionId::ALL_SYSTEMS;

fn wanted(name: &str, otherwise: u64) -> u64 {
    std::env::var(name).ok().and_then(|text| text.parse().ok()).unwrap_or(otherwise)
}

fn checked(text: &str) -> Result<wql::Checked, wql::WqlError> {
    wql::check(&wql::parse(text)?, Schema::built_in())
}

/// What the views of the database show, for the evaluator.
struct Rows(HashMap<String, Vec<eval::Row>>);

impl eval::Rows for Rows {
    fn rows(&self, class: &Class) -> Vec<eval::Row> {
        self.0.get(&class.name).cloned().unwrap_or_default()
    }
}

async fn shown(test: &TestSite, clock: Clock, classes: &BTreeSet<String>) -> Rows {
    let mut all = HashMap::new();
    for class in classes {
        let query = checked(&format!("select * from {class}")).unwrap();
        let table = store_wql::run(&test.store.store, &query, clock, 5_000, Duration::from_secs(20), None).await;
        let rows = table.unwrap().unwrap().rows.into_iter().map(|row| {
            let values = query.select.outputs.iter().zip(row).filter_map(|(output, value)| {
                let value = match (output.field.attribute.shape, value?) {
                    (Shape::Many, Cell::Text(text)) => {
                        Cell::List(text.split(',').map(|part| Cell::Text(part.to_owned())).collect())
                    }
                    (_, value) => value,
                };
                Some((output.field.attribute.name.clone(), value))
            });
            values.collect()
        });
        all.insert(class.clone(), rows.collect());
    }
    Rows(all)
}

struct Case {
    text: String,
    query: wql::Checked,
    id: CollectionId,
}

async fn compare(test: &TestSite, cases: &[Case], seed: u64, plainly: bool) -> Vec<String> {
    let clock = Clock { now: test.full().now, offset_minutes: 0 };
    let dialect = test.store.store.dialect();
    let classes: BTreeSet<String> = cases.iter().flat_map(|case| case.query.classes()).collect();
    let rows = shown(test, clock, &classes).await;
    let mut numbers = BTreeMap::new();
    for row in rows.0.get("SMS_R_System").into_iter().flatten() {
        if let (Some(Cell::Int(number)), Some(Cell::Text(id))) = (row.get("ResourceID"), row.get("SMSUniqueIdentifier"))
        {
            numbers.insert(id.clone(), *number);
        }
    }
    let mut wrong = Vec::new();
    for case in cases {
        let shown = collection_show(&test.full(), &test.site, case.id).await.unwrap();
        let stored: BTreeSet<i64> =
            members(test, case.id).await.iter().filter_map(|id| numbers.get(&id.to_string()).copied()).collect();
        let mut conn = test.store.store.reader().await.unwrap();
        let sql = store_wql::members(&mut conn, dialect, &case.query, clock, None).await;
        let sql: BTreeSet<i64> = match sql {
            Ok(found) => found.into_iter().collect(),
            Err(error) => {
                wrong.push(format!("{dialect:?}: {}\n  {error}", case.text));
                continue;
            }
        };
        let plain = if plainly { eval::members(&case.query, &rows, clock) } else { sql.clone() };
        if stored != sql || plain != sql {
            let answered = &shown.rules[0].answered;
            wrong.push(format!(
                "seed {seed} {dialect:?}: {}\n  answered by {answered}: {stored:?}\n  SQL: {sql:?}\n  evaluator: {plain:?} {:?}",
                case.text, shown.collection.evaluation_error
            ));
        }
    }
    wrong
}

async fn say(test: &TestSite, random: &mut Random, device: &TestDevice, outbox: &mut Outbox) {
    let (class, rows) = rows(random);
    outbox.push(inventory(vec![full(class, &rows)]));
    outbox.send(test, device).await.unwrap();
}

#[tokio::test]
async fn random_queries_give_the_same_members_in_every_way_and_after_every_change() {
    let seed = wanted("MUSTER_WQL_SEED", SEED);
    let count = usize::try_from(wanted("MUSTER_WQL_CASES", CASES as u64)).unwrap();
    for test in TestSite::all().await {
        let mut random = Random(seed);
        let mut fleet = Vec::new();
        for number in 0..7 {
            let device = test.enrol(&format!("pc{number}")).await;
            let mut outbox = Outbox::new(Channel::Inventory);
            for _ in 0..4 {
                say(&test, &mut random, &device, &mut outbox).await;
            }
            fleet.push((device, outbox));
        }
        let some = [RuleSpec::Direct { device: fleet[1].0.id }, RuleSpec::Direct { device: fleet[3].0.id }];
        let named = make(&test, "Named", ALL, some.to_vec()).await;
        let collections = [ALL.to_string(), named.to_string()];
        let mut cases: Vec<Case> = Vec::new();
        let mut refused = 0;
        while cases.len() < count {
            let text = Grammar::new(&mut random, &collections).rule();
            let Ok(query) = checked(&text) else {
                refused += 1;
                continue;
            };
            assert_eq!(
                query,
                checked(&wql::parse(&text).unwrap().query.to_string()).unwrap(),
                "printed and read: {text}"
            );
            let name = format!("Case {}", cases.len()).parse().unwrap();
            let rules = vec![RuleSpec::Query { name: "random".parse().unwrap(), query: text.clone() }];
            let create = CollectionCreate { incremental: true, ..crate::collection::wish("x", ALL, rules) };
            let made = collection_create(&test.full(), &test.site, &CollectionCreate { name, ..create }).await.unwrap();
            cases.push(Case { text, query, id: made.collection.id });
        }
        assert!(refused < count, "most queries are well-formed");
        work(&test).await;
        let mut wrong = compare(&test, &cases, seed, true).await;
        for round in 0..2 {
            for _ in 0..3 {
                let at = random.below(fleet.len());
                let (device, outbox) = &mut fleet[at];
                say(&test, &mut random, device, outbox).await;
            }
            if round == 1 {
                let (gone, _) = fleet.remove(2);
                device_retire(&test.full(), &test.site, gone.id, crate::reason("sold"), None).await.unwrap();
                fleet.push((test.enrol("PC2").await, Outbox::new(Channel::Inventory)));
                let rule = RuleSpec::Direct { device: fleet[0].0.id };
                collection_rule_add(&test.full(), &test.site, named, &rule).await.unwrap();
            }
            work(&test).await;
            wrong.extend(compare(&test, &cases, seed, round == 1).await);
        }
        let by_index = {
            let mut count = 0;
            for case in &cases {
                let shown = collection_show(&test.full(), &test.site, case.id).await.unwrap();
                count += usize::from(shown.rules[0].answered == "index");
            }
            count
        };
        println!("{by_index} of {} are answered by the index, seed {seed}", cases.len());
        assert!(by_index * 2 > cases.len(), "{by_index} of {}", cases.len());
        let shown: Vec<_> = wrong.iter().take(12).cloned().collect();
        assert!(wrong.is_empty(), "{} differences:\n{}", wrong.len(), shown.join("\n\n"));
    }
}
