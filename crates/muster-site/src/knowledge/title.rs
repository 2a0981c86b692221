//! Software titles: the rows of software under one name, worked out once for each row, and how many devices have which.

use crate::{Ctx, Site, SiteError, audit, authz};
use muster_model::{
    api::{
        Page, PageQuery, SoftwareTitle, SoftwareVersion, TitleDetail, TitleQuery, TitleRules, TitleTest, TitleTested,
    },
    inventory::{Row, Value},
    limits::TITLE_VERSIONS,
    problem::Code,
    time::{HOUR, SECOND, UnixMillis},
    title::{BUILT_IN, Rules, Said},
    version,
};
use muster_store::{
    StoreError,
    db::{
        setting,
        software_title::{self, SoftwareRow},
    },
    transaction,
};
use muster_trust::sha256;
use std::{
    collections::{HashMap, HashSet},
    sync::Arc,
};

/// Under this name the rules of the administrators stand in the store.
const SETTING: &str = "title_rules";
/// Classes of software: the attributes with name, another name, version, publisher, the database, and its id.
const CLASSES: [(&str, [&str; 6]); 3] = [
    (
        "INSTALLED_SOFTWARE",
        ["ProductName", "ARPDisplayName", "ProductVersion", "Publisher", "EvidenceSource", "SoftwareCode"],
    ),
    ("ADD_REMOVE_PROGRAMS", ["DisplayName", "ProdID", "Version", "Publisher", "", ""]),
    ("ADD_REMOVE_PROGRAMS_64", ["DisplayName", "ProdID", "Version", "Publisher", "", ""]),
];
/// Rows that are looked at in one step, and devices that are counted in one.
const STEP: u32 = 200;
/// Counts that are written in one transaction.
const WRITTEN: usize = 500;

/// A page of the software that devices have, the most spread first.
///
/// # Errors
/// `unauthenticated`, `too_large`.
pub async fn title_list(ctx: &Ctx, site: &Site, query: TitleQuery) -> Result<Page<SoftwareTitle>, SiteError> {
    authz::see(ctx)?;
    let page = site.page(PageQuery { offset: query.offset, limit: query.limit })?;
    let mut reader = site.store.reader().await?;
    let (items, total) = software_title::list(&mut reader, query.search.trim(), page.offset, page.limit).await?;
    Ok(Page { items, total, offset: page.offset })
}

/// A title with its versions, the newest first.
///
/// # Errors
/// `unauthenticated`, `not_found`.
pub async fn title_show(ctx: &Ctx, site: &Site, id: u64) -> Result<TitleDetail, SiteError> {
    authz::see(ctx)?;
    let mut reader = site.store.reader().await?;
    let found = software_title::get(&mut reader, id, TITLE_VERSIONS).await?;
    let (title, versions) = found.ok_or_else(SiteError::not_found)?;
    Ok(TitleDetail { title, versions: newest_first(versions) })
}

/// Each kind of version by its own order; the kind that most devices have first.
fn newest_first(versions: Vec<(SoftwareVersion, String)>) -> Vec<SoftwareVersion> {
    let mut kinds: HashMap<String, Vec<SoftwareVersion>> = HashMap::new();
    for (version, scheme) in versions {
        kinds.entry(scheme).or_default().push(version);
    }
    let mut kinds: Vec<(String, Vec<SoftwareVersion>)> = kinds.into_iter().collect();
    let devices = |list: &[SoftwareVersion]| list.iter().map(|version| version.devices).sum::<u64>();
    kinds.sort_by_key(|(scheme, list)| (std::cmp::Reverse(devices(list)), scheme.clone()));
    for (scheme, list) in &mut kinds {
        list.sort_by(|a, b| version::compare(scheme, &b.version, &a.version));
    }
    kinds.into_iter().flat_map(|(_, list)| list).collect()
}

/// The rules of the administrators.
///
/// # Errors
/// `unauthenticated`.
pub async fn title_rules_show(ctx: &Ctx, site: &Site) -> Result<TitleRules, SiteError> {
    authz::see(ctx)?;
    own(setting::get(&mut *site.store.reader().await?, SETTING).await?.as_deref())
}

fn own(text: Option<&str>) -> Result<TitleRules, SiteError> {
    let odd = |_| SiteError::Fault("the stored rules of software titles do not parse".to_owned());
    text.map_or_else(|| Ok(TitleRules::default()), |text| serde_json::from_str(text).map_err(odd))
}

/// Sets the rules of the administrators, in the place of those before; every row is looked at again by them.
///
/// # Errors
/// `unauthenticated`, `forbidden`; `malformed`: they cannot be rules.
pub async fn title_rules_update(ctx: &Ctx, site: &Site, rules: TitleRules) -> Result<TitleRules, SiteError> {
    authz::change(ctx)?;
    let wrong = |error| SiteError::refused(Code::Malformed, format!("The rules are not taken: {error}."));
    rules.check().map_err(wrong)?;
    let text = serde_json::to_string(&rules).map_err(|error| SiteError::Fault(error.to_string()))?;
    transaction!(site.store, "title_rules_update", |tx| {
        setting::set(tx, SETTING, &text).await?;
        let (products, publishers) = (rules.products.len(), rules.publishers.len());
        let detail = format!("Software titles have {products} own rules of products and {publishers} of publishers.");
        audit::append(tx, ctx, "title_rules_update", "title_rules".to_owned(), detail).await
    })?;
    site.memory.work.notify_one();
    Ok(rules)
}

/// What the rules make of a name.
///
/// # Errors
/// `unauthenticated`, `too_large`.
pub async fn title_test(ctx: &Ctx, site: &Site, test: TitleTest) -> Result<TitleTested, SiteError> {
    authz::see(ctx)?;
    let most = site.limits.value_bytes;
    if [&test.name, &test.version, &test.publisher, &test.source].iter().any(|text| text.len() > most) {
        return Err(SiteError::refused(Code::TooLarge, format!("A text has at most {most} bytes.")));
    }
    let rules = Rules::with(&own(setting::get(&mut *site.store.reader().await?, SETTING).await?.as_deref())?);
    let title = rules.title(&Said {
        name: &test.name,
        version: &test.version,
        publisher: &test.publisher,
        source: &test.source,
        code: "",
    });
    Ok(TitleTested {
        product: title.product,
        publisher: title.publisher,
        version: title.version,
        architecture: title.architecture,
        language: title.language,
    })
}

/// How far the work on titles is, in one process.
#[derive(Debug, Default)]
pub struct TitleWork {
    /// The rules, with the text that they are made of and a number that stands for them.
    rules: Option<(Option<String>, Arc<Rules>, i64)>,
    /// The last row of each class that was looked at.
    after: HashMap<&'static str, i64>,
    /// When all rows were last looked at from the first on.
    began: UnixMillis,
    /// What is being counted.
    counting: Option<Counting>,
    /// As of which change and which rules was counted, and when it may be again.
    counted: Option<(i64, i64)>,
    rest_until: UnixMillis,
}

/// Counts that are not all there yet.
#[derive(Debug)]
struct Counting {
    began: UnixMillis,
    of: (i64, i64),
    /// By class and row: version and title.
    rows: HashMap<&'static str, HashMap<i64, (i64, i64)>>,
    after: String,
    versions: HashMap<i64, u64>,
    titles: HashMap<i64, u64>,
    /// What is still to be written; whether it is of titles.
    writes: Option<Vec<(bool, i64, u64)>>,
}

/// One piece of work on titles; whether there is more.
///
/// # Errors
/// When the store fails.
pub async fn title_work(site: &Site, work: &mut TitleWork, now: UnixMillis) -> Result<bool, SiteError> {
    let text = setting::get(&mut *site.store.reader().await?, SETTING).await?;
    if work.rules.as_ref().is_none_or(|(known, _, _)| *known != text) {
        let digest = sha256(format!("{BUILT_IN}\n{}", text.as_deref().unwrap_or_default()).as_bytes());
        let (head, _) = digest.0.split_at(8);
        let number = i64::from_be_bytes(head.try_into().unwrap_or_default());
        work.rules = Some((text.clone(), Arc::new(Rules::with(&own(text.as_deref())?)), number));
        work.after.clear();
    }
    // Rows may come out of the order of their numbers where several write at once.
    if !(0..HOUR).contains(&now.since(work.began)) {
        work.after.clear();
        (work.began, work.counted) = (now, None);
    }
    if look(site, work).await? {
        return Ok(true);
    }
    count(site, work).await
}

/// Looks at some rows that are new.
async fn look(site: &Site, work: &mut TitleWork) -> Result<bool, SiteError> {
    let Some((_, rules, number)) = &work.rules else { return Ok(false) };
    let catalogue = site.catalogue.load_full();
    for (name, attributes) in &CLASSES {
        let Some(class) = catalogue.class(name) else { continue };
        let after = work.after.entry(name).or_insert(0);
        let mut reader = site.store.reader().await?;
        let rows = software_title::unknown(&mut reader, site.store.dialect(), class, *after, *number, STEP).await?;
        drop(reader);
        let Some(last) = rows.last().map(|(id, _)| *id) else { continue };
        // Many rules take some time: not where connections are served.
        let rules = rules.clone();
        let titled = move || rows.iter().map(|(id, row)| titled(&rules, *id, row, attributes)).collect::<Vec<_>>();
        let titled = tokio::task::spawn_blocking(titled).await.map_err(|error| SiteError::Fault(error.to_string()))?;
        keep(site, name, *number, &titled).await?;
        *after = last;
        work.counted = None;
        return Ok(true);
    }
    Ok(false)
}

/// Keeps what rows are. Where the database does not take them, each is tried by itself, and one that it does not take alone is known as
/// nothing: it must not keep the others from being looked at.
async fn keep(site: &Site, class: &str, rules: i64, rows: &[SoftwareRow]) -> Result<(), SiteError> {
    let refused = |error: &StoreError| matches!(error, StoreError::Database(_) | StoreError::Exists);
    match put(site, class, rules, rows).await {
        Err(error) if refused(&error) => {}
        done => return Ok(done?),
    }
    for row in rows {
        match put(site, class, rules, std::slice::from_ref(row)).await {
            Err(error) if refused(&error) => {
                tracing::warn!(class, row = row.row_id, %error, "The title of a row of software is not kept.");
                let nothing = SoftwareRow { row_id: row.row_id, ..SoftwareRow::default() };
                put(site, class, rules, std::slice::from_ref(&nothing)).await?;
            }
            done => done?,
        }
    }
    Ok(())
}

async fn put(site: &Site, class: &str, rules: i64, rows: &[SoftwareRow]) -> Result<(), StoreError> {
    transaction!(site.store, "title_work", |tx| { software_title::put(tx, class, rules, rows).await })
}

fn titled(rules: &Rules, row_id: i64, row: &Row, attributes: &[&str; 6]) -> SoftwareRow {
    let text = |name: &str| match row.get(name) {
        Some(Value::Text(text)) => text.as_str(),
        _ => "",
    };
    let [name, other, version, publisher, source, code] = attributes.map(text);
    let name = if name.trim().is_empty() { other } else { name };
    let title = rules.title(&Said { name, version, publisher, source, code });
    SoftwareRow {
        row_id,
        product: title.product,
        publisher: title.publisher,
        version: title.version,
        scheme: title.scheme,
        architecture: title.architecture,
        language: title.language,
    }
}

/// Counts some devices, or writes some counts.
async fn count(site: &Site, work: &mut TitleWork) -> Result<bool, SiteError> {
    let Some((_, _, number)) = &work.rules else { return Ok(false) };
    let Some(counting) = &mut work.counting else {
        let now = site.sources.now();
        let of = (software_title::latest(&mut *site.store.reader().await?).await?, *number);
        if work.counted == Some(of) || now < work.rest_until {
            return Ok(false);
        }
        work.counting = Some(Counting::begin(site, of, now).await?);
        return Ok(true);
    };
    if counting.writes.is_none() {
        counting.page(site).await?;
        return Ok(true);
    }
    let writes = counting.writes.get_or_insert_default();
    if writes.is_empty() {
        let now = site.sources.now();
        // At most a thirtieth of the time is spent with counting.
        work.rest_until = now.plus(SECOND.max(now.since(counting.began).saturating_mul(30)));
        work.counted = Some(counting.of);
        work.counting = None;
        return Ok(false);
    }
    let piece = writes.split_off(writes.len().saturating_sub(WRITTEN));
    transaction!(site.store, "title_count", |tx| {
        for of_titles in [true, false] {
            let part = piece.iter().filter(|(titles, _, _)| *titles == of_titles);
            let part: Vec<(i64, u64)> = part.map(|(_, id, devices)| (*id, *devices)).collect();
            software_title::set_counts(tx, of_titles, &part).await?;
        }
        Ok::<_, SiteError>(())
    })?;
    Ok(true)
}

impl Counting {
    async fn begin(site: &Site, of: (i64, i64), began: UnixMillis) -> Result<Self, SiteError> {
        let mut rows = HashMap::new();
        let mut reader = site.store.reader().await?;
        for (class, _) in &CLASSES {
            let known = software_title::versions(&mut reader, class).await?;
            rows.insert(*class, known.into_iter().map(|(row, version, title)| (row, (version, title))).collect());
        }
        let (versions, titles) = (HashMap::new(), HashMap::new());
        Ok(Self { began, of, rows, after: String::new(), versions, titles, writes: None })
    }

    /// Counts the software of some devices; after the last one is known what is to be written.
    async fn page(&mut self, site: &Site) -> Result<(), SiteError> {
        let classes = CLASSES.map(|(class, _)| class);
        let mut reader = site.store.reader().await?;
        let Some(last) = software_title::last_device(&mut reader, &self.after, STEP).await? else {
            let mut writes = Vec::new();
            for (of_titles, counts) in [(true, &self.titles), (false, &self.versions)] {
                let before = software_title::counts(&mut reader, of_titles).await?;
                let gone = before.keys().filter(|id| !counts.contains_key(id)).map(|id| (of_titles, *id, 0));
                let other = counts.iter().filter(|(id, count)| before.get(id) != Some(count));
                writes.extend(gone.chain(other.map(|(id, count)| (of_titles, *id, *count))));
            }
            self.writes = Some(writes);
            return Ok(());
        };
        let sections =
            software_title::installed(&mut reader, site.store.dialect(), &self.after, &classes, STEP).await?;
        self.after = last;
        for device in sections.chunk_by(|a, b| a.0 == b.0) {
            let known = device.iter().flat_map(|(_, class, ids)| {
                let rows = self.rows.get(class.as_str());
                ids.iter().filter_map(move |id| rows?.get(id).copied())
            });
            let (versions, titles): (HashSet<i64>, HashSet<i64>) = known.unzip();
            versions.into_iter().for_each(|id| *self.versions.entry(id).or_default() += 1);
            titles.into_iter().for_each(|id| *self.titles.entry(id).or_default() += 1);
        }
        Ok(())
    }
}

/// Maintenance: forgets titles of rows that are not there any more.
///
/// # Errors
/// When the store fails.
pub(crate) async fn title_sweep(site: &Site) -> Result<u64, SiteError> {
    let catalogue = site.catalogue.load_full();
    transaction!(site.store, "title_sweep", |tx| {
        let mut gone = 0;
        for class in CLASSES.iter().filter_map(|(name, _)| catalogue.class(name)) {
            gone += software_title::sweep(tx, class, STEP * 50).await?;
        }
        software_title::sweep_titles(tx, STEP * 50).await?;
        Ok::<_, SiteError>(gone)
    })
}
