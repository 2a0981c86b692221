//! A configuration baseline, from its author to the device and back: drift is seen with its value, then put right.

use crate::harness::Site;
use muster_model::{api::ResultQuery, compliance::ComplianceState, id::DeploymentId};

async fn deployed(site: &Site, hash: &str, device: &str, more: &[&str]) -> DeploymentId {
    let deploy = [&["baseline", "deploy", hash, "--device", device, "--yes", "--json"][..], more].concat();
    site.muster(&deploy).await.json()["id"].as_str().unwrap().parse().unwrap()
}

/// Waits until the device said this of the first setting; the value that it found.
async fn first(site: &Site, id: DeploymentId, state: ComplianceState) -> Option<String> {
    site.until("a device that says how it stands", async |client| {
        let wanted = ResultQuery { setting: Some(0), state: Some(state), limit: 10, ..ResultQuery::default() };
        let page = client.compliance_results(id, &wanted).await?;
        Ok(page.items.into_iter().next().map(|row| row.value))
    })
    .await
}

// proves S19: with one author there is nobody to approve, and what he signed runs; without a signature nothing does.
#[tokio::test]
async fn drift_is_seen_and_put_right() {
    let site = Site::start().await;
    let (device, mut agent) = site.managed("agent").await;
    let (target, manifest) = (site.path("motd"), site.path("baseline.toml"));
    std::fs::write(&target, "# by hand\ngreeting = bye\n").unwrap();
    std::fs::write(site.path("look.sh"), "wc -l < \"$1\"\n").unwrap();
    let path = target.display();
    let text = format!(
        "name = \"Greeting\"\nversion = \"1\"\nplatform = \"linux\"\n\n[[items]]\nname = \"Files\"\n\n\
         [[items.settings]]\nname = \"greeting\"\nseverity = \"critical\"\n\
         discovery = {{ kind = \"file\", path = \"{path}\", read = {{ kind = \"key\", key = \"greeting\" }} }}\n\
         rules = [{{ kind = \"equals\", value = \"hello\" }}]\n\
         remediation = {{ kind = \"file\", content = \"greeting = hello\\n\", mode = \"0644\" }}\n\n\
         [[items.settings]]\nname = \"lines\"\nvalue_type = \"integer\"\n\
         discovery = {{ kind = \"script\", script = {{ interpreter = \"sh\", text_file = \"look.sh\", privilege = \"root\", \
         parameters = [{{ name = \"path\", value = \"{path}\" }}] }} }}\n\
         rules = [{{ kind = \"between\", least = \"1\", most = \"2\" }}]\n"
    );
    std::fs::write(&manifest, text).unwrap();
    let (manifest, signed) = (manifest.display().to_string(), site.path("baseline.cose").display().to_string());
    let sign = ["baseline", "sign", "--manifest", &manifest, "--out", &signed];
    assert_eq!(site.muster(&sign).await.code, Some(5), "nobody was there to agree");
    site.muster(&[&sign[..], &["--yes", "--json"]].concat()).await.json();
    let added = site.muster(&["baseline", "add", &signed, "--json"]).await.json();
    let hash = added["hash"].as_str().unwrap().to_owned();
    let preview = site.muster(&["baseline", "preview", &hash, "--device", &device, "--json"]).await.json();
    assert_eq!((preview["devices"].as_u64(), preview["settings"].as_u64()), (Some(1), Some(2)));

    let looking = deployed(&site, &hash, &device, &["--alert-from", "critical", "--name", "Looking"]).await;
    assert_eq!(first(&site, looking, ComplianceState::NonCompliant).await.as_deref(), Some("bye"));
    let shown = site.muster(&["baseline", "compliance", "Looking", "--device", &device]).await;
    assert!(shown.out.contains("non_compliant") && shown.out.contains("bye"), "{shown:?}");
    let shown = site.muster(&["baseline", "compliance", "Looking", "--json"]).await.json();
    assert_eq!(shown["deployment"]["alerting"], 1, "{shown}");
    assert_eq!(shown["settings"][1]["totals"]["compliant"], 1, "{shown}");
    assert!(std::fs::read_to_string(&target).unwrap().contains("bye"), "it was only looked at");

    let righting = deployed(&site, &hash, &device, &["--remediate", "--name", "Righting"]).await;
    assert_eq!(
        first(&site, righting, ComplianceState::Remediated).await.as_deref(),
        Some("hello"),
        "{}",
        site.log("agent")
    );
    assert_eq!(std::fs::read_to_string(&target).unwrap(), "greeting = hello\n");
    site.muster(&["baseline", "undeploy", "Looking", "--yes"]).await;
    let listed = site.muster(&["baseline", "deployments"]).await;
    assert!(listed.out.contains("deleted") && listed.out.contains("1 remediated"), "{listed:?}");
    agent.kill().await.unwrap();
}
