//! Software inventory: files of the directories that the client settings name, from the machine to the administrator, and gone again.

use crate::harness::Site;
use std::{fs, os::unix::fs::PermissionsExt};

/// A library for Windows with a version resource.
const SORTER: &[u8] = include_bytes!("../../../muster-agent/tests/samples/sorter.dll");

#[tokio::test]
async fn files_are_reported_while_they_are_wanted_and_not_before_or_after() {
    let site = Site::start().await;
    let (device, mut agent) = site.managed("agent").await;
    let tools = site.path("tools").canonicalize().unwrap_or_else(|_| {
        fs::create_dir_all(site.path("tools/deep")).unwrap();
        site.path("tools").canonicalize().unwrap()
    });
    fs::write(tools.join("deep/one.jar"), "12345").unwrap();
    // Only what every user of the machine could read is read, and the directory of the test is not everybody's.
    for above in tools.ancestors().take_while(|above| above.starts_with(site.path(""))) {
        fs::set_permissions(above, PermissionsExt::from_mode(0o755)).unwrap();
    }
    fs::write(tools.join("two.txt"), "").unwrap();
    std::os::unix::fs::symlink("/etc", tools.join("etc.jar")).unwrap();
    let rows = async |class: &str| {
        let found = site.muster(&["inventory", "show", &device, class, "--json"]).await;
        found.code.filter(|code| *code == 0).map(|_| found.json()["rows"].as_array().unwrap().clone())
    };
    site.until("the first inventory", async |client| {
        let detail = client.device_show(device.parse().unwrap()).await?.value;
        Ok((!detail.classes.is_empty()).then_some(()))
    })
    .await;
    assert_eq!(rows("SoftwareFile").await, None, "nothing is reported that nobody asked for");
    let scan = serde_json::json!({"paths": [{"path": tools, "names": ["*.jar"], "recursive": true}]});
    fs::write(site.path("scan.json"), scan.to_string()).unwrap();
    let file = site.path("scan.json").display().to_string();
    let updated = site.muster(&["settings", "update", "--software", &file, "--yes", "--json"]).await.json();
    assert_eq!(updated["values"]["software"]["files"], 5_000);
    site.until("the files", async |client| {
        let detail = client.device_show(device.parse().unwrap()).await?.value;
        Ok(detail.classes.iter().any(|class| class.class == "SoftwareFile" && class.rows == 1).then_some(()))
    })
    .await;
    let found = rows("SoftwareFile").await.unwrap();
    assert_eq!((&found[0]["FileName"], &found[0]["FileSize"]), (&"one.jar".into(), &5.into()));
    assert_eq!(rows("LastSoftwareScan").await.unwrap()[0]["Complete"], true);
    assert_eq!(found[0].get("FileHash"), None, "nothing is read that nobody asked for");
    fs::write(tools.join("sorter.dll"), SORTER).unwrap();
    let names = ["*.jar", "*.dll"];
    let read = serde_json::json!({"hash": true, "versions": true});
    let scan = serde_json::json!({"paths": [{"path": tools, "names": names, "recursive": true}], "read": read});
    fs::write(site.path("scan.json"), scan.to_string()).unwrap();
    site.muster(&["settings", "update", "--software", &file, "--yes", "--json"]).await.json();
    site.until("what is in the files", async |client| {
        let detail = client.device_show(device.parse().unwrap()).await?.value;
        Ok(detail.classes.iter().any(|class| class.class == "SoftwareProduct" && class.rows == 1).then_some(()))
    })
    .await;
    let found = rows("SoftwareFile").await.unwrap();
    assert_eq!(found[0]["FileHash"], "5994471abb01112afcc18159f6cc74b4f511b99806da59b3caf5a9c173cacfc5");
    assert_eq!(found[1]["FileVersion"], "3.1.4.159 (release)");
    assert_eq!(rows("SoftwareProduct").await.unwrap()[0]["CompanyName"], "Example Tools GmbH");
    let off = site.muster(&["settings", "update", "--no-software", "--yes", "--json"]).await.json();
    assert!(off["values"]["software"].is_null());
    site.until("that they are gone", async |client| {
        let detail = client.device_show(device.parse().unwrap()).await?.value;
        Ok(detail.classes.iter().any(|class| class.class == "SoftwareFile" && class.rows == 0).then_some(()))
    })
    .await;
    agent.kill().await.unwrap();
}
