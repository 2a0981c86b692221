//! Memory of a server for each client that is connected and silent.

use super::{
    memory,
    process::{Server, Site},
    report::{Figure, Subject},
};
use crate::fleet::{Fleet, FleetError, progress::Progress, run, say};
use std::time::Duration;

/// How long a server may settle before it is looked at.
const SETTLE: Duration = Duration::from_secs(5);

/// Opens the live channel of every device at each server in turn.
///
/// # Errors
/// When our server cannot be measured.
pub async fn measure(
    site: &Site,
    limit: &Server,
    peer: &Server,
    fleet: &Fleet,
    progress: &Progress,
) -> Result<Vec<Figure>, FleetError> {
    let count = fleet.devices.len();
    let mut resident = Figure::new(8, format!("resident memory per idle client at {count}"), "kB", 14.0).lower();
    let mut kernel = Figure::new(8, "kernel memory per idle client", "kB", 6.0).lower();
    for (subject, server) in [(Subject::Limit, limit), (Subject::Ours, &site.server), (Subject::Peer, peer)] {
        match one(server, fleet, progress).await {
            Ok((own, of_kernel)) => {
                say(&format!(
                    "{count} idle clients at {subject:?}: {own:.1} kB resident and {of_kernel:?} kB of the kernel each"
                ));
                resident.runs.push((subject, own));
                kernel.runs.extend(of_kernel.map(|value| (subject, value)));
            }
            Err(error) if subject == Subject::Ours => return Err(error),
            Err(error) => say(&format!("{subject:?} was not measured: {error}")),
        }
    }
    resident.note =
        "growth of the resident set from before the clients came until all were silent; the connections are live \
                     channels"
            .to_owned();
    kernel.note =
        "growth of the socket caches in /proc/slabinfo, halved, because both ends are on this machine".to_owned();
    Ok(vec![resident, kernel])
}

async fn one(server: &Server, fleet: &Fleet, progress: &Progress) -> Result<(f64, Option<f64>), FleetError> {
    let at = Fleet {
        seed: fleet.seed,
        root: fleet.root.clone(),
        management_point: server.target.clone(),
        url: fleet.url.clone(),
        devices: super::load::strangers(&fleet.devices)?,
    };
    let look = || (memory::status(server.pid, "VmRSS"), memory::kernel());
    let before = look();
    let held = run::hold_all(&at, 64, progress).await?;
    tokio::time::sleep(SETTLE).await;
    let after = look();
    let count = held.len();
    drop(held);
    let each = |before: Option<u64>, after: Option<u64>| {
        #[expect(clippy::cast_precision_loss, reason = "bytes and clients stay far below 2^52")]
        Some(after?.saturating_sub(before?) as f64 / count.max(1) as f64 / 1_024.0)
    };
    let own = each(before.0, after.0).ok_or_else(|| FleetError::Unusable("the server is gone".to_owned()))?;
    Ok((own, each(before.1, after.1).map(|both| both / 2.0)))
}
