//! The graph as it is stored, and whether it may be so.

use super::{
    graph::{Graph, Members, Node, Query},
    query::{self, Asks},
};
use crate::{Site, SiteError};
use muster_model::{
    api::{Collection, CollectionRelation},
    id::CollectionId,
    problem::Code,
    settings::Reach,
};
use muster_store::{
    Connection, StoreError,
    db::{
        client_settings,
        collection::{self, Rule, RuleRow},
        collection_member,
        device_change::ANY,
    },
};
use roaring::RoaringBitmap;
use std::{
    collections::{BTreeMap, BTreeSet, HashMap},
    sync::Arc,
};

/// The number of a resource, as it is in sets.
pub(super) fn number(resource: i64) -> Result<u32, SiteError> {
    u32::try_from(resource).map_err(|_| StoreError::Corrupt(format!("{resource} is no number of a resource")).into())
}

/// Numbers of resources as a set.
pub(super) fn set(resources: impl IntoIterator<Item = i64>) -> Result<RoaringBitmap, SiteError> {
    resources.into_iter().map(number).collect()
}

/// Every collection and every rule.
pub(super) struct Stored {
    pub(super) collections: BTreeMap<CollectionId, Collection>,
    pub(super) rules: Vec<RuleRow>,
    /// Client settings that are not for everybody, by the collections that they are for.
    restricted: BTreeMap<CollectionId, String>,
}

impl Stored {
    pub(super) async fn read(conn: &mut Connection) -> Result<Self, SiteError> {
        let collections = collection::all(conn).await?.into_iter().map(|row| (row.id, row)).collect();
        let rows = client_settings::all(conn).await?;
        let of = |id| rows.iter().find(|row| row.id == id).filter(|row| row.values.check(Reach::Everyone).is_err());
        let targets = client_settings::targets(conn).await?.into_iter();
        let restricted = targets.filter_map(|target| Some((target.collection, of(target.settings)?.name.to_string())));
        let restricted = restricted.collect();
        Ok(Self { collections, rules: collection::all_rules(conn).await?, restricted })
    }

    /// The nodes of the graph. A query that cannot be asked any more is one: its collection says so when it is evaluated.
    pub(super) fn nodes(&self, site: &Site) -> Result<BTreeMap<CollectionId, Node>, SiteError> {
        let mut nodes: BTreeMap<CollectionId, Node> = BTreeMap::new();
        for (id, row) in &self.collections {
            let (limiting, built_in, incremental) = (row.limiting, row.built_in, row.incremental);
            nodes.insert(*id, Node { limiting, built_in, incremental, ..Node::default() });
        }
        for row in &self.rules {
            let Some(node) = nodes.get_mut(&row.collection) else { continue };
            match &row.rule {
                Rule::Direct(resource) => {
                    node.direct.insert(number(*resource)?);
                }
                Rule::Include(source) => node.includes.push(*source),
                Rule::Exclude(source) => node.excludes.push(*source),
                Rule::Query(text) => {
                    let asks = query::asked(site, text);
                    let text = Arc::from(text.as_str());
                    let lost = Query {
                        rule: row.id,
                        text,
                        classes: None,
                        collections: Vec::new(),
                        of_each: true,
                        by_time: false,
                    };
                    node.queries.push(match asks {
                        Ok(Asks { classes, collections, of_each, by_time, .. }) => {
                            Query { classes, collections, of_each, by_time, ..lost }
                        }
                        Err(_) => lost,
                    });
                }
            }
        }
        Ok(nodes)
    }

    /// The graph, where it is one that may be.
    ///
    /// # Errors
    /// `conflict`: a circle, with the way round; collections of two kinds; a protected collection that would take members by
    /// what devices say of themselves; or one that would bring settings to everybody that are not for everybody.
    pub(super) fn sound(&self, site: &Site) -> Result<Graph, SiteError> {
        let nodes = self.nodes(site)?;
        for (id, node) in &nodes {
            let Some(row) = self.collections.get(id).filter(|row| !row.built_in) else { continue };
            for (relation, source) in node.sources() {
                self.check_source(row, relation, source)?;
            }
            if row.protected {
                self.check_queries(site, row)?;
            }
        }
        for (id, settings) in &self.restricted {
            self.check_reach(&nodes, *id, settings)?;
        }
        self.ordered(nodes)
    }

    /// The graph, whatever its collections take members by.
    ///
    /// # Errors
    /// `conflict`: a circle, with the way round.
    pub(super) fn graph(&self, site: &Site) -> Result<Graph, SiteError> {
        self.ordered(self.nodes(site)?)
    }

    fn ordered(&self, nodes: BTreeMap<CollectionId, Node>) -> Result<Graph, SiteError> {
        Graph::new(nodes).map_err(|circle| {
            let way: Vec<String> = circle.iter().map(|id| self.called(*id)).collect();
            let way = way.join(", which depends on ");
            refused(format!("Collections cannot depend on each other in a circle: {way}."))
        })
    }

    fn check_source(
        &self,
        row: &Collection,
        relation: CollectionRelation,
        source: CollectionId,
    ) -> Result<(), SiteError> {
        let Some(other) = self.collections.get(&source) else {
            return Err(refused(format!("{} names the collection {source}, and there is none.", row.name)));
        };
        if other.kind != row.kind {
            let detail = format!(
                "{} holds {}s and {} {}s; they cannot depend on each other.",
                row.name, row.kind, other.name, other.kind
            );
            return Err(refused(detail));
        }
        if row.protected && !other.protected {
            return Err(refused(format!(
                "{} is protected and {} ({relation}) is not: devices could come in by what they say of themselves.",
                row.name, other.name
            )));
        }
        Ok(())
    }

    /// Whether nobody comes into a collection because he is in one of those that everybody is in, however many are between them.
    fn check_reach(
        &self,
        nodes: &BTreeMap<CollectionId, Node>,
        id: CollectionId,
        settings: &str,
    ) -> Result<(), SiteError> {
        let (mut seen, mut next) = (BTreeSet::from([id]), vec![id]);
        while let Some(at) = next.pop() {
            for source in nodes.get(&at).into_iter().flat_map(|node| &node.includes) {
                if self.collections.get(source).is_some_and(|row| row.built_in) {
                    let (own, all) = (self.called(id), self.called(*source));
                    let way = if at == id { String::new() } else { format!(" by way of {}", self.called(at)) };
                    return Err(refused(format!(
                        "{own} has the client settings {settings}, which are dangerous for everybody, and cannot include {all}{way}."
                    )));
                }
                if seen.insert(*source) {
                    next.push(*source);
                }
            }
        }
        Ok(())
    }

    fn check_queries(&self, site: &Site, row: &Collection) -> Result<(), SiteError> {
        let of_row = self.rules.iter().filter(|rule| rule.collection == row.id);
        for rule in of_row {
            if let Rule::Query(text) = &rule.rule
                && !query::asks(site, text).is_ok_and(|asks| asks.established)
            {
                return Err(refused(format!(
                    "{} is protected, and its query {} goes by what devices say of themselves.",
                    row.name, rule.name
                )));
            }
        }
        Ok(())
    }

    /// A collection in a sentence.
    pub(super) fn called(&self, id: CollectionId) -> String {
        self.collections.get(&id).map_or_else(|| id.to_string(), |row| format!("{} ({id})", row.name))
    }
}

fn refused(detail: String) -> SiteError {
    SiteError::refused(Code::Conflict, detail)
}

/// The classes that the queries of these collections ask about.
pub(super) fn asked<'a>(nodes: impl IntoIterator<Item = &'a Node>) -> BTreeSet<String> {
    let mut asked = BTreeSet::new();
    for query in nodes.into_iter().flat_map(|node| &node.queries) {
        match &query.classes {
            Some(classes) => asked.extend(classes.iter().cloned()),
            None => return BTreeSet::from([ANY.to_owned()]),
        }
    }
    asked
}

/// Every member of every collection, as sets.
pub(super) async fn members(conn: &mut Connection) -> Result<Members, SiteError> {
    let mut sets: HashMap<CollectionId, RoaringBitmap> = HashMap::new();
    for (collection, resource) in collection_member::all(conn).await? {
        sets.entry(collection).or_default().insert(number(resource)?);
    }
    Ok(sets.into_iter().map(|(id, set)| (id, Arc::new(set))).collect())
}
