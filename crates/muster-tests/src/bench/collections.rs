//! Membership of collections: the index against SQL, in this process, on one database.
//!
//! The site is a real one. Its devices and their inventory do not come as reports but through the store's own bulk functions: a
//! hundred thousand reports would measure ingestion, which other lines do.

use super::{
    collections_site::{self, CLASSES, Fleet},
    cpu,
    report::{Figure, Subject},
};
use crate::fleet::{FleetError, say};
use muster_model::{
    api::{CollectionImport, CollectionQuery},
    wql::{self, Schema, date::Clock},
};
use muster_site::{Site, collection_import, collection_index, collection_list, collection_work};
use muster_store::{
    Store,
    db::{collection, wql as store_wql},
    transaction,
};
use std::{
    fmt::Write as _,
    path::Path,
    sync::Arc,
    time::{Duration, Instant},
};

/// Queries that SQL is asked too, and for how long at most; all of them would take hours.
const BY_SQL: usize = 40;
const SQL_TIME: Duration = Duration::from_secs(20);
/// Devices that change one after the other.
const CHANGES: u64 = 30;
/// Devices that change together.
const TOGETHER: u64 = 1_000;

/// What is to be measured.
#[derive(Debug)]
pub struct Plan<'a> {
    /// The database; none: SQLite in the directory.
    pub database: Option<&'a str>,
    /// Where the site is made.
    pub scratch: &'a Path,
    /// Devices.
    pub devices: u64,
    /// Collections.
    pub collections: usize,
    /// What makes the devices other ones.
    pub seed: u64,
}

fn broken(error: impl std::fmt::Display) -> FleetError {
    FleetError::Unusable(format!("the site: {error}"))
}

/// CPU time of this process and of the database's.
fn used() -> Duration {
    let own = cpu::usage(std::process::id());
    let servers = std::fs::read_dir("/proc").into_iter().flatten().flatten().filter_map(|entry| {
        let pid: u32 = entry.file_name().to_str()?.parse().ok()?;
        let name = std::fs::read_to_string(entry.path().join("comm")).ok()?;
        (name.trim() == "postgres").then(|| cpu::usage(pid).ticks)
    });
    own.ticks.max(own.threads) + servers.sum::<Duration>()
}

/// What some work took.
pub struct Measured {
    /// CPU time of this process and of the database's.
    pub cpu: Duration,
    /// Time on the wall.
    pub wall: Duration,
}

/// Does some work, and says what it took.
///
/// # Errors
/// Those of the work.
pub async fn measured<T>(work: impl Future<Output = Result<T, FleetError>>) -> Result<(T, Measured), FleetError> {
    let (before, begun) = (used(), Instant::now());
    let value = work.await?;
    Ok((value, Measured { cpu: used().saturating_sub(before), wall: begun.elapsed() }))
}

/// Evaluates collections until nothing is to be evaluated.
///
/// # Errors
/// When the site fails.
pub async fn settle(site: &Site) -> Result<(), FleetError> {
    while collection_work(site, crate::fleet::clock::now()).await.map_err(broken)? {}
    Ok(())
}

/// Queries in the shapes that administrators write, most of them about few devices.
#[must_use]
pub fn queries(count: usize) -> Vec<String> {
    let standard = "select SMS_R_SYSTEM.ResourceID,SMS_R_SYSTEM.ResourceType,SMS_R_SYSTEM.Name,SMS_R_SYSTEM.SMSUniqueIdentifier,\
                    SMS_R_SYSTEM.ResourceDomainORWorkgroup,SMS_R_SYSTEM.Client from SMS_R_System";
    let software = "SMS_G_System_INSTALLED_SOFTWARE";
    let join = format!("inner join {software} on {software}.ResourceID = SMS_R_System.ResourceId");
    let names = collections_site::package_names();
    let name = |at: usize| names[at * 7 % names.len()].as_str();
    (0..count)
        .map(|at| match at % 10 {
            0 => format!("{standard} where SMS_R_System.Name like \"%-WS-{:03}%\"", at % 1_000),
            1 => format!("{standard} where Name = 'BER-WS-{:06}' or Name = 'HAM-WS-{:06}'", at, at + 1),
            2 => format!("{standard} where OperatingSystemNameandVersion like '%Debian%' and ResourceID like \"%{:02}\"", at % 100),
            3 | 4 => format!("{standard} {join} where {software}.ProductName = \"{}\" and {software}.ProductVersion like \"%deb12u{}\"", name(at), 1 + at % 3),
            5 => format!("{standard} {join} where {software}.ProductName like \"{}%\" and {software}.VersionMajor > {}", name(at), 40 + at % 60),
            6 => format!(
                "select * from SMS_R_System where ResourceId not in (select ResourceID from {software} where ProductName = '{}' and ProductVersion not like '%u{}')",
                name(at), 1 + at % 3
            ),
            7 => format!(
                "select * from SMS_R_System inner join SMS_G_System_OPERATING_SYSTEM os on os.ResourceID = SMS_R_System.ResourceID where os.BuildNumber < '{}' and os.Caption like '%Debian%'",
                10 + at % 4
            ),
            8 => format!(
                "select * from SMS_R_System s left join {software} x on x.ResourceID = s.ResourceID and x.ProductName = '{}' and x.ProductVersion like '%u{}' where x.ResourceID is not null",
                name(at), 1 + at % 3
            ),
            _ => format!(
                "select * from SMS_R_System s inner join SMS_G_System_OPERATING_SYSTEM os on os.ResourceID = s.ResourceID where DateDiff(dd, os.LastBootUpTime, GetDate()) > {}",
                80 + at % 10
            ),
        })
        .collect()
}

fn file(queries: &[String]) -> String {
    let mut text = String::new();
    for (at, query) in queries.iter().enumerate() {
        let query = query.replace('\\', "\\\\").replace('"', "\\\"");
        // Writing into a text does not fail.
        let _ = writeln!(
            text,
            "instance of SMS_Collection {{ Name = \"Case {at:04}\"; LimitToCollectionID = \"SMS00001\"; RefreshType = 4; CollectionRules = \
             {{ instance of SMS_CollectionRuleQuery {{ RuleName = \"q\"; QueryExpression = \"{query}\"; }} }}; }};"
        );
    }
    text
}

/// Asks for all collections, as if somebody pressed the button of each.
async fn ask_all(site: &Site) -> Result<(), FleetError> {
    let mut ids = Vec::new();
    let ctx = collections_site::ctx(site).await?;
    loop {
        let query = CollectionQuery { offset: ids.len() as u64, limit: 500, ..CollectionQuery::default() };
        let page = collection_list(&ctx, site, &query).await.map_err(broken)?;
        ids.extend(page.items.iter().map(|row| row.id));
        if page.items.is_empty() {
            break;
        }
    }
    let done: Result<(), muster_store::StoreError> = transaction!(site.store, "bench", |tx| {
        for id in &ids {
            collection::ask(tx, *id).await?;
        }
        Ok(())
    });
    done.map_err(broken)
}

fn millis(time: Duration) -> f64 {
    time.as_secs_f64() * 1_000.0
}

/// Measures.
///
/// # Errors
/// When the site cannot be made.
pub async fn run(plan: &Plan<'_>) -> Result<Vec<Figure>, FleetError> {
    let name = if plan.database.is_some() { "PostgreSQL" } else { "SQLite" };
    let mut figures = Vec::new();
    let figure = |line: Option<u8>, what: &str, unit: &str, target: Option<f64>, value: f64| {
        Figure::new(line, format!("{what} ({name})"), unit, target).lower().ours(value)
    };
    let (site, parts) = collections_site::make(plan.database, plan.scratch).await?;
    let (fleet, loaded) = measured(Fleet::load(&site.store, plan.devices, plan.seed)).await?;
    say(&format!("{} devices are loaded: {:.1} s.", plan.devices, loaded.wall.as_secs_f64()));

    let texts = queries(plan.collections);
    let ctx = collections_site::ctx(&site).await?;
    let request = CollectionImport { text: file(&texts), what_if: false };
    let (done, imported) = measured(async { collection_import(&ctx, &site, &request).await.map_err(broken) }).await?;
    if done.taken.len() != texts.len() {
        return Err(broken(format!("{:?}", done.left.first())));
    }
    figures.push(figure(None, "import of the collections", "ms of CPU", None, millis(imported.cpu)));
    let ((), first) = measured(settle(&site)).await?;
    figures.push(figure(None, "index built and every member stored", "s of CPU", None, first.cpu.as_secs_f64()));

    // Another process finds everything evaluated, and builds its index.
    drop(site);
    let site = Arc::new(collections_site::open(&parts).await?);
    let ((), built) = measured(settle(&site)).await?;
    let index = collection_index(&collections_site::ctx(&site).await?, &site).map_err(broken)?;
    figures.push(figure(None, "index built at the start", "s", Some(10.0), built.wall.as_secs_f64()));
    figures.push(figure(None, "the same", "s of CPU", None, built.cpu.as_secs_f64()));
    let per_device = index.bytes as f64 / plan.devices.max(1) as f64;
    figures.push(
        figure(None, "memory of the index", "bytes per device", None, per_device)
            .note(format!("{} rules by the index, {} by SQL", index.by_index, index.by_sql)),
    );

    // Some devices changed, and everything is asked: the differences are stored.
    let mut runs =
        Figure::new(9, format!("{} query collections, whole ({name})", texts.len()), "s of CPU", 0.25).lower();
    for round in 0..3 {
        fleet.change(&site.store, 0, 100.min(plan.devices), 500 + round).await?;
        ask_all(&site).await?;
        let ((), whole) = measured(settle(&site)).await?;
        runs.runs.push((Subject::Ours, whole.cpu.as_secs_f64()));
    }
    let sql = by_sql(&site.store, &texts, None).await? * texts.len() as f64;
    runs.runs.push((Subject::Peer, sql));
    figures.push(runs.note("peer: the same queries as SQL, extrapolated from some"));

    // One device changes; what it touches is evaluated and stored.
    let mut concerned = Duration::ZERO;
    let mut visible = Vec::new();
    for number in 0..CHANGES {
        fleet.change(&site.store, number * 7 % plan.devices, 1, 1 + number).await?;
        let ((), one) = measured(settle(&site)).await?;
        concerned += one.cpu;
        visible.push(one.wall);
    }
    visible.sort();
    let each = concerned.as_secs_f64() * 1e6 / CHANGES as f64;
    let one = Some(by_sql(&site.store, &texts, Some(fleet.resource(5))).await? * texts.len() as f64 * 1e6);
    figures.push(figure(None, "one device changed, database included", "us of CPU", None, each));
    figures.push(figure(
        Some(10),
        "until it shows, without the pause of the worker",
        "ms",
        Some(750.0),
        millis(visible[visible.len() / 2]),
    ));
    let many = TOGETHER.min(plan.devices);
    for (what, class, target) in [
        ("a changed device, collections concerned", 0, Some(10.0)),
        ("a changed device, all collections", 1, Some(50.0)),
    ] {
        match class {
            0 => fleet.change(&site.store, 0, many, 99).await?,
            _ => fleet.touch(&site.store, many).await?,
        }
        let ((), all) = measured(settle(&site)).await?;
        let mut figure = figure(Some(10), what, "us of CPU", target, all.cpu.as_secs_f64() * 1e6 / many as f64)
            .note(format!("{many} devices together, database included"));
        figure.runs.extend(one.map(|sql| (Subject::Peer, sql)));
        figures.push(figure);
    }
    say(&format!("{} classes, seed {}.", CLASSES.len(), plan.seed));
    Ok(figures)
}

/// CPU seconds of one query as SQL: the mean of some.
async fn by_sql(store: &Store, texts: &[String], only: Option<i64>) -> Result<f64, FleetError> {
    let clock = Clock { now: crate::fleet::clock::now(), offset_minutes: 0 };
    let some: Vec<&String> = texts.iter().step_by((texts.len() / BY_SQL).max(1)).collect();
    let only = only.map(|only| [only]);
    let asked = async {
        let mut reader = store.reader().await.map_err(broken)?;
        let (begun, mut asked) = (Instant::now(), 0_usize);
        for text in &some {
            if begun.elapsed() > SQL_TIME {
                break;
            }
            asked += 1;
            let parsed = wql::parse(text).map_err(broken)?;
            let checked = wql::check(&parsed, Schema::built_in()).map_err(broken)?;
            let only = only.as_ref().map(<[i64; 1]>::as_slice);
            store_wql::members(&mut reader, store.dialect(), &checked, clock, only).await.map_err(broken)?;
        }
        Ok(asked)
    };
    let (asked, all) = measured(asked).await?;
    Ok(all.cpu.as_secs_f64() / asked.max(1) as f64)
}
