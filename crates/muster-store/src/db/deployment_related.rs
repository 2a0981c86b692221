//! The other applications that a deployment takes along, and what deployments of one application have to do with each other.

use super::{
    StoreError, Tx,
    bulk::{Bulk, in_texts, json_texts},
    column::{self, parsed},
};
use muster_model::{
    api::{RelatedApplication, Relation, Target},
    id::{ApplicationId, DeploymentId, DeviceId, Hash},
    policy::Action,
};
use sqlx::{AnyConnection, Row, any::AnyRow};
use std::collections::HashMap;

static RELATE: Bulk =
    Bulk::new("INSERT INTO deployment_related (deployment, place, application, size, relation)", 5, "");

/// Notes what a new deployment takes along: signed objects with their bytes, in their order.
///
/// # Errors
/// When the database cannot be written.
pub async fn insert(
    tx: &mut Tx,
    deployment: DeploymentId,
    related: &[(Hash, u64, Relation)],
) -> Result<(), StoreError> {
    let places: Vec<_> = (0_i64..).zip(related).collect();
    let id = deployment.to_string();
    RELATE
        .run(tx, &places, |query, (place, (application, size, relation))| {
            let query = query.bind(id.clone()).bind(*place).bind(application.to_string());
            query.bind(column::signed(*size)).bind(relation.as_str())
        })
        .await?;
    Ok(())
}

/// What each of these deployments takes along, in its order.
///
/// # Errors
/// When the database cannot be read.
pub async fn of_deployments(
    conn: &mut AnyConnection,
    dialect: super::Dialect,
    deployments: &[DeploymentId],
) -> Result<HashMap<DeploymentId, Vec<RelatedApplication>>, StoreError> {
    let statement = dialect.pick(in_texts!(
        "SELECT r.deployment, r.application, r.relation, a.name, a.version FROM deployment_related r \
         JOIN application a ON a.hash = r.application WHERE r.deployment",
        "ORDER BY r.deployment, r.place"
    ));
    let mut related: HashMap<DeploymentId, Vec<RelatedApplication>> = HashMap::new();
    for row in sqlx::query(statement).bind(json_texts(deployments)).fetch_all(conn).await? {
        let text: &str = row.try_get("relation")?;
        let relation = Relation::ALL.iter().copied().find(|known| known.as_str() == text);
        related.entry(parsed(&row, "deployment")?).or_default().push(RelatedApplication {
            application: parsed(&row, "application")?,
            name: row.try_get("name")?,
            version: row.try_get("version")?,
            relation: relation.ok_or_else(|| StoreError::Corrupt("column relation".to_owned()))?,
        });
    }
    Ok(related)
}

/// What the deployments of these devices take along, in a fixed order; also those that [`super::assignment::wanted`] holds back, so that
/// whoever asks takes what is of a deployment that a device gets.
///
/// # Errors
/// When the database cannot be read.
pub async fn wanted(tx: &mut Tx, devices: &[DeviceId]) -> Result<Vec<(DeviceId, DeploymentId, Hash, u64)>, StoreError> {
    let statement = tx.dialect().pick(in_texts!(
        "SELECT t.device, t.deployment, r.application, r.size FROM deployment_device t \
         JOIN deployment d ON d.id = t.deployment JOIN deployment_related r ON r.deployment = d.id WHERE t.device",
        "AND d.deleted IS NULL AND t.withdrawn IS NULL AND (d.phase IS NULL OR t.phase <= d.phase) \
         AND (d.paused IS NULL OR t.state NOT IN ('targeted', 'waiting', 'downloading') \
         OR t.waits IN ('restart', 'retry')) ORDER BY t.device, r.application, t.deployment"
    ));
    let rows = sqlx::query(statement).bind(json_texts(devices)).fetch_all(tx.conn()).await?;
    rows.iter()
        .map(|row| {
            let deployment = parsed(row, "deployment")?;
            Ok((parsed(row, "device")?, deployment, parsed(row, "application")?, column::count(row, "size")?))
        })
        .collect()
}

/// How many deployments in force install another version of an application.
///
/// # Errors
/// When the database cannot be read.
pub async fn count_other_versions(
    conn: &mut AnyConnection,
    id: ApplicationId,
    application: Hash,
) -> Result<u64, StoreError> {
    let statement = "SELECT COUNT(*) FROM deployment d JOIN application a ON a.hash = d.application \
         WHERE a.id = $1 AND d.application <> $2 AND d.deleted IS NULL AND d.action = 'install'";
    let query = sqlx::query_scalar(statement).bind(id.to_string()).bind(application.to_string());
    let count: i64 = query.fetch_one(conn).await?;
    Ok(column::unsigned(count))
}

/// Deployments in force of any version of an application that do the contrary on devices of a target: how many devices, and the name
/// of one of the deployments.
///
/// # Errors
/// When the database cannot be read.
pub async fn opposed(
    conn: &mut AnyConnection,
    application: ApplicationId,
    action: Action,
    target: Target,
) -> Result<Option<(u64, String)>, StoreError> {
    let statement = "SELECT COUNT(DISTINCT t.device) AS devices, MIN(p.name) AS name FROM deployment p \
         JOIN application a ON a.hash = p.application JOIN deployment_device t ON t.deployment = p.id \
         JOIN device d ON d.id = t.device \
         WHERE a.id = $1 AND p.action <> $2 AND p.deleted IS NULL AND t.withdrawn IS NULL AND d.state = 'active' \
         AND ($3 = '' OR d.id = $3) AND ($4 = '' OR EXISTS (SELECT 1 FROM collection_member m \
         WHERE m.collection = $4 AND m.resource_id = d.resource_id))";
    let (device, collection) = columns(target);
    let query =
        sqlx::query(statement).bind(application.to_string()).bind(action.as_str()).bind(device).bind(collection);
    let row = query.fetch_one(conn).await?;
    let devices = column::count(&row, "devices")?;
    let name: Option<String> = row.try_get("name")?;
    Ok(name.filter(|_| devices > 0).map(|name| (devices, name)))
}

/// A target as device and collection; both empty: All Systems.
fn columns(target: Target) -> (String, String) {
    match target {
        Target::AllSystems => (String::new(), String::new()),
        Target::Device { device } => (device.to_string(), String::new()),
        Target::Collection { collection } => (String::new(), collection.to_string()),
    }
}

/// A deployment in force that has to do with another one's application on devices that have both.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Rival {
    /// The other deployment.
    pub deployment: DeploymentId,
    /// Its name.
    pub name: String,
    /// Whether it wants its application to be there.
    pub installs: bool,
    /// Its application.
    pub application: ApplicationId,
    /// Its signed object.
    pub object: Hash,
    /// Active devices that have both.
    pub devices: u64,
    /// The first of them by name.
    pub example: String,
}

/// Deployments in force on devices of a deployment, of its application, of one that it replaces, or of one that replaces it.
///
/// # Errors
/// When the database cannot be read.
pub async fn rivals(conn: &mut AnyConnection, id: DeploymentId) -> Result<Vec<Rival>, StoreError> {
    let statement = "SELECT o.id, o.name, o.action, a.id AS application, a.hash AS object, \
         COUNT(*) AS devices, MIN(v.name) AS example FROM deployment_device t \
         JOIN deployment_device u ON u.device = t.device AND u.deployment <> t.deployment AND u.withdrawn IS NULL \
         JOIN deployment o ON o.id = u.deployment AND o.deleted IS NULL JOIN application a ON a.hash = o.application \
         JOIN device v ON v.id = t.device AND v.state = 'active' WHERE t.deployment = $1 AND t.withdrawn IS NULL \
         AND o.id IN (SELECT p.id FROM deployment p JOIN application b ON b.hash = p.application WHERE p.deleted IS NULL \
         AND (b.id IN (SELECT c.id FROM application c JOIN deployment q ON q.application = c.hash WHERE q.id = $1) \
         OR b.id IN (SELECT c.id FROM application c JOIN deployment_related r ON r.application = c.hash \
         WHERE r.deployment = $1 AND r.relation = 'superseded') \
         OR EXISTS (SELECT 1 FROM deployment_related r JOIN application c ON c.hash = r.application \
         JOIN application e ON e.id = c.id JOIN deployment q ON q.application = e.hash \
         WHERE r.deployment = p.id AND r.relation = 'superseded' AND q.id = $1))) \
         GROUP BY o.id, o.name, o.action, a.id, a.hash ORDER BY o.name, o.id";
    sqlx::query(statement).bind(id.to_string()).fetch_all(conn).await?.iter().map(rival).collect()
}

fn rival(row: &AnyRow) -> Result<Rival, StoreError> {
    Ok(Rival {
        deployment: parsed(row, "id")?,
        name: row.try_get("name")?,
        installs: row.try_get::<&str, _>("action")? == Action::Install.as_str(),
        application: parsed(row, "application")?,
        object: parsed(row, "object")?,
        devices: column::count(row, "devices")?,
        example: row.try_get("example")?,
    })
}

/// As [`rivals`], of a deployment that is not made yet: of an application, of those that it would replace, or of one that replaces it,
/// on the active devices of its target.
///
/// # Errors
/// When the database cannot be read.
pub async fn rivals_of(
    conn: &mut AnyConnection,
    dialect: super::Dialect,
    application: ApplicationId,
    replaced: &[ApplicationId],
    target: Target,
) -> Result<Vec<Rival>, StoreError> {
    let statement = dialect.pick(in_texts!(
        "SELECT o.id, o.name, o.action, a.id AS application, a.hash AS object, COUNT(*) AS devices, \
         MIN(d.name) AS example FROM deployment o JOIN application a ON a.hash = o.application \
         JOIN deployment_device u ON u.deployment = o.id AND u.withdrawn IS NULL \
         JOIN device d ON d.id = u.device AND d.state = 'active' WHERE o.deleted IS NULL \
         AND ($3 = '' OR d.id = $3) AND ($4 = '' OR EXISTS (SELECT 1 FROM collection_member m \
         WHERE m.collection = $4 AND m.resource_id = d.resource_id)) \
         AND (EXISTS (SELECT 1 FROM deployment_related r JOIN application c ON c.hash = r.application \
         WHERE r.deployment = o.id AND r.relation = 'superseded' AND c.id = $2) OR a.id",
        ") GROUP BY o.id, o.name, o.action, a.id, a.hash ORDER BY o.name, o.id"
    ));
    let (device, collection) = columns(target);
    let query = sqlx::query(statement)
        .bind(json_texts(replaced.iter().chain([&application])))
        .bind(application.to_string())
        .bind(device)
        .bind(collection);
    query.fetch_all(conn).await?.iter().map(rival).collect()
}

/// How many deployments in force take some version of an application along for that reason.
///
/// # Errors
/// When the database cannot be read.
pub async fn count_of(
    conn: &mut AnyConnection,
    application: ApplicationId,
    relation: Relation,
) -> Result<u64, StoreError> {
    let statement = "SELECT COUNT(DISTINCT p.id) FROM deployment p JOIN deployment_related r ON r.deployment = p.id \
         JOIN application a ON a.hash = r.application WHERE a.id = $1 AND r.relation = $2 AND p.deleted IS NULL";
    let query = sqlx::query_scalar(statement).bind(application.to_string()).bind(relation.as_str());
    let count: i64 = query.fetch_one(conn).await?;
    Ok(column::unsigned(count))
}

/// How many deployments in force want some version of an application to be there.
///
/// # Errors
/// When the database cannot be read.
pub async fn count_installed(conn: &mut AnyConnection, application: ApplicationId) -> Result<u64, StoreError> {
    let statement = "SELECT COUNT(*) FROM deployment p JOIN application a ON a.hash = p.application \
         WHERE a.id = $1 AND p.action = 'install' AND p.deleted IS NULL";
    let count: i64 = sqlx::query_scalar(statement).bind(application.to_string()).fetch_one(conn).await?;
    Ok(column::unsigned(count))
}
