//! What an administrator waits for with many devices: each order, each search and the last page, as the API and the console ask.

use super::{
    process::Site,
    report::{Figure, Subject},
};
use crate::fleet::{FleetError, say};
use muster_cli::{Client, profile::ProfileDir};
use muster_model::{
    api::{DeviceQuery, DeviceSort, DeviceState},
    time::UnixMillis,
};
use std::{
    path::Path,
    time::{Duration, Instant},
};

/// How often each list is asked for.
const TIMES: u32 = 15;
/// What an administrator is to wait at most: below it an answer feels immediate.
const TARGET: f64 = 100.0;

/// Devices as a site has them: names of four offices, seven systems, one in fifty blocked, contacts spread over a week.
const FILL: &str = "
    WITH RECURSIVE number (n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM number WHERE n < ?1),
    made AS (
        SELECT n, printf('%s-WS-%06d', substr('BERHAMMUCKLN', 1 + 3 * (n % 4), 3), n * 7919 % 1000000) AS name,
               CASE n % 7 WHEN 0 THEN 'Debian GNU/Linux 13 (trixie)' WHEN 1 THEN 'Ubuntu 24.04 LTS' WHEN 2 THEN 'Fedora Linux 44'
               WHEN 3 THEN 'Rocky Linux 9.7' WHEN 4 THEN 'openSUSE Leap 16.0' WHEN 5 THEN 'Alpine Linux 3.24'
               ELSE 'Debian GNU/Linux 12 (bookworm)' END AS os
        FROM number
    )
    INSERT INTO device (id, state, name, operating_system, agent_version, search, key_id, spki, hardware_id,
        certificate_serial, certificate_expires, certificate, enrolled, last_seen, revision, resource_id)
    SELECT printf('01900000-0000-7000-8000-%012x', n), CASE WHEN n % 50 = 0 THEN 'blocked' ELSE 'active' END, name, os, '0.1.0',
           lower(name || ' ' || os), printf('%064x', n), x'', printf('%064x', n), printf('%032x', n), ?2, zeroblob(700),
           ?2 - n * 60000, ?2 - n * 7919 % 604800000, 1, 16777216 + n
    FROM made";

fn fill(site: &Path, devices: u32) -> Result<(), FleetError> {
    let broken = |error: rusqlite::Error| FleetError::Unusable(format!("the site's database: {error}"));
    let database = rusqlite::Connection::open(site.join("site.db")).map_err(broken)?;
    database.execute(FILL, (devices, crate::fleet::clock::now().0)).map_err(broken)?;
    let resources = "INSERT INTO resource (resource_id, kind, device, name, search, created, conflict)
        SELECT resource_id, 'system', id, '', '', enrolled, 0 FROM device WHERE true";
    database.execute(resources, ()).map_err(broken)?;
    database.execute("ANALYZE", ()).map_err(broken)?;
    Ok(())
}

/// The lists that are asked for.
fn questions(devices: u32) -> Vec<(String, DeviceQuery)> {
    let mut questions = Vec::new();
    for sort in DeviceSort::ALL.iter().copied() {
        for descending in [false, true] {
            let order = if descending { "descending" } else { "ascending" };
            let query = DeviceQuery { sort, descending, ..DeviceQuery::default() };
            let last = DeviceQuery { offset: u64::from(devices).saturating_sub(50), ..query.clone() };
            questions.push((format!("by {}, {order}, first page", sort.as_str()), query));
            questions.push((format!("by {}, {order}, last page", sort.as_str()), last));
        }
    }
    for search in ["ber-ws-007", "debian", "ws", "no such device"] {
        let query = DeviceQuery { search: search.to_owned(), ..DeviceQuery::default() };
        let blocked = DeviceQuery { state: Some(DeviceState::Blocked), ..query.clone() };
        questions.push((format!("search {search:?}"), query));
        questions.push((format!("search {search:?}, only blocked"), blocked));
    }
    questions
}

async fn timed(client: &Client, query: &DeviceQuery) -> Result<Duration, FleetError> {
    let began = Instant::now();
    let page = client.device_list(query).await.map_err(FleetError::from)?;
    let took = began.elapsed();
    if page.total == 0 && query.search != "no such device" {
        return Err(FleetError::Unusable(format!("nothing was found for {query:?}")));
    }
    Ok(took)
}

/// Milliseconds and CPU of each list at a site with so many devices; the slowest is the figure.
///
/// # Errors
/// When the site does not start or does not answer.
pub async fn run(devices: u32, scratch: &Path) -> Result<Vec<Figure>, FleetError> {
    let site = Site::start(scratch).await?;
    say(&format!("filling the site with {devices} devices"));
    fill(&site.dir, devices)?;
    let site = site.restart().await?;
    let profile = ProfileDir::read(&site.profile(), None).map_err(|error| FleetError::Unusable(error.to_string()))?;
    let client = profile.client(UnixMillis(i64::MIN)).await.map_err(|error| FleetError::Unusable(error.to_string()))?;
    let mut figures = Vec::new();
    for (what, query) in questions(devices) {
        let mut figure = Figure::new(None, format!("{devices} devices: {what}"), "ms", TARGET).lower();
        let before = site.server.usage();
        for _ in 0..TIMES {
            figure.runs.push((Subject::Ours, timed(&client, &query).await?.as_secs_f64() * 1_000.0));
        }
        let used = site.server.usage().since(before) / TIMES;
        figures.push(figure.note(format!("{:.1} ms of CPU each", used.as_secs_f64() * 1_000.0)));
    }
    let mut figure = Figure::new(None, format!("{devices} devices: dashboard"), "ms", TARGET).lower();
    for _ in 0..TIMES {
        let began = Instant::now();
        client.dashboard_show().await.map_err(FleetError::from)?;
        figure.runs.push((Subject::Ours, began.elapsed().as_secs_f64() * 1_000.0));
    }
    figures.push(figure);
    site.server.stop().await;
    Ok(figures)
}
