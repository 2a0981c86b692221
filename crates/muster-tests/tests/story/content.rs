//! A new version of an application with a large file: the client puts it together from the old one, and fetches what is new.

use crate::{harness::Site, loop_closes::sign_and_add};
use muster_model::{api::MessageQuery, status::MessageId};
use std::{fs, path::PathBuf};

/// Bytes that do not compress, the same in every run.
fn noise(length: usize) -> Vec<u8> {
    let mut state = 5_u64;
    let mut next = || {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        state.to_be_bytes()[0]
    };
    (0..length).map(|_| next()).collect()
}

/// Adds a version with these bytes, when the site has cut them; its hash, and what it installs.
async fn added(site: &Site, name: &str, bytes: &[u8]) -> (String, PathBuf) {
    let dir = site.path(name);
    fs::create_dir_all(&dir).unwrap();
    fs::write(dir.join("data.bin"), bytes).unwrap();
    let (manifest, target) = (dir.join("app.toml"), dir.join("installed.bin"));
    let text = format!(
        "name = {name:?}\nversion = \"1.0\"\nplatform = \"linux\"\nmax_run_seconds = 30\nfiles = [{{ path = \"data.bin\" }}]\n\
         [install]\nprogram = \"/usr/bin/install\"\narguments = [\"-D\", \"content/data.bin\", {target:?}]\n\
         [detection]\nkind = \"file\"\npath = {target:?}\ncontent = \"data.bin\"\n"
    );
    fs::write(&manifest, text).unwrap();
    let application = sign_and_add(site, &dir, &manifest).await;
    let list = list_of(site, &muster_trust::sha256(bytes).to_string());
    site.until("the chunk list", async |_| Ok(list.exists().then_some(()))).await;
    (application, target)
}

/// Deploys an application to a device, and waits until it is installed.
async fn installed(site: &Site, device: &str, application: &str, agent: &str) {
    let made = site.muster(&["deployment", "create", application, "--device", device, "--yes", "--json"]).await.json();
    let watched = site.muster(&["deployment", "watch", made["id"].as_str().unwrap(), "--timeout", "60s"]).await;
    assert_eq!(watched.code, Some(0), "{watched:?} {}", site.log(agent));
}

/// What a client says of content in a message of that kind.
async fn said(site: &Site, id: MessageId, hash: &str) -> String {
    site.until("what the client says", async |client| {
        let wanted: MessageQuery = serde_json::from_str(r#"{"limit": 200}"#).unwrap();
        let page = client.message_list(&wanted).await?;
        let said = page.items.into_iter().find(|m| m.id == id.as_str() && m.text.contains(hash));
        Ok(said.map(|m| m.text))
    })
    .await
}

/// Deploys a version with these bytes, when the site has cut them; how many bytes the client says that it moved.
async fn moved(site: &Site, device: &str, name: &str, bytes: &[u8]) -> u64 {
    // The row that speaks of the list is written right behind the file.
    let (application, target) = added(site, name, bytes).await;
    installed(site, device, &application, "agent").await;
    assert!(fs::read(target).unwrap() == bytes);
    let text = said(site, MessageId::ContentFetched, &muster_trust::sha256(bytes).to_string()).await;
    text.split_once("came; ").unwrap().1.split(' ').next().unwrap().parse().unwrap()
}

fn list_of(site: &Site, hash: &str) -> PathBuf {
    site.path("site").join("content").join(&hash[..2]).join(format!("{hash}.chunks"))
}

/// A second client has these bytes from the first one, which has them already, and not from the site.
async fn a_second_client_asks_the_first(site: &Site, bytes: &[u8]) {
    if !site.is_in_network() {
        // Over loopback nobody is a neighbour; `a_second_client_has_its_chunks_from_the_first_and_the_site_gives_none` needs no network.
        eprintln!("The part of the story with two clients of one subnet is left out: the site is in no network here.");
        return;
    }
    let port = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    let port = format!("content_peer_port={port}");
    let set = ["settings", "update", "--set", "content_peers=fetch_and_serve", "--set", &port, "--yes"];
    let ran = site.muster(&set).await;
    assert_eq!(ran.code, Some(0), "{ran:?}");
    let told = "the site knows what this client serves";
    site.until(told, async |_| Ok(site.log("agent").contains(told).then_some(()))).await;
    let (application, target) = added(site, "large-3", bytes).await;
    // On the same machine, where the port is taken: it fetches all the same.
    let (second, mut agent) = site.managed("neighbour").await;
    installed(site, &second, &application, "neighbour").await;
    assert!(fs::read(target).unwrap() == bytes);
    let text = said(site, MessageId::ContentFromPeers, &muster_trust::sha256(bytes).to_string()).await;
    assert!(text.contains(&format!(", {} bytes came from 1 client", bytes.len())), "{text}");
    agent.kill().await.unwrap();
}

/// A new version moves only what changed, and what is installed is the new version.
pub(crate) async fn a_new_version_moves_only_what_changed(site: &Site, device: &str) {
    let old = noise(3 << 20);
    let mut new = old.clone();
    // Everything behind it lies elsewhere now.
    new.splice(1_000_000..1_000_000, *b"put in by the new version");
    let first = moved(site, device, "large-1", &old).await;
    assert!(first >= old.len() as u64, "all of it: {first}");
    let second = moved(site, device, "large-2", &new).await;
    assert!(second < old.len() as u64 / 4, "{second} of {}", new.len());
    a_second_client_asks_the_first(site, &new).await;
}
