//! Which other applications a deployment takes along: what its application depends on, and what it replaces. Resolved once, when the
//! deployment is made, so that what was previewed is what is delivered. The client checks all of it against the signed objects.

use super::application::{believed, info};
use crate::{Site, SiteError};
use muster_model::{
    api::{RelatedApplication, Relation},
    application::{Application, Dependency, DependencyGroup},
    id::{ApplicationId, Hash},
    limits::{DEPENDENCY_DEPTH, RELATED_APPLICATIONS},
    problem::Code,
};
use muster_store::{
    Connection,
    db::application::{self as stored, ApplicationRow},
};
use std::collections::{HashMap, HashSet};

/// Versions of a superseded application that travel: what is on a device is one of the latest.
const SUPERSEDED_VERSIONS: usize = 4;

/// What a deployment takes along, and what is to be said about it.
#[derive(Debug, Default)]
pub(super) struct Related {
    /// Signed objects in the order in which they are worked on.
    pub(super) entries: Vec<Entry>,
    /// Sentences.
    pub(super) warnings: Vec<String>,
}

/// One application that comes along.
#[derive(Debug, Clone)]
pub(super) struct Entry {
    pub(super) shown: RelatedApplication,
    pub(super) size: u64,
    pub(super) content_size: u64,
    /// What its authors signed.
    pub(super) application: Application,
}

impl Entry {
    /// What is installed is handed its secrets; what is removed is not.
    fn has_secrets(&self) -> bool {
        self.shown.relation == Relation::Dependency && !self.application.secrets.is_empty()
    }
}

impl Related {
    /// Whether some of it is handed a secret.
    pub(super) fn has_secrets(&self) -> bool {
        self.entries.iter().any(Entry::has_secrets)
    }

    /// What is handed a secret.
    pub(super) fn with_secrets(&self) -> impl Iterator<Item = &Application> {
        self.entries.iter().filter(|entry| entry.has_secrets()).map(|entry| &entry.application)
    }

    /// The longest that a window has to be for one of its commands: each is begun where it fits, and what makes room for another one where
    /// both do.
    pub(super) fn seconds(&self, root: &Application) -> u32 {
        let of = |entry: &Entry| match entry.shown.relation {
            Relation::Dependency => entry.application.longest_run_seconds(),
            Relation::Superseded => entry.application.longest_run_seconds().saturating_add(root.longest_run_seconds()),
        };
        self.entries.iter().map(of).fold(root.longest_run_seconds(), u32::max)
    }

    /// Everything that comes along.
    pub(super) fn applications(&self) -> impl Iterator<Item = &Application> {
        self.entries.iter().map(|entry| &entry.application)
    }

    /// What is installed first.
    pub(super) fn dependencies(&self) -> impl Iterator<Item = &Application> {
        let those = self.entries.iter().filter(|entry| entry.shown.relation == Relation::Dependency);
        those.map(|entry| &entry.application)
    }

    /// What is removed to make room.
    pub(super) fn replaced(&self) -> impl Iterator<Item = &Application> {
        let those = self.entries.iter().filter(|entry| entry.shown.relation == Relation::Superseded);
        those.map(|entry| &entry.application)
    }

    /// As it is stored with the deployment.
    pub(super) fn rows(&self) -> Vec<(Hash, u64, Relation)> {
        self.entries.iter().map(|entry| (entry.shown.application, entry.size, entry.shown.relation)).collect()
    }

    /// As it is signed into the deployment's policy.
    pub(super) fn hashes(&self) -> Vec<Hash> {
        self.entries.iter().map(|entry| entry.shown.application).collect()
    }

    /// As it is shown.
    pub(super) fn shown(&self) -> Vec<RelatedApplication> {
        self.entries.iter().map(|entry| entry.shown.clone()).collect()
    }

    fn names(&self, relation: Relation) -> Vec<String> {
        let those = self.entries.iter().filter(|entry| entry.shown.relation == relation);
        those.map(|entry| format!("{} {}", entry.shown.name, entry.shown.version)).collect()
    }

    /// Sentences about what comes along.
    pub(super) fn sentences(&self) -> Vec<String> {
        let mut said = Vec::new();
        let dependencies = self.names(Relation::Dependency);
        if !dependencies.is_empty() {
            said.push(format!(
                "It takes along what it depends on, where a device lacks it: {}.",
                dependencies.join(", ")
            ));
        }
        let superseded = self.names(Relation::Superseded);
        if !superseded.is_empty() {
            said.push(format!("It uninstalls first what it replaces, where it is there: {}.", superseded.join(", ")));
        }
        said.extend(self.warnings.iter().cloned());
        said
    }
}

/// Resolves what an application takes along when it is installed.
///
/// # Errors
/// `conflict`: a dependency is not there, needs itself, or goes too deep; what is replaced cannot be uninstalled; too many.
pub(super) async fn resolve(
    site: &Site,
    conn: &mut Connection,
    row: &ApplicationRow,
    root: &Application,
) -> Result<Related, SiteError> {
    let mut resolver =
        Resolver { site, conn, known: HashMap::new(), done: HashSet::new(), related: Related::default() };
    resolver.dependencies(root).await?;
    let mut replacing = vec![root.clone()];
    for entry in resolver.related.entries.clone() {
        replacing.extend(resolver.application(entry.shown.application));
    }
    resolver.done.insert(row.hash);
    for application in &replacing {
        resolver.superseded(application).await?;
    }
    Ok(resolver.related)
}

/// A step of the walk over dependencies: an application, its path from the root, and whether what it needs was looked at.
struct Visit {
    row: ApplicationRow,
    application: Application,
    path: Vec<(ApplicationId, String)>,
    left: bool,
}

struct Resolver<'a> {
    site: &'a Site,
    conn: &'a mut Connection,
    known: HashMap<ApplicationId, Vec<(ApplicationRow, Application)>>,
    done: HashSet<Hash>,
    related: Related,
}

impl Resolver<'_> {
    /// Versions of an application that authors of the trust bundle signed, the newest first.
    async fn versions(&mut self, id: ApplicationId) -> Result<Vec<(ApplicationRow, Application)>, SiteError> {
        if let Some(known) = self.known.get(&id) {
            return Ok(known.clone());
        }
        let mut versions = Vec::new();
        for row in stored::of_id(self.conn, id).await? {
            if believed(self.site, &row.object) {
                let application = info(&row)?.application;
                versions.push((row, application));
            }
        }
        // Of two with one version the one that was added last comes first.
        versions.sort_by(|a, b| muster_model::version::compare("", &b.1.version, &a.1.version));
        self.known.insert(id, versions.clone());
        Ok(versions)
    }

    fn application(&self, hash: Hash) -> Option<Application> {
        let all = self.known.values().flatten();
        all.into_iter().find(|(row, _)| row.hash == hash).map(|(_, application)| application.clone())
    }

    /// The best version for a dependency.
    async fn choice(
        &mut self,
        dependency: &Dependency,
        of: &Application,
    ) -> Result<Option<(ApplicationRow, Application)>, SiteError> {
        let versions = self.versions(dependency.application).await?;
        // Of which type it will be the client finds out; that it can be any is asked here.
        let fits = |application: &Application| {
            let together = application.platforms().any(|one| of.platforms().any(|other| one == other));
            together && dependency.is_met_by(application)
        };
        Ok(versions.into_iter().find(|(_, application)| fits(application)))
    }

    /// Every application of a group that is there.
    async fn choices(
        &mut self,
        group: &DependencyGroup,
        of: &Application,
    ) -> Result<Vec<(ApplicationRow, Application)>, SiteError> {
        let mut found = Vec::new();
        for dependency in &group.any {
            found.extend(self.choice(dependency, of).await?);
        }
        if found.is_empty() {
            let wanted: Vec<_> = group.any.iter().map(wanted_words).collect();
            return Err(SiteError::refused(
                Code::Conflict,
                format!(
                    "{} {} depends on {}, and no such application that authors of the trust bundle signed is there; add it first.",
                    of.name,
                    of.version,
                    wanted.join(" or ")
                ),
            ));
        }
        Ok(found)
    }

    /// Walks over what an application needs, in depth; what is needed first comes first.
    async fn dependencies(&mut self, root: &Application) -> Result<(), SiteError> {
        let mut stack = Vec::new();
        self.enter(root, &[(root.id, root.name.to_string())], &mut stack).await?;
        while let Some(visit) = stack.pop() {
            if self.done.contains(&visit.row.hash) {
                continue;
            }
            if visit.left {
                self.take(&visit.row, Relation::Dependency, &visit.application)?;
                continue;
            }
            let (application, path) = (visit.application.clone(), visit.path.clone());
            stack.push(Visit { left: true, ..visit });
            self.enter(&application, &path, &mut stack).await?;
        }
        Ok(())
    }

    /// Puts what an application needs on the stack.
    async fn enter(
        &mut self,
        application: &Application,
        path: &[(ApplicationId, String)],
        stack: &mut Vec<Visit>,
    ) -> Result<(), SiteError> {
        for group in application.dependencies.iter().rev() {
            for (row, needed) in self.choices(group, application).await?.into_iter().rev() {
                if let Some(from) = path.iter().position(|(id, _)| *id == needed.id) {
                    let round: Vec<_> = path[from..].iter().map(|(_, name)| name.as_str()).collect();
                    let detail = format!("Dependencies go round in a circle: {} > {}.", round.join(" > "), needed.name);
                    return Err(SiteError::refused(Code::Conflict, detail));
                }
                if path.len() > DEPENDENCY_DEPTH {
                    let names: Vec<_> = path.iter().map(|(_, name)| name.as_str()).collect();
                    let detail = format!(
                        "Dependencies go deeper than {DEPENDENCY_DEPTH}: {} > {}.",
                        names.join(" > "),
                        needed.name
                    );
                    return Err(SiteError::refused(Code::Conflict, detail));
                }
                let mut below = path.to_vec();
                below.push((needed.id, needed.name.to_string()));
                stack.push(Visit { row, application: needed, path: below, left: false });
            }
        }
        // Each comes onto the stack once for each way to it: that is bounded too.
        match stack.len() > RELATED_APPLICATIONS * 4 {
            true => Err(too_many()),
            false => Ok(()),
        }
    }

    fn take(&mut self, row: &ApplicationRow, relation: Relation, application: &Application) -> Result<(), SiteError> {
        if !self.done.insert(row.hash) {
            return Ok(());
        }
        if self.related.entries.len() >= RELATED_APPLICATIONS {
            return Err(too_many());
        }
        let shown = RelatedApplication {
            application: row.hash,
            name: row.name.clone(),
            version: row.version.clone(),
            relation,
        };
        let size = row.object.len() as u64;
        let application = application.clone();
        self.related.entries.push(Entry { shown, size, content_size: row.content_size, application });
        Ok(())
    }

    /// What an application replaces: the latest versions of it that can be uninstalled.
    async fn superseded(&mut self, application: &Application) -> Result<(), SiteError> {
        for old in &application.supersedes {
            let versions = self.versions(old.application).await?;
            let Some(name) = versions.first().map(|(row, _)| row.name.clone()) else {
                if old.uninstall {
                    self.related.warnings.push(format!(
                        "{} replaces the application {}, which is not here: nothing is uninstalled first.",
                        application.name, old.application
                    ));
                }
                continue;
            };
            if !old.uninstall {
                self.related.warnings.push(format!("{} replaces {name}, and is installed over it.", application.name));
                continue;
            }
            let mut removable = versions.into_iter().filter(|(_, old)| old.can_be_removed()).peekable();
            if removable.peek().is_none() {
                let detail = format!(
                    "{} replaces {name} and uninstalls it first, and the authors of {name} signed no uninstall command.",
                    application.name
                );
                return Err(SiteError::refused(Code::Conflict, detail));
            }
            for (row, application) in removable.take(SUPERSEDED_VERSIONS) {
                self.take(&row, Relation::Superseded, &application)?;
            }
        }
        Ok(())
    }
}

fn too_many() -> SiteError {
    let detail = format!("A deployment takes at most {RELATED_APPLICATIONS} other applications along.");
    SiteError::refused(Code::Conflict, detail)
}

fn wanted_words(dependency: &Dependency) -> String {
    match &dependency.version {
        Some(version) => format!("{} (version {version} or later)", dependency.application),
        None => dependency.application.to_string(),
    }
}
