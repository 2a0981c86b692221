//! `muster-bench delta`: a new version of a package on a client that has the old one, with the real programs: what is moved, and what it
//! costs the site and the client; beside the whole, and beside zsync and casync where these are installed.

use super::{
    agent::{self, Agent, until},
    content::name,
    cpu, delta_peer, package,
    process::Site,
    report::Figure,
};
use crate::fleet::{FleetError, clock, say};
use muster_cli::{Client, author, profile::ProfileDir};
use muster_model::{
    api::{DeploymentCreate, MessageQuery, Target},
    application::{Application, ContentFile},
    id::Hash,
    status::MessageId,
};
use muster_trust::sha256;
use std::{fs, path::Path, time::Duration};

#[expect(clippy::cast_precision_loss, reason = "bytes of a measurement")]
fn megabytes(bytes: u64) -> f64 {
    bytes as f64 / 1e6
}

/// An application that makes a file, with one content file that it does not look at.
///
/// # Errors
/// When a name is none.
pub(super) fn application(number: u128, file: ContentFile, made: &str) -> Result<Application, FleetError> {
    let described = serde_json::json!({
        "id": uuid::Uuid::from_u128(number), "name": format!("Package {number}"), "version": number.to_string(),
        "platform": "linux", "content": [file],
        "install": {"program": "/usr/bin/touch", "arguments": [made], "success_codes": [0]},
        "detection": {"kind": "file", "path": made}, "max_run_seconds": 60
    });
    Ok(serde_json::from_value(described)?)
}

/// Signs it, adds it, and deploys it at once.
pub(super) async fn deploy(
    profile: &ProfileDir,
    client: &Client,
    application: &Application,
    target: Target,
) -> Result<(), FleetError> {
    let added = client.application_create(author::sign(application, &profile.author_key()?)?).await?;
    let high_impact = target == Target::AllSystems;
    let request = serde_json::json!({"application": added.hash, "target": target, "high_impact": high_impact});
    client.deployment_create(&serde_json::from_value::<DeploymentCreate>(request)?).await?;
    Ok(())
}

/// What one deployment came to.
#[derive(Debug, Clone, Copy)]
struct Moved {
    bytes: u64,
    client: Duration,
    site: Duration,
}

/// Measures a package of so many megabytes.
///
/// # Errors
/// When a program does not start, or a deployment does not come to its end.
pub async fn measure(size: usize, scratch: &Path) -> Result<Vec<Figure>, FleetError> {
    let old = package::package(size * 1_000_000);
    let new = package::next_version(&old);
    let (old_path, new_path) = (scratch.join("package-1"), scratch.join("package-2"));
    for (path, bytes) in [(&old_path, &old), (&new_path, &new)] {
        fs::write(path, bytes).map_err(|error| FleetError::file(path, error))?;
    }
    let site = Site::start(scratch).await?;
    let profile = ProfileDir::read(&site.profile(), None)?;
    let client = profile.client(clock::now()).await?;
    let mut agent = agent::start(&client, scratch).await?;
    let mut figures = Vec::new();
    let mut moved = Vec::new();
    let versions = [(1, &old, &old_path), (2, &new, &new_path)];
    let outcome = async {
        for (number, bytes, path) in versions {
            let file = ContentFile { name: name("package.bin")?, hash: sha256(bytes), size: bytes.len() as u64 };
            figures.push(upload(&site, &client, &file, path, number).await?);
            let made = scratch.join(format!("made-{number}")).display().to_string();
            let app = application(number, file.clone(), &made)?;
            moved.push(one(&site, &profile, &client, &agent, &app, file.hash, Path::new(&made)).await?);
        }
        Ok::<_, FleetError>(())
    };
    let outcome = outcome.await;
    drop(agent.child.kill().await);
    site.server.stop().await;
    outcome?;
    for (what, moved) in ["the first version, of which nothing is there", "the new version"].iter().zip(&moved) {
        figures.push(
            Figure::new(None, format!("{what}: moved"), "MB", None).lower().ours(megabytes(moved.bytes)).note(format!(
                "of {:.1} MB; CPU of the client {:.2?}, with its installation; of the site {:.2?}",
                megabytes(new.len() as u64),
                moved.client,
                moved.site
            )),
        );
    }
    figures.extend(delta_peer::measure(&old_path, &new_path, scratch).await?);
    Ok(figures)
}

/// Brings a file, and waits until the site has cut and compressed it.
async fn upload(
    site: &Site,
    client: &Client,
    file: &ContentFile,
    path: &Path,
    number: u128,
) -> Result<Figure, FleetError> {
    let before = site.server.usage();
    client.content_upload(file, path, |_| {}).await?;
    let hash = file.hash.to_string();
    let list = site.dir.join("content").join(&hash[..2]).join(format!("{hash}.chunks"));
    until("the chunk list", async || Ok(list.exists().then_some(()))).await?;
    let used = site.server.usage().since(before);
    say(&format!("  version {number}: taken in, cut and compressed in {used:.2?} of CPU"));
    let stored = fs::metadata(list.with_extension("packed")).map_or(file.size, |data| data.len());
    Ok(Figure::new(None, format!("version {number}: upload, cut and compressed once"), "CPU-seconds", None)
        .lower()
        .ours(used.as_secs_f64())
        .note(format!("{:.1} MB, of which {:.1} are stored for clients", megabytes(file.size), megabytes(stored))))
}

/// Deploys a version and waits until it is installed and the client has said what it moved.
async fn one(
    site: &Site,
    profile: &ProfileDir,
    client: &Client,
    agent: &Agent,
    application: &Application,
    hash: Hash,
    made: &Path,
) -> Result<Moved, FleetError> {
    let before = (cpu::usage(agent.pid), site.server.usage());
    deploy(profile, client, application, Target::Device { device: agent.device }).await?;
    until("the installation", async || Ok(made.exists().then_some(()))).await?;
    let (client_used, site_used) = (cpu::usage(agent.pid).since(before.0), site.server.usage().since(before.1));
    let bytes = until("what the client says", async || said(client, hash).await).await?;
    say(&format!(
        "  {:.2} MB moved, {client_used:.2?} of CPU on the client, {site_used:.2?} on the site",
        megabytes(bytes)
    ));
    Ok(Moved { bytes, client: client_used, site: site_used })
}

async fn said(client: &Client, hash: Hash) -> Result<Option<u64>, FleetError> {
    let wanted: MessageQuery = serde_json::from_value(serde_json::json!({"limit": 200}))?;
    let page = client.message_list(&wanted).await?;
    let ours = |text: &&str| text.contains(&hash.to_string());
    let fetched = page.items.iter().filter(|message| message.id == MessageId::ContentFetched.as_str());
    // Content {hash} of {size} bytes came; {moved} bytes were moved, ...
    let moved = |text: &str| text.split_once("came; ")?.1.split(' ').next()?.parse().ok();
    Ok(fetched.map(|message| message.text.as_str()).filter(ours).find_map(moved))
}
