//! Collections that come as a MOF file, from Configuration Manager or from a site like this one, and that go as one.
//!
//! Ids are those of another site: what a file names is looked for in the file, among the built-in ones, and by its name. What cannot
//! be taken is left with its place and the reason; the rest is one transaction.

use super::{
    ids,
    load::{self, Stored},
    rules,
};
use crate::{Ctx, Site, SiteError, audit, authz};
use muster_model::{
    api::{
        Admin, Collection, CollectionCreate, CollectionExport, CollectionExported, CollectionImport,
        CollectionImported, CollectionLeft, CollectionMember, CollectionTaken, DeviceState, RuleSpec,
    },
    id::{CollectionId, DeviceId, Name},
    limits,
    mof::collection::{self as mof, Left, MofCollection, MofRule},
    problem::Code,
};
use muster_store::{
    StoreError, Tx,
    db::{
        AsStoreError,
        collection::{self, Rule, RuleRow},
        collection_member, device_change,
    },
    transaction,
};
use std::collections::{BTreeMap, HashMap, HashSet};

/// Characters of a name.
const NAME_CHARS: usize = 100;

/// Why a transaction is not committed.
enum Undone {
    /// It was only looked at.
    Looked(CollectionImported),
    /// It failed.
    Failed(SiteError),
}

impl From<SiteError> for Undone {
    fn from(error: SiteError) -> Self {
        Self::Failed(error)
    }
}

impl From<StoreError> for Undone {
    fn from(error: StoreError) -> Self {
        Self::Failed(error.into())
    }
}

impl AsStoreError for Undone {
    fn as_store_error(&self) -> Option<&StoreError> {
        match self {
            Self::Looked(_) => None,
            Self::Failed(error) => error.as_store_error(),
        }
    }
}

/// Takes the collections of a MOF file; with `what_if` only says what would be taken.
///
/// # Errors
/// `unauthenticated`, `forbidden`; `malformed`, with the place: it is no MOF; `too_large`; `conflict` when what would come of it
/// cannot be as a whole.
pub async fn collection_import(
    ctx: &Ctx,
    site: &Site,
    request: &CollectionImport,
) -> Result<CollectionImported, SiteError> {
    let admin = authz::change(ctx)?;
    if request.text.len() > limits::COLLECTION_IMPORT_BYTES {
        let detail = format!("A file with collections has at most {} bytes.", limits::COLLECTION_IMPORT_BYTES);
        return Err(SiteError::refused(Code::TooLarge, detail));
    }
    let (found, left) = mof::collections(&request.text)
        .map_err(|error| rules::malformed(format!("Line {}, column {}: {}.", error.line, error.column, error.what)))?;
    if found.len() > limits::COLLECTION_IMPORTS {
        let detail = format!("A file has at most {} collections.", limits::COLLECTION_IMPORTS);
        return Err(SiteError::refused(Code::TooLarge, detail));
    }
    let done = transaction!(site.store, "collection_import", |tx| {
        collection::lock(tx).await?;
        let mut import = Import::new(ctx, admin, site, &found, Stored::read(tx).await?);
        import.left.extend(left.iter().map(|left| shown("", left)));
        import.run(tx).await?;
        let graph = Stored::read(tx).await?.sound(site)?;
        device_change::ask(tx, &load::asked(graph.nodes.values())).await?;
        let report = CollectionImported { what_if: request.what_if, taken: import.taken, left: import.left };
        if request.what_if {
            return Err(Undone::Looked(report));
        }
        let names: Vec<&str> = report.taken.iter().map(|taken| taken.name.as_str()).take(20).collect();
        let (taken, left) = (report.taken.len(), report.left.len());
        let detail =
            format!("{taken} collection(s) were taken from a file, {left} thing(s) were not: {}.", names.join(", "));
        audit::append(tx, ctx, "collection_import", "collections".to_owned(), detail).await?;
        Ok(report)
    });
    match done {
        Ok(report) => {
            rules::changed(site);
            Ok(report)
        }
        Err(Undone::Looked(report)) => Ok(report),
        Err(Undone::Failed(error)) => Err(error),
    }
}

fn shown(collection: &str, left: &Left) -> CollectionLeft {
    CollectionLeft {
        line: left.line as u64,
        column: left.column as u64,
        collection: collection.to_owned(),
        why: left.why.clone(),
    }
}

/// Where another collection is found.
enum Found {
    Here(CollectionId),
    /// In the file, and not made yet.
    Later,
    Nowhere,
}

struct Import<'a> {
    ctx: &'a Ctx,
    admin: &'a Admin,
    site: &'a Site,
    found: &'a [MofCollection],
    /// By id in the file, and by name in lower case.
    in_file: HashMap<String, usize>,
    by_name: HashMap<String, usize>,
    /// What there was before, by name in lower case.
    here: HashMap<String, CollectionId>,
    built_in: BTreeMap<String, CollectionId>,
    /// By place in the file: what it is here; `None`: it is not taken.
    made: HashMap<usize, Option<CollectionId>>,
    /// By place in the file: collections that would have had more members than was meant.
    wider: HashSet<usize>,
    taken: Vec<CollectionTaken>,
    left: Vec<CollectionLeft>,
}

impl<'a> Import<'a> {
    fn new(ctx: &'a Ctx, admin: &'a Admin, site: &'a Site, found: &'a [MofCollection], stored: Stored) -> Self {
        let mut in_file = HashMap::new();
        let mut by_name = HashMap::new();
        for (at, one) in found.iter().enumerate() {
            if !one.id.is_empty() {
                in_file.entry(one.id.clone()).or_insert(at);
            }
            by_name.entry(one.name.to_lowercase()).or_insert(at);
        }
        let here = stored.collections.values().map(|row| (row.name.as_str().to_lowercase(), row.id)).collect();
        let built_in = stored.collections.values().filter(|row| row.built_in).map(|row| (row.id.to_string(), row.id));
        Self {
            ctx,
            admin,
            site,
            found,
            in_file,
            by_name,
            here,
            built_in: built_in.collect(),
            made: HashMap::new(),
            wider: HashSet::new(),
            taken: Vec::new(),
            left: Vec::new(),
        }
    }

    fn leave(&mut self, one: &MofCollection, line: usize, column: usize, why: String) {
        self.left.push(shown(&one.name, &Left { line, column, why }));
    }

    /// The place in the file of a collection that it names by the id that it had, and by its name where it says it.
    fn at(&self, id: &str, name: &str) -> Option<usize> {
        self.in_file.get(id).or_else(|| self.by_name.get(&name.trim().to_lowercase())).copied()
    }

    /// Where a collection is that the file names.
    fn place(&self, id: &str, name: &str) -> Found {
        let at = self.at(id, name);
        match at.map(|at| self.made.get(&at)) {
            Some(Some(Some(id))) => return Found::Here(*id),
            Some(None) => return Found::Later,
            _ => {}
        }
        let name = name.trim().to_lowercase();
        match self.built_in.get(id).or_else(|| self.here.get(&name)) {
            Some(id) => Found::Here(*id),
            None => Found::Nowhere,
        }
    }

    /// The collections on which one depends: by id and name.
    fn sources(one: &MofCollection) -> Vec<(String, String)> {
        let mut sources = vec![(one.limiting_id.clone(), one.limiting_name.clone())];
        for (rule, _, _) in &one.rules {
            match rule {
                MofRule::Include { id, name } | MofRule::Exclude { id, name } => {
                    sources.push((id.clone(), name.clone()))
                }
                MofRule::Query { query, .. } => {
                    sources.extend(ids::named(query).into_iter().map(|id| (id, String::new())));
                }
                MofRule::Direct { .. } => {}
            }
        }
        sources
    }

    /// Each after what it depends on.
    async fn run(&mut self, tx: &mut Tx) -> Result<(), SiteError> {
        let found = self.found;
        let mut waiting: Vec<(usize, Vec<(String, String)>)> =
            found.iter().enumerate().map(|(at, one)| (at, Self::sources(one))).collect();
        while !waiting.is_empty() {
            let before = waiting.len();
            let mut later = Vec::new();
            for (at, sources) in std::mem::take(&mut waiting) {
                // A collection that names itself is one that nobody limits.
                let waits = |(id, name): &(String, String)| matches!(self.place(id, name), Found::Later);
                if sources.iter().any(waits) {
                    later.push((at, sources));
                } else {
                    self.take(tx, at).await?;
                }
            }
            waiting = later;
            if waiting.len() == before {
                for (at, _) in std::mem::take(&mut waiting) {
                    let one = &found[at];
                    let why = format!("{} depends on itself, or on collections that do so in a circle.", one.name);
                    self.leave(one, one.line, one.column, why);
                    self.made.insert(at, None);
                }
            }
        }
        Ok(())
    }

    /// Why a collection would have members that it must not have, and where that stands: an exclusion of it cannot be taken, or it
    /// depends on a collection of which that is so.
    fn too_wide(&self, one: &MofCollection) -> Option<(usize, usize, String)> {
        for (rule, line, column) in &one.rules {
            if let MofRule::Exclude { id, name } = rule
                && !matches!(self.place(id, name), Found::Here(_))
            {
                let why = format!(
                    "{} is not taken: it excludes {name} ({id}), which is neither in the file nor here, and would have its members.",
                    one.name
                );
                return Some((*line, *column, why));
            }
        }
        let sources = Self::sources(one);
        let at = sources.iter().filter_map(|(id, name)| self.at(id, name)).find(|at| self.wider.contains(at))?;
        let source = self.found.get(at).map_or("", |source| source.name.as_str());
        let why = format!(
            "{} is not taken: it depends on {source}, which is not taken because of what it excludes.",
            one.name
        );
        Some((one.line, one.column, why))
    }

    async fn take(&mut self, tx: &mut Tx, at: usize) -> Result<(), SiteError> {
        let one = &self.found[at];
        self.made.insert(at, None);
        for left in &one.left {
            self.left.push(shown(&one.name, left));
        }
        if self.by_name.get(&one.name.to_lowercase()) != Some(&at) {
            self.leave(one, one.line, one.column, format!("{} is in the file twice.", one.name));
            return Ok(());
        }
        if let Some(id) = self.here.get(&one.name.to_lowercase()).copied() {
            // What names it means the one that is here.
            self.made.insert(at, Some(id));
            self.leave(one, one.line, one.column, format!("There is a collection {} already ({id}).", one.name));
            return Ok(());
        }
        if let Some((line, column, why)) = self.too_wide(one) {
            self.wider.insert(at);
            self.leave(one, line, column, why);
            return Ok(());
        }
        let Found::Here(limiting) = self.place(&one.limiting_id, &one.limiting_name) else {
            let (id, name) = (&one.limiting_id, &one.limiting_name);
            let why = format!("{} is limited by {name} ({id}), which is neither in the file nor here.", one.name);
            self.leave(one, one.line, one.column, why);
            return Ok(());
        };
        let name: Name = match one.name.parse() {
            Ok(name) => name,
            Err(_) => {
                let why = format!("A name has 1 to {NAME_CHARS} characters, and none that cannot be seen.");
                self.leave(one, one.line, one.column, why);
                return Ok(());
            }
        };
        let create = CollectionCreate {
            name,
            comment: one.comment.clone(),
            kind: one.kind,
            limiting,
            protected: one.protected,
            incremental: one.incremental,
            schedule: one.schedule.clone(),
            rules: Vec::new(),
        };
        let row = match rules::insert(self.ctx, self.admin, self.site, tx, &create).await {
            Ok(row) => row,
            Err(error) => {
                let why = reason(error)?;
                self.leave(one, one.line, one.column, why);
                return Ok(());
            }
        };
        self.made.insert(at, Some(row.id));
        let mut kept: Vec<Rule> = Vec::new();
        // Exclusions first: of too many rules they are not among those that are left.
        let (excludes, others): (Vec<_>, Vec<_>) =
            one.rules.iter().partition(|(rule, _, _)| matches!(rule, MofRule::Exclude { .. }));
        for (rule, line, column) in excludes.into_iter().chain(others) {
            match self.rule(tx, &row, rule).await? {
                Ok(stored) if kept.contains(&stored.rule) => {}
                Ok(stored) if kept.len() < limits::COLLECTION_RULES => {
                    collection::add_rule(tx, &stored).await?;
                    kept.push(stored.rule);
                }
                Ok(_) => {
                    let why = format!("A collection has at most {} rules.", limits::COLLECTION_RULES);
                    self.leave(one, *line, *column, why);
                }
                Err(why) => self.leave(one, *line, *column, why),
            }
        }
        let rules = kept.len() as u64;
        self.taken.push(CollectionTaken { name: one.name.clone(), was: one.id.clone(), id: row.id, rules });
        Ok(())
    }

    /// A rule as it is stored; or why it is not.
    async fn rule(&self, tx: &mut Tx, of: &Collection, rule: &MofRule) -> Result<Result<RuleRow, String>, SiteError> {
        let other = |id: &str, name: &str| match self.place(id, name) {
            Found::Here(id) => Ok(id),
            _ => Err(format!("The collection {name} ({id}) is neither in the file nor here.")),
        };
        let spec = match rule {
            MofRule::Direct { resource, name } => {
                let known = collection_member::known_as(tx.conn(), *resource, name).await?;
                let proven =
                    if known.is_empty() { Vec::new() } else { collection_member::proven_as(tx.conn(), name).await? };
                device(&known, &proven, *resource, name, of.protected).map(|device| RuleSpec::Direct { device })
            }
            MofRule::Include { id, name } => other(id, name).map(|collection| RuleSpec::Include { collection }),
            MofRule::Exclude { id, name } => other(id, name).map(|collection| RuleSpec::Exclude { collection }),
            MofRule::Query { name, query } => {
                let name: String = name.chars().filter(|c| !c.is_control()).take(NAME_CHARS).collect();
                let name = name.trim().parse().map_err(|_| SiteError::Fault("a name that is none".to_owned()));
                self.asked(query)
                    .and_then(|query| Ok(RuleSpec::Query { name: name.map_err(|e| e.to_string())?, query }))
            }
        };
        match spec {
            Ok(spec) => match rules::rule_of(self.site, tx.conn(), (of.id, of.kind), &spec).await {
                Ok(row) => Ok(Ok(row)),
                Err(error) => Ok(Err(reason(error)?)),
            },
            Err(why) => Ok(Err(why)),
        }
    }

    /// A query with the ids that collections have here.
    fn asked(&self, query: &str) -> Result<String, String> {
        let mut there = BTreeMap::new();
        for was in ids::named(query) {
            let Found::Here(id) = self.place(&was, "") else {
                return Err(format!("It asks about the collection {was}, which is neither in the file nor built in."));
            };
            there.insert(was, id.to_string());
        }
        Ok(ids::with_ids(query, &there))
    }
}

/// The device that a rule means: the one with this number, where it has this name too; else the only one whose domain has proven this
/// name, but not in a protected collection. What a device only calls itself joins nothing.
fn device(
    known: &[CollectionMember],
    proven: &[CollectionMember],
    resource: i64,
    name: &str,
    protected: bool,
) -> Result<DeviceId, String> {
    let is_there = |member: &&CollectionMember| {
        member.state.is_some_and(|state| state != DeviceState::Retired) && member.name.eq_ignore_ascii_case(name)
    };
    let client = |member: &CollectionMember| member.device.ok_or_else(|| format!("No client runs on {name}."));
    let mut named = known.iter().filter(is_there);
    if let Some(exact) = named.clone().find(|member| member.resource_id == resource) {
        return client(exact);
    }
    match (named.next(), proven) {
        (None, _) => Err(format!("No device is called {name}.")),
        _ if protected => Err(format!(
            "{name} has another number here, and a protected collection takes no device by its name; add it yourself."
        )),
        (_, []) => Err(format!("A device calls itself {name}, and no domain has proven that; add it yourself.")),
        (_, [member]) => client(member),
        _ => Err(format!("Several devices are called {name}.")),
    }
}

/// The sentence of a refusal; a fault stays one.
fn reason(error: SiteError) -> Result<String, SiteError> {
    match error.code() {
        Code::Malformed | Code::Conflict | Code::TooLarge | Code::NotFound => Ok(error.problem().detail),
        _ => Err(error),
    }
}

/// Writes collections that administrators made as a MOF file: all, or one.
///
/// # Errors
/// `unauthenticated`; `not_found`: there is none, or it is built in.
pub async fn collection_export(
    ctx: &Ctx,
    site: &Site,
    request: &CollectionExport,
) -> Result<CollectionExported, SiteError> {
    authz::see(ctx)?;
    let stored = Stored::read(&mut *site.store.reader().await?).await?;
    // Whether all may be as it is is not the question of who wants to have it.
    let graph = stored.graph(site)?;
    let name = |id: CollectionId| stored.collections.get(&id).map(|row| row.name.to_string()).unwrap_or_default();
    let mut written = Vec::new();
    // Each after what it depends on, so that whoever reads the file from its beginning finds what it needs.
    for id in graph.in_order() {
        let Some(row) = stored.collections.get(&id).filter(|row| !row.built_in) else { continue };
        if request.collection.is_some_and(|wanted| wanted != id) {
            continue;
        }
        let of_row = stored.rules.iter().filter(|rule| rule.collection == id);
        let rules = of_row.map(|rule| {
            let rule = match &rule.rule {
                Rule::Direct(resource) => MofRule::Direct { resource: *resource, name: rule.name.clone() },
                Rule::Query(query) => MofRule::Query { name: rule.name.clone(), query: query.clone() },
                Rule::Include(id) => MofRule::Include { id: id.to_string(), name: name(*id) },
                Rule::Exclude(id) => MofRule::Exclude { id: id.to_string(), name: name(*id) },
            };
            (rule, 0, 0)
        });
        written.push(MofCollection {
            id: id.to_string(),
            name: row.name.to_string(),
            comment: row.comment.clone(),
            kind: row.kind,
            limiting_id: row.limiting.map(|id| id.to_string()).unwrap_or_default(),
            limiting_name: row.limiting.map(name).unwrap_or_default(),
            incremental: row.incremental,
            protected: row.protected,
            schedule: row.schedule.clone(),
            rules: rules.collect(),
            line: 0,
            column: 0,
            left: Vec::new(),
        });
    }
    if request.collection.is_some() && written.is_empty() {
        return Err(SiteError::not_found());
    }
    Ok(CollectionExported { text: mof::written(&written), collections: written.len() as u64 })
}
