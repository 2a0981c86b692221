//! The content cache: how much may be in it, what goes first, and what never does.
//!
//! When a file was used last is its time of change, which nobody else can set: the directory is the agent's alone.

use super::{ContentError, pool::list_name};
use crate::{agent::Agent, apply::may_pass, os::PrivateDirectory, policy::Policy, store::deployments::Progress};
use muster_model::{
    application::ContentFile,
    id::Hash,
    policy::ClientSettings,
    status::{DeploymentState, WaitReason},
    time::{DAY, UnixMillis},
};
use std::{
    collections::{HashMap, HashSet},
    fs::File,
    io,
    time::{Duration, SystemTime},
};

/// Hundredths of the disk that the cache takes where the settings do not say it.
const PERCENT: u8 = 10;

/// Bytes of the disk that the cache leaves to others; on a small one, so many hundredths of it.
const RESERVE: u64 = 256 << 20;
/// See [`RESERVE`].
const RESERVE_PERCENT: u64 = 2;

/// What may not go.
#[derive(Debug, Default)]
pub struct Pins {
    /// What a deployment needs whose time has come and that is not over, or that collects.
    now: HashSet<Hash>,
    /// What a deployment needs whose time has not come.
    later: HashSet<Hash>,
}

impl Pins {
    /// By this policy, and what is about to be fetched.
    #[must_use]
    pub fn of(agent: &Agent, policy: &Policy, files: &[ContentFile]) -> Self {
        let mut pins = Self { now: files.iter().map(|file| file.hash).collect(), later: HashSet::new() };
        let now = agent.clock.now();
        for deployment in policy.deployments() {
            let Some(application) = deployment.application().map(|application| application.value()) else { continue };
            let told = deployment.policy();
            let progress = agent.store.deployment(told.deployment).ok().flatten();
            // What failed for want of content goes on where it was.
            let ended = |p: &Progress| p.is_final() && !p.reason.is_some_and(may_pass);
            let kept = progress.filter(|p| p.application == told.application);
            let is_over = kept.as_ref().is_some_and(ended);
            // What collects goes on to be needed when it is installed.
            if is_over && application.collector.is_none() {
                continue;
            }
            let rests = kept.as_ref().is_some_and(|p| !is_over && rests(p, now));
            let is_later = !is_over && (told.available.max(told.deadline) > now || rests);
            let pinned = if is_later { &mut pins.later } else { &mut pins.now };
            // Of all deployment types: those of others than the one that it takes are not here.
            let along = deployment.related().iter().flat_map(|related| related.application().files());
            pinned.extend(application.files().chain(along).map(|file| file.hash));
        }
        pins
    }

    fn has(&self, hash: Hash) -> bool {
        self.now.contains(&hash) || self.later.contains(&hash)
    }
}

/// Whether a deployment waits for something that is far away or may never come: it gives room to what can begin.
fn rests(progress: &Progress, now: UnixMillis) -> bool {
    let soon = progress.until > UnixMillis(0) && progress.until.since(now) <= DAY;
    progress.state == DeploymentState::Waiting
        && match progress.waits {
            Some(WaitReason::Window | WaitReason::BusinessHours) => !soon,
            Some(waits) if waits.is_retry() => false,
            Some(WaitReason::Restart | WaitReason::Deadline | WaitReason::Clock) | None => false,
            Some(_) => true,
        }
}

/// A file that is whole, with its chunk list.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Entry {
    hash: Hash,
    size: u64,
    used: UnixMillis,
}

/// What is in the cache.
#[derive(Debug, Default)]
struct Contents {
    whole: Vec<Entry>,
    /// Bytes of files that are not whole, by what they will be.
    parts: HashMap<Hash, u64>,
    /// Names that nothing of ours has.
    strange: Vec<String>,
}

impl Contents {
    fn read(cache: &PrivateDirectory) -> io::Result<Self> {
        let (mut contents, mut lists) = (Self::default(), HashMap::new());
        for name in cache.names()? {
            let (stem, kind) = name.split_once('.').unwrap_or((&name, ""));
            let known = stem.parse::<Hash>().ok().zip(cache.open_file(&name).ok().flatten());
            let Some((hash, data)) = known.and_then(|(hash, file)| Some((hash, file.metadata().ok()?))) else {
                contents.strange.push(name);
                continue;
            };
            match kind {
                "" => {
                    let used = data.modified().map_or(UnixMillis(0), millis);
                    contents.whole.push(Entry { hash, size: data.len(), used });
                }
                "part" => drop(contents.parts.insert(hash, data.len())),
                "chunks" => drop(lists.insert(hash, data.len())),
                _ => contents.strange.push(name),
            }
        }
        for entry in &mut contents.whole {
            entry.size += lists.remove(&entry.hash).unwrap_or(0);
        }
        // A list without its file is of one that is on its way, or of none.
        for (hash, size) in lists {
            match contents.parts.get_mut(&hash) {
                Some(part) => *part += size,
                None => contents.strange.push(list_name(hash)),
            }
        }
        Ok(contents)
    }

    /// What goes so that `bytes` become free, the longest unused first. `None`: so much must not go.
    fn victims(&self, bytes: u64, pins: &Pins, rules: &Rules) -> Option<Vec<Hash>> {
        let rank = |entry: &Entry| {
            let is_old = rules.now.since(entry.used) >= rules.min_age;
            match (pins.has(entry.hash), is_old) {
                (false, true) => Some(0),
                (false, false) if rules.is_due => Some(1),
                // Fetched ahead: it is fetched again when its time comes.
                (true, _) if rules.is_due && !pins.now.contains(&entry.hash) => Some(2),
                _ => None,
            }
        };
        let mut order: Vec<_> = self.whole.iter().filter_map(|e| Some((rank(e)?, e.used, e.hash, e.size))).collect();
        order.sort_unstable_by_key(|(rank, used, hash, _)| (*rank, *used, hash.0));
        let (mut freed, mut victims) = (0, Vec::new());
        for (_, _, hash, size) in order {
            if freed >= bytes {
                break;
            }
            freed += size;
            victims.push(hash);
        }
        (freed >= bytes).then_some(victims)
    }
}

/// By what is decided.
#[derive(Debug, Clone, Copy)]
struct Rules {
    now: UnixMillis,
    min_age: i64,
    /// Room is made for something that is due, and not for what is fetched ahead.
    is_due: bool,
}

fn millis(time: SystemTime) -> UnixMillis {
    let since = time.duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
    UnixMillis(i64::try_from(since.as_millis()).unwrap_or(i64::MAX))
}

/// Notes that a file was used.
///
/// # Errors
/// When the disk refuses.
pub fn touch(file: &File, now: UnixMillis) -> io::Result<()> {
    file.set_modified(SystemTime::UNIX_EPOCH + Duration::from_millis(now.0.max(0).unsigned_abs()))
}

/// A file of the cache, if it is a sound one: what is no file of ours in its place is thrown away, and leads nowhere.
///
/// # Errors
/// When the disk refuses.
pub fn sound(cache: &PrivateDirectory, name: &str) -> io::Result<Option<File>> {
    match cache.open_file(name) {
        Err(error) if PrivateDirectory::is_foreign(&error) => {
            tracing::warn!(name, %error, "what lies in the content cache is not the agent's, and is thrown away");
            discard(cache, name)?;
            Ok(None)
        }
        other => other,
    }
}

/// Removes a name, whatever it is.
fn discard(cache: &PrivateDirectory, name: &str) -> io::Result<()> {
    cache.remove(name).or_else(|_| cache.remove_directory(name))
}

/// Removes a file with its chunk list.
///
/// # Errors
/// When the disk refuses.
pub fn forget(cache: &PrivateDirectory, hash: Hash) -> io::Result<()> {
    cache.remove(&list_name(hash))?;
    cache.remove(&hash.to_string())
}

/// Bytes that the cache may have.
fn limit(cache: &PrivateDirectory, settings: &ClientSettings) -> io::Result<u64> {
    let percent = u64::from(settings.cache_percent.unwrap_or(PERCENT));
    Ok(settings.cache_bytes.min(cache.space()?.0 / 100 * percent))
}

/// Makes room for files that are about to be fetched.
///
/// # Errors
/// [`ContentError::CacheTooSmall`], [`ContentError::CacheFull`], [`ContentError::DiskFull`]: nothing was removed then.
pub(super) fn make_room(
    agent: &Agent,
    settings: &ClientSettings,
    pins: &Pins,
    files: &[ContentFile],
    is_due: bool,
) -> Result<(), ContentError> {
    let cache = &agent.cache;
    let rules = Rules { now: agent.clock.now(), min_age: settings.cache_min_age, is_due };
    let (disk, free) = cache.space()?;
    let free = free.saturating_sub(reserve(disk));
    let room = room(&Contents::read(cache)?, pins, files, rules, limit(cache, settings)?, free)?;
    for hash in room {
        tracing::info!(%hash, "content makes room in the cache");
        forget(cache, hash)?;
    }
    Ok(())
}

fn room(
    contents: &Contents,
    pins: &Pins,
    files: &[ContentFile],
    rules: Rules,
    limit: u64,
    free: u64,
) -> Result<Vec<Hash>, ContentError> {
    let wanted: HashMap<Hash, u64> = files.iter().map(|file| (file.hash, file.size)).collect();
    let size = wanted.values().fold(0, |sum: u64, size| sum.saturating_add(*size));
    if size > limit {
        return Err(ContentError::CacheTooSmall { size, limit });
    }
    let there = |hash: &Hash| contents.whole.iter().any(|entry| entry.hash == *hash);
    let missing = wanted.iter().filter(|(hash, _)| !there(hash));
    // Of what is on its way, the rest is missing.
    let missing: u64 =
        missing.map(|(hash, size)| size.saturating_sub(contents.parts.get(hash).copied().unwrap_or(0))).sum();
    let used: u64 = contents.whole.iter().map(|entry| entry.size).chain(contents.parts.values().copied()).sum();
    let over = used.saturating_add(missing).saturating_sub(limit);
    if contents.victims(over, pins, &rules).is_none() {
        return Err(ContentError::CacheFull { size: missing, limit });
    }
    // Where the disk has too little, more goes; the last bytes are for the system and the agent's own database.
    let short = missing.saturating_sub(free).max(over);
    contents.victims(short, pins, &rules).ok_or(ContentError::DiskFull)
}

/// Bytes of a disk of this size that are left to others.
#[must_use]
pub fn reserve(disk: u64) -> u64 {
    RESERVE.min(disk / 100 * RESERVE_PERCENT)
}

/// Throws away content that nothing needs now, as much as `bytes` if so much may go; how many bytes went. Where no policy is known, nobody
/// knows what is needed, and nothing goes.
///
/// # Errors
/// When the disk refuses.
pub fn relieve(agent: &Agent, policy: Option<&Policy>, settings: &ClientSettings, bytes: u64) -> io::Result<u64> {
    let (Some(policy), Some(_turn)) = (policy, agent.turn.between()) else { return Ok(0) };
    let (pins, contents) = (Pins::of(agent, policy, &[]), Contents::read(&agent.cache)?);
    let rules = Rules { now: agent.clock.now(), min_age: settings.cache_min_age, is_due: true };
    let (mut wanted, mut freed) = (bytes, 0);
    while wanted > 0 {
        if let Some(victims) = contents.victims(wanted, &pins, &rules) {
            for hash in victims {
                freed += contents.whole.iter().find(|entry| entry.hash == hash).map_or(0, |entry| entry.size);
                forget(&agent.cache, hash)?;
            }
            break;
        }
        wanted /= 2;
    }
    Ok(freed)
}

/// Throws away what nobody needs to be there, and what is over the limit; not while anything is fetched.
///
/// # Errors
/// When the disk refuses.
pub fn trim(agent: &Agent, policy: &Policy) -> io::Result<()> {
    let Some(_turn) = agent.turn.between() else { return Ok(()) };
    let (cache, settings) = (&agent.cache, policy.settings());
    let (pins, contents) = (Pins::of(agent, policy, &[]), Contents::read(cache)?);
    for name in &contents.strange {
        discard(cache, name)?;
    }
    for hash in contents.parts.keys().filter(|hash| !pins.has(**hash)) {
        cache.remove(&format!("{hash}.part"))?;
        cache.remove(&list_name(*hash))?;
    }
    let used: u64 = contents.whole.iter().map(|entry| entry.size).sum();
    let mut over = used.saturating_sub(limit(cache, settings)?);
    let rules = Rules { now: agent.clock.now(), min_age: settings.cache_min_age, is_due: false };
    // As much as may go of it.
    while over > 0 {
        if let Some(victims) = contents.victims(over, &pins, &rules) {
            for hash in victims {
                forget(cache, hash)?;
            }
            break;
        }
        over /= 2;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use muster_model::time::HOUR;

    const NOW: UnixMillis = UnixMillis(1_790_000_000_000);

    fn hash(byte: u8) -> Hash {
        Hash([byte; 32])
    }

    fn file(byte: u8, size: u64) -> ContentFile {
        ContentFile { name: "f".parse().unwrap(), hash: hash(byte), size }
    }

    /// Each file: its hash, bytes, and hours since it was used.
    fn contents(files: &[(u8, u64, i64)]) -> Contents {
        let entry = |(byte, size, hours): &(u8, u64, i64)| Entry {
            hash: hash(*byte),
            size: *size,
            used: NOW.plus(-hours * HOUR),
        };
        Contents { whole: files.iter().map(entry).collect(), ..Contents::default() }
    }

    fn pins(now: &[u8], later: &[u8]) -> Pins {
        let of = |bytes: &[u8]| bytes.iter().map(|byte| hash(*byte)).collect();
        Pins { now: of(now), later: of(later) }
    }

    fn rules(is_due: bool) -> Rules {
        Rules { now: NOW, min_age: DAY, is_due }
    }

    fn made(contents: &Contents, pins: &Pins, size: u64, is_due: bool) -> Result<Vec<Hash>, ContentError> {
        room(contents, pins, &[file(9, size)], rules(is_due), 100, u64::MAX)
    }

    #[test]
    fn what_was_used_longest_ago_goes_first_and_only_as_much_as_is_needed() {
        let contents = contents(&[(1, 30, 30), (2, 30, 50), (3, 30, 40)]);
        let none = Pins::default();
        assert_eq!(made(&contents, &none, 10, true).unwrap(), []);
        assert_eq!(made(&contents, &none, 11, true).unwrap(), [hash(2)]);
        assert_eq!(made(&contents, &none, 45, true).unwrap(), [hash(2), hash(3)]);
        assert_eq!(made(&contents, &none, 100, true).unwrap().len(), 3);
    }

    #[test]
    fn what_is_young_goes_only_for_what_is_due_and_what_is_pinned_never() {
        let contents = contents(&[(1, 40, 2), (2, 40, 90)]);
        assert_eq!(made(&contents, &Pins::default(), 60, true).unwrap(), [hash(2)]);
        assert_eq!(made(&contents, &Pins::default(), 70, true).unwrap(), [hash(2), hash(1)]);
        assert!(matches!(made(&contents, &Pins::default(), 70, false), Err(ContentError::CacheFull { size: 70, .. })));
        assert_eq!(made(&contents, &pins(&[2], &[]), 60, true).unwrap(), [hash(1)]);
        assert!(matches!(made(&contents, &pins(&[1, 2], &[]), 60, true), Err(ContentError::CacheFull { .. })));
        // What was fetched ahead gives way to what is due, as the last; and never to what is fetched ahead too.
        assert_eq!(made(&contents, &pins(&[1], &[2]), 60, true).unwrap(), [hash(2)]);
        assert!(made(&contents, &pins(&[1], &[2]), 60, false).is_err());
    }

    #[test]
    fn content_that_is_larger_than_the_cache_is_said_to_be_so() {
        let error = made(&contents(&[]), &Pins::default(), 101, true).unwrap_err();
        assert!(matches!(error, ContentError::CacheTooSmall { size: 101, limit: 100 }), "{error}");
        let huge = room(&contents(&[]), &Pins::default(), &[file(1, u64::MAX), file(2, 5)], rules(true), 100, 0);
        assert!(matches!(huge, Err(ContentError::CacheTooSmall { .. })));
    }

    #[test]
    fn what_is_on_its_way_counts_once_and_a_full_disk_takes_what_may_go() {
        let mut contents = contents(&[(1, 40, 90)]);
        contents.parts.insert(hash(9), 50);
        assert_eq!(made(&contents, &Pins::default(), 60, true).unwrap(), []);
        let tight = |free| room(&contents, &Pins::default(), &[file(9, 60)], rules(true), 100, free).unwrap();
        assert_eq!(tight(10), []);
        assert_eq!(tight(9), [hash(1)]);
        let full = room(&contents, &pins(&[1], &[]), &[file(9, 60)], rules(true), 100, 9);
        assert!(matches!(full, Err(ContentError::DiskFull)), "the reserve is not touched");
    }

    #[test]
    fn a_clock_that_was_set_back_makes_nothing_old() {
        let contents = contents(&[(1, 90, -1_000)]);
        assert!(made(&contents, &Pins::default(), 50, false).is_err());
        assert_eq!(made(&contents, &Pins::default(), 50, true).unwrap(), [hash(1)]);
    }

    #[test]
    fn the_cache_is_read_as_it_is() {
        let temp = tempfile::tempdir().unwrap();
        let cache = PrivateDirectory::open(&temp.path().join("cache")).unwrap();
        for (name, bytes) in [
            (hash(1).to_string(), "whole"),
            (list_name(hash(1)), "its list"),
            (format!("{}.part", hash(2)), "half"),
            (list_name(hash(2)), "list"),
            (list_name(hash(3)), "of nothing"),
            ("planted".to_owned(), "x"),
        ] {
            cache.write(&name, bytes.as_bytes()).unwrap();
        }
        std::os::unix::fs::symlink("/etc/passwd", cache.path().join(hash(4).to_string())).unwrap();
        touch(&cache.open_file(&hash(1).to_string()).unwrap().unwrap(), NOW).unwrap();
        let mut found = Contents::read(&cache).unwrap();
        found.strange.sort();
        let mut strange = [list_name(hash(3)), "planted".to_owned(), hash(4).to_string()];
        strange.sort();
        assert_eq!(found.whole, [Entry { hash: hash(1), size: 13, used: NOW }]);
        assert_eq!((found.parts, found.strange), (HashMap::from([(hash(2), 8)]), strange.to_vec()));
    }
}
