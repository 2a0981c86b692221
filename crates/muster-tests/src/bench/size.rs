//! Line 13: what a device costs on the disk of the database, as it is now and with a quarter of a year of changes.
//!
//! The difference between a site with a few devices and one with many, so that what every site has counts for no device. A changed
//! week is an update of five packages, reported as a difference.

use super::{
    process::{Database, Limits, Site},
    report::Figure,
};
use crate::fleet::{
    Fleet, FleetError,
    enrol::{self, Wanted},
    progress::Progress,
    run::{self, Kind},
    say,
};
use std::{fs, path::Path, process::Stdio};
use tokio::process::Command;

/// Devices of the small site: so many that nearly every version of every package is stored once already.
const FEW: u64 = 500;
/// Weeks of 90 days.
const WEEKS: u32 = 13;
/// Devices that report at the same time.
const TOGETHER: usize = 32;

/// Bytes of the site's database, when nothing of it waits in a log.
async fn bytes(site: &Site, database: &Database) -> Result<u64, FleetError> {
    match database {
        Database::Sqlite => {
            let path = site.dir.join("site.db");
            Ok(fs::metadata(&path).map_err(|error| FleetError::file(&path, error))?.len())
        }
        Database::Postgres { url, .. } => {
            let sql = "CHECKPOINT; SELECT pg_database_size(current_database())";
            let output = Command::new("psql").args(["-Atqc", sql, url]).stdin(Stdio::null()).output().await;
            let output = output.map_err(FleetError::io("psql (Debian package postgresql-client)"))?;
            String::from_utf8_lossy(&output.stdout).trim().parse().map_err(|_| {
                FleetError::Unusable(format!("psql did not say a size: {}", String::from_utf8_lossy(&output.stderr)))
            })
        }
    }
}

async fn report(fleet: &mut Fleet, kind: Kind, progress: &Progress) -> Result<(), FleetError> {
    let summary = run::inventory(fleet, kind, TOGETHER, progress).await?;
    match summary.failed {
        0 => Ok(()),
        failed => Err(FleetError::Unusable(format!("{failed} inventories failed"))),
    }
}

#[expect(clippy::cast_precision_loss, reason = "sizes and counts stay far below 2^52")]
fn each(before: u64, after: u64, devices: u64) -> f64 {
    after.saturating_sub(before) as f64 / devices.max(1) as f64 / 1_000.0
}

/// Kilobytes of a device, as it is now, and with 90 days of changes.
///
/// # Errors
/// When the site does not start, or a report fails.
pub async fn measure(
    devices: u64,
    database: Database,
    scratch: &Path,
    progress: &Progress,
) -> Result<Vec<Figure>, FleetError> {
    let mut site = Site::start_on(scratch, database.clone(), Limits::Wide).await?;
    let wanted = |count| Wanted { count, seed: 1, concurrency: TOGETHER };
    let mut few = enrol::enrol(&site.profile(), wanted(FEW), progress).await?;
    report(&mut few, Kind::Full, progress).await?;
    site = site.restart().await?;
    let small = bytes(&site, &database).await?;
    let mut many = enrol::enrol(&site.profile(), Wanted { seed: 2, ..wanted(devices) }, progress).await?;
    report(&mut many, Kind::Full, progress).await?;
    site = site.restart().await?;
    let now = bytes(&site, &database).await?;
    for week in 1..=WEEKS {
        say(&format!("week {week} of {WEEKS}"));
        report(&mut many, Kind::Delta, progress).await?;
    }
    site = site.restart().await?;
    let then = bytes(&site, &database).await?;
    site.server.stop().await;
    let on = database.name();
    let note = format!("{devices} devices beside {FEW}; the database of {FEW} has {:.1} MB", each(0, small, 1_000));
    Ok(vec![
        Figure::new(13, format!("stored for a device, 1,500 packages ({on})"), "kB", 25.0)
            .lower()
            .ours(each(small, now, devices))
            .note(note),
        Figure::new(13, format!("the same with {WEEKS} weekly updates of 5 packages ({on})"), "kB", 100.0)
            .lower()
            .ours(each(small, then, devices)),
    ])
}
