//! Clients that serve content to others of their network, and which files each has.

use super::{
    StoreError, Tx,
    bulk::{Bulk, in_texts, json_texts},
    column::parsed,
};
use muster_model::{
    id::{DeviceId, Hash},
    peer::Peer,
    time::UnixMillis,
};
use sqlx::{AnyConnection, Row, any::AnyRow};
use std::net::IpAddr;

/// A client that serves.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PeerRow {
    /// The device.
    pub device: DeviceId,
    /// The address from which the site heard it.
    pub address: IpAddr,
    /// Where it listens.
    pub port: u16,
    /// The part of the network that the address is in.
    pub network: String,
    /// When it said so.
    pub announced: UnixMillis,
}

static FILES: Bulk = Bulk::new(
    "INSERT INTO content_peer_file (content, network, device)",
    3,
    "ON CONFLICT (content, network, device) DO NOTHING",
);

/// Writes what a client said, in the place of what it said before.
///
/// # Errors
/// When the database cannot be written.
pub async fn put(tx: &mut Tx, row: &PeerRow, content: &[Hash]) -> Result<(), StoreError> {
    // The row first: it orders two announcements of one device.
    let statement = "INSERT INTO content_peer (device, address, port, network, announced) VALUES ($1, $2, $3, $4, $5) \
         ON CONFLICT (device) DO UPDATE SET address = excluded.address, port = excluded.port, \
         network = excluded.network, announced = excluded.announced";
    sqlx::query(statement)
        .bind(row.device.to_string())
        .bind(row.address.to_string())
        .bind(i64::from(row.port))
        .bind(row.network.clone())
        .bind(row.announced.0)
        .execute(tx.conn())
        .await?;
    forget_files(tx, row.device).await?;
    FILES
        .run(tx, content, |query, hash| {
            query.bind(hash.to_string()).bind(row.network.clone()).bind(row.device.to_string())
        })
        .await?;
    Ok(())
}

async fn forget_files(tx: &mut Tx, device: DeviceId) -> Result<(), StoreError> {
    let statement = "DELETE FROM content_peer_file WHERE device = $1";
    sqlx::query(statement).bind(device.to_string()).execute(tx.conn()).await?;
    Ok(())
}

/// A client serves no more.
///
/// # Errors
/// When the database cannot be written.
pub async fn remove(tx: &mut Tx, device: DeviceId) -> Result<(), StoreError> {
    forget_files(tx, device).await?;
    sqlx::query("DELETE FROM content_peer WHERE device = $1").bind(device.to_string()).execute(tx.conn()).await?;
    Ok(())
}

/// Clients that have not said for so long that they serve: at most `most`.
///
/// # Errors
/// When the database cannot be read.
pub async fn silent(conn: &mut AnyConnection, before: UnixMillis, most: u32) -> Result<Vec<DeviceId>, StoreError> {
    let statement = "SELECT device FROM content_peer WHERE announced < $1 ORDER BY announced LIMIT $2";
    let rows = sqlx::query(statement).bind(before.0).bind(i64::from(most)).fetch_all(conn).await?;
    rows.iter().map(|row| parsed(row, "device")).collect()
}

/// The active clients in that part of the network, other than `but`, that said since `since` that they have the file: the latest
/// first, at most `most`.
///
/// # Errors
/// When the database cannot be read.
pub async fn of_content(
    conn: &mut AnyConnection,
    content: Hash,
    network: &str,
    but: DeviceId,
    since: UnixMillis,
    most: u32,
) -> Result<Vec<Peer>, StoreError> {
    let statement = "SELECT p.device, p.address, p.port, d.key_id FROM content_peer_file f \
         JOIN content_peer p ON p.device = f.device JOIN device d ON d.id = f.device \
         WHERE f.content = $1 AND f.network = $2 AND f.device <> $3 AND p.announced >= $4 AND d.state = 'active' \
         ORDER BY p.announced DESC, p.device LIMIT $5";
    let rows = sqlx::query(statement)
        .bind(content.to_string())
        .bind(network.to_owned())
        .bind(but.to_string())
        .bind(since.0)
        .bind(i64::from(most))
        .fetch_all(conn)
        .await?;
    rows.iter().map(peer).collect()
}

fn peer(row: &AnyRow) -> Result<Peer, StoreError> {
    let port: i64 = row.try_get("port")?;
    Ok(Peer {
        device: parsed(row, "device")?,
        key: parsed(row, "key_id")?,
        address: parsed(row, "address")?,
        port: u16::try_from(port).unwrap_or(0),
    })
}

/// Which of these files of at least `least` bytes one of these applications names.
///
/// # Errors
/// When the database cannot be read.
pub async fn named(tx: &mut Tx, applications: &[Hash], content: &[Hash], least: u64) -> Result<Vec<Hash>, StoreError> {
    let statement = tx.dialect().pick(in_texts!(
        "SELECT DISTINCT a.content FROM application_content a JOIN content c ON c.hash = a.content WHERE a.application",
        "AND c.size >= $2 ORDER BY a.content"
    ));
    let least = super::column::signed(least);
    let rows = sqlx::query(statement).bind(json_texts(applications)).bind(least).fetch_all(tx.conn()).await?;
    let named = rows.iter().map(|row| parsed(row, "content")).collect::<Result<Vec<Hash>, _>>()?;
    Ok(named.into_iter().filter(|hash| content.contains(hash)).collect())
}
