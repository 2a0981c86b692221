//! Schema versions: applied in order, each in a transaction of its own, never changed afterwards.

use super::{Store, StoreError, inventory_class};
use crate::transaction;
use sqlx::Executor;

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
    (20, include_str!("../../migrations/0020_discovery.sql")),
    (21, include_str!("../../migrations/0021_directory.sql")),
    (22, include_str!("../../migrations/0022_section_change.sql")),
    (23, include_str!("../../migrations/0023_software_title.sql")),
];

/// Brings the schema up to date.
pub(super) async fn run(store: &Store) -> Result<(), StoreError> {
    let known = MIGRATIONS.last().map_or(0, |(version, _)| *version);
    transaction!(store, "schema_create", |tx| {
        let statement = "CREATE TABLE IF NOT EXISTS schema_version (version BIGINT NOT NULL PRIMARY KEY)";
        tx.conn().execute(statement).await?;
        Ok::<_, StoreError>(())
    })?;
    let applied: Vec<i64> =
        sqlx::query_scalar("SELECT version FROM schema_version ORDER BY version").fetch_all(&store.write).await?;
    if let Some(&found) = applied.last().filter(|found| **found > known) {
        return Err(StoreError::SchemaTooNew { found, known });
    }
    // Each that is missing, not only those after the last: two that were written at the same time may come in either order.
    for (version, text) in MIGRATIONS.iter().filter(|(version, _)| !applied.contains(version)) {
        tracing::info!(version, "The database schema is brought to a new version.");
        transaction!(store, "schema_migrate", |tx| {
            let text = tx.dialect().schema(text);
            for statement in split(&text) {
                tx.conn().execute(sqlx::AssertSqlSafe(statement.to_owned())).await?;
            }
            sqlx::query("INSERT INTO schema_version (version) VALUES ($1)").bind(version).execute(tx.conn()).await?;
            Ok::<_, StoreError>(())
        })?;
    }
    if !inventory_class::views_follow(&mut *store.write.acquire().await?).await? {
        transaction!(store, "schema_views", |tx| { inventory_class::follow_views(tx).await })?;
    }
    Ok(())
}

/// Statements end with a semicolon at the end of a line; no text of ours has one inside.
pub(super) fn split(text: &str) -> impl Iterator<Item = &str> {
    text.split(";\n").map(str::trim).filter(|statement| !statement.is_empty())
}
