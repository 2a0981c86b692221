//! The audit log in files that are written once: what is altered afterwards, on either side, is found and dated.

use crate::protocol::{root_of_repository, skip};
use muster_model::{
    api::{AlertKind, AlertQuery, PageQuery},
    audit::{Exported, SignedHead},
};
use muster_server::audit_export::{ExportError, export, exported, verify};
use muster_site::{
    Ctx, SiteError, alert_list, audit_list,
    testing::{TestSite, tamper},
};
use std::{fs, os::unix::fs::PermissionsExt, path::Path, path::PathBuf, process::Command};

fn ctx(test: &TestSite) -> Ctx {
    Ctx::site(test.now())
}

async fn with_entries(test: &TestSite, count: usize) {
    for _ in 0..count {
        test.token().await;
    }
}

fn files(directory: &Path) -> Vec<PathBuf> {
    let mut files: Vec<PathBuf> = fs::read_dir(directory).unwrap().map(|entry| entry.unwrap().path()).collect();
    files.sort();
    files
}

/// What a program says that has nothing of Muster's code, and asks no site. `None`: it cannot run here.
fn judged(directory: &Path, key: Option<&str>) -> Option<(bool, String)> {
    let python = std::env::var("MUSTER_PYTHON").unwrap_or_else(|_| "python3".into());
    let script = root_of_repository().join("scripts/judge-audit.py");
    match Command::new(&python).arg(script).arg(directory).args(key).output() {
        Ok(output) if output.status.code() != Some(77) => {
            let said = String::from_utf8_lossy(&output.stdout).into_owned();
            assert!(output.stderr.is_empty(), "{}", String::from_utf8_lossy(&output.stderr));
            Some((output.status.success(), said))
        }
        _ => {
            skip("the foreign judge of an export of the audit log", "cbor2 or cryptography is missing");
            None
        }
    }
}

// proves I3: the audit log outside of the site is whole for whoever does not believe the site
#[tokio::test]
async fn an_export_is_written_once_and_a_foreign_program_verifies_it() {
    let (test, place) = (TestSite::new().await, tempfile::tempdir().unwrap());
    let directory = place.path();
    with_entries(&test, 3).await;
    let entries = export(&ctx(&test), &test.site, directory).await.unwrap();
    assert_eq!(export(&ctx(&test), &test.site, directory).await.unwrap(), 0);
    let before: Vec<(PathBuf, Vec<u8>)> =
        files(directory).into_iter().map(|path| (path.clone(), fs::read(path).unwrap())).collect();
    assert_eq!(before.len(), 2);
    with_entries(&test, 2).await;
    test.sources.pass(60_000);
    assert_eq!(export(&ctx(&test), &test.site, directory).await.unwrap(), 2);
    for (path, bytes) in &before {
        assert_eq!(fs::read(path).unwrap(), *bytes, "it was written again");
        assert_eq!(fs::metadata(path).unwrap().permissions().mode() & 0o222, 0);
    }
    let whole = audit_list(&test.full(), &test.site, PageQuery::default()).await.unwrap();
    let last = exported(directory).unwrap();
    assert_eq!((last.first, last.last, last.head), (entries + 1, whole.total, whole.items[0].head));

    let head = files(directory).into_iter().find(|path| path.extension().is_some_and(|end| end == "head")).unwrap();
    let head: SignedHead = serde_json::from_slice(&fs::read(head).unwrap()).unwrap();
    let key = test.policy_key.public().id().to_string();
    let Some((good, said)) = judged(directory, Some(&key)) else { return };
    assert!(good && said.contains(&format!("2 files, {} entries", whole.total)), "{said}");
    assert!(!judged(directory, Some(&head.about.head.to_string())).unwrap().0, "another key");

    // What is altered in the export itself, it finds as well.
    let first = &before.iter().find(|(path, _)| path.extension().is_some_and(|end| end == "jsonl")).unwrap().0;
    let text = fs::read_to_string(first).unwrap();
    let alter = |bytes: &str| {
        fs::set_permissions(first, fs::Permissions::from_mode(0o600)).unwrap();
        fs::write(first, bytes).unwrap();
    };
    alter(&text.replacen("site", "sith", 1));
    assert!(!judged(directory, None).unwrap().0);
    alter(&text);
    assert!(judged(directory, None).unwrap().0);
    let of_first = first.with_extension("head");
    fs::rename(&of_first, place.path().join("away")).unwrap();
    let (good, said) = judged(directory, None).unwrap();
    assert!(!good && said.contains("does not follow"), "{said}");
}

// proves I3: a database that was edited or rolled back is found by what was exported of it
#[tokio::test]
async fn a_database_that_is_not_what_was_exported_is_found_and_dated() {
    // What is done to the database, with the chain made to fit again where that is said.
    let attacks: [(&str, &[&'static str], bool); 4] = [
        ("a row is edited", &["UPDATE audit SET detail = 'nothing happened' WHERE number = 3"], false),
        ("a row is deleted", &["DELETE FROM audit WHERE number = 4"], false),
        (
            "the end is cut off, and the head with it",
            &[
                "DELETE FROM audit WHERE number > 5",
                "UPDATE audit_head SET number = 5, head = (SELECT head FROM audit WHERE number = 5)",
            ],
            true,
        ),
        (
            "the end is chained anew",
            &[
                "UPDATE audit SET head = (SELECT head FROM audit WHERE number = 1) WHERE number = (SELECT MAX(number) FROM audit)",
            ],
            true,
        ),
    ];
    for (what, statements, by_export) in attacks {
        let (test, place) = (TestSite::new().await, tempfile::tempdir().unwrap());
        with_entries(&test, 6).await;
        export(&ctx(&test), &test.site, place.path()).await.unwrap();
        let whole = test.now();
        assert!(verify(&ctx(&test), &test.site, place.path()).await.unwrap());
        test.sources.pass(3_600_000);
        for statement in statements {
            tamper(&test.site.store, statement).await;
        }
        if by_export {
            let refused = export(&ctx(&test), &test.site, place.path()).await.unwrap_err();
            assert!(matches!(refused, ExportError::Site(SiteError::Refused(_))), "{what}: {refused:?}");
        } else {
            assert!(!verify(&ctx(&test), &test.site, place.path()).await.unwrap(), "{what}");
        }
        let alerts = alert_list(&test.analyst(), &test.site, AlertQuery { limit: 50, ..AlertQuery::default() }).await;
        let alerts = alerts.unwrap().items;
        assert_eq!((alerts.len(), alerts[0].kind), (1, AlertKind::AuditAltered), "{what}");
        let shown = |at: muster_model::time::UnixMillis| {
            jiff::Timestamp::from_millisecond(at.0).unwrap().strftime("%Y-%m-%d %H:%M:%S UTC").to_string()
        };
        let between = format!("between {} and {}.", shown(whole), shown(test.now()));
        assert!(alerts[0].text.ends_with(&between), "{what}: {}", alerts[0].text);
        // Nothing was written about the altered log.
        assert_eq!(files(place.path()).len(), 2);
    }
}

#[tokio::test]
async fn what_a_kill_left_is_ended_and_a_half_file_is_not_taken_for_a_whole_one() {
    let (test, place) = (TestSite::new().await, tempfile::tempdir().unwrap());
    with_entries(&test, 2).await;
    export(&ctx(&test), &test.site, place.path()).await.unwrap();
    let all = files(place.path());
    let (head, lines) = (&all[0], &all[1]);
    assert!(head.extension().is_some_and(|end| end == "head"));
    // Killed between the entries and their head.
    fs::remove_file(head).unwrap();
    assert_eq!(exported(place.path()).unwrap(), Exported::NOTHING);
    assert!(export(&ctx(&test), &test.site, place.path()).await.unwrap() > 0);
    assert!(head.exists());
    // Killed while the entries were written.
    fs::remove_file(head).unwrap();
    let half = fs::read(lines).unwrap();
    fs::set_permissions(lines, fs::Permissions::from_mode(0o600)).unwrap();
    fs::write(lines, &half[..half.len() / 2]).unwrap();
    let refused = export(&ctx(&test), &test.site, place.path()).await.unwrap_err();
    assert!(refused.to_string().contains("was not written whole"), "{refused}");
}
