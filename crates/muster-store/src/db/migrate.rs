//! Schema versions: applied in order, each in a transaction of its own, never changed afterwards.

use super::{Dialect, Store, StoreError, Tx, inventory_class};
use crate::transaction;
use muster_model::catalogue::Catalogue;
use sqlx::{AnyConnection, AssertSqlSafe, Executor};

/// The migrations, oldest first. Only ever added to. `{bytes}` and `{serial}` are the dialect's words.
const MIGRATIONS: &[(i64, &str)] = &[
    (1, include_str!("../../migrations/0001_site.sql")),
    (2, include_str!("../../migrations/0002_inventory.sql")),
    (3, include_str!("../../migrations/0003_revocation.sql")),
    (4, include_str!("../../migrations/0004_trust.sql")),
    (5, include_str!("../../migrations/0005_hardware.sql")),
    (6, include_str!("../../migrations/0006_conflict.sql")),
    (7, include_str!("../../migrations/0007_approval.sql")),
    (8, include_str!("../../migrations/0008_boundary.sql")),
    (9, include_str!("../../migrations/0009_enterprise.sql")),
    (10, include_str!("../../migrations/0010_secret.sql")),
    (11, include_str!("../../migrations/0011_key_revoked.sql")),
    (12, include_str!("../../migrations/0012_enrolled_again.sql")),
    (13, include_str!("../../migrations/0013_resource.sql")),
    (14, include_str!("../../migrations/0014_catalogue.sql")),
    (15, include_str!("../../migrations/0015_collection.sql")),
    (17, include_str!("../../migrations/0017_name.sql")),
    (18, include_str!("../../migrations/0018_saved_query.sql")),
    (20, include_str!("../../migrations/0020_discovery.sql")),
    (21, include_str!("../../migrations/0021_directory.sql")),
    (22, include_str!("../../migrations/0022_section_change.sql")),
    (23, include_str!("../../migrations/0023_software_title.sql")),
    (24, include_str!("../../migrations/0024_change_done.sql")),
    (25, include_str!("../../migrations/0025_window.sql")),
    (27, include_str!("../../migrations/0027_collection_worker.sql")),
    (29, include_str!("../../migrations/0029_section_changed.sql")),
    (30, include_str!("../../migrations/0030_application_action.sql")),
    (31, include_str!("../../migrations/0031_client_settings.sql")),
    (32, include_str!("../../migrations/0032_content_chunks.sql")),
    (33, include_str!("../../migrations/0033_baseline.sql")),
    (34, include_str!("../../migrations/0034_software_update.sql")),
    (36, include_str!("../../migrations/0036_servicing.sql")),
    (37, include_str!("../../migrations/0037_deployment_approval.sql")),
    (38, include_str!("../../migrations/0038_phase.sql")),
    (39, include_str!("../../migrations/0039_deployment_act.sql")),
    (40, include_str!("../../migrations/0040_update_rule.sql")),
    (41, include_str!("../../migrations/0041_deployment_options.sql")),
    (42, include_str!("../../migrations/0042_compliance_total.sql")),
    (43, include_str!("../../migrations/0043_content_peer.sql")),
    (44, include_str!("../../migrations/0044_status_rule.sql")),
    (46, include_str!("../../migrations/0046_client_status.sql")),
    (47, include_str!("../../migrations/0047_client_log.sql")),
    (48, include_str!("../../migrations/0048_maintenance.sql")),
    (50, include_str!("../../migrations/0050_mobile.sql")),
];

/// Which migrations a database has.
const VERSIONS: &str = "CREATE TABLE IF NOT EXISTS schema_version (version BIGINT NOT NULL PRIMARY KEY)";

/// One migration, for people.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Step {
    /// Its number.
    pub version: i64,
    /// What it says of itself.
    pub what: String,
}

/// What a database has, and what it has not.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct State {
    /// The newest schema that it has; `None`: none at all.
    pub newest: Option<i64>,
    /// Migrations that it lacks, in order.
    pub pending: Vec<Step>,
    /// Whether the views of the classes have to be made anew.
    pub views: bool,
    /// A migration that it has and this program does not know: the newest.
    pub too_new: Option<i64>,
}

/// The newest schema that this program knows.
pub(super) fn newest() -> i64 {
    MIGRATIONS.last().map_or(0, |(version, _)| *version)
}

/// The newest of these migrations that this program does not have. Numbers come in any order, so that one in the middle may be a newer
/// program's too.
fn unknown(applied: &[i64]) -> Option<i64> {
    applied.iter().rev().find(|found| MIGRATIONS.iter().all(|(known, _)| known != *found)).copied()
}

/// What a migration says of itself: its first line, where that is a comment.
fn step(version: i64, text: &str) -> Step {
    let first = text.lines().next().unwrap_or_default();
    let what = first.strip_prefix("-- ").unwrap_or("tables and indexes").trim_end_matches('.').to_owned();
    Step { version, what }
}

/// Every statement of every migration, in order.
pub(super) fn statements(dialect: Dialect) -> impl Iterator<Item = String> {
    let each = move |(_, text): &(i64, &str)| split(&dialect.schema(text)).map(str::to_owned).collect::<Vec<_>>();
    std::iter::once(VERSIONS.to_owned()).chain(MIGRATIONS.iter().flat_map(each))
}

/// What a database has, without changing it.
///
/// # Errors
/// When it cannot be read.
pub(super) async fn state(conn: &mut AnyConnection, dialect: Dialect) -> Result<State, StoreError> {
    let all = || MIGRATIONS.iter().map(|(version, text)| step(*version, text));
    if !super::copy::has_table(conn, dialect, "schema_version").await? {
        return Ok(State { newest: None, pending: all().collect(), views: true, too_new: None });
    }
    let applied = applied(conn).await?;
    let pending: Vec<Step> = all().filter(|step| !applied.contains(&step.version)).collect();
    let views = !pending.is_empty()
        || !inventory_class::views_follow(conn).await?
        || !missing_views(conn, dialect).await?.is_empty();
    Ok(State { newest: applied.last().copied(), pending, views, too_new: unknown(&applied) })
}

async fn applied(conn: &mut AnyConnection) -> Result<Vec<i64>, StoreError> {
    Ok(sqlx::query_scalar("SELECT version FROM schema_version ORDER BY version").fetch_all(conn).await?)
}

/// Classes of which a view is not there.
async fn missing_views(conn: &mut AnyConnection, dialect: Dialect) -> Result<Vec<String>, StoreError> {
    let statement = dialect.pick([
        "SELECT lower(name) FROM sqlite_master WHERE type = 'view'",
        "SELECT lower(c.relname) FROM pg_class c JOIN pg_namespace s ON s.oid = c.relnamespace \
         AND s.nspname = current_schema() WHERE c.relkind = 'v'",
    ]);
    let there: Vec<String> = sqlx::query_scalar(statement).fetch_all(&mut *conn).await?;
    let own = inventory_class::all(conn).await?;
    let catalogue = Catalogue::with(own.into_iter().map(|row| row.class), 0);
    let names = catalogue.classes().iter().map(|class| class.name.clone());
    let whole =
        |name: &String| ["v_gs_", "v_hs_"].iter().all(|kind| there.contains(&format!("{kind}{}", name.to_lowercase())));
    Ok(names.filter(|name| !whole(name)).collect())
}

/// Brings the schema up to date; what was done.
pub(super) async fn run(store: &Store) -> Result<State, StoreError> {
    transaction!(store, "schema_create", |tx| {
        one_at_a_time(tx).await?;
        tx.conn().execute(VERSIONS).await?;
        Ok::<_, StoreError>(())
    })?;
    let before = applied(&mut *store.write.acquire().await?).await?;
    if let Some(found) = unknown(&before) {
        return Err(StoreError::SchemaTooNew { found, known: newest() });
    }
    let mut done = State { newest: before.last().copied(), ..State::default() };
    // Each that is missing, not only those after the last: two that were written at the same time may come in either order.
    for (version, text) in MIGRATIONS.iter().filter(|(version, _)| !before.contains(version)) {
        tracing::info!(version, "The database schema is brought to a new version.");
        let here = transaction!(store, "schema_migrate", |tx| { one(tx, *version, text).await })?;
        if here {
            done.pending.push(step(*version, text));
        }
    }
    if !inventory_class::views_follow(&mut *store.write.acquire().await?).await? {
        done.views = transaction!(store, "schema_views", |tx| {
            one_at_a_time(tx).await?;
            inventory_class::follow_views(tx).await
        })?;
    }
    Ok(done)
}

/// One migration; whether it was not there yet: another server may have been faster.
async fn one(tx: &mut Tx, version: i64, text: &str) -> Result<bool, StoreError> {
    one_at_a_time(tx).await?;
    if applied(tx.conn()).await?.contains(&version) {
        return Ok(false);
    }
    let text = tx.dialect().schema(text);
    for statement in split(&text) {
        tx.conn().execute(AssertSqlSafe(statement.to_owned())).await?;
    }
    sqlx::query("INSERT INTO schema_version (version) VALUES ($1)").bind(version).execute(tx.conn()).await?;
    Ok(true)
}

/// Two servers that start at the same time on one database bring its schema up one after the other. SQLite's transactions do so
/// by themselves.
async fn one_at_a_time(tx: &mut Tx) -> Result<(), StoreError> {
    if tx.dialect() == Dialect::Postgres {
        sqlx::query("SELECT pg_advisory_xact_lock($1)").bind(super::lock::MIGRATION).execute(tx.conn()).await?;
    }
    Ok(())
}

/// As [`run`], and makes views of classes that went lost.
pub(super) async fn repair(store: &Store) -> Result<State, StoreError> {
    let mut done = run(store).await?;
    let dialect = store.dialect;
    let made = transaction!(store, "schema_views", |tx| {
        let missing = missing_views(tx.conn(), dialect).await?;
        let own = inventory_class::all(tx.conn()).await?;
        let catalogue = Catalogue::with(own.into_iter().map(|row| row.class), 0);
        for class in missing.iter().filter_map(|name| catalogue.class(name)) {
            inventory_class::view(tx, class).await?;
        }
        Ok::<_, StoreError>(!missing.is_empty())
    })?;
    done.views |= made;
    Ok(done)
}

/// Statements end with a semicolon at the end of a line; no text of ours has one inside.
pub(super) fn split(text: &str) -> impl Iterator<Item = &str> {
    text.split(";\n").map(str::trim).filter(|statement| !statement.is_empty())
}
