//! A real collector of somebody else: Debian's FusionInventory agent, whose document is sent with the device's own certificate.

use crate::harness::{Site, run};
use base64::{Engine, engine::general_purpose::STANDARD as BASE64};
use std::{fs, path::Path};

/// A certificate of the identity on disk as PEM, as `openssl x509 -inform DER` makes it.
fn pem(der: &str) -> String {
    let text = BASE64.encode(BASE64.decode(der).unwrap());
    let lines: Vec<&str> = text.as_bytes().chunks(64).map(|line| std::str::from_utf8(line).unwrap()).collect();
    format!("-----BEGIN CERTIFICATE-----\n{}\n-----END CERTIFICATE-----\n", lines.join("\n"))
}

#[tokio::test]
async fn a_fusioninventory_agent_is_heard_with_the_certificate_of_its_device_and_with_no_other() {
    // proves S1
    if !["fusioninventory-agent", "curl"].iter().all(|program| Path::new("/usr/bin").join(program).exists()) {
        let why = "the Debian package fusioninventory-agent or curl is missing";
        return muster_tests::skip::loudly("the inventory of a foreign collector", why);
    }
    let site = Site::start().await;
    let (device, mut agent) = site.managed("agent").await;
    let kept: serde_json::Value = serde_json::from_slice(&fs::read(site.path("agent/identity.json")).unwrap()).unwrap();
    let (certificates, point) = (&kept["stage"]["certificates"], &kept["stage"]["management_points"][0]);
    for (name, at) in [("device.pem", 0), ("ca.pem", 1)] {
        fs::write(site.path(name), pem(certificates[at].as_str().unwrap())).unwrap();
    }
    fs::create_dir(site.path("collected")).unwrap();
    let collected = site.path("collected").display().to_string();
    let local = format!("--local={collected}");
    let taken = run(
        "/usr/bin/fusioninventory-agent",
        &[&local, "--tasks=inventory", "--no-category=process,environment,printer,user", "--force", "--logger=stderr"],
    )
    .await;
    let document = fs::read_dir(site.path("collected"))
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .find(|path| path.extension().is_some_and(|extension| extension == "ocs"))
        .unwrap_or_else(|| panic!("{taken:?}"));
    let address = format!("{}/mp/v1/foreign/inventory", point.as_str().unwrap());
    let (ca, certificate, key) = (site.path("ca.pem"), site.path("device.pem"), site.path("agent/device.key"));
    let ca = ca.display().to_string();
    let own = [certificate.display().to_string(), key.display().to_string()];
    let post = async |file: &Path, media: &str, own: &[String]| {
        let (data, media) = (format!("@{}", file.display()), format!("Content-Type: {media}"));
        let mut arguments =
            vec!["--silent", "--show-error", "--tlsv1.3", "--cacert", &ca, "-H", &media, "--data-binary", &data];
        if let [certificate, key] = own {
            arguments.extend(["--cert", certificate, "--key", key]);
        }
        arguments.push(&address);
        run("/usr/bin/curl", &arguments).await
    };
    // Whoever has no certificate does not get through the handshake.
    let refused = post(&document, "application/xml", &[]).await;
    assert_ne!(refused.code, Some(0), "{refused:?}");
    let prolog = site.path("prolog.xml");
    fs::write(&prolog, "<REQUEST><DEVICEID>x</DEVICEID><QUERY>PROLOG</QUERY></REQUEST>").unwrap();
    let asked = post(&prolog, "application/xml", &own).await;
    assert!(asked.out.contains("<RESPONSE>SEND</RESPONSE>"), "{asked:?}");
    let answer = post(&document, "application/xml", &own).await;
    assert!(answer.out.contains("<REPLY>"), "{answer:?}");
    // Packed, as these agents send it.
    assert_eq!(run("/usr/bin/gzip", &[document.to_str().unwrap()]).await.code, Some(0));
    let document = document.with_extension("ocs.gz");
    let answer = post(&document, "application/x-compress-gzip", &own).await;
    assert!(answer.out.contains("<REPLY>"), "{answer:?}");
    let shown =
        site.muster(&["inventory", "show", &device, "FOREIGN_SOFTWARE", "--limit", "500", "--json"]).await.json();
    let rows = shown["rows"].as_array().unwrap();
    assert!(rows.iter().any(|row| row["Name"] == "bash" && row["Source"] == "FusionInventory-Agent"), "{shown}");
    let computer = site.muster(&["inventory", "show", &device, "FOREIGN_COMPUTER", "--json"]).await.json();
    assert!(computer["rows"][0]["SourceVersion"].as_str().unwrap().contains("_v"), "{computer}");
    // What the agent of the site says is its own.
    site.until("the agent's inventory", async |client| {
        let detail = client.device_show(device.parse().unwrap()).await?.value;
        Ok(detail.classes.iter().any(|class| class.class == "INSTALLED_SOFTWARE").then_some(()))
    })
    .await;
    let software =
        site.muster(&["inventory", "show", &device, "INSTALLED_SOFTWARE", "--limit", "1", "--json"]).await.json();
    assert!(software["total"].as_u64().unwrap() > 0 && software["rows"][0]["Source"].is_null(), "{software}");
    // A blocked device is not heard.
    let blocked = site.muster(&["device", "block", &device, "--reason", "stolen", "--yes"]).await;
    assert_eq!(blocked.code, Some(0), "{blocked:?}");
    let refused = post(&document, "application/x-compress-gzip", &own).await;
    assert!(!refused.out.contains("<REPLY>"), "{refused:?}");
    agent.kill().await.unwrap();
}
