//! A run over a directory: everything below the containers that an administrator named, or what changed there since the last run.
//!
//! What changed is found by the controller's number of each change (`uSNChanged`), which means something only in the copy of the directory
//! that gave it (`invocationId`): with another copy everything is read. Who is in a group stands with the group, so that a group that changed
//! is asked for its members.

use super::{
    connection::{Connection, Page, Stream},
    entry::{self, Domain, Stale},
};
use muster_model::{
    api::ResourceKind,
    discovery::{Reached, Resume},
    ldap::{Entry, Filter, Scope, Search},
    limits::{DIRECTORY_CHANGED_GROUPS, DIRECTORY_RUN_OBJECTS, DIRECTORY_RUN_PAGES},
    time::{DAY, UnixMillis},
};
use muster_site::{Ctx, DirectoryRun, Site};

/// What a run came to: whether it was a full one, when it began, and how far the directory was then.
pub(super) type Outcome = Result<(bool, UnixMillis, Reached), String>;

/// Objects of a page.
const PAGE: u32 = 500;
/// How long the server may search for one page.
const SEARCH_SECONDS: u32 = 55;
/// After how long a full run that was cut off begins anew.
const RESUME: i64 = DAY;
/// Pages in a row without anything in them, beyond which there is no end to come: a server may filter some away.
const EMPTY: u32 = 100;
/// Where deleted objects go.
const DELETED: &str = "CN=Deleted Objects";

/// What the server says of itself.
struct Root {
    reached: Reached,
    context: String,
    domain: Domain,
}

struct Reader<'a, S> {
    site: &'a Site,
    run: &'a mut DirectoryRun,
    connection: &'a mut Connection<S>,
    domain: Domain,
    objects: u64,
    pages: u64,
    /// Pages in a row without anything in them, and another one to come.
    empty: u32,
}

/// Makes the run.
pub(super) async fn read<S: Stream>(site: &Site, run: &mut DirectoryRun, connection: &mut Connection<S>) -> Outcome {
    let root = root(connection).await?;
    let another = run
        .reached
        .as_ref()
        .is_none_or(|reached| reached.copy != root.reached.copy || reached.change > root.reached.change);
    let full = run.full || another;
    let mut reader = Reader { site, run, connection, domain: root.domain.clone(), objects: 0, pages: 0, empty: 0 };
    if full {
        return reader.full(&root).await;
    }
    let began = reader.now();
    // So many groups changed that everything is the shorter way.
    if reader.changes(&root).await? { Ok((false, began, root.reached)) } else { reader.full(&root).await }
}

fn base<'a>(base: &'a str, filter: &'a Filter<'a>, attributes: &'a [&'a str]) -> Search<'a> {
    let (scope, seconds) = (Scope::Base, SEARCH_SECONDS);
    Search { base, scope, filter, attributes, entries: 1, seconds, page: None, deleted: false }
}

async fn one<S: Stream>(connection: &mut Connection<S>, wanted: &Search<'_>) -> Result<Option<Entry>, String> {
    Ok(connection.search(wanted).await?.and_then(|page| page.entries.into_iter().next()))
}

async fn root<S: Stream>(connection: &mut Connection<S>) -> Result<Root, String> {
    let none = || "the server is no Active Directory".to_owned();
    let any = Filter::Present("objectClass");
    let attributes = ["defaultNamingContext", "configurationNamingContext", "highestCommittedUSN", "dsServiceName"];
    let root = one(connection, &base("", &any, &attributes)).await?.ok_or_else(none)?;
    let text = |name| root.text(name).map(str::to_owned).ok_or_else(none);
    let (context, configuration, service) =
        (text("defaultNamingContext")?, text("configurationNamingContext")?, text("dsServiceName")?);
    let change = text("highestCommittedUSN")?.parse().map_err(|_| none())?;
    let service = one(connection, &base(&service, &any, &["invocationId"])).await?.ok_or_else(none)?;
    let copy = service.values("invocationId").first().filter(|id| id.len() == 16).ok_or_else(none)?;
    let copy = copy.iter().map(|byte| format!("{byte:02x}")).collect();
    let partitions = format!("CN=Partitions,{configuration}");
    let filter = Filter::equal(&[("objectClass", "crossRef"), ("nCName", context.as_str())]);
    let wanted =
        Search { scope: Scope::Subtree, entries: 2, ..base(&partitions, &filter, &["nETBIOSName", "dnsRoot"]) };
    let partition = one(connection, &wanted).await?.ok_or_else(none)?;
    let short = partition.text("nETBIOSName").ok_or_else(none)?.to_uppercase();
    let full = partition.text("dnsRoot").ok_or_else(none)?.to_uppercase();
    Ok(Root { reached: Reached { copy, change }, context, domain: Domain { short, full } })
}

/// Which objects are of a kind.
fn of_kind(kind: ResourceKind) -> Filter<'static> {
    match kind {
        ResourceKind::System => Filter::Equal("objectClass", "computer"),
        ResourceKind::User => Filter::All(vec![
            Filter::Equal("objectClass", "user"),
            Filter::Not(Box::new(Filter::Equal("objectClass", "computer"))),
        ]),
        ResourceKind::Group => Filter::Equal("objectClass", "group"),
    }
}

impl<S: Stream> Reader<'_, S> {
    fn now(&self) -> UnixMillis {
        super::ctx(self.site).now
    }

    fn ctx(&self) -> Ctx {
        super::ctx(self.site)
    }

    fn has(&self, kind: ResourceKind) -> bool {
        self.run.settings.kinds.contains(&kind)
    }

    /// Kinds and containers, in the order in which they are read. Groups come twice: the second time the groups that they are in are known.
    fn parts(&self) -> Vec<(ResourceKind, String)> {
        let order = [ResourceKind::Group, ResourceKind::Group, ResourceKind::User, ResourceKind::System];
        let kinds = order.into_iter().filter(|kind| self.has(*kind));
        let containers = &self.run.settings.containers;
        kinds.flat_map(|kind| containers.iter().map(move |container| (kind, container.clone()))).collect()
    }

    /// Everything.
    async fn full(&mut self, root: &Root) -> Outcome {
        let now = self.now();
        let fresh = Resume { began: now, reached: root.reached.clone(), parts: 0 };
        let mut resume = match self.run.resume.take() {
            Some(resume)
                if resume.reached.copy == root.reached.copy && (0..RESUME).contains(&now.since(resume.began)) =>
            {
                resume
            }
            _ => fresh,
        };
        for (number, (kind, container)) in (1..).zip(self.parts()) {
            self.run.resume = Some(resume.clone());
            if number > resume.parts {
                let filter = of_kind(kind);
                self.part(kind, &container, &filter, Some(&resume)).await?;
                resume.parts = number;
            }
        }
        self.run.resume = Some(resume.clone());
        Ok((true, resume.began, resume.reached))
    }

    /// One kind below one container, a page at a time. What of it is taken in is committed before the next page is asked for.
    async fn part(
        &mut self,
        kind: ResourceKind,
        container: &str,
        filter: &Filter<'_>,
        resume: Option<&Resume>,
    ) -> Result<Vec<Entry>, String> {
        let stale = Stale { logon_days: self.run.settings.logon_days, password_days: self.run.settings.password_days };
        let (mut cookie, mut groups) = (Vec::new(), Vec::new());
        loop {
            let Some(page) = self.page(container, filter, entry::attributes(kind), &cookie).await? else {
                return Err(format!("there is no {container}, or it may not be read"));
            };
            let now = self.now();
            let objects = page.entries.iter();
            let objects: Vec<_> = objects
                .filter_map(|found| entry::object(kind, &self.run.name, &self.domain, stale, found, now))
                .collect();
            let ctx = self.ctx();
            muster_site::directory_page(&ctx, self.site, self.run, &objects, resume)
                .await
                .map_err(|e| e.to_string())?;
            if kind == ResourceKind::Group && resume.is_none() {
                groups.extend(page.entries);
                if groups.len() > DIRECTORY_CHANGED_GROUPS {
                    return Ok(groups);
                }
            }
            if page.cookie.is_empty() {
                return Ok(groups);
            }
            cookie = page.cookie;
        }
    }

    async fn page(
        &mut self,
        container: &str,
        filter: &Filter<'_>,
        attributes: &[&str],
        cookie: &[u8],
    ) -> Result<Option<Page>, String> {
        self.page_of(container, filter, attributes, cookie, false).await
    }

    async fn page_of(
        &mut self,
        container: &str,
        filter: &Filter<'_>,
        attributes: &[&str],
        cookie: &[u8],
        deleted: bool,
    ) -> Result<Option<Page>, String> {
        let (scope, seconds, page) = (Scope::Subtree, SEARCH_SECONDS, Some((PAGE, cookie)));
        let wanted = Search { base: container, scope, filter, attributes, entries: 0, seconds, page, deleted };
        let found = self.connection.search(&wanted).await?;
        let count = found.as_ref().map_or(0, |page| page.entries.len() as u64);
        let more = found.as_ref().is_some_and(|page| !page.cookie.is_empty());
        self.pages += 1;
        self.objects += count;
        self.empty = if count == 0 && more { self.empty + 1 } else { 0 };
        if self.objects > DIRECTORY_RUN_OBJECTS || self.pages > DIRECTORY_RUN_PAGES || self.empty > EMPTY {
            return Err(format!("the server sends more than {DIRECTORY_RUN_OBJECTS} objects, or pages without end"));
        }
        Ok(found)
    }

    /// What changed. `false`: too many groups did.
    async fn changes(&mut self, root: &Root) -> Result<bool, String> {
        let since = self.run.reached.as_ref().map_or(0, |reached| reached.change) + 1;
        if since > root.reached.change {
            return Ok(true);
        }
        let containers = self.run.settings.containers.clone();
        for kind in [ResourceKind::Group, ResourceKind::User, ResourceKind::System] {
            if !self.has(kind) {
                continue;
            }
            let filter = Filter::All(vec![of_kind(kind), Filter::AtLeast("uSNChanged", since)]);
            for container in &containers {
                let groups = self.part(kind, container, &filter, None).await?;
                if groups.len() > DIRECTORY_CHANGED_GROUPS {
                    return Ok(false);
                }
                for group in &groups {
                    self.members(group, &containers).await?;
                }
            }
        }
        self.deleted(&root.context, since).await?;
        Ok(true)
    }

    /// Who is in a group that changed.
    async fn members(&mut self, group: &Entry, containers: &[String]) -> Result<(), String> {
        let Some(identity) = entry::identity(group) else { return Ok(()) };
        let filter = Filter::Equal("memberOf", &group.name);
        let mut members = Vec::new();
        for container in containers {
            let mut cookie = Vec::new();
            while let Some(page) = self.page(container, &filter, &["objectGUID"], &cookie).await? {
                members.extend(page.entries.iter().filter_map(entry::identity));
                if page.cookie.is_empty() {
                    break;
                }
                cookie = page.cookie;
            }
        }
        let primary = group.values("objectSid").first().and_then(|sid| sid.last_chunk::<4>());
        let primary = primary.map_or(0, |last| u32::from_le_bytes(*last));
        let ctx = self.ctx();
        let done = muster_site::directory_members(&ctx, self.site, self.run, &identity, &members, primary).await;
        done.map_err(|error| error.to_string())
    }

    /// What was deleted. Where the site may not see that, a full run finds it.
    async fn deleted(&mut self, context: &str, since: u64) -> Result<(), String> {
        let place = format!("{DELETED},{context}");
        let filter = Filter::All(vec![Filter::Equal("isDeleted", "TRUE"), Filter::AtLeast("uSNChanged", since)]);
        let mut cookie = Vec::new();
        while let Some(page) = self.page_of(&place, &filter, &["objectGUID"], &cookie, true).await? {
            let gone: Vec<String> = page.entries.iter().filter_map(entry::identity).collect();
            if !gone.is_empty() {
                let ctx = self.ctx();
                let done = muster_site::directory_gone(&ctx, self.site, self.run, &gone).await;
                done.map_err(|error| error.to_string())?;
            }
            if page.cookie.is_empty() {
                break;
            }
            cookie = page.cookie;
        }
        Ok(())
    }
}
