//! Where devices are, as they said last.

use super::{
    StoreError, Tx,
    bulk::{Bulk, in_texts, json_texts},
    column::{self, parsed},
    device_change::{self, NETWORK},
};
use muster_model::{id::DeviceId, report::NetworkReport, time::UnixMillis};
use sqlx::{AnyConnection, Row, any::AnyRow};

/// What a device said of where it is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NetworkRow {
    /// The device.
    pub device: DeviceId,
    /// The address that it said it from.
    pub seen_address: String,
    /// What it said.
    pub report: NetworkReport,
    /// When the site heard it.
    pub reported: UnixMillis,
}

fn network(row: &AnyRow) -> Result<NetworkRow, StoreError> {
    let report =
        NetworkReport { addresses: column::json(row, "addresses")?, directory_site: row.try_get("directory_site")? };
    Ok(NetworkRow {
        device: parsed(row, "device")?,
        seen_address: row.try_get("seen_address")?,
        report,
        reported: column::time(row, "reported")?,
    })
}

static PUT: Bulk = Bulk::new(
    "INSERT INTO device_network (device, seen_address, addresses, directory_site, reported)",
    5,
    "ON CONFLICT (device) DO UPDATE SET seen_address = excluded.seen_address, addresses = excluded.addresses, \
     directory_site = excluded.directory_site, reported = excluded.reported",
);

/// Writes what devices said, each in the place of what it said before.
///
/// # Errors
/// When the database cannot be written.
pub async fn put(tx: &mut Tx, rows: &[NetworkRow]) -> Result<(), StoreError> {
    PUT.run(tx, rows, |query, row| {
        query
            .bind(row.device.to_string())
            .bind(row.seen_address.clone())
            .bind(column::to_json(&row.report.addresses))
            .bind(row.report.directory_site.clone())
            .bind(row.reported.0)
    })
    .await?;
    let changes: Vec<_> = rows.iter().map(|row| (row.device, vec![NETWORK])).collect();
    device_change::note(tx, &changes).await
}

/// What these devices said, where they did.
///
/// # Errors
/// When the database cannot be read.
pub async fn of_devices(tx: &mut Tx, devices: &[DeviceId]) -> Result<Vec<NetworkRow>, StoreError> {
    let statement = tx.dialect().pick(in_texts!(
        "SELECT device, seen_address, addresses, directory_site, reported FROM device_network WHERE device",
        "ORDER BY device"
    ));
    let rows = sqlx::query(statement).bind(json_texts(devices)).fetch_all(tx.conn()).await?;
    rows.iter().map(network).collect()
}

/// What a device said, where it did.
///
/// # Errors
/// When the database cannot be read.
pub async fn get(conn: &mut AnyConnection, device: DeviceId) -> Result<Option<NetworkRow>, StoreError> {
    let statement =
        "SELECT device, seen_address, addresses, directory_site, reported FROM device_network WHERE device = $1";
    let row = sqlx::query(statement).bind(device.to_string()).fetch_optional(conn).await?;
    row.as_ref().map(network).transpose()
}
