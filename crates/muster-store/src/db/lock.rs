//! Who may work on a database at the same time. SQLite locks by itself; on PostgreSQL these are advisory locks, which end with the
//! connection that holds them, however it ends.

use super::{Dialect, StoreError};
use sqlx::{AnyConnection, Connection as _, PgConnection};
use std::time::Duration;

/// How often a lock is asked for, and how long between: PostgreSQL hears a moment later that a program has ended which held it.
const TRIES: usize = 10;
const PAUSE: Duration = Duration::from_millis(100);

/// Held by whoever changes the schema, until the end of that transaction.
pub(super) const MIGRATION: i64 = 0x006d_7573_7465_7201;
/// Shared by every connection of a program that works on the site; taken alone by a copy.
pub(super) const USE: i64 = 0x006d_7573_7465_7202;

/// A site that nobody else works on, for as long as this lives. SQLite has no servers on other machines: the lock of the site's directory
/// is enough there.
#[derive(Debug)]
pub struct Alone(Option<PgConnection>);

impl Alone {
    /// Takes the site at `url` alone.
    pub(super) async fn take(dialect: Dialect, url: &str) -> Result<Self, StoreError> {
        if dialect == Dialect::Sqlite {
            return Ok(Self(None));
        }
        let mut conn = PgConnection::connect(url).await?;
        if alone(&mut conn).await? {
            return Ok(Self(Some(conn)));
        }
        let count = others(&mut conn).await?;
        conn.close().await?;
        Err(StoreError::Others(count))
    }

    /// Lets the others in.
    pub async fn end(self) {
        if let Some(conn) = self.0 {
            // With the connection ends the lock, however it ends.
            drop(conn.close().await);
        }
    }
}

/// How many connections work on the site.
async fn others(conn: &mut PgConnection) -> Result<i64, StoreError> {
    let statement = "SELECT COUNT(DISTINCT pid) FROM pg_locks WHERE locktype = 'advisory' AND granted AND objsubid = 1 \
         AND CAST(classid AS BIGINT) = $1 AND CAST(objid AS BIGINT) = $2 \
         AND database = (SELECT oid FROM pg_database WHERE datname = current_database())";
    let query = sqlx::query_scalar(statement).bind(USE >> 32).bind(USE & 0xffff_ffff);
    Ok(query.persistent(false).fetch_one(conn).await?)
}

/// What a program is told that comes while the site is being copied.
pub(super) fn in_use() -> StoreError {
    StoreError::InUse("the database is being copied; wait until that has ended")
}

/// Says on a connection that the site is worked on.
pub(super) async fn share(conn: &mut AnyConnection) -> Result<(), sqlx::Error> {
    let granted: bool = sqlx::query_scalar("SELECT pg_try_advisory_lock_shared($1)")
        .bind(USE)
        .persistent(false)
        .fetch_one(conn)
        .await?;
    if granted { Ok(()) } else { Err(sqlx::Error::Configuration(in_use().to_string().into())) }
}

/// Asks before a pool does: a pool would try for half a minute, and then say only that it took too long.
pub(super) async fn ask(url: &str) -> Result<(), StoreError> {
    let mut conn = AnyConnection::connect(url).await?;
    let mut shared = share(&mut conn).await;
    for _ in 1..TRIES {
        if !matches!(shared, Err(sqlx::Error::Configuration(_))) {
            break;
        }
        tokio::time::sleep(PAUSE).await;
        shared = share(&mut conn).await;
    }
    conn.close().await?;
    match shared {
        Err(sqlx::Error::Configuration(_)) => Err(in_use()),
        other => Ok(other?),
    }
}

/// Takes the site alone, as long as the connection lives; `false`: somebody works on it.
pub(super) async fn alone(conn: &mut PgConnection) -> Result<bool, StoreError> {
    for _ in 1..TRIES {
        if try_alone(conn).await? {
            return Ok(true);
        }
        tokio::time::sleep(PAUSE).await;
    }
    try_alone(conn).await
}

async fn try_alone(conn: &mut PgConnection) -> Result<bool, StoreError> {
    Ok(sqlx::query_scalar("SELECT pg_try_advisory_lock($1)").bind(USE).persistent(false).fetch_one(conn).await?)
}
