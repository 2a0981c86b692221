//! The list of devices: searched, sorted and paged by the database. Each order and filter has a statement of its own, so that
//! each has its index and none is put together from outside texts.

use super::{
    StoreError,
    column::{contains, parse, parsed, resource_id, signed, time, unsigned},
};
use muster_model::{
    api::{Device, DeviceQuery, DeviceSort, KeyProtection},
    id::DeviceId,
    time::UnixMillis,
};
use sqlx::{AnyConnection, Row, any::AnyRow};

macro_rules! columns {
    () => {
        "SELECT id, state, name, operating_system, agent_version, enrolled, last_seen, last_inventory, hardware, \
         resource_id FROM device "
    };
}
/// Found in the index of the search text first, then sorted: for a text that few devices have.
macro_rules! few {
    ($pattern:literal) => {
        concat!("id IN (SELECT id FROM device WHERE search LIKE ", $pattern, " ESCAPE '!')")
    };
}
/// Looked for in the order of the list, until the page is full: for a text that many devices have.
macro_rules! many {
    ($pattern:literal) => {
        concat!("search LIKE ", $pattern, " ESCAPE '!'")
    };
}

/// From so many devices with the text on, the second way is the faster one.
const MANY: i64 = 2_000;

/// One order with each filter: none, state, text, both; then text and both where many devices have the text.
macro_rules! filtered {
    ($order:literal) => {
        [
            concat!(columns!(), "ORDER BY ", $order, " LIMIT $1 OFFSET $2"),
            concat!(columns!(), "WHERE state = $3 ORDER BY ", $order, " LIMIT $1 OFFSET $2"),
            concat!(columns!(), "WHERE ", few!("$3"), " ORDER BY ", $order, " LIMIT $1 OFFSET $2"),
            concat!(columns!(), "WHERE state = $3 AND ", few!("$4"), " ORDER BY ", $order, " LIMIT $1 OFFSET $2"),
            concat!(columns!(), "WHERE ", many!("$3"), " ORDER BY ", $order, " LIMIT $1 OFFSET $2"),
            concat!(columns!(), "WHERE state = $3 AND ", many!("$4"), " ORDER BY ", $order, " LIMIT $1 OFFSET $2"),
        ]
    };
}

const COUNTS: [&str; 4] = [
    "SELECT COUNT(*) FROM device",
    "SELECT COUNT(*) FROM device WHERE state = $1",
    "SELECT COUNT(*) FROM device WHERE search LIKE $1 ESCAPE '!'",
    "SELECT COUNT(*) FROM device WHERE state = $1 AND search LIKE $2 ESCAPE '!'",
];

const fn statements(sort: DeviceSort, descending: bool) -> [&'static str; 6] {
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

/// A row; who is online is not known here.
fn device(row: &AnyRow) -> Result<Device, StoreError> {
    let seen = time(row, "last_seen")?;
    Ok(Device {
        id: parsed(row, "id")?,
        resource_id: resource_id(row)?,
        name: row.try_get("name")?,
        state: parse(row.try_get("state")?, "state")?,
        key_protection: match row.try_get::<Option<String>, _>("hardware")? {
            Some(_) => KeyProtection::Attested,
            None => KeyProtection::SoftwareKey,
        },
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
    let text = (!query.search.is_empty()).then(|| contains(&query.search));
    let filter = usize::from(state.is_some()) + 2 * usize::from(text.is_some());
    let mut counting = sqlx::query_scalar(COUNTS[filter]);
    for value in [state, text.as_deref()].into_iter().flatten() {
        counting = counting.bind(value.to_owned());
    }
    let total: i64 = counting.fetch_one(&mut *conn).await?;
    let way = if text.is_some() && total > MANY { filter + 2 } else { filter };
    let mut listing = sqlx::query(statements(query.sort, query.descending)[way])
        .bind(i64::from(query.limit))
        .bind(signed(query.offset));
    for value in [state, text.as_deref()].into_iter().flatten() {
        listing = listing.bind(value.to_owned());
    }
    let rows = listing.fetch_all(conn).await?;
    Ok((rows.iter().map(device).collect::<Result<_, _>>()?, unsigned(total)))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        db::device::{DeviceRow, insert},
        testing::stores,
        transaction,
    };
    use muster_model::{
        api::DeviceState,
        enrol::DeviceClaims,
        id::{Hash, ResourceId},
    };

    fn row(n: u32) -> DeviceRow {
        let mut key = [0; 32];
        key[..4].copy_from_slice(&n.to_be_bytes());
        DeviceRow {
            id: DeviceId(uuid::Uuid::from_u128(u128::from(n))),
            resource_id: ResourceId(0),
            state: if n.is_multiple_of(10) { DeviceState::Blocked } else { DeviceState::Active },
            claims: DeviceClaims {
                host_name: format!("PC{n:05}"),
                operating_system: if n < 2_100 { "Debian" } else { "Rocky" }.to_owned(),
                agent_version: "1".to_owned(),
                hardware_id: Hash(key),
            },
            key: Hash(key),
            spki: Vec::new(),
            hardware: None,
            account: None,
            serial: String::new(),
            previous_serial: None,
            certificate_expires: UnixMillis(0),
            certificate: Vec::new(),
            enrolled: UnixMillis(i64::from(n)),
            last_seen: None,
            last_inventory: None,
            block_reason: None,
            key_revoked: None,
            revision: 1,
        }
    }

    #[tokio::test]
    async fn few_and_many_are_found_in_the_same_order() {
        for test in stores().await {
            transaction!(test.store, "fill", |tx| {
                for n in 0..2_300 {
                    insert(tx, &row(n)).await?;
                }
                Ok::<_, StoreError>(())
            })
            .unwrap();
            let mut conn = test.store.reader().await.unwrap();
            let texts = [("debian", 2_100), ("rocky", 200), ("pc", 2_300), ("pc0000", 10), ("nothing", 0)];
            for (search, total) in texts {
                for (state, part) in [(None, 1), (Some(DeviceState::Blocked), 10)] {
                    for sort in DeviceSort::ALL.iter().copied() {
                        for descending in [false, true] {
                            let search = search.to_owned();
                            let query = DeviceQuery { search, state, sort, descending, offset: 0, limit: 3_000 };
                            let (all, found) = list(&mut conn, &query).await.unwrap();
                            assert_eq!((all.len() as u64, found), (total / part, total / part), "{query:?}");
                            let paged = DeviceQuery { offset: 3, limit: 4, ..query.clone() };
                            let (page, _) = list(&mut conn, &paged).await.unwrap();
                            assert_eq!(page, all.iter().skip(3).take(4).cloned().collect::<Vec<_>>(), "{query:?}");
                            // Names, systems and times all rise with the id here.
                            let state_of =
                                |device: &Device| (sort == DeviceSort::State).then_some(device.state.as_str());
                            let mut expected = all.clone();
                            expected.sort_by_key(|device| (state_of(device), device.id));
                            if descending {
                                expected.reverse();
                            }
                            assert_eq!(all, expected, "{query:?}");
                        }
                    }
                }
            }
        }
    }

    #[test]
    fn nothing_in_a_search_text_has_a_meaning() {
        assert_eq!(contains("50%_!A"), "%50!%!_!!a%");
    }
}
