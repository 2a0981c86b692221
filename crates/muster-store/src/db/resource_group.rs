//! Groups of a directory: who is in one directly, and what follows from groups in groups.

use super::{
    StoreError, Tx,
    bulk::{Bulk, in_texts, json_texts},
    column::to_json,
};
use sqlx::AnyConnection;
use std::collections::{BTreeMap, BTreeSet, HashMap};

/// The groups that have these distinguished names.
///
/// # Errors
/// When the database cannot be read.
pub async fn by_name(tx: &mut Tx, names: &[&str]) -> Result<HashMap<String, i64>, StoreError> {
    let statement = tx.dialect().pick(in_texts!(
        "SELECT \"DistinguishedName\", resource_id FROM resource WHERE kind = 'group' AND gone IS NULL AND \"DistinguishedName\"",
        ""
    ));
    let rows: Vec<(String, i64)> = sqlx::query_as(statement).bind(json_texts(names)).fetch_all(tx.conn()).await?;
    Ok(rows.into_iter().collect())
}

/// The groups that have these security identifiers.
///
/// # Errors
/// When the database cannot be read.
pub async fn by_sid(tx: &mut Tx, sids: &[&str]) -> Result<HashMap<String, i64>, StoreError> {
    let statement = tx.dialect().pick(in_texts!(
        "SELECT \"SID\", resource_id FROM resource WHERE kind = 'group' AND gone IS NULL AND \"SID\"",
        ""
    ));
    let rows: Vec<(String, i64)> = sqlx::query_as(statement).bind(json_texts(sids)).fetch_all(tx.conn()).await?;
    Ok(rows.into_iter().collect())
}

static ADD: Bulk =
    Bulk::new("INSERT INTO resource_member (group_id, member_id)", 2, "ON CONFLICT (group_id, member_id) DO NOTHING");
static CLOSE: Bulk = Bulk::new(
    "INSERT INTO resource_group (resource_id, group_id)",
    2,
    "ON CONFLICT (resource_id, group_id) DO NOTHING",
);

/// Sets in which groups a resource is directly; whether that is something else than before.
///
/// # Errors
/// When the database cannot be written.
pub async fn set_groups(tx: &mut Tx, member: i64, groups: &BTreeSet<i64>) -> Result<bool, StoreError> {
    let statement = "SELECT group_id FROM resource_member WHERE member_id = $1";
    let before: Vec<i64> = sqlx::query_scalar(statement).bind(member).fetch_all(tx.conn()).await?;
    let before: BTreeSet<i64> = before.into_iter().collect();
    for group in before.difference(groups) {
        remove(tx, *group, member).await?;
    }
    let new: Vec<(i64, i64)> = groups.difference(&before).map(|group| (*group, member)).collect();
    ADD.run(tx, &new, |query, (group, member)| query.bind(*group).bind(*member)).await?;
    Ok(before != *groups)
}

/// Sets who is in a group directly, but for those whose primary group it is; who came and who went.
///
/// # Errors
/// When the database cannot be written.
pub async fn set_members(
    tx: &mut Tx,
    group: i64,
    members: &BTreeSet<i64>,
    primary: u32,
) -> Result<Vec<i64>, StoreError> {
    let statement = "SELECT m.member_id FROM resource_member m JOIN resource x ON x.resource_id = m.member_id \
         WHERE m.group_id = $1 AND COALESCE(x.\"PrimaryGroupID\", 0) <> $2";
    let before: Vec<i64> =
        sqlx::query_scalar(statement).bind(group).bind(i64::from(primary)).fetch_all(tx.conn()).await?;
    let before: BTreeSet<i64> = before.into_iter().collect();
    for member in before.difference(members) {
        remove(tx, group, *member).await?;
    }
    let new: Vec<(i64, i64)> = members.difference(&before).map(|member| (group, *member)).collect();
    ADD.run(tx, &new, |query, (group, member)| query.bind(*group).bind(*member)).await?;
    Ok(before.symmetric_difference(members).copied().collect())
}

/// Takes a resource out of every group, and everything out of it where it is one.
///
/// # Errors
/// When the database cannot be written.
pub async fn leave_all(tx: &mut Tx, resource: i64) -> Result<(), StoreError> {
    let statement = "DELETE FROM resource_member WHERE member_id = $1 OR group_id = $1";
    sqlx::query(statement).bind(resource).execute(tx.conn()).await?;
    Ok(())
}

async fn remove(tx: &mut Tx, group: i64, member: i64) -> Result<(), StoreError> {
    let statement = "DELETE FROM resource_member WHERE group_id = $1 AND member_id = $2";
    sqlx::query(statement).bind(group).bind(member).execute(tx.conn()).await?;
    Ok(())
}

/// Everything that is in a group, through other groups too.
///
/// # Errors
/// When the database cannot be read.
pub async fn members(conn: &mut AnyConnection, group: i64) -> Result<Vec<i64>, StoreError> {
    let statement = "SELECT resource_id FROM resource_group WHERE group_id = $1";
    Ok(sqlx::query_scalar(statement).bind(group).fetch_all(conn).await?)
}

/// Notes that the groups of these resources, and of everything that is in one of them, have to be computed again.
///
/// # Errors
/// When the database cannot be written.
pub async fn ask(tx: &mut Tx, changed: &[i64]) -> Result<(), StoreError> {
    let statement = tx.dialect().pick([
        "INSERT INTO resource_regroup (resource_id) WITH RECURSIVE below (id) AS (SELECT value FROM json_each($1) \
         UNION SELECT m.member_id FROM resource_member m JOIN below b ON m.group_id = b.id) SELECT id FROM below WHERE true \
         ON CONFLICT (resource_id) DO NOTHING",
        "INSERT INTO resource_regroup (resource_id) WITH RECURSIVE below (id) AS (SELECT CAST(e AS BIGINT) \
         FROM jsonb_array_elements_text(CAST($1 AS jsonb)) AS e \
         UNION SELECT m.member_id FROM resource_member m JOIN below b ON m.group_id = b.id) SELECT id FROM below \
         ON CONFLICT (resource_id) DO NOTHING",
    ]);
    sqlx::query(statement).bind(to_json(&changed)).execute(tx.conn()).await?;
    Ok(())
}

/// Resources, at most so many, whose groups have to be computed again.
///
/// # Errors
/// When the database cannot be read.
pub async fn asked(conn: &mut AnyConnection, limit: u32) -> Result<Vec<i64>, StoreError> {
    let statement = "SELECT resource_id FROM resource_regroup ORDER BY resource_id LIMIT $1";
    Ok(sqlx::query_scalar(statement).bind(i64::from(limit)).fetch_all(conn).await?)
}

/// Computes the groups of these resources, through groups in groups and round circles; those whose groups are others than before.
///
/// # Errors
/// When the database cannot be written.
pub async fn compute(tx: &mut Tx, resources: &[i64]) -> Result<Vec<i64>, StoreError> {
    let list = to_json(&resources);
    let statement = tx.dialect().pick([
        "WITH RECURSIVE up (id, group_id) AS (SELECT m.member_id, m.group_id FROM resource_member m \
         WHERE m.member_id IN (SELECT value FROM json_each($1)) \
         UNION SELECT u.id, m.group_id FROM up u JOIN resource_member m ON m.member_id = u.group_id) \
         SELECT id, group_id FROM up",
        "WITH RECURSIVE up (id, group_id) AS (SELECT m.member_id, m.group_id FROM resource_member m WHERE m.member_id IN \
         (SELECT CAST(e AS BIGINT) FROM jsonb_array_elements_text(CAST($1 AS jsonb)) AS e) \
         UNION SELECT u.id, m.group_id FROM up u JOIN resource_member m ON m.member_id = u.group_id) \
         SELECT id, group_id FROM up",
    ]);
    let now = gathered(sqlx::query_as(statement).bind(list.clone()).fetch_all(tx.conn()).await?);
    let statement = tx.dialect().pick([
        "SELECT resource_id, group_id FROM resource_group WHERE resource_id IN (SELECT value FROM json_each($1))",
        "SELECT resource_id, group_id FROM resource_group WHERE resource_id IN \
         (SELECT CAST(e AS BIGINT) FROM jsonb_array_elements_text(CAST($1 AS jsonb)) AS e)",
    ]);
    let before = gathered(sqlx::query_as(statement).bind(list.clone()).fetch_all(tx.conn()).await?);
    let mut changed = Vec::new();
    let (mut new, none) = (Vec::new(), BTreeSet::new());
    for resource in resources {
        let (was, is) = (before.get(resource).unwrap_or(&none), now.get(resource).unwrap_or(&none));
        if was == is {
            continue;
        }
        changed.push(*resource);
        let statement = "DELETE FROM resource_group WHERE resource_id = $1";
        sqlx::query(statement).bind(*resource).execute(tx.conn()).await?;
        new.extend(is.iter().map(|group| (*resource, *group)));
    }
    CLOSE.run(tx, &new, |query, (resource, group)| query.bind(*resource).bind(*group)).await?;
    let statement = tx.dialect().pick([
        "DELETE FROM resource_regroup WHERE resource_id IN (SELECT value FROM json_each($1))",
        "DELETE FROM resource_regroup WHERE resource_id IN \
         (SELECT CAST(e AS BIGINT) FROM jsonb_array_elements_text(CAST($1 AS jsonb)) AS e)",
    ]);
    sqlx::query(statement).bind(list).execute(tx.conn()).await?;
    Ok(changed)
}

fn gathered(rows: Vec<(i64, i64)>) -> BTreeMap<i64, BTreeSet<i64>> {
    let mut all: BTreeMap<i64, BTreeSet<i64>> = BTreeMap::new();
    for (resource, group) in rows.into_iter().filter(|(resource, group)| resource != group) {
        all.entry(resource).or_default().insert(group);
    }
    all
}
