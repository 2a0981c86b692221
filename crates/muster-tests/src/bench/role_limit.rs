//! The limit: the least that any server must do for the same requests over the same TLS. No identity, no signature, no rule.
//!
//! A check-in is answered; a report is unpacked, its JSON is read through once, and it is put into SQLite with whatever else waits, in
//! one transaction. An inventory is kept as one blob.

use super::host;
use crate::fleet::FleetError;
use bytes::Bytes;
use coset::{CoseSign1, TaggedCborSerializable};
use futures_util::{StreamExt, future, stream};
use http::{Method, Request, Response, StatusCode, header};
use http_body_util::{BodyExt, Full, StreamBody, combinators::BoxBody};
use hyper::{
    body::{Frame, Incoming},
    service::service_fn,
};
use muster_model::report::{Batch, Channel};
use rusqlite::Connection;
use std::{convert::Infallible, path::Path};
use tokio::sync::{mpsc, oneshot};

type Body = BoxBody<Bytes, Infallible>;

/// What is to be kept: one blob, or some rows; and who waits for it.
struct Job {
    rows: Vec<Vec<u8>>,
    done: oneshot::Sender<()>,
}

/// The file of which parts are asked for, in the scratch directory.
pub(super) const CONTENT: &str = "content.bin";
/// Jobs that may wait, and are then written together.
const WAITING: usize = 1_024;

/// Runs the server.
///
/// # Errors
/// When it cannot start.
pub async fn run(site: &Path, scratch: &Path) -> Result<(), FleetError> {
    let path = scratch.join("limit.db");
    let database = open(&path).map_err(|error| FleetError::file(&path, error))?;
    let content = Bytes::from(std::fs::read(scratch.join(CONTENT)).unwrap_or_default());
    let (sender, receiver) = mpsc::channel(WAITING);
    std::thread::spawn(move || write(database, receiver));
    host::serve(
        site,
        service_fn(move |request| {
            let (sender, content) = (sender.clone(), content.clone());
            async move { Ok::<_, Infallible>(answer(request, sender, &content).await) }
        }),
    )
    .await
}

/// A database as durable as the site's: write-ahead log, every commit on the disk.
pub(super) fn open(path: &Path) -> rusqlite::Result<Connection> {
    let database = Connection::open(path)?;
    database.pragma_update(None, "journal_mode", "WAL")?;
    database.pragma_update(None, "synchronous", "FULL")?;
    database.execute_batch(
        "CREATE TABLE report (id INTEGER PRIMARY KEY, body BLOB NOT NULL);
         CREATE TABLE device (id INTEGER PRIMARY KEY, last_seen INTEGER NOT NULL);
         CREATE TABLE message (id INTEGER PRIMARY KEY, device INTEGER, time INTEGER, body TEXT NOT NULL);
         CREATE INDEX message_device ON message (device, time);
         CREATE TABLE software (device INTEGER, name TEXT, version TEXT, publisher TEXT, installed INTEGER);
         CREATE INDEX software_device ON software (device);",
    )?;
    Ok(database)
}

/// Writes what waits, all of it in one transaction, until nobody sends any more.
fn write(mut database: Connection, mut jobs: mpsc::Receiver<Job>) {
    while let Some(first) = jobs.blocking_recv() {
        let mut batch = vec![first];
        while let Ok(job) = jobs.try_recv() {
            batch.push(job);
        }
        let written = (|| {
            let transaction = database.transaction()?;
            {
                let mut insert = transaction.prepare_cached("INSERT INTO report (body) VALUES (?1)")?;
                for row in batch.iter().flat_map(|job| &job.rows) {
                    insert.execute([row])?;
                }
            }
            transaction.commit()
        })();
        if written.is_ok() {
            for job in batch {
                // A client that went away waits for nothing.
                let _ = job.done.send(());
            }
        }
    }
}

async fn answer(request: Request<Incoming>, jobs: mpsc::Sender<Job>, content: &Bytes) -> Response<Body> {
    let outcome = match (request.method(), request.uri().path()) {
        (&Method::GET, "/mp/v1/live") => return live(),
        (&Method::GET, path) if path.starts_with("/mp/v1/content/") => part(&request, content),
        (&Method::GET, _) => Some(check_in(&request)),
        (&Method::POST, _) => report(request, jobs).await,
        _ => None,
    };
    outcome.unwrap_or_else(|| {
        let mut response = Response::new(Full::new(Bytes::new()).boxed());
        *response.status_mut() = StatusCode::BAD_REQUEST;
        response
    })
}

/// A stream that says one thing and then never ends.
pub(super) fn live() -> Response<Body> {
    let opened = Ok::<_, Infallible>(Frame::data(Bytes::from_static(b": open\n\n")));
    let stream = stream::once(future::ready(opened)).chain(stream::pending());
    Response::new(BodyExt::boxed(StreamBody::new(stream)))
}

fn check_in(request: &Request<Incoming>) -> Response<Body> {
    let known = request.headers().contains_key(header::IF_NONE_MATCH);
    let body = if known { Bytes::new() } else { Bytes::from_static(b"assignment") };
    let mut response = Response::new(Full::new(body).boxed());
    if known {
        *response.status_mut() = StatusCode::NOT_MODIFIED;
    }
    response.headers_mut().insert(header::ETAG, http::HeaderValue::from_static("\"1\""));
    response
}

/// A part of the one file, which is in memory.
fn part(request: &Request<Incoming>, content: &Bytes) -> Option<Response<Body>> {
    let range = request.headers().get(header::RANGE)?.to_str().ok()?.strip_prefix("bytes=")?;
    let (first, last) = range.split_once('-')?;
    let (first, last): (usize, usize) = (first.parse().ok()?, last.parse().ok()?);
    let part = (first <= last && last < content.len()).then(|| content.slice(first..=last))?;
    let mut response = Response::new(Full::new(part).boxed());
    *response.status_mut() = StatusCode::PARTIAL_CONTENT;
    Some(response)
}

/// The payload of a report; its signature is not looked at.
pub(super) fn unpack(envelope: &[u8]) -> Option<Vec<u8>> {
    CoseSign1::from_tagged_slice(envelope).ok()?.payload
}

async fn report(request: Request<Incoming>, jobs: mpsc::Sender<Job>) -> Option<Response<Body>> {
    let bytes = request.into_body().collect().await.ok()?.to_bytes();
    let payload = unpack(&bytes)?;
    let json = zstd::bulk::decompress(&payload, 32 << 20).ok()?;
    let batch: Batch = serde_json::from_slice(&json).ok()?;
    let rows = match batch.channel {
        Channel::Inventory => vec![payload],
        Channel::Status => batch.messages.iter().map(|message| message.get().as_bytes().to_vec()).collect(),
    };
    let (done, kept) = oneshot::channel();
    jobs.send(Job { rows, done }).await.ok()?;
    kept.await.ok()?;
    Some(Response::new(Full::new(Bytes::from_static(b"{}")).boxed()))
}
