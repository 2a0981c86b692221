//! A naive peer: what a straightforward program on the same libraries would do. No identity, no signature; each row by itself.
//!
//! One `UPDATE` a check-in, one committed `INSERT` a status message, and an inventory replaced row by row.

use super::{host, role_limit};
use crate::fleet::{FleetError, clock};
use axum::{
    Router,
    body::Bytes,
    extract::{DefaultBodyLimit, State},
    http::{HeaderMap, StatusCode, header},
    response::{IntoResponse, Response},
    routing::{get, post},
};
use hyper_util::service::TowerToHyperService;
use muster_model::{
    inventory::{Change, Value},
    report::{Batch, Body, Message},
};
use rusqlite::{Connection, params};
use std::{
    path::Path,
    sync::{Arc, Mutex, PoisonError},
};

type Database = Arc<Mutex<Connection>>;

/// Runs the server.
///
/// # Errors
/// When it cannot start.
pub async fn run(site: &Path, scratch: &Path) -> Result<(), FleetError> {
    let path = scratch.join("peer.db");
    let database = role_limit::open(&path).map_err(|error| FleetError::file(&path, error))?;
    database.execute("INSERT INTO device (id, last_seen) VALUES (1, 0)", []).map_err(|e| FleetError::file(&path, e))?;
    let router = Router::new()
        .route("/mp/v1/assignment", get(check_in))
        .route("/mp/v1/reports", post(report))
        .route("/mp/v1/live", get(async || role_limit::live()))
        .layer(DefaultBodyLimit::max(8 << 20))
        .with_state(Arc::new(Mutex::new(database)));
    host::serve(site, TowerToHyperService::new(router)).await
}

/// Does something with the database on a thread where it may wait.
async fn with<T, F>(database: Database, act: F) -> Result<T, StatusCode>
where
    T: Send + 'static,
    F: FnOnce(&mut Connection) -> rusqlite::Result<T> + Send + 'static,
{
    let done = tokio::task::spawn_blocking(move || act(&mut database.lock().unwrap_or_else(PoisonError::into_inner)));
    done.await.ok().and_then(Result::ok).ok_or(StatusCode::INTERNAL_SERVER_ERROR)
}

async fn check_in(State(database): State<Database>, headers: HeaderMap) -> Result<Response, StatusCode> {
    let now = clock::now().0;
    with(database, move |database| database.execute("UPDATE device SET last_seen = ?1 WHERE id = 1", [now])).await?;
    let tag = [(header::ETAG, "\"1\"")];
    if headers.contains_key(header::IF_NONE_MATCH) {
        return Ok((StatusCode::NOT_MODIFIED, tag).into_response());
    }
    Ok((tag, "assignment").into_response())
}

async fn report(State(database): State<Database>, bytes: Bytes) -> Result<&'static str, StatusCode> {
    let messages = messages(&bytes).ok_or(StatusCode::BAD_REQUEST)?;
    with(database, move |database| messages.into_iter().try_for_each(|message| keep(database, message))).await?;
    Ok("{}")
}

fn messages(bytes: &[u8]) -> Option<Vec<Message>> {
    let json = zstd::bulk::decompress(&role_limit::unpack(bytes)?, 32 << 20).ok()?;
    let batch: Batch = serde_json::from_slice(&json).ok()?;
    batch.messages.iter().map(|message| serde_json::from_str(message.get()).ok()).collect()
}

fn keep(database: &mut Connection, message: Message) -> rusqlite::Result<()> {
    match message.body {
        Body::Inventory(report) => {
            let transaction = database.transaction()?;
            for section in report.sections {
                let (Change::Full { rows } | Change::Delta { upsert: rows, .. }) = section.change;
                if rows.len() > 100 {
                    transaction.execute("DELETE FROM software WHERE device = 1", [])?;
                }
                for row in rows {
                    let text = |name: &str| match row.get(name) {
                        Some(Value::Text(text)) => text.clone(),
                        Some(Value::Int(number)) => number.to_string(),
                        _ => String::new(),
                    };
                    transaction.execute(
                        "INSERT INTO software (device, name, version, publisher, installed) VALUES (1, ?1, ?2, ?3, ?4)",
                        params![text("ProductName"), text("ProductVersion"), text("Publisher"), text("InstallDate")],
                    )?;
                }
            }
            transaction.commit()
        }
        other => {
            let body = serde_json::to_string(&other).unwrap_or_default();
            let row = params![message.time.0, body];
            database.execute("INSERT INTO message (device, time, body) VALUES (1, ?1, ?2)", row).map(drop)
        }
    }
}
