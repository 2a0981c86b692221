//! The graph of collections, and its evaluation in memory. Pure: what queries give is handed in.
//!
//! Whether a device is a member depends on that device alone: on what queries say of it, and on where else it is a member. So a
//! change is followed device by device: of each collection only the devices that changed, or that came to or left what the
//! collection depends on, are looked at; where none is left, the way ends. Looking at all devices is the same with a wider scope.

use muster_model::{api::CollectionRelation, id::CollectionId};
use muster_store::db::device_change::{SYSTEM, USER, USER_GROUP};
use roaring::RoaringBitmap;
use std::{
    borrow::Cow,
    collections::{BTreeMap, BTreeSet, HashMap},
    sync::Arc,
};

/// A query of a collection.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Query {
    /// The number of its rule.
    pub(crate) rule: i64,
    /// Its text.
    pub(crate) text: Arc<str>,
    /// Classes that it asks about; `None`: any change may matter.
    pub(crate) classes: Option<BTreeSet<String>>,
    /// Collections that it asks about.
    pub(crate) collections: Vec<CollectionId>,
    /// Whether a device is given by what is known of it alone; else a change of one may bring or take another.
    pub(crate) of_each: bool,
    /// Whether time alone may bring devices in or take them out.
    pub(crate) by_time: bool,
}

/// What a collection is made of.
#[derive(Debug, Clone, Default)]
pub(crate) struct Node {
    /// What limits it; `None`: nothing does.
    pub(crate) limiting: Option<CollectionId>,
    /// Devices that it names.
    pub(crate) direct: RoaringBitmap,
    /// Collections whose members it takes.
    pub(crate) includes: Vec<CollectionId>,
    /// Collections whose members it never takes.
    pub(crate) excludes: Vec<CollectionId>,
    /// Its queries.
    pub(crate) queries: Vec<Query>,
    /// Its first members come from the site's own records, as if by a query that is always asked.
    pub(crate) built_in: bool,
    /// Its queries are asked again when what they ask about changes.
    pub(crate) incremental: bool,
}

impl Node {
    /// What it depends on.
    pub(crate) fn sources(&self) -> impl Iterator<Item = (CollectionRelation, CollectionId)> + '_ {
        let of = |relation: CollectionRelation| move |id: &CollectionId| (relation, *id);
        let asked = self.queries.iter().flat_map(|query| &query.collections);
        self.limiting
            .iter()
            .map(of(CollectionRelation::Limiting))
            .chain(self.includes.iter().map(of(CollectionRelation::Include)))
            .chain(self.excludes.iter().map(of(CollectionRelation::Exclude)))
            .chain(asked.map(of(CollectionRelation::Query)))
    }

    fn asks(&self) -> bool {
        self.built_in || !self.queries.is_empty()
    }
}

/// All collections, in an order in which each comes after what it depends on.
#[derive(Debug, Default)]
pub(crate) struct Graph {
    /// By id.
    pub(crate) nodes: BTreeMap<CollectionId, Node>,
    /// Those of one level do not depend on each other.
    levels: Vec<Vec<CollectionId>>,
}

impl Graph {
    /// The graph of these nodes.
    ///
    /// # Errors
    /// Collections that depend on each other in a circle: the way round, with the first one again at its end.
    pub(crate) fn new(nodes: BTreeMap<CollectionId, Node>) -> Result<Self, Vec<CollectionId>> {
        let mut level: HashMap<CollectionId, usize> = HashMap::new();
        let mut levels: Vec<Vec<CollectionId>> = Vec::new();
        // Depth first with a list of one's own: a chain may be as long as there are collections.
        for root in nodes.keys() {
            let mut path: Vec<(CollectionId, Vec<CollectionId>)> = Vec::new();
            let mut on_path: BTreeSet<CollectionId> = BTreeSet::new();
            let mut enter = Some(*root);
            loop {
                if let Some(id) = enter.take()
                    && !level.contains_key(&id)
                    && let Some(node) = nodes.get(&id)
                {
                    if !on_path.insert(id) {
                        let mut circle: Vec<CollectionId> =
                            path.iter().map(|(id, _)| *id).skip_while(|p| *p != id).collect();
                        circle.push(id);
                        return Err(circle);
                    }
                    path.push((id, node.sources().map(|(_, source)| source).collect()));
                }
                let Some((id, rest)) = path.last_mut() else { break };
                if let Some(source) = rest.pop() {
                    enter = Some(source);
                } else {
                    let id = *id;
                    let above = nodes.get(&id).into_iter().flat_map(Node::sources);
                    let at = above.filter_map(|(_, source)| level.get(&source)).max().map_or(0, |deepest| deepest + 1);
                    level.insert(id, at);
                    levels.resize_with(levels.len().max(at + 1), Vec::new);
                    levels[at].push(id);
                    on_path.remove(&id);
                    path.pop();
                }
            }
        }
        Ok(Self { nodes, levels })
    }

    /// Every collection, after what it depends on.
    pub(crate) fn in_order(&self) -> impl Iterator<Item = CollectionId> + '_ {
        self.levels.iter().flatten().copied()
    }
}

/// Members by collection.
pub(crate) type Members = HashMap<CollectionId, Arc<RoaringBitmap>>;

/// Which devices are looked at.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Scope {
    /// Every one.
    All,
    /// These.
    Only(RoaringBitmap),
}

impl Scope {
    fn of(&self, devices: &RoaringBitmap) -> RoaringBitmap {
        match self {
            Self::All => devices.clone(),
            Self::Only(only) => devices & only,
        }
    }

    fn is_empty(&self) -> bool {
        matches!(self, Self::Only(only) if only.is_empty())
    }
}

/// What happened since the members were as they are.
#[derive(Debug, Clone, Default)]
pub(crate) struct Changes {
    /// Collections that are to be evaluated as a whole.
    pub(crate) whole: BTreeSet<CollectionId>,
    /// Devices that changed, by the class in which they did.
    pub(crate) devices: BTreeMap<String, RoaringBitmap>,
}

/// Who came and who went.
#[derive(Debug, Clone, Default, PartialEq)]
pub(crate) struct Delta {
    /// Who came.
    pub(crate) joined: RoaringBitmap,
    /// Who went.
    pub(crate) left: RoaringBitmap,
}

/// A collection that is to be evaluated, and whom to ask its queries about.
#[derive(Debug, Clone)]
pub(crate) struct Piece {
    /// The collection.
    pub(crate) collection: CollectionId,
    /// Devices that are looked at.
    pub(crate) scope: Scope,
    /// Devices of whom the queries decide; nobody: no query has to be asked.
    pub(crate) ask: Scope,
    /// Members already, whatever a query says.
    given: RoaringBitmap,
}

impl Piece {
    /// Whether its queries have to be asked.
    pub(crate) fn asks(&self) -> bool {
        !self.ask.is_empty()
    }
}

/// One evaluation, level by level.
#[derive(Debug)]
pub(crate) struct Round<'a> {
    graph: &'a Graph,
    before: &'a Members,
    changes: &'a Changes,
    level: usize,
    /// What came of it.
    pub(crate) deltas: BTreeMap<CollectionId, Delta>,
}

impl<'a> Round<'a> {
    /// A round over this graph.
    pub(crate) fn new(graph: &'a Graph, before: &'a Members, changes: &'a Changes) -> Self {
        Self { graph, before, changes, level: 0, deltas: BTreeMap::new() }
    }

    /// The next collections, which do not depend on each other; `None`: that was all. Each is to be settled, or has failed.
    pub(crate) fn next(&mut self) -> Option<Vec<Piece>> {
        while let Some(level) = self.graph.levels.get(self.level) {
            self.level += 1;
            let pieces: Vec<Piece> = level.iter().filter_map(|id| self.piece(*id)).collect();
            if !pieces.is_empty() {
                return Some(pieces);
            }
        }
        None
    }

    fn piece(&self, id: CollectionId) -> Option<Piece> {
        let node = self.graph.nodes.get(&id)?;
        let scope = self.scope(id, node);
        if scope.is_empty() {
            return None;
        }
        // Who can be a member at all, and who is one without any query; of the others, the queries decide.
        let excluded = node.excludes.iter().fold(RoaringBitmap::new(), |all, id| all | self.now(*id, &scope));
        let given = node.includes.iter().fold(scope.of(&node.direct), |all, id| all | self.now(*id, &scope));
        let limit = node.limiting.map(|id| self.now(id, &scope) - &excluded);
        let given = limit.as_ref().map_or_else(|| &given - &excluded, |limit| &given & limit);
        let ask = match (&limit, &scope) {
            _ if !node.asks() => Scope::Only(RoaringBitmap::new()),
            (Some(limit), _) => Scope::Only(limit - &given),
            (None, Scope::Only(only)) => Scope::Only(only - &given - excluded),
            (None, Scope::All) => Scope::All,
        };
        Some(Piece { collection: id, scope, ask, given })
    }

    fn scope(&self, id: CollectionId, node: &Node) -> Scope {
        if self.changes.whole.contains(&id) {
            return Scope::All;
        }
        let mut devices = RoaringBitmap::new();
        let sources = node.sources().filter_map(|(_, source)| self.deltas.get(&source));
        sources.for_each(|delta| devices |= &delta.joined | &delta.left);
        if node.built_in || node.incremental {
            let matters = |class: &String| {
                let asked = |query: &Query| query.classes.as_ref().is_none_or(|classes| classes.contains(class));
                (node.built_in && [SYSTEM, USER, USER_GROUP].contains(&class.as_str()))
                    || node.queries.iter().any(asked)
            };
            let changed = self.changes.devices.iter().filter(|(class, _)| matters(class));
            changed.for_each(|(_, changed)| devices |= changed);
        }
        if !devices.is_empty() && node.queries.iter().any(|query| !query.of_each) {
            return Scope::All;
        }
        Scope::Only(devices)
    }

    /// The members of a collection within a scope, as far as this round has come.
    fn now(&self, id: CollectionId, scope: &Scope) -> RoaringBitmap {
        let mut members = self.before.get(&id).map(|members| scope.of(members)).unwrap_or_default();
        if let Some(delta) = self.deltas.get(&id) {
            members -= &delta.left;
            members |= scope.of(&delta.joined);
        }
        members
    }

    /// All members of a collection, as far as this round has come.
    pub(crate) fn current(&self, id: CollectionId) -> Cow<'a, RoaringBitmap> {
        match self.before.get(&id) {
            Some(members) if !self.deltas.contains_key(&id) => Cow::Borrowed(members.as_ref()),
            _ => Cow::Owned(self.now(id, &Scope::All)),
        }
    }

    /// Whether a query of the collection asks for members that this round has changed: the database does not have them yet. Those
    /// that are answered in memory are not meant.
    pub(crate) fn is_ahead_of(&self, id: CollectionId, in_memory: impl Fn(&Query) -> bool) -> bool {
        let asked = self.graph.nodes.get(&id).into_iter().flat_map(|node| &node.queries);
        asked
            .filter(|query| !in_memory(query))
            .flat_map(|query| &query.collections)
            .any(|source| self.deltas.contains_key(source))
    }

    /// What the queries of a collection gave; of those whom they were not asked about, it counts for nothing.
    pub(crate) fn settle(&mut self, piece: &Piece, found: RoaringBitmap) {
        let before = self.now(piece.collection, &piece.scope);
        let now = piece.ask.of(&found) | &piece.given;
        let delta = Delta { joined: &now - &before, left: before - now };
        if !delta.joined.is_empty() || !delta.left.is_empty() {
            self.deltas.insert(piece.collection, delta);
        }
    }
}

#[cfg(test)]
#[path = "graph_tests.rs"]
mod tests;
