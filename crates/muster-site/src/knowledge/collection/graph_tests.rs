//! Random graphs and random changes: what follows changes device by device is what looking at everything gives.

use super::*;
use proptest::prelude::*;

const COLLECTIONS: usize = 12;
const DEVICES: u32 = 24;
const CLASSES: [&str; 3] = ["SMS_R_System", "INSTALLED_SOFTWARE", "DISK"];

fn id(number: usize) -> CollectionId {
    format!("P01{number:05X}").parse().unwrap()
}

/// What a query says of a device: any function of what the device has in one class.
type Facts = BTreeMap<(&'static str, u32), u8>;

fn answers(rule: i64, class: &str, facts: &Facts, device: u32) -> bool {
    let fact = facts.iter().find(|((c, d), _)| *c == class && *d == device).map_or(0, |(_, value)| *value);
    (i64::from(fact) * 7 + rule * 3 + i64::from(device)) % 3 == 0
}

fn class_of(rule: i64) -> &'static str {
    CLASSES[usize::try_from(rule).unwrap() % CLASSES.len()]
}

/// By the definition, with nothing remembered: `((Q u D u I) n L) \ X`, and for the root what the site knows.
fn member(graph: &Graph, facts: &Facts, collection: CollectionId, device: u32) -> bool {
    let node = &graph.nodes[&collection];
    let built_in = node.built_in && facts.get(&(CLASSES[0], device)).is_some_and(|fact| *fact > 0);
    let asked = |query: &Query| answers(query.rule, class_of(query.rule), facts, device);
    let is = |id: &CollectionId| member(graph, facts, *id, device);
    let wanted =
        built_in || node.direct.contains(device) || node.queries.iter().any(asked) || node.includes.iter().any(is);
    wanted && node.limiting.is_none_or(|id| is(&id)) && !node.excludes.iter().any(is)
}

fn naive(graph: &Graph, facts: &Facts) -> BTreeMap<CollectionId, RoaringBitmap> {
    let of = |id: CollectionId| (0..DEVICES).filter(|device| member(graph, facts, id, *device)).collect();
    graph.nodes.keys().map(|id| (*id, of(*id))).collect()
}

/// A round to its end; returns how many queries were asked, and about how many devices.
fn run(graph: &Graph, facts: &Facts, members: &mut Members, changes: &Changes) -> (usize, u64) {
    let mut asked = (0, 0);
    let before = members.clone();
    let mut round = Round::new(graph, &before, changes);
    while let Some(pieces) = round.next() {
        for piece in pieces {
            let node = &graph.nodes[&piece.collection];
            let mut found = RoaringBitmap::new();
            if piece.asks() {
                let devices: RoaringBitmap = match &piece.ask {
                    Scope::All => (0..DEVICES).collect(),
                    Scope::Only(only) => only.clone(),
                };
                asked = (asked.0 + 1, asked.1 + devices.len());
                let gives = |device: &u32| {
                    let known = node.built_in && facts.get(&(CLASSES[0], *device)).is_some_and(|fact| *fact > 0);
                    known || node.queries.iter().any(|query| answers(query.rule, class_of(query.rule), facts, *device))
                };
                found.extend(devices.iter().filter(gives));
            }
            round.settle(&piece, found);
        }
    }
    for (id, delta) in round.deltas {
        let now = (&*members.get(&id).cloned().unwrap_or_default() - &delta.left) | delta.joined;
        members.insert(id, Arc::new(now));
    }
    asked
}

#[derive(Debug, Clone)]
struct Plan {
    limiting: usize,
    includes: Vec<usize>,
    excludes: Vec<usize>,
    direct: Vec<u32>,
    queries: Vec<i64>,
}

fn plan() -> impl Strategy<Value = Plan> {
    let few = |most| proptest::collection::vec(0..COLLECTIONS, 0..most);
    (
        0..COLLECTIONS,
        few(3),
        few(3),
        proptest::collection::vec(0..DEVICES, 0..6),
        proptest::collection::vec(0..9_i64, 0..3),
    )
        .prop_map(|(limiting, includes, excludes, direct, queries)| Plan {
            limiting,
            includes,
            excludes,
            direct,
            queries,
        })
}

/// Collection 0 is the root; the others depend on lower ones only, so that there is no circle.
fn graph(plans: &[Plan]) -> Graph {
    let mut nodes = BTreeMap::from([(id(0), Node { built_in: true, incremental: true, ..Node::default() })]);
    for (at, plan) in plans.iter().enumerate() {
        let number = at + 1;
        let lower = |other: &usize| id(other % number);
        let query = |rule: &i64| Query {
            rule: *rule,
            text: Arc::from("SELECT"),
            classes: Some(BTreeSet::from([class_of(*rule).to_owned()])),
            collections: Vec::new(),
            of_each: true,
            by_time: false,
        };
        let node = Node {
            limiting: Some(lower(&plan.limiting)),
            direct: plan.direct.iter().copied().collect(),
            includes: plan.includes.iter().map(lower).collect(),
            excludes: plan.excludes.iter().map(lower).collect(),
            queries: plan.queries.iter().map(query).collect(),
            built_in: false,
            incremental: true,
        };
        nodes.insert(id(number), node);
    }
    Graph::new(nodes).unwrap()
}

fn as_sets(members: &Members, graph: &Graph) -> BTreeMap<CollectionId, RoaringBitmap> {
    graph.nodes.keys().map(|id| (*id, members.get(id).map(|m| (**m).clone()).unwrap_or_default())).collect()
}

#[derive(Debug, Clone)]
enum Step {
    /// Devices have something else in a class.
    Facts(Vec<(usize, u32, u8)>),
    /// A collection is made of something else.
    Rules(usize, Plan),
    /// Somebody asks for collections to be evaluated.
    Whole(Vec<usize>),
}

fn step() -> impl Strategy<Value = Step> {
    let fact = (0..CLASSES.len(), 0..DEVICES, 0..4_u8);
    prop_oneof![
        4 => proptest::collection::vec(fact, 1..8).prop_map(Step::Facts),
        2 => (1..COLLECTIONS, plan()).prop_map(|(at, plan)| Step::Rules(at, plan)),
        1 => proptest::collection::vec(0..COLLECTIONS, 1..4).prop_map(Step::Whole),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(300))]

    #[test]
    fn following_changes_gives_what_looking_at_everything_gives(
        plans in proptest::collection::vec(plan(), COLLECTIONS - 1),
        steps in proptest::collection::vec(step(), 1..12),
    ) {
        let (mut plans, mut facts) = (plans, Facts::new());
        let mut members = Members::new();
        let all = Changes { whole: graph(&plans).nodes.keys().copied().collect(), ..Changes::default() };
        run(&graph(&plans), &facts, &mut members, &all);
        for step in steps {
            let mut changes = Changes::default();
            match step {
                Step::Facts(new) => for (class, device, value) in new {
                    facts.insert((CLASSES[class], device), value);
                    changes.devices.entry(CLASSES[class].to_owned()).or_default().insert(device);
                },
                Step::Rules(at, plan) => {
                    plans[at - 1] = plan;
                    changes.whole.insert(id(at));
                }
                Step::Whole(which) => changes.whole.extend(which.into_iter().map(id)),
            }
            let graph = graph(&plans);
            run(&graph, &facts, &mut members, &changes);
            prop_assert_eq!(as_sets(&members, &graph), naive(&graph, &facts));
            // Nothing is left to do: the same changes again ask about devices, and change nothing.
            let stood = as_sets(&members, &graph);
            run(&graph, &facts, &mut members, &changes);
            prop_assert_eq!(as_sets(&members, &graph), stood);
        }
    }

    #[test]
    fn a_circle_is_found_and_named_whatever_else_there_is(
        plans in proptest::collection::vec(plan(), COLLECTIONS - 1),
        length in 1..6_usize,
    ) {
        // A ring through the collections 1..=length, over includes.
        let mut nodes = graph(&plans).nodes;
        for at in 1..=length {
            nodes.get_mut(&id(at)).unwrap().includes.push(id(at % length + 1));
        }
        let circle = Graph::new(nodes.clone()).unwrap_err();
        prop_assert!(circle.len() >= 2 && circle.first() == circle.last());
        for pair in circle.windows(2) {
            prop_assert!(nodes[&pair[0]].sources().any(|(_, source)| source == pair[1]), "{circle:?} is a way round");
        }
    }
}

fn query(rule: i64) -> Query {
    Query {
        rule,
        text: Arc::from("SELECT"),
        classes: Some(BTreeSet::from([class_of(rule).to_owned()])),
        collections: vec![],
        of_each: true,
        by_time: false,
    }
}

#[test]
fn the_way_ends_at_a_collection_that_does_not_change() {
    // A chain of limits under the root, each with a query of its own class.
    let mut nodes = BTreeMap::from([(id(0), Node { built_in: true, incremental: true, ..Node::default() })]);
    for at in 1..=5 {
        let queries = vec![query(if at == 1 { 1 } else { 2 })];
        nodes.insert(id(at), Node { limiting: Some(id(at - 1)), queries, incremental: true, ..Node::default() });
    }
    let graph = Graph::new(nodes).unwrap();
    let facts: Facts = (0..DEVICES).map(|device| ((CLASSES[0], device), 1)).collect();
    let mut members = Members::new();
    let all = Changes { whole: graph.nodes.keys().copied().collect(), ..Changes::default() };
    run(&graph, &facts, &mut members, &all);
    // The class of the first one's query changes on a device, and its answer does not.
    let changes =
        Changes { devices: BTreeMap::from([(class_of(1).to_owned(), RoaringBitmap::from([3]))]), ..Changes::default() };
    assert_eq!(run(&graph, &facts, &mut members, &changes), (1, 1), "one query about one device, and nothing below it");
    let nothing = Changes {
        devices: BTreeMap::from([("NOBODY_ASKS".to_owned(), RoaringBitmap::from([3]))]),
        ..Changes::default()
    };
    assert_eq!(run(&graph, &facts, &mut members, &nothing), (0, 0));
}

#[test]
fn a_query_is_asked_only_about_those_of_whom_it_decides() {
    let direct: RoaringBitmap = (0..10).collect();
    let nodes = BTreeMap::from([
        (id(0), Node { built_in: true, ..Node::default() }),
        (id(1), Node { limiting: Some(id(0)), direct, queries: vec![query(0)], ..Node::default() }),
    ]);
    let graph = Graph::new(nodes).unwrap();
    let members = Members::from([(id(0), Arc::new((0..12).collect()))]);
    let changes = Changes { whole: BTreeSet::from([id(1)]), ..Changes::default() };
    let mut round = Round::new(&graph, &members, &changes);
    let pieces = round.next().unwrap();
    assert_eq!(pieces[0].ask, Scope::Only(RoaringBitmap::from([10, 11])), "not about the ten that are named");
    // An answer about others counts for nothing.
    round.settle(&pieces[0], (0..DEVICES).collect());
    assert_eq!(round.deltas[&id(1)].joined, (0..12).collect());
}

#[test]
fn ten_thousand_in_a_row_take_no_stack() {
    let mut nodes = BTreeMap::from([(id(0), Node::default())]);
    for at in 1..10_000 {
        nodes.insert(id(at), Node { limiting: Some(id(at - 1)), ..Node::default() });
    }
    assert_eq!(Graph::new(nodes).unwrap().levels.len(), 10_000);
}
