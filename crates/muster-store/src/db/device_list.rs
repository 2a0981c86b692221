//! The list of devices: searched, sorted and paged by the database. Each order and filter has a statement of its own, so that
//! each has its index and none is put together from outside texts.

use super::{
    StoreError,
    column::{parse, parsed, signed, time, unsigned},
};
use muster_model::{
    api::{Device, DeviceQuery, DeviceSort},
    id::DeviceId,
    time::UnixMillis,
};
use sqlx::{AnyConnection, Row, any::AnyRow};

macro_rules! columns {
    () => {
        "SELECT id, state, name, operating_system, agent_version, enrolled, last_seen, last_inventory FROM device "
    };
}
macro_rules! found {
    ($pattern:literal) => {
        concat!(
            "(LOWER(name) LIKE ",
            $pattern,
            " ESCAPE '!' OR LOWER(operating_system) LIKE ",
            $pattern,
            " ESCAPE '!')"
        )
    };
}

/// One order with each filter: none, state, text, both.
macro_rules! filtered {
    ($order:literal) => {
        [
            concat!(columns!(), "ORDER BY ", $order, " LIMIT $1 OFFSET $2"),
            concat!(columns!(), "WHERE state = $3 ORDER BY ", $order, " LIMIT $1 OFFSET $2"),
            concat!(columns!(), "WHERE ", found!("$3"), " ORDER BY ", $order, " LIMIT $1 OFFSET $2"),
            concat!(columns!(), "WHERE state = $3 AND ", found!("$4"), " ORDER BY ", $order, " LIMIT $1 OFFSET $2"),
        ]
    };
}

const COUNTS: [&str; 4] = [
    "SELECT COUNT(*) FROM device",
    "SELECT COUNT(*) FROM device WHERE state = $1",
    concat!("SELECT COUNT(*) FROM device WHERE ", found!("$1")),
    concat!("SELECT COUNT(*) FROM device WHERE state = $1 AND ", found!("$2")),
];

const fn statements(sort: DeviceSort, descending: bool) -> [&'static str; 4] {
    match (sort, descending) {
        (DeviceSort::Name, false) => filtered!("name, id"),
        (DeviceSort::Name, true) => filtered!("name DESC, id DESC"),
        (DeviceSort::State, false) => filtered!("state, name, id"),
        (DeviceSort::State, true) => filtered!("state DESC, name DESC, id DESC"),
        (DeviceSort::OperatingSystem, false) => filtered!("operating_system, id"),
        (DeviceSort::OperatingSystem, true) => filtered!("operating_system DESC, id DESC"),
        (DeviceSort::LastSeen, false) => filtered!("last_seen, id"),
        (DeviceSort::LastSeen, true) => filtered!("last_seen DESC, id DESC"),
        (DeviceSort::Enrolled, false) => filtered!("enrolled, id"),
        (DeviceSort::Enrolled, true) => filtered!("enrolled DESC, id DESC"),
    }
}

/// Text to be found anywhere, as a pattern in which nothing of it has a meaning.
fn pattern(text: &str) -> String {
    let mut pattern = String::with_capacity(text.len() + 2);
    pattern.push('%');
    for c in text.chars().flat_map(char::to_lowercase) {
        if matches!(c, '!' | '%' | '_') {
            pattern.push('!');
        }
        pattern.push(c);
    }
    pattern.push('%');
    pattern
}

/// A row; who is online is not known here.
fn device(row: &AnyRow) -> Result<Device, StoreError> {
    let seen = time(row, "last_seen")?;
    Ok(Device {
        id: parsed(row, "id")?,
        name: row.try_get("name")?,
        state: parse(row.try_get("state")?, "state")?,
        operating_system: row.try_get("operating_system")?,
        agent_version: row.try_get("agent_version")?,
        online: false,
        last_seen: (seen.0 > 0).then_some(seen),
        last_inventory: row.try_get::<Option<i64>, _>("last_inventory")?.map(UnixMillis),
        enrolled: time(row, "enrolled")?,
    })
}

/// A page of devices, and how many the filter finds. A search for a whole id finds that device.
///
/// # Errors
/// When the database cannot be read.
pub async fn list(conn: &mut AnyConnection, query: &DeviceQuery) -> Result<(Vec<Device>, u64), StoreError> {
    if let Ok(id) = query.search.parse::<DeviceId>() {
        let statement = concat!(columns!(), "WHERE id = $1");
        let row = sqlx::query(statement).bind(id.to_string()).fetch_optional(conn).await?;
        let found: Vec<Device> = row.iter().map(device).collect::<Result<_, _>>()?;
        let found: Vec<Device> =
            found.into_iter().filter(|device| query.state.is_none_or(|state| device.state == state)).collect();
        let total = found.len() as u64;
        return Ok((if query.offset == 0 { found } else { Vec::new() }, total));
    }
    let state = query.state.map(|state| state.as_str());
    let text = (!query.search.is_empty()).then(|| pattern(&query.search));
    let filter = usize::from(state.is_some()) + 2 * usize::from(text.is_some());
    let mut counting = sqlx::query_scalar(COUNTS[filter]);
    let mut listing = sqlx::query(statements(query.sort, query.descending)[filter])
        .bind(i64::from(query.limit))
        .bind(signed(query.offset));
    if let Some(state) = state {
        counting = counting.bind(state);
        listing = listing.bind(state);
    }
    if let Some(text) = text {
        counting = counting.bind(text.clone());
        listing = listing.bind(text);
    }
    let total: i64 = counting.fetch_one(&mut *conn).await?;
    let rows = listing.fetch_all(conn).await?;
    Ok((rows.iter().map(device).collect::<Result<_, _>>()?, unsigned(total)))
}
