//! Files of baselines, attacked.

use super::*;
use std::os::unix::fs::{MetadataExt, PermissionsExt, symlink};

fn read(root: &Path, path: &str, what: &FileRead, links: Links) -> Result<Option<Vec<String>>, Problem> {
    super::read(&Tree::of(root, []), path, what, links).map(|seen| seen.values)
}

fn put(root: &Path, path: &str, content: Option<&[u8]>, mode: Option<u32>) -> Result<(), Problem> {
    let tree = Tree::of(root, []);
    let seen = place(&tree, path);
    super::put(&tree, path, content, mode, seen)
}

#[test]
fn the_agents_own_files_are_nobodys_to_read_or_write_and_what_is_not_for_all_is_not_told() {
    let temp = tempfile::tempdir().unwrap();
    let root = temp.path();
    for directory in ["state/policy", "etc", "closed"] {
        std::fs::create_dir_all(root.join(directory)).unwrap();
    }
    for (directory, mode) in [("etc", 0o755), ("closed", 0o700)] {
        std::fs::set_permissions(root.join(directory), std::fs::Permissions::from_mode(mode)).unwrap();
    }
    symlink("../state", root.join("etc/way")).unwrap();
    std::fs::write(root.join("state/agent.json"), "{}").unwrap();
    let state = root.join("state");
    let tree = Tree::of(root, [state.as_path()]);
    let exists = |path, links| super::read(&tree, path, &FileRead::Exists, links);
    for (path, links) in [("/state/agent.json", Links::Refused), ("/etc/way/agent.json", Links::Followed)] {
        assert_eq!(exists(path, links).unwrap_err().reason, ComplianceReason::Unreadable, "{path}");
    }
    for path in ["/state/agent.json", "/state/policy/new"] {
        let seen = place(&tree, path);
        assert!(super::put(&tree, path, Some(b"{\"script_bypass\": true}"), None, seen).is_err(), "{path}");
    }
    assert_eq!(std::fs::read(root.join("state/agent.json")).unwrap(), b"{}");
    assert!(!root.join("state/policy/new").exists());

    for (path, mode, open) in
        [("/etc/open", 0o644, true), ("/etc/shadow", 0o640, false), ("/closed/open", 0o644, false)]
    {
        std::fs::write(root.join(&path[1..]), "x").unwrap();
        std::fs::set_permissions(root.join(&path[1..]), std::fs::Permissions::from_mode(mode)).unwrap();
        let seen = super::read(&tree, path, &FileRead::Hash, Links::Refused).unwrap();
        assert_eq!((seen.values.is_some(), seen.open_to_all), (true, open), "{path}");
    }
}

#[test]
fn what_others_could_have_made_does_not_stay_theirs() {
    let temp = tempfile::tempdir().unwrap();
    let root = temp.path();
    for (name, mode) in [("ours", 0o755), ("theirs", 0o777)] {
        std::fs::create_dir(root.join(name)).unwrap();
        std::fs::set_permissions(root.join(name), std::fs::Permissions::from_mode(mode)).unwrap();
        std::fs::write(root.join(name).join("f"), "old").unwrap();
        std::fs::set_permissions(root.join(name).join("f"), std::fs::Permissions::from_mode(0o666)).unwrap();
        put(root, &format!("/{name}/f"), Some(b"new"), None).unwrap();
    }
    let mode = |path: &str| std::fs::metadata(root.join(path)).unwrap().mode() & 0o777;
    assert_eq!((mode("ours/f"), mode("theirs/f")), (0o666, 0o644));
}

fn of(text: &str, what: &FileRead) -> Vec<String> {
    values(text, what, "/x").unwrap()
}

fn key(key: &str, separator: Option<&str>, last: bool) -> FileRead {
    FileRead::Key { key: key.to_owned(), separator: separator.map(str::to_owned), last }
}

#[test]
fn values_are_found_as_programs_find_them() {
    let text = "# Port 1\nPort 22\nPortable 7\nx=1\n  Port = 2222 \n; Port 3\nPort=9\nEmpty\n";
    assert_eq!(of(text, &key("Port", None, false)), ["22", "2222", "9"]);
    assert_eq!(of(text, &key("Port", None, true))[0], "9");
    assert_eq!(of(text, &key("Port", Some("="), false)), ["2222", "9"]);
    assert_eq!(of(text, &key("Empty", None, false)), [""]);
    assert_eq!(of("a: 1\nb: x: y\n", &key("b", Some(":"), false)), ["x: y"]);
    let line = FileRead::Line { pattern: "Port*2*".to_owned() };
    assert_eq!(of(text, &line), ["Port 22", "Port = 2222"]);
    let ini = |section: &str| FileRead::Ini { section: section.to_owned(), key: "k".to_owned() };
    let text = "k = 0\n[a]\nk=1\n[ b ]\nkk=7\nk = 2 = 3\n";
    assert_eq!((of(text, &ini("")), of(text, &ini("b"))), (vec!["0".to_owned()], vec!["2 = 3".to_owned()]));
    let json = |pointer: &str| FileRead::Json { pointer: pointer.to_owned() };
    let text = r#"{"a": {"b": [1, "x", null, true]}, "c": "y"}"#;
    assert_eq!(
        (of(text, &json("/a/b")), of(text, &json("/c"))),
        (["1", "x", "true"].map(str::to_owned).to_vec(), vec!["y".to_owned()])
    );
    assert!(of(text, &json("/none")).is_empty());
    assert_eq!(values("{", &json(""), "/x").unwrap_err().reason, ComplianceReason::NotText);
}

#[test]
fn what_is_read_is_below_the_root_and_behind_no_link() {
    let temp = tempfile::tempdir().unwrap();
    let (root, outside) = (temp.path().join("root"), temp.path().join("secret"));
    std::fs::create_dir_all(root.join("etc/d")).unwrap();
    std::fs::write(&outside, "key = outside\n").unwrap();
    std::fs::write(root.join("etc/conf"), "key = inside\n").unwrap();
    symlink(&outside, root.join("etc/link")).unwrap();
    symlink("../../secret", root.join("etc/up")).unwrap();
    symlink("conf", root.join("etc/good")).unwrap();
    let get = |path: &str, links| read(&root, path, &key("key", None, false), links);
    assert_eq!(get("/etc/conf", Links::Refused), Ok(Some(vec!["inside".to_owned()])));
    assert_eq!(get("/etc/good", Links::Followed), Ok(Some(vec!["inside".to_owned()])));
    for path in ["/etc/link", "/etc/up", "/etc/good"] {
        assert_eq!(get(path, Links::Refused).unwrap_err().reason, ComplianceReason::SymbolicLink, "{path}");
    }
    for path in ["/etc/link", "/etc/up"] {
        assert_eq!(get(path, Links::Followed), Ok(None), "{path} leads to nothing inside of the root");
    }
    assert_eq!(get("/etc/none", Links::Refused), Ok(None));
    assert_eq!(get("/etc/conf/below", Links::Refused), Ok(None));
    assert_eq!(get("/etc/d", Links::Refused).unwrap_err().reason, ComplianceReason::Unreadable);
    std::fs::write(root.join("etc/raw"), [0xff, 0xfe]).unwrap();
    assert_eq!(get("/etc/raw", Links::Refused).unwrap_err().reason, ComplianceReason::NotText);
    std::fs::write(root.join("etc/large"), vec![b'x'; 1 + usize::try_from(BASELINE_READ_BYTES).unwrap()]).unwrap();
    assert_eq!(get("/etc/large", Links::Refused).unwrap_err().reason, ComplianceReason::TooLarge);
    // A pipe, whose opening would wait for ever.
    rustix::fs::mknodat(rustix::fs::CWD, root.join("etc/pipe"), FileType::Fifo, Mode::RUSR, 0).unwrap();
    assert_eq!(get("/etc/pipe", Links::Refused).unwrap_err().reason, ComplianceReason::Unreadable);
    // What `stat` and `sha256sum` of this machine say.
    std::fs::set_permissions(root.join("etc/conf"), std::fs::Permissions::from_mode(0o640)).unwrap();
    let judged = |program: &str, arguments: &[&str]| {
        let done = std::process::Command::new(program).args(arguments).arg(root.join("etc/conf")).output().unwrap();
        String::from_utf8(done.stdout).unwrap().split_whitespace().next().unwrap().to_owned()
    };
    let say = |what| read(&root, "/etc/conf", &what, Links::Refused).unwrap().unwrap().remove(0);
    assert_eq!(say(FileRead::Mode), format!("0{}", judged("stat", &["-c", "%a"])));
    assert_eq!(say(FileRead::Owner), judged("stat", &["-c", "%u"]));
    assert_eq!(say(FileRead::Group), judged("stat", &["-c", "%g"]));
    assert_eq!(say(FileRead::Hash), judged("sha256sum", &[]));
}

#[test]
fn what_is_written_lands_in_its_place_and_nowhere_else() {
    let temp = tempfile::tempdir().unwrap();
    let (root, outside) = (temp.path().join("root"), temp.path().join("outside"));
    std::fs::create_dir_all(root.join("etc")).unwrap();
    std::fs::create_dir_all(&outside).unwrap();
    std::fs::write(outside.join("victim"), "untouched").unwrap();
    std::fs::set_permissions(outside.join("victim"), std::fs::Permissions::from_mode(0o600)).unwrap();
    let untouched = || {
        let victim = outside.join("victim");
        assert_eq!(std::fs::read(&victim).unwrap(), b"untouched");
        assert_eq!(std::fs::metadata(&victim).unwrap().mode() & 0o7777, 0o600);
        assert_eq!(std::fs::read_dir(&outside).unwrap().count(), 1);
    };
    put(&root, "/etc/new", Some(b"one"), Some(0o640)).unwrap();
    assert_eq!(std::fs::metadata(root.join("etc/new")).unwrap().mode() & 0o7777, 0o640);
    put(&root, "/etc/new", Some(b"two"), None).unwrap();
    assert_eq!(std::fs::read(root.join("etc/new")).unwrap(), b"two");
    assert_eq!(std::fs::metadata(root.join("etc/new")).unwrap().mode() & 0o7777, 0o640, "as it was");
    put(&root, "/etc/new", None, Some(0o600)).unwrap();
    assert_eq!(std::fs::metadata(root.join("etc/new")).unwrap().mode() & 0o7777, 0o600);

    // The name is a link: it is replaced, and not followed; its mode is nobody's to change.
    symlink(outside.join("victim"), root.join("etc/link")).unwrap();
    assert_eq!(put(&root, "/etc/link", None, Some(0o666)).unwrap_err().reason, ComplianceReason::SymbolicLink);
    put(&root, "/etc/link", Some(b"ours"), Some(0o644)).unwrap();
    assert!(std::fs::symlink_metadata(root.join("etc/link")).unwrap().is_file());
    untouched();
    // A directory on the way is a link.
    symlink(&outside, root.join("etc/d")).unwrap();
    for content in [Some(&b"ours"[..]), None] {
        assert_eq!(
            put(&root, "/etc/d/victim", content, Some(0o666)).unwrap_err().reason,
            ComplianceReason::SymbolicLink
        );
    }
    untouched();
    // A second name of a file that is somebody else's: a new file takes the name, and the old one stays what it was.
    std::fs::hard_link(outside.join("victim"), root.join("etc/hard")).unwrap();
    assert_eq!(put(&root, "/etc/hard", None, Some(0o666)).unwrap_err().reason, ComplianceReason::Unreadable);
    put(&root, "/etc/hard", Some(b"ours"), None).unwrap();
    untouched();
    assert_eq!(put(&root, "/none/new", Some(b"x"), None).unwrap_err().reason, ComplianceReason::Unreadable);
    let left = std::fs::read_dir(root.join("etc")).unwrap();
    assert!(left.flatten().all(|entry| !entry.file_name().to_string_lossy().starts_with(".muster")), "nothing is left");
}

#[test]
fn a_directory_that_is_exchanged_for_a_link_meanwhile_leads_nowhere() {
    let temp = tempfile::tempdir().unwrap();
    let (root, outside) = (temp.path().join("root"), temp.path().join("outside"));
    std::fs::create_dir_all(root.join("d")).unwrap();
    std::fs::create_dir_all(&outside).unwrap();
    let stop = std::sync::Arc::new(std::sync::atomic::AtomicBool::new(false));
    let (racing, away, ended) = (root.clone(), outside.clone(), stop.clone());
    let racer = std::thread::spawn(move || {
        while !ended.load(std::sync::atomic::Ordering::Relaxed) {
            let _ = std::fs::rename(racing.join("d"), racing.join("kept"));
            let _ = symlink(&away, racing.join("d"));
            let _ = std::fs::remove_file(racing.join("d"));
            let _ = std::fs::rename(racing.join("kept"), racing.join("d"));
            // Long enough in its place that the writer wins some of the time.
            (0..50).for_each(|_| std::thread::yield_now());
        }
    });
    let written = (0..300).filter(|_| put(&root, "/d/f", Some(b"x"), None).is_ok()).count();
    stop.store(true, std::sync::atomic::Ordering::Relaxed);
    racer.join().unwrap();
    assert!(written > 0, "the race was never won by the writer");
    assert_eq!(std::fs::read_dir(&outside).unwrap().count(), 0);
}

/// A root with a directory that was looked at, and a place outside that is nobody's to change.
struct Attacked {
    _temp: tempfile::TempDir,
    root: PathBuf,
    outside: PathBuf,
    seen: Option<Place>,
}

impl Attacked {
    fn new() -> Self {
        let temp = tempfile::tempdir().unwrap();
        let (root, outside) = (temp.path().join("root"), temp.path().join("outside"));
        for directory in [root.join("etc/d"), outside.clone()] {
            std::fs::create_dir_all(&directory).unwrap();
            std::fs::write(directory.join("f"), "before").unwrap();
            std::fs::set_permissions(directory.join("f"), std::fs::Permissions::from_mode(0o600)).unwrap();
        }
        let seen = place(&Tree::of(&root, []), "/etc/d/f");
        assert!(seen.is_some());
        Self { _temp: temp, root, outside, seen }
    }

    /// Writes now, after whatever was done since looking.
    fn write(&self) -> Vec<Option<ComplianceReason>> {
        let put = |content| super::put(&Tree::of(&self.root, []), "/etc/d/f", content, Some(0o644), self.seen);
        [Some(&b"after"[..]), None].map(|content| put(content).err().map(|problem| problem.reason)).to_vec()
    }

    /// Only the one file is there, as it was.
    fn unchanged(directory: &Path) {
        let names: Vec<_> = std::fs::read_dir(directory).unwrap().map(|entry| entry.unwrap().file_name()).collect();
        assert_eq!(names, ["f"], "{}", directory.display());
        assert_eq!(std::fs::read_to_string(directory.join("f")).unwrap(), "before");
        assert_eq!(std::fs::metadata(directory.join("f")).unwrap().mode() & 0o777, 0o600);
    }
}

#[test]
fn what_was_looked_at_and_is_another_directory_now_is_not_written() {
    let moved = Some(ComplianceReason::Moved);
    // Another directory takes its name.
    let attacked = Attacked::new();
    std::fs::rename(attacked.root.join("etc/d"), attacked.root.join("etc/old")).unwrap();
    std::fs::rename(&attacked.outside, attacked.root.join("etc/d")).unwrap();
    assert_eq!(attacked.write(), [moved, moved]);
    Attacked::unchanged(&attacked.root.join("etc/d"));
    Attacked::unchanged(&attacked.root.join("etc/old"));
    // A link takes its name.
    let attacked = Attacked::new();
    std::fs::rename(attacked.root.join("etc/d"), attacked.root.join("etc/old")).unwrap();
    symlink(&attacked.outside, attacked.root.join("etc/d")).unwrap();
    assert_eq!(attacked.write(), [Some(ComplianceReason::SymbolicLink); 2]);
    Attacked::unchanged(&attacked.outside);
    Attacked::unchanged(&attacked.root.join("etc/old"));
    // It is gone.
    let attacked = Attacked::new();
    std::fs::rename(attacked.root.join("etc/d"), attacked.outside.join("d")).unwrap();
    assert_eq!(attacked.write(), [Some(ComplianceReason::Unreadable); 2]);
    Attacked::unchanged(&attacked.outside.join("d"));
    // It was not there, and somebody made one.
    let attacked = Attacked { seen: None, ..Attacked::new() };
    assert_eq!(attacked.write(), [moved, moved]);
    Attacked::unchanged(&attacked.root.join("etc/d"));
    // It stayed.
    let attacked = Attacked::new();
    assert_eq!(attacked.write(), [None, None]);
    assert_eq!(std::fs::read_to_string(attacked.root.join("etc/d/f")).unwrap(), "after");
}

#[test]
fn a_file_system_that_was_mounted_over_the_directory_is_not_written() {
    // In a mount namespace of its own, which only a process of its own can have.
    const INSIDE: &str = "MUSTER_TEST_MOUNTS";
    let name = "comply::file::tests::a_file_system_that_was_mounted_over_the_directory_is_not_written";
    if std::env::var_os(INSIDE).is_none() {
        let unshare = |arguments: &[&str]| {
            let mut command = std::process::Command::new("unshare");
            command.arg("-rm").args(arguments).env(INSIDE, "1").output()
        };
        if !unshare(&["true"]).is_ok_and(|done| done.status.success()) {
            eprintln!("skipped: no namespace of its own can be made here (unshare -rm)");
            return;
        }
        let program = std::env::current_exe().unwrap();
        let done = unshare(&[program.to_str().unwrap(), "--exact", name, "--nocapture"]).unwrap();
        assert!(done.status.success(), "{}", String::from_utf8_lossy(&done.stderr));
        assert!(String::from_utf8_lossy(&done.stdout).contains("1 passed"));
        return;
    }
    let mount = |arguments: &[&str], over: &Path| {
        let done = std::process::Command::new("mount").args(arguments).arg(over).status().unwrap();
        assert!(done.success());
    };
    let attacked = Attacked::new();
    mount(&["--bind", attacked.outside.to_str().unwrap()], &attacked.root.join("etc/d"));
    assert_eq!(attacked.write(), [Some(ComplianceReason::Moved); 2]);
    Attacked::unchanged(&attacked.outside);
    // One level higher, with a directory of the same name in it.
    let attacked = Attacked::new();
    std::fs::rename(&attacked.outside, attacked.root.join("d")).unwrap();
    mount(&["--bind", attacked.root.to_str().unwrap()], &attacked.root.join("etc"));
    assert_eq!(attacked.write(), [Some(ComplianceReason::Moved); 2]);
    Attacked::unchanged(&attacked.root.join("d"));
    let attacked = Attacked::new();
    mount(&["-t", "tmpfs", "none"], &attacked.root.join("etc/d"));
    assert_eq!(attacked.write(), [Some(ComplianceReason::Moved); 2]);
    assert_eq!(std::fs::read_dir(attacked.root.join("etc/d")).unwrap().count(), 0);
}

#[test]
fn a_directory_that_is_moved_while_it_is_written_keeps_no_halves() {
    let attacked = Attacked::new();
    let stop = std::sync::atomic::AtomicBool::new(false);
    std::thread::scope(|scope| {
        scope.spawn(|| {
            let (here, there) = (attacked.root.join("etc/d"), attacked.outside.join("d"));
            while !stop.load(std::sync::atomic::Ordering::Relaxed) {
                std::fs::rename(&here, &there).unwrap();
                std::fs::rename(&there, &here).unwrap();
            }
        });
        let reasons: Vec<_> = (0..200).flat_map(|_| attacked.write()).collect();
        stop.store(true, std::sync::atomic::Ordering::Relaxed);
        let known = [None, Some(ComplianceReason::Moved), Some(ComplianceReason::Unreadable)];
        assert!(reasons.iter().all(|reason| known.contains(reason)), "{reasons:?}");
    });
    Attacked::unchanged(&attacked.outside);
    let names: Vec<_> =
        std::fs::read_dir(attacked.root.join("etc/d")).unwrap().map(|e| e.unwrap().file_name()).collect();
    assert_eq!(names, ["f"], "nothing is left beside it");
}
