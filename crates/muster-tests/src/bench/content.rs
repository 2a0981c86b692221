//! `muster-bench content`: pieces of a content file over mutual TLS, by our server with its rules, by the least that a server of the
//! same libraries must do, and by nginx on OpenSSL.

use super::{
    agent::until,
    delta::{application, deploy},
    load::{self, CONNECTIONS, Outcome, Work},
    openssl, package,
    process::{Server, Site},
    report::{Figure, Subject},
    role_limit,
};
use crate::fleet::{
    FleetError, clock, device::Device, enrol, enrol::Wanted, http::Connection, progress::Progress, say,
};
use muster_cli::profile::ProfileDir;
use muster_model::{api::Target, application::ContentFile};
use muster_trust::sha256;
use std::{fs, path::Path, time::Duration};

/// Bytes of the file: more than any cache of a processor.
const SIZE: usize = 64 << 20;
/// Pieces, with what is to be reached: gigabytes in a CPU-second.
const PIECES: [(&str, u64, f64); 2] = [("1 MB", 1 << 20, 1.7), ("64 KB", 64 << 10, 0.9)];
const UNIT: &str = "GB per CPU-second";

/// Measures both sizes.
///
/// # Errors
/// When a server does not start, or devices cannot be enrolled.
pub async fn measure(length: Duration, scratch: &Path, progress: &Progress) -> Result<Vec<Figure>, FleetError> {
    let bytes = package::package(SIZE);
    let file = ContentFile { name: name("content.bin")?, hash: sha256(&bytes), size: bytes.len() as u64 };
    let path = scratch.join(role_limit::CONTENT);
    fs::write(&path, &bytes).map_err(|error| FleetError::file(&path, error))?;
    let site = Site::start(scratch).await?;
    let profile = ProfileDir::read(&site.profile(), None)?;
    let client = profile.client(clock::now()).await?;
    let wanted = Wanted { count: CONNECTIONS as u64, seed: 1, concurrency: CONNECTIONS };
    let fleet = enrol::enrol(&site.profile(), wanted, progress).await?;
    client.content_upload(&file, &path, |_| {}).await?;
    let app = application(1, file.clone(), "/nonexistent/installed")?;
    deploy(&profile, &client, &app, Target::AllSystems).await?;
    let mut devices = load::strangers(&fleet.devices)?;
    for device in &devices {
        assigned(device, &fleet.root, &site, &file).await?;
    }
    let limit = Server::role("serve-limit", &site.dir, scratch).await?;
    let nginx = nginx(&site, scratch, &file, &bytes).await?;
    let mut figures = Vec::new();
    for (what, piece, target) in PIECES {
        let work = Work::Content { hash: file.hash, size: file.size, piece };
        let mut figure = Figure::new(11, format!("content over mutual TLS, pieces of {what}"), UNIT, target);
        for subject in [Subject::Limit, Subject::Ours, Subject::Peer, Subject::Ours, Subject::Limit] {
            let server = match subject {
                Subject::Limit => &limit,
                Subject::Ours => &site.server,
                Subject::Peer => match &nginx {
                    Some(server) => server,
                    None => continue,
                },
            };
            let outcome = load::run(work, server, &fleet.root, &mut devices, 1, length, false).await?;
            let value = gigabytes(&outcome, piece);
            say(&format!("  {what} {subject:?}: {value:.2} {UNIT}"));
            figure.runs.push((subject, value));
        }
        figures.push(figure.note(match nginx {
            Some(_) => "the peer is nginx on OpenSSL, with one process, which asks nobody whether the device may",
            None => "nginx was not measured: the Debian package nginx-light is missing",
        }));
    }
    if let Some(nginx) = nginx {
        nginx.stop().await;
    }
    limit.stop().await;
    site.server.stop().await;
    Ok(figures)
}

/// A name of a file.
pub(super) fn name<T: std::str::FromStr>(text: &str) -> Result<T, FleetError>
where
    T::Err: std::fmt::Display,
{
    text.parse().map_err(|error: T::Err| FleetError::Unusable(error.to_string()))
}

#[expect(clippy::cast_precision_loss, reason = "bytes of a measurement")]
fn gigabytes(outcome: &Outcome, piece: u64) -> f64 {
    outcome.per_cpu_second() * piece as f64 / 1e9
}

/// Waits until a device may have the file.
async fn assigned(device: &Device, root: &[u8], site: &Site, file: &ContentFile) -> Result<(), FleetError> {
    let mut connection = Connection::open(device.tls(root, false)?, &site.server.target, device.number).await?;
    let path = format!("/mp/v1/content/{}", file.hash);
    until("the deployment's policy", async || {
        let answer = connection.get_part(&path, 0, 1).await?;
        Ok((answer.status == 206).then_some(()))
    })
    .await
}

async fn nginx(site: &Site, scratch: &Path, file: &ContentFile, bytes: &[u8]) -> Result<Option<Server>, FleetError> {
    let dir = scratch.join("nginx/www/mp/v1/content");
    fs::create_dir_all(&dir).map_err(|error| FleetError::file(&dir, error))?;
    let path = dir.join(file.hash.to_string());
    fs::write(&path, bytes).map_err(|error| FleetError::file(&path, error))?;
    openssl::start(&site.dir, scratch).await
}
