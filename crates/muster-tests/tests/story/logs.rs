//! Logs: a client's log comes to an administrator and is believed; altered, or set back with everything that the agent keeps, it is found
//! out and dated. The audit log is exported, and a database that is altered afterwards is found out.

use crate::harness::{Ran, Site};
use muster_model::api::{AlertKind, AlertQuery, LogState};
use std::{fs, path::Path};

fn copy(from: &Path, to: &Path) {
    assert!(std::process::Command::new("cp").arg("-a").args([from, to]).status().unwrap().success());
}

async fn alerts(site: &Site, wanted: usize) -> String {
    site.until("the alert about the log", async |client| {
        let found = client.alert_list(&AlertQuery { limit: 50, ..AlertQuery::default() }).await?.items;
        let found: Vec<_> = found.into_iter().filter(|alert| alert.kind == AlertKind::LogAltered).collect();
        Ok((found.len() == wanted).then(|| found[0].text.clone()))
    })
    .await
}

// proves I3: from the machine's disk to the administrator's eyes, with the real programs
#[tokio::test]
async fn a_log_is_collected_and_one_that_is_altered_or_set_back_is_told() {
    let site = Site::start().await;
    let (device, mut agent) = site.managed("agent").await;
    let asked = site.muster(&["device", "logs", "collect", &device, "--json"]).await.json();
    let id = asked["id"].as_str().unwrap().to_owned();
    site.until("the piece", async |client| {
        let log = client.client_log_show(device.parse().unwrap()).await?;
        Ok(log.pieces.iter().any(|piece| piece.state == LogState::Intact && piece.anchors > 0).then_some(()))
    })
    .await;
    let out = site.path("log.jsonl").display().to_string();
    let done = site.muster(&["device", "logs", "download", &device, &id, "--out", &out, "--json"]).await.json();
    assert_eq!((&done["state"], &done["first"]), (&"intact".into(), &1.into()));
    let text = fs::read_to_string(&out).unwrap();
    assert!(text.contains("\"text\":\"the agent runs\"") && !text.contains("muster1."), "{text}");
    let shown = site.muster(&["device", "logs", "show", &device]).await;
    assert_eq!(shown.code, Some(0), "{shown:?}");
    agent.kill().await.unwrap();
    copy(&site.path("agent"), &site.path("older"));

    // Root of the machine hides what happened, while nobody runs.
    let directory = site.path("agent/log");
    let file = fs::read_dir(&directory).unwrap().next().unwrap().unwrap().path();
    let hidden = fs::read_to_string(&file).unwrap().replacen("the agent runs", "the agent rests", 1);
    fs::write(&file, hidden).unwrap();
    let mut agent = site.agent_run("agent");
    let text = alerts(&site, 1).await;
    assert!(text.starts_with("A record of the log was altered.") && text.contains(" between 2"), "{text}");
    let shown = site.muster(&["device", "logs", "show", &device]).await;
    assert_eq!(shown.code, Some(7), "{shown:?}");
    agent.kill().await.unwrap();

    // He brings back the older state, store and all: the device has a second history, and then its log one.
    fs::remove_dir_all(site.path("agent")).unwrap();
    copy(&site.path("older"), &site.path("agent"));
    let mut agent = site.agent_run("agent");
    let conflict = site
        .until("the conflict", async |client| {
            let query = muster_model::api::ConflictQuery { limit: 1, ..Default::default() };
            Ok(client.conflict_list(&query).await?.items.first().map(|conflict| conflict.id.to_string()))
        })
        .await;
    let decide = ["conflict", "decide", &conflict, "--as", "same_machine", "--reason", "restored", "--yes"];
    assert_eq!(site.muster(&decide).await.code, Some(0));
    agent.kill().await.unwrap();
    let mut agent = site.agent_run("agent");
    site.until("that it was set back", async |client| {
        let standing = client.client_log_show(device.parse().unwrap()).await?.standing;
        let fault = standing.and_then(|at| at.altered).map(|altered| altered.fault.as_str());
        Ok((fault == Some("set_back")).then_some(()))
    })
    .await;
    agent.kill().await.unwrap();
}

// proves I3: whoever owns the database cannot make the exported audit log agree with it
#[tokio::test]
async fn the_audit_log_is_exported_and_an_altered_database_is_told() {
    let mut site = Site::start().await;
    let export = site.path("audit");
    fs::create_dir(&export).unwrap();
    site.kill_server().await;
    let file = site.path("site/musterd.toml");
    let config = fs::read_to_string(&file).unwrap();
    let (before, own) = config.split_once("[audit]\n").unwrap();
    let rest: Vec<&str> = own.lines().filter(|line| !line.starts_with("export")).collect();
    let place = export.display().to_string();
    let own = format!("export = {place:?}\nexport_seconds = 10\n{}\n", rest.join("\n"));
    fs::write(&file, format!("{before}[audit]\n{own}")).unwrap();
    site.serve().await;
    let there = || {
        fs::read_dir(&export)
            .unwrap()
            .filter(|file| file.as_ref().unwrap().path().extension().is_some_and(|end| end == "head"))
            .count()
    };
    site.until("the export", async |_| Ok((there() > 0).then_some(()))).await;
    // By hand it goes on where the server was.
    site.token("later").await;
    let place = export.display().to_string();
    let written = site.muster(&["audit", "export", &place, "--json"]).await.json();
    assert!(written["entries"].as_u64().unwrap() > 0, "{written}");
    let verify = ["audit", "verify", "--export", &place];
    let whole: Ran = site.muster(&[&verify[..], &["--json"]].concat()).await;
    assert_eq!((&whole.json()["entries"], &whole.json()["earlier_keys"]), (&written["last"], &0.into()));

    site.kill_server().await;
    let database = rusqlite::Connection::open(site.path("site/site.db")).unwrap();
    assert_eq!(database.execute("UPDATE audit SET actor = 'nobody' WHERE number = 2", []).unwrap(), 1);
    drop(database);
    site.serve().await;
    let found = site.muster(&verify).await;
    assert!(found.code == Some(7) && found.err.contains("entry 2") && found.err.contains(" between "), "{found:?}");
    site.until("the alert", async |client| {
        let found = client.alert_list(&AlertQuery { limit: 50, ..AlertQuery::default() }).await?.items;
        Ok(found.iter().any(|alert| alert.kind == AlertKind::AuditAltered).then_some(()))
    })
    .await;
}
