//! Settings of the site that are not a noun of their own: named texts with a revision.

use super::{StoreError, Tx};
use sqlx::AnyConnection;

/// The value of a setting, where it was ever set.
///
/// # Errors
/// When the database cannot be read.
pub async fn get(conn: &mut AnyConnection, name: &str) -> Result<Option<String>, StoreError> {
    Ok(sqlx::query_scalar("SELECT value FROM setting WHERE name = $1").bind(name).fetch_optional(conn).await?)
}

/// Sets a setting.
///
/// # Errors
/// When the database cannot be written.
pub async fn set(tx: &mut Tx, name: &str, value: &str) -> Result<(), StoreError> {
    let statement = "INSERT INTO setting (name, value, revision) VALUES ($1, $2, 1) \
         ON CONFLICT (name) DO UPDATE SET value = excluded.value, revision = setting.revision + 1";
    sqlx::query(statement).bind(name).bind(value).execute(tx.conn()).await?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{testing::stores, transaction};

    #[tokio::test]
    async fn a_setting_is_kept_and_a_failed_transaction_leaves_nothing() {
        for test in stores().await {
            let store = &test.store;
            transaction!(store, "t", |tx| { set(tx, "a", "1").await }).unwrap();
            let failed: Result<(), StoreError> = transaction!(store, "t", |tx| {
                set(tx, "a", "2").await?;
                Err(StoreError::NotFound)
            });
            assert!(failed.is_err());
            let value = get(&mut store.reader().await.unwrap(), "a").await.unwrap();
            assert_eq!(value.as_deref(), Some("1"), "{}", store.dialect().name());
        }
    }

    #[tokio::test]
    async fn a_full_disk_is_said_and_the_work_goes_on_when_there_is_space() {
        let test = crate::testing::sqlite().await;
        let store = &test.store;
        // The same answer of SQLite as that of a full disk; it holds for this connection only, and the next one has space.
        let filled: Result<(), StoreError> = transaction!(store, "t", |tx| {
            sqlx::query("PRAGMA max_page_count = 1").execute(tx.conn()).await?;
            for name in 0..1_000 {
                set(tx, &name.to_string(), &"x".repeat(4096)).await?;
            }
            Ok(())
        });
        assert!(matches!(filled, Err(StoreError::DiskFull)), "{filled:?}");
        transaction!(store, "t", |tx| { set(tx, "a", "1").await }).unwrap();
        let mut reader = store.reader().await.unwrap();
        assert_eq!(get(&mut reader, "a").await.unwrap().as_deref(), Some("1"));
        assert_eq!(get(&mut reader, "0").await.unwrap(), None, "nothing is left of the transaction that failed");
    }

    #[tokio::test]
    async fn a_transaction_can_be_run_from_a_task() {
        let test = crate::testing::sqlite().await;
        let store = test.store.clone();
        let text = "x".to_owned();
        let task = tokio::spawn(async move { transaction!(store, "t", |tx| { set(tx, "a", &text).await }) });
        task.await.unwrap().unwrap();
    }
}
