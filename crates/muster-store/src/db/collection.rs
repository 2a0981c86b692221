//! Collections and their rules.

use super::{
    StoreError, Tx,
    column::{self, json, parsed, parsed_opt, signed, to_json, unsigned},
};
use muster_model::{
    api::{Collection, CollectionDeployment, CollectionKind, CollectionQuery},
    id::{CollectionId, Name},
    time::UnixMillis,
};
use sqlx::{AnyConnection, Row, any::AnyRow};

/// A stored rule.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RuleRow {
    /// Its number; 0 before it is stored.
    pub id: i64,
    /// Whose it is.
    pub collection: CollectionId,
    /// What people call it; for a direct rule the device's name at the time.
    pub name: String,
    /// What it says.
    pub rule: Rule,
}

/// What a rule says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Rule {
    /// This resource.
    Direct(i64),
    /// Every resource that the query gives.
    Query(String),
    /// Every member of that collection.
    Include(CollectionId),
    /// No member of that collection.
    Exclude(CollectionId),
}

impl Rule {
    const fn kind(&self) -> &'static str {
        match self {
            Self::Direct(_) => "direct",
            Self::Query(_) => "query",
            Self::Include(_) => "include",
            Self::Exclude(_) => "exclude",
        }
    }
}

fn rule(row: &AnyRow) -> Result<RuleRow, StoreError> {
    let missing = || StoreError::Corrupt("a rule of a collection is not whole".to_owned());
    let source = || parsed_opt(row, "source")?.ok_or_else(missing);
    Ok(RuleRow {
        id: row.try_get("id")?,
        collection: parsed(row, "collection")?,
        name: row.try_get("name")?,
        rule: match row.try_get::<&str, _>("kind")? {
            "direct" => Rule::Direct(row.try_get::<Option<i64>, _>("resource_id")?.ok_or_else(missing)?),
            "query" => Rule::Query(row.try_get::<Option<String>, _>("query")?.ok_or_else(missing)?),
            "include" => Rule::Include(source()?),
            "exclude" => Rule::Exclude(source()?),
            _ => return Err(missing()),
        },
    })
}

fn collection(row: &AnyRow) -> Result<Collection, StoreError> {
    let flag = |column| Ok::<_, StoreError>(row.try_get::<i64, _>(column)? != 0);
    let moment = |column| Ok::<_, StoreError>(row.try_get::<Option<i64>, _>(column)?.map(UnixMillis));
    Ok(Collection {
        id: parsed(row, "id")?,
        name: parsed(row, "name")?,
        comment: row.try_get("comment")?,
        kind: parsed::<CollectionKind>(row, "kind")?,
        limiting: parsed_opt(row, "limiting")?,
        built_in: flag("built_in")?,
        protected: flag("protected")?,
        incremental: flag("incremental")?,
        schedule: json(row, "schedule")?,
        members: column::count(row, "member_count")?,
        rules: column::count(row, "rule_count")?,
        members_changed: moment("members_changed")?,
        evaluated: moment("evaluated")?,
        evaluation_took: column::count(row, "evaluation_took")?,
        evaluation_error: row.try_get("evaluation_error")?,
        pending: flag("pending")?,
        next_evaluation: moment("next_evaluation")?,
        changed: column::time(row, "changed")?,
        changed_by: row.try_get("changed_by")?,
        revision: column::count(row, "revision")?,
    })
}

macro_rules! select {
    ($rest:literal) => {
        concat!(
            "SELECT c.id, c.name, c.comment, c.kind, c.limiting, c.built_in, c.protected, c.incremental, c.schedule, \
             c.member_count, c.members_changed, c.evaluated, c.evaluation_took, c.evaluation_error, c.pending, \
             c.next_evaluation, c.changed, c.changed_by, c.revision, \
             (SELECT COUNT(*) FROM collection_rule r WHERE r.collection = c.id) AS rule_count FROM collection c ",
            $rest
        )
    };
}

/// Takes the graph of collections for this transaction: two who change it follow each other. Every change calls this first.
///
/// # Errors
/// When the database cannot be written.
pub async fn lock(tx: &mut Tx) -> Result<(), StoreError> {
    sqlx::query("UPDATE collection_state SET rules = rules + 1 WHERE id = 1").execute(tx.conn()).await?;
    Ok(())
}

/// The next number for an id; none is given twice. Call [`lock`] first.
///
/// # Errors
/// When the database cannot be written.
pub async fn next_number(tx: &mut Tx) -> Result<u64, StoreError> {
    sqlx::query("UPDATE collection_state SET last_number = last_number + 1 WHERE id = 1").execute(tx.conn()).await?;
    let number: i64 =
        sqlx::query_scalar("SELECT last_number FROM collection_state WHERE id = 1").fetch_one(tx.conn()).await?;
    Ok(unsigned(number))
}

/// How many collections there are.
///
/// # Errors
/// When the database cannot be read.
pub async fn count(conn: &mut AnyConnection) -> Result<u64, StoreError> {
    Ok(unsigned(sqlx::query_scalar("SELECT COUNT(*) FROM collection").fetch_one(conn).await?))
}

/// One collection.
///
/// # Errors
/// When the database cannot be read.
pub async fn get(conn: &mut AnyConnection, id: CollectionId) -> Result<Option<Collection>, StoreError> {
    let row = sqlx::query(select!("WHERE c.id = $1")).bind(id.to_string()).fetch_optional(conn).await?;
    row.as_ref().map(collection).transpose()
}

/// Every collection, by id.
///
/// # Errors
/// When the database cannot be read.
pub async fn all(conn: &mut AnyConnection) -> Result<Vec<Collection>, StoreError> {
    let rows = sqlx::query(select!("ORDER BY c.id")).fetch_all(conn).await?;
    rows.iter().map(collection).collect()
}

/// A page of collections, by name; and how many there are.
///
/// # Errors
/// When the database cannot be read.
pub async fn list(conn: &mut AnyConnection, query: &CollectionQuery) -> Result<(Vec<Collection>, u64), StoreError> {
    let pattern = column::contains(&query.search);
    let total: i64 = sqlx::query_scalar(
        "SELECT COUNT(*) FROM collection WHERE LOWER(name) LIKE $1 ESCAPE '!' OR LOWER(id) LIKE $1 ESCAPE '!'",
    )
    .bind(pattern.clone())
    .fetch_one(&mut *conn)
    .await?;
    let rows = sqlx::query(select!(
        "WHERE LOWER(c.name) LIKE $1 ESCAPE '!' OR LOWER(c.id) LIKE $1 ESCAPE '!' ORDER BY c.name, c.id LIMIT $2 OFFSET $3"
    ))
    .bind(pattern)
    .bind(i64::from(query.limit))
    .bind(signed(query.offset))
    .fetch_all(conn)
    .await?;
    Ok((rows.iter().map(collection).collect::<Result<_, _>>()?, unsigned(total)))
}

/// Writes a collection, a new one or in the place of what was there. What evaluations left stays.
///
/// # Errors
/// [`StoreError::Exists`] when another one has the name.
pub async fn put(tx: &mut Tx, row: &Collection) -> Result<(), StoreError> {
    let statement = "INSERT INTO collection (id, kind, name, comment, limiting, built_in, protected, incremental, schedule, \
         next_evaluation, pending, member_count, evaluation_took, changed, changed_by, revision) \
         VALUES ($1, $2, $3, $4, $5, 0, $6, $7, $8, $9, 1, 0, 0, $10, $11, $12) \
         ON CONFLICT (id) DO UPDATE SET name = excluded.name, comment = excluded.comment, limiting = excluded.limiting, \
         protected = excluded.protected, incremental = excluded.incremental, schedule = excluded.schedule, \
         next_evaluation = excluded.next_evaluation, pending = collection.pending + 1, changed = excluded.changed, \
         changed_by = excluded.changed_by, revision = excluded.revision";
    sqlx::query(statement)
        .bind(row.id.to_string())
        .bind(row.kind.as_str())
        .bind(row.name.as_str())
        .bind(&row.comment)
        .bind(row.limiting.map(|id| id.to_string()))
        .bind(i64::from(row.protected))
        .bind(i64::from(row.incremental))
        .bind(to_json(&row.schedule))
        .bind(row.next_evaluation.map(|next| next.0))
        .bind(row.changed.0)
        .bind(&row.changed_by)
        .bind(signed(row.revision))
        .execute(tx.conn())
        .await?;
    Ok(())
}

/// Asks for an evaluation.
///
/// # Errors
/// When the database cannot be written.
pub async fn ask(tx: &mut Tx, id: CollectionId) -> Result<(), StoreError> {
    let statement = "UPDATE collection SET pending = pending + 1 WHERE id = $1";
    sqlx::query(statement).bind(id.to_string()).execute(tx.conn()).await?;
    Ok(())
}

/// Collections that are to be evaluated now, each with its request; 0: by its schedule.
///
/// # Errors
/// When the database cannot be read.
pub async fn due(conn: &mut AnyConnection, now: UnixMillis) -> Result<Vec<(CollectionId, i64)>, StoreError> {
    let statement = "SELECT id, pending FROM collection WHERE pending > 0 \
         UNION SELECT id, pending FROM collection WHERE next_evaluation <= $1";
    let rows = sqlx::query(statement).bind(now.0).fetch_all(conn).await?;
    rows.iter().map(|row| Ok((parsed(row, "id")?, row.try_get("pending")?))).collect()
}

/// Whether any is to be evaluated now.
///
/// # Errors
/// When the database cannot be read.
pub async fn is_due(conn: &mut AnyConnection, now: UnixMillis) -> Result<bool, StoreError> {
    let statement = "SELECT CASE WHEN EXISTS (SELECT 1 FROM collection WHERE pending > 0) \
         OR EXISTS (SELECT 1 FROM collection WHERE next_evaluation <= $1) THEN 1 ELSE 0 END";
    let due: i32 = sqlx::query_scalar(statement).bind(now.0).fetch_one(conn).await?;
    Ok(due != 0)
}

/// Notes that somebody changed the rules.
///
/// # Errors
/// When the database cannot be written.
pub async fn touch(tx: &mut Tx, id: CollectionId, now: UnixMillis, by: &str) -> Result<(), StoreError> {
    let statement = "UPDATE collection SET pending = pending + 1, changed = $2, changed_by = $3, \
         revision = revision + 1 WHERE id = $1";
    sqlx::query(statement).bind(id.to_string()).bind(now.0).bind(by).execute(tx.conn()).await?;
    Ok(())
}

/// Removes a collection with its rules and members. What refers to it must be gone.
///
/// # Errors
/// When the database cannot be written.
pub async fn remove(tx: &mut Tx, id: CollectionId) -> Result<(), StoreError> {
    for statement in [
        "DELETE FROM collection_member WHERE collection = $1",
        "DELETE FROM collection_rule WHERE collection = $1",
        "DELETE FROM collection WHERE id = $1",
    ] {
        sqlx::query(statement).bind(id.to_string()).execute(tx.conn()).await?;
    }
    Ok(())
}

macro_rules! select_rules {
    ($rest:literal) => {
        concat!("SELECT id, collection, kind, name, resource_id, query, source FROM collection_rule ", $rest)
    };
}

/// Every rule of every collection.
///
/// # Errors
/// When the database cannot be read.
pub async fn all_rules(conn: &mut AnyConnection) -> Result<Vec<RuleRow>, StoreError> {
    let rows = sqlx::query(select_rules!("ORDER BY id")).fetch_all(conn).await?;
    rows.iter().map(rule).collect()
}

/// The rules of a collection, in the order in which they were made.
///
/// # Errors
/// When the database cannot be read.
pub async fn rules(conn: &mut AnyConnection, id: CollectionId) -> Result<Vec<RuleRow>, StoreError> {
    let query = sqlx::query(select_rules!("WHERE collection = $1 ORDER BY id")).bind(id.to_string());
    query.fetch_all(conn).await?.iter().map(rule).collect()
}

/// Adds a rule; its number.
///
/// # Errors
/// When the database cannot be written.
pub async fn add_rule(tx: &mut Tx, row: &RuleRow) -> Result<i64, StoreError> {
    let statement = "INSERT INTO collection_rule (collection, kind, name, resource_id, query, source) \
         VALUES ($1, $2, $3, $4, $5, $6) RETURNING id";
    let (resource, query, source) = match &row.rule {
        Rule::Direct(resource) => (Some(*resource), None, None),
        Rule::Query(query) => (None, Some(query.clone()), None),
        Rule::Include(source) | Rule::Exclude(source) => (None, None, Some(source.to_string())),
    };
    let id: i64 = sqlx::query_scalar(statement)
        .bind(row.collection.to_string())
        .bind(row.rule.kind())
        .bind(row.name.clone())
        .bind(resource)
        .bind(query)
        .bind(source)
        .fetch_one(tx.conn())
        .await?;
    Ok(id)
}

/// The collections with a rule that names this resource.
///
/// # Errors
/// When the database cannot be read.
pub async fn with_resource(conn: &mut AnyConnection, number: i64) -> Result<Vec<CollectionId>, StoreError> {
    let statement = "SELECT DISTINCT collection FROM collection_rule WHERE resource_id = $1";
    let ids: Vec<String> = sqlx::query_scalar(statement).bind(number).fetch_all(conn).await?;
    ids.iter().map(|id| column::parse(id, "collection")).collect()
}

/// Removes a rule of that collection; `false`: it has no such rule.
///
/// # Errors
/// When the database cannot be written.
pub async fn remove_rule(tx: &mut Tx, collection: CollectionId, id: i64) -> Result<bool, StoreError> {
    let statement = "DELETE FROM collection_rule WHERE collection = $1 AND id = $2";
    let done = sqlx::query(statement).bind(collection.to_string()).bind(id).execute(tx.conn()).await?;
    Ok(done.rows_affected() > 0)
}

/// Deployments to a collection that are in force, those of high impact first; the first 500.
///
/// # Errors
/// When the database cannot be read.
pub async fn deployments(
    conn: &mut AnyConnection,
    id: CollectionId,
) -> Result<Vec<(CollectionDeployment, bool)>, StoreError> {
    let statement = "SELECT id, name, high_impact FROM deployment WHERE target_collection = $1 AND deleted IS NULL \
         ORDER BY high_impact DESC, created, id LIMIT 500";
    let rows = sqlx::query(statement).bind(id.to_string()).fetch_all(conn).await?;
    let deployment = |row: &AnyRow| {
        let name: Name = parsed(row, "name")?;
        Ok((CollectionDeployment { id: parsed(row, "id")?, name }, row.try_get::<i64, _>("high_impact")? != 0))
    };
    rows.iter().map(deployment).collect()
}
