//! The role as which ad-hoc SQL runs on PostgreSQL: it may read the views for reports, and nothing else.

use super::super::{Dialect, Store, StoreError, Tx};
use crate::transaction;
use sqlx::{AssertSqlSafe, Executor as _, PgConnection};

/// The name of the role, made of the database's; roles are of the whole server.
const NAME: &str = "left('muster_reader_' || regexp_replace(lower(current_database()), '[^a-z0-9_]', '_', 'g'), 63)";

/// The role, and where the views are.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Reader {
    pub(super) name: String,
    pub(super) schema: String,
}

/// What became of the role.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Role {
    /// SQLite has none, and needs none.
    None,
    /// It is there, with what it needs.
    There(String),
    /// The site's own role may not make one; these statements of somebody who may do.
    Ask(Vec<String>),
}

/// The role, where it is there and this connection may become it.
pub(super) async fn name(conn: &mut PgConnection) -> Result<Option<Reader>, StoreError> {
    let statement = AssertSqlSafe(format!(
        "SELECT CAST(r.rolname AS TEXT), CAST(current_schema() AS TEXT) FROM pg_roles r WHERE r.rolname = {NAME} \
         AND NOT r.rolsuper AND pg_has_role(current_user, r.oid, 'MEMBER')"
    ));
    let row: Option<(String, String)> = sqlx::query_as(statement).persistent(false).fetch_optional(conn).await?;
    Ok(row.filter(|(name, schema)| is_plain(name) && is_plain(schema)).map(|(name, schema)| Reader { name, schema }))
}

fn is_plain(name: &str) -> bool {
    !name.is_empty() && name.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_')
}

/// Makes the role where that is permitted, and gives it the views.
///
/// # Errors
/// When the database cannot be reached.
pub async fn role(store: &Store) -> Result<Role, StoreError> {
    if store.dialect == Dialect::Sqlite {
        return Ok(Role::None);
    }
    let statement = AssertSqlSafe(format!("SELECT {NAME}, CAST(current_user AS TEXT), CAST(current_schema() AS TEXT)"));
    let (role, user, schema): (String, String, String) =
        sqlx::query_as(statement).persistent(false).fetch_one(&mut *store.reader().await?).await?;
    let make = [
        format!("CREATE ROLE \"{role}\" NOLOGIN NOINHERIT NOSUPERUSER NOCREATEDB NOCREATEROLE"),
        format!("GRANT \"{role}\" TO \"{user}\""),
    ];
    let there = async || -> Result<bool, StoreError> {
        let statement = AssertSqlSafe(format!(
            "SELECT COUNT(*) FROM pg_roles r WHERE r.rolname = {NAME} AND NOT r.rolsuper \
             AND pg_has_role(current_user, r.oid, 'MEMBER')"
        ));
        let count: i64 = sqlx::query_scalar(statement).persistent(false).fetch_one(&mut *store.reader().await?).await?;
        Ok(count > 0)
    };
    if !there().await? {
        let made = transaction!(store, "database_reader", |tx| {
            for statement in &make {
                tx.conn().execute(AssertSqlSafe(statement.clone())).await?;
            }
            Ok::<_, StoreError>(())
        });
        match made {
            Ok(()) => {}
            // 42501: not permitted; 42710: somebody made it who did not give it.
            Err(StoreError::Database(sqlx::Error::Database(inner)))
                if matches!(inner.code().as_deref(), Some("42501" | "42710" | "0LP01")) =>
            {
                return Ok(Role::Ask(make.into()));
            }
            Err(error) => return Err(error),
        }
    }
    transaction!(store, "database_reader", |tx| {
        tx.conn().execute(AssertSqlSafe(format!("GRANT USAGE ON SCHEMA \"{schema}\" TO \"{role}\""))).await?;
        let statement = "SELECT CAST(c.relname AS TEXT) FROM pg_class c JOIN pg_namespace s ON s.oid = c.relnamespace \
             AND s.nspname = current_schema() WHERE c.relkind = 'v' AND c.relname LIKE 'v\\_%' ORDER BY 1";
        let views: Vec<String> = sqlx::query_scalar(statement).fetch_all(tx.conn()).await?;
        for view in views.iter().filter(|view| is_plain(view)) {
            tx.conn().execute(AssertSqlSafe(format!("GRANT SELECT ON \"{view}\" TO \"{role}\""))).await?;
        }
        Ok::<_, StoreError>(())
    })?;
    Ok(Role::There(role))
}

/// Gives a view that was made now to the role, where there is one.
pub(in crate::db) async fn grant(tx: &mut Tx, view: &str) -> Result<(), StoreError> {
    if tx.dialect() != Dialect::Postgres || !is_plain(view) {
        return Ok(());
    }
    let statement = AssertSqlSafe(format!("SELECT CAST(rolname AS TEXT) FROM pg_roles WHERE rolname = {NAME}"));
    let role: Option<String> = sqlx::query_scalar(statement).persistent(false).fetch_optional(tx.conn()).await?;
    if let Some(role) = role.filter(|role| is_plain(role)) {
        tx.conn().execute(AssertSqlSafe(format!("GRANT SELECT ON {view} TO \"{role}\""))).await?;
    }
    Ok(())
}
