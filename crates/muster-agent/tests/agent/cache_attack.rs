//! A user of the machine without any right tries to have other bytes run than those that the site named, by the way of the content
//! cache. (Test 13 of threats.md, ELEVATE-6.)

use crate::{
    actor::{
        CHUNK, application,
        machine::{Machine, script, skip},
        now,
    },
    content::{enrolled, noise, succeeds, with_data},
};
use muster_agent::{
    agent::StartError,
    content::{ContentError, take_out},
    os::{
        DirectoryError, PrivateDirectory, is_root,
        process::{self, Ending, Job},
    },
    run,
};
use muster_model::application::ContentFile;
use muster_trust::sha256;
use std::{
    os::unix::{
        fs::{PermissionsExt, symlink},
        process::CommandExt,
    },
    path::Path,
    process::{Command, Stdio},
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

/// A user who may do nothing.
const NOBODY: u32 = 65_534;

/// Whether a line of a shell works for that user.
fn nobody_can(line: &str, arguments: &[&Path]) -> bool {
    let mut shell = Command::new("/bin/sh");
    shell.args(["-c", line, "sh"]).args(arguments).current_dir("/").stdin(Stdio::null());
    shell.stdout(Stdio::null()).stderr(Stdio::null()).uid(NOBODY).gid(NOBODY).status().unwrap().success()
}

fn give_away(path: &Path) {
    std::os::unix::fs::chown(path, Some(NOBODY), Some(NOBODY)).unwrap();
}

/// Why the agent does not run there.
fn refusal(machine: &Machine) -> StartError {
    let held = match run::hold(&machine.state()) {
        Ok(held) => held,
        Err(error) => return error,
    };
    let collector = muster_agent::collect::Collector::at(machine.place("nothing"));
    muster_agent::agent::Agent::open(held.directory, machine.clock.clone(), collector).unwrap_err()
}

/// Runs a file of the cache as an installation does: taken out into a private directory, and started from there.
async fn run_out(cache: &PrivateDirectory, file: &ContentFile, out: &PrivateDirectory) -> Result<i32, ContentError> {
    take_out(cache, file, out, now()).await?;
    let job = Job {
        program: out.path().join(file.name.as_str()),
        arguments: Vec::new(),
        directory: out.path(),
        user: None,
        mark: "cache-attack",
        limit: Duration::from_secs(60),
        stdin: None,
        environment: Vec::new(),
    };
    match process::run(job, None).await {
        Ending::Exit(Some(code)) => Ok(code),
        other => panic!("{other:?}"),
    }
}

// Test 13 and ELEVATE-6 of the threats: a user reads nothing of the cache, and changes, links, renames and replaces nothing in it or above it.
#[tokio::test]
async fn a_user_without_rights_reaches_nothing_of_the_cache() {
    if !is_root() {
        return skip("a_user_without_rights_reaches_nothing_of_the_cache", "only root can become another user");
    }
    let (site, machine) = enrolled().await;
    let running = machine.run();
    let file = site.chunked("data.bin", &noise(51, 20));
    succeeds(&site, &with_data(&site, &machine, "installed", file.clone())).await;
    let (state, cache) = (machine.state(), machine.state().join("content"));
    let cached = cache.join(file.hash.to_string());
    // A directory in which he may do anything, beside the state.
    let own = machine.place("own");
    std::fs::create_dir(&own).unwrap();
    give_away(&own);
    assert!(nobody_can("echo evil > \"$1/tool\"", &[&own]), "he can do something at all");
    for (what, line) in [
        ("read", "cat \"$2\""),
        ("write", "echo evil >> \"$2\""),
        ("list", "ls \"$1/content\""),
        ("remove", "rm -f \"$2\" && ! test -e \"$2\""),
        ("replace", "mv -f \"$3/tool\" \"$2\""),
        ("plant a link", "ln -s \"$3/tool\" \"$1/content/planted\""),
        ("plant a name", "ln \"$3/tool\" \"$1/content/planted\""),
        ("keep a name", "ln \"$2\" \"$3/kept\""),
        ("rename the cache", "mv \"$1/content\" \"$3/content\""),
        ("rename the state", "mv \"$1\" \"$3/state\""),
        ("replace the state", "rmdir \"$1\" || mv -T \"$3\" \"$1\""),
        ("open the state", "chmod 0777 \"$1\""),
        ("run what is installed", "ls \"$1/run\""),
    ] {
        assert!(!nobody_can(line, &[&state, &cached, &own]), "{what}");
    }
    assert!(sha256(&std::fs::read(&cached).unwrap()) == file.hash && own.join("tool").exists());
    running.stop().await;
}

// Test 13 and ELEVATE-6 of the threats: what somebody else owns is not the agent's, whatever its bytes are.
#[tokio::test]
async fn what_another_user_owns_in_the_cache_is_not_used() {
    if !is_root() {
        return skip("what_another_user_owns_in_the_cache_is_not_used", "only root can give a file away");
    }
    let (site, machine) = enrolled().await;
    let cache = machine.directory().directory("content").unwrap();
    let running = machine.run();
    for (number, end) in ["", ".part", ".chunks"].iter().enumerate() {
        let data = noise(600 + number as u64, 20);
        let file = site.chunked("data.bin", &data);
        let path = cache.path().join(format!("{}{end}", file.hash));
        // The right bytes even: their owner can change them whenever he wants.
        std::fs::write(&path, &data).unwrap();
        give_away(&path);
        let asked = site.state().asked.len();
        succeeds(&site, &with_data(&site, &machine, &format!("installed-{number}"), file.clone())).await;
        assert!(site.state().asked.len() > asked, "{end:?} was believed");
        let there = std::fs::metadata(cache.path().join(file.hash.to_string())).unwrap();
        assert_eq!(std::os::unix::fs::MetadataExt::uid(&there), 0, "{end:?}");
    }
    running.stop().await;
}

// Test 13 and ELEVATE-6 of the threats: a directory that takes the place of the cache while the agent runs is not looked into.
#[tokio::test]
async fn a_directory_in_the_place_of_the_cache_is_not_looked_into() {
    let (site, machine) = enrolled().await;
    let cache = machine.state().join("content");
    let running = machine.run();
    // It is there before it is needed, so that nothing is fetched for the second deployment.
    let file = site.chunked("data.bin", &noise(71, 20));
    succeeds(&site, &with_data(&site, &machine, "one", file.clone())).await;
    std::fs::rename(&cache, machine.state().join("aside")).unwrap();
    std::fs::create_dir(&cache).unwrap();
    std::fs::set_permissions(&cache, PermissionsExt::from_mode(0o700)).unwrap();
    let evil = noise(72, 20);
    std::fs::write(cache.join(file.hash.to_string()), &evil).unwrap();
    let line = format!("echo '{}  data.bin' | sha256sum -c && touch \"$1\"", file.hash);
    let installer = script(&line);
    let mut second = application(site.content("again.sh", &installer), &machine.place("two"), 60);
    second.content.push(file.clone());
    succeeds(&site, &second).await;
    assert!(std::fs::read(cache.join(file.hash.to_string())).unwrap() == evil, "nobody touched it");
    running.stop().await;
}

// Test 13 and ELEVATE-6 of the threats: where others could change the cache, the agent does not start, and says why.
#[tokio::test]
async fn an_agent_does_not_start_where_others_can_change_its_cache() {
    let (_site, machine) = enrolled().await;
    let (state, cache) = (machine.state(), machine.state().join("content"));
    let mode = |path: &Path, mode| std::fs::set_permissions(path, PermissionsExt::from_mode(mode)).unwrap();
    let directory = |error| match error {
        StartError::Directory(error) => error,
        other => panic!("{other}"),
    };
    drop(machine.directory().directory("content").unwrap());
    for bad in [0o777, 0o770, 0o702, 0o711] {
        mode(&cache, bad);
        assert!(matches!(directory(refusal(&machine)), DirectoryError::Mode { path, .. } if path == cache), "{bad:o}");
    }
    mode(&cache, 0o700);
    std::fs::rename(&cache, state.join("aside")).unwrap();
    symlink(state.join("aside"), &cache).unwrap();
    assert!(matches!(directory(refusal(&machine)), DirectoryError::Io { .. }), "a link, also to a sound directory");
    std::fs::remove_file(&cache).unwrap();
    std::fs::write(&cache, "").unwrap();
    assert!(matches!(directory(refusal(&machine)), DirectoryError::Io { .. }), "a file");
    std::fs::remove_file(&cache).unwrap();
    if is_root() {
        // Made beforehand by somebody else.
        for path in [&cache, &state] {
            std::fs::create_dir_all(path).unwrap();
            mode(path, 0o700);
            give_away(path);
            let refused = directory(refusal(&machine));
            assert!(matches!(refused, DirectoryError::Owner { owner: NOBODY, .. }), "{}", path.display());
            std::os::unix::fs::chown(path, Some(0), Some(0)).unwrap();
        }
    }
    // A place in which everybody may rename.
    mode(state.parent().unwrap(), 0o777);
    assert!(matches!(directory(refusal(&machine)), DirectoryError::Parent(_)));
    mode(state.parent().unwrap(), 0o711);
}

// Test 13 and ELEVATE-6 of the threats: what runs is what was verified, however fast the cache changes from the look at it to the start.
#[tokio::test]
async fn only_verified_bytes_run_while_the_cache_changes_all_the_time() {
    let temp = tempfile::tempdir().unwrap();
    let open = |name: &str| PrivateDirectory::open(&temp.path().join(name)).unwrap();
    let (cache, out) = (open("cache"), open("out"));
    // Longer than what is read at once, so that it also changes in the middle.
    let pad = "#".repeat(2 * CHUNK);
    let program = |code: u8| format!("#!/bin/sh\nexit {code}\n{pad}\n").into_bytes();
    let (good, evil) = (program(7), program(9));
    let file = ContentFile { name: "setup.sh".parse().unwrap(), hash: sha256(&good), size: good.len() as u64 };
    let (path, beside) = (cache.path().join(file.hash.to_string()), temp.path().join("beside"));
    let stop = Arc::new(AtomicBool::new(false));
    let swapper = std::thread::spawn({
        let (stop, path, good, evil) = (stop.clone(), path.clone(), good.clone(), evil.clone());
        move || {
            while !stop.load(Ordering::Relaxed) {
                // By a rename, in place, and as a link to what he can change later.
                for (bytes, link) in [(&good, false), (&evil, false), (&evil, true), (&good, true)] {
                    let _ = std::fs::remove_file(&beside);
                    std::fs::write(&beside, bytes).unwrap();
                    if link {
                        let _ = std::fs::remove_file(&path);
                        let _ = std::fs::hard_link(&beside, &path);
                        let _ = std::fs::write(&beside, &evil);
                    } else {
                        std::fs::rename(&beside, &path).unwrap();
                        let _ = std::fs::write(&path, &evil);
                        let _ = std::fs::write(&path, &good);
                    }
                }
            }
        }
    });
    let (mut ran, mut refused) = (0, 0);
    while ran < 40 || refused < 40 {
        match run_out(&cache, &file, &out).await {
            Ok(code) => {
                assert_eq!(code, 7, "other bytes ran");
                ran += 1;
            }
            Err(ContentError::Altered(_) | ContentError::Gone(_)) => refused += 1,
            Err(other) => panic!("{other}"),
        }
        out.remove("setup.sh").unwrap();
    }
    stop.store(true, Ordering::Relaxed);
    swapper.join().unwrap();
}

// Test 13 and ELEVATE-6 of the threats: a user holds a name open from before; what is written through it after the look is not run.
#[tokio::test]
async fn a_handle_from_before_changes_nothing_that_runs() {
    let temp = tempfile::tempdir().unwrap();
    let open = |name: &str| PrivateDirectory::open(&temp.path().join(name)).unwrap();
    let (cache, out) = (open("cache"), open("out"));
    let good = b"#!/bin/sh\nexit 7\n".to_vec();
    let file = ContentFile { name: "setup.sh".parse().unwrap(), hash: sha256(&good), size: good.len() as u64 };
    let path = cache.path().join(file.hash.to_string());
    std::fs::write(&path, &good).unwrap();
    let mut held = std::fs::OpenOptions::new().write(true).open(&path).unwrap();
    take_out(&cache, &file, &out, now()).await.unwrap();
    std::io::Write::write_all(&mut held, b"#!/bin/sh\nexit 9\n").unwrap();
    assert!(std::fs::read(out.path().join("setup.sh")).unwrap() == good, "it is another file");
    out.remove("setup.sh").unwrap();
    // And the next one that runs it does not believe what was believed before.
    let again = run_out(&cache, &file, &out).await;
    assert!(matches!(again, Err(ContentError::Altered(hash)) if hash == file.hash), "{again:?}");
    assert!(!path.exists() && !out.path().join("setup.sh").exists());
}
