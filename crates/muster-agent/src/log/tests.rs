//! What becomes of a log that is altered, and of one whose agent is killed.

use super::*;
use crate::log::layer::id_of;
use muster_model::log::{LogFault, LogRecord};
use std::{fs, os::unix::fs::PermissionsExt, path::PathBuf};
use tracing_subscriber::layer::SubscriberExt;

const SMALL: Bounds = Bounds { segment: 2_000, segments: 3 };

struct Place {
    _root: tempfile::TempDir,
    state: PathBuf,
    clock: Clock,
}

impl Place {
    fn new() -> Self {
        let root = tempfile::tempdir().unwrap();
        let state = root.path().join("state");
        Self { _root: root, state, clock: Clock::at(UnixMillis(1_000_000)) }
    }

    fn held(&self) -> PrivateDirectory {
        PrivateDirectory::open(&self.state).unwrap()
    }

    /// An agent's start: the log, and what it found wrong.
    fn start(&self, noted: Option<Noted>) -> (Log, Option<LogBreak>) {
        let log = Log::new(self.clock.clone());
        let broken = log.open(&self.held(), noted, SMALL).unwrap();
        (log, broken)
    }

    fn say(&self, log: &Log, text: &str) {
        self.clock.set(self.clock.now().plus(1_000));
        let (component, id) = ("run".to_owned(), id_of(text));
        let fields = [("n".to_owned(), Value::from(7))].into();
        let severity = LogSeverity::Information;
        log.write(Entry { severity, component, id, text: text.to_owned(), fields, cut: false });
    }

    /// What the store keeps: the log was whole now.
    fn note(&self, log: &Log) -> Noted {
        let at = log.sync().unwrap().unwrap();
        Noted { sequence: at.sequence, head: at.head, whole: self.clock.now() }
    }

    fn files(&self) -> Vec<PathBuf> {
        let entries = fs::read_dir(self.state.join(DIRECTORY)).unwrap();
        let mut files: Vec<PathBuf> = entries.map(|entry| entry.unwrap().path()).collect();
        files.sort();
        files
    }

    fn lines(&self) -> Vec<LogRecord> {
        let text: String = self.files().iter().map(|file| fs::read_to_string(file).unwrap()).collect();
        text.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
    }

    /// Ten records, noted; then the agent is gone.
    fn ten(&self) -> Noted {
        let (log, broken) = self.start(None);
        assert_eq!(broken, None);
        (0..10).for_each(|number| self.say(&log, &format!("record {number}")));
        self.note(&log)
    }

    /// The next start finds a fault in what was done, says since when, and goes on with the numbers.
    fn finds(&self, noted: Noted, fault: LogFault, sequence: u64) {
        self.clock.set(self.clock.now().plus(3_600_000));
        let (log, broken) = self.start(Some(noted));
        let found = self.clock.now();
        log.said(&self.held()).unwrap();
        assert_eq!(broken, Some(LogBreak { fault, sequence, whole: noted.whole, found }));
        let first = self.lines().remove(0);
        assert_eq!((first.id.as_str(), first.sequence, first.previous), (CONTINUED, noted.sequence + 1, noted.head));
        assert_eq!(first.fields["fault"], fault.as_str());
        // That is whole again: nothing more is found, and a later start finds nothing either.
        self.say(&log, "after it");
        assert_eq!(log.look(&self.held(), found).unwrap(), None);
        let noted = self.note(&log);
        assert_eq!(self.start(Some(noted)).1, None);
        assert!(self.lines().len() >= 2);
    }
}

#[test]
fn records_hang_together_over_files_and_the_removal_of_the_oldest_is_a_record() {
    let place = Place::new();
    let (log, _) = place.start(None);
    for number in 0..60 {
        place.say(&log, &format!("record {number}"));
    }
    let anchor = log.sync().unwrap().unwrap();
    assert_eq!(place.files().len(), SMALL.segments);
    let lines = place.lines();
    assert_eq!((lines[0].sequence, lines.last().unwrap().sequence), (anchor.first, anchor.sequence));
    assert!(anchor.first > 1 && anchor.sequence > 60);
    let removed = lines.iter().rfind(|record| record.id == REMOVED_SEGMENT).unwrap();
    assert_eq!(removed.fields["last"], anchor.first - 1);
    assert_eq!(removed.fields["head"], lines[0].previous.to_string());
    // All of it is found whole, at any moment that was noted, by the agent that runs and by the next one.
    assert_eq!(log.look(&place.held(), UnixMillis(0)).unwrap(), None);
    let noted = place.note(&log);
    assert_eq!(place.start(Some(noted)).1, None);
    // Only root reads and writes it.
    for path in place.files().iter().chain([&place.state.join(DIRECTORY)]) {
        assert_eq!(fs::metadata(path).unwrap().permissions().mode() & 0o077, 0, "{path:?}");
    }
}

// proves I3
#[test]
fn a_deleted_log_is_found_and_dated() {
    let place = Place::new();
    let noted = place.ten();
    fs::remove_dir_all(place.state.join(DIRECTORY)).unwrap();
    place.finds(noted, LogFault::Missing, 10);
}

// proves I3
#[test]
fn a_truncated_log_is_found_and_dated() {
    let place = Place::new();
    let noted = place.ten();
    let last = place.files().pop().unwrap();
    let text = fs::read_to_string(&last).unwrap();
    let end = text.trim_end().rfind('\n').unwrap();
    fs::write(&last, &text[..=end]).unwrap();
    place.finds(noted, LogFault::Shortened, 10);
}

#[test]
fn half_of_a_record_that_was_noted_is_no_torn_one() {
    let place = Place::new();
    let noted = place.ten();
    let last = place.files().pop().unwrap();
    let text = fs::read_to_string(&last).unwrap();
    fs::write(&last, &text[..text.len() - 9]).unwrap();
    place.finds(noted, LogFault::Altered, 10);
}

// proves I3
#[test]
fn an_edited_line_is_found_and_dated() {
    for (number, sequence) in [(0, 1), (4, 5), (9, 10)] {
        let place = Place::new();
        let noted = place.ten();
        for file in place.files() {
            let text = fs::read_to_string(&file).unwrap();
            let edited = text.replace(&format!("record {number}"), "nothing");
            fs::write(&file, edited).unwrap();
        }
        let fault = if number == 9 { LogFault::Replaced } else { LogFault::Altered };
        place.finds(noted, fault, sequence);
    }
}

#[test]
fn a_line_that_is_left_out_is_found_and_dated() {
    let place = Place::new();
    let noted = place.ten();
    let file = place.files().remove(0);
    let text = fs::read_to_string(&file).unwrap();
    let kept: Vec<&str> = text.lines().filter(|line| !line.contains("record 2")).collect();
    fs::write(&file, kept.join("\n") + "\n").unwrap();
    place.finds(noted, LogFault::Removed, 3);
}

#[test]
fn the_oldest_file_removed_by_somebody_else_is_found() {
    let place = Place::new();
    let (log, _) = place.start(None);
    (0..30).for_each(|number| place.say(&log, &format!("record {number}")));
    let noted = place.note(&log);
    let first = log.sync().unwrap().unwrap().first;
    fs::remove_file(place.files().remove(0)).unwrap();
    place.finds(noted, LogFault::Removed, first);
}

// proves I3
#[test]
fn a_log_that_was_chained_anew_is_found_and_dated() {
    let (place, other) = (Place::new(), Place::new());
    let noted = place.ten();
    let (log, _) = other.start(None);
    (0..12).for_each(|number| other.say(&log, &format!("quite other {number}")));
    fs::remove_dir_all(place.state.join(DIRECTORY)).unwrap();
    fs::rename(other.state.join(DIRECTORY), place.state.join(DIRECTORY)).unwrap();
    place.finds(noted, LogFault::Replaced, 10);
}

#[test]
fn what_is_altered_while_the_agent_runs_is_found_at_the_next_look() {
    let place = Place::new();
    let (log, _) = place.start(None);
    (0..3).for_each(|number| place.say(&log, &format!("record {number}")));
    let before = place.note(&log);
    // The file is open still; its name is gone.
    fs::remove_file(place.files().remove(0)).unwrap();
    place.say(&log, "into a file without a name");
    let broken = log.look(&place.held(), before.whole).unwrap().unwrap();
    assert_eq!((broken.fault, broken.whole), (LogFault::Missing, before.whole));
    let first = place.lines().remove(0);
    assert_eq!((first.id.as_str(), first.sequence), (CONTINUED, before.sequence + 2));
    // A kill before anybody was told: the next start tells it.
    let (_, again) = place.start(Some(Noted { sequence: before.sequence + 1, head: first.previous, ..before }));
    assert_eq!(again.map(|broken| broken.fault), Some(LogFault::Missing));
}

#[test]
fn a_log_open_to_others_or_behind_a_link_is_not_taken_for_ours() {
    let place = Place::new();
    let noted = place.ten();
    let directory = place.state.join(DIRECTORY);
    fs::set_permissions(&directory, fs::Permissions::from_mode(0o755)).unwrap();
    place.finds(noted, LogFault::Replaced, 1);
    let place = Place::new();
    let noted = place.ten();
    let away = place.state.join("away");
    fs::rename(place.state.join(DIRECTORY), &away).unwrap();
    std::os::unix::fs::symlink(&away, place.state.join(DIRECTORY)).unwrap();
    place.finds(noted, LogFault::Replaced, 1);
    assert!(away.is_dir());
}

// proves I3
#[test]
fn a_kill_at_any_moment_looks_like_no_alteration() {
    let place = Place::new();
    let (log, _) = place.start(None);
    (0..3).for_each(|number| place.say(&log, &format!("record {number}")));
    let noted = place.note(&log);
    (3..6).for_each(|number| place.say(&log, &format!("record {number}")));
    let file = place.files().pop().unwrap();
    let whole = fs::read(&file).unwrap();
    let noted_end = whole.iter().enumerate().filter(|(_, byte)| **byte == b'\n').nth(2).unwrap().0;
    // After each byte of what came after the last note.
    for end in (noted_end + 1..=whole.len()).step_by(7).chain([whole.len() - 1, whole.len()]) {
        fs::write(&file, &whole[..end]).unwrap();
        let (log, broken) = place.start(Some(noted));
        assert_eq!(broken, None, "{end}");
        place.say(&log, "it goes on");
        assert_eq!(log.look(&place.held(), noted.whole).unwrap(), None);
        // As a power loss leaves it: the length is there and the bytes are not.
        let mut zeros = whole[..end].to_vec();
        zeros.resize(end + 100, 0);
        fs::write(&file, zeros).unwrap();
        let torn = place.start(Some(noted));
        assert_eq!(torn.1, None, "{end}");
    }
    // Between the record of a removal and the removal.
    let place = Place::new();
    let (log, _) = place.start(None);
    let mut before = Vec::new();
    for number in 0..40 {
        let oldest = place.files().remove(0);
        let bytes = fs::read(&oldest).unwrap();
        place.say(&log, &format!("record {number}"));
        if !oldest.exists() {
            before.push((oldest, bytes));
        }
    }
    let (oldest, bytes) = before.pop().unwrap();
    fs::write(&oldest, bytes).unwrap();
    fs::set_permissions(&oldest, fs::Permissions::from_mode(0o600)).unwrap();
    let noted = place.note(&log);
    assert_eq!(place.start(Some(noted)).1, None);
    assert!(!oldest.exists());
    // Between the making of a file and its first record.
    let at = log.sync().unwrap().unwrap().sequence;
    fs::File::create(place.state.join(DIRECTORY).join(segment_name(at + 1))).unwrap();
    let (log, broken) = place.start(Some(noted));
    assert_eq!(broken, None);
    place.say(&log, "into the new file");
    assert_eq!(log.look(&place.held(), noted.whole).unwrap(), None);
}

// proves I3
#[test]
fn what_is_said_by_tracing_is_kept_bounded_and_without_secrets() {
    let place = Place::new();
    let log = Log::new(place.clock.clone());
    let subscriber = tracing_subscriber::registry().with(Layer(log.clone()));
    tracing::subscriber::with_default(subscriber, || {
        let (long, token) = ("x".repeat(100_000), "muster1.eyJzZWNyZXQiOiJjYW5hcnkifQ");
        tracing::warn!(count = 3_u64, done = true, url = "https://me:canary@host/", %token, "it \"said\"\nBearer canary");
        tracing::info!(long, password = "canary", "long");
        log.open(&place.held(), None, SMALL).unwrap();
        tracing::error!("after the start");
    });
    let lines = place.lines();
    let texts: Vec<&str> = lines.iter().map(|record| record.text.as_str()).collect();
    assert_eq!(texts, ["it \"said\" Bearer [removed]", "long", "after the start"]);
    let first = &lines[0];
    assert_eq!((first.severity, first.component.as_str()), (LogSeverity::Warning, "log"));
    assert_eq!(first.fields["count"], 3);
    assert_eq!(first.fields["done"], true);
    assert_eq!(first.fields["token"], "[removed]");
    assert!(lines[1].cut && lines[1].fields["long"].as_str().unwrap().len() == 1_024);
    let all: String = place.files().iter().map(|file| fs::read_to_string(file).unwrap()).collect();
    assert!(!all.contains("canary"));
}

#[test]
fn the_last_records_are_found_from_a_time_on() {
    let place = Place::new();
    let (log, _) = place.start(None);
    (0..20).for_each(|number| place.say(&log, &format!("record {number}")));
    let (lines, anchor) = log.tail(None, 100, 1 << 20).unwrap().unwrap();
    assert_eq!(lines.len() as u64, anchor.sequence + 1 - anchor.first);
    let since = place.clock.now().plus(-2_000);
    assert_eq!(log.tail(Some(since), 100, 1 << 20).unwrap().unwrap().0.len(), 3);
    let (last, _) = log.tail(None, 2, 1 << 20).unwrap().unwrap();
    assert_eq!(last[..], lines[lines.len() - 2..]);
    assert!(log.tail(None, 100, 700).unwrap().unwrap().0.len() <= 3);
}

#[test]
fn what_was_found_is_not_lost_where_the_disk_refuses_the_next_step() {
    let place = Place::new();
    let noted = place.ten();
    let file = place.files().remove(0);
    let text = fs::read_to_string(&file).unwrap().replace("record 4", "nothing");
    fs::write(&file, &text).unwrap();
    let at = place.clock.now();
    // The new log cannot be begun, as on a full disk: its predecessor was put aside already.
    let kept = LogBreak { fault: LogFault::Altered, sequence: 5, whole: noted.whole, found: at };
    place.held().write(UNSAID, &serde_json::to_vec(&kept).unwrap()).unwrap();
    fs::rename(place.state.join(DIRECTORY), place.state.join(ALTERED)).unwrap();
    place.clock.set(at.plus(60_000));
    let (log, broken) = place.start(Some(noted));
    assert_eq!((broken.as_ref(), log.unsaid().as_ref()), (Some(&kept), Some(&kept)), "not that it is missing");
    // Altered once more, before anybody was told: the first evidence stays.
    fs::remove_file(place.files().remove(0)).unwrap();
    assert_eq!(log.look(&place.held(), noted.whole).unwrap(), Some(kept));
    let evidence = place.state.join(ALTERED).join(file.file_name().unwrap());
    assert_eq!(fs::read_to_string(evidence).unwrap(), text);
    log.said(&place.held()).unwrap();
    assert_eq!((log.unsaid(), log.look(&place.held(), noted.whole).unwrap()), (None, None));
    assert!(!place.state.join(UNSAID).exists());
}

#[test]
fn what_cannot_be_kept_beside_leaves_the_altered_log_where_it_is() {
    let place = Place::new();
    let noted = place.ten();
    let file = place.files().remove(0);
    fs::write(&file, fs::read_to_string(&file).unwrap().replace("record 4", "nothing")).unwrap();
    let in_the_way = place.state.join(format!("{UNSAID}.new"));
    fs::create_dir(&in_the_way).unwrap();
    let log = Log::new(place.clock.clone());
    log.open(&place.held(), Some(noted), SMALL).unwrap_err();
    assert!(file.exists() && !place.state.join(ALTERED).exists());
    assert_eq!(log.standing(), Standing::Waiting);
    // It is tried again, and nothing that was said meanwhile is lost.
    place.say(&log, "meanwhile");
    fs::remove_dir(&in_the_way).unwrap();
    let broken = log.open(&place.held(), Some(noted), SMALL).unwrap().unwrap();
    assert_eq!((broken.fault, broken.sequence), (LogFault::Altered, 5));
    assert_eq!(log.standing(), Standing::Open(0));
    assert_eq!(place.lines().last().unwrap().text, "meanwhile");
}
